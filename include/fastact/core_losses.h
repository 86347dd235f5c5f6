/* core_losses.h (template): pointwise losses and metrics. */
#include "fastact/log_lanes.h"
#include "fastact/losses.h"
#include "fastact/loss_loops.h"
#include "fastact/moments.h"
#include "fastact/select.h"
