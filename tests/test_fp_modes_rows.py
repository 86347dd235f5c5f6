"""Floating-point modes and flags around the functions of rows, the losses and the metrics: as in test_fp_modes.py."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import fp
import numpy as np
import pytest
from helpers import assert_same_bits, tuple_of

import fastact
import fastact.metrics
from fastact import _kernels, ufuncs

ROWS = sorted(name for name, u in _kernels.UFUNCS.items() if u.signature is not None)
LOSSES = sorted(name for name in fastact.__all__ if f"{name}_with_grad" in fastact.__all__)
METRICS = sorted(fastact.metrics.__all__)
BINARY = ("binary_", "sigmoid_")            # losses of independent probabilities: targets have the shape of the scores


def tensors_of(function: Callable[..., Any], dtype: Any) -> list[np.ndarray]:
    """Arguments for the parameters without a default, by the names that the contract gives them."""
    rng = np.random.default_rng(9)
    name = function.__name__
    values = (rng.normal(0, 5, (6, 37)) * np.where(rng.random((6, 37)) < 0.1, 1e-39, 1)).astype(dtype)
    probabilities = fastact.softmax(values)
    known = {
        "logits": values, "student_logits": values, "teacher_logits": values[::-1].copy(), "pred": values, "x": values,
        "scores": values, "log_probs": np.log(probabilities), "probs": probabilities, "p": probabilities,
        "q": probabilities[::-1].copy(), "linear_weight": rng.normal(0, 1, (5, 37)).astype(dtype), "y": probabilities,
        "dy": rng.normal(0, 1, (6, 37)).astype(dtype), "y_true": values.ravel(), "y_pred": values[::-1].ravel(),
    }
    required = [p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    if name.startswith(BINARY):
        known["target"] = (values > 0).astype(dtype)
        known["probs"] = fastact.sigmoid(values)
    elif name.startswith("hinge"):
        known["target"] = np.where(values > 1, 1, -1).astype(dtype)
    elif {"logits", "log_probs", "linear_weight", "probs"} & set(required):
        known["target"] = rng.integers(0, 5, 6)
    else:
        known["target"] = values[::-1] + values
    if name == "log_loss":
        known["y_true"], known["y_proba"] = np.arange(6), fastact.softmax(values[:, :6])
    elif name == "accuracy_score":
        known["y_true"], known["y_pred"] = rng.integers(0, 3, 6), rng.integers(0, 3, 6)
    return [known[p] for p in required]


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
    tensors = tensors_of(function, dtype)
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
    tensors = tensors_of(getattr(fastact, name), np.float32)
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
    tensors = tensors_of(function, dtype)
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
    tensors = tensors_of(function, dtype)
    check(lambda: function(*tensors), "metric")


@pytest.mark.parametrize("name", [*ROWS, *LOSSES])
def test_finite_inputs_raise_no_flags(name: str, dtype: np.dtype) -> None:
    function = getattr(fastact, name)
    tensors = tensors_of(function, dtype)
    gradient = getattr(fastact, f"{name}_with_grad", function)
    with fp.modes(fp.WORDS[fp.machine]["default"]), np.errstate(all="raise"):
        function(*tensors)
        gradient(*tensors)
        function(*(t[::-1] for t in tensors))
