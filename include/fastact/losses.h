/* losses.h (template): one formula and its derivative with respect to pred per pointwise loss, in the order of ops.def.
 *
 * The losses of cost LIGHT take and give double in both templates (WIDE_LIGHT in loss_loops.h): conversions are free beside
 * the memory they wait for (2^24 float32 pairs: 1.5 ms either way on two threads), and a float32 loss, sum or gradient is
 * then the correctly rounded one. The others compute in REAL.
 */

/* z up to size `top`: 0 and NaN stay. One min and one max; gcc makes compares and blends of anything written with 0. */
static inline double F(clip_at)(double z, double top)
{
    z = top < z ? top : z;
    return -top > z ? -top : z;
}

/* The sign, 0 for 0: any z but 0, times 2^1200, reaches 1. */
static inline double F(sign_or_zero)(double z) { return F(clip_at)(z * 0x1p600 * 0x1p600, LIMIT(one)); }

static inline double F(l1_loss)(double pred, double target) { return __builtin_fabs(pred - target); }
static inline double F(l1_loss_d)(double pred, double target) { return F(sign_or_zero)(pred - target); }

static inline double F(mse_loss)(double pred, double target) { return (pred - target) * (pred - target); }
static inline double F(mse_loss_d)(double pred, double target) { return 2.0 * (pred - target); }

static inline double F(huber_loss)(double pred, double target, double delta)
{
    const double a = __builtin_fabs(pred - target), m = delta < a ? delta : a;
    return m * (a - 0.5 * m);
}

static inline double F(huber_loss_d)(double pred, double target, double delta) { return F(clip_at)(pred - target, delta); }

/* per_beta = 1/beta, finite: without a beta the Python layer takes l1_loss. */
static inline double F(smooth_l1_loss)(double pred, double target, double beta, double per_beta)
{
    const double a = __builtin_fabs(pred - target), m = beta < a ? beta : a;
    return m * per_beta * (a - 0.5 * m);
}

static inline double F(smooth_l1_loss_d)(double pred, double target, double beta, double per_beta)
{
    (void)beta;
    return F(clip_at)((pred - target) * per_beta, LIMIT(one));
}

static inline double F(quantile_loss)(double pred, double target, double q)
{
    const double over = q * (target - pred), under = (q - 1.0) * (target - pred);
    return over > under ? over : under;
}

static inline double F(quantile_loss_d)(double pred, double target, double q)
{
    return F(sign_or_zero)(pred - target) * (pred > target ? 1.0 - q : q);
}

/* log cosh z = |z| + log1p(e^(-2|z|)) - ln 2; below 1, where that cancels, log1p(t^2/(2(1 + t))) with t = e^-|z| - 1. */
static inline REAL F(log_cosh_loss)(REAL pred, REAL target)
{
    const REAL a = F(abs)(pred - target), t = F(expm1_nonpos)(-a), e = C(1.0) + t;
    const REAL u = a < LIMIT(one) ? t * t / (C(2.0) * e) : e * e;
    const REAL far = (a - F(ln2_hi)) - F(ln2_lo);
    return F(log1p)(u) + (a < LIMIT(one) ? C(0.0) : far);
}

static inline REAL F(log_cosh_loss_d)(REAL pred, REAL target) { return F(tanh_of)(pred - target); }

static inline double F(hinge_loss)(double score, double target)
{
    const double margin = 1.0 - target * score;
    return margin < 0.0 ? 0.0 : margin;
}

static inline double F(hinge_loss_d)(double score, double target)
{
    const double margin = 1.0 - target * score;
    return margin > 0.0 ? -target : margin != margin ? margin : 0.0;
}

/* Summed by zero_one_loss, fastact.metrics and the reductions: no derivative. */
static inline double F(absolute_percentage)(double pred, double target)
{
    /* scikit-learn's guard: eps of float64, whatever the dtype. */
    const double a = __builtin_fabs(target);
    return __builtin_fabs(pred - target) / (a < 0x1p-52 ? 0x1p-52 : a);
}

static inline double F(total)(double x) { return x; }
static inline double F(unequal)(double x, double y) { return x != y ? 1.0 : 0.0; }
/* Of integers as wide as REAL. */
static inline double F(unequal_bits)(REAL x, REAL y) { return F(bits)(x) != F(bits)(y) ? 1.0 : 0.0; }
