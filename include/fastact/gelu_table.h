/* gelu_table.h: exact gelu in float32 on AVX-512, by intrinsics.
 *
 * v = a Phi(-a) = e^(-a^2/2) H(a), H = a G(a) (erf.h), 0 <= a <= 14.6: H by a polynomial of degree 5 in a - e over each of 32
 * intervals, eight to an octave of a + 1, with e and the coefficients from pairs of registers. H(e) is a float32 to 2^-34 (e was chosen so)
 * and costs no rounding; e = 0 and H(e) = -0 in the first interval keep H's relative accuracy towards 0 and the sign of a 0. The exponential as in exp_table.h. No division, no
 * second formula near 0, nothing to select. Two vectors side by side: of one after the other too few are under way. Cycles per 16 floats
 * (Zen 5; its pipes could do it in 9): 12.1, 13.0 singly; 14.1 and 16.0 with 16 intervals, degree 6 and a polynomial of degree 4 as exponential,
 * 12.6 and 13.4 with 16 intervals only, 11.3 by fours of those, where the maximum is 2.52 ULP. Three side by side: 11.9, four 13.5 (registers).
 * AVX2 has no lookup among 32 or 16 and keeps F(gelu). Max error 2.42 ULP, at 0.066.
 */
#ifndef FASTACT_GELU_TABLE_H
#define FASTACT_GELU_TABLE_H

#include "fastact/lookup.h"

/* Entry i & 31 is of the interval that the bits of a + 1, shifted by 20, number with i, j = i - 1016: e, then the coefficients of
 * -M H/2 e^(a^2 1.4e-9) 2^(16 - 2j) from a^0 on. M: fa_gelu_powers. The second factor is what ln 2 as one number takes from the exponential, the
 * third keeps e^(-a^2/2) 2^(2j - 16) among the normal numbers as far as gelu is not 0. Error of H 2^-28.2 in the first interval, elsewhere 2^-28.9
 * at most. */
static const float fa_gelu_table[7][32] __attribute__((aligned(64))) = {
    {0x1.215d38p0f, 0x1.5f53f2p0f, 0x1.9f9c7ap0f, 0x1.deb6c4p0f, 0x1.10238cp1f, 0x1.30b4fcp1f, 0x1.4f5c72p1f, 0x1.6f5b8p1f,
     0x1.9fe1d4p1f, 0x1.dee6e6p1f, 0x1.0f139ep2f, 0x1.2fdde8p2f, 0x1.506aeap2f, 0x1.6fe28ap2f, 0x1.90df9cp2f, 0x1.b0afd2p2f,
     0x1.de373p2f, 0x1.0fd4e2p3f, 0x1.2fdd7p3f, 0x1.50e892p3f, 0x1.6f841cp3f, 0x1.908ea6p3f, 0x1.b0638ep3f, 0x1.d0c232p3f,
     0.0f, 0x1.83ea5p-3f, 0x1.41106cp-2f, 0x1.c0595p-2f, 0x1.1f45c6p-1f, 0x1.604392p-1f, 0x1.a1c79cp-1f, 0x1.e0c6bp-1f},
    {-0x1.1b3676p-2f, -0x1.323ac2p-4f, -0x1.446ebap-6f, -0x1.523dc6p-8f, -0x1.5d79bp-10f, -0x1.664dfp-12f, -0x1.6d02fp-14f, -0x1.72bd34p-16f,
     -0x1.7990dep-18f, -0x1.80113ep-20f, -0x1.84c95cp-22f, -0x1.88679cp-24f, -0x1.8b1d9p-26f, -0x1.8d259ap-28f, -0x1.8ed38ep-30f, -0x1.901f58p-32f,
     -0x1.919308p-34f, -0x1.9316b4p-36f, -0x1.942454p-38f, -0x1.94f088p-40f, -0x1.958012p-42f, -0x1.95f87cp-44f, -0x1.9653eap-46f, -0x1.969ea6p-48f,
     -0.0f, -0x1.4f9da8p10f, -0x1.fc7c9p8f, -0x1.466dd4p7f, -0x1.82851ap5f, -0x1.b6b514p3f, -0x1.e32e74p1f, -0x1.03cfdcp0f},
    {-0x1.b3a26p-4f, -0x1.4afa3p-6f, -0x1.fa7596p-9f, -0x1.8b8a22p-11f, -0x1.369096p-13f, -0x1.ef3e5ap-16f, -0x1.94c842p-18f, -0x1.4b858p-20f,
     -0x1.f34e74p-23f, -0x1.64210cp-25f, -0x1.055c6ap-27f, -0x1.85a078p-30f, -0x1.29e7eep-32f, -0x1.d4832p-35f, -0x1.729e1cp-37f, -0x1.2c19b2p-39f,
     -0x1.c5b7f4p-42f, -0x1.3b786ep-44f, -0x1.ca83a4p-47f, -0x1.5442ccp-49f, -0x1.083fcap-51f, -0x1.9afa4ap-54f, -0x1.486a76p-56f, -0x1.099458p-58f,
     -0x1.00020cp15f, -0x1.7d7bbap12f, -0x1.3d3562p10f, -0x1.095cccp8f, -0x1.bf51e4p5f, -0x1.79546p3f, -0x1.3fb718p1f, -0x1.1212fcp-1f},
    {0x1.fe1fc4p-5f, 0x1.6c2cf4p-7f, 0x1.05a9b6p-9f, 0x1.80f6a2p-12f, 0x1.1c94d6p-14f, 0x1.ac4476p-17f, 0x1.4c0c62p-19f, 0x1.01d67ap-21f,
     0x1.676416p-24f, 0x1.d24fdep-27f, 0x1.3915dep-29f, 0x1.ac242ap-32f, 0x1.2e1eaep-34f, 0x1.b9c18p-37f, 0x1.45371p-39f, 0x1.ed593p-42f,
     0x1.55b1e4p-44f, 0x1.a79652p-47f, 0x1.15ff98p-49f, 0x1.76db34p-52f, 0x1.0c427ap-54f, 0x1.807c62p-57f, 0x1.1d9652p-59f, 0x1.aeed1cp-62f,
     0x1.98877cp14f, 0x1.207f38p12f, 0x1.cf5bd2p9f, 0x1.76719ap7f, 0x1.310c68p5f, 0x1.f11864p2f, 0x1.96e03p0f, 0x1.5182bap-2f},
    {-0x1.e6d87ep-6f, -0x1.48c1bap-8f, -0x1.be8458p-11f, -0x1.3729fp-13f, -0x1.b387d2p-16f, -0x1.36d05cp-18f, -0x1.cb2e94p-21f, -0x1.536e36p-23f,
     -0x1.b849dcp-26f, -0x1.0566c2p-28f, -0x1.42c484p-31f, -0x1.96a27ep-34f, -0x1.09c85ep-36f, -0x1.6a5c06p-39f, -0x1.f1ceap-42f, -0x1.6270cep-44f,
     -0x1.c3008ap-47f, -0x1.f3ba6ap-50f, -0x1.28c744p-52f, -0x1.6c27e6p-55f, -0x1.e0cffcp-58f, -0x1.3dd87cp-60f, -0x1.b73cc2p-63f, -0x1.354b46p-65f,
     -0x1.fff372p13f, -0x1.590f1ap11f, -0x1.0ccafap9f, -0x1.a56a02p6f, -0x1.4d334ep4f, -0x1.075746p2f, -0x1.a21daap-1f, -0x1.50e99ep-3f},
    {0x1.9620fcp-7f, 0x1.049616p-9f, 0x1.501336p-12f, 0x1.bd9f8p-15f, 0x1.288634p-17f, 0x1.92d10ap-20f, 0x1.1c50e2p-22f, 0x1.91ef36p-25f,
     0x1.e8d6e4p-28f, 0x1.0ab28ep-30f, 0x1.2fe748p-33f, 0x1.61ee2ap-36f, 0x1.ada8b4p-39f, 0x1.11a25ap-41f, 0x1.5f5cdap-44f, 0x1.d620bcp-47f,
     0x1.150942p-49f, 0x1.12ba6ep-52f, 0x1.27d6c2p-55f, 0x1.4ae69cp-58f, 0x1.92af1p-61f, 0x1.eadaccp-64f, 0x1.3b2028p-66f, 0x1.97d994p-69f,
     0x1.0ec536p13f, 0x1.603e9p10f, 0x1.0af19ep8f, 0x1.9747a2p5f, 0x1.3967a2p3f, 0x1.e1e6e8p0f, 0x1.741f5ep-2f, 0x1.242d44p-4f},
    {-0x1.34935p-8f, -0x1.76224p-11f, -0x1.c81dd2p-14f, -0x1.20e806p-16f, -0x1.712b7ap-19f, -0x1.e3ddf2p-22f, -0x1.3e5c42p-24f, -0x1.b6d65p-27f,
     -0x1.f40066p-30f, -0x1.f3bc1p-33f, -0x1.05d42ap-35f, -0x1.1f6d86p-38f, -0x1.458114p-41f, -0x1.86befap-44f, -0x1.d984e2p-47f, -0x1.28b51ep-49f,
     -0x1.398be4p-52f, -0x1.1c51ap-55f, -0x1.179eeap-58f, -0x1.1b752ap-61f, -0x1.41340cp-64f, -0x1.6cc902p-67f, -0x1.af1b68p-70f, -0x1.2727aap-72f,
     -0x1.c2644ep11f, -0x1.3ca09ap9f, -0x1.c88b9ep6f, -0x1.67de6cp4f, -0x1.11665p2f, -0x1.75daf8p-1f, -0x1.1cfe0ep-3f, -0x1.78e212p-6f},
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
