/* fastact.h: the C API of fastact, for extension modules in C, C++ and (through fastact/_kernels.pxd) Cython.
 *
 *     #include <Python.h>
 *     #include <fastact/fastact.h>                      // folder: fastact.get_include()
 *     ...
 *     if (fa_import() < 0) return NULL;                 // in the module's init function; takes the GIL
 *     int silu = fa_map_id("silu");                     // once
 *     char *args[] = {(char *)x, (char *)y};
 *     int status = fa_map(silu, FA_F32, n, args, NULL); // any thread, with or without the GIL
 *
 * Every source file that calls the API calls fa_import() itself. No call raises or needs Python; all say what went wrong
 * by their return value, and a call that fails has written nothing. docs/c-api.md has worked examples.
 */
#ifndef FASTACT_H
#define FASTACT_H

#include <stddef.h>

/* Raised when something here changes its meaning. New functions are added at the end of fa_api, and that keeps it. */
#define FA_ABI_VERSION 1

enum fa_dtype { FA_F32, FA_F64, FA_NDTYPES };

enum fa_status {
    FA_OK = 0,
    FA_BAD_ID = -1,              /* no such operation */
    FA_BAD_DTYPE = -2,           /* neither FA_F32 nor FA_F64 */
    FA_BAD_ALIGNMENT = -3,       /* a pointer is not a multiple of the element's size */
    FA_BAD_OVERLAP = -4,         /* an output shares bytes with another operand without being the same array as an input */
    FA_BAD_TEMPERATURE = -5      /* not finite, or not above 0 */
};

/* What the capsule fastact._C_API points to. */
typedef struct {
    int abi_version;
    size_t size;                 /* of this struct in the fastact that runs */
    const char *(*isa)(void);
    int (*num_threads)(void);
    const char *(*status_text)(int status);
    int (*map_id)(const char *name);
    int (*map_arity)(int id, int *tensors, int *params, int *outputs);
    int (*map)(int id, int dtype, size_t n, char *const *args, const double *params);
    int (*rows_id)(const char *name);
    int (*rows)(int id, int dtype, size_t rows, size_t classes, double temperature, char *const *args);
} fa_api;

#ifdef Py_PYTHON_H
#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FA_UNUSED __attribute__((unused))
#else
#define FA_UNUSED
#endif

static const fa_api *fa_capi_;

/* Imports fastact. 0, or -1 with a Python exception set: ImportError without fastact, RuntimeError if its API is another. */
FA_UNUSED static int fa_import(void)
{
    const fa_api *api = (const fa_api *)PyCapsule_Import("fastact._C_API", 0);
    if (!api)
        return -1;
    if (api->abi_version != FA_ABI_VERSION || api->size < sizeof(fa_api)) {
        PyErr_Format(PyExc_RuntimeError,
            "fastact: this extension was compiled for version %d of the C API (%zu bytes), the installed fastact has "
            "version %d (%zu bytes): compile it again, or update fastact",
            FA_ABI_VERSION, sizeof(fa_api), api->abi_version, api->size);
        return -1;
    }
    fa_capi_ = api;
    return 0;
}

/* The instruction set whose kernels run, such as "avx2". */
FA_UNUSED static const char *fa_isa(void) { return fa_capi_->isa(); }

/* How many threads a large call made now by this thread may use. */
FA_UNUSED static int fa_num_threads(void) { return fa_capi_->num_threads(); }

/* What an fa_status means, in English. */
FA_UNUSED static const char *fa_status_text(int status) { return fa_capi_->status_text(status); }

/* The number of an elementwise operation, which may differ from release to release: any name of fastact.ufuncs such as
 * "gelu", "gelu_tanh", "gelu_grad". FA_BAD_ID if there is none. */
FA_UNUSED static int fa_map_id(const char *name) { return fa_capi_->map_id(name); }

/* How many tensors, parameters and outputs a map has. FA_OK or FA_BAD_ID. */
FA_UNUSED static int fa_map_arity(int id, int *tensors, int *params, int *outputs)
{
    return fa_capi_->map_arity(id, tensors, params, outputs);
}

/* Runs a map on n elements. args: the tensors, then the outputs, each n contiguous elements; an output may be one of the
 * tensors, else it shares no bytes with another operand. params: one double per parameter, NULL if there are none; or
 * NULL if each element has its own: args then holds arrays of parameters between tensors and outputs. */
FA_UNUSED static int fa_map(int id, int dtype, size_t n, char *const *args, const double *params)
{
    return fa_capi_->map(id, dtype, n, args, params);
}

/* The number of an operation on rows: "softmax", "log_softmax", "logsumexp", "softmax_grad", "log_softmax_grad".
 * FA_BAD_ID if there is none. */
FA_UNUSED static int fa_rows_id(const char *name) { return fa_capi_->rows_id(name); }

/* Runs an operation on each row of contiguous (rows, classes) arrays. args: x and y, or dy, y and dx for the gradients;
 * the output may be one of the inputs, but logsumexp's, which has one element a row. temperature: 1.0 for none. */
FA_UNUSED static int fa_rows(int id, int dtype, size_t rows, size_t classes, double temperature, char *const *args)
{
    return fa_capi_->rows(id, dtype, rows, classes, temperature, args);
}

#ifdef __cplusplus
}
#endif
#endif

#endif
