/* sigmoid_table.h: log_sigmoid' = 1/(1 + e^x) in float64 on AVX-512, by intrinsics.
 *
 * As sigmoid_ratio, with e^x = p_j 2^k a/b of 16 powers in two registers: |r| <= ln2/32 + theta, so that r coth(r/2) takes two
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

#endif
