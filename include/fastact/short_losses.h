/* short_losses.h (template): losses by the pieces of short_rows.h: cross-entropy of labels without weights, of short rows and of blocks of
 * columns, its gradient beside it; of short rows, sums over dense targets of given probabilities.
 */
#if SHORT_ROWS
/* What is known of a group's samples beside short_group. */
typedef struct {
    double loss[LANES];
    REAL logit[LANES], e[LANES], at_label[LANES];       /* of the label: its logit, exponential and gradient */
    INT label[LANES], counts[LANES];                    /* counts: -1 or 0, then the label is 0 */
} __attribute__((aligned(64))) F(short_samples);

/* The labels of LOTS groups, of which there are `count`. Those of the next LOTS but one are fetched: among the runs of a block the caches' own
 * prefetching does not follow them (cross-entropy of (8, 21, 256, 256) along axis 1: 4 % of its time). */
FA_SHARED void F(short_labels)(const fa_xent_job *job, size_t first, size_t count, F(short_samples) *s)
{
    const fa_xent_job of = *job;
    for (size_t j = 0; j < LOTS * LANES; j += 8)            /* a line of int64 */
        __builtin_prefetch(of.labels + (ptrdiff_t)(first + 2 * LOTS * LANES + j) * of.label_stride, 0, 3);
    int64_t label[LOTS * LANES], counts[LOTS * LANES];
    for (size_t j = count; j < LOTS * LANES; j++) label[j] = -1;
    fa_read_labels(job, first, 1, count, label);
    LANE(LOTS * LANES) {
        counts[j] = fa_counts(label[j], of.cols, of.ignores, of.ignore);
        label[j] = counts[j] ? label[j] : 0;
    }
    for (size_t i = 0, at = 0; i < LOTS; i++, at += LANES) {
        LANE(LANES) s[i].label[j] = (INT)label[at + j];
        LANE(LANES) s[i].counts[j] = -(INT)counts[at + j];
    }
}

/* sample_losses of samples without weights, in vectors; `by` becomes p_scale. */
FA_INLINE void F(short_losses)(F(short_group) *g, F(short_samples) *s, double scale, const int with_grad)
{
    const __m256d one = _mm256_set1_pd(1.0), k = _mm256_set1_pd(scale), minus_k = _mm256_set1_pd(-scale);
    double logs[LANES];
    log1p_of_sums(logs, g->sum);
    for (size_t r = 0; r < LANES; r += 4) {
        const __m128 m = _mm_load_ps(g->m + r), infinite = _mm_cmpeq_ps(m, _mm_set1_ps(REAL_INF));
        const __m128i none = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)(g->maxima + r)), _mm_setzero_si128());
        const __m256d nan = _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm_or_si128(none, _mm_castps_si128(infinite))));
        const __m256d counts = _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm_load_si128((const __m128i *)(s->counts + r))));
        const __m256d rest = _mm256_load_pd(g->sum + r), d = _mm256_sub_pd(_mm256_cvtps_pd(_mm_load_ps(s->logit + r)), _mm256_cvtps_pd(m));
        _mm256_store_pd(s->loss + r, _mm256_and_pd(_mm256_sub_pd(_mm256_or_pd(_mm256_loadu_pd(logs + r), nan), d), counts));
        if (with_grad) {
            const __m256d all = _mm256_add_pd(one, rest), by = _mm256_div_pd(one, all), dominates = _mm256_cmp_pd(d, _mm256_setzero_pd(), _CMP_EQ_OQ);
            const __m256d others = _mm256_blendv_pd(_mm256_sub_pd(all, _mm256_cvtps_pd(_mm_load_ps(s->e + r))), rest, dominates);
            _mm_store_ps(g->by + r, _mm256_cvtpd_ps(_mm256_or_pd(_mm256_mul_pd(k, by), nan)));
            _mm_store_ps(s->at_label + r, _mm256_cvtpd_ps(_mm256_or_pd(_mm256_mul_pd(minus_k, _mm256_mul_pd(others, by)), nan)));
        }
    }
}

/* The gradients of a group's `count` samples, `n` apart. */
FA_INLINE void F(short_gradients)(const REAL *panel, REAL *grad, size_t n, size_t count, const F(short_group) *g, const F(short_samples) *s)
{
    int32_t all = -1;
    F(short_out)(panel, grad, (ptrdiff_t)n, n, g, 0);
    for (size_t r = 0; r < LANES; r++) grad[r * n + (size_t)s->label[r]] = s->at_label[r];
    _Pragma("omp simd reduction(&:all)") for (size_t j = 0; j < LANES; j++) all &= s->counts[j];
    for (size_t r = 0; !all && r < count; r++)
        if (!s->counts[r]) memset(grad + r * n, 0, n * sizeof(REAL));
}

FA_INLINE void F(short_cross_entropy)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, const int with_grad)
{
    const size_t n = job->cols, size = n * LANES;
    REAL panel[LOTS * FA_SHORT * LANES] __attribute__((aligned(64))), few[FA_SHORT * LANES];
    const int stream = with_grad && job->stream;
    F(leaving_rows) leaving;
    F(short_group) groups[LOTS];
    F(short_samples) samples[LOTS];
    if (with_grad)
        F(leaving_start)(&leaving, job->grad);
    for (ptrdiff_t unit = begin; unit < end; unit += (ptrdiff_t)LOTS) {
        const size_t first = (size_t)unit * LANES, lots = (size_t)(end - unit) < LOTS ? (size_t)(end - unit) : LOTS, left = job->outer - first;
        F(short_labels)(job, first, left < lots * LANES ? left : lots * LANES, samples);
        for (size_t i = 0, row = first; i < lots; i++, row += LANES) {
            ptrdiff_t stride = (ptrdiff_t)n;
            const REAL *x = F(short_whole)(few, SAMPLE(x, row), &stride, n, job->outer - row < LANES ? job->outer - row : LANES);
            F(short_in)(panel + i * size, x, stride, n, groups[i].m);
            for (size_t r = 0; r < LANES; r++) samples[i].logit[r] = x[r * n + (size_t)samples[i].label[r]];
        }
        fa_ahead ahead = F(rows_ahead)(SAMPLE(x, first), LOTS * n * LANES * sizeof(REAL));
        for (size_t i = 0; i < lots; i++) {
            F(short_sum)(panel + i * size, n, LANES, groups + i, with_grad, 1, &ahead);
            for (size_t r = 0; with_grad && r < LANES; r++) samples[i].e[r] = panel[i * size + (size_t)samples[i].label[r] * LANES + r];
        }
        for (size_t i = 0; i < lots; i++) F(short_losses)(groups + i, samples + i, job->scale, with_grad);
        for (size_t i = 0, row = first; i < lots; i++, row += LANES) {
            const size_t count = job->outer - row < LANES ? job->outer - row : LANES;
            const fa_group g = fa_group_of_rows(row, count, n);
            REAL *const grad = SAMPLE(grad, row), *to = count < LANES ? few : stream ? leaving.line + leaving.behind : grad;
            job->partial[unit + (ptrdiff_t)i] = F(store_losses)(job, &g, samples[i].loss);
            if (!with_grad)
                continue;
            if (job->scale == 0.0)
                memset(grad, 0, count * n * sizeof(REAL));
            else {
                F(short_gradients)(panel + i * size, to, n, count, groups + i, samples + i);
                if (count < LANES)
                    memcpy(grad, few, count * n * sizeof(REAL));
                else if (stream)
                    F(rows_leave)(&leaving, grad, size);
            }
        }
    }
    if (with_grad)
        F(leaving_end)(&leaving);
    if (stream)
        stream_end();
}

/* The gradients of a panel, over its exponentials. */
FA_INLINE void F(panel_gradients)(REAL *p, size_t n, size_t width, const F(short_group) *g, const F(short_samples) *s, const int finite)
{
    REAL at_label[LANES];
    const FA_INTS some = FA_INT(set1)(-(INT)finite);
    for (size_t r = 0; r < LANES; r += FA_FLOATS) {
        const FA_VECTOR by = FA_PS(loadu)(g->by + r), counts = FA_AS_FLOATS(FA_AND(FA_LOAD_INTS(s->counts + r), some));
        REAL *x = p + r;
        for (size_t c = 0; c < n; c++, x += width) FA_PS(storeu)(x, FA_PS(and)(FA_PS(mul)(FA_PS(loadu)(x), by), counts));
        FA_PS(storeu)(at_label + r, FA_PS(and)(FA_PS(loadu)(s->at_label + r), counts));
    }
    for (size_t r = 0; r < LANES; r++) p[(size_t)s->label[r] * width + r] = at_label[r];
}

/* short_cross_entropy of blocks of columns. Time of (8, 21, 256, 256) along axis 1 against that along the last axis, one after the other in
 * one process: 1.53 -> 1.06, with gradient 1.11 -> 1.01. What is left is the copy, a sixth of the time. Slower, by as much of the whole: the next
 * block copied a line at a time beside exponentials (1.10), maxima and exponentials from the tensor without a copy (1.11, with lines fetched into
 * L1 1.17), every other line fetched (1.25), a quarter of the lines fetched while copying (1.05). */
FA_INLINE void F(panel_cross_entropy)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, REAL *p, const int with_grad)
{
    const size_t n = job->cols;
    const ptrdiff_t stride = (ptrdiff_t)(n * job->inner);
    REAL top[COLUMNS_CAPACITY] __attribute__((aligned(64)));
    F(short_group) groups[LOTS];
    F(short_samples) samples[LOTS];
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        const fa_columns b = fa_class_columns(job, sizeof(REAL), (size_t)unit);
        double loss = 0.0;
        fa_ahead ahead = F(block_ahead)(&b, job->x, stride);
        F(columns_in_top)(p, job->x, stride, &b, n, top);
        for (size_t at = 0; at < b.count; at += LOTS * LANES) {
            const size_t left = b.count - at < LOTS * LANES ? b.count - at : LOTS * LANES, lots = (left + LANES - 1) / LANES;
            F(short_labels)(job, b.outer * b.inner + b.first + at, left, samples);
            for (size_t i = 0; i < lots; i++) {
                const REAL *x = p + at + i * LANES;
                F(copy_lanes)(groups[i].m, top + at + i * LANES);
                for (size_t r = 0; r < LANES; r++) samples[i].logit[r] = x[(size_t)samples[i].label[r] * b.width + r];
            }
            for (size_t i = 0; i < lots; i++) {
                REAL *x = p + at + i * LANES;
                F(short_sum)(x, n, b.width, groups + i, with_grad, 1, &ahead);
                for (size_t r = 0; with_grad && r < LANES; r++) samples[i].e[r] = x[(size_t)samples[i].label[r] * b.width + r];
            }
            for (size_t i = 0; i < lots; i++) F(short_losses)(groups + i, samples + i, job->scale, with_grad);
            for (size_t i = 0; i < lots; i++) {
                const fa_group g = fa_group_of_columns(&b, at + i * LANES, n, LANES);
                loss += F(store_losses)(job, &g, samples[i].loss);
                if (with_grad)
                    F(panel_gradients)(p + at + i * LANES, n, b.width, groups + i, samples + i, job->scale != 0.0);
            }
        }
        job->partial[unit] = loss;
        if (with_grad)
            F(columns_out)(p, job->grad, stride, NULL, 0, &b, 0, n, C(0.0));
    }
    if (with_grad && job->stream)
        stream_end();
}

/* a_c times the logarithms of `size` classes as they lie, see any_log_shares. */
FA_INLINE void F(short_shares)(REAL *v, const REAL *a, const REAL *x, size_t size, const int given)
{
    for (size_t i = 0; i < size; i += LANES, v += LANES, a += LANES, x += LANES)
        if (given == F(DIVERGENCE) && all_normal(x, LANES) && all_normal(a, LANES))
            LANE(LANES) v[j] = a[j] * F(log_ratio_of)(F(bits)(a[j]), F(bits)(x[j]), C(0.0));
        else if (given == F(PROBS) && (all_normal(x, LANES) || all_normal_or_both_zero(x, a, LANES))) {
            log_by_table(v, x, NULL, NULL, LANES);
            LANE(LANES) v[j] = a[j] * -v[j];
        } else
            F(any_log_shares)(v, a, x, LANES, given == F(DIVERGENCE));
}

/* Sums over dense targets without weights. The shares are computed where the rows lie and transposed once. */
FA_INLINE void F(short_dense_of)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, const int given)
{
    const size_t n = job->cols, size = n * LANES;
    REAL v[FA_SHORT * LANES + PIECE] __attribute__((aligned(64))), few[2][FA_SHORT * LANES];
    double loss[LANES];
    memset(v + size, 0, PIECE * sizeof(REAL));
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        const size_t row = (size_t)unit * LANES, count = job->outer - row < LANES ? job->outer - row : LANES;
        const fa_group g = fa_group_of_rows(row, count, n);
        ptrdiff_t stride = (ptrdiff_t)n;
        const REAL *x = F(short_whole)(few[0], SAMPLE(x, row), &stride, n, count), *a = F(short_whole)(few[1], SAMPLE(target, row), &stride, n, count);
        F(short_shares)(v, a, x, size, given);
        F(short_add)(loss, v, n);
        job->partial[unit] = F(store_losses)(job, &g, loss);
    }
}

FA_SHARED void F(short_dense)(const fa_xent_job *job, ptrdiff_t begin, ptrdiff_t end, int given)
{
    if (given == F(DIVERGENCE))
        F(short_dense_of)(job, begin, end, F(DIVERGENCE));
    else
        F(short_dense_of)(job, begin, end, F(PROBS));
}
#endif
