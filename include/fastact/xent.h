/* xent.h (template): cross-entropy of rows, alone and with its gradient, with every option at once.
 *
 * With d_c = (x_c - max)/T, rest the sum of exp(d) over all but one maximum, L = log1p(rest), S = 1 + rest, p_c = exp(d_c)/S:
 *   loss   = sum_c a_c (L - d_c) = A L - D + lab (L - d_t)
 *   grad_c = k (A p_c - a_c), k = scale*sample_weight/T
 * where `lab` is the weight of the label and A, D sum the rest of the target ("dense": probabilities, smoothing).
 * At the label p_t - 1 = -(sum of the others)/S: no cancellation when the label dominates.
 *
 * Bytes per element from memory: the loss alone reads 1 (probability targets: 2) and stores no probability; with the
 * gradient the row is read once, its exponentials are kept in the gradient's row, in cache, and finished there: read 1, write 1.
 */
/* grad_c = e_c p_scale - k a_c, of n classes from `first` on */
static void F(dense_gradient)(const fa_xent_job *job, size_t row, REAL *grad, size_t first, size_t n, REAL u, REAL p_scale, REAL k)
{
    REAL a[SPAN];
    for (size_t i = 0; i < n; i += SPAN) {
        const size_t count = n - i < SPAN ? n - i : SPAN;
        F(dense_span)(a, job, row, first + i, u);
        for (size_t j = 0; j < count; j++) grad[i + j] = FMA(-k, a[j], grad[i + j] * p_scale);
    }
}

/* Focal loss w q^g nll with q = 1 - p, and the weight that makes its gradient the one of cross-entropy:
 * w q^g (1 + g p nll/q). log q = -log1p(p/q). */
static double F(focal)(double gamma, double w, double e, double others, double nll, double *lab)
{
    const double all = e + others, p = e / all, q = others / all;
    const double power = gamma == 0.0 ? 1.0 : gamma == 1.0 ? q : gamma == 2.0 ? q * q : exp_f64(-gamma * log1p_f64(e / others));
    const double slope = p == 0.0 ? 0.0 : q == 0.0 ? 1.0 : p * nll / q;
    *lab = w * power * (1.0 + gamma * slope);
    return share_f64(w * power, nll, nll);
}

/* From the sums of a unit's samples to losses and what finishes the gradients. */
FA_INLINE void F(sample_losses)(const fa_xent_job *job, size_t rows, F(samples) *s, const int general, const int with_grad)
{
    double log_s[FA_UNIT_ROWS], e[FA_UNIT_ROWS];
    LANE(rows) log_s[j] = log1p_f64(s->sum[j][0]);
    if (with_grad || (general && job->focal))
        LANE(rows) e[j] = exp_f64(s->d[j]);
    for (size_t r = 0; r < rows; r++) {
        const double all = 1.0 + s->sum[r][0], a = s->a[r];
        double L = log_s[r], lab = s->lab[r], loss = 0.0, others = 0.0;
        if (s->sum[r][1] == 0.0 || s->m[r] == REAL_INF)
            L = __builtin_nan("");
        if (general)
            loss = a * L - s->ad[r];
        if (with_grad || (general && job->focal))
            others = s->d[r] == 0.0 ? s->sum[r][0] : all - e[r];
        if (general && job->focal)
            loss = F(focal)(job->gamma, lab, e[r], others, L - s->d[r], &lab);
        else if (job->labels)
            loss += share_f64(lab, L - s->d[r], L);
        s->loss[r] = s->counts[r] ? loss * s->weight[r] : 0.0;
        if (with_grad) {
            const double k = job->scale * s->weight[r] / (general ? job->temperature : 1.0);
            s->k[r] = k;
            s->p_scale[r] = L == L ? k * (a + lab) / all : L;
            s->at_label[r] = -k * lab * (others / all);
            if (general && job->labels)
                s->at_label[r] += k * (a * (e[r] / all) - F(dense_at)(job, s->label[r], s->u[r]));
            if (L != L)
                s->at_label[r] = L;
        }
    }
}

FA_INLINE void F(cross_entropy_units)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, const int general, const int with_grad)
{
    const size_t n = job->cols, group = job->unit_rows, chunk = fa_chunk_length(n, sizeof(REAL)), chunks = (n + chunk - 1) / chunk;
    const size_t ahead = group * n * sizeof(REAL) <= FA_AHEAD_BYTES ? group * n : 0;
    const F(temperature) t = F(temperature_of)(job->temperature);
    const int dense = general && (job->target || job->smoothing != 0.0);
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        const size_t row = (size_t)unit * group, rows = job->outer - row < group ? job->outer - row : group;
        F(samples) s;
        F(describe)(job, row, rows, &s, general);
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *keep = general && job->where ? job->where + (row + r) * n : NULL;
            s.m[r] = s.counts[r] ? F(row_max)(SAMPLE(x, row + r), keep, n, chunk, s.top + r * chunks) : C(0.0);
        }
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *keep = general && job->where ? job->where + (row + r) * n : NULL;
            const REAL *x = SAMPLE(x, row + r);
            s.sum[r][0] = s.sum[r][1] = s.d[r] = 0.0;
            if (!s.counts[r])
                continue;
            if (job->labels) {
                const int64_t label = s.label[r];
                const double d = (double)x[label] - (double)s.m[r];
                s.d[r] = !general ? d : keep && !keep[label] ? -(double)REAL_INF : d / job->temperature;
            }
            if (dense) {
                double sums[2];
                F(dense_sums)(job, row + r, x, 0, n, s.m[r], t, (REAL)s.u[r], sums, F(LOGITS));
                s.a[r] = sums[0];
                s.ad[r] = sums[1];
            }
            F(row_sum)(x, keep, with_grad ? SAMPLE(grad, row + r) : NULL, n, chunk, s.m[r], s.top + r * chunks, t, general,
                       with_grad, 1, ahead, s.sum[r]);
        }
        F(sample_losses)(job, rows, &s, general, with_grad);
        F(store_losses)(job, unit, row, rows, s.loss);
        if (with_grad)
            for (size_t r = 0; r < rows; r++) {
                REAL *grad = SAMPLE(grad, row + r);
                const REAL p_scale = (REAL)s.p_scale[r];
                if (!s.counts[r] || job->scale == 0.0) {
                    memset(grad, 0, n * sizeof(REAL));
                    continue;
                }
                if (dense)
                    F(dense_gradient)(job, row + r, grad, 0, n, (REAL)s.u[r], p_scale, (REAL)s.k[r]);
                else
                    LANE(n) grad[j] *= p_scale;
                if (job->labels)
                    grad[s.label[r]] = (REAL)s.at_label[r];
                if (general && job->where)
                    F(fill_masked)(grad, job->where + (row + r) * n, n, C(0.0));
            }
    }
}

static inline int F(plain)(const fa_xent_job *job)
{
    return job->labels && !job->where && job->temperature == 1.0 && job->smoothing == 0.0 && !job->focal;
}

ROWS(cross_entropy)
{
    if (F(plain)(job_)) F(cross_entropy_units)(job_, begin, end, 0, 0); else F(cross_entropy_units)(job_, begin, end, 1, 0);
}

ROWS(cross_entropy_with_grad)
{
    if (F(plain)(job_)) F(cross_entropy_units)(job_, begin, end, 0, 1); else F(cross_entropy_units)(job_, begin, end, 1, 1);
}
