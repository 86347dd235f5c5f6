"""How every pointwise loss is computed: dtypes, layouts, reduction, sample weights and gradients around one kernel."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastact import _kernels
from fastact._dispatch import as_floats, as_operand, check_out, default_modes, result_dtype
from fastact._reduction import check_nonnegative, check_reduction, check_weight, gradient_scale, reduced

_TOTAL = _kernels.LOSS_ID["total"]


def loss(
    kernel: str, pred: ArrayLike, target: ArrayLike, params: tuple[float, ...], reduction: str,
    sample_weight: ArrayLike | None, *, name: str | None = None, first: str = "pred",
    labels: bool = False, pos_weight: ArrayLike | None = None,
) -> Any:
    """The loss `kernel` of ops.def, reduced; `name` and that of the first argument are for errors.

    labels: integer targets are such, which say nothing of the precision.
    """
    if sample_weight is None and pos_weight is None and _is_sum(reduction):
        plain = _kernels.plain_loss(_kernels.LOSS_ID[kernel], pred, target, params)
        if plain is not None:
            return reduced(plain[0], pred.size, reduction, pred.dtype)  # type: ignore[union-attr]
    arguments = name or kernel, kernel, first, pred, target, params, reduction, sample_weight, labels, pos_weight
    return _general(arguments)


def loss_with_grad(
    kernel: str, pred: ArrayLike, target: ArrayLike, params: tuple[float, ...], reduction: str,
    sample_weight: ArrayLike | None, grad_out: Any, *, name: str | None = None, first: str = "pred",
    labels: bool = False, pos_weight: ArrayLike | None = None,
) -> tuple[Any, Any]:
    """The reduced loss and its gradient with respect to pred, in one pass."""
    plain_options = sample_weight is None and pos_weight is None and _is_sum(reduction)
    if plain_options and isinstance(pred, np.ndarray):
        scale = gradient_scale(pred.size, reduction)
        plain = _kernels.plain_loss(_kernels.LOSS_ID[kernel], pred, target, params, scale, grad_out)
        if plain is not None:
            return reduced(plain[0], pred.size, reduction, pred.dtype), plain[1]
    name = name or f"{kernel}_with_grad"
    arguments = name, kernel, first, pred, target, params, reduction, sample_weight, labels, pos_weight
    return _general(arguments, grad_out)  # type: ignore[no-any-return]


@default_modes
def _general(arguments: tuple[Any, ...], grad_out: Any = _kernels.NO_GRADIENT) -> Any:
    """What a kernel cannot take as it is."""
    call = _Call(*arguments)
    return call.loss() if grad_out is _kernels.NO_GRADIENT else call.with_grad(grad_out)


class _Call:
    """The validated arguments of one call."""

    def __init__(
        self, name: str, kernel: str, first: str, pred: ArrayLike, target: ArrayLike, params: tuple[float, ...],
        reduction: str, sample_weight: ArrayLike | None, labels: bool, pos_weight: ArrayLike | None,
    ) -> None:
        self.name = name
        self.kernel = _kernels.LOSS_ID[kernel]
        self.params = params
        self.reduction = reduction
        check_reduction(name, reduction)
        given = {first: pred, "target": target} | ({} if pos_weight is None else {"pos_weight": pos_weight})
        operands = [as_operand(name, argument, value) for argument, value in given.items()]
        # Labels and weights say nothing of the precision: int64 zeros and ones beside float32 logits are no float64.
        decide = operands[:1] if labels and _integers(operands[1]) else operands[:2]
        common = result_dtype(np.result_type(*decide))
        self.dtype = np.dtype(np.float32) if common == np.float16 else common
        x = operands[0]
        self.grad_dtype = result_dtype(x.dtype) if isinstance(x, np.ndarray) else common
        arrays = [as_floats(name, argument, x, self.dtype) for argument, x in zip(given, operands, strict=True)]
        self.pred_shape = arrays[0].shape
        self.shape = _common_shape(name, first, arrays[0].shape, arrays[1].shape)
        if pos_weight is not None:
            check_nonnegative(name, "pos_weight", arrays[2])
            arrays[2] = _period(name, arrays[2], self.shape)
        elif _kernels.LOSSES[self.kernel]["tensors"] == 3:
            arrays.append(np.ones((), self.dtype))
        self.weight = None
        if sample_weight is not None:
            self.weight = check_weight(name, "sample_weight", sample_weight, self.shape, self.dtype)
        self.arrays = arrays
        self.size = int(np.prod(self.shape))
        full = [a for a in (*arrays, self.weight) if a is not None and a.ndim > 1]
        self.order: Literal["C", "F"] = "F" if full and all(a.flags.f_contiguous for a in full) else "C"

    def flat(self, array: NDArray[Any]) -> NDArray[Any]:
        return array if array.ndim < 2 else array.ravel(self.order)

    def run(self, each: NDArray[Any] | None = None, grad: NDArray[Any] | None = None, scale: float = 1.0) -> Any:
        """(sum, sum of weights), filling each and grad."""
        weight = None if self.weight is None else self.flat(self.weight)
        operands = tuple(self.flat(a) for a in self.arrays)
        return _kernels.loss_sums(self.kernel, self.size, operands, weight, self.params, each, grad, scale)[0]

    def divisor(self) -> float:
        if self.weight is None:
            return self.size
        return float(_kernels.loss_sums(_TOTAL, self.size, (self.flat(self.weight),))[0, 0])

    def finish(self, sums: Any) -> Any:
        divisor = self.size if self.weight is None else float(sums[1])
        return reduced(float(sums[0]), divisor, self.reduction, self.dtype)

    def loss(self) -> Any:
        if self.reduction != "none":
            return self.finish(self.run())
        each = _kernels.empty(self.shape, self.dtype, self.order)
        self.run(self.flat(each))
        return each if each.ndim else each[()]

    def with_grad(self, grad_out: Any) -> tuple[Any, Any]:
        if grad_out is not None:
            check_out(self.name, grad_out, self.pred_shape, self.grad_dtype, "grad_out")
        scale = gradient_scale(self.divisor(), self.reduction) if self.reduction == "mean" else 1.0
        each = _kernels.empty(self.shape, self.dtype, self.order) if self.reduction == "none" else None
        full = self.gradient_array(grad_out)
        sums = self.run(None if each is None else self.flat(each), self.flat(full), scale)
        if scale == 0.0:
            full[...] = 0                # 0 * inf is not 0
        value = self.finish(sums) if each is None else each if each.ndim else each[()]
        grad = full
        if full.shape != self.pred_shape:
            total = _kernels.loss_sums(_TOTAL, self.size, (self.flat(full),))[0, 0]
            grad = np.full(self.pred_shape, total, self.dtype)
        if grad_out is None:
            grad = grad.astype(self.grad_dtype, copy=False)
            return value, grad if grad.ndim else grad[()]
        if grad is not grad_out:
            grad_out[...] = grad
        return value, grad_out

    def gradient_array(self, grad_out: Any) -> NDArray[Any]:
        """`grad_out` if the kernel can write there: laid out alike, and apart from all it reads but pred itself."""
        if grad_out is None or grad_out.dtype != self.dtype or grad_out.shape != self.shape:
            return _kernels.empty(self.shape, self.dtype, self.order)
        pred, *others = [a for a in (*self.arrays, self.weight) if a is not None]
        order = grad_out.flags.c_contiguous if self.order == "C" else grad_out.flags.f_contiguous
        fits = order and grad_out.flags.aligned and grad_out.dtype.isnative
        same = pred.ctypes.data == grad_out.ctypes.data and pred.strides == grad_out.strides
        apart = not any(np.may_share_memory(grad_out, a) for a in (others if same else [pred, *others]))
        return np.asarray(grad_out) if fits and apart else _kernels.empty(self.shape, self.dtype, self.order)


def _is_sum(reduction: Any) -> bool:
    """Whether one number is wanted; an array, which has no place here, is told later."""
    return type(reduction) is str and reduction in ("mean", "sum")


def _integers(x: Any) -> bool:
    """Whether `x`, an array or a Python number, is of integers or bools."""
    return isinstance(x, np.ndarray) and x.dtype.kind in "iub"


def _common_shape(name: str, first: str, pred: tuple[int, ...], target: tuple[int, ...]) -> tuple[int, ...]:
    if pred == target or not target:
        return pred
    if not pred:
        return target
    raise ValueError(
        f"{name}: target has shape {target}, expected {pred} (that of {first}) or a scalar"
        " (reshape it, or repeat it with numpy.broadcast_to)"
    )


def _period(name: str, pos_weight: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """pos_weight as a flat array that the elements of `shape` run through again and again."""
    try:
        np.broadcast_to(pos_weight, shape)
    except ValueError:
        raise ValueError(
            f"{name}: pos_weight has shape {pos_weight.shape}, expected one that broadcasts to {shape}"
        ) from None
    while pos_weight.ndim and pos_weight.shape[0] == 1:
        pos_weight = pos_weight.reshape(pos_weight.shape[1:])
    return np.broadcast_to(pos_weight, shape[len(shape) - pos_weight.ndim :]).ravel() if pos_weight.ndim else pos_weight
