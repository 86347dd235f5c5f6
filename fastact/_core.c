/* All kernels of one ISA: setup.py compiles this file once per ISA with -DFA_ISA=name and that ISA's flags.
 * No OpenMP here (clang's outlined bodies lose the ISA), nothing exported but the table. */
#include "fastact/table.h"
#include "fastact/labels.h"

/* Inline means inline: past a certain size of the file gcc stops inlining, and a loop with a call in it is not vectorised
 * (all of float64 fell to scalar code, 12 times slower, without a warning). */
#if defined(__GNUC__)
#define inline inline __attribute__((always_inline))
#endif

/* float64 first: the float32 rows end in its log1p. */
#define FA_BITS 64
#include "fastact/template.h"
#undef FA_BITS
#define FA_BITS 32
#include "fastact/template.h"

#include "fastact/half.h"
#include "fastact/stream.h"


#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

#define BOTH(name) {{loop_##name##_f32, loop_each_##name##_f32}, {loop_##name##_f64, loop_each_##name##_f64}},
#define SCALAR(name) {{loop_##name##_f32, NULL}, {loop_##name##_f64, NULL}},

FA_HIDDEN const fa_table JOIN(fa_table_, FA_ISA) = {
    .isa = TEXT(FA_ISA),
    .map = {
#define FA_ACTIVATION(name, params, saved, cost) BOTH(name) BOTH(name##_grad)
#define FA_GATED(name, activation, derivative, cost) SCALAR(name) SCALAR(name##_grad)
#include "fastact/ops.def"
    },
    .loss_blocks = {loss_blocks_f32, loss_blocks_f64},
    .moment_blocks = {moment_blocks_f32, moment_blocks_f64},
    .prelu_blocks = {prelu_blocks_f32, prelu_blocks_f64},
    .rows = {
#define FA_ROWS(name) {rows_##name##_f32, rows_##name##_f64},
#include "fastact/rows.def"
    },
    .half_to_float = half_to_float,
    .float_to_half = float_to_half,
    FA_STREAM_ENTRIES
};
