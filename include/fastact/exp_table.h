/* exp_table.h: the exponentials of rows in float32 where a register can be looked up in (AVX2, AVX-512), by intrinsics.
 *
 * e^d = 2^(k/16) e^r with |r| <= ln2/32, so that a cubic does where exp_row takes degree 6: 6 operations on the two pipes that
 * multiply instead of 9. 2^(k/16) comes from 16 floats in a register. Cycles per 16 floats of a sum on AVX-512 (Zen 4): 8.1,
 * exp_row 10.9. Also measured: 8 entries and degree 4, 8.9; 16 entries with the low parts of the powers in a second table, 8.6.
 * AVX2 has no look-up among 16: two among 8, of two operations each on Zen 3, and a blend. So 2^(k/4) there, in each half of a register,
 * and degree 4: one look-up of one operation. Zen 3, cycles per 16 floats: 13.6; 16 entries 16.1, 8 (two look-ups in halves) and
 * degree 3 14.9, exp_row 16.3; two or four vectors side by side, for which there are too few registers, 14.9 to 17.
 * Max error 1.05 ULP down to -4, 4.9 down to -87 (step as one number).
 */
#ifndef FASTACT_EXP_TABLE_H
#define FASTACT_EXP_TABLE_H

#include "fastact/lookup.h"

#if FA_LOOKUP
#if defined(__AVX512F__)
#define FA_EXP_STEPS 16
/* The bits of 2^(j/16) less j << 19, which adding k << 19 brings along with the exponent. */
static const uint32_t fa_exp2_table[16] __attribute__((aligned(64))) = {
    0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532, 0x3f75fed7, 0x3f75583f,
    0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c, 0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d,
};
#else
#define FA_EXP_STEPS 4
/* The bits of 2^(j/4) less j << 21, twice: a look-up does not leave its half of a register. */
static const uint32_t fa_exp2_table[8] __attribute__((aligned(32))) = {
    0x3f800000, 0x3f7837f0, 0x3f7504f3, 0x3f7744fd, 0x3f800000, 0x3f7837f0, 0x3f7504f3, 0x3f7744fd,
};
#endif

#define FA_POWERS(table, bits) FA_BITS_OF(FA_ENTRIES_16((const float *)(table), bits))
#if defined(__AVX512F__)
/* v, 0 where d is under the limit; a nan stays */
#define FA_UNLESS_UNDER(d, limit, v) _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(d, limit, _CMP_NLT_UQ), v)
/* sum += v, but where x = m; these are counted in bits */
#define FA_ADD_UNLESS(sum, v, x, m, bits)                                               \
    do {                                                                                \
        const __mmask16 other = _mm512_cmp_ps_mask(x, m, _CMP_NEQ_UQ);                  \
        sum = _mm512_mask_add_ps(sum, other, sum, v);                                   \
        bits = 0xffff & ~(unsigned)other;                                               \
    } while (0)
/* The same; `others` counts in each lane what is added */
#define FA_ADD_UNLESS_IN_LANES(sum, v, x, m, others)                                    \
    do {                                                                                \
        const __mmask16 other = _mm512_cmp_ps_mask(x, m, _CMP_NEQ_UQ);                  \
        sum = _mm512_mask_add_ps(sum, other, sum, v);                                   \
        others = _mm512_mask_add_epi32(others, other, others, _mm512_set1_epi32(1));    \
    } while (0)
#define FA_ADD_OTHERS(sum, v, d, limit, bits)                                           \
    do {                                                                                \
        const __mmask16 other = _mm512_cmple_epi32_mask(FA_BITS_OF(d), FA_BITS_OF(limit)); \
        sum = _mm512_mask_add_ps(sum, other, sum, v);                                   \
        bits = other;                                                                   \
    } while (0)
/* sum += v but where p is true */
#define FA_ADD_BUT(sum, v, p) _mm512_mask_add_ps(sum, FA_NOT(p), sum, v)
#else
#define FA_UNLESS_UNDER(d, limit, v) _mm256_and_ps(_mm256_cmp_ps(d, limit, _CMP_NLT_UQ), v)
#define FA_ADD_UNLESS(sum, v, x, m, bits)                                               \
    do {                                                                                \
        const __m256 same = _mm256_cmp_ps(x, m, _CMP_EQ_OQ);                            \
        sum = _mm256_add_ps(sum, _mm256_andnot_ps(same, v));                            \
        bits = (unsigned)_mm256_movemask_ps(same);                                      \
    } while (0)
#define FA_ADD_UNLESS_IN_LANES(sum, v, x, m, others)                                    \
    do {                                                                                \
        const __m256 other = _mm256_cmp_ps(x, m, _CMP_NEQ_UQ);                          \
        sum = _mm256_add_ps(sum, _mm256_and_ps(other, v));                              \
        others = _mm256_sub_epi32(others, FA_BITS_OF(other));                           \
    } while (0)
#define FA_ADD_BUT(sum, v, p) _mm256_add_ps(sum, _mm256_andnot_ps(FA_AS_FLOATS(p), v))
#define FA_ADD_OTHERS(sum, v, d, limit, bits)                                           \
    do {                                                                                \
        const FA_TRUE out = FA_LEFT_OUT(d, limit);                                      \
        sum = FA_ADD_BUT(sum, v, out);                                                  \
        bits = 0xff & ~(unsigned)_mm256_movemask_ps(FA_AS_FLOATS(out));                 \
    } while (0)
#endif
/* True where d is 0, under the limit or nan. */
#define FA_LEFT_OUT(d, limit) FA_ABOVE(FA_BITS_OF(d), FA_BITS_OF(limit))

/* p_j 2^(k/16) (1 + r + square r^2 + cubic r^3) of the k that z carries in its low bits, p_j 2^(j/16) in a table as fa_exp2_table, j = k mod 16 */
FA_INLINE FA_VECTOR exp_of_remainder(FA_VECTOR z, FA_VECTOR r, const uint32_t *table, float square, float cubic)
{
    const FA_VECTOR power = FA_ADDED(FA_SHIFTED(FA_BITS_OF(z), 19), FA_POWERS(table, FA_BITS_OF(z)));
    const FA_VECTOR q = FA_PS(fmadd)(FA_PS(set1)(cubic), r, FA_PS(set1)(square));
    return FA_PS(fmadd)(FA_PS(fmadd)(q, r, FA_PS(set1)(1.0f)), FA_PS(mul)(r, power), power);
}

/* e^(x + low) for `count` vectors x <= 0 that are not under the limit: see exp_row. Step by step, so that two are computed side by side.
 * low is added if there is one. */
FA_INLINE void exp_of_vectors(FA_VECTOR *e, const FA_VECTOR *x, const FA_VECTOR *low, const size_t count)
{
    const FA_VECTOR shift = FA_PS(set1)(0x1.8p23f), per_step = FA_PS(set1)(FA_EXP_STEPS * 0x1.715476p0f), step = FA_PS(set1)(0x1.62e43p-1f / FA_EXP_STEPS);
    FA_VECTOR z[2], r[2];
#define BESIDE for (size_t k = 0; k < count; k++)
    BESIDE z[k] = FA_PS(fmadd)(x[k], per_step, shift);
    BESIDE r[k] = FA_PS(sub)(z[k], shift);
    BESIDE r[k] = FA_PS(fnmadd)(r[k], step, x[k]);
    if (low)
        BESIDE r[k] = FA_PS(add)(r[k], low[k]);
#if defined(__AVX512F__)
    BESIDE e[k] = exp_of_remainder(z[k], r[k], fa_exp2_table, 0x1.00022p-1f, 0x1.55559ap-3f);
#else
    FA_VECTOR power[2], q[2];
    BESIDE power[k] = FA_ENTRIES_4(fa_exp2_table, FA_BITS_OF(z[k]));
    BESIDE power[k] = FA_ADDED(FA_SHIFTED(FA_BITS_OF(z[k]), 21), FA_BITS_OF(power[k]));
    BESIDE q[k] = FA_PS(fmadd)(FA_PS(set1)(0x1.5520cap-5f), r[k], FA_PS(set1)(0x1.557202p-3f));
    BESIDE q[k] = FA_PS(fmadd)(q[k], r[k], FA_PS(set1)(0x1.000006p-1f));
    BESIDE q[k] = FA_PS(fmadd)(q[k], r[k], FA_PS(set1)(1.0f));
    BESIDE r[k] = FA_PS(mul)(r[k], power[k]);
    BESIDE e[k] = FA_PS(fmadd)(q[k], r[k], power[k]);
#endif
#undef BESIDE
}

/* The same of one vector; low is added if `with_low`. */
FA_INLINE FA_VECTOR exp_of_vector(FA_VECTOR x, FA_VECTOR low, const int with_low)
{
    FA_VECTOR e;
    exp_of_vectors(&e, &x, with_low ? &low : NULL, 1);
    return e;
}

/* e^(d + low) for `count` d <= 0, a multiple of 16 known when compiling; 0 under the limit. low may be NULL. */
FA_INLINE void exp_by_table(float *e, const float *d, const float *low, size_t count)
{
    const FA_VECTOR limit = FA_PS(set1)(LIMIT(exp_normal_lo));
    for (size_t j = 0; j < count; j += sizeof(FA_VECTOR) / sizeof(float)) {
        const FA_VECTOR x = FA_PS(loadu)(d + j);
        FA_PS(storeu)(e + j, FA_UNLESS_UNDER(x, limit, exp_of_vector(x, low ? FA_PS(loadu)(low + j) : x, low != NULL)));
    }
}

/* acc += v but where x is m; how often it is. The count needs none of the pipes that the exponentials wait for: 9.0 cycles per
 * 16 floats with them, 10.9 by masks as numbers. */
FA_INLINE size_t add_unless(float *acc, const float *v, const float *x, float m, size_t count)
{
    const FA_VECTOR top = FA_PS(set1)(m);
    size_t tops = 0;
    for (size_t j = 0; j < count; j += sizeof(FA_VECTOR) / sizeof(float)) {
        FA_VECTOR sum = FA_PS(loadu)(acc + j);
        unsigned bits;
        FA_ADD_UNLESS(sum, FA_PS(loadu)(v + j), FA_PS(loadu)(x + j), top, bits);
        FA_PS(storeu)(acc + j, sum);
        tops += (unsigned)__builtin_popcount(bits);
    }
    return tops;
}
#endif

#endif
