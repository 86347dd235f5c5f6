# glu: the gated map of the two halves of one tensor, read and written where they lie. Included by _kernels.pyx.
#
# Along any axis of a C-contiguous tensor the halves are rows: a run of `inner` elements of the first half, then one of
# the second. Slices through the ufunc door would cost a loop call per row, and would never thread over rows.

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
        out = new_output(cnp.PyArray_NDIM(x), dims, cnp.PyArray_TYPE(x))
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
    set_kernel(map, id, dtype, FA_SCALAR_PARAMS)
    job.param = NULL
    map.n = job.rows * job.inner
    with nogil:
        rows_run(&job, info.cost)
    return out
