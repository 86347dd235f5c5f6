"""Comparing labels: what zero_one_loss and accuracy_score share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastact import _kernels
from fastact._dispatch import as_floats, as_operand
from fastact._reduction import check_weight


def comparable(labels: NDArray[Any], other: NDArray[Any], wide: bool) -> tuple[int, NDArray[Any], NDArray[Any]]:
    """The kernel that compares two arrays of labels, and both flat as it takes them: float32 or float64 (if `wide`).

    Integers are compared by their bits, in the shape of the floating-point numbers of their width.
    """
    common = np.result_type(labels, other)
    if common.kind == "f":
        width = np.dtype(np.float64 if wide or not np.can_cast(common, np.float32) else np.float32)
        a, b = (as_floats("", "", x, width).ravel() for x in (labels, other))
        return _kernels.LOSS_ID["unequal"], a, b
    narrow = not wide and np.can_cast(common, np.int32)
    integer: Any = np.int32 if narrow else np.uint64 if common == np.uint64 else np.int64
    a, b = (np.require(x, integer, "A").ravel().view(np.float32 if narrow else np.float64) for x in (labels, other))
    return _kernels.LOSS_ID["unequal_bits"], a, b


def compare(
    labels: NDArray[Any], other: NDArray[Any], weight: NDArray[Any] | None, each: NDArray[Any] | None = None
) -> tuple[float, float]:
    """(weight of the unequal pairs, total weight); `each` (of float64) is filled with the weighted ones and zeros."""
    kernel, a, b = comparable(labels, other, wide=weight is not None or each is not None)
    sums = _kernels.loss_sums(kernel, a.size, (a, b), None if weight is None else weight.ravel(), (), each)[0]
    return float(sums[0]), a.size if weight is None else float(sums[1])


def mismatches(
    name: str, first: tuple[str, ArrayLike], second: tuple[str, ArrayLike], sample_weight: ArrayLike | None
) -> tuple[float, float]:
    """(weight of the samples with unequal labels, total weight), for labels of shape (n,) or (n, labels)."""
    a, b = (np.asarray(as_operand(name, argument, y)) for argument, y in (first, second))
    if a.ndim == 2 and a.shape[1] == 1:
        a = a[:, 0]
    if b.ndim == 2 and b.shape[1] == 1:
        b = b[:, 0]
    if a.shape != b.shape or a.ndim not in (1, 2) or not len(a):
        raise ValueError(
            f"{name}: {first[0]} has shape {a.shape}, {second[0]} {b.shape}, expected equal shapes (n,) or (n, labels)"
            " with n >= 1"
        )
    weight = None
    if sample_weight is not None:
        weight = check_weight(name, "sample_weight", sample_weight, (len(a),), np.dtype(np.float64))
    if a.ndim == 2:
        a, b = (a == b).all(axis=1), np.ones(len(a), np.bool_)
    return compare(a, b, weight)
