# Both gradients of prelu. Included by _kernels.pyx.
#
# A C-contiguous x is (outer, channels, inner) with one alpha per channel. A channel's sum is made of blocks that depend
# on the shape only, each summed in double, then of those by pairs: the same bits for any number of threads.
#  - Long runs (inner >= NARROW): a block is a part of a run, or some channels' runs.
#  - Else rows: alpha is repeated to a row of `channels * inner` values, and several times if that is short of a few
#    vectors; each place of the row has a sum of its own. (32, 512, 7, 7) took 460 us by runs.

cdef enum:
    RUN_BLOCK = 16384    # elements of a run, and of a unit, at most
    ROW_BLOCK = 512      # places of a row in a unit: their sums stay in L1
    DEEP = 64            # blocks of rows at most, of as many rows at least: the sums take little memory beside x
    ROW_WIDTH = 256      # places that a row should have at least
    PRELU_PS = 120       # picoseconds of one thread for a float32 element


cdef struct prelu_call:
    fa_prelu_job job
    void (*blocks)(const fa_prelu_job *job, size_t first, size_t last) noexcept nogil


cdef void prelu_task(void *call_, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef prelu_call *call = <prelu_call *>call_
    call.blocks(&call.job, begin, end)


cdef inline Py_ssize_t blocks_of(Py_ssize_t n, Py_ssize_t block) noexcept nogil:
    return (n + block - 1) // block


cdef void put_real(char *to, double value, int dtype) noexcept nogil:
    cdef fa_fp saved = fa_fp_enter()
    if dtype == FA_F64:
        (<double *>to)[0] = value
    else:
        (<float *>to)[0] = <float>value
    fa_fp_leave(saved)


cdef bint prelu_run(prelu_call *call, int dtype, Py_ssize_t outer, Py_ssize_t channels, Py_ssize_t inner,
                    const char *alpha, char *dalpha) noexcept nogil:
    """False: no memory."""
    cdef fa_prelu_job *job = &call.job
    cdef Py_ssize_t itemsize = 8 if dtype == FA_F64 else 4, n = outer * channels * inner
    cdef Py_ssize_t width = channels * inner, times = 1, deep, c, w
    cdef bint rows = channels > 1 and (inner == 1 or (inner < NARROW and outer >= TALL))
    cdef char *row = NULL
    cdef double total
    cdef fa_fp saved
    job.n = n
    if rows:
        while width * times < ROW_WIDTH and 2 * times * DEEP <= outer:
            times *= 2
        width *= times
        job.outer, job.channels, job.inner = blocks_of(outer, times), width, 1
        job.block_outer = blocks_of(job.outer, max(1, min(DEEP, <Py_ssize_t>job.outer // DEEP)))
        job.block_channels, job.block_inner = ROW_BLOCK, 1
        row = repeated(alpha, itemsize, channels, inner, times)
        if row == NULL:
            return False
        alpha = row
    else:
        job.outer, job.channels, job.inner = outer, channels, inner
        job.block_inner = min(inner, <Py_ssize_t>RUN_BLOCK)
        job.block_outer = blocks_of(outer, min(outer, <Py_ssize_t>DEEP))
        job.block_channels = max(1, min(channels, RUN_BLOCK // <Py_ssize_t>(job.block_inner * job.block_outer)))
    deep = blocks_of(job.outer, job.block_outer) * blocks_of(job.inner, job.block_inner)
    job.alpha = alpha
    job.partial = <double *>malloc(deep * job.channels * sizeof(double))
    if job.partial == NULL:
        free(row)
        return False
    call.blocks = table.prelu_blocks[dtype]
    run(prelu_task, call, deep * blocks_of(job.channels, job.block_channels),
        fa_parts(n * PRELU_PS * (itemsize // 4) // 1000))
    saved = fa_fp_enter()
    for c in range(<Py_ssize_t>job.channels):
        job.partial[c] = tree_sum(job.partial + c, deep, job.channels)
    for c in range(channels):
        total = 0
        if rows:
            for w in range(times * inner):
                total += job.partial[(w // inner * channels + c) * inner + w % inner]
        else:
            total = job.partial[c]
        put_real(dalpha + c * itemsize, total, dtype)
    fa_fp_leave(saved)
    free(job.partial)
    free(row)
    return True


def plain_prelu_grad(dy_, x_, alpha_, out, dalpha_out=None):
    """(dx, dalpha) if the kernels can take all as it is, else None. That is: dy and x C-contiguous, of one shape and
    dtype, float32 or float64; alpha a Python number or such an array whose axes longer than 1 lie side by side and are
    x's; dx goes to `out` or a new array, dalpha to `dalpha_out`, an array like alpha, or a new one."""
    cdef int dtype = fast_dtype(x_)
    cdef Py_ssize_t outer, channels, inner, nbytes
    cdef cnp.ndarray x, alpha
    cdef prelu_call call
    cdef double number
    cdef char *dx
    cdef char *p
    cdef char *other
    cdef bint done
    if dtype < 0 or fast_dtype(dy_) != dtype or not same_shape(<cnp.ndarray>dy_, <cnp.ndarray>x_):
        return None
    x = <cnp.ndarray>x_
    if real_of(alpha_, &number):
        if fabs(number) > FLT_MAX:
            return None
        alpha = cnp.PyArray_SimpleNew(0, NULL, cnp.PyArray_TYPE(x))
        put_real(<char *>cnp.PyArray_DATA(alpha), number, dtype)
    elif type(alpha_) is cnp.ndarray:
        alpha = <cnp.ndarray>alpha_
    else:
        return None
    if not has_channels(x, alpha, &outer, &channels, &inner):
        return None
    if cnp.PyArray_SIZE(x) == 0 or outer * inner == 1:
        return None
    nbytes = cnp.PyArray_SIZE(x) * (8 if dtype == FA_F64 else 4)
    if out is None:
        out = new_like(x)
    elif fast_dtype(out) != dtype or not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out) or not same_shape(out, x):
        return None
    dx = <char *>cnp.PyArray_DATA(<cnp.ndarray>out)
    call.job.dy = <char *>cnp.PyArray_DATA(<cnp.ndarray>dy_)
    call.job.x = <char *>cnp.PyArray_DATA(x)
    call.job.dx = dx
    if not ((dx == call.job.dy or apart(dx, <char *>call.job.dy, nbytes))
            and (dx == call.job.x or apart(dx, <char *>call.job.x, nbytes))
            and disjoint(dx, nbytes, <char *>cnp.PyArray_DATA(alpha), cnp.PyArray_NBYTES(alpha))):
        return None
    if dalpha_out is None:
        dalpha = cnp.PyArray_SimpleNew(cnp.PyArray_NDIM(alpha), cnp.PyArray_DIMS(alpha), cnp.PyArray_TYPE(x))
    else:
        dalpha = dalpha_out
        p = <char *>cnp.PyArray_DATA(<cnp.ndarray>dalpha) if fast_dtype(dalpha) == dtype else NULL
        if p == NULL or not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>dalpha) or not same_shape(<cnp.ndarray>dalpha, alpha):
            return None
        for other in (dx, <char *>call.job.dy, <char *>call.job.x):
            if not disjoint(p, cnp.PyArray_NBYTES(alpha), other, nbytes):
                return None
        if not apart(p, <char *>cnp.PyArray_DATA(alpha), cnp.PyArray_NBYTES(alpha)):
            return None
    with nogil:
        done = prelu_run(&call, dtype, outer, channels, inner, <char *>cnp.PyArray_DATA(alpha),
                         <char *>cnp.PyArray_DATA(<cnp.ndarray>dalpha))
    if not done:
        raise MemoryError("prelu_grad: no memory for the partial sums")
    return out, dalpha[()] if dalpha_out is None else dalpha_out
