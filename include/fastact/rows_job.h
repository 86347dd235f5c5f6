/* rows_job.h: what a kernel on rows is given, and how rows are cut into units of work. Included by table.h. */
#ifndef FASTACT_ROWS_JOB_H
#define FASTACT_ROWS_JOB_H

/* Tensors are outer x cols x inner: the class axis is `cols`. For each outer index they are contiguous, and `..._stride`
 * elements lie between one outer index and the next. y may be one of the inputs, else it shares no bytes with them. */
typedef struct {
    const void *x;               /* the input; y for the gradients */
    const void *dy;              /* the gradients' other input */
    const uint8_t *where;        /* NULL, or 0 where a class is left out */
    void *y;
    ptrdiff_t x_stride, dy_stride, where_stride, y_stride;
    size_t outer, cols, inner;
    double temperature;
    void *top;                   /* a split row: maximum of each chunk */
    double *partial;             /*              sum and count of each chunk; then in [0], [1] the row's */
    int stream;                  /* whether y is stored past the caches */
    void *wide;                  /* NULL, or scratch for wide blocks of columns (fa_wide_slice) */
} fa_rows_job;

enum fa_label_type { FA_INT8, FA_INT16, FA_INT32, FA_INT64, FA_UINT8, FA_UINT16, FA_UINT32, FA_UINT64 };

/* A classification loss: tensors are contiguous, outer x cols x inner; there are outer*inner samples.
 * Sample i has the target weights a_c: (1 - smoothing)*weight[label] at its label, or weight_c*(target_c*(1 - smoothing) +
 * smoothing/C) everywhere; loss_i = sum_c a_c*(log-sum-exp - x_c/T), times sample_weight_i. */
typedef struct {
    const void *x;               /* logits */
    const void *target;          /* NULL, or probabilities; for distillation the teacher's logits */
    const uint8_t *where;        /* NULL, or 0 where a class is left out */
    void *grad;                  /* NULL, or where the gradient goes; may be x */
    int stream;                  /* whether it is stored past the caches */
    void *wide;                  /* as in fa_rows_job */
    void *loss;                  /* NULL, or where the loss of each sample goes */
    double *partial;             /* the sum of the losses of each unit */
    size_t outer, cols, inner;
    size_t unit_rows;            /* samples in a unit */
    const char *labels;
    ptrdiff_t label_stride;      /* in bytes */
    int label_type;              /* fa_label_type */
    int focal;
    int64_t ignores, ignore;     /* ignores: 1 or 0, whether `ignore` is a label to leave out */
    const void *weight;          /* NULL, or per class */
    const void *sample_weight;   /* NULL, or per sample */
    double temperature, smoothing, gamma;
    double scale;                /* what the gradient of the sum is multiplied by; 0 makes it exactly zero */
    int64_t *bad;                /* check_labels: per unit the first sample whose label is no class, or -1 */
} fa_xent_job;

/* What is known of a sample after some of its classes (linear.h). */
typedef struct {
    double m, rest, maxima;      /* the largest logit, the sum of exp(z - m) over all but one of them, their number */
    double a, ad;                /* sums of a_c and a_c (z_c - m) over the dense target */
    double at_label;             /* the label's logit; after linear_finish its gradient */
    double p_scale, k;           /* grad_c = exp(z_c - m) p_scale - k a_c */
} fa_linear_state;

/* Logits of of.outer samples for the classes first .. first + classes - 1 of of.cols; see fa_linear_units. */
typedef struct {
    fa_xent_job of;              /* what is known of the samples; `target` has all classes */
    void *z;                     /* outer x classes, contiguous; becomes the gradient */
    size_t first, classes;
    const void *bias;            /* NULL, or of the block's classes */
    double *dbias;               /* NULL, or what the gradients are added to */
    fa_linear_state *state;
    void *label_logit;           /* NULL, or what stands in place of each label's logit, */
    double *by_w, *by_x, *by_own;               /* its derivatives (linear.h); after linear_after by_x has dx's multiples of x */
    double *own;                 /* per class, what linear_after adds up: the weights' gradient's multiples of themselves */
    const void *features_of, *class_of;         /* large_margin: x, weights; */
    size_t features, margin;
    double lambda;
    const double *knots;         /* cos(k pi/margin), k = 1 .. margin - 1 */
    const double *factors;       /* add_multiples: z += factors features_of, by rows */
} fa_linear_job;

/* Runs the units begin <= u < end of a job; which units run together changes no bit. */
typedef void (*fa_rows_fn)(void *job, ptrdiff_t begin, ptrdiff_t end);

enum fa_rows_id {
#define FA_ROWS(name) FA_ROWS_##name,
#include "fastact/rows.def"
    FA_NROWS
};

enum {
    FA_BLOCK_BYTES = 1024,       /* what is summed in REAL */
    FA_CHUNK_BLOCKS = 4,         /* each chunk costs a maximum and a sum across its lanes */
    FA_CHUNKS = 64,              /* parts of a long row, at most; units of a row split over threads */
    FA_UNIT_ROWS = 16,           /* rows in a unit, at most */
    FA_LOSSES_BYTES = 65536,     /* a unit's rows together where nothing is kept of them */
    FA_UNIT_BYTES = 16384,       /* a unit's rows together: in and out stay in L1 between the phases */
    FA_LABEL_UNIT = 4096,        /* labels checked at a time */
    FA_SHORT = 32,               /* classes up to which several rows share a vector */
    FA_COLUMNS_BYTES = 32768,    /* of one tensor, what a block of columns has in L1; 16 and 48 KiB: 25 % slower for 21 classes */
    FA_WIDE_BYTES = 524288,      /* of one tensor, what a wide block of columns has in L2, */
    FA_WIDE_VECTORS = 15,        /* and how wide it is at most: runs of 960 bytes */
    FA_WIDE_UNITS = 32,          /* narrower rather than fewer blocks than this */
    FA_WIDE_STEP = FA_WIDE_BYTES + 17 * 64,     /* from one tensor's scratch to the next, room for a vector behind it */
    FA_WIDE_TENSORS = 3,         /* at most */
    FA_PART_BYTES = 4096,        /* of a row's gradient on its way past the caches, what is finished at a time */
    FA_HALVES_BYTES = 1 << 20,   /* of one tensor, above which rows of softmax_grad are taken by half vectors */
    FA_LEAVING_BYTES = 1 << 19,  /* rows up to this leave past the caches (xent.h): scratch for them stays in L2 */
    FA_PEEK_BYTES = 16384,       /* prefetching ahead of the next row; 4 to 64 KiB: no difference */
    FA_SHORT_AHEAD_BYTES = 6144, /* prefetching ahead of short rows; 2.6 KiB or into L1: 3 % slower, 10 KiB 10 % */
    FA_AHEAD_BYTES = 1 << 18     /* prefetching further ahead than this would push the row itself out of L2 */
};

static inline size_t fa_rows_per_unit(size_t cols, size_t itemsize)
{
    const size_t rows = cols ? FA_UNIT_BYTES / (cols * itemsize) : FA_UNIT_ROWS;
    return rows < 1 ? 1 : rows < FA_UNIT_ROWS ? rows : FA_UNIT_ROWS;
}

static inline size_t fa_rows_units(size_t outer, size_t cols, size_t inner, size_t itemsize)
{
    const size_t rows = fa_rows_per_unit(cols, itemsize);
    (void)inner;
    return (outer + rows - 1) / rows;
}

/* ---- blocks of columns (columns.h) ---- */

/* What columns_in fetches while it copies: the next class, the next block (the caches' own prefetching does not follow so many short runs), or
 * nothing, as a block's arithmetic does it. */
enum { FA_FETCH_CLASS, FA_FETCH_BLOCK, FA_FETCH_NOTHING };

/* A block: `count` columns from `first` on of one outer index, or (`across`) all columns of `count` outer indices from
 * `outer` on. In scratch a class has `width` places: whole vectors. */
typedef struct {
    size_t outer, first, count, inner, width;
    int across, stream;          /* stream: stored past the caches; then stream_end() after the last block */
    int fetch;                   /* by columns_in: FA_FETCH_.. */
} fa_columns;

/* What is read next and fetched already, a line at a time: `at`, in a run that goes on to `end`; each next one begins `skip` behind the end
 * of one, `step` behind its begin (all in bytes). All of it at once, while a block is copied, kept memory idle while exponentials are
 * computed, and these while it worked. Zen 3, 2 threads, (8, 21, 256, 256) along axis 1: softmax 7.3 -> 5.2 ms, by runs rather than a line of
 * each class in turn 4.7; cross-entropy 5.7 -> 4.8. 524288x21: softmax 6.5 -> 5.2, cross-entropy 5.2 -> 4.5. */
typedef struct {
    const char *at, *end;
    ptrdiff_t skip, step;
} fa_ahead;

static inline void fa_fetch_line(fa_ahead *a)
{
    __builtin_prefetch(a->at, 0, 2);
    a->at += 64;
    if (a->at >= a->end) {
        a->at += a->skip;
        a->end += a->step;
    }
}

__attribute__((noinline, unused)) static void fa_fetch_lines(fa_ahead *a, size_t lines)
{
    for (; lines; lines--) fa_fetch_line(a);
}

static inline int fa_by_columns(size_t cols, size_t inner) { return inner > 1 || cols <= FA_SHORT; }

/* Whether a vector is filled from several outer indices, because one has not enough columns for it. */
static inline int fa_columns_across(size_t cols, size_t inner, size_t itemsize)
{
    const size_t lanes = 64 / itemsize;
    return inner == 1 || (inner < lanes && cols * inner * lanes * itemsize <= FA_COLUMNS_BYTES);
}

/* Vectors that a class has in a block: what L1, or of wide blocks L2, holds of them but for one (columns_block). */
static inline size_t fa_columns_vectors(size_t cols, size_t bytes)
{
    const size_t holds = bytes / 64 / (cols ? cols : 1);
    return holds > 2 ? holds - 1 : 1;
}

/* Columns in a block that is not across, in whole vectors, all blocks as wide as each other. Where L1 holds few vectors of a class, memory
 * is read and written by runs as short, which costs more than to work in L2. Zen 3, 2 threads: along axis 1 of (4, 150, 128,
 * 128) softmax 6.5 -> 5.3 ms, cross-entropy with gradient 11.8 -> 7.1; softmax of (2, 300, 64, 64) 2.5 -> 1.5, (2, 1000, 64, 64) 17 -> 7.5. */
static inline size_t fa_columns_width(size_t outer, size_t cols, size_t inner, size_t itemsize, int wide)
{
    const size_t lanes = 64 / itemsize, vectors = (inner + lanes - 1) / lanes;
    size_t most = fa_columns_vectors(cols, FA_COLUMNS_BYTES), blocks;
    if (wide) {
        const size_t l2 = fa_columns_vectors(cols, FA_WIDE_BYTES), shared = vectors * outer / FA_WIDE_UNITS;
        const size_t wider = l2 < FA_WIDE_VECTORS ? l2 : FA_WIDE_VECTORS;
        most = wider < most || shared < most ? most : wider < shared ? wider : shared;
    }
    blocks = (vectors + most - 1) / most;
    return (vectors + blocks - 1) / blocks * lanes;
}

/* Whether wide blocks are wider, or hold all classes where others do not. */
static inline int fa_columns_wide(size_t outer, size_t cols, size_t inner, size_t itemsize)
{
    return !fa_columns_across(cols, inner, itemsize) && cols <= FA_WIDE_BYTES / 64
        && (cols > FA_COLUMNS_BYTES / 64
            || fa_columns_width(outer, cols, inner, itemsize, 1) > fa_columns_width(outer, cols, inner, itemsize, 0));
}

/* Scratch for wide blocks of `parts` calls of a kernel, each of which takes its slice of it. */
static inline size_t fa_wide_size(int parts) { return 128 + (size_t)parts * FA_WIDE_TENSORS * FA_WIDE_STEP; }
static inline void *fa_wide_slice(void *wide)
{
    const size_t slice = __atomic_fetch_add((size_t *)wide, 1, __ATOMIC_RELAXED);
    char *first = (char *)wide + 64 + (-(size_t)wide & 63);
    return first + slice * FA_WIDE_TENSORS * FA_WIDE_STEP;
}

static inline size_t fa_columns_units(size_t outer, size_t cols, size_t inner, size_t itemsize, int wide)
{
    const size_t lanes = 64 / itemsize;
    if (fa_columns_across(cols, inner, itemsize))
        return (outer + lanes - 1) / lanes;
    const size_t width = fa_columns_width(outer, cols, inner, itemsize, wide);
    return outer * ((inner + width - 1) / width);
}

static inline fa_columns fa_columns_unit(size_t outer, size_t cols, size_t inner, size_t itemsize, int wide, size_t unit)
{
    const size_t lanes = 64 / itemsize;
    if (fa_columns_across(cols, inner, itemsize)) {
        const size_t row = unit * lanes, rows = outer - row < lanes ? outer - row : lanes;
        return (fa_columns){.outer = row, .first = 0, .count = rows, .inner = inner, .width = inner * lanes, .across = 1, .fetch = FA_FETCH_CLASS};
    }
    const size_t width = fa_columns_width(outer, cols, inner, itemsize, wide), blocks = (inner + width - 1) / width;
    const size_t first = unit % blocks * width, count = inner - first < width ? inner - first : width;
    return (fa_columns){.outer = unit / blocks, .first = first, .count = count, .inner = inner,
                        .width = (count + lanes - 1) / lanes * lanes, .across = 0, .fetch = FA_FETCH_BLOCK};
}

/* A row is cut into chunks of this many elements: at least FA_CHUNK_BLOCKS blocks of FA_BLOCK_BYTES, and FA_CHUNKS chunks at most. */
static inline size_t fa_chunk_length(size_t cols, size_t itemsize)
{
    const size_t block = FA_BLOCK_BYTES / itemsize, most = FA_CHUNKS * block;
    const size_t blocks = (cols + most - 1) / most;
    return block * (blocks < FA_CHUNK_BLOCKS ? FA_CHUNK_BLOCKS : blocks);
}

static inline size_t fa_split_chunks(size_t cols, size_t itemsize)
{
    const size_t chunk = fa_chunk_length(cols, itemsize);
    return (cols + chunk - 1) / chunk;
}

/* Whether a sample of a classification loss reads its label's number only. */
static inline int fa_reads_labels_only(const fa_xent_job *job, int kernel)
{
    return kernel >= FA_ROWS_nll_loss && kernel <= FA_ROWS_probs_cross_entropy_with_grad && !job->target && job->smoothing == 0.0;
}

/* Samples in a unit of a classification loss that is computed row by row: no more than a vector has lanes. Cross-entropy without
 * gradient is done with a row at once; its losses are cheapest together (128 rows of 1000, one thread: 24.4 -> 22.7 us). Not in float64, whose sum would differ
 * from the one beside a gradient in its last bit. log_loss has 8 vectors of short ones. */
static inline size_t fa_class_unit_rows(const fa_xent_job *job, int kernel, size_t itemsize)
{
    const size_t most = 64 / itemsize, together = FA_LOSSES_BYTES / itemsize / (job->cols ? job->cols : 1), shared = job->outer / 8;
    size_t rows = fa_rows_per_unit(job->cols, itemsize);
    if (kernel == FA_ROWS_log_loss && job->cols <= FA_SHORT)
        return 8 * most;
    if (kernel == FA_ROWS_cross_entropy && itemsize == 4 && rows < shared)
        rows = shared < together ? shared : together;
    return fa_reads_labels_only(job, kernel) || rows > most ? most : rows < 1 ? 1 : rows;
}

static inline int fa_class_by_columns(const fa_xent_job *job, int kernel)
{
    return job->inner > 1 || (fa_by_columns(job->cols, 1) && !fa_reads_labels_only(job, kernel) && kernel != FA_ROWS_log_loss);
}

static inline fa_columns fa_class_columns(const fa_xent_job *job, size_t itemsize, size_t unit)
{
    fa_columns b = fa_columns_unit(job->outer, job->cols, job->inner, itemsize, job->wide != NULL, unit);
    b.stream = job->stream;
    return b;
}

static inline int fa_class_wide(const fa_xent_job *job, int kernel, size_t itemsize)
{
    return fa_class_by_columns(job, kernel) && !fa_reads_labels_only(job, kernel)
        && fa_columns_wide(job->outer, job->cols, job->inner, itemsize);
}

/* Whether rows go past the caches one by one, while the next one is computed. */
static inline int fa_rows_leave(int stream, size_t unit_rows, size_t row_bytes)
{
    return stream && unit_rows == 1 && row_bytes <= FA_LEAVING_BYTES;
}

/* Of a row of n that begins at `row`: the end of the line that `stop` is in. */
static inline size_t fa_line_end(const void *row, size_t stop, size_t n, size_t itemsize)
{
    stop += (-((size_t)row + stop * itemsize) & 63) / itemsize;
    return stop < n ? stop : n;
}

/* Elements, at most n, from `to` on that are stored past the caches at a time: up to where a line ends. */
static inline size_t fa_class_part(const void *to, size_t n, size_t itemsize)
{
    const size_t part = (FA_PART_BYTES - ((size_t)to & 63)) / itemsize;
    return n < part ? n : part;
}

static inline size_t fa_class_units(const fa_xent_job *job, int kernel, size_t itemsize)
{
    const size_t rows = fa_class_unit_rows(job, kernel, itemsize);
    return fa_class_by_columns(job, kernel) ? fa_columns_units(job->outer, job->cols, job->inner, itemsize, job->wide != NULL)
        : (job->outer + rows - 1) / rows;
}

/* Samples that are worked on together: `count` of them from `first` on, every `step`th; class 0 of the first is element `at` of
 * a tensor, class 0 of each next `apart` further. */
typedef struct {
    size_t first, step, count, at, apart;
} fa_group;

/* Rows row .. row + rows - 1. */
static inline fa_group fa_group_of_rows(size_t row, size_t rows, size_t cols)
{
    return (fa_group){.first = row, .step = 1, .count = rows, .at = row * cols, .apart = cols};
}

/* The columns of a block from its k-th place on, as many as a vector has lanes. */
static inline fa_group fa_group_of_columns(const fa_columns *b, size_t k, size_t cols, size_t lanes)
{
    const size_t size = cols * b->inner;
    if (b->across)
        return (fa_group){.first = b->outer * b->inner + k / lanes, .step = b->inner, .count = b->count,
                          .at = b->outer * size + k / lanes, .apart = size};
    return (fa_group){.first = b->outer * b->inner + b->first + k, .step = 1, .count = b->count - k < lanes ? b->count - k : lanes,
                      .at = b->outer * size + b->first + k, .apart = 1};
}

/* Units of linear_.. kernels: as many samples as a vector has lanes. */
static inline size_t fa_linear_units(size_t samples, size_t itemsize) { return (samples * itemsize + 63) / 64; }

/* Nanoseconds of a classification loss on one thread, roughly. */
static inline int64_t fa_class_ns(const fa_xent_job *job, int kernel, size_t itemsize)
{
    const int64_t samples = (int64_t)(job->outer * job->inner), bytes = samples * (int64_t)(job->cols * itemsize);
    if (fa_reads_labels_only(job, kernel))
        return (kernel == FA_ROWS_nll_loss ? 3 : 10) * samples + (job->grad ? bytes / 16 : 0);
    return bytes / (kernel >= FA_ROWS_probs_cross_entropy ? 6 : 16);
}

#ifdef FA_MAP_FACTS
static const char *const fa_rows_names[] = {
#define FA_ROWS(name) #name,
#include "fastact/rows.def"
};
#endif

/* Adds v to sum with the rounding error kept in low: many addends, an error of one. */
static inline void fa_add(double *sum, double *low, double v)
{
    const double a = *sum, s = a + v, b = s - a;
    *low += (a - (s - b)) + (v - b);
    *sum = s;
}

/* What was added: an infinite sum has no rounding error (it would be nan). */
static inline double fa_added(double sum, double low) { return low == low ? sum + low : sum; }

#endif
