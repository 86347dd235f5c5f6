/* both.h: FA_TEMPLATE for float64, then for float32, whose rows end in float64's log1p. */
#define FA_BITS 64
#include "fastact/real.h"
#include "fastact/vecmath.h"
#include FA_TEMPLATE
#undef FA_BITS
#define FA_BITS 32
#include "fastact/real.h"
#include "fastact/vecmath.h"
#include FA_TEMPLATE
