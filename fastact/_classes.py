"""What the classification losses share: targets, class weights, masks, reduction, and the call of their kernel."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastact import _kernels
from fastact._dispatch import as_floats, as_operand, check_axis, check_number, check_out, default_modes
from fastact._kernels import NO_GRADIENT
from fastact._layout import Axis, Layout, broadcast_mask, check_temperature
from fastact._reduction import check_reduction, check_weight, reduced

_ID = _kernels.ROWS_ID
_DISTILLATION = {_ID["distillation_loss"], _ID["distillation_loss_with_grad"]}


class Options(NamedTuple):
    """The options of a classification loss, as the public functions take them."""

    axis: int = -1
    weight: ArrayLike | None = None
    ignore_index: int | None = -100
    label_smoothing: float = 0.0
    temperature: float = 1.0
    where: ArrayLike | None = None
    reduction: str = "mean"
    sample_weight: ArrayLike | None = None
    gamma: float | None = None


def classification_loss(
    name: str, kernel: int, first: ArrayLike, target: ArrayLike, options: tuple[Any, ...], grad_out: Any = NO_GRADIENT,
    arguments: tuple[str, str] = ("logits", "target"),
) -> Any:
    """The loss, or (loss, gradient) unless `grad_out` is NO_GRADIENT: all is checked before the kernel writes anything.

    `options` are those of Options, in order; `arguments` are the names of the first two.
    """
    loss = _kernels.class_plain(kernel, first, target, options, grad_out)
    if loss is None:
        return general_loss(name, kernel, first, target, Options(*options), grad_out, arguments)
    if type(loss) is int:
        raise IndexError(label_error(name, target, loss, first.shape[options[0]]))  # type: ignore[arg-type,union-attr]
    return loss


@default_modes
def general_loss(
    name: str, kernel: int, logits: ArrayLike, target: ArrayLike, options: Options, grad_out: Any,
    arguments: tuple[str, str],
) -> Any:
    """What classification_loss gives, of any arguments."""
    grad = grad_out is not NO_GRADIENT
    check_reduction(name, options.reduction)
    given = as_floats(name, arguments[0], as_operand(name, arguments[0], logits))
    compute = np.dtype(np.float32) if given.dtype == np.float16 else given.dtype
    axis = check_axis(name, options.axis, arguments[0], given.ndim)
    classes = given.shape[axis]
    samples = given.shape[:axis] + given.shape[axis + 1 :]
    labels: NDArray[Any] | None = None
    probabilities: NDArray[Any] | None = None
    if kernel in _DISTILLATION:
        probabilities = as_floats(name, arguments[1], as_operand(name, arguments[1], target), compute)
        if probabilities.shape != given.shape:
            text = f"{name}: {arguments[1]} has shape {probabilities.shape}, expected {given.shape}, that of"
            raise ValueError(f"{text} {arguments[0]}")
    else:
        labels, probabilities = targets(name, target, given.shape, samples, compute)
    smoothing = check_number(name, "label_smoothing", options.label_smoothing, 0.0, 1.0, "a number from 0 to 1")
    temperature = check_temperature(name, options.temperature)
    gamma = None
    if options.gamma is not None:
        gamma = check_gamma(name, options.gamma)
        if labels is None:
            raise ValueError(f"{name}: target has shape {given.shape}, expected integer labels of shape {samples}")
    ignore = None if options.ignore_index is None else check_index(name, options.ignore_index)
    weight = sample_weight = mask = None
    if options.weight is not None:
        weight = np.ascontiguousarray(check_weight(name, "weight", options.weight, (classes,), compute))
    if options.sample_weight is not None:
        sample_weight = check_weight(name, "sample_weight", options.sample_weight, samples, compute)
    if options.where is not None:
        mask = broadcast_mask(name, options.where, given.shape)
        counted = mask.any(axis)
        if not counted.all():                   # a sample without classes counts as ignored
            sample_weight = counted.astype(compute) if sample_weight is None else sample_weight * counted
    divisor = float(np.prod(samples)) if sample_weight is None else float(sample_weight.sum(dtype=np.float64))
    x = np.ascontiguousarray(given, compute)
    probabilities = None if probabilities is None else np.ascontiguousarray(probabilities)
    mask = None if mask is None else np.ascontiguousarray(mask)
    layout = Layout(name, x, axis, last=False)
    gradient = None
    if grad:
        if grad_out is not None:
            check_out(name, grad_out, given.shape, given.dtype, "grad_out")
        gradient = grad_out
        others = (probabilities, labels, weight, sample_weight, mask)
        if gradient is None or gradient.dtype != compute or not layout.writable(gradient, x, others):
            gradient = _kernels.empty(x.shape, compute)
    each = _kernels.empty(samples, compute) if options.reduction == "none" else None
    total, divisor, bad = _kernels.class_loss(
        kernel, layout.split, x, labels, probabilities,
        mask, weight,
        None if sample_weight is None else np.ascontiguousarray(sample_weight),
        each, gradient, ignore, smoothing, temperature, gamma, divisor, options.reduction == "mean",
    )
    if bad >= 0:
        raise IndexError(label_error(name, np.asarray(target), bad, classes))
    loss = each[()] if each is not None else reduced(total, divisor, options.reduction, compute)
    if not grad:
        return loss
    return loss, returned(gradient, grad_out, given.dtype)


@default_modes
def divergence(name: str, kernel: str, tensors: dict[str, ArrayLike], axis: Axis) -> Any:
    """The sums over the class axes of `tensors`: the target distribution, and the one that is compared with it."""
    arrays = [as_floats(name, argument, as_operand(name, argument, a)) for argument, a in tensors.items()]
    dtype = np.result_type(*arrays)
    p = arrays[0]
    for argument, a in zip(tensors, arrays, strict=True):
        if a.shape != p.shape:
            raise ValueError(f"{name}: {argument} has shape {a.shape}, expected {p.shape}")
    compute = np.dtype(np.float32) if dtype == np.float16 else dtype
    layout = Layout(name, p, axis, last=False)
    rows = [layout.arranged(np.asarray(a, compute)) for a in arrays]
    each = layout.empty_samples(compute)
    _kernels.class_loss(
        _ID[kernel], layout.split, rows[-1], None, rows[0], None, None, None, each, None,
        None, 0.0, 1.0, None, 1.0, False,
    )
    return each.astype(dtype, copy=False)[()]


def check_gamma(name: str, gamma: Any) -> float:
    """The exponent of the focal loss as a float."""
    return check_number(name, "gamma", gamma, 0.0, np.inf, "a finite number >= 0")


def check_index(name: str, ignore_index: Any) -> int:
    """`ignore_index` as an int that an int64 holds."""
    try:
        index = operator.index(ignore_index)
    except TypeError:
        raise TypeError(f"{name}: ignore_index is {ignore_index!r}, expected an int or None") from None
    if not -(2**63) <= index < 2**63:
        raise ValueError(f"{name}: ignore_index is {index}, expected an int of 64 bits")
    return index


def targets(
    name: str, target: ArrayLike, shape: tuple[int, ...], samples: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """(labels in one dimension, None) or (None, probabilities): the number of dimensions decides."""
    array = np.asarray(as_operand(name, "target", target))
    if not array.size and not isinstance(target, np.ndarray):
        array = array.astype(np.intp)               # of an empty list NumPy makes floats
    if array.ndim == len(samples):
        if array.dtype.kind not in "iu":
            raise TypeError(f"{name}: target has dtype {array.dtype}, expected integer labels of shape {samples}")
        if array.shape != samples:
            raise ValueError(shape_error(name, array.shape, shape, samples))
        labels = np.require(array, array.dtype.newbyteorder("="), "A")
        return (labels if labels.ndim == 1 else np.ascontiguousarray(labels).reshape(-1)), None
    if array.shape != shape:
        raise ValueError(shape_error(name, array.shape, shape, samples))
    return None, np.ascontiguousarray(as_floats(name, "target", array, dtype))


def shape_error(name: str, got: tuple[int, ...], shape: tuple[int, ...], samples: tuple[int, ...]) -> str:
    """What to say of a target that fits neither as labels nor as probabilities; a hint if another axis would do."""
    text = f"{name}: target has shape {got}, expected {samples} (labels) or {shape} (probabilities)"
    fitting = [axis for axis in range(len(shape)) if shape[:axis] + shape[axis + 1 :] == got]
    if fitting:
        text += f"; it fits axis={fitting[0]}: pass axis={fitting[0]} if the classes are there"
    return text


def label_error(name: str, target: NDArray[Any], position: int, classes: int) -> str:
    """What to say of a label that is no class."""
    index = np.unravel_index(position, target.shape)
    where = f"target[{', '.join(map(str, index))}]" if index else "target"
    return f"{name}: {where} is {target[index]}, but there are {classes} classes"


def returned(result: Any, out: Any, dtype: np.dtype[Any]) -> Any:
    """`result` as the caller gets it: in `out` if there is one, of `dtype`."""
    if result is out:
        return out
    if out is None:
        return result.astype(dtype, copy=False)
    out[...] = result
    return out
