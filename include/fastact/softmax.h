/* softmax.h (template): softmax, log-softmax, log-sum-exp and their gradients, a few rows at a time so that their phases
 * overlap (4096x128: 94 us against 150 row by row). */
#undef ROW
#undef KEEP
#undef ROWS
#define ROW(tensor, r) ((REAL *)job->tensor + (ptrdiff_t)(r) * job->tensor##_stride)
#define KEEP(r) (general && job->where ? job->where + (ptrdiff_t)(r) * job->where_stride : NULL)
#define ROWS(name) static void F(rows_##name)(void *job_, ptrdiff_t begin, ptrdiff_t end)

enum F(result) { F(SOFTMAX), F(LOG_SOFTMAX), F(LOGSUMEXP) };

/* From the sums of some rows to what finishes them: 1/sum for softmax, else log1p(rest). */
FA_INLINE void F(finish)(const REAL *m, double (*sum)[2], double *by, size_t rows, const int result)
{
    if (result == F(SOFTMAX))
        LANE(rows) by[j] = 1.0 / sum[j][0];
    else
        LANE(rows) by[j] = log1p_f64(sum[j][0]);
    for (size_t r = 0; r < rows; r++) {
        const int nothing = result != F(SOFTMAX) && sum[r][1] == 0.0;       /* all -inf, or a nan */
        if (result == F(LOGSUMEXP))
            by[r] = nothing ? sum[r][0] == 0.0 ? -REAL_INF : sum[r][0] : (double)m[r] + by[r];
        else if (nothing || m[r] == REAL_INF)
            by[r] = REAL_NAN;
    }
}

static inline void F(fill_masked)(REAL *y, const uint8_t *keep, size_t n, REAL value)
{
    for (size_t j = 0; j < n; j++) y[j] = keep[j] ? y[j] : value;
}

FA_INLINE void F(write_row)(const REAL *x, const uint8_t *keep, REAL *y, size_t n, REAL m, F(temperature) t, REAL by,
                            const int general, const int result)
{
    if (result == F(SOFTMAX))
        LANE(n) y[j] *= by;
    else if (!general)
        LANE(n) y[j] = (x[j] - m) - by;
    else
        LANE(n) y[j] = F(over)(x[j] - m, t) - by;
    if (general && keep)
        F(fill_masked)(y, keep, n, result == F(SOFTMAX) ? C(0.0) : -REAL_INF);
}

FA_INLINE void F(softmax_units)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int general, const int result)
{
    const size_t n = job->cols, group = fa_rows_per_unit(n, sizeof(REAL)), chunk = fa_chunk_length(n, sizeof(REAL));
    const size_t bytes = group * (size_t)job->x_stride * sizeof(REAL), ahead = bytes <= FA_AHEAD_BYTES ? bytes / sizeof(REAL) : 0;
    const size_t last = (size_t)end * group < job->outer ? (size_t)end * group : job->outer;
    const F(temperature) t = F(temperature_of)(job->temperature);
    for (size_t row = (size_t)begin * group; row < last; row += group) {
        const size_t rows = last - row < group ? last - row : group, chunks = (n + chunk - 1) / chunk;
        REAL m[FA_UNIT_ROWS], top[FA_CHUNKS];
        double sum[FA_UNIT_ROWS][2], by[FA_UNIT_ROWS];
        for (size_t r = 0; r < rows; r++)
            m[r] = F(row_max)(ROW(x, row + r), KEEP(row + r), n, chunk, top + r * chunks);
        for (size_t r = 0; r < rows; r++)
            F(row_sum)(ROW(x, row + r), KEEP(row + r), ROW(y, row + r), n, chunk, m[r], top + r * chunks, t, general,
                       result == F(SOFTMAX), result != F(SOFTMAX), ahead, sum[r]);
        F(finish)(m, sum, by, rows, result);
        for (size_t r = 0; r < rows; r++)
            if (result == F(LOGSUMEXP))
                *ROW(y, row + r) = (REAL)by[r];
            else
                F(write_row)(ROW(x, row + r), KEEP(row + r), ROW(y, row + r), n, m[r], t, (REAL)by[r], general, result);
    }
}

#undef SOFTMAX_KERNEL
#define SOFTMAX_KERNEL(name, result)                                                    \
    ROWS(name)                                                                          \
    {                                                                                   \
        const fa_rows_job *job = job_;                                                  \
        if (job->where || job->temperature != 1.0)                                      \
            F(softmax_units)(job, begin, end, 1, F(result));                            \
        else                                                                            \
            F(softmax_units)(job, begin, end, 0, F(result));                            \
    }
SOFTMAX_KERNEL(softmax, SOFTMAX)
SOFTMAX_KERNEL(log_softmax, LOG_SOFTMAX)
SOFTMAX_KERNEL(logsumexp, LOGSUMEXP)

/* ---- gradients: x is y, the output that the forward pass saved ---- */

/* sum of a*b over a row (b NULL: of a), in the lanes and chunks of all sums */
FA_INLINE double F(row_dot)(const REAL *a, const REAL *b, size_t n, size_t chunk)
{
    double total = 0.0, low = 0.0;
    REAL abuf[SPAN], bbuf[SPAN];
    for (size_t c = 0; c < n; c += chunk) {
        double sum = 0.0, err = 0.0;
        const size_t stop = n - c < chunk ? n : c + chunk;
        for (size_t block = c; block < stop; block += BLOCK) {
            const size_t end = stop - block < BLOCK ? stop : block + BLOCK;
            REAL acc[SPAN];
            LANE(SPAN) acc[j] = C(0.0);
            size_t i = block;
            for (; i + SPAN <= end; i += SPAN)
                LANE(SPAN) acc[j] = b ? FMA(a[i + j], b[i + j], acc[j]) : acc[j] + a[i + j];
            if (i < end) {
                F(padded)(abuf, a + i, NULL, end - i, C(0.0));
                if (b) F(padded)(bbuf, b + i, NULL, end - i, C(0.0));
                LANE(SPAN) acc[j] = b ? FMA(abuf[j], bbuf[j], acc[j]) : acc[j] + abuf[j];
            }
            fa_add(&sum, &err, F(fold)(acc));
        }
        fa_add(&total, &low, fa_added(sum, err));
    }
    return fa_added(total, low);
}

/* softmax: dx = y (dy - sum(dy y))/T; log-softmax: dx = (dy - exp(y) sum(dy))/T */
FA_INLINE void F(gradient_units)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int result)
{
    const size_t n = job->cols, group = fa_rows_per_unit(n, sizeof(REAL)), chunk = fa_chunk_length(n, sizeof(REAL));
    const size_t last = (size_t)end * group < job->outer ? (size_t)end * group : job->outer;
    const F(temperature) t = F(temperature_of)(job->temperature);
    for (size_t row = (size_t)begin * group; row < last; row += group) {
        const size_t rows = last - row < group ? last - row : group;
        REAL sum[FA_UNIT_ROWS];
        for (size_t r = 0; r < rows; r++)
            sum[r] = (REAL)F(row_dot)(ROW(dy, row + r), result == F(SOFTMAX) ? ROW(x, row + r) : NULL, n, chunk);
        for (size_t r = 0; r < rows; r++) {
            const REAL *y = ROW(x, row + r), *dy = ROW(dy, row + r), s = sum[r];
            REAL *dx = ROW(y, row + r);
            if (result == F(SOFTMAX))
                LANE(n) dx[j] = F(over)(y[j] * (dy[j] - s), t);
            else
                LANE(n) dx[j] = F(over)(FMA(-F(exp)(y[j]), s, dy[j]), t);
        }
    }
}

ROWS(softmax_grad) { F(gradient_units)(job_, begin, end, F(SOFTMAX)); }
ROWS(log_softmax_grad) { F(gradient_units)(job_, begin, end, F(LOG_SOFTMAX)); }

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
        sum[0] = rest && !(top[c] < m) ? F(chunk_sum)(x, keep, y, n, m, t, 1, !rest, rest, 0, &sum[1])
                                       : F(chunk_sum)(x, keep, y, n, m, t, 1, !rest, 0, 0, &sum[1]);
    }
}

FA_INLINE void F(split_write)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int result)
{
    const size_t chunk = fa_chunk_length(job->cols, sizeof(REAL));
    const F(temperature) t = F(temperature_of)(job->temperature);
    const REAL m = F(split_top)(job, chunk);
    double sum[1][2], by[1], total = 0.0, low = 0.0, maxima = 0.0;
    for (size_t c = 0; c * chunk < job->cols; c++) {
        fa_add(&total, &low, job->partial[2 * c]);
        maxima += job->partial[2 * c + 1];
    }
    F(row_total)(sum[0], total, low, maxima);
    F(finish)(&m, sum, by, 1, result);
    if (result == F(LOGSUMEXP))
        *(REAL *)job->y = (REAL)by[0];
    else
        for (size_t c = (size_t)begin, i = c * chunk; c < (size_t)end; c++, i += chunk)
            F(write_row)((const REAL *)job->x + i, job->where ? job->where + i : NULL, (REAL *)job->y + i,
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
