/* softmax.h (template): softmax, log-softmax and log-sum-exp, a few rows at a time so that their phases
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
#if UNIT_ROWS
        if (!general && chunks == 1) {
            F(unit_max)(ROW(x, row), job->x_stride, rows, n, m);
            /* Not the lines behind the last unit: another thread writes there (32x1000 on Zen 5, two threads: 3.3 -> 4 to 10 us). */
            F(unit_sums)(ROW(x, row), job->x_stride, result == F(LOGSUMEXP) ? NULL : ROW(y, row), result == F(LOGSUMEXP) ? 0 : job->y_stride, rows, n, m,
                         result == F(SOFTMAX), row + rows < last ? ahead : 0, total, maxima);
        } else
#endif
        {
            for (size_t r = 0; r < rows; r++) m[r] = F(row_max)(ROW(x, row + r), KEEP(row + r), n, chunk, top + r * chunks);
            for (size_t r = 0; r < rows; r++)
                F(row_sum)(ROW(x, row + r), KEEP(row + r), result == F(LOGSUMEXP) ? NULL : ROW(y, row + r), n, chunk, m[r],
                           top + r * chunks, t, general, result == F(SOFTMAX), result != F(SOFTMAX), ahead, sum[r]);
            for (size_t r = 0; r < rows; r++) {
                total[r] = sum[r][0];
                maxima[r] = sum[r][1];
            }
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

/* A class of a block of columns, n places, to the result. Behind its end all that is read may be read on. */
FA_INLINE void F(softmax_class)(const REAL *from, REAL *y, size_t n, const REAL *top, const REAL *by, int stream, const int result)
{
    if (stream)
        BY_LINES(y, n,
            LANE(LANES) line[j] = result == F(SOFTMAX) ? from[i + j] * by[i + j] : (from[i + j] - top[i + j]) - by[i + j])
    else
        LANE(n) y[j] = result == F(SOFTMAX) ? from[j] * by[j] : (from[j] - top[j]) - by[j];
}

/* All classes of columns at .. end - 1 of a block to the result, those before `at` being there. What leaves past the caches is written
 * between the sums (after `OUT_STEP`s), for memory to be read and written side by side, up to where a line of y ends; the next go on there. Zen 5, 2
 * threads, (8, 21, 256, 256) along axis 1, against the whole block behind its sums: softmax 2.09 -> 1.88 ms, log_softmax 2.1 -> 1.95, while memory
 * is slow (relu 1.8 ms); no difference while it is fast (0.85 ms). Slower while it is slow: the panels copied in one by one too (as before), some
 * of the next block fetched while they are (1.15 times). In cache, where stores are plain, by steps took 1.2 times as long. */
#undef OUT_STEP
#define OUT_STEP (LOTS * LANES)
FA_INLINE void F(softmax_out)(const REAL *p, REAL *y, const fa_columns *b, size_t n, size_t at, size_t end, const REAL *top,
                          const REAL *by, const int result)
{
    for (size_t c = 0; c < n; c++, y += b->inner, p += b->width) {
        const size_t behind = b->stream ? ((size_t)y & 63) / sizeof(REAL) : 0;
        const size_t first = at ? at - behind : 0, count = (end < b->width ? end - behind : b->count) - first;
        F(softmax_class)(p + first, y + first, count, top + first, by + first, b->stream, result);
    }
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
        fa_columns b = F(columns_block)(job, (size_t)unit, capacity);
        const size_t part = F(columns_part)(&b, n, capacity);
        const int lines = result != F(LOGSUMEXP) && !general && part == n && !b.across;
        fa_ahead ahead = F(columns_ahead)(&b, x, job->x_stride, part == n, p);
        REAL *y = (REAL *)job->y + F(columns_at)(&b, job->y_stride, 0);
        if (part == n)
            F(columns_in)(p, x, job->x_stride, general ? job->where : NULL, job->where_stride, &b, 0, n);
        const size_t step = b.stream ? OUT_STEP : b.width;
        size_t done = 0;
        if (lines)
            LANE(LANES) bys[b.width + j] = tops[b.width + j] = p[n * b.width + j] = C(0.0);
        for (size_t k = 0; k < b.width; k += LANES) {       /* one panel if there is more than one part */
            F(panel_sums) s;
            double by[LANES];
            F(panel_start)(&s);
            if (part == n) {
                F(panel_max)(p + k, n, b.width, &s);
                F(panel_sum)(p + k, n, b.width, t, general, result == F(SOFTMAX), result != F(SOFTMAX), &s, &ahead);
            } else {
                for (size_t c = 0; c < n; c += part) {
                    const size_t count = n - c < part ? n - c : part;
                    F(columns_in)(p, x, job->x_stride, general ? job->where : NULL, job->where_stride, &b, c, count);
                    F(panel_max)(p, count, b.width, &s);
                }
                for (size_t c = 0; c < n; c += part) {
                    const size_t count = n - c < part ? n - c : part;
                    F(columns_in)(p, x, job->x_stride, general ? job->where : NULL, job->where_stride, &b, c, count);
                    F(panel_sum)(p, count, b.width, t, 1, 0, result != F(SOFTMAX), &s, &ahead);
                }
            }
            F(panel_end)(&s);
            F(finish)(s.m, s.sums.total, s.maxima, by, LANES, result);
            if (result == F(LOGSUMEXP))
                LANE(LANES) p[k + j] = (REAL)by[j];
            else if (lines) {
                LANE(LANES) bys[k + j] = (REAL)by[j];
                LANE(LANES) tops[k + j] = s.m[j];
                if (k + LANES == done + step || k + LANES == b.width) {
                    F(softmax_out)(p, y, &b, n, done, k + LANES, tops, bys, result);
                    done = k + LANES;
                }
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
        else if (part == n && !lines)
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
            by = FA_NAN_WHERE(FA_SAME(m, FA_PS(set1)(REAL_INF)), FA_NARROWED(FA_PD(div)(one, low), FA_PD(div)(one, high)));
        else {
            const FA_DOUBLES log_low = FA_PD(loadu)(logs + r), log_high = FA_PD(loadu)(logs + r + FA_FLOATS / 2);
            if (result == F(LOG_SOFTMAX))
                by = FA_NAN_WHERE(F(short_no_sum)(g, r), FA_NARROWED(log_low, log_high));
            else {
                const FA_VECTOR sum = FA_NARROWED(low, high);
                const FA_VECTOR nothing = FA_CHOSEN(FA_SAME(sum, FA_PS(setzero)()), sum, FA_PS(set1)(-REAL_INF));
                by = FA_NARROWED(FA_PD(add)(FA_LOW_DOUBLES(m), log_low), FA_PD(add)(FA_HIGH_DOUBLES(m), log_high));
                by = FA_CHOSEN(FA_IS_ZERO(FA_LOAD_INTS(g->maxima + r)), by, nothing);
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
    const int stream = result != F(LOGSUMEXP) && job->stream && job->y_stride == (ptrdiff_t)n;
    F(leaving_rows) leaving;
    F(short_group) groups[LOTS];
    F(leaving_start)(&leaving, job->y);
    for (ptrdiff_t unit = begin; unit < end; unit += (ptrdiff_t)LOTS) {
        const size_t first = (size_t)unit * LANES, lots = (size_t)(end - unit) < LOTS ? (size_t)(end - unit) : LOTS;
        for (size_t i = 0, row = first; i < lots; i++, row += LANES) {
            ptrdiff_t stride = job->x_stride;
            const REAL *x = F(short_whole)(few, ROW(x, row), &stride, n, job->outer - row < LANES ? job->outer - row : LANES);
            F(short_in)(panel + i * size, x, stride, n, groups[i].m);
        }
        fa_ahead ahead = F(rows_ahead)(ROW(x, first), LOTS * n * LANES * sizeof(REAL));
        for (size_t i = 0; i < lots; i++)
            F(short_sum)(panel + i * size, n, LANES, groups + i, result == F(SOFTMAX), result != F(SOFTMAX), &ahead);
        for (size_t i = 0; i < lots; i++) F(short_finish)(groups + i, result);
        for (size_t i = 0, row = first; i < lots; i++, row += LANES) {
            const size_t count = job->outer - row < LANES ? job->outer - row : LANES;
            if (result == F(LOGSUMEXP))
                for (size_t r = 0; r < count; r++) *ROW(y, row + r) = groups[i].by[r];
            else if (count == LANES) {
                REAL *to = stream ? leaving.line + leaving.behind : ROW(y, row);
                F(short_out)(panel + i * size, to, job->y_stride, n, groups + i, result == F(LOG_SOFTMAX));
                if (stream)
                    F(rows_leave)(&leaving, ROW(y, row), size);
            } else {
                F(short_out)(panel + i * size, few, (ptrdiff_t)n, n, groups + i, result == F(LOG_SOFTMAX));
                for (size_t r = 0; r < count; r++) memcpy(ROW(y, row + r), few + r * n, n * sizeof(REAL));
            }
        }
    }
    F(leaving_end)(&leaving);
    if (stream)
        stream_end();
}

/* The same of blocks of columns. */
FA_INLINE void F(panel_softmax)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int result, REAL *p, size_t capacity)
{
    const size_t n = job->cols;
    REAL top[COLUMNS_CAPACITY + LANES] __attribute__((aligned(64))), by[COLUMNS_CAPACITY + LANES] __attribute__((aligned(64)));
    F(short_group) groups[LOTS];
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        const fa_columns b = F(columns_block)(job, (size_t)unit, capacity);
        fa_ahead ahead = F(block_ahead)(&b, job->x, job->x_stride);
        REAL *y = (REAL *)job->y + F(columns_at)(&b, job->y_stride, 0);
        F(columns_in_top)(p, job->x, job->x_stride, &b, n, top);
        LANE(LANES) by[b.width + j] = top[b.width + j] = p[n * b.width + j] = C(0.0);
        for (size_t at = 0; at < b.width; at += LOTS * LANES) {
            const size_t lots = (b.width - at) / LANES < LOTS ? (b.width - at) / LANES : LOTS;
            for (size_t i = 0, k = at; i < lots; i++, k += LANES) {
                F(copy_lanes)(groups[i].m, top + k);
                F(short_sum)(p + k, n, b.width, groups + i, result == F(SOFTMAX), result != F(SOFTMAX), &ahead);
            }
            for (size_t i = 0; i < lots; i++) {
                F(short_finish)(groups + i, result);
                F(copy_lanes)(by + at + i * LANES, groups[i].by);
            }
            if (result != F(LOGSUMEXP) && (b.stream || at + lots * LANES == b.width))
                F(softmax_out)(p, y, &b, n, b.stream ? at : 0, at + lots * LANES, top, by, result);
        }
        if (result == F(LOGSUMEXP))
            F(columns_out_samples)(by, job->y, job->y_stride, &b);
    }
    if (job->stream)
        stream_end();
}
#endif

#undef SOFTMAX_KERNEL
#define SOFTMAX_KERNEL(name, result)                                                    \
    FA_SHORT_KERNEL(name, fa_rows_job, F(short_softmax)(job, begin, end, F(result)))    \
    FA_PANELS_KERNEL(name, fa_rows_job, F(panel_softmax)(job, begin, end, F(result), ALIGNED(p), capacity)) \
    FA_SHARED void F(name##_by_columns)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, int general, REAL *p, size_t capacity) \
    {                                                                                   \
        FA_IF_PANELS(!general, capacity, F(name##_panels)(job, begin, end, p, capacity)) \
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
            F(name##_by_columns)(job, begin, end, general, p, COLUMNS_CAPACITY);        \
        } else if (general)                                                             \
            F(softmax_units)(job, begin, end, 1, F(result));                            \
        else                                                                            \
            F(softmax_units)(job, begin, end, 0, F(result));                            \
    }
SOFTMAX_KERNEL(softmax, SOFTMAX)
SOFTMAX_KERNEL(log_softmax, LOG_SOFTMAX)
SOFTMAX_KERNEL(logsumexp, LOGSUMEXP)

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
