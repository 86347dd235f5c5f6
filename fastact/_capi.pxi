# The C API (fastact.h): the drivers on bare pointers. Included by _kernels.pyx.

cdef extern from "fastact/fastact.h":
    enum: FA_ABI_VERSION
    ctypedef struct fa_api:
        int abi_version
        size_t size
        const char *(*isa)() noexcept nogil
        int (*num_threads)() noexcept nogil
        const char *(*status_text)(int status) noexcept nogil
        int (*map_id)(const char *name) noexcept nogil
        int (*map_arity)(int id, int *tensors, int *params, int *outputs) noexcept nogil
        int (*map)(int id, int dtype, size_t n, char *const *args, const double *params) noexcept nogil
        int (*rows_id)(const char *name) noexcept nogil
        int (*rows)(int id, int dtype, size_t rows, size_t classes, double temperature,
                    char *const *args) noexcept nogil


cdef const char *fa_isa() noexcept nogil:
    return table.isa


cdef int fa_num_threads() noexcept nogil:
    return fa_threads()


cdef const char *fa_status_text(int status) noexcept nogil:
    if status == FA_OK:
        return "no error"
    if status == FA_BAD_ID:
        return "no such operation"
    if status == FA_BAD_DTYPE:
        return "the dtype is neither FA_F32 nor FA_F64"
    if status == FA_BAD_ALIGNMENT:
        return "a pointer is not a multiple of the element's size"
    if status == FA_BAD_OVERLAP:
        return "an output overlaps another operand without being the same array"
    if status == FA_BAD_TEMPERATURE:
        return "the temperature is not a finite number above 0"
    return "unknown status"


cdef bint usable(const char *p, Py_ssize_t itemsize) noexcept nogil:
    return <size_t>p % itemsize == 0


cdef int fa_map_id(const char *name) noexcept nogil:
    cdef int id
    for id in range(FA_NMAPS):
        if strcmp(fa_maps[id].name, name) == 0:
            return id
    return FA_BAD_ID


cdef int fa_map_arity(int id, int *tensors, int *params, int *outputs) noexcept nogil:
    if not 0 <= id < FA_NMAPS:
        return FA_BAD_ID
    tensors[0], params[0], outputs[0] = fa_maps[id].tensors, fa_maps[id].params, fa_maps[id].outputs
    return FA_OK


cdef int fa_map(int id, int dtype, size_t n, char *const *args, const double *params) noexcept nogil:
    cdef const fa_map_info *info
    cdef map_job job
    cdef bint arrays
    cdef int i, k
    if not 0 <= id < FA_NMAPS:
        return FA_BAD_ID
    if not 0 <= dtype < FA_NDTYPES:
        return FA_BAD_DTYPE
    info = &fa_maps[id]
    arrays = params == NULL and info.params > 0
    job.n, job.itemsize = n, 8 if dtype == FA_F64 else 4
    job.inputs = info.tensors + (info.params if arrays else 0)
    job.args = job.inputs + info.outputs
    for k in range(job.args):
        job.arg[k] = args[k]
        if not usable(args[k], job.itemsize):
            return FA_BAD_ALIGNMENT
    for k in range(job.inputs, job.args):
        for i in range(k):
            if not apart(args[i], args[k], n * job.itemsize) and (args[i] != args[k] or i >= info.tensors):
                return FA_BAD_OVERLAP
    if n == 0:
        return FA_OK
    for k in range(0 if arrays else info.params):
        job.param[k] = params[k]
    set_kernel(&job, id, dtype, FA_ARRAY_PARAMS if arrays else FA_SCALAR_PARAMS)
    map_run(&job, info.cost)
    return FA_OK


cdef int fa_rows_id(const char *name) noexcept nogil:
    cdef int id
    for id in range(FA_ROWS_log_softmax_grad + 1):          # behind it: parts of these, and losses
        if strcmp(fa_rows_names[id], name) == 0:
            return id
    return FA_BAD_ID


cdef int fa_rows(int id, int dtype, size_t rows, size_t classes, double temperature, char *const *args) noexcept nogil:
    cdef fa_rows_job job
    cdef Py_ssize_t itemsize, nbytes, out_bytes
    cdef int inputs = 2 if id in (FA_ROWS_softmax_grad, FA_ROWS_log_softmax_grad) else 1, k
    cdef bint reduces = id == FA_ROWS_logsumexp
    if not 0 <= id <= FA_ROWS_log_softmax_grad:
        return FA_BAD_ID
    if not 0 <= dtype < FA_NDTYPES:
        return FA_BAD_DTYPE
    if not 0 < temperature < INFINITY:
        return FA_BAD_TEMPERATURE
    itemsize = 8 if dtype == FA_F64 else 4
    nbytes = rows * classes * itemsize
    out_bytes = rows * itemsize if reduces else nbytes
    for k in range(inputs + 1):
        if not usable(args[k], itemsize):
            return FA_BAD_ALIGNMENT
        if k < inputs and not disjoint(args[inputs], out_bytes, args[k], nbytes) \
                and (args[inputs] != args[k] or reduces):
            return FA_BAD_OVERLAP
    memset(&job, 0, sizeof(job))
    job.x, job.dy, job.y = args[inputs - 1], args[0], args[inputs]
    job.x_stride = job.dy_stride = classes
    job.y_stride = 1 if reduces else classes
    job.outer, job.cols, job.inner, job.temperature = rows, classes, 1, 1.0 if reduces else temperature
    softmax_call(id, dtype, &job)
    return FA_OK


cdef fa_api capi
capi.abi_version, capi.size = FA_ABI_VERSION, sizeof(fa_api)
capi.isa, capi.num_threads, capi.status_text = fa_isa, fa_num_threads, fa_status_text
capi.map_id, capi.map_arity, capi.map = fa_map_id, fa_map_arity, fa_map
capi.rows_id, capi.rows = fa_rows_id, fa_rows
_C_API = PyCapsule_New(&capi, "fastact._C_API", NULL)
