/* nll.h (template): losses of log-probabilities and of probabilities, which need no softmax, and divergences of these.
 *
 *   loss = sum_c a_c (-log p_c), of a divergence sum_c a_c log(a_c/p_c);   grad_c = -k a_c, of probabilities -k a_c/p_c
 *
 * With labels alone a sample reads one number, and its gradient is one number among zeros. Bytes per element from memory
 * otherwise: read 1, with targets 2; the gradient writes 1.
 */

/* -k a_c, over p_c where probabilities are given; 0/0 = 0 */
FA_INLINE REAL F(nll_slope)(REAL a, REAL p, REAL k, const int given)
{
    return given == F(LOG_PROBS) ? C(0.0) - k * a : a == C(0.0) && p == p ? C(0.0) : -(k * a) / p;
}

/* Sets what a sample's gradient has at its label to v, if that is one of the n classes from `first` on. */
FA_INLINE void F(put_label)(const fa_xent_job *job, const F(samples) *s, size_t r, REAL *grad, size_t first, size_t n, REAL v)
{
    if (job->labels && s->counts[r] && job->scale != 0.0 && (size_t)s->label[r] - first < n)
        grad[(size_t)s->label[r] - first] = v;
}

/* The gradient of row r of samples s, which is `row` of all: n classes from `first` on. */
FA_SHARED void F(nll_gradient)(const fa_xent_job *job, const F(samples) *s, size_t r, size_t row, REAL *grad, size_t first, size_t n,
                               const int dense, const int given)
{
    if (!dense || !s->counts[r] || job->scale == 0.0)
        memset(grad, 0, n * sizeof(REAL));
    else
        for (size_t i = 0; i < n; i += SPAN) {
            const size_t count = n - i < SPAN ? n - i : SPAN;
            REAL a[SPAN], buf[SPAN];
            const REAL *x = F(span)(buf, SAMPLE(x, row) + first, NULL, i, n);
            F(dense_span)(a, job, row, first + i, (REAL)s->u[r]);
            LANE(SPAN) a[j] = F(nll_slope)(a[j], x[j], (REAL)s->k[r], given);
            F(unpadded)(grad + i, a, count);
        }
    F(put_label)(job, s, r, grad, first, n, (REAL)s->at_label[r]);
}

/* What is known of the samples of a group, and what they have at their labels; inner: 1 in rows. */
FA_INLINE void F(nll_describe)(const fa_xent_job *job, const fa_group *g, F(samples) *s, size_t inner)
{
    const REAL *x = (const REAL *)job->x + g->at;
    const size_t apart = g->apart;
    F(describe)(job, g, s);
    if (!job->labels)
        LANE(LANES) s->d[j] = 1.0;
    else if (g->count == LANES)
        LANE(LANES) s->d[j] = (double)x[j * apart + (size_t)s->label[j] * inner];
    else
        for (size_t r = 0; r < g->count; r++) s->d[r] = (double)x[r * apart + (size_t)s->label[r] * inner];
}

/* The losses of samples from the sums over the dense target, and what their gradients take: k, and all of it at the label. */
FA_INLINE void F(nll_losses)(const fa_xent_job *job, const fa_group *g, F(samples) *s, const int dense, const int with_grad,
                             const int given)
{
    LANE(LANES) s->d[j] = s->counts[j] ? s->d[j] : 1.0;
    if (dense && job->labels)
        for (size_t r = 0; r < g->count; r++) s->at_dense[r] = F(dense_at)(job, s->label[r], s->u[r]);
    LANE(LANES) {
        const double d = s->d[j], nll = given == F(LOG_PROBS) ? -d : -log_f64(d), a = s->lab[j] + (dense ? s->at_dense[j] : 0.0);
        const double loss = s->weight[j] * ((dense ? s->ad[j] : 0.0) + share_f64(s->lab[j], nll, d));
        s->loss[j] = s->counts[j] ? loss : 0.0;
        if (with_grad) {
            const double slope = given == F(LOG_PROBS) ? 0.0 - job->scale * s->weight[j] * a : -(job->scale * s->weight[j] * a) / d;
            s->k[j] = job->scale * s->weight[j];
            s->at_label[j] = given != F(LOG_PROBS) && a == 0.0 && d == d ? 0.0 : slope;
        }
    }
}

/* The losses of units whose samples all have weight 1: what F(nll_losses) gives of log-probabilities, without a description of each
 * sample: FA_LABEL_BLOCK reads are under way together (1024 labels, a thread: 2.7 -> 1.2 us). */
static void F(nll_of_labels)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end)
{
    const fa_xent_job of = *job;
    for (ptrdiff_t unit = begin; unit < end; unit += FA_LABEL_BLOCK / (ptrdiff_t)LANES) {
        const size_t first = (size_t)unit * LANES, stop = (size_t)end * LANES < of.outer ? (size_t)end * LANES : of.outer;
        const size_t count = stop - first < FA_LABEL_BLOCK ? stop - first : FA_LABEL_BLOCK;
        const REAL *x = (const REAL *)of.x + first * of.cols;
        int64_t label[FA_LABEL_BLOCK], counts[FA_LABEL_BLOCK];
        REAL v[FA_LABEL_BLOCK];
        double loss[FA_LABEL_BLOCK];
        if (count == FA_LABEL_BLOCK)
            fa_read_labels(job, first, 1, FA_LABEL_BLOCK, label);
        else {
            LANE(FA_LABEL_BLOCK) label[j] = -1;
            LANE(FA_LABEL_BLOCK) v[j] = C(0.0);
            fa_read_labels(job, first, 1, count, label);
        }
        LANE(FA_LABEL_BLOCK) {
            counts[j] = (int64_t)j < (int64_t)count ? fa_counts(label[j], of.cols, of.ignores, of.ignore) : 0;
            label[j] = counts[j] ? label[j] : 0;
        }
        for (size_t r = 0; r < count; r++) v[r] = x[r * of.cols + (size_t)label[r]];
        LANE(FA_LABEL_BLOCK) loss[j] = counts[j] ? 0.0 - (double)v[j] : 0.0;
        for (size_t r = 0; r < count; r += LANES) {
            const fa_group g = fa_group_of_rows(first + r, count - r < LANES ? count - r : LANES, of.cols);
            job->partial[unit + (ptrdiff_t)(r / LANES)] = F(store_losses)(job, &g, loss + r);
        }
    }
}

FA_INLINE void F(nll_units)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, const int dense, const int with_grad, const int given)
{
    const size_t n = job->cols, group = job->unit_rows;
    const F(temperature) t = F(temperature_of)(1.0);
    const int leaves = with_grad && job->stream && n * sizeof(REAL) >= FA_PART_BYTES;
    REAL buffer[FA_PART_BYTES / sizeof(REAL)] __attribute__((aligned(64)));
    F(samples) lots[LOTS];
    if (leaves && !dense)
        memset(buffer, 0, sizeof buffer);
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        const ptrdiff_t lot = (unit - begin) % (ptrdiff_t)LOTS;
        const size_t row = (size_t)unit * group, rows = job->outer - row < group ? job->outer - row : group;
        const fa_group g = fa_group_of_rows(row, rows, n);
        F(samples) *s = lots + lot;
        if (!lot)                           /* of several groups, so that their reads wait together: 1024 labels 4.4 -> 3.9 us */
            for (ptrdiff_t u = 0; u < (ptrdiff_t)LOTS && unit + u < end; u++) {
                const size_t first = row + (size_t)u * group, count = job->outer - first < group ? job->outer - first : group;
                const fa_group of = fa_group_of_rows(first, count, n);
                F(nll_describe)(job, &of, lots + u, 1);
            }
        for (size_t r = 0; dense && r < rows; r++) {
            double sums[2];
            s->u[r] = job->smoothing / (double)n;
            if (s->counts[r])
                F(dense_sums)(job, row + r, SAMPLE(x, row + r), 0, n, C(0.0), t, (REAL)s->u[r], sums, given);
            s->ad[r] = s->counts[r] ? sums[1] : 0.0;
        }
        F(nll_losses)(job, &g, s, dense, with_grad, given);
        job->partial[unit] = F(store_losses)(job, &g, s->loss);
        for (size_t r = 0; with_grad && r < rows; r++) {
            REAL *grad = SAMPLE(grad, row + r);
            if (leaves)
                for (size_t i = 0, count; i < n; i += count) {
                    count = fa_class_part(grad + i, n - i, sizeof(REAL));
                    if (dense)
                        F(nll_gradient)(job, s, r, row + r, buffer, i, count, 1, given);
                    else                    /* zeros again and again: 1024x32000 on Zen 5 3.2 -> 1.4 ms */
                        F(put_label)(job, s, r, buffer, i, count, (REAL)s->at_label[r]);
                    stream_any((char *)(grad + i), (char *)buffer, count * sizeof(REAL));
                    if (!dense)
                        F(put_label)(job, s, r, buffer, i, count, C(0.0));
                }
            else
                F(nll_gradient)(job, s, r, row + r, grad, 0, n, dense, given);
        }
    }
    if (leaves)
        stream_end();
}

/* -k a of n classes, see nll_slope; without a dense target zeros. */
FA_INLINE void F(nll_panel)(REAL *p, const REAL *a, size_t n, size_t width, const fa_xent_job *job, const F(samples) *s, const int dense,
                            const int given)
{
    REAL k[LANES];
    INT counts[LANES];
    LANE(LANES) {
        k[j] = (REAL)s->k[j];
        counts[j] = dense && s->counts[j] && job->scale != 0.0;
    }
    for (; n; n--, p += width, a += width)
        LANE(LANES) p[j] = counts[j] ? F(nll_slope)(a[j], p[j], k[j], given) : C(0.0);
}

FA_INLINE void F(nll_columns)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, const int dense, const int with_grad, const int given,
                              REAL *p, REAL *a, size_t capacity)
{
    const size_t n = job->cols;
    const ptrdiff_t stride = (ptrdiff_t)(n * job->inner);
    const F(temperature) t = F(temperature_of)(1.0);
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        fa_columns b = fa_class_columns(job, sizeof(REAL), (size_t)unit);
        const size_t part = F(columns_part)(&b, n, capacity);
        const int whole = part == n;
        double total = 0.0;
        fa_ahead ahead[2] = {F(columns_ahead)(&b, job->x, stride, dense && whole, p), F(columns_ahead)(&b, job->target, stride, dense && whole, p)};
        if (dense && whole)
            F(classes_in)(job, &b, 0, n, p, a, NULL, 0);
        for (size_t k = 0; k < b.width; k += LANES) {       /* one group if there is more than one part */
            const fa_group g = fa_group_of_columns(&b, k, n, LANES);
            F(samples) s;
            F(nll_describe)(job, &g, &s, job->inner);
            if (dense) {
                F(panel_sums) sum_a, sum_ad;
                F(panel_start)(&sum_a);
                F(panel_start)(&sum_ad);
                F(columns_smoothing)(job, &b, NULL, part, &s);
                PARTS(part) {
                    if (!whole)
                        F(classes_in)(job, &b, c, count, p, a, NULL, 0);
                    F(dense_panel)(a + k, a + k, job, c, count, b.width, &s);
                    F(dense_panel_sums)(a + k, p + k, count, b.width, sum_a.m, t, &sum_a, &sum_ad, given, ahead, 2);
                }
                F(panel_end)(&sum_ad);
                LANE(LANES) s.ad[j] = sum_ad.sums.total[j];
            }
            F(nll_losses)(job, &g, &s, dense, with_grad, given);
            total += F(store_losses)(job, &g, s.loss);
            if (!with_grad)
                continue;
            PARTS(part) {
                if (dense && !whole) {
                    F(classes_in)(job, &b, c, count, p, a, NULL, 0);
                    F(dense_panel)(a, a, job, c, count, b.width, &s);
                }
                F(nll_panel)(p + k, a + k, count, b.width, job, &s, dense, given);
                if (job->labels && job->scale != 0.0)
                    F(labels_out)(p + k, &s, s.at_label, c, count, b.width);
                if (!whole)
                    F(columns_out)(p, job->grad, stride, NULL, 0, &b, c, count, C(0.0));
            }
        }
        if (whole && with_grad)
            F(columns_out)(p, job->grad, stride, NULL, 0, &b, 0, n, C(0.0));
        job->partial[unit] = total;
    }
    if (with_grad && job->stream)
        stream_end();
}

#undef NLL_KERNEL
#define NLL_KERNEL(name, with_grad, given)                                              \
    FA_SHARED void F(name##_by_columns)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, REAL *p, REAL *a, size_t capacity) \
    {                                                                                   \
        F(nll_columns)(job, begin, end, 1, with_grad, F(given), ALIGNED(p), ALIGNED(a), capacity); \
    }                                                                                   \
    ROWS(name)                                                                          \
    {                                                                                   \
        const fa_xent_job *job = job_;                                                  \
        const int dense = job->target || job->smoothing != 0.0;                         \
        FA_IF_SHORT(!with_grad && F(given) != F(LOG_PROBS) && job->target && !job->labels && job->smoothing == 0.0 && !job->weight \
                    && !job->sample_weight, F(short_dense)(job, begin, end, F(given)))  \
        if (job->wide) {                                                                \
            void *slice = fa_wide_slice(job->wide);                                     \
            F(name##_by_columns)(job, begin, end, WIDE_TENSOR(slice, 0), WIDE_TENSOR(slice, 1), WIDE_CAPACITY); \
        } else if (fa_class_by_columns(job, FA_ROWS_##name)) {                          \
            REAL p[COLUMNS_CAPACITY] __attribute__((aligned(64))), a[COLUMNS_CAPACITY] __attribute__((aligned(64))); \
            if (dense)                                                                  \
                F(name##_by_columns)(job, begin, end, p, a, COLUMNS_CAPACITY);          \
            else                                                                        \
                F(nll_columns)(job, begin, end, 0, with_grad, F(given), p, a, COLUMNS_CAPACITY); \
        } else if (dense)                                                               \
            F(nll_units)(job, begin, end, 1, with_grad, F(given));                      \
        else if (!with_grad && F(given) == F(LOG_PROBS) && !job->weight && !job->sample_weight) \
            F(nll_of_labels)(job, begin, end);                                          \
        else                                                                            \
            F(nll_units)(job, begin, end, 0, with_grad, F(given));                      \
    }
NLL_KERNEL(nll_loss, 0, LOG_PROBS)
NLL_KERNEL(nll_loss_with_grad, 1, LOG_PROBS)
NLL_KERNEL(probs_cross_entropy, 0, PROBS)
NLL_KERNEL(probs_cross_entropy_with_grad, 1, PROBS)
NLL_KERNEL(divergence, 0, DIVERGENCE)
