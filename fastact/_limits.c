/* The bounds of limits.def, in a file of their own so that the kernels' compiler cannot see their values. */
#include "fastact/table.h"

#define FA_LIMIT(name, f32, f64) \
    FA_HIDDEN const float fa_limit_##name##_f32 = f32; \
    FA_HIDDEN const double fa_limit_##name##_f64 = f64;
#include "fastact/limits.def"
