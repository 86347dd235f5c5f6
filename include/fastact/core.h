/* core.h: what the core files share (fastact/_core.c, _core_losses.c, _core_rows.c). setup.py compiles each once per ISA with
 * -DFA_ISA=name and that ISA's flags. No OpenMP in them (clang's outlined bodies lose the ISA), nothing exported but tables.
 * A core file defines FA_TEMPLATE, the header that exists once per floating-point type, and includes both.h. */
#ifndef FASTACT_CORE_H
#define FASTACT_CORE_H

#include "fastact/table.h"

/* Inline means inline: past a certain size of the file gcc stops inlining, and a loop with a call in it is not vectorised
 * (all of float64 fell to scalar code, 12 times slower, without a warning). */
#if defined(__GNUC__)
#define inline inline __attribute__((always_inline))
#endif

#define FA_JOIN_(a, b) a##_##b
#define FA_JOIN(a, b) FA_JOIN_(a, b)
#define FA_TEXT_(a) #a
#define FA_TEXT(a) FA_TEXT_(a)
#define FA_OF_ISA(name) FA_JOIN(name, FA_ISA)

#endif
