"""Both gradients of prelu where the kernel cannot take all as it is: any layout, Python numbers, masks, labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastact._dispatch import (
    as_floats,
    check_dtype,
    check_out,
    dtypes_of,
    is_data_set,
    is_foreign,
    is_weak,
    numpy_dtype,
    refuse_dask,
    result_dtype,
)
from fastact._kernels import MAP_ID, apply, plain_prelu_grad

_PRELU = MAP_ID["prelu_grad"]


def prelu_grad(dy: Any, x: Any, alpha: Any, dx_out: Any, dalpha_out: Any) -> tuple[Any, Any]:
    """(dx, dalpha), each in its `out` if that is not None."""
    dy, x, alpha = (_operand(argument, t) for argument, t in (("dy", dy), ("x", x), ("alpha", alpha)))
    if not any(map(is_foreign, (dy, x, alpha))):
        _broadcast(dy, x, alpha)
    dtype = _common_dtype(dy, x, alpha)
    if dalpha_out is not None:
        check_out("prelu_grad", dalpha_out, np.shape(alpha), dtype, "out[1]")
    plain = plain_prelu_grad(dy, x, alpha, dx_out)
    if plain is None:
        dx = apply(_PRELU, (dy, x, alpha), None, {}) if dx_out is None else None
        with np.errstate(all="ignore"):
            dalpha = _dalpha(dy, x, alpha, dtype)
        if dx is None:          # it may go to dy or x
            dx = apply(_PRELU, (dy, x, alpha), dx_out, {})
    else:
        dx, dalpha = plain
    if dalpha_out is None:
        return dx, dalpha
    dalpha_out[...] = dalpha
    return dx, dalpha_out


def _operand(argument: str, t: Any) -> Any:
    """As siblings take it: Python numbers, subclasses and labels stay."""
    refuse_dask("prelu_grad", argument, t)
    if is_data_set(t):
        raise TypeError(f"prelu_grad: {argument} is an xarray Dataset, expected one array: call it for each variable")
    if is_weak(t):
        return t
    if not is_foreign(t):
        return as_floats("prelu_grad", argument, t, subok=type(t) is not np.memmap)     # ufuncs give no memmap either
    for dtype in dtypes_of(t):
        check_dtype("prelu_grad", argument, dtype)
    return t


def _broadcast(dy: Any, x: Any, alpha: Any) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(np.shape(dy), np.shape(x), np.shape(alpha))
    except ValueError:
        shapes = f"{np.shape(dy)}, {np.shape(x)} and {np.shape(alpha)}"
        raise ValueError(f"prelu_grad: dy, x and alpha have shapes {shapes}, which do not broadcast") from None


def _common_dtype(*operands: Any) -> np.dtype[Any]:
    kinds: list[Any] = []
    for t in operands:
        dtypes = [] if is_weak(t) else [np.dtype(numpy_dtype(dtype)) for dtype in dtypes_of(t)]
        kinds += map(result_dtype, dtypes) if dtypes else [type(t)(1)]
    return result_dtype(np.result_type(*kinds))


def _dalpha(dy: Any, x: Any, alpha: Any, dtype: np.dtype[Any]) -> Any:
    """The products, in float64, summed to the shape of alpha; with the mask, the class or alpha's labels."""
    full, shape = np.multiply(dy, np.minimum(x, 0), dtype=np.float64), np.shape(alpha)
    if is_foreign(alpha):
        return _labelled(full, alpha).astype(dtype)
    whole = _broadcast(full, full, alpha)
    extra = len(whole) - len(shape)
    axes = (*range(extra), *(extra + d for d, size in enumerate(shape) if size == 1))

    def summed(terms: Any) -> Any:
        return np.broadcast_to(terms, whole).sum(axis=axes).reshape(shape).astype(dtype)

    if isinstance(full, np.ma.MaskedArray) or isinstance(alpha, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(full) | np.ma.getmaskarray(alpha)
        lost = (summed(mask) > 0) & (summed(~mask) == 0)
        return np.ma.array(summed(np.where(mask, 0, np.ma.getdata(full))), mask=lost)[()]
    dalpha = summed(np.asarray(full, np.float64))
    of_class = [t for t in (full, alpha) if isinstance(t, np.ndarray) and type(t) is not np.ndarray]
    return of_class[0].__array_wrap__(np.asarray(dalpha)) if of_class else dalpha[()]


def _labelled(full: Any, alpha: Any) -> Any:
    """Sums of `full` as alpha's library lines them up: every element meets the number of its alpha."""
    zeros = np.logical_and(alpha, False)
    numbers = np.add(zeros, np.arange(np.size(zeros), dtype=np.float64).reshape(np.shape(zeros)))
    met = np.asarray(np.add(np.logical_and(full, False), numbers), np.float64).ravel()
    terms = np.asarray(np.add(full, zeros), np.float64).ravel()
    some = ~np.isnan(met)                   # labels that alpha lacks
    sums = np.bincount(met[some].astype(np.intp), terms[some], minlength=np.size(zeros))
    return np.add(zeros, sums.reshape(np.shape(zeros)))
