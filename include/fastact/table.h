/* table.h: operation ids, what is known of each operation, kernel types, the table of one ISA. For the core; what other
 * extensions use is fastact.h. */
#ifndef FASTACT_TABLE_H
#define FASTACT_TABLE_H

#include "fastact/fastact.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "fastact's results are exact to the bit: do not compile it with -ffast-math"
#endif

#if defined(__GNUC__) && !defined(_WIN32)
#define FA_HIDDEN __attribute__((visibility("hidden")))
#else
#define FA_HIDDEN
#endif
/* For bodies that are instantiated with constant flags. */
#define FA_INLINE static inline __attribute__((always_inline))
/* For what several such bodies call where a call costs nothing: once in the binary. */
#define FA_SHARED static __attribute__((noinline))

/* Kernels work in groups of FA_GROUP bytes (one AVX-512 register), whatever the ISA; the driver pads a tail to one. */
#define FA_GROUP 64

/* What one element costs, to decide when threads pay: bound by memory; about one exp; more than one. */
enum fa_cost { FA_LIGHT, FA_MEDIUM, FA_HEAVY, FA_SPANS = FA_HEAVY };

/* A map computes every output element from the input elements at the same place.
 * args: the tensors, then (array form only) the parameters, then the outputs; all contiguous, n a multiple of
 * FA_GROUP bytes; an output may be one of the inputs, else they share no bytes. params: scalar parameters, or NULL. */
typedef void (*fa_map_fn)(size_t n, char *const *args, const double *params);

/* Every map: the operation itself and, behind it, its gradient. */
enum fa_map_id {
#define FA_ACTIVATION(name, params, saved, cost) FA_##name, FA_##name##_grad,
#define FA_GATED(name, activation, derivative, beside, cost) FA_##name, FA_##name##_grad,
#include "fastact/ops.def"
    FA_NMAPS
};

enum fa_kind { FA_KIND_ACTIVATION, FA_KIND_GATED };

typedef struct {
    const char *name;
    int kind;                    /* fa_kind */
    int grad;                    /* 1 for the gradient of an operation */
    int tensors, params, outputs;
    int saves_output;            /* the gradient reads y, not x */
    int cost;                    /* fa_cost */
} fa_map_info;

/* A gradient's cost, by the tensor it reads: that of a saved y is light. */
#define FA_GRAD_COST_x(cost) cost
#define FA_GRAD_COST_y(cost) LIGHT

/* The facts of every map, from the list; in one translation unit: define FA_MAP_FACTS there. */
#ifdef FA_MAP_FACTS
enum { FA_SAVES_x, FA_SAVES_y };
#define FA_COST(cost) FA_COST_(cost)
#define FA_COST_(cost) FA_##cost
static const fa_map_info fa_maps[FA_NMAPS] = {
#define FA_ACTIVATION(name, params, saved, cost)                                         \
    {#name, FA_KIND_ACTIVATION, 0, 1, params, 1, FA_SAVES_##saved, FA_##cost},           \
    {#name "_grad", FA_KIND_ACTIVATION, 1, 2, params, 1, FA_SAVES_##saved,               \
        FA_COST(FA_GRAD_COST_##saved(cost))},
#define FA_GATED(name, activation, derivative, beside, cost)                             \
    {#name, FA_KIND_GATED, 0, 2, 0, 1, 0, FA_##cost},                                    \
    {#name "_grad", FA_KIND_GATED, 1, 3, 0, 2, 0, FA_##cost},
#include "fastact/ops.def"
};
/* Picoseconds per float32 element of one thread with AVX-512, roughly, by cost. Integers: arithmetic on them leaves the
 * caller's floating-point flags alone. */
static const int64_t fa_cost_ps[] = {60, 170, 350};
#endif

#include "fastact/rows_job.h"

/* The forms of a map: with one parameter for all or one for each element (without parameters one and the same); then two more of the first
 * kind, or NULL: for gradients of more data than the caches hold, and for results on their way past them (n a multiple of FA_LEAVING_GROUPS
 * groups, the result at a multiple of FA_GROUP bytes). */
enum fa_map_form { FA_SCALAR_PARAMS, FA_ARRAY_PARAMS, FA_LARGE, FA_LEAVING, FA_MAP_FORMS };
enum { FA_LEAVING_GROUPS = 2 };

/* Pointwise losses, then what fastact.metrics sums beside them. */
enum fa_loss_id {
#define FA_LOSS(name, tensors, params, cost) FA_##name,
#define FA_MEASURE(name, tensors, params, cost) FA_##name,
#include "fastact/ops.def"
    FA_NLOSSES
};

typedef struct {
    const char *name;
    int differentiable;          /* 0: no gradient kernel */
    int tensors, params;
    int cost;                    /* fa_cost */
} fa_loss_info;

#ifdef FA_MAP_FACTS
static const fa_loss_info fa_losses[FA_NLOSSES] = {
#define FA_LOSS(name, tensors, params, cost) {#name, 1, tensors, params, FA_##cost},
#define FA_MEASURE(name, tensors, params, cost) {#name, 0, tensors, params, FA_##cost},
#include "fastact/ops.def"
};
#endif

/* What moments.h computes in the loss's place, and how many doubles a block of moments gives. */
enum { FA_MOMENTS = FA_NLOSSES, FA_LARGEST, FA_MOMENTS_SIZE = 7 };

/* A loss is summed in blocks of this many elements of one column. */
#define FA_LOSS_BLOCK 2048

/* Element i of a column: data + (i % period) * step + column * column_step, in bytes; period 0: no repetition. */
typedef struct {
    const char *data;
    ptrdiff_t step, column_step;
    size_t period;
} fa_operand;

typedef struct {
    int loss;                    /* fa_loss_id, FA_MOMENTS or FA_LARGEST */
    size_t n, columns;           /* elements per column */
    fa_operand in[3], weight;    /* weight.data NULL: none */
    const double *params;
    double scale;                /* of the gradient */
    char *each, *grad;           /* contiguous outputs of one column, or NULL; grad may be a contiguous tensor of `in` */
    double *partial;             /* two per block: sum of (weighted) losses, sum of weights */
    size_t ahead;                /* bytes: what sums fetch ahead of what they read, or 0 */
    int stream;                  /* whether grad, at a line, goes past the caches; no weights then, and no tensor overwritten */
} fa_loss_job;

/* Selection by bits of |in[0] - in[1]|: see select.h. */
enum { FA_SELECT_BITS = 14, FA_SELECT_BINS = 1 << FA_SELECT_BITS };
typedef struct {
    size_t n;
    fa_operand in[2];
    uint64_t base;               /* the bin of an element is (its bits - base) >> shift, below FA_SELECT_BINS */
    int shift;
    uint64_t *counts;            /* one per bin, and the number of NaNs; shared by all threads */
    uint64_t low, high;          /* the bins to take */
    char *found;                 /* where to, how many there is room for, and how many have been taken */
    uint64_t room;
    uint64_t *taken;
} fa_select_job;

/* Gradients of prelu: element (o, c, i) of (outer, channels, inner) has slope alpha[c]. With inner = 1 the last of the
 * outer rows may end early, at n. */
typedef struct {
    const char *dy, *x, *alpha;
    char *dx;                    /* may be dy or x */
    size_t n, outer, channels, inner;
    size_t block_outer, block_channels, block_inner;
    double *partial;             /* [outer block][inner block][channel]: sums of dy * min(x, 0) */
} fa_prelu_job;

typedef struct {
    /* Blocks first..last-1 of a job; block b is block b / columns of column b % columns. */
    void (*loss_blocks[FA_NDTYPES])(const fa_loss_job *job, size_t first, size_t last);
    void (*moment_blocks[FA_NDTYPES])(const fa_loss_job *job, size_t first, size_t last);
    void (*select_count[FA_NDTYPES])(const fa_select_job *job, size_t first, size_t last);
    void (*select_take[FA_NDTYPES])(const fa_select_job *job, size_t first, size_t last);
} fa_sum_table;

typedef struct {
    fa_rows_fn run[FA_NROWS][FA_NDTYPES];
} fa_rows_table;

/* All kernels of one ISA. */
typedef struct {
    const char *isa;
    fa_map_fn map[FA_NMAPS][FA_NDTYPES][FA_MAP_FORMS];      /* [id][dtype][fa_map_form] */
    /* Units first..last-1 of a job: channel blocks of inner blocks of outer blocks. */
    void (*prelu_blocks[FA_NDTYPES])(const fa_prelu_job *job, size_t first, size_t last);
    const fa_sum_table *sums;
    const fa_rows_table *rows;
    void (*half_to_float)(size_t n, const uint16_t *h, float *f);
    void (*float_to_half)(size_t n, const float *f, uint16_t *h);
    void (*stream)(char *to, const char *from, size_t bytes);   /* past the caches; NULL where that gains nothing */
    void (*stream_end)(void);
} fa_table;

#endif
