/* The elementwise kernels of one ISA, and the table of all its kernels. */
#include "fastact/core.h"
#include "fastact/stream.h"
#define FA_TEMPLATE "fastact/core_maps.h"
#include "fastact/both.h"

#include "fastact/half.h"

extern FA_HIDDEN const fa_sum_table FA_OF_ISA(fa_sum_table);
extern FA_HIDDEN const fa_rows_table FA_OF_ISA(fa_rows_table);

#ifdef FA_STREAM
#define LEAVING_OF(name, type) loop_##name##_leaving_##type
#else
#define LEAVING_OF(name, type) NULL
#endif
#ifdef __AVX512F__
#define LARGE_LIGHT(name, type) loop_##name##_large_##type
#else
#define LARGE_LIGHT(name, type) NULL
#endif
#define NO_LARGE(name, type) NULL
#define LARGE_MEDIUM(name, type) NULL
#define LARGE_HEAVY(name, type) NULL
#define FORMS(name, large, type) {loop_##name##_##type, loop_each_##name##_##type, large(name, type), LEAVING_OF(name, type)}
#define BOTH(name, large) {FORMS(name, large, f32), FORMS(name, large, f64)},

FA_HIDDEN const fa_table FA_OF_ISA(fa_table) = {
    .isa = FA_TEXT(FA_ISA),
    .map = {
#define FA_ACTIVATION(name, params, saved, cost) BOTH(name, NO_LARGE) BOTH(name##_grad, FA_JOIN(LARGE, FA_GRAD_COST_##saved(cost)))
#define FA_GATED(name, activation, derivative, beside, cost) \
        {{loop_##name##_f32, NULL, NULL, LEAVING_OF(name, f32)}, {loop_##name##_f64, NULL, NULL, LEAVING_OF(name, f64)}}, \
        {{loop_##name##_grad_f32}, {loop_##name##_grad_f64}},
#include "fastact/ops.def"
    },
    .prelu_blocks = {prelu_blocks_f32, prelu_blocks_f64},
    .sums = &FA_OF_ISA(fa_sum_table),
    .rows = &FA_OF_ISA(fa_rows_table),
    .half_to_float = half_to_float,
    .float_to_half = float_to_half,
    FA_STREAM_ENTRIES
};
