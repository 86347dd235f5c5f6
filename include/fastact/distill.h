/* distill.h (template): distillation, the divergence of the softmax of `target` (the teacher) from that of x (the student).
 *
 * With d = (x - max)/T, e = exp(d), S the sum of e and L = log S of the student, primed of the teacher:
 *   loss   = T^2 (sum_c e'_c (d'_c - d_c)/S' + L - L'),   at least 0
 *   grad_c = k (e_c/S - e'_c/S'), k = scale*sample_weight*T
 * All sums come from one loop over both rows. Bytes per element from memory: read 2; with the gradient, whose row keeps e until
 * then (e' is computed again, 0.1 ns: there is no second row to keep it in), write 1.
 */
typedef struct {
    double rest[2], maxima[2], cross;    /* of student and teacher: the sum of e over all but one maximum, the number of these */
} F(pair);

FA_INLINE REAL F(exp_of_d)(REAL d, F(temperature) t, const int general)
{
    return general ? F(exp_over)(d, t) : F(exp_row)(d, C(-0.0));
}

FA_INLINE void F(pair_sums)(const fa_xent_job *job, size_t row, const uint8_t *keep, const REAL *m, F(temperature) t, F(pair) *p,
                            const int general, const int store)
{
    const size_t n = job->cols;
    const REAL *student = SAMPLE(x, row), *teacher = SAMPLE(target, row);
    F(lane_sums) rests[2], crosses;
    INT counts[2][SPAN];
    REAL buf[2][SPAN], ebuf[SPAN];
    *p = (F(pair)){0};
    F(lanes_start)(&rests[0]);
    F(lanes_start)(&rests[1]);
    F(lanes_start)(&crosses);
    LANE(SPAN) counts[0][j] = counts[1][j] = 0;
    for (size_t block = 0; block < n; block += BLOCK) {
        const size_t end = n - block < BLOCK ? n : block + BLOCK;
        REAL rest[2][SPAN], cross[SPAN];
        LANE(SPAN) rest[0][j] = rest[1][j] = cross[j] = C(0.0);
        for (size_t i = block; i < end; i += SPAN) {
            const REAL *x = F(span)(buf[0], student, keep, i, end), *y = F(span)(buf[1], teacher, keep, i, end);
            LANE(SPAN) {
                const REAL dx = x[j] - m[0], dy = y[j] - m[1];
                const REAL ex = F(exp_of_d)(dx, t, general), ey = F(exp_of_d)(dy, t, general);
                const REAL apart = general ? F(over)(dy, t) - F(over)(dx, t) : dy - dx;
                rest[0][j] += x[j] == m[0] ? C(0.0) : ex;
                rest[1][j] += y[j] == m[1] ? C(0.0) : ey;
                cross[j] += ey == C(0.0) ? C(0.0) : ey * apart;
                counts[0][j] += x[j] == m[0];
                counts[1][j] += y[j] == m[1];
                ebuf[j] = ex;
            }
            if (store)
                F(unpadded)(SAMPLE(grad, row) + i, ebuf, end - i < SPAN ? end - i : SPAN);
        }
        F(lanes_add_block)(&rests[0], rest[0]);
        F(lanes_add_block)(&rests[1], rest[1]);
        F(lanes_add_block)(&crosses, cross);
    }
    for (int k = 0; k < 2; k++) {
        const double sum = F(lanes_fold)(&rests[k]);
        INT count = 0;
        _Pragma("omp simd reduction(+:count)") for (size_t j = 0; j < SPAN; j++) count += counts[k][j];
        p->maxima[k] = (double)count;
        p->rest[k] = count > 1 ? sum + (double)(count - 1) : sum;
    }
    p->cross = F(lanes_fold)(&crosses);
}

/* grad_c = e_c scale - e'_c teacher_scale */
FA_INLINE void F(pair_gradient)(const fa_xent_job *job, size_t row, const uint8_t *keep, REAL m, F(temperature) t, REAL scale,
                                REAL teacher_scale, const int general)
{
    REAL *grad = SAMPLE(grad, row), buf[SPAN], ebuf[SPAN];
    for (size_t i = 0; i < job->cols; i += SPAN) {
        const size_t count = job->cols - i < SPAN ? job->cols - i : SPAN;
        const REAL *y = F(span)(buf, SAMPLE(target, row), keep, i, job->cols), *e = F(span)(ebuf, grad, NULL, i, job->cols);
        LANE(SPAN) ebuf[j] = FMA(e[j], scale, -(teacher_scale * F(exp_of_d)(y[j] - m, t, general)));
        F(unpadded)(grad + i, ebuf, count);
    }
    if (keep)
        F(fill_masked)(grad, keep, job->cols, C(0.0));
}

FA_INLINE void F(distill_units)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, const int general, const int with_grad)
{
    const size_t n = job->cols, group = job->unit_rows, chunk = fa_chunk_length(n, sizeof(REAL));
    const F(temperature) t = F(temperature_of)(job->temperature);
    REAL top[FA_CHUNKS];
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        const size_t row = (size_t)unit * group, rows = job->outer - row < group ? job->outer - row : group;
        F(samples) s;
        F(describe)(job, row, rows, &s, general);
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *keep = general && job->where ? job->where + (row + r) * n : NULL;
            const double square = job->temperature * job->temperature;
            F(pair) p;
            REAL m[2];
            s.loss[r] = 0.0;
            if (s.counts[r]) {
                m[0] = F(row_max)(SAMPLE(x, row + r), keep, n, chunk, top);
                m[1] = F(row_max)(SAMPLE(target, row + r), keep, n, chunk, top);
                F(pair_sums)(job, row + r, keep, m, t, &p, general, with_grad);
                const double loss = p.cross / (1.0 + p.rest[1]) + (log1p_f64(p.rest[0]) - log1p_f64(p.rest[1]));
                const int nothing = p.maxima[0] == 0.0 || p.maxima[1] == 0.0 || m[0] == REAL_INF || m[1] == REAL_INF;
                const double scale = nothing ? (double)REAL_NAN : job->scale * s.weight[r] * job->temperature;
                s.loss[r] = nothing ? (double)REAL_NAN : s.weight[r] * square * at_least_f64(loss, 0.0);
                if (with_grad && job->scale != 0.0)
                    F(pair_gradient)(job, row + r, keep, m[1], t, (REAL)(scale / (1.0 + p.rest[0])), (REAL)(scale / (1.0 + p.rest[1])), general);
            }
            if (with_grad && (!s.counts[r] || job->scale == 0.0))
                memset(SAMPLE(grad, row + r), 0, n * sizeof(REAL));
        }
        F(store_losses)(job, unit, row, rows, s.loss);
    }
}

#undef DISTILL_KERNEL
#define DISTILL_KERNEL(name, with_grad)                                                 \
    ROWS(name)                                                                          \
    {                                                                                   \
        const fa_xent_job *job = job_;                                                  \
        if (job->where || job->temperature != 1.0)                                      \
            F(distill_units)(job, begin, end, 1, with_grad);                            \
        else                                                                            \
            F(distill_units)(job, begin, end, 0, with_grad);                            \
    }
DISTILL_KERNEL(distillation_loss, 0)
DISTILL_KERNEL(distillation_loss_with_grad, 1)
