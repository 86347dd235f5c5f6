/* columns.h (template): LANES samples at a time, one to a lane, for class axes that are not the last and for short rows.
 *
 * The pieces, for every function of rows:
 *   - fa_columns (rows_job.h) cuts outer x cols x inner tensors into blocks of columns, by the shape alone. A block lies in
 *     memory either *strided* (a class's columns side by side, classes `inner` apart) or *across* (count rows of cols*inner
 *     elements: short rows, or a short inner).
 *   - columns_in copies some classes of a block to scratch [classes][width] in L1, whole vectors wide (the rest is 0) and
 *     masked classes to -inf; columns_out copies back. Across, both transpose (transpose.h). So all that is computed is
 *     computed on scratch: a panel is LANES of its columns, classes `width` apart; in place is no question, and a stride of
 *     a power of two, whose lines would all fall into one set of the caches, costs one pass.
 *   - panel_max, panel_sum (exponentials and their sums, or without the maxima), panel_dot: the reductions over the classes of
 *     a panel. They go on from where they stand, so that more classes than the scratch holds are taken in parts.
 *
 * Sums: GROUP classes in REAL, then doubles (for float64 with the rounding errors kept); their order depends on nothing but
 * the number of classes: a class axis elsewhere and a short row give the same bits. */
#undef GROUP
#undef COLUMNS_CAPACITY
#undef LOTS
#define GROUP 8
#define LOTS ((size_t)4)                            /* groups that are worked on together, a step after the other */
#define COLUMNS_CAPACITY (FA_COLUMNS_BYTES / sizeof(REAL))
#undef WIDE_CAPACITY
#undef WIDE_TENSOR
#undef ALIGNED
#define WIDE_CAPACITY (FA_WIDE_BYTES / sizeof(REAL))
#define WIDE_TENSOR(slice, k) ((REAL *)((char *)(slice) + (k) * FA_WIDE_STEP))
#define ALIGNED(p) ((REAL *)__builtin_assume_aligned(p, 64))

/* What has been summed, and how many maxima were left out of it. */
typedef struct {
    REAL m[LANES];
    F(lane_sums) sums;
    double maxima[LANES];
} __attribute__((aligned(64))) F(panel_sums);

FA_INLINE void F(panel_start)(F(panel_sums) *s)
{
    LANE(LANES) s->m[j] = -REAL_MOST;       /* not -inf: see chunk_max */
    LANE(LANES) s->maxima[j] = (double)LIMIT(zero);
    F(lanes_start)(&s->sums);
}

/* The sums complete: with what rounding lost and all but one maximum, e^0 each. */
FA_INLINE void F(panel_end)(F(panel_sums) *s)
{
    F(lanes_end)(&s->sums);
    LANE(LANES) s->sums.total[j] += s->maxima[j] > 1.0 ? s->maxima[j] - 1.0 : 0.0;
}

FA_INLINE void F(panel_max)(const REAL *p, size_t n, size_t width, F(panel_sums) *s)
{
    REAL m[LANES], other[LANES];            /* two, as each waits for the one before */
    size_t c = 0;
    LANE(LANES) m[j] = other[j] = s->m[j];
    for (; c + 2 <= n; c += 2, p += 2 * width) {
        LANE(LANES) m[j] = p[j] > m[j] ? p[j] : m[j];
        LANE(LANES) other[j] = p[width + j] > other[j] ? p[width + j] : other[j];
    }
    if (c < n)
        LANE(LANES) m[j] = p[j] > m[j] ? p[j] : m[j];
    LANE(LANES) s->m[j] = other[j] > m[j] ? other[j] : m[j];
}

/* exp((x - m)/T) of n classes: summed, and written over them if `store`. `rest`: the maxima are counted, not summed. */
FA_INLINE void F(panel_sum)(REAL *p, size_t n, size_t width, F(temperature) t, const int general, const int store,
                            const int rest, F(panel_sums) *s, fa_ahead *ahead)
{
#if TABLE
    if (!general) {
        panel_sum_by_table(p, n, width, GROUP, s->m, store, rest, s->sums.total, s->maxima, ahead);
        return;
    }
#endif
    REAL m[LANES];
    INT count[LANES];
    LANE(LANES) m[j] = s->m[j];
    LANE(LANES) count[j] = 0;
    while (n) {
        size_t left = n < GROUP ? n : GROUP;
        REAL acc[LANES];
        n -= left;
        fa_fetch_lines(ahead, left);
        LANE(LANES) acc[j] = C(0.0);
        _Pragma("GCC unroll 1")         /* unrolled, its rest goes through memory: softmax of 65536x10 12 % slower */
        for (; left; left--, p += width) {
            REAL d[LANES], v[LANES];
            LANE(LANES) d[j] = p[j] - m[j];
            F(exp_lanes)(v, d, LANES, t, general);
            LANE(LANES) {
                const INT top = rest ? -(p[j] == m[j]) : 0;         /* one mask for both, see add_rest */
                acc[j] += F(from_bits)(F(bits)(v[j]) & ~(UINT)top);
                if (rest) count[j] -= top;
                if (store) p[j] = v[j];
            }
        }
        F(lanes_add)(&s->sums, acc);
    }
    if (rest)
        LANE(LANES) s->maxima[j] += (double)count[j];
}

/* sum of a*b, each product rounded, over n classes (b NULL: of a) */
FA_INLINE void F(panel_dot)(const REAL *a, const REAL *b, size_t n, size_t width, F(panel_sums) *s)
{
    for (size_t at = 0; n;) {
        size_t left = n < GROUP ? n : GROUP;
        REAL acc[LANES];
        n -= left;
        LANE(LANES) acc[j] = C(0.0);
        for (; left; left--, at += width)
            LANE(LANES) acc[j] += b ? a[at + j] * b[at + j] : a[at + j];
        F(lanes_add)(&s->sums, acc);
    }
}

/* ---- a block in memory ---- */

/* How many of n classes the scratch, of `capacity` numbers, holds at a time. */
FA_INLINE size_t F(columns_part)(const fa_columns *b, size_t n, const size_t capacity)
{
    const size_t most = capacity / b->width;
    return n < most ? n : most;
}

/* Where the block's element of class c and column 0 lies in a tensor whose outer index steps by `stride`. */
FA_INLINE ptrdiff_t F(columns_at)(const fa_columns *b, ptrdiff_t stride, size_t c)
{
    return (ptrdiff_t)b->outer * stride + (ptrdiff_t)(c * b->inner + b->first);
}

/* The block of columns behind this one; the rows `bytes` behind these. */
FA_INLINE fa_ahead F(block_ahead)(const fa_columns *b, const void *x, ptrdiff_t stride)
{
    const ptrdiff_t inner = (ptrdiff_t)(b->inner * sizeof(REAL)), width = (ptrdiff_t)(b->width * sizeof(REAL));
    const char *at = (const char *)((const REAL *)x + F(columns_at)(b, stride, 0) + b->count);
    return (fa_ahead){at, at + width, inner - width, inner};
}

FA_INLINE fa_ahead F(rows_ahead)(const void *x, size_t bytes)
{
    const char *at = (const char *)x + bytes;
    return (fa_ahead){at, at + bytes, 0, (ptrdiff_t)bytes};
}

/* What is read of x (NULL: nothing) after a block of either kind, for sums to fetch where all its classes are in `scratch`, `whole`; columns_in
 * does not then. Across, the caches' own prefetching is helped only: columns_in goes on with the next class. */
FA_SHARED fa_ahead F(columns_ahead)(fa_columns *b, const void *x, ptrdiff_t stride, int whole, const REAL *scratch)
{
    if (!whole || !x)
        return (fa_ahead){(const char *)scratch, (const char *)scratch, -64, 0};        /* of what is in L1 anyway: nothing */
    if (b->across)
        return F(rows_ahead)((const REAL *)x + F(columns_at)(b, stride, 0), FA_SHORT_AHEAD_BYTES);
    b->fetch = FA_FETCH_NOTHING;
    return F(block_ahead)(b, x, stride);
}

/* Classes c .. c + n - 1 of a block; keep (NULL: all) lies like x, with its own stride. */
static void F(columns_in)(REAL *to, const REAL *x, ptrdiff_t stride, const uint8_t *keep, ptrdiff_t keep_stride, const fa_columns *b,
                          size_t c, size_t n)
{
    x += F(columns_at)(b, stride, c);
    if (keep)
        keep += F(columns_at)(b, keep_stride, c);
    if (!b->across) {
        for (size_t k = 0; k < n; k++, to += b->width, x += b->inner) {
            for (size_t j = 0; b->fetch == FA_FETCH_CLASS && k + 1 < n && j < b->count; j += LANES) __builtin_prefetch(x + b->inner + j, 0, 3);
            memcpy(to, x, b->count * sizeof(REAL));
            for (size_t j = 0; b->fetch == FA_FETCH_BLOCK && j < b->count; j += LANES) __builtin_prefetch(x + b->count + j, 0, 2);
            for (size_t j = b->count; j < b->width; j++) to[j] = C(0.0);
            if (keep) {
                LANE(b->count) to[j] = keep[j] ? to[j] : -REAL_INF;
                keep += b->inner;
            }
        }
        return;
    }
    const size_t row = n * b->inner;
    if (b->count == LANES)
        F(transpose_in)(to, x, stride, row);
    else {
        memset(to, 0, row * LANES * sizeof(REAL));
        for (size_t r = 0; r < b->count; r++)
            for (size_t i = 0; i < row; i++) to[i * LANES + r] = x[(ptrdiff_t)r * stride + (ptrdiff_t)i];
    }
    if (keep)
        for (size_t r = 0; r < b->count; r++, keep += keep_stride)
            for (size_t i = 0; i < row; i++) to[i * LANES + r] = keep[i] ? to[i * LANES + r] : -REAL_INF;
}

/* The same back; what is masked becomes `masked`. */
static void F(columns_out)(const REAL *from, REAL *y, ptrdiff_t stride, const uint8_t *keep, ptrdiff_t keep_stride, const fa_columns *b,
                           size_t c, size_t n, REAL masked)
{
    y += F(columns_at)(b, stride, c);
    if (keep)
        keep += F(columns_at)(b, keep_stride, c);
    if (!b->across) {
        for (size_t k = 0; k < n; k++, from += b->width, y += b->inner) {
            if (keep) {
                LANE(b->count) y[j] = keep[j] ? from[j] : masked;
                keep += b->inner;
            } else if (b->stream)
                stream_any((char *)y, (const char *)from, b->count * sizeof(REAL));
            else
                memcpy(y, from, b->count * sizeof(REAL));
        }
        return;
    }
    const size_t row = n * b->inner;
    if (b->count == LANES)
        F(transpose_out)(from, y, stride, row);
    else
        for (size_t r = 0; r < b->count; r++)
            for (size_t i = 0; i < row; i++) y[(ptrdiff_t)r * stride + (ptrdiff_t)i] = from[i * LANES + r];
    if (keep)
        for (size_t r = 0; r < b->count; r++, keep += keep_stride, y += stride)
            for (size_t i = 0; i < row; i++) y[i] = keep[i] ? y[i] : masked;
}

/* A job's block. What leaves past the caches is cut where lines of y begin: a line in two parts is fetched and stored as usual, and
 * what leaves after it waits (2 threads, (8, 21, 256, 256) float32 16 bytes behind a line: with BY_LINES softmax 3.75 -> 3.49 ms). */
FA_INLINE fa_columns F(columns_block)(const fa_rows_job *job, size_t unit, const size_t capacity)
{
    fa_columns b = fa_columns_unit(job->outer, job->cols, job->inner, sizeof(REAL), job->wide != NULL, unit);
    const size_t width = fa_columns_width(job->outer, job->cols, job->inner, sizeof(REAL), job->wide != NULL), behind = ((size_t)job->y & 63) / sizeof(REAL);
    b.stream = job->stream;
    if (b.stream && !b.across && job->inner % LANES == 0 && job->y_stride % (ptrdiff_t)LANES == 0
        && (width + LANES) * job->cols <= capacity) {
        const size_t end = b.first + b.count;
        b.first -= b.first ? behind : 0;
        b.count = end - (end < job->inner ? behind : 0) - b.first;
        b.width = (b.count + LANES - 1) / LANES * LANES;
    }
    return b;
}

/* Less than a line; a call, for what gcc makes of it in place (`rep movs`) was slower (softmax 4.1 -> 5.2 ms). */
FA_SHARED void F(part_of_line)(REAL *y, const REAL *line, size_t n) { memcpy(y, line, n * sizeof(REAL)); }

/* A vector of which there are `count` numbers. */
FA_INLINE const REAL *F(some_lanes)(REAL *few, const REAL *x, size_t count)
{
    if (count == LANES)
        return x;
    memset(few, 0, LANES * sizeof(REAL));
    return memcpy(few, x, count * sizeof(REAL));
}

/* A row of n results past the caches to y, by its lines of memory (with plain stores softmax_grad in cache took 41 us, not 36):
 * `vector` sets REAL line[LANES] to those from i on; behind n they may be anything. */
#undef BY_LINES
#define BY_LINES(y, n, vector)                                                          \
    for (size_t i = 0, count; i < (n); i += count) {                                    \
        REAL line[LANES] __attribute__((aligned(64)));                                  \
        count = LANES - ((size_t)((y) + i) & 63) / sizeof(REAL);                        \
        count = (n) - i < count ? (n) - i : count;                                      \
        vector;                                                                         \
        if (count < LANES)                                                              \
            F(part_of_line)((y) + i, line, count);                                      \
        else                                                                            \
            stream_line((y) + i, line);                                                 \
    }

/* Short rows on their way past the caches, LANES at a time, as many lines of memory as a row has elements: computed behind the part of a
 * line that is left from the rows before. */
typedef struct {
    REAL line[FA_SHORT * LANES + LANES] __attribute__((aligned(64)));
    REAL *written;              /* the end of what has left or is held */
    size_t behind, held;
} F(leaving_rows);

FA_INLINE void F(leaving_start)(F(leaving_rows) *l, const REAL *y)
{
    l->behind = ((size_t)y & 63) / sizeof(REAL);
    l->held = 0;
    l->written = NULL;
}

FA_INLINE void F(rows_leave)(F(leaving_rows) *l, REAL *to, size_t size)
{
    const size_t behind = l->behind, done = l->held < behind ? LANES : 0;      /* of the first rows: a line that they have only the end of */
    memcpy(to, l->line + behind, done ? (LANES - behind) * sizeof(REAL) : 0);
    stream_any((char *)(to - behind + done), (const char *)(l->line + done), (size - done) * sizeof(REAL));
    LANE(LANES) l->line[j] = l->line[size + j];
    l->held = behind;
    l->written = to + size;
}

FA_INLINE void F(leaving_end)(F(leaving_rows) *l)
{
    if (l->held)
        memcpy(l->written - l->held, l->line, l->held * sizeof(REAL));
}

/* One value per column: v[width] to samples that lie outer x inner, the outer index stepping by `stride`. */
FA_INLINE void F(columns_out_samples)(const REAL *v, REAL *y, ptrdiff_t stride, const fa_columns *b)
{
    y += (ptrdiff_t)b->outer * stride + (ptrdiff_t)b->first;
    if (!b->across)
        memcpy(y, v, b->count * sizeof(REAL));
    else
        for (size_t r = 0; r < b->count; r++)
            for (size_t i = 0; i < b->inner; i++) y[(ptrdiff_t)r * stride + (ptrdiff_t)i] = v[i * LANES + r];
}
