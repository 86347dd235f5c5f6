/* short_rows.h (template): the pieces of columns.h for float32 without mask and temperature, by the intrinsics of AVX2 and AVX-512: for short
 * rows, and for blocks of columns that hold all classes and are not across. LANES rows or columns are a group, one to a lane.
 *
 * What gcc makes of columns.h is not arithmetic to a half: maxima are found here in the vectors that transposing makes, results computed in
 * those that it takes back, and what is said of a group stays in vectors. The same sums in the same order, so the same bits. Each step is
 * taken for LOTS groups before the next, so that their latencies hide behind each other. Zen 5, AVX-512, two threads, against columns.h, us:
 * 65536x10 softmax 172 -> 78, log_softmax 205 -> 97, logsumexp 198 -> 82, cross_entropy 182 -> 106, with gradient 228 -> 155; 524288x21
 * softmax 4450 -> 1650, cross_entropy 2100 -> 1500; (8, 21, 128, 128) along axis 1 softmax 385 -> 325, cross_entropy 400 -> 315.
 */
#undef SHORT_ROWS
#undef FA_IF_SHORT
#undef FA_SHORT_KERNEL
#undef FA_PANELS_KERNEL
#undef FA_IF_PANELS
#if TABLE && defined(FA_SHUFFLES)
#define SHORT_ROWS 1

/* What is known of a group's rows. */
typedef struct {
    double sum[LANES];                      /* of the exponentials, of all but one maximum if these are counted */
    REAL m[LANES], by[LANES];               /* the maxima; what results are made with */
    INT maxima[LANES];
} __attribute__((aligned(64))) F(short_group);

/* Copies LANES numbers. memcpy becomes `rep movsq`, which takes longer to start. */
FA_INLINE void F(copy_lanes)(REAL *to, const REAL *from)
{
    for (size_t r = 0; r < LANES; r += FA_FLOATS) FA_PS(storeu)(to + r, FA_PS(loadu)(from + r));
}

/* `count` rows, `stride` apart: as they lie or, if they are no whole group, in `few`, with zeros behind them. */
FA_INLINE const REAL *F(short_whole)(REAL *few, const REAL *x, ptrdiff_t *stride, size_t n, size_t count)
{
    if (count == LANES)
        return x;
    memset(few, 0, n * LANES * sizeof(REAL));
    for (size_t r = 0; r < count; r++) memcpy(few + r * n, x + (ptrdiff_t)r * *stride, n * sizeof(REAL));
    *stride = (ptrdiff_t)n;
    return few;
}

/* A group's rows, `stride` apart, into the panel [n][LANES], and their maxima. */
FA_INLINE void F(short_in)(REAL *panel, const REAL *x, ptrdiff_t stride, size_t n, REAL *m)
{
    for (size_t r = 0; r < LANES; r += FA_FLOATS) {
        FA_VECTOR top[2] = {FA_PS(set1)(-REAL_MOST), FA_PS(set1)(-REAL_MOST)};
        for (size_t c = 0; c < n; c += PIECE) {
            const size_t at = n - c < PIECE ? n - PIECE : c;
            F(pieces) v[PIECE];
            for (size_t i = 0; i < PIECE; i++) v[i] = F(load_pieces)(x + (ptrdiff_t)(r + i) * stride + at, (ptrdiff_t)PIECE * stride);
            F(transpose_lanes)(v);
            for (size_t i = 0; i < PIECE; i++) {
                FA_PS(storeu)(panel + (at + i) * LANES + r, v[i]);
                top[i % 2] = FA_PS(max)(v[i], top[i % 2]);
            }
        }
        FA_PS(storeu)(m + r, FA_PS(max)(top[0], top[1]));
    }
}

/* `q` classes of a block of columns, and what the columns' maxima become by them. */
FA_INLINE void F(classes_in_top)(REAL *to, const REAL *x, size_t inner, size_t width, size_t count, REAL *top, const size_t q)
{
    const size_t whole = count / FA_FLOATS * FA_FLOATS;
    for (size_t k = 0; k < whole; k += FA_FLOATS) {
        FA_VECTOR m = FA_PS(loadu)(top + k);
        for (size_t c = 0; c < q; c++) {
            const FA_VECTOR v = FA_PS(loadu)(x + c * inner + k);
            FA_PS(storeu)(to + c * width + k, v);
            m = FA_PS(max)(v, m);
        }
        FA_PS(storeu)(top + k, m);
    }
    for (size_t c = 0; c < q; c++)
        for (size_t k = whole; k < width; k++) {
            const REAL v = k < count ? x[c * inner + k] : C(0.0);
            to[c * width + k] = v;
            top[k] = v > top[k] ? v : top[k];
        }
}

/* columns_in of all n classes, and the maxima of the columns. Nothing of the next block is fetched: short_sum does it. */
FA_SHARED void F(columns_in_top)(REAL *to, const REAL *x, ptrdiff_t stride, const fa_columns *b, size_t n, REAL *top)
{
    size_t c = 0;
    x += F(columns_at)(b, stride, 0);
    for (size_t k = 0; k < b->width; k++) top[k] = -REAL_MOST;       /* not -inf: see chunk_max */
    for (; c + 4 <= n; c += 4, to += 4 * b->width, x += 4 * b->inner) F(classes_in_top)(to, x, b->inner, b->width, b->count, top, 4);
    for (; c < n; c++, to += b->width, x += b->inner) F(classes_in_top)(to, x, b->inner, b->width, b->count, top, 1);
}

/* How many maxima each of a group's rows has; a nan in a row becomes its sum's. */
FA_SHARED void F(short_maxima)(const REAL *x, size_t n, size_t width, F(short_group) *g, FA_DOUBLES *sum)
{
    for (size_t k = 0; k < FA_PARTS; k++, x += FA_FLOATS) {
        const FA_VECTOR top = FA_PS(loadu)(g->m + k * FA_FLOATS);
        FA_VECTOR nan = FA_PS(setzero)();
        FA_INTS maxima = FA_INT(set1)(0);
        for (size_t c = 0; c < n; c++) {
            const FA_VECTOR v = FA_PS(loadu)(x + c * width);
            maxima = FA_COUNTED(FA_SAME(v, top), maxima);
            nan = FA_PS(or)(nan, FA_WHERE(FA_IS_NAN(v), v));
        }
        sum[2 * k] = FA_PD(add)(sum[2 * k], FA_LOW_DOUBLES(nan));
        sum[2 * k + 1] = FA_PD(add)(sum[2 * k + 1], FA_HIGH_DOUBLES(nan));
        FA_STORE_INTS(g->maxima + k * FA_FLOATS, maxima);
    }
}

/* What panel_sum and panel_end do, classes `width` apart. The vectors of a class side by side: one after the other 4 % slower. Beside each
 * class a line is fetched, as a group is a line wide. What is left out where nothing is stored (`rest` then): maxima, what is under
 * the limit and nans; rows are looked at again unless that is one. */
FA_INLINE void F(short_sum)(REAL *x, size_t n, size_t width, F(short_group) *g, const int store, const int rest, fa_ahead *ahead)
{
    const FA_VECTOR limit = FA_PS(set1)(LIMIT(exp_normal_lo)), zero = FA_PS(setzero)(), sign = FA_PS(set1)(C(-0.0));
    const REAL *const from = x;
    FA_VECTOR top[FA_PARTS];
    FA_DOUBLES sum[2 * FA_PARTS];
    FA_INTS maxima[FA_PARTS];
    for (size_t k = 0; k < FA_PARTS; k++) {
        top[k] = FA_PS(loadu)(g->m + k * FA_FLOATS);
        if (rest && !store)             /* -0 for 0, from which no zero differs by -0 */
            top[k] = FA_PS(or)(top[k], FA_WHERE(FA_SAME(top[k], zero), sign));
        sum[2 * k] = sum[2 * k + 1] = FA_PD(setzero)();
        maxima[k] = FA_INT(set1)(0);
    }
    for (size_t left = n, part; left; left -= part) {
        FA_VECTOR acc[FA_PARTS];
        for (size_t k = 0; k < FA_PARTS; k++) acc[k] = zero;
        part = left < GROUP ? left : GROUP;
        _Pragma("GCC unroll 1")
        for (size_t c = 0; c < part; c++, x += width) {
            fa_fetch_line(ahead);
            for (size_t k = 0; k < FA_PARTS; k++) {
                const FA_VECTOR v = FA_PS(loadu)(x + k * FA_FLOATS), d = FA_PS(sub)(v, top[k]);
                const FA_VECTOR power = exp_of_vector(d, d, 0), e = store ? FA_UNLESS_UNDER(d, limit, power) : power;
                if (rest) {
                    const FA_TRUE out = store ? FA_SAME(v, top[k]) : FA_LEFT_OUT(d, limit);
                    acc[k] = FA_ADD_BUT(acc[k], e, out);
                    maxima[k] = FA_COUNTED(out, maxima[k]);
                } else
                    acc[k] = FA_PS(add)(acc[k], e);
                if (store)
                    FA_PS(storeu)(x + k * FA_FLOATS, e);
            }
        }
        for (size_t k = 0; k < FA_PARTS; k++) {
            sum[2 * k] = FA_PD(add)(sum[2 * k], FA_LOW_DOUBLES(acc[k]));
            sum[2 * k + 1] = FA_PD(add)(sum[2 * k + 1], FA_HIGH_DOUBLES(acc[k]));
        }
    }
    if (rest) {
        const FA_INTS one = FA_INT(set1)(1), least = FA_BITS_OF(FA_PS(set1)(-REAL_MOST));
        int sure = 1;
        for (size_t k = 0; k < FA_PARTS; k++) {
            FA_STORE_INTS(g->maxima + k * FA_FLOATS, maxima[k]);
            sure &= FA_ALL(FA_BOTH(FA_SAME_INT(maxima[k], one), FA_NOT(FA_SAME_INT(FA_BITS_OF(top[k]), least))));
        }
        if (!store && !sure)
            F(short_maxima)(from, n, width, g, sum);
        for (size_t k = 0; k < FA_PARTS; k++) {
            const FA_INTS more = FA_INT(max)(FA_INT(sub)(FA_LOAD_INTS(g->maxima + k * FA_FLOATS), one), FA_INT(set1)(0));
            sum[2 * k] = FA_PD(add)(sum[2 * k], FA_LOW_INTS(more));
            sum[2 * k + 1] = FA_PD(add)(sum[2 * k + 1], FA_HIGH_INTS(more));
        }
    }
    for (size_t k = 0; k < FA_PARTS; k++) {
        FA_PD(storeu)(g->sum + k * FA_FLOATS, sum[2 * k]);
        FA_PD(storeu)(g->sum + k * FA_FLOATS + FA_FLOATS / 2, sum[2 * k + 1]);
    }
}

/* From the panel to the group's rows: its exponentials times `by`, or `logs`: logits less m and `by`. */
FA_INLINE void F(short_out)(const REAL *panel, REAL *y, ptrdiff_t stride, size_t n, const F(short_group) *g, const int logs)
{
    for (size_t r = 0; r < LANES; r += FA_FLOATS) {
        const FA_VECTOR by = FA_PS(loadu)(g->by + r), m = FA_PS(loadu)(g->m + r);
        for (size_t c = 0; c < n; c += PIECE) {
            const size_t at = n - c < PIECE ? n - PIECE : c;
            F(pieces) v[PIECE];
            for (size_t i = 0; i < PIECE; i++) {
                const FA_VECTOR p = FA_PS(loadu)(panel + (at + i) * LANES + r);
                v[i] = logs ? FA_PS(sub)(FA_PS(sub)(p, m), by) : FA_PS(mul)(p, by);
            }
            F(transpose_lanes)(v);
            for (size_t i = 0; i < PIECE; i++) F(store_pieces)(y + (ptrdiff_t)(r + i) * stride + at, (ptrdiff_t)PIECE * stride, v[i]);
        }
    }
}

/* The sums of a group's rows as they lie in v, behind which PIECE numbers may be read. */
FA_INLINE void F(short_add)(double *sum, const REAL *v, size_t n)
{
    for (size_t r = 0; r < LANES; r += FA_FLOATS) {
        FA_DOUBLES low = FA_PD(setzero)(), high = low;
        FA_VECTOR acc = FA_PS(setzero)();
        for (size_t c = 0; c < n; c += PIECE) {
            F(pieces) p[PIECE];
            for (size_t i = 0; i < PIECE; i++) p[i] = F(load_pieces)(v + (r + i) * n + c, (ptrdiff_t)(PIECE * n));
            F(transpose_lanes)(p);
            acc = FA_PS(add)(acc, p[0]);
            if (n - c > 1) acc = FA_PS(add)(acc, p[1]);
            if (n - c > 2) acc = FA_PS(add)(acc, p[2]);
            if (n - c > 3) acc = FA_PS(add)(acc, p[3]);
            if ((c + PIECE) % GROUP == 0 || n - c <= PIECE) {
                low = FA_PD(add)(low, FA_LOW_DOUBLES(acc));
                high = FA_PD(add)(high, FA_HIGH_DOUBLES(acc));
                acc = FA_PS(setzero)();
            }
        }
        FA_PD(storeu)(sum + r, low);
        FA_PD(storeu)(sum + r + FA_FLOATS / 2, high);
    }
}

/* True where a row has no maximum or an infinite one: its sum says nothing. */
FA_INLINE FA_TRUE F(short_no_sum)(const F(short_group) *g, size_t r)
{
    return FA_EITHER(FA_IS_ZERO(FA_LOAD_INTS(g->maxima + r)), FA_SAME(FA_PS(loadu)(g->m + r), FA_PS(set1)(REAL_INF)));
}

/* A function of its own: within those for other shapes gcc keeps half of what is here in memory (softmax 95 -> 120 ns a group). */
#define FA_SHORT_KERNEL(name, of, run) \
    FA_SHARED void F(name##_short)(const of *job, ptrdiff_t begin, ptrdiff_t end) { run; }
/* Returns with `run` done if a job's rows are taken this way. */
#define FA_IF_SHORT(also, run)                                                          \
    if ((also) && job->inner == 1 && job->cols >= PIECE && job->cols <= FA_SHORT) {     \
        run;                                                                            \
        return;                                                                         \
    }
/* The same of a job whose blocks of columns hold all classes, not across, in scratch p. */
#define FA_PANELS_KERNEL(name, of, run) \
    FA_SHARED void F(name##_panels)(const of *job, ptrdiff_t begin, ptrdiff_t end, REAL *p, size_t capacity) { (void)capacity; run; }
#define FA_IF_PANELS(also, capacity, run)                                               \
    if ((also) && !fa_columns_across(job->cols, job->inner, sizeof(REAL))               \
        && job->cols * fa_columns_width(job->outer, job->cols, job->inner, sizeof(REAL), job->wide != NULL) <= (capacity)) { \
        run;                                                                            \
        return;                                                                         \
    }
#else
#define SHORT_ROWS 0
#define FA_SHORT_KERNEL(name, of, run)
#define FA_PANELS_KERNEL(name, of, run)
#define FA_IF_PANELS(also, capacity, run)
#define FA_IF_SHORT(also, run)
#endif
