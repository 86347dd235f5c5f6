/* template.h: everything that exists once per floating-point type, in order. */
#include "fastact/real.h"
#include "fastact/vecmath.h"
#include "fastact/activations.h"
#include "fastact/loops.h"
#include "fastact/losses.h"
#include "fastact/loss_loops.h"
#include "fastact/moments.h"
#include "fastact/prelu.h"
