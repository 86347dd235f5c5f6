"""What all losses share: the meaning of ``reduction`` and ``sample_weight``."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastact import _kernels
from fastact._dispatch import as_floats, as_operand, check_choice

Reduction = Literal["mean", "sum", "none"]


def check_reduction(name: str, reduction: str) -> None:
    """Raises ValueError unless `reduction` is one of the three words."""
    check_choice(name, "reduction", reduction, ("mean", "sum", "none"))


def check_weight(
    name: str, argument: str, value: ArrayLike, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """`value` as an array of this shape and dtype, whose elements are finite and not negative."""
    array = as_floats(name, argument, as_operand(name, argument, value), dtype)
    if array.shape != shape:
        raise ValueError(f"{name}: {argument} has shape {array.shape}, expected {shape}")
    check_nonnegative(name, argument, array)
    return array


def check_nonnegative(name: str, argument: str, array: NDArray[Any]) -> None:
    """Raises ValueError unless all elements are finite and >= 0."""
    if array.size and not (array.min() >= 0 and array.max() < np.inf):
        bad = np.argmin(np.ravel((array >= 0) & (array < np.inf)))
        position = ", ".join(map(str, np.unravel_index(bad, array.shape)))
        where = f"{argument}[{position}]" if array.ndim else argument
        raise ValueError(f"{name}: {where} is {array.flat[bad]}, expected a finite number >= 0")


def reduced(total: float, divisor: float, reduction: str, dtype: np.dtype[Any]) -> Any:
    """The loss as a NumPy scalar: `total`, over `divisor` for "mean" (nan without a warning if that is 0)."""
    return _kernels.reduced(total, divisor if reduction == "mean" else 1.0, dtype == np.float32)


def gradient_scale(divisor: float, reduction: str) -> float:
    """What multiplies each sample's gradient; 0 if a mean has nothing to divide by."""
    return _kernels.gradient_scale(divisor) if reduction == "mean" else 1.0
