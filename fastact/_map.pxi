# The elementwise maps: driver, fast door, ufuncs. Included by _kernels.pyx.
#
# A kernel wants contiguous tensors and whole groups of 64 bytes. The driver pads the tail; anything strided, half
# precision or with a mix of scalar and array parameters goes through small buffers, a block at a time.

cdef enum:
    MAX_ARGS = 8
    BLOCK = 512          # elements of a gathered block: 5 operands of float64 stay in a 32 KiB L1
    STREAM = 4096        # bytes of a block on its way past the caches; 1, 2, 8 and 16 KiB were 4 to 20 % slower
    # Bytes from which on the output is aligned: NumPy's lie at any multiple of 16, where stores and loads cross
    # lines. relu, hard_swish, hard_shrink' of 2^20 float32, 1 thread: 99, 106, 173 -> 87, 87, 158 us. By the input
    # instead: 98, 99 us where y lies 16 bytes behind x modulo 4096, by the output 88, 93. 33 to 192 bytes behind, a
    # load waits for the store before it (relu 115 us; through L1 120).
    ALIGN = 8192
    GATHER_PS = 1000     # gathering, converting and scattering an element, roughly

cdef Py_ssize_t streams_above = 0


def set_last_level_cache(Py_ssize_t nbytes):
    """From twice this on, results are stored past the caches; 0: never."""
    global streams_above
    streams_above = 2 * nbytes


cdef struct map_job:
    fa_map_fn fn
    fa_map_fn large, leaving         # its other forms (fa_map_form), or NULL
    Py_ssize_t n, itemsize
    int inputs, args                 # operands that are read; all operands
    bint stream
    char *arg[MAX_ARGS]
    double param[2]


cdef inline void set_kernel(map_job *job, int id, int dtype, int form) noexcept nogil:
    cdef const fa_map_fn *forms = table.map[id][dtype]
    job.fn = forms[form]
    job.large = forms[FA_LARGE] if form == FA_SCALAR_PARAMS else NULL
    job.leaving = forms[FA_LEAVING] if form == FA_SCALAR_PARAMS else NULL


cdef void map_padded(map_job *job, char **arg, Py_ssize_t n) noexcept nogil:
    """Fewer elements than a group, in a padded one; `arg` moves behind them."""
    cdef char pad[MAX_ARGS][FA_GROUP]
    cdef char *padded[MAX_ARGS]
    cdef Py_ssize_t nbytes = n * job.itemsize
    cdef int k
    for k in range(job.args):
        padded[k] = pad[k]
        if k < job.inputs:
            memset(pad[k], 0, FA_GROUP)
            memcpy(pad[k], arg[k], nbytes)
    job.fn(FA_GROUP // job.itemsize, padded, job.param)
    for k in range(job.args):
        if k >= job.inputs:
            memcpy(arg[k], pad[k], nbytes)
        arg[k] += nbytes


cdef inline Py_ssize_t to_line(map_job *job, char *p) noexcept nogil:
    """How many elements from `p` on to the next multiple of FA_GROUP bytes (if it lies at a multiple of an element)."""
    return (-<size_t>p & (FA_GROUP - 1)) // job.itemsize


cdef void map_block(map_job *job, char **arg, Py_ssize_t n) noexcept nogil:
    """Any number of elements from `arg` on, which moves behind them: whole groups in place, the rest in padded ones."""
    cdef Py_ssize_t lanes = FA_GROUP // job.itemsize, rest
    cdef int k
    if n * job.itemsize >= ALIGN:
        rest = to_line(job, arg[job.inputs])
        if rest:
            map_padded(job, arg, rest)
            n -= rest
    rest = n % lanes
    n -= rest
    if n:
        job.fn(n, arg, job.param)
        for k in range(job.args):
            arg[k] += n * job.itemsize
    if rest:
        map_padded(job, arg, rest)


cdef void map_stream(map_job *job, char **arg, Py_ssize_t n) noexcept nogil:
    """As map_block, but the result goes past the caches, by a loop that stores it so or through a buffer in L1. After
    the last call table.stream_end().

    Prefetching the next block's inputs meanwhile made relu and tanh_grad 1.1 to 1.4 times as fast where arrays lay
    badly, and swiglu, elu_grad and gelu_grad of 2^24 float32 take 1.6 times as long (two lines of each: 1.1 to 1.4).
    """
    cdef char buffer[STREAM + FA_GROUP]
    cdef char *aligned = buffer + to_line(job, buffer) * job.itemsize
    cdef char *out
    cdef Py_ssize_t count = min(n, to_line(job, arg[job.inputs]))
    cdef int k
    if count:
        map_padded(job, arg, count)
        n -= count
    if job.leaving != NULL:
        count = n & ~(FA_LEAVING_GROUPS * FA_GROUP // job.itemsize - 1)
        job.leaving(count, arg, job.param)
        for k in range(job.args):
            arg[k] += count * job.itemsize
        n -= count
    count = STREAM // job.itemsize
    while n >= count:
        out = arg[job.inputs]
        arg[job.inputs] = aligned
        job.fn(count, arg, job.param)
        table.stream(out, aligned, STREAM)
        arg[job.inputs] = out
        for k in range(job.args):
            arg[k] += STREAM
        n -= count
    map_block(job, arg, n)


cdef void map_task(void *job_, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Units are groups of FA_GROUP bytes; the last may be cut short by n."""
    cdef map_job *job = <map_job *>job_
    cdef Py_ssize_t lanes = FA_GROUP // job.itemsize, n = min(end * lanes, job.n) - begin * lanes
    cdef char *arg[MAX_ARGS]
    cdef int k
    for k in range(job.args):
        arg[k] = job.arg[k] + begin * FA_GROUP
    if job.stream:
        map_stream(job, arg, n)
        table.stream_end()
    else:
        map_block(job, arg, n)


cdef inline bint past_caches(Py_ssize_t nbytes) noexcept nogil:
    """Whether so much is read and written that the caches would keep nothing of the result: storing past them saves
    reading it first. relu of 2^24 float32 takes 2.2 ms instead of 2.6; of 2^22, in cache, 1.7 times as long."""
    return table.stream != NULL and 0 < streams_above <= nbytes


cdef bint may_stream(map_job *job) noexcept nogil:
    cdef char *out = job.arg[job.inputs]
    cdef int k
    if not past_caches(job.n * job.itemsize * job.args) or job.args != job.inputs + 1 or <size_t>out % job.itemsize:
        return False
    for k in range(job.inputs):
        if job.arg[k] == out:
            return False
    return True


cdef void set_stream(map_job *job, bint allowed) noexcept nogil:
    """Whether the result goes past the caches, and by what kernel what does not: `large` from half the last level."""
    job.stream = allowed and may_stream(job)
    if job.large != NULL and 0 < streams_above <= 4 * job.n * job.itemsize * job.args:
        job.fn = job.large


cdef inline int64_t map_ns(map_job *job, int cost) noexcept nogil:
    return fa_serial_ns(job.n * fa_cost_ps[cost] * (job.itemsize // 4), job.n * job.itemsize * job.args)


cdef void map_run(map_job *job, int cost) noexcept nogil:
    cdef Py_ssize_t lanes = FA_GROUP // job.itemsize
    set_stream(job, True)
    run(map_task, job, (job.n + lanes - 1) // lanes, fa_parts(map_ns(job, cost)))


# ---- ufunc loops ----------------------------------------------------------------------------------------------------

cdef struct loop_data:
    int id
    int dtype                        # fa_dtype, or HALF

cdef enum: HALF = -1

cdef loop_data loops[FA_NMAPS][3]
cdef cnp.PyUFuncGenericFunction loop_functions[3]
cdef void *loop_datas[FA_NMAPS][3]
cdef char loop_types[FA_NMAPS][3 * MAX_ARGS]


cdef void gather(char *to, const char *source, Py_ssize_t step, Py_ssize_t n, Py_ssize_t itemsize) noexcept nogil:
    cdef Py_ssize_t i
    if step == itemsize:
        memcpy(to, source, n * itemsize)
    elif itemsize == 4:
        for i in range(n):
            (<float *>to)[i] = (<float *>(source + i * step))[0]
    elif itemsize == 8:
        for i in range(n):
            (<double *>to)[i] = (<double *>(source + i * step))[0]
    else:
        for i in range(n):
            (<uint16_t *>to)[i] = (<uint16_t *>(source + i * step))[0]


cdef void scatter(char *to, Py_ssize_t step, const char *source, Py_ssize_t n, Py_ssize_t itemsize) noexcept nogil:
    cdef Py_ssize_t i
    if step == itemsize:
        memcpy(to, source, n * itemsize)
    elif itemsize == 4:
        for i in range(n):
            (<float *>(to + i * step))[0] = (<float *>source)[i]
    elif itemsize == 8:
        for i in range(n):
            (<double *>(to + i * step))[0] = (<double *>source)[i]
    else:
        for i in range(n):
            (<uint16_t *>(to + i * step))[0] = (<uint16_t *>source)[i]


cdef double scalar_at(const char *p, int dtype) noexcept nogil:
    cdef uint16_t half[8]
    cdef float single[8]
    if dtype == FA_F64:
        return (<const double *>p)[0]
    if dtype == FA_F32:
        return (<const float *>p)[0]
    memset(half, 0, sizeof(half))
    half[0] = (<const uint16_t *>p)[0]
    table.half_to_float(8, half, single)
    return single[0]


cdef struct strided_job:
    map_job map                      # pointers and sizes of the elements as they lie
    cnp.npy_intp step[MAX_ARGS]
    bint half
    Py_ssize_t block


cdef void strided_task(void *job_, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Strided or half-precision operands; units are blocks: gather one, run, scatter."""
    cdef strided_job *job = <strided_job *>job_
    cdef char buffer[MAX_ARGS][BLOCK * 8]
    cdef uint16_t half[BLOCK]
    cdef char *at[MAX_ARGS]
    cdef char *p
    cdef Py_ssize_t b, i, count, group, itemsize = job.map.itemsize
    cdef int k
    for k in range(job.map.args):
        at[k] = buffer[k]
    for b in range(begin, end):
        i = b * job.block
        count = min(job.block, job.map.n - i)
        group = (count + 15) & ~15
        for k in range(job.map.inputs):
            p = job.map.arg[k] + i * job.step[k]
            if job.half:
                memset(half, 0, group * 2)
                gather(<char *>half, p, job.step[k], count, 2)
                table.half_to_float(group, half, <float *>buffer[k])
            else:
                memset(buffer[k] + count * itemsize, 0, (group - count) * itemsize)
                gather(buffer[k], p, job.step[k], count, itemsize)
        job.map.fn(group, at, job.map.param)
        for k in range(job.map.inputs, job.map.args):
            p = job.map.arg[k] + i * job.step[k]
            if job.half:
                table.float_to_half(group, <float *>buffer[k], half)
                scatter(p, job.step[k], <char *>half, count, 2)
            else:
                scatter(p, job.step[k], buffer[k], count, itemsize)


cdef bint is_sequential(strided_job *job) noexcept nogil:
    """Whether an element may read what the one before wrote: only in reduce and accumulate, NumPy copies otherwise."""
    cdef Py_ssize_t apart
    cdef int i, k
    for k in range(job.map.inputs, job.map.args):
        if job.step[k] == 0:
            return True
        for i in range(job.map.inputs):
            apart = job.map.arg[k] - job.map.arg[i]
            if apart != 0 and apart == job.step[i]:
                return True
    return False


cdef void map_loop(char **args, const cnp.npy_intp *dims, const cnp.npy_intp *steps, void *data_) noexcept nogil:
    """The inner loop of every elementwise ufunc: operands are the tensors, the parameters, the outputs."""
    cdef loop_data *data = <loop_data *>data_
    cdef const fa_map_info *info = &fa_maps[data.id]
    cdef int inputs = info.tensors + info.params, k, kept = 0
    cdef int dtype = FA_F32 if data.dtype == HALF else data.dtype
    cdef bint contiguous = data.dtype != HALF, scalars = True
    cdef strided_job job
    cdef fa_fp saved
    job.map.n = dims[0]
    job.map.itemsize = 8 if dtype == FA_F64 else 4
    job.half = data.dtype == HALF
    if job.map.n == 0:
        return
    for k in range(info.tensors, inputs):
        scalars = scalars and (steps[k] == 0 or job.map.n == 1)
    if scalars and info.params:
        saved = fa_fp_enter()        # a subnormal parameter counts under DAZ too
        for k in range(info.params):
            job.map.param[k] = scalar_at(args[info.tensors + k], data.dtype)
        fa_fp_leave(saved)
    for k in range(inputs + info.outputs):
        if scalars and info.tensors <= k < inputs:
            continue
        job.map.arg[kept] = args[k]
        job.step[kept] = steps[k]
        contiguous = contiguous and (steps[k] == job.map.itemsize or job.map.n == 1)
        kept += 1
    job.map.args = kept
    job.map.inputs = kept - info.outputs
    set_kernel(&job.map, data.id, dtype, FA_SCALAR_PARAMS if scalars else FA_ARRAY_PARAMS)
    job.block = 1 if is_sequential(&job) else BLOCK
    if contiguous and job.block > 1:
        map_run(&job.map, info.cost)
    else:
        run(strided_task, &job, (job.map.n + job.block - 1) // job.block,
            1 if job.block == 1 else fa_parts(job.map.n * (fa_cost_ps[info.cost] + GATHER_PS) // 1000))


cdef make_ufunc(int id):
    cdef const fa_map_info *info = &fa_maps[id]
    cdef int inputs = info.tensors + info.params, total = inputs + info.outputs, t, k
    cdef int *dtypes = [HALF, FA_F32, FA_F64]        # half first: float16 must not become float32
    cdef int *types = [cnp.NPY_FLOAT16, cnp.NPY_FLOAT, cnp.NPY_DOUBLE]
    for t in range(3):
        loop_functions[t] = <cnp.PyUFuncGenericFunction>map_loop
        loops[id][t] = loop_data(id, dtypes[t])
        loop_datas[id][t] = &loops[id][t]
        for k in range(total):
            loop_types[id][t * total + k] = <char>types[t]
    return cnp.PyUFunc_FromFuncAndData(loop_functions, loop_datas[id], loop_types[id], 3, inputs, info.outputs,
                                       cnp.PyUFunc_None, info.name, <bytes>ufunc_docs[id], 0)


def _describe(int id):
    cdef const fa_map_info *info = &fa_maps[id]
    return {"name": info.name.decode(), "kind": "gated" if info.kind == FA_KIND_GATED else "activation",
            "grad": bool(info.grad), "tensors": info.tensors, "params": info.params, "outputs": info.outputs,
            "saves_output": bool(info.saves_output), "cost": info.cost}


def _function_of(str name):
    """The public function that calls a map: gelu's tanh form is an option of gelu, glu is siglu of two halves."""
    base, grad = name.removesuffix("_grad"), "_grad" * name.endswith("_grad")
    return {"gelu_tanh": "gelu", "siglu": "glu"}.get(base, base) + grad


MAPS = [_describe(i) for i in range(FA_NMAPS)]          # the list of operations, for everything outside this module
MAP_ID = {op["name"]: number for number, op in enumerate(MAPS)}
FUNCTION_OF = {name: _function_of(name) for name in MAP_ID}
cdef list ufunc_docs = [f"See fastact.{name}.".encode() for name in FUNCTION_OF.values()]    # NumPy keeps pointers
cdef list ufunc_of = [make_ufunc(i) for i in range(FA_NMAPS)]
UFUNCS = {op["name"]: ufunc for op, ufunc in zip(MAPS, ufunc_of)}


# ---- the fast door --------------------------------------------------------------------------------------------------

cdef inline int fast_dtype(object x) noexcept:
    """fa_dtype of an array that a kernel can take as it is, else -1."""
    cdef cnp.ndarray a
    cdef int num
    if type(x) is not cnp.ndarray:
        return -1
    a = <cnp.ndarray>x
    num = cnp.PyArray_TYPE(a)
    if not cnp.PyArray_ISCARRAY_RO(a) or cnp.PyArray_NDIM(a) == 0:
        return -1
    return FA_F32 if num == cnp.NPY_FLOAT else FA_F64 if num == cnp.NPY_DOUBLE else -1


def is_floats(x):
    """Whether x is an aligned native ndarray (no subclass) of float16, float32 or float64, of any strides."""
    if type(x) is not cnp.ndarray or not cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>x):
        return False
    return cnp.PyArray_TYPE(<cnp.ndarray>x) in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE, cnp.NPY_FLOAT16)


cdef inline bint same_shape(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef int d
    if cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(b):
        return False
    for d in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, d) != cnp.PyArray_DIM(b, d):
            return False
    return True


cdef inline bint real_of(object p, double *value) noexcept:
    """Whether p is a Python float or int, and no int beyond float64: then its value."""
    if PyFloat_CheckExact(p):
        value[0] = PyFloat_AS_DOUBLE(p)
        return True
    if not PyLong_CheckExact(p):
        return False
    try:
        value[0] = p
    except OverflowError:
        return False
    return True


cdef inline bint apart(char *a, char *b, Py_ssize_t nbytes) noexcept nogil:
    return a + nbytes <= b or b + nbytes <= a


cdef inline bint fast_output(object out, int dtype, map_job *job, cnp.ndarray x, Py_ssize_t nbytes) noexcept:
    """Takes `out` as the job's next operand if a kernel may write there."""
    cdef char *p
    cdef int k
    if fast_dtype(out) != dtype or not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out) or not same_shape(<cnp.ndarray>out, x):
        return False
    p = <char *>cnp.PyArray_DATA(<cnp.ndarray>out)
    for k in range(job.args):
        if not apart(p, job.arg[k], nbytes) and (p != job.arg[k] or k >= job.inputs):
            return False
    job.arg[job.args] = p
    job.args += 1
    return True


def apply(int id, tuple operands, out, dict kwargs):
    """Map number `id` on its operands (tensors, then parameters): to the kernel if all is plain, else by its ufunc."""
    cdef const fa_map_info *info = &fa_maps[id]
    cdef map_job job
    cdef cnp.ndarray x
    cdef Py_ssize_t nbytes
    cdef int k, dtype
    cdef int64_t ns
    x_ = operands[0]
    dtype = fast_dtype(x_)
    if dtype < 0 or kwargs:
        return map_ufunc_call(ufunc_of[id], operands, out, kwargs)
    x = <cnp.ndarray>x_
    job.n = cnp.PyArray_SIZE(x)
    job.itemsize = 8 if dtype == FA_F64 else 4
    nbytes = job.n * job.itemsize
    job.arg[0] = <char *>cnp.PyArray_DATA(x)
    for k in range(1, info.tensors):
        t = operands[k]
        if fast_dtype(t) != dtype or not same_shape(<cnp.ndarray>t, x):
            return map_ufunc_call(ufunc_of[id], operands, out, kwargs)
        job.arg[k] = <char *>cnp.PyArray_DATA(<cnp.ndarray>t)
    for k in range(info.params):
        p = operands[info.tensors + k]
        if not real_of(p, &job.param[k]):
            y = apply_channels(id, dtype, &job, x, p, out) if info.params == 1 else None
            return map_ufunc_call(ufunc_of[id], operands, out, kwargs) if y is None else y
        if dtype == FA_F32 and fabs(job.param[k]) > FLT_MAX:     # NumPy's cast warns
            return map_ufunc_call(ufunc_of[id], operands, out, kwargs)
    job.inputs = info.tensors
    job.args = info.tensors
    if info.outputs == 1:
        if out is None:
            out = new_like(x)
            job.arg[job.args] = <char *>cnp.PyArray_DATA(<cnp.ndarray>out)
            job.args += 1
        elif not fast_output(out, dtype, &job, x, nbytes):
            return map_ufunc_call(ufunc_of[id], operands, out, kwargs)
    else:
        if out is None:
            out = (new_like(x), new_like(x))
        if type(out) is not tuple or len(<tuple>out) != 2:
            return map_ufunc_call(ufunc_of[id], operands, out, kwargs)
        for k in range(2):
            if not fast_output((<tuple>out)[k], dtype, &job, x, nbytes):
                return map_ufunc_call(ufunc_of[id], operands, out, kwargs)
    set_kernel(&job, id, dtype, FA_SCALAR_PARAMS)
    ns = job.n * fa_cost_ps[info.cost] // 1000
    if ns < 2000:                    # letting others run costs more than this takes
        map_run(&job, info.cost)
    else:
        with nogil:
            map_run(&job, info.cost)
    return out


cdef map_ufunc_call(ufunc, tuple operands, out, dict kwargs):
    from fastact._dispatch import call_ufunc
    return in_default_modes(call_ufunc, ufunc, operands, out, kwargs)


def in_default_modes(function, *args, **kwargs):
    """Calls what computes with NumPy (casts, sums) in the default floating-point modes; the caller's modes and flags
    are left as found."""
    cdef fa_fp saved = fa_fp_enter()
    try:
        return function(*args, **kwargs)
    finally:
        fa_fp_leave(saved)
