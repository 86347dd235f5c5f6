/* classes.h (template): what the classification losses share: what is known of their samples, the dense target, sums.
 *
 * A sample's target has a weight a_c for each class: `lab` at the label, the rest ("dense": probabilities, smoothing) summed
 * span by span without being stored. 0 * inf = 0; a sample of weight 0 is left out like an ignored one.
 */
#undef SAMPLE
#define SAMPLE(tensor, r) ((REAL *)job->tensor + (r) * job->cols)

/* What is known of the samples of a group, of which there are at most LANES. Loops over them run over whole vectors; unused
 * places hold harmless numbers, and of samples that do not count nothing but `counts` is used. Aligned, and `count` last: else
 * gcc peels scalar iterations off each loop (65536x10: 590 against 330 us). */
typedef struct {
    int64_t label[LANES], counts[LANES];
    double rest[LANES], maxima[LANES];                  /* the sum of e over all but one maximum; 0: there is none */
    double d[LANES], lab[LANES];                        /* of the label */
    double u[LANES], a[LANES], ad[LANES];               /* smoothing/C; sums of a and of a*d over the dense target */
    double at_dense[LANES];                             /* the dense target of the label's class */
    double weight[LANES], loss[LANES];
    double k[LANES], p_scale[LANES], at_label[LANES];
    size_t count;
} __attribute__((aligned(64))) F(samples);

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

/* a v, and 0 for a = 0 whatever v is (0 * inf = 0), unless x, of which v is made, is nan. */
static inline REAL F(share)(REAL a, REAL v, REAL x) { return ((a == C(0.0)) & (x == x)) ? C(0.0) : a * v; }

/* What a row holds: logits, log-probabilities, probabilities (of a divergence: those of the second distribution). */
enum F(given) { F(LOGITS), F(LOG_PROBS), F(PROBS), F(DIVERGENCE) };

/* a_c times the logarithms of a span, 0 where a = 0: of any x. -log x of probabilities, log(a/x) of a divergence. */
FA_SHARED void F(any_log_shares)(REAL *v, const REAL *a, const REAL *x, size_t count, int divergence)
{
    for (; count; count -= LANES, v += LANES, a += LANES, x += LANES) {
        REAL l[LANES];
        if (divergence)
            LANE(LANES) l[j] = F(log_ratio)(a[j], x[j]);
        else {
            F(log_any)(l, x, NULL, LANES);
            LANE(LANES) l[j] = -l[j];
        }
        LANE(LANES) v[j] = F(share)(a[j], l[j], x[j]);
    }
}

/* acc += a times what a class with target weight a adds to a sum over the dense target: -log p of log-probabilities and of
 * probabilities, log(a/p) of a divergence. In `steps` steps of `lanes` numbers each, which lie `stride` apart. */
FA_INLINE void F(add_shares)(REAL *acc, const REAL *a, const REAL *x, const size_t lanes, size_t steps, size_t stride, const int given)
{
    REAL v[SPAN];
    for (; steps; steps--, a += stride, x += stride) {
        if (given == F(LOG_PROBS))
            LANE(lanes) acc[j] += F(share)(a[j], -x[j], x[j]);
        else {
            /* Numbers that are no special case, nearly all: a loop without them, with the same bits. */
            REAL sum[SPAN];
            LANE(lanes) sum[j] = acc[j];
            for (; steps; steps--, a += stride, x += stride)
                if (given == F(PROBS) && (F(all_normal)(x, lanes) || F(all_normal_or_both_zero)(x, a, lanes))) {
                    F(log_normals)(v, x, lanes);
                    LANE(lanes) sum[j] -= a[j] * v[j];
                } else if (given == F(DIVERGENCE) && F(all_normal)(x, lanes) && F(all_normal)(a, lanes))
                    LANE(lanes) sum[j] += a[j] * F(log_ratio_of)(F(bits)(a[j]), F(bits)(x[j]), C(0.0));
                else
                    break;
            LANE(lanes) acc[j] = sum[j];
            if (!steps)
                break;
            F(any_log_shares)(v, a, x, lanes, given == F(DIVERGENCE));
            LANE(lanes) acc[j] += v[j];
        }
    }
}

/* Over n classes from `first` on, which hold `given`: sums[0] = sum of a_c, sums[1] = sum of a_c times the summand: (x_c - m)/T of
 * logits, -log p_c, log(a_c/p_c). Classes go on behind them only at the end of a span. */
FA_INLINE void F(dense_sums)(const fa_xent_job *job, size_t row, const REAL *values, size_t first, size_t n, REAL m,
                             F(temperature) t, REAL u, double *sums, const int given)
{
    F(lane_sums) sum_a, sum_ad;
    REAL a[SPAN], buf[SPAN];
    /* The dense target itself, of rows that are summed as they lie. */
    const REAL *bare = given != F(LOGITS) && job->target && job->smoothing == 0.0 && !job->weight ? SAMPLE(target, row) + first : NULL;
    F(lanes_start)(&sum_a);
    F(lanes_start)(&sum_ad);
    for (size_t block = 0; block < n; block += BLOCK) {
        const size_t end = n - block < BLOCK ? n : block + BLOCK;
        REAL acc_a[SPAN], acc_ad[SPAN];
        LANE(SPAN) acc_a[j] = REAL_START;
        LANE(SPAN) acc_ad[j] = REAL_START;
        size_t i = block;
        if (bare) {
            F(add_shares)(acc_ad, bare + i, values + i, SPAN, (end - i) / SPAN, SPAN, given);
            i += (end - i) / SPAN * SPAN;
        }
        for (; i < end; i += SPAN) {
            const REAL *x = F(span)(buf, values, NULL, i, end);
            F(dense_span)(a, job, row, first + i, u);
            if (given == F(LOGITS))
                LANE(SPAN) {
                    acc_a[j] += a[j];
                    acc_ad[j] += F(share)(a[j], F(over)(x[j] - m, t), C(0.0));
                }
            else
                F(add_shares)(acc_ad, a, x, SPAN, 1, SPAN, given);
        }
        if (given == F(LOGITS)) F(lanes_add_block)(&sum_a, acc_a);
        F(lanes_add_block)(&sum_ad, acc_ad);
    }
    sums[0] = F(lanes_fold)(&sum_a);
    sums[1] = F(lanes_fold)(&sum_ad);
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

/* Reads what the samples of a group are: labels, weights, which of them count. Loops over what may not alias. */
static void F(describe)(const fa_xent_job *job, const fa_group *g, F(samples) *s)
{
    const fa_xent_job of = *job;
    const size_t count = g->count;
    int64_t label[LANES], counts[LANES];
    double weight[LANES];
    const double zero = (double)LIMIT(zero);                /* of a 0 that it sees gcc makes `rep stos`, slower than all the rest */
    s->count = count;
    LANE(LANES) {
        weight[j] = 1.0;
        s->d[j] = zero;
    }
    if (of.target || of.smoothing != 0.0)
        LANE(LANES) s->u[j] = s->a[j] = s->ad[j] = s->at_dense[j] = zero;
    if (of.labels && count == LANES && g->step == 1)
        fa_read_labels(job, g->first, 1, LANES, label);
    else {
        LANE(LANES) label[j] = 0;
        if (of.labels)
            fa_read_labels(job, g->first, g->step, count, label);
    }
    if (of.sample_weight)
        for (size_t r = 0; r < count; r++) weight[r] = (double)((const REAL *)of.sample_weight)[g->first + r * g->step];
    LANE(LANES) counts[j] = (int64_t)j < (int64_t)count ? 1 : 0;
    LANE(LANES) counts[j] = weight[j] != 0.0 ? counts[j] : 0;
    if (of.labels)
        LANE(LANES) counts[j] &= fa_counts(label[j], of.cols, of.ignores, of.ignore);
    LANE(LANES) {
        s->counts[j] = counts[j];
        s->label[j] = counts[j] ? label[j] : 0;
        s->weight[j] = weight[j];
    }
    if (of.labels) {
        LANE(LANES) s->lab[j] = 1.0 - job->smoothing;
        if (job->weight)
            for (size_t r = 0; r < g->count; r++) {
                const double w = (double)((const REAL *)job->weight)[s->label[r]];
                s->lab[r] *= w;
                if (w == 0.0 && job->smoothing == 0.0)
                    s->counts[r] = s->label[r] = 0;
            }
    } else
        LANE(LANES) s->lab[j] = zero;
}

/* Where the element of the label of sample r of a group is. */
static inline size_t F(label_at)(const fa_xent_job *job, const fa_group *g, const F(samples) *s, size_t r)
{
    return g->at + r * g->apart + (size_t)s->label[r] * job->inner;
}

/* The elements of the labels of a group. */
FA_INLINE void F(read_at_labels)(const fa_xent_job *job, const fa_group *g, const F(samples) *s, REAL *v)
{
    const REAL *x = (const REAL *)job->x + g->at;
    const size_t apart = g->apart, inner = job->inner, count = g->count;
    LANE(LANES) v[j] = C(0.0);
    if (count == LANES)
        for (size_t r = 0; r < LANES; r++) v[r] = x[r * apart + (size_t)s->label[r] * inner];
    else
        for (size_t r = 0; r < count; r++) v[r] = x[r * apart + (size_t)s->label[r] * inner];
}

/* The losses of a group's samples, LANES numbers, 0 where there is no sample: returns their sum, stores each where it is wanted. */
FA_INLINE double F(store_losses)(const fa_xent_job *job, const fa_group *g, const double *loss)
{
    if (job->loss)
        for (size_t r = 0; r < g->count; r++) ((REAL *)job->loss)[g->first + r * g->step] = (REAL)loss[r];
    return F(lanes_tree)(loss);
}

/* Units of FA_LABEL_UNIT samples: partial = the sum of the weights (of class and sample) of those that count; bad = the first
 * whose label is no class, or -1. */
ROWS(check_labels)
{
    const fa_xent_job *job = job_, of = *job;
    const size_t samples = job->outer * job->inner;
    /* Whether every class counts, and as one. */
    const int alike = !job->weight && !job->sample_weight && of.cols && !(of.ignores && (uint64_t)of.ignore < of.cols);
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        double total = 0.0, low = 0.0;
        job->bad[unit] = -1;
        const size_t first = (size_t)unit * FA_LABEL_UNIT, stop = samples - first < FA_LABEL_UNIT ? samples : first + FA_LABEL_UNIT;
        for (size_t i = first; i < stop; i += FA_LABEL_BLOCK) {
            const size_t n = stop - i < FA_LABEL_BLOCK ? stop - i : FA_LABEL_BLOCK;
            int64_t label[FA_LABEL_BLOCK], count = 0, right = 0;
            if (n == FA_LABEL_BLOCK)
                fa_read_labels(job, i, 1, FA_LABEL_BLOCK, label);
            else {
                LANE(FA_LABEL_BLOCK) label[j] = 0;
                fa_read_labels(job, i, 1, n, label);
            }
            if (alike) {                                /* by signs */
                uint64_t outside = 0;
                _Pragma("omp simd reduction(|:outside)") for (size_t j = 0; j < FA_LABEL_BLOCK; j++)
                    outside |= (uint64_t)label[j] | ((uint64_t)of.cols - 1 - (uint64_t)label[j]);
                if (!(outside >> 63)) {
                    total += (double)n;
                    continue;
                }
            }
            _Pragma("omp simd reduction(+:count, right)") for (size_t j = 0; j < FA_LABEL_BLOCK; j++) {
                const int64_t counts = fa_counts(label[j], of.cols, of.ignores, of.ignore), ignored = label[j] == of.ignore ? of.ignores : 0;
                const int64_t here = (int64_t)j < (int64_t)n ? 1 : 0;
                count += counts & here;
                right += (counts | ignored) & here;
            }
            if (right != (int64_t)n) {
                for (size_t j = 0; j < n && job->bad[unit] < 0; j++)
                    if ((uint64_t)label[j] >= of.cols && !(of.ignores && label[j] == of.ignore)) job->bad[unit] = (int64_t)(i + j);
                break;
            }
            if (!job->weight && !job->sample_weight)
                total += (double)count;
            else
                for (size_t j = 0; j < n; j++)
                    if (fa_counts(label[j], of.cols, of.ignores, of.ignore)) {
                        const double w = job->weight ? (double)((const REAL *)job->weight)[label[j]] : 1.0;
                        fa_add(&total, &low, job->sample_weight ? w * (double)((const REAL *)job->sample_weight)[i + j] : w);
                    }
        }
        job->partial[unit] = fa_added(total, low);
    }
}
