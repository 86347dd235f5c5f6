/* The kernels that sum, of one ISA. */
#include "fastact/core.h"
#include "fastact/widen.h"
#include "fastact/stream.h"
#define FA_TEMPLATE "fastact/core_losses.h"
#include "fastact/both.h"

FA_HIDDEN const fa_sum_table FA_OF_ISA(fa_sum_table) = {
    .loss_blocks = {loss_blocks_f32, loss_blocks_f64},
    .moment_blocks = {moment_blocks_f32, moment_blocks_f64},
    .select_count = {select_count_f32, select_count_f64},
    .select_take = {select_take_f32, select_take_f64},
};
