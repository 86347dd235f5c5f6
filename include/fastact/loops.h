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
#undef PARAMS_EACH_0
#undef PARAMS_EACH_1
#undef PARAMS_EACH_2
#undef WITH_0
#undef WITH_1
#undef WITH_2
#undef WITH_EACH_0
#undef WITH_EACH_1
#undef WITH_EACH_2
#undef POINTER_0
#undef POINTER_1
#undef POINTER_2
#undef POINTER_EACH_0
#undef POINTER_EACH_1
#undef POINTER_EACH_2
#define PARAMS_0(first) (void)params;
#define PARAMS_1(first) const REAL p = (REAL)params[0];
#define PARAMS_2(first) const REAL p = (REAL)params[0], q = (REAL)params[1];
#define PARAMS_EACH_0(first) (void)params;
#define PARAMS_EACH_1(first) const REAL *ps = IN(first); (void)params;
#define PARAMS_EACH_2(first) const REAL *ps = IN(first), *qs = IN(first + 1); (void)params;
#define WITH_0
#define WITH_1 , p
#define WITH_2 , p, q
#define WITH_EACH_0
#define WITH_EACH_1 , ps[i]
#define WITH_EACH_2 , ps[i], qs[i]
#define POINTER_0
#define POINTER_1 , &p, 0
#define POINTER_2 , &p, &q, 0
#define POINTER_EACH_0
#define POINTER_EACH_1 , ps + g, 1
#define POINTER_EACH_2 , ps + g, qs + g, 1

#undef IS_ONE_0
#undef IS_ONE_1
#define IS_ONE_0 1
#define IS_ONE_1 p == C(1.0)

#undef MAP
#define MAP(name) static void F(name)(size_t n, char *const *args, const double *params)
#undef WHOLE_GROUPS
#define WHOLE_GROUPS const size_t m = n & ~(LANES - 1);

/* The loop of an op by its formula of one element; or by that of a group of LANES, name_group(x, result, parameters as pointers
 * and their step), for the names that GROUPED_ marks: FORM_ELEMENTS(GROUPED_name) is GROUPS then, else ELEMENTS.
 * PAIRS: name_group(x, result, count) of two groups at once while there are two, which it computes side by side. Taken from the result by
 * groups: by one loop over both gcc kept the second in memory.
 * AT_ONE: name_group(x, y) where the parameter, if there is one, is 1; of all elements straight into y, because of an array of a group
 * between them gcc made scalar moves on AVX2 (softplus 0.67 -> 0.58 ns per element).
 * AS_ELU: where alpha is 1 celu' is elu', bit for bit, at 1.6 to 2 times the speed.
 * PASSES: name_first(x, &u, &v, &w) for SPAN elements, then name_last(x, u, v, w): of half a chain twice as many elements are under
 * way, which pays where registers are few. gelu_tanh' of Zen 3, cycles per 8 floats: 29 -> 23, per 4 doubles 33 -> 26; of Zen 5 on
 * AVX-512, per 16 floats, 26 -> 21. By spans of 64 to 256 as fast. The same bits. */
#undef LOOP_ELEMENTS
#undef LOOP_HALVES
#undef BY_HALVES
#undef LOOP_GROUPS
#undef LOOP_PAIRS
#undef LOOP_AT_ONE
#undef AT_ONE_0
#undef AT_ONE_1
#undef AT_ONE_EACH_0
#undef AT_ONE_EACH_1
#undef LOOP_AS_ELU
#undef AS_ELU_1
#undef AS_ELU_EACH_1
#undef LOOP_PASSES
#undef IN_PAIRS
#undef SPAN
#define IN_PAIRS(...)                                                                   \
    size_t g = 0;                                                                       \
    for (; g + 2 * LANES <= m; g += 2 * LANES) {                                        \
        enum { COUNT = 2 * LANES };                                                     \
        __VA_ARGS__                                                                     \
    }                                                                                   \
    if (g < m) {                                                                        \
        enum { COUNT = LANES };                                                         \
        __VA_ARGS__                                                                     \
    }
#define SPAN ((size_t)(512 / sizeof(REAL)))
#define LOOP_ELEMENTS(name, x, to, by, parameters) EACH to[i] = by F(name)(x[i] WITH_##parameters);
#define LOOP_HALVES(name, x, to, by, parameters)                                        \
    for (size_t g = 0; g < m; g += LANES) {                                             \
        REAL r[LANES];                                                                  \
        BY_HALVES(name, x, parameters)                                                  \
        LANE(LANES) { const size_t i = g + j; to[i] = by r[j]; }                        \
    }
#define BY_HALVES(name, x, parameters)                                                  \
    F(load_by_halves)(r, x + g);                                                        \
    LANE(LANES) r[j] = F(name)(r[j] WITH_##parameters);
#define LOOP_GROUPS(name, x, to, by, parameters)                                        \
    for (size_t g = 0; g < m; g += LANES) {                                             \
        REAL r[LANES];                                                                  \
        F(name##_group)(x + g, r POINTER_##parameters);                                 \
        LANE(LANES) { const size_t i = g + j; to[i] = by r[j]; }                        \
    }
#define LOOP_PAIRS(name, x, to, by, parameters)                                         \
    IN_PAIRS(                                                                           \
        REAL r[COUNT];                                                                  \
        F(name##_group)(x + g, r, COUNT);                                               \
        for (size_t h = 0; h < COUNT; h += LANES) LANE(LANES) { const size_t i = g + h + j; to[i] = by r[h + j]; })
#define LOOP_AT_ONE(name, x, to, by, parameters) AT_ONE_##parameters(name, x, to)
#define AT_ONE_0(name, x, to)                                                           \
    for (size_t g = 0; g < m; g += LANES) F(name##_group)(x + g, to + g);
#define AT_ONE_EACH_0 AT_ONE_0
#define AT_ONE_1(name, x, to)                                                           \
    if (IS_ONE_1) {                                                                     \
        AT_ONE_0(name, x, to)                                                           \
    } else                                                                              \
        LOOP_ELEMENTS(name, x, to, , 1)
/* The elements whose parameter is 1 get the same bits here; mostly there are none. */
#define AT_ONE_EACH_1(name, x, to)                                                      \
    INT ones = 0;                                                                       \
    _Pragma("omp simd reduction(|:ones)") for (size_t i = 0; i < m; i++) ones |= ps[i] == C(1.0) ? 1 : 0; \
    if (!ones)                                                                          \
        LOOP_ELEMENTS(name, x, to, , EACH_1)                                            \
    for (size_t g = 0; ones && g < m; g += LANES) {                                     \
        REAL any[LANES], at_one[LANES];                                                 \
        LANE(LANES) any[j] = F(name)(x[g + j], ps[g + j]);                              \
        F(name##_group)(x + g, at_one);                                                 \
        LANE(LANES) to[g + j] = ps[g + j] == C(1.0) ? at_one[j] : any[j];               \
    }
#define LOOP_AS_ELU(name, x, to, by, parameters) AS_ELU_##parameters(LOOP, name, x, to, by)
#define AS_ELU_1(way, name, x, to, by)                                                  \
    if (IS_ONE_1) {                                                                     \
        way##_ELEMENTS(elu_d, x, to, by, 1)                                             \
    } else {                                                                            \
        way##_ELEMENTS(name, x, to, by, 1)                                              \
    }
#define AS_ELU_EACH_1(way, name, x, to, by) way##_ELEMENTS(name, x, to, by, EACH_1)
#define LOOP_PASSES(name, x, to, by, parameters)                                        \
    for (size_t g = 0; g < m; g += SPAN) {                                              \
        const size_t count = (m - g < SPAN ? m - g : SPAN) & ~(LANES - 1);              \
        REAL u[SPAN], v[SPAN], w[SPAN];                                                 \
        LANE(count) F(name##_first)(x[g + j], u + j, v + j, w + j);                     \
        LANE(count) { const size_t i = g + j; to[i] = by F(name##_last)(x[i], u[j], v[j], w[j]); } \
    }

/* The same for results on their way past the caches (FA_LEAVING in table.h), stored from where a line or two of them were computed. Through
 * 4 KiB of buffer instead (as _map.pxi does for what has no such loop) each line costs a load and a store more, and while it is stored nothing is
 * computed. Zen 5, one thread, 2^24 float32, us: relu 3240 -> 2560, sigmoid 3380 -> 2530, gelu 4870 -> 3980, mish' 6580 -> 5610; two threads, AVX2:
 * gelu 4710 -> 3990. By 4 groups the code is 90 KB larger and float64 gelu of AVX2 8 % slower; by one, mish 2 % slower and gelu' of AVX2 12 %. */
#undef LEAVE_GROUP
#undef LEAVE_ELEMENTS
#undef LEAVE_HALVES
#undef LEAVE_GROUPS
#undef LEAVE_PAIRS
#undef LEAVE_AT_ONE
#undef LEAVE_AS_ELU
#undef LEAVE_PASSES
#define LEAVE_GROUP(to, by, group)                                                      \
    for (size_t g = 0; g < m; g += LANES) {                                             \
        REAL r[LANES] __attribute__((aligned(64)));                                     \
        group;                                                                          \
        LANE(LANES) { const size_t i = g + j; (void)i; r[j] = by r[j]; }                \
        stream_line(to + g, r);                                                         \
    }
#define LEAVE_ELEMENTS(name, x, to, by, parameters)                                     \
    for (size_t g = 0; g < m; g += FA_LEAVING_GROUPS * LANES) {                         \
        REAL r[FA_LEAVING_GROUPS * LANES] __attribute__((aligned(64)));                 \
        LANE(FA_LEAVING_GROUPS * LANES) { const size_t i = g + j; r[j] = by F(name)(x[i] WITH_##parameters); } \
        stream((char *)(to + g), (const char *)r, sizeof r);                            \
    }
#define LEAVE_HALVES(name, x, to, by, parameters) LEAVE_GROUP(to, by, BY_HALVES(name, x, parameters))
#define LEAVE_GROUPS(name, x, to, by, parameters) LEAVE_GROUP(to, by, F(name##_group)(x + g, r POINTER_##parameters))
#define LEAVE_PAIRS(name, x, to, by, parameters)                                        \
    IN_PAIRS(                                                                           \
        REAL r[COUNT] __attribute__((aligned(64)));                                     \
        F(name##_group)(x + g, r, COUNT);                                               \
        LANE(COUNT) { const size_t i = g + j; (void)i; r[j] = by r[j]; }                \
        for (size_t j = 0; j < COUNT; j += LANES) stream_line(to + g + j, r + j);)
#define LEAVE_AT_ONE(name, x, to, by, parameters)                                       \
    if (IS_ONE_##parameters)                                                            \
        LEAVE_GROUP(to, by, F(name##_group)(x + g, r))                                  \
    else                                                                                \
        LEAVE_ELEMENTS(name, x, to, by, parameters)
#define LEAVE_AS_ELU(name, x, to, by, parameters) AS_ELU_##parameters(LEAVE, name, x, to, by)
#define LEAVE_PASSES LEAVE_ELEMENTS

/* BY(way, form, ..): way_form(..), where FORM_plain(GROUPED_name) is the form that is marked, or the plain one. */
#undef FORM_ELEMENTS
#undef FORM_HALVES
#undef FORM_OF
#undef BY
#undef BY_AS
#define FORM_ELEMENTS(grouped) FORM_OF(grouped, ELEMENTS, )
#ifdef __AVX512F__
#define FORM_HALVES(grouped) FORM_OF(grouped, HALVES, )
#else
#define FORM_HALVES FORM_ELEMENTS
#endif
#define FORM_OF(none, form, ...) form
#define BY(way, form, ...) BY_AS(way, form, __VA_ARGS__)
#define BY_AS(way, form, ...) way##_##form(__VA_ARGS__)

#undef GROUPED_celu
#undef GROUPED_celu_d
#define GROUPED_celu , AT_ONE
#define GROUPED_celu_d , AS_ELU
#undef GROUPED_softsign
#undef GROUPED_squareplus
#undef GROUPED_squareplus_d
#undef GROUPED_silu
#undef GROUPED_gelu
#undef GROUPED_log_sigmoid
#undef GROUPED_log_sigmoid_d
#undef GROUPED_softplus
#undef GROUPED_gelu_tanh_d
#undef GROUPED_tanh_shrink
#if FA_BITS == 32 && FA_HAS_APPROX
#define GROUPED_softsign , GROUPS
#define GROUPED_gelu , PAIRS
#endif
#if TABLE
#define GROUPED_log_sigmoid , AT_ONE
#define GROUPED_softplus , AT_ONE
#endif
#if FA_BITS == 32 && defined(__AVX512F__)
#define GROUPED_silu , PAIRS
#endif
#if FA_BITS == 64 && defined(__AVX512F__)
#define GROUPED_log_sigmoid_d , GROUPS
#define GROUPED_tanh_shrink , PAIRS
#endif
#if FA_LOOKUP
#define GROUPED_gelu_tanh_d , PASSES
#endif
#if FA_HAS_APPROX
#define GROUPED_squareplus , GROUPS
#define GROUPED_squareplus_d , GROUPS
#endif

#undef FORWARD
#undef BACKWARD
#undef GATED
#define FORWARD(way, plain, loop, name, parameters, outs)                               \
    MAP(loop) {                                                                         \
        WHOLE_GROUPS PARAMS_##parameters(1)                                             \
        const REAL *x = IN(0);                                                          \
        REAL *y = OUT(1 + outs);                                                        \
        BY(way, FORM_##plain(GROUPED_##name), name, x, y, , parameters)                 \
    }
#define BACKWARD(way, plain, loop, name, parameters, outs)                              \
    MAP(loop) {                                                                         \
        WHOLE_GROUPS PARAMS_##parameters(2)                                             \
        const REAL *dy = IN(0), *t = IN(1);                                             \
        REAL *dx = OUT(2 + outs);                                                       \
        BY(way, FORM_##plain(GROUPED_##name##_d), name##_d, t, dx, dy[i] *, parameters) \
    }
#define GATED(way, loop, activation)                                                    \
    MAP(loop) {                                                                         \
        WHOLE_GROUPS PARAMS_0()                                                         \
        const REAL *gate = IN(0), *up = IN(1);                                          \
        REAL *y = OUT(2);                                                               \
        BY(way, FORM_ELEMENTS(GROUPED_##activation), activation, gate, y, up[i] *, 0)   \
    }

/* FA_LARGE and FA_LEAVING (table.h). HALVES, for light ops on AVX-512: x is loaded by halves of a vector, all else is whole. On more data than
 * L2 holds whole loads off the line took some loops up to 1.9 times as long, others not, and which changes with the place of their code:
 * prefetching by instructions' addresses may lose its way. Zen 5, one thread, us: relu of 2^24 float32 4300 -> 3100, sigmoid' of 2^20
 * float64 415 -> 300. All by half vectors is as steady, but each instruction counts on the way through L3 too: relu6' of 2^20 float64, whose
 * three arrays lie off the line, by 20 instructions per 64 bytes 400 us, by 12 340, whole from halves 310. In cache plain loads are up to
 * 8 % faster, and forward until results leave past the caches. */
#undef FORWARD_LIGHT
#undef FORWARD_MEDIUM
#undef FORWARD_HEAVY
#undef BACKWARD_LIGHT
#undef BACKWARD_MEDIUM
#undef BACKWARD_HEAVY
#undef LARGE_LOOP
#undef LEAVING_LOOP
#ifdef __AVX512F__
static inline void F(load_by_halves)(REAL *to, const REAL *from)
{
    const __m512 low = _mm512_castps256_ps512(_mm256_loadu_ps((const float *)from));
    _mm512_storeu_ps((float *)to, _mm512_insertf32x8(low, _mm256_loadu_ps((const float *)from + 8), 1));
}
#define LARGE_LOOP(...) __VA_ARGS__
#else
#define LARGE_LOOP(...)
#endif
#ifdef FA_STREAM
#define LEAVING_LOOP(...) __VA_ARGS__
#else
#define LEAVING_LOOP(...)
#endif
#define FORWARD_LIGHT(name, params) LEAVING_LOOP(FORWARD(LEAVE, HALVES, loop_##name##_leaving, name, params, 0))
#define BACKWARD_LIGHT(name, params)                                                    \
    LARGE_LOOP(BACKWARD(LOOP, HALVES, loop_##name##_grad_large, name, params, 0))       \
    LEAVING_LOOP(BACKWARD(LEAVE, HALVES, loop_##name##_grad_leaving, name, params, 0))
#define FORWARD_MEDIUM(name, params) LEAVING_LOOP(FORWARD(LEAVE, ELEMENTS, loop_##name##_leaving, name, params, 0))
#define BACKWARD_MEDIUM(name, params) LEAVING_LOOP(BACKWARD(LEAVE, ELEMENTS, loop_##name##_grad_leaving, name, params, 0))
#define FORWARD_HEAVY FORWARD_MEDIUM
#define BACKWARD_HEAVY BACKWARD_MEDIUM

#define FA_ACTIVATION(name, params, saved, cost)                                        \
    FORWARD(LOOP, ELEMENTS, loop_##name, name, params, 0)                               \
    FORWARD(LOOP, ELEMENTS, loop_each_##name, name, EACH_##params, params)              \
    FORWARD_##cost(name, params)                                                        \
    BACKWARD(LOOP, ELEMENTS, loop_##name##_grad, name, params, 0)                       \
    BACKWARD(LOOP, ELEMENTS, loop_each_##name##_grad, name, EACH_##params, params)      \
    FA_JOIN(BACKWARD, FA_GRAD_COST_##saved(cost))(name, params)

#define FA_GATED(name, activation, derivative, beside, cost)                            \
    GATED(LOOP, loop_##name, activation)                                                \
    LEAVING_LOOP(GATED(LEAVE, loop_##name##_leaving, activation))                       \
    MAP(loop_##name##_grad) {                                                           \
        WHOLE_GROUPS PARAMS_0()                                                         \
        const REAL *dy = IN(0), *gate = IN(1), *up = IN(2);                             \
        REAL *dgate = OUT(3), *dup = OUT(4);                                            \
        EACH {                                                                          \
            REAL g = dy[i] * F(derivative)(gate[i]) * up[i];                       \
            dup[i] = dy[i] * F(beside)(gate[i]);                                        \
            dgate[i] = g;                                                               \
        }                                                                               \
    }
#include "fastact/ops.def"
