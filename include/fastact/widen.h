/* widen.h: WIDENED floats as doubles, a vector of these. gcc 12 reads a whole vector of floats and cuts it in halves to convert them, or,
 * asked with __builtin_convertvector, in quarters: 0.18 ns per pair of a sum on Zen 4, four at a time from memory 0.14. Eight at a time on
 * AVX-512 are 0.155 there; on Zen 5 all sums take 0.55 to 0.85 of the time of four (2^20 pairs, one thread, us: mse 109 -> 92, huber
 * 169 -> 117, mean_absolute_percentage_error 271 -> 150). */
#if defined(__AVX512F__)
#define WIDENED ((size_t)8)
#else
#define WIDENED ((size_t)4)
#endif

#if defined(__AVX512F__)
#include <immintrin.h>
static inline void widen(double *to, const float *from) { _mm512_storeu_pd(to, _mm512_cvtps_pd(_mm256_loadu_ps(from))); }
#elif defined(__AVX__)
#include <immintrin.h>
static inline void widen(double *to, const float *from) { _mm256_storeu_pd(to, _mm256_cvtps_pd(_mm_loadu_ps(from))); }
#else
static inline void widen(double *to, const float *from) { for (size_t i = 0; i < WIDENED; i++) to[i] = from[i]; }
#endif
