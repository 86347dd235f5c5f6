/* sigmoid_table.h: log_sigmoid' = 1/(1 + e^x) and tanh_shrink in float64 on AVX-512, by intrinsics.
 *
 * The first as sigmoid_ratio, with e^x = p_j 2^k a/b of 16 powers in two registers: |r| <= ln2/32 + theta, so that r coth(r/2) takes two
 * coefficients where u_coth_u takes five. 32768 elements of log_sigmoid_grad: 0.525 ns each, by sigmoid_ratio 0.610. The divider alone
 * takes about 10 cycles of these 15.4 per 8 elements. AVX2 has no lookup among 16 doubles.
 */
#ifndef FASTACT_SIGMOID_TABLE_H
#define FASTACT_SIGMOID_TABLE_H

#include "fastact/lookup.h"

/* The bits of 2^(j/16) e^-theta less j << 48, theta = 0.00064866: of 6 10^6 the one with which all 16 are right to 2^-55. */
static const uint64_t fa_sigmoid_powers[16] __attribute__((aligned(64))) = {
    0x3feffab01afc0496, 0x3fefb2925fe25ff8, 0x3fef6fd2bf9de649, 0x3fef35741d7f6e96, 0x3fef03d571108e07, 0x3feedb59e637f671,
    0x3feebc690ce1104b, 0x3feea76f0abfb404, 0x3fee9cdccf47ec7e, 0x3fee9d2849f2bb85, 0x3feea8cca2e9f424, 0x3feec04a7636663e,
    0x3feee428118ccb8a, 0x3fef14f1b4d72850, 0x3fef5339d599a2ec, 0x3fef9f9965533487,
};

/* 1/(1 + e^x) of 8 x. Valid everywhere. Error of e^x 2^-58.5 but for its roundings. */
FA_INLINE void sigmoid_of_minus_by_table(double *y, const double *x)
{
    const __m512d shift = _mm512_set1_pd(0x1.8p52 - 53 * 16), step = _mm512_set1_pd(0x1.62e42fefa39efp-5), step_low = _mm512_set1_pd(0x1.abc9e3b39803fp-60);
    const __m512d lo = _mm512_set1_pd(-fa_limit_sigmoid_hi_f64), hi = _mm512_set1_pd(-fa_limit_sigmoid_lo_f64);
    const __m512d d = _mm512_min_pd(hi, _mm512_max_pd(lo, _mm512_loadu_pd(x)));
    const __m512d z = _mm512_fmadd_pd(d, _mm512_set1_pd(0x1.71547652b82fep+4), shift), n = _mm512_sub_pd(z, shift);
    const __m512d near = _mm512_add_pd(_mm512_fnmadd_pd(n, step, d), _mm512_set1_pd(0x1.54157cp-11));
    const __m512d r = _mm512_fnmadd_pd(n, step_low, near), r2 = _mm512_mul_pd(r, r);
    const __m512d c = _mm512_fmadd_pd(_mm512_fmadd_pd(_mm512_set1_pd(-0x1.6c151949c907fp-9), r2, _mm512_set1_pd(0x1.555555550a096p-3)), r2, _mm512_set1_pd(2.0));
    const __m512i bits = _mm512_castpd_si512(z);
    const __m512i entry = _mm512_permutex2var_epi64(_mm512_load_si512(fa_sigmoid_powers), bits, _mm512_load_si512(fa_sigmoid_powers + 8));
    const __m512d power = _mm512_castsi512_pd(_mm512_add_epi64(entry, _mm512_slli_epi64(bits, 48)));
    const __m512d b = _mm512_castsi512_pd(_mm512_sub_epi64(_mm512_castpd_si512(_mm512_sub_pd(c, r)), _mm512_set1_epi64((int64_t)53 << 52)));
    _mm512_storeu_pd(y, _mm512_div_pd(b, _mm512_fmadd_pd(power, _mm512_add_pd(c, r), b)));
}

/* tanh_shrink of `count` x, 8 or 16, known when compiling; y may be x. Valid everywhere, as F(tanh_shrink), but e^2a = p_j 2^k (h + u)/(h - u),
 * h = u coth u, from the powers above, and two vectors side by side: of one after the other too few are under way. */
FA_INLINE void tanh_shrink_by_table(double *y, const double *x, const size_t count)
{
    const __m512d shift = _mm512_set1_pd(0x1.8p52), half_step = _mm512_set1_pd(0x1.62e42fefa39efp-6), one = _mm512_set1_pd(1.0), sign = _mm512_set1_pd(-0.0);
    const __m512i powers = _mm512_load_si512(fa_sigmoid_powers), more = _mm512_load_si512(fa_sigmoid_powers + 8);
    __m512d v[2], a[2], b[2], s[2], s2[2], n[2], z[2], u[2], h[2], less[2], power[2], under[2], over[2], c[2], d[2];
    __mmask8 near[2];
#define BESIDE for (size_t k = 0; k < count / 8; k++)
#define FMA_PD(x, y, z) _mm512_fmadd_pd(x, y, z)
#define NUMBER(x) _mm512_set1_pd(x)
    BESIDE v[k] = _mm512_loadu_pd(x + k * 8);
    BESIDE a[k] = _mm512_andnot_pd(sign, v[k]);
    BESIDE b[k] = _mm512_min_pd(NUMBER(fa_limit_tanh_shrink_hi_f64), a[k]);
    BESIDE s[k] = _mm512_mul_pd(a[k], a[k]);
    BESIDE z[k] = FMA_PD(b[k], NUMBER(0x1.71547652b82fep+5), shift);
    BESIDE s2[k] = _mm512_mul_pd(s[k], s[k]);
    BESIDE n[k] = _mm512_sub_pd(z[k], shift);
    BESIDE d[k] = FMA_PD(NUMBER(0x1.8b54fd408127ep-30), s[k], NUMBER(-0x1.fb848ba711b01p-26));
    BESIDE u[k] = _mm512_add_pd(_mm512_fnmadd_pd(n[k], half_step, b[k]), NUMBER(0x1.54157cp-12));
    BESIDE c[k] = FMA_PD(NUMBER(0x1.4173fba5064d6p-21), s[k], NUMBER(-0x1.997caf1353145p-17));
    BESIDE d[k] = FMA_PD(NUMBER(-0x1.00f87eac07eb7p-34), s2[k], d[k]);
    BESIDE h[k] = _mm512_mul_pd(u[k], u[k]);
    BESIDE h[k] = FMA_PD(FMA_PD(NUMBER(-0x1.6c151949c907fp-6), h[k], NUMBER(0x1.555555550a096p-2)), h[k], one);
    BESIDE c[k] = FMA_PD(d[k], s2[k], c[k]);
    BESIDE d[k] = FMA_PD(NUMBER(0x1.0a4e15773d1b6p-12), s[k], NUMBER(-0x1.767dce4337246p-8));
    BESIDE power[k] = _mm512_castsi512_pd(_mm512_add_epi64(_mm512_permutex2var_epi64(powers, _mm512_castpd_si512(z[k]), more),
                                                           _mm512_slli_epi64(_mm512_castpd_si512(z[k]), 48)));
    BESIDE c[k] = FMA_PD(c[k], s2[k], d[k]);
    BESIDE less[k] = _mm512_sub_pd(h[k], u[k]);
    BESIDE c[k] = FMA_PD(FMA_PD(c[k], s[k], NUMBER(0x1.333333333332ap0)), s[k], NUMBER(0x1.8p1));
    BESIDE under[k] = FMA_PD(power[k], _mm512_add_pd(h[k], u[k]), less[k]);
    BESIDE near[k] = _mm512_cmp_pd_mask(a[k], one, _CMP_LT_OQ);
    BESIDE over[k] = _mm512_mask_mul_pd(_mm512_add_pd(less[k], less[k]), near[k], a[k], s[k]);
    BESIDE under[k] = _mm512_mask_mov_pd(under[k], near[k], c[k]);
    BESIDE v[k] = _mm512_and_pd(sign, v[k]);
    BESIDE a[k] = _mm512_maskz_sub_pd((__mmask8)~near[k], a[k], one);
    BESIDE _mm512_storeu_pd(y + k * 8, _mm512_or_pd(v[k], _mm512_add_pd(a[k], _mm512_div_pd(over[k], under[k]))));
#undef NUMBER
#undef FMA_PD
#undef BESIDE
}

#endif
