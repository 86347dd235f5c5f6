/* rows.h (template): the pieces every function of a row is made of: spans, maxima, sums of exponentials.
 *
 * A row's maximum m, then e_c = exp((x_c - m)/T) and their sum, then the result, while the row is in L1 or L2 (measured best
 * from 128 to 50257 columns; rejected: segments with a maximum of their own, 149 against 117 us for 8x50257). Bytes per
 * element from memory: softmax reads 1, writes 1; log-sum-exp reads 1.
 *
 * Sums do not depend on the ISA, the threads or the place of a row: SPAN lanes of REAL over a BLOCK, added to LANES doubles,
 * these folded into one per chunk of whole blocks (folding every block took a quarter of the time of 512 columns); a row has at most FA_CHUNKS chunks, cut by its length alone. A row split over threads
 * is split there. No scalar tail: it is padded to a span with -inf.
 *
 * What has a logarithm sums all but one maximum ("rest"): log-sum-exp = m + log1p(rest) keeps its relative accuracy when one
 * class dominates. Only chunks that hold the maximum pay for leaving it out: there every maximum is masked and counted, and
 * rest gets the count - 1.
 */
#if TABLE
#include "fastact/exp_sum.h"
#endif
#undef SPAN
#undef BLOCK
#undef REAL_INF
#undef REAL_NAN
#undef REAL_MOST
#undef REAL_START
/* gcc turns a conditional load or store into a masked one where there is such a thing; elsewhere into a branch each. */
#undef FA_MASKED_MOVES
#ifdef __AVX2__
#define FA_MASKED_MOVES 1
#else
#define FA_MASKED_MOVES 0
#endif
#define SPAN (2 * LANES)
#define BLOCK (FA_BLOCK_BYTES / sizeof(REAL))
#define REAL_INF K(__builtin_inff(), __builtin_inf())
#define REAL_NAN K(__builtin_nanf(""), __builtin_nan(""))
#define REAL_MOST K(0x1.fffffep127f, 0x1.fffffffffffffp1023)

/* What a block's sums start from. Of a literal gcc makes `rep stos`: 22 % of softmax_grad of 256x128 on Zen 3, a tenth of dense targets. On
 * AVX-512, where the sums fit their registers, it does not. */
#ifdef __AVX512F__
#define REAL_START C(0.0)
#else
#define REAL_START LIMIT(zero)
#endif

/* 1/T = hi + lo; a T out of range stands for the nearest in it. */
typedef struct {
    REAL hi, lo;
} F(temperature);

static inline F(temperature) F(temperature_of)(double t)
{
    const double inverse = 1.0 / t, most = K(0x1p127, 0x1p1023), bounded = inverse < most ? inverse : most;
    const REAL hi = (REAL)bounded;
#if FA_BITS == 64 && FA_HAS_FMA
    const REAL lo = FMA(-hi, t, 1.0) / t;
    return (F(temperature)){hi, lo < most ? lo : 0.0};
#else
    return (F(temperature)){hi, (REAL)(bounded - hi)};
#endif
}

/* d/T */
static inline REAL F(over)(REAL d, F(temperature) t) { return F(abs)(d) < REAL_INF ? FMA(d, t.hi, d * t.lo) : d; }

/* e^(d + low) for d <= 0, exactly 0 where it would be under the smallest normal number. In float32 with FMA and no table
 * (exp_table.h) exp_nonpos in a form that the sums of rows can afford: plain Horner (each lane of a sum waits for nothing
 * else), the scale inside the last FMA, and one part of ln 2 (its rounding costs 0.02|d| eps beside the 0.5|d| eps of x -
 * max): 0.097 against 0.128 ns per element on AVX-512, 0.203 against 0.269 on AVX2. In float64, where Horner's chain is twice
 * as long, it is 5 % slower. */
FA_INLINE REAL F(exp_row)(REAL d, REAL low)
{
#if FA_BITS == 32 && FA_HAS_FMA
    const REAL bounded = F(at_least)(d, LIMIT(exp_normal_lo)), z = F(exponent_of)(bounded, C(0.0)), s = F(exp2_of)(z);
    const REAL r = F(remainder_near)(bounded, z, C(0.0)) + low;
    REAL p = FMA(0x1.6a5624p-10f, r, 0x1.12397cp-7f);           /* the coefficients of exp_q */
    p = FMA(FMA(FMA(FMA(p, r, 0x1.5558a8p-5f), r, 0x1.555492p-3f), r, 0x1.fffffcp-2f), r, 1.0f);
    const REAL e = FMA(p, r * s, s);
#else
    const REAL bounded = F(at_least)(d, LIMIT(exp_normal_lo)), z = F(exponent_of)(bounded, C(0.0));
    const REAL e = F(exp_of)(F(remainder_of)(bounded, z, C(0.0)) + low) * F(exp2_of)(z);
#endif
    return d < LIMIT(exp_normal_lo) ? C(0.0) : e;
}

/* e^d for `count` d <= 0 (a multiple of LANES, known when compiling), of d/T if general. The rounding of d/T alone would cost
 * 0.5*|d|/T eps: its low part goes into the reduced argument. */
FA_INLINE void F(exp_lanes)(REAL *e, const REAL *d, size_t count, F(temperature) t, const int general)
{
    REAL x[SPAN], low[SPAN];
    if (general)
        LANE(count) {
            x[j] = d[j] * t.hi;
            low[j] = d[j] * t.lo + (FA_HAS_FMA ? FMA(d[j], t.hi, -x[j]) : C(0.0));
        }
#if TABLE
    exp_by_table(e, general ? x : d, general ? low : NULL, count);
#else
    LANE(count) e[j] = general ? F(exp_row)(x[j], low[j]) : F(exp_row)(d[j], C(-0.0));
#endif
}

/* `value` where the mask is 0 and, up to the end of the span, past its end. */
static inline void F(masked)(REAL *of, const uint8_t *keep, size_t count, REAL value)
{
    uint8_t kept[SPAN];
    memset(kept, 0, sizeof kept);
    memcpy(kept, keep, count);
    LANE(SPAN) of[j] = kept[j] ? of[j] : value;
}

/* `count` elements of x, padded to a span; with a mask, the padding where it is 0. */
FA_INLINE void F(padded)(REAL *to, const REAL *x, const uint8_t *keep, UINT count, REAL padding)
{
#if FA_MASKED_MOVES
    _Pragma("omp simd") for (UINT j = 0; j < SPAN; j++) to[j] = j < count ? x[j] : padding;
#else
    LANE(SPAN) to[j] = padding;
    memcpy(to, x, count * sizeof(REAL));
#endif
    if (keep)
        F(masked)(to, keep, count, padding);
}

static inline void F(unpadded)(REAL *to, const REAL *x, UINT count)
{
#if FA_MASKED_MOVES
    _Pragma("omp simd") for (UINT j = 0; j < SPAN; j++)
        if (j < count) to[j] = x[j];
#else
    memcpy(to, x, count * sizeof(REAL));
#endif
}

/* The span at x + i of a row that ends at n: itself if it is whole and nothing is masked, else a copy in buf. */
FA_INLINE const REAL *F(span)(REAL *buf, const REAL *x, const uint8_t *keep, size_t i, size_t n)
{
    if (n - i >= SPAN && !keep)
        return x + i;
    F(padded)(buf, x + i, keep ? keep + i : NULL, n - i < SPAN ? n - i : SPAN, -REAL_INF);
    return buf;
}

FA_INLINE REAL F(maximum)(const REAL *lane)
{
    REAL m = -REAL_MOST;
    _Pragma("omp simd reduction(max:m)") for (size_t j = 0; j < SPAN; j++) m = lane[j] > m ? lane[j] : m;
    return m;
}

FA_SHARED REAL F(chunk_max_masked)(const REAL *x, const uint8_t *keep, size_t n)
{
    REAL lane[SPAN], buf[SPAN];
    LANE(SPAN) lane[j] = -REAL_MOST;
    for (size_t i = 0; i < n; i += SPAN) {
        F(span)(buf, x, keep, i, n);
        LANE(SPAN) lane[j] = buf[j] > lane[j] ? buf[j] : lane[j];
    }
    return F(maximum)(lane);
}

/* The maximum of a chunk; at least the lowest finite number, so that x - m is -inf, not nan, where x is. A nan may or may not
 * show: the sum will. */
FA_INLINE REAL F(chunk_max)(const REAL *x, const uint8_t *keep, size_t n)
{
    REAL lane[SPAN], buf[SPAN];
    if (keep)
        return F(chunk_max_masked)(x, keep, n);
    LANE(SPAN) lane[j] = -REAL_MOST;
    size_t i = 0;
    for (; i + SPAN <= n; i += SPAN)
        LANE(SPAN) lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
    if (i < n) {
        const REAL *s = n < SPAN ? F(span)(buf, x, NULL, i, n) : x + n - SPAN;      /* seen twice: still the maximum */
        LANE(SPAN) lane[j] = s[j] > lane[j] ? s[j] : lane[j];
    }
    return F(maximum)(lane);
}

/* Sums in LANES doubles; `low`, of float64 only, holds what they lost in rounding. */
typedef struct {
    double total[LANES], low[LANES];
} F(lane_sums);

FA_INLINE void F(lanes_start)(F(lane_sums) *s)
{
    const double zero = (double)LIMIT(zero);    /* of a literal gcc makes `rep stos`: 8 % of cross_entropy of 65536x10 */
    LANE(LANES) s->total[j] = s->low[j] = zero;
}

FA_INLINE void F(lanes_add)(F(lane_sums) *s, const REAL *v)
{
#if FA_BITS == 64
    LANE(LANES) {
        const double a = s->total[j], sum = a + v[j], b = sum - a;
        s->low[j] += (a - (sum - b)) + (v[j] - b);
        s->total[j] = sum;
    }
#else
    LANE(LANES) s->total[j] += (double)v[j];
#endif
}

/* The sums of a block's SPAN lanes, two of them added in REAL. */
FA_INLINE void F(lanes_add_block)(F(lane_sums) *s, const REAL *acc)
{
    REAL v[LANES];
    LANE(LANES) v[j] = acc[j] + acc[j + LANES];
    F(lanes_add)(s, v);
}

/* Each total with what it lost: an infinite one lost nothing (it would be nan). */
FA_INLINE void F(lanes_end)(F(lane_sums) *s)
{
    if (FA_BITS == 64)
        LANE(LANES) s->total[j] += s->low[j] == s->low[j] ? s->low[j] : 0.0;
}

/* LANES doubles as one, by halves. */
FA_INLINE double F(lanes_tree)(const double *v)
{
    double t[8];
#if FA_BITS == 32
    LANE(8) t[j] = v[j] + v[j + 8];
#else
    LANE(8) t[j] = v[j];
#endif
    LANE(4) t[j] += t[j + 4];
    return (t[0] + t[2]) + (t[1] + t[3]);
}

FA_INLINE double F(lanes_fold)(F(lane_sums) *s)
{
    F(lanes_end)(s);
    return F(lanes_tree)(s->total);
}

/* How many maxima were left out of a sum. */
typedef struct {
#if TABLE
    size_t all;
#else
    INT lane[SPAN];
#endif
} F(tops);

FA_INLINE void F(tops_start)(F(tops) *tops)
{
#if TABLE
    tops->all = 0;
#else
    LANE(SPAN) tops->lane[j] = 0;
#endif
}

/* acc += v, for a span of x, without its maxima. */
FA_INLINE void F(add_rest)(REAL *acc, const REAL *v, const REAL *x, REAL m, F(tops) *tops)
{
#if TABLE
    tops->all += add_unless(acc, v, x, m, SPAN);
#else
    LANE(SPAN) {
        const INT top = -(x[j] == m);               /* one mask for both: two selects would compare twice */
        acc[j] += F(from_bits)(F(bits)(v[j]) & ~(UINT)top);
        tops->lane[j] -= top;
    }
#endif
}

FA_INLINE double F(tops_end)(const F(tops) *tops)
{
#if TABLE
    return (double)tops->all;
#else
    INT count = 0;
    _Pragma("omp simd reduction(+:count)") for (size_t j = 0; j < SPAN; j++) count += tops->lane[j];
    return (double)count;
#endif
}

#if TABLE
/* The sum of a chunk of which not all but one element were added: its maxima are counted, and nan shows. */
FA_SHARED double F(recounted)(const REAL *x, size_t n, REAL m, double sum, double *maxima)
{
    INT tops = 0, nans = 0;
    _Pragma("omp simd reduction(+:tops, nans)") for (size_t j = 0; j < n; j++) {
        tops += x[j] == m;
        nans += x[j] != x[j];
    }
    *maxima += (double)tops;
    return nans ? (double)REAL_NAN : sum;
}
#endif

/* The sum of exp((x - m)/T) over a chunk, the exponentials to e if `store`; `exclude`: without the maxima, which are counted.
 * general = 0 asserts that nothing is masked and T = 1. ahead: how far in front memory is fetched into L2 (0: not). e without
 * `store` is where results will go: fetched too, because writing them takes less time than their lines take to come. */
FA_INLINE double F(chunk_sum)(const REAL *x, const uint8_t *keep, REAL *e, size_t n, REAL m, F(temperature) t,
                              const int general, const int store, const int exclude, size_t ahead, double *maxima)
{
    F(lane_sums) sums;
    REAL buf[SPAN], ebuf[SPAN];
    F(tops) tops;
    F(lanes_start)(&sums);
    F(tops_start)(&tops);
    for (size_t b = 0; b < n; b += BLOCK) {
        const size_t end = n - b < BLOCK ? n : b + BLOCK;
        REAL acc[SPAN];
        LANE(SPAN) acc[j] = REAL_START;
#undef EXP_SPAN
#define EXP_SPAN(from, to)                                                              \
        {                                                                               \
            REAL d[SPAN], v[SPAN];                                                      \
            LANE(SPAN) d[j] = (from)[j] - m;                                            \
            F(exp_lanes)(v, d, SPAN, t, general);                                       \
            if (exclude)                                                                \
                F(add_rest)(acc, v, from, m, &tops);                                    \
            LANE(SPAN) {                                                                \
                if (!exclude) acc[j] += v[j];                                           \
                if (store) (to)[j] = v[j];                                              \
            }                                                                           \
        }
        size_t i = b;
        for (; i + SPAN <= end; i += SPAN) {
            const REAL *s = general ? F(span)(buf, x, keep, i, end) : x + i;
            if (ahead)
                for (size_t j = 0; j < SPAN; j += LANES) __builtin_prefetch(x + i + ahead + j, 0, 2);
            if (e && !store)
                for (size_t j = 0; j < SPAN; j += LANES) __builtin_prefetch(e + i + j, 1, 2);
            EXP_SPAN(s, e + i)
        }
        if (i < end) {
            F(padded)(buf, x + i, general && keep ? keep + i : NULL, end - i, -REAL_INF);
            EXP_SPAN(buf, ebuf)
            if (store)
                F(unpadded)(e + i, ebuf, end - i);
        }
        if (n <= BLOCK) {                       /* nothing to add it to: 60 cycles of a row's 236 (log_softmax, 128 columns) */
            double only[LANES];
            LANE(LANES) only[j] = (double)(acc[j] + acc[j + LANES]);
            *maxima += exclude ? F(tops_end)(&tops) : 0.0;
            return F(lanes_tree)(only);
        }
        F(lanes_add_block)(&sums, acc);
    }
    *maxima += exclude ? F(tops_end)(&tops) : 0.0;
    return F(lanes_fold)(&sums);
}

/* The same without masks and T. next: NULL, or where the next row goes on, whose maximum over n goes to next_top (TABLE only). */
FA_INLINE double F(chunk_sum_plain)(const REAL *x, REAL *e, size_t n, REAL m, F(temperature) t, const int store, const int exclude,
                                    size_t ahead, double *maxima, const REAL *next, REAL *next_top)
{
#if TABLE
    double sums[LANES];
    size_t counted = 0;
    (void)t;
    sum_by_table(sums, x, e, n, m, store, exclude, ahead, &counted, next, next_top, -REAL_MOST);
    const double sum = F(lanes_tree)(sums);
    if (exclude && !store && (counted + 1 != n || !(m > -REAL_MOST)))
        return F(recounted)(x, n, m, sum, maxima);
    *maxima += exclude ? store ? (double)counted : 1.0 : 0.0;
    return sum;
#else
    (void)next, (void)next_top;
    return F(chunk_sum)(x, NULL, e, n, m, t, 0, store, exclude, ahead, maxima);
#endif
}

/* The same with masks and temperature, in the binary once: beside them a call costs nothing (inline everywhere: 3.03 MB of wheel). */
FA_SHARED double F(chunk_sum_general)(const REAL *x, const uint8_t *keep, REAL *e, size_t n, REAL m, F(temperature) t, int store,
                                      int exclude, size_t ahead, double *maxima)
{
    if (store)
        return exclude ? F(chunk_sum)(x, keep, e, n, m, t, 1, 1, 1, ahead, maxima) : F(chunk_sum)(x, keep, e, n, m, t, 1, 1, 0, ahead, maxima);
    return exclude ? F(chunk_sum)(x, keep, e, n, m, t, 1, 0, 1, ahead, maxima) : F(chunk_sum)(x, keep, e, n, m, t, 1, 0, 0, ahead, maxima);
}

/* ---- a row: its chunks one after another ---- */

/* Of a row's maximum so far and that of its next chunk; nan if one is. */
static inline REAL F(larger)(REAL m, REAL top) { return top > m || top != top ? top : m; }

FA_INLINE REAL F(row_max)(const REAL *x, const uint8_t *keep, size_t n, size_t chunk, REAL *top)
{
    REAL m = -REAL_MOST;
    for (size_t i = 0, c = 0; i < n; i += chunk, c++) {
        top[c] = F(chunk_max)(x + i, keep ? keep + i : NULL, n - i < chunk ? n - i : chunk);
        m = F(larger)(m, top[c]);
    }
    return m;
}

typedef struct {
    double total, low, maxima;                  /* total + low: of the chunks so far */
} F(row_sums);

/* The chunk that starts at i: of a row's exponentials, or its `rest`. */
FA_INLINE void F(row_add)(F(row_sums) *s, const REAL *x, const uint8_t *keep, REAL *e, size_t n, size_t chunk, size_t i, REAL m, REAL top,
                          F(temperature) t, const int general, const int store, const int rest, size_t ahead,
                          const REAL *next, REAL *next_top)
{
    const size_t length = n - i < chunk ? n - i : chunk;
    const int exclude = rest && !(top < m);
    REAL *to = e ? e + i : NULL;
    double part;
    if (general)
        part = F(chunk_sum_general)(x + i, keep ? keep + i : NULL, to, length, m, t, store, exclude, ahead, &s->maxima);
    else if (exclude)
        part = F(chunk_sum_plain)(x + i, to, length, m, t, store, 1, ahead, &s->maxima, next, next_top);
    else
        part = F(chunk_sum_plain)(x + i, to, length, m, t, store, 0, ahead, &s->maxima, next, next_top);
    if (n <= chunk)
        s->total = part;
    else
        fa_add(&s->total, &s->low, part);
}

/* sum[0]: of the exponentials, with `rest` of all but one maximum; sum[1]: the number of maxima (rest only). */
static inline void F(row_total)(double *sum, const F(row_sums) *s)
{
    const double total = fa_added(s->total, s->low);
    sum[0] = s->maxima > 1.0 ? total + (s->maxima - 1.0) : total;
    sum[1] = s->maxima;
}

FA_INLINE void F(row_sum)(const REAL *x, const uint8_t *keep, REAL *e, size_t n, size_t chunk, REAL m, const REAL *top,
                          F(temperature) t, const int general, const int store, const int rest, size_t ahead, double *sum)
{
    F(row_sums) s = {0.0, 0.0, 0.0};
    for (size_t i = 0, c = 0; i < n; i += chunk, c++)
        F(row_add)(&s, x, keep, e, n, chunk, i, m, top[c], t, general, store, rest, ahead, NULL, NULL);
    F(row_total)(sum, &s);
}
