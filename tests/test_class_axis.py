"""Cross-entropy of classes along any axis: that of the classes moved to the last, and the formula with every option."""

from typing import Any

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
        if reduction == "none":
            assert_array_equal(loss, expected)
        else:                                   # the samples are added in another order
            assert_allclose(loss, expected, rtol=4 * np.finfo(dtype).eps)
        assert_array_equal(got, np.moveaxis(gradient, -1, axis))
        assert_array_equal(fastact.cross_entropy(logits, target, axis=axis, reduction=reduction, **options), loss)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("classes", "pixels"), [(100, 5003), (700, 803)])
def test_wide_blocks_have_the_bits_of_single_columns(classes, pixels, dtype, isa):
    """Blocks of several vectors in L2, and of one in L1: the same samples alone."""
    rng = np.random.default_rng(classes)
    shape, inner = (2, classes, pixels), slice(100, 109)
    x, teacher = (rng.normal(0, 3, shape).astype(dtype) for _ in range(2))
    keep, weight, labels = rng.random(shape) < 0.9, rng.random(classes) + 0.1, rng.integers(0, classes, (2, pixels))
    probs, dense = fastact.softmax(x, axis=1), fastact.softmax(teacher, axis=1)
    cases = [("cross_entropy", x, labels, {}), ("cross_entropy", x, dense, {"label_smoothing": 0.1}),
             ("cross_entropy", x, labels, {"where": keep, "temperature": 2.0, "weight": weight}),
             ("cross_entropy", dense, dense, {"from_logits": False}), ("nll_loss", x, labels, {"label_smoothing": 0.1}),
             ("nll_loss", x, labels, {}), ("focal_loss", x, labels, {}), ("distillation_loss", x, teacher, {}),
             ("distillation_loss", x, teacher, {"temperature": 3.0}), ("kl_divergence", dense, probs, {}),
             ("entropy", dense, None, {})]  # fmt: skip
    for name, first, second, options in cases:
        keep_some = {key: value[..., inner] if key == "where" else value for key, value in options.items()}
        whole = [a for a in (first, second) if a is not None]
        some = [np.ascontiguousarray(a[..., inner]) for a in whole]
        each = {} if name in ("kl_divergence", "entropy") else {"reduction": "none"}
        loss = getattr(fastact, name)
        alone = loss(*some, axis=1, **each, **keep_some)
        with fastact.threads(3):
            got = loss(*whole, axis=1, **each, **options)
            assert_array_equal(got[:, inner], alone, err_msg=name)
            if not each:
                continue
            with_grad = getattr(fastact, name + "_with_grad")
            again, gradient = with_grad(*whole, axis=1, **each, **options)
            assert_array_equal(again, got, err_msg=name)
            _, gradient_alone = with_grad(*some, axis=1, **each, **keep_some)
            assert_array_equal(gradient[..., inner], gradient_alone, err_msg=name)
            if "weight" not in options:
                mean = loss(*whole, axis=1, **options)
                limit = 4 * np.finfo(dtype).eps * np.abs(got).mean(dtype=float)
                assert_allclose(mean, np.mean(got, dtype=float), rtol=0, atol=limit, err_msg=name)


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


def formula(
    x: np.ndarray, target: np.ndarray, options: dict[str, Any], gamma: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gradients of rows in long double, straight from the definition."""
    n, classes = x.shape
    keep = options.get("where", np.ones(x.shape, bool))
    temperature, smoothing = options.get("temperature", 1.0), options.get("label_smoothing", 0.0)
    z = np.where(keep, x.astype(np.longdouble), -np.inf) / temperature
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    log_p = np.log(np.where(keep, p, 1))
    counts = np.ones(n, bool)
    if target.ndim == 1:
        counts = target != options.get("ignore_index", -100)
        label = np.where(counts, target, 0)
        target = np.eye(classes)[label]
    a = (target * (1 - smoothing) + smoothing / keep.sum(axis=1, keepdims=True)) * keep * options.get("weight", 1.0)
    scale = options.get("sample_weight", 1.0) * counts
    loss, slope = -(a * log_p).sum(axis=1), np.ones(n)
    if gamma is not None:
        p_t = p[np.arange(n), label]
        q_t = np.where(p_t == 1, 1, 1 - p_t)  # p_t = 1: nothing else is kept, the loss is 0
        slope = q_t**gamma * (1 + gamma * p_t * -np.log(p_t) / q_t)
        loss = loss * q_t**gamma
    return loss * scale, (a.sum(axis=1, keepdims=True) * p - a) / temperature * (scale * slope)[:, None]


LAYOUTS = [(19,), (3, 3), (2, 20), (1, 70)]              # samples: outer, inner
OPTIONS: list[set[str]] = [
    set(), {"weight"}, {"sample_weight"}, {"ignore_index"}, {"where"}, {"label_smoothing"}, {"temperature"},
    {"weight", "label_smoothing"},
    {"weight", "sample_weight", "ignore_index", "where", "label_smoothing", "temperature"},
]


@pytest.mark.parametrize("classes", [*range(1, 35), 40, 100, 257, 700, 5000])
@pytest.mark.parametrize("kind", ["labels", "probabilities", "focal"])
def test_every_option_of_every_layout(classes, kind, dtype, isa):
    rng = np.random.default_rng(classes)
    for layout in LAYOUTS:
        n = int(np.prod(layout))
        x = rng.normal(0, 2, (n, classes)).astype(dtype)
        labels = rng.integers(0, classes, n)
        for names in OPTIONS:
            if kind != "labels" and "ignore_index" in names and len(names) == 1:
                continue
            if kind == "focal" and ("label_smoothing" in names or classes == 1):
                continue
            options: dict[str, Any] = {
                "weight": rng.uniform(0.5, 2, classes), "sample_weight": rng.uniform(0, 2, n) * (rng.random(n) < 0.8),
                "ignore_index": 0, "where": rng.random(x.shape) < 0.7, "label_smoothing": 0.3, "temperature": 1.7,
            }
            target = labels
            if kind == "probabilities":
                target = rng.random(x.shape).astype(dtype)
                options.pop("ignore_index")
                target /= target.sum(axis=1, keepdims=True)
            options["where"][np.arange(n), labels] = True
            options = {k: v for k, v in options.items() if k in names}
            expected, slope = formula(x, target, options, 1.5 if kind == "focal" else None)

            def across(rows, layout=layout):
                """Rows laid out with their classes on axis 1."""
                return np.ascontiguousarray(np.moveaxis(rows.reshape(*layout, -1), -1, 1))

            given = options | {k: across(v) for k, v in options.items() if k == "where"}
            given |= {k: v.reshape(layout) for k, v in options.items() if k == "sample_weight"}
            function = fastact.focal_loss_with_grad if kind == "focal" else fastact.cross_entropy_with_grad
            given |= {"gamma": 1.5} if kind == "focal" else {}
            moved = across(target) if target.ndim == 2 else target.reshape(layout)
            loss, grad = function(across(x), moved, axis=1, reduction="none", **given)
            eps = float(np.finfo(dtype).eps)
            case = f"{layout} {names}"
            assert_allclose(loss.ravel(), expected.astype(float), rtol=40 * eps, atol=20 * eps, err_msg=case)
            by_rows = np.moveaxis(grad, 1, -1).reshape(n, classes)
            assert_allclose(by_rows, slope.astype(float), rtol=40 * eps, atol=10 * eps, err_msg=case)
            total, grad_of_sum = function(across(x), moved, axis=1, reduction="sum", **given)
            assert_array_equal(grad_of_sum, grad)
            assert_allclose(total, loss.sum(dtype=np.float64), rtol=20 * eps, atol=eps)


@pytest.mark.parametrize("shape", [(1000, 10), (300, 33), (40, 7, 3), (6, 21, 500), (3, 300, 70)])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1, "temperature": 2.0}])
def test_same_bits_for_any_threads_place_and_alignment(shape, options, dtype, isa):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2, *shape)).astype(dtype)
    labels = rng.integers(0, shape[1], (2, shape[0], *shape[2:]))
    options = options | {"axis": 2}
    loss, grad = fastact.cross_entropy_with_grad(x, labels, **options)
    for threads in (1, 2, 3, 7):
        with fastact.threads(threads):
            again, got = fastact.cross_entropy_with_grad(x, labels, **options)
        assert again == loss
        assert_array_equal(got, grad)
    unaligned = np.empty(x.nbytes + dtype.itemsize, np.uint8)[dtype.itemsize:].view(dtype).reshape(x.shape)
    unaligned[...] = x
    each = fastact.cross_entropy(unaligned, labels, reduction="none", **options)
    assert_array_equal(fastact.cross_entropy(x, labels, reduction="none", **options), each)
    for i in (0, 1):
        assert_array_equal(fastact.cross_entropy(x[i], labels[i], reduction="none", **options | {"axis": 1}), each[i])
    assert_array_equal(fastact.cross_entropy(x[:, 3:], labels[:, 3:], reduction="none", **options), each[:, 3:])
    again, got = fastact.cross_entropy_with_grad(unaligned, labels, grad_out=unaligned, **options)
    assert got is unaligned
    assert again == loss
    assert_array_equal(got, grad)


@pytest.mark.parametrize("shape", [(19, 10), (3, 7, 3), (2, 21, 40), (1, 700, 20)])
def test_what_is_not_finite_stays_in_its_sample(shape, dtype, isa):
    rng = np.random.default_rng(6)
    x = rng.normal(size=shape).astype(dtype)
    labels = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    good, slope = fastact.cross_entropy_with_grad(x, labels, axis=1, reduction="none")
    rows, at = np.moveaxis(x, 1, -1), (0,) * (x.ndim - 1)
    for content in (np.nan, np.inf, -np.inf):
        dirty = x.copy()
        row = np.moveaxis(dirty, 1, -1)
        row[at] = content if content < 0 else rows[at]
        row[at][2] = content
        for options in ({}, {"temperature": 2.0}, {"label_smoothing": 0.1}):
            loss, grad = fastact.cross_entropy_with_grad(dirty, labels, axis=1, reduction="none", **options)
            assert np.isnan(loss[at])
            assert np.isnan(np.moveaxis(grad, 1, -1)[at]).all()
            loss[at] = 0
            assert np.isfinite(loss).all()
            assert np.isfinite(grad).sum() == grad.size - shape[1]
        loss, grad = fastact.cross_entropy_with_grad(dirty, labels, axis=1, reduction="none")
        loss[at] = good[at]
        np.moveaxis(grad, 1, -1)[at] = np.moveaxis(slope, 1, -1)[at]
        assert_array_equal(loss, good)
        assert_array_equal(grad, slope)
    x[:] = 1e30
    x[:, 0] = -1e30
    labels[:] = 0
    apart = fastact.cross_entropy(x, labels, axis=1, reduction="none")
    assert_array_equal(apart, np.full(labels.shape, dtype.type(1e30) * 2))
