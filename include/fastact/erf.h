/* erf.h (template): what gelu needs of the normal distribution, and products carried in two parts. Included after vecmath.h.
 *
 * Fits: docs/minimax.py. With phi and Phi its density and distribution function, a = |x| and
 *   G(a) = Phi(-a) e^(a^2/2) = erfcx(a/sqrt 2)/2,
 * gelu(-a) = -e^(-a^2/2) a G(a) and gelu'(-a) = e^(-a^2/2) (G(a) - a/sqrt(2 pi)); for x > 0 subtract from max(x, 0) and 1.
 */

/* The first 12 | 26 bits of a. */
static inline REAL F(high_half)(REAL a) { return F(from_bits)(F(bits)(a) & ~(((UINT)1 << (MANT / 2 + 1)) - 1)); }

/* a*b = product + *low; exactly, but for what falls out of the exponents (float64 without FMA: to 2^-106). */
static inline REAL F(two_product)(REAL a, REAL b, REAL *low)
{
    const REAL product = a * b;
#if FA_HAS_FMA
    *low = FMA(a, b, -product);
#else
    const REAL ah = F(high_half)(a), al = a - ah, bh = F(high_half)(b), bl = b - bh;
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

/* G(a) - a/sqrt(2 pi) for 0 <= a <= 14.6 | 38.7, error 2^-28.1 | 2^-55.1 of it or of 0.22, near the zero. A line less a quotient
 * that is smaller than the sum, a tenth of it and less where errors count most (a from 1.2 to 1.5), so that its roundings
 * weigh little; 19/64 is about G at the zero. */
static inline REAL F(gelu_d_by_gauss)(REAL a, REAL s)
{
#if FA_BITS == 32
    const REAL p0 = FMA(a, -0x1.451dp3f, 0x1.bb0528p4f), p1 = FMA(a, -0x1.78cc7ep3f, -0x1.6ace46p4f), p2 = FMA(a, -0x1.300052p-2f, -0x1.6c73d8p1f);
    const REAL q0 = FMA(a, 0x1.b369a2p7f, 0x1.10a0b6p7f), q1 = FMA(a, 0x1.b2ccc4p5f, 0x1.285a3ap7f), q2 = a + 0x1.5deb42p3f;
    const REAL p = FMA(FMA(p2, s, p1), s, p0), q = FMA(FMA(q2, s, q1), s, q0);
#else
    const REAL p0 = FMA(a, 0x1.c06abf2865bffp14, 0x1.595c119f6e5adp16), p1 = FMA(a, -0x1.63f0e9992776fp16, -0x1.20367b78a10f6p16), p2 = FMA(a, -0x1.360c2fb418729p14, -0x1.a137ec4aa2fbdp15);
    const REAL p3 = FMA(a, -0x1.c18bd0f05b297p9, -0x1.3c1559028982dp12), p4 = FMA(a, -0x1.05f832c804db9p3, -0x1.b2abda8344829p6);
    const REAL p = FMA(FMA(FMA(FMA(FMA(-0x1.2fffffffffa9fp-2, s, p4), s, p3), s, p2), s, p1), s, p0);
    const REAL q0 = FMA(a, 0x1.e66632816d50bp19, 0x1.a90eda9cd6972p18), q1 = FMA(a, 0x1.4f9a0b0177349p19, 0x1.022e8a08125a7p20), q2 = FMA(a, 0x1.75648cac34466p16, 0x1.288a3ce7b36ccp18);
    const REAL q3 = FMA(a, 0x1.be6928a801563p11, 0x1.548deececdea6p14), q4 = FMA(a, 0x1.ceb674dacf8a1p4, 0x1.94e6b786932e8p8);
    const REAL q = FMA(FMA(FMA(FMA(s + q4, s, q3), s, q2), s, q1), s, q0);
#endif
#if FA_HAS_FMA
    return FMA(-a, K(0x1.988454p-2f, 0x1.9884533d43651p-2), C(0.296875)) + p / q;
#else
    /* The line's product in two parts: rounded, it alone costs 1 ULP. */
    const REAL ah = F(high_half)(a), high = ah * K(0x1.988p-2f, 0x1.988453p-2), low = FMA(a - ah, K(0x1.988454p-2f, 0x1.9884533d43651p-2), ah * K(0x1.15p-16f, 0x1.ea1b288p-29));
    return (C(0.296875) - high) + (p / q - low);
#endif
}
