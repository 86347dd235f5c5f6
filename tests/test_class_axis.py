"""Cross-entropy of classes along any axis equals that of the same classes moved to the last."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastact

SHAPES = [(5, 7), (2, 21, 32), (2, 5, 3, 4), (3, 5, 1), (1, 4, 600)]
CASES = [(shape, axis) for shape in SHAPES for axis in range(len(shape))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "axis"), CASES)
@pytest.mark.parametrize("kind", ["labels", "probabilities", "masked", "weighted"])
def test_any_class_axis(shape, axis, dtype, kind):
    rng = np.random.default_rng(len(shape) + axis)
    logits = rng.normal(size=shape).astype(dtype)
    samples = shape[:axis] + shape[axis + 1 :]
    target, moved, options, options_moved = rng.integers(0, shape[axis], samples), None, {}, {}
    if kind == "probabilities":
        target = fastact.softmax(rng.normal(size=shape).astype(dtype), axis=axis)
        moved = np.moveaxis(target, axis, -1)
    elif kind == "masked":
        mask = rng.random(shape) < 0.7
        options, options_moved = {"where": mask}, {"where": np.moveaxis(mask, axis, -1)}
    elif kind == "weighted":
        options = {"weight": rng.random(shape[axis]) + 0.1, "sample_weight": rng.random(samples)}
        options_moved = options
    moved = target if moved is None else moved
    last = np.ascontiguousarray(np.moveaxis(logits, axis, -1))
    for reduction in ("mean", "sum", "none"):
        expected, gradient = fastact.cross_entropy_with_grad(last, moved, reduction=reduction, **options_moved)
        loss, got = fastact.cross_entropy_with_grad(logits, target, axis=axis, reduction=reduction, **options)
        assert_array_equal(loss, expected)
        assert_array_equal(got, np.moveaxis(gradient, -1, axis))
        assert_array_equal(fastact.cross_entropy(logits, target, axis=axis, reduction=reduction, **options), expected)


def test_pixels_against_the_formula():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 21, 32, 32)), rng.integers(0, 21, (2, 32, 32))
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -np.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    assert_allclose(fastact.cross_entropy(logits, labels, axis=1, reduction="none"), expected, rtol=1e-12)


def test_the_gradient_may_replace_the_logits():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(3, 5, 4)), rng.integers(0, 5, (3, 4))
    _, expected = fastact.cross_entropy_with_grad(logits, labels, axis=1)
    _, got = fastact.cross_entropy_with_grad(logits, labels, axis=1, grad_out=logits)
    assert got is logits
    assert_array_equal(got, expected)
