/* softmax.h (template): softmax, log-softmax, log-sum-exp and their gradients, a few rows at a time so that their phases
 * overlap (4096x128: 94 us against 150 row by row). */
#undef ROW
#undef KEEP
#undef ROWS
#define ROW(tensor, r) ((REAL *)job->tensor + (ptrdiff_t)(r) * job->tensor##_stride)
#define KEEP(r) (general && job->where ? job->where + (ptrdiff_t)(r) * job->where_stride : NULL)
#define ROWS(name) static void F(rows_##name)(void *job_, ptrdiff_t begin, ptrdiff_t end)

enum F(result) { F(SOFTMAX), F(LOG_SOFTMAX), F(LOGSUMEXP) };

/* From the sums of some rows to what finishes them: 1/sum for softmax, else log1p(rest), or log-sum-exp. Nothing counted
 * as a maximum: all is -inf, or there is a nan. */
FA_INLINE void F(finish)(const REAL *m, const double *total, const double *maxima, double *by, size_t rows, const int result)
{
    if (result != F(SOFTMAX))
        F(logs_of_sums)(by, total, rows);
    LANE(rows) {
        const double nan = (double)REAL_NAN, nothing = total[j] == 0.0 ? -(double)REAL_INF : total[j];
        if (result == F(SOFTMAX))
            by[j] = m[j] == REAL_INF ? nan : 1.0 / total[j];
        else {
            const double log_s = by[j];
            if (result == F(LOGSUMEXP))
                by[j] = maxima[j] == 0.0 ? nothing : (double)m[j] + log_s;
            else
                by[j] = maxima[j] == 0.0 || m[j] == REAL_INF ? nan : log_s;
        }
    }
}

static inline void F(fill_masked)(REAL *y, const uint8_t *keep, size_t n, REAL value)
{
    for (size_t j = 0; j < n; j++) y[j] = keep[j] ? y[j] : value;
}

/* x: of softmax the exponentials, which may lie in y. */
FA_INLINE void F(write_row)(const REAL *x, const uint8_t *keep, REAL *y, size_t n, REAL m, F(temperature) t, REAL by,
                            const int general, const int result)
{
    if (result == F(SOFTMAX))
        LANE(n) y[j] = x[j] * by;
    else if (!general)
        LANE(n) y[j] = (x[j] - m) - by;
    else
        LANE(n) y[j] = F(over)(x[j] - m, t) - by;
    if (general && keep)
        F(fill_masked)(y, keep, n, result == F(SOFTMAX) ? C(0.0) : -REAL_INF);
}

/* A long row on its way past the caches, as gradients leave in xent.h: a part before each chunk of the next row's sum. */
typedef struct {
    const REAL *x;              /* what write_row takes: softmax's exponentials, log-softmax's logits */
    const uint8_t *keep;
    REAL *y, m, by;
    size_t n, done;             /* of n classes, `done` have left: all if there is no row */
} F(leaving_row);

/* Up to class `stop`, or to where its line of memory ends. */
FA_INLINE void F(leave_row)(F(leaving_row) *l, size_t stop, F(temperature) t, const int general, const int result)
{
    REAL buffer[FA_PART_BYTES / sizeof(REAL)] __attribute__((aligned(64)));
    stop = fa_line_end(l->y, stop, l->n, sizeof(REAL));
    for (size_t count; l->done < stop; l->done += count) {
        count = fa_class_part(l->y + l->done, stop - l->done, sizeof(REAL));
        F(write_row)(l->x + l->done, l->keep ? l->keep + l->done : NULL, buffer, count, l->m, t, l->by, general, result);
        stream_any((char *)(l->y + l->done), (const char *)buffer, count * sizeof(REAL));
    }
}

/* Rows past the caches, one by one. 2 threads, 1024x32000 float32: softmax 9.0 -> 6.1 ms, log-softmax 9.8 -> 6.2. Rows that share a
 * unit otherwise lose (500, 1000, 2000 classes: 4 to 14 %), unless they end where lines do (65536x512: 8.3 -> 6.3 ms). Returns
 * 0, nothing done, if there is no memory for the exponentials. */
FA_SHARED int F(softmax_leaving)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int general, const int result)
{
    const size_t n = job->cols, chunk = fa_chunk_length(n, sizeof(REAL));
    const size_t ahead = n * sizeof(REAL) <= FA_AHEAD_BYTES ? (size_t)job->x_stride : 0;
    const F(temperature) t = F(temperature_of)(job->temperature);
    char *scratch = result == F(SOFTMAX) ? malloc(n * sizeof(REAL) + 64) : NULL;
    REAL *const e = scratch ? (REAL *)(scratch + (-(size_t)scratch & 63)) : NULL;
    F(leaving_row) before = {.n = 0};
    if (result == F(SOFTMAX) && !scratch)
        return 0;
    for (ptrdiff_t row = begin; row < end; row++) {
        const REAL *x = ROW(x, row);
        REAL top[FA_CHUNKS];
        const REAL m = F(row_max)(x, KEEP(row), n, chunk, top);
        F(row_sums) s = {0.0, 0.0, 0.0};
        double sum[2], by[1];
        for (size_t i = 0, c = 0; i < n; i += chunk, c++) {
            F(leave_row)(&before, i + chunk, t, general, result);
            if (general)                                /* each with constants; inline in softmax_units it slowed 4096x128 by 5 % */
                F(row_add)(&s, x, KEEP(row), e, n, chunk, i, m, top[c], t, 1, result == F(SOFTMAX), result != F(SOFTMAX), ahead, NULL, NULL);
            else if (result == F(SOFTMAX))
                F(row_add)(&s, x, NULL, e, n, chunk, i, m, top[c], t, 0, 1, 0, ahead, NULL, NULL);
            else
                F(row_add)(&s, x, NULL, NULL, n, chunk, i, m, top[c], t, 0, 0, 1, ahead, NULL, NULL);
        }
        F(row_total)(sum, &s);
        F(finish)(&m, &sum[0], &sum[1], by, 1, result);
        before = (F(leaving_row)){.x = e ? e : x, .keep = KEEP(row), .y = ROW(y, row), .n = n, .m = m, .by = (REAL)by[0]};
    }
    F(leave_row)(&before, n, t, general, result);
    stream_end();
    free(scratch);
    return 1;
}

/* The maxima of the next row beside the exponentials of this one, as in cross_entropy_units, gained 0 to 3 % in 1024x32000 here and
 * lost 5 % in log-softmax of 6144x512. */
FA_INLINE void F(softmax_units)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int general, const int result)
{
    const size_t n = job->cols, group = fa_rows_per_unit(n, sizeof(REAL)), chunk = fa_chunk_length(n, sizeof(REAL));
    if (result != F(LOGSUMEXP) && fa_rows_leave(job->stream, group, n * sizeof(REAL))
        && F(softmax_leaving)(job, begin, end, general, result))
        return;
    const size_t bytes = group * (size_t)job->x_stride * sizeof(REAL), ahead = bytes <= FA_AHEAD_BYTES ? bytes / sizeof(REAL) : 0;
    const size_t last = (size_t)end * group < job->outer ? (size_t)end * group : job->outer;
    const F(temperature) t = F(temperature_of)(job->temperature);
    for (size_t row = (size_t)begin * group; row < last; row += group) {
        const size_t rows = last - row < group ? last - row : group, chunks = (n + chunk - 1) / chunk;
        REAL m[FA_UNIT_ROWS], top[FA_CHUNKS];
        double sum[FA_UNIT_ROWS][2], total[FA_UNIT_ROWS], maxima[FA_UNIT_ROWS], by[FA_UNIT_ROWS];
        for (size_t r = 0; r < rows; r++)
            m[r] = F(row_max)(ROW(x, row + r), KEEP(row + r), n, chunk, top + r * chunks);
        for (size_t r = 0; r < rows; r++)
            F(row_sum)(ROW(x, row + r), KEEP(row + r), result == F(LOGSUMEXP) ? NULL : ROW(y, row + r), n, chunk, m[r],
                       top + r * chunks, t, general,
                       result == F(SOFTMAX), result != F(SOFTMAX), ahead, sum[r]);
        for (size_t r = 0; r < rows; r++) {
            total[r] = sum[r][0];
            maxima[r] = sum[r][1];
        }
        F(finish)(m, total, maxima, by, rows, result);
        for (size_t r = 0; r < rows; r++)
            if (result == F(LOGSUMEXP))
                *ROW(y, row + r) = (REAL)by[r];
            else
                F(write_row)(result == F(SOFTMAX) ? ROW(y, row + r) : ROW(x, row + r), KEEP(row + r), ROW(y, row + r), n, m[r], t,
                             (REAL)by[r], general, result);
    }
}

/* From the exponentials (softmax, unless `again`: from x) or from x to the result. */
FA_INLINE void F(panel_write)(REAL *p, size_t n, size_t width, const REAL *m, const double *by, F(temperature) t, const int general,
                              const int result, const int again)
{
    REAL factor[LANES], d[LANES];
    LANE(LANES) factor[j] = (REAL)by[j];
    for (size_t c = 0; c < n; c++, p += width)
        if (result == F(SOFTMAX)) {
            if (again) {
                LANE(LANES) d[j] = p[j] - m[j];
                F(exp_lanes)(p, d, LANES, t, 1);
            }
            LANE(LANES) p[j] *= factor[j];
        } else
            LANE(LANES) p[j] = (general ? F(over)(p[j] - m[j], t) : p[j] - m[j]) - factor[j];
}

/* Reads each element once and writes it once; with more classes than the scratch holds it is read in every phase, and the
 * exponentials are computed twice. */
FA_INLINE void F(softmax_columns)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int general, const int result, REAL *p,
                                  size_t capacity)
{
    const size_t n = job->cols;
    const REAL *x = job->x, masked = result == F(SOFTMAX) ? C(0.0) : -REAL_INF;
    const F(temperature) t = F(temperature_of)(job->temperature);
    REAL tops[COLUMNS_CAPACITY + LANES] __attribute__((aligned(64))), bys[COLUMNS_CAPACITY + LANES] __attribute__((aligned(64)));
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        const fa_columns b = F(columns_block)(job, (size_t)unit, capacity);
        const size_t part = F(columns_part)(&b, n, capacity);
        const int lines = result != F(LOGSUMEXP) && !general && part == n && !b.across && b.stream;
        if (part == n)
            F(columns_in)(p, x, job->x_stride, general ? job->where : NULL, job->where_stride, &b, 0, n);
        for (size_t k = 0; k < b.width; k += LANES) {       /* one panel if there is more than one part */
            F(panel_sums) s;
            double by[LANES];
            F(panel_start)(&s);
            if (part == n) {
                F(panel_max)(p + k, n, b.width, &s);
                F(panel_sum)(p + k, n, b.width, t, general, result == F(SOFTMAX), result != F(SOFTMAX), &s);
            } else {
                for (size_t c = 0; c < n; c += part) {
                    const size_t count = n - c < part ? n - c : part;
                    F(columns_in)(p, x, job->x_stride, general ? job->where : NULL, job->where_stride, &b, c, count);
                    F(panel_max)(p, count, b.width, &s);
                }
                for (size_t c = 0; c < n; c += part) {
                    const size_t count = n - c < part ? n - c : part;
                    F(columns_in)(p, x, job->x_stride, general ? job->where : NULL, job->where_stride, &b, c, count);
                    F(panel_sum)(p, count, b.width, t, 1, 0, result != F(SOFTMAX), &s);
                }
            }
            F(panel_end)(&s);
            F(finish)(s.m, s.sums.total, s.maxima, by, LANES, result);
            if (result == F(LOGSUMEXP))
                LANE(LANES) p[k + j] = (REAL)by[j];
            else if (lines) {
                LANE(LANES) bys[k + j] = (REAL)by[j];
                LANE(LANES) tops[k + j] = s.m[j];
            } else if (part == n)
                F(panel_write)(p + k, n, b.width, s.m, by, t, general, result, 0);
            else
                for (size_t c = 0; c < n; c += part) {
                    const size_t count = n - c < part ? n - c : part;
                    F(columns_in)(p, x, job->x_stride, general ? job->where : NULL, job->where_stride, &b, c, count);
                    F(panel_write)(p, count, b.width, s.m, by, t, 1, result, 1);
                    F(columns_out)(p, job->y, job->y_stride, job->where, job->where_stride, &b, c, count, masked);
                }
        }
        if (result == F(LOGSUMEXP))
            F(columns_out_samples)(p, job->y, job->y_stride, &b);
        else if (lines) {
            REAL *y = (REAL *)job->y + F(columns_at)(&b, job->y_stride, 0);
            const REAL *from = p;
            LANE(LANES) bys[b.width + j] = tops[b.width + j] = p[n * b.width + j] = C(0.0);
            for (size_t c = 0; c < n; c++, y += b.inner, from += b.width)
                BY_LINES(y, b.count,
                    LANE(LANES) line[j] = result == F(SOFTMAX) ? from[i + j] * bys[i + j] : (from[i + j] - tops[i + j]) - bys[i + j])
        } else if (part == n)
            F(columns_out)(p, job->y, job->y_stride, job->where, job->where_stride, &b, 0, n, masked);
    }
    if (job->stream)
        stream_end();
}

#if SHORT_ROWS
/* finish of a group, in vectors */
FA_INLINE void F(short_finish)(F(short_group) *g, const int result)
{
    double logs[LANES];
    if (result != F(SOFTMAX))
        log1p_of_sums(logs, g->sum);
    for (size_t r = 0; r < LANES; r += FA_FLOATS) {
        const FA_VECTOR m = FA_PS(loadu)(g->m + r);
        const FA_DOUBLES low = FA_PD(loadu)(g->sum + r), high = FA_PD(loadu)(g->sum + r + FA_FLOATS / 2), one = FA_PD(set1)(1.0);
        FA_VECTOR by;
        if (result == F(SOFTMAX))
            by = FA_PS(or)(FA_NARROWED(FA_PD(div)(one, low), FA_PD(div)(one, high)), FA_SAME(m, FA_PS(set1)(REAL_INF)));
        else {
            const FA_DOUBLES log_low = FA_PD(loadu)(logs + r), log_high = FA_PD(loadu)(logs + r + FA_FLOATS / 2);
            if (result == F(LOG_SOFTMAX))
                by = FA_PS(or)(FA_NARROWED(log_low, log_high), F(short_no_sum)(g, r));
            else {
                const FA_VECTOR sum = FA_NARROWED(low, high), none = FA_AS_FLOATS(FA_IS_ZERO(FA_LOAD_INTS(g->maxima + r)));
                const FA_VECTOR nothing = FA_PS(blendv)(sum, FA_PS(set1)(-REAL_INF), FA_SAME(sum, FA_PS(setzero)()));
                by = FA_NARROWED(FA_PD(add)(FA_LOW_DOUBLES(m), log_low), FA_PD(add)(FA_HIGH_DOUBLES(m), log_high));
                by = FA_PS(blendv)(by, nothing, none);
            }
        }
        FA_PS(storeu)(g->by + r, by);
    }
}

/* Of 1024x10 in cache, one thread of Zen 3, against softmax_columns: softmax 1.42 times as fast, log_softmax 1.32, logsumexp 1.43. */
FA_INLINE void F(short_softmax)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int result)
{
    const size_t n = job->cols, size = n * LANES;
    REAL panel[LOTS * FA_SHORT * LANES] __attribute__((aligned(64))), few[FA_SHORT * LANES];
    F(short_group) groups[LOTS];
    for (ptrdiff_t unit = begin; unit < end; unit += (ptrdiff_t)LOTS) {
        const size_t first = (size_t)unit * LANES, lots = (size_t)(end - unit) < LOTS ? (size_t)(end - unit) : LOTS;
        for (size_t i = 0, row = first; i < lots; i++, row += LANES) {
            ptrdiff_t stride = job->x_stride;
            const REAL *x = F(short_whole)(few, ROW(x, row), &stride, n, job->outer - row < LANES ? job->outer - row : LANES);
            F(short_in)(panel + i * size, x, stride, n, groups[i].m);
        }
        for (size_t i = 0; i < lots; i++) F(short_sum)(panel + i * size, n, groups + i, result == F(SOFTMAX), result != F(SOFTMAX));
        for (size_t i = 0; i < lots; i++) F(short_finish)(groups + i, result);
        for (size_t i = 0, row = first; i < lots; i++, row += LANES) {
            const size_t count = job->outer - row < LANES ? job->outer - row : LANES;
            if (result == F(LOGSUMEXP))
                for (size_t r = 0; r < count; r++) *ROW(y, row + r) = groups[i].by[r];
            else if (count == LANES)
                F(short_out)(panel + i * size, ROW(y, row), job->y_stride, n, groups + i, result == F(LOG_SOFTMAX));
            else {
                F(short_out)(panel + i * size, few, (ptrdiff_t)n, n, groups + i, result == F(LOG_SOFTMAX));
                for (size_t r = 0; r < count; r++) memcpy(ROW(y, row + r), few + r * n, n * sizeof(REAL));
            }
        }
    }
}
#endif

#undef SOFTMAX_KERNEL
#define SOFTMAX_KERNEL(name, result)                                                    \
    FA_SHORT_KERNEL(name, fa_rows_job, F(short_softmax)(job, begin, end, F(result)))    \
    FA_SHARED void F(name##_by_columns)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, int general, REAL *p, size_t capacity) \
    {                                                                                   \
        if (general)                                                                    \
            F(softmax_columns)(job, begin, end, 1, F(result), ALIGNED(p), capacity);    \
        else                                                                            \
            F(softmax_columns)(job, begin, end, 0, F(result), ALIGNED(p), capacity);    \
    }                                                                                   \
    ROWS(name)                                                                          \
    {                                                                                   \
        const fa_rows_job *job = job_;                                                  \
        const int general = job->where || job->temperature != 1.0;                      \
        FA_IF_SHORT(!general, F(name##_short)(job, begin, end))                         \
        if (job->wide)                                                                  \
            F(name##_by_columns)(job, begin, end, general, WIDE_TENSOR(fa_wide_slice(job->wide), 0), WIDE_CAPACITY); \
        else if (fa_by_columns(job->cols, job->inner)) {                                \
            REAL p[COLUMNS_CAPACITY + LANES] __attribute__((aligned(64)));              \
            F(name##_by_columns)(job, begin, end, general, p, COLUMNS_CAPACITY);           \
        } else if (general)                                                             \
            F(softmax_units)(job, begin, end, 1, F(result));                            \
        else                                                                            \
            F(softmax_units)(job, begin, end, 0, F(result));                            \
    }
SOFTMAX_KERNEL(softmax, SOFTMAX)
SOFTMAX_KERNEL(log_softmax, LOG_SOFTMAX)
SOFTMAX_KERNEL(logsumexp, LOGSUMEXP)

/* ---- gradients: x is y, the output that the forward pass saved ---- */

/* sum of a*b over a row, or of a if not `product`, in the lanes of all sums */
FA_INLINE double F(row_dot)(const REAL *a, const REAL *b, size_t n, const int product)
{
    F(lane_sums) sums;
    REAL abuf[SPAN], bbuf[SPAN];
    F(lanes_start)(&sums);
    for (size_t block = 0; block < n; block += BLOCK) {
        const size_t end = n - block < BLOCK ? n : block + BLOCK;
        REAL acc[SPAN];
        LANE(SPAN) acc[j] = REAL_START;
        size_t i = block;
        for (; i + SPAN <= end; i += SPAN)
            LANE(SPAN) acc[j] = product ? FMA(a[i + j], b[i + j], acc[j]) : acc[j] + a[i + j];
        if (i < end) {
            F(padded)(abuf, a + i, NULL, end - i, C(0.0));
            if (product) F(padded)(bbuf, b + i, NULL, end - i, C(0.0));
            LANE(SPAN) acc[j] = product ? FMA(abuf[j], bbuf[j], acc[j]) : acc[j] + abuf[j];
        }
        if (n <= BLOCK) {                       /* nothing to add it to, as in chunk_sum */
            double only[LANES];
            LANE(LANES) only[j] = (double)(acc[j] + acc[j + LANES]);
            return F(lanes_tree)(only);
        }
        F(lanes_add_block)(&sums, acc);
    }
    return F(lanes_fold)(&sums);
}

FA_SHARED void F(over_each)(REAL *d, size_t n, F(temperature) t)
{
    LANE(n) d[j] = F(over)(d[j], t);
}

/* d/T in a pass of its own, as a T is rare and the loops that compute d are long code. */
FA_INLINE void F(over_row)(REAL *d, size_t n, F(temperature) t)
{
    if (t.hi != C(1.0))
        F(over_each)(d, n, t);
}

/* softmax: dx = y (dy - sum(dy y))/T; log-softmax: dx = (dy - exp(y) sum(dy))/T. */
FA_INLINE REAL F(gradient_of)(REAL dy, REAL y, REAL sum, const int result)
{
    return result == F(SOFTMAX) ? y * (dy - sum) : FMA(-F(exp)(y), sum, dy);
}

/* n elements, whole vectors; those at i belong to the sums at i modulo width. */
FA_INLINE void F(spread_gradient)(const REAL *dy, const REAL *y, REAL *dx, size_t n, const REAL *sum, size_t width, F(temperature) t,
                                  const int result)
{
    for (size_t i = 0, k = 0; i < n; i += LANES) {
        LANE(LANES) dx[i + j] = F(gradient_of)(dy[i + j], y[i + j], sum[k + j], result);
        k = k + LANES < width ? k + LANES : 0;
    }
    F(over_row)(dx, n, t);
}

/* By spans: of LANE(n) gcc made a longer way into and out of its loop (4096x128 42.5 -> 40 us). Stores that begin where lines do, by a part
 * in front, gained nothing in 6144x512 and lost 6 % in 4096x128, 18 % in log_softmax_grad of 20000x100. */
FA_INLINE void F(gradient_row)(const REAL *dy, const REAL *y, REAL *dx, size_t n, REAL sum, const int result)
{
    REAL dybuf[SPAN], ybuf[SPAN], dxbuf[SPAN];
    size_t i = 0;
    for (; i + SPAN <= n; i += SPAN)
        LANE(SPAN) dx[i + j] = F(gradient_of)(dy[i + j], y[i + j], sum, result);
    if (i < n) {
        F(padded)(dybuf, dy + i, NULL, n - i, C(0.0));
        F(padded)(ybuf, y + i, NULL, n - i, C(0.0));
        LANE(SPAN) dxbuf[j] = F(gradient_of)(dybuf[j], ybuf[j], sum, result);
        F(unpadded)(dx + i, dxbuf, n - i);
    }
}

/* Row by row, each written where its sum has just read: the caches' own prefetching follows that best. 2 threads, 2 rows at a time and the
 * result's lines fetched beside the sums took 1.2 to 1.5 times as long in 6144x512, 4 rows in 4096x128 1.25 times; with the next rows
 * fetched too, 1.2 to 1.6 times. Streamed rows are computed into lines of the cache that go out whole (log_softmax_grad of 12288x512
 * 1498 -> 1215 us). */
FA_INLINE void F(gradient_units)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int result)
{
    const size_t n = job->cols, unit = fa_rows_per_unit(n, sizeof(REAL));
    const size_t last = (size_t)end * unit < job->outer ? (size_t)end * unit : job->outer;
    const F(temperature) t = F(temperature_of)(job->temperature);
    for (size_t row = (size_t)begin * unit; row < last; row++) {
        const REAL *y = ROW(x, row), *dy = ROW(dy, row);
        const REAL s = (REAL)F(row_dot)(dy, y, n, result == F(SOFTMAX));
        REAL *dx = ROW(y, row);
        if (!job->stream) {
            F(gradient_row)(dy, y, dx, n, s, result);
            F(over_row)(dx, n, t);
            continue;
        }
        for (size_t i = 0, count = BLOCK - ((size_t)dx & 63) / sizeof(REAL); i < n; i += count, count = BLOCK) {
            REAL lines[BLOCK] __attribute__((aligned(64)));
            count = n - i < count ? n - i : count;
            LANE(count) lines[j] = F(gradient_of)(dy[i + j], y[i + j], s, result);
            F(over_row)(lines, count, t);
            stream_any((char *)(dx + i), (const char *)lines, count * sizeof(REAL));
        }
    }
    if (job->stream)
        stream_end();
}

/* Whether rows are worked on as they lie in memory. */
static inline int F(lie_as_one)(const fa_rows_job *job)
{
    const ptrdiff_t n = (ptrdiff_t)job->cols;
    return job->inner == 1 && job->x_stride == n && job->dy_stride == n && job->y_stride == n;
}

/* Short rows as they lie in memory: all that is transposed is what is summed, LANES rows of it; the sums are spread over the
 * places of their rows, by a look-up where there is one (2 threads, 40000x21 177 -> 131 us, 40000x10 124 -> 73). Transposing reads lines
 * out of order, which the caches' own prefetching does not follow: they are fetched from here. What leaves past the caches (524288x21
 * 3.5 -> 2.9 ms with both, 3.2 with either) does so by whole lines: LANES rows are as many as a row has elements, and the part of a
 * line that the last of them has waits for the next rows. */
FA_INLINE void F(gradient_short)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int result)
{
    const size_t n = job->cols, most = n * LANES, wide = (n + LANES - 1) / LANES * LANES;
    const F(temperature) t = F(temperature_of)(job->temperature);
    REAL panel[FA_SHORT * LANES] __attribute__((aligned(64))), sum[LANES] __attribute__((aligned(64))), few[3][FA_SHORT * LANES];
    REAL leaving[FA_SHORT * LANES + LANES] __attribute__((aligned(64)));
    const size_t behind = ((size_t)job->y & 63) / sizeof(REAL);
    REAL *written = NULL;               /* the end of what has left or is held */
    size_t held = 0;
#if TABLE
    INT row_of[FA_SHORT * LANES + LANES] __attribute__((aligned(64)));
    for (size_t r = 0; r < LANES; r++)
        for (size_t i = 0; i < wide; i += LANES)
            LANE(LANES) row_of[r * n + i + j] = (INT)r;
#else
    REAL spread[FA_SHORT * LANES + LANES] __attribute__((aligned(64)));
#endif
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        const size_t row = (size_t)unit * LANES, rows = job->outer - row < LANES ? job->outer - row : LANES;
        const REAL *y = ROW(x, row), *dy = ROW(dy, row);
        REAL *const to = ROW(y, row), *dx = job->stream ? leaving + behind : to;
        F(panel_sums) s;
        if (rows < LANES) {
            memset(few, 0, sizeof few);
            y = memcpy(few[0], y, rows * n * sizeof(REAL));
            dy = memcpy(few[1], dy, rows * n * sizeof(REAL));
            dx = few[2];
        }
        F(transpose_products)(panel, dy, result == F(SOFTMAX) ? y : NULL, (ptrdiff_t)n, n);
        F(panel_start)(&s);
        F(panel_dot)(panel, NULL, n, LANES, &s);
        F(panel_end)(&s);
        LANE(LANES) sum[j] = (REAL)s.sums.total[j];
#if TABLE
        for (size_t i = 0; i < most; i += LANES) {
            REAL of_row[LANES];
            for (size_t k = 0; k < LANES; k += FA_FLOATS)
                FA_PS(storeu)(of_row + k, FA_ENTRIES_16(sum, FA_BITS_OF(FA_PS(load)((const float *)(row_of + i + k)))));
            __builtin_prefetch((const char *)(dy + i) + FA_SHORT_AHEAD_BYTES, 0, 2);
            __builtin_prefetch((const char *)(y + i) + FA_SHORT_AHEAD_BYTES, 0, 2);
            LANE(LANES) dx[i + j] = F(gradient_of)(dy[i + j], y[i + j], of_row[j], result);
        }
        F(over_row)(dx, most, t);
#else
        for (size_t r = 0; r < LANES; r++)
            for (size_t i = 0; i < wide; i += LANES)
                LANE(LANES) spread[r * n + i + j] = sum[r];
        F(spread_gradient)(dy, y, dx, most, spread, most, t, result);
#endif
        if (rows < LANES)
            memcpy(to, dx, rows * n * sizeof(REAL));
        else if (job->stream) {
            const size_t done = held < behind ? LANES : 0;      /* of the first unit: a line that it has only the end of */
            memcpy(to, dx, done ? (LANES - behind) * sizeof(REAL) : 0);
            stream_any((char *)(to - behind + done), (const char *)(leaving + done), (most - done) * sizeof(REAL));
            LANE(LANES) leaving[j] = leaving[most + j];
            held = behind;
            written = to + most;
        }
    }
    if (held)
        memcpy(written - held, leaving, held * sizeof(REAL));
    if (job->stream)
        stream_end();
}

/* A class of a block of columns. Behind its end dy and sum may be read, not y. */
FA_INLINE void F(gradient_class)(const REAL *dy, const REAL *y, REAL *dx, size_t n, const REAL *sum, F(temperature) t, int stream, const int result)
{
    REAL few[LANES];
    if (stream)
        BY_LINES(dx, n,
            const REAL *v = F(some_lanes)(few, y + i, count);
            LANE(LANES) line[j] = F(gradient_of)(dy[i + j], v[j], sum[i + j], result);
            F(over_row)(line, LANES, t))
    else {
        size_t i = 0;
        for (; i + LANES <= n; i += LANES) LANE(LANES) dx[i + j] = F(gradient_of)(dy[i + j], y[i + j], sum[i + j], result);
        if (i < n) {
            const REAL *v = F(some_lanes)(few, y + i, n - i);
            REAL line[LANES];
            LANE(LANES) line[j] = F(gradient_of)(dy[i + j], v[j], sum[i + j], result);
            memcpy(dx + i, line, (n - i) * sizeof(REAL));
        }
        F(over_row)(dx, n, t);
    }
}

/* dx is computed where it goes out: class by class, unless several rows are transposed at once. */
FA_INLINE void F(gradient_columns)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int result, REAL *y, REAL *dy,
                                   size_t capacity)
{
    const size_t n = job->cols;
    const F(temperature) t = F(temperature_of)(job->temperature);
    REAL sum[COLUMNS_CAPACITY + LANES] __attribute__((aligned(64)));
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        const fa_columns b = F(columns_block)(job, (size_t)unit, capacity);
        const size_t part = F(columns_part)(&b, n, capacity);
        const int own = result == F(LOG_SOFTMAX) && part == n && !b.across;         /* y, read once, is read where it lies */
        if (part == n) {
            if (!own)
                F(columns_in)(y, job->x, job->x_stride, NULL, 0, &b, 0, n);
            F(columns_in)(dy, job->dy, job->dy_stride, NULL, 0, &b, 0, n);
        }
        for (size_t k = 0; k < b.width; k += LANES) {       /* one panel if there is more than one part */
            F(panel_sums) s;
            F(panel_start)(&s);
            for (size_t c = 0; c < n; c += part) {
                const size_t count = n - c < part ? n - c : part;
                if (part < n) {
                    if (result == F(SOFTMAX))
                        F(columns_in)(y, job->x, job->x_stride, NULL, 0, &b, c, count);
                    F(columns_in)(dy, job->dy, job->dy_stride, NULL, 0, &b, c, count);
                }
                F(panel_dot)(dy + k, result == F(SOFTMAX) ? y + k : NULL, count, b.width, &s);
            }
            F(panel_end)(&s);
            LANE(LANES) sum[k + j] = (REAL)s.sums.total[j];
        }
        if (part == n && !b.across) {
            LANE(LANES) sum[b.width + j] = dy[n * b.width + j] = C(0.0);
            if (!own)
                LANE(LANES) y[n * b.width + j] = C(0.0);
            for (size_t c = 0, at = 0; c < n; c++, at += b.width) {
                REAL *dx = (REAL *)job->y + F(columns_at)(&b, job->y_stride, c);
                const REAL *from = own ? (const REAL *)job->x + F(columns_at)(&b, job->x_stride, c) : y + at;
                for (size_t j = 0; own && j < b.count; j += LANES) __builtin_prefetch(from + b.count + j, 0, 2);
                F(gradient_class)(dy + at, from, dx, b.count, sum, t, b.stream, result);
            }
            continue;
        }
        for (size_t c = 0; c < n; c += part) {
            const size_t count = n - c < part ? n - c : part;
            if (part < n) {
                F(columns_in)(y, job->x, job->x_stride, NULL, 0, &b, c, count);
                F(columns_in)(dy, job->dy, job->dy_stride, NULL, 0, &b, c, count);
            }
            F(spread_gradient)(dy, y, y, count * b.width, sum, b.width, t, result);
            F(columns_out)(y, job->y, job->y_stride, NULL, 0, &b, c, count, C(0.0));
        }
    }
    if (job->stream)
        stream_end();
}

#undef GRADIENT_KERNEL
#define GRADIENT_KERNEL(name, result)                                                   \
    FA_SHARED void F(name##_by_columns)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, REAL *y, REAL *dy, size_t capacity) \
    {                                                                                   \
        F(gradient_columns)(job, begin, end, F(result), ALIGNED(y), ALIGNED(dy), capacity); \
    }                                                                                   \
    ROWS(name)                                                                          \
    {                                                                                   \
        const fa_rows_job *job = job_;                                                  \
        if (job->wide) {                                                                \
            void *slice = fa_wide_slice(job->wide);                                     \
            F(name##_by_columns)(job, begin, end, WIDE_TENSOR(slice, 0), WIDE_TENSOR(slice, 1), WIDE_CAPACITY); \
        } else if (!fa_by_columns(job->cols, job->inner))                               \
            F(gradient_units)(job, begin, end, F(result));                              \
        else if (F(lie_as_one)(job))                                                    \
            F(gradient_short)(job, begin, end, F(result));                              \
        else {                                                                          \
            REAL y[COLUMNS_CAPACITY + LANES] __attribute__((aligned(64))), dy[COLUMNS_CAPACITY + LANES] __attribute__((aligned(64))); \
            F(name##_by_columns)(job, begin, end, y, dy, COLUMNS_CAPACITY);                \
        }                                                                               \
    }
GRADIENT_KERNEL(softmax_grad, SOFTMAX)
GRADIENT_KERNEL(log_softmax_grad, LOG_SOFTMAX)

/* ---- one long row over several threads: each phase over its chunks, the same sums in the same order ---- */

static inline REAL F(split_top)(const fa_rows_job *job, size_t chunk)
{
    const REAL *top = job->top;
    REAL m = -REAL_MOST;
    for (size_t c = 0; c * chunk < job->cols; c++) m = top[c] > m || top[c] != top[c] ? top[c] : m;
    return m;
}

FA_INLINE void F(split_sum)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int rest)
{
    const size_t chunk = fa_chunk_length(job->cols, sizeof(REAL));
    const F(temperature) t = F(temperature_of)(job->temperature);
    const REAL *top = job->top, m = F(split_top)(job, chunk);
    for (size_t c = (size_t)begin, i = c * chunk; c < (size_t)end; c++, i += chunk) {
        const REAL *x = (const REAL *)job->x + i;
        const uint8_t *keep = job->where ? job->where + i : NULL;
        REAL *y = rest ? NULL : (REAL *)job->y + i;
        const size_t n = job->cols - i < chunk ? job->cols - i : chunk;
        double *sum = job->partial + 2 * c;
        sum[1] = 0.0;
        sum[0] = F(chunk_sum_general)(x, keep, y, n, m, t, !rest, rest && !(top[c] < m), 0, &sum[1]);
    }
}

FA_INLINE void F(split_write)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int result)
{
    const size_t chunk = fa_chunk_length(job->cols, sizeof(REAL));
    const F(temperature) t = F(temperature_of)(job->temperature);
    const REAL m = F(split_top)(job, chunk);
    double sum[2], by[1];
    F(row_sums) s = {0.0, 0.0, 0.0};
    for (size_t c = 0; c * chunk < job->cols; c++) {
        fa_add(&s.total, &s.low, job->partial[2 * c]);
        s.maxima += job->partial[2 * c + 1];
    }
    F(row_total)(sum, &s);
    F(finish)(&m, &sum[0], &sum[1], by, 1, result);
    if (result == F(LOGSUMEXP))
        *(REAL *)job->y = (REAL)by[0];
    else
        for (size_t c = (size_t)begin, i = c * chunk; c < (size_t)end; c++, i += chunk)
            F(write_row)((const REAL *)(result == F(SOFTMAX) ? job->y : job->x) + i, job->where ? job->where + i : NULL, (REAL *)job->y + i,
                         job->cols - i < chunk ? job->cols - i : chunk, m, t, (REAL)by[0], 1, result);
}

ROWS(split_max)
{
    const fa_rows_job *job = job_;
    const size_t chunk = fa_chunk_length(job->cols, sizeof(REAL));
    for (size_t c = (size_t)begin, i = c * chunk; c < (size_t)end; c++, i += chunk)
        ((REAL *)job->top)[c] = F(chunk_max)((const REAL *)job->x + i, job->where ? job->where + i : NULL,
                                             job->cols - i < chunk ? job->cols - i : chunk);
}
ROWS(softmax_split_sum) { F(split_sum)(job_, begin, end, 0); }
ROWS(log_softmax_split_sum) { F(split_sum)(job_, begin, end, 1); }
ROWS(logsumexp_split_sum) { F(split_sum)(job_, begin, end, 1); }
ROWS(softmax_split_write) { F(split_write)(job_, begin, end, F(SOFTMAX)); }
ROWS(log_softmax_split_write) { F(split_write)(job_, begin, end, F(LOG_SOFTMAX)); }
ROWS(logsumexp_split_write) { F(split_write)(job_, begin, end, F(LOGSUMEXP)); }
