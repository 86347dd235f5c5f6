/* The kernels on rows, of one ISA. */
#include "fastact/core.h"
#include "fastact/labels.h"
#include "fastact/stream.h"
#define FA_TEMPLATE "fastact/core_rows.h"
#include "fastact/both.h"

FA_HIDDEN const fa_rows_table FA_OF_ISA(fa_rows_table) = {
    .run = {
#define FA_ROWS(name) {rows_##name##_f32, rows_##name##_f64},
#include "fastact/rows.def"
    },
};
