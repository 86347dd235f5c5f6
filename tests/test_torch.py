"""Softmax and the classification losses against PyTorch, on random shapes and every combination of options.

tests/test_pointwise_torch.py holds the losses that work element by element.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastact

torch = pytest.importorskip("torch")
F = torch.nn.functional

Array = np.ndarray
DTYPES = st.sampled_from([np.float32, np.float64])
RTOL = {np.float32: 2e-5, np.float64: 1e-12}
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)
# The kernels change at 2, 16, 32 and more classes, and where classes lie apart.
CLASSES = st.integers(1, 20) | st.sampled_from([31, 32, 33, 64, 100, 257, 1030])
SPREADS = st.sampled_from([0.1, 3.0, 30.0])
REDUCTIONS = st.sampled_from(["mean", "sum", "none"])


def leaf(x: Array) -> Any:
    return torch.tensor(np.ascontiguousarray(x), requires_grad=True)


def agree(ours: Any, theirs: Any, dtype: Any, size: float = 1.0) -> None:
    """To a few roundings, those of terms of `size` included."""
    expected = theirs.detach().numpy() if hasattr(theirs, "detach") else theirs
    np.testing.assert_allclose(ours, expected, rtol=RTOL[dtype], atol=RTOL[dtype] * size)


@given(data=st.data(), seed=SEEDS, shape=SHAPES, dtype=DTYPES, spread=SPREADS,
       temperature=st.sampled_from([1.0, 0.5, 3.0]))
def test_softmax_on_any_axis(
    data: st.DataObject, seed: int, shape: tuple[int, ...], dtype: Any, spread: float, temperature: float
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    rng = np.random.default_rng(seed)
    x, dy = (rng.normal(0, spread, shape).astype(dtype), rng.normal(size=shape).astype(dtype))
    for name, peer in (("softmax", torch.softmax), ("log_softmax", torch.log_softmax)):
        tensor = leaf(x)
        expected = peer(tensor / temperature, axis)
        expected.backward(torch.tensor(dy))
        y = getattr(fastact, name)(x, axis=axis, temperature=temperature)
        agree(y, expected, dtype, spread / temperature)
        dx = getattr(fastact, f"{name}_grad")(dy, y, axis=axis, temperature=temperature)
        agree(dx, tensor.grad, dtype, 10 / temperature)


@given(data=st.data(), seed=SEEDS, shape=SHAPES, dtype=DTYPES, spread=SPREADS, keepdims=st.booleans())
def test_logsumexp_over_any_axes(
    data: st.DataObject, seed: int, shape: tuple[int, ...], dtype: Any, spread: float, keepdims: bool
) -> None:
    axes = tuple(data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True)))
    x = np.random.default_rng(seed).normal(0, spread, shape).astype(dtype)
    axis = axes[0] if len(axes) == 1 else axes
    agree(fastact.logsumexp(x, axis=axis, keepdims=keepdims), torch.logsumexp(torch.tensor(x), axes, keepdims), dtype)


class Draw:
    """One draw of logits with any class axis, their target, and the options that fastact and PyTorch share."""

    def __init__(self, data: st.DataObject, smoothing: bool) -> None:
        draw = data.draw
        self.rng = np.random.default_rng(draw(SEEDS))
        self.dtype, classes = draw(DTYPES), draw(CLASSES)
        others = draw(st.lists(st.integers(1, 5), min_size=0, max_size=3))
        # PyTorch's class axis is 1, or 0 if there is no other
        self.torch_axis = 1 if others else 0
        self.axis = draw(st.integers(0, len(others)))
        self.samples = tuple(others)
        self.shape = (*others[: self.torch_axis], classes, *others[self.torch_axis :])
        self.classes, self.spread = classes, draw(SPREADS)
        self.logits = self.rng.normal(0, self.spread, self.shape).astype(self.dtype)
        self.options: dict[str, Any] = {"reduction": draw(REDUCTIONS)}
        if draw(st.booleans()):
            self.options["weight"] = self.rng.random(classes).astype(self.dtype)
        if smoothing:
            self.options["label_smoothing"] = draw(st.sampled_from([0.0, 0.1, 0.75, 1.0]))
        self.labels = self.rng.integers(0, classes, self.samples)
        if draw(st.booleans()):
            self.options["ignore_index"] = draw(st.sampled_from([-100, -1, 0, classes - 1]))
            self.labels = np.where(self.rng.random(self.samples) < 0.3, self.options["ignore_index"], self.labels)

    def check(self, ours: Any, theirs: Any, x: Array, target: Array) -> None:
        tensor = leaf(x)
        options = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in self.options.items()}
        expected = theirs(tensor, torch.tensor(target), **options)
        expected.sum().backward()
        moved = np.moveaxis(x, self.torch_axis, self.axis)
        if target.ndim == x.ndim:
            target = np.moveaxis(target, self.torch_axis, self.axis)
        loss, grad = ours(moved, target, axis=self.axis, **self.options)
        total = np.prod(self.samples) if self.options["reduction"] == "sum" else 1
        agree(loss, expected, self.dtype, self.spread * total)
        agree(np.moveaxis(grad, self.axis, self.torch_axis), tensor.grad, self.dtype)


@settings(max_examples=200)
@given(data=st.data())
def test_cross_entropy_of_labels(data: st.DataObject) -> None:
    d = Draw(data, smoothing=True)
    d.check(fastact.cross_entropy_with_grad, F.cross_entropy, d.logits, d.labels)


@settings(max_examples=200)
@given(data=st.data())
def test_cross_entropy_of_probabilities(data: st.DataObject) -> None:
    d = Draw(data, smoothing=True)
    d.options.pop("ignore_index", None)         # PyTorch ignores it here, as documented, and so does fastact
    target = fastact.softmax(d.rng.normal(0, 3, d.shape).astype(d.dtype), axis=d.torch_axis)
    d.check(fastact.cross_entropy_with_grad, F.cross_entropy, d.logits, target)


def torch_focal(logits: Any, target: Any, gamma: float, ignore_index: int, weight: Any, reduction: str) -> Any:
    """-(1 - p)^gamma log p of the label's class, mean by the weights that count."""
    log_p = torch.log_softmax(logits, -1)
    counts = target != ignore_index
    label = torch.where(counts, target, 0)
    picked = log_p.gather(-1, label[..., None])[..., 0]
    scale = (torch.ones_like(picked) if weight is None else weight[label]) * counts
    loss = -scale * (-torch.expm1(picked)).clamp_min(1e-300) ** gamma * picked        # 0^gamma at 0 has no derivative
    return loss if reduction == "none" else loss.sum() / (scale.sum() if reduction == "mean" else 1)


@settings(max_examples=150)
@given(seed=SEEDS, n=st.integers(1, 40), classes=st.integers(2, 70), weighted=st.booleans(), reduction=REDUCTIONS,
       gamma=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]), ignore_index=st.sampled_from([-100, 0]))
def test_focal_loss(
    seed: int, n: int, classes: int, weighted: bool, reduction: str, gamma: float, ignore_index: int
) -> None:
    rng = np.random.default_rng(seed)
    x, target = rng.normal(0, 3, (n, classes)), rng.integers(0, classes, n)
    weight = rng.random(classes) if weighted else None
    tensor = leaf(x)
    weights = None if weight is None else torch.tensor(weight)
    expected = torch_focal(tensor, torch.tensor(target), gamma, ignore_index, weights, reduction)
    expected.sum().backward()
    loss, grad = fastact.focal_loss_with_grad(
        x, target, gamma=gamma, ignore_index=ignore_index, weight=weight, reduction=reduction
    )
    np.testing.assert_allclose(loss, expected.detach().numpy(), rtol=1e-9, atol=1e-13)
    if not np.isnan(loss).any():                # nothing counts: PyTorch's gradient is nan then, ours 0
        np.testing.assert_allclose(grad, tensor.grad.numpy(), rtol=1e-9, atol=1e-13)
