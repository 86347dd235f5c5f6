/* core_rows.h (template): softmax and its kin, classification losses. */
#include "fastact/rows.h"
#include "fastact/transpose.h"
#include "fastact/columns.h"
#include "fastact/softmax.h"
#include "fastact/classes.h"
#include "fastact/xent.h"
#include "fastact/nll.h"
#include "fastact/distill.h"
