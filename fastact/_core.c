/* The elementwise kernels of one ISA, and the table of all its kernels. */
#include "fastact/core.h"
#define FA_TEMPLATE "fastact/core_maps.h"
#include "fastact/both.h"

#include "fastact/half.h"
#include "fastact/stream.h"

extern FA_HIDDEN const fa_sum_table FA_OF_ISA(fa_sum_table);
extern FA_HIDDEN const fa_rows_table FA_OF_ISA(fa_rows_table);

#define BOTH(name) {{loop_##name##_f32, loop_each_##name##_f32}, {loop_##name##_f64, loop_each_##name##_f64}},
#define SCALAR(name) {{loop_##name##_f32, NULL}, {loop_##name##_f64, NULL}},

FA_HIDDEN const fa_table FA_OF_ISA(fa_table) = {
    .isa = FA_TEXT(FA_ISA),
    .map = {
#define FA_ACTIVATION(name, params, saved, cost) BOTH(name) BOTH(name##_grad)
#define FA_GATED(name, activation, derivative, beside, cost) SCALAR(name) SCALAR(name##_grad)
#include "fastact/ops.def"
    },
    .prelu_blocks = {prelu_blocks_f32, prelu_blocks_f64},
    .sums = &FA_OF_ISA(fa_sum_table),
    .rows = &FA_OF_ISA(fa_rows_table),
    .half_to_float = half_to_float,
    .float_to_half = float_to_half,
    FA_STREAM_ENTRIES
};
