/* xent.h (template): cross-entropy of rows, alone and with its gradient, with every option at once.
 *
 * With d_c = (x_c - max)/T, rest the sum of exp(d) over all but one maximum, L = log1p(rest), S = 1 + rest, p_c = exp(d_c)/S:
 *   loss   = sum_c a_c (L - d_c) = A L - D + lab (L - d_t)
 *   grad_c = k (A p_c - a_c), k = scale*sample_weight/T
 * where `lab` is the weight of the label and A, D sum the rest of the target ("dense": probabilities, smoothing).
 * At the label p_t - 1 = -(sum of the others)/S: no cancellation when the label dominates.
 *
 * Bytes per element from memory: the loss alone reads 1 (probability targets: 2) and stores no probability; with the
 * gradient the row is read once, its exponentials are kept in the gradient's row, in cache, and finished there: read 1, write 1
 * (and the gradient's lines read before, unless they are stored past the caches: see `leaving`).
 */

/* grad_c = e_c p_scale - k a_c, of n classes from `first` on */
FA_SHARED void F(dense_gradient)(const fa_xent_job *job, size_t row, const REAL *e, REAL *grad, size_t first, size_t n, REAL u,
                                 REAL p_scale, REAL k)
{
    REAL a[SPAN];
    for (size_t i = 0; i < n; i += SPAN) {
        const size_t count = n - i < SPAN ? n - i : SPAN;
        F(dense_span)(a, job, row, first + i, u);
        for (size_t j = 0; j < count; j++) grad[i + j] = FMA(-k, a[j], e[i + j] * p_scale);
    }
}

/* Focal loss w q^g nll with q = 1 - p, and the weight that makes its gradient the one of cross-entropy:
 * w q^g (1 + g p nll/q). log q = -log1p(p/q). */
static void F(focal)(double gamma, F(samples) *s, const double *e, const double *others, const double *nll)
{
    double power[LANES];
    if (gamma == 0.0 || gamma == 1.0 || gamma == 2.0)
        LANE(LANES) {
            const double q = others[j] / (e[j] + others[j]), square = gamma == 2.0 ? q * q : q;
            power[j] = gamma == 0.0 ? 1.0 : square;
        }
    else
        LANE(LANES) power[j] = exp_f64(-gamma * log1p_f64(e[j] / others[j]));
    LANE(LANES) {
        const double all = e[j] + others[j], p = e[j] / all, q = others[j] / all, steep = q == 0.0 ? 1.0 : p * nll[j] / q;
        const double slope = p == 0.0 ? 0.0 : steep, w = s->lab[j] * power[j];
        s->lab[j] = w * (1.0 + gamma * slope);
        s->loss[j] = share_f64(w, nll[j], nll[j]);
    }
}

/* From the sums of samples to their losses and what finishes their gradients: grad_c = e_c p_scale - k a_c, but at_label[] at
 * the label. Its exponential is one of REAL, as all in the sum it is taken from; one division serves float32. */
FA_INLINE void F(sample_losses)(const fa_xent_job *job, F(samples) *s, const int general, const int with_grad)
{
    const int focal = general && job->focal, dense = general && (job->target || job->smoothing != 0.0);
    double L[LANES], e[LANES], others[LANES], nll[LANES];
    const F(temperature) one = {C(1.0), C(0.0)};
    REAL d[LANES], p[LANES];
    F(logs_of_sums)(L, s->rest, LANES);
    LANE(LANES) {
        L[j] = s->maxima[j] == 0.0 ? (double)REAL_NAN : L[j];
        nll[j] = L[j] - s->d[j];
    }
    if (with_grad || focal) {
        LANE(LANES) d[j] = (REAL)s->d[j];
        F(exp_lanes)(p, d, LANES, one, 0);
        LANE(LANES) e[j] = (double)p[j];
        LANE(LANES) others[j] = s->d[j] == 0.0 ? s->rest[j] : (1.0 + s->rest[j]) - e[j];
    }
    if (focal)
        F(focal)(job->gamma, s, e, others, nll);
    else
        LANE(LANES) s->loss[j] = (dense ? s->a[j] * L[j] - s->ad[j] : 0.0) + (job->labels ? share_f64(s->lab[j], nll[j], L[j]) : 0.0);
    LANE(LANES) s->loss[j] = s->counts[j] ? s->loss[j] * s->weight[j] : 0.0;
    if (!with_grad)
        return;
    LANE(LANES) {
        const double all = 1.0 + s->rest[j], by = 1.0 / all;
        (void)by;                                       /* float64 divides each: one rounding less */
        const double k = job->scale * s->weight[j] / (general ? job->temperature : 1.0);
        double at_label = -k * s->lab[j] * K(others[j] * by, others[j] / all);
        if (dense)
            at_label += k * (s->a[j] * K(e[j] * by, e[j] / all) - s->at_dense[j]);
        const double part = k * ((dense ? s->a[j] : 0.0) + s->lab[j]);
        s->k[j] = k;
        s->p_scale[j] = L[j] == L[j] ? K(part * by, part / all) : L[j];
        s->at_label[j] = L[j] == L[j] ? at_label : L[j];
    }
}

/* The gradient of row r of samples s, which is `row` of all, from its exponentials: n classes from `first` on. */
FA_INLINE void F(finish_gradient)(const fa_xent_job *job, const F(samples) *s, size_t r, size_t row, const REAL *e, REAL *grad, size_t first,
                                  size_t n, const int general)
{
    const REAL p_scale = (REAL)s->p_scale[r];
    if (!s->counts[r] || job->scale == 0.0) {
        memset(grad, 0, n * sizeof(REAL));
        return;
    }
    if (general && (job->target || job->smoothing != 0.0))
        F(dense_gradient)(job, row, e, grad, first, n, (REAL)s->u[r], p_scale, (REAL)s->k[r]);
    else
        LANE(n) grad[j] = e[j] * p_scale;
    if (job->labels && (size_t)s->label[r] - first < n)
        grad[(size_t)s->label[r] - first] = (REAL)s->at_label[r];
    if (general && job->where)
        F(fill_masked)(grad, job->where + row * job->cols + first, n, C(0.0));
}

/* A long row's gradient on its way past the caches. Its exponentials stay in scratch until those of the next row, chunk by chunk,
 * take their place: before each chunk a part of the gradient is finished and stored. So stores and arithmetic overlap: of
 * 1024 x 32000 float32, two threads, about 9.2 -> 6.5 ms, while storing a row at once, or computing the exponentials again instead
 * of keeping them, gained a third of that. Scratch is aligned: stores across lines behind these took 1.5 ms. Shorter rows, whose ends
 * share lines, lose (500 classes: 10.1 -> 12.3 ms), and so do rows of which L2 does not hold two (256 000: 6.4 -> 7.9). */
typedef struct {
    REAL *e;                    /* of the row that leaves; NULL if gradients are finished where they lie */
    size_t row, done;           /* of its `cols` classes, `done` have left: all if there is no row */
    F(samples) s;
} F(leaving);

/* Up to class `stop`, or to where its line of memory ends. */
FA_SHARED void F(leave)(const fa_xent_job *job, F(leaving) *l, size_t stop, const int general)
{
    REAL buffer[FA_PART_BYTES / sizeof(REAL)] __attribute__((aligned(64))), *grad = SAMPLE(grad, l->row);
    stop = fa_line_end(grad, stop, job->cols, sizeof(REAL));
    for (size_t count; l->done < stop; l->done += count) {
        count = fa_class_part(grad + l->done, stop - l->done, sizeof(REAL));
        F(finish_gradient)(job, &l->s, 0, l->row, l->e + l->done, buffer, l->done, count, general);
        stream_any((char *)(grad + l->done), (char *)buffer, count * sizeof(REAL));
    }
}

FA_INLINE void F(cross_entropy_units)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, const int general, const int with_grad)
{
    const size_t n = job->cols, group = job->unit_rows, chunk = fa_chunk_length(n, sizeof(REAL));
    const F(temperature) t = F(temperature_of)(job->temperature);
    const int dense = general && (job->target || job->smoothing != 0.0);
    char *scratch = with_grad && fa_rows_leave(job->stream, group, n * sizeof(REAL)) ? malloc(n * sizeof(REAL) + 64) : NULL;
    F(leaving) before;
    if (with_grad)
        memset(&before, 0, sizeof before);
    before.e = scratch ? (REAL *)(scratch + (-(size_t)scratch & 63)) : NULL;
    before.done = n;
    /* Beside a row's exponentials the maxima of the next one are found, of the chunks and of the row (exp_sum.h). What is fetched has
     * to be ahead of these: 1024x32000, two threads, without gradient 4.1 -> 3.0 ms (512 elements 5.0), with 6.7 -> 5.7 (10). */
    const int peek = TABLE && !general;
    const size_t ahead = peek ? n + FA_PEEK_BYTES / sizeof(REAL) : group * n * sizeof(REAL) <= FA_AHEAD_BYTES ? group * n : 0;
    const size_t last = (size_t)end * group < job->outer ? (size_t)end * group : job->outer;
    REAL top[FA_CHUNKS], next_m = C(0.0);
    int known = 0;
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        const size_t row = (size_t)unit * group, rows = job->outer - row < group ? job->outer - row : group;
        const fa_group g = fa_group_of_rows(row, rows, n);
        F(samples) s;
        F(describe)(job, &g, &s);
        LANE(LANES) s.rest[j] = s.maxima[j] = 1.0;
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *keep = general && job->where ? job->where + (row + r) * n : NULL;
            const REAL *x = SAMPLE(x, row + r);
            double sum[2];
            if (!s.counts[r]) {
                known = 0;
                continue;
            }
            if (!known)
                next_m = F(row_max)(x, keep, n, chunk, top);
            const REAL m = next_m;
            next_m = -REAL_MOST;
            known = peek;
            if (job->labels) {
                const double d = (double)x[s.label[r]] - (double)m;
                s.d[r] = !general ? d : keep && !keep[s.label[r]] ? -(double)REAL_INF : d / job->temperature;
            }
            if (dense) {
                double sums[2];
                s.u[r] = job->smoothing / (double)(keep ? F(kept)(keep, n) : n);
                F(dense_sums)(job, row + r, x, 0, n, m, t, (REAL)s.u[r], sums, F(LOGITS));
                s.a[r] = sums[0];
                s.ad[r] = sums[1];
                if (job->labels)
                    s.at_dense[r] = F(dense_at)(job, s.label[r], s.u[r]);
            }
            REAL *e = !with_grad ? NULL : scratch ? before.e : SAMPLE(grad, row + r);
            F(row_sums) of = {0.0, 0.0, 0.0};
            const REAL *next = row + r + 1 < last ? x + n : x;
            for (size_t i = 0, c = 0; i < n; i += chunk, c++) {
                if (with_grad && scratch)
                    F(leave)(job, &before, n - i < chunk ? n : i + chunk, general);
                F(row_add)(&of, x, keep, e, n, chunk, i, m, top[c], t, general, with_grad, 1, ahead, next + i, peek ? top + c : NULL);
                next_m = F(larger)(next_m, top[c]);
            }
            F(row_total)(sum, &of);
            s.rest[r] = sum[0];
            s.maxima[r] = m == REAL_INF ? 0.0 : sum[1];
        }
        F(sample_losses)(job, &s, general, with_grad);
        job->partial[unit] = F(store_losses)(job, &g, s.loss);
        if (with_grad && scratch) {
            F(leave)(job, &before, n, general);         /* what is left if this row does not count */
            before.row = row;
            before.done = 0;
            before.s = s;
        } else if (with_grad)
            for (size_t r = 0; r < rows; r++)
                F(finish_gradient)(job, &s, r, row + r, SAMPLE(grad, row + r), SAMPLE(grad, row + r), 0, n, general);
    }
    if (with_grad && scratch) {
        F(leave)(job, &before, n, general);
        stream_end();
        free(scratch);
    }
}

/* n classes from `first` on, from the exponentials or (`again`) from x. The label is found by a comparison with every class: stores
 * to where a vector is read next make it wait (16 rows of 10: 190 -> 180 ns). */
FA_INLINE void F(cross_entropy_panel)(REAL *p, const REAL *a, size_t first, size_t n, size_t width, const fa_xent_job *job,
                                      const F(samples) *s, const REAL *m, F(temperature) t, const int dense, const int again)
{
    const INT finite = job->scale != 0.0;
    REAL p_scale[LANES], k[LANES], at_label[LANES];
    INT counts[LANES], label[LANES], c = (INT)first;
    LANE(LANES) p_scale[j] = (REAL)s->p_scale[j];       /* a loop each: together gcc makes scalar code, 17 ns */
    LANE(LANES) k[j] = (REAL)s->k[j];
    LANE(LANES) at_label[j] = (REAL)s->at_label[j];
    LANE(LANES) counts[j] = (INT)s->counts[j] & finite;
    LANE(LANES) label[j] = job->labels ? (INT)s->label[j] : -1;
    for (; n; n--, c++, p += width, a += width) {
        if (again) {
            REAL d[LANES];
            LANE(LANES) d[j] = p[j] - m[j];
            F(exp_lanes)(p, d, LANES, t, 1);
        }
        LANE(LANES) {
            const REAL v = p[j] * p_scale[j], rest = dense ? FMA(-k[j], a[j], v) : v, of = label[j] == c ? at_label[j] : rest;
            p[j] = counts[j] ? of : C(0.0);
        }
    }
}

/* (x - max)/T of the labels of a group. Read from the panel p, if it has all classes: classes a power of two apart have left
 * the caches by now. */
FA_INLINE void F(label_logits)(const fa_xent_job *job, const fa_group *g, F(samples) *s, const REAL *p, size_t width, const REAL *m,
                               const int general)
{
    REAL logit[LANES];
    if (p)
        for (size_t r = 0; r < LANES; r++) logit[r] = p[(size_t)s->label[r] * width + r];
    else
        F(read_at_labels)(job, g, s, logit);
    LANE(LANES) {
        const double d = (double)logit[j] - (double)m[j];
        s->d[j] = general ? d / job->temperature : d;
    }
    if (general && job->where && !p)
        for (size_t r = 0; r < g->count; r++)
            if (!job->where[F(label_at)(job, g, s, r)]) s->d[r] = -(double)REAL_INF;
}

/* What is known of a group of columns in scratch. */
typedef struct {
    F(samples) s;
    F(panel_sums) sums;
    fa_group g;
    fa_columns b;
    REAL *p, *a, *kept;
    double *partial;
} F(lot);

/* By lots of several groups, each phase over all of them, so that the latencies of one hide behind another. Of a group of 16 rows of 10
 * float32 with gradient (about 170 ns) exponentials and their sums take 18 %, losses from the sums 13, transposing in 12 and out 11, labels
 * and weights 7. Fetching the gradient's lines for writing where the logits are read gained nothing. */
FA_INLINE void F(cross_entropy_columns)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, const int general, const int with_grad,
                                        REAL *p, REAL *a, REAL *kept, size_t capacity)
{
    const size_t n = job->cols;
    const ptrdiff_t stride = (ptrdiff_t)(n * job->inner);
    const uint8_t *where = general ? job->where : NULL;
    const F(temperature) t = F(temperature_of)(job->temperature);
    const int dense = general && (job->target || job->smoothing != 0.0);
    F(lot) lots[LOTS];
    for (ptrdiff_t unit = begin, units; unit < end; unit += units) {
        fa_columns b[LOTS] = {fa_class_columns(job, sizeof(REAL), (size_t)unit)};
        size_t groups, part;
        int whole;
        for (units = 1; units < (ptrdiff_t)LOTS && unit + units < end; units++) {      /* blocks of one group each, or one block */
            b[units] = fa_class_columns(job, sizeof(REAL), (size_t)(unit + units));
            if (b[0].width != LANES || b[units].width != LANES || (size_t)(units + 1) * n * LANES > capacity)
                break;
        }
        part = F(columns_part)(&b[0], n, capacity);
        whole = part == n;
        const int spread = whole && (b[0].across || units == 1);
        fa_ahead ahead[2] = {F(columns_ahead)(&b[0], job->x, stride, spread, p), F(columns_ahead)(&b[0], job->target, stride, spread, p)};
        for (ptrdiff_t u = 0; u < units; u++) {
            const size_t at = (size_t)u * n * LANES;
            job->partial[unit + u] = 0.0;
            if (whole)
                F(classes_in)(job, &b[u], 0, n, p + at, dense ? a + at : NULL, dense ? kept + at : NULL, general);
        }
        groups = units > 1 ? (size_t)units : b[0].width / LANES;
        for (size_t first = 0; first < groups; first += LOTS) {
            const size_t count_lots = groups - first < LOTS ? groups - first : LOTS;
            for (F(lot) *l = lots; l < lots + count_lots; l++) {
                const size_t i = first + (size_t)(l - lots), k = units > 1 ? 0 : i * LANES, at = units > 1 ? i * n * LANES : k;
                l->b = b[units > 1 ? i : 0];
                l->g = fa_group_of_columns(&l->b, k, n, LANES);
                l->p = p + at, l->a = a + at, l->kept = kept + at;
                l->partial = job->partial + unit + (units > 1 ? (ptrdiff_t)i : 0);
                F(describe)(job, &l->g, &l->s);
                F(panel_start)(&l->sums);
                PARTS(part) {
                    if (!whole)
                        F(classes_in)(job, &l->b, c, count, p, NULL, NULL, general);
                    F(panel_max)(l->p, count, l->b.width, &l->sums);
                }
                if (job->labels)
                    F(label_logits)(job, &l->g, &l->s, whole ? l->p : NULL, l->b.width, l->sums.m, general);
            }
            if (dense)
                for (F(lot) *l = lots; l < lots + count_lots; l++) {
                    F(panel_sums) sum_a, sum_ad;
                    F(panel_start)(&sum_a);
                    F(panel_start)(&sum_ad);
                    F(columns_smoothing)(job, &l->b, l->kept, part, &l->s);
                    PARTS(part) {
                        if (!whole)
                            F(classes_in)(job, &l->b, c, count, p, a, kept, general);
                        F(dense_panel)(l->a, l->kept, job, c, count, l->b.width, &l->s);
                        F(dense_panel_sums)(l->a, l->p, count, l->b.width, l->sums.m, t, &sum_a, &sum_ad, F(LOGITS), ahead + 1, 1);
                    }
                    F(panel_end)(&sum_a);
                    F(panel_end)(&sum_ad);
                    LANE(LANES) l->s.a[j] = sum_a.sums.total[j];
                    LANE(LANES) l->s.ad[j] = sum_ad.sums.total[j];
                    if (job->labels)
                        for (size_t r = 0; r < l->g.count; r++) l->s.at_dense[r] = F(dense_at)(job, l->s.label[r], l->s.u[r]);
                }
            for (F(lot) *l = lots; l < lots + count_lots; l++) {
                PARTS(part) {
                    if (!whole)
                        F(classes_in)(job, &l->b, c, count, p, NULL, NULL, general);
                    F(panel_sum)(l->p, count, l->b.width, t, general, with_grad, 1, &l->sums, ahead);
                }
                F(panel_end)(&l->sums);
                LANE(LANES) l->s.rest[j] = l->sums.sums.total[j];
                LANE(LANES) l->s.maxima[j] = l->sums.m[j] == REAL_INF ? 0.0 : l->sums.maxima[j];
            }
            for (F(lot) *l = lots; l < lots + count_lots; l++) {
                F(sample_losses)(job, &l->s, general, with_grad);
                *l->partial += F(store_losses)(job, &l->g, l->s.loss);
            }
            if (with_grad)
                for (F(lot) *l = lots; l < lots + count_lots; l++)
                    PARTS(part) {
                        if (!whole) {
                            F(classes_in)(job, &l->b, c, count, p, dense ? a : NULL, dense ? kept : NULL, general);
                            if (dense)
                                F(dense_panel)(a, kept, job, c, count, l->b.width, &l->s);
                            F(cross_entropy_panel)(p, a, c, count, l->b.width, job, &l->s, l->sums.m, t, dense, 1);
                        } else
                            F(cross_entropy_panel)(l->p, l->a, c, count, l->b.width, job, &l->s, l->sums.m, t, dense, 0);
                        if (!whole)
                            F(columns_out)(p, job->grad, stride, where, stride, &l->b, c, count, C(0.0));
                    }
        }
        if (whole && with_grad)
            for (ptrdiff_t u = 0, at = 0; u < units; u++, at += (ptrdiff_t)(n * LANES))
                F(columns_out)(p + at, job->grad, stride, where, stride, &b[u], 0, n, C(0.0));
    }
    if (with_grad && job->stream)
        stream_end();
}

static inline int F(plain)(const fa_xent_job *job)
{
    return job->labels && !job->where && job->temperature == 1.0 && job->smoothing == 0.0 && !job->focal;
}

#undef CROSS_ENTROPY_KERNEL
#define CROSS_ENTROPY_KERNEL(name, with_grad)                                           \
    FA_SHORT_KERNEL(name, fa_xent_job, F(short_cross_entropy)(job, begin, end, with_grad)) \
    FA_PANELS_KERNEL(name, fa_xent_job, F(panel_cross_entropy)(job, begin, end, ALIGNED(p), with_grad)) \
    FA_SHARED void F(name##_by_columns)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, REAL *p, REAL *a, REAL *kept, size_t capacity) \
    {                                                                                   \
        FA_IF_PANELS(F(plain)(job) && !job->weight && !job->sample_weight, capacity, F(name##_panels)(job, begin, end, p, capacity)) \
        if (F(plain)(job))                                                              \
            F(cross_entropy_columns)(job, begin, end, 0, with_grad, ALIGNED(p), NULL, NULL, capacity); \
        else                                                                            \
            F(cross_entropy_columns)(job, begin, end, 1, with_grad, ALIGNED(p), ALIGNED(a), ALIGNED(kept), capacity); \
    }                                                                                   \
    ROWS(name)                                                                          \
    {                                                                                   \
        const fa_xent_job *job = job_;                                                  \
        FA_IF_SHORT(F(plain)(job) && !job->weight && !job->sample_weight, F(name##_short)(job, begin, end)) \
        if (job->wide) {                                                                \
            void *slice = fa_wide_slice(job->wide);                                     \
            F(name##_by_columns)(job, begin, end, WIDE_TENSOR(slice, 0), WIDE_TENSOR(slice, 1), WIDE_TENSOR(slice, 2), WIDE_CAPACITY); \
        } else if (fa_class_by_columns(job, FA_ROWS_##name)) {                          \
            REAL p[COLUMNS_CAPACITY] __attribute__((aligned(64))), a[COLUMNS_CAPACITY] __attribute__((aligned(64))); \
            REAL kept[COLUMNS_CAPACITY] __attribute__((aligned(64)));                   \
            F(name##_by_columns)(job, begin, end, p, a, kept, COLUMNS_CAPACITY);        \
        } else if (F(plain)(job))                                                       \
            F(cross_entropy_units)(job, begin, end, 0, with_grad);                      \
        else                                                                            \
            F(cross_entropy_units)(job, begin, end, 1, with_grad);                      \
    }
CROSS_ENTROPY_KERNEL(cross_entropy, 0)
CROSS_ENTROPY_KERNEL(cross_entropy_with_grad, 1)
