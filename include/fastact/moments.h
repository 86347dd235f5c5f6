/* moments.h (template): per block of FA_LOSS_BLOCK elements of one column, what the metrics need beside sums of losses.
 *
 * moments: total weight; of a, then of d = a - b, a base, the mean less the base, the sum of squared deviations. Seven doubles
 * per block, which the driver merges pairwise (Chan, Golub and LeVeque 1979). The block is read twice, the second time from
 * L1, and no mean is ever rounded to the size of the data: exact to rounding whatever the offset, exactly 0 for a constant.
 * Rejected: one pass shifted by the first element, which loses its digits when that one is an outlier. 4 B/element and
 * tensor in float32 from memory, once.
 * largest: the largest |a - b|, NaN if there is one; one double.
 */
#undef MOMENT_CHAINS
#define MOMENT_CHAINS(n, ...)                                                    \
    {                                                                                   \
        const size_t whole = (n) & ~(SUMMANDS - 1);                                     \
        for (size_t base = 0; base < whole; base += SUMMANDS)                           \
            _Pragma("omp simd") for (size_t j = 0; j < SUMMANDS; j++) { const size_t i = base + j; __VA_ARGS__ } \
        for (size_t j = 0; j < (n) - whole; j++) { const size_t i = whole + j; __VA_ARGS__ } \
    }

/* sum of v*f over the block, where v is the weight or 1 */
#undef WEIGHED
#define WEIGHED(n, ...)                                                                   if (w) MOMENT_CHAINS(n, const double v = w[i]; __VA_ARGS__)                                   else MOMENT_CHAINS(n, const double v = 1.0; __VA_ARGS__)

static void F(moments_of)(size_t n, const REAL *a, const REAL *b, const REAL *w, double *out)
{
    double weights[SUMMANDS] = {0}, as[SUMMANDS] = {0}, ds[SUMMANDS] = {0}, a2[SUMMANDS] = {0}, d2[SUMMANDS] = {0};
    size_t first = 0;               /* the base has weight: one without may be anything */
    while (w && first + 1 < n && w[first] == C(0.0)) first++;
    const double a0 = a[first], d0 = (double)a[first] - (double)b[first];
    WEIGHED(n,
        const double p = a[i] - a0, q = (double)a[i] - (double)b[i] - d0;
        weights[j] += v;
        as[j] += v * p;
        ds[j] += v * q;)
    const double total = F(loss_fold)(weights), per = total != 0.0 ? 1.0 / total : 0.0;
    const double mean_a = F(loss_fold)(as) * per, mean_d = F(loss_fold)(ds) * per;
    WEIGHED(n,
        const double p = (a[i] - a0) - mean_a, q = ((double)a[i] - (double)b[i] - d0) - mean_d;
        a2[j] += v * (p * p);
        d2[j] += v * (q * q);)
    out[0] = total;
    out[1] = a0;
    out[2] = mean_a;
    out[3] = F(loss_fold)(a2);
    out[4] = d0;
    out[5] = mean_d;
    out[6] = F(loss_fold)(d2);
}

static double F(largest_of)(size_t n, const REAL *a, const REAL *b)
{
    double top[SUMMANDS] = {0};
    MOMENT_CHAINS(n,
        const double d = __builtin_fabs((double)a[i] - (double)b[i]);
        top[j] = top[j] != top[j] || d <= top[j] ? top[j] : d;)
    for (size_t j = 1; j < SUMMANDS; j++) top[0] = top[0] != top[0] || top[j] <= top[0] ? top[0] : top[j];
    return top[0];
}

static void F(moment_blocks)(const fa_loss_job *job, size_t first, size_t last)
{
    REAL buffers[3][FA_LOSS_BLOCK];
    for (size_t block = first; block < last; block++) {
        const size_t start = block / job->columns * FA_LOSS_BLOCK, column = block % job->columns;
        const size_t n = job->n - start < FA_LOSS_BLOCK ? job->n - start : FA_LOSS_BLOCK;
        const REAL *a = (const REAL *)F(loss_fetch)(&job->in[0], column, start, n, buffers[0]);
        const REAL *b = (const REAL *)F(loss_fetch)(&job->in[1], column, start, n, buffers[1]);
        if (job->loss == FA_LARGEST) {
            job->partial[block] = F(largest_of)(n, a, b);
        } else {
            const REAL *w = NULL;
            if (job->weight.data) w = (const REAL *)F(loss_fetch)(&job->weight, column, start, n, buffers[2]);
            F(moments_of)(n, a, b, w, job->partial + FA_MOMENTS_SIZE * block);
        }
    }
}
