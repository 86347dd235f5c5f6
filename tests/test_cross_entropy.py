"""Cross-entropy and focal loss: every rule of the contract, PyTorch, derivatives, the same bits every time."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastact

NAN, INF = np.nan, np.inf


def sample(n: int = 12, classes: int = 7, dtype: Any = np.float64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, classes)) * 2).astype(dtype), rng.integers(0, classes, n)


def log_p(z: np.ndarray) -> np.ndarray:
    d = z.astype(np.longdouble) - z.max(-1, keepdims=True)
    others = np.exp(d)
    np.put_along_axis(others, z.argmax(-1)[:, None], 0, -1)
    return d - np.log1p(others.sum(-1, keepdims=True))


def nll(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    return -np.take_along_axis(log_p(z), t[:, None], 1)[:, 0]


def test_the_textbook() -> None:
    assert np.isclose(fastact.cross_entropy(np.log([[0.9, 0.1]]), [[1, 0]]), -np.log(0.9))
    e = np.exp
    true = -(np.log(e(0.9) / (e(0.9) + e(0.1))) + np.log(e(0.8) / (e(0.2) + e(0.8)))) / 2
    assert np.isclose(fastact.cross_entropy([[0.9, 0.1], [0.2, 0.8]], [0, 1]), true)


@pytest.mark.parametrize("classes", [*range(2, 70), 255, 256, 257, 1000, 16385, 20000])
def test_accuracy(classes: int, dtype: np.dtype, isa: str) -> None:
    z, t = sample(5, classes, dtype)
    z[2, t[2]] = 60                                              # dominates
    true, eps = nll(z, t), np.finfo(dtype).eps
    got, grad = fastact.cross_entropy_with_grad(z, t, reduction="none")
    assert (np.abs(got - true) <= 8 * eps * np.maximum(true, np.abs(z).max(-1)) + 0.5 * eps)[:2].all()
    assert np.isclose(got[2], float(true[2]), rtol=60 * eps, atol=0)
    p = np.exp(log_p(z))
    p[np.arange(5), t] = 0
    others = p.sum(-1)
    assert np.allclose(grad[np.arange(5), t], -others, rtol=60 * eps, atol=0)        # not by cancellation
    grad[np.arange(5), t] = 0
    assert np.allclose(grad, p.astype(dtype), rtol=60 * eps, atol=np.finfo(dtype).tiny)


def test_mean_divides_by_the_weights_that_count() -> None:
    z, t = sample()
    w, s = np.linspace(0.5, 2, 7), np.linspace(0, 3, 12)
    t[3] = -100
    counted = np.maximum(t, 0)
    rows = np.where(t >= 0, nll(z, counted), 0).astype(float)
    wt = np.where(t >= 0, w[counted], 0)
    assert np.isclose(fastact.cross_entropy(z, t), rows.sum() / 11)
    assert np.isclose(fastact.cross_entropy(z, t, weight=w), (wt * rows).sum() / wt.sum())
    assert np.isclose(fastact.cross_entropy(z, t, weight=w, sample_weight=s), (s * wt * rows).sum() / (s * wt).sum())
    assert np.isclose(fastact.cross_entropy(z, t, weight=w, reduction="sum"), (wt * rows).sum())
    assert np.allclose(fastact.cross_entropy(z, t, weight=w, reduction="none"), wt * rows)


def test_mean_of_probabilities_divides_by_the_number_of_rows() -> None:
    z, _ = sample()
    q, w = fastact.softmax(sample(seed=1)[0]), np.linspace(0.5, 2, 7)
    assert np.isclose(fastact.cross_entropy(z, q, weight=w), -(w * q * log_p(z)).sum() / 12)


def test_smoothing_of_labels_and_of_probabilities() -> None:
    z, t = sample()
    w, smooth = np.linspace(0.5, 2, 7), 0.3
    one_hot = np.eye(7)[t]
    target = one_hot * (1 - smooth) + smooth / 7
    rows = -(w * target * log_p(z)).sum(-1)
    options = {"weight": w, "label_smoothing": smooth}
    assert np.isclose(fastact.cross_entropy(z, t, **options), rows.sum() / w[t].sum())
    assert np.isclose(fastact.cross_entropy(z, one_hot, **options), rows.mean())


def test_one_hot_of_integers_or_bools() -> None:
    z, t = sample()
    for dtype in (np.int64, np.uint8, bool):
        assert np.isclose(fastact.cross_entropy(z, np.eye(7, dtype=dtype)[t]), fastact.cross_entropy(z, t))


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4"])
def test_labels_of_any_integer_dtype_and_stride(kind: str) -> None:
    z, t = sample(200)
    expected = fastact.cross_entropy(z, t)
    assert fastact.cross_entropy(z, t.astype(kind)) == expected
    assert fastact.cross_entropy(z, np.repeat(t.astype(kind), 3)[::3]) == expected
    assert fastact.cross_entropy(z[::-1], t.astype(kind)[::-1], reduction="none")[0] == fastact.cross_entropy(
        z, t, reduction="none")[-1]


def test_a_large_unsigned_label_is_not_ignore_index() -> None:
    with pytest.raises(IndexError, match=r"target\[1\] is 18446744073709551516"):
        fastact.cross_entropy(np.zeros((2, 3)), np.array([0, 2**64 - 100], np.uint64))


@pytest.mark.parametrize("with_grad", [False, True])
@pytest.mark.parametrize("bad", [12, -1, 10])
def test_a_label_that_is_no_class(bad: int, with_grad: bool) -> None:
    z, t = sample(6000, 10)
    t[5000] = t[5900] = bad
    out = np.full_like(z, 7)
    call, options = (fastact.cross_entropy_with_grad, {"grad_out": out}) if with_grad else (fastact.cross_entropy, {})
    with pytest.raises(IndexError, match=rf"target\[5000\] is {bad}, but there are 10 classes"):
        call(z, t, **options)
    assert (out == 7).all()


@pytest.mark.parametrize("content", [0.0, NAN, INF, -INF])
def test_ignored_rows_count_for_nothing(content: float, dtype: np.dtype) -> None:
    z, t = sample(20, 33, dtype)
    keep = np.arange(20) % 3 != 0
    z[~keep], t[~keep] = content, 5
    ignored = np.where(keep, t, -7)
    loss, grad = fastact.cross_entropy_with_grad(z, ignored, ignore_index=-7, label_smoothing=0.1)
    expected, expected_grad = fastact.cross_entropy_with_grad(z[keep], t[keep], label_smoothing=0.1)
    assert np.isclose(loss, expected, rtol=1e-6)
    assert (grad[~keep] == 0).all()
    assert np.array_equal(grad[keep], expected_grad)
    assert np.array_equal(fastact.cross_entropy(z, ignored, ignore_index=-7, reduction="none")[~keep], np.zeros(7))


def test_ignore_index_may_be_a_class_or_none() -> None:
    z, t = sample()
    t[0] = 2
    rows = nll(z, t)
    assert np.isclose(fastact.cross_entropy(z, t, ignore_index=2), rows[t != 2].mean())
    with pytest.raises(IndexError, match=r"target\[4\] is -100"):
        fastact.cross_entropy(z, np.where(np.arange(12) == 4, -100, t), ignore_index=None)


@pytest.mark.parametrize("case", ["ignored", "empty", "weightless", "masked"])
def test_nothing_to_divide_by(case: str, dtype: np.dtype) -> None:
    z, t = sample(4, 5, dtype)
    options: dict[str, Any] = {}
    if case == "ignored":
        t[:] = -100
    elif case == "empty":
        z, t = z[:0], t[:0]
    elif case == "weightless":
        options["sample_weight"] = np.zeros(4)
    else:
        options["where"] = np.zeros((4, 5), bool)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        loss, grad = fastact.cross_entropy_with_grad(z, t, **options)
        total = fastact.cross_entropy(z, t, reduction="sum", **options)
    assert np.isnan(loss)
    assert total == 0
    assert (grad == 0).all()


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "focal_loss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("bad", [INF, -INF, NAN])
def test_a_label_of_weight_0_counts_for_nothing(name: str, reduction: str, bad: float, dtype: np.dtype) -> None:
    """Whatever its logits hold, as an ignored one; also if no class weighs anything."""
    z, t = sample(40, 5, dtype)
    z[t == 2] = bad
    for weight, left_out in ([1, 2, 0, 0.5, 1], t == 2), (np.zeros(5), t >= 0):
        for axis in (-1, 0):                                    # by rows, and by columns
            given = z if axis else np.ascontiguousarray(z.T)
            options: dict[str, Any] = {"reduction": reduction, "axis": axis}
            loss, grad = getattr(fastact, f"{name}_with_grad")(given, t, weight=weight, **options)
            ignored = np.where(left_out, -100, t)
            some = np.where(np.equal(weight, 0), 1, weight)
            want, want_grad = getattr(fastact, f"{name}_with_grad")(given, ignored, weight=some, **options)
            np.testing.assert_array_equal(loss, want)
            np.testing.assert_array_equal(grad, want_grad)
            np.testing.assert_array_equal(getattr(fastact, name)(given, t, weight=weight, **options), want)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "focal_loss", "distillation_loss"])
def test_grad_out_may_not_be_false(name: str) -> None:
    z, t = sample(4, 5)
    with pytest.raises(TypeError, match=rf"{name}_with_grad: grad_out is of type bool, expected numpy.ndarray"):
        getattr(fastact, f"{name}_with_grad")(z, z if name == "distillation_loss" else t, grad_out=False)


def test_an_empty_batch_as_lists() -> None:
    assert np.isnan(fastact.cross_entropy(np.zeros((0, 3)), []))
    assert fastact.cross_entropy(np.zeros((0, 3)), [], reduction="none").shape == (0,)
    with pytest.raises(TypeError, match="target has dtype float64"):
        fastact.cross_entropy(np.zeros((0, 3)), np.zeros(0))


def test_zero_times_infinity_is_zero(dtype: np.dtype) -> None:
    z = np.array([[0, -INF, 0]], dtype)
    assert np.isclose(fastact.cross_entropy(z, [[0.5, 0, 0.5]]), np.log(2))
    assert fastact.cross_entropy(z, [[0.5, 0.25, 0.25]]) == INF
    loss, grad = fastact.cross_entropy_with_grad(z, [0], weight=[1, 0, 1], label_smoothing=0.2)
    assert np.isfinite(loss)
    assert np.isfinite(grad).all()


def test_masked_classes_leave_softmax_and_smoothing() -> None:
    z, t = sample()
    keep = np.random.default_rng(2).random(z.shape) < 0.6
    keep[np.arange(12), t] = True
    keep[5] = False
    dirty = np.where(keep, z, NAN)
    loss, grad = fastact.cross_entropy_with_grad(dirty, t, where=keep, label_smoothing=0.2, reduction="none")
    for i in range(12):
        if i == 5:
            assert loss[i] == 0
            assert (grad[i] == 0).all()
            continue
        label = np.count_nonzero(keep[i, : t[i]])
        expected, slope = fastact.cross_entropy_with_grad(z[i, keep[i]], label, label_smoothing=0.2)
        assert np.isclose(loss[i], expected)
        assert np.allclose(grad[i, keep[i]], slope)
        assert (grad[i, ~keep[i]] == 0).all()
    keep[3, t[3]] = False
    assert fastact.cross_entropy(dirty, t, where=keep, reduction="none")[3] == INF


def test_not_finite_rows_are_nan(dtype: np.dtype) -> None:
    for row in ([NAN, 0, 1], [INF, 0, 1], [-INF, -INF, -INF]):
        loss, grad = fastact.cross_entropy_with_grad(np.array([row], dtype), [1])
        assert np.isnan(loss)
        assert np.isnan(grad).all()
    assert fastact.cross_entropy(np.array([[0, -INF]], dtype), [1]) == INF


def test_scalars_and_dtypes() -> None:
    z, t = sample()
    assert isinstance(fastact.cross_entropy(z[0], 3), np.float64)
    assert isinstance(fastact.cross_entropy(z[0], 3, reduction="none"), np.float64)
    half = z.astype(np.float16)
    loss, grad = fastact.cross_entropy_with_grad(half, t)
    assert (loss.dtype, grad.dtype) == (np.float32, np.float16)
    assert fastact.cross_entropy(z.astype(int), t).dtype == np.float64


@pytest.mark.parametrize("name", ["cross_entropy", "focal_loss"])
@pytest.mark.parametrize("classes", [3, 10, 40, 1000, 20001])
def test_same_bits_for_any_threads_and_in_place(name: str, classes: int, dtype: np.dtype) -> None:
    z, t = sample(max(40, 200_000 // classes), classes, dtype)
    function = getattr(fastact, f"{name}_with_grad")
    first = function(z, t)
    for threads in (1, 2, 3, 7):
        with fastact.threads(threads):
            loss, grad = function(z, t)
        assert loss == first[0]
        assert np.array_equal(grad, first[1])
    rows = getattr(fastact, name)(z, t, reduction="none")
    assert rows[-1] == getattr(fastact, name)(z[-1:], t[-1:], reduction="none")[0]
    loss, grad = function(z, t, grad_out=z)
    assert grad is z
    assert loss == first[0]
    assert np.array_equal(grad, first[1])


def test_memory() -> None:
    z, t = sample(2000, 500, np.float32)
    for call, limit in (
        (lambda: fastact.cross_entropy(z, t), 0.05),
        (lambda: fastact.cross_entropy_with_grad(z, t), 1.05),
        (lambda: fastact.cross_entropy_with_grad(z, t, grad_out=z), 0.05),
    ):
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= limit * z.nbytes


OPTIONS = [
    {}, {"label_smoothing": 0.2}, {"temperature": 2.5}, {"weight": np.linspace(0.2, 2, 7)},
    {"weight": np.linspace(0.2, 2, 7), "label_smoothing": 0.1, "temperature": 0.5},
    {"where": np.arange(84).reshape(12, 7) % 6 != 0, "label_smoothing": 0.1},
    {"sample_weight": np.linspace(0, 2, 12), "label_smoothing": 1.0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "plain")
@pytest.mark.parametrize("kind", ["labels", "probabilities", "focal 0", "focal 0.5", "focal 1", "focal 2", "focal 3.5"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradient_is_the_derivative(options: dict[str, Any], kind: str, reduction: str) -> None:
    z, t = sample()
    options = options | {"reduction": reduction}
    name, target = "cross_entropy", t
    if kind == "probabilities":
        target = fastact.softmax(sample(seed=1)[0])
    elif kind.startswith("focal"):
        name = "focal_loss"
        options = {k: v for k, v in options.items() if k != "label_smoothing"} | {"gamma": float(kind.split()[1])}
    if "where" in options:
        t[:] = options["where"].argmax(-1)
    loss, grad = getattr(fastact, f"{name}_with_grad")(z, target, **options)
    function, step = getattr(fastact, name), 1e-6
    assert loss == function(z, target, **options)
    v = np.random.default_rng(9).standard_normal(z.shape)
    slope = (function(z + step * v, target, **options) - function(z - step * v, target, **options)) / (2 * step)
    assert np.isclose((grad * v).sum(), slope, rtol=2e-7, atol=1e-7)


def test_focal_loss_of_zero_gamma_is_cross_entropy(dtype: np.dtype) -> None:
    z, t = sample(dtype=dtype)
    for ours, theirs in zip(
        fastact.focal_loss_with_grad(z, t, gamma=0), fastact.cross_entropy_with_grad(z, t), strict=True
    ):
        assert np.allclose(ours, theirs, rtol=4 * np.finfo(dtype).eps)


def test_focal_loss_when_the_label_dominates(dtype: np.dtype) -> None:
    z = np.array([[20, 0, 0]], dtype)
    q = 2 * np.exp(-20.0) / (1 + 2 * np.exp(-20.0))
    assert np.isclose(fastact.focal_loss(z, [0]), -(q**2) * np.log1p(-q), rtol=1e-6, atol=0)
    assert np.isclose(fastact.focal_loss(z, [0], gamma=1.5), -(q**1.5) * np.log1p(-q), rtol=1e-6, atol=0)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_against_pytorch(data: st.DataObject) -> None:
    torch = pytest.importorskip("torch")
    n, classes = data.draw(st.integers(1, 40)), data.draw(st.integers(2, 130))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    z = (rng.standard_normal((n, classes)) * data.draw(st.sampled_from([0.1, 3, 20]))).astype(dtype)
    options: dict[str, Any] = {
        "reduction": data.draw(st.sampled_from(["mean", "sum", "none"])),
        "label_smoothing": data.draw(st.sampled_from([0.0, 0.1, 1.0])),
    }
    theirs = dict(options)
    if data.draw(st.booleans()):
        options["weight"] = rng.random(classes).astype(dtype)
        theirs["weight"] = torch.tensor(options["weight"])
    if data.draw(st.booleans()):
        target = fastact.softmax(rng.standard_normal((n, classes)).astype(dtype))
    else:
        target = rng.integers(0, classes, n)
        if n > 1 and data.draw(st.booleans()):
            target[0] = -100
    zt = torch.tensor(z, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(zt, torch.tensor(target), **theirs)
    expected.sum().backward()
    loss, grad = fastact.cross_entropy_with_grad(z, target, **options)
    tolerance = {np.float32: 3e-5, np.float64: 1e-12}[dtype]
    scale = 1 if options["reduction"] != "sum" else n
    assert np.allclose(loss, expected.detach().numpy(), rtol=tolerance, atol=tolerance * scale)
    assert np.allclose(grad, zt.grad.numpy(), rtol=tolerance, atol=tolerance / 4)


@pytest.mark.parametrize(
    ("error", "text", "changes"),
    [
        (TypeError, "cross_entropy: target has dtype float64, expected integer labels", {"target": np.zeros(4)}),
        (ValueError, r"cross_entropy: target has shape \(3,\)", {"target": np.zeros(3, int)}),
        (ValueError, "pass axis=1 if the", {"logits": np.ones((2, 5, 3)), "target": np.zeros((2, 3), int)}),
        (ValueError, r"cross_entropy: weight has shape \(4,\), expected \(5,\)", {"weight": np.ones(4)}),
        (ValueError, r"cross_entropy: weight\[1\] is -1", {"weight": [1, -1, 1, 1, 1]}),
        (ValueError, r"cross_entropy: sample_weight\[2\] is inf", {"sample_weight": [1, 1, INF, 1]}),
        (ValueError, "cross_entropy: label_smoothing is 1.5", {"label_smoothing": 1.5}),
        (ValueError, "cross_entropy: temperature is 0", {"temperature": 0.0}),
        (TypeError, "cross_entropy: temperature is of type ndarray", {"temperature": np.ones(2)}),
        (ValueError, "cross_entropy: reduction is 'avg'", {"reduction": "avg"}),
        (TypeError, "cross_entropy: ignore_index is 0.5", {"ignore_index": 0.5}),
        (TypeError, "cross_entropy: where has dtype", {"where": np.ones(5)}),
        (np.exceptions.AxisError, "cross_entropy: axis is 3", {"axis": 3}),
    ],
)
def test_bad_arguments(error: type[Exception], text: str, changes: dict[str, Any]) -> None:
    arguments = {"logits": np.ones((4, 5)), "target": np.zeros(4, int)} | changes
    with pytest.raises(error, match=text):
        fastact.cross_entropy(**arguments)


@pytest.mark.parametrize(
    ("error", "out"),
    [(ValueError, np.ones((4, 4))), (TypeError, np.ones((4, 5), np.float32)), (TypeError, [1.0]),
     (ValueError, np.broadcast_to(1.0, (4, 5)))],
)
def test_bad_grad_out(error: type[Exception], out: Any) -> None:
    with pytest.raises(error, match="cross_entropy_with_grad: grad_out"):
        fastact.cross_entropy_with_grad(np.ones((4, 5)), np.zeros(4, int), grad_out=out)


def test_bad_gamma_and_targets_of_focal_loss() -> None:
    with pytest.raises(ValueError, match="focal_loss: gamma is -1"):
        fastact.focal_loss(np.ones((2, 3)), [0, 1], gamma=-1)
    with pytest.raises(ValueError, match="focal_loss: target has shape"):
        fastact.focal_loss(np.ones((2, 3)), np.ones((2, 3)))
