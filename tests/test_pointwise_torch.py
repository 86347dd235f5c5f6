"""The pointwise losses against PyTorch, on random shapes and every combination of options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastact

torch = pytest.importorskip("torch")
F = torch.nn.functional

seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 12), min_size=1, max_size=4).map(tuple)
reductions = st.sampled_from(["mean", "sum", "none"])
positive = st.floats(0.05, 5)


def check(ours: Any, theirs: Any, seed: int, shape: tuple[int, ...], reduction: str, targets: str = "real") -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 2, shape)
    y = rng.normal(0, 2, shape) if targets == "real" else rng.random(shape).round(0 if targets == "labels" else 3)
    if targets == "of probabilities":
        x = rng.uniform(0.01, 0.99, shape)
    tensor = torch.tensor(x, requires_grad=True)
    expected = theirs(tensor, torch.tensor(y), reduction=reduction)
    expected.sum().backward()
    loss, grad = ours(x, y, reduction=reduction)
    np.testing.assert_allclose(loss, expected.detach().numpy(), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(grad, tensor.grad.numpy(), rtol=1e-10, atol=1e-13)


@given(seed=seeds, shape=shapes, reduction=reductions)
def test_l1_and_mse(seed: int, shape: tuple[int, ...], reduction: str) -> None:
    check(fastact.l1_loss_with_grad, F.l1_loss, seed, shape, reduction)
    check(fastact.mse_loss_with_grad, F.mse_loss, seed, shape, reduction)


@given(seed=seeds, shape=shapes, reduction=reductions, delta=positive)
def test_huber_and_smooth_l1(seed: int, shape: tuple[int, ...], reduction: str, delta: float) -> None:
    check(lambda *a, **k: fastact.huber_loss_with_grad(*a, delta=delta, **k),
          lambda *a, **k: F.huber_loss(*a, delta=delta, **k), seed, shape, reduction)
    check(lambda *a, **k: fastact.smooth_l1_loss_with_grad(*a, beta=delta, **k),
          lambda *a, **k: F.smooth_l1_loss(*a, beta=delta, **k), seed, shape, reduction)


@given(seed=seeds, shape=shapes, reduction=reductions, weighted=st.booleans(),
       targets=st.sampled_from(["labels", "soft"]))
def test_binary_cross_entropy(seed: int, shape: tuple[int, ...], reduction: str, weighted: bool, targets: str) -> None:
    check(fastact.binary_cross_entropy_with_grad, F.binary_cross_entropy, seed, shape, reduction, "of probabilities")
    weight = np.random.default_rng(seed).uniform(0, 3, shape[-1]) if weighted else None
    tensor = None if weight is None else torch.tensor(weight)
    check(lambda *a, **k: fastact.binary_cross_entropy_with_logits_with_grad(*a, pos_weight=weight, **k),
          lambda *a, **k: F.binary_cross_entropy_with_logits(*a, pos_weight=tensor, **k),
          seed, shape, reduction, targets)


def torch_focal(x: Any, y: Any, alpha: float | None, gamma: float, reduction: str) -> Any:
    """As in torchvision.ops.sigmoid_focal_loss."""
    p = torch.sigmoid(x)
    p_t = p * y + (1 - p) * (1 - y)
    loss = F.binary_cross_entropy_with_logits(x, y, reduction="none") * (1 - p_t) ** gamma
    if alpha is not None:
        loss = (alpha * y + (1 - alpha) * (1 - y)) * loss
    return loss if reduction == "none" else getattr(loss, reduction)()


@given(seed=seeds, shape=shapes, reduction=reductions, alpha=st.none() | st.floats(0, 1), gamma=st.floats(0, 5),
       targets=st.sampled_from(["labels", "soft"]))
def test_sigmoid_focal(
    seed: int, shape: tuple[int, ...], reduction: str, alpha: float | None, gamma: float, targets: str
) -> None:
    check(lambda *a, **k: fastact.sigmoid_focal_loss_with_grad(*a, alpha=alpha, gamma=gamma, **k),
          lambda *a, **k: torch_focal(*a, alpha, gamma, k["reduction"]), seed, shape, reduction, targets)


@settings(max_examples=20)
@given(seed=seeds, n=st.integers(1, 5000))
def test_float32_against_float64(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(0, 2, (2, n)).astype(np.float32)
    expected = F.mse_loss(torch.tensor(x).double(), torch.tensor(y).double())
    assert abs(fastact.mse_loss(x, y) - float(expected)) <= 1e-7 * float(expected)
