/* gelu.h (template): the gelu family. y = x Phi(x) (Hendrycks & Gimpel 2016), its derivative Phi(x) + x phi(x), and the form
 * by tanh. All of them are a value v(a), a = |x|, in the negative tail and max(x, 0) - v(a) or 1 - v(a) above zero. */

/* Max error 2.4 | 2.5 ULP (FMA). Valid everywhere; -0 below -14.36 | -38.58. Another formula up to 0.95, because the far one
 * cancels towards 0 (at 0.8 and at 1.0 the maximum is larger). The order of a G, p and the power of two leaves one
 * rounding at full weight after a G's own. */
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

/* Max error 3 ULP, near the zero at -0.7518 2 ULP of the larger term: up to 1.5 a polynomial, half of whose x is added
 * apart, without rounding near the zero, because a sum in front of x would round by 1.5 ULP of the terms there. */
static inline REAL F(gelu_d)(REAL x)
{
    REAL low;
    const REAL a = F(abs)(x), b = F(at_most)(a, LIMIT(gelu_hi)), s = F(two_product)(b, b, &low), z = F(gauss_exponent)(s);
    const REAL p = F(gauss_p)(s, low, z, 0), w = F(gelu_d_far)(b, s), v = FMA(w, p, w + w) * F(gauss_scale)(z);
    const REAL far = FMA(v, (x < C(0.0) ? C(0.5) : C(-0.5)) * GAUSS_DOWN, x < C(0.0) ? C(0.0) : C(1.0));
    const REAL near = FMA(x, F(gelu_d_near)(s), FMA(C(0.5), x, C(0.5)));
    return a < LIMIT(gelu_d_near) ? near : far;
}

/* 2 sqrt(2/pi) (a + 0.044715 a^3) = t + *low, 0 <= a <= 10.92 | 21.6: t alone would cost 64 ULP in the tail. a(1 + c a^2) is
 * carried in two parts, then times the constant. */
static inline REAL F(gelu_tanh_twice)(REAL a, REAL *low)
{
    const REAL c = K(0x1.6e4e26p-5f, 0x1.6e4e26d4801f7p-5), c_low = K(0x1.a9003ep-30f, 0x1.441355475a31ap-59);
    const REAL d = K(0x1.988454p0f, 0x1.9884533d43651p0), d_low = K(-0x1.857936p-25f, -0x1.cbc0d30ebfd15p-54);
    REAL s_low, cs_low, m_low, t_low;
    const REAL s = F(two_product)(a, a, &s_low), cs = F(two_product)(c, s, &cs_low), v = C(1.0) + cs;
    const REAL v_low = (cs + (C(1.0) - v)) + (cs_low + FMA(c, s_low, c_low * s));      /* 1 - v is exact */
    const REAL m = F(two_product)(a, v, &m_low), t = F(two_product)(d, m, &t_low);
    *low = FMA(d, FMA(a, v_low, m_low), FMA(d_low, m, t_low));
    return t;
}

/* max(x, 0) - a/(1 + e^t), t as above: the tanh form is x sigmoid(t). Max error 3 ULP. Valid everywhere; -0 below -10.78 | -21.55. */
static inline REAL F(gelu_tanh)(REAL x)
{
    REAL low;
    const REAL a = F(at_most)(F(abs)(x), LIMIT(gelu_tanh_hi)), t = F(gelu_tanh_twice)(a, &low);
    return FMA(a / F(one_plus_exp)(t, low), -TAIL_SCALE, F(at_least)(x, LIMIT(zero)));
}

/* s(1 - a t' + a t' s), s = sigmoid(-t). Max error 3 ULP, near the zero at -0.7525 2 ULP of the larger term: there a t' is
 * carried in two parts, its rounding alone would be 1 ULP. */
static inline REAL F(gelu_tanh_d)(REAL x)
{
    const REAL c1 = K(0x1.988454p0f, 0x1.9884533d43651p0), c3 = K(0x1.b6676cp-3f, 0x1.b6676bf7450fp-3), c = TAIL_SCALE;
    REAL low, s_low, at_low;
    const REAL a = F(at_most)(F(abs)(x), LIMIT(gelu_tanh_hi)), t = F(gelu_tanh_twice)(a, &low), s = F(two_product)(a, a, &s_low);
    const REAL slope = FMA(s, c3, c1), slope_low = FMA(s_low, c3, FMA(s, c3, c1 - slope)), at = F(two_product)(a, slope, &at_low);
    /* Two quotients: multiplying by the first would round once more, 0.5 ULP in the tail. */
    const REAL d = F(one_plus_exp)(t, low), sigmoid = c / d;
    const REAL h = ((C(1.0) - at) + FMA(at, sigmoid, -FMA(a, slope_low, at_low))) / d;
    return FMA(h, x > C(0.0) ? -c : c, x > C(0.0) ? C(1.0) : C(0.0));
}

/* s/(1 - tanh(x)/x) in s = x^2, |x| <= 1: tanh x = x - x s/D. Error of x - tanh x 2^-25 | 2^-57. */
static inline REAL F(tanh_shrink_near)(REAL s)
{
#if FA_BITS == 32
    return FMA(FMA(FMA(0x1.e76b06p-13f, s, -0x1.75b652p-8f), s, 0x1.333314p0f), s, 0x1.8p1f);
#else
    const REAL s2 = s * s, a = FMA(0x1.333333333332ap0, s, 0x1.8p1), b = FMA(0x1.0a4e15773d1b6p-12, s, -0x1.767dce4337246p-8);
    const REAL c = FMA(0x1.4173fba5064d6p-21, s, -0x1.997caf1353145p-17), d = FMA(0x1.8b54fd408127ep-30, s, -0x1.fb848ba711b01p-26);
    return FMA(FMA(FMA(FMA(-0x1.00f87eac07eb7p-34, s2, d), s2, c), s2, b), s2, a);
#endif
}

/* 1 + e^(2a) for 0 <= a <= tanh_shrink_hi */
static inline REAL F(one_plus_exp_twice)(REAL a)
{
    const REAL z = F(exponent_of)(C(2.0) * a, C(0.0)), s = F(exp2_of)(z);
    return FMA(F(expm1_of)(F(remainder_of)(C(2.0) * a, z, C(0.0))), s, s + C(1.0));
}

/* x - tanh x = x s/D below 1, (a - 1) + 2/(1 + e^2a) above: nothing cancels, one division. Max error 2.3 ULP; a s/D without
 * the low part of a^3 has 2.9. */
static inline REAL F(tanh_shrink)(REAL x)
{
    const REAL a = F(abs)(x), s = a * a, t = a * s, t_low = FA_HAS_FMA ? FMA(a, FMA(a, a, -s), FMA(a, s, -t)) : C(0.0);
    const REAL far = F(one_plus_exp_twice)(F(at_most)(a, LIMIT(tanh_shrink_hi)));
    const int near = a < LIMIT(one);
    const REAL w = C(1.0) / (near ? F(tanh_shrink_near)(s) : far);
    return F(signed_as)(FMA(near ? t : C(2.0), w, near ? t_low * w : a - C(1.0)), x);
}

/* tanh^2 = b(1 - q)^2 = b - b q(2 - q) with q = s/D, b = s below 1, q = 2/(1 + e^2a), b = 1 above: squaring tanh would double
 * its error. Max error 3 ULP. */
static inline REAL F(tanh_shrink_d)(REAL x)
{
    const REAL a = F(abs)(x), s = a * a, far = F(one_plus_exp_twice)(F(at_most)(a, LIMIT(tanh_shrink_hi)));
    const int near = a < LIMIT(one);
    const REAL q = (near ? s : C(2.0)) / (near ? F(tanh_shrink_near)(s) : far), b = near ? s : C(1.0);
    return FMA(-b, q * (C(2.0) - q), b);
}
