/* gelu_table.h: exact gelu in float32 on AVX-512, by intrinsics.
 *
 * v = a Phi(-a) = e^(-a^2/2) H(a), H = a G(a) (erf.h), 0 <= a <= 14.6: H by a polynomial of degree 5 in a - e over each of 32
 * intervals, eight to an octave of a + 1, with e and the coefficients from pairs of registers. H(e) is a float32 to 2^-34 (e was
 * chosen so) and costs no rounding; e = 0 and H(e) = -0 in the first interval keep H's relative accuracy towards 0 and the sign of a
 * 0. The exponential as in exp_table.h. No division, no second formula near 0, nothing to select. Fits: docs/tables.py. Two vectors
 * side by side: of one after the other too few are under way. Cycles per 16 floats (Zen 5; its pipes could do it in 9): 12.1, 13.0
 * singly; 14.1 and 16.0 with 16 intervals, degree 6 and a polynomial of degree 4 as exponential, 12.6 and 13.4 with 16 intervals only,
 * 11.3 by fours of those, where the maximum is 2.52 ULP. Three side by side: 11.9, four 13.5 (registers). AVX2 has no lookup among 32
 * or 16 and keeps F(gelu). Max error 2.42 ULP, at 0.066.
 */
#ifndef FASTACT_GELU_TABLE_H
#define FASTACT_GELU_TABLE_H

#include "fastact/lookup.h"

/* Entry i & 31 is of the interval that the bits of a + 1, shifted by 20, number with i, j = i - 1016: e, then the coefficients of
 * -M H/2 e^(a^2 1.4e-9) 2^(16 - 2j) from a^0 on. M: fa_gelu_powers. The second factor is what ln 2 as one number takes from the exponential, the
 * third keeps e^(-a^2/2) 2^(2j - 16) among the normal numbers as far as gelu is not 0. Error of H 2^-28.2 in the first interval, elsewhere 2^-28.9
 * at most. */
static const float fa_gelu_table[7][32] __attribute__((aligned(64))) = {
    {0x1.1ff726p0f, 0x1.600b0ep0f, 0x1.a005d4p0f, 0x1.dfff38p0f, 0x1.0ffde8p1f, 0x1.2ffb6ap1f, 0x1.500236p1f, 0x1.70057cp1f,
     0x1.9ff93ap1f, 0x1.e000fp1f, 0x1.0fff96p2f, 0x1.2ff81ep2f, 0x1.500208p2f, 0x1.6ff8dp2f, 0x1.8ffc04p2f, 0x1.b00154p2f,
     0x1.e003c4p2f, 0x1.0fffeep3f, 0x1.3008bep3f, 0x1.4ffc84p3f, 0x1.6ff5a8p3f, 0x1.900404p3f, 0x1.b0135ap3f, 0x1.d002d4p3f,
     0.0f, 0x1.800176p-3f, 0x1.40005cp-2f, 0x1.bffc68p-2f, 0x1.20077ap-1f, 0x1.600b82p-1f, 0x1.a001c8p-1f, 0x1.dffe7ep-1f},
    {-0x1.1a9da4p-2f, -0x1.3275dap-4f, -0x1.4488c2p-6f, -0x1.527d0ep-8f, -0x1.5d6e44p-10f, -0x1.6620f4p-12f, -0x1.6d23a2p-14f, -0x1.72d8aap-16f,
     -0x1.7993b8p-18f, -0x1.8029b2p-20f, -0x1.84e758p-22f, -0x1.886a1ap-24f, -0x1.8b15ecp-26f, -0x1.8d26ep-28f, -0x1.8ec93ap-30f, -0x1.9018fp-32f,
     -0x1.919fb8p-34f, -0x1.93185cp-36f, -0x1.94258ap-38f, -0x1.94eb9cp-40f, -0x1.9581e6p-42f, -0x1.95f6bep-44f, -0x1.96531cp-46f, -0x1.969d18p-48f,
     -0.0f, -0x1.4cb2dcp10f, -0x1.fb2b32p8f, -0x1.463daap7f, -0x1.832e2ap5f, -0x1.b68bcp3f, -0x1.e2127p1f, -0x1.039a3ap0f},
    {-0x1.b66ebp-4f, -0x1.49f632p-6f, -0x1.f99e72p-9f, -0x1.899db6p-11f, -0x1.36e454p-13f, -0x1.f1ad28p-16f, -0x1.931b5ep-18f, -0x1.4a2ff8p-20f,
     -0x1.f30cc8p-23f, -0x1.622128p-25f, -0x1.031e7p-27f, -0x1.8548d8p-30f, -0x1.2ae004p-32f, -0x1.d43648p-35f, -0x1.74e2aep-37f, -0x1.2d6afp-39f,
     -0x1.c0f2f2p-42f, -0x1.3aea24p-44f, -0x1.c9c7bcp-47f, -0x1.56f9cp-49f, -0x1.07525ep-51f, -0x1.9c9bdp-54f, -0x1.491daap-56f, -0x1.0ad77ap-58f,
     -0x1.00020cp15f, -0x1.7e963p12f, -0x1.3db09ap10f, -0x1.097ec8p8f, -0x1.be6b5ap5f, -0x1.798ad4p3f, -0x1.4120b6p1f, -0x1.12971cp-1f},
    {0x1.0110f6p-4f, 0x1.6accfep-7f, 0x1.05200cp-9f, 0x1.7ea1fp-12f, 0x1.1cf504p-14f, 0x1.aeeae6p-17f, 0x1.4a4fcp-19f, 0x1.008596p-21f,
     0x1.6727c2p-24f, 0x1.cef3a8p-27f, 0x1.359f56p-29f, 0x1.aba764p-32f, 0x1.2f663p-34f, 0x1.b962c8p-37f, 0x1.47d214p-39f, 0x1.f03076p-42f,
     0x1.50fb4cp-44f, 0x1.a69a62p-47f, 0x1.156968p-49f, 0x1.7ad17p-52f, 0x1.0b03ap-54f, 0x1.828234p-57f, 0x1.1e6562p-59f, 0x1.b1a2f2p-62f,
     0x1.98877cp14f, 0x1.217ca4p12f, 0x1.d03248p9f, 0x1.76aaf8p7f, 0x1.304f8cp5f, 0x1.f16eeep2f, 0x1.990dc6p0f, 0x1.52489ap-2f},
    {-0x1.eb5084p-6f, -0x1.474dd2p-8f, -0x1.bd6ef4p-11f, -0x1.34f276p-13f, -0x1.b43542p-16f, -0x1.391c64p-18f, -0x1.c84f8ep-21f, -0x1.51563ap-23f,
     -0x1.b7ef46p-26f, -0x1.031e64p-28f, -0x1.3e6d66p-31f, -0x1.96139ap-34f, -0x1.0b25bp-36f, -0x1.6a003p-39f, -0x1.f6b772p-42f, -0x1.64ef4p-44f,
     -0x1.bb4bf8p-47f, -0x1.f249cap-50f, -0x1.280068p-52f, -0x1.70edf8p-55f, -0x1.de103cp-58f, -0x1.3febaep-60f, -0x1.b8c14cp-63f, -0x1.37c278p-65f,
     -0x1.fff372p13f, -0x1.5a651cp11f, -0x1.0d59cep9f, -0x1.a5ae42p6f, -0x1.4c4a92p4f, -0x1.0784acp2f, -0x1.a4a14p-1f, -0x1.51baap-3f},
    {0x1.9a4b2p-7f, 0x1.034b76p-9f, 0x1.4f3194p-12f, 0x1.b9fd8p-15f, 0x1.28f75ap-17f, 0x1.962954p-20f, 0x1.1a5ceap-22f, 0x1.8e741ep-25f,
     0x1.e8623p-28f, 0x1.0805d4p-30f, 0x1.2b339p-33f, 0x1.614fbp-36f, 0x1.b04a22p-39f, 0x1.1177ccp-41f, 0x1.63ac18p-44f, 0x1.da2fdap-47f,
     0x1.0f7d6ap-49f, 0x1.11e1bap-52f, 0x1.26b394p-55f, 0x1.4fba68p-58f, 0x1.8fb706p-61f, 0x1.ef1f7p-64f, 0x1.3be0a8p-66f, 0x1.a11824p-69f,
     0x1.0ec536p13f, 0x1.61d3e2p10f, 0x1.0b8a5cp8f, 0x1.979aa4p5f, 0x1.388bf8p3f, 0x1.e24fbcp0f, 0x1.76cd06p-2f, 0x1.24dc9cp-4f},
    {-0x1.335e4cp-8f, -0x1.7644eap-11f, -0x1.c957f4p-14f, -0x1.1ea58p-16f, -0x1.728012p-19f, -0x1.e005aep-22f, -0x1.3fef94p-24f, -0x1.c12a2cp-27f,
     -0x1.f4dd52p-30f, -0x1.f37394p-33f, -0x1.055f6ep-35f, -0x1.1e4c5cp-38f, -0x1.49f854p-41f, -0x1.82dcacp-44f, -0x1.d957c8p-47f, -0x1.2f1b44p-49f,
     -0x1.39168p-52f, -0x1.1c3adp-55f, -0x1.16a98ep-58f, -0x1.218844p-61f, -0x1.3bffeep-64f, -0x1.6fbf12p-67f, -0x1.b88c9ap-70f, -0x1.0ee2d6p-72f,
     -0x1.c2644ep11f, -0x1.440604p9f, -0x1.c3c0dp6f, -0x1.79958ep4f, -0x1.064578p2f, -0x1.9ffe86p-1f, -0x1.5393acp-3f, -0x1.f0d5dcp-6f},
};

/* The bits of 2^(-k/16)/M and k << 19 more, M = 1 + 262 2^-23: of all M up to 1 + 2^-10 the first with which their rounding errors are below 2^-25.1
 * (1: 2^-24.3). Near 0 a larger M would let the polynomial round more coarsely. */
static const uint32_t fa_gelu_powers[16] __attribute__((aligned(64))) = {
    0x3f7ffdf4, 0x3f7d2387, 0x3f7abee6, 0x3f78cb13, 0x3f774344, 0x3f7622e6, 0x3f756596, 0x3f750721,
    0x3f750381, 0x3f7556dc, 0x3f75fd83, 0x3f76f3ed, 0x3f7836b9, 0x3f79c2a9, 0x3f7b94a4, 0x3f7da9b2,
};

/* gelu of `count` x, 16 or 32, known when compiling; y may be x. Valid everywhere, as F(gelu). */
FA_INLINE void gelu_by_table(float *y, const float *x, const size_t count)
{
    const FA_VECTOR magic = FA_PS(set1)(0x1.8p23f), per_step = FA_PS(set1)(0x1.715476p3f), step = FA_PS(set1)(0x1.62e43p-4f);
    const FA_VECTOR one = FA_PS(set1)(1.0f), zero = FA_PS(set1)(0.0f), hi = FA_PS(set1)(LIMIT(gelu_hi)), linear = FA_PS(set1)(-0.5f);
    const FA_VECTOR square = FA_PS(set1)(0x1.00022p-3f), cubic = FA_PS(set1)(-0x1.55572p-6f);
    FA_VECTOR v[2], a[2], s[2], low[2], z[2], r[2], q[2], gauss[2], d[2], h[2];
    __m512i i[2], lift[2];
#define BESIDE for (size_t k = 0; k < count / FA_FLOATS; k++)
#define STEP(degree) BESIDE h[k] = FA_PS(fmadd)(h[k], d[k], FA_ENTRIES_32(fa_gelu_table[degree + 1], i[k]));
    BESIDE v[k] = FA_PS(loadu)(x + k * FA_FLOATS);
    BESIDE a[k] = FA_PS(min)(hi, _mm512_abs_ps(v[k]));
    BESIDE i[k] = FA_INT(srli)(FA_BITS_OF(FA_PS(add)(a[k], one)), 20);
    BESIDE d[k] = FA_PS(sub)(a[k], FA_ENTRIES_32(fa_gelu_table[0], i[k]));
    BESIDE h[k] = FA_ENTRIES_32(fa_gelu_table[6], i[k]);
    /* e^(-a^2/2) = 2^(-n/16) e^(-r/2), s + low = a^2; n stands in the low bits of z */
    BESIDE s[k] = FA_PS(mul)(a[k], a[k]);
    BESIDE low[k] = FA_PS(fmsub)(a[k], a[k], s[k]);
    BESIDE z[k] = FA_PS(fmadd)(s[k], per_step, magic);
    STEP(4)
    BESIDE r[k] = FA_PS(add)(FA_PS(fnmadd)(FA_PS(sub)(z[k], magic), step, s[k]), low[k]);
    BESIDE q[k] = FA_PS(fmadd)(cubic, r[k], square);
    STEP(3)
    BESIDE lift[k] = FA_INT(sub)(FA_SHIFTED(i[k], 24), FA_SHIFTED(FA_BITS_OF(z[k]), 19));
    BESIDE gauss[k] = FA_ADDED(lift[k], FA_BITS_OF(FA_ENTRIES_16((const float *)fa_gelu_powers, FA_BITS_OF(z[k]))));
    STEP(2)
    BESIDE q[k] = FA_PS(mul)(FA_PS(fmadd)(q[k], r[k], linear), r[k]);
    STEP(1)
    BESIDE gauss[k] = FA_PS(fmadd)(q[k], gauss[k], gauss[k]);
    STEP(0)
    BESIDE FA_PS(storeu)(y + k * FA_FLOATS, FA_PS(fmadd)(h[k], gauss[k], FA_PS(max)(zero, v[k])));
#undef STEP
#undef BESIDE
}

#endif
