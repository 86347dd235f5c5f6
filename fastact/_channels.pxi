# A parameter per channel, of a C-contiguous tensor: alpha of shape (C,) against (N, C), (C, 1, 1) against (N, C, H, W),
# one for all. Included by _kernels.pyx. The ufunc door would call its loop once per run of a channel, without threads.

cdef enum:
    NARROW = 64          # elements of a run that are worth a kernel call
    TALL = 16            # rows that are worth an alpha repeated to a whole row
    WIDE = 1024          # elements that several rows make up when one is short


cdef inline bint has_channels(cnp.ndarray x, object alpha_, Py_ssize_t *outer, Py_ssize_t *channels,
                              Py_ssize_t *inner) noexcept:
    """Whether alpha is an array like `x` in dtype and contiguity, broadcasts to its shape, and its axes longer than 1
    lie side by side. Element (o, c, i) of x as (outer, channels, inner) then belongs to alpha[c]."""
    cdef cnp.ndarray alpha
    cdef Py_ssize_t size
    cdef int d, shift, begin = -1, end = 0
    if type(alpha_) is not cnp.ndarray:
        return False
    alpha = <cnp.ndarray>alpha_
    shift = cnp.PyArray_NDIM(x) - cnp.PyArray_NDIM(alpha)
    if cnp.PyArray_TYPE(alpha) != cnp.PyArray_TYPE(x) or not cnp.PyArray_ISCARRAY_RO(alpha) or shift < 0:
        return False
    for d in range(cnp.PyArray_NDIM(alpha)):
        size = cnp.PyArray_DIM(alpha, d)
        if size != 1:
            if size != cnp.PyArray_DIM(x, shift + d) or (begin >= 0 and end != shift + d):
                return False
            end = shift + d + 1
            if begin < 0:
                begin = shift + d
    outer[0] = channels[0] = inner[0] = 1
    for d in range(cnp.PyArray_NDIM(x)):
        size = cnp.PyArray_DIM(x, d)
        if begin < 0 or d >= end:
            inner[0] *= size
        elif d < begin:
            outer[0] *= size
        else:
            channels[0] *= size
    return True


cdef char *repeated(const char *alpha, Py_ssize_t itemsize, Py_ssize_t channels, Py_ssize_t inner,
                    Py_ssize_t times) noexcept nogil:
    """alpha for each element of (times, channels, inner), in new memory; NULL: there is none."""
    cdef Py_ssize_t width = channels * inner * itemsize, c, i
    cdef char *row = <char *>malloc(times * width)
    cdef char *to = row
    if row == NULL:
        return NULL
    for c in range(channels):
        for i in range(inner):
            if itemsize == 4:
                (<float *>to)[0] = (<const float *>alpha)[c]
            else:
                (<double *>to)[0] = (<const double *>alpha)[c]
            to += itemsize
    for i in range(1, times):
        memcpy(row + i * width, row, width)
    return row


cdef object apply_channels(int id, int dtype, map_job *plain, cnp.ndarray x, object alpha_, object out):
    """A map of tensors (in `plain`) and one parameter array, or None if that does not lie simply."""
    cdef const fa_map_info *info = &fa_maps[id]
    cdef rows_job job
    cdef Py_ssize_t outer, channels, inner, times = 1, itemsize = plain.itemsize, nbytes = plain.n * itemsize
    cdef const char *alpha
    cdef char *row = NULL
    cdef bint by_row
    cdef int k
    if not has_channels(x, alpha_, &outer, &channels, &inner):
        return None
    alpha = <const char *>cnp.PyArray_DATA(<cnp.ndarray>alpha_)
    by_row = channels > 1 and inner < NARROW
    if by_row and 1 < inner and outer < TALL:
        return None
    plain.args = plain.inputs = info.tensors
    if out is None:
        out = new_like(x)
        plain.arg[plain.args] = <char *>cnp.PyArray_DATA(<cnp.ndarray>out)
        plain.args += 1
    elif not fast_output(out, dtype, plain, x, nbytes) or not disjoint(
            <char *>cnp.PyArray_DATA(<cnp.ndarray>out), nbytes, <char *>alpha, channels * itemsize):
        return None
    if plain.n == 0:
        return out
    job.map = plain[0]
    if by_row:                       # alpha is an operand that starts again with each row
        if channels * inner < SHORT:
            times = min(outer, WIDE // (channels * inner))
        if inner > 1 or times > 1:
            row = repeated(alpha, itemsize, channels, inner, times)
            if row == NULL:
                raise MemoryError(f"{info.name.decode()}: no memory for the repeated parameter")
            alpha = row
        set_kernel(&job.map, id, dtype, FA_ARRAY_PARAMS)
        job.map.arg[job.map.args] = job.map.arg[job.map.inputs]
        job.map.arg[job.map.inputs] = <char *>alpha
        job.map.inputs += 1
        job.map.args += 1
        job.param = NULL
        job.inner = times * channels * inner
        job.rows = (outer + times - 1) // times
    else:
        set_kernel(&job.map, id, dtype, FA_SCALAR_PARAMS)
        job.param = alpha
        job.rows, job.inner = outer * channels, inner
    job.params, job.dtype = channels, dtype
    for k in range(job.map.args):
        job.step[k] = 0 if by_row and k == info.tensors else job.inner * itemsize
    with nogil:
        rows_run(&job, info.cost)
    free(row)
    return out
