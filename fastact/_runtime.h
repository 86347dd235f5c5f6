/* _runtime.h: what the drivers need of the machine: the ISA's table, floating-point modes, fork detection, a clock, OpenMP.
 * Included by _kernels.pyx only; compiled for the baseline. */
#ifndef FASTACT_RUNTIME_H
#define FASTACT_RUNTIME_H

#define FA_MAP_FACTS
#include "fastact/table.h"

#include <pthread.h>
#include <time.h>

#ifdef _OPENMP
#include <omp.h>
#endif

/* ---- ISA tables: setup.py passes FA_ISAS as FA_EACH(name) FA_EACH(name)..., best last ---- */
#define FA_EACH(name) extern const fa_table fa_table_##name;
FA_ISAS
#undef FA_EACH

static const fa_table *const fa_tables[] = {
#define FA_EACH(name) &fa_table_##name,
    FA_ISAS
#undef FA_EACH
};

static int fa_table_count(void) { return (int)(sizeof fa_tables / sizeof *fa_tables); }
static const fa_table *fa_table_at(int i) { return fa_tables[i]; }

/* By feature names: clang before 18 does not know "x86-64-v3". gcc's test includes the operating system's support. */
static int fa_isa_runs(const char *isa)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    if (!strcmp(isa, "avx2"))
        return avx2;
    if (!strcmp(isa, "avx512"))
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    (void)isa;
    return 1;
}

/* ---- floating-point modes: each kernel entry saves them, sets the default, restores modes *and* status flags ---- */
#if defined(__x86_64__)
#include <xmmintrin.h>
typedef unsigned int fa_fp;
static inline fa_fp fa_fp_enter(void) { fa_fp saved = _mm_getcsr(); _mm_setcsr(0x1f80); return saved; }
static inline void fa_fp_leave(fa_fp saved) { _mm_setcsr(saved); }
#elif defined(__aarch64__)
typedef struct { uint64_t control, status; } fa_fp;
static inline fa_fp fa_fp_enter(void)
{
    fa_fp saved;
    const uint64_t zero = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved.control));
    __asm__ volatile("mrs %0, fpsr" : "=r"(saved.status));
    __asm__ volatile("msr fpcr, %0" : : "r"(zero));
    return saved;
}
static inline void fa_fp_leave(fa_fp saved)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(saved.control));
    __asm__ volatile("msr fpsr, %0" : : "r"(saved.status));
}
#else
#include <fenv.h>
typedef fenv_t fa_fp;
static inline fa_fp fa_fp_enter(void) { fenv_t saved; fegetenv(&saved); fesetenv(FE_DFL_ENV); return saved; }
static inline void fa_fp_leave(fa_fp saved) { fesetenv(&saved); }
#endif

/* ---- fork: libgomp hangs in a child whose parent had a team, so such a child stays serial ---- */
static volatile int fa_team_exists, fa_serial_child;
static void fa_after_fork(void) { if (fa_team_exists) fa_serial_child = 1; }
static int fa_watch_forks(void) { return pthread_atfork(NULL, NULL, fa_after_fork); }

/* ---- OpenMP, or its absence ---- */
#ifdef _OPENMP
static int fa_openmp_version(void) { return _OPENMP; }
static int fa_omp_max_threads(void) { return omp_in_parallel() ? 1 : omp_get_max_threads(); }
static int fa_omp_num_procs(void) { return omp_get_num_procs(); }
#else
static int fa_openmp_version(void) { return 0; }
static int fa_omp_max_threads(void) { return 1; }
static int fa_omp_num_procs(void) { return 1; }
#endif

/* ---- how many parts a call is cut into ---- */
static int fa_process_threads = 1;              /* set_num_threads */
static int fa_omp_default = 1;                  /* what OpenMP would use if nobody limited it */
static __thread int fa_thread_threads;          /* threads(n) of this thread; 0: the process's */
static __thread int64_t fa_team_ended, fa_refused; /* when this thread's team last worked; when work that was refused one last ended */

static int fa_threads(void)
{
    int n = fa_thread_threads ? fa_thread_threads : fa_process_threads, limit;
    if (n <= 1 || fa_serial_child)
        return 1;
    limit = fa_omp_max_threads();
    return limit != fa_omp_default && limit < n ? limit : n;    /* threadpoolctl and omp_set_num_threads limit, never raise */
}

static int64_t fa_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

/* Serial nanoseconds from which a second thread pays, when the team still spins and when it sleeps; a team falls asleep
 * after some milliseconds. Work between the two bounds wakes the team only when such work keeps coming. */
enum { FA_HOT_NS = 5000, FA_COLD_NS = 200000, FA_AWAKE_NS = 2000000 };

static __thread int fa_refuses;

static int fa_parts(int64_t serial_ns)
{
    int threads;
    int64_t now, busy;
    if (serial_ns < FA_HOT_NS)
        return 1;
    threads = fa_threads();
    if (threads == 1 || serial_ns >= FA_COLD_NS)
        return threads;
    now = fa_now();
    busy = fa_team_ended > fa_refused ? fa_team_ended : fa_refused;
    fa_refuses = now - busy >= FA_AWAKE_NS;
    return fa_refuses ? 1 : threads;
}

/* Work on this thread alone has ended. Its end counts, not its begin: memory can make it longer than a team stays awake. */
static void fa_alone_ends(void)
{
    if (fa_refuses) {
        fa_refuses = 0;
        fa_refused = fa_now();
    }
}

/* Serial nanoseconds of so many picoseconds of computing, or of moving so many bytes when caches near the core do not hold them. */
static int64_t fa_serial_ns(int64_t ps, int64_t bytes)
{
    const int64_t moving = bytes >= 4 << 20 ? bytes / 20 : 0;
    return ps / 1000 > moving ? ps / 1000 : moving;
}

/* What will be read, into L1. Not without the empty statement: gcc takes a function that only fetches for one that does nothing, and leaves its calls
 * out (12). */
static inline void fa_fetch(const char *from, ptrdiff_t bytes)
{
    __asm__ volatile("");
    for (ptrdiff_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i, 0, 3);
}

static void fa_team_begins(void) { fa_team_exists = 1; }
static void fa_team_ends(void) { fa_team_ended = fa_now(); }

#endif
