"""The one place that looks at arguments: dtypes, layouts, ``out=``, and the texts of the errors.

Every text says which function and argument, what was expected, and what came.
"""

from __future__ import annotations

import functools
import inspect
import operator
import sys
from collections.abc import Callable, Collection, Mapping
from numbers import Real
from typing import Any, NoReturn, TypedDict, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastact._kernels import FUNCTION_OF, in_default_modes, is_floats

Chosen = TypeVar("Chosen")
Function = TypeVar("Function", bound=Callable[..., Any])
SUPPORTED = "float16, float32, float64, or integers and bools (which promote as in np.exp)"


class UfuncOptions(TypedDict, total=False):
    """The keyword arguments that every NumPy ufunc takes besides ``out``."""

    where: ArrayLike
    casting: str
    order: str
    dtype: DTypeLike
    subok: bool
    signature: Any


def default_modes(function: Function) -> Function:
    """Runs `function`, which computes with NumPy or Python floats, in the default modes, as silent as the kernels."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):
            return in_default_modes(function, *args, **kwargs)

    return call  # type: ignore[return-value]


def call_ufunc(ufunc: np.ufunc, operands: tuple[Any, ...], out: Any, options: dict[str, Any]) -> Any:
    """NumPy's own door: broadcasting, casting, where=, strides, overlap, subclasses, ``__array_ufunc__``."""
    try:
        chosen = any(options.get(option) is not None for option in ("dtype", "signature", "sig"))
        if not chosen and any(map(is_weak, operands)) and not all(is_weak(t) or is_plain(t) for t in operands):
            operands = with_weak_numbers(operands)
        if ufunc.nin > 2 and any(map(is_masked, operands)) and not any(map(is_foreign, operands)):
            operands = with_whole_masks(operands)
        return ufunc(*operands, **options) if out is None else ufunc(*operands, out=out, **options)
    except (TypeError, ValueError, OverflowError) as error:
        # NumPy's casting errors are classes of their own, which take more than a text; those of other libraries stay
        if type(error).__module__ not in ("builtins", "numpy._core._exceptions"):
            raise
        explain(ufunc, operands, out, error)


def is_weak(x: Any) -> bool:
    """Whether x is a Python number, which has no dtype of its own (NEP 50)."""
    return type(x) in (int, float)


def is_plain(x: Any) -> bool:
    """Whether x is an array of floats, beside which NumPy takes Python numbers as weak."""
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def is_foreign(x: Any) -> bool:
    """Whether another library decides by ``__array_ufunc__`` what becomes of x: pandas, xarray, Dask, ..."""
    return hasattr(x, "__array_ufunc__") and not isinstance(x, (np.ndarray, np.generic))


def is_data_set(x: Any) -> bool:
    """Whether x is a data set of xarray, whose variables have dtypes of their own."""
    return isinstance(getattr(x, "dtypes", None), Mapping)


def with_weak_numbers(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Python numbers in the dtype of the rest, where NumPy alone would not see them as weak.

    Integer arrays promote as in np.exp, and int8 beside a Python float would become float64; so would the float32
    columns of a pandas DataFrame, which makes arrays of all operands.
    """
    stay = [is_weak(t) or is_foreign(t) or hasattr(t, "__array_wrap__") for t in operands]      # the last: PyTorch's
    operands = tuple(t if same else np.asarray(t) for t, same in zip(operands, stay, strict=True))
    strong = [t if is_foreign(t) else np.asarray(t) for t in operands if not is_weak(t)]
    dtypes = [numpy_dtype(dtype) for t in strong for dtype in dtypes_of(t)]
    if not dtypes or not all(isinstance(dtype, np.dtype) and supported(dtype) for dtype in dtypes):
        return operands
    if any(map(is_data_set, operands)) and all(dtype.kind == "f" for dtype in dtypes):
        return operands         # each variable meets the numbers alone
    number = np.result_type(*map(result_dtype, dtypes)).type
    return tuple(number(operand) if is_weak(operand) else operand for operand in operands)


def is_masked(x: Any) -> bool:
    """Whether x is a masked array; NumPy imports its class when first asked for it."""
    return type(x) is not np.ndarray and isinstance(x, np.ndarray) and isinstance(x, np.ma.MaskedArray)


def with_whole_masks(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Masked arrays in the shape of the result: NumPy takes the mask of the third and later ones as it is."""
    shape = np.broadcast_shapes(*map(np.shape, operands))

    def whole(x: Any) -> Any:
        if not is_masked(x) or x.shape == shape:
            return x
        data, mask = np.broadcast_to(x, shape, subok=True), np.broadcast_to(np.ma.getmaskarray(x), shape)
        return np.ma.array(data, mask=mask, keep_mask=False, hard_mask=x.hardmask, copy=False)

    return tuple(map(whole, operands))


def dtypes_of(x: Any) -> list[Any]:
    """The dtype of an array, or those of the parts of a frame or data set."""
    if hasattr(x, "dtype"):
        return [x.dtype]
    dtypes = getattr(x, "dtypes", [None])
    return list(dtypes.values() if isinstance(dtypes, Mapping) else dtypes)


def numpy_dtype(dtype: Any) -> Any:
    """The NumPy dtype behind one of pandas, of numbers that may be missing or of a sparse array."""
    return getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))


def explain(ufunc: np.ufunc, operands: tuple[Any, ...], out: Any, error: Exception) -> NoReturn:
    """Raises the error of a ufunc call again, with the function, the argument, what was expected and what came."""
    name = FUNCTION_OF[ufunc.__name__]
    for position, operand in enumerate(operands):
        argument = argument_name(name, position)
        if ufunc.nout > 1:
            refuse_dask(name, argument, operand)
        if isinstance(error, OverflowError) and is_beyond_floats(operand):
            raise OverflowError(f"{name}: {argument} is an int beyond float64") from error
        for dtype in dtypes_of(operand if is_foreign(operand) else array_of(name, argument, operand)):
            check_dtype(name, argument, dtype)
    for array in out if isinstance(out, tuple) else (out,):
        if not (array is None or array is ... or hasattr(array, "__array_ufunc__")):
            raise TypeError(f"{name}: out is of type {type(array).__name__}, expected numpy.ndarray") from error
        if isinstance(array, np.ndarray) and not array.flags.writeable:
            raise ValueError(f"{name}: out is read-only, expected a writeable array") from error
    text = str(error)
    kind = next(kind for kind in (TypeError, ValueError, OverflowError) if isinstance(error, kind))
    raise kind(text if text.startswith((f"{name}:", f"{name}()")) else f"{name}: {text}") from error


def argument_name(name: str, position: int) -> str:
    """What the public function of this name calls operand number `position` of its ufunc."""
    parameters = inspect.signature(getattr(sys.modules["fastact"], name)).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY or isinstance(p.default, float)]
    return names[position] if position < len(names) else f"argument {position + 1}"


def supported(dtype: np.dtype[Any]) -> bool:
    """Whether float16, float32 or float64 can hold this dtype by NumPy's safe casting."""
    return dtype.kind in "iu" or (dtype.kind in "bf" and np.can_cast(dtype, np.float64))


def result_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype np.exp would compute in: int8 and bool give float16, int16 float32, wider integers float64."""
    for candidate in (np.float16, np.float32, np.float64):
        if np.can_cast(dtype, candidate):
            return np.dtype(candidate)
    return np.dtype(np.float64)


def check_dtype(name: str, argument: str, dtype: Any) -> None:
    """Raises TypeError for a dtype, of NumPy or of pandas, whose numbers are no floats, integers or bools."""
    if not (supported(dtype) if isinstance(dtype, np.dtype) else getattr(dtype, "kind", "f") in "biuf"):
        raise TypeError(f"{name}: {argument} has dtype {dtype}, expected {SUPPORTED}")


def array_of(name: str, argument: str, x: ArrayLike, *, subok: bool = False) -> NDArray[Any]:
    """`x` as an array of a supported dtype; of its own class if `subok`."""
    try:
        array = np.asanyarray(x) if subok else np.asarray(x)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}: {argument} is no array: {error}") from error
    check_dtype(name, argument, array.dtype)
    return array


def refuse_dask(name: str, argument: str, x: Any) -> None:
    """Raises TypeError for a Dask collection, which NumPy would compute at once."""
    graph = getattr(x, "__dask_graph__", None)
    if graph is not None and graph() is not None:
        raise TypeError(
            f"{name}: {argument} is a Dask collection, expected a NumPy array: compute block by block with"
            " dask.array.map_blocks (recipe in docs/losses.md)"
        )


def as_operand(name: str, argument: str, x: ArrayLike) -> NDArray[Any] | float:
    """`x` as an array of a supported dtype; a Python number as it is, for it has no dtype of its own (NEP 50)."""
    if type(x) in (bool, int, float) or is_floats(x):
        return x  # type: ignore[return-value]
    refuse_dask(name, argument, x)
    return array_of(name, argument, x)


def as_floats(
    name: str, argument: str, x: ArrayLike, dtype: DTypeLike | None = None, *, subok: bool = False
) -> NDArray[Any]:
    """`x` as an aligned native array (a subclass stays if `subok`) of float16, float32 or float64, or of `dtype`."""
    if is_floats(x) and (dtype is None or x.dtype == dtype):  # type: ignore[union-attr]
        return x  # type: ignore[return-value]
    array = array_of(name, argument, x, subok=subok)
    wanted = result_dtype(array.dtype) if dtype is None else np.dtype(dtype)
    return np.require(array, dtype=wanted.newbyteorder("="), requirements="A")


def check_out(name: str, out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], argument: str = "out") -> NDArray[Any]:
    """`out` if it can take a result of this exact shape and dtype; rows and losses want that."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name}: {argument} is of type {type(out).__name__}, expected numpy.ndarray")
    if out.shape != shape:
        raise ValueError(f"{name}: {argument} has shape {out.shape}, expected {shape}")
    if out.dtype != dtype:
        raise TypeError(f"{name}: {argument} has dtype {out.dtype}, expected {dtype}")
    if not out.flags.writeable:
        raise ValueError(f"{name}: {argument} is read-only, expected a writeable array")
    return out


def check_choice(name: str, argument: str, value: Any, choices: Collection[str]) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: {argument} is {value!r}, expected one of {', '.join(map(repr, choices))}")


def check_axis(name: str, axis: Any, argument: str, ndim: int) -> int:
    """`axis` of an argument with `ndim` dimensions, counted from the front."""
    try:
        return np.lib.array_utils.normalize_axis_index(operator.index(axis), ndim)
    except TypeError:
        raise TypeError(f"{name}: axis is {axis!r}, expected an int") from None
    except (np.exceptions.AxisError, OverflowError):
        raise np.exceptions.AxisError(f"{name}: axis is {axis}, but {argument} has {ndim} dimensions") from None


def is_number(value: Any, number: float) -> bool:
    """Whether `value` is this Python number; an array, whose == need be no bool, is not."""
    return type(value) in (int, float) and value == number


def is_beyond_floats(value: Any) -> bool:
    """Whether `value` is a Python number (an int, a Fraction) that float() refuses because it is too large."""
    try:
        float(value) if isinstance(value, Real) else 0
    except OverflowError:
        return True
    return False


def check_number(
    name: str, argument: str, value: Any, low: float, high: float, expected: str, *, strict: bool = False
) -> float:
    """`value` as a float if it is a finite real number from `low` (above it if `strict`) to `high`."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, Real):
        raise TypeError(f"{name}: {argument} is of type {type(value).__name__}, expected {expected}")
    if is_beyond_floats(value):
        raise ValueError(f"{name}: {argument} is a number beyond float64, expected {expected}")
    number = float(value)
    if not (low <= number <= high) or (strict and number == low) or number in (np.inf, -np.inf):
        raise ValueError(f"{name}: {argument} is {value}, expected {expected}")
    return number


def choose(name: str, argument: str, value: Any, choices: Mapping[str, Chosen]) -> Chosen:
    """What `value` stands for among `choices`; ValueError if it is none of them."""
    check_choice(name, argument, value, choices)
    return choices[value]
