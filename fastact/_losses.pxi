# The pointwise losses: sums, elements, gradients. Included by _kernels.pyx.
#
# A job is cut into blocks of FA_LOSS_BLOCK elements; each leaves its sums in `partial`, and these are added in a tree,
# so that the bits do not depend on the number of threads.

LOSSES = [{"name": fa_losses[i].name.decode(), "differentiable": bool(fa_losses[i].differentiable),
           "tensors": fa_losses[i].tensors, "params": fa_losses[i].params, "cost": fa_losses[i].cost}
          for i in range(FA_NLOSSES)]       # the list of losses, for everything outside this module
LOSS_ID = {loss["name"]: i for i, loss in enumerate(LOSSES)}

cdef enum:
    LOCAL_PARTIALS = 64         # below 131 072 elements no memory is asked for
    FETCHED_AHEAD = 4096        # bytes: a page


cdef struct loss_call:
    fa_loss_job job
    void (*blocks)(const fa_loss_job *job, size_t first, size_t last) noexcept nogil


cdef void loss_task(void *call_, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef loss_call *call = <loss_call *>call_
    call.blocks(&call.job, begin, end)


cdef double tree_sum(double *a, Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    """Sum of a[0], a[step], ... (n of them) by pairs; overwrites them."""
    cdef Py_ssize_t i, pairs
    if n == 0:
        return 0
    while n > 1:
        pairs = n // 2
        for i in range(pairs):
            a[i * step] = a[2 * i * step] + a[(2 * i + 1) * step]
        if n & 1:
            a[pairs * step] = a[(n - 1) * step]
        n = pairs + (n & 1)
    return a[0]


cdef bint loss_run(loss_call *call, int id, int dtype, double *sums) noexcept nogil:
    """Runs the job; sums: per column the sum of the losses and of the weights. False: no memory."""
    cdef double local[2 * LOCAL_PARTIALS]
    cdef fa_fp saved
    cdef Py_ssize_t columns = call.job.columns, c
    cdef Py_ssize_t deep = (call.job.n + FA_LOSS_BLOCK - 1) // FA_LOSS_BLOCK, blocks = deep * columns
    cdef Py_ssize_t itemsize = 8 if dtype == FA_F64 else 4, n = call.job.n * columns
    cdef int64_t ps = n * fa_cost_ps[fa_losses[id].cost] * (itemsize // 4)
    call.job.loss = id
    call.job.ahead = FETCHED_AHEAD if past_caches(n * itemsize * fa_losses[id].tensors) else 0
    call.job.stream = (call.job.grad != NULL and call.job.weight.data == NULL and <size_t>call.job.grad % FA_GROUP == 0
                       and call.job.grad != call.job.in_[0].data and call.job.grad != call.job.in_[1].data
                       and past_caches(n * itemsize * (fa_losses[id].tensors + 1)))
    call.blocks = table.sums.loss_blocks[dtype]
    call.job.partial = &local[0]
    if blocks > LOCAL_PARTIALS:
        call.job.partial = <double *>malloc(2 * blocks * sizeof(double))
        if call.job.partial == NULL:
            return False
    run(loss_task, call, blocks, fa_parts(fa_serial_ns(ps, n * itemsize * fa_losses[id].tensors)))
    saved = fa_fp_enter()
    for c in range(columns):
        sums[2 * c] = tree_sum(call.job.partial + 2 * c, deep, 2 * columns)
        sums[2 * c + 1] = tree_sum(call.job.partial + 2 * c + 1, deep, 2 * columns)
    fa_fp_leave(saved)
    if call.job.partial != &local[0]:
        free(call.job.partial)
    return True


cpdef reduced(double total, double divisor, bint single):
    """total / divisor, NaN if that is 0, as a NumPy scalar of float32 or float64: the last roundings of a loss."""
    cdef fa_fp saved = fa_fp_enter()
    cdef double value = total / divisor if divisor != 0 else NAN
    cdef float rounded = <float>value
    fa_fp_leave(saved)
    return cnp.PyArray_ToScalar(&rounded, single_like) if single else cnp.PyArray_ToScalar(&value, double_like)


def gradient_scale(double divisor):
    """1 / divisor; 0 if there is nothing to divide by."""
    cdef fa_fp saved = fa_fp_enter()
    cdef double scale = 1 / divisor if divisor != 0 else 0
    fa_fp_leave(saved)
    return scale


cdef cnp.ndarray single_like = cnp.PyArray_ZEROS(0, NULL, cnp.NPY_FLOAT, 0)
cdef cnp.ndarray double_like = cnp.PyArray_ZEROS(0, NULL, cnp.NPY_DOUBLE, 0)
cdef float single_one = 1
cdef double double_one = 1


def plain_loss(int id, x, y, tuple params, double scale=1.0, grad=NO_GRADIENT):
    """(sum, gradient * scale) of a loss of two tensors if a kernel can take all as it is, else None.

    That is: C-contiguous float32 or float64, one dtype, one shape. grad: NO_GRADIENT, None for a new array, or the
    array it goes to: x itself, or apart from x and y.
    """
    cdef loss_call call
    cdef double param[4]
    cdef double sums[2]
    cdef int dtype = fast_dtype(x), k = 0
    cdef Py_ssize_t itemsize = 8 if dtype == FA_F64 else 4, nbytes
    cdef bint done
    if dtype < 0 or fast_dtype(y) != dtype or not same_shape(<cnp.ndarray>x, <cnp.ndarray>y):
        return None
    memset(&call, 0, sizeof(call))
    call.job.n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    call.job.columns = 1
    call.job.in_[0] = fa_operand(<char *>cnp.PyArray_DATA(<cnp.ndarray>x), itemsize, 0, 0)
    call.job.in_[1] = fa_operand(<char *>cnp.PyArray_DATA(<cnp.ndarray>y), itemsize, 0, 0)
    call.job.in_[2] = fa_operand(<char *>&single_one, 0, 0, 1)          # pos_weight
    if dtype == FA_F64:
        call.job.in_[2].data = <char *>&double_one
    call.job.scale = scale
    for p in params:
        param[k] = p
        k += 1
    call.job.params = param
    if grad is None:
        grad = new_like(<cnp.ndarray>x)
        call.job.grad = <char *>cnp.PyArray_DATA(<cnp.ndarray>grad)
    elif grad is not NO_GRADIENT:
        if (fast_dtype(grad) != dtype or not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>grad)
                or not same_shape(<cnp.ndarray>grad, <cnp.ndarray>x)):
            return None
        call.job.grad = <char *>cnp.PyArray_DATA(<cnp.ndarray>grad)
        nbytes = call.job.n * itemsize
        if (not apart(call.job.grad, <char *>call.job.in_[1].data, nbytes)
                or not (grad is x or apart(call.job.grad, <char *>call.job.in_[0].data, nbytes))):
            return None
    with nogil:
        done = loss_run(&call, id, dtype, sums)
    if not done:
        raise MemoryError()
    return sums[0], grad


cdef fa_operand as_operand(cnp.ndarray a, Py_ssize_t n) noexcept:
    """0-d: one value for all; 1-d: the elements, repeated if they are fewer than n; 2-d: elements x columns."""
    cdef fa_operand o
    cdef int ndim = cnp.PyArray_NDIM(a)
    o.data = <char *>cnp.PyArray_DATA(a)
    o.step = cnp.PyArray_STRIDE(a, 0) if ndim else 0
    o.column_step = cnp.PyArray_STRIDE(a, 1) if ndim == 2 else 0
    o.period = 1 if ndim == 0 else 0 if cnp.PyArray_DIM(a, 0) >= n else cnp.PyArray_DIM(a, 0)
    return o


def loss_sums(
    int id, Py_ssize_t n, tuple tensors, weight=None, tuple params=(), each=None, grad=None, double scale=1.0
):
    """Per column the sum of the (weighted) losses and of the weights, as an array of shape (columns, 2).

    All arrays are native float32 or all float64; tensors 0-d, 1-d or (n, columns); weight 0-d or 1-d. each and grad:
    contiguous, n elements, filled with the (weighted) losses and scale times the (weighted) gradient; one column then.
    """
    cdef loss_call call
    cdef double param[4]
    cdef cnp.npy_intp shape[2]
    cdef int k, dtype = FA_F64 if cnp.PyArray_TYPE(<cnp.ndarray?>tensors[0]) == cnp.NPY_DOUBLE else FA_F32
    cdef Py_ssize_t columns = 1
    cdef bint done
    memset(&call, 0, sizeof(call))
    for k in range(len(params)):
        param[k] = params[k]
    for k in range(fa_losses[id].tensors):
        t = tensors[k]
        call.job.in_[k] = as_operand(<cnp.ndarray?>t, n)
        if cnp.PyArray_NDIM(<cnp.ndarray>t) == 2:
            columns = cnp.PyArray_DIM(<cnp.ndarray>t, 1)
    if weight is not None:
        call.job.weight = as_operand(<cnp.ndarray?>weight, n)
    if each is not None:
        call.job.each = <char *>cnp.PyArray_DATA(<cnp.ndarray?>each)
    if grad is not None:
        call.job.grad = <char *>cnp.PyArray_DATA(<cnp.ndarray?>grad)
    call.job.n = n
    call.job.columns = columns
    call.job.params = param
    call.job.scale = scale
    shape[0] = columns
    shape[1] = 2
    sums = cnp.PyArray_ZEROS(2, shape, cnp.NPY_DOUBLE, 0)
    cdef double *to = <double *>cnp.PyArray_DATA(<cnp.ndarray>sums)
    with nogil:
        done = loss_run(&call, id, dtype, to)
    if not done:
        raise MemoryError()
    return sums


cdef void merge_moments(double *a, const double *b) noexcept nogil:
    """a = the moments of a and b together."""
    cdef double total = a[0] + b[0], share, delta
    cdef int k
    if total == 0:
        return
    share = b[0] / total
    for k in range(1, FA_MOMENTS_SIZE, 3):
        delta = (b[k] - a[k]) + (b[k + 1] - a[k + 1])
        a[k + 1] += delta * share
        a[k + 2] += b[k + 2] + delta * delta * (a[0] * share)
    a[0] = total


cdef double larger(double a, double b) noexcept nogil:
    return a if a != a or b <= a else b


def moments(Py_ssize_t n, tuple tensors, weight=None, bint largest=False):
    """Per column of a and d = a - b, shape (columns, 7): weight; base, mean - base, squared deviations of a; of d.

    largest: only the largest |d|, shape (columns, 1). Arrays as in loss_sums; n >= 1.
    """
    cdef loss_call call
    cdef cnp.npy_intp shape[2]
    cdef cnp.ndarray a = tensors[0], b = tensors[1]
    cdef Py_ssize_t size = 1 if largest else FA_MOMENTS_SIZE, deep = (n + FA_LOSS_BLOCK - 1) // FA_LOSS_BLOCK
    cdef Py_ssize_t columns = cnp.PyArray_DIM(a, 1) if cnp.PyArray_NDIM(a) == 2 else 1, width = columns * size
    cdef Py_ssize_t i, c, step = 1
    cdef fa_fp saved
    cdef int dtype = FA_F64 if cnp.PyArray_TYPE(a) == cnp.NPY_DOUBLE else FA_F32
    cdef int64_t ns = n * columns * fa_cost_ps[0] * (4 if dtype == FA_F64 else 2) // 1000
    cdef double *p
    memset(&call, 0, sizeof(call))
    call.job.in_[0] = as_operand(a, n)
    call.job.in_[1] = as_operand(b, n)
    if weight is not None:
        call.job.weight = as_operand(<cnp.ndarray?>weight, n)
    call.job.loss = FA_LARGEST if largest else FA_MOMENTS
    call.job.n = n
    call.job.columns = columns
    call.blocks = table.sums.moment_blocks[dtype]
    shape[0] = deep
    shape[1] = width
    partial = cnp.PyArray_SimpleNew(2, shape, cnp.NPY_DOUBLE)
    p = <double *>cnp.PyArray_DATA(<cnp.ndarray>partial)
    call.job.partial = p
    with nogil:
        run(loss_task, &call, deep * columns, fa_parts(ns))
        saved = fa_fp_enter()
        while step < deep:                       # merge by pairs: rows i and i + step
            i = 0
            while i + step < deep:
                for c in range(columns):
                    if largest:
                        p[i * width + c] = larger(p[i * width + c], p[(i + step) * width + c])
                    else:
                        merge_moments(p + i * width + c * size, p + (i + step) * width + c * size)
                i += 2 * step
            step *= 2
        fa_fp_leave(saved)
    return partial[0].reshape(columns, size)


# ---- order statistics -----------------------------------------------------------------------------------------------

SELECT_BITS = int(FA_SELECT_BITS)


cdef struct select_call:
    fa_select_job job
    void (*blocks)(const fa_select_job *job, size_t first, size_t last) noexcept nogil


cdef void select_task(void *call_, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef select_call *call = <select_call *>call_
    call.blocks(&call.job, begin, end)


cdef void select_run(select_call *call, Py_ssize_t n, tuple tensors, uint64_t base, int shift, bint take):
    cdef int dtype = FA_F64 if cnp.PyArray_TYPE(<cnp.ndarray?>tensors[0]) == cnp.NPY_DOUBLE else FA_F32
    cdef int64_t ns = n * fa_cost_ps[2] // 1000
    call.job.n = n
    call.job.in_[0] = as_operand(<cnp.ndarray?>tensors[0], n)
    call.job.in_[1] = as_operand(<cnp.ndarray?>tensors[1], n)
    call.job.base = base
    call.job.shift = shift
    call.blocks = table.sums.select_take[dtype] if take else table.sums.select_count[dtype]
    with nogil:
        run(select_task, call, (n + FA_LOSS_BLOCK - 1) // FA_LOSS_BLOCK, fa_parts(ns))


def select_count(Py_ssize_t n, tuple tensors, uint64_t base, int shift):
    """How many |a - b| have the bits base + (k << shift) and up, for each k; last, more than 0 if there are NaNs."""
    cdef select_call call
    cdef cnp.npy_intp size = FA_SELECT_BINS + 1
    counts = cnp.PyArray_ZEROS(1, &size, cnp.NPY_UINT64, 0)
    call.job.counts = <uint64_t *>cnp.PyArray_DATA(<cnp.ndarray>counts)
    select_run(&call, n, tensors, base, shift, False)
    return counts


def select_take(Py_ssize_t n, tuple tensors, uint64_t base, int shift, uint64_t low, uint64_t high, found):
    """Fills `found` with the |a - b| of the bins low to high, as many as select_count says."""
    cdef select_call call
    cdef uint64_t taken = 0
    call.job.low = low
    call.job.high = high
    call.job.found = <char *>cnp.PyArray_DATA(<cnp.ndarray?>found)
    call.job.room = cnp.PyArray_SIZE(<cnp.ndarray>found)
    call.job.taken = &taken
    select_run(&call, n, tensors, base, shift, True)
