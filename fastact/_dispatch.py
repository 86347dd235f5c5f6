"""The one place that looks at arguments: dtypes, layouts, ``out=``, and the texts of the errors.

Every text says which function and argument, what was expected, and what came.
"""

from __future__ import annotations

import functools
import inspect
import operator
import sys
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, NoReturn, TypedDict, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastact._kernels import in_default_modes, is_floats

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
        if not options and any(type(operand) in (int, float) for operand in operands) and not is_plain(operands[0]):
            operands = with_weak_numbers(operands)
        return ufunc(*operands, **options) if out is None else ufunc(*operands, out=out, **options)
    except np.exceptions.AxisError:
        raise
    except (TypeError, ValueError) as error:
        explain(ufunc.__name__, operands, out, error)


def is_plain(x: Any) -> bool:
    """Whether x is an array of floats, beside which NumPy takes Python numbers as weak."""
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def with_weak_numbers(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Python numbers in the dtype of the rest, where NumPy alone would not see them as weak.

    Integer arrays promote as in np.exp, and int8 beside a Python float would become float64; so would the float32
    columns of a pandas DataFrame, which makes arrays of all operands.
    """
    operands = tuple(np.asarray(operand) if type(operand) in (bool, list, tuple) else operand for operand in operands)
    dtypes: list[Any] = []
    for operand in operands:
        if type(operand) not in (int, float):
            dtypes.extend([operand.dtype] if hasattr(operand, "dtype") else getattr(operand, "dtypes", [None]))
    if not dtypes or not all(isinstance(dtype, np.dtype) and supported(dtype) for dtype in dtypes):
        return operands
    number = result_dtype(np.result_type(*dtypes)).type
    return tuple(number(operand) if type(operand) in (int, float) else operand for operand in operands)


def explain(name: str, operands: tuple[Any, ...], out: Any, error: Exception) -> NoReturn:
    """Raises the error of a ufunc call again, with the function, the argument, what was expected and what came."""
    for position, operand in enumerate(operands):
        if hasattr(operand, "__array_ufunc__") and not isinstance(operand, (np.ndarray, np.generic)):
            continue
        try:
            dtype = np.asarray(operand).dtype
        except (TypeError, ValueError) as failure:
            text = f"{name}: {argument_name(name, position)} is no array: {failure}"
            raise type(failure)(text) from error
        if not supported(dtype):
            text = f"{name}: {argument_name(name, position)} has dtype {dtype}, expected {SUPPORTED}"
            raise TypeError(text) from error
    for array in out if isinstance(out, tuple) else (out,):
        if not (array is None or array is ... or hasattr(array, "__array_ufunc__")):
            raise TypeError(f"{name}: out is of type {type(array).__name__}, expected numpy.ndarray") from error
        if isinstance(array, np.ndarray) and not array.flags.writeable:
            raise ValueError(f"{name}: out is read-only, expected a writeable array") from error
    text = str(error)
    # NumPy's casting errors are classes of their own, which take more than a text.
    kind = TypeError if isinstance(error, TypeError) else ValueError
    raise kind(text if text.startswith((f"{name}:", f"{name}()")) else f"{name}: {text}") from error


def argument_name(name: str, position: int) -> str:
    """What the public function of this name calls operand number `position` of its ufunc."""
    # gelu's tanh form has a ufunc of its own, but no function.
    function = getattr(sys.modules["fastact"], name.replace("gelu_tanh", "gelu"), None)
    parameters = inspect.signature(function).parameters.values() if function else ()
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


def as_operand(name: str, argument: str, x: ArrayLike) -> NDArray[Any] | float:
    """`x` as an array of a supported dtype; a Python number as it is, for it has no dtype of its own (NEP 50)."""
    if type(x) in (bool, int, float) or is_floats(x):
        return x  # type: ignore[return-value]
    graph = getattr(x, "__dask_graph__", None)
    if graph is not None and graph() is not None:
        raise TypeError(
            f"{name}: {argument} is a Dask collection, expected a NumPy array: compute the loss of each block with"
            " dask.array.map_blocks (recipe in docs/losses.md)"
        )
    array = np.asarray(x)
    if not supported(array.dtype):
        raise TypeError(f"{name}: {argument} has dtype {array.dtype}, expected {SUPPORTED}")
    return array


def as_floats(name: str, argument: str, x: ArrayLike, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """`x` as an aligned native array of float16, float32 or float64 (or of `dtype`), copied only if it must be."""
    if is_floats(x) and (dtype is None or x.dtype == dtype):  # type: ignore[union-attr]
        return x  # type: ignore[return-value]
    array = np.asarray(x)
    if not supported(array.dtype):
        raise TypeError(f"{name}: {argument} has dtype {array.dtype}, expected {SUPPORTED}")
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


def check_choice(name: str, argument: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name}: {argument} is {value!r}, expected one of {', '.join(map(repr, choices))}")


def check_axis(name: str, axis: Any, argument: str, ndim: int) -> int:
    """`axis` of an argument with `ndim` dimensions, counted from the front."""
    try:
        return np.lib.array_utils.normalize_axis_index(operator.index(axis), ndim)
    except TypeError:
        raise TypeError(f"{name}: axis is {axis!r}, expected an int") from None
    except np.exceptions.AxisError:
        raise np.exceptions.AxisError(f"{name}: axis is {axis}, but {argument} has {ndim} dimensions") from None


def is_number(value: Any, number: float) -> bool:
    """Whether `value` is this Python number; an array, whose == need be no bool, is not."""
    return type(value) in (int, float) and value == number


def check_number(
    name: str, argument: str, value: Any, low: float, high: float, expected: str, *, strict: bool = False
) -> float:
    """`value` as a float if it is a finite real number from `low` (above it if `strict`) to `high`."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, Real):
        raise TypeError(f"{name}: {argument} is of type {type(value).__name__}, expected {expected}")
    number = float(value)
    if not (low <= number <= high) or (strict and number == low) or number in (np.inf, -np.inf):
        raise ValueError(f"{name}: {argument} is {value}, expected {expected}")
    return number


def choose(name: str, argument: str, value: Any, choices: Mapping[str, Chosen]) -> Chosen:
    """What `value` stands for among `choices`; ValueError if it is none of them."""
    if not isinstance(value, str) or value not in choices:
        check_choice(name, argument, value, tuple(choices))
    return choices[value]
