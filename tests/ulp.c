/* ulp.c: the fast half of the accuracy tests; tests/ulp.py compiles it with the system's compiler and drives it.
 *
 * ref_NAME(x, p, q) is the exact map NAME of its first tensor and its parameters, other tensors and dy being 1, in long
 * double and by formulas that keep at least 2^-58 (x86: 64 bits; elsewhere mostly 113). tests/test_accuracy.py holds each
 * against the mpmath definition in tests/reference.py. Nothing here is shared with the formulas under test.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef long double ld;
typedef ld (*ref_fn)(ld x, ld p, ld q);

#define REF(name) ld ref_##name(ld x, ld p, ld q); ld ref_##name(ld x, ld p, ld q)
#define UNUSED (void)p; (void)q
/* Constants whose rounding would count: a double and the rest. */
#define SQRT_HALF 0x1.6a09e667f3bcdp-1L
#define SQRT_HALF_LOW -4.83364665672645651859358442991e-17L
#define CUBIC 0x1.6e4e26d4801f7p-5L
#define CUBIC_LOW 2.19602114270855963695794343948e-18L
#define TANH_SCALE 0x1.9884533d43651p+0L
#define TANH_SCALE_LOW -9.96930880911092031457655260466e-17L
#define TWO_OVER_SQRT_PI 1.12837916709551257389615890312154517L
#define ONE_OVER_SQRT_TWO_PI 0.39894228040143267793994605993438187L
#define SELU_SCALE 1.0507009873554804934L
#define SELU_ALPHA 1.6732632423543772848L

static ld max0(ld x) { return x < 0 ? 0 : x; }

/* Kinks and lines. */
REF(relu) { UNUSED; return x < 0 ? 0 : x; }
REF(relu_grad) { UNUSED; return isnan(x) ? x : x > 0; }
REF(relu6) { UNUSED; return x < 0 ? 0 : x > 6 ? 6 : x; }
REF(relu6_grad) { UNUSED; return isnan(x) ? x : x > 0 && x < 6; }
REF(leaky_relu) { UNUSED; return x > 0 ? x : p * x; }
REF(leaky_relu_grad) { UNUSED; return isnan(x) ? x : x > 0 ? 1 : p; }
REF(prelu) { return ref_leaky_relu(x, p, q); }
REF(prelu_grad) { return ref_leaky_relu_grad(x, p, q); }
REF(hard_sigmoid) { UNUSED; return x <= -3 ? 0 : x >= 3 ? 1 : (x + 3) / 6; }
REF(hard_sigmoid_grad) { UNUSED; return isnan(x) ? x : fabsl(x) < 3 ? 1 / 6.0L : 0; }
REF(hard_swish) { UNUSED; return x <= -3 ? -0.0L : x >= 3 ? x : x * (x + 3) / 6; }
REF(hard_swish_grad) { UNUSED; return x <= -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6; }
REF(hard_tanh) { return x < p ? p : x > q ? q : x; }
REF(hard_tanh_grad) { return isnan(x) ? x : x > p && x < q; }
REF(soft_shrink) { UNUSED; return x > p ? x - p : x < -p ? x + p : isnan(x) ? x : 0; }
REF(soft_shrink_grad) { UNUSED; return isnan(x) ? x : fabsl(x) > p; }
REF(hard_shrink) { UNUSED; return fabsl(x) <= p ? 0 : x; }
REF(hard_shrink_grad) { UNUSED; return isnan(x) ? x : fabsl(x) > p; }
REF(reglu) { return ref_relu(x, p, q); }
REF(reglu_grad) { return ref_relu_grad(x, p, q); }

/* exp(x/p): the quotient's rounding would cost |x/p| units. */
static ld exp_quotient(ld x, ld p)
{
    const ld t = x / p;
    return isfinite(t) ? expl(t) * (1 + fmal(-t, p, x) / p) : expl(t);
}
REF(elu) { UNUSED; return x > 0 ? x : p * expm1l(x); }
REF(elu_grad) { UNUSED; return x > 0 ? 1 : p * expl(x); }
REF(celu) { UNUSED; return x >= 0 ? x : p * expm1l(x / p); }
REF(celu_grad) { UNUSED; return x > 0 ? 1 : exp_quotient(x, p); }
REF(selu) { UNUSED; return SELU_SCALE * (x > 0 ? x : SELU_ALPHA * expm1l(x)); }
REF(selu_grad) { UNUSED; return SELU_SCALE * (x > 0 ? 1 : SELU_ALPHA * expl(x)); }

/* By e^-|x| throughout: nothing overflows, nothing cancels. */
static ld sigmoid(ld x) { const ld e = expl(-fabsl(x)); return (x < 0 ? e : 1) / (1 + e); }
REF(sigmoid) { UNUSED; return sigmoid(x); }
REF(sigmoid_grad) { UNUSED; return x * (1 - x); }
REF(siglu) { UNUSED; return sigmoid(x); }
REF(siglu_grad) { UNUSED; const ld e = expl(-fabsl(x)); return e / ((1 + e) * (1 + e)); }
REF(log_sigmoid) { UNUSED; return (x < 0 ? x : 0) - log1pl(expl(-fabsl(x))); }
REF(log_sigmoid_grad) { UNUSED; return sigmoid(-x); }
REF(tanh) { UNUSED; return tanhl(x); }
REF(tanh_grad) { UNUSED; return (1 - x) * (1 + x); }
REF(softplus)
{
    UNUSED;
    const ld t = p * x, low = isfinite(t) ? fmal(p, x, -t) : 0, e = expl(-fabsl(t)) * (1 - copysignl(low, t * low));
    return (t > 0 ? x : 0) + log1pl(e) / p;
}
REF(softplus_grad) { UNUSED; const ld t = p * x, s = sigmoid(t); return isfinite(t) ? s + s * (1 - s) * fmal(p, x, -t) : s; }
REF(softsign) { UNUSED; return isinf(x) ? copysignl(1, x) : x / (1 + fabsl(x)); }
REF(softsign_grad) { UNUSED; const ld a = 1 + fabsl(x); return 1 / a / a; }
REF(squareplus) { UNUSED; const ld r = hypotl(x, sqrtl(p)), a = fabsl(x); return max0(x) + (isinf(x) ? 0 : p / 2 / (r + a)); }
REF(squareplus_grad)
{
    UNUSED;
    const ld r = hypotl(x, sqrtl(p)), h = isinf(x) ? 0 : p / 2 / r / (r + fabsl(x));
    return x >= 0 ? 1 - h : h;
}
REF(silu) { UNUSED; const ld a = fabsl(x), e = expl(-a); return max0(x) - (isinf(x) ? 0 : a * e / (1 + e)); }
REF(silu_grad)
{
    UNUSED;
    const ld a = fabsl(x), e = expl(-a), s = e / (1 + e), v = isinf(x) ? -0.0L : s * (1 - a / (1 + e));
    return x > 0 ? 1 - v : v;
}
REF(swiglu) { return ref_silu(x, p, q); }
REF(swiglu_grad) { return ref_silu_grad(x, p, q); }
REF(mish)
{
    UNUSED;
    const ld u = expl(-fabsl(x));
    if (x >= 0) return isinf(x) ? x : x - 2 * x * u * u / (1 + 2 * u + 2 * u * u);
    return isinf(x) ? -0.0L : x * u * (2 + u) / (2 + 2 * u + u * u);
}
REF(mish_grad)
{
    UNUSED;
    const ld u = expl(-fabsl(x)), d = x > 0 ? 1 + 2 * u + 2 * u * u : 2 + 2 * u + u * u;
    if (isinf(x)) return x > 0 ? 1 : -0.0L;
    return x > 0 ? ((1 + 2 * u) * d + 4 * x * u * u * (1 + u)) / (d * d) : u * ((2 + u) * d + 4 * x * (1 + u)) / (d * d);
}

/* x - tanh x = (x cosh x - sinh x)/cosh x, the numerator's series having positive terms only. */
REF(tanh_shrink)
{
    UNUSED;
    if (x == 0) return x;
    if (!(fabsl(x) < 2)) return isinf(x) ? x : x - tanhl(x);
    ld term = x, sum = 0;
    for (int k = 1; k < 24; k++) {
        term *= x * x / (2 * k) / (2 * k + 1);
        sum += term * (2 * k);
    }
    return sum / coshl(x);
}
REF(tanh_shrink_grad) { UNUSED; const ld t = tanhl(x); return t * t; }

/* Phi(-a), phi(a): a/sqrt 2 = t + low, a^2 = s + low, because a rounded t or s costs t^2 units. */
static ld normal_tail(ld a)
{
    const ld t = a * SQRT_HALF, low = fmal(a, SQRT_HALF, -t) + a * SQRT_HALF_LOW;
    return 0.5L * (erfcl(t) - TWO_OVER_SQRT_PI * expl(-t * t) * low);
}
static ld normal_density(ld a)
{
    const ld s = a * a, low = fmal(a, a, -s);
    return ONE_OVER_SQRT_TWO_PI * expl(-s / 2) * (1 - low / 2);
}
REF(gelu) { UNUSED; const ld a = fabsl(x); return max0(x) - (a > 100 ? 0 : a * normal_tail(a)); }
REF(gelu_grad)
{
    UNUSED;
    const ld a = fabsl(x), v = a > 100 ? -0.0L : normal_tail(a) - a * normal_density(a);
    return x > 0 ? 1 - v : v;
}
REF(geglu) { return ref_gelu(x, p, q); }
REF(geglu_grad) { return ref_gelu_grad(x, p, q); }

/* 2 sqrt(2/pi) (a + 0.044715 a^3) = t + low, in two parts for the same reason. */
static ld gelu_tanh_t(ld a, ld *low)
{
    const ld s = a * a, s_low = fmal(a, a, -s), cs = CUBIC * s, cs_low = fmal(CUBIC, s, -cs) + CUBIC * s_low + CUBIC_LOW * s;
    const ld v = 1 + cs, v_low = (cs > 1 ? 1 - (v - cs) : cs - (v - 1)) + cs_low;
    const ld m = a * v, m_low = fmal(a, v, -m) + a * v_low, t = TANH_SCALE * m;
    *low = fmal(TANH_SCALE, m, -t) + TANH_SCALE * m_low + TANH_SCALE_LOW * m;
    return t;
}
REF(gelu_tanh)
{
    UNUSED;
    const ld a = fabsl(x);
    ld low, t = gelu_tanh_t(a, &low), e = expl(-t) * (1 - low);
    return max0(x) - (a > 100 ? 0 : a * e / (1 + e));
}
REF(gelu_tanh_grad)
{
    UNUSED;
    const ld a = fabsl(x), at = a * (TANH_SCALE + TANH_SCALE_LOW) * (1 + 3 * (CUBIC + CUBIC_LOW) * a * a);
    ld low, t = gelu_tanh_t(a, &low), e = expl(-t) * (1 - low), s = e / (1 + e), v = a > 100 ? -0.0L : s * (1 - at / (1 + e));
    return x > 0 ? 1 - v : v;
}

/* What a comparison found: the largest error in ULP and where, the same within a crossing, the sum and the number of errors, how
 * many special results (NaN, infinity, sign of zero) were wrong, and one of them. */
typedef struct { double max, at, crossing_max, crossing_at, sum; int64_t count, wrong; double wrong_at; } found;

/* Within (from, to) the exact value crosses zero and errors count in ULP of `term`, the largest term there. any_zero: a result
 * that vanishes in a limit may have either sign. */
typedef struct { double from, to, term; int any_zero; } crossing;

static inline uint64_t bits(double x) { uint64_t u; memcpy(&u, &x, sizeof u); return u; }
static inline double from_bits(uint64_t u) { double x; memcpy(&x, &u, sizeof x); return x; }

/* Of a type: its digits, the exponents (as of frexp) of its smallest normal and of its largest number. */
typedef struct { int digits, lowest, highest; } type;
static const type F32 = {24, -125, 128}, F64 = {53, -1021, 1024};

/* ULP of a result of this size are 2^-k; k + 2046, so that no shift meets a negative number. */
static inline uint64_t scale_of(double size, type of)
{
    const uint64_t e = bits(size) >> 52, lowest = of.lowest + 1022, highest = of.highest + 1022;
    return of.digits + 3068 - (e < lowest ? lowest : e > highest ? highest : e);
}
/* d 2^k, by two factors that are numbers. */
static inline double scaled(double d, uint64_t k) { return d * from_bits((k >> 1) << 52) * from_bits((k - (k >> 1)) << 52); }

static inline double size_at(double x, double rounded, const crossing *near)
{
    const double size = fabs(rounded), term = (x > near->from) & (x < near->to) ? near->term : 0;
    return size > term ? size : term;
}
/* The exact result is high + low, low in ULP. */
static inline double error_of(double x, double y, double high, double low, double rounded, const crossing *near, type of)
{
    return fabs(scaled(y - high, scale_of(size_at(x, rounded, near), of)) - low);
}

static void inspect(found *f, double x, double y, double high, double low, double rounded, const crossing *near, type of)
{
    int right = 1;
    if (isnan(high) || isnan(y)) right = isnan(high) && isnan(y);
    else if (isinf(high) && isinf(x)) right = high == y;
    else if (rounded == 0 && y == 0) right = near->any_zero || !signbit(high) == !signbit(y);
    if (!right) f->wrong++, f->wrong_at = x;
    if (!right || isnan(y) || (isinf(rounded) && y == rounded)) return;
    /* Of what overflows only one side does here: as if the exponents went on. */
    const double beyond = ldexp(1, of.highest - 1);
    const int over = isinf(y) || isinf(high);
    const double got = isinf(y) ? copysign(beyond, y) : over ? y / 2 : y, exact = isinf(high) ? copysign(beyond, high) : over ? high / 2 : high;
    const double error = over ? fabs(got - exact) * ldexp(2, of.digits - of.highest) : error_of(x, y, high, low, rounded, near, of);
    f->count++;
    f->sum += error;
    if (near->term > 0 && x > near->from && x < near->to) {
        if (!(error <= f->crossing_max)) f->crossing_max = error, f->crossing_at = x;
    } else if (!(error <= f->max)) f->max = error, f->at = x;
}

enum { BLOCK = 512 };
/* By blocks in vector code; those with something special in them or a new maximum, again one by one. */
#define COMPARE(name, T, LOW, of)                                                                                            \
    void name(const T *x, const T *y, const double *high, const double *low, int64_t n, const crossing *near, found *f)       \
    {                                                                                                                        \
        (void)low;                                                                                                           \
        const double largest = ldexp(1 - ldexp(1, -of.digits), of.highest);                                                  \
        const crossing c = *near;                                                                                            \
        for (int64_t first = 0; first < n; first += BLOCK) {                                                                 \
            const int64_t m = n - first < BLOCK ? n - first : BLOCK;                                                         \
            double max = 0, crossing_max = 0, sum = 0;                                                                       \
            uint64_t special = 0;                                                                                            \
            _Pragma("omp simd reduction(max: max, crossing_max) reduction(+: sum) reduction(|: special)")                    \
            for (int64_t i = first; i < first + m; i++) {                                                                    \
                const double u = x[i], v = y[i], r = (T)high[i], error = error_of(u, v, high[i], LOW, r, &c, of);            \
                const double at_crossing = (u > c.from) & (u < c.to) ? error : 0, other = (u > c.from) & (u < c.to) ? 0 : error; \
                const uint64_t zeros = (bits(v) ^ bits(high[i])) >> 63 & (v == 0) & (r == 0) & !c.any_zero;                  \
                special |= zeros | !(fabs(r) <= largest) | !(fabs(v) <= largest);                                            \
                max = other > max ? other : max;                                                                             \
                crossing_max = at_crossing > crossing_max ? at_crossing : crossing_max;                                      \
                sum += error;                                                                                                \
            }                                                                                                                \
            if (special || max > f->max || crossing_max > f->crossing_max)                                                   \
                for (int64_t i = first; i < first + m; i++) inspect(f, x[i], y[i], high[i], LOW, (T)high[i], &c, of);        \
            else f->sum += sum, f->count += m;                                                                               \
        }                                                                                                                    \
    }

/* float32 results against exact values in float64, whose own error is to be small beside 2^-24; float64 results against
 * those of exact_f64. */
COMPARE(compare_f32, float, 0, F32)
COMPARE(compare_f64, double, low[i], F64)

/* A reference's values for these. */
void exact_f32(ref_fn ref, double p, double q, const float *x, double *high, int64_t n)
{
    for (int64_t i = 0; i < n; i++) high[i] = (double)ref(x[i], p, q);
}
void exact_f64(ref_fn ref, double p, double q, const double *x, double *high, double *low, int64_t n, const crossing *near)
{
    for (int64_t i = 0; i < n; i++) {
        const ld r = ref(x[i], p, q);
        const double h = high[i] = (double)r;
        low[i] = isfinite(h) ? (double)ldexpl(r - h, (int)scale_of(size_at(x[i], h, near), F64) - 2046) : 0;
    }
}

/* How far float64 values are from the reference, in ULP of float32: the largest of every `step`-th. */
double check_f32(ref_fn ref, double p, double q, const float *x, const double *values, int64_t n, int64_t step, const crossing *near)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i += step) {
        const ld r = ref(x[i], p, q);
        const float rounded = (float)r;
        if (isnan(r) ? isnan(values[i]) : isinf(rounded) ? (float)values[i] == rounded : 0) continue;
        const double error = fabs(scaled((double)(values[i] - r), scale_of(size_at(x[i], rounded, near), F32)));
        if (!(error <= worst)) worst = error;
    }
    return worst;
}

/* A reference itself, as high + low, for its comparison with mpmath. */
void reference(ref_fn ref, double p, double q, const double *x, double *high, double *low, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const ld r = ref(x[i], p, q);
        high[i] = (double)r;
        low[i] = isfinite(high[i]) ? (double)(r - high[i]) : 0;
    }
}
