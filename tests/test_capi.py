"""The C API: the examples of docs/c-api.md compiled and run, every operation through it, threads without the GIL."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers import OPS, assert_same_bits, hard_values, run_python

import fastact

DOCUMENT = Path(__file__).parent.parent / "docs" / "c-api.md"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
FLAGS = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]

pytestmark = pytest.mark.skipif(COMPILER is None or sys.platform == "win32", reason="needs a C compiler")


def example(language: str) -> str:
    if not DOCUMENT.exists():
        pytest.skip("the docs are not here")
    found = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(found) == 1
    return found[0]


def build(folder: Path, name: str, source: str, *, compiler: str | None = COMPILER, suffix: str = "c",
          flags: tuple[str, ...] = ()) -> ModuleType:
    """Compiles an extension module and imports it."""
    path = folder / f"{name}.{suffix}"
    path.write_text(source)
    target = folder / (name + sysconfig.get_config_var("EXT_SUFFIX"))
    folders = [f"-I{sysconfig.get_path('include')}", f"-I{fastact.get_include()}"]
    command = [str(compiler), *FLAGS, *flags, *folders, str(path), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    spec = importlib.util.spec_from_file_location(name, target)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_silu(module: ModuleType) -> None:
    for dtype in (np.float32, np.float64):
        for n in (0, 1, 17, 100_001):
            x = hard_values(n, dtype)
            want = fastact.silu(x)
            module.silu_inplace(x)
            assert_same_bits(x, want)
    with pytest.raises(ValueError, match="silu_inplace: the dtype is neither FA_F32 nor FA_F64"):
        module.silu_inplace(np.zeros(3, np.int32))


def test_the_c_example(tmp_path: Path) -> None:
    module = build(tmp_path, "inplace", example("c"))
    check_silu(module)
    arrays = [hard_values(200_000, np.float32, seed) for seed in range(8)]
    wants = [fastact.silu(x) for x in arrays]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(module.silu_inplace, arrays))
    for x, want in zip(arrays, wants, strict=True):
        assert_same_bits(x, want)


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_the_c_example_as_cpp(tmp_path: Path) -> None:
    check_silu(build(tmp_path, "inplace", example("c"), compiler=shutil.which("c++"), suffix="cpp"))


def test_the_cython_example(tmp_path: Path) -> None:
    main = pytest.importorskip("Cython.Compiler.Main")
    source = tmp_path / "attention.pyx"
    source.write_text(example("cython"))
    include = [str(Path(fastact.__file__).parent.parent), fastact.get_include()]
    result = main.compile(str(source), include_path=include, language_level=3)
    assert result.num_errors == 0
    module = build(tmp_path, "attention", Path(result.c_file).read_text(), flags=("-w",))
    batches = [np.random.default_rng(seed).normal(size=(64, 100)).astype(np.float32) for seed in range(8)]
    wants = [fastact.softmax(fastact.leaky_relu(x, negative_slope=0.2), temperature=2.0) for x in batches]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda x: module.weights(x, 2.0), batches))
    for x, want in zip(batches, wants, strict=True):
        assert_same_bits(x, want)
    with pytest.raises(ValueError, match="weights: the temperature is not a finite number above 0"):
        module.weights(batches[0], 0.0)


DRIVER = r"""
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>
#include <fastact/fastact.h>

static PyObject *map_id(PyObject *m, PyObject *name)
{
    (void)m;
    return PyLong_FromLong(fa_map_id(PyUnicode_AsUTF8(name)));
}
static PyObject *rows_id(PyObject *m, PyObject *name)
{
    (void)m;
    return PyLong_FromLong(fa_rows_id(PyUnicode_AsUTF8(name)));
}
static PyObject *text(PyObject *m, PyObject *status)
{
    (void)m;
    return PyUnicode_FromString(fa_status_text((int)PyLong_AsLong(status)));
}
static PyObject *about(PyObject *m, PyObject *none)
{
    (void)m, (void)none;
    return Py_BuildValue("si", fa_isa(), fa_num_threads());
}
static PyObject *arity(PyObject *m, PyObject *id)
{
    int tensors = 0, params = 0, outputs = 0;
    (void)m;
    if (fa_map_arity((int)PyLong_AsLong(id), &tensors, &params, &outputs) != FA_OK)
        Py_RETURN_NONE;
    return Py_BuildValue("iii", tensors, params, outputs);
}

typedef struct {
    int rows, id, dtype, status;
    size_t n, classes;
    double temperature;
    char *args[8];
    double *params;
} call;

static void *go(void *p)
{
    call *c = (call *)p;
    c->status = c->rows ? fa_rows(c->id, c->dtype, c->n, c->classes, c->temperature, c->args)
                        : fa_map(c->id, c->dtype, c->n, c->args, c->params);
    return NULL;
}

/* run(rows, [(id, dtype, n, classes, temperature, (addresses), (params) or None)]): each in a thread that Python knows
 * nothing of, all at once, while this one holds the GIL. */
static PyObject *run(PyObject *m, PyObject *args)
{
    int rows;
    PyObject *list, *result;
    call calls[16];
    double params[16][2];
    pthread_t threads[16];
    Py_ssize_t count, i, k;
    (void)m;
    if (!PyArg_ParseTuple(args, "iO", &rows, &list)) return NULL;
    count = PyList_Size(list);
    for (i = 0; i < count; i++) {
        PyObject *addresses, *given;
        call *c = &calls[i];
        if (!PyArg_ParseTuple(PyList_GetItem(list, i), "iinndOO", &c->id, &c->dtype, &c->n, &c->classes,
                              &c->temperature, &addresses, &given)) return NULL;
        c->rows = rows;
        for (k = 0; k < PyTuple_Size(addresses); k++)
            c->args[k] = (char *)PyLong_AsVoidPtr(PyTuple_GetItem(addresses, k));
        c->params = given == Py_None ? NULL : params[i];
        for (k = 0; given != Py_None && k < PyTuple_Size(given); k++)
            params[i][k] = PyFloat_AsDouble(PyTuple_GetItem(given, k));
    }
    for (i = 0; i < count; i++) pthread_create(&threads[i], NULL, go, &calls[i]);
    for (i = 0; i < count; i++) pthread_join(threads[i], NULL);
    result = PyList_New(0);
    for (i = 0; i < count; i++) PyList_Append(result, PyLong_FromLong(calls[i].status));
    return result;
}

static PyMethodDef methods[] = {
    {"map_id", map_id, METH_O, ""}, {"rows_id", rows_id, METH_O, ""}, {"text", text, METH_O, ""},
    {"about", about, METH_NOARGS, ""}, {"arity", arity, METH_O, ""}, {"run", run, METH_VARARGS, ""},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "driver", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_driver(void) { return fa_import() < 0 ? NULL : PyModule_Create(&module); }
"""
F32, F64 = 0, 1
DTYPES = {np.dtype(np.float32): F32, np.dtype(np.float64): F64}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return build(tmp_path_factory.mktemp("driver"), "driver", DRIVER, flags=("-pthread",))


def address(*arrays: np.ndarray) -> tuple[int, ...]:
    return tuple(a.ctypes.data for a in arrays)


@pytest.mark.parametrize("n", [0, 1, 15, 16, 1003, 300_001])
def test_every_map_from_foreign_threads(driver: ModuleType, n: int, dtype: np.dtype) -> None:
    for op in OPS:
        number = driver.map_id(op.name)
        assert driver.arity(number) == (op.tensors, op.params, op.outputs)
        jobs, outs, wants = [], [], []
        for seed in range(3):
            tensors = [hard_values(n, dtype, 10 * seed + k) for k in range(op.tensors)]
            params = tuple(float(v) + seed for v in op.defaults)
            out = [np.full(n, 7, dtype) for _ in range(op.outputs)]
            each = [np.full(n, v, dtype) for v in params] if seed == 2 else []
            jobs.append((number, DTYPES[dtype], n, 0, 1.0, address(*tensors, *each, *out), None if each else params))
            outs.append((tensors, each, out))
            wants.append(op(*tensors, *params))
        assert driver.run(0, jobs) == [0, 0, 0], op.name
        for (_, _, out), want in zip(outs, wants, strict=True):
            assert_same_bits(out[0] if op.outputs == 1 else tuple(out), want, op.name)


def test_a_map_in_place(driver: ModuleType, dtype: np.dtype) -> None:
    x = hard_values(1003, dtype)
    want = fastact.silu(x)
    assert driver.run(0, [(driver.map_id("silu"), DTYPES[dtype], x.size, 0, 1.0, address(x, x), ())]) == [0]
    assert_same_bits(x, want)


@pytest.mark.parametrize("shape", [(1, 1), (7, 10), (64, 1000), (2, 100_000), (0, 3), (3, 0)])
def test_every_rows_operation_from_foreign_threads(driver: ModuleType, shape: tuple[int, int], dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    for name in ("softmax", "log_softmax", "logsumexp", "softmax_grad", "log_softmax_grad"):
        gradient, reduces = name.endswith("_grad"), name == "logsumexp"
        function = getattr(fastact, name)
        inputs = (dy, x) if gradient else (x,)
        options = {} if reduces else {"temperature": 2.0}
        want = function(*inputs, **options)
        outs = [np.full(want.shape, 7, dtype) for _ in range(3)]
        jobs = [(driver.rows_id(name), DTYPES[dtype], *shape, 2.0, address(*inputs, out), None) for out in outs]
        assert driver.run(1, jobs) == [0, 0, 0]
        for out in outs:
            assert_same_bits(out, want, name)


def test_failures_say_why_and_write_nothing(driver: ModuleType) -> None:
    x, y = np.zeros(65, np.float64), np.full(65, 7.0)
    before = x.copy(), y.copy()
    tanh, softmax = driver.map_id("tanh"), driver.rows_id("softmax")
    base, = address(x)
    target, = address(y)
    for job, status, words in [
        ((-1, F64, 64, 0, 1.0, (base, target), ()), -1, "no such operation"),
        ((10_000, F64, 64, 0, 1.0, (base, target), ()), -1, "no such operation"),
        ((tanh, 2, 64, 0, 1.0, (base, target), ()), -2, "neither FA_F32 nor FA_F64"),
        ((tanh, F64, 64, 0, 1.0, (base + 4, target), ()), -3, "multiple of the element's size"),
        ((tanh, F64, 64, 0, 1.0, (base, base + 8), ()), -4, "overlaps another operand"),
    ]:
        assert driver.run(0, [job]) == [status]
        assert words in driver.text(status)
    for job, status in [
        ((-1, F64, 8, 8, 1.0, (base, target), None), -1),
        ((10_000, F64, 8, 8, 1.0, (base, target), None), -1),
        ((softmax, 2, 8, 8, 1.0, (base, target), None), -2),
        ((softmax, F64, 8, 8, 1.0, (base, target + 4), None), -3),
        ((softmax, F64, 8, 8, 1.0, (base, base + 8), None), -4),
        ((driver.rows_id("logsumexp"), F64, 8, 8, 1.0, (base, base), None), -4),
        ((softmax, F64, 8, 8, float("nan"), (base, target), None), -5),
        ((softmax, F64, 8, 8, float("inf"), (base, target), None), -5),
        ((softmax, F64, 8, 8, 0.0, (base, target), None), -5),
    ]:
        assert driver.run(1, [job]) == [status]
    assert_same_bits((x, y), before)
    assert driver.map_id("no_such") == driver.rows_id("split_max") == -1
    assert driver.arity(-1) is None
    assert driver.text(-99) == "unknown status"


def test_isa_and_threads(driver: ModuleType) -> None:
    assert driver.about()[0] == fastact.show_config(mode="dicts")["isa"]["in_use"]
    with fastact.threads(3):
        assert driver.about()[1] == fastact.get_num_threads()


def test_another_version_is_refused(tmp_path: Path) -> None:
    header = (Path(fastact.get_include()) / "fastact" / "fastact.h").read_text()
    folder = tmp_path / "other" / "fastact"
    folder.mkdir(parents=True)
    (folder / "fastact.h").write_text(re.sub(r"(#define FA_ABI_VERSION) \d+", r"\1 9999", header))
    with pytest.raises(RuntimeError, match=r"compiled for version 9999 .* the installed fastact has version 1"):
        build(tmp_path, "driver", DRIVER, flags=("-pthread", f"-I{tmp_path / 'other'}"))


def test_without_fastact_the_import_fails_cleanly(tmp_path: Path) -> None:
    build(tmp_path, "driver", DRIVER, flags=("-pthread",))
    run_python(f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
sys.modules["fastact"] = None
try:
    import driver
except ImportError as error:
    assert "fastact" in str(error)
else:
    raise AssertionError("imported without fastact")
""")
