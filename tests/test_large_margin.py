"""L-softmax: large_margin_softmax_loss and its gradients, against the paper's formula and mpmath."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import mpmath
import numpy as np
import pytest
from helpers import assert_same_bits
from linear import loss_of_logits, margin_logits, psi
from numpy.testing import assert_allclose, assert_array_equal

import fastact

BLOCKS = (1, 9_000, 70_000, 2**25)
MARGINS = (1, 2, 3, 4, 7)
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-13}
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
each_block = pytest.mark.parametrize("block_bytes", BLOCKS)
each_margin = pytest.mark.parametrize("margin", MARGINS)
loss = fastact.large_margin_softmax_loss
with_grad = fastact.large_margin_softmax_loss_with_grad


def problem(dtype: Any, n: int = 40, d: int = 17, c: int = 201, seed: int = 0) -> tuple[Any, Any, Any]:
    """Samples, weights and labels; every other sample leans to its class, so that all angles occur."""
    rng = np.random.default_rng(seed)
    x, w, labels = rng.normal(size=(n, d)), rng.normal(size=(c, d)), rng.integers(0, c, n)
    x[::2] += rng.choice([-3, -1, 1, 3], (len(x[::2]), 1)) * w[labels[::2]]
    return x.astype(dtype), w.astype(dtype), labels


def reference(x: Any, w: Any, labels: Any, margin: int, lambda_: float, **options: Any) -> tuple[Any, Any]:
    """(loss, gradient with respect to the logits) by the formula."""
    z = margin_logits(x.astype(float), w.astype(float), labels, margin, lambda_)
    return loss_of_logits(z, labels, **options)


@each_dtype
@each_block
@each_margin
def test_options_together(dtype: Any, block_bytes: int, margin: int) -> None:
    x, w, labels = problem(dtype)
    labels[::5] = 3
    rng = np.random.default_rng(1)
    some, each = np.where(rng.random(len(w)) < 0.1, 0, rng.random(len(w))), rng.random(len(x))
    each[::7] = 0
    for values in itertools.product((0.0, 0.5), (None, some.astype(dtype)), (-100, 3, None), (0.0, 0.125),
                                    ("mean", "sum", "none"), (None, each.astype(dtype))):
        names = ("lambda_", "weight", "ignore_index", "label_smoothing", "reduction", "sample_weight")
        options = dict(zip(names, values, strict=True))
        wanted, _ = reference(x, w, labels, margin, **options)
        got = loss(x, w, labels, margin=margin, block_bytes=block_bytes, **options)
        near = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype] * np.abs(wanted).max()}
        assert_allclose(got, wanted, **near)
        again, dx, dw = with_grad(x, w, labels, margin=margin, block_bytes=block_bytes, **options)
        assert_allclose(again, got, **near)         # blocks of other shapes: BLAS rounds otherwise
        whole = with_grad(x, w, labels, margin=margin, **options)
        for a, b in ((dx, whole[1]), (dw, whole[2])):
            assert a.dtype == dtype
            assert_allclose(a, b, rtol=0, atol=10 * TOLERANCE[dtype] * np.abs(b).max())


def exact_loss(x: list[Any], w: list[list[Any]], label: int, margin: int, lambda_: float) -> Any:
    """Of one sample, with as many digits as mpmath is set to."""
    z = [mpmath.fdot(row, x) for row in w]
    lengths = mpmath.sqrt(mpmath.fdot(x, x) * mpmath.fdot(w[label], w[label]))
    theta = mpmath.acos(min(max(z[label] / lengths, -1), 1))
    k = min(mpmath.floor(theta * margin / mpmath.pi), margin - 1)
    value = (-1) ** int(k) * mpmath.cos(margin * theta) - 2 * k
    z[label] = (lambda_ * z[label] + lengths * value) / (1 + lambda_)
    return mpmath.log(mpmath.fsum(mpmath.exp(v) for v in z)) - z[label]


@pytest.mark.parametrize("margin", [*MARGINS, 12])
def test_against_mpmath(margin: int) -> None:
    """Loss and both gradients of single samples at angles from near 0 to near pi, derivatives by mpmath."""
    rng = np.random.default_rng(margin)
    with mpmath.workdps(40):
        for angle, lambda_ in itertools.product((1e-6, 0.3, 0.8, 1.3, 2.0, 2.9, np.pi - 1e-6), (0.0, 2.0)):
            w = rng.normal(size=(3, 2))
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            x = 0.75 * turn @ w[1]
            got, dx, dw = with_grad(x[None], w, [1], margin=margin, lambda_=lambda_)
            exact = [mpmath.mpf(v) for v in (*x, *w.ravel())]

            def at(values: list[Any], lambda_: float = lambda_) -> Any:
                return exact_loss(values[:2], [values[2:4], values[4:6], values[6:]], 1, margin, lambda_)

            assert_allclose(got, float(at(exact)), rtol=1e-13)
            step = mpmath.mpf(10) ** -13
            slopes = []
            for place in range(len(exact)):
                up, down = list(exact), list(exact)
                up[place] += step
                down[place] -= step
                slopes.append(float((at(up) - at(down)) / (2 * step)))
            # an angle of 1e-6 has ten digits left in its cosine: psi' is m U_(m-1)(c) there, psi - c psi' as exact
            assert_allclose(dx[0], slopes[:2], rtol=1e-9, atol=1e-9 * np.abs(slopes).max())
            assert_allclose(dw.ravel(), slopes[2:], rtol=1e-9, atol=1e-9 * np.abs(slopes).max())


@each_dtype
@each_margin
def test_finite_where_a_sample_is_its_class(dtype: Any, margin: int) -> None:
    """At |cos| = 1 acos has no derivative; psi = 1 and 1 - 2 margin, psi' = margin^2 at both ends."""
    w = np.array([[3.0, 4.0], [0.0, 1.0]], dtype)
    for sign, end in ((1, 1.0), (-1, 1.0 - 2 * margin)):
        x = sign * w[:1] / 2
        got, dx, dw = with_grad(x, w, [0], margin=margin)
        z = np.array([[12.5 * end, sign * 2.0]])
        wanted, dz = loss_of_logits(z, [0])
        assert_allclose(got, wanted, rtol=TOLERANCE[dtype])
        slope = margin**2
        q = end - sign * slope
        along_x = slope * w[0] + q * 2 * x[0]             # |w|/|x| = 2
        along_w = slope * x[0] + q * w[0] / 2
        assert_allclose(dx[0], dz[0, 0] * along_x + dz[0, 1] * w[1], rtol=TOLERANCE[dtype], atol=1e-6)
        assert_allclose(dw, [dz[0, 0] * along_w, dz[0, 1] * x[0]], rtol=TOLERANCE[dtype], atol=1e-6)


@each_dtype
@each_block
def test_margin_1_is_linear_cross_entropy(dtype: Any, block_bytes: int) -> None:
    x, w, labels = problem(dtype)
    got = with_grad(x, w, labels, margin=1, block_bytes=block_bytes)
    wanted = fastact.linear_cross_entropy_with_grad(x, w, labels, block_bytes=block_bytes)
    for a, b in zip(got, wanted[:3], strict=True):
        assert_allclose(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * np.abs(b).max())
    large = loss(x, w, labels, margin=4, lambda_=1e12)
    assert_allclose(large, wanted[0], rtol=1e-5)


@each_dtype
@each_margin
def test_zero_vectors(dtype: Any, margin: int) -> None:
    """The cosine is taken as 0 and no direction: z = 0, dz/dx = psi'(0) w."""
    x, w, _ = problem(dtype, 2, 3, 4)
    x[0], w[2] = 0, 0
    slope = {1: 1.0, 2: 0.0, 3: -3.0, 4: 0.0, 7: -7.0}[margin] * (-1) ** (margin // 2)
    for lambda_ in (0.0, 1.0):
        factor = (lambda_ + slope) / (1 + lambda_)
        got, dx, dw = with_grad(x, w, [1, 2], margin=margin, lambda_=lambda_, reduction="none")
        assert np.isfinite(dx).all()
        assert np.isfinite(dw).all()
        assert_allclose(got[0], np.log(4), rtol=1e-6)
        dz = np.full(4, 0.25)
        dz[1] = -0.75 * factor
        assert_allclose(dx[0], dz @ w, rtol=1e-5, atol=1e-6)
        z = x[1] @ w.T
        z[2] = 0
        wanted, dz = loss_of_logits(z[None].astype(float), [2], reduction="none")
        assert_allclose(got[1], wanted[0], rtol=1e-6)
        assert_allclose(dw[2], factor * dz[0, 2] * x[1], rtol=1e-5, atol=1e-6)


def test_psi_is_below_the_cosine_and_falls() -> None:
    """What the function computes, seen through the loss of two classes of which the other has logit 0."""
    theta = np.linspace(0, np.pi, 721)
    x = np.stack([np.cos(theta), np.sin(theta)], 1)
    w = np.array([[1.0, 0.0], [0.0, 0.0]])
    before = np.cos(theta)
    for margin in (1, 2, 3, 4, 5):
        each = loss(x, w, np.zeros(len(x), int), margin=margin, reduction="none")
        value = -np.log(np.expm1(each))
        assert_allclose(value, psi(np.cos(theta), margin), atol=1e-9)
        assert (np.diff(value) < 1e-9).all()
        assert (value <= before + 1e-9).all()
        before = value


@each_dtype
@each_block
def test_ignored_samples_may_hold_anything(dtype: Any, block_bytes: int) -> None:
    x, w, labels = problem(dtype)
    clean, ignored = x.copy(), [0, 7, 8, 39]
    labels[ignored], clean[ignored] = -100, 0
    x[ignored] = np.array([np.inf, -np.inf, np.nan, np.finfo(dtype).max])[:, None]
    got = with_grad(x, w, labels, block_bytes=block_bytes)
    assert_same_bits(got, with_grad(clean, w, labels, block_bytes=block_bytes))
    assert not got[1][ignored].any()


@each_block
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nothing_counts(block_bytes: int, reduction: str) -> None:
    x, w, labels = problem(np.float64)
    labels[:] = -100
    for n in (len(x), 0):
        got = with_grad(x[:n], w, labels[:n], reduction=reduction, block_bytes=block_bytes)
        assert_array_equal(got[0], {"mean": np.nan, "sum": 0.0, "none": np.zeros(n)}[reduction])
        assert_array_equal(got[1], np.zeros((n, 17)))
        assert_array_equal(got[2], np.zeros(w.shape))
    x[::2], labels[:] = np.inf, 0
    got = with_grad(x, w, labels, weight=np.zeros(len(w)), reduction=reduction, block_bytes=block_bytes)
    assert_array_equal(got[0], {"mean": np.nan, "sum": 0.0, "none": np.zeros(len(x))}[reduction])
    assert not got[1].any()
    assert not got[2].any()


def test_infinite_features_are_no_number() -> None:
    x, w, labels = problem(np.float32)
    x[3] = np.inf
    with np.errstate(all="raise"):
        each, dx, _ = with_grad(x, w, labels, reduction="none")
    assert np.isnan(each[3])
    assert np.isnan(dx[3]).all()
    assert np.isfinite(np.delete(each, 3)).all()


def test_dtypes_and_layouts() -> None:
    x, w, labels = problem(np.float64)
    half = with_grad(x.astype("f2"), w.astype("f2"), labels)
    single = with_grad(x.astype("f2").astype("f4"), w.astype("f2").astype("f4"), labels)
    assert_same_bits(half, (single[0], single[1].astype("f2"), single[2].astype("f2")))
    wanted = with_grad(x, w, labels)
    changes = (np.asfortranarray, np.ndarray.tolist, lambda a: a.astype(">f8"), lambda a: np.repeat(a, 2, 1)[:, ::2])
    for change in changes:
        for a, b in zip(with_grad(change(x), change(w), labels.astype("u1")), wanted, strict=True):
            assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    assert_same_bits(with_grad(x, w, np.repeat(labels, 2)[::2]), wanted)


@each_block
def test_same_bits_for_any_number_of_threads(block_bytes: int) -> None:
    x, w, labels = problem(np.float32, 300, 33, 700)
    wanted = with_grad(x, w, labels, block_bytes=block_bytes)
    for n in (1, 2, 3):
        with fastact.threads(n):
            assert_same_bits(with_grad(x, w, labels, block_bytes=block_bytes), wanted)


@pytest.mark.parametrize("grad", [False, True])
def test_workspace_is_bounded(grad: bool) -> None:
    x, w, labels = problem(np.float32, 4096, 16, 2000)
    function = with_grad if grad else loss
    function(x[:8], w, labels[:8])
    tracemalloc.start()
    function(x, w, labels, block_bytes=2**20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - grad * (x.nbytes + w.nbytes) <= 2**20 + 40 * len(x) + 8 * len(w) + 20_000


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"margin": 0}, ValueError, "margin is 0, expected an int >= 1"),
    ({"margin": -2}, ValueError, "margin is -2, expected an int >= 1"),
    ({"margin": 2.0}, TypeError, "margin is 2.0, expected an int"),
    ({"margin": None}, TypeError, "margin is None, expected an int"),
    ({"lambda_": -1}, ValueError, "lambda_ is -1, expected a finite number >= 0"),
    ({"lambda_": np.inf}, ValueError, "lambda_ is inf, expected a finite number >= 0"),
    ({"lambda_": "a"}, TypeError, "lambda_ is of type str, expected a finite number >= 0"),
    ({"target": np.full((4, 5), 0.2)}, ValueError, r"target has shape \(4, 5\), expected integer labels of"),
    ({"target": np.zeros(4)}, TypeError, "target has dtype float64, expected integer labels"),
    ({"target": [0, 5, 0, 0]}, IndexError, r"target\[1\] is 5, but there are 5 classes"),
    ({"x": np.ones((4, 3), object)}, TypeError, "x has dtype object"),
    ({"linear_weight": np.ones((5, 4))}, ValueError, r"linear_weight has shape \(5, 4\), expected \(classes, 3\)"),
    ({"weight": np.full(5, -1.0)}, ValueError, r"weight\[0\] is -1.0"),
    ({"sample_weight": np.ones(3)}, ValueError, r"sample_weight has shape \(3,\), expected \(4,\)"),
    ({"label_smoothing": -0.5}, ValueError, "label_smoothing is -0.5, expected a number from 0 to 1"),
    ({"ignore_index": "a"}, TypeError, "ignore_index is 'a', expected an int or None"),
    ({"reduction": None}, ValueError, "reduction is None, expected one of"),
    ({"block_bytes": -1}, ValueError, "block_bytes is -1, expected an int >= 1"),
]


@pytest.mark.parametrize("name", ["large_margin_softmax_loss", "large_margin_softmax_loss_with_grad"])
@pytest.mark.parametrize(("wrong", "error", "text"), BAD)
def test_bad_input(name: str, wrong: dict[str, Any], error: type[Exception], text: str) -> None:
    given = {"x": np.ones((4, 3)), "linear_weight": np.ones((5, 3)), "target": np.zeros(4, int)} | wrong
    with pytest.raises(error, match=rf"^{name}: {text}"):
        getattr(fastact, name)(**given)


def test_it_trains_compact_classes() -> None:
    """Gradient descent on features of two dimensions: with a margin, samples lie nearer to their class's direction."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 40)
    start = rng.normal(size=(120, 2)) + 2 * np.stack([np.cos(labels * 2.1), np.sin(labels * 2.1)], 1)
    spread = {}
    for margin in (1, 4):
        x, w = start.copy(), np.stack([np.cos(np.arange(3) * 2.1), np.sin(np.arange(3) * 2.1)], 1)
        for step in range(300):
            _, dx, dw = with_grad(x, w, labels, margin=margin, lambda_=10 * 0.97**step)
            x -= 20 * dx
            w -= 0.1 * dw
        cosine = (x * w[labels]).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(w[labels], axis=1)
        spread[margin] = np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()
    assert spread[4] < 0.5 * spread[1]
