"""How an array with class axes becomes the outer x cols x inner tensor of the row kernels, and back."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastact import _kernels
from fastact._dispatch import as_floats, as_operand, check_number, check_out, default_modes, result_dtype

Axis = int | Sequence[int] | None


class Layout:
    """The order of dimensions in which a tensor is contiguous with its class axes side by side.

    An array that is C- or Fortran-contiguous is taken as it lies; others, and axes that are apart, are copied.
    `last`: so are those whose class axes are not the last, for kernels that take only such.
    """

    def __init__(self, name: str, x: NDArray[Any], axis: Axis, last: bool = True) -> None:
        self.shape = x.shape
        self.axes = class_axes(name, axis, x.ndim)
        order = tuple(range(x.ndim))
        if x.flags.f_contiguous and not x.flags.c_contiguous:
            order = order[::-1]
        places = [order.index(a) for a in self.axes]
        start, stop = (min(places), max(places) + 1) if places else (x.ndim, x.ndim)
        if stop - start > len(places) or (last and stop != x.ndim):
            order = (*(d for d in order if d not in self.axes), *self.axes)
            start, stop = x.ndim - len(places), x.ndim
        self.order = order
        dims = [x.shape[d] for d in order]
        self.split = math.prod(dims[:start]), math.prod(dims[start:stop]), math.prod(dims[stop:])
        self.rest = order[:start] + order[stop:]

    def arranged(self, a: NDArray[Any]) -> NDArray[Any]:
        """`a` in this order, aligned and contiguous; a copy only if it must be."""
        return np.require(a.transpose(self.order), requirements=["C", "A"])

    def empty(self, dtype: Any) -> NDArray[Any]:
        """A new tensor of the shape of x, contiguous in this order."""
        return _kernels.empty([self.shape[d] for d in self.order], dtype).transpose(np.argsort(self.order))

    def empty_samples(self, dtype: Any) -> NDArray[Any]:
        """A new tensor of one element per sample, contiguous in this order, its dimensions in that of x."""
        return _kernels.empty([self.shape[d] for d in self.rest], dtype).transpose(np.argsort(self.rest))

    def writable(self, out: NDArray[Any], x: NDArray[Any], others: Sequence[NDArray[Any] | None] = ()) -> bool:
        """Whether a kernel can write `out` as it lies: contiguous in this order, x itself or apart from all inputs."""
        flags = out.transpose(self.order).flags
        if not (flags.c_contiguous and flags.aligned and out.dtype.isnative):
            return False
        same = out.ctypes.data == x.ctypes.data and out.nbytes == x.nbytes
        return (same or not np.may_share_memory(out, x)) and not any(
            other is not None and np.may_share_memory(out, other) for other in others
        )


def class_axes(name: str, axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes that `axis` names, ascending."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, Sequence) else (axis,)
    try:
        axes = sorted(np.lib.array_utils.normalize_axis_index(operator.index(a), ndim) for a in given)
    except TypeError:
        raise TypeError(f"{name}: axis is {axis!r}, expected an int, a tuple of ints or None") from None
    except (np.exceptions.AxisError, OverflowError):
        raise np.exceptions.AxisError(f"{name}: axis is {axis!r}, but the array has {ndim} dimensions") from None
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: axis is {axis!r}, expected no axis twice")
    return tuple(axes)


def broadcast_mask(name: str, where: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """`where` as booleans of this shape."""
    mask = np.asarray(as_operand(name, "where", where))
    if mask.dtype != np.bool_:
        raise TypeError(f"{name}: where has dtype {mask.dtype}, expected bool")
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(f"{name}: where has shape {mask.shape}, expected one that broadcasts to {shape}") from None


def check_temperature(name: str, temperature: Any) -> float:
    """`temperature` as a finite float above 0."""
    return check_number(name, "temperature", temperature, 0.0, math.inf, "a finite number > 0", strict=True)


def overrides_ufuncs(x: Any) -> bool:
    """Whether x is of a library that takes ufuncs its own way: Dask, xarray, pandas, ..."""
    override = getattr(type(x), "__array_ufunc__", None)
    return override is not None and override is not np.ndarray.__array_ufunc__


def by_gufunc(name: str, operands: tuple[Any, ...], axis: Axis, plain: bool, options: dict[str, Any]) -> Any:
    """The row function of another library's arrays, by the gufunc that it knows how to take."""
    if not plain or isinstance(axis, Sequence) or axis is None:
        kind = next(type(x).__name__ for x in operands if overrides_ufuncs(x))
        raise TypeError(
            f"{name}: an operand is of type {kind}, for which only an int axis, temperature=1.0 and where=None can be"
            " had; expected a NumPy array"
        )
    options = {key: value for key, value in options.items() if value is not None}
    return _kernels.UFUNCS[name](*operands, axis=operator.index(axis), **options)


@default_modes
def row_function(
    name: str, tensors: dict[str, Any], axis: Axis, temperature: Any, where: Any, out: Any, reduces: bool = False,
    keepdims: bool = False,
) -> Any:
    """A row function of any arguments: validation, layout, kernel. The last of `tensors` is x (y for the gradients)."""
    if any(map(overrides_ufuncs, tensors.values())):
        plain = where is None and type(temperature) in (int, float) and temperature == 1
        options = {"out": out, "keepdims": keepdims if reduces else None}
        return by_gufunc(name, tuple(tensors.values()), axis, plain, options)
    arrays = [as_floats(name, argument, a) for argument, a in tensors.items()]
    dtype = np.result_type(*arrays)
    x = arrays[-1]
    for argument, a in zip(tensors, arrays, strict=True):
        if a.shape != x.shape:
            raise ValueError(f"{name}: {argument} has shape {a.shape}, expected {x.shape}")
    t = check_temperature(name, temperature)
    layout = Layout(name, x, axis, last=False)
    mask = None if where is None else layout.arranged(broadcast_mask(name, where, x.shape))
    shape = x.shape
    if reduces:
        shape = tuple(1 if d in layout.axes else n for d, n in enumerate(shape) if keepdims or d not in layout.axes)
    if out is not None:
        check_out(name, out, shape, dtype)
    compute = np.dtype(np.float32) if dtype == np.float16 else dtype
    inputs = [layout.arranged(np.asarray(a, compute)) for a in arrays]
    target = out
    if out is None or out.dtype != compute or reduces or not all(layout.writable(out, a) for a in inputs):
        target = layout.empty_samples(compute) if reduces else layout.empty(compute)
    dy = inputs[0] if len(inputs) == 2 else None
    _kernels.rows_plain(_kernels.ROWS_ID[name], inputs[-1], dy, mask, target, *layout.split, t)
    if out is None:
        result = target.reshape(shape).astype(dtype, copy=False)
        return result if result.ndim else result[()]
    if target is not out:
        out[...] = target.reshape(shape)
    return out


def promoted(*arrays: NDArray[Any]) -> np.dtype[Any]:
    """The dtype in which these are computed: float32 for float16."""
    dtype = result_dtype(np.result_type(*arrays))
    return np.dtype(np.float32) if dtype == np.float16 else dtype
