/* distill.h (template): distillation, the divergence of the softmax of `target` (the teacher) from that of x (the student).
 *
 * With d = (x - max)/T, e = exp(d), S the sum of e and L = log S of the student, primed of the teacher:
 *   loss   = T^2 (sum_c e'_c (d'_c - d_c)/S' + L - L'),   at least 0
 *   grad_c = k (e_c/S - e'_c/S'), k = scale*sample_weight*T
 * All sums come from one loop over both rows. Bytes per element from memory: read 2; with the gradient, whose row keeps e until
 * then (e' is computed again, 0.1 ns: there is no second row to keep it in), write 1.
 */
typedef struct {
    double rest[2][LANES], maxima[2][LANES];  /* of student and teacher: the sum of e over all but one maximum, the number of these */
    double cross[LANES];
} F(pair);

FA_INLINE void F(pair_sums)(const fa_xent_job *job, size_t row, const uint8_t *keep, const REAL *m, F(temperature) t, F(pair) *p, size_t at,
                            const int general, const int store)
{
    const size_t n = job->cols;
    const REAL *student = SAMPLE(x, row), *teacher = SAMPLE(target, row);
    F(lane_sums) rests[2], crosses;
    F(tops) tops[2];
    REAL buf[2][SPAN], ebuf[SPAN];
    F(lanes_start)(&rests[0]);
    F(lanes_start)(&rests[1]);
    F(lanes_start)(&crosses);
    F(tops_start)(&tops[0]);
    F(tops_start)(&tops[1]);
    for (size_t block = 0; block < n; block += BLOCK) {
        const size_t end = n - block < BLOCK ? n : block + BLOCK;
        REAL rest[2][SPAN], cross[SPAN];
        LANE(SPAN) rest[0][j] = rest[1][j] = cross[j] = REAL_START;
        for (size_t i = block; i < end; i += SPAN) {
            const REAL *x = F(span)(buf[0], student, keep, i, end), *y = F(span)(buf[1], teacher, keep, i, end);
            REAL dx[SPAN], dy[SPAN], teacher_e[SPAN];
            LANE(SPAN) dx[j] = x[j] - m[0], dy[j] = y[j] - m[1];
            F(exp_lanes)(ebuf, dx, SPAN, t, general);
            F(exp_lanes)(teacher_e, dy, SPAN, t, general);
            F(add_rest)(rest[0], ebuf, x, m[0], &tops[0]);
            F(add_rest)(rest[1], teacher_e, y, m[1], &tops[1]);
            LANE(SPAN) {
                const REAL apart = general ? F(over)(dy[j], t) - F(over)(dx[j], t) : dy[j] - dx[j], ey = teacher_e[j];
                cross[j] += ey == C(0.0) ? C(0.0) : ey * apart;
            }
            if (store)
                F(unpadded)(SAMPLE(grad, row) + i, ebuf, end - i < SPAN ? end - i : SPAN);
        }
        F(lanes_add_block)(&rests[0], rest[0]);
        F(lanes_add_block)(&rests[1], rest[1]);
        F(lanes_add_block)(&crosses, cross);
    }
    for (int k = 0; k < 2; k++) {
        const double sum = F(lanes_fold)(&rests[k]), count = F(tops_end)(&tops[k]);
        p->maxima[k][at] = count;
        p->rest[k][at] = count > 1.0 ? sum + (count - 1.0) : sum;
    }
    p->cross[at] = F(lanes_fold)(&crosses);
}

/* grad_c = e_c scale - e'_c teacher_scale */
FA_INLINE void F(pair_gradient)(const fa_xent_job *job, size_t row, const uint8_t *keep, REAL m, F(temperature) t, REAL scale,
                                REAL teacher_scale, const int general)
{
    REAL *grad = SAMPLE(grad, row), buf[SPAN], ebuf[SPAN];
    for (size_t i = 0; i < job->cols; i += SPAN) {
        const size_t count = job->cols - i < SPAN ? job->cols - i : SPAN;
        const REAL *y = F(span)(buf, SAMPLE(target, row), keep, i, job->cols), *e = F(span)(ebuf, grad, NULL, i, job->cols);
        REAL d[SPAN], teacher_e[SPAN];
        LANE(SPAN) d[j] = y[j] - m;
        F(exp_lanes)(teacher_e, d, SPAN, t, general);
        LANE(SPAN) ebuf[j] = FMA(e[j], scale, -(teacher_scale * teacher_e[j]));
        F(unpadded)(grad + i, ebuf, count);
    }
    if (keep)
        F(fill_masked)(grad, keep, job->cols, C(0.0));
}

/* From the sums of samples to their losses and to what the gradient takes: scale (p_scale) and teacher_scale (k). */
FA_INLINE void F(pair_losses)(const fa_xent_job *job, F(samples) *s, const F(pair) *p, const REAL (*m)[2])
{
    const double square = job->temperature * job->temperature;
    LANE(LANES) {
        const double loss = p->cross[j] / (1.0 + p->rest[1][j]) + (log1p_f64(p->rest[0][j]) - log1p_f64(p->rest[1][j]));
        const int none = (p->maxima[0][j] == 0.0) | (p->maxima[1][j] == 0.0) | (m[j][0] == REAL_INF) | (m[j][1] == REAL_INF);
        const double result = none ? (double)REAL_NAN : s->weight[j] * square * at_least_f64(loss, 0.0);
        const double scale = none ? (double)REAL_NAN : job->scale * s->weight[j] * job->temperature;
        s->loss[j] = s->counts[j] ? result : 0.0;
        s->p_scale[j] = scale / (1.0 + p->rest[0][j]);
        s->k[j] = scale / (1.0 + p->rest[1][j]);
    }
}

FA_INLINE void F(distill_units)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, const int general, const int with_grad)
{
    const size_t n = job->cols, group = job->unit_rows, chunk = fa_chunk_length(n, sizeof(REAL));
    const F(temperature) t = F(temperature_of)(job->temperature);
    REAL top[FA_CHUNKS];
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        const size_t row = (size_t)unit * group, rows = job->outer - row < group ? job->outer - row : group;
        const fa_group g = fa_group_of_rows(row, rows, n);
        REAL m[LANES][2];
        F(samples) s;
        F(pair) p = {0};
        memset(m, 0, sizeof m);
        F(describe)(job, &g, &s);
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *keep = general && job->where ? job->where + (row + r) * n : NULL;
            if (s.counts[r]) {
                m[r][0] = F(row_max)(SAMPLE(x, row + r), keep, n, chunk, top);
                m[r][1] = F(row_max)(SAMPLE(target, row + r), keep, n, chunk, top);
                F(pair_sums)(job, row + r, keep, m[r], t, &p, r, general, with_grad);
            }
        }
        F(pair_losses)(job, &s, &p, m);
        job->partial[unit] = F(store_losses)(job, &g, s.loss);
        for (size_t r = 0; with_grad && r < rows; r++)
            if (s.counts[r] && job->scale != 0.0)
                F(pair_gradient)(job, row + r, general && job->where ? job->where + (row + r) * n : NULL, m[r][1], t,
                                 (REAL)s.p_scale[r], (REAL)s.k[r], general);
            else
                memset(SAMPLE(grad, row + r), 0, n * sizeof(REAL));
    }
}

/* ---- by columns ---- */

FA_INLINE void F(pair_in)(const fa_xent_job *job, const fa_columns *b, size_t c, size_t n, REAL *x, REAL *y, const int general)
{
    const ptrdiff_t stride = (ptrdiff_t)(job->cols * job->inner);
    F(columns_in)(x, job->x, stride, general ? job->where : NULL, stride, b, c, n);
    F(columns_in)(y, job->target, stride, general ? job->where : NULL, stride, b, c, n);
}

/* sum of e' (d' - d) over n classes */
FA_INLINE void F(cross_panel)(const REAL *x, const REAL *y, size_t n, size_t width, const REAL *mx, const REAL *my, F(temperature) t,
                              F(panel_sums) *cross, const int general)
{
    for (size_t at = 0; n;) {
        size_t left = n < GROUP ? n : GROUP;
        REAL acc[LANES];
        n -= left;
        LANE(LANES) acc[j] = C(0.0);
        for (; left; left--, at += width) {
            REAL dy[LANES], ey[LANES];
            LANE(LANES) dy[j] = y[at + j] - my[j];
            F(exp_lanes)(ey, dy, LANES, t, general);
            LANE(LANES) {
                const REAL dx = x[at + j] - mx[j], apart = general ? F(over)(dy[j], t) - F(over)(dx, t) : dy[j] - dx;
                acc[j] += ey[j] == C(0.0) ? C(0.0) : ey[j] * apart;
            }
        }
        F(lanes_add)(&cross->sums, acc);
    }
}

/* From x and y to the gradient, in x. */
FA_INLINE void F(pair_panel)(REAL *x, const REAL *y, size_t n, size_t width, const fa_xent_job *job, const F(samples) *s, const REAL *mx,
                             const REAL *my, F(temperature) t, const int general)
{
    REAL scale[LANES], teacher_scale[LANES];
    INT counts[LANES];
    LANE(LANES) {
        scale[j] = (REAL)s->p_scale[j];
        teacher_scale[j] = (REAL)s->k[j];
        counts[j] = s->counts[j] && job->scale != 0.0;
    }
    for (; n; n--, x += width, y += width) {
        REAL dx[LANES], dy[LANES], ex[LANES], ey[LANES];
        LANE(LANES) dx[j] = x[j] - mx[j], dy[j] = y[j] - my[j];
        F(exp_lanes)(ex, dx, LANES, t, general);
        F(exp_lanes)(ey, dy, LANES, t, general);
        LANE(LANES) x[j] = counts[j] ? FMA(ex[j], scale[j], -(teacher_scale[j] * ey[j])) : C(0.0);
    }
}

/* Every phase starts from the logits: with temperature and mask the exponentials are the smaller part of short rows. */
FA_INLINE void F(distill_columns)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, const int general, const int with_grad, REAL *x,
                                  REAL *y, size_t capacity)
{
    const size_t n = job->cols;
    const ptrdiff_t stride = (ptrdiff_t)(n * job->inner);
    const uint8_t *where = general ? job->where : NULL;
    const F(temperature) t = F(temperature_of)(job->temperature);
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        fa_columns b = fa_class_columns(job, sizeof(REAL), (size_t)unit);
        const size_t part = F(columns_part)(&b, n, capacity);
        const int whole = part == n;
        double total = 0.0;
        fa_ahead ahead[2] = {F(columns_ahead)(&b, job->x, stride, whole, x), F(columns_ahead)(&b, job->target, stride, whole, y)};
        if (whole)
            F(pair_in)(job, &b, 0, n, x, y, general);
        for (size_t k = 0; k < b.width; k += LANES) {       /* one group if there is more than one part */
            const fa_group g = fa_group_of_columns(&b, k, n, LANES);
            F(panel_sums) sum[2], cross;
            REAL m[LANES][2];
            F(samples) s;
            F(pair) p = {0};
            memset(m, 0, sizeof m);
            F(describe)(job, &g, &s);
            F(panel_start)(&sum[0]);
            F(panel_start)(&sum[1]);
            F(panel_start)(&cross);
            PARTS(part) {
                if (!whole)
                    F(pair_in)(job, &b, c, count, x, y, general);
                F(panel_max)(x + k, count, b.width, &sum[0]);
                F(panel_max)(y + k, count, b.width, &sum[1]);
            }
            PARTS(part) {
                if (!whole)
                    F(pair_in)(job, &b, c, count, x, y, general);
                F(cross_panel)(x + k, y + k, count, b.width, sum[0].m, sum[1].m, t, &cross, general);
                F(panel_sum)(x + k, count, b.width, t, general, 0, 1, &sum[0], ahead);
                F(panel_sum)(y + k, count, b.width, t, general, 0, 1, &sum[1], ahead + 1);
            }
            for (int i = 0; i < 2; i++) {
                F(panel_end)(&sum[i]);
                for (size_t r = 0; r < g.count; r++) {
                    m[r][i] = sum[i].m[r];
                    p.rest[i][r] = sum[i].sums.total[r];
                    p.maxima[i][r] = sum[i].maxima[r];
                }
            }
            F(panel_end)(&cross);
            for (size_t r = 0; r < g.count; r++) p.cross[r] = cross.sums.total[r];
            F(pair_losses)(job, &s, &p, m);
            total += F(store_losses)(job, &g, s.loss);
            if (!with_grad)
                continue;
            PARTS(part) {
                if (!whole)
                    F(pair_in)(job, &b, c, count, x, y, general);
                F(pair_panel)(x + k, y + k, count, b.width, job, &s, sum[0].m, sum[1].m, t, general);
                if (!whole)
                    F(columns_out)(x, job->grad, stride, where, stride, &b, c, count, C(0.0));
            }
        }
        if (whole && with_grad)
            F(columns_out)(x, job->grad, stride, where, stride, &b, 0, n, C(0.0));
        job->partial[unit] = total;
    }
    if (with_grad && job->stream)
        stream_end();
}

#undef DISTILL_KERNEL
#define DISTILL_KERNEL(name, with_grad)                                                 \
    FA_SHARED void F(name##_by_columns)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, int general, REAL *x, REAL *y, size_t capacity) \
    {                                                                                   \
        if (general)                                                                    \
            F(distill_columns)(job, begin, end, 1, with_grad, ALIGNED(x), ALIGNED(y), capacity); \
        else                                                                            \
            F(distill_columns)(job, begin, end, 0, with_grad, ALIGNED(x), ALIGNED(y), capacity); \
    }                                                                                   \
    ROWS(name)                                                                          \
    {                                                                                   \
        const fa_xent_job *job = job_;                                                  \
        const int general = job->where || job->temperature != 1.0;                      \
        if (job->wide) {                                                                \
            void *slice = fa_wide_slice(job->wide);                                     \
            F(name##_by_columns)(job, begin, end, general, WIDE_TENSOR(slice, 0), WIDE_TENSOR(slice, 1), WIDE_CAPACITY); \
        } else if (fa_class_by_columns(job, FA_ROWS_##name)) {                          \
            REAL x[COLUMNS_CAPACITY] __attribute__((aligned(64))), y[COLUMNS_CAPACITY] __attribute__((aligned(64))); \
            F(name##_by_columns)(job, begin, end, general, x, y, COLUMNS_CAPACITY);     \
        } else if (general)                                                             \
            F(distill_units)(job, begin, end, 1, with_grad);                            \
        else                                                                            \
            F(distill_units)(job, begin, end, 0, with_grad);                            \
    }
DISTILL_KERNEL(distillation_loss, 0)
DISTILL_KERNEL(distillation_loss_with_grad, 1)
