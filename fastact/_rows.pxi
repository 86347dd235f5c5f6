# Rows: softmax and its kin, and the gufuncs. Included by _kernels.pyx.
#
# A kernel takes outer x cols x inner tensors (rows_job.h) and runs any of its units; which run together changes no bit.
# Units are rows, or blocks of columns where rows are short or the classes are not the last axis. Too few rows that are
# long are split over the threads: three phases over a row's chunks, with the sums of the serial path.

cdef extern from "_runtime.h" nogil:
    enum: FA_CHUNKS
    enum: FA_ROWS_softmax, FA_ROWS_log_softmax, FA_ROWS_logsumexp, FA_ROWS_softmax_grad, FA_ROWS_log_softmax_grad
    enum: FA_ROWS_split_max, FA_ROWS_softmax_split_sum, FA_ROWS_log_softmax_split_sum, FA_ROWS_logsumexp_split_sum
    enum: FA_ROWS_softmax_split_write, FA_ROWS_log_softmax_split_write, FA_ROWS_logsumexp_split_write
    ctypedef struct fa_rows_job:
        const void *x
        const void *dy
        const uint8_t *where
        void *y
        Py_ssize_t x_stride, dy_stride, where_stride, y_stride
        size_t outer, cols, inner
        double temperature
        void *top
        double *partial
        int stream
        void *wide
    const char *fa_rows_names[FA_NROWS]
    size_t fa_rows_units(size_t outer, size_t cols, size_t inner, size_t itemsize)
    size_t fa_split_chunks(size_t cols, size_t itemsize)
    int fa_by_columns(size_t cols, size_t inner)
    int fa_columns_wide(size_t outer, size_t cols, size_t inner, size_t itemsize)
    size_t fa_columns_units(size_t outer, size_t cols, size_t inner, size_t itemsize, int wide)
    size_t fa_wide_size(int parts)

ROWS_ID = {fa_rows_names[i].decode(): i for i in range(FA_NROWS)}

cdef int64_t row_ns(int64_t elements, Py_ssize_t itemsize) noexcept nogil:
    """Nanoseconds on one thread, roughly: 0.2 an element of float32, 0.5 of float64."""
    return elements // 5 if itemsize == 4 else elements // 2


cdef bint splits(fa_rows_job *job, int kernel, Py_ssize_t itemsize) noexcept nogil:
    """Whether there are too few rows to keep the threads busy one by one, long enough to be cut."""
    return (kernel <= FA_ROWS_logsumexp and job.outer < 2 * <size_t>fa_threads()
            and row_ns(job.cols, itemsize) >= 10000)


cdef void *wide_scratch(bint wanted, int parts) noexcept nogil:
    """Scratch for the wide blocks of columns of a run in so many parts. NULL: blocks are narrow."""
    cdef void *scratch = malloc(fa_wide_size(parts)) if wanted else NULL
    if scratch != NULL:
        (<size_t *>scratch)[0] = 0
    return scratch


cdef void softmax_run(int kernel, int dtype, fa_rows_job *job) noexcept nogil:
    """Any job of the softmax family with at least one class and one row."""
    cdef Py_ssize_t itemsize = 8 if dtype == FA_F64 else 4
    cdef int parts = fa_parts(row_ns(job.outer * job.cols * job.inner, itemsize))
    job.stream = (past_caches(job.outer * job.cols * job.inner * itemsize * (2 if job.dy == NULL else 3))
                  and job.y != job.x and job.y != job.dy)
    job.wide = NULL
    if fa_by_columns(job.cols, job.inner):
        job.wide = wide_scratch(fa_columns_wide(job.outer, job.cols, job.inner, itemsize), parts)
        run(table.rows.run[kernel][dtype], job,
            fa_columns_units(job.outer, job.cols, job.inner, itemsize, job.wide != NULL), parts)
        free(job.wide)
        job.wide = NULL
    elif parts > 1 and splits(job, kernel, itemsize):
        softmax_split(kernel, dtype, job, itemsize, parts)
    else:
        run(table.rows.run[kernel][dtype], job, fa_rows_units(job.outer, job.cols, job.inner, itemsize), parts)


cdef void softmax_split(int kernel, int dtype, fa_rows_job *job, Py_ssize_t itemsize, int parts) noexcept nogil:
    cdef double top[FA_CHUNKS]
    cdef double partial[2 * FA_CHUNKS]
    cdef Py_ssize_t chunks = fa_split_chunks(job.cols, itemsize), r
    cdef fa_rows_job row = job[0]
    row.outer = 1
    row.top = &top[0]
    row.partial = &partial[0]
    for r in range(<Py_ssize_t>job.outer):
        row.x = <const char *>job.x + r * job.x_stride * itemsize
        row.y = <char *>job.y + r * job.y_stride * itemsize
        if job.where != NULL:
            row.where = job.where + r * job.where_stride
        run(table.rows.run[FA_ROWS_split_max][dtype], &row, chunks, parts)
        run(table.rows.run[FA_ROWS_softmax_split_sum + kernel][dtype], &row, chunks, parts)
        run(table.rows.run[FA_ROWS_softmax_split_write + kernel][dtype], &row,
            1 if kernel == FA_ROWS_logsumexp else chunks, parts)


cdef void softmax_empty(int kernel, int dtype, fa_rows_job *job) noexcept nogil:
    """Rows without classes: only log-sum-exp has something to say, -inf."""
    cdef size_t r, i
    if kernel == FA_ROWS_logsumexp:
        for r in range(job.outer):
            for i in range(job.inner):
                if dtype == FA_F64:
                    (<double *>job.y)[r * job.y_stride + i] = -INFINITY
                else:
                    (<float *>job.y)[r * job.y_stride + i] = -INFINITY


cdef void softmax_call(int kernel, int dtype, fa_rows_job *job) noexcept nogil:
    if job.outer * job.inner == 0:
        return
    if job.cols == 0:
        softmax_empty(kernel, dtype, job)
    else:
        softmax_run(kernel, dtype, job)


# ---- the public functions -------------------------------------------------------------------------------------------

def rows_plain(int kernel, cnp.ndarray x, dy, where, cnp.ndarray y, size_t outer, size_t cols, size_t inner,
               double temperature):
    """Runs a kernel on arrays that the caller has checked: contiguous, aligned, native, of one dtype; y apart or x."""
    cdef fa_rows_job job
    cdef int dtype = FA_F64 if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE else FA_F32
    job.x = cnp.PyArray_DATA(x)
    job.y = cnp.PyArray_DATA(y)
    job.dy = NULL if dy is None else cnp.PyArray_DATA(<cnp.ndarray>dy)
    job.where = NULL
    if where is not None:
        job.where = <const uint8_t *>cnp.PyArray_DATA(<cnp.ndarray>where)
    job.x_stride = job.dy_stride = job.where_stride = cols * inner
    job.y_stride = inner if kernel == FA_ROWS_logsumexp else cols * inner
    job.outer, job.cols, job.inner, job.temperature = outer, cols, inner, temperature
    with nogil:
        softmax_call(kernel, dtype, &job)


cdef inline bint has_shape(cnp.ndarray a, int ndim, const cnp.npy_intp *shape) noexcept:
    cdef int d
    if cnp.PyArray_NDIM(a) != ndim:
        return False
    for d in range(ndim):
        if cnp.PyArray_DIM(a, d) != shape[d]:
            return False
    return True


def rows_fast(int kernel, object x_, object dy_, object axis_, object temperature_, object out):
    """The result if all is plain (and nothing masked), else None: the caller then takes the long way."""
    cdef fa_rows_job job
    cdef cnp.ndarray x
    cdef cnp.npy_intp shape[64]                      # NumPy's most dimensions
    cdef int dtype = fast_dtype(x_), d, ndim, overflow, kept = 0
    cdef Py_ssize_t axis, nbytes
    cdef bint reduces = kernel == FA_ROWS_logsumexp
    cdef char *p
    if dtype < 0 or not PyLong_CheckExact(axis_):
        return None
    if not real_of(temperature_, &job.temperature):
        return None
    x = <cnp.ndarray>x_
    ndim = cnp.PyArray_NDIM(x)
    axis = PyLong_AsLongLongAndOverflow(axis_, &overflow)
    if axis < 0:
        axis += ndim
    if overflow or not (0 <= axis < ndim and 0 < job.temperature < INFINITY):
        return None
    nbytes = cnp.PyArray_NBYTES(x)
    if dy_ is not None and (fast_dtype(dy_) != dtype or not same_shape(<cnp.ndarray>dy_, x)):
        return None
    job.outer = job.inner = 1
    for d in range(ndim):
        if d < axis:
            job.outer *= cnp.PyArray_DIM(x, d)
        elif d > axis:
            job.inner *= cnp.PyArray_DIM(x, d)
        if d != axis or not reduces:
            shape[kept] = cnp.PyArray_DIM(x, d)
            kept += 1
    job.cols = cnp.PyArray_DIM(x, <int>axis)
    if out is None:
        out = new_output(kept, shape, cnp.PyArray_TYPE(x))
    elif (fast_dtype(out) != dtype or not has_shape(<cnp.ndarray>out, kept, shape)
          or not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out)):
        return None
    p = <char *>cnp.PyArray_DATA(<cnp.ndarray>out)
    job.x = cnp.PyArray_DATA(x)
    if (p != job.x or reduces) and not apart(p, <char *>job.x, nbytes):
        return None
    job.dy = NULL
    if dy_ is not None:
        job.dy = cnp.PyArray_DATA(<cnp.ndarray>dy_)
        if p != job.dy and not apart(p, <char *>job.dy, nbytes):
            return None
    job.y = p
    job.where = NULL
    job.where_stride = 0
    job.x_stride = job.dy_stride = job.cols * job.inner
    job.y_stride = job.inner if reduces else job.cols * job.inner
    if nbytes < 32768:               # letting others run costs more than this takes
        softmax_call(kernel, dtype, &job)
    else:
        with nogil:
            softmax_call(kernel, dtype, &job)
    return out if kept else out[()]


# ---- gufuncs --------------------------------------------------------------------------------------------------------

cdef enum:
    GATHERED = 8192                  # elements of rows that are gathered at a time: in L2
cdef loop_data rows_loops[FA_NROWS][3]
cdef void *rows_datas[FA_NROWS][3]
cdef char rows_types[FA_NROWS][3 * 3]
cdef cnp.PyUFuncGenericFunction rows_functions[3]


cdef void rows_gathered(int kernel, int dtype, fa_rows_job *job, char **args, const cnp.npy_intp *steps,
                        bint half, int inputs, char *buffer, Py_ssize_t padded, Py_ssize_t batch) noexcept nogil:
    """Rows of any strides or of half precision, `batch` at a time through buffers of `padded` elements a row."""
    cdef Py_ssize_t itemsize = 2 if half else 8 if dtype == FA_F64 else 4, n = job.cols, results, first, r, k
    cdef Py_ssize_t row = padded * (8 if dtype == FA_F64 else 4), outer = job.outer
    cdef char *halves = buffer + 3 * batch * row
    cdef char *y = buffer + 2 * batch * row
    results = 1 if kernel == FA_ROWS_logsumexp else n
    job.x = buffer + (inputs - 1) * batch * row
    job.dy = buffer
    job.y = y
    job.x_stride = job.dy_stride = job.y_stride = padded
    first = 0
    while first < outer:
        job.outer = min(batch, outer - first)
        for r in range(<Py_ssize_t>job.outer):
            for k in range(inputs):
                gather(halves if half else buffer + (k * batch + r) * row, args[k] + (first + r) * steps[k],
                       steps[inputs + 1 + k], n, itemsize)
                if half:
                    table.half_to_float(padded, <uint16_t *>halves, <float *>(buffer + (k * batch + r) * row))
        softmax_call(kernel, dtype, job)
        for r in range(<Py_ssize_t>job.outer):
            if half:
                table.float_to_half(padded, <float *>(y + r * row), <uint16_t *>halves)
            scatter(args[inputs] + (first + r) * steps[inputs], steps[2 * inputs + 1],
                    halves if half else y + r * row, results, itemsize)
        first += batch


cdef void rows_loop(char **args, const cnp.npy_intp *dims, const cnp.npy_intp *steps, void *data_) noexcept nogil:
    """The inner loop of every gufunc: (n)->(n), (n),(n)->(n) or (n)->()."""
    cdef loop_data *data = <loop_data *>data_
    cdef int kernel = data.id, k
    cdef int inputs = 2 if kernel in (FA_ROWS_softmax_grad, FA_ROWS_log_softmax_grad) else 1
    cdef int operands = inputs + 1, cores = inputs if kernel == FA_ROWS_logsumexp else operands
    cdef bint half = data.dtype == HALF, contiguous = not half
    cdef int dtype = FA_F32 if half else data.dtype
    cdef Py_ssize_t itemsize = 8 if dtype == FA_F64 else 4, padded, batch
    cdef cnp.npy_intp all_steps[6]
    cdef fa_rows_job job
    cdef fa_fp modes
    cdef char *buffer
    job.outer, job.cols, job.inner, job.temperature, job.where = dims[0], dims[1], 1, 1.0, NULL
    for k in range(operands + cores):
        all_steps[k] = steps[k]
    if cores < operands:
        all_steps[operands + cores] = itemsize
    for k in range(operands):
        contiguous = (contiguous and (all_steps[operands + k] == itemsize or dims[1] == 1)
                      and (steps[k] % itemsize == 0 or dims[0] == 1))
    if contiguous:
        job.x, job.dy, job.y = args[inputs - 1], args[0], args[inputs]
        job.x_stride, job.dy_stride = steps[inputs - 1] // itemsize, steps[0] // itemsize
        job.y_stride = steps[inputs] // itemsize
        softmax_call(kernel, dtype, &job)
        return
    padded = (dims[1] + 15) & ~15
    batch = max(1, min(dims[0], GATHERED // max(padded, 1)))
    buffer = <char *>malloc((3 * batch + 1) * padded * itemsize)
    if buffer == NULL:
        with gil:
            PyErr_SetNone(MemoryError)
        return
    memset(buffer, 0, (3 * batch + 1) * padded * itemsize)      # what pads the rows is converted too
    modes = fa_fp_enter()
    rows_gathered(kernel, dtype, &job, args, all_steps, half, inputs, buffer, padded, batch)
    fa_fp_leave(modes)
    free(buffer)


cdef make_gufunc(int kernel, const char *signature):
    cdef int *dtypes = [HALF, FA_F32, FA_F64]        # half first: float16 must not become float32
    cdef int *types = [cnp.NPY_FLOAT16, cnp.NPY_FLOAT, cnp.NPY_DOUBLE]
    cdef int inputs = 2 if kernel in (FA_ROWS_softmax_grad, FA_ROWS_log_softmax_grad) else 1, t, k
    for t in range(3):
        rows_functions[t] = <cnp.PyUFuncGenericFunction>rows_loop
        rows_loops[kernel][t] = loop_data(kernel, dtypes[t])
        rows_datas[kernel][t] = &rows_loops[kernel][t]
        for k in range(inputs + 1):
            rows_types[kernel][t * (inputs + 1) + k] = <char>types[t]
    return cnp.PyUFunc_FromFuncAndDataAndSignature(
        rows_functions, rows_datas[kernel], rows_types[kernel], 3, inputs, 1, cnp.PyUFunc_None,
        <char *>fa_rows_names[kernel], b"See fastact's function of the same name; the class axis is the last.",
        0, signature)


UFUNCS.update({fa_rows_names[kernel].decode(): make_gufunc(kernel, signature) for kernel, signature in (
    (FA_ROWS_softmax, b"(n)->(n)"), (FA_ROWS_log_softmax, b"(n)->(n)"), (FA_ROWS_logsumexp, b"(n)->()"),
    (FA_ROWS_softmax_grad, b"(n),(n)->(n)"), (FA_ROWS_log_softmax_grad, b"(n),(n)->(n)"))})
