/* erf.h (template): what gelu needs of the normal distribution, and products carried in two parts. Included after vecmath.h.
 *
 * Fits: docs/minimax.py. With phi and Phi its density and distribution function, a = |x| and
 *   G(a) = Phi(-a) e^(a^2/2) = erfcx(a/sqrt 2)/2,
 * gelu(-a) = -e^(-a^2/2) a G(a) and gelu'(-a) = e^(-a^2/2) (G(a) - a/sqrt(2 pi)); for x > 0 subtract from max(x, 0) and 1.
 */

/* a*b = product + *low; exactly, but for what falls out of the exponents (float64 without FMA: to 2^-106). */
static inline REAL F(two_product)(REAL a, REAL b, REAL *low)
{
    const REAL product = a * b;
#if FA_HAS_FMA
    *low = FMA(a, b, -product);
#else
    const UINT high = ~(((UINT)1 << (MANT / 2 + 1)) - 1);
    const REAL ah = F(from_bits)(F(bits)(a) & high), al = a - ah, bh = F(from_bits)(F(bits)(b) & high), bl = b - bh;
    *low = ((ah * bh - product) + ah * bl + al * bh) + al * bl;
#endif
    return product;
}

/* e^(-a^2/2) = 2^-n (1 + p/2): gauss_exponent carries n - GAUSS_UP in its low bits, gauss_p is p, both of s = a^2 and what
 * its rounding lost, for 0 <= a <= 14.6 | 38.7. Without that low part: 100 | 700 ULP at the end. */
#undef GAUSS_UP
#undef GAUSS_DOWN
#define GAUSS_UP C(64.0)
#define GAUSS_DOWN C(0x1p-64)
static inline REAL F(gauss_exponent)(REAL s) { return FMA(s, C(0.5) * F(log2e), MAGIC - GAUSS_UP); }
/* 2^(GAUSS_UP - n): 2^-n alone would leave the exponents. */
static inline REAL F(gauss_scale)(REAL z) { return F(from_bits)(((UINT)BIAS - F(bits)(z)) << MANT); }

/* tuned (float32): ln 2 is taken as 0x1.62e43p-1, and the e^(2.7e-9 a^2/2) that this loses lies in the coefficients of what
 * multiplies by it; one operation less, 3 % of gelu. */
static inline REAL F(gauss_p)(REAL s, REAL low, REAL z, int tuned)
{
    const REAL n = z - (MAGIC - GAUSS_UP);
    const REAL hi = FA_BITS == 32 && tuned && FA_HAS_FMA ? C(0x1.62e43p0) : C(2.0) * F(ln2_hi);
    const REAL lo = FA_BITS == 32 && tuned ? FA_HAS_FMA ? C(0.0) : C(0x1.8p-19) : C(2.0) * F(ln2_lo);
    const REAL r = FMA(-n, hi, s) + (lo == C(0.0) ? low : FMA(-n, lo, low)), r2 = r * r;
    /* p = 2(e^(-r/2) - 1) = -r + r^2 q(r): twice, so that the coefficients are those of exp_q times powers of two. */
#if FA_BITS == 32
    const REAL q0 = FMA(-0x1.555492p-5f, r, 0x1.fffffcp-3f), q1 = FMA(-0x1.12397cp-11f, r, 0x1.5558a8p-8f);
    const REAL q = FMA(FMA(0x1.6a5624p-15f, r2, q1), r2, q0);
#else
    const REAL q0 = FMA(-0x1.555555555555ap-5, r, 0x1p-2), q1 = FMA(-0x1.111111110f161p-11, r, 0x1.555555555552ep-8);
    const REAL q2 = FMA(-0x1.a01a01b1e6c8p-19, r, 0x1.6c16c16c2823bp-15), q3 = FMA(-0x1.71ddf38390b33p-27, r, 0x1.a01a014cb2e73p-23);
    const REAL q4 = FMA(-0x1.af66bf7d800fcp-36, r, 0x1.27e5993039509p-31);
    const REAL q = FMA(FMA(FMA(FMA(FMA(0x1.1e548359cc5d9p-40, r2, q4), r2, q3), r2, q2), r2, q1), r2, q0);
#endif
    return FMA(q, r2, -r);
}

/* a G(a) for 0.95 <= a <= 14.6 | 38.7, error 2^-26.5 | 2^-58.2: 1/sqrt(2 pi), its limit, less a quotient that is small,
 * so that the last subtraction is the only rounding of full weight. s = a^2; pairs by s: the same number of operations as
 * Horner, half the latency. */
static inline REAL F(gelu_far)(REAL a, REAL s)
{
#if FA_BITS == 32
    const REAL p = FMA(FMA(a, 0x1.98cebep-2f, 0x1.0baa48p1f), s, FMA(a, 0x1.811afp2f, 0x1.961244p2f));
    const REAL q = FMA(FMA(a + 0x1.50b232p2f, s, FMA(a, 0x1.1dd008p4f, 0x1.07ee6ep5f)), s, FMA(a, 0x1.19086ap5f, 0x1.fc2c2cp3f));
#else
    const REAL p0 = FMA(a, 0x1.ab440f6d2951bp15, 0x1.5d0520ba00d9ap15), p1 = FMA(a, 0x1.a6888feba388fp13, 0x1.08fa5eca2d7eap15);
    const REAL p2 = FMA(a, 0x1.70458c0201117p9, 0x1.d4519abcc96f3p11), p3 = FMA(a, 0x1.1bcc74e009091p3, 0x1.92df6db17dc92p6);
    const REAL p = FMA(FMA(FMA(FMA(0x1.9884533da404fp-2, s, p3), s, p2), s, p1), s, p0);
    const REAL q0 = FMA(a, 0x1.0eef36ceddad8p18, 0x1.b56e86753c623p16), q1 = FMA(a, 0x1.be8bc7ef307dep17, 0x1.393bb2a57d86dp18);
    const REAL q2 = FMA(a, 0x1.330358ace9417p15, 0x1.b465e3dee9a2ap16), q3 = FMA(a, 0x1.de3ba6d15ccccp10, 0x1.3cf4c4fddb47ap13);
    const REAL q4 = FMA(a, 0x1.63b059d71be27p4, 0x1.feed1713928a2p7);
    const REAL q = FMA(FMA(FMA(FMA(s + q4, s, q3), s, q2), s, q1), s, q0);
#endif
    return K(0x1.988454p-2f, 0x1.9884533d43651p-2) - p / q;
}

/* (Phi(x) - 1/2)/x in s = x^2, |x| <= 0.95; error of x Phi(x) 2^-25.8 | 2^-57.3. */
static inline REAL F(phi_near)(REAL s)
{
#if FA_BITS == 32
    return FMA(FMA(FMA(FMA(0x1.887f86p-14f, s, -0x1.31fe0cp-10f), s, 0x1.468a1p-7f), s, -0x1.1056aap-4f), s, 0x1.98844ep-2f);
#else
    const REAL t = s * s, a = FMA(-0x1.1058377e2ce14p-4, s, 0x1.9884533d4365p-2), b = FMA(-0x1.37403f685d518p-10, s, 0x1.46d042975f768p-7);
    const REAL c = FMA(-0x1.3ce8d85d80045p-17, s, 0x1.e42b0c1cf60dcp-14), d = FMA(-0x1.61b4fb54cea71p-25, s, 0x1.658551a4d171fp-21);
    const REAL e = FMA(-0x1.90358b4367d8fp-34, s, 0x1.32743a1d554e5p-29);
    return FMA(FMA(FMA(FMA(e, t, d), t, c), t, b), t, a);
#endif
}

/* G(a) - a/sqrt(2 pi) for 1.2 <= a <= 14.6 | 38.7, error 2^-28.6 | 2^-59.7. */
static inline REAL F(gelu_d_far)(REAL a, REAL s)
{
#if FA_BITS == 32
    const REAL p = FMA(FMA(a, 0x1.988392p-2f, 0x1.325fbcp1f), s, FMA(a, 0x1.ae8958p2f, 0x1.0feaap3f));
    const REAL q = FMA(s + FMA(a, 0x1.7fe91cp2f, 0x1.1e3a32p4f), s, FMA(a, 0x1.afd55cp4f, 0x1.1002cep4f));
#else
    const REAL p0 = FMA(a, 0x1.7630268c813dcp14, 0x1.f4e44c81c0a2fp13), p1 = FMA(a, 0x1.fd06aafc889bfp12, 0x1.1317fb9158bdbp14);
    const REAL p2 = FMA(a, 0x1.1bc692c295034p9, 0x1.418b662634b3p11), p3 = FMA(a, 0x1.0834847119ba3p3, 0x1.578830bc1eacep6);
    const REAL p = FMA(FMA(FMA(FMA(0x1.9884533d5839cp-2, s, p3), s, p2), s, p1), s, p0);
    const REAL q0 = FMA(a, 0x1.1f01ebbe43062p16, 0x1.f4e44c6d111efp14), q1 = FMA(a, 0x1.87ddeade407dfp15, 0x1.2fef288e7b798p16);
    const REAL q2 = FMA(a, 0x1.a0537a245d03cp12, 0x1.54911f20ae563p14), q3 = FMA(a, 0x1.b08db26eb5b93p7, 0x1.68d58189f18bep10);
    const REAL q = FMA(FMA(FMA(FMA(a + 0x1.4b21cdabd093fp4, s, q3), s, q2), s, q1), s, q0);
#endif
    return FMA(-a, K(0x1.988454p-2f, 0x1.9884533d43651p-2), p / q);
}

/* ((Phi(x) - 1/2)/x + phi(x)) - 1/2 in s = x^2, |x| <= 1.2; error of Phi(x) + x phi(x) below 2^-29 | 2^-60 of the larger
 * term. The last two steps singly: in pairs their roundings are 0.4 ULP more of that. */
static inline REAL F(gelu_d_near)(REAL s)
{
    const REAL t = s * s;
#if FA_BITS == 32
    const REAL a = FMA(-0x1.37325ap-7f, s, 0x1.ea3718p-5f), b = FMA(-0x1.d2a0fp-14f, s, 0x1.2df756p-10f), c = FMA(-0x1.89bcfep-22f, s, 0x1.15dda4p-17f);
    return FMA(FMA(FMA(FMA(c, t, b), t, a), s, -0x1.10583p-2f), s, 0x1.3108a6p-2f);
#else
    const REAL a = FMA(-0x1.37403f6b9bfe2p-7, s, 0x1.ea3863e31d81bp-5), b = FMA(-0x1.db5d78034a483p-14, s, 0x1.2e9ae8529d3f4p-10);
    const REAL c = FMA(-0x1.6222445f3ed7dp-21, s, 0x1.38d8db7ae858dp-17), d = FMA(-0x1.368ce703d717ep-29, s, 0x1.5f8595de3b562p-25);
    const REAL e = FMA(-0x1.5e70f6e3caa8fp-38, s, 0x1.ed3644dbc7633p-34), f = FMA(-0x1.3dca51b27094ap-48, s, 0x1.a23e76927171p-43);
    return FMA(FMA(FMA(FMA(FMA(FMA(FMA(f, t, e), t, d), t, c), t, b), t, a), s, -0x1.1058377e2cedbp-2), s, 0x1.3108a67a86ca1p-2);
#endif
}
