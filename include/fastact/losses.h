/* losses.h (template): one formula and its derivative with respect to pred per pointwise loss, in the order of ops.def.
 *
 * The losses of cost LIGHT take and give double in both templates (WIDE_LIGHT in loss_loops.h): a float32 loss or sum is
 * then the correctly rounded one, and memory takes longer than the conversions (2^24 float32 pairs: 1.5 ms either way on two
 * threads). Their derivatives, and the others, compute in REAL: of a float32 gradient the difference, the factor 1/n and their
 * product are rounded (and a beta), half an eps each, and loss and gradient of 2^20 pairs take 259 instead of 428 us (huber,
 * one thread; 328 in double, four at a time).
 */
#undef SUMMANDS
#define SUMMANDS ((size_t)32)       /* chains of a sum: see loss_loops.h */

/* a*b + c in double in both templates, fused where the ISA has it. */
static inline double F(fma_wide)(double a, double b, double c) { return FA_HAS_FMA ? __builtin_fma(a, b, c) : a * b + c; }

/* z up to size `top`: 0 and NaN stay. One min and one max; gcc makes compares and blends of anything written with 0. */
static inline REAL F(clip_at)(REAL z, REAL top)
{
    z = top < z ? top : z;
    return -top > z ? -top : z;
}

/* The sign, 0 for 0: any z but 0, times 2^240 | 2^1200, reaches 1. */
static inline REAL F(sign_or_zero)(REAL z) { return F(clip_at)(z * K(0x1p120f, 0x1p600) * K(0x1p120f, 0x1p600), LIMIT(one)); }

static inline double F(l1_loss)(double pred, double target) { return __builtin_fabs(pred - target); }
static inline REAL F(l1_loss_d)(REAL pred, REAL target) { return F(sign_or_zero)(pred - target); }

static inline double F(mse_loss)(double pred, double target) { return (pred - target) * (pred - target); }
static inline REAL F(mse_loss_d)(REAL pred, REAL target) { return C(2.0) * (pred - target); }

static inline double F(huber_loss)(double pred, double target, double delta)
{
    const double a = __builtin_fabs(pred - target), m = delta < a ? delta : a;
    return m * F(fma_wide)(-0.5, m, a);
}

static inline REAL F(huber_loss_d)(REAL pred, REAL target, double delta) { return F(clip_at)(pred - target, (REAL)delta); }

/* per_beta = 1/beta, finite: without a beta the Python layer takes l1_loss. */
static inline double F(smooth_l1_loss)(double pred, double target, double beta, double per_beta)
{
    const double a = __builtin_fabs(pred - target), m = beta < a ? beta : a;
    return m * per_beta * F(fma_wide)(-0.5, m, a);
}

/* z/beta. Float32 has not the exponents of every 1/beta, and infinite z times 0 would be NaN: two factors of half the exponent
 * each. (By integers: gcc hoists those, and does not vectorise a loop with conditions that do not change in it.) */
static inline REAL F(times_per_beta)(REAL z, double per_beta)
{
#if FA_BITS == 32
    const uint64_t bits = bits_f64(per_beta), mantissa = ((uint64_t)1 << 52) - 1;
    const int64_t e = (int64_t)(bits >> 52) - 1023, low = e < -298 ? -298 : e, k = low > 150 ? 150 : low, half = k >> 1;
    const double far = from_bits_f64((uint64_t)(half + 1023) << 52);
    return z * (float)from_bits_f64((bits & mantissa) | (uint64_t)(k - half + 1023) << 52) * (float)far;
#else
    return z * per_beta;
#endif
}

static inline REAL F(smooth_l1_loss_d)(REAL pred, REAL target, double beta, double per_beta)
{
    (void)beta;
    return F(clip_at)(F(times_per_beta)(pred - target, per_beta), LIMIT(one));
}

static inline double F(quantile_loss)(double pred, double target, double q)
{
    const double over = q * (target - pred), under = (q - 1.0) * (target - pred);
    return over > under ? over : under;
}

static inline REAL F(quantile_loss_d)(REAL pred, REAL target, double q)
{
    const REAL over = (REAL)(1.0 - q), under = (REAL)q;
    return F(sign_or_zero)(pred - target) * (pred > target ? over : under);
}

/* (log(cosh z)/s - 1/2)/s in s = z^2 <= 1, interpolated at Chebyshev's nodes; error of log cosh 2^-26.6 | 2^-56.6. */
static inline REAL F(log_cosh_q)(REAL s)
{
    const REAL s2 = s * s, s4 = s2 * s2;
#if FA_BITS == 32
    const REAL a = FMA(0x1.6c1638p-6f, s, -0x1.555554p-4f), b = FMA(0x1.1cf218p-9f, s, -0x1.b9f8a6p-8f);
    const REAL c = FMA(-0x1.f70bc6p-16f, s2, FMA(0x1.908d18p-13f, s, -0x1.6e7536p-11f));
    return FMA(c, s4, FMA(b, s2, a));
#else
    const REAL a = FMA(0x1.6c16c16c16b21p-6, s, -0x1.5555555555555p-4), b = FMA(0x1.1ea5d397a0770p-9, s, -0x1.ba1ba1ba09a16p-8);
    const REAL c = FMA(0x1.0d0b3f8ca0cdcp-12, s, -0x1.833d9b79192fcp-11), d = FMA(0x1.12e912c66a9d6p-15, s, -0x1.7da187717a8cfp-14);
    const REAL e = FMA(0x1.2440217d803f8p-18, s, -0x1.906e7ed5ed8e2p-17), f = FMA(0x1.1319bfc4f54a1p-21, s, -0x1.a1307ba3b2516p-20);
    const REAL g = FMA(-0x1.7199d3332b32fp-29, s2, FMA(0x1.d553b8d753753p-26, s, -0x1.2e63935c5c381p-23));
    const REAL high = FMA(g, s4, FMA(f, s2, e));
    return FMA(FMA(high, s4, FMA(d, s2, c)), s4, FMA(b, s2, a));
#endif
}

/* log(1 + u) for 0 <= u <= e^-2; error in float32 2^-31.5. */
static inline REAL F(log1p_small)(REAL u)
{
#if FA_BITS == 32
    const REAL u2 = u * u, a = FMA(0x1.555468p-2f, u, C(-0.5)), b = FMA(0x1.906182p-3f, u, -0x1.ff90eep-3f);
    return FMA(FMA(FMA(-0x1.02aca8p-3f, u2, b), u2, a), u2, u);
#else
    return F(log1p_unit)(u, u);
#endif
}

/* log cosh z = |z| + log1p(e^(-2|z|)) - ln 2; below 1, where that cancels, s/2 + s^2 q(s). */
static inline REAL F(log_cosh_loss)(REAL pred, REAL target)
{
    const REAL a = F(abs)(pred - target), near = F(at_most)(a, LIMIT(one)), s = near * near, low = FA_HAS_FMA ? FMA(near, near, -s) : C(0.0);
    const REAL small = FMA(C(0.5), s, FMA(s * s, F(log_cosh_q)(s), C(0.5) * low));
    const REAL u = F(exp_shifted)(C(-2.0) * F(at_most)(a, LIMIT(log_cosh_hi)), C(-0.0), C(0.0));
    const REAL far = (a - F(ln2_hi)) + (F(log1p_small)(u) - F(ln2_lo));
    return a < LIMIT(one) ? small : far;
}

static inline REAL F(log_cosh_loss_d)(REAL pred, REAL target) { return F(tanh_of)(pred - target); }

#if TABLE
#include "fastact/log_cosh_table.h"
#endif
static inline void F(log_cosh_loss_span)(REAL *loss, REAL *slope, const REAL *pred, const REAL *target)
{
#if TABLE
    log_cosh_by_table(loss, pred, target, SUMMANDS);
#else
    LANE(SUMMANDS) loss[j] = F(log_cosh_loss)(pred[j], target[j]);
#endif
    if (slope)
        LANE(SUMMANDS) slope[j] = F(log_cosh_loss_d)(pred[j], target[j]);
}

/* 0 where the weight is 0, whatever x: a label has no opinion on the logarithm of what it rules out, and a sample of weight 0 is
 * left out, even if its loss is inf. */
static inline REAL F(weighed)(REAL weight, REAL x) { return weight == C(0.0) ? C(0.0) : weight * x; }

/* From log(prob) and log(1 - prob). */
static inline REAL F(binary_of_logs)(REAL target, REAL log_prob, REAL log_rest)
{
    return F(weighed)(target, -log_prob) + F(weighed)(C(1.0) - target, -log_rest);
}

static inline REAL F(binary_cross_entropy)(REAL prob, REAL target)
{
    return F(binary_of_logs)(target, F(log)(prob), F(log_of_rest)(prob));
}

static inline REAL F(binary_cross_entropy_d)(REAL prob, REAL target)
{
    const REAL rest = C(1.0) - prob, other = C(1.0) - target;
    return (other == C(0.0) ? C(0.0) : other / rest) - (target == C(0.0) ? C(0.0) : target / prob);
}

/* SUMMANDS at a time, in float32 by log_table.h. Where all targets are 0 or 1 one logarithm is enough, and one quotient: of what the target
 * takes, prob or 1 - prob, to which `low` adds what that lost in rounding. The bits are those of the general way. */
static inline void F(binary_cross_entropy_span)(REAL *loss, REAL *slope, const REAL *prob, const REAL *target)
{
#if TABLE
    REAL taken[SUMMANDS], low[SUMMANDS], l[SUMMANDS], rest[SUMMANDS];
    int labels = 1;
    _Pragma("omp simd reduction(&:labels)") for (size_t j = 0; j < SUMMANDS; j++) {
        const REAL p = prob[j], t = target[j], r = C(1.0) - p;
        labels &= (t == C(0.0)) | (t == C(1.0));
        taken[j] = t == C(1.0) ? p : r;
        low[j] = t == C(1.0) ? C(0.0) : (C(1.0) - r) - p;
    }
    if (labels) {
        F(log_with_low)(l, taken, low, SUMMANDS);
        LANE(SUMMANDS) loss[j] = C(0.0) - l[j];
        if (slope)
            LANE(SUMMANDS) {
                const REAL s = C(1.0) / taken[j];
                slope[j] = target[j] == C(1.0) ? C(0.0) - s : s;
            }
        return;
    }
    LANE(SUMMANDS) {
        rest[j] = C(1.0) - prob[j];
        low[j] = (C(1.0) - rest[j]) - prob[j];
    }
    F(log_lanes)(l, prob, SUMMANDS);
    F(log_with_low)(taken, rest, low, SUMMANDS);
    LANE(SUMMANDS)
        loss[j] = F(binary_of_logs)(target[j], l[j], taken[j]);
#else
    LANE(SUMMANDS) loss[j] = F(binary_cross_entropy)(prob[j], target[j]);
#endif
    if (slope)
        LANE(SUMMANDS) slope[j] = F(binary_cross_entropy_d)(prob[j], target[j]);
}

/* Of a logit x: log1p(e^-|x|) and sigmoid(-|x|), both 2^24 | 2^53 times what they are, and sigmoid(|x|). */
typedef struct {
    REAL log1p, small, large;
} F(logit);
#undef LOGIT_DOWN
#define LOGIT_DOWN K(0x1p-24f, 0x1p-53)
static inline F(logit) F(logit_of)(REAL x)
{
    const REAL U = F(exp_shifted)(-F(at_most)(F(abs)(x), LIMIT(log_sigmoid_hi)), C(-0.0), K(24.f, 53.));
    const REAL u = U * LOGIT_DOWN, large = C(1.0) / (C(1.0) + u);
    return (F(logit)){F(log1p_unit)(U, u), U * large, large};
}

/* up*softplus(-x) + down*softplus(x), softplus(x) = max(x, 0) + log1p(e^-|x|): no term is negative. */
static inline REAL F(two_sided)(F(logit) l, REAL x, REAL up, REAL down)
{
    return FMA((up + down) * l.log1p, LOGIT_DOWN, F(weighed)(x > C(0.0) ? down : up, F(abs)(x)));
}

/* down*sigmoid(x) - up*sigmoid(-x) */
static inline REAL F(two_sided_d)(F(logit) l, REAL x, REAL up, REAL down)
{
    const REAL grow = x > C(0.0) ? down : up, fade = x > C(0.0) ? up : down;
    const REAL d = FMA(-fade * l.small, LOGIT_DOWN, grow * l.large);
    return x > C(0.0) ? d : -d;
}

static inline REAL F(binary_cross_entropy_with_logits)(REAL x, REAL target, REAL pos_weight)
{
    return F(two_sided)(F(logit_of)(x), x, pos_weight * target, C(1.0) - target);
}

static inline REAL F(binary_cross_entropy_with_logits_d)(REAL x, REAL target, REAL pos_weight)
{
    return F(two_sided_d)(F(logit_of)(x), x, pos_weight * target, C(1.0) - target);
}

/* alpha_t (1 - p_t)^gamma times the cross-entropy. q = 1 - p_t = p(1 - t) + (1 - p)t, without cancellation. q^gamma by
 * exp(gamma log q) is |gamma log q| half units off: where that is much, the loss is next to nothing. */
typedef struct {
    F(logit) l;
    REAL p, rest, q, power;         /* sigmoid(x), sigmoid(-x), 1 - p_t, (1 - p_t)^gamma */
} F(focal_parts);
static inline F(focal_parts) F(focal_of)(REAL x, REAL target, REAL gamma)
{
    F(focal_parts) f;
    f.l = F(logit_of)(x);
    const REAL small = f.l.small * LOGIT_DOWN;
    f.p = x > C(0.0) ? f.l.large : small;
    f.rest = x > C(0.0) ? small : f.l.large;
    f.q = f.p * (C(1.0) - target) + f.rest * target;
    f.power = F(exp)(F(weighed)(gamma, F(log)(f.q)));
    return f;
}

static inline REAL F(sigmoid_focal_loss)(REAL x, REAL target, REAL alpha, REAL other_alpha, REAL gamma)
{
    const F(focal_parts) f = F(focal_of)(x, target, gamma);
    const REAL weight = alpha * target + other_alpha * (C(1.0) - target);
    return F(weighed)(weight * f.power, F(two_sided)(f.l, x, target, C(1.0) - target));
}

/* weight q^gamma (p - t + gamma ce q'/q), q' = p(1 - p)(1 - 2t); q'/q is -p or 1 - p for the two labels. */
static inline REAL F(sigmoid_focal_loss_d)(REAL x, REAL target, REAL alpha, REAL other_alpha, REAL gamma)
{
    const F(focal_parts) f = F(focal_of)(x, target, gamma);
    const REAL weight = alpha * target + other_alpha * (C(1.0) - target);
    const REAL ce = F(two_sided)(f.l, x, target, C(1.0) - target), slope = F(two_sided_d)(f.l, x, target, C(1.0) - target);
    const REAL steep = target == C(1.0) ? -f.p : target == C(0.0) ? f.rest : f.p * f.rest * (C(1.0) - C(2.0) * target) / f.q;
    return weight * f.power * (slope + F(weighed)(gamma * steep, ce));
}

static inline double F(hinge_loss)(double score, double target)
{
    const double margin = F(fma_wide)(-target, score, 1.0);
    return margin < 0.0 ? 0.0 : margin;
}

static inline REAL F(hinge_loss_d)(REAL score, REAL target)
{
    const REAL margin = FMA(-target, score, C(1.0));
    return margin > C(0.0) ? -target : margin != margin ? margin : C(0.0);
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
