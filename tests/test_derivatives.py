"""One test of every function of fastact that has a gradient, found by its name: `<f>_grad` and `<f>_with_grad`.

Derivatives are taken numerically in float64. A new function is tested as soon as it is public, with its defaults and
with all its options at once. A number gets a value from its default; another option without one fails the test.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from helpers import tuple_of

import fastact

Array = np.ndarray
N, CLASSES = 4, 6
STEP = 2e-3
# Sixth-order first derivative at spacing 1. The truncation error is below 1e-10 of the slope here, rounding 1e-12.
WEIGHTS = {-3: -1 / 60, -2: 9 / 60, -1: -45 / 60, 1: 45 / 60, 2: -9 / 60, 3: 1 / 60}
GRADIENTS = sorted(name for name in fastact.__all__ if name.endswith("_grad"))
NOT_OF_THE_FORMULA = {"out", "grad_out", "options", "kwargs", "block_bytes"}


def off_grid(rng: np.random.Generator, shape: Any, span: int = 12) -> Array:
    """Numbers 0.09 above a multiple of 1/4: differences to such multiples stay 0.06 and more off every kink here."""
    return rng.integers(-span, span, shape) / 4 + 0.09


def on_grid(rng: np.random.Generator, shape: Any, span: int = 12) -> Array:
    return rng.integers(-span, span, shape) / 4.0


def tensors(name: str, axis: int) -> dict[str, Any]:
    """What the parameters without a default may be called, for a function of this name."""
    rng = np.random.default_rng(7)
    shape = (N, CLASSES) if axis == -1 else (CLASSES, N)
    x = off_grid(rng, shape)
    probabilities = fastact.softmax(x / 4, axis=axis)
    # linear_weight: no angle to its target is within 0.1 of a kink of L-softmax with margin 3 or 4
    found: dict[str, Any] = {
        "x": x, "logits": x, "pred": x, "scores": x, "gate": x, "student_logits": x, "dy": rng.normal(size=shape),
        "up": off_grid(rng, shape), "teacher_logits": off_grid(rng, shape), "alpha": np.array(0.25),
        "probs": probabilities, "log_probs": np.log(probabilities),
        "linear_weight": off_grid(np.random.default_rng(4), (3, CLASSES), 4),
        "target": rng.integers(0, 3, N),
    }
    if name.startswith(("binary", "sigmoid_focal")):
        found["target"] = rng.random(shape)
    elif name.startswith("hinge"):
        found["target"] = 2 * rng.integers(0, 2, shape) - 1
    elif "pred" in inspect.signature(getattr(fastact, name)).parameters:
        found["target"] = on_grid(rng, shape)
    return found


def options_of(name: str, given: dict[str, Any], axis: int) -> dict[str, Any]:
    """A value for every option of the function, none its default."""
    rng = np.random.default_rng(8)
    parameters = inspect.signature(getattr(fastact, name)).parameters
    samples, labels = (N,), given["target"]
    pointwise = "pred" in parameters or name.startswith(("binary", "sigmoid_focal", "hinge"))
    classes = given["linear_weight"].shape[0] if "linear_weight" in parameters else CLASSES
    mask = rng.random((N, CLASSES)) < 0.7
    if not pointwise:
        mask[np.arange(N), labels] = True
    values: dict[str, Any] = {
        "axis": axis, "alpha": 0.75, "approximate": "tanh", "q": 0.25, "margin": 3, "lambda_": 0.5,
        "label_smoothing": 0.125, "ignore_index": 1, "reduction": "sum",
        "weight": rng.uniform(0.5, 2, classes), "pos_weight": rng.uniform(0.5, 2, given["x"].shape[-1]),
        "sample_weight": rng.uniform(0.5, 2, given["x"].shape if pointwise else samples),
        "linear_bias": off_grid(rng, classes, 4), "where": mask if axis == -1 else mask.T,
    }
    numbers = {p.name: another(p.default) for p in parameters.values() if isinstance(p.default, float)}
    values = numbers | values
    return {p: values[p] for p in parameters if p in values and p not in required(name)}


def another(default: float) -> float:
    """A number beside the default of an option: on the same side of 0, a quarter further out."""
    return 1.25 * default or 0.25


def required(name: str) -> list[str]:
    kinds = inspect.signature(getattr(fastact, name)).parameters.values()
    return [p.name for p in kinds if p.default is p.empty and p.kind is not p.VAR_KEYWORD]


def calls(name: str) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(id, tensors, options): the defaults; all options at once; each reduction; what excludes other options."""
    parameters = inspect.signature(getattr(fastact, name)).parameters
    axes = (-1, 0) if "axis" in parameters else (-1,)
    found = []
    for axis in axes:
        given = tensors(name, axis)
        everything = options_of(name, given, axis)
        only_axis = {"axis": axis} if "axis" in parameters else {}
        found.append((f"axis {axis}, defaults", given, only_axis))
        found.append((f"axis {axis}, all options", given, everything))
        if "reduction" in parameters:
            for kind in ("mean", "none"):
                found += [(f"axis {axis}, all options, {kind}", given, everything | {"reduction": kind})]
        if takes_probabilities(name):
            dense = {k: v for k, v in everything.items() if k != "ignore_index"}
            target = fastact.softmax(off_grid(np.random.default_rng(3), given["logits"].shape), axis=axis)
            if "where" in dense:
                target = np.where(dense["where"], target, 0)
            found.append((f"axis {axis}, probabilities", given | {"target": target}, dense))
        if "from_logits" in parameters:
            plain = {k: v for k, v in everything.items() if k not in ("temperature", "where")} | {"from_logits": False}
            found.append((f"axis {axis}, not from logits", given | {"logits": given["probs"]}, plain))
    return found


def takes_probabilities(name: str) -> bool:
    return name.startswith("cross_entropy")


def derivative(f: Callable[[Array], float], x: Array) -> Array:
    """Of a function with a scalar value, with respect to each element of x."""
    slope = np.empty(x.shape)
    for place in np.ndindex(x.shape):
        total = 0.0
        for steps, weight in WEIGHTS.items():
            moved = x.copy()
            moved[place] += steps * STEP
            total += weight * f(moved)
        slope[place] = total / STEP
    return slope


def assert_is_derivative(gradient: Any, f: Callable[[Array], float], x: Array, what: str) -> None:
    assert np.shape(gradient) == x.shape, what
    wanted = derivative(f, x)
    assert np.abs(wanted).max() > 1e-3, f"{what}: nothing to see"
    np.testing.assert_allclose(gradient, wanted, rtol=1e-8, atol=1e-9, err_msg=what)


def weighed(f: Callable[[Array], Array], dy: Any, x: Array) -> float:
    return float(np.sum(dy * f(x)))


@pytest.mark.parametrize("name", [name for name in GRADIENTS if not name.endswith("_with_grad")])
def test_grad(name: str) -> None:
    """f_grad(dy, ...) is the derivative of sum(dy * f(...)) for every tensor of f."""
    function, gradient = getattr(fastact, name.removesuffix("_grad")), getattr(fastact, name)
    operands = required(function.__name__)
    for what, given, options in calls(name):
        inputs = [given[p] for p in operands]
        dy = given["dy"]
        y = function(*inputs, **options)
        if y.shape != dy.shape:                  # glu halves its input
            dy = np.random.default_rng(1).normal(size=y.shape)
        saved = [y if p == "y" else given[p] for p in required(name)[1:]]
        got = tuple_of(gradient(dy, *saved, **options))
        assert len(got) == len(inputs)
        for k, dx in enumerate(got):
            before, after = inputs[:k], inputs[k + 1 :]
            value = partial(weighed, lambda x, f=function, o=options, b=before, a=after: f(*b, x, *a, **o), dy)
            assert_is_derivative(dx, value, inputs[k], f"{name}, {what}, {operands[k]}")


@pytest.mark.parametrize("name", [name for name in GRADIENTS if name.endswith("_with_grad")])
def test_with_grad(name: str) -> None:
    """<loss>_with_grad gives the loss, and its derivative for each tensor that has one ("none": of the sum)."""
    function, with_grad = getattr(fastact, name.removesuffix("_with_grad")), getattr(fastact, name)
    operands = required(function.__name__)
    for what, given, options in calls(name):
        tensors = {p: given[p] for p in operands}
        loss, *gradients = with_grad(**tensors, **options)
        np.testing.assert_array_equal(loss, function(**tensors, **options), err_msg=what)
        of = [p for p in [*operands, "linear_bias"] if p != "target"]
        for p, gradient in zip(of, gradients, strict=False):
            if p == "linear_bias" and p not in options:
                assert gradient is None
                continue
            everything = tensors | options
            value = partial(weighed, lambda x, f=function, e=everything, p=p: f(**(e | {p: x})), 1.0)
            assert_is_derivative(gradient, value, everything[p], f"{name}, {what}, {p}")


def test_every_option_has_a_value() -> None:
    """So that none is left out of these tests in silence."""
    for name in GRADIENTS:
        given = tensors(name, -1)
        parameters = set(inspect.signature(getattr(fastact, name)).parameters) - set(required(name))
        known = options_of(name, given, -1).keys() | {"from_logits"} | NOT_OF_THE_FORMULA
        assert parameters <= known, f"{name}: {parameters - known}"


def test_a_wrong_gradient_is_seen() -> None:
    x = off_grid(np.random.default_rng(0), (2, 3))
    with pytest.raises(AssertionError):
        assert_is_derivative(fastact.tanh_grad(np.ones_like(x), x), lambda z: float(fastact.tanh(z).sum()), x, "")
