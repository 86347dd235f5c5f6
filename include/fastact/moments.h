/* moments.h (template): per block of FA_LOSS_BLOCK elements of one column, what the metrics need beside sums of losses.
 *
 * moments: total weight; of a, then of d = a - b, a base, the mean less the base, the sum of squared deviations. Seven doubles
 * per block, which the driver merges pairwise (Chan, Golub and LeVeque 1979). No mean is ever rounded to the size of the
 * data: exact to rounding whatever the offset, exactly 0 for a constant. 4 B/element and tensor in float32 from memory, once.
 *
 * Without weights a block is read once, less the mean of its first SUMMANDS elements. That base is off the block's mean m by
 * no more than the block's own spread allows: n var >= SUMMANDS (base - m)^2, so that sum p^2 - (sum p)^2/n loses a factor of
 * 1 + n/SUMMANDS = 65 of 2^-53 at the worst, an outlier in the base included. (With the first element for a base, an outlier
 * there cost 2e-12 of r2_score. 2^24 float32 pairs on two threads: 6.9 ms in two passes over each block.) With weights, where
 * that bound fails, the block is read a second time from L1.
 * largest: the largest |a - b|, NaN if there is one; one double.
 */
#undef MOMENT_LANES
#define MOMENT_LANES ((size_t)8)        /* five accumulators of 8 doubles fit the registers, and hide an addition */
#undef MOMENT_CHAINS
#define MOMENT_CHAINS(n, each, ...)                                                     \
    {                                                                                   \
        const size_t whole = (n) & ~(MOMENT_LANES - 1);                                 \
        WALK_WIDE(whole, MOMENT_LANES, each, , __VA_ARGS__)                             \
        for (size_t j = 0; j < (n) - whole; j++) { const size_t i = whole + j; __VA_ARGS__ } \
    }
#undef EACH_ab
#undef EACH_abw
#define EACH_ab(f) f(a) f(b)
#define EACH_abw(f) f(a) f(b) f(w)

static double F(moment_fold)(double *acc)
{
    for (size_t width = MOMENT_LANES / 2; width; width /= 2)
        for (size_t j = 0; j < width; j++) acc[j] += acc[j + width];
    return acc[0];
}

/* Sum of squared deviations from those from a base; infinite where it overflows. */
static double F(moment_spread)(double squares, double sum, double per)
{
    if (squares == (double)INFINITY && __builtin_fabs(sum) < (double)INFINITY) return squares;
    const double spread = squares - sum * (sum * per);
    return spread < 0.0 ? 0.0 : spread;
}

static void F(moments_of)(size_t n, const REAL *a, const REAL *b, double *out)
{
    double as[MOMENT_LANES] = {0}, ds[MOMENT_LANES] = {0}, a2[MOMENT_LANES] = {0}, d2[MOMENT_LANES] = {0};
    double a0 = a[0], d0 = (double)a[0] - (double)b[0];
    if (n >= SUMMANDS) {
        double first_a[SUMMANDS], first_d[SUMMANDS];
        for (size_t j = 0; j < SUMMANDS; j++) {         /* scaled first: exact for a constant, no overflow */
            first_a[j] = a[j] * (1.0 / SUMMANDS);
            first_d[j] = ((double)a[j] - (double)b[j]) * (1.0 / SUMMANDS);
        }
        a0 = F(loss_fold)(first_a);
        d0 = F(loss_fold)(first_d);
    }
    MOMENT_CHAINS(n, EACH_ab,
        const double p = a[i] - a0, q = ((double)a[i] - (double)b[i]) - d0;
        as[j] = F(plus)(as[j], p);
        ds[j] = F(plus)(ds[j], q);
        a2[j] = F(fma_wide)(p, p, a2[j]);
        d2[j] = F(fma_wide)(q, q, d2[j]);)
    const double sum_a = F(moment_fold)(as), sum_d = F(moment_fold)(ds), per = 1.0 / (double)n;
    out[0] = (double)n;
    out[1] = a0;
    out[2] = sum_a * per;
    out[3] = F(moment_spread)(F(moment_fold)(a2), sum_a, per);
    out[4] = d0;
    out[5] = sum_d * per;
    out[6] = F(moment_spread)(F(moment_fold)(d2), sum_d, per);
}

static void F(weighted_moments_of)(size_t n, const REAL *a, const REAL *b, const REAL *w, double *out)
{
    double weights[MOMENT_LANES] = {0}, as[MOMENT_LANES] = {0}, ds[MOMENT_LANES] = {0};
    double a2[MOMENT_LANES] = {0}, d2[MOMENT_LANES] = {0};
    size_t first = 0;               /* the base has weight: one without may be anything */
    while (first + 1 < n && w[first] == C(0.0)) first++;
    const double a0 = a[first], d0 = (double)a[first] - (double)b[first];
    MOMENT_CHAINS(n, EACH_abw,
        const double v = w[i], p = a[i] - a0, q = (double)a[i] - (double)b[i] - d0;
        weights[j] += v;
        as[j] += v * p;
        ds[j] += v * q;)
    const double total = F(moment_fold)(weights), per = total != 0.0 ? 1.0 / total : 0.0;
    const double mean_a = F(moment_fold)(as) * per, mean_d = F(moment_fold)(ds) * per;
    MOMENT_CHAINS(n, EACH_abw,
        const double v = w[i], p = (a[i] - a0) - mean_a, q = ((double)a[i] - (double)b[i] - d0) - mean_d;
        a2[j] += v * (p * p);
        d2[j] += v * (q * q);)
    out[0] = total;
    out[1] = a0;
    out[2] = mean_a;
    out[3] = F(moment_fold)(a2);
    out[4] = d0;
    out[5] = mean_d;
    out[6] = F(moment_fold)(d2);
}

/* By the bits, which order non-negative numbers, NaN above all. */
static double F(largest_of)(size_t n, const REAL *a, const REAL *b)
{
    int64_t top[MOMENT_LANES] = {0};
    MOMENT_CHAINS(n, EACH_ab,
        const double d = __builtin_fabs((double)a[i] - (double)b[i]);
        int64_t bits;
        memcpy(&bits, &d, sizeof bits);
        top[j] = bits > top[j] ? bits : top[j];)
    for (size_t j = 1; j < MOMENT_LANES; j++) top[0] = top[j] > top[0] ? top[j] : top[0];
    double d;
    memcpy(&d, top, sizeof d);
    return d;
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
            double *out = job->partial + FA_MOMENTS_SIZE * block;
            if (job->weight.data)
                F(weighted_moments_of)(n, a, b, (const REAL *)F(loss_fetch)(&job->weight, column, start, n, buffers[2]), out);
            else
                F(moments_of)(n, a, b, out);
        }
    }
}
