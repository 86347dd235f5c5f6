# fastact for other Cython modules: `from fastact._kernels cimport fa_map, fa_map_id, FA_F32`; fastact.get_include()
# must be among the include folders. What each function takes and returns: include/fastact/fastact.h, docs/c-api.md.

cdef extern from "fastact/fastact.h" nogil:
    enum: FA_F32, FA_F64, FA_NDTYPES
    enum: FA_OK, FA_BAD_ID, FA_BAD_DTYPE, FA_BAD_ALIGNMENT, FA_BAD_OVERLAP, FA_BAD_TEMPERATURE

cdef const char *fa_isa() noexcept nogil
cdef int fa_num_threads() noexcept nogil
cdef const char *fa_status_text(int status) noexcept nogil
cdef int fa_map_id(const char *name) noexcept nogil
cdef int fa_map_arity(int id, int *tensors, int *params, int *outputs) noexcept nogil
cdef int fa_map(int id, int dtype, size_t n, char *const *args, const double *params) noexcept nogil
cdef int fa_rows_id(const char *name) noexcept nogil
cdef int fa_rows(int id, int dtype, size_t rows, size_t classes, double temperature, char *const *args) noexcept nogil
