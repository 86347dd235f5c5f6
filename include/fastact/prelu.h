/* prelu.h (template): both gradients of prelu in one pass over dy and x: dx, and dalpha = sum(dy * min(x, 0)) per channel.
 *
 * 12 bytes per float32 element (read dy and x, write dx) against 20 in two passes. Products and sums are doubles: the
 * product of two float32 is then exact, and the conversions hide behind the memory from L2 on.
 */
#undef PRELU_CHAINS
#define PRELU_CHAINS ((size_t)32)

#undef PRELU_ELEMENT
#define PRELU_ELEMENT(i, slope, sum) {                                                  \
        const REAL g = dy[i], v = x[i];         /* dx may be dy or x */                 \
        dx[i] = g * F(prelu_d)(v, slope);                                               \
        sum += (double)g * (double)F(at_most)(v, zero);                                 \
    }

/* Elements of one channel, n a multiple of PRELU_CHAINS; chain j adds the elements j, j + PRELU_CHAINS, ... */
static double F(prelu_run)(size_t n, const REAL *dy, const REAL *x, REAL alpha, REAL *dx)
{
    const REAL zero = LIMIT(zero);          /* a literal here made gcc branch */
    double acc[PRELU_CHAINS] = {0};
    for (size_t base = 0; base < n; base += PRELU_CHAINS)
        _Pragma("omp simd") for (size_t j = 0; j < PRELU_CHAINS; j++) PRELU_ELEMENT(base + j, alpha, acc[j])
    for (size_t width = PRELU_CHAINS / 2; width; width /= 2)
        for (size_t j = 0; j < width; j++) acc[j] += acc[j + width];
    return acc[0];
}

/* As prelu_run for any n: the rest runs in a padded buffer. */
static double F(prelu_any_run)(size_t n, const REAL *dy, const REAL *x, REAL alpha, REAL *dx)
{
    const size_t whole = n & ~(PRELU_CHAINS - 1), rest = n - whole;
    double sum = whole ? F(prelu_run)(whole, dy, x, alpha, dx) : 0.0;
    if (rest) {
        REAL pad[3][PRELU_CHAINS] = {{0}};
        memcpy(pad[0], dy + whole, rest * sizeof(REAL));
        memcpy(pad[1], x + whole, rest * sizeof(REAL));
        sum += F(prelu_run)(PRELU_CHAINS, pad[0], pad[1], alpha, pad[2]);
        memcpy(dx + whole, pad[2], rest * sizeof(REAL));
    }
    return sum;
}

/* One element of each of n channels. */
static void F(prelu_row)(size_t n, const REAL *dy, const REAL *x, const REAL *alpha, REAL *dx, double *sums)
{
    const REAL zero = LIMIT(zero);
    _Pragma("omp simd") for (size_t j = 0; j < n; j++) PRELU_ELEMENT(j, alpha[j], sums[j])
}

static void F(prelu_blocks)(const fa_prelu_job *job, size_t first, size_t last)
{
    const size_t across = (job->channels + job->block_channels - 1) / job->block_channels;
    const size_t along = (job->inner + job->block_inner - 1) / job->block_inner;
    for (size_t unit = first; unit < last; unit++) {
        const size_t deep = unit / across, c0 = unit % across * job->block_channels;
        const size_t o0 = deep / along * job->block_outer, i0 = deep % along * job->block_inner;
        const size_t c1 = c0 + job->block_channels < job->channels ? c0 + job->block_channels : job->channels;
        const size_t o1 = o0 + job->block_outer < job->outer ? o0 + job->block_outer : job->outer;
        const size_t length = i0 + job->block_inner < job->inner ? job->block_inner : job->inner - i0;
        const REAL *dy = (const REAL *)job->dy, *x = (const REAL *)job->x, *alpha = (const REAL *)job->alpha;
        REAL *dx = (REAL *)job->dx;
        double *sums = job->partial + deep * job->channels;
        for (size_t c = c0; c < c1; c++) sums[c] = 0.0;
        for (size_t o = o0; o < o1; o++) {
            if (job->inner == 1) {
                const size_t at = o * job->channels + c0, end = at + (c1 - c0) < job->n ? at + (c1 - c0) : job->n;
                if (at < end)
                    F(prelu_row)(end - at, dy + at, x + at, alpha + c0, dx + at, sums + c0);
            } else {
                for (size_t c = c0; c < c1; c++) {
                    const size_t at = (o * job->channels + c) * job->inner + i0;
                    sums[c] += F(prelu_any_run)(length, dy + at, x + at, alpha[c], dx + at);
                }
            }
        }
    }
}
