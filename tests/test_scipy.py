"""Against scipy.special and scikit-learn, on random shapes and axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastact

special = pytest.importorskip("scipy.special")

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)
SPREADS = st.sampled_from([0.1, 3.0, 100.0])


def close(ours: Any, theirs: Any, rtol: float = 1e-12, atol: float = 1e-14) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


@given(data=st.data(), seed=SEEDS, shape=SHAPES, spread=SPREADS)
def test_softmax_and_kin_on_any_axes(data: st.DataObject, seed: int, shape: tuple[int, ...], spread: float) -> None:
    x = np.random.default_rng(seed).normal(0, spread, shape)
    axes = data.draw(st.none() | st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True).map(tuple))
    axis = axes[0] if axes and len(axes) == 1 else axes
    close(fastact.softmax(x, axis=axis), special.softmax(x, axis=axis))
    # scipy's x - max - log(sum) cancels where one class dominates
    close(fastact.log_softmax(x, axis=axis), special.log_softmax(x, axis=axis), atol=1e-15 * spread + 2e-16)
    keepdims = data.draw(st.booleans())
    close(fastact.logsumexp(x, axis=axis, keepdims=keepdims), special.logsumexp(x, axis=axis, keepdims=keepdims))


@given(data=st.data(), seed=SEEDS, shape=SHAPES)
def test_logsumexp_of_what_the_mask_leaves(data: st.DataObject, seed: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(0, len(shape) - 1))
    x, mask = rng.normal(0, 3, shape), rng.random(shape) < 0.7
    with np.errstate(divide="ignore"):
        close(fastact.logsumexp(x, axis=axis, where=mask), special.logsumexp(x, axis=axis, b=mask))


@given(seed=SEEDS, shape=SHAPES, spread=SPREADS)
def test_sigmoids(seed: int, shape: tuple[int, ...], spread: float) -> None:
    x = np.random.default_rng(seed).normal(0, spread, shape)
    close(fastact.sigmoid(x), special.expit(x), atol=0)
    close(fastact.log_sigmoid(x), special.log_expit(x), atol=0)


@given(seed=SEEDS, shape=SHAPES, delta=st.floats(0.01, 10))
def test_huber(seed: int, shape: tuple[int, ...], delta: float) -> None:
    x, y = np.random.default_rng(seed).normal(0, 2, (2, *shape))
    close(fastact.huber_loss(x, y, delta=delta, reduction="none"), special.huber(delta, x - y), atol=0)
    close(fastact.huber_loss(x, y, delta=delta), special.huber(delta, x - y).mean())
    with np.errstate(all="ignore"):
        pseudo = special.pseudo_huber(delta, x - y)             # another smooth compromise: never above Huber's
    assert (pseudo <= fastact.huber_loss(x, y, delta=delta, reduction="none") + 1e-12).all()


@given(seed=SEEDS, n=st.integers(2, 60), classes=st.integers(2, 12), weighted=st.booleans())
def test_losses_of_scikit_learn(seed: int, n: int, classes: int, weighted: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    logits, target = rng.normal(0, 2, (n, classes)), rng.integers(0, classes, n)
    weight = rng.random(n) + 0.01 if weighted else None
    expected = metrics.log_loss(target, special.softmax(logits, axis=1), labels=range(classes), sample_weight=weight)
    close(fastact.cross_entropy(logits, target, sample_weight=weight), expected, rtol=1e-9)
    wrong = metrics.zero_one_loss(target, logits.argmax(1), sample_weight=weight)
    close(fastact.zero_one_loss(logits, target, sample_weight=weight), wrong)
    assert math.isclose(fastact.zero_one_loss(logits.argmax(1), target, sample_weight=weight), wrong, abs_tol=1e-14)
    signs = np.where(np.arange(n) % 2, 1, -1)
    expected = metrics.hinge_loss(signs, logits[:, 0], sample_weight=weight)
    close(fastact.hinge_loss(logits[:, 0], signs, sample_weight=weight), expected)
