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

static inline void F(nll_gradient)(const fa_xent_job *job, size_t row, REAL u, REAL k, const int given)
{
    REAL *grad = SAMPLE(grad, row), a[SPAN], buf[SPAN];
    for (size_t i = 0; i < job->cols; i += SPAN) {
        const size_t count = job->cols - i < SPAN ? job->cols - i : SPAN;
        const REAL *x = F(span)(buf, SAMPLE(x, row), NULL, i, job->cols);
        F(dense_span)(a, job, row, i, u);
        LANE(SPAN) a[j] = F(nll_slope)(a[j], x[j], k, given);
        F(unpadded)(grad + i, a, count);
    }
}

FA_INLINE void F(nll_units)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, const int dense, const int with_grad, const int given)
{
    const size_t n = job->cols, group = job->unit_rows;
    const F(temperature) t = F(temperature_of)(1.0);
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        const size_t row = (size_t)unit * group, rows = job->outer - row < group ? job->outer - row : group;
        double nll[FA_UNIT_ROWS];
        F(samples) s;
        F(describe)(job, row, rows, &s, dense);
        LANE(FA_UNIT_ROWS) s.d[j] = 1.0;
        if (job->labels)
            for (size_t r = 0; r < rows; r++)
                if (s.counts[r]) s.d[r] = (double)SAMPLE(x, row + r)[s.label[r]];
        LANE(FA_UNIT_ROWS) nll[j] = given == F(LOG_PROBS) ? -s.d[j] : -log_f64(s.d[j]);
        for (size_t r = 0; r < rows; r++) {
            double sums[2] = {0.0, 0.0};
            if (dense && s.counts[r])
                F(dense_sums)(job, row + r, SAMPLE(x, row + r), 0, n, C(0.0), t, (REAL)s.u[r], sums, given);
            s.loss[r] = s.counts[r] ? s.weight[r] * (sums[1] + share_f64(s.lab[r], nll[r], s.d[r])) : 0.0;
        }
        F(store_losses)(job, unit, row, rows, s.loss);
        for (size_t r = 0; with_grad && r < rows; r++) {
            const double k = job->scale * s.weight[r];
            if (dense && s.counts[r] && job->scale != 0.0)
                F(nll_gradient)(job, row + r, (REAL)s.u[r], (REAL)k, given);
            else
                memset(SAMPLE(grad, row + r), 0, n * sizeof(REAL));
            if (job->labels && s.counts[r] && job->scale != 0.0) {
                const double a = s.lab[r] + (dense ? F(dense_at)(job, s.label[r], s.u[r]) : 0.0);
                const double slope = given == F(LOG_PROBS) ? 0.0 - k * a : a == 0.0 && s.d[r] == s.d[r] ? 0.0 : -(k * a) / s.d[r];
                SAMPLE(grad, row + r)[s.label[r]] = (REAL)slope;
            }
        }
    }
}

#undef NLL_KERNEL
#define NLL_KERNEL(name, with_grad, given)                                              \
    ROWS(name)                                                                          \
    {                                                                                   \
        const fa_xent_job *job = job_;                                                  \
        if (job->target || job->smoothing != 0.0)                                       \
            F(nll_units)(job, begin, end, 1, with_grad, F(given));                      \
        else                                                                            \
            F(nll_units)(job, begin, end, 0, with_grad, F(given));                      \
    }
NLL_KERNEL(nll_loss, 0, LOG_PROBS)
NLL_KERNEL(nll_loss_with_grad, 1, LOG_PROBS)
NLL_KERNEL(probs_cross_entropy, 0, PROBS)
NLL_KERNEL(probs_cross_entropy_with_grad, 1, PROBS)
NLL_KERNEL(divergence, 0, DIVERGENCE)
