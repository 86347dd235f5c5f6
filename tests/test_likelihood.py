"""nll_loss, cross_entropy of probabilities: definitions, options, derivatives, PyTorch, the rules of the contract."""

from __future__ import annotations

import warnings
from typing import Any

import mpmath
import numpy as np
import pytest

import fastact

NAN, INF = np.nan, np.inf
CLASSES = 7


def nll(p: np.ndarray, t: Any, **options: Any) -> Any:
    return fastact.nll_loss(np.log(p), t, **options)


def probs(p: np.ndarray, t: Any, **options: Any) -> Any:
    return fastact.cross_entropy(p, t, from_logits=False, **options)


def nll_with_grad(x: np.ndarray, t: Any, **options: Any) -> Any:
    return fastact.nll_loss_with_grad(x, t, **options)


def probs_with_grad(x: np.ndarray, t: Any, **options: Any) -> Any:
    return fastact.cross_entropy_with_grad(x, t, from_logits=False, **options)


def sample(
    n: int = 12, classes: int = CLASSES, dtype: Any = np.float64, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return fastact.softmax(rng.standard_normal((n, classes)) * 2).astype(dtype), rng.integers(0, classes, n)


def target_of(kind: str, t: np.ndarray) -> np.ndarray:
    return sample(seed=1)[0] if kind == "probabilities" else t


OPTIONS: list[dict[str, Any]] = [
    {}, {"label_smoothing": 0.2}, {"weight": np.linspace(0.2, 2, CLASSES)}, {"sample_weight": np.linspace(0, 2, 12)},
    {"weight": np.linspace(0, 2, CLASSES), "label_smoothing": 0.1, "sample_weight": np.linspace(1, 2, 12)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "plain")
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_softmax_of_logits_then_likelihood_is_cross_entropy(options: dict, kind: str, reduction: str, isa: str) -> None:
    z, t = np.log(sample()[0]) + 3, target_of(kind, sample()[1])
    options = options | {"reduction": reduction}
    expected = fastact.cross_entropy(z, t, **options)
    np.testing.assert_allclose(fastact.nll_loss(fastact.log_softmax(z), t, **options), expected, rtol=1e-13)
    np.testing.assert_allclose(probs(fastact.softmax(z), t, **options), expected, rtol=1e-13)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "plain")
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("function", [nll_with_grad, probs_with_grad])
def test_gradient_is_the_derivative(function: Any, options: dict, kind: str, reduction: str, isa: str) -> None:
    p, t = sample()
    x, target = p if function is probs_with_grad else np.log(p), target_of(kind, t)
    options = options | {"reduction": reduction}
    value = fastact.nll_loss if function is nll_with_grad else probs
    loss, grad = function(x, target, **options)
    assert loss == value(x, target, **options)
    v = np.random.default_rng(9).standard_normal(x.shape) * x
    slope = (value(x + 1e-6 * v, target, **options) - value(x - 1e-6 * v, target, **options)) / 2e-6
    assert np.isclose((grad * v).sum(), slope, rtol=2e-7, atol=1e-9)


@pytest.mark.parametrize("classes", [1, 2, 15, 16, 17, 31, 32, 33, 64, 1000, 20001])
def test_accuracy(classes: int, dtype: np.dtype, isa: str) -> None:
    p, t = sample(4, classes, dtype)
    q = sample(4, classes, dtype, seed=2)[0]
    eps, exact = np.finfo(dtype).eps, np.log(p.astype(np.longdouble))
    label = -np.take_along_axis(exact, t[:, None], 1)[:, 0]
    np.testing.assert_allclose(probs(p, t, reduction="none"), label.astype(dtype), rtol=2 * eps)
    np.testing.assert_array_equal(fastact.nll_loss(p, t, reduction="none"), -p[np.arange(4), t])
    np.testing.assert_allclose(probs(p, q, reduction="none"), -(q * exact).sum(-1).astype(dtype), rtol=4 * eps)
    grad = probs_with_grad(p, q, reduction="none")[1]
    np.testing.assert_allclose(grad, -q / p, rtol=2 * eps)
    np.testing.assert_array_equal(nll_with_grad(p, q, reduction="none")[1], -q)
    expected = np.zeros_like(p)
    expected[np.arange(4), t] = -1 / p[np.arange(4), t]
    np.testing.assert_allclose(probs_with_grad(p, t, reduction="none")[1], expected, rtol=2 * eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 7, 16, 17, 63, 64, 65, 130, 5000])
@pytest.mark.parametrize("ignore", [-100, 3, None])
def test_many_labels_at_once(n: int, ignore: int | None, dtype: Any) -> None:
    """Without weights nll_loss reads many labels together; beside its gradient sample by sample. The same bits."""
    x = np.log(sample(n, 50, dtype, seed=n)[0])
    t = np.random.default_rng(n).integers(0, 50, n).astype([np.int64, np.uint8, np.int32][n % 3])
    ignored = np.zeros(n, bool) if ignore is None else t == ignore
    if ignore == -100 and t.dtype != np.uint8:
        ignored = np.arange(n) % 5 == 2
        t[ignored] = -100
    each = fastact.nll_loss(x, t, ignore_index=ignore, reduction="none")
    expected = np.where(ignored, 0, -x[np.arange(n), np.where(ignored, 0, t)])
    np.testing.assert_array_equal(each, expected)
    for reduction in ("sum", "mean"):
        loss = fastact.nll_loss(x, t, ignore_index=ignore, reduction=reduction)
        beside = fastact.nll_loss_with_grad(x, t, ignore_index=ignore, reduction=reduction)[0]
        assert loss == beside or (np.isnan(loss) and ignored.all())
    if not ignored.all():
        np.testing.assert_allclose(loss, expected.sum(dtype=float) / (~ignored).sum(), rtol=2e-7)
        bad = t.copy()
        bad[n // 2] = 50
        with pytest.raises(IndexError, match=rf"target\[{n // 2}\] is 50"):
            fastact.nll_loss(x, bad, ignore_index=ignore)


def test_the_loss_to_the_last_digit() -> None:
    p = [0.1, 0.2, 0.30000001]
    with mpmath.workdps(40):
        exact = float(-mpmath.mpf(0.5) * mpmath.log(p[0]) - mpmath.mpf(0.25) * mpmath.log(p[2]))
    assert fastact.cross_entropy(p, [0.5, 0.0, 0.25], from_logits=False) == pytest.approx(exact, rel=3e-16)


def test_probabilities_are_neither_clipped_nor_normalised(dtype: np.dtype) -> None:
    p = np.array([[2, 0, 5e-39]], dtype)
    assert probs(p, [0]) == -np.log(dtype.type(2))
    assert probs(p, [1]) == INF
    assert np.isclose(probs(p, [2]), -np.log(np.float64(p[0, 2])), rtol=1e-6)
    assert np.isnan(probs(-p, [0]))


def test_zero_over_zero_is_zero(dtype: np.dtype) -> None:
    """A class with neither probability nor target has no gradient; one with a target has an infinite one."""
    p, t = np.array([[0, 1, 0]], dtype), np.array([[0, 0.5, 0.5]], dtype)
    loss, grad = probs_with_grad(p, t)
    assert loss == INF
    assert grad.tolist() == [[0, -0.5, -INF]]
    assert probs_with_grad(p, [1])[1].tolist() == [[0, -1, 0]]
    assert probs_with_grad(p, [0])[1].tolist() == [[-INF, 0, 0]]
    assert probs_with_grad(p, [0], weight=[0, 1, 1], reduction="sum")[1].tolist() == [[0, 0, 0]]


def test_zero_times_infinity_is_zero(dtype: np.dtype, isa: str) -> None:
    p, t = np.array([[0, 1, 0]], dtype), np.array([[0, 1, 0]], dtype)
    assert probs(p, t) == 0
    assert fastact.nll_loss(np.array([[-INF, 0, -INF]], dtype), t) == 0
    assert probs(p, [0], weight=[0, 1, 1], reduction="sum") == 0
    assert fastact.nll_loss(np.array([[-INF, 0]], dtype), [0], weight=[0, 1], reduction="sum") == 0


def test_nan_shows(dtype: np.dtype) -> None:
    for target in ([[0.5, 0.5, 0]], [[0, 0.5, 0.5]]):
        p = np.array([[NAN, 0.5, 0.5]], dtype)
        assert np.isnan(probs(p, target))
        assert np.isnan(fastact.nll_loss(p, target))
    assert probs(np.array([[NAN, 1.0]], dtype), [1]) == 0, "a number that nobody reads"


@pytest.mark.parametrize("function", [nll_with_grad, probs_with_grad])
@pytest.mark.parametrize("content", [0.0, NAN, INF, -INF])
def test_ignored_rows_count_for_nothing(function: Any, content: float, dtype: np.dtype) -> None:
    p, t = sample(20, 33, dtype)
    keep = np.arange(20) % 3 != 0
    p[~keep], t[~keep] = content, -7
    for options in ({}, {"label_smoothing": 0.1}):
        loss, grad = function(p, t, ignore_index=-7, **options)
        expected, slope = function(p[keep], t[keep], **options)
        assert np.isclose(loss, expected, rtol=1e-6)
        assert (grad[~keep] == 0).all()
        np.testing.assert_array_equal(grad[keep], slope)


@pytest.mark.parametrize("function", [nll_with_grad, probs_with_grad])
@pytest.mark.parametrize("case", ["ignored", "empty", "weightless"])
def test_nothing_to_divide_by(function: Any, case: str, dtype: np.dtype) -> None:
    p, t = sample(4, 5, dtype)
    p[0, 0] = 0
    options: dict[str, Any] = {"sample_weight": np.zeros(4)} if case == "weightless" else {}
    t[:] = -100 if case == "ignored" else 0
    p, t = (p[:0], t[:0]) if case == "empty" else (p, t)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        loss, grad = function(p, t, **options)
        total = function(p, t, reduction="sum", **options)[0]
    assert np.isnan(loss)
    assert total == 0
    assert (grad == 0).all()


@pytest.mark.parametrize("function", [nll_with_grad, probs_with_grad])
@pytest.mark.parametrize("bad", [12, -1])
def test_a_label_that_is_no_class(function: Any, bad: int) -> None:
    p, t = sample(6000, 10)
    t[5000] = bad
    out = np.full_like(p, 7)
    with pytest.raises(IndexError, match=rf"_with_grad: target\[5000\] is {bad}, but there are 10 classes"):
        function(p, t, grad_out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("function", [nll_with_grad, probs_with_grad])
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize("classes", [3, 40, 20001])
def test_same_bits_for_any_threads_and_in_place(function: Any, kind: str, classes: int, dtype: np.dtype) -> None:
    p, t = sample(max(40, 200_000 // classes), classes, dtype)
    target = sample(len(p), classes, dtype, seed=1)[0] if kind == "probabilities" else t
    first = function(p, target)
    for threads in (1, 2, 3, 7):
        with fastact.threads(threads):
            loss, grad = function(p, target)
        assert loss == first[0]
        np.testing.assert_array_equal(grad, first[1])
    loss, grad = function(p, target, grad_out=p)
    assert grad is p
    assert loss == first[0]
    np.testing.assert_array_equal(grad, first[1])


@pytest.mark.parametrize("function", [nll_with_grad, probs_with_grad])
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_class_axis(function: Any, kind: str, axis: int) -> None:
    rng = np.random.default_rng(axis)
    p = fastact.softmax(rng.normal(size=(4, 5, 6)), axis=axis)
    target = rng.integers(0, p.shape[axis], p.shape[:axis] + p.shape[axis + 1:])
    moved = target
    if kind == "probabilities":
        target = fastact.softmax(rng.normal(size=p.shape), axis=axis)
        moved = np.moveaxis(target, axis, -1)
    expected, slope = function(np.moveaxis(p, axis, -1), moved)
    loss, grad = function(p, target, axis=axis)
    np.testing.assert_allclose(loss, expected, rtol=1e-14)
    np.testing.assert_allclose(grad, np.moveaxis(slope, -1, axis), rtol=1e-14)


def test_scalars_and_dtypes() -> None:
    p, t = sample()
    assert isinstance(fastact.nll_loss(p[0], 3), np.float64)
    assert isinstance(probs(p[0], 3, reduction="none"), np.float64)
    loss, grad = fastact.nll_loss_with_grad(p.astype(np.float16), t)
    assert (loss.dtype, grad.dtype) == (np.float32, np.float16)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_nll_loss_against_pytorch(reduction: str, weighted: bool, dtype: np.dtype) -> None:
    torch = pytest.importorskip("torch")
    p, t = sample(50, 11, dtype)
    t[7] = -100
    weight = np.linspace(0.1, 2, 11).astype(dtype) if weighted else None
    x = torch.tensor(np.log(p), requires_grad=True)
    w = torch.tensor(weight) if weighted else None
    expected = torch.nn.functional.nll_loss(x, torch.tensor(t), w, reduction=reduction)
    expected.sum().backward()
    loss, grad = fastact.nll_loss_with_grad(np.log(p), t, weight=weight, reduction=reduction)
    np.testing.assert_allclose(loss, expected.detach(), rtol=20 * np.finfo(dtype).eps)
    np.testing.assert_allclose(grad, x.grad, rtol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("error", "text", "changes"),
    [
        (ValueError, "cross_entropy: temperature is given, expected none with from_logits=False", {"temperature": 2.0}),
        (ValueError, "entropy: where is given, expected none with from_logits=False", {"where": np.ones(5, bool)}),
        (ValueError, r"cross_entropy: target has shape \(3,\)", {"target": np.zeros(3, int)}),
        (ValueError, r"cross_entropy: weight\[1\] is -1", {"weight": [1, -1, 1, 1, 1]}),
        (TypeError, "cross_entropy: logits has dtype complex128", {"logits": np.ones((4, 5), complex)}),
    ],
)
def test_bad_arguments_of_probabilities(error: type[Exception], text: str, changes: dict[str, Any]) -> None:
    arguments = {"logits": np.ones((4, 5)), "target": np.zeros(4, int)} | changes
    with pytest.raises(error, match=text):
        fastact.cross_entropy(**arguments, from_logits=False)


@pytest.mark.parametrize(
    ("error", "text", "changes"),
    [
        (TypeError, "nll_loss: log_probs has dtype", {"log_probs": np.ones((4, 5), complex)}),
        (TypeError, "nll_loss: target has dtype float64, expected integer labels", {"target": np.zeros(4)}),
        (np.exceptions.AxisError, "nll_loss: axis is 3, but log_probs has 2", {"axis": 3}),
        (ValueError, "nll_loss: label_smoothing is 2", {"label_smoothing": 2}),
    ],
)
def test_bad_arguments_of_nll_loss(error: type[Exception], text: str, changes: dict[str, Any]) -> None:
    arguments = {"log_probs": np.ones((4, 5)), "target": np.zeros(4, int)} | changes
    with pytest.raises(error, match=text):
        fastact.nll_loss(**arguments)
