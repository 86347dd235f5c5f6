# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: freethreading_compatible=True, binding=False
"""The drivers: they choose an ISA's kernels, cut work into blocks, and know nothing of the maths.

Design in short
 - One call = one job (pointers, sizes, a kernel) + a task that runs any range of the job's units. `run` cuts the units
   statically over the threads; it holds the only parallel region. Results do not depend on how units are cut.
 - A task is `noexcept nogil`: everything is validated before, so a job cannot fail half-way.
 - `run` sets the default floating-point modes around every task, in every worker, and restores the caller's.
The elementwise maps are in _map.pxi, those over runs in _map_rows.pxi (parameters per channel in _channels.pxi, glu in
_glu.pxi, both gradients of prelu in _prelu.pxi), rows in _rows.pxi, classification losses in _classes.pxi, losses
of linear layers in _linear.pxi, pointwise losses in _losses.pxi, the C API in _capi.pxi.
"""
from cython.parallel cimport prange
from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport INFINITY, NAN, fabs
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset, strcmp

cimport numpy as cnp
from cpython.exc cimport PyErr_SetNone
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport PyObject

import math
import os

import numpy as np

cnp.import_array()
cnp.import_umath()


cdef extern from "_runtime.h" nogil:
    enum: FA_NMAPS, FA_GROUP, FA_KIND_ACTIVATION, FA_KIND_GATED
    enum: FA_SCALAR_PARAMS, FA_ARRAY_PARAMS, FA_LARGE, FA_LEAVING, FA_MAP_FORMS, FA_LEAVING_GROUPS
    ctypedef void (*fa_map_fn)(size_t n, char *const *args, const double *params) noexcept nogil
    enum: FA_NROWS
    ctypedef void (*fa_rows_fn)(void *job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil
    ctypedef struct fa_map_info:
        const char *name
        int kind, grad, tensors, params, outputs, saves_output, cost
    ctypedef struct fa_sum_table:
        void (*loss_blocks[FA_NDTYPES])(const fa_loss_job *job, size_t first, size_t last) noexcept nogil
        void (*moment_blocks[FA_NDTYPES])(const fa_loss_job *job, size_t first, size_t last) noexcept nogil
        void (*select_count[FA_NDTYPES])(const fa_select_job *job, size_t first, size_t last) noexcept nogil
        void (*select_take[FA_NDTYPES])(const fa_select_job *job, size_t first, size_t last) noexcept nogil
    ctypedef struct fa_rows_table:
        fa_rows_fn run[FA_NROWS][FA_NDTYPES]
    ctypedef struct fa_table:
        const char *isa
        fa_map_fn map[FA_NMAPS][FA_NDTYPES][FA_MAP_FORMS]
        void (*prelu_blocks[FA_NDTYPES])(const fa_prelu_job *job, size_t first, size_t last) noexcept nogil
        const fa_sum_table *sums
        const fa_rows_table *rows
        void (*half_to_float)(size_t n, const uint16_t *h, float *f) noexcept nogil
        void (*float_to_half)(size_t n, const float *f, uint16_t *h) noexcept nogil
        void (*stream)(char *to, const char *source, size_t nbytes) noexcept nogil
        void (*stream_end)() noexcept nogil
    const fa_map_info fa_maps[FA_NMAPS]
    enum: FA_NLOSSES, FA_LOSS_BLOCK, FA_MOMENTS, FA_LARGEST, FA_MOMENTS_SIZE
    ctypedef struct fa_loss_info:
        const char *name
        int differentiable, tensors, params, cost
    const fa_loss_info fa_losses[FA_NLOSSES]
    ctypedef struct fa_operand:
        const char *data
        Py_ssize_t step, column_step
        size_t period
    ctypedef struct fa_loss_job:
        int loss
        size_t n, columns
        fa_operand in_ "in"[3]
        fa_operand weight
        const double *params
        double scale
        char *each
        char *grad
        double *partial
        size_t ahead
        int stream
    enum: FA_SELECT_BITS, FA_SELECT_BINS
    ctypedef struct fa_select_job:
        size_t n
        fa_operand in_ "in"[2]
        uint64_t base
        int shift
        uint64_t *counts
        uint64_t low, high
        char *found
        uint64_t room
        uint64_t *taken
    const int64_t fa_cost_ps[]
    ctypedef struct fa_prelu_job:
        const char *dy
        const char *x
        const char *alpha
        char *dx
        size_t n, outer, channels, inner, block_outer, block_channels, block_inner
        double *partial
    ctypedef struct fa_fp:
        pass
    fa_fp fa_fp_enter()
    void fa_fp_leave(fa_fp saved)
    int fa_table_count()
    const fa_table *fa_table_at(int i)
    int fa_isa_runs(const char *isa)
    int fa_watch_forks()
    int fa_openmp_version()
    int fa_omp_num_procs()
    int fa_threads()
    int fa_parts(int64_t serial_ns)
    int64_t fa_serial_ns(int64_t ps, int64_t bytes)
    void fa_fetch(const char *source, Py_ssize_t nbytes)
    void fa_alone_ends()
    void fa_team_begins()
    void fa_team_ends()
    int fa_process_threads, fa_omp_default, fa_thread_threads


cdef extern from *:
    """
    #if defined(__clang__)
    #define FA_COMPILER "clang " __clang_version__
    #elif defined(__GNUC__)
    #define FA_COMPILER "gcc " __VERSION__
    #else
    #define FA_COMPILER "unknown"
    #endif
    """
    const char *FA_COMPILER


# ---- the one parallel region ----------------------------------------------------------------------------------------

ctypedef void (*task_fn)(void *job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil


cdef void run_part(task_fn task, void *job, Py_ssize_t units, int part, int parts) noexcept nogil:
    cdef fa_fp saved = fa_fp_enter()
    task(job, units * part // parts, units * (part + 1) // parts)
    fa_fp_leave(saved)


cdef void run(task_fn task, void *job, Py_ssize_t units, int parts) noexcept nogil:
    """Runs units 0..units-1 of a job in `parts` static blocks, one a thread."""
    cdef int part
    if parts > units:
        parts = <int>units
    if parts <= 1:
        run_part(task, job, units, 0, 1)
        fa_alone_ends()
        return
    fa_team_begins()
    for part in prange(parts, num_threads=parts, schedule="static"):
        run_part(task, job, units, part, parts)
    fa_team_ends()


# ---- the table of the best ISA --------------------------------------------------------------------------------------

cdef const fa_table *table = NULL


def available_isas():
    """Names of the compiled ISAs that this CPU runs, best last."""
    return [isa for isa in compiled_isas() if fa_isa_runs(isa.encode())]


def compiled_isas():
    """Names of all compiled ISAs, best last."""
    return [fa_table_at(i).isa.decode() for i in range(fa_table_count())]


def current_isa():
    """Name of the ISA whose kernels run."""
    return table.isa.decode()


def use_isa(str name):
    """Switches to another ISA's kernels, for tests and benchmarks; users set FASTACT_ISA before the import."""
    global table
    cdef int i
    if name not in available_isas():
        raise ValueError(f"FASTACT_ISA: expected one of {available_isas()} (this build on this CPU), got {name!r}")
    for i in range(fa_table_count()):
        if fa_table_at(i).isa.decode() == name:
            table = fa_table_at(i)


use_isa(os.environ.get("FASTACT_ISA") or available_isas().pop())


# ---- threads --------------------------------------------------------------------------------------------------------

def set_process_threads(int n):
    global fa_process_threads
    fa_process_threads = n


def set_thread_threads(int n):
    """The calling thread's own limit (0: the process's); returns the one before."""
    global fa_thread_threads
    cdef int before = fa_thread_threads
    fa_thread_threads = n
    return before


def set_omp_default(int n):
    global fa_omp_default
    fa_omp_default = n


def num_threads():
    return fa_threads()


def omp_num_procs():
    return fa_omp_num_procs()


def build_info():
    return {"compiler": FA_COMPILER.decode(), "openmp": fa_openmp_version()}


if fa_watch_forks():
    raise ImportError("fastact: pthread_atfork failed, a forked process could hang")

NO_GRADIENT = object()          # as `grad`: the loss alone is wanted. False might be what a caller passes as grad_out

include "_memory.pxi"
include "_map.pxi"
include "_map_rows.pxi"
include "_channels.pxi"
include "_glu.pxi"
include "_losses.pxi"
include "_prelu.pxi"
include "_rows.pxi"
include "_classes.pxi"
include "_linear.pxi"
include "_capi.pxi"
