/* vecmath.h (template): the elementary functions under the activations, losses and rows, branch-free so that gcc turns
 * each into straight vector code. Every function says its largest error (ULP, float32 | float64) and its valid range.
 *
 * Polynomials are minimax fits (Remez), coefficients rounded one after another with the rest fitted again; they are
 * evaluated in pairs and by Horner in the square (Estrin's first level): 0-35 % faster on AVX2 than plain Horner.
 */
#undef MAGIC
#undef BIAS
#undef SIGN
#define MAGIC K(0x1.8p23f, 0x1.8p52)    /* x + MAGIC rounds x to an integer and leaves it in the low bits */
#define BIAS K(127, 1023)
#define SIGN ((UINT)1 << (sizeof(REAL) * 8 - 1))

static const REAL F(log2e) = K(0x1.715476p0f, 0x1.71547652b82fep0);
/* ln 2 in two parts, the high one short (17 | 41 bits): n*ln2_hi and x - n*ln2_hi are exact without FMA too. */
static const REAL F(ln2_hi) = K(0x1.62e4p-1f, 0x1.62e42fefa4p-1);
static const REAL F(ln2_lo) = K(0x1.7f7d1cp-20f, -0x1.8432a1b0e2634p-43);

/* x if the condition holds, else 0, for conditions that do not change in the loop: gcc 12 does not vectorise a ?: by those. */
static inline REAL F(only_if)(int condition, REAL x) { return F(from_bits)(F(bits)(x) & -(UINT)condition); }
static inline REAL F(signed_as)(REAL y, REAL x) { return F(from_bits)(F(bits)(y) | (F(bits)(x) & SIGN)); }
/* 2^k of the k that z = k + BIAS + MAGIC carries in its low bits. Also from a NaN: a number (of no meaning). */
static inline REAL F(exp2_of)(REAL z) { return F(from_bits)(F(bits)(z) << MANT); }

/* q(r) = (e^r - 1 - r)/r^2 on |r| <= ln2/2; error of e^r 2^-28.3 | 2^-63.8, of e^r - 1 (relative) 2^-26 | 2^-61. */
static inline REAL F(exp_q)(REAL r, REAL r2)
{
#if FA_BITS == 32
    const REAL a = FMA(0x1.555492p-3f, r, 0x1.fffffcp-2f), b = FMA(0x1.12397cp-7f, r, 0x1.5558a8p-5f);
    return FMA(FMA(0x1.6a5624p-10f, r2, b), r2, a);
#else
    const REAL a = FMA(0x1.555555555555ap-3, r, 0x1p-1), b = FMA(0x1.111111110f161p-7, r, 0x1.555555555552ep-5);
    const REAL c = FMA(0x1.a01a01b1e6c8p-13, r, 0x1.6c16c16c2823bp-10), d = FMA(0x1.71ddf38390b33p-19, r, 0x1.a01a014cb2e73p-16);
    const REAL e = FMA(0x1.af66bf7d800fcp-26, r, 0x1.27e5993039509p-22);
    return FMA(FMA(FMA(FMA(FMA(0x1.1e548359cc5d9p-29, r2, e), r2, d), r2, c), r2, b), r2, a);
#endif
}

/* x = k ln2 + r, |r| <= ln2/2: z carries k + BIAS + shift in its low bits, so that exp2_of(z) = 2^(k + shift).
 * (Not a struct of both: gcc 12 copies it through memory in loops with selects, and then does not vectorise them.) */
static inline REAL F(exponent_of)(REAL x, REAL shift) { return FMA(x, F(log2e), MAGIC + BIAS + shift); }
static inline REAL F(remainder_of)(REAL x, REAL z, REAL shift)
{
    const REAL n = z - (MAGIC + BIAS + shift);
    return FMA(-n, F(ln2_lo), FMA(-n, F(ln2_hi), x));
}

/* The same where k stays small: float32 with FMA takes ln 2 as 0x1.62e43p-1, which costs k 2^-29. */
static inline REAL F(remainder_near)(REAL x, REAL z, REAL shift)
{
    return FA_BITS == 32 && FA_HAS_FMA ? FMA(MAGIC + BIAS + shift - z, C(0x1.62e43p-1), x) : F(remainder_of)(x, z, shift);
}

/* What the remainder lost in rounding: 0.25 ULP of e^x - 1 in float64, whose other errors are smaller than float32's. */
static inline REAL F(remainder_low)(REAL x, REAL z, REAL shift, REAL r)
{
    const REAL n = z - (MAGIC + BIAS + shift), low = FMA(-n, F(ln2_lo), FMA(-n, F(ln2_hi), x) - r);
    return sizeof(REAL) == sizeof(float) ? C(-0.0) : low;
}

/* e^r - 1 */
static inline REAL F(expm1_of)(REAL r) { const REAL r2 = r * r; return FMA(F(exp_q)(r, r2), r2, r); }
/* and in float64 with what r lost in rounding (remainder_low) */
static inline REAL F(expm1_plus)(REAL r, REAL low)
{
    const REAL r2 = r * r, q = F(exp_q)(r, r2);
    return K(FMA(q, r2, r), r + FMA(q, r2, low));
}
/* e^r: with FMA 0.84 ULP, where 1 + expm1_of(r) has 1.0; without 1.11 against 0.97. */
static inline REAL F(exp_of)(REAL r)
{
    return FA_HAS_FMA ? FMA(FMA(F(exp_q)(r, r * r), r, C(1.0)), r, C(1.0)) : C(1.0) + F(expm1_of)(r);
}

/* A correction of the reduced argument, or 0 where its source overflowed (inf - inf) and where x is out of bounds anyway. */
static inline REAL F(if_small)(REAL low) { return F(abs)(low) < LIMIT(low_max) ? low : C(0.0); }
/* What the product t = ab, the quotient t = a/b lost in rounding: e^t would be |t|/2 ULP off without it. Without FMA, where
 * an exact product costs 17 operations, it is. */
static inline REAL F(product_low)(REAL a, REAL b, REAL t) { return FA_HAS_FMA ? F(if_small)(FMA(a, b, -t)) : C(0.0); }
static inline REAL F(quotient_low)(REAL a, REAL b, REAL t) { return FA_HAS_FMA ? F(if_small)(FMA(-t, b, a) / b) : C(0.0); }

/* e^(x + low) * a: 2^k goes in as two halves (the low bits of z are k + 2*BIAS), because k may lie outside the exponents,
 * with a between them so that neither a huge nor a tiny a leaves the range before the result does. Valid for all x and
 * |a| < 2^100 | 2^960 (a larger a gives more than 0 below exp_lo). */
static inline REAL F(exp_times)(REAL x, REAL low, REAL a)
{
    const REAL bounded = F(at_most)(F(at_least)(x, LIMIT(exp_lo)), LIMIT(exp_hi)), z = F(exponent_of)(bounded, BIAS);
    const UINT k = F(bits)(z), half = k >> 1;
    const REAL e = F(exp_of)(F(remainder_of)(bounded, z, BIAS) + low);
    return e * F(from_bits)(half << MANT) * a * F(from_bits)((k - half) << MANT);
}

/* e^x. Valid everywhere; results below the smallest normal number are computed. Max error 0.90 | 0.89 ULP, baseline 1. */
static inline REAL F(exp)(REAL x) { return F(exp_times)(x, C(-0.0), C(1.0)); }

/* e^x for x <= 0 and exactly 0 where it would be under the smallest normal number: the form for softmax.
 * Max error 1.02 | 0.98 ULP; by exp_of 0.90 | 0.89, but 10-25 % slower. */
static inline REAL F(exp_nonpos)(REAL x)
{
    const REAL bounded = F(at_least)(x, LIMIT(exp_normal_lo)), z = F(exponent_of)(bounded, C(0.0)), s = F(exp2_of)(z);
    const REAL e = FMA(F(expm1_of)(F(remainder_of)(bounded, z, C(0.0))), s, s);
    return x < LIMIT(exp_normal_lo) ? C(0.0) : e;
}

/* e^(x + low) * 2^shift, for x that keeps it among the normal numbers. Max error 1 ULP. */
static inline REAL F(exp_shifted)(REAL x, REAL low, REAL shift)
{
    const REAL z = F(exponent_of)(x, shift), s = F(exp2_of)(z);
    return FMA(F(expm1_of)(F(remainder_of)(x, z, shift) + low), s, s);
}

/* e^x - 1 for x <= 0 (above: of no meaning; -0 gives -0, because s - 1 is subtracted from, not added to, p s). Float32 with
 * FMA needs one part of ln 2 only. Max error 0.98 | 0.95 ULP (FMA). */
static inline REAL F(expm1_nonpos)(REAL x)
{
    const REAL bounded = F(at_least)(x, LIMIT(expm1_lo)), z = F(exponent_of)(bounded, C(0.0)), s = F(exp2_of)(z);
    const REAL r = F(remainder_near)(bounded, z, C(0.0)), p = F(expm1_plus)(r, F(remainder_low)(bounded, z, C(0.0), r));
    return FMA(p, s, -(C(1.0) - s));
}

/* (e^x - 1)*a for x <= 0 and a = a_hi + a_lo with one rounding at full weight: the products are split so that each rounding
 * falls on a part that is at most a third of the result. Max error 1.03 | 0.9 ULP (FMA). */
static inline REAL F(expm1_nonpos_times)(REAL x, REAL a_hi, REAL a_lo)
{
    const REAL bounded = F(at_least)(x, LIMIT(expm1_lo)), z = F(exponent_of)(bounded, C(0.0)), s = F(exp2_of)(z);
    const REAL r = F(remainder_of)(bounded, z, C(0.0)), r2 = r * r, low = F(remainder_low)(bounded, z, C(0.0), r), down = s - C(1.0);
    const REAL as = a_hi * s, whole = a_hi * down, rest = FMA(a_lo, down, FMA(a_hi, down, -whole));
    const REAL y = FMA(as, r, FMA(as, FMA(F(exp_q)(r, r2), r2, low), FMA(a_lo * s, r, rest))) + whole;
    return F(signed_as)(y, x);
}

/* (log1p(f) - 2s)/s^3 in s2 = s^2, s = f/(2 + f), |s| <= 0.1716 (f from sqrt(1/2) - 1 to sqrt(2) - 1); error of the log 2^-35 | 2^-59.3. */
static inline REAL F(log_r)(REAL s2)
{
#if FA_BITS == 32
    return FMA(FMA(FMA(0x1.d402bap-3f, s2, 0x1.24a35ap-2f), s2, 0x1.9998b8p-2f), s2, 0x1.555556p-1f);
#else
    const REAL s4 = s2 * s2, a = FMA(0x1.999999998574dp-2, s2, 0x1.555555555557cp-1);
    const REAL b = FMA(0x1.c71c54e2d0437p-3, s2, 0x1.2492493ddf92dp-2), c = FMA(0x1.39ade1ab2ef25p-3, s2, 0x1.7465b9f65243p-3);
    return FMA(FMA(FMA(0x1.2e94ad825510dp-3, s4, c), s4, b), s4, a);
#endif
}

/* A positive normal w is 2^k m, m in [sqrt(1/2), sqrt(2)): f = m - 1, n = k, and down = 2^-k (0 for w above 2^60). */
typedef struct {
    REAL f, n, down;
} F(split);
static inline F(split) F(log_split)(REAL w)
{
    const UINT root = K(0x3f3504f3u, 0x3fe6a09e667f3bcdu), one = (UINT)BIAS << MANT;
    const UINT k = (F(bits)(w) - root + one) & ~(((UINT)1 << MANT) - 1);    /* k + BIAS in the exponent's place */
    const REAL n = F(from_bits)(F(bits)(K(0x1p23f, 0x1p52)) | k >> MANT) - (K(0x1p23f, 0x1p52) + BIAS);
    return (F(split)){F(from_bits)(F(bits)(w) - k + one) - C(1.0), n, w < C(0x1p60) ? F(from_bits)(2 * one - k) : C(0.0)};
}

/* n ln2 + log(1 + f) */
static inline REAL F(log_join)(REAL f, REAL n)
{
    const REAL s = f / (C(2.0) + f), s2 = s * s, h = C(0.5) * f * f;
    return FMA(n, F(ln2_hi), f - (h - FMA(s, FMA(F(log_r)(s2), s2, h), n * F(ln2_lo))));
}

/* log(1 + u) for u >= 0, inf included. Max error 1.35 | 1.1 ULP. */
static inline REAL F(log1p)(REAL u)
{
    const REAL w = C(1.0) + u;
    const REAL l = u < C(1.0) ? u - (w - C(1.0)) : C(1.0) - (w - u);    /* 1 + u = w + l exactly */
    const F(split) a = F(log_split)(w);
    const REAL y = F(log_join)(FMA(l, a.down, a.f), a.n);
    return u < K(__builtin_inff(), __builtin_inf()) ? y : u;
}

/* log(1 - p) for p <= 1; -inf at 1, NaN above. Max error 1.35 | 1.1 ULP. */
static inline REAL F(log_of_rest)(REAL p)
{
    const REAL inf = K(__builtin_inff(), __builtin_inf()), w = C(1.0) - p, l = (C(1.0) - w) - p;
    const F(split) a = F(log_split)(w);
    const REAL y = F(log_join)(FMA(l, a.down, a.f), a.n);
    return p < C(1.0) ? y : p == C(1.0) ? -inf : inf - inf;
}

static inline int F(is_normal)(REAL x) { return (x >= K(0x1p-126f, 0x1p-1022)) & (x < K(__builtin_inff(), __builtin_inf())); }

/* log x of a positive normal number. Max error 1 | 1 ULP. */
static inline REAL F(log_normal)(REAL x)
{
    const F(split) a = F(log_split)(x);
    return F(log_join)(a.f, a.n);
}

/* log x: -inf at 0, NaN below; subnormal x included. */
static inline REAL F(log)(REAL x)
{
    const REAL inf = K(__builtin_inff(), __builtin_inf()), least = K(0x1p-126f, 0x1p-1022);
    const F(split) a = F(log_split)(x < least ? x * K(0x1p24f, 0x1p54) : x);
    const REAL y = F(log_join)(a.f, a.n - (x < least ? K(24.f, 54.) : C(0.0)));
    const REAL finite = x < inf ? y : x, outside = x == C(0.0) ? -inf : inf - inf;
    return x > C(0.0) ? finite : outside;
}

/* (atanh(s) - s)/s^3 in s2 = s^2, |s| <= 0.2013; error of atanh 2^-35 | 2^-62. */
static inline REAL F(atanh_r)(REAL s2)
{
#if FA_BITS == 32
    return FMA(FMA(FMA(0x1.ee6974p-4f, s2, 0x1.23e1a6p-3f), s2, 0x1.999c08p-3f), s2, 0x1.555554p-2f);
#else
    const REAL s4 = s2 * s2, a = FMA(0x1.999999999c66bp-3, s2, 0x1.555555555554ep-2), b = FMA(0x1.c71c74c70faa6p-4, s2, 0x1.24924921a0bc9p-3);
    const REAL c = FMA(0x1.3b373b2619e4bp-4, s2, 0x1.745c3eaddb32p-4), d = FMA(0x1.1c1d308c97fe4p-4, s2, 0x1.0db3c25306402p-4);
    return FMA(FMA(FMA(d, s4, c), s4, b), s4, a);
#endif
}

/* log of a quotient of positive normal numbers by their bits, less n ln2. Exact structure where they are equal, where a quotient or a
 * difference of logarithms would lose all digits: the difference m - w is exact, with m the mantissa of the one and w = 2^k times
 * the other within a factor 1.501 of it (log2 is linear within 0.0861 between powers of 2). Max error 2.4 | 2.4 ULP. */
static inline REAL F(log_ratio_of)(UINT p, UINT q, REAL less)
{
    const UINT one = (UINT)BIAS << MANT, half = (UINT)1 << (MANT - 1), offset = (UINT)BIAS * 2 + 2, exponent = p >> MANT << MANT;
    const UINT k = (p - q + half + (offset << MANT)) >> MANT;                                           /* k + offset */
    const REAL m = F(from_bits)(p - exponent + one), w = F(from_bits)(q + ((k - offset) << MANT) - exponent + one);
    const REAL n = F(from_bits)(F(bits)(K(0x1p23f, 0x1p52)) | k) - (K(0x1p23f, 0x1p52) + (REAL)offset) - less;
    const REAL s = (m - w) / (m + w), s2 = s * s, t = C(2.0) * s;
    return FMA(n, F(ln2_hi), t + FMA(t, s2 * F(atanh_r)(s2), n * F(ln2_lo)));
}

/* log(a/b) for finite numbers: inf for b = 0, -inf for a = 0, NaN for both and for a sign. */
static inline REAL F(log_ratio)(REAL a, REAL b)
{
    const REAL inf = K(__builtin_inff(), __builtin_inf()), least = K(0x1p-126f, 0x1p-1022), up = K(0x1p24f, 0x1p54);
    const REAL less = (a < least ? K(24.f, 54.) : C(0.0)) - (b < least ? K(24.f, 54.) : C(0.0));
    const REAL y = F(log_ratio_of)(F(bits)(a < least ? a * up : a), F(bits)(b < least ? b * up : b), less);
    const REAL outside = b == C(0.0) && a > C(0.0) ? inf : a == C(0.0) && b > C(0.0) ? -inf : inf - inf;
    return ((a > C(0.0)) & (b > C(0.0)) & (a < inf) & (b < inf)) ? y : outside;
}

/* 2^shift log(1 + u) for 0 <= u <= 1, given U = 2^shift u: a result too small for the type keeps its digits. */
static inline REAL F(log1p_unit)(REAL U, REAL u)
{
#if FA_BITS == 32
    /* u + u^2 Q(u), error 2^-27.5; 1.7 ULP by the division below, at the same speed. */
    const REAL u2 = u * u, u4 = u2 * u2, a = FMA(0x1.554e0ap-2f, u, -0x1.ffffd4p-2f), b = FMA(0x1.9364fep-3f, u, -0x1.ff28b8p-3f);
    const REAL c = FMA(0x1.b5be02p-4f, u, -0x1.3a905cp-3f), d = FMA(0x1.4b8702p-6f, u, -0x1.d8e11ep-5f);
    const REAL Q = FMA(FMA(FMA(-0x1.b3cc2p-9f, u2, d), u2, c), u4, FMA(b, u2, a));
    return FMA(U, u * Q, U);
#else
    /* 2 atanh(s), s = u/(2 + u) <= 1/3: with atanh(s) = s + s^3 P(s^2) and u = 2s/(1 - s), log(1 + u) = u - u s (1 - s(1 - s)P);
     * error 2^-59. The polynomial in u that float32 has would need degree 20. s less s times a product rounds once; by s times (1 less a
     * product) softplus has 2.04 ULP instead of 1.90. */
    const REAL s = u / (C(2.0) + u), s2 = s * s, s4 = s2 * s2;
    const REAL a = FMA(0x1.99999999a072ap-3, s2, 0x1.5555555555535p-2), b = FMA(0x1.c71c741b35c42p-4, s2, 0x1.249249208e509p-3);
    const REAL c = FMA(0x1.3b1dd69153b54p-4, s2, 0x1.745cb433e59c2p-4), d = FMA(0x1.efd398052697ep-5, s2, 0x1.10680b8d0fdccp-4);
    const REAL e = FMA(0x1.5c637e30427c6p-4, s2, 0x1.55c6f25e6949p-5);
    const REAL P = FMA(FMA(FMA(FMA(e, s4, d), s4, c), s4, b), s4, a);
    return FMA(-U, FMA(s, FMA(s, s, -s) * P, s), U);
#endif
}

/* 1/(1 + e^-(x + low)). Max error 2.00 | 1.81 ULP. */
static inline REAL F(sigmoid_of)(REAL x, REAL low)
{
    /* The exponent of e^-x is kept 24 | 53 lower, c = 2^-24 | 2^-53 stands for 1: one power of two then reaches from
     * sigmoid = 1 down to the smallest subnormal result. */
    const REAL c = K(0x1p-24f, 0x1p-53), shift = K(-24, -53);
    const REAL bounded = -F(at_most)(F(at_least)(x, LIMIT(sigmoid_lo)), LIMIT(sigmoid_hi)), z = F(exponent_of)(bounded, shift);
    const REAL s = F(exp2_of)(z), p = F(expm1_of)(F(remainder_of)(bounded, z, shift) - low);
#if FA_BITS == 32 && FA_HAS_FMA
    /* 1.17 to 1.2 times as fast on AVX2 as the other, which has 1.72 ULP: Zen 3 waits for the chain of operations. FMA(p, s, s + c): 2.24 ULP. */
    return c / (FMA(p, s, c) + s);
#else
    /* s + c = sum + rest exactly. */
    const REAL sum = s + c, b = sum - s, rest = (c - b) + (s - (sum - b));
    return c / (FMA(p, s, rest) + sum);
#endif
}

/* (1 + e^a) 2^-34 | 2^-66 for 0 <= a <= 112 | 754: the denominator of silu, its derivative and sigmoid's, scaled so that it
 * stays finite as far out as those are not 0. s and c being powers of two, s + c is exact, but for a near 17 | 37, where c is
 * half an ULP of s; `whole` keeps it there too, for 3 operations more (silu: 1.8 ULP instead of 2.3). */
#undef TAIL
#undef TAIL_SCALE
#define TAIL K(34, 66)
#define TAIL_SCALE K(0x1p-34f, 0x1p-66)
static inline REAL F(one_plus_exp)(REAL a, const int whole)
{
    const REAL z = F(exponent_of)(a, -TAIL), s = F(exp2_of)(z), c = TAIL_SCALE;
    const REAL p = F(expm1_of)(F(remainder_of)(a, z, -TAIL)), sum = s + c;
    return whole ? FMA(p, s, c - (sum - s)) + sum : FMA(p, s, sum);
}

/* x - n ln2/2, for n so small that float32 with FMA takes ln 2 as one number, as remainder_near. */
static inline REAL F(half_remainder_of)(REAL x, REAL n)
{
    return FA_BITS == 32 && FA_HAS_FMA ? FMA(-n, C(0x1.62e43p-2), x) : FMA(-n, C(0.5) * F(ln2_lo), FMA(-n, C(0.5) * F(ln2_hi), x));
}

/* tanh x. Max error 2.50 | 2.48 ULP (FMA). With x = n ln2/2 + u, t = tanh u, s = 2^n: tanh x = (t(s + 1) + (s - 1))/(t(s - 1) + (s + 1)):
 * the short polynomial of t and one division, exact structure at 0. */
static inline REAL F(tanh_of)(REAL x)
{
    const REAL magic = MAGIC + BIAS, bounded = F(at_most)(F(at_least)(x, -LIMIT(tanh_hi)), LIMIT(tanh_hi));
    const REAL z = FMA(bounded, 2 * F(log2e), magic), n = z - magic, s = F(exp2_of)(z);
    const REAL u = F(half_remainder_of)(bounded, n), u2 = u * u;
    /* (tanh(u)/u - 1)/u^2 in u^2, |u| <= ln2/4; error of tanh 2^-32.5 | 2^-57.8 */
#if FA_BITS == 32
    const REAL p = FMA(FMA(-0x1.afe09cp-5f, u2, 0x1.1105ap-3f), u2, -0x1.55554ep-2f);
#else
    const REAL u4 = u2 * u2, p0 = FMA(0x1.11111110e0d41p-3, u2, -0x1.55555555554bdp-2), p1 = FMA(0x1.664eca21b5f28p-6, u2, -0x1.ba1ba11751875p-5);
    const REAL p = FMA(FMA(FMA(0x1.c387123a14669p-9, u2, -0x1.223c85ed0c5dap-7), u4, p1), u4, p0);
#endif
    const REAL t = FMA(u * u2, p, u), up = s + C(1.0), down = s - C(1.0);
    return F(signed_as)(FMA(t, up, down) / FMA(t, down, up), x);
}

/* u coth u = c(u^2) on |u| <= ln2/4: e^(2u) = (c + u)/(c - u). Half the operations of expm1_of where a division follows anyway,
 * for three roundings instead of one. Error of e^(2u) 2^-30.8 | 2^-62.3. In v = 2^k u it returns 2^k c (k a constant). */
static inline REAL F(u_coth_u)(REAL v2, const int k)
{
    const REAL up = C(1.0) * (REAL)(1 << k), down = C(1.0) / up, down3 = down * down * down;
#if FA_BITS == 32
    return FMA(FMA(-0x1.6a8cp-6f * down3, v2, 0x1.555514p-2f * down), v2, up);
#else
    const REAL down5 = down3 * down * down, down7 = down5 * down * down, down9 = down7 * down * down;
    const REAL v4 = v2 * v2, a = FMA(0x1.555555555552dp-2 * down, v2, up);
    const REAL b = FMA(0x1.1566aac03e9e2p-9 * down5, v2, -0x1.6c16c16bd9e42p-6 * down3);
    return FMA(FMA(FMA(0x1.6348bae5a3ff5p-16 * down9, v2, -0x1.bbd3aa1c1e1c4p-13 * down7), v4, b), v4, a);
#endif
}
