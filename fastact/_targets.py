"""What the metrics share: checking targets as scikit-learn does, and averaging over outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastact import _kernels
from fastact._dispatch import as_floats, as_operand, result_dtype
from fastact._pointwise import loss
from fastact._reduction import check_weight

_SORTED = 2**15             # from here on counting is faster than np.partition


class Targets:
    """The validated (n, outputs) arrays of one call, of float32 or float64."""

    def __init__(
        self, name: str, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None,
        multioutput: Any = "uniform_average", words: tuple[str, ...] = ("raw_values", "uniform_average"),
    ) -> None:
        self.name = name
        if is_plain(y_true) and is_plain(y_pred) and y_true.dtype == y_pred.dtype:  # type: ignore[union-attr]
            given: Any = y_true, y_pred
            self.dtype = given[0].dtype
            self.y_true, self.y_pred = given[0][:, np.newaxis], given[1][:, np.newaxis]
        else:
            arguments = ("y_true", y_true), ("y_pred", y_pred)
            given = [np.asarray(as_operand(name, argument, y)) for argument, y in arguments]
            common = result_dtype(np.result_type(*given))
            self.dtype = np.dtype(np.float32) if common == np.float16 else common
            self.y_true, self.y_pred = (
                columns(name, argument, as_floats(name, argument, y, self.dtype))
                for argument, y in zip(("y_true", "y_pred"), given, strict=True)
            )
        if self.y_true.shape != self.y_pred.shape:
            raise ValueError(f"{name}: y_pred has shape {given[1].shape}, expected {given[0].shape} (that of y_true)")
        self.n, self.outputs = self.y_true.shape
        self.weight = None
        if sample_weight is not None:
            self.weight = check_weight(name, "sample_weight", sample_weight, (self.n,), self.dtype)
            if not self.weight.any():
                raise ZeroDivisionError(f"{name}: the weights of sample_weight sum to zero")
        self.multioutput = output_weights(name, multioutput, self.outputs, words)

    @property
    def tensors(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """y_pred and y_true as the kernels take them: flat if there is one output."""
        if self.outputs == 1:
            return self.y_pred[:, 0], self.y_true[:, 0]
        return self.y_pred, self.y_true

    def means(self, kernel: str, params: tuple[float, ...] = ()) -> NDArray[Any]:
        """The (weighted) mean of a loss of ops.def for each output, in float64."""
        sums = _kernels.loss_sums(_kernels.LOSS_ID[kernel], self.n, self.tensors, self.weight, params)
        return sums[:, 0] / (self.n if self.weight is None else sums[:, 1])  # type: ignore[no-any-return]

    def averaged(self, errors: NDArray[Any]) -> Any:
        """What `multioutput` makes of the outputs' errors: an array of them, or one float."""
        if isinstance(self.multioutput, str):
            if self.multioutput == "raw_values":
                return errors.astype(self.dtype)
            return float(np.average(errors))
        return float(np.average(errors, weights=self.multioutput))


def is_plain(y: Any) -> bool:
    """Whether the kernels can take this vector as it is."""
    return (
        type(y) is np.ndarray and y.ndim == 1 and y.size > 0 and y.dtype.char in "fd" and y.dtype.isnative
        and y.flags.c_contiguous and y.flags.aligned
    )


def columns(name: str, argument: str, y: NDArray[Any]) -> NDArray[Any]:
    """`y` of shape (n,) or (n, outputs) as (n, outputs)."""
    if y.ndim not in (1, 2) or 0 in y.shape:
        raise ValueError(f"{name}: {argument} has shape {y.shape}, expected (n,) or (n, outputs), neither 0")
    return y if y.ndim == 2 else y[:, np.newaxis]


def output_weights(name: str, multioutput: Any, outputs: int, words: tuple[str, ...]) -> Any:
    """`multioutput` if it is one of the words, else as an array of one weight per output."""
    if isinstance(multioutput, str) or multioutput is None:
        if multioutput not in words:
            expected = ", ".join(map(repr, words))
            raise ValueError(f"{name}: multioutput is {multioutput!r}, expected one of {expected}, or weights")
        return multioutput
    weights = as_floats(name, "multioutput", multioutput, np.float64)
    if outputs == 1 or weights.shape != (outputs,):
        raise ValueError(
            f"{name}: multioutput has shape {weights.shape}, expected ({outputs},) of at least two outputs"
        )
    if not weights.sum():
        raise ZeroDivisionError(f"{name}: the weights of multioutput sum to zero")
    return weights


def median_of_differences(a: NDArray[Any], b: NDArray[Any]) -> Any:
    """Median of ``|a - b|``, by np.partition of those few whose leading bits are the median's."""
    size, low, high = a.size, (a.size - 1) // 2, a.size // 2
    if size < _SORTED:
        return np.median(loss("l1_loss", a, b, (), "none", None), overwrite_input=True)
    tensors, base, shift = (a, b), 0, 8 * a.itemsize - 1 - _kernels.SELECT_BITS
    while True:
        counts = _kernels.select_count(size, tensors, base, shift).astype(np.int64)
        if counts[-1]:
            return np.full((), np.nan, a.dtype)[()]
        ends = np.cumsum(counts[:-1])
        first, last = np.searchsorted(ends, (low, high), side="right").tolist()
        before = int(ends[first] - counts[first])
        found = np.empty(int(ends[last]) - before, a.dtype)
        _kernels.select_take(size, tensors, base, shift, first, last, found)
        size, low, high, tensors = found.size, low - before, high - before, (found, np.zeros((), a.dtype))
        if size < _SORTED or first != last or not shift:
            with np.errstate(over="ignore"):
                return np.partition(found, (low, high))[low : high + 1].mean()
        base, shift = base + (first << shift), max(shift - _kernels.SELECT_BITS, 0)


def weighted_median(values: NDArray[Any], weights: NDArray[Any]) -> float:
    """The averaged inverted CDF at one half, as scikit-learn's median_absolute_error takes it; NaNs weigh nothing."""
    order = np.argsort(values)
    values = values[order]
    weights = np.where(np.isnan(values), 0, weights[order])
    keep = weights > 0
    values, cdf = values[keep], np.cumsum(weights[keep], dtype=weights.dtype)
    if not values.size:
        return float("nan")
    half = cdf[-1] / 2
    at = min(int(np.searchsorted(cdf, half)), values.size - 1)
    if cdf[at] - half > np.finfo(weights.dtype).eps:
        return float(values[at])
    return float((values[at] + values[min(at + 1, values.size - 1)]) / 2)
