/* log_lanes.h (template): the logarithms of several lanes at a time, for sums. In float32 by a table where there is one (TABLE):
 * straight where all numbers are positive and normal, with F(log)'s special cases around it where one is not. The same bits both ways.
 */
#if TABLE
#include "fastact/log_table.h"

/* log(x + low) for `count` x, a multiple of LANES; everything is defined as in F(log). low may be NULL. */
FA_SHARED void F(log_any)(REAL *y, const REAL *x, const REAL *low, size_t count)
{
    const REAL inf = __builtin_inff(), least = 0x1p-126f;
    for (; count; count -= LANES, y += LANES, x += LANES, low = low ? low + LANES : NULL) {
        REAL scaled[LANES], minus[LANES], l[LANES];
        LANE(LANES) scaled[j] = x[j] < least ? x[j] * 0x1p24f : x[j];
        LANE(LANES) minus[j] = x[j] < least ? 24 * 0x1p23f : 0.0f;
        log_by_table(l, scaled, low, minus, LANES);
        LANE(LANES) {
            const REAL finite = x[j] < inf ? l[j] : x[j], outside = x[j] == 0.0f ? -inf : inf - inf;
            y[j] = x[j] > 0.0f ? finite : outside;
        }
    }
}
#endif

/* log x for `count` x, a multiple of LANES known when compiling. */
FA_INLINE void F(log_lanes)(REAL *y, const REAL *x, size_t count)
{
#if TABLE
    if (all_normal(x, count)) log_by_table(y, x, NULL, NULL, count);
    else F(log_any)(y, x, NULL, count);
#else
    LANE(count) y[j] = F(log)(x[j]);
#endif
}
