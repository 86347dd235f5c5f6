# Classification losses: of whatever arrays the general way in _classes.py has made plain, and straight from the public
# functions where they are plain already. Included by _kernels.pyx.

cdef extern from "_runtime.h" nogil:
    enum: FA_LABEL_UNIT
    enum: FA_ROWS_check_labels, FA_ROWS_distillation_loss, FA_ROWS_distillation_loss_with_grad, FA_ROWS_log_loss
    enum: FA_INT8, FA_INT16, FA_INT32, FA_INT64, FA_UINT8, FA_UINT16, FA_UINT32, FA_UINT64
    ctypedef struct fa_xent_job:
        const void *x
        const void *target
        const uint8_t *where
        void *grad
        int stream
        void *wide
        void *loss
        double *partial
        size_t outer, cols, inner, unit_rows
        const char *labels
        Py_ssize_t label_stride
        int label_type, focal
        int64_t ignores
        int64_t ignore
        const void *weight
        const void *sample_weight
        double temperature, smoothing, gamma, scale
        int64_t *bad
    size_t fa_class_unit_rows(const fa_xent_job *job, int kernel, size_t itemsize)
    size_t fa_class_units(const fa_xent_job *job, int kernel, size_t itemsize)
    int fa_class_wide(const fa_xent_job *job, int kernel, size_t itemsize)
    int64_t fa_class_ns(const fa_xent_job *job, int kernel, size_t itemsize)


cdef int label_type(cnp.ndarray labels):
    cdef bint signed = cnp.PyTypeNum_ISSIGNED(cnp.PyArray_TYPE(labels))
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(labels)
    if signed:
        return FA_INT8 if size == 1 else FA_INT16 if size == 2 else FA_INT32 if size == 4 else FA_INT64
    return FA_UINT8 if size == 1 else FA_UINT16 if size == 2 else FA_UINT32 if size == 4 else FA_UINT64


cdef double check_labels(fa_xent_job *job, int dtype) noexcept nogil:
    """The total weight of the samples that count; job.bad[0] is the first whose label is no class, or -1."""
    cdef Py_ssize_t samples = job.outer * job.inner, units = (samples + FA_LABEL_UNIT - 1) // FA_LABEL_UNIT, u
    cdef int64_t first = -1
    run(table.rows.run[FA_ROWS_check_labels][dtype], job, units,
        fa_parts(samples * 2 if job.weight != NULL else samples // 2))
    for u in range(units):
        if first < 0:
            first = job.bad[u]
    job.bad[0] = first
    return tree_sum(job.partial, units, 1)


def class_loss(int kernel, tuple shape, cnp.ndarray x, labels, target, where, weight, sample_weight, loss, grad,
               ignore, double smoothing, double temperature, gamma, double divisor, bint mean):
    """(sum of the losses, divisor, -1), or (0, 0, position) if the label there is no class; then nothing was written.

    All arrays are checked: C-contiguous (labels: one stride), aligned, native, of x's dtype. divisor: the total weight
    of the samples, computed here if there are labels.
    """
    cdef fa_xent_job job
    cdef int dtype = FA_F64 if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE else FA_F32
    cdef double total
    memset(&job, 0, sizeof(job))
    job.outer, job.cols, job.inner = shape
    job.x = cnp.PyArray_DATA(x)
    if target is not None:
        job.target = cnp.PyArray_DATA(<cnp.ndarray>target)
    if where is not None:
        job.where = <const uint8_t *>cnp.PyArray_DATA(<cnp.ndarray>where)
    if weight is not None:
        job.weight = cnp.PyArray_DATA(<cnp.ndarray>weight)
    if sample_weight is not None:
        job.sample_weight = cnp.PyArray_DATA(<cnp.ndarray>sample_weight)
    if loss is not None:
        job.loss = cnp.PyArray_DATA(<cnp.ndarray>loss)
    if grad is not None:
        job.grad = cnp.PyArray_DATA(<cnp.ndarray>grad)
    if labels is not None:
        job.labels = <const char *>cnp.PyArray_DATA(<cnp.ndarray>labels)
        job.label_type = label_type(<cnp.ndarray>labels)
        job.label_stride = cnp.PyArray_STRIDE(<cnp.ndarray>labels, 0)
    job.ignores = ignore is not None
    job.ignore = ignore if ignore is not None else 0
    job.focal = gamma is not None
    job.gamma = gamma if gamma is not None else 0.0
    job.smoothing, job.temperature = smoothing, temperature
    bad = class_run(&job, kernel, dtype, mean, &total, &divisor)
    return total, divisor, bad


cdef void class_compute(fa_xent_job *job, int kernel, int dtype, bint mean, double *total,
                        double *divisor) noexcept nogil:
    cdef fa_fp modes = fa_fp_enter()
    cdef Py_ssize_t itemsize = 8 if dtype == FA_F64 else 4, units
    cdef int parts
    if job.labels != NULL and kernel != FA_ROWS_log_loss:    # which has no divisor and tells bad labels by nan
        divisor[0] = check_labels(job, dtype)
    if job.bad[0] < 0 and job.outer * job.inner * job.cols > 0:
        job.scale = 1.0 if not mean else 1.0 / divisor[0] if divisor[0] != 0.0 else 0.0
        parts = fa_parts(fa_class_ns(job, kernel, itemsize))
        job.wide = wide_scratch(fa_class_wide(job, kernel, itemsize), parts)
        units = fa_class_units(job, kernel, itemsize)
        run(table.rows.run[kernel][dtype], job, units, parts)
        free(job.wide)
        job.wide = NULL
        total[0] = tree_sum(job.partial, units, 1)
    fa_fp_leave(modes)


cdef int64_t class_run(fa_xent_job *job, int kernel, int dtype, bint mean, double *total, double *divisor) except -2:
    """Checks the labels and, if all are classes, runs the job: -1, or the position of one that is no class.

    total: the sum of the losses. divisor: the total weight of the samples, computed here if there are labels.
    """
    cdef Py_ssize_t itemsize = 8 if dtype == FA_F64 else 4, samples = job.outer * job.inner
    cdef Py_ssize_t units = fa_class_units(job, kernel, itemsize)       # wide blocks are fewer
    cdef Py_ssize_t slots = max(units, (samples + FA_LABEL_UNIT - 1) // FA_LABEL_UNIT, 1)
    cdef int64_t bad
    cdef char *memory = <char *>malloc(slots * (sizeof(double) + sizeof(int64_t)))
    if memory == NULL:
        raise MemoryError
    job.unit_rows = fa_class_unit_rows(job, kernel, itemsize)
    job.stream = (job.grad != NULL and job.grad != job.x
                  and past_caches(samples * job.cols * itemsize * (2 if job.target == NULL else 3)))
    job.partial = <double *>memory
    job.bad = <int64_t *>(memory + slots * sizeof(double))
    job.bad[0] = -1
    total[0] = 0.0
    if job.cols == 0 and job.loss != NULL:              # sums of nothing
        memset(job.loss, 0, samples * itemsize)
    if fa_class_ns(job, kernel, itemsize) < 2000:       # letting others run costs more than this takes
        class_compute(job, kernel, dtype, mean, total, divisor)
    else:
        with nogil:
            class_compute(job, kernel, dtype, mean, total, divisor)
    bad = job.bad[0]
    free(memory)
    return bad


cdef int class_job(fa_xent_job *job, x_, target_, axis_, ignore):
    """Starts the job of a loss without further options: the dtype of its kernel, or -1 if the arrays are not plain.

    That is: C-contiguous logits of float32 or float64; as target, labels of one dimension less or numbers like them.
    """
    cdef cnp.ndarray x, target
    cdef int dtype = fast_dtype(x_), d, ndim
    cdef Py_ssize_t axis
    cdef int overflow
    cdef bint labels
    if (dtype < 0 or type(target_) is not cnp.ndarray or not PyLong_CheckExact(axis_)
            or not (ignore is None or PyLong_CheckExact(ignore))):
        return -1
    x, target = <cnp.ndarray>x_, <cnp.ndarray>target_
    ndim = cnp.PyArray_NDIM(x)
    axis = PyLong_AsLongLongAndOverflow(axis_, &overflow)
    if axis < 0:
        axis += ndim
    if ndim < 2 or overflow or not 0 <= axis < ndim or not cnp.PyArray_ISCARRAY_RO(target):
        return -1
    labels = cnp.PyArray_NDIM(target) == ndim - 1
    if labels:
        if not cnp.PyTypeNum_ISINTEGER(cnp.PyArray_TYPE(target)):
            return -1
    elif fast_dtype(target) != dtype or not same_shape(target, x):
        return -1
    memset(job, 0, sizeof(fa_xent_job))
    job.outer = job.inner = 1
    for d in range(ndim):
        if d < axis:
            job.outer *= cnp.PyArray_DIM(x, d)
        elif d > axis:
            job.inner *= cnp.PyArray_DIM(x, d)
        if d != axis and labels and cnp.PyArray_DIM(target, d - (d > axis)) != cnp.PyArray_DIM(x, d):
            return -1
    job.cols = cnp.PyArray_DIM(x, <int>axis)
    job.x = cnp.PyArray_DATA(x)
    if labels:
        job.labels = <const char *>cnp.PyArray_DATA(target)
        job.label_type = label_type(target)
        job.label_stride = cnp.PyArray_ITEMSIZE(target)
    else:
        job.target = cnp.PyArray_DATA(target)
    job.temperature = 1.0
    if ignore is not None:
        job.ignore = PyLong_AsLongLongAndOverflow(ignore, &overflow)
        if overflow:
            return -1
        job.ignores = True
    return dtype


cdef inline bint clear(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether two contiguous arrays have no byte in common."""
    cdef char *first = <char *>cnp.PyArray_DATA(a)
    cdef char *second = <char *>cnp.PyArray_DATA(b)
    return first + cnp.PyArray_NBYTES(a) <= second or second + cnp.PyArray_NBYTES(b) <= first


cdef class_gradient(fa_xent_job *job, int dtype, cnp.ndarray x, target, weight, grad_):
    """Where the job's gradient goes: a new array for None, else `grad_` itself; None if a kernel cannot write there."""
    cdef cnp.ndarray grad
    if grad_ is None:
        grad = new_like(x)
    elif fast_dtype(grad_) != dtype:
        return None
    else:
        grad = <cnp.ndarray>grad_
        if not (same_shape(grad, x) and cnp.PyArray_ISWRITEABLE(grad) and clear(grad, <cnp.ndarray>target)
                and (cnp.PyArray_DATA(grad) == job.x or clear(grad, x))
                and (weight is None or clear(grad, <cnp.ndarray>weight))):
            return None
    job.grad = cnp.PyArray_DATA(grad)
    return grad


def class_sums(int kernel, x, labels, axis, ignore, bint mean, grad):
    """(sum of the losses, divisor, -1 or the position of a label that is no class) of plain arrays, or None.

    grad: NO_GRADIENT, or the array it goes to.
    """
    cdef fa_xent_job job
    cdef double total, divisor = 0.0
    cdef int dtype = class_job(&job, x, labels, axis, ignore)
    if dtype < 0 or job.labels == NULL:
        return None
    if grad is not NO_GRADIENT and class_gradient(&job, dtype, x, labels, None, grad) is None:
        return None
    bad = class_run(&job, kernel, dtype, mean, &total, &divisor)
    return total, divisor, bad


cdef bint number(value, double high, double *to) except -1:
    """Takes a Python number from 0 to high."""
    return real_of(value, to) and 0.0 <= to[0] <= high


cdef bint class_weight(fa_xent_job *job, int dtype, weight_):
    """Takes a plain weight of each class: finite numbers >= 0."""
    cdef cnp.ndarray weight
    cdef size_t i
    cdef double w
    if fast_dtype(weight_) != dtype:
        return False
    weight = <cnp.ndarray>weight_
    if cnp.PyArray_NDIM(weight) != 1 or <size_t>cnp.PyArray_DIM(weight, 0) != job.cols:
        return False
    job.weight = cnp.PyArray_DATA(weight)
    for i in range(job.cols):
        w = (<const double *>job.weight)[i] if dtype == FA_F64 else (<const float *>job.weight)[i]
        if not 0 <= w < INFINITY:
            return False
    return True


cdef class_losses(fa_xent_job *job, cnp.ndarray x, Py_ssize_t axis):
    """A new array for the loss of each sample."""
    cdef cnp.npy_intp shape[64]                      # NumPy's most dimensions
    cdef int d, kept = 0
    for d in range(cnp.PyArray_NDIM(x)):
        if d != (axis if axis >= 0 else axis + cnp.PyArray_NDIM(x)):
            shape[kept] = cnp.PyArray_DIM(x, d)
            kept += 1
    loss = new_output(kept, shape, cnp.PyArray_TYPE(x))
    job.loss = cnp.PyArray_DATA(<cnp.ndarray>loss)
    return loss


def class_plain(int kernel, x, target, tuple options, grad):
    """A classification loss, with its gradient if wanted, of plain arrays; None if the long way must be asked.

    options: those of Options in _classes.py. grad: NO_GRADIENT, None for a new array, or the array it goes to.
    An int is the position of a label that is no class; then nothing was written.
    """
    cdef fa_fp saved = fa_fp_enter()                 # for the comparisons of numbers
    try:
        return class_of_plain(kernel, x, target, options, grad)
    finally:
        fa_fp_leave(saved)


cdef class_of_plain(int kernel, x, target, tuple options, grad):
    cdef fa_xent_job job
    cdef double total, divisor
    cdef int dtype
    cdef int64_t bad
    cdef bint mean
    axis, weight, ignore, smoothing, temperature, where, reduction, sample_weight, gamma = options
    if where is not None or sample_weight is not None or type(reduction) is not str:
        return None
    mean = <str>reduction == "mean"
    if not mean and <str>reduction != "sum" and <str>reduction != "none":
        return None
    dtype = class_job(&job, x, target, axis, ignore)
    if dtype < 0:
        return None
    if job.target == NULL and kernel in (FA_ROWS_distillation_loss, FA_ROWS_distillation_loss_with_grad):
        return None
    if (not number(smoothing, 1.0, &job.smoothing) or not number(temperature, DBL_MAX, &job.temperature)
            or job.temperature == 0.0 or (weight is not None and not class_weight(&job, dtype, weight))):
        return None
    if gamma is not None:
        if job.labels == NULL or not number(gamma, DBL_MAX, &job.gamma):
            return None
        job.focal = True
    if grad is not NO_GRADIENT:
        grad = class_gradient(&job, dtype, x, target, weight, grad)
        if grad is None:
            return None
    loss = class_losses(&job, x, axis) if <str>reduction == "none" else None
    divisor = job.outer * job.inner
    bad = class_run(&job, kernel, dtype, mean, &total, &divisor)
    if bad >= 0:
        return bad
    if loss is None:
        loss = reduced(total, divisor if mean else 1.0, dtype == FA_F32)
    return loss if grad is NO_GRADIENT else (loss, grad)
