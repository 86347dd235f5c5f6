"""The arrays every library gets: the same in each process, because each makes them from the same seed.

One rule per name: a case says which names its function takes, this module says what is in them. Random values are
N(0, 2^2), so that an activation meets its linear part, its bend and its tail.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np

SEED = 20260
SPREAD = 2.0


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng([SEED, zlib.crc32(name.encode())])


@lru_cache(maxsize=6)  # the cases of one size follow each other: x and dy are made once for all of them
def _normal(name: str, size: int, dtype: str) -> np.ndarray:
    values = _generator(name).standard_normal(size, dtype=np.dtype(dtype))
    values *= values.dtype.type(SPREAD)
    return values


def normal(name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """N(0, 2^2), the same values for the same name and size in every process."""
    return _normal(name, int(np.prod(shape)), dtype).reshape(shape)


def labels(name: str, shape: tuple[int, ...], classes: int) -> np.ndarray:
    return _generator(name).integers(0, classes, shape)


def make(case) -> dict[str, np.ndarray]:
    """The inputs of one case by name, in the dtype of the case (labels are int64)."""
    return {name: _make_one(case, name) for name in case.inputs}


def _make_one(case, name: str) -> np.ndarray:
    import agreement  # late: it needs the peers' formulas, and most inputs do not need it

    shape, dtype = case.shape, case.dtype
    if name == "y":  # the saved output that a gradient reads
        return agreement.saved_output(case, normal("x", shape, dtype))
    if name == "x2":  # glu: both halves side by side
        return normal(name, (shape[0], 2 * shape[1]), dtype)
    if name == "alpha":
        return np.full(1, 0.25, dtype)  # PyTorch's start value of PReLU
    if case.function == "linear_softmax" or case.op in ("linear_cross_entropy", "large_margin_softmax_loss"):
        samples, features, classes = shape
        if name == "linear_weight":  # logits of about N(0, 4.5^2), as a trained head gives
            return normal(name, (classes, features), dtype) * np.asarray(0.05, dtype)
        return labels(name, (samples,), classes) if name == "target" else normal(name, (samples, features), dtype)
    if case.family == "metrics" and case.op in ("accuracy_score", "log_loss"):
        return _classification(case, name)
    if case.op == "zero_one_loss":
        return labels(name, shape, 10)
    if name == "target" and case.op in ("cross_entropy", "nll_loss", "focal_loss"):
        return labels(name, shape[:-1], shape[-1])
    if name in ("p", "q"):
        return _probabilities(normal(name, shape, dtype))
    if name == "log_probs":
        return np.log(_probabilities(normal("logits", shape, dtype)))
    if name == "target" and case.op == "hinge_loss":
        return 2 * labels(name, shape, 2).astype(dtype) - 1
    if name == "target" and case.op.startswith(("binary_cross_entropy", "sigmoid_focal")):
        return labels(name, shape, 2).astype(dtype)
    if name == "probs":
        return 1 / (1 + np.exp(-normal("logits", shape, dtype)))
    return normal(name, shape, dtype)


def _classification(case, name: str) -> np.ndarray:
    if case.op == "accuracy_score":
        return labels(name, case.shape, 10)
    if name == "y_true":
        return labels(name, case.shape[:1], case.shape[1])
    return _probabilities(normal(name, case.shape, case.dtype))


def _probabilities(scores: np.ndarray) -> np.ndarray:
    values = np.exp(scores)
    return values / values.sum(axis=-1, keepdims=True)
