/* gelu.h (template): the gelu family. y = x Phi(x) (Hendrycks & Gimpel 2016), its derivative Phi(x) + x phi(x), and the form
 * by tanh. All of them are a value v(a), a = |x|, in the negative tail and max(x, 0) - v(a) or 1 - v(a) above zero. */

/* Max error 2.4 | 2.72 ULP (FMA; float32 on AVX-512: gelu_table.h). Valid everywhere; -0 below -14.36 | -38.58. Another formula up to
 * 0.95 | 0.93, because the far one cancels towards 0: in float64 it has 2.86 at 0.92 and 2.46 from 0.93 on, the near one 2.72 at 0.93 and
 * 2.88 at 0.95. The order of a G, p and the power of two leaves one rounding at full weight after a G's own. */
static inline REAL F(gelu)(REAL x)
{
    REAL low;
    const REAL a = F(abs)(x), b = F(at_most)(a, LIMIT(gelu_hi)), s = F(two_product)(b, b, &low), z = F(gauss_exponent)(s);
    const REAL p = F(gauss_p)(s, low, z, 1), h = F(gelu_far)(b, s), v = FMA(h, p, h + h);
    /* Times 2^(GAUSS_UP - n) by the exponent's bits; v is no more than 2 and not tiny where it counts. */
    const REAL scaled = F(from_bits)(F(bits)(v) - (F(bits)(z) << MANT));
    const REAL far = FMA(scaled, C(-0.5) * GAUSS_DOWN, F(at_least)(x, LIMIT(zero)));
    const REAL near = x * FMA(x, F(phi_near)(s), C(0.5));
    return a < LIMIT(gelu_near) ? near : far;
}

#if FA_BITS == 32 && defined(__AVX512F__)
#include "fastact/gelu_table.h"
static inline void F(gelu_group)(const REAL *x, REAL *y, const size_t count) { gelu_by_table(y, x, count); }
#endif

/* Max error 2.9 ULP (2.9 | 3.0 without FMA), near the zero at -0.7518 1.9 | 2.0 ULP of the larger term. One formula for all x: a
 * polynomial below 1.19 and a quotient above had 4.2 ULP, 6.1 without FMA, and took a quarter more time. */
static inline REAL F(gelu_d)(REAL x)
{
    REAL low;
    const REAL a = F(at_most)(F(abs)(x), LIMIT(gelu_hi)), s = F(two_product)(a, a, &low), z = F(gauss_exponent)(s);
    const REAL p = F(gauss_p)(s, low, z, 0), w = F(gelu_d_by_gauss)(a, s), v = FMA(w, p, w + w) * F(gauss_scale)(z);
    return FMA(v, (x < C(0.0) ? C(0.5) : C(-0.5)) * GAUSS_DOWN, x < C(0.0) ? C(0.0) : C(1.0));
}

/* t = 2 sqrt(2/pi) (a + 0.044715 a^3) = (n + f) ln 2, |a| <= 10.92 | 21.6, |f| <= 1/2, given s + s_low = a^2: returns z, which
 * carries n + shift for exp2_of, and f. t rounded would cost 64 ULP in the tail, so the slope m of t/ln 2 = a m is carried in two
 * parts; its constant k1 is short, so that it less m is exact. By powers of two there is no ln 2 to take away. *low is what k1 + k2 s
 * lacks of the slope; k1 and k2 are such that 3 ln 2 times that is what c1 + c3 s in the derivative lacks. */
static inline REAL F(gelu_tanh_split)(REAL a, REAL s, REAL s_low, REAL shift, REAL *f, REAL *low)
{
    const REAL k1 = K(0x1.26a6ap1f, 0x1.26aec21bd56p1), k1_low = K(0x1.04437ap-12f, -0x1.ba9ad12d7a64cp-37);
    const REAL k2 = K(0x1.a5a79p-4f, 0x1.a5a7cf7572a9bp-4), k2_low = K(0x1.fbab96p-23f, -0x1.b7239281c99fap-55), magic = MAGIC + BIAS + shift;
    *low = FMA(k2, s_low, FMA(k2_low, s, k1_low));
#if FA_HAS_FMA
    const REAL m = FMA(k2, s, k1), m_low = FMA(k2, s, k1 - m) + *low, z = FMA(a, m, magic);
    *f = FMA(a, m_low, FMA(a, m, magic - z));
#else
    REAL k2s_low, am_low;
    const REAL k2s = F(two_product)(k2, s, &k2s_low), m = k2s + k1, m_low = (k2s + (k1 - m)) + (k2s_low + *low);
    const REAL am = F(two_product)(a, m, &am_low), z = am + magic;
    *f = (am + (magic - z)) + (am_low + a * m_low);
#endif
    return z;
}

/* c = f coth(f ln2/2) in f^2: 2^f = (c + f)/(c - f), to 2^-29.5 | 2^-60.7. */
static inline REAL F(f_coth_f)(REAL f2)
{
#if FA_BITS == 32
    return FMA(FMA(-0x1.e3bd8p-11f, f2, 0x1.d9307p-4f), f2, 0x1.715476p1f);
#else
    const REAL f4 = f2 * f2, p0 = FMA(0x1.d9303fea2f88dp-4, f2, 0x1.71547652b82fep1), p1 = FMA(0x1.63144fa9b2892p-17, f2, -0x1.e50096de6bedbp-11);
    return FMA(FMA(FMA(0x1.a4bd67d429d7ep-30, f2, -0x1.10f42973b424ep-23), f4, p1), f4, p0);
#endif
}

/* max(x, 0) - a/(1 + e^t), t as above: the tanh form is x sigmoid(t). Max error 2.8 | 2.9 ULP. Valid everywhere; -0 below -10.78 | -21.55. */
static inline REAL F(gelu_tanh)(REAL x)
{
    REAL s_low, f, low;
    const REAL a = F(at_most)(F(abs)(x), LIMIT(gelu_tanh_hi)), s = F(two_product)(a, a, &s_low);
    const REAL z = F(gelu_tanh_split)(a, s, s_low, -TAIL, &f, &low), c = F(f_coth_f)(f * f), e = F(exp2_of)(z);
    /* c + f and c - f are not formed where they weigh: 0.8 ULP. */
    const REAL under = FMA(e, c, FMA(e, f, (c - f) * TAIL_SCALE));
    return FMA(FMA(a, c, -(a * f)) / under, -TAIL_SCALE, F(at_least)(x, LIMIT(zero)));
}

/* 2^f - 1 for |f| <= 1/2, to 2^-28.3 | 2^-59.7 of 2^f: one product less than expm1_of(f ln 2). The product with f comes last: 0.4 ULP
 * of the derivative below less than f ln2 + f^2 (..). In float32 by Horner: 0-6 % faster than in pairs; in float64 not. */
static inline REAL F(exp2m1_of)(REAL f)
{
#if FA_BITS == 32
    const REAL a = FMA(FMA(FMA(0x1.416b44p-13f, f, 0x1.5f082cp-10f), f, 0x1.3b2dep-7f), f, 0x1.c6af7cp-5f);
    return FMA(FMA(a, f, 0x1.ebfbdcp-3f), f, 0x1.62e43p-1f) * f;
#else
    const REAL f2 = f * f, a = FMA(0x1.c6b08d704a1d5p-5, f, 0x1.ebfbdff82c58ep-3), b = FMA(0x1.5d87fe7873f9dp-10, f, 0x1.3b2ab6fba519dp-7);
    const REAL c = FMA(0x1.ffcbfd4b40b4cp-17, f, 0x1.430912f757563p-13), d = FMA(0x1.b5232d36bc19cp-24, f, 0x1.62c02723c8473p-20);
    const REAL e = FMA(0x1.ec79b69415504p-32, f, 0x1.e4bbadbc32481p-28);
    return FMA(FMA(FMA(FMA(FMA(FMA(0x1.e0b51a1a46913p-36, f2, e), f2, d), f2, c), f2, b), f2, a), f, 0x1.62e42fefa39efp-1) * f;
#endif
}

/* w g for x < 0, w = e^-t = s(1 + p), g = (1 + w - |x| t')/(1 + w)^2 = d + q, d = 1 - |x| t', q = (w - d v)/(1 + v), v = w^2 + 2w: a
 * line less a quotient that vanishes far out; what d lost by rounding q gives back where it matters. t' = c1 + c3 s is carried in
 * two parts; c1 is short, so that it less the slope is exact. Max error 2.6 ULP (3.6 without FMA), near the zero at -0.7525 1.6 of
 * the larger term. q as (w(1 - d(2 + w)) + ..)/(1 + w(2 + w)): 3.1, at the same speed; from 15/16 or 7/8 instead of 1: 2.9 to 3.1,
 * and 2.2 at the zero; without the low part of x^2 in the slope 2.9 | 3.1; by two quotients: 3.3 | 3.4. In two steps, see PASSES
 * in loops.h: p, s and the low part of x^2 between them. */
static inline REAL F(gelu_tanh_d_a)(REAL x) { return -F(at_most)(F(abs)(x), LIMIT(gelu_tanh_hi)); }
static inline void F(gelu_tanh_d_first)(REAL x, REAL *p, REAL *S, REAL *low)
{
    REAL s_low, f;
    const REAL a = F(gelu_tanh_d_a)(x), s = F(two_product)(a, a, &s_low), z = F(gelu_tanh_split)(a, s, s_low, TAIL, &f, low);
    *p = F(exp2m1_of)(f);
    *S = F(exp2_of)(z);
}
static inline REAL F(gelu_tanh_d_last)(REAL x, REAL p, REAL S, REAL low)
{
    const REAL c1 = K(0x1.98628p0f, 0x1.9884533d6028p0), c3 = K(0x1.b6672ap-3f, 0x1.b6676bf7450f4p-3), c = TAIL_SCALE;
    const REAL a = F(gelu_tanh_d_a)(x), s = a * a, slope = FMA(s, c3, c1);
    const REAL slope_low = FMA(K(0x1.0a2b24p1f, 0x1.0a2b23f3bab73p1), low, FMA(s, c3, c1 - slope)), w = FMA(p, S * c, S * c);
    const REAL d = FMA(a, slope, C(1.0)), v = FMA(w, w, w + w), q = FMA(-d, v, FMA(a, slope_low, w)) / (C(1.0) + v);
    return FMA((FMA(p, d + q, q) + d) * S, x > C(0.0) ? -c : c, x > C(0.0) ? C(1.0) : C(0.0));
}
static inline REAL F(gelu_tanh_d)(REAL x)
{
    REAL p, S, low;
    F(gelu_tanh_d_first)(x, &p, &S, &low);
    return F(gelu_tanh_d_last)(x, p, S, low);
}

/* s/(1 - tanh(x)/x) in s = x^2, |x| <= 1: tanh x = x - x s/D. Error of x - tanh x 2^-25 | 2^-57. The last two steps singly: in
 * pairs tanh_shrink has 3.3 ULP in float64. */
static inline REAL F(tanh_shrink_near)(REAL s)
{
#if FA_BITS == 32
    return FMA(FMA(FMA(0x1.e76b06p-13f, s, -0x1.75b652p-8f), s, 0x1.333314p0f), s, 0x1.8p1f);
#else
    const REAL s2 = s * s, b = FMA(0x1.0a4e15773d1b6p-12, s, -0x1.767dce4337246p-8);
    const REAL c = FMA(0x1.4173fba5064d6p-21, s, -0x1.997caf1353145p-17), d = FMA(0x1.8b54fd408127ep-30, s, -0x1.fb848ba711b01p-26);
    return FMA(FMA(FMA(FMA(FMA(-0x1.00f87eac07eb7p-34, s2, d), s2, c), s2, b), s, 0x1.333333333332ap0), s, 0x1.8p1);
#endif
}

/* q = 2/(1 + e^(2a)) for 0 <= a <= tanh_shrink_hi as a fraction, below 1 the one whose numerator and denominator are given: of
 * two quotients gcc would compute both. */
static inline REAL F(tanh_fraction)(REAL a, REAL near_over, REAL near_under)
{
    const REAL magic = MAGIC + BIAS, z = FMA(a, 2 * F(log2e), magic), u = F(half_remainder_of)(a, z - magic), c = F(u_coth_u)(u * u, 0), b = c - u;
    const int near = a < LIMIT(one);
    const REAL over = near ? near_over : b + b, under = near ? near_under : FMA(F(exp2_of)(z), c + u, b);
    return over / under;
}

/* x - tanh x = x s/D below 1, (a - 1) + 2/(1 + e^2a) above: nothing cancels, one division. Max error 2.9 | 2.8 ULP; with the low
 * part of a^3 2.3, and 20 % slower. */
static inline REAL F(tanh_shrink)(REAL x)
{
    const REAL a = F(abs)(x), s = a * a, q = F(tanh_fraction)(F(at_most)(a, LIMIT(tanh_shrink_hi)), a * s, F(tanh_shrink_near)(s));
    return F(signed_as)((a < LIMIT(one) ? C(0.0) : a - C(1.0)) + q, x);
}

#if FA_BITS == 64 && defined(__AVX512F__)
static inline void F(tanh_shrink_group)(const REAL *x, REAL *y, const size_t count) { tanh_shrink_by_table(y, x, count); }
#endif

/* tanh^2 = b(1 - q)^2 = b - b q(2 - q) with q = s/D, b = s below 1, q = 2/(1 + e^2a), b = 1 above: squaring tanh would double
 * its error. Max error 3 ULP. */
static inline REAL F(tanh_shrink_d)(REAL x)
{
    const REAL a = F(abs)(x), s = a * a, q = F(tanh_fraction)(F(at_most)(a, LIMIT(tanh_shrink_hi)), s, F(tanh_shrink_near)(s));
    const REAL b = a < LIMIT(one) ? s : C(1.0);
    return FMA(-b, q * (C(2.0) - q), b);
}
