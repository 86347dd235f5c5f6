/* The elementwise kernels of one ISA, and the table of all its kernels. */
#include "fastact/core.h"
#define FA_TEMPLATE "fastact/core_maps.h"
#include "fastact/both.h"

#include "fastact/half.h"
#include "fastact/stream.h"

extern FA_HIDDEN const fa_sum_table FA_OF_ISA(fa_sum_table);
extern FA_HIDDEN const fa_rows_table FA_OF_ISA(fa_rows_table);

#ifdef __AVX512F__
/* See STREAMED_LIGHT in loops.h. */
#undef STREAMED_LIGHT
#define STREAMED_LIGHT(name, parameters) {loop_##name##_f32, loop_##name##_streamed_f32}, {loop_##name##_f64, loop_##name##_streamed_f64},
static const fa_map_fn streamed_maps[][2] = {
#define FA_ACTIVATION(name, params, saved, cost) STREAMED_##cost(name, params)
#define FA_GATED(name, activation, derivative, beside, cost)
#include "fastact/ops.def"
};

static fa_map_fn streamed_map(fa_map_fn map)
{
    for (size_t i = 0; i < sizeof streamed_maps / sizeof *streamed_maps; i++)
        if (streamed_maps[i][0] == map)
            return streamed_maps[i][1];
    return map;
}
#else
#define streamed_map NULL
#endif

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
    .streamed = streamed_map,
    FA_STREAM_ENTRIES
};
