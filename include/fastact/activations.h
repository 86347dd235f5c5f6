/* activations.h (template): one forward and one derivative formula per operation, in the order of ops.def.
 *
 * A derivative is the formula in terms of the tensor its gradient is given (y for sigmoid and tanh, x for all others);
 * where the function kinks it takes the value of the subgradient that is documented. "Max error" in ULP is float32 | float64
 * with FMA; without (baseline) up to 1 more.
 */

/* step where the condition holds, NaN where x is: the condition, of the unordered kind, holds there too; else other. Where it holds x is
 * finite. Integers are chosen, because gcc multiplies the gradient into every branch of a ?: of floats (relu': 1.2, 0.48, 0.24 cycles per
 * element on SSE2, AVX2, AVX-512 against 0.55, 0.30, 0.15). NaN by a product with 0: three instructions less than by a mask of its own. */
static inline REAL F(step_or)(int condition, REAL step, REAL x, REAL other)
{
    const REAL y = FMA(x, C(0.0), step);
    return F(from_bits)(condition ? F(bits)(y) : F(bits)(other));
}
/* lo < x < hi, or x is NaN */
static inline int F(inside)(REAL x, REAL lo, REAL hi) { return !(x <= lo) & !(x >= hi); }

static inline REAL F(relu)(REAL x) { return F(at_least)(x, LIMIT(zero)); }
static inline REAL F(relu_d)(REAL x)
{
    const REAL bounded = F(at_most)(x, LIMIT(one));
    return F(step_or)(!(bounded <= C(0.0)), C(1.0), bounded, C(0.0));
}

static inline REAL F(relu6)(REAL x) { return F(at_most)(F(relu)(x), LIMIT(six)); }
static inline REAL F(relu6_d)(REAL x) { return F(step_or)(F(inside)(x, C(0.0), C(6.0)), C(1.0), x, C(0.0)); }

static inline REAL F(leaky_relu)(REAL x, REAL a) { return x > C(0.0) ? x : a * x; }
static inline REAL F(leaky_relu_d)(REAL x, REAL a)
{
    const REAL bounded = F(at_most)(x, LIMIT(one));
    return F(step_or)(!(bounded <= C(0.0)), C(1.0), bounded, a);
}

static inline REAL F(prelu)(REAL x, REAL a) { return x > C(0.0) ? x : a * x; }
static inline REAL F(prelu_d)(REAL x, REAL a) { return F(leaky_relu_d)(x, a); }

/* The product has a name because gcc would move it under the condition, and its clamp would become a compare and a blend. */
static inline REAL F(elu)(REAL x, REAL alpha) { const REAL y = alpha * F(expm1_nonpos)(x); return x >= C(0.0) ? x : y; }
static inline REAL F(elu_d)(REAL x, REAL alpha) { return x > C(0.0) ? C(1.0) : F(exp_times)(x, C(-0.0), alpha); }

/* A negative alpha turns the exponential round, so e^t - 1 has to hold for every t = x/alpha. Where it is t itself, x comes
 * back unscaled (t may be subnormal). */
static inline REAL F(celu)(REAL x, REAL alpha)
{
    const REAL t = x / alpha, bounded = F(at_most)(F(at_least)(t, LIMIT(expm1_lo)), LIMIT(expm1_hi));
    const REAL z = F(exponent_of)(bounded, C(-1.0)), s = F(exp2_of)(z);
    const REAL half = FMA(F(expm1_of)(F(remainder_of)(bounded, z, C(-1.0)) + F(quotient_low)(x, alpha, t)), s, s - C(0.5));
    return ((x >= C(0.0)) | (F(abs)(t) < K(0x1p-26f, 0x1p-55))) ? x : (half + half) * alpha;
}
/* With alpha = 1 it is elu, which needs no quotient: 1.6 to 2.2 times as fast. */
static inline void F(celu_group)(const REAL *x, REAL *y) { LANE(LANES) y[j] = F(elu)(x[j], C(1.0)); }
static inline REAL F(celu_d)(REAL x, REAL alpha)
{
    const REAL t = x / alpha;
    return x > C(0.0) ? C(1.0) : F(exp_times)(t, F(quotient_low)(x, alpha, t), C(1.0));
}

/* scale*x, scale*alpha*(e^x - 1), both factors as a high and a low part (of one sign, or inf - inf arises). */
static inline REAL F(selu)(REAL x)
{
    const REAL y = F(expm1_nonpos_times)(x, K(0x1.c212ccp0f, 0x1.c212cc640f031p0), K(0x1.903c0cp-26f, 0x1.0428c2e0f6ed7p-56));
    return x > C(0.0) ? FMA(x, K(0x1.0cfabcp0f, 0x1.0cfabd6a91132p0), x * K(0x1.6a9114p-24f, 0x1.6f9a2b2ae3d88p-55)) : y;
}
static inline REAL F(selu_d)(REAL x)
{
    return x > C(0.0) ? K(0x1.0cfabep0f, 0x1.0cfabd6a91132p0) : F(exp_times)(x, C(-0.0), K(0x1.c212ccp0f, 0x1.c212cc640f031p0));
}

/* 1/(1 + e^x) = b/(b + s a), e^x = s a/b: 1.5 times as fast as sigmoid_of, for derivatives. Max error 2.4 ULP. b, which lies
 * near 2, is scaled by its exponent's bits, because the multipliers are what this waits for: 13.0 -> 12.3 cycles per 16 floats. */
static inline REAL F(sigmoid_ratio)(REAL x)
{
    const REAL shift = K(-24, -53);
    const REAL bounded = F(at_most)(F(at_least)(x, -LIMIT(sigmoid_hi)), -LIMIT(sigmoid_lo)), z = F(exponent_of)(bounded, shift);
    const REAL r = F(remainder_of)(bounded, z, shift), k = F(u_coth_u)(r * r, 1);
    const REAL b = F(from_bits)(F(bits)(k - r) - ((UINT)K(24, 53) << MANT));
    return b / FMA(F(exp2_of)(z), k + r, b);
}
static inline REAL F(sigmoid)(REAL x) { return F(sigmoid_of)(x, C(0.0)); }
/* y(1 - y), rounded once. Bounded because inf - inf is nan, and first, so that y is loaded once (2^20 elements beside a line:
 * 1.05 to 1.12 times as fast). */
static inline REAL F(sigmoid_d)(REAL y)
{
    const REAL bounded = F(at_most)(y, LIMIT(sigmoid_d_hi));
    return FA_HAS_FMA ? FMA(-bounded, bounded, bounded) : y * (C(1.0) - y);
}
/* sigmoid(-|x|), 2^TAIL times what it is */
static inline REAL F(sigmoid_tail)(REAL x) { return C(1.0) / F(one_plus_exp)(F(at_most)(F(abs)(x), LIMIT(tail_hi)), 0); }
/* sigmoid'(x) = s(1 - s), s = sigmoid(-|x|): never 1 - s of an s near 1. */
static inline REAL F(sigmoid_dx)(REAL x)
{
    const REAL q = F(sigmoid_tail)(x);
    return q * (C(1.0) - q * TAIL_SCALE) * TAIL_SCALE;
}
/* Of the same exponential and quotient: glu's two gradients take 1.4 times as long without. Max error 2.32 | 2.48 ULP. swiglu's two alike
 * take 0.75 times as long, in float64 1.1 times, for 2.64 ULP instead of 1.8. */
static inline REAL F(sigmoid_beside)(REAL x)
{
    const REAL s = F(sigmoid_tail)(x) * TAIL_SCALE;
    return x > C(0.0) ? C(1.0) - s : s;
}

static inline REAL F(log_sigmoid)(REAL x)
{
    const REAL up = K(24.f, 53.), c = K(0x1p-24f, 0x1p-53);
    const REAL U = F(exp_shifted)(-F(at_most)(F(abs)(x), LIMIT(log_sigmoid_hi)), C(-0.0), up);
    return FMA(-F(log1p_unit)(U, U * c), c, F(at_most)(x, LIMIT(zero)));
}
static inline REAL F(log_sigmoid_d)(REAL x) { return F(sigmoid_ratio)(x); }
#if FA_BITS == 64 && defined(__AVX512F__)
#include "fastact/sigmoid_table.h"
static inline void F(log_sigmoid_d_group)(const REAL *x, REAL *y) { sigmoid_of_minus_by_table(y, x); }
#endif

/* relu6(x + 3)/6: 1/6 as a factor is 0.04 ULP off. */
#undef SIXTH
#define SIXTH K(0x1.555556p-3f, 0x1.5555555555555p-3)
static inline REAL F(hard_sigmoid)(REAL x) { return F(relu6)(x + C(3.0)) * SIXTH; }
static inline REAL F(hard_sigmoid_d)(REAL x) { return F(step_or)(F(inside)(x, C(-3.0), C(3.0)), SIXTH, x, C(0.0)); }

/* x is bounded below because -inf * 0 is nan, and first, so that it is loaded once. */
static inline REAL F(hard_swish)(REAL x)
{
    const REAL bounded = F(at_least)(x, LIMIT(minus_three));
    return bounded * (F(at_most)(bounded + C(3.0), LIMIT(six)) * SIXTH);
}
static inline REAL F(hard_swish_d)(REAL x)
{
    const REAL y = FMA(C(2.0), x, C(3.0)) * SIXTH;
    return F(inside)(x, C(-3.0), C(3.0)) ? y : F(only_if)(x > C(0.0), C(1.0));
}

static inline REAL F(tanh)(REAL x) { return F(tanh_of)(x); }
static inline REAL F(tanh_d)(REAL y) { return FA_HAS_FMA ? FMA(-y, y, C(1.0)) : (C(1.0) - y) * (C(1.0) + y); }

static inline REAL F(hard_tanh)(REAL x, REAL min_val, REAL max_val) { return F(at_most)(F(at_least)(x, min_val), max_val); }
static inline REAL F(hard_tanh_d)(REAL x, REAL min_val, REAL max_val)
{
    const REAL bounded = F(at_least)(x, min_val);                /* first, so that x is loaded once */
    return F(step_or)(F(inside)(bounded, min_val, max_val), C(1.0), bounded, C(0.0));
}

/* max(x, 0) + log1p(e^-|beta x|)/beta, the exponential kept 2^shift higher: high where 1/beta may lift it again, not so high
 * that 2^-shift/beta gets lost for a large beta. */
static inline REAL F(softplus)(REAL x, REAL beta)
{
    const REAL b = F(abs)(beta), t = beta * x, a = F(abs)(t), low = F(product_low)(F(abs)(x), b, a);
    const REAL shift = F(only_if)(b < K(0x1p20f, 0x1p100), K(76.f, 840.)) + F(only_if)(b < K(0x1p100f, 0x1p900), K(24.f, 60.));
    const REAL down = F(exp2_of)(MAGIC + BIAS - shift), far = (shift + K(125.9f, 1021.9)) * C(0.69314718);
    const REAL U = F(exp_shifted)(-F(at_most)(a, far), -low, shift);
    return FMA(F(log1p_unit)(U, U * down), down / beta, t > C(0.0) ? x : C(0.0));
}

#if TABLE
#include "fastact/softplus_table.h"
static inline void F(log_sigmoid_group)(const REAL *x, REAL *y) { softplus_by_table(y, x, 1, LANES); }
static inline void F(softplus_group)(const REAL *x, REAL *y) { softplus_by_table(y, x, 0, LANES); }
#endif
static inline REAL F(softplus_d)(REAL x, REAL beta) { const REAL t = beta * x; return F(sigmoid_of)(t, F(product_low)(beta, x, t)); }

/* x/(1 + |x|), from |x| = 1 as 1 - 1/(1 + |x|): without inf/inf, and never above its limit and back. */
static inline REAL F(softsign)(REAL x)
{
    const REAL a = F(abs)(x), base = F(from_bits)(a >= C(1.0) ? F(bits)(C(1.0)) : 0);
    return F(signed_as)(base + (F(at_most)(a, LIMIT(one)) - (base + base)) / (C(1.0) + a), x);
}
#if FA_BITS == 32 && FA_HAS_APPROX
static inline void F(softsign_group)(const REAL *x, REAL *y)
{
    REAL d[LANES], r[LANES];
    LANE(LANES) d[j] = C(1.0) + F(at_most)(F(abs)(x[j]), LIMIT(softsign_hi));
    F(approx_reciprocal)(d, r);
    LANE(LANES) {
        const REAL a = F(at_most)(F(abs)(x[j]), LIMIT(softsign_hi)), q = a * r[j];
        y[j] = F(signed_as)(FMA(FMA(-q, d[j], a), r[j], q), x[j]);
    }
}
#endif
/* 1/d^2, d = 1 + |x| = sum + rest: the rounding of the sum would count twice (3.5 ULP). r^2 reaches the subnormal numbers where
 * d^2 would be infinite. */
static inline REAL F(softsign_d)(REAL x)
{
    const REAL a = F(at_most)(F(abs)(x), LIMIT(softsign_d_hi)), sum = C(1.0) + a;
    const REAL rest = F(at_most)(a, LIMIT(one)) - (sum - F(at_least)(a, LIMIT(one))), r = C(1.0) / sum;
    return FMA(C(-2.0) * rest * r, r * r, r * r);
}

/* (x + sqrt(x^2 + b))/2 = max(x, 0) + (b/2)/(|x| + sqrt(x^2 + b)). Far out, where x^2 would overflow, x is scaled (by one
 * select: of two gcc makes two computations). b = 0 takes the root of the smallest normal number, so that 0/0 does not arise.
 * The quotient is scaled in two halves, or a small b would be subnormal before and a large one infinite after it.
 * Valid for b = 0 and 2^-100 < b < 2^126 | 2^-900 < b < 2^1022. */
static inline REAL F(squareplus)(REAL x, REAL b)
{
    const REAL under = b + F(only_if)(b == C(0.0), K(0x1p-126f, 0x1p-1022));
    const REAL half = F(abs)(x) > LIMIT(square_hi) ? K(0x1p-35f, 0x1p-260) : C(1.0), scale = half * half, a = F(abs)(x) * scale;
    const REAL root = F(sqrt)(FMA(a, a, under * (scale * scale)));
    return F(at_least)(x, LIMIT(zero)) + C(0.5) * b * half / (a + root) * half;
}
/* (1 + x/sqrt(x^2 + b))/2: h = (b/2)/(v + |x| sqrt v), v = x^2 + b, for x < 0, 1 - h for x > 0. The denominator as
 * root*(root + |x|): 5 ULP. */
static inline REAL F(squareplus_d)(REAL x, REAL b)
{
    const REAL under = b + F(only_if)(b == C(0.0), K(0x1p-126f, 0x1p-1022));
    const REAL scale = F(abs)(x) > LIMIT(square_hi) ? K(0x1p-70f, 0x1p-520) : C(1.0), scale2 = scale * scale;
    const REAL a = F(abs)(x) * scale, v = FMA(a, a, under * scale2);
    const REAL h = C(0.5) * b * scale / FMA(a, F(sqrt)(v), v) * scale;
    return x >= C(0.0) ? C(1.0) - h : h;
}

#if FA_HAS_APPROX
/* The same from w = 1/sqrt(v), v = x^2 + b, to 14 bits | 27 by a Newton step: t = v w is the root, t + w(v - t^2)/2 to 0.51 ULP. Far
 * out by the formulas above, for the lanes where it is; bounding |x| and scaling all by 1/4 instead took 1.25 times as long. */
static inline void F(root_group)(const REAL *x, const REAL *b, const size_t step, REAL *a, REAL *v, REAL *w)
{
    LANE(LANES) {
        a[j] = F(abs)(x[j]);
        v[j] = FMA(a[j], a[j], b[j * step] + F(only_if)(b[j * step] == C(0.0), K(0x1p-96f, 0x1p-960)));
    }
    F(approx_rsqrt)(v, w);
#if FA_BITS == 64
    LANE(LANES) w[j] = FMA(FMA(-v[j] * w[j], w[j], 1.0), 0.5 * w[j], w[j]);
#endif
}
static inline void F(squareplus_group)(const REAL *x, REAL *y, const REAL *b, const size_t step)
{
    REAL a[LANES], v[LANES], w[LANES];
    F(root_group)(x, b, step, a, v, w);
#if FA_BITS == 32
    /* h = (b/2)/(|x| + sqrt(v)) solves h(h + |x|) = b/4: a step by Newton from 1/(|x| + v w) to 14 bits, its slope 2h + |x| =
     * sqrt(v) divided by as a product with w, leaves 2^-26. */
    REAL sum[LANES], r[LANES];
    LANE(LANES) sum[j] = FMA(v[j], w[j], a[j]);
    F(approx_reciprocal)(sum, r);
    LANE(LANES) {
        const REAL h = C(0.5) * b[j * step] * r[j], f = FMA(h, h + a[j], C(-0.25) * b[j * step]);
        y[j] = FMA(-f, w[j], h) + F(at_least)(x[j], LIMIT(zero));
    }
#else
    LANE(LANES) {
        const REAL t = v[j] * w[j], root = FMA(FMA(-t, t, v[j]), 0.5 * w[j], t);
        y[j] = 0.5 * b[j * step] / (a[j] + root) + F(at_least)(x[j], LIMIT(zero));
    }
#endif
    if (F(any_above)(a, LIMIT(square_hi)))
        LANE(LANES) y[j] = a[j] > LIMIT(square_hi) ? F(squareplus)(x[j], b[j * step]) : y[j];
}
/* By 2t + w(v - t^2): 2t + t(1 - t w) keeps half of the rounding of t, 2.9 ULP in the end. */
static inline void F(squareplus_d_group)(const REAL *x, REAL *y, const REAL *b, const size_t step)
{
    REAL a[LANES], v[LANES], w[LANES];
    F(root_group)(x, b, step, a, v, w);
    LANE(LANES) {
        const REAL t = v[j] * w[j], root2 = FMA(FMA(-t, t, v[j]), w[j], t + t);
        const REAL h = b[j * step] / FMA(a[j], root2, v[j] + v[j]);
        const INT below = (INT)F(bits)(x[j] + C(0.0)) >> (sizeof(REAL) * 8 - 1);        /* -1 for x < 0, not for -0 */
        const REAL limit = F(from_bits)(F(bits)(C(1.0)) & ~(UINT)below);
        y[j] = F(abs)(limit - h);
    }
    if (F(any_above)(a, LIMIT(square_hi)))
        LANE(LANES) y[j] = a[j] > LIMIT(square_hi) ? F(squareplus_d)(x[j], b[j * step]) : y[j];
}
#endif

/* max(x, 0) - |x|/(1 + e^|x|) = x sigmoid(x): one rounding at full weight in the negative tail, where x*sigmoid(x) loses 52 ULP. */
static inline REAL F(silu)(REAL x)
{
    const REAL a = F(at_most)(F(abs)(x), LIMIT(tail_hi));
    return FMA(a / F(one_plus_exp)(a, 1), -TAIL_SCALE, F(at_least)(x, LIMIT(zero)));
}
#if FA_BITS == 32 && defined(__AVX512F__)
#include "fastact/silu_table.h"
static inline void F(silu_group)(const REAL *x, REAL *y, const size_t count) { silu_by_table(y, x, count); }
#endif
/* silu'(-a) = s(1 - a) + a s^2, s = sigmoid(-a) = q 2^-TAIL; silu'(a) = 1 - silu'(-a). Max error 2.9 ULP, near the zero at -1.28
 * 2.1 of the larger term: what is rounded before the sum is at most half of it (q(1 - a + a s): 3.1 and 2.2 ULP). */
static inline REAL F(silu_d)(REAL x)
{
    const REAL a = F(at_most)(F(abs)(x), LIMIT(tail_hi)), c = TAIL_SCALE;
    const REAL q = C(1.0) / F(one_plus_exp)(a, 0), h = FMA(q, C(1.0) - a, q * (a * (q * c)));
    return FMA(h, x > C(0.0) ? -c : c, x > C(0.0) ? C(1.0) : C(0.0));
}

/* tanh(softplus(x)) = n/(n + 2), n = w^2 + 2w, w = e^x = s(1 + p): x n/(n + 2) for x < 0, x - 2x/(n + 2) above. n = 2s + s g,
 * g = p b + s, b = 2 + s(2 + p): products by powers of two are exact, what is rounded weighs little (n from w: 3.5 ULP). T is
 * 2^TAIL x n. Max error 2.9 | 3.0 ULP. */
static inline REAL F(mish)(REAL x)
{
    const REAL t = F(at_most)(F(at_least)(x, -LIMIT(tail_hi)), LIMIT(mish_hi)), c = TAIL_SCALE;
    const REAL z = F(exponent_of)(t, TAIL), S = F(exp2_of)(z), s = S * c, r = F(remainder_of)(t, z, TAIL);
    const REAL p = F(expm1_plus)(r, F(remainder_low)(t, z, TAIL, r)), g = FMA(p, FMA(s, p + C(2.0), C(2.0)), s);
    const REAL tS = t * S, T = FMA(tS, g, tS + tS), m = FMA(s, g, FMA(C(2.0), s, C(2.0)));
    return FMA((x > C(0.0) ? -2 / c * t : T) / m, c, F(at_least)(x, LIMIT(zero)));
}
/* w = e^x = s(1 + p), D = (w^2 + 2w + 2)^2 = 4 + w(4 + e), e = 4 + w v, v = 8 + w u, u = 4 + w: above 0 it is 1 + (4x(w^2 + w) -
 * 2(w^2 + 2w + 2))/D, below w g, g = 3/4 + x + (1 + w + w(2 + w u - (3/4 + x)e))/D, a line and a quotient that is small beside it;
 * w g = s(g + p g). Max error 2.8 | 2.9 ULP (3.3 | 3.5 without FMA), near the zero at -1.19 1.3 of the larger term. With x + 1 as the
 * line: 3.9; by one quotient: 4.0 | 4.4. The two conditions are one, but written alike gcc makes two divisions of them: 4 % slower. */
static inline REAL F(mish_d)(REAL x)
{
    const REAL t = F(at_most)(F(at_least)(x, -LIMIT(tail_hi)), LIMIT(mish_hi)), c = TAIL_SCALE;
    const REAL z = F(exponent_of)(t, TAIL), S = F(exp2_of)(z), s = S * c, p = F(expm1_of)(F(remainder_of)(t, z, TAIL)), w = FMA(p, s, s);
    const REAL u = w + C(4.0), k = FMA(w, u, C(2.0)), v = FMA(w, u, C(8.0)), e = FMA(w, v, C(4.0)), d = FMA(w, e + C(4.0), C(4.0));
    const REAL above = FMA(FMA(C(4.0), t, C(-2.0)), FMA(w, w, w), FMA(C(-2.0), w, C(-4.0)));
    const REAL f = t + C(0.75), below = FMA(w, FMA(-f, e, k), w + C(1.0));
    const REAL q = (t > C(0.0) ? above : below) / d, g = f + q;
    return x > C(0.0) ? C(1.0) + q : FMA(p, g, g) * S * c;
}

/* x less its part within +-lambd, lambd >= 0. x comes first in the bounds: where it comes second, for its NaN to survive, that instruction
 * can read it from memory, and gcc lets it although x is in a register (2^20 float64, off the line, on Zen 5: 155 us, so 142). */
static inline REAL F(soft_shrink)(REAL x, REAL lambd)
{
    const REAL part = x > -lambd ? x : -lambd;
    return x - (part < lambd ? part : lambd);
}
static inline REAL F(shrink_d)(REAL x, REAL lambd)
{
    const REAL a = F(abs)(x), part = F(at_most)(a, lambd);
    return F(step_or)(!(a <= lambd), C(1.0), part, C(0.0));
}
static inline REAL F(soft_shrink_d)(REAL x, REAL lambd) { return F(shrink_d)(x, lambd); }

static inline REAL F(hard_shrink)(REAL x, REAL lambd) { return (x <= lambd) & (x >= -lambd) ? C(0.0) : x; }
static inline REAL F(hard_shrink_d)(REAL x, REAL lambd) { return F(shrink_d)(x, lambd); }
