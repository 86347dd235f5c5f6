/* class_columns.h (template): the dense target of classes.h by blocks of columns (columns.h), for short rows and class axes that
 * are not the last. More classes than the scratch holds are taken in parts, each read again in every phase. */

/* Walks the classes of a block: `part` of them at a time, from c on. */
#undef PARTS
#define PARTS(part) for (size_t c = 0, count; count = job->cols - c < (part) ? job->cols - c : (part), c < job->cols; c += (part))

/* 1 for what is kept, 0 for what is masked. */
static void F(columns_kept)(REAL *to, const uint8_t *keep, ptrdiff_t stride, const fa_columns *b, size_t c, size_t n)
{
    keep += F(columns_at)(b, stride, c);
    memset(to, 0, n * b->width * sizeof(REAL));
    if (b->across)
        for (size_t r = 0; r < b->count; r++, keep += stride)
            for (size_t i = 0; i < n * b->inner; i++) to[i * LANES + r] = keep[i] ? C(1.0) : C(0.0);
    else
        for (; n; n--, to += b->width, keep += b->inner)
            LANE(b->count) to[j] = keep[j] ? C(1.0) : C(0.0);
}

/* Classes of a block to scratch; a, kept: NULL without a dense target. */
FA_INLINE void F(classes_in)(const fa_xent_job *job, const fa_columns *b, size_t c, size_t n, REAL *x, REAL *a, REAL *kept,
                             const int general)
{
    const ptrdiff_t stride = (ptrdiff_t)(job->cols * job->inner);
    F(columns_in)(x, job->x, stride, general ? job->where : NULL, stride, b, c, n);
    if (a && job->target)
        F(columns_in)(a, job->target, stride, NULL, 0, b, c, n);
    if (kept && job->where)
        F(columns_kept)(kept, job->where, stride, b, c, n);
}

/* smoothing/C of a group's samples, C the classes that are not masked; kept: of all classes if they fit, else it is read. */
static void F(columns_smoothing)(const fa_xent_job *job, const fa_columns *b, REAL *kept, size_t part, F(samples) *s)
{
    F(panel_sums) classes;
    F(panel_start)(&classes);
    if (job->where)
        PARTS(part) {
            if (part < job->cols)
                F(columns_kept)(kept, job->where, (ptrdiff_t)(job->cols * job->inner), b, c, count);
            F(panel_dot)(kept, NULL, count, b->width, &classes);
        }
    F(panel_end)(&classes);
    for (size_t r = 0; r < s->count; r++) s->u[r] = job->smoothing / (job->where ? classes.sums.total[r] : (double)job->cols);
}

/* The dense target of n classes from c on, over what it is made of (see dense_span). */
FA_INLINE void F(dense_panel)(REAL *a, const REAL *kept, const fa_xent_job *job, size_t c, size_t n, size_t width, const F(samples) *s)
{
    const REAL left = (REAL)(1.0 - job->smoothing);
    REAL u[LANES];
    LANE(LANES) u[j] = (REAL)s->u[j];
    for (; n; n--, c++, a += width, kept += width) {
        const REAL weight = job->weight ? ((const REAL *)job->weight)[c] : C(1.0);
        if (!job->target)
            LANE(LANES) a[j] = u[j];
        else if (job->smoothing != 0.0)
            LANE(LANES) a[j] = FMA(a[j], left, u[j]);
        if (job->weight)
            LANE(LANES) a[j] *= weight;
        if (job->where)
            LANE(LANES) a[j] = kept[j] != C(0.0) ? a[j] : C(0.0);
    }
}

/* dense_sums of n classes. As many lines of `tensors` tensors are fetched. */
FA_INLINE void F(dense_panel_sums)(const REAL *a, const REAL *x, size_t n, size_t width, const REAL *m, F(temperature) t,
                                   F(panel_sums) *sum_a, F(panel_sums) *sum_ad, const int given, fa_ahead *ahead, size_t tensors)
{
    for (size_t at = 0; n;) {
        size_t left = n < GROUP ? n : GROUP;
        REAL acc_a[LANES], acc_ad[LANES];
        n -= left;
        for (size_t i = 0; i < tensors; i++) fa_fetch_lines(ahead + i, left);
        LANE(LANES) acc_a[j] = acc_ad[j] = C(0.0);
        if (given != F(LOGITS)) {
            F(add_shares)(acc_ad, a + at, x + at, LANES, left, width, given);
            at += left * width;
        } else
            for (; left; left--, at += width)
                LANE(LANES) {
                    acc_a[j] += a[at + j];
                    acc_ad[j] += F(share)(a[at + j], F(over)(x[at + j] - m[j], t), C(0.0));
                }
        F(lanes_add)(&sum_a->sums, acc_a);
        F(lanes_add)(&sum_ad->sums, acc_ad);
    }
}

/* The labels' elements among n classes from c on: v of the samples that count. */
FA_INLINE void F(labels_out)(REAL *p, const F(samples) *s, const double *v, size_t c, size_t n, size_t width)
{
    for (size_t r = 0; r < s->count; r++)
        if (s->counts[r] && (size_t)s->label[r] - c < n) p[((size_t)s->label[r] - c) * width + r] = (REAL)v[r];
}
