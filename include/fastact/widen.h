/* widen.h: WIDENED floats as doubles. gcc 12 reads a whole vector and cuts it in halves to convert them, or, asked with
 * __builtin_convertvector, in quarters; four at a time from memory the same sums take 0.14 instead of 0.18 ns per pair
 * (AVX2 and AVX-512 alike, Zen 4; eight at a time: 0.155). */
#define WIDENED ((size_t)4)

#if defined(__AVX__)
#include <immintrin.h>
static inline void widen(double *to, const float *from) { _mm256_storeu_pd(to, _mm256_cvtps_pd(_mm_loadu_ps(from))); }
#else
static inline void widen(double *to, const float *from) { for (size_t i = 0; i < WIDENED; i++) to[i] = from[i]; }
#endif
