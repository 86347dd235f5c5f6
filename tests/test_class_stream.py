"""Gradients of classification losses that are stored past the caches: the bits of those that are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastact
from fastact import _kernels

DTYPES = [np.float32, np.float64]
GUARD = 64
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {}, "smoothing": {"label_smoothing": 0.1}, "temperature": {"temperature": 3.0}, "where": {"where": True},
    "weight": {"weight": True}, "ignored": {"ignore_index": 2}, "none": {"reduction": "none"},
    "all": {"label_smoothing": 0.1, "temperature": 0.5, "where": True, "weight": True, "ignore_index": 2},
}
LOSSES = {"cross_entropy_with_grad": OPTIONS, "focal_loss_with_grad": {"gamma": {"gamma": 2.0}},
          "nll_loss_with_grad": {key: OPTIONS[key] for key in ("plain", "smoothing", "weight", "ignored")},
          "distillation_loss_with_grad": {key: OPTIONS[key] for key in ("plain", "temperature", "where")}}
CASES = [(name, key) for name, options in LOSSES.items() for key in options]


def made(name: str, key: str, shape: tuple[int, ...], axis: int, dtype: Any) -> tuple[np.ndarray, Any, dict[str, Any]]:
    """Logits, target and options; label 2 is frequent, so that rows are left out one after another."""
    rng = np.random.default_rng(shape[axis])
    x = rng.normal(0, 3, shape).astype(dtype)
    labels = rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    labels[rng.random(labels.shape) < 0.4] = 2
    options = dict(LOSSES[name][key], axis=axis)
    if "weight" in options:
        options["weight"] = rng.uniform(0, 2, shape[axis]).astype(dtype)
    if "where" in options:
        options["where"] = rng.random(shape) < 0.8
        options["where"][(slice(None),) * axis + (2,)] = True
    return x, rng.normal(0, 3, shape).astype(dtype) if "distill" in name else labels, options


def gradient(
    name: str, x: np.ndarray, target: Any, options: dict[str, Any], past: bool, start: int
) -> tuple[Any, np.ndarray]:
    """The loss and the gradient, in memory `start` elements behind a line's begin that nothing else writes to."""
    _kernels.set_last_level_cache(int(past))
    memory = np.full(x.size + 2 * GUARD, 7, x.dtype)
    first = (-memory.ctypes.data % 64) // x.itemsize + start
    loss, grad = getattr(fastact, name)(x, target, **options, grad_out=memory[first : first + x.size].reshape(x.shape))
    assert (memory[:first] == 7).all(), "wrote before the gradient"
    assert (memory[first + x.size :] == 7).all(), "wrote behind the gradient"
    return loss, grad


def check(name: str, key: str, shape: tuple[int, ...], axis: int, dtype: Any, start: int) -> None:
    x, target, options = made(name, key, shape, axis, dtype)
    loss, grad = gradient(name, x, target, options, False, 0)
    for threads in (1, 2, 3):
        with fastact.threads(threads):
            got, past = gradient(name, x, target, options, True, start)
        np.testing.assert_array_equal(got, loss)
        np.testing.assert_array_equal(past, grad)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "key"), CASES)
def test_long_rows(name: str, key: str, dtype: Any, isa: str) -> None:
    for classes, start in ((2049, 3), (4096, 0), (5000, 1), (8191, 5)):
        check(name, key, (5, classes), 1, dtype, start)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_length_and_alignment(dtype: Any, isa: str) -> None:
    lanes = 64 // np.dtype(dtype).itemsize
    for name in ("cross_entropy_with_grad", "nll_loss_with_grad"):
        for start in range(lanes):
            for more in (0, 1, lanes - start, lanes, 2 * lanes + 1):
                check(name, "plain", (3, 3072 + more), 1, dtype, start)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "key"), CASES)
def test_columns(name: str, key: str, dtype: Any, isa: str) -> None:
    for shape, start in (((2, 5, 333), 1), ((1, 600, 70), 0), ((3, 21, 9, 16), 7)):
        check(name, key, shape, 1, dtype, start)


def test_rows_longer_than_scratch_and_in_place() -> None:
    check("cross_entropy_with_grad", "plain", (2, 2**17 + 5), 1, np.float32, 3)
    x, target, options = made("cross_entropy_with_grad", "plain", (5, 5000), 1, np.float32)
    loss, grad = gradient("cross_entropy_with_grad", x, target, options, False, 0)
    _kernels.set_last_level_cache(1)
    assert fastact.cross_entropy_with_grad(x, target, **options, grad_out=x)[0] == loss
    np.testing.assert_array_equal(x, grad)
