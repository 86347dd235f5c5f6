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
    double curve[LANES], most[LANES];         /* see add_curves */
} F(pair);

/* At a temperature from here on the two distributions may be so close that the loss is lost between L and L'. With D = d - d' and means
 * over the teacher's distribution, C the mean of e^D - 1 - D, of which no term is negative, and M = C + mean D, it is C + (log1p M - M). */
#undef CLOSE_FROM
#define CLOSE_FROM 8.0

/* acc += e (e^-apart - 1 + apart) where |apart| <= 1, by Taylor's series; `most` becomes the largest |apart|. n is a multiple of LANES. */
FA_SHARED void F(add_curves)(REAL *acc, REAL *most, const REAL *e, const REAL *apart, size_t n)
{
    static const double inverse[] = {       /* 1/k! from k = 2 on */
        1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800,
        1.0 / 479001600, 1.0 / 6227020800, 1.0 / 87178291200, 1.0 / 1307674368000, 1.0 / 20922789888000, 1.0 / 355687428096000,
        1.0 / 6402373705728000,
    };
    for (; n; n -= LANES, acc += LANES, most += LANES, e += LANES, apart += LANES) {
        REAL d[LANES], q[LANES];
        LANE(LANES) {
            const REAL far = e[j] == C(0.0) ? C(0.0) : -apart[j], size = F(abs)(far);
            most[j] = size > most[j] ? size : most[j];
            d[j] = F(at_most)(F(at_least)(far, -LIMIT(one)), LIMIT(one));
            q[j] = C(0.0);
        }
        _Pragma("GCC unroll 17") for (int k = K(8, 16); k >= 0; k--) {
            const REAL c = (REAL)inverse[k];
            LANE(LANES) q[j] = FMA(q[j], d[j], c);
        }
        LANE(LANES) acc[j] = FMA(e[j] * d[j], d[j] * q[j], acc[j]);
    }
}

FA_INLINE void F(pair_sums)(const fa_xent_job *job, size_t row, const uint8_t *keep, const REAL *m, F(temperature) t, F(pair) *p, size_t at,
                            const int general, const int store)
{
    const size_t n = job->cols;
    const REAL *student = SAMPLE(x, row), *teacher = SAMPLE(target, row);
    const int close = job->temperature >= CLOSE_FROM;
    F(lane_sums) rests[2], crosses, curves;
    F(tops) tops[2];
    REAL buf[2][SPAN], ebuf[SPAN], most[SPAN];
    LANE(SPAN) most[j] = C(0.0);
    F(lanes_start)(&curves);
    F(lanes_start)(&rests[0]);
    F(lanes_start)(&rests[1]);
    F(lanes_start)(&crosses);
    F(tops_start)(&tops[0]);
    F(tops_start)(&tops[1]);
    for (size_t block = 0; block < n; block += BLOCK) {
        const size_t end = n - block < BLOCK ? n : block + BLOCK;
        REAL rest[2][SPAN], cross[SPAN], curve[SPAN];
        LANE(SPAN) rest[0][j] = rest[1][j] = cross[j] = REAL_START;
        LANE(SPAN) curve[j] = REAL_START;
        for (size_t i = block; i < end; i += SPAN) {
            const REAL *x = F(span)(buf[0], student, keep, i, end), *y = F(span)(buf[1], teacher, keep, i, end);
            REAL dx[SPAN], dy[SPAN], teacher_e[SPAN], apart[SPAN];
            LANE(SPAN) dx[j] = x[j] - m[0], dy[j] = y[j] - m[1];
            F(exp_lanes)(ebuf, dx, SPAN, t, general);
            F(exp_lanes)(teacher_e, dy, SPAN, t, general);
            F(add_rest)(rest[0], ebuf, x, m[0], &tops[0]);
            F(add_rest)(rest[1], teacher_e, y, m[1], &tops[1]);
            LANE(SPAN) {
                const REAL a = general ? F(over)(dy[j], t) - F(over)(dx[j], t) : dy[j] - dx[j], ey = teacher_e[j];
                cross[j] += ey == C(0.0) ? C(0.0) : ey * a;
                apart[j] = a;
            }
            if (general && close)
                F(add_curves)(curve, most, teacher_e, apart, SPAN);
            if (store)
                F(unpadded)(SAMPLE(grad, row) + i, ebuf, end - i < SPAN ? end - i : SPAN);
        }
        F(lanes_add_block)(&rests[0], rest[0]);
        F(lanes_add_block)(&rests[1], rest[1]);
        F(lanes_add_block)(&crosses, cross);
        if (general && close)
            F(lanes_add_block)(&curves, curve);
    }
    for (int k = 0; k < 2; k++) {
        const double sum = F(lanes_fold)(&rests[k]), count = F(tops_end)(&tops[k]);
        p->maxima[k][at] = count;
        p->rest[k][at] = count > 1.0 ? sum + (count - 1.0) : sum;
    }
    p->cross[at] = F(lanes_fold)(&crosses);
    if (general && close) {
        p->curve[at] = F(lanes_fold)(&curves);
        for (size_t j = 0; j < SPAN; j++) p->most[at] = (double)most[j] > p->most[at] ? (double)most[j] : p->most[at];
    }
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
FA_SHARED void F(pair_losses)(const fa_xent_job *job, F(samples) *s, const F(pair) *p, const REAL (*m)[2])
{
    const double square = job->temperature * job->temperature;
    double losses[LANES];
    LANE(LANES) losses[j] = p->cross[j] / (1.0 + p->rest[1][j]) + (log1p_f64(p->rest[0][j]) - log1p_f64(p->rest[1][j]));
    if (job->temperature >= CLOSE_FROM)
        LANE(LANES) {
            const double all = 1.0 + p->rest[1][j], curve = p->curve[j] / all, m = curve - p->cross[j] / all;
            const double tail = 1.0 / 3 - m * (1.0 / 4 - m * (1.0 / 5 - m * (1.0 / 6 - m * (1.0 / 7 - m * (1.0 / 8)))));
            const double over = m * m < 0x1p-12 ? m * m * (m * tail - 0.5) : log1p_f64(m) - m;        /* log1p m - m */
            losses[j] = p->most[j] <= 1.0 ? curve + over : losses[j];
        }
    LANE(LANES) {
        const double loss = losses[j];
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

/* sum of e' (d' - d) over n classes; curve: NULL, or as by add_curves */
FA_INLINE void F(cross_panel)(const REAL *x, const REAL *y, size_t n, size_t width, const REAL *mx, const REAL *my, F(temperature) t,
                              F(panel_sums) *cross, F(panel_sums) *curve, REAL *most, const int general)
{
    for (size_t at = 0; n;) {
        size_t left = n < GROUP ? n : GROUP;
        REAL acc[LANES], curves[LANES];
        n -= left;
        LANE(LANES) acc[j] = curves[j] = C(0.0);
        for (; left; left--, at += width) {
            REAL dy[LANES], ey[LANES], apart[LANES];
            LANE(LANES) dy[j] = y[at + j] - my[j];
            F(exp_lanes)(ey, dy, LANES, t, general);
            LANE(LANES) {
                const REAL dx = x[at + j] - mx[j];
                apart[j] = general ? F(over)(dy[j], t) - F(over)(dx, t) : dy[j] - dx;
                acc[j] += ey[j] == C(0.0) ? C(0.0) : ey[j] * apart[j];
            }
            if (general && curve)
                F(add_curves)(curves, most, ey, apart, LANES);
        }
        F(lanes_add)(&cross->sums, acc);
        if (general && curve)
            F(lanes_add)(&curve->sums, curves);
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
            F(panel_sums) sum[2], cross, curve;
            REAL m[LANES][2], most[LANES];
            F(samples) s;
            F(pair) p = {0};
            memset(m, 0, sizeof m);
            F(describe)(job, &g, &s);
            F(panel_start)(&sum[0]);
            F(panel_start)(&sum[1]);
            F(panel_start)(&cross);
            F(panel_start)(&curve);
            LANE(LANES) most[j] = C(0.0);
            PARTS(part) {
                if (!whole)
                    F(pair_in)(job, &b, c, count, x, y, general);
                F(panel_max)(x + k, count, b.width, &sum[0]);
                F(panel_max)(y + k, count, b.width, &sum[1]);
            }
            PARTS(part) {
                if (!whole)
                    F(pair_in)(job, &b, c, count, x, y, general);
                F(cross_panel)(x + k, y + k, count, b.width, sum[0].m, sum[1].m, t, &cross,
                               job->temperature >= CLOSE_FROM ? &curve : NULL, most, general);
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
            F(panel_end)(&curve);
            for (size_t r = 0; r < g.count; r++) {
                p.cross[r] = cross.sums.total[r];
                p.curve[r] = curve.sums.total[r];
                p.most[r] = (double)most[r];
            }
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
