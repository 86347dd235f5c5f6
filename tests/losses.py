"""What the tests of the pointwise losses share: each loss with parameters, targets and a plain float64 reference.

The list is `fastact._kernels.LOSSES`; a loss without a line in CASES fails test_every_loss_has_a_case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import fastact
from fastact import _kernels

Array = np.ndarray


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def expit(x: Array) -> Array:
    return np.exp(-softplus(-x))


def log_cosh(z: Array) -> Array:
    """By log1p and expm1 below 1, where |z| - log 2 + log1p(exp(-2|z|)) cancels."""
    t = np.expm1(-np.abs(z))
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.log1p(t * t / (2 * (1 + t)))
    return np.where(np.abs(z) < 1, near, np.abs(z) - np.log(2) + np.log1p(np.exp(-2 * np.abs(z))))


def focal(x: Array, t: Array, alpha: float | None, gamma: float) -> Array:
    p = expit(x)
    q = p * (1 - t) + expit(-x) * t
    weight = 1.0 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
    return weight * q**gamma * (t * softplus(-x) + (1 - t) * softplus(x))


@dataclass(frozen=True)
class Case:
    """One loss with its options."""

    name: str
    reference: Callable[..., Array]
    options: dict[str, Any] = field(default_factory=dict)
    preds: str = "real"                 # real numbers, or probabilities
    targets: str = "real"               # real numbers, probabilities, labels (0 and 1) or signs
    ulp: float = 1                      # of an element, in float32 and float64 units

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.options.items())})"

    @property
    def loss(self) -> Callable[..., Any]:
        return lambda *args, **options: getattr(fastact, self.name)(*args, **self.options, **options)

    @property
    def with_grad(self) -> Callable[..., Any]:
        return lambda *args, **options: getattr(fastact, f"{self.name}_with_grad")(*args, **self.options, **options)

    def inputs(self, shape: Any, dtype: Any, seed: int = 0) -> tuple[Array, Array]:
        rng = np.random.default_rng(seed)
        pred = rng.uniform(0.02, 0.98, shape) if self.preds == "probabilities" else rng.normal(0, 2, shape)
        target = {
            "real": lambda: rng.normal(0, 2, shape),
            "probabilities": lambda: rng.uniform(0, 1, shape),
            "labels": lambda: rng.integers(0, 2, shape),
            "signs": lambda: 2 * rng.integers(0, 2, shape) - 1,
        }[self.targets]()
        return np.asarray(pred, dtype), np.asarray(target, dtype)

    def exact(self, pred: Array, target: Array) -> Array:
        """The losses in long double."""
        return self.reference(pred.astype(np.longdouble), target.astype(np.longdouble), **self.options)


def bce(p: Array, t: Array) -> Array:
    return -(t * np.log(p) + (1 - t) * np.log1p(-p))


def logits(x: Array, t: Array, pos_weight: float = 1.0) -> Array:
    return pos_weight * t * softplus(-x) + (1 - t) * softplus(x)


def huber(x: Array, y: Array, delta: float) -> Array:
    return np.where(abs(x - y) <= delta, (x - y) ** 2 / 2, delta * (abs(x - y) - delta / 2))


def smooth_l1(x: Array, y: Array, beta: float) -> Array:
    return abs(x - y) if beta == 0 else huber(x, y, beta) / beta


CASES = [
    Case("l1_loss", lambda x, y: abs(x - y)),
    Case("mse_loss", lambda x, y: (x - y) ** 2, ulp=1.5),
    Case("huber_loss", huber, {"delta": 1.0}, ulp=2),
    Case("huber_loss", huber, {"delta": 0.3}, ulp=2),
    Case("smooth_l1_loss", smooth_l1, {"beta": 1.0}, ulp=2),
    Case("smooth_l1_loss", smooth_l1, {"beta": 0.3}, ulp=3),
    Case("smooth_l1_loss", smooth_l1, {"beta": 0}),
    Case("quantile_loss", lambda x, y, q: np.maximum(q * (y - x), (q - 1) * (y - x)), {"q": 0.5}),
    Case("quantile_loss", lambda x, y, q: np.maximum(q * (y - x), (q - 1) * (y - x)), {"q": 0.9}, ulp=2),
    Case("log_cosh_loss", lambda x, y: log_cosh(x - y), ulp=3),
    Case("hinge_loss", lambda x, t: np.maximum(0, 1 - t * x), targets="signs"),
    Case("binary_cross_entropy", bce, preds="probabilities", targets="labels", ulp=2),
    Case("binary_cross_entropy", bce, preds="probabilities", targets="probabilities", ulp=4),
    Case("binary_cross_entropy_with_logits", logits, targets="labels", ulp=3),
    Case("binary_cross_entropy_with_logits", logits, {"pos_weight": 3.0}, targets="labels", ulp=4),
    Case("binary_cross_entropy_with_logits", logits, targets="probabilities", ulp=4),
    Case("sigmoid_focal_loss", focal, {"alpha": 0.25, "gamma": 2.0}, targets="labels", ulp=40),
    Case("sigmoid_focal_loss", focal, {"alpha": None, "gamma": 0.5}, targets="labels", ulp=16),
    Case("sigmoid_focal_loss", focal, {"alpha": 0.75, "gamma": 0}, targets="labels", ulp=6),
    Case("sigmoid_focal_loss", focal, {"alpha": 0.4, "gamma": 1.5}, targets="probabilities", ulp=40),
]
each_case = pytest.mark.parametrize("case", CASES, ids=str)
LOSSES = [loss["name"] for loss in _kernels.LOSSES if loss["differentiable"]]
