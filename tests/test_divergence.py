"""entropy, kl_divergence, distillation_loss: definitions in mpmath, derivatives, PyTorch, the rules of the contract."""

from __future__ import annotations

import warnings
from typing import Any

import mpmath
import numpy as np
import pytest

import fastact

NAN, INF = np.nan, np.inf


def distributions(shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    return fastact.softmax(np.random.default_rng(seed).normal(0, 3, shape)).astype(dtype)


def scores(shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, shape).astype(dtype)


def exact_entropy(p: np.ndarray) -> float:
    with mpmath.workdps(40):
        return float(-mpmath.fsum(mpmath.mpf(float(v)) * mpmath.log(float(v)) for v in p if v))


def exact_divergence(p: np.ndarray, q: np.ndarray) -> float:
    with mpmath.workdps(40):
        pairs = [(mpmath.mpf(float(a)), mpmath.mpf(float(b))) for a, b in zip(p, q, strict=True) if a]
        return float(mpmath.fsum(a * mpmath.log(a / b) for a, b in pairs))


def exact_distillation(student: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    with mpmath.workdps(50):
        s, t = ([mpmath.mpf(float(v)) / mpmath.mpf(temperature) for v in row] for row in (student, teacher))
        sums = [mpmath.log(mpmath.fsum(map(mpmath.exp, row))) for row in (s, t)]
        log_ps, log_pt = ([v - total for v in row] for row, total in zip((s, t), sums, strict=True))
        kl = mpmath.fsum(mpmath.exp(a) * (a - b) for a, b in zip(log_pt, log_ps, strict=True))
        return float(kl * mpmath.mpf(temperature) ** 2)


SIZES = [1, 2, 7, 15, 16, 17, 31, 32, 33, 63, 100, 257, 1000]


@pytest.mark.parametrize("classes", SIZES)
def test_entropy(classes: int, dtype: np.dtype, isa: str) -> None:
    p = distributions((3, classes), dtype)
    exact = [exact_entropy(row) for row in p]
    np.testing.assert_allclose(fastact.entropy(p), exact, rtol=3 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("least", [0.9, 1e-4])
def test_logarithms_of_subnormal_numbers(least: float, dtype: np.dtype, isa: str) -> None:
    """A row of them alone: beside normal numbers an error in their logarithms would not show."""
    p = np.geomspace(least, 0.99, 500).astype(dtype) * np.finfo(dtype).smallest_normal
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(fastact.entropy(p), exact_entropy(p), rtol=4 * eps)
    q = np.ones_like(p)
    np.testing.assert_allclose(fastact.kl_divergence(p, q), -exact_entropy(p), rtol=4 * eps)


@pytest.mark.parametrize("classes", SIZES)
def test_kl_divergence(classes: int, dtype: np.dtype, isa: str) -> None:
    p, q = distributions((3, classes), dtype), distributions((3, classes), dtype, seed=1)
    exact, eps = np.array([exact_divergence(*rows) for rows in zip(p, q, strict=True)]), np.finfo(dtype).eps
    np.testing.assert_allclose(fastact.kl_divergence(p, q), exact, rtol=4 * eps, atol=2 * eps)


def test_kl_divergence_of_close_distributions_keeps_its_digits(dtype: np.dtype, isa: str) -> None:
    """Of second order in p - q is sum p log(p/q), so that log p - log q would leave nothing of it."""
    eps = np.finfo(dtype).eps
    p = np.array([[0.25, 0.25, 0.25, 0.25]], dtype)
    q = p + np.array([[64, -64, 128, -128]], dtype) * eps
    exact = exact_divergence(p[0], q[0])
    terms = np.abs(p[0].astype(float) - q[0].astype(float)).sum()
    assert exact > 0
    assert abs(float(fastact.kl_divergence(p, q)[0]) - exact) < 4 * eps * terms
    assert (fastact.kl_divergence(p, p) == 0).all()


@pytest.mark.parametrize(("a", "b"), [
    (1e-40, 1.0), (1.0, 1e-40), (2e-39, 1e-40), (3e35, 1e-38), (1e-38, 3e38), (3.0, 2.0), (1.5, 1.0), (2 / 3, 1.0),
    (1.0, 0.99999994), (0.75, 0.5)])
def test_the_logarithm_of_a_quotient(a: float, b: float, dtype: np.dtype, isa: str) -> None:
    p, q = np.full((1, 5), a, dtype), np.full((1, 5), b, dtype)
    exact = exact_divergence(p[0], q[0])
    assert float(fastact.kl_divergence(p, q)[0]) == pytest.approx(exact, rel=5 * float(np.finfo(dtype).eps), abs=1e-44)


def test_limits_of_entropy_and_divergence(dtype: np.dtype, isa: str) -> None:
    def of(*rows: list[float]) -> list[np.ndarray]:
        return [np.array(row, dtype) for row in rows]

    assert fastact.entropy(*of([1, 0, 0])) == 0
    assert not np.signbit(fastact.entropy(*of([1, 0, 0])))
    assert fastact.entropy(*of([2, 0])) == -2 * np.log(dtype.type(2))
    for row in ([NAN, 1], [0, NAN], [-0.5, 1.5]):
        assert np.isnan(fastact.entropy(*of(row)))
    assert fastact.kl_divergence(*of([0, 1], [0, 1])) == 0
    assert fastact.kl_divergence(*of([0, 1], [0.5, 1])) == 0
    assert fastact.kl_divergence(*of([0.5, 0.5], [0, 1])) == INF
    for p, q in (([NAN, 1], [1, 1]), ([0, 1], [NAN, 1]), ([1, -1], [1, 1]), ([1, 1], [1, -1]), ([1, INF], [1, INF])):
        assert np.isnan(fastact.kl_divergence(*of(p, q)))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, (0, 2), (1, 2), (2, 0), None, ()])
def test_axes_of_entropy_and_divergence(axis: Any) -> None:
    p, q = distributions((4, 5, 6)), distributions((4, 5, 6), seed=1)
    np.testing.assert_allclose(fastact.entropy(p, axis=axis), -(p * np.log(p)).sum(axis), rtol=1e-13)
    np.testing.assert_allclose(fastact.kl_divergence(p, q, axis=axis), (p * np.log(p / q)).sum(axis), rtol=1e-11)


def test_layouts_dtypes_and_empty_arrays() -> None:
    p = distributions((4, 5))
    expected = fastact.entropy(p)
    np.testing.assert_array_equal(fastact.entropy(np.asfortranarray(p)), expected)
    np.testing.assert_array_equal(fastact.entropy(p.astype(">f8")), expected)
    np.testing.assert_array_equal(fastact.entropy(np.repeat(p, 2, 1)[:, ::2]), expected)
    assert fastact.entropy(p.astype(np.float16)).dtype == np.float16
    assert fastact.kl_divergence(p.astype(np.float16), p.astype(np.float32)).dtype == np.float32
    assert isinstance(fastact.entropy(p[0]), np.float64)
    assert fastact.entropy([True, False]) == 0
    assert fastact.entropy(np.zeros((3, 0))).tolist() == [0, 0, 0]
    assert fastact.entropy(np.zeros((0, 3))).shape == (0,)
    with pytest.raises(ValueError, match=r"kl_divergence: q has shape \(4,\), expected \(4, 5\)"):
        fastact.kl_divergence(p, p[:, 0])
    with pytest.raises(TypeError, match="entropy: p has dtype complex128"):
        fastact.entropy(p.astype(complex))
    with pytest.raises(np.exceptions.AxisError, match="entropy: axis is 2"):
        fastact.entropy(p, axis=2)


@pytest.mark.parametrize("classes", SIZES)
@pytest.mark.parametrize("temperature", [1.0, 0.5, 4.0])
def test_distillation(classes: int, temperature: float, dtype: np.dtype, isa: str) -> None:
    s, t = scores((3, classes), dtype), scores((3, classes), dtype, seed=1)
    exact = [exact_distillation(*rows, temperature) for rows in zip(s, t, strict=True)]
    loss, grad = fastact.distillation_loss_with_grad(s, t, temperature=temperature, reduction="none")
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(loss, exact, rtol=4 * eps, atol=10 * eps * max(temperature, 1) ** 2)
    np.testing.assert_array_equal(loss, fastact.distillation_loss(s, t, temperature=temperature, reduction="none"))
    p, q = (fastact.softmax(x.astype(np.longdouble).astype(float) / temperature) for x in (s, t))
    np.testing.assert_allclose(grad, temperature * (p - q), atol=8 * eps * temperature)


def test_distillation_when_both_are_sure(dtype: np.dtype, isa: str) -> None:
    """The probabilities beside the largest keep their digits, and a divergence is never negative."""
    s, t = np.array([[20, 0, 1]], dtype), np.array([[18, 1, 0]], dtype)
    assert float(fastact.distillation_loss(s, t)) == pytest.approx(exact_distillation(s[0], t[0], 1.0), rel=1e-5)
    assert fastact.distillation_loss(t, t) == 0
    near = scores((200, 9), dtype)
    losses = fastact.distillation_loss(near + 1, near, reduction="none")
    assert (losses >= 0).all()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("options", [{}, {"sample_weight": np.linspace(0, 2, 12)},
                                     {"where": np.arange(84).reshape(12, 7) % 6 != 0}])
def test_gradient_is_the_derivative(reduction: str, temperature: float, options: dict[str, Any], isa: str) -> None:
    s, t = scores((12, 7)), scores((12, 7), seed=1)
    options = options | {"reduction": reduction, "temperature": temperature}
    loss, grad = fastact.distillation_loss_with_grad(s, t, **options)
    assert loss == fastact.distillation_loss(s, t, **options)
    v = np.random.default_rng(9).standard_normal(s.shape)
    up, down = (fastact.distillation_loss(s + step * v, t, **options) for step in (1e-6, -1e-6))
    assert np.isclose((grad * v).sum(), (up - down) / 2e-6, rtol=2e-7, atol=1e-8)


def test_mean_divides_by_the_weight_of_the_samples() -> None:
    s, t, w = scores((12, 7)), scores((12, 7), seed=1), np.linspace(0, 3, 12)
    rows = fastact.distillation_loss(s, t, reduction="none")
    assert np.isclose(fastact.distillation_loss(s, t), rows.mean())
    assert np.isclose(fastact.distillation_loss(s, t, sample_weight=w), (w * rows).sum() / w.sum())
    np.testing.assert_allclose(fastact.distillation_loss(s, t, sample_weight=w, reduction="none"), w * rows)


def test_masked_classes_leave_both_softmaxes(dtype: np.dtype, isa: str) -> None:
    s, t = scores((6, 9), dtype), scores((6, 9), dtype, seed=1)
    keep = np.random.default_rng(2).random(s.shape) < 0.6
    keep[5] = False
    loss, grad = fastact.distillation_loss_with_grad(
        np.where(keep, s, NAN), np.where(keep, t, INF), where=keep, temperature=2.0, reduction="none")
    for i in range(5):
        expected, slope = fastact.distillation_loss_with_grad(s[i, keep[i]], t[i, keep[i]], temperature=2.0)
        assert np.isclose(loss[i], expected, rtol=1e-5)
        np.testing.assert_allclose(grad[i, keep[i]], slope, rtol=1e-5, atol=1e-7)
    assert (grad[~keep] == 0).all()
    assert loss[5] == 0


@pytest.mark.parametrize("case", ["empty", "weightless", "masked"])
def test_nothing_to_divide_by(case: str, dtype: np.dtype) -> None:
    s, t = scores((4, 5), dtype), scores((4, 5), dtype, seed=1)
    s[2] = INF
    options: dict[str, Any] = {}
    if case == "empty":
        s, t = s[:0], t[:0]
    elif case == "weightless":
        options["sample_weight"] = np.zeros(4)
    else:
        options["where"] = np.zeros((4, 5), bool)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        loss, grad = fastact.distillation_loss_with_grad(s, t, **options)
        total = fastact.distillation_loss(s, t, reduction="sum", **options)
    assert np.isnan(loss)
    assert total == 0
    assert (grad == 0).all()


def test_special_values_of_distillation(dtype: np.dtype, isa: str) -> None:
    fine = [0.0, 1.0, 2.0]
    for bad in ([NAN, 0, 1], [INF, 0, 1], [-INF, -INF, -INF]):
        for s, t in ((bad, fine), (fine, bad)):
            loss, grad = fastact.distillation_loss_with_grad(np.array([s], dtype), np.array([t], dtype))
            assert np.isnan(loss)
            assert np.isnan(grad).all()
    none = np.array([[0.0, -INF, 0.0]], dtype)
    assert fastact.distillation_loss(none, none) == 0
    assert fastact.distillation_loss(none, np.zeros((1, 3), dtype)) == INF
    assert np.isfinite(fastact.distillation_loss(np.zeros((1, 3), dtype), none))


@pytest.mark.parametrize("classes", [3, 40, 1000, 20001])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_same_bits_for_any_threads_and_in_place(classes: int, temperature: float, dtype: np.dtype) -> None:
    n = max(40, 200_000 // classes)
    s, t = scores((n, classes), dtype), scores((n, classes), dtype, seed=1)
    first = fastact.distillation_loss_with_grad(s, t, temperature=temperature)
    for threads in (1, 2, 3, 7):
        with fastact.threads(threads):
            loss, grad = fastact.distillation_loss_with_grad(s, t, temperature=temperature)
        assert loss == first[0]
        np.testing.assert_array_equal(grad, first[1])
    loss, grad = fastact.distillation_loss_with_grad(s, t, temperature=temperature, grad_out=s)
    assert grad is s
    assert loss == first[0]
    np.testing.assert_array_equal(grad, first[1])
    p = distributions((n, classes), dtype)
    assert fastact.entropy(p)[-1] == fastact.entropy(p[-1:])


def test_the_gradient_may_replace_the_teacher() -> None:
    s, t = scores((40, 5)), scores((40, 5), seed=1)
    loss, grad = fastact.distillation_loss_with_grad(s, t)
    again = fastact.distillation_loss_with_grad(s, t, grad_out=t)
    assert again[0] == loss
    assert again[1] is t
    np.testing.assert_array_equal(t, grad)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_class_axis(axis: int) -> None:
    s, t = scores((4, 5, 6)), scores((4, 5, 6), seed=1)
    loss, grad = fastact.distillation_loss_with_grad(s, t, axis=axis, temperature=2.0)
    expected, slope = fastact.distillation_loss_with_grad(
        np.moveaxis(s, axis, -1), np.moveaxis(t, axis, -1), temperature=2.0)
    np.testing.assert_allclose(loss, expected, rtol=1e-14)
    np.testing.assert_allclose(grad, np.moveaxis(slope, -1, axis), rtol=1e-13, atol=1e-17)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_against_pytorch(temperature: float, dtype: np.dtype) -> None:
    torch = pytest.importorskip("torch")
    s, t = scores((50, 33), dtype), scores((50, 33), dtype, seed=1)
    student = torch.tensor(s, requires_grad=True)
    functional = torch.nn.functional
    log_q, log_p = (functional.log_softmax(x / temperature, -1) for x in (student, torch.tensor(t)))
    expected = functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True) * temperature**2
    expected.backward()
    loss, grad = fastact.distillation_loss_with_grad(s, t, temperature=temperature)
    eps = np.finfo(dtype).eps
    assert np.isclose(loss, float(expected.detach()), rtol=20 * eps)
    np.testing.assert_allclose(grad, student.grad, rtol=64 * eps, atol=eps)


def test_scalars_and_dtypes() -> None:
    s, t = scores((3, 5)), scores((3, 5), seed=1)
    assert isinstance(fastact.distillation_loss(s[0], t[0]), np.float64)
    loss, grad = fastact.distillation_loss_with_grad(s.astype(np.float16), t)
    assert (loss.dtype, grad.dtype) == (np.float32, np.float16)


@pytest.mark.parametrize(
    ("error", "text", "changes"),
    [
        (ValueError, r"loss: teacher_logits has shape \(5,\), expected \(4, 5\)", {"teacher_logits": np.ones(5)}),
        (TypeError, "loss: teacher_logits has dtype complex", {"teacher_logits": np.ones((4, 5), complex)}),
        (TypeError, "loss: student_logits has dtype complex", {"student_logits": np.ones((4, 5), complex)}),
        (ValueError, "distillation_loss: temperature is -1", {"temperature": -1.0}),
        (ValueError, "distillation_loss: reduction is 'avg'", {"reduction": "avg"}),
        (TypeError, "distillation_loss: where has dtype", {"where": np.ones(5)}),
        (np.exceptions.AxisError, "distillation_loss: axis is 3", {"axis": 3}),
    ],
)
def test_bad_arguments(error: type[Exception], text: str, changes: dict[str, Any]) -> None:
    arguments = {"student_logits": np.ones((4, 5)), "teacher_logits": np.ones((4, 5))} | changes
    with pytest.raises(error, match=text):
        fastact.distillation_loss(**arguments)


@pytest.mark.parametrize("temperature", [10.0, 100.0, 1e3, 1e5])
@pytest.mark.parametrize("classes", [3, 10, 33, 300])
def test_distributions_next_to_each_other(classes: int, temperature: float, dtype: np.dtype, isa: str) -> None:
    """At a high temperature they are: the loss keeps the digits that the difference of two logarithms has lost."""
    student, teacher = scores((4, classes), dtype, 1), scores((4, classes), dtype, 2)
    student[1], student[2] = teacher[1], teacher[2] + dtype.type(3)
    keep = np.random.default_rng(classes).random((4, classes)) < 0.8
    keep[:, 0] = True
    for where in (np.ones_like(keep), keep):
        exact = [exact_distillation(student[row, of], teacher[row, of], temperature) for row, of in enumerate(where)]
        for axis in (-1, 0):                                # by rows, and by columns
            given = [z if axis else np.ascontiguousarray(z.T) for z in (student, teacher)]
            options: dict[str, Any] = {"temperature": temperature, "axis": axis, "reduction": "none"}
            options["where"] = where if axis else where.T
            got = fastact.distillation_loss(*given, **options)
            np.testing.assert_array_equal(fastact.distillation_loss_with_grad(*given, **options)[0], got)
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(got, exact, rtol=64 * eps, atol=1e3 * eps**2)
