/* silu_table.h: silu in float32 on AVX-512, by intrinsics.
 *
 * max(x, 0) - a/(1 + e^a), a = |x|, as F(silu), with e^a = t(1 + p), t = 2^(k/16) of a register (exp_table.h): a cubic instead of degree 6,
 * and p added to a second table of what t lacks, so that t costs no rounding. 1 + t is rounded, and what it lost comes back with t p: the sum
 * rounds once. Cycles per 16 floats in cache (Zen 5): 7.5, 7.8 with one vector at a time, F(silu) 9.6. Max error 1.51 ULP, F(silu) 1.80.
 * Less work is less exact (cycles, ULP): without the second table 7.1, 2.20; 1 + t as it is 5.8, 2.51; (1 + t p) + t 5.9, 2.35, with the
 * second table 6.5, 2.0; instead of that the powers moved by a theta until all are right to 0.28 half places 7.4, 1.85. Four vectors side by
 * side spill. AVX2 has no lookup among 16.
 */
#ifndef FASTACT_SILU_TABLE_H
#define FASTACT_SILU_TABLE_H

#include "fastact/exp_table.h"

/* 2^(j/16) as a part of fa_exp2_table's float32, less 1. */
static const float fa_exp2_lacks[16] __attribute__((aligned(64))) = {
    0.0f, 0x1.8d96d4p-25f, -0x1.9c0c22p-27f, 0x1.964904p-25f, 0x1.125002p-25f, 0x1.370be4p-25f, -0x1.0a355p-25f, -0x1.00d8acp-27f,
    0x1.26055cp-26f, -0x1.05cb44p-25f, 0x1.67a1cap-28f, 0x1.a3b5e4p-28f, -0x1.f9c304p-27f, -0x1.6961b4p-28f, -0x1.a5217cp-28f, 0x1.61428ep-28f,
};

/* silu of `count` x, 16 or 32, known when compiling; y may be x. Valid everywhere. All but a is 2^-34 of what it is: see F(one_plus_exp). */
FA_INLINE void silu_by_table(float *y, const float *x, const size_t count)
{
#define BESIDE for (size_t k = 0; k < count / 16; k++)
#define NUMBER(x) _mm512_set1_ps(x)
    const __m512 shift = NUMBER(0x1.8p23f - 34 * 16), one = NUMBER(0x1p-34f);
    __m512 v[2], a[2], z[2], n[2], near[2], r[2], p[2], t[2], sum[2], rest[2];
    BESIDE v[k] = _mm512_loadu_ps(x + k * 16);
    BESIDE a[k] = _mm512_min_ps(NUMBER(fa_limit_tail_hi_f32), _mm512_abs_ps(v[k]));
    BESIDE z[k] = _mm512_fmadd_ps(a[k], NUMBER(0x1.715476p4f), shift);
    BESIDE n[k] = _mm512_sub_ps(z[k], shift);
    BESIDE near[k] = _mm512_fnmadd_ps(n[k], NUMBER(0x1.62e43p-5f), a[k]);
    BESIDE t[k] = FA_ADDED(FA_SHIFTED(FA_BITS_OF(z[k]), 19), FA_POWERS(fa_exp2_table, FA_BITS_OF(z[k])));
    BESIDE r[k] = _mm512_fnmadd_ps(n[k], NUMBER(-0x1.05c61p-33f), near[k]);
    BESIDE p[k] = _mm512_fmadd_ps(NUMBER(0x1.55559ap-3f), near[k], NUMBER(0x1.00022p-1f));
    BESIDE p[k] = _mm512_fmadd_ps(p[k], near[k], NUMBER(1.0f));
    BESIDE p[k] = _mm512_fmadd_ps(p[k], r[k], FA_ENTRIES_16(fa_exp2_lacks, FA_BITS_OF(z[k])));
    BESIDE sum[k] = _mm512_add_ps(t[k], one);
    BESIDE rest[k] = _mm512_sub_ps(one, _mm512_sub_ps(sum[k], t[k]));
    BESIDE sum[k] = _mm512_add_ps(sum[k], _mm512_fmadd_ps(p[k], t[k], rest[k]));
    BESIDE a[k] = _mm512_div_ps(a[k], sum[k]);
    BESIDE _mm512_storeu_ps(y + k * 16, _mm512_fnmadd_ps(a[k], one, _mm512_max_ps(_mm512_setzero_ps(), v[k])));
#undef NUMBER
#undef BESIDE
}

#endif
