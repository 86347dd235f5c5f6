# New outputs: large ones from memory that is kept (_memory.h). Included by _kernels.pyx.

cdef extern from "_memory.h" nogil:
    enum: FA_KEPT_FROM
    cnp.PyDataMem_Handler fa_output_handler
    size_t fa_set_kept_limit(size_t n)
    size_t fa_kept_bytes

cdef extern from "numpy/arrayobject.h":
    PyObject *PyDataMem_DefaultHandler

cdef object output_handler = PyCapsule_New(&fa_output_handler, "mem_handler", NULL)
cdef object default_handler = <object>PyDataMem_DefaultHandler


def set_kept_limit(size_t nbytes):
    """At most so many bytes of freed outputs are kept for the next ones; returns the limit before."""
    return fa_set_kept_limit(nbytes)


def kept_bytes():
    """How many bytes of freed outputs are kept now."""
    return fa_kept_bytes


cdef inline bint keeps(Py_ssize_t nbytes):
    """Whether so many bytes come from kept memory; where the user has set a memory handler, they are the user's."""
    return nbytes >= FA_KEPT_FROM and cnp.PyDataMem_GetHandler() is default_handler


cdef object new_output(int ndim, cnp.npy_intp *shape, int typenum):
    """A new array, all of whose elements will be written."""
    cdef Py_ssize_t nbytes = 8 if typenum == cnp.NPY_DOUBLE else 4
    cdef int d
    for d in range(ndim):
        nbytes *= shape[d]
    if not keeps(nbytes):
        return cnp.PyArray_SimpleNew(ndim, shape, typenum)
    cnp.PyDataMem_SetHandler(output_handler)
    try:
        return cnp.PyArray_SimpleNew(ndim, shape, typenum)
    finally:
        cnp.PyDataMem_SetHandler(default_handler)


cdef object new_like(cnp.ndarray x):
    """A new output of the shape and type of x."""
    return new_output(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))


def empty(shape, dtype, order="C"):
    """np.empty for outputs."""
    if not keeps(np.dtype(dtype).itemsize * math.prod(shape)):
        return np.empty(shape, dtype, order)
    cnp.PyDataMem_SetHandler(output_handler)
    try:
        return np.empty(shape, dtype, order)
    finally:
        cnp.PyDataMem_SetHandler(default_handler)
