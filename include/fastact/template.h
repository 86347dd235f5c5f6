/* template.h: everything that exists once per floating-point type, in order. */
#include "fastact/real.h"
#include "fastact/vecmath.h"
#include "fastact/activations.h"
#include "fastact/loops.h"
