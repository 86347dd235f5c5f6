# Softmax losses of a linear layer: kernels on blocks of logits. Included by _kernels.pyx.
#
# All of it is serial. The products between these calls run in the threads of NumPy's BLAS, which go on spinning for a
# while, as ours would; two teams that spin on the same CPUs cost more than the whole of a small problem.

cdef extern from "_runtime.h" nogil:
    enum: FA_UNIT_ROWS
    size_t fa_linear_units(size_t samples, size_t itemsize)
    enum: FA_ROWS_cross_entropy, FA_ROWS_cross_entropy_with_grad
    enum: FA_ROWS_linear_before, FA_ROWS_linear_after, FA_ROWS_linear_forward, FA_ROWS_linear_finish
    enum: FA_ROWS_linear_gradient, FA_ROWS_large_margin, FA_ROWS_add_multiples
    ctypedef struct fa_linear_state:
        pass
    ctypedef struct fa_linear_job:
        fa_xent_job of
        void *z
        size_t first, classes
        const void *bias
        double *dbias
        fa_linear_state *state
        void *label_logit
        double *by_w
        double *by_x
        double *by_own
        double *own
        const void *features_of
        const void *class_of
        size_t features, margin
        double lambda_ "lambda"
        const double *knots
        const double *factors

LINEAR_STATE = sizeof(fa_linear_state) // sizeof(double)

cdef enum:
    LINEAR_BYTES = 1 << 18       # of logits that go through all kernels together: they stay in L2
    LINEAR_PARTIALS = 4096


cdef inline Py_ssize_t rows_at_once(Py_ssize_t classes, Py_ssize_t itemsize) noexcept nogil:
    """How many samples' logits go through all kernels together."""
    cdef Py_ssize_t rows = max(LINEAR_BYTES // max(classes * itemsize, 1), 1)
    return min((rows + FA_UNIT_ROWS - 1) & -FA_UNIT_ROWS, <Py_ssize_t>LINEAR_PARTIALS)


cdef const void *data_or_null(a) except? NULL:
    return NULL if a is None else cnp.PyArray_DATA(<cnp.ndarray?>a)


cdef void set_samples(fa_linear_job *job, labels, target, weight, sample_weight, loss, ignore, double smoothing,
                      double scale) except *:
    """What is known of the samples of a block."""
    memset(job, 0, sizeof(job[0]))
    if labels is not None:
        job.of.labels = <const char *>data_or_null(labels)
        job.of.label_type = label_type(<cnp.ndarray>labels)
        job.of.label_stride = cnp.PyArray_STRIDE(<cnp.ndarray>labels, 0)
    job.of.target = data_or_null(target)
    job.of.weight = data_or_null(weight)
    job.of.sample_weight = data_or_null(sample_weight)
    job.of.loss = <void *>data_or_null(loss)
    job.of.ignores = ignore is not None
    job.of.ignore = ignore if ignore is not None else 0
    job.of.inner, job.of.temperature, job.of.smoothing, job.of.scale = 1, 1.0, smoothing, scale


cdef void next_samples(fa_linear_job *job, Py_ssize_t rows, Py_ssize_t itemsize) noexcept nogil:
    """Moves what is known of the samples by so many."""
    if job.of.labels != NULL:
        job.of.labels += rows * job.of.label_stride
    if job.of.target != NULL:
        job.of.target = <const char *>job.of.target + rows * job.of.cols * itemsize
    if job.of.sample_weight != NULL:
        job.of.sample_weight = <const char *>job.of.sample_weight + rows * itemsize
    if job.of.loss != NULL:
        job.of.loss = <char *>job.of.loss + rows * itemsize
    job.z = <char *>job.z + rows * job.classes * itemsize
    job.state += rows
    if job.label_logit != NULL:
        job.label_logit = <char *>job.label_logit + rows * itemsize
        job.by_w += rows
        job.by_x += rows
        job.by_own += rows


def is_small_layer(x_, linear_weight_, linear_bias_):
    """Whether these are plain arrays (C-contiguous, of one dtype) whose logits linear_run would take at once."""
    cdef int dtype = fast_dtype(x_)
    cdef cnp.ndarray x, w
    if dtype < 0 or fast_dtype(linear_weight_) != dtype:
        return False
    x, w = <cnp.ndarray>x_, <cnp.ndarray>linear_weight_
    if cnp.PyArray_NDIM(x) != 2 or cnp.PyArray_NDIM(w) != 2 or cnp.PyArray_DIM(x, 1) != cnp.PyArray_DIM(w, 1):
        return False
    if linear_bias_ is not None and (
            fast_dtype(linear_bias_) != dtype or cnp.PyArray_NDIM(<cnp.ndarray>linear_bias_) != 1
            or cnp.PyArray_DIM(<cnp.ndarray>linear_bias_, 0) != cnp.PyArray_DIM(w, 0)):
        return False
    return (cnp.PyArray_SIZE(x) > 0 and cnp.PyArray_SIZE(w) > 0
            and cnp.PyArray_DIM(x, 0) <= rows_at_once(cnp.PyArray_DIM(w, 0), cnp.PyArray_ITEMSIZE(x)))


def label_weights(cnp.ndarray labels, size_t classes, weight, sample_weight, ignore, bint single):
    """(the sum of the weights of the samples that count, the first whose label is no class or -1), serially."""
    cdef fa_linear_job job
    cdef Py_ssize_t samples = cnp.PyArray_SIZE(labels), units = (samples + FA_LABEL_UNIT - 1) // FA_LABEL_UNIT, u
    cdef double total
    cdef int64_t bad = -1
    cdef char *memory
    set_samples(&job, labels, None, weight, sample_weight, None, ignore, 0.0, 1.0)
    job.of.outer, job.of.cols = samples, classes
    memory = <char *>malloc(max(units, 1) * (sizeof(double) + sizeof(int64_t)))
    if memory == NULL:
        raise MemoryError
    job.of.partial = <double *>memory
    job.of.bad = <int64_t *>(memory + max(units, 1) * sizeof(double))
    with nogil:
        run(table.rows.run[FA_ROWS_check_labels][FA_F32 if single else FA_F64], &job, units, 1)
        for u in range(units):
            if bad < 0:
                bad = job.of.bad[u]
        total = tree_sum(job.of.partial, units, 1)
    free(memory)
    return total, bad


cdef double linear_run(fa_linear_job *whole, int kernel, int dtype, bint before, bint after) noexcept nogil:
    """Runs a kernel, and what comes before and after it, on samples that stay in the cache together; sums losses."""
    cdef fa_linear_job job
    cdef double partial[LINEAR_PARTIALS]
    cdef Py_ssize_t itemsize = 8 if dtype == FA_F64 else 4, left = whole.of.outer, rows, units
    cdef Py_ssize_t most = rows_at_once(whole.classes, itemsize)
    cdef double total = 0.0
    cdef fa_fp modes = fa_fp_enter()
    job = whole[0]
    job.of.partial = &partial[0]
    while left > 0:
        rows = min(left, most)
        job.of.outer = rows
        job.of.x = job.z
        job.of.grad = job.z
        units = fa_linear_units(rows, itemsize)
        if before:
            table.rows.run[FA_ROWS_linear_before][dtype](&job, 0, units)
        if kernel == FA_ROWS_cross_entropy or kernel == FA_ROWS_cross_entropy_with_grad:
            job.of.unit_rows = fa_class_unit_rows(&job.of, kernel, itemsize)
            units = fa_class_units(&job.of, kernel, itemsize)
        table.rows.run[kernel][dtype](&job, 0, units)
        if kernel != FA_ROWS_linear_forward and kernel != FA_ROWS_linear_gradient:
            total += tree_sum(&partial[0], units, 1)
        if after:
            table.rows.run[FA_ROWS_linear_after][dtype](&job, 0, fa_linear_units(rows, itemsize))
        next_samples(&job, rows, itemsize)
        left -= rows
    fa_fp_leave(modes)
    return total


def linear_block(int kernel, tuple shape, z, Py_ssize_t first, samples, bias, dbias, state, margin):
    """Runs a kernel on a block of logits: shape is (samples, classes of the block, all classes). Returns summed losses.

    z: the block (None for linear_finish); samples: labels, target, class weights, sample weights, losses (each an array
    or None), ignore, smoothing, scale of the gradient; bias, dbias: of the block's classes, or None; state: of the
    samples, for blocks of some classes; margin: None, or what large_margin fills and, for each class, what linear_after
    adds up (or None). The arrays are checked: contiguous (labels: one stride), aligned, native, of one dtype (dbias,
    state, the margin's but the logits float64).
    """
    cdef fa_linear_job job
    cdef int dtype
    cdef double total
    cdef bint before, after
    labels, target, weight, sample_weight, loss, ignore, smoothing, scale, like = samples
    set_samples(&job, labels, target, weight, sample_weight, loss, ignore, smoothing, scale)
    dtype = FA_F64 if cnp.PyArray_TYPE(<cnp.ndarray?>like) == cnp.NPY_DOUBLE else FA_F32
    job.of.outer, job.classes, job.of.cols = shape
    job.first = first
    job.z = <void *>data_or_null(z)
    job.bias = data_or_null(bias)
    job.dbias = <double *>data_or_null(dbias)
    job.state = <fa_linear_state *>data_or_null(state)
    if margin is not None:
        set_margin(&job, margin[0], margin[1])
        job.own = <double *>data_or_null(margin[2])
    before = kernel != FA_ROWS_linear_finish and (job.bias != NULL or job.label_logit != NULL)
    after = (kernel in (FA_ROWS_cross_entropy_with_grad, FA_ROWS_linear_gradient)
             and (job.dbias != NULL or job.own != NULL))
    with nogil:
        total = linear_run(&job, kernel, dtype, before, after)
    return total


cdef void set_margin(fa_linear_job *job, logit, factors) except *:
    """The label's logit and the factors of its derivatives, an array of shape (3, samples)."""
    cdef Py_ssize_t samples = cnp.PyArray_SIZE(<cnp.ndarray?>logit)
    job.label_logit = <void *>data_or_null(logit)
    job.by_w = <double *>data_or_null(factors)
    job.by_x = job.by_w + samples
    job.by_own = job.by_x + samples


def large_margin(cnp.ndarray x, cnp.ndarray linear_weight, cnp.ndarray labels, ignore, double lambda_,
                 cnp.ndarray knots, cnp.ndarray logit, cnp.ndarray factors):
    """Fills, for each sample that counts, the logit of its label and the factors of its derivatives (linear.h)."""
    cdef fa_linear_job job
    cdef int dtype = FA_F64 if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE else FA_F32
    cdef Py_ssize_t units
    set_samples(&job, labels, None, None, None, None, ignore, 0.0, 1.0)
    job.of.outer, job.features = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    job.of.cols = cnp.PyArray_DIM(linear_weight, 0)
    job.features_of, job.class_of = cnp.PyArray_DATA(x), cnp.PyArray_DATA(linear_weight)
    job.margin, job.lambda_, job.knots = cnp.PyArray_SIZE(knots) + 1, lambda_, <const double *>cnp.PyArray_DATA(knots)
    set_margin(&job, logit, factors)
    units = fa_linear_units(job.of.outer, cnp.PyArray_ITEMSIZE(x))
    with nogil:
        run(table.rows.run[FA_ROWS_large_margin][dtype], &job, units, 1)


def add_multiples(cnp.ndarray factors, cnp.ndarray rows, cnp.ndarray out):
    """Adds factors[:, None] * rows to `out`: contiguous, of one dtype; factors of float64, from the first row on."""
    cdef fa_linear_job job
    cdef int dtype = FA_F64 if cnp.PyArray_TYPE(out) == cnp.NPY_DOUBLE else FA_F32
    cdef Py_ssize_t units
    memset(&job, 0, sizeof(job))
    job.of.outer, job.features = cnp.PyArray_DIM(out, 0), cnp.PyArray_DIM(out, 1)
    job.factors, job.features_of = <const double *>cnp.PyArray_DATA(factors), cnp.PyArray_DATA(rows)
    job.z = cnp.PyArray_DATA(out)
    units = fa_linear_units(job.of.outer, cnp.PyArray_ITEMSIZE(out))
    with nogil:
        run(table.rows.run[FA_ROWS_add_multiples][dtype], &job, units, 1)
