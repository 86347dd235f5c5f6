/* approx.h: 1/x and 1/sqrt(x) to 14 bits for a group of LANES floats, an instruction each on AVX-512; elsewhere nothing (AVX2's
 * have 12 bits, one Newton step too few). Zen 4 divides 16 floats in 6 cycles and takes their roots in 10, and in that time
 * does as many multiplications: these pay where a kernel has hardly anything else to do, not beside an exponential.
 *
 * Arrays of a group and loops over its lanes before and after: gcc and clang keep them in one register each. Intel and AMD
 * define these instructions with different errors, so what is made of them is not the same in every bit on every CPU. */
#ifndef FASTACT_APPROX_H
#define FASTACT_APPROX_H

#if defined(__AVX512F__)
#include <immintrin.h>
#define FA_HAS_APPROX 1
FA_INLINE void approx_reciprocal_f32(const float *x, float *y) { _mm512_storeu_ps(y, _mm512_rcp14_ps(_mm512_loadu_ps(x))); }
FA_INLINE void approx_rsqrt_f32(const float *x, float *y) { _mm512_storeu_ps(y, _mm512_rsqrt14_ps(_mm512_loadu_ps(x))); }
FA_INLINE void approx_rsqrt_f64(const double *x, double *y) { _mm512_storeu_pd(y, _mm512_rsqrt14_pd(_mm512_loadu_pd(x))); }
FA_INLINE int any_above_f32(const float *x, float bound)
{
    return __builtin_expect(_mm512_cmp_ps_mask(_mm512_loadu_ps(x), _mm512_set1_ps(bound), _CMP_GT_OQ) != 0, 0);
}
FA_INLINE int any_above_f64(const double *x, double bound)
{
    return __builtin_expect(_mm512_cmp_pd_mask(_mm512_loadu_pd(x), _mm512_set1_pd(bound), _CMP_GT_OQ) != 0, 0);
}
#else
#define FA_HAS_APPROX 0
#endif

#endif
