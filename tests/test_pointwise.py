"""The pointwise losses: values, gradients, reductions, weights, layouts, threads, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import assert_same_bits, hard_values
from losses import CASES, LOSSES, Case, each_case

import fastact
from fastact import _kernels

BLOCK = 2048                            # of include/fastact/fastact.h
LENGTHS = [*range(101), BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 37, 100_003]


def close(got: Any, exact: Any, ulp: float, dtype: Any) -> None:
    eps = np.finfo(dtype).eps
    error = np.abs(np.asarray(got, np.longdouble) - exact)
    bound = ulp * eps * np.abs(exact) + np.finfo(dtype).smallest_subnormal
    worst = np.argmax(error - bound)
    assert (error <= bound).all(), f"{np.ravel(got)[worst]!r}, expected {np.ravel(exact)[worst]!r}"


def test_every_loss_has_a_case() -> None:
    assert {case.name for case in CASES} == set(LOSSES)


@each_case
def test_elements(case: Case, dtype: np.dtype, isa: str) -> None:
    pred, target = case.inputs(5000, dtype)
    got = case.loss(pred, target, reduction="none")
    assert got.dtype == dtype
    extra = 2 if isa == "baseline" else 0
    # The difference of two numbers is rounded before a REAL formula sees it: what that costs is not the formula's.
    rounding = 4 if case.name == "log_cosh_loss" else 1
    close(got, case.exact(pred, target), (case.ulp + extra) * rounding, dtype)


@each_case
def test_sum_and_mean(case: Case, dtype: np.dtype, isa: str) -> None:
    """Within 1e-7 of float64 in float32 where the elements are computed in float64, else within their error."""
    pred, target = case.inputs((700, 30), dtype)
    exact = case.exact(pred, target)
    bound = case.ulp * np.finfo(dtype).eps / 2 if _cost(case) else 1e-7 if dtype == np.float32 else 1e-13
    for reduction, expected in (("sum", exact.sum()), ("mean", exact.mean())):
        got = case.loss(pred, target, reduction=reduction)
        assert isinstance(got, dtype.type)
        assert abs(got - expected) <= bound * abs(expected)


def _cost(case: Case) -> int:
    return next(loss["cost"] for loss in _kernels.LOSSES if loss["name"] == case.name)


@each_case
def test_gradient_against_numerical_derivative(case: Case) -> None:
    pred, target = case.inputs(3000, np.float64)
    keep = _away_from_kinks(case, pred, target)
    pred, target = pred[keep], target[keep]
    h = 1e-5
    up, down = (case.loss(pred + s * h, target, reduction="none") for s in (1, -1))
    _, grad = case.with_grad(pred, target, reduction="sum")
    np.testing.assert_allclose(grad, (up - down) / (2 * h), rtol=1e-5, atol=1e-8)
    assert len(pred) > 2000


def _away_from_kinks(case: Case, pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    if _cost(case):
        return np.ones(pred.shape, np.bool_)
    if case.name == "hinge_loss":
        return np.abs(pred * target - 1) > 1e-4
    z = np.abs(pred - target)
    return (z > 1e-4) & (np.abs(z - case.options.get("delta", case.options.get("beta", 0.0))) > 1e-4)


@each_case
def test_gradient_float32(case: Case, isa: str) -> None:
    pred, target = case.inputs(5000, np.float32)
    _, exact = case.with_grad(pred.astype(np.float64), target.astype(np.float64), reduction="sum")
    _, grad = case.with_grad(pred, target, reduction="sum")
    assert grad.dtype == np.float32
    # relative to the slope's largest term: at a zero crossing the slope itself has no relative accuracy
    np.testing.assert_allclose(grad, exact, rtol=max(16, 2 * case.ulp) * 1.2e-7, atol=4e-7)


# slopes of x - y in long double, and eps of error: half for each rounding: the difference, 1/n, the product, parameter
SLOPES: dict[str, tuple[dict[str, float], Any, float]] = {
    "l1_loss": ({}, np.sign, 1),
    "mse_loss": ({}, lambda z: 2 * z, 1.5),
    "huber_loss": ({"delta": 0.75}, lambda z: np.clip(z, -0.75, 0.75), 1.5),
    "smooth_l1_loss": ({"beta": 0.7}, lambda z: np.clip(z / np.longdouble(0.7), -1, 1), 2),
    "quantile_loss": ({"q": 0.9}, lambda z: np.where(z > 0, np.longdouble(1) - 0.9, -np.longdouble(0.9)), 1.5),
}


@pytest.mark.parametrize("n", [1, 77, 4096 + 33])
@pytest.mark.parametrize("name", SLOPES)
def test_gradients_of_differences(name: str, n: int, dtype: np.dtype, isa: str) -> None:
    options, slope, ulp = SLOPES[name]
    pred, target = (np.random.default_rng(k).normal(0, 1, n).astype(dtype) for k in (1, 2))
    _, grad = getattr(fastact, f"{name}_with_grad")(pred, target, **options)
    exact = slope(pred.astype(np.longdouble) - target) / n
    close(grad, exact, 1.01 * ulp, dtype)


@pytest.mark.parametrize("beta", [1e-300, 1e-60, 1e-39, 1e-30, 0.3, 1e30, 1e39, 1e60, 1e300])
def test_smooth_l1_of_any_beta(beta: float, dtype: np.dtype, isa: str) -> None:
    """Float32 has not the exponents of every beta or 1/beta."""
    z = np.array([0, 1e-45, 1e-40, 1e-20, 1, 1e20, 3e38, np.inf, -np.inf, -1e-45, -3e38], dtype)
    with np.errstate(over="ignore"):
        expected = np.clip(z / np.longdouble(beta), -1, 1).astype(dtype)
    _, grad = fastact.smooth_l1_loss_with_grad(z, np.zeros_like(z), beta=beta, reduction="sum")
    assert (np.abs(grad - expected) <= 2 * np.spacing(np.abs(expected))).all()


@each_case
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_loss_with_grad_is_the_loss(case: Case, reduction: str, dtype: np.dtype, isa: str) -> None:
    for n in LENGTHS:
        pred, target = case.inputs(n, dtype, n)
        loss, grad = case.with_grad(pred, target, reduction=reduction)
        assert_same_bits(loss, case.loss(pred, target, reduction=reduction), f"n={n}")
        scale = 1 / n if reduction == "mean" and n else 1.0
        _, plain = case.with_grad(pred, target, reduction="sum")
        np.testing.assert_allclose(grad, plain * scale, rtol=3 * np.finfo(dtype).eps)


@each_case
def test_sum_is_the_sum_of_the_elements(case: Case, dtype: np.dtype, isa: str) -> None:
    for n in LENGTHS:
        pred, target = case.inputs(n, dtype, n)
        elements = case.loss(pred, target, reduction="none")
        assert elements.shape == (n,)
        exact = elements.astype(np.longdouble).sum()
        assert abs(case.loss(pred, target, reduction="sum") - exact) <= 1.5 * np.finfo(dtype).eps * abs(exact)


@each_case
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_sample_weight(case: Case, reduction: str, dtype: np.dtype) -> None:
    for n in (1, 7, 40, BLOCK + 5):
        pred, target = case.inputs((n, 2), dtype, n)
        weight = np.random.default_rng(n).integers(0, 4, (n, 2)).astype(dtype)
        weight[0, 0] = 2
        plain, slope = case.with_grad(pred.astype(float), target.astype(float), reduction="none")
        total = {"mean": weight.sum(), "sum": 1.0, "none": 1.0}[reduction]
        expected = plain * weight if reduction == "none" else (plain * weight).sum() / total
        loss, grad = case.with_grad(pred, target, reduction=reduction, sample_weight=weight)
        rtol = max(20, 2 * case.ulp) * np.finfo(dtype).eps
        np.testing.assert_allclose(loss, expected, rtol=rtol, atol=rtol)
        np.testing.assert_allclose(grad, slope * weight / total, rtol=rtol, atol=rtol)
        assert_same_bits(loss, case.loss(pred, target, reduction=reduction, sample_weight=weight))
        same, _ = case.with_grad(pred, target, reduction=reduction, sample_weight=np.ones_like(weight))
        np.testing.assert_allclose(same, case.loss(pred, target, reduction=reduction), rtol=2 * np.finfo(dtype).eps)


def test_mean_with_weights_divides_by_their_sum() -> None:
    assert fastact.l1_loss(np.array([1.0, 2.0]), 0.0, sample_weight=[1, 3]) == 7 / 4


@each_case
def test_threads_bit_for_bit(case: Case, dtype: np.dtype, isa: str) -> None:
    n = 400_003
    pred, target = case.inputs(n, dtype)
    weight = np.random.default_rng(5).random(n).astype(dtype)
    results = []
    for threads in (1, 2, 3, 7):
        fastact.set_num_threads(threads)
        results.append((*case.with_grad(pred, target), *case.with_grad(pred, target, sample_weight=weight),
                        case.loss(pred, target, reduction="none")))
    for other in results[1:]:
        assert_same_bits(other, results[0])


@each_case
def test_alignment_does_not_matter(case: Case, dtype: np.dtype) -> None:
    pred, target = case.inputs(5001, dtype)
    whole = case.with_grad(pred, target)
    for offset in range(1, 17):
        room = np.empty(5001 + offset, dtype)
        room[offset:] = pred
        assert_same_bits(case.with_grad(room[offset:], target), whole)


@pytest.mark.parametrize("reduction", ["mean", "none"])
@each_case
def test_gradient_past_the_caches(case: Case, reduction: str, dtype: np.dtype, isa: str) -> None:
    """The gradient of much data is stored past the caches: the same bits, nothing around it, at a line or not."""
    for n in (1, 31, 32, 100, BLOCK - 1, BLOCK + 32, 5 * BLOCK + 77):
        pred, target = case.inputs(n, dtype)
        _kernels.set_last_level_cache(0)
        expected = case.with_grad(pred, target, reduction=reduction)
        _kernels.set_last_level_cache(1)
        for start, threads in ((0, 1), (0, 3), (4, 1)):
            memory = np.full(n + 64, 7, dtype)
            first = (-memory.ctypes.data % 64) // dtype.itemsize + start
            with fastact.threads(threads):
                got = case.with_grad(pred, target, reduction=reduction, grad_out=memory[first : first + n])
            assert_same_bits(got, expected, f"n={n}, {start} elements behind a line")
            assert (memory[:first] == 7).all(), "wrote before the gradient"
            assert (memory[first + n :] == 7).all(), "wrote behind the gradient"
        over = pred.copy()
        got = case.with_grad(over, target, reduction=reduction, grad_out=over)
        assert_same_bits(got, expected, "over the prediction")


@each_case
def test_avx2_and_avx512_agree(case: Case, dtype: np.dtype) -> None:
    if "avx512" not in _kernels.available_isas():
        pytest.skip("needs AVX-512")
    pred, target = case.inputs(30_007, dtype)
    before = _kernels.current_isa()
    results = []
    try:
        for isa in ("avx2", "avx512"):
            _kernels.use_isa(isa)
            results.append((*case.with_grad(pred, target), case.loss(pred, target, reduction="none")))
    finally:
        _kernels.use_isa(before)
    assert_same_bits(*results)


@pytest.mark.parametrize("name", LOSSES)
def test_nan_propagates(name: str, dtype: np.dtype, isa: str) -> None:
    case = next(c for c in CASES if c.name == name)
    for n in (3, 50):
        for position in (0, n - 1):
            for which in (0, 1):
                tensors = [t.copy() for t in case.inputs(n, dtype)]
                tensors[which][position] = np.nan
                loss, grad = case.with_grad(*tensors)
                assert np.isnan(loss)
                assert np.isnan(grad[position])
                assert np.isfinite(np.delete(grad, position)).all()


def test_infinite_differences() -> None:
    x = np.array([np.inf, -np.inf])
    slopes = {"l1_loss": 1, "huber_loss": 1, "smooth_l1_loss": 1, "log_cosh_loss": 1, "mse_loss": np.inf}
    for name, slope in slopes.items():
        loss, grad = getattr(fastact, f"{name}_with_grad")(x, np.zeros(2), reduction="none")
        np.testing.assert_array_equal(loss, [np.inf, np.inf])
        np.testing.assert_array_equal(grad, [slope, -slope])


@pytest.mark.parametrize("name", LOSSES)
def test_hard_values_give_the_same_as_alone(name: str, dtype: np.dtype, isa: str) -> None:
    """Neither the neighbours nor the place in the array matter, and no value raises a warning."""
    case = next(c for c in CASES if c.name == name)
    pred, target = hard_values(300, dtype, 1), hard_values(300, dtype, 2)
    with np.errstate(all="raise"):
        loss, grad = case.with_grad(pred, target, reduction="none")
        for i in range(300):
            one = case.with_grad(pred[i : i + 1], target[i : i + 1], reduction="none")
            assert_same_bits(one, (loss[i : i + 1], grad[i : i + 1]), f"{pred[i]}, {target[i]}")


def test_kinks() -> None:
    """l1'(0) = 0 and the like; smooth_l1 with beta=0 is l1."""
    x = np.array([-1.0, 0.0, 2.0])
    assert fastact.l1_loss_with_grad(x, np.zeros(3), reduction="sum")[1].tolist() == [-1, 0, 1]
    assert fastact.quantile_loss_with_grad(x, np.zeros(3), q=0.75, reduction="sum")[1].tolist() == [-0.75, 0, 0.25]
    scores = np.array([0.5, 1.0, 2.0])
    assert fastact.hinge_loss_with_grad(scores, np.ones(3), reduction="sum")[1].tolist() == [-1, 0, 0]
    for z in (5e-324, 1e-300, 0.0):
        got = fastact.smooth_l1_loss_with_grad(np.array([z]), np.zeros(1), beta=0)
        assert_same_bits(got, fastact.l1_loss_with_grad(np.array([z]), np.zeros(1)))


def test_certain_probabilities() -> None:
    """0 * log 0 = 0, and 0/0 = 0 in the gradient; wrong and certain is infinitely bad."""
    p, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    loss, grad = fastact.binary_cross_entropy_with_grad(p, t, reduction="none")
    assert loss.tolist() == [0, 0, np.inf, np.inf]
    assert grad.tolist() == [1, -1, -np.inf, np.inf]
    assert fastact.binary_cross_entropy_with_grad(np.array([0.0]), np.array([0.0]), reduction="sum")[1].tolist() == [1]


def test_infinite_logits() -> None:
    x, t = np.array([np.inf, -np.inf, np.inf, -np.inf]), np.array([1.0, 0.0, 0.0, 1.0])
    for name in ("binary_cross_entropy_with_logits", "sigmoid_focal_loss"):
        loss, grad = getattr(fastact, f"{name}_with_grad")(x, t, reduction="none")
        assert loss.tolist() == [0, 0, np.inf, np.inf]
        assert grad[:2].tolist() == [0, 0]
        assert np.isfinite(grad).all()
        assert grad[2] > 0 > grad[3]


def test_log_cosh_of_exact_differences(dtype: np.dtype, isa: str) -> None:
    """To the last bits, beside 1 and where the exponential is lost; other tests allow for a rounded difference."""
    z = np.concatenate([np.linspace(0.5, 3, 20001), np.geomspace(1e-6, 60, 20001)]).astype(dtype)
    case = next(case for case in CASES if case.name == "log_cosh_loss")
    zero = np.zeros_like(z)
    close(case.loss(z, zero, reduction="none"), case.exact(z, zero), 1, dtype)


def test_tiny_losses_keep_their_digits(dtype: np.dtype, isa: str) -> None:
    x = np.linspace(16, 80, 200).astype(dtype)
    exact = np.exp(-x.astype(np.longdouble))
    exact = np.log1p(exact)
    close(fastact.binary_cross_entropy_with_logits(x, 1, reduction="none"), exact, 3, dtype)
    close(fastact.binary_cross_entropy_with_logits(-x, 0, reduction="none"), exact, 3, dtype)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_weight_0_leaves_out_whatever_the_loss(case: Case, bad: float, dtype: np.dtype, isa: str) -> None:
    """Of the vectors and of the tail of a block."""
    pred, target = case.inputs(77, dtype)
    weight = np.ones(77, dtype)
    weight[::3] = 0
    pred[::3] = bad
    kept = weight != 0
    for reduction in ("mean", "sum", "none"):
        loss, grad = case.with_grad(pred, target, reduction=reduction, sample_weight=weight)
        want, want_grad = case.with_grad(pred[kept], target[kept], reduction=reduction)
        alone = case.loss(pred, target, reduction=reduction, sample_weight=weight)
        np.testing.assert_array_equal(alone, loss)
        if reduction == "none":
            assert (loss[~kept] == 0).all()
            loss = loss[kept]
        np.testing.assert_allclose(loss, want, rtol=1e-6 if dtype == np.float32 else 1e-13)
        assert (grad[~kept] == 0).all()
        np.testing.assert_allclose(grad[kept], want_grad, rtol=1e-5 if dtype == np.float32 else 1e-12)


@each_case
def test_grad_out_may_not_be_false(case: Case) -> None:
    with pytest.raises(TypeError, match=rf"{case.name}_with_grad: grad_out is of type bool, expected numpy.ndarray"):
        case.with_grad(*case.inputs(5, np.float64), grad_out=False)


@pytest.mark.parametrize("name", ["binary_cross_entropy_with_logits", "sigmoid_focal_loss", "hinge_loss"])
@pytest.mark.parametrize("kind", [np.int64, np.int8, np.bool_])
def test_labels_leave_the_precision_to_the_logits(name: str, kind: Any) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 50).astype(kind)
    for dtype, result in ((np.float32, np.float32), (np.float16, np.float32), (np.float64, np.float64)):
        x = rng.normal(size=50).astype(dtype)
        loss, grad = getattr(fastact, f"{name}_with_grad")(x, labels)
        assert (loss.dtype, grad.dtype) == (result, dtype)
        want = getattr(fastact, f"{name}_with_grad")(x, labels.astype(dtype))
        assert loss == want[0]
        np.testing.assert_array_equal(grad, want[1])
    x = rng.normal(size=(5, 3)).astype(np.float32)
    of_float64 = fastact.binary_cross_entropy_with_logits(x, 1, pos_weight=np.array([1.0, 2.0, 3.0]))
    assert of_float64.dtype == np.float32


def test_pos_weight_broadcasts() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(40, 6, 5)), rng.integers(0, 2, (40, 6, 5)).astype(float)
    for shape in [(), (1,), (5,), (1, 5), (6, 1), (6, 5), (40, 1, 1), (40, 6, 5)]:
        weight = rng.random(shape) * 3
        loss, grad = fastact.binary_cross_entropy_with_logits_with_grad(x, t, pos_weight=weight, reduction="none")
        full = weight * t
        np.testing.assert_allclose(loss, full * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x), rtol=1e-13)
        sigmoid = 1 / (1 + np.exp(-x))
        np.testing.assert_allclose(grad, (1 - t) * sigmoid - full * (1 - sigmoid), rtol=1e-12)
        total = fastact.binary_cross_entropy_with_logits(x, t, pos_weight=weight, reduction="sum")
        np.testing.assert_allclose(total, loss.sum(), rtol=1e-13)


@pytest.mark.parametrize("classes", [3, 7, 2049])
def test_pos_weight_of_many_rows(classes: int, dtype: np.dtype) -> None:
    """The blocks of a long array begin anywhere in the weights."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(20_000 // classes, classes)).astype(dtype), 1.0
    weight = (1 + rng.random(classes)).astype(dtype)
    loss = fastact.binary_cross_entropy_with_logits(x, t, pos_weight=weight, reduction="none")
    np.testing.assert_allclose(loss, weight * np.logaddexp(0, -x.astype(float)), rtol=4 * np.finfo(dtype).eps)
    total = fastact.binary_cross_entropy_with_logits(x, t, pos_weight=weight, reduction="sum")
    np.testing.assert_allclose(total, loss.sum(dtype=float), rtol=4 * np.finfo(dtype).eps)


def test_focal_without_focus_is_cross_entropy() -> None:
    x, t = np.random.default_rng(1).normal(0, 3, (2, 500))
    t = (t > 0).astype(float)
    focal = fastact.sigmoid_focal_loss_with_grad(x, t, alpha=None, gamma=0)
    plain = fastact.binary_cross_entropy_with_logits_with_grad(x, t)
    np.testing.assert_allclose(focal[0], plain[0], rtol=1e-14)
    np.testing.assert_allclose(focal[1], plain[1], rtol=1e-13)


def test_float32_mean_of_many_ones_is_exactly_one() -> None:
    ones = np.ones(1 << 24, np.float32)
    assert fastact.l1_loss(ones, 0) == 1
    assert fastact.mse_loss(ones, np.zeros_like(ones)) == 1


def test_float32_sum_of_many_equal_losses() -> None:
    """Systematic rounding would show: every loss has the same error."""
    for value in (0.1, 0.3, 1e-3, 7.7):
        x = np.full(1 << 20, value, np.float32)
        for name in ("l1_loss", "mse_loss", "huber_loss", "quantile_loss"):
            exact = getattr(fastact, name)(x.astype(np.float64), 0.0)
            assert abs(getattr(fastact, name)(x, 0.0) - exact) <= 1e-7 * exact
