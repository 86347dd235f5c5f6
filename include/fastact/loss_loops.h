/* loss_loops.h (template): sums, elements and gradients of the formulas of losses.h, block by block.
 *
 * A block is FA_LOSS_BLOCK consecutive elements of one column. Its sum runs in SUMMANDS chains of doubles that are folded in
 * a fixed tree, one partial per block: the same bits for any number of threads, any alignment and any ISA with FMA or
 * without it (the sums use it with a factor of 1; only float64's hinge_loss and the squares of moments.h are fused).
 * 32 chains: four zmm or eight ymm registers hide the latency of an addition, and gcc keeps them in registers. Rejected:
 * folding four groups of float32 before the conversion (2.9 against 2.4 us for 32k squares on AVX-512, equal from memory, and
 * it rounds).
 */

/* acc + x. Zen 4 adds, and converts, on two of its four pipes, and multiplies on the others: there, with a 1 that the compiler
 * cannot see, the sum of 2^20 float32 pairs takes 129 instead of 153 us (l1), 120 (mse), 192 instead of 238 (huber). The bits
 * are those of an addition. */
static inline double F(plus)(double acc, double x) { return FA_HAS_FMA ? __builtin_fma(x, fa_limit_one_f64, acc) : acc + x; }

static inline double F(loss_fold)(double *acc)
{
    for (size_t width = SUMMANDS / 2; width; width /= 2)
        for (size_t j = 0; j < width; j++) acc[j] += acc[j + width];
    return acc[0];
}

#undef WIDE_LIGHT
#undef WIDE_MEDIUM
#undef WIDE_HEAVY
#define WIDE_LIGHT double
#define WIDE_MEDIUM REAL
#define WIDE_HEAVY REAL

/* How the formulas read their tensors and parameters. */
#undef TENSORS_1
#undef TENSORS_2
#undef TENSORS_3
#undef AT_1
#undef AT_2
#undef AT_3
#define TENSORS_1 const REAL *x = (const REAL *)in[0];
#define TENSORS_2 TENSORS_1 const REAL *y = (const REAL *)in[1];
#define TENSORS_3 TENSORS_2 const REAL *z = (const REAL *)in[2];
#define AT_1 x[i]
#define AT_2 x[i], y[i]
#define AT_3 x[i], y[i], z[i]
#undef SCALARS_0
#undef SCALARS_1
#undef SCALARS_2
#undef SCALARS_3
#undef AND_0
#undef AND_1
#undef AND_2
#undef AND_3
#define SCALARS_0(WIDE) (void)params;
#define SCALARS_1(WIDE) const WIDE p = (WIDE)params[0];
#define SCALARS_2(WIDE) SCALARS_1(WIDE) const WIDE q = (WIDE)params[1];
#define SCALARS_3(WIDE) SCALARS_2(WIDE) const WIDE r = (WIDE)params[2];
#define AND_0
#define AND_1 , p
#define AND_2 , p, q
#define AND_3 , p, q, r

/* Chain j of `lanes` gets the elements j, j + lanes, ... of `count`, a multiple of lanes. fetch: before each step. */
#undef WALK
#undef WALK_ONE
#define WALK(count, lanes, fetch, ...)                                                  \
    for (size_t base = 0; base < (count); base += (lanes)) {                            \
        fetch                                                                           \
        WALK_ONE(lanes, __VA_ARGS__)                                                    \
    }
#define WALK_ONE(lanes, ...)                                                            \
    _Pragma("omp simd") for (size_t j = 0; j < (lanes); j++) {                          \
        const size_t i = base + j;                                                      \
        __VA_ARGS__                                                                     \
    }
/* SUMMANDS numbers of a tensor `ahead` bytes on, into L1, of sums of what no cache holds (ahead = 0: nothing): the caches' own prefetching
 * starts anew in every page. Zen 3, 2 threads, 2^24 pairs: l1 and mse 5.95 -> 5.45 ms, huber 6.05 -> 5.28; binary_cross_entropy gained
 * nothing and has none. Where a cache holds them it costs 8 %, and 5 % if lines are asked for that are read anyway. */
#undef FETCH
#define FETCH(a)                                                                        \
    for (size_t line = 0; ahead && line < SUMMANDS * sizeof(REAL); line += 64) __builtin_prefetch((const char *)(a + base) + ahead + line, 0, 3);
/* The same for statements in double. What they read of float32 is widened before, and `i` the place in that; each(f) is f of
 * all they read. */
#undef WALK_WIDE
#undef STEP_WIDE
#define WALK_WIDE(count, lanes, each, fetch, ...)                                       \
    for (size_t base = 0; base < (count); base += (lanes)) {                            \
        fetch                                                                           \
        STEP_WIDE(lanes, each, __VA_ARGS__)                                             \
    }
#if FA_BITS == 64
#define STEP_WIDE(lanes, each, ...) WALK_ONE(lanes, __VA_ARGS__)
#else
#define STEP_WIDE(lanes, each, ...)                                                     \
    for (size_t group = 0; group < (lanes); group += WIDENED) {                         \
        each(WIDEN)                                                                     \
        _Pragma("omp simd") for (size_t i = 0; i < WIDENED; i++) {                      \
            const size_t j = group + i;                                                 \
            each(SEE_WIDENED)                                                           \
            __VA_ARGS__                                                                 \
        }                                                                               \
    }
#endif
#undef WIDEN
#undef SEE_WIDENED
#define WIDEN(a) double a##_widened[WIDENED]; widen(a##_widened, a + base + group);
#define SEE_WIDENED(a) const double *const a = a##_widened;
#undef EACH_1
#undef EACH_2
#undef EACH_3
#undef EACH_1w
#undef EACH_2w
#undef EACH_3w
#define EACH_1(f) f(x)
#define EACH_2(f) f(x) f(y)
#define EACH_3(f) EACH_2(f) f(z)
#define EACH_1w(f) f(x) f(w)
#define EACH_2w(f) f(x) f(y) f(w)
#define EACH_3w(f) EACH_3(f) f(w)
#undef CHAINS_LIGHT
#undef CHAINS_MEDIUM
#undef CHAINS_HEAVY
#define CHAINS_LIGHT(each, statements) WALK_WIDE(n, SUMMANDS, each, each(FETCH), statements)
#define CHAINS_MEDIUM(each, statements) WALK(n, SUMMANDS, each(FETCH), statements)
#define CHAINS_HEAVY(each, statements) WALK(n, SUMMANDS, each(FETCH), statements)

/* n is a multiple of SUMMANDS. Four kernels per loss: the sum; the weighted sum (also of a padded tail, whose padding weighs 0: so float32 losses are
 * never rounded before they are added); the elements; gradient and sum in one pass. out may be one of the tensors. */
#undef LOSS_KERNEL
#define LOSS_KERNEL(kernel, name)                                                       \
    static double F(kernel##_##name)(size_t n, const char *const *in, const double *params, const REAL *w, double by, REAL *out, size_t ahead, \
                                     int leaves __attribute__((unused)))
#undef SUMS
#define SUMS(name, tensors, nparams, cost)                                              \
    LOSS_KERNEL(sum, name) {                                                            \
        TENSORS_##tensors SCALARS_##nparams(WIDE_##cost) (void)w, (void)by, (void)out;  \
        double acc[SUMMANDS] = {0};                                                     \
        CHAINS_##cost(EACH_##tensors, acc[j] = F(plus)(acc[j], F(name)(AT_##tensors AND_##nparams));) \
        return F(loss_fold)(acc);                                                       \
    }                                                                                   \
    LOSS_KERNEL(weighted_sum, name) {                                                   \
        TENSORS_##tensors SCALARS_##nparams(WIDE_##cost) (void)by, (void)out;           \
        double acc[SUMMANDS] = {0};                                                     \
        CHAINS_##cost(EACH_##tensors##w, acc[j] = F(plus)(acc[j], weighed_f64((double)w[i], F(name)(AT_##tensors AND_##nparams)));) \
        return F(loss_fold)(acc);                                                       \
    }                                                                                   \
    LOSS_KERNEL(each, name) {                                                           \
        TENSORS_##tensors SCALARS_##nparams(WIDE_##cost) (void)w, (void)by, (void)ahead; \
        _Pragma("omp simd") for (size_t i = 0; i < n; i++)                              \
            out[i] = (REAL)F(name)(AT_##tensors AND_##nparams);                         \
        return 0;                                                                       \
    }
/* SUMMANDS slopes past the caches. Zen 5, one thread, 2^24 float32: mse_loss and its gradient 5.5 -> 4.2 ms, binary_cross_entropy 6.5 -> 5.7;
 * losses of other costs gained 0 to 6 % on two threads, and lost 3 % in cache, where the slopes wait in memory too. */
FA_INLINE void F(slopes_leave)(REAL *out, const REAL *slopes)
{
    for (size_t j = 0; j < SUMMANDS; j += LANES) stream_line(out + j, slopes + j);
}

/* Of losses that take SUMMANDS elements at a time: F(name_span) gives their values, and where `slopes` is not NULL the slopes too. */
#undef SUMS_SPANS
#undef GRAD_SPANS
#undef BY_SPANS
#define BY_SPANS(name, slopes, statements, ...)                                         \
    TENSORS_2 (void)params;                                                             \
    double acc[SUMMANDS] = {0};                                                         \
    for (size_t base = 0; base < n; base += SUMMANDS) {                                 \
        REAL l[SUMMANDS], s[SUMMANDS] __attribute__((aligned(64)));                     \
        (void)s;                                                                        \
        (void)ahead;                                                                    \
        F(name##_span)(l, slopes, x + base, y + base);                                  \
        _Pragma("omp simd") for (size_t j = 0; j < SUMMANDS; j++) statements            \
        __VA_ARGS__                                                                     \
    }                                                                                   \
    return F(loss_fold)(acc);
#define SUMS_SPANS(name, tensors, nparams, cost)                                        \
    LOSS_KERNEL(sum, name) { (void)w, (void)by, (void)out; BY_SPANS(name, NULL, acc[j] = F(plus)(acc[j], (double)l[j]);) } \
    LOSS_KERNEL(weighted_sum, name) { (void)by, (void)out; BY_SPANS(name, NULL, acc[j] = F(plus)(acc[j], weighed_f64((double)w[base + j], (double)l[j]));) } \
    LOSS_KERNEL(each, name) { (void)w, (void)by; BY_SPANS(name, NULL, out[base + j] = l[j];) }
#define GRAD_SPANS(name, tensors, nparams, cost)                                        \
    LOSS_KERNEL(grad, name) {                                                           \
        const REAL scale = (REAL)by;                                                    \
        (void)w;                                                                        \
        BY_SPANS(name, s, {                                                             \
            acc[j] = F(plus)(acc[j], (double)l[j]);                                     \
            s[j] *= scale;                                                              \
            if (!leaves) out[base + j] = s[j];                                          \
        }, if (leaves) F(slopes_leave)(out + base, s);)                                 \
    }

/* A gradient shares with its loss what is costly; a light one is stored in a loop of its own, behind the loss of the same lanes. */
#undef SLOPES_LIGHT
#undef SLOPES_MEDIUM
#undef SLOPES_HEAVY
#define SLOPES_LIGHT(each, loss, slope)                                                 \
    for (size_t base = 0; leaves && base < n; base += SUMMANDS) {                       \
        REAL s[SUMMANDS] __attribute__((aligned(64)));                                  \
        STEP_WIDE(SUMMANDS, each, acc[j] = F(plus)(acc[j], loss);)                      \
        WALK_ONE(SUMMANDS, s[j] = scale * slope;)                                       \
        F(slopes_leave)(out + base, s);                                                 \
    }                                                                                   \
    for (size_t base = 0; !leaves && base < n; base += SUMMANDS) {                      \
        STEP_WIDE(SUMMANDS, each, acc[j] = F(plus)(acc[j], loss);)                      \
        _Pragma("omp simd") for (size_t i = base; i < base + SUMMANDS; i++) out[i] = scale * slope; \
    }
#define SLOPES_MEDIUM(each, loss, slope)                                                \
    WALK(n, SUMMANDS, , const double l = loss; const REAL s = scale * slope; acc[j] = F(plus)(acc[j], l); out[i] = s;)
#define SLOPES_HEAVY(each, loss, slope) SLOPES_MEDIUM(each, loss, slope)
#undef GRAD
#define GRAD(name, tensors, nparams, cost)                                              \
    LOSS_KERNEL(grad, name) {                                                           \
        TENSORS_##tensors SCALARS_##nparams(WIDE_##cost) (void)w, (void)ahead;          \
        const REAL scale = (REAL)by;                                                    \
        double acc[SUMMANDS] = {0};                                                     \
        SLOPES_##cost(EACH_##tensors, F(name)(AT_##tensors AND_##nparams), F(name##_d)(AT_##tensors AND_##nparams)) \
        return F(loss_fold)(acc);                                                       \
    }

#undef SUMS_LIGHT
#undef SUMS_MEDIUM
#undef SUMS_HEAVY
#undef GRAD_LIGHT
#undef GRAD_MEDIUM
#undef GRAD_HEAVY
#define SUMS_LIGHT SUMS
#define SUMS_MEDIUM SUMS
#define SUMS_HEAVY SUMS
#define GRAD_LIGHT GRAD
#define GRAD_MEDIUM GRAD
#define GRAD_HEAVY GRAD
#define FA_LOSS(name, tensors, params, cost) SUMS_##cost(name, tensors, params, cost) GRAD_##cost(name, tensors, params, cost)
#define FA_MEASURE(name, tensors, params, cost) SUMS(name, tensors, params, cost)
#include "fastact/ops.def"

typedef double (*F(loss_kernel))(size_t n, const char *const *in, const double *params, const REAL *w, double by, REAL *out, size_t ahead, int leaves);

static const struct {
    int tensors;
    F(loss_kernel) sum, weighted_sum, each, grad;
} F(losses)[FA_NLOSSES] = {
#define FA_LOSS(name, tensors, params, cost) \
    {tensors, F(sum_##name), F(weighted_sum_##name), F(each_##name), F(grad_##name)},
#define FA_MEASURE(name, tensors, params, cost) {tensors, F(sum_##name), F(weighted_sum_##name), F(each_##name), NULL},
#include "fastact/ops.def"
};

static void F(loss_weigh)(size_t n, REAL *x, const REAL *w)
{
    _Pragma("omp simd") for (size_t i = 0; i < n; i++) x[i] = F(weighed)(w[i], x[i]);
}

/* count elements of one operand from `start` on, as a contiguous array: its own memory or a copy in `buffer`. */
static const char *F(loss_fetch)(const fa_operand *a, size_t column, size_t start, size_t count, REAL *buffer)
{
    const char *data = a->data + (ptrdiff_t)column * a->column_step;
    size_t at = a->period ? start % a->period : start;
    if (a->step == sizeof(REAL) && (!a->period || at + count <= a->period)) return data + at * sizeof(REAL);
    if (a->period == 1 || a->step == 0) {           /* vectorised: pos_weight, mostly, of every block */
        REAL value;
        memcpy(&value, data, sizeof value);
        for (size_t i = 0; i < count; i++) buffer[i] = value;
        return (const char *)buffer;
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(&buffer[i], data + (ptrdiff_t)at * a->step, sizeof(REAL));
        at = a->period && at + 1 == a->period ? 0 : at + 1;
    }
    return (const char *)buffer;
}

/* One stretch of one block: n is a multiple of SUMMANDS. mask: the weights, or ones and zeros of a padded tail, or NULL. */
static void F(loss_stretch)(const fa_loss_job *job, size_t n, const char *const *in, const REAL *weight, const REAL *mask,
                            REAL *each, REAL *grad, double *partial, int leaves)
{
    const F(loss_kernel) sum = F(losses)[job->loss].sum, weighted_sum = F(losses)[job->loss].weighted_sum;
    double fused = 0;
    if (each) {
        F(losses)[job->loss].each(n, in, job->params, NULL, 0, each, 0, 0);
        if (weight) F(loss_weigh)(n, each, weight);
    }
    if (mask) partial[0] += weighted_sum(n, in, job->params, mask, 0, NULL, job->ahead, 0);
    else if (!grad) partial[0] += sum(n, in, job->params, NULL, 0, NULL, job->ahead, 0);
    if (weight) partial[1] += F(sum_total)(n, (const char *const[]){(const char *)weight}, NULL, NULL, 0, NULL, 0, 0);
    if (grad) {
        fused = F(losses)[job->loss].grad(n, in, job->params, NULL, job->scale, grad, job->ahead, leaves);
        if (weight) F(loss_weigh)(n, grad, weight);
        if (!mask) partial[0] += fused;
    }
}

/* Blocks first..last-1; block b is block b / columns of column b % columns. */
static void F(loss_blocks)(const fa_loss_job *job, size_t first, size_t last)
{
    const int tensors = F(losses)[job->loss].tensors, operands = tensors + (job->weight.data != NULL);
    REAL buffers[4][FA_LOSS_BLOCK];
    for (size_t b = first; b < last; b++) {
        const size_t start = b / job->columns * FA_LOSS_BLOCK, column = b % job->columns;
        const size_t count = job->n - start < FA_LOSS_BLOCK ? job->n - start : FA_LOSS_BLOCK;
        const size_t whole = count & ~(SUMMANDS - 1), rest = count - whole;
        const char *in[4] = {NULL, NULL, NULL, NULL};
        for (int k = 0; k < operands; k++)
            in[k] = F(loss_fetch)(k < tensors ? &job->in[k] : &job->weight, column, start, count, buffers[k]);
        const REAL *weight = operands > tensors ? (const REAL *)in[tensors] : NULL;
        REAL *each = job->each ? (REAL *)job->each + start : NULL, *grad = job->grad ? (REAL *)job->grad + start : NULL;
        double *partial = job->partial + 2 * b;
        partial[0] = partial[1] = 0;
        if (rest) {
            /* Before the body: the gradient may overwrite a tensor, but not what the tail's copy holds. */
            REAL tail[5][SUMMANDS] = {{0}}, tail_each[SUMMANDS], tail_grad[SUMMANDS], *mask = tail[4];
            const char *const padded[4] = {(char *)tail[0], (char *)tail[1], (char *)tail[2], (char *)tail[3]};
            for (int k = 0; k < operands; k++) memcpy(tail[k], in[k] + whole * sizeof(REAL), rest * sizeof(REAL));
            for (size_t i = 0; i < rest; i++) mask[i] = 1;
            F(loss_stretch)(job, SUMMANDS, padded, weight ? tail[tensors] : NULL, weight ? tail[tensors] : mask,
                            each ? tail_each : NULL, grad ? tail_grad : NULL, partial, 0);
            if (each) memcpy(each + whole, tail_each, rest * sizeof(REAL));
            if (grad) memcpy(grad + whole, tail_grad, rest * sizeof(REAL));
        }
        if (whole) F(loss_stretch)(job, whole, in, weight, weight, each, grad, partial, job->stream);
    }
    if (job->stream)
        stream_end();
}
