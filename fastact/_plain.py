"""The demo's yardstick: activations and losses as one writes them in plain NumPy, without fastact.

Each activation is a pair f(x) and f'(x, y), with y = f(x). They are the textbook's lines, so they may overflow or lose
digits where fastact does not. An activation that is missing here trains all the same; only its comparison is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any  # an ndarray; NumPy's arithmetic is typed as Any
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848, 1.0507009873554804934  # Klambauer et al. 2017
_TANH_GELU = 0.7978845608028654  # sqrt(2 / pi), Hendrycks and Gimpel 2016


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _phi(x: Array) -> Array:
    from scipy.special import erf  # NumPy has no erf; SciPy comes with scikit-learn

    return 0.5 * (1 + erf(x * np.float32(0.5**0.5)))


def _gelu_inner(x: Array) -> Array:
    return np.tanh(_TANH_GELU * (x + 0.044715 * x * x * x))


def _gelu_tanh_d(x: Array, _: Array) -> Array:
    t = _gelu_inner(x)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * _TANH_GELU * (1 + 3 * 0.044715 * x * x)


def _mish_d(x: Array, _: Array) -> Array:
    t = np.tanh(np.log1p(np.exp(x)))
    return t + x * (1 - t * t) * _sigmoid(x)


def _hard_sigmoid(x: Array) -> Array:
    return np.clip(x + 3, 0, 6) / 6


def _hard_swish_d(x: Array, _: Array) -> Array:
    return np.where(x <= -3, 0, np.where(x < 3, (2 * x + 3) / 6, 1))


ACTIVATIONS: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "relu": (lambda x: np.maximum(x, 0), lambda x, y: x > 0),
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x, y: (x > 0) & (x < 6)),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x, y: np.where(x > 0, 1, x.dtype.type(0.01))),
    "prelu": (lambda x, alpha: np.where(x > 0, x, alpha * x), lambda x, y, alpha: np.where(x > 0, 1, alpha)),
    "elu": (lambda x: np.where(x > 0, x, np.exp(x) - 1), lambda x, y: np.where(x > 0, 1, y + 1)),
    "celu": (lambda x: np.where(x > 0, x, np.exp(x) - 1), lambda x, y: np.where(x > 0, 1, y + 1)),
    "selu": (
        lambda x: _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * (np.exp(x) - 1)),
        lambda x, y: np.where(x > 0, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA),
    ),
    "sigmoid": (_sigmoid, lambda x, y: y * (1 - y)),
    "log_sigmoid": (lambda x: -np.log1p(np.exp(-x)), lambda x, y: _sigmoid(-x)),
    "hard_sigmoid": (_hard_sigmoid, lambda x, y: (np.abs(x) < 3) * x.dtype.type(1 / 6)),
    "hard_swish": (lambda x: x * _hard_sigmoid(x), _hard_swish_d),
    "tanh": (np.tanh, lambda x, y: 1 - y * y),
    "hard_tanh": (lambda x: np.clip(x, -1, 1), lambda x, y: np.abs(x) < 1),
    "softplus": (lambda x: np.log1p(np.exp(x)), lambda x, y: _sigmoid(x)),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x, y: (1 - np.abs(y)) ** 2),
    "squareplus": (lambda x: (x + np.sqrt(x * x + 4)) / 2, lambda x, y: (1 + x / np.sqrt(x * x + 4)) / 2),
    "silu": (lambda x: x * _sigmoid(x), lambda x, y: _sigmoid(x) * (1 + x - y)),
    "mish": (lambda x: x * np.tanh(np.log1p(np.exp(x))), _mish_d),
    "gelu": (lambda x: x * _phi(x), lambda x, y: _phi(x) + x * np.exp(-0.5 * x * x) * (0.5 * _TANH_GELU)),
    "gelu_tanh": (lambda x: 0.5 * x * (1 + _gelu_inner(x)), _gelu_tanh_d),
    "tanh_shrink": (lambda x: x - np.tanh(x), lambda x, y: np.tanh(x) ** 2),
    "soft_shrink": (lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0), lambda x, y: np.abs(x) > 0.5),
    "hard_shrink": (lambda x: np.where(np.abs(x) > 0.5, x, 0), lambda x, y: np.abs(x) > 0.5),
}


def softmax(logits: Array) -> Array:
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits: Array, target: Array) -> tuple[float, Array]:
    grad = softmax(logits)
    rows = np.arange(len(target))
    loss = -np.log(grad[rows, target]).mean()
    grad[rows, target] -= 1
    return loss, grad / len(target)


def focal(logits: Array, target: Array, gamma: float = 2.0) -> tuple[float, Array]:
    p = softmax(logits)
    rows = np.arange(len(target))
    pt = p[rows, target]
    q, logp = 1 - pt, np.log(pt)
    grad = p * (q**gamma - gamma * q ** (gamma - 1) * pt * logp)[:, None]
    grad[rows, target] = q**gamma * (gamma * pt * logp - q)
    return -(q**gamma * logp).mean(), grad / len(target)


def distillation(student: Array, teacher: Array, temperature: float) -> tuple[float, Array]:
    p, q = softmax(student / temperature), softmax(teacher / temperature)
    loss = temperature**2 * (q * (np.log(q) - np.log(p))).sum(axis=-1).mean()
    return loss, temperature * (p - q) / len(student)
