"""Memory of large new outputs: kept for the next one, bounded, and nothing that a user of arrays would notice."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from helpers import run_python

import fastact
from fastact import _kernels

LARGE = 2**18                   # float32 of the smallest kept block, 1 MiB


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Begins with nothing kept, and ends with the limit as it was."""
    before = _kernels.set_kept_limit(0)
    _kernels.set_kept_limit(before)
    yield
    _kernels.set_kept_limit(before)


def handler(a: np.ndarray) -> str | None:
    return np._core.multiarray.get_handler_name(a if a.base is None else a.base)


def ones(n: int, dtype: type = np.float32) -> np.ndarray:
    return np.ones(n, dtype)


def test_the_next_output_takes_the_last_ones_memory() -> None:
    x = ones(LARGE)
    y = fastact.relu(x)
    place, values = y.ctypes.data, y.copy()
    assert _kernels.kept_bytes() == 0
    del y
    assert _kernels.kept_bytes() == x.nbytes
    again = fastact.sigmoid(-x)
    assert again.ctypes.data == place
    assert _kernels.kept_bytes() == 0
    assert np.array_equal(fastact.relu(x), values)      # while `again` holds the block
    assert again.ctypes.data % 64 == 0


@pytest.mark.parametrize("call", [
    lambda x: fastact.elu(x),
    lambda x: fastact.prelu(x, x[:1].copy()),
    lambda x: fastact.relu_grad(x, x),
    lambda x: fastact.prelu_grad(x, x, x[:1].copy())[0],
    lambda x: fastact.swiglu_grad(x, x, x)[0],
    lambda x: fastact.swiglu_grad(x, x, x)[1],
    lambda x: fastact.glu(np.concatenate([x, x])),
    lambda x: fastact.softmax(x.reshape(-1, 4)),
    lambda x: fastact.softmax(x.reshape(-1, 4), axis=0),
    lambda x: fastact.softmax_grad(x.reshape(-1, 4), x.reshape(-1, 4)),
    lambda x: fastact.softmax(x.reshape(-1, 2, 2), axis=(1, 2)),
    lambda x: fastact.logsumexp(np.stack([x, x], 1)),
    lambda x: fastact.mse_loss_with_grad(x, x)[1],
    lambda x: fastact.mse_loss(x, x, reduction="none"),
    lambda x: fastact.cross_entropy_with_grad(x.reshape(-1, 4), np.zeros(x.size // 4, int))[1],
    lambda x: fastact.cross_entropy(np.stack([x, x], 1), np.zeros(x.size, int), reduction="none"),
    lambda x: fastact.linear_cross_entropy_with_grad(x[:, None], x[:1, None], np.zeros(x.size, int))[1],
    lambda x: fastact.linear_softmax(x.reshape(-1, 4), x[:16].reshape(4, 4)),
])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_kind_of_output(call, dtype: type) -> None:
    assert handler(call(ones(LARGE, dtype))) == "fastact_outputs"
    small = call(ones(LARGE // 64, dtype))
    assert handler(small) == "default_allocator"


def test_what_is_kept_is_bounded() -> None:
    _kernels.set_kept_limit(3 * LARGE * 4)
    outputs = [fastact.relu(ones(LARGE)) for _ in range(20)]
    places = [y.ctypes.data for y in outputs]
    while outputs:
        outputs.pop(0)
        assert _kernels.kept_bytes() <= 3 * LARGE * 4
    assert _kernels.kept_bytes() == 3 * LARGE * 4
    assert {fastact.relu(ones(LARGE)).ctypes.data for _ in range(3)} <= set(places[-3:])    # the oldest went first
    fastact.relu(ones(4 * LARGE))                       # more than the limit
    assert _kernels.kept_bytes() == 3 * LARGE * 4
    _kernels.set_kept_limit(LARGE * 4)
    assert _kernels.kept_bytes() == LARGE * 4
    _kernels.set_kept_limit(0)
    assert _kernels.kept_bytes() == 0
    fastact.relu(ones(LARGE))
    assert _kernels.kept_bytes() == 0


def test_no_more_blocks_than_there_are_places() -> None:
    outputs = [fastact.relu(ones(LARGE)) for _ in range(50)]
    outputs.clear()
    assert 0 < _kernels.kept_bytes() <= 16 * LARGE * 4


def test_a_block_serves_what_is_a_little_smaller_only() -> None:
    y = fastact.relu(ones(10 * LARGE))
    place = y.ctypes.data
    del y
    smaller = fastact.relu(ones(9 * LARGE))
    assert smaller.ctypes.data == place
    assert np.array_equal(smaller, ones(9 * LARGE))
    del smaller
    assert _kernels.kept_bytes() == 10 * LARGE * 4
    half = fastact.relu(ones(5 * LARGE))
    larger = fastact.relu(ones(11 * LARGE))
    assert place not in (half.ctypes.data, larger.ctypes.data)
    assert _kernels.kept_bytes() == 10 * LARGE * 4


def test_outputs_are_arrays_like_others() -> None:
    x = np.random.default_rng(0).normal(size=LARGE).astype(np.float32)
    y = fastact.tanh(x)
    assert y.flags.owndata
    assert y.flags.writeable
    assert y.base is None
    before = y.copy()
    y.resize(2 * LARGE, refcheck=False)
    assert np.array_equal(y[:LARGE], before)
    assert not y[LARGE:].any()
    y.resize(10, refcheck=False)
    assert np.array_equal(y, before[:10])
    view = fastact.tanh(x)[::2]
    gc.collect()
    assert np.array_equal(view, before[::2])


def test_a_users_memory_handler_is_respected() -> None:
    """NumPy's own test of handlers needs a compiled one; ours stands in for a user's."""
    name = run_python(f"""
import numpy as np, fastact
import ctypes
api = ctypes.pythonapi
api.PyCapsule_New.restype = ctypes.py_object
api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
api.PyCapsule_GetPointer.restype = ctypes.c_void_p
api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
functions = api.PyCapsule_GetPointer(np._core._multiarray_umath._ARRAY_API, None)
table = ctypes.cast(functions, ctypes.POINTER(ctypes.c_void_p))
take = ctypes.PYFUNCTYPE(ctypes.py_object)(table[305])
give = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[304])
theirs = (ctypes.c_char * 176).from_address(api.PyCapsule_GetPointer(take(), b"mem_handler"))
mine = ctypes.create_string_buffer(bytes(theirs), 176)
mine[:5] = b"users"
give(api.PyCapsule_New(ctypes.addressof(mine), b"mem_handler", None))
y = fastact.relu(np.ones({LARGE}, np.float32))
print(np._core.multiarray.get_handler_name(y), np._core.multiarray.get_handler_name())
""").stdout.split()
    assert [text.startswith("users") for text in name] == [True, True]


def test_numpys_own_arrays_keep_their_handler() -> None:
    fastact.relu(ones(LARGE))
    assert np._core.multiarray.get_handler_name() == "default_allocator"
    assert handler(np.empty(4 * LARGE)) == "default_allocator"


def test_too_large_is_a_memory_error_and_leaves_the_handler() -> None:
    x = np.broadcast_to(np.float32(1), (2**50,))
    with pytest.raises(MemoryError):
        _kernels.empty(x.shape, x.dtype)
    assert np._core.multiarray.get_handler_name() == "default_allocator"


def test_threads_free_and_take_at_once() -> None:
    """Blocks never serve two arrays: each thread finds its own numbers."""
    wrong = []

    def work(k: int) -> None:
        x = np.full(LARGE, k, np.float32)
        for _ in range(40):
            y, z = fastact.relu(x), fastact.relu(x)
            if y.ctypes.data == z.ctypes.data or (y != k).any() or (z != k).any():
                wrong.append(k)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(1, 7)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.parametrize(("value", "kept"), [("0", 0), (str(2 * LARGE * 4), 2), ("", 3), ("nonsense", 3), ("-1", 3)])
def test_the_environment_sets_the_limit(value: str, kept: int) -> None:
    code = f"""
import numpy as np, fastact
from fastact import _kernels
x = np.ones({LARGE}, np.float32)
outputs = [fastact.relu(x) for _ in range(3)]
outputs.clear()
print(_kernels.kept_bytes() // x.nbytes)
"""
    assert int(run_python(code, FASTACT_KEEP_BYTES=value).stdout) == kept


def test_forked_children_have_their_own() -> None:
    run_python(f"""
import os, numpy as np, fastact
x = np.ones({LARGE}, np.float32)
y = fastact.relu(x)
place = y.ctypes.data
del y
child = os.fork()
if child == 0:
    z = fastact.relu(2 * x)
    os._exit(0 if z.ctypes.data == place and (z == 2).all() else 1)
assert os.waitpid(child, 0)[1] == 0
z = fastact.relu(3 * x)
assert z.ctypes.data == place and (z == 3).all()
""")
