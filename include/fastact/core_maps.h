/* core_maps.h (template): the elementwise maps, and prelu's gradients, which are summed. */
#include "fastact/erf.h"
#include "fastact/approx.h"
#include "fastact/activations.h"
#include "fastact/gelu.h"
#include "fastact/loops.h"
#include "fastact/prelu.h"
