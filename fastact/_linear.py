"""Losses of a linear layer without its N x C logits: blocks of them, by NumPy's BLAS, each finished by one C pass.

A block holds the logits of some samples for some classes, or for all. Where a few hundred samples with all their
classes fit into the workspace, the kernels of cross_entropy take the block and turn it into its gradient: three
products in all. Else log-sum-exp runs over the blocks of classes, and for the gradient each block is computed a second
time: four.

Measured with 1024 samples, 512 features, 32000 classes, float32, two threads (ms): the plain product 164, in blocks of
1024 x 4000 and 1024 x 2000 167, of 512 x 4032 173, of 1024 x 1000 180, of 512 x 4096 187, of 256 x 32000 184, of
128 x 32000 212; the passes take 10, and no less when a second thread, asleep during the products, takes half of each.
The gradient as a whole: its three products in one piece 495, all in one piece 516 (131 MB of logits), by 512 samples
530 to 590, by 205, the default, 570 to 680 (BLAS packs linear_weight for each group again, and their parts of
dlinear_weight are added), four products in blocks of 1024 x 2000 690. Rejected: blocks of classes for all samples, two
thirds of them kept for the gradient in the workspace and in dlinear_weight's memory, not needed until then: 570 to 690.
The 20 to 60 between runs are the machine's: one product alone took 168 to 321 within a process, and beside an idle
process of another library, which holds other pages, 570 became 670 to 740 (each C pass 1.5 -> 2.3). Fresh pages of
dlinear_weight (66 MB, huge ones) cost 7 to 9 touched by one thread, 1 to 3 as the product touches them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastact import _kernels
from fastact._classes import check_index, label_error, targets
from fastact._dispatch import as_floats, as_operand, check_number, default_modes, is_number
from fastact._layout import promoted
from fastact._reduction import check_reduction, check_weight, gradient_scale, reduced

Array = NDArray[Any]
BLOCK_BYTES = 2**25
_CACHED_BYTES = 2**24  # a block of this size stays in the last-level cache between its product and its pass
_ROWS = 512  # of whole rows; with fewer, blocks of classes are faster
_BLOCK_ROWS = 1024  # of a block of some classes; with fewer, linear_weight is packed more often
_FULL_ROWS = 96  # from so many samples on, whole rows are faster than computing every block twice
_MOST_ROWS = 1024  # of whole rows; more gain nothing
_GROUP = 64  # classes: blocks end at an odd multiple, for BLAS writes 2**k bytes apart 4 % slower
_ID = _kernels.ROWS_ID


class Options(NamedTuple):
    """The options of a linear loss, as the public functions take them."""

    weight: ArrayLike | None = None
    ignore_index: int | None = -100
    label_smoothing: float = 0.0
    reduction: str = "mean"
    sample_weight: ArrayLike | None = None
    block_bytes: int = BLOCK_BYTES
    margin: tuple[Any, Any] | None = None  # margin and lambda_ of L-softmax

    @property
    def plain(self) -> bool:
        """Whether nothing is asked for beyond labels."""
        return (self.weight is None and self.sample_weight is None and self.margin is None
                and is_number(self.label_smoothing, 0) and is_number(self.block_bytes, BLOCK_BYTES)
                and self.reduction in ("mean", "sum"))


class Blocks(NamedTuple):
    """Samples and classes of a block, and the elements of the buffer for partial products."""

    rows: int
    cols: int
    spare: int


class Samples(NamedTuple):
    """Some samples of the batch: where they are, their features, and what the kernels are told of them."""

    at: slice | Array
    x: Array
    known: tuple[Any, ...]
    each: Array | None


def choose_blocks(n: int, d: int, c: int, elements: int, cached: int, grad: bool, gathers: bool) -> Blocks:
    """The shape of blocks for n samples, d features, c classes, a workspace of `elements`; `cached` fit the cache."""
    aside = (2 if grad else 1) * d if gathers else 0  # of a sample: its features and their gradient
    most = min(elements, cached)
    if not grad:
        rows = min(n, most // (c + aside))
        if rows >= min(n, _ROWS):
            return Blocks(rows, c, 0)
    else:
        alone = n * (c + aside) <= elements
        spare = 0 if alone else min(c * d, max(_GROUP * d, cached // 8))
        rows = min(n, max(elements - spare, 0) // (c + aside), max(_MOST_ROWS, most // c))
        if rows >= min(n, _FULL_ROWS):
            rows = math.ceil(n / math.ceil(n / rows))
            spare = 0 if rows == n else min(c * d, cached, elements - rows * (c + aside))
            return Blocks(rows, c, max(spare, d))
        most = min(elements // 2, cached)
    rows = min(n, _BLOCK_ROWS, max(math.isqrt(most), 1), max(most // (_GROUP + 2 * aside), 1))
    groups = max((most // rows - aside) // _GROUP, 1)
    groups -= groups > 1 and groups % 2 == 0
    groups = math.ceil(c / math.ceil(c / (groups * _GROUP)) / _GROUP)       # all blocks as wide as each other
    return Blocks(rows, min(c, (groups | 1) * _GROUP), max(most, d) if grad else 0)


class LinearLoss:
    """One call, everything checked. `name` is the public function's, for errors."""

    def __init__(
        self, name: str, x: ArrayLike, linear_weight: ArrayLike, target: ArrayLike, linear_bias: ArrayLike | None,
        options: Options,
    ) -> None:
        self.name = name
        check_reduction(name, options.reduction)
        self.reduction = options.reduction
        x, linear_weight, bias, self.dtype = layer(name, x, linear_weight, linear_bias)
        self.compute = compute = np.dtype(np.float32) if self.dtype == np.float16 else self.dtype
        self.n, self.d, self.c = len(x), x.shape[1], len(linear_weight)
        self.labels, self.target = targets(name, target, (self.n, self.c), (self.n,), compute)
        self.smoothing = check_number(
            name, "label_smoothing", options.label_smoothing, 0.0, 1.0, "a number from 0 to 1"
        )
        self.ignore = None if options.ignore_index is None else check_index(name, options.ignore_index)
        self.weight = self.sample_weight = None
        if options.weight is not None:
            self.weight = np.ascontiguousarray(check_weight(name, "weight", options.weight, (self.c,), compute))
        if options.sample_weight is not None:
            self.sample_weight = check_weight(name, "sample_weight", options.sample_weight, (self.n,), compute)
            self.sample_weight = np.ascontiguousarray(self.sample_weight)
        self.elements = max(check_positive(name, "block_bytes", options.block_bytes) // compute.itemsize, 1)
        self.knots: Array | None = None
        if options.margin is not None:
            self.knots = knots(name, options.margin[0])
            self.lambda_ = check_number(name, "lambda_", options.margin[1], 0.0, np.inf, "a finite number >= 0")
            if self.labels is None:
                shapes = f"{(self.n, self.c)}, expected integer labels of shape {(self.n,)}"
                raise ValueError(f"{name}: target has shape {shapes}")
        if self.labels is None:
            self.divisor = float(self.n if self.sample_weight is None else self.sample_weight.sum(dtype=np.float64))
        else:
            self.divisor, bad = _kernels.label_weights(
                self.labels, self.c, self.weight, self.sample_weight, self.ignore, compute == np.float32
            )
            if bad >= 0:
                raise IndexError(label_error(name, np.asarray(target), bad, self.c))
        whole = self.knots is not None  # the margin's kernel reads rows
        self.x, self.linear_weight = (as_rows(a.astype(compute, copy=False), whole) for a in (x, linear_weight))
        self.bias = None if bias is None else np.ascontiguousarray(bias, compute)
        self.keep = self.kept()

    def kept(self) -> Array | None:
        """The samples that count, if not all do: what the others hold reaches no product."""
        if self.weight is None and self.sample_weight is None and self.divisor == self.n:
            return None
        keep = np.ones(self.n, np.bool_)
        if self.labels is not None and self.ignore is not None:
            keep &= self.labels != self.ignore
        if self.labels is not None and self.weight is not None and self.smoothing == 0 and self.c:
            keep &= self.weight[self.labels.clip(0, self.c - 1).astype(np.intp)] != 0
        if self.sample_weight is not None:
            keep &= self.sample_weight != 0
        return None if keep.all() else np.flatnonzero(keep)

    @property
    def counted(self) -> int:
        """How many samples count."""
        return self.n if self.keep is None else len(self.keep)

    def run(self, grad: bool) -> Any:
        """The loss, or (loss, dx, dlinear_weight, dlinear_bias)."""
        self.each = np.zeros(self.n, self.compute) if self.reduction == "none" else None
        self.scale = gradient_scale(self.divisor, self.reduction)
        total = 0.0
        gradients = Gradients(self) if grad else None
        if self.counted and self.c:
            blocks = choose_blocks(
                self.counted, self.d, self.c, self.elements, _CACHED_BYTES // self.compute.itemsize, grad,
                self.keep is not None,
            )
            work = Work(self, blocks, gradients)
            for samples in self.samples(blocks.rows):
                total += work.whole_rows(samples) if blocks.cols == self.c else work.blocks_of_classes(samples)
            if gradients is not None and work.own is not None:
                _kernels.add_multiples(work.own, self.linear_weight, gradients.dw)
        loss = self.each if self.each is not None else reduced(total, self.divisor, self.reduction, self.compute)
        return loss if gradients is None else (loss, *gradients.returned())

    def samples(self, rows: int) -> Iterator[Samples]:
        """The samples that count, `rows` at a time."""
        gathered = np.empty((rows, self.d), self.compute) if self.keep is not None else None
        for start in range(0, self.counted, rows):
            stop = min(start + rows, self.counted)
            at: slice | Array = slice(start, stop)
            if self.keep is None or gathered is None:
                x = self.x[at]
            else:
                at = self.keep[at]
                x = self.x.take(at, 0, gathered[: stop - start], "clip")
            labels, target, sample_weight = (
                None if a is None else a[at] for a in (self.labels, self.target, self.sample_weight)
            )
            each = None if self.each is None else np.empty(len(x), self.compute)
            known = (labels, target, self.weight, sample_weight, each, self.ignore, self.smoothing, self.scale, x)
            yield Samples(at, x, known, each)


class Gradients:
    """dx, dlinear_weight and dlinear_bias while they grow."""

    def __init__(self, loss: LinearLoss) -> None:
        make = _kernels.empty if loss.keep is None and loss.c else np.zeros
        self.dtype = loss.dtype
        self.dx = make((loss.n, loss.d), loss.compute)
        self.dw = (_kernels.empty if loss.counted else np.zeros)((loss.c, loss.d), loss.compute)
        self.db = None if loss.bias is None else np.zeros(loss.c, np.float64)

    def returned(self) -> tuple[Array, Array, Array | None]:
        """As the caller gets them."""
        db = None if self.db is None else self.db.astype(self.dtype)
        return self.dx.astype(self.dtype, copy=False), self.dw.astype(self.dtype, copy=False), db


class Work:
    """The workspace of a call, and what is done in it with some of the samples."""

    def __init__(self, loss: LinearLoss, blocks: Blocks, gradients: Gradients | None) -> None:
        self.loss, self.blocks, self.gradients = loss, blocks, gradients
        self.logits = _kernels.empty((blocks.rows * blocks.cols,), loss.compute)
        self.spare = np.empty(blocks.spare, loss.compute)
        self.dx = None
        if gradients is not None and loss.keep is not None:
            self.dx = np.empty((blocks.rows, loss.d), loss.compute)
        self.state = None
        if blocks.cols < loss.c:
            self.state = np.empty((blocks.rows, _kernels.LINEAR_STATE), np.float64)
        self.own = np.zeros(loss.c) if gradients is not None and loss.knots is not None else None
        self.first = True  # no sample has reached dlinear_weight

    def product(self, samples: Samples, cols: slice) -> Array:
        """The logits of these classes, without the bias."""
        w = self.loss.linear_weight[cols]
        z = self.logits[: len(samples.x) * len(w)].reshape(len(samples.x), len(w))
        return np.matmul(samples.x, w.T, out=z)

    def pass_over(self, kernel: str, z: Array | None, samples: Samples, cols: slice, margin: Any) -> float:
        """One C pass over a block; the sum of the losses if they are known after it."""
        loss, db = self.loss, None if self.gradients is None else self.gradients.db
        shape = len(samples.x), 1 if z is None else z.shape[1], loss.c
        bias = None if loss.bias is None else loss.bias[cols]
        return _kernels.linear_block(
            _ID[kernel], shape, z, cols.start, samples.known, bias, None if db is None else db[cols], self.state, margin
        )

    def whole_rows(self, samples: Samples) -> float:
        """Loss (and gradients) of samples whose classes come in one block."""
        everything = slice(0, self.loss.c)
        margin = self.margin(samples)
        z = self.product(samples, everything)
        kernel = "cross_entropy" if self.gradients is None else "cross_entropy_with_grad"
        total = self.pass_over(kernel, z, samples, everything, margin)
        if self.gradients is not None:
            dx = self.dx_of(samples)
            np.matmul(z, self.loss.linear_weight, out=dx)
            self.add_dw(z, samples, everything)
            self.finish_dx(samples, dx, margin)
        self.store_losses(samples)
        return total

    def blocks_of_classes(self, samples: Samples) -> float:
        """The same for samples whose classes come in several blocks."""
        c, step = self.loss.c, self.blocks.cols
        blocks = [slice(start, min(start + step, c)) for start in range(0, c, step)]
        margin = self.margin(samples)
        for cols in blocks:
            self.pass_over("linear_forward", self.product(samples, cols), samples, cols, margin)
        total = self.pass_over("linear_finish", None, samples, slice(0, 0), None)
        if self.gradients is not None:
            dx = self.dx_of(samples)
            for cols in blocks:
                z = self.product(samples, cols)
                self.pass_over("linear_gradient", z, samples, cols, margin)
                add_product(z, self.loss.linear_weight[cols], dx, self.spare, cols.start == 0)
                self.add_dw(z, samples, cols)
            self.finish_dx(samples, dx, margin)
        self.store_losses(samples)
        return total

    def margin(self, samples: Samples) -> Any:
        """What stands in place of the labels' logits, the factors of its derivatives, what adds up for each class."""
        loss = self.loss
        if loss.knots is None:
            return None
        logit = np.empty(len(samples.x), loss.compute)
        factors = np.zeros((3, len(logit)))
        labels = samples.known[0]
        _kernels.large_margin(
            samples.x, loss.linear_weight, labels, loss.ignore, loss.lambda_, loss.knots, logit, factors
        )
        return logit, factors, self.own

    def dx_of(self, samples: Samples) -> Array:
        """Where the gradient with respect to these samples is computed."""
        assert self.gradients is not None
        return self.gradients.dx[samples.at] if self.dx is None else self.dx[: len(samples.x)]

    def add_dw(self, z: Array, samples: Samples, cols: slice) -> None:
        """Adds the gradient of a block to dlinear_weight."""
        assert self.gradients is not None
        add_product(z.T, samples.x, self.gradients.dw[cols], self.spare, self.first)

    def finish_dx(self, samples: Samples, dx: Array, margin: Any) -> None:
        """After the last block: what is left of the margin, and dx to its place."""
        assert self.gradients is not None
        self.first = False
        if margin is not None:
            _kernels.add_multiples(margin[1][1], samples.x, dx)
        if self.dx is not None:
            self.gradients.dx[samples.at] = dx

    def store_losses(self, samples: Samples) -> None:
        """Each sample's loss to its place."""
        if self.loss.each is not None:
            self.loss.each[samples.at] = samples.each


def add_product(a: Array, b: Array, out: Array, spare: Array, first: bool) -> None:
    """Computes out = a @ b, or out += a @ b, some rows at a time through the spare buffer."""
    if first:
        np.matmul(a, b, out=out)
        return
    step = max(spare.size // max(out.shape[1], 1), 1)
    for start in range(0, len(out), step):
        some = out[start : start + step]
        part = np.matmul(a[start : start + step], b, out=spare[: some.size].reshape(some.shape))
        np.add(some, part, out=some)


def small_loss(x: Any, linear_weight: Any, target: Any, linear_bias: Any, options: Options, grad: bool) -> Any:
    """What LinearLoss would give, to the bit, at a third of its cost for 32 samples; None if it must be asked.

    That is: all logits are one small block, labels are the target, all samples count, and no option is used.
    """
    if not options.plain or not _kernels.is_small_layer(x, linear_weight, linear_bias):
        return None
    z = np.matmul(x, linear_weight.T)
    if linear_bias is not None:
        z += linear_bias
    kernel = _ID["cross_entropy_with_grad" if grad else "cross_entropy"]
    mean, z_too = options.reduction == "mean", z if grad else _kernels.NO_GRADIENT
    known = _kernels.class_sums(kernel, z, target, 1, options.ignore_index, mean, z_too)
    if known is None or known[1] != len(x) or known[2] >= 0:
        return None
    loss = reduced(known[0], known[1], options.reduction, x.dtype)
    if not grad:
        return loss
    db = None if linear_bias is None else z.sum(0, np.float64).astype(x.dtype)
    return loss, np.matmul(z, linear_weight), np.matmul(z.T, x), db


@default_modes
def linear_loss(
    name: str, x: ArrayLike, linear_weight: ArrayLike, target: ArrayLike, linear_bias: ArrayLike | None,
    options: Options, grad: bool = False,
) -> Any:
    """The loss, or (loss, dx, dlinear_weight, dlinear_bias) if `grad`."""
    before = _kernels.set_thread_threads(1)  # no team of ours beside BLAS's: see _linear.pxi
    try:
        small = small_loss(x, linear_weight, target, linear_bias, options, grad)
        if small is not None:
            return small
        return LinearLoss(name, x, linear_weight, target, linear_bias, options).run(grad)
    finally:
        _kernels.set_thread_threads(before)


def layer(
    name: str, x: ArrayLike, linear_weight: ArrayLike, linear_bias: ArrayLike | None
) -> tuple[Array, Array, Array | None, np.dtype[Any]]:
    """Checks x (N, D), linear_weight (C, D), linear_bias (C,); finds their common dtype."""
    x = as_floats(name, "x", as_operand(name, "x", x))
    w = as_floats(name, "linear_weight", as_operand(name, "linear_weight", linear_weight))
    if x.ndim != 2:
        raise ValueError(f"{name}: x has shape {x.shape}, expected (samples, features)")
    if w.ndim != 2 or w.shape[1] != x.shape[1]:
        shape = f"(classes, {x.shape[1]}), as x has shape {x.shape}"
        raise ValueError(f"{name}: linear_weight has shape {w.shape}, expected {shape}")
    if linear_bias is None:
        return x, w, None, np.result_type(x, w)
    bias = as_floats(name, "linear_bias", as_operand(name, "linear_bias", linear_bias))
    if bias.shape != w.shape[:1]:
        raise ValueError(f"{name}: linear_bias has shape {bias.shape}, expected {w.shape[:1]}")
    return x, w, bias, np.result_type(x, w, bias)


def as_rows(a: Array, contiguous: bool) -> Array:
    """`a` as BLAS takes it: one of its strides is that of an element; a copy only if it must be."""
    return a if a.flags.c_contiguous or (a.flags.f_contiguous and not contiguous) else np.ascontiguousarray(a)


def check_positive(name: str, argument: str, value: Any) -> int:
    """`value` as an int above 0."""
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: {argument} is {value!r}, expected an int") from None
    if count < 1:
        raise ValueError(f"{name}: {argument} is {count}, expected an int >= 1")
    return count


def knots(name: str, margin: Any) -> Array:
    """cos(k pi/margin) for k from 1 to margin - 1: where psi changes from one piece to the next."""
    m = check_positive(name, "margin", margin)
    places: Array = np.cos(np.arange(1, m) * (np.pi / m))
    return places


@default_modes
def softmax_of_layer(name: str, x: ArrayLike, linear_weight: ArrayLike, linear_bias: ArrayLike | None) -> Array:
    """Class probabilities: softmax in place on the product."""
    x, linear_weight, bias, dtype = layer(name, x, linear_weight, linear_bias)
    compute = promoted(x, linear_weight) if bias is None else promoted(x, linear_weight, bias)
    y = _kernels.empty((len(x), len(linear_weight)), compute)
    x, linear_weight = (as_rows(a.astype(compute, copy=False), False) for a in (x, linear_weight))
    np.matmul(x, linear_weight.T, out=y)
    if bias is not None:
        y += bias
    before = _kernels.set_thread_threads(1)
    try:
        _kernels.rows_plain(_ID["softmax"], y, None, None, y, len(x), len(linear_weight), 1, 1.0)
    finally:
        _kernels.set_thread_threads(before)
    return np.asarray(y.astype(dtype, copy=False))
