/* softmax_grad.h (template): the gradients of softmax and log-softmax; x is y, the output that the forward pass saved. */
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

/* Rows that L2 does not hold, on AVX-512: by half vectors, which the caches' own prefetching follows better (see FA_LARGE in loops.h).
 * Zen 5, one thread, 6144x512: 750 -> 540 us, 16 bytes behind a line 860 -> 560; two threads, 4096x128: 33 to 35 us,
 * off the line 41 to 47 -> 33 to 36.
 * log-softmax's, whose exponentials take longer than memory, 1.5 to 1.7 times as long by halves. */
#undef FA_BY_HALVES
#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
#define FA_BY_HALVES 1
__attribute__((target("prefer-vector-width=256")))
FA_SHARED void F(softmax_grad_by_halves)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end)
{
    F(gradient_units)(job, begin, end, F(SOFTMAX));
}
#else
#define FA_BY_HALVES 0
#define softmax_grad_by_halves_f32(job, begin, end)
#define softmax_grad_by_halves_f64(job, begin, end)
#endif

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
    F(leaving_rows) leaving;
    F(leaving_start)(&leaving, job->y);
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
        REAL *const to = ROW(y, row), *dx = job->stream ? leaving.line + leaving.behind : to;
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
        else if (job->stream)
            F(rows_leave)(&leaving, to, most);
    }
    F(leaving_end)(&leaving);
    if (job->stream)
        stream_end();
}

/* A class of a block of columns. Behind its end dy and sum may be read, not y. Lines of the next block's are fetched meanwhile. */
FA_INLINE void F(gradient_class)(const REAL *dy, const REAL *y, REAL *dx, size_t n, const REAL *sum, F(temperature) t, int stream, const int result,
                                 const REAL *next_dy, const REAL *next_y)
{
    REAL few[LANES];
    if (stream)
        BY_LINES(dx, n,
            const REAL *v = F(some_lanes)(few, y + i, count);
            __builtin_prefetch(next_dy + i, 0, 2);
            __builtin_prefetch(next_y + i, 0, 2);
            LANE(LANES) line[j] = F(gradient_of)(dy[i + j], v[j], sum[i + j], result);
            F(over_row)(line, LANES, t))
    else {
        size_t i = 0;
        for (; i + LANES <= n; i += LANES) {
            __builtin_prefetch(next_dy + i, 0, 2);
            __builtin_prefetch(next_y + i, 0, 2);
            LANE(LANES) dx[i + j] = F(gradient_of)(dy[i + j], y[i + j], sum[i + j], result);
        }
        if (i < n) {
            const REAL *v = F(some_lanes)(few, y + i, n - i);
            REAL line[LANES];
            LANE(LANES) line[j] = F(gradient_of)(dy[i + j], v[j], sum[i + j], result);
            memcpy(dx + i, line, (n - i) * sizeof(REAL));
        }
        F(over_row)(dx, n, t);
    }
}

/* dx is computed where it goes out: class by class, unless several rows are transposed at once. Beside it the next block is fetched, and
 * while this one is copied its own next class ((8, 21, 256, 256), 2 threads: softmax_grad 7.5 -> 6.5 ms by a line at a time, log_softmax_grad
 * 8.7 -> 6.0; by a class at a time no less than without). */
FA_INLINE void F(gradient_columns)(const fa_rows_job *job, ptrdiff_t begin, ptrdiff_t end, const int result, REAL *y, REAL *dy,
                                   size_t capacity)
{
    const size_t n = job->cols;
    const F(temperature) t = F(temperature_of)(job->temperature);
    REAL sum[COLUMNS_CAPACITY + LANES] __attribute__((aligned(64)));
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        fa_columns b = F(columns_block)(job, (size_t)unit, capacity);
        const size_t part = F(columns_part)(&b, n, capacity);
        const int own = result == F(LOG_SOFTMAX) && part == n && !b.across;         /* y, read once, is read where it lies */
        b.fetch = part < n;
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
            const REAL *next_y = (const REAL *)job->x + F(columns_at)(&b, job->x_stride, 0) + b.count;
            const REAL *next_dy = (const REAL *)job->dy + F(columns_at)(&b, job->dy_stride, 0) + b.count;
            for (size_t c = 0, at = 0; c < n; c++, at += b.width) {
                REAL *dx = (REAL *)job->y + F(columns_at)(&b, job->y_stride, c);
                const REAL *from = own ? (const REAL *)job->x + F(columns_at)(&b, job->x_stride, c) : y + at;
                F(gradient_class)(dy + at, from, dx, b.count, sum, t, b.stream, result, next_dy + c * b.inner, next_y + c * b.inner);
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
        } else if (FA_BY_HALVES && F(result) == F(SOFTMAX) && !fa_by_columns(job->cols, job->inner) \
                   && job->outer * job->cols * sizeof(REAL) > FA_HALVES_BYTES)          \
            F(softmax_grad_by_halves)(job, begin, end);                                 \
        else if (!fa_by_columns(job->cols, job->inner))                                 \
            F(gradient_units)(job, begin, end, F(result));                              \
        else if (F(lie_as_one)(job))                                                    \
            F(gradient_short)(job, begin, end, F(result));                              \
        else {                                                                          \
            REAL y[COLUMNS_CAPACITY + LANES] __attribute__((aligned(64))), dy[COLUMNS_CAPACITY + LANES] __attribute__((aligned(64))); \
            F(name##_by_columns)(job, begin, end, y, dy, COLUMNS_CAPACITY);             \
        }                                                                               \
    }
GRADIENT_KERNEL(softmax_grad, SOFTMAX)
GRADIENT_KERNEL(log_softmax_grad, LOG_SOFTMAX)
