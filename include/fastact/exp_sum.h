/* exp_sum.h: the sum of a chunk's exponentials in float32 where exp_table.h has them, by intrinsics: everything stays in registers.
 *
 * Per 16 floats AVX-512 needs 14 operations on four half-wide pipes, 7 of them (6 multiply, 1 compares) on the two that multiply: 7.0
 * cycles, and 7.1 with a maximum, which goes to the pipes that add. So the maxima of the next row cost next to nothing beside the
 * exponentials of this one, and reading it hides there too. One thread, 128 rows of 1000, cross-entropy in us, without and with
 * gradient: autovectorised loops of spans 29.4, 41.9; with the maxima of the next row 26.9, 38.5; this 24.1, 32.3. The
 * steps before the polynomial taken a span ahead of it: 25.1, 32.4 (AVX2 36.7 -> 41.8).
 */
#ifndef FASTACT_EXP_SUM_H
#define FASTACT_EXP_SUM_H

#include "fastact/exp_table.h"

#if FA_LOOKUP
enum { FA_SUMS = 2 * FA_PARTS };

#if defined(__AVX512F__)
#define FA_HALF_MAX(v) _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1))
/* The first `count` floats */
#define FA_LOAD_SOME(x, count) _mm512_mask_loadu_ps(_mm512_set1_ps(-__builtin_inff()), (__mmask16)((1u << (count)) - 1), x)
#define FA_STORE_SOME(e, count, v) _mm512_mask_storeu_ps(e, (__mmask16)((1u << (count)) - 1), v)
#else
static const int32_t fa_first_lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
#define FA_HALF_MAX(v) (v)
#define FA_FIRST(count) _mm256_loadu_si256((const __m256i *)(fa_first_lanes + 8 - (count)))
#define FA_LOAD_SOME(x, count) \
    _mm256_blendv_ps(_mm256_set1_ps(-__builtin_inff()), _mm256_maskload_ps(x, FA_FIRST(count)), _mm256_castsi256_ps(FA_FIRST(count)))
#define FA_STORE_SOME(e, count, v) _mm256_maskstore_ps(e, FA_FIRST(count), v)
#endif

/* sum + e^(x - top), 0 under the limit; `exclude`: but where x = top. v: the exponentials, if `store`. counted: with both, the tops;
 * else how many numbers were added, none of them under the limit or nan (to tell these apart takes a second comparison): as integers
 * the bits of d < 0 grow from -0 on, and those of +0, -inf and nan are above the limit's. */
FA_INLINE FA_VECTOR add_exp(FA_VECTOR sum, FA_VECTOR x, FA_VECTOR top, FA_VECTOR *v, const int store, const int exclude, size_t *counted)
{
    const FA_VECTOR limit = FA_PS(set1)(LIMIT(exp_normal_lo)), d = FA_PS(sub)(x, top), power = exp_of_vector(d, d, 0);
    unsigned bits;
    if (exclude && !store) {
        FA_ADD_OTHERS(sum, power, d, limit, bits);
        *counted += (unsigned)__builtin_popcount(bits);
        return sum;
    }
    *v = FA_UNLESS_UNDER(d, limit, power);
    if (!exclude)
        return FA_PS(add)(sum, *v);
    FA_ADD_UNLESS(sum, *v, x, top, bits);
    *counted += (unsigned)__builtin_popcount(bits);
    return sum;
}

FA_INLINE float max_of_vector(FA_VECTOR v)
{
    const __m256 eight = FA_HALF_MAX(v);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

/* The sums of a chunk as chunk_sum has them, in 16 doubles. next: NULL, or n numbers whose maximum goes to next_top (at least `least`). */
FA_INLINE void sum_by_table(double *sums, const float *x, float *e, size_t n, float m, const int store, const int exclude, size_t ahead,
                            size_t *counted, const float *next, float *next_top, float least)
{
    const FA_VECTOR top = FA_PS(set1)(m);
    FA_VECTOR most = FA_PS(set1)(least), v;
    FA_DOUBLES total[FA_SUMS];
    for (size_t k = 0; k < FA_SUMS; k++) total[k] = FA_PD(setzero)();
    for (size_t b = 0; b < n; b += FA_BLOCK_BYTES / sizeof(float)) {
        const size_t end = n - b < FA_BLOCK_BYTES / sizeof(float) ? n : b + FA_BLOCK_BYTES / sizeof(float);
        FA_VECTOR acc[FA_SUMS];
        size_t i = b;
        for (size_t k = 0; k < FA_SUMS; k++) acc[k] = FA_PS(setzero)();
        for (; i + 32 <= end; i += 32) {
            if (ahead) {
                __builtin_prefetch(x + i + ahead, 0, 2);
                __builtin_prefetch(x + i + ahead + 16, 0, 2);
            }
            if (e && !store) {
                __builtin_prefetch(e + i, 1, 2);
                __builtin_prefetch(e + i + 16, 1, 2);
            }
            for (size_t k = 0; k < FA_SUMS; k++) {
                if (next_top)
                    most = FA_PS(max)(FA_PS(loadu)(next + i + k * FA_FLOATS), most);
                acc[k] = add_exp(acc[k], FA_PS(loadu)(x + i + k * FA_FLOATS), top, &v, store, exclude, counted);
                if (store)
                    FA_PS(storeu)(e + i + k * FA_FLOATS, v);
            }
        }
        if (i < end)
            for (size_t k = 0; k < FA_SUMS; k++, i += FA_FLOATS) {
                const size_t count = end <= i ? 0 : end - i < FA_FLOATS ? end - i : FA_FLOATS;
                if (next_top)
                    most = FA_PS(max)(FA_LOAD_SOME(next + i, count), most);
                acc[k] = add_exp(acc[k], FA_LOAD_SOME(x + i, count), top, &v, store, exclude, counted);
                if (store)
                    FA_STORE_SOME(e + i, count, v);
            }
        for (size_t k = 0; k < FA_SUMS / 2; k++) {
            v = FA_PS(add)(acc[k], acc[k + FA_SUMS / 2]);
            total[2 * k] = FA_PD(add)(total[2 * k], FA_LOW_DOUBLES(v));
            total[2 * k + 1] = FA_PD(add)(total[2 * k + 1], FA_HIGH_DOUBLES(v));
        }
    }
    if (next_top)
        *next_top = max_of_vector(most);
    for (size_t k = 0; k < FA_SUMS; k++) FA_PD(storeu)(sums + k * 16 / FA_SUMS, total[k]);
}

/* Of a panel of n classes, `width` apart, a sample to each of 16 lanes: e^(x - m) is added to `total`, `block` classes in float32 first,
 * and written over the classes if `store`. `rest`: the maxima are counted in `maxima` instead. 10 classes: 14 -> 12 cycles each, by perf. */
FA_INLINE void panel_sum_by_table(float *p, size_t n, size_t width, size_t block, const float *m, const int store, const int rest,
                                  double *total, double *maxima, fa_ahead *ahead)
{
    const FA_VECTOR limit = FA_PS(set1)(LIMIT(exp_normal_lo));
    int32_t count[16];
    for (size_t j = 0; j < 16; j += FA_FLOATS) {
        const FA_VECTOR top = FA_PS(loadu)(m + j);
        FA_DOUBLES low = FA_PD(loadu)(total + j), high = FA_PD(loadu)(total + j + FA_FLOATS / 2);
        __typeof__(FA_BITS_OF(top)) others = FA_INT(set1)(0);
        float *x = p + j;
        for (size_t left = n, part; left; left -= part) {
            FA_VECTOR sum = FA_PS(setzero)();
            part = left < block ? left : block;
            if (j == 0)
                fa_fetch_lines(ahead, part);
            for (size_t c = 0; c < part; c++, x += width) {
                const FA_VECTOR v = FA_PS(loadu)(x), d = FA_PS(sub)(v, top), e = FA_UNLESS_UNDER(d, limit, exp_of_vector(d, d, 0));
                if (rest)
                    FA_ADD_UNLESS_IN_LANES(sum, e, v, top, others);
                else
                    sum = FA_PS(add)(sum, e);
                if (store)
                    FA_PS(storeu)(x, e);
            }
            low = FA_PD(add)(low, FA_LOW_DOUBLES(sum));
            high = FA_PD(add)(high, FA_HIGH_DOUBLES(sum));
        }
        FA_PD(storeu)(total + j, low);
        FA_PD(storeu)(total + j + FA_FLOATS / 2, high);
        FA_STORE_INTS(count + j, others);
    }
    if (rest)
        for (size_t j = 0; j < 16; j++) maxima[j] += (double)((int32_t)n - count[j]);
}
#endif

#endif
