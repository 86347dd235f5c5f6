/* gelu_table.h: exact gelu in float32 on AVX-512, by intrinsics.
 *
 * v = a Phi(-a) = e^(-a^2/2) H(a), H = a G(a) (erf.h), 0 <= a <= 14.6: H by a polynomial of degree 6 in a - e over each of 16
 * intervals, four to an octave of a + 1, with e and the coefficients from eight registers of 16 floats. H(e) is a float32 to 2^-34 (e
 * was chosen so) and costs no rounding; e = 0 in the first interval keeps H's relative accuracy towards 0. No division, no
 * second formula near 0, nothing to select. Cycles per 16 floats: 24.6, F(gelu) 28.5. Zen 4 gives half of the 16 operations on its
 * multipliers and half of the 8 lookups to one pipe, however they are ordered: 24. So AVX2, which needs two lookups and a blend
 * for 16 entries, takes 42 (F(gelu) 35) and keeps F(gelu). Degree 5 has 3.4 ULP; the polynomial in pairs 25.2. Max error 2.47 ULP, at 0.14,
 * where H is just above a power of 2 and gelu just below one.
 */
#ifndef FASTACT_GELU_TABLE_H
#define FASTACT_GELU_TABLE_H

#include "fastact/lookup.h"

/* Entry i & 15 is of the interval that the bits of a + 1, shifted by 21, number with i, j = i - 508: e, then the coefficients of
 * -H/2 e^(a^2 1.4e-9) 2^(16 - 4j) from a^0 on. The second factor is what ln 2 as one number takes from the exponential (gauss_p), the third
 * keeps e^(-a^2/2) 2^(4j - 16) among the normal numbers as far as gelu is not 0. Error of H 2^-28.7. */
static const float fa_gelu_table[8][16] __attribute__((aligned(64))) = {
    {0x1.1e6ec6p0f, 0x1.a660ecp0f, 0x1.132b4p1f, 0x1.5336fcp1f, 0x1.a6728cp1f, 0x1.133c88p2f, 0x1.53288ap2f, 0x1.933a52p2f,
     0x1.e655f8p2f, 0x1.3324dp3f, 0x1.731cdap3f, 0x1.afe93ep3f, 0.0f, 0x1.4cd33p-2f, 0x1.265dfep-1f, 0x1.a6534p-1f},
    {-0x1.19f2ccp-3f, -0x1.4612c2p-7f, -0x1.5e5f9ep-11f, -0x1.6dc09ep-15f, -0x1.7a57p-19f, -0x1.854b8cp-23f, -0x1.8b4ce2p-27f, -0x1.8eeb6ap-31f,
     -0x1.91c80ap-35f, -0x1.94383ap-39f, -0x1.958b78p-43f, -0x1.964f7p-47f, -0.0f, -0x1.0575f6p8f, -0x1.88a5dcp4f, -0x1.e5fd1cp0f},
    {-0x1.b98292p-5f, -0x1.ecd738p-10f, -0x1.2fe8b8p-14f, -0x1.8aed5ap-19f, -0x1.e1489ap-24f, -0x1.f6db88p-29f, -0x1.2384aap-33f, -0x1.6cafe2p-38f,
     -0x1.b0b0ep-43f, -0x1.bc8b8ap-48f, -0x1.00d7eep-52f, -0x1.49795p-57f, -0x1p14f, -0x1.37ee08p9f, -0x1.b6f28ap4f, -0x1.3c1e24p0f},
    {0x1.0346cp-5f, 0x1.f9f3ap-11f, 0x1.14f69ap-15f, 0x1.41dc54p-20f, 0x1.56ea08p-25f, 0x1.29cfd8p-30f, 0x1.25b86p-35f, 0x1.3e6cfep-40f,
     0x1.41096ep-45f, 0x1.0adf48p-50f, 0x1.025a4ap-55f, 0x1.1ecf66p-60f, 0x1.988444p13f, 0x1.c63034p8f, 0x1.2a33dap4f, 0x1.9156d6p-1f},
    {-0x1.f03f6p-7f, -0x1.ad2efcp-12f, -0x1.a5c5bcp-17f, -0x1.ba6fa6p-22f, -0x1.a0373ep-27f, -0x1.2fc73p-32f, -0x1.00cc88p-37f, -0x1.e51d02p-43f,
     -0x1.a1b37ep-48f, -0x1.1a2e2ap-53f, -0x1.cae876p-59f, -0x1.b9957cp-64f, -0x1.fff9ap12f, -0x1.06bb6ap8f, -0x1.44a516p3f, -0x1.9b8a0ap-2f},
    {0x1.9db326p-8f, 0x1.40bc78p-13f, 0x1.1d58d8p-18f, 0x1.1026c6p-23f, 0x1.c8422ep-29f, 0x1.1a5bp-34f, 0x1.9bcadp-40f, 0x1.54769cp-45f,
     0x1.f7a9ccp-51f, 0x1.1580aep-56f, 0x1.7bdf84p-62f, 0x1.3d3074p-67f, 0x1.0fe5d4p12f, 0x1.04220cp7f, 0x1.30506p2f, 0x1.6d6c76p-3f},
    {-0x1.30a41ep-9f, -0x1.af6428p-15f, -0x1.5f5a9p-20f, -0x1.30e5dcp-25f, -0x1.c6d9eap-31f, -0x1.e39d9cp-37f, -0x1.326564p-42f, -0x1.be2b5p-48f,
     -0x1.18de08p-53f, -0x1.fefd14p-60f, -0x1.2842eep-65f, -0x1.af597p-71f, -0x1.f1a70ap10f, -0x1.c326c4p5f, -0x1.ffdcfep0f, -0x1.22596ap-4f},
    {0x1.47119ep-11f, 0x1.bcdb72p-17f, 0x1.57af04p-22f, 0x1.08e928p-27f, 0x1.4895c4p-33f, 0x1.37f27cp-39f, 0x1.5e9c4p-45f, 0x1.ca695ap-51f,
     0x1.bf791cp-57f, 0x1.60d8fp-63f, 0x1.666abp-69f, 0x1.d9e28ep-75f, 0x1.474c66p9f, 0x1.1b1f9p4f, 0x1.78817ap-1f, 0x1.7d83c4p-6f},
};

/* gelu of `count` x, a multiple of 16; y may be x. Valid everywhere, as F(gelu). */
FA_INLINE void gelu_by_table(float *y, const float *x, size_t count)
{
    const FA_VECTOR magic = FA_PS(set1)(0x1.8p23f), half_log2e = FA_PS(set1)(0x1.715476p-1f), two_ln2 = FA_PS(set1)(0x1.62e43p0f);
    const FA_VECTOR one = FA_PS(set1)(1.0f), two = FA_PS(set1)(2.0f), zero = FA_PS(set1)(0.0f), hi = FA_PS(set1)(LIMIT(gelu_hi));
    for (size_t j = 0; j < count; j += 16) {
        const FA_VECTOR v = FA_PS(loadu)(x + j), a = FA_PS(min)(hi, _mm512_abs_ps(v));
        /* 2 e^(-a^2/2) = 2^-n (2 + p) as in erf.h, s + low = a^2 */
        const FA_VECTOR s = FA_PS(mul)(a, a), low = FA_PS(fmsub)(a, a, s), z = FA_PS(fmadd)(s, half_log2e, magic);
        const FA_VECTOR r = FA_PS(add)(FA_PS(fnmadd)(FA_PS(sub)(z, magic), two_ln2, s), low), r2 = FA_PS(mul)(r, r);
        const FA_VECTOR q0 = FA_PS(fmadd)(FA_PS(set1)(-0x1.555492p-5f), r, FA_PS(set1)(0x1.fffffcp-3f));
        const FA_VECTOR q1 = FA_PS(fmadd)(FA_PS(set1)(-0x1.12397cp-11f), r, FA_PS(set1)(0x1.5558a8p-8f));
        const FA_VECTOR q = FA_PS(fmadd)(FA_PS(fmadd)(FA_PS(set1)(0x1.6a5624p-15f), r2, q1), r2, q0);
        const FA_VECTOR gauss = FA_PS(add)(FA_PS(fmsub)(q, r2, r), two);
        const __m512i i = FA_INT(srli)(FA_BITS_OF(FA_PS(add)(a, one)), 21);
        const FA_VECTOR d = FA_PS(sub)(a, FA_ENTRIES_16(fa_gelu_table[0], i));
        FA_VECTOR h = FA_ENTRIES_16(fa_gelu_table[7], i);
        for (int k = 6; k > 0; k--)
            h = FA_PS(fmadd)(h, d, FA_ENTRIES_16(fa_gelu_table[k], i));
        const __m512i lift = FA_INT(sub)(FA_SHIFTED(i, 25), FA_SHIFTED(FA_BITS_OF(z), 23));
        FA_PS(storeu)(y + j, FA_PS(fmadd)(h, FA_ADDED(FA_BITS_OF(gauss), lift), FA_PS(max)(zero, v)));
    }
}

#endif
