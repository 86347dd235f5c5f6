/* softplus_table.h: softplus and log_sigmoid in float32 where a register can be looked up in (AVX2, AVX-512), by intrinsics.
 *
 * log(1 + u) = u + u S(u), u = e^-|x|, S by a polynomial of degree 4 over each of eight intervals of u of equal width, the coefficients
 * from five registers of 8 floats; u as in exp_table.h, with ln 2 in two parts. No division and nothing to select. Cycles per 16 floats
 * on AVX-512 and AVX2 (Zen 4): 22.6 and 33.8; by F(log_sigmoid) 27.9 and 37.1, F(softplus), which is for any beta, 35 and 48. Of the operations
 * 13 want a multiplier and 6 (AVX2: 7) look up. As fast: the last min and max of integers. Max error 1.89 ULP, at 0.049, where x is added;
 * without the sum 1.74. Both ISAs give the same bits.
 */
#ifndef FASTACT_SOFTPLUS_TABLE_H
#define FASTACT_SOFTPLUS_TABLE_H

#include "fastact/exp_table.h"

/* u is kept 2^28 higher, so that it is normal as far as the result is not 0; 2^32 would make the coefficients subnormal. */
#define FA_SOFTPLUS_UP 28

/* Entry i is of i/8 <= u <= (i + 1)/8: the coefficients of S from u^0 on, each times 2^-28 per degree. Error 2^-27.0 in the first
 * interval, 2^-27.8 to 2^-30.8 in the others. */
static const float fa_softplus_table[5][8] __attribute__((aligned(32))) = {
    {-0x1.f35726p-28f, -0x1.0aa426p-16f, -0x1.329342p-13f, -0x1.1d2d24p-11f, -0x1.6044b8p-10f, -0x1.592f6p-9f, -0x1.23eep-8f, -0x1.be6bc2p-8f},
    {-0x1.ffff38p-30f, -0x1.ff8676p-30f, -0x1.fd6da8p-30f, -0x1.f91a88p-30f, -0x1.f28eap-30f, -0x1.ea1a1cp-30f, -0x1.e02658p-30f, -0x1.d51ad8p-30f},
    {0x1.55221cp-58f, 0x1.4fc996p-58f, 0x1.4344fep-58f, 0x1.31f2d6p-58f, 0x1.1e4332p-58f, 0x1.09ebd6p-58f, 0x1.ebf21cp-59f, 0x1.c600dp-59f},
    {-0x1.f6bae4p-87f, -0x1.be103cp-87f, -0x1.7abffcp-87f, -0x1.3cb8f4p-87f, -0x1.07edaap-87f, -0x1.b8aceap-88f, -0x1.717ce6p-88f, -0x1.377ed4p-88f},
    {0x1.3f811ep-115f, 0x1.91218cp-116f, 0x1.079526p-116f, 0x1.679902p-117f, 0x1.fa205ep-118f, 0x1.6db6cp-118f, 0x1.0e4fbp-118f, 0x1.97867ep-119f},
};

/* As fa_exp2_table, each power times e^-0.0010045: of 10^6 such factors the one with which their rounding hurts least. With 1 the
 * error is 2.19 ULP. */
static const uint32_t fa_softplus_powers[16] __attribute__((aligned(64))) = {
    0x3f7fbe33, 0x3f7d8868, 0x3f7b71e1, 0x3f799e5c, 0x3f7810d0, 0x3f76cc57, 0x3f75d42c, 0x3f752bb1,
    0x3f74d66c, 0x3f74d80d, 0x3f75346d, 0x3f75ef90, 0x3f770da8, 0x3f789317, 0x3f7a8470, 0x3f7ce67a,
};

/* 2^28 log(1 + e^d) for -104 <= d <= 0 */
FA_INLINE FA_VECTOR softplus_of_vector(FA_VECTOR d)
{
    /* z = shift + k, r = d - k ln2/16 + 0.0010045: that is -shift times the low part of ln2/16, which is right to 0.3 %, and so are
     * 16*28 units of shift the factor 2^28. */
    const FA_VECTOR shift = FA_PS(set1)(0x1.024p+23f + 16 * FA_SOFTPLUS_UP), per_step = FA_PS(set1)(0x1.715476p4f);
    const FA_VECTOR step = FA_PS(set1)(0x1.62e43p-5f), step_low = FA_PS(set1)(-0x1.0506f8p-33f);
    const FA_VECTOR z = FA_PS(fmadd)(d, per_step, shift);
    const FA_VECTOR r = FA_PS(fnmadd)(z, step_low, FA_PS(fnmadd)(FA_PS(sub)(z, shift), step, d));
    const FA_VECTOR u = exp_of_remainder(z, r, fa_softplus_powers, 0x1.00020ep-1f, 0x1.558bccp-3f);
    /* u = 1 belongs to the last interval */
    const FA_VECTOR place = FA_PS(min)(FA_PS(set1)(0x1.fffffep28f), FA_PS(add)(u, FA_PS(set1)(0x1p28f)));
    const __typeof__(FA_BITS_OF(u)) i = FA_INT(srli)(FA_BITS_OF(place), 20);
    FA_VECTOR s = FA_ENTRIES(fa_softplus_table[4], i);
    for (int k = 3; k >= 0; k--)
        s = FA_PS(fmadd)(s, u, FA_ENTRIES(fa_softplus_table[k], i));
    return FA_PS(fmadd)(u, s, u);
}

/* softplus of `count` x, a multiple of 16, and -softplus(-x) if `negated`; y may be x. Valid everywhere. */
FA_INLINE void softplus_by_table(float *y, const float *x, const int negated, size_t count)
{
    const FA_VECTOR zero = FA_PS(set1)(0.0f), sign = FA_PS(set1)(-0.0f), lo = FA_PS(set1)(-LIMIT(log_sigmoid_hi)), down = FA_PS(set1)(0x1p-28f);
    for (size_t j = 0; j < count; j += sizeof(FA_VECTOR) / sizeof(float)) {
        const FA_VECTOR v = FA_PS(loadu)(x + j), log1p = softplus_of_vector(FA_PS(max)(lo, FA_PS(or)(v, sign)));
        FA_PS(storeu)(y + j, negated ? FA_PS(fnmadd)(log1p, down, FA_PS(min)(zero, v)) : FA_PS(fmadd)(log1p, down, FA_PS(max)(zero, v)));
    }
}

#endif
