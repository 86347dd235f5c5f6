/* loops.h (template): one loop per map over the formulas of activations.h; the only place where an array meets a formula.
 *
 * n is a multiple of LANES (the driver pads): no epilogue, so head, body and tail of a tensor give the same bits.
 * Rejected: letting gcc make epilogues (three more loops per kernel, scalar code for the last elements of a short row).
 */
#undef IN
#undef OUT
#undef EACH
#define IN(k) ((const REAL *)args[k])
#define OUT(k) ((REAL *)args[k])
#define EACH _Pragma("omp simd") for (size_t i = 0; i < m; i++)

/* Parameters of the two forms: one value for all, or one per element. */
#undef PARAMS_0
#undef PARAMS_1
#undef PARAMS_2
#undef ARRAYS_0
#undef ARRAYS_1
#undef ARRAYS_2
#undef WITH_0
#undef WITH_1
#undef WITH_2
#undef WITH_EACH_0
#undef WITH_EACH_1
#undef WITH_EACH_2
#define PARAMS_0(first) (void)params;
#define PARAMS_1(first) const REAL p = (REAL)params[0];
#define PARAMS_2(first) const REAL p = (REAL)params[0], q = (REAL)params[1];
#define ARRAYS_0(first) (void)params;
#define ARRAYS_1(first) const REAL *ps = IN(first); (void)params;
#define ARRAYS_2(first) const REAL *ps = IN(first), *qs = IN(first + 1); (void)params;
#define WITH_0
#define WITH_1 , p
#define WITH_2 , p, q
#define WITH_EACH_0
#define WITH_EACH_1 , ps[i]
#define WITH_EACH_2 , ps[i], qs[i]

#undef MAP
#define MAP(name) static void F(name)(size_t n, char *const *args, const double *params)
#undef GROUPS
#define GROUPS const size_t m = n & ~(LANES - 1);

#undef FORWARD
#undef BACKWARD
#define FORWARD(loop, name, PARAMETERS, WITH, outs)                                     \
    MAP(loop) {                                                                         \
        GROUPS PARAMETERS(1)                                                            \
        const REAL *x = IN(0);                                                          \
        REAL *y = OUT(1 + outs);                                                        \
        EACH y[i] = F(name)(x[i] WITH);                                                 \
    }
#define BACKWARD(loop, name, PARAMETERS, WITH, outs)                                    \
    MAP(loop) {                                                                         \
        GROUPS PARAMETERS(2)                                                            \
        const REAL *dy = IN(0), *t = IN(1);                                             \
        REAL *dx = OUT(2 + outs);                                                       \
        EACH dx[i] = dy[i] * F(name##_d)(t[i] WITH);                                    \
    }

#define FA_ACTIVATION(name, params, saved, cost)                                        \
    FORWARD(loop_##name, name, PARAMS_##params, WITH_##params, 0)                       \
    FORWARD(loop_each_##name, name, ARRAYS_##params, WITH_EACH_##params, params)        \
    BACKWARD(loop_##name##_grad, name, PARAMS_##params, WITH_##params, 0)               \
    BACKWARD(loop_each_##name##_grad, name, ARRAYS_##params, WITH_EACH_##params, params)

#define FA_GATED(name, activation, derivative, cost)                                    \
    MAP(loop_##name) {                                                                  \
        GROUPS PARAMS_0()                                                               \
        const REAL *gate = IN(0), *up = IN(1);                                          \
        REAL *y = OUT(2);                                                               \
        EACH y[i] = F(activation)(gate[i]) * up[i];                                     \
    }                                                                                   \
    MAP(loop_##name##_grad) {                                                           \
        GROUPS PARAMS_0()                                                               \
        const REAL *dy = IN(0), *gate = IN(1), *up = IN(2);                             \
        REAL *dgate = OUT(3), *dup = OUT(4);                                            \
        EACH {                                                                          \
            REAL g = dy[i] * F(derivative)(gate[i]) * up[i];                       \
            dup[i] = dy[i] * F(activation)(gate[i]);                                    \
            dgate[i] = g;                                                               \
        }                                                                               \
    }
#include "fastact/ops.def"
