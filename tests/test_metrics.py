"""The metrics against scikit-learn: same argument order, same results to 1e-12 in float64."""

from __future__ import annotations

import inspect
import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from helpers import assert_same_bits

import fastact
from fastact import metrics

sklearn = pytest.importorskip("sklearn.metrics")

AVERAGED = ["mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "mean_absolute_percentage_error",
            "median_absolute_error", "mean_pinball_loss", "r2_score", "explained_variance_score"]
SCORES = ["r2_score", "explained_variance_score"]
each_averaged = pytest.mark.parametrize("name", AVERAGED)
LENGTHS = [2, 3, 31, 32, 33, 100, 2047, 2048, 2049, 4096, 10_001]


def both(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    return getattr(metrics, name)(*args, **options), getattr(sklearn, name)(*args, **options)


def agree(name: str, *args: Any, rtol: float = 1e-12, **options: Any) -> None:
    ours, theirs = both(name, *args, **options)
    assert type(ours) is type(theirs)
    if isinstance(ours, np.ndarray):
        assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol if name in SCORES else 0, err_msg=name)


def data(n: int, outputs: int | None = None, seed: int = 0, offset: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed + n)
    shape = n if outputs is None else (n, outputs)
    true = offset + rng.normal(0, 2, shape)
    return true, true + rng.normal(0, 1, shape)


@pytest.mark.parametrize("name", metrics.__all__)
def test_argument_order(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(m, name)).parameters for m in (metrics, sklearn))
    kept = [p for p in theirs.values() if (name, p.name) != ("log_loss", "y_pred")]     # deprecated
    assert [(p.name, p.kind) for p in ours.values()] == [(p.name, p.kind) for p in kept]
    for p in kept:
        if (name, p.name) != ("log_loss", "y_proba"):       # a default only while y_pred is accepted
            assert ours[p.name].default == p.default


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.int8, np.int64, np.float64])
def test_log_loss_of_indicators(kind: Any) -> None:
    rng = np.random.default_rng(0)
    true, p = np.eye(4)[rng.integers(0, 4, 50)].astype(kind), rng.dirichlet(np.ones(4), 50)
    agree("log_loss", true, p)
    agree("log_loss", true, p, sample_weight=rng.random(50))


def test_what_has_no_meaning_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"log_loss: y_proba has shape \(1,\), y_true \(\), expected"):
        metrics.log_loss(0, [0.5])
    with pytest.raises(ZeroDivisionError, match="mean_squared_error: the weights of multioutput sum to zero"):
        metrics.mean_squared_error(*data(5, 2), multioutput=[0, 0])


@each_averaged
@pytest.mark.parametrize("n", LENGTHS)
def test_one_output(name: str, n: int) -> None:
    for offset in (0.0, 3.0, -1e4):
        true, pred = data(n, offset=offset)
        weight = np.random.default_rng(n).random(n)
        forms = [(true, pred), (true[:, None], pred[:, None]), (true, pred[:, None]), (true.tolist(), pred.tolist())]
        for y in forms if n == 32 else forms[:1]:
            agree(name, *y)
            agree(name, *y, sample_weight=weight)
            agree(name, *y, sample_weight=np.round(3 * weight) + (np.arange(n) == 0))
            agree(name, *y, multioutput="raw_values")


@each_averaged
@pytest.mark.parametrize("outputs", [2, 3, 17])
def test_several_outputs(name: str, outputs: int) -> None:
    for n in (2, 33, 2049, 4096):
        true, pred = data(n, outputs)
        rng = np.random.default_rng(n)
        options = ["raw_values", "uniform_average", rng.random(outputs)] + ["variance_weighted"] * (name in SCORES)
        for multioutput in options:
            for weight in (None, rng.random(n)):
                agree(name, true, pred, multioutput=multioutput, sample_weight=weight)
                agree(name, np.asfortranarray(true), pred[::-1][::-1], multioutput=multioutput, sample_weight=weight)


@each_averaged
def test_float32_is_summed_in_float64(name: str) -> None:
    true, pred = data(100_000)
    single = true.astype(np.float32), pred.astype(np.float32)
    exact = getattr(metrics, name)(*(y.astype(np.float64) for y in single))
    got = getattr(metrics, name)(*single)
    assert abs(got - exact) <= 1e-7 * abs(exact)
    agree(name, *single, multioutput="raw_values", rtol=1e-4)


def test_pinball_levels() -> None:
    true, pred = data(500)
    for alpha in (0.0, 0.1, 0.5, 0.9, 1.0):
        agree("mean_pinball_loss", true, pred, alpha=alpha)
    for alpha in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"^mean_pinball_loss: alpha is .*expected a number from 0 to 1"):
            metrics.mean_pinball_loss(true, pred, alpha=alpha)


def test_percentage_of_zero() -> None:
    """Divided by eps of float64, also in float32, as scikit-learn does."""
    agree("mean_absolute_percentage_error", [1.0, 0.0, 2.4, 7.0], [1.2, 0.1, 2.4, 8.0])
    agree("mean_absolute_percentage_error", np.float32([1, 0]), np.float32([1, 1]), rtol=1e-6)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("force_finite", [True, False])
def test_constant_targets(name: str, force_finite: bool) -> None:
    for true, pred in (([-2.0] * 3, [-2.0] * 3), ([-2.0] * 3, [-2, -2, -2 + 1e-8]), ([1.0, 2, 3], [1.0, 2, 3])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours, theirs = both(name, true, pred, force_finite=force_finite)
        np.testing.assert_equal(ours, theirs)
    true, pred = np.array([[1.0, 5], [1, 6], [1, 7]]), np.array([[1.0, 5], [2, 6], [1, 9]])
    for multioutput in ("raw_values", "uniform_average", "variance_weighted"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours, theirs = both(name, true, pred, force_finite=force_finite, multioutput=multioutput)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("value", [0.1, 1e7, 1 / 3, -7.7e-200])
def test_a_constant_has_no_variance(name: str, value: float) -> None:
    """Exactly: the mean of equal numbers is that number, and the score no quotient of rounding errors."""
    for n in (3, 1000, 100_003):
        true, pred = np.full(n, value), np.random.default_rng(0).normal(size=n)
        assert getattr(metrics, name)(true, pred) == 0.0
        assert getattr(metrics, name)(true, true) == 1.0
        weight = np.random.default_rng(1).random(n)
        assert getattr(metrics, name)(true, pred, sample_weight=weight) == 0.0


def test_far_from_zero() -> None:
    """Variances around a mean of 1e8 keep their digits; exact values from rational arithmetic."""
    from fractions import Fraction

    true, pred = data(3000, offset=1e8)
    a, b = ([Fraction(v) for v in y] for y in (true, pred))
    d = [p - q for p, q in zip(a, b, strict=True)]
    mean_a, mean_d = sum(a) / 3000, sum(d) / 3000
    spread = sum((p - mean_a) ** 2 for p in a)
    explained = 1 - sum((p - mean_d) ** 2 for p in d) / spread
    assert abs(metrics.explained_variance_score(true, pred) - float(explained)) < 1e-12
    assert abs(metrics.r2_score(true, pred) - float(1 - sum(p * p for p in d) / spread)) < 1e-12


def test_r2_of_one_sample() -> None:
    with pytest.warns(UserWarning, match=r"R\^2"):
        assert np.isnan(metrics.r2_score([1.0], [2.0]))


def test_max_error() -> None:
    for n in LENGTHS:
        for dtype in (np.float32, np.float64):
            true, pred = (y.astype(dtype) for y in data(n))
            assert metrics.max_error(true, pred) == np.abs(true.astype(float) - pred).max()
            for position in (0, n // 2, n - 1):
                broken = pred.copy()
                broken[position] = np.nan
                assert np.isnan(metrics.max_error(true, broken))
    with pytest.raises(ValueError, match=r"^max_error: .*2 outputs, expected one"):
        metrics.max_error(np.zeros((3, 2)), np.zeros((3, 2)))


def test_accuracy() -> None:
    rng = np.random.default_rng(0)
    for n in LENGTHS:
        for dtype in (np.int64, np.int8, np.uint16, np.bool_, np.float64, np.float32):
            true, pred = rng.integers(0, 3, n).astype(dtype), rng.integers(0, 3, n).astype(dtype)
            for weight in (None, rng.random(n)):
                for normalize in (True, False):
                    agree("accuracy_score", true, pred, normalize=normalize, sample_weight=weight)
        true, pred = rng.integers(0, 2, (2, n, 3))
        agree("accuracy_score", true, pred)
        agree("accuracy_score", true, pred, normalize=False, sample_weight=rng.random(n))


def test_log_loss() -> None:
    rng = np.random.default_rng(0)
    for n, classes in ((5, 2), (100, 3), (5000, 10)):
        labels = np.sort(rng.choice(100, classes, replace=False)) - 50
        true = labels[np.r_[np.arange(classes), rng.integers(0, classes, n - classes)]]
        p = rng.random((n, classes)) ** 4
        p /= p.sum(1, keepdims=True)
        p[rng.random(n) < 0.2] = np.eye(classes)[0]            # certain, often wrongly: clipped
        indicators = (true[:, None] == labels).astype(int)
        for weight in (None, rng.random(n)):
            for normalize in (True, False):
                options = {"normalize": normalize, "sample_weight": weight}
                agree("log_loss", true, p, **options)
                agree("log_loss", true[:4], p[:4], labels=labels,
                      **options | {"sample_weight": None if weight is None else weight[:4]})
                if classes > 2:
                    agree("log_loss", indicators, p, **options)
                agree("log_loss", true, p.astype(np.float32), rtol=1e-5, **options)
        if classes == 2:
            agree("log_loss", true, p[:, 1])
            agree("log_loss", true, p[:, 1:])


def test_log_loss_refuses() -> None:
    p = np.array([[0.3, 0.7], [0.6, 0.4]])
    for true, proba, labels, text in (
        ([0, 1], p * 2, None, "y_proba goes from"), ([0, 1], -p, None, "y_proba goes from"),
        ([0, 1], p * np.nan, None, "y_proba goes from"), ([0, 0], p, None, "y_proba has 2 columns, expected 1"),
        ([0, 1, 1], p, None, "y_proba has shape"), ([0, 2], p, [0, 1], r"y_true has labels \[2\]"),
        ([0, 1], p, [0, 1, 2], "y_proba has 2 columns, expected 3"),
    ):
        with pytest.raises(ValueError, match=rf"^log_loss: {text}"):
            metrics.log_loss(true, proba, labels=labels)
    with pytest.warns(UserWarning, match="do not sum to 1"):
        metrics.log_loss([0, 1], p * 0.9)
    with pytest.raises(TypeError, match=r"^log_loss: y_true has dtype <U"):
        metrics.log_loss(["a", "b"], p)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("n", "classes"), [(1, 2), (16, 2), (37, 3), (40, 4), (133, 7), (1000, 10), (17, 32), (17, 33), (300, 1000)]
)
def test_log_loss_of_column_numbers(n: int, classes: int, dtype: type) -> None:
    """Labels 0, 1, .. take one pass of a kernel; whatever is wrong with any row is still found."""
    rng = np.random.default_rng(n)
    p = rng.random((n, classes)) ** 4 + 1e-3
    p = (p / p.sum(axis=1, keepdims=True)).astype(dtype)
    true, names = rng.integers(0, classes, n), np.arange(classes)
    p[0], true[0] = np.eye(classes)[0], 1                           # certain and wrong: clipped
    for labels in (names, names[::-1]) if n < 10 * classes else (names, None):
        for kind in (np.int64, np.int32, np.uint16):
            got = metrics.log_loss(true.astype(kind), p, labels=labels)
            eps = np.finfo(dtype).eps
            at = np.clip(p[np.arange(n), true], eps, 1 - eps).astype(np.float64)
            assert got == pytest.approx(-np.log(at).mean(), rel=1e-14)
    first = metrics.log_loss(true, p, labels=names)
    assert metrics.log_loss(true, p, labels=names + 0.0) == pytest.approx(first, rel=1e-14)
    for threads in (1, 2, 3):
        with fastact.threads(threads):
            assert metrics.log_loss(true, p, labels=names) == first
    minus_zero = np.where(p == 0, -p, p)                            # no error
    assert metrics.log_loss(true, minus_zero, labels=names) == pytest.approx(first, rel=1e-14)
    for row in {0, n // 2, n - 1}:
        columns = {0, classes // 2, classes - 2, classes - 1}
        for value, column in itertools.product((-0.5, 1.5, np.nan, np.inf), columns):
            wrong = p.copy()
            wrong[row, column] = value
            with pytest.raises(ValueError, match=r"^log_loss: y_proba goes from"):
                metrics.log_loss(true, wrong, labels=names)
        for column in columns:                                      # in a row whose sum is right, too
            wrong = p.copy()
            wrong[row] = dtype(1.25) / dtype(classes - 1)
            wrong[row, column] = -0.25
            with pytest.raises(ValueError, match=r"^log_loss: y_proba goes from"):
                metrics.log_loss(true, wrong, labels=names)
        wrong = p.copy()
        wrong[row] *= dtype(0.99)
        with pytest.warns(UserWarning, match="do not sum to 1"):
            metrics.log_loss(true, wrong, labels=names)
        for label in (-1, classes):
            bad = true.copy()
            bad[row] = label
            with pytest.raises(ValueError, match=r"^log_loss: y_true has labels"):
                metrics.log_loss(bad, p, labels=names)


@each_averaged
def test_nan_and_infinities_come_through(name: str) -> None:
    true, pred = data(50)
    pred[7] = np.nan
    assert np.isnan(getattr(metrics, name)(true, pred))


MANY = 2**15 + 1            # from 2**15 elements on the median is selected by its bits


def median_cases(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(n)
    normal = rng.normal(size=n)
    return {
        "normal": normal, "equal": np.full(n, 0.3), "zero": np.zeros(n), "subnormal": rng.integers(0, 9, n) * 5e-324,
        "few values": rng.integers(0, 3, n) / 7, "two far apart": np.where(np.arange(n) < n // 2, 1e-9, 1e9),
        "one bin": 1 + rng.random(n) * 1e-6, "all exponents": 10.0 ** rng.uniform(-300, 300, n),
        "half infinite": np.where(rng.permutation(n) < n // 2, normal, np.inf), "sorted": np.sort(np.abs(normal)),
        "neighbours": np.where(np.arange(n) % 2, 1.0, np.nextafter(1.0, 2)),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [MANY - 2, MANY - 1, MANY, 100_000, 300_001])
def test_median_is_numpys(n: int, dtype: Any) -> None:
    for case, values in median_cases(n).items():
        with np.errstate(all="ignore"):
            pred = values.astype(dtype)
            expected = float(np.median(np.abs(pred)))
        true = np.zeros(n, dtype)
        with np.errstate(all="raise"):
            assert_same_bits(metrics.median_absolute_error(true, pred), expected, case)
            assert_same_bits(metrics.median_absolute_error(pred[::-1], true), expected, case)
        wide = np.stack([pred, true, 2 * np.ones(n, dtype)], axis=1)
        got = metrics.median_absolute_error(np.zeros_like(wide), wide, multioutput="raw_values")
        assert_same_bits(got, np.array([expected, 0, 2], dtype), case)


@pytest.mark.parametrize("n", [5, MANY])
@pytest.mark.parametrize("position", [0, 0.37, 0.5, 1])
def test_median_of_a_nan(n: int, position: float) -> None:
    true, pred = data(n)
    for value in (np.nan, -np.nan):
        pred[int(position * (n - 1))] = value
        assert np.isnan(metrics.median_absolute_error(true, pred))
        assert np.isnan(metrics.median_absolute_error(true.astype(np.float32), pred.astype(np.float32)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_median_whatever_the_threads(dtype: Any) -> None:
    true, pred = (y.astype(dtype) for y in data(1_000_003))
    expected = float(np.median(np.abs(pred - true)))
    for threads in (1, 2, 5):
        with fastact.threads(threads):
            assert_same_bits(metrics.median_absolute_error(true, pred), expected, str(threads))


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("at", [0, 31, 32, 2047])
def test_scores_with_an_outlier(name: str, at: int) -> None:
    """The base of a block may be one; scikit-learn's two passes in float64 are exact enough to compare with."""
    true, pred = data(4096)
    true[at] = 1e9
    agree(name, true, pred)
    pred[at] = -3e7
    agree(name, true, pred)


@pytest.mark.parametrize("name", SCORES)
def test_scores_that_overflow(name: str) -> None:
    """Squares beyond float64 are infinite, not nan."""
    true, pred = data(100)
    pred[50] = 1e200
    assert getattr(metrics, name)(true, pred) == -np.inf
    assert getattr(metrics, name)(true[:20], pred[40:60]) == -np.inf


def test_median_with_weights() -> None:
    true = np.zeros(6)
    pred = np.array([3.0, 1, 2, 5, 4, 6])
    for weight in ([1] * 6, [1, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 5], [0.1, 0.2, 0.3, 0.4, 0.5, 0.5], [2, 1, 1, 1, 1, 0]):
        agree("median_absolute_error", true, pred, sample_weight=np.array(weight, float))
    assert np.isnan(metrics.median_absolute_error(true, pred, sample_weight=np.zeros(6)))


@each_averaged
def test_threads_bit_for_bit(name: str) -> None:
    for outputs, dtype in ((None, np.float32), (None, np.float64), (5, np.float64)):
        true, pred = (y.astype(dtype) for y in data(300_001 if outputs is None else 60_001, outputs))
        weight = np.random.default_rng(0).random(len(true))
        results = []
        for threads in (1, 2, 3, 7):
            fastact.set_num_threads(threads)
            results.append((np.float64(getattr(metrics, name)(true, pred)),
                            np.float64(getattr(metrics, name)(true, pred, sample_weight=weight))))
        for other in results[1:]:
            assert_same_bits(other, results[0])


@each_averaged
def test_refuses(name: str) -> None:
    function = getattr(metrics, name)
    y = np.arange(6.0).reshape(3, 2)
    for true, pred, options, error, text in (
        (y, y[:2], {}, ValueError, r"y_pred has shape \(2, 2\), expected \(3, 2\)"),
        (y[:, 0], y, {}, ValueError, "y_pred has shape"),
        (y[:0], y[:0], {}, ValueError, "y_true has shape"),
        (1.0, 2.0, {}, ValueError, "y_true has shape"),
        (y[None], y[None], {}, ValueError, "y_true has shape"),
        (y.astype(str), y, {}, TypeError, "y_true has dtype <U"),
        (y, y * 1j, {}, TypeError, "y_pred has dtype complex128"),
        (y, y, {"sample_weight": [1, 2]}, ValueError, r"sample_weight has shape \(2,\), expected \(3,\)"),
        (y, y, {"sample_weight": [1, -2, 1]}, ValueError, r"sample_weight\[1\] is -2.0"),
        (y, y, {"multioutput": "best"}, ValueError, "multioutput is 'best', expected one of"),
        (y, y, {"multioutput": [1.0]}, ValueError, r"multioutput has shape \(1,\)"),
        (y[:, 0], y[:, 0], {"multioutput": [1.0]}, ValueError, "multioutput has shape"),
    ):
        with pytest.raises(error, match=f"^{name}: {text}"):
            function(true, pred, **options)
    if name != "median_absolute_error":
        with pytest.raises(ZeroDivisionError, match=f"^{name}: .*sum to zero"):
            function(y, y, sample_weight=np.zeros(3))
