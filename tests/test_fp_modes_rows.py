"""Floating-point modes and flags around the functions of rows, the losses and the metrics: as in test_fp_modes.py."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import fp
import numpy as np
import pytest
from helpers import arguments_of, assert_same_bits, tuple_of

import fastact
import fastact.metrics
from fastact import _kernels, ufuncs

ROWS = sorted(name for name, u in _kernels.UFUNCS.items() if u.signature is not None)
LOSSES = sorted(name for name in fastact.__all__ if f"{name}_with_grad" in fastact.__all__)
METRICS = sorted(fastact.metrics.__all__)


def check(call: Callable[[], Any], what: str) -> None:
    whole = call()
    for mode, word in fp.MODES.items():
        with fp.modes(word):
            got = call()
        assert_same_bits(tuple(np.asarray(g) for g in tuple_of(got) if g is not None),
                         tuple(np.asarray(w) for w in tuple_of(whole) if w is not None), f"{mode}, {what}")


@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str, dtype: np.dtype, isa: str) -> None:
    function = getattr(fastact, name)
    tensors = arguments_of(function, dtype)
    check(lambda: function(*tensors), "last axis")
    check(lambda: function(*tensors, axis=0), "first axis")
    check(lambda: function(*(t[:, ::-2] for t in tensors)), "strided")
    halves = [t.astype(np.float16) for t in tensors]
    check(lambda: function(*halves), "float16")
    if "temperature" in inspect.signature(function).parameters:
        check(lambda: function(*tensors, temperature=0.3), "temperature")


@pytest.mark.parametrize("name", ROWS)
def test_raw_gufuncs(name: str, isa: str) -> None:
    """NumPy itself clears the flags of a gufunc call; the control word and the results are ours."""
    library = fp.library()
    u = getattr(ufuncs, name)
    tensors = arguments_of(getattr(fastact, name), np.float32)
    flags = 0x3f if fp.machine == "x86_64" else 0x9f << 32
    for operands in (tensors, [t[:, ::-2] for t in tensors], [t.astype(np.float16) for t in tensors]):
        whole = u(*operands)
        before = library.fp_get()
        for mode, word in fp.MODES.items():
            library.fp_set(word)
            try:
                got = u(*operands)
                after = library.fp_get()
            finally:
                library.fp_set(before)
            assert after & ~flags == word & ~flags, mode
            assert_same_bits(got, whole, f"{mode}, {operands[0].dtype}")


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses(name: str, reduction: str, dtype: np.dtype) -> None:
    function, with_grad = getattr(fastact, name), getattr(fastact, f"{name}_with_grad")
    tensors = arguments_of(function, dtype)
    check(lambda: function(*tensors, reduction=reduction), "loss")
    check(lambda: with_grad(*tensors, reduction=reduction), "loss and gradient")
    halves = [t.astype(np.float16) if t.dtype.kind == "f" else t for t in tensors]
    check(lambda: function(*halves, reduction=reduction), "float16")
    shape = np.shape(function(*tensors, reduction="none"))
    weights = np.random.default_rng(1).uniform(0.1, 3, shape).astype(dtype)
    check(lambda: with_grad(*tensors, reduction=reduction, sample_weight=weights), "sample_weight")


@pytest.mark.parametrize("name", METRICS)
def test_metrics(name: str, dtype: np.dtype) -> None:
    function = getattr(fastact.metrics, name)
    tensors = arguments_of(function, dtype)
    check(lambda: function(*tensors), "metric")


@pytest.mark.parametrize("name", [*ROWS, *LOSSES])
def test_finite_inputs_raise_no_flags(name: str, dtype: np.dtype) -> None:
    function = getattr(fastact, name)
    tensors = arguments_of(function, dtype)
    gradient = getattr(fastact, f"{name}_with_grad", function)
    with fp.modes(fp.WORDS[fp.machine]["default"]), np.errstate(all="raise"):
        function(*tensors)
        gradient(*tensors)
        function(*(t[::-1] for t in tensors))
