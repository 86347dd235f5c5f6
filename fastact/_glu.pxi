# glu: the gated map of the two halves of one tensor, read and written where they lie. Included by _kernels.pyx.
#
# Along any axis of a C-contiguous tensor the halves are rows: a run of `inner` elements of the first half, then one of
# the second. Slices through the ufunc door would cost a loop call per row, and would never thread over rows.

cdef enum:
    CHUNK = 16384        # elements of a long row that one unit takes
    SHORT = 64           # rows shorter than this are packed: a kernel call on a padded group costs as much


cdef struct rows_job:
    map_job map                      # of the first row
    Py_ssize_t rows, inner, pack     # rows in a unit, 0: a unit is a chunk of one row
    Py_ssize_t step[MAX_ARGS]        # bytes from row to row


cdef void rows_task(void *job_, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef rows_job *job = <rows_job *>job_
    cdef map_job *map = &job.map
    cdef Py_ssize_t chunks = (job.inner + CHUNK - 1) // CHUNK, unit, first, count, skipped
    cdef char *arg[MAX_ARGS]
    cdef int k
    for unit in range(begin, end):
        if job.pack:
            packed_rows(job, unit * job.pack, min(job.pack, job.rows - unit * job.pack))
            continue
        first = unit % chunks * CHUNK
        count = min(<Py_ssize_t>CHUNK, job.inner - first)
        skipped = first * map.itemsize
        for k in range(map.args):
            arg[k] = map.arg[k] + unit // chunks * job.step[k] + skipped
        if map.stream:
            map_stream(map, arg, count)
        else:
            map_block(map, arg, count)


cdef void packed_rows(rows_job *job, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    cdef map_job *map = &job.map
    cdef char buffer[MAX_ARGS][BLOCK * 8]
    cdef char *at[MAX_ARGS]
    cdef Py_ssize_t row = job.inner * map.itemsize, i
    cdef int k
    for k in range(map.args):
        at[k] = buffer[k]
        if k < map.inputs:
            for i in range(rows):
                memcpy(buffer[k] + i * row, map.arg[k] + (first + i) * job.step[k], row)
    map_block(map, at, rows * job.inner)
    for k in range(map.inputs, map.args):
        for i in range(rows):
            memcpy(map.arg[k] + (first + i) * job.step[k], buffer[k] + i * row, row)


cdef void rows_run(rows_job *job, int cost) noexcept nogil:
    cdef map_job *map = &job.map
    cdef Py_ssize_t units
    map.n = job.rows * job.inner
    job.pack = BLOCK // job.inner if job.inner < SHORT else 0
    units = (job.rows + job.pack - 1) // job.pack if job.pack else job.rows * ((job.inner + CHUNK - 1) // CHUNK)
    map.stream = streams(map) and job.inner * map.itemsize >= STREAM
    run(rows_task, job, units, fa_parts(map.n * fa_cost_ps[cost] * (map.itemsize // 4) // 1000))


cdef inline bint disjoint(char *a, Py_ssize_t a_bytes, char *b, Py_ssize_t b_bytes) noexcept:
    return a + a_bytes <= b or b + b_bytes <= a


cdef inline bint shape_but(cnp.ndarray a, cnp.ndarray x, int axis, Py_ssize_t size) noexcept:
    """Whether `a` has the shape of `x`, but for `size` along `axis`."""
    cdef int d
    if cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(x):
        return False
    for d in range(cnp.PyArray_NDIM(x)):
        if cnp.PyArray_DIM(a, d) != (size if d == axis else cnp.PyArray_DIM(x, d)):
            return False
    return True


cdef inline void row_operand(rows_job *job, char *p, Py_ssize_t step) noexcept:
    job.map.arg[job.map.args] = p
    job.step[job.map.args] = step
    job.map.args += 1


def apply_halves(int id, object x_, object axis_, object dy, object out):
    """Gated map `id` with the second half of `x_` along an axis as gate, the first as up; its gradient if `dy` is not
    None. Returns None if an argument is not plain."""
    cdef const fa_map_info *info = &fa_maps[id]
    cdef int dtype = fast_dtype(x_), axis, d
    cdef cnp.npy_intp dims[64]
    cdef rows_job job
    cdef map_job *map = &job.map
    cdef cnp.ndarray x
    cdef Py_ssize_t half, row
    cdef char *first
    cdef char *p
    if dtype < 0 or not PyLong_CheckExact(axis_):
        return None
    x = <cnp.ndarray>x_
    if not -cnp.PyArray_NDIM(x) <= axis_ < cnp.PyArray_NDIM(x):
        return None
    axis = axis_
    if axis < 0:
        axis += cnp.PyArray_NDIM(x)
    if cnp.PyArray_DIM(x, axis) % 2:
        return None
    half = cnp.PyArray_DIM(x, axis) // 2
    job.rows = 1
    job.inner = half
    for d in range(cnp.PyArray_NDIM(x)):
        dims[d] = cnp.PyArray_DIM(x, d)
        if d < axis:
            job.rows *= dims[d]
        elif d > axis:
            job.inner *= dims[d]
    map.itemsize = 8 if dtype == FA_F64 else 4
    row = job.inner * map.itemsize
    first = <char *>cnp.PyArray_DATA(x)
    map.args = 0
    if dy is not None:
        if fast_dtype(dy) != dtype or not shape_but(<cnp.ndarray>dy, x, axis, half):
            return None
        row_operand(&job, <char *>cnp.PyArray_DATA(<cnp.ndarray>dy), row)
    else:
        dims[axis] = half
    row_operand(&job, first + row, 2 * row)
    row_operand(&job, first, 2 * row)
    map.inputs = map.args
    if out is None:
        out = cnp.PyArray_SimpleNew(cnp.PyArray_NDIM(x), dims, cnp.PyArray_TYPE(x))
    elif fast_dtype(out) != dtype or not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out) \
            or not shape_but(<cnp.ndarray>out, x, axis, dims[axis]):
        return None
    p = <char *>cnp.PyArray_DATA(<cnp.ndarray>out)
    if dy is None:
        if not disjoint(p, job.rows * row, first, 2 * job.rows * row):
            return None
        row_operand(&job, p, row)
    else:
        if (p != first and not disjoint(p, 2 * job.rows * row, first, 2 * job.rows * row)) \
                or not disjoint(p, 2 * job.rows * row, map.arg[0], job.rows * row):
            return None
        row_operand(&job, p + row, 2 * row)
        row_operand(&job, p, 2 * row)
    if row == 0 or job.rows == 0:
        return out
    map.fn = table.map[id][dtype][FA_SCALAR_PARAMS]
    with nogil:
        rows_run(&job, info.cost)
    return out
