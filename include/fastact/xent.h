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
#undef SAMPLE
#define SAMPLE(tensor, r) ((REAL *)job->tensor + (r) * job->cols)

/* What is known of the samples of a unit; `dense` may hold all classes, `lab` is the label's share. */
typedef struct {
    REAL top[FA_CHUNKS], m[FA_UNIT_ROWS];
    double sum[FA_UNIT_ROWS][2];
    int64_t label[FA_UNIT_ROWS];
    int counts[FA_UNIT_ROWS];
    double d[FA_UNIT_ROWS], lab[FA_UNIT_ROWS];                  /* of the label */
    double u[FA_UNIT_ROWS], a[FA_UNIT_ROWS], ad[FA_UNIT_ROWS];  /* smoothing/C; sums of a and of a*d over the dense target */
    double weight[FA_UNIT_ROWS], loss[FA_UNIT_ROWS], k[FA_UNIT_ROWS], p_scale[FA_UNIT_ROWS], at_label[FA_UNIT_ROWS];
} F(samples);

/* The dense target of a span: a_c = weight_c (target_c (1 - smoothing) + u), 0 where masked and past the end. */
FA_INLINE void F(dense_span)(REAL *a, const fa_xent_job *job, size_t row, size_t i, REAL u)
{
    const size_t count = job->cols - i < SPAN ? job->cols - i : SPAN;
    const REAL left = (REAL)(1.0 - job->smoothing);
    REAL weight[SPAN];
    if (job->target) {
        F(padded)(a, SAMPLE(target, row) + i, NULL, count, C(0.0));
        if (job->smoothing != 0.0)
            LANE(SPAN) a[j] = FMA(a[j], left, u);
    } else
        LANE(SPAN) a[j] = u;
    if (job->weight) {
        F(padded)(weight, (const REAL *)job->weight + i, NULL, count, C(0.0));
        LANE(SPAN) a[j] *= weight[j];
    }
    if (job->where)
        F(masked)(a, job->where + row * job->cols + i, count, C(0.0));
    else if (count < SPAN)
        LANE(SPAN) a[j] = j < count ? a[j] : C(0.0);
}

/* sums[0] = sum of a_c, sums[1] = sum of a_c d_c; 0 * -inf = 0 */
static void F(dense_sums)(const fa_xent_job *job, size_t row, REAL m, F(temperature) t, REAL u, double *sums)
{
    const size_t n = job->cols, chunk = fa_chunk_length(n, sizeof(REAL));
    double low[2] = {0.0, 0.0};
    REAL a[SPAN], buf[SPAN];
    sums[0] = sums[1] = 0.0;
    for (size_t c = 0; c < n; c += chunk) {
        const size_t stop = n - c < chunk ? n : c + chunk;
        for (size_t block = c; block < stop; block += BLOCK) {
            const size_t end = stop - block < BLOCK ? stop : block + BLOCK;
            REAL acc_a[SPAN], acc_ad[SPAN];
            LANE(SPAN) acc_a[j] = C(0.0);
            LANE(SPAN) acc_ad[j] = C(0.0);
            for (size_t i = block; i < end; i += SPAN) {
                const REAL *x = F(span)(buf, SAMPLE(x, row), NULL, i, end);
                F(dense_span)(a, job, row, i, u);
                LANE(SPAN) {
                    const REAL ad = a[j] * F(over)(x[j] - m, t);
                    acc_a[j] += a[j];
                    acc_ad[j] += a[j] == C(0.0) ? C(0.0) : ad;
                }
            }
            fa_add(&sums[0], &low[0], F(fold)(acc_a));
            fa_add(&sums[1], &low[1], F(fold)(acc_ad));
        }
    }
    sums[0] = fa_added(sums[0], low[0]);
    sums[1] = fa_added(sums[1], low[1]);
}

/* grad_c = e_c p_scale - k a_c */
static void F(dense_gradient)(const fa_xent_job *job, size_t row, REAL u, REAL p_scale, REAL k)
{
    REAL *grad = SAMPLE(grad, row), a[SPAN];
    for (size_t i = 0; i < job->cols; i += SPAN) {
        const size_t count = job->cols - i < SPAN ? job->cols - i : SPAN;
        F(dense_span)(a, job, row, i, u);
        for (size_t j = 0; j < count; j++) grad[i + j] = FMA(-k, a[j], grad[i + j] * p_scale);
    }
}

/* The label's share of the dense target. */
static inline double F(dense_at)(const fa_xent_job *job, int64_t label, double u)
{
    return job->weight ? u * ((const REAL *)job->weight)[label] : u;
}

static inline size_t F(kept)(const uint8_t *keep, size_t n)
{
    size_t count = 0;
    for (size_t j = 0; j < n; j++) count += keep[j] != 0;
    return count;
}

/* Reads what the samples of a unit are: labels, weights, which of them count. */
FA_INLINE void F(describe)(const fa_xent_job *job, size_t row, size_t rows, F(samples) *s, const int general)
{
    if (job->labels)
        fa_read_labels(job, row, rows, s->label);
    for (size_t r = 0; r < rows; r++) {
        const size_t kept = general && job->where ? F(kept)(job->where + (row + r) * job->cols, job->cols) : job->cols;
        s->counts[r] = kept && (!job->labels || fa_counts(job, s->label[r]));
        s->u[r] = general ? job->smoothing / (double)kept : 0.0;
        s->weight[r] = job->sample_weight ? (double)((const REAL *)job->sample_weight)[row + r] : 1.0;
        s->lab[r] = s->a[r] = s->ad[r] = 0.0;
        if (job->labels && s->counts[r])
            s->lab[r] = (1.0 - job->smoothing) * (job->weight ? (double)((const REAL *)job->weight)[s->label[r]] : 1.0);
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
    return w * power * nll;
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
            loss += lab * (L - s->d[r]);
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

/* a + b + c.. in a fixed tree */
static inline double F(tree)(const double *v, size_t n)
{
    double t[FA_UNIT_ROWS] = {0};
    for (size_t j = 0; j < n; j++) t[j] = v[j];
    for (size_t width = FA_UNIT_ROWS / 2; width; width /= 2)
        for (size_t j = 0; j < width; j++) t[j] += t[j + width];
    return t[0];
}

FA_INLINE void F(cross_entropy_units)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, const int general, const int with_grad)
{
    const size_t n = job->cols, group = fa_rows_per_unit(n, sizeof(REAL)), chunk = fa_chunk_length(n, sizeof(REAL)), chunks = (n + chunk - 1) / chunk;
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
                F(dense_sums)(job, row + r, s.m[r], t, (REAL)s.u[r], sums);
                s.a[r] = sums[0];
                s.ad[r] = sums[1];
            }
            F(row_sum)(x, keep, with_grad ? SAMPLE(grad, row + r) : NULL, n, chunk, s.m[r], s.top + r * chunks, t, general,
                       with_grad, 1, ahead, s.sum[r]);
        }
        F(sample_losses)(job, rows, &s, general, with_grad);
        job->partial[unit] = F(tree)(s.loss, rows);
        if (job->loss)
            for (size_t r = 0; r < rows; r++) ((REAL *)job->loss)[row + r] = (REAL)s.loss[r];
        if (with_grad)
            for (size_t r = 0; r < rows; r++) {
                REAL *grad = SAMPLE(grad, row + r);
                const REAL p_scale = (REAL)s.p_scale[r];
                if (!s.counts[r] || job->scale == 0.0) {
                    memset(grad, 0, n * sizeof(REAL));
                    continue;
                }
                if (dense)
                    F(dense_gradient)(job, row + r, (REAL)s.u[r], p_scale, (REAL)s.k[r]);
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

/* Units of FA_LABEL_UNIT samples: partial = the sum of the weights (of class and sample) of those that count; bad = the first
 * whose label is no class, or -1. */
ROWS(check_labels)
{
    const fa_xent_job *job = job_;
    const size_t samples = job->outer * job->inner;
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        double total = 0.0, low = 0.0;
        job->bad[unit] = -1;
        const size_t first = (size_t)unit * FA_LABEL_UNIT, stop = samples - first < FA_LABEL_UNIT ? samples : first + FA_LABEL_UNIT;
        for (size_t i = first; i < stop; i += FA_LABEL_BLOCK) {
            const size_t n = stop - i < FA_LABEL_BLOCK ? stop - i : FA_LABEL_BLOCK;
            int64_t label[FA_LABEL_BLOCK], count = 0, wrong = 0;
            fa_read_labels(job, i, n, label);
            for (size_t j = 0; j < n; j++) {
                const int64_t ignored = job->ignores && label[j] == job->ignore, within = (uint64_t)label[j] < job->cols;
                count += within & !ignored;
                wrong += !within & !ignored;
            }
            if (wrong) {
                for (size_t j = 0; j < n && job->bad[unit] < 0; j++)
                    if (!((uint64_t)label[j] < job->cols || (job->ignores && label[j] == job->ignore))) job->bad[unit] = (int64_t)(i + j);
                break;
            }
            if (!job->weight && !job->sample_weight)
                total += (double)count;
            else
                for (size_t j = 0; j < n; j++)
                    if (fa_counts(job, label[j])) {
                        const double w = job->weight ? (double)((const REAL *)job->weight)[label[j]] : 1.0;
                        fa_add(&total, &low, job->sample_weight ? w * (double)((const REAL *)job->sample_weight)[i + j] : w);
                    }
        }
        job->partial[unit] = fa_added(total, low);
    }
}
