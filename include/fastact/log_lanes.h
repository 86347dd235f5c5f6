/* log_lanes.h (template): the logarithms of several lanes at a time, for sums: straight where all numbers are positive and normal, with
 * F(log)'s special cases around it where one is not. The same bits both ways. In float32 by a table where there is one (TABLE).
 */
#if TABLE
#include "fastact/log_table.h"

/* log(x + low) for `count` x, a multiple of LANES; everything is defined as in F(log). low may be NULL. */
FA_SHARED void F(log_any)(REAL *y, const REAL *x, const REAL *low, size_t count)
{
    const REAL inf = __builtin_inff(), least = 0x1p-126f, most = 0x1p100f;
    for (; count; count -= LANES, y += LANES, x += LANES, low = low ? low + LANES : NULL) {
        REAL scaled[LANES], minus[LANES], lost[LANES], l[LANES];
        LANE(LANES) {
            const REAL up = x[j] < least ? 24 : x[j] > most ? -24 : 0;
            scaled[j] = x[j] * (x[j] < least ? 0x1p24f : x[j] > most ? 0x1p-24f : 1.0f);
            minus[j] = up * 0x1p23f;
        }
        if (low)
            LANE(LANES) lost[j] = x[j] > most ? 0.0f : low[j];
        log_by_table(l, scaled, low ? lost : NULL, minus, LANES);
        LANE(LANES) {
            const REAL finite = x[j] < inf ? l[j] : x[j], outside = x[j] == 0.0f ? -inf : inf - inf;
            y[j] = x[j] > 0.0f ? finite : outside;
        }
    }
}

/* log(x + low) for `count` x, a multiple of LANES known when compiling. */
FA_INLINE void F(log_with_low)(REAL *y, const REAL *x, const REAL *low, size_t count)
{
    if (all_normal_to(x, low ? 0x40000000 : 0x7f800000, count)) log_by_table(y, x, low, NULL, count);      /* to 2, or infinity */
    else F(log_any)(y, x, low, count);
}

FA_INLINE int F(all_normal)(const REAL *x, size_t count) { return all_normal(x, count); }
FA_INLINE int F(all_normal_or_both_zero)(const REAL *x, const REAL *a, size_t count) { return all_normal_or_both_zero(x, a, count); }
#else
FA_SHARED void F(log_any)(REAL *y, const REAL *x, const REAL *low, size_t count)
{
    (void)low;
    for (; count; count -= LANES, y += LANES, x += LANES) LANE(LANES) y[j] = F(log)(x[j]);
}

/* Whether all x are positive normal numbers. */
FA_INLINE int F(all_normal)(const REAL *x, size_t count)
{
    INT all = -1;
    _Pragma("omp simd reduction(&:all)") for (size_t j = 0; j < count; j++) all &= -(INT)F(is_normal)(x[j]);
    return (int)all;
}

/* Whether each x is one, or 0 as its factor a is. */
FA_INLINE int F(all_normal_or_both_zero)(const REAL *x, const REAL *a, size_t count)
{
    INT all = -1;
    _Pragma("omp simd reduction(&:all)")
    for (size_t j = 0; j < count; j++) all &= -(INT)(F(is_normal)(x[j]) | ((x[j] == C(0.0)) & (a[j] == C(0.0))));
    return (int)all;
}
#endif

/* Of positive normal numbers. */
FA_INLINE void F(log_normals)(REAL *y, const REAL *x, size_t count)
{
#if TABLE
    log_by_table(y, x, NULL, NULL, count);
#else
    LANE(count) y[j] = F(log_normal)(x[j]);
#endif
}

/* log x for `count` x, a multiple of LANES known when compiling. */
FA_INLINE void F(log_lanes)(REAL *y, const REAL *x, size_t count)
{
#if TABLE
    F(log_with_low)(y, x, NULL, count);
#else
    if (F(all_normal)(x, count)) F(log_normals)(y, x, count);
    else F(log_any)(y, x, NULL, count);
#endif
}

/* log(1 + rest) of some rows' sums: the same bits however many there are. */
FA_INLINE void F(logs_of_sums)(double *y, const double *rest, size_t rows)
{
#if TABLE
    for (; rows >= LANES; rows -= LANES, y += LANES, rest += LANES) log1p_of_sums(y, rest);
    if (rows) {
        double all[LANES], logs[LANES];
        LANE(LANES) all[j] = j < rows ? rest[j] : 0.0;
        log1p_of_sums(logs, all);
        LANE(rows) y[j] = logs[j];
    }
#else
    LANE(rows) y[j] = log1p_f64(rest[j]);
#endif
}
