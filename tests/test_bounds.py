"""No reading or writing out of bounds: every array lies against a page that nobody may touch."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import OPS, arguments_of, run_python

import fastact
from fastact import _kernels

PAGE = mmap.PAGESIZE
LENGTHS = (*range(1, 70), 127, 128, 129, 511, 512, 513, 1025, 4097)
kept: list[mmap.mmap] = []          # the pages of the arrays in use


def against_a_wall(array: np.ndarray, behind: bool) -> np.ndarray:
    """A copy whose last byte (or first) touches a page without any access."""
    libc = ctypes.CDLL(None, use_errno=True)
    size = max(1, -(-array.nbytes // PAGE)) * PAGE
    pages = mmap.mmap(-1, size + 2 * PAGE)
    kept.append(pages)
    base = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    for wall in (base, base + PAGE + size):
        if libc.mprotect(ctypes.c_void_p(wall), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    start = PAGE + (size - array.nbytes if behind else 0)
    copy = np.frombuffer(pages, array.dtype, array.size, start).reshape(array.shape)
    copy[...] = array
    return copy


def call_all(name: str, function: Callable[..., Any], tensors: list[np.ndarray], outs: Any = None) -> None:
    for behind in (True, False):
        print(name, [t.shape for t in tensors], "wall behind" if behind else "wall in front", flush=True)
        walled = [against_a_wall(t, behind) for t in tensors]
        function(*walled)
        if outs is not None:
            targets = tuple(against_a_wall(np.zeros_like(tensors[0]), behind) for _ in range(outs))
            function(*walled, out=targets if outs > 1 else targets[0])
        kept.clear()


def maps(isa: str) -> None:
    _kernels.use_isa(isa)
    for op in OPS:
        for dtype in (np.float16, np.float32, np.float64):
            for n in LENGTHS:
                call_all(op.name, op, list(op.inputs(n, dtype)), op.outputs)
            call_all(f"{op.name} strided", lambda *t, op=op: op(*(a[::2] for a in t)), list(op.inputs(101, dtype)))
    _kernels.set_last_level_cache(1)            # results past the caches
    for op in OPS:
        for n in (1, 15, 1023, 1025, 5000):
            call_all(op.name, op, list(op.inputs(n, np.float32)), op.outputs)


def rows_and_losses(isa: str) -> None:
    _kernels.use_isa(isa)
    rows = [name for name, u in _kernels.UFUNCS.items() if u.signature is not None]
    losses = [name for name in fastact.__all__ if name.endswith("_with_grad")]
    for name in rows + losses:
        function = getattr(fastact, name)
        for dtype in (np.float32, np.float64):
            step = 1 if dtype == np.float32 else 7
            for n, classes in [*((3, c) for c in range(1, 70, step)), (17, 10), (1, 4097), (2, 513)]:
                call_all(name, function, arguments_of(function, dtype, n, classes))
            if name in rows:
                call_all(name, lambda *t, f=function: f(*t, axis=0), arguments_of(function, dtype, 9, 23))
                call_all(name, lambda *t, f=function: f(*(a[:, ::2] for a in t)), arguments_of(function, dtype, 9, 23))
    _kernels.set_last_level_cache(1)
    for name in rows:
        function = getattr(fastact, name)
        call_all(name, lambda *t, f=function: f(*t, axis=0), arguments_of(function, np.float32, 9, 423))
        call_all(name, function, arguments_of(function, np.float32, 3, 4099))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect by ctypes")
@pytest.mark.parametrize("which", ["maps", "rows_and_losses"])
def test_out_of_bounds(which: str, isa: str) -> None:
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import test_bounds; test_bounds.{which}({isa!r})"
    done = run_python(code, check=False, timeout=300)
    assert done.returncode == 0, f"exit code {done.returncode} at {done.stdout.splitlines()[-1:]}\n{done.stderr}"
    assert done.stdout.count("wall behind") > 500
