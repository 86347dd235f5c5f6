/* real.h: sets up one floating-point type for the templates that follow it.
 *
 * both.h defines FA_BITS as 64, includes this and the templates, then does it again with 32. No include guard: that is the
 * point. In the templates
 *   REAL, UINT, INT   the type and the integers of its width
 *   F(name)           name_f32 or name_f64
 *   C(0.5)            the literal in this type
 *   K(a, b)           a in float32, b in float64 (coefficients, degrees, cutoffs)
 *   FMA(a, b, c)      fused where the ISA has it, a*b + c rounded twice elsewhere: FA_HAS_FMA tells which
 *   LIMIT(name)       a bound of limits.def that the compiler cannot see through: with a literal gcc 12 turns a clamp
 *                     into compares and blends instead of one min or max (exp: 10.2 -> 6.9 us per 32k)
 */
#undef REAL
#undef UINT
#undef INT
#undef F
#undef C
#undef K
#undef FMA
#undef LANES
#undef LANE
#undef TABLE
#undef MANT

#include "fastact/lookup.h"

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define FA_HAS_FMA 1
#else
#define FA_HAS_FMA 0
#endif

#if FA_BITS == 32
#define REAL float
#define UINT uint32_t
#define INT int32_t
#define F(name) name##_f32
#define C(x) x##f
#define K(f32, f64) (f32)
#define MANT 23
#if FA_HAS_FMA
#define FMA(a, b, c) __builtin_fmaf(a, b, c)
#endif
#elif FA_BITS == 64
#define REAL double
#define UINT uint64_t
#define INT int64_t
#define F(name) name##_f64
#define C(x) x
#define K(f32, f64) (f64)
#define MANT 52
#if FA_HAS_FMA
#define FMA(a, b, c) __builtin_fma(a, b, c)
#endif
#else
#error "define FA_BITS as 32 or 64 before including real.h"
#endif

#if !FA_HAS_FMA
#define FMA(a, b, c) ((a) * (b) + (c))
#endif

/* Every kernel works in groups of 64 bytes, whatever the ISA: one zmm, two ymm, four xmm. */
#define LANES ((size_t)(64 / sizeof(REAL)))
#define LANE(count) _Pragma("omp simd") for (size_t j = 0; j < (count); j++)
/* Whether there are the forms by tables in a register (exp_table.h, log_table.h). */
#define TABLE K(FA_LOOKUP, 0)

#ifndef LIMIT
#define LIMIT(name) F(fa_limit_##name)
#endif

/* The bounds themselves, defined in fastact/_limits.c. */
#define FA_LIMIT(name, f32, f64) extern const REAL LIMIT(name);
#include "fastact/limits.def"

static inline UINT F(bits)(REAL x) { UINT u; memcpy(&u, &x, sizeof u); return u; }
static inline REAL F(from_bits)(UINT u) { REAL x; memcpy(&x, &u, sizeof x); return x; }
static inline REAL F(abs)(REAL x) { return K(__builtin_fabsf, __builtin_fabs)(x); }
static inline REAL F(sqrt)(REAL x) { return K(__builtin_sqrtf, __builtin_sqrt)(x); }
/* Bound first: a NaN in x survives, and each is one instruction. */
static inline REAL F(at_least)(REAL x, REAL lo) { return lo > x ? lo : x; }
static inline REAL F(at_most)(REAL x, REAL hi) { return hi < x ? hi : x; }
