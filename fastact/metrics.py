"""Metrics under scikit-learn's names, with its argument order and its results.

Targets are numbers of shape (n,) or (n, outputs); float32 is summed in float64. Sums run over fixed blocks in one pass
over the data, so results do not depend on the number of threads. Where scikit-learn raises for NaN or infinities in the
data, these give NaN or inf. Weights are finite and >= 0.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastact import _docs, _kernels
from fastact._dispatch import as_floats, as_operand, check_number
from fastact._labels import mismatches
from fastact._pointwise import loss
from fastact._reduction import check_weight
from fastact._targets import Targets, median_of_differences, weighted_median

__all__ = [
    "accuracy_score", "explained_variance_score", "log_loss", "max_error", "mean_absolute_error",
    "mean_absolute_percentage_error", "mean_pinball_loss", "mean_squared_error", "median_absolute_error", "r2_score",
    "root_mean_squared_error",
]

Function = TypeVar("Function", bound=Callable[..., Any])


def _metric(function: Function) -> Function:
    """The function in the default floating-point modes: `default_modes` here, where doctest looks for functions."""
    _docs.metric(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return _kernels.in_default_modes(function, *args, **kwargs)

    return call  # type: ignore[return-value]


@_metric
def mean_absolute_error(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Mean of ``|y_true - y_pred|``.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n,) or (n, outputs)
        True values and predictions.
    sample_weight : array_like of shape (n,), optional
        Weights of the samples, finite and >= 0.
    multioutput : {"uniform_average", "raw_values"} or array_like of shape (outputs,)
        Average over the outputs, one error for each, or an average with these weights.

    Returns
    -------
    float or ndarray of floats

    Raises
    ------
    TypeError
        If an array is not of real numbers.
    ValueError
        If shapes do not fit, there are no samples, or an option is not one of those above.
    ZeroDivisionError
        If all weights are zero.

    References
    ----------
    scikit-learn, ``sklearn.metrics.mean_absolute_error``.

    Examples
    --------
    >>> from fastact import metrics
    >>> metrics.mean_absolute_error([3, -0.5, 2, 7], [2.5, 0.0, 2, 8])
    0.5
    """
    y = Targets("mean_absolute_error", y_true, y_pred, sample_weight, multioutput)
    return y.averaged(y.means("l1_loss"))


@_metric
def mean_squared_error(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Mean of ``(y_true - y_pred)**2``.

    Examples
    --------
    >>> from fastact import metrics
    >>> metrics.mean_squared_error([3, -0.5, 2, 7], [2.5, 0.0, 2, 8])
    0.375
    """
    y = Targets("mean_squared_error", y_true, y_pred, sample_weight, multioutput)
    return y.averaged(y.means("mse_loss"))


@_metric
def root_mean_squared_error(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """``sqrt(mean_squared_error(y_true, y_pred))``, the root taken for each output.

    Examples
    --------
    >>> from fastact import metrics
    >>> metrics.root_mean_squared_error([3, -0.5, 2, 7], [1, 1.5, 0, 5])
    2.0
    """
    y = Targets("root_mean_squared_error", y_true, y_pred, sample_weight, multioutput)
    return y.averaged(np.sqrt(y.means("mse_loss")))


@_metric
def mean_absolute_percentage_error(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Mean of ``|y_true - y_pred| / max(|y_true|, 2**-52)``, a fraction.

    Examples
    --------
    >>> from fastact import metrics
    >>> metrics.mean_absolute_percentage_error([1, -2, 4], [1.5, -2, 5])
    0.25
    """
    y = Targets("mean_absolute_percentage_error", y_true, y_pred, sample_weight, multioutput)
    return y.averaged(y.means("absolute_percentage"))


@_metric
def median_absolute_error(
    y_true: ArrayLike, y_pred: ArrayLike, *, multioutput: Any = "uniform_average",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Median of ``|y_true - y_pred|``, the mean of the two in the middle if they are even in number.

    With weights: the averaged inverted cumulative distribution at one half; nan if all weights are zero.

    Examples
    --------
    >>> from fastact import metrics
    >>> metrics.median_absolute_error([3, -0.5, 2, 7], [2.5, 0.0, 2, 8])
    0.5
    """
    name = "median_absolute_error"
    y = Targets(name, y_true, y_pred, None, multioutput)
    weight = None
    if sample_weight is not None:
        weight = check_weight(name, "sample_weight", sample_weight, (y.n,), y.dtype)
    medians = np.empty(y.outputs, y.dtype)
    for k in range(y.outputs):
        pred, true = y.y_pred[:, k], y.y_true[:, k]
        if weight is None:
            medians[k] = median_of_differences(pred, true)
        else:
            medians[k] = weighted_median(loss("l1_loss", pred, true, (), "none", None), weight)
    return y.averaged(medians)


@_metric
def max_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Largest ``|y_true - y_pred|`` of one output.

    Examples
    --------
    >>> from fastact import metrics
    >>> metrics.max_error([3, 2, 7, 1], [4, 2, 7, 1])
    1.0
    """
    y = Targets("max_error", y_true, y_pred)
    if y.outputs > 1:
        raise ValueError(f"max_error: y_true has {y.outputs} outputs, expected one")
    return float(_kernels.moments(y.n, y.tensors, None, True)[0, 0])


@_metric
def mean_pinball_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None, alpha: float = 0.5,
    multioutput: Any = "uniform_average",
) -> Any:
    """Mean of ``max(alpha*z, (alpha - 1)*z)`` of ``z = y_true - y_pred``.

    Parameters
    ----------
    y_true, y_pred, sample_weight, multioutput
        As in `mean_absolute_error`.
    alpha : float
        The quantile that the predictions are meant to be, from 0 to 1.

    Returns
    -------
    float or ndarray of floats

    Raises
    ------
    TypeError, ValueError, ZeroDivisionError
        As in `mean_absolute_error`; ValueError for an `alpha` outside [0, 1].

    See Also
    --------
    fastact.quantile_loss : The same as a loss, with its gradient.

    References
    ----------
    scikit-learn, ``sklearn.metrics.mean_pinball_loss``.

    Examples
    --------
    >>> from fastact import metrics
    >>> metrics.mean_pinball_loss([1, 2, 3], [0, 2, 3], alpha=0.75)
    0.25
    """
    name = "mean_pinball_loss"
    q = check_number(name, "alpha", alpha, 0.0, 1.0, "a number from 0 to 1")
    y = Targets(name, y_true, y_pred, sample_weight, multioutput)
    return y.averaged(y.means("quantile_loss", (q,)))


@_metric
def r2_score(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average", force_finite: bool = True,
) -> Any:
    """Coefficient of determination: ``1 - sum((y_true - y_pred)**2) / sum((y_true - mean(y_true))**2)``.

    Parameters
    ----------
    y_true, y_pred, sample_weight
        As in `mean_absolute_error`.
    multioutput : {"uniform_average", "raw_values", "variance_weighted"}, None or array_like of shape (outputs,)
        As in `mean_absolute_error`; "variance_weighted" weighs each output by the variance of its true values.
    force_finite : bool
        A constant `y_true` scores 1 (perfect predictions) or 0 instead of nan or -inf.

    Returns
    -------
    float or ndarray of floats
        1 is best, 0 what the constant mean gets; nan with a warning for less than two samples.

    Raises
    ------
    TypeError, ValueError, ZeroDivisionError
        As in `mean_absolute_error`.

    References
    ----------
    scikit-learn, ``sklearn.metrics.r2_score``.

    Examples
    --------
    >>> from fastact import metrics
    >>> metrics.r2_score([1, 2, 3], [3, 2, 1])
    -3.0
    """
    y = Targets("r2_score", y_true, y_pred, sample_weight, multioutput, _SCORE_WORDS)
    if y.n < 2:
        warnings.warn("r2_score: R^2 is not defined for less than two samples", UserWarning, stacklevel=3)
        return float("nan")
    total, _, _, true2, base, mean, diff2 = _moments(y)
    with np.errstate(over="ignore", invalid="ignore"):
        return _score(y, diff2 + total * (base + mean) ** 2, true2, force_finite)


@_metric
def explained_variance_score(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average", force_finite: bool = True,
) -> Any:
    """``1 - var(y_true - y_pred) / var(y_true)``.

    Examples
    --------
    >>> from fastact import metrics
    >>> metrics.explained_variance_score([1, 2, 3], [2, 3, 4])
    1.0
    """
    y = Targets("explained_variance_score", y_true, y_pred, sample_weight, multioutput, _SCORE_WORDS)
    _, _, _, true2, _, _, diff2 = _moments(y)
    return _score(y, diff2, true2, force_finite)


_SCORE_WORDS: Any = ("raw_values", "uniform_average", "variance_weighted", None)


def _moments(y: Targets) -> NDArray[Any]:
    """Total weight; base, mean - base, squared deviations of y_true; of y_true - y_pred; each of shape (outputs,)."""
    pred, true = y.tensors
    return _kernels.moments(y.n, (true, pred), y.weight).T  # type: ignore[no-any-return]


def _score(y: Targets, numerator: NDArray[Any], denominator: NDArray[Any], force_finite: bool) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = 1 - numerator / denominator
    if force_finite:
        scores[denominator == 0] = 0.0
        scores[numerator == 0] = 1.0
    if isinstance(y.multioutput, str) and y.multioutput == "variance_weighted":
        return float(np.average(scores, weights=denominator if denominator.any() else None))
    if y.multioutput is None:
        return float(np.average(scores))
    return y.averaged(scores)


@_metric
def accuracy_score(
    y_true: ArrayLike, y_pred: ArrayLike, *, normalize: bool = True, sample_weight: ArrayLike | None = None
) -> float:
    """Share of samples whose labels are equal; of two-dimensional labels all must be.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n,) or (n, labels)
        Numeric labels.
    normalize : bool
        False: the number (total weight) of those samples.
    sample_weight : array_like of shape (n,), optional
        Weights of the samples, finite and >= 0.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError, ZeroDivisionError
        As in `mean_absolute_error`.

    References
    ----------
    scikit-learn, ``sklearn.metrics.accuracy_score``.

    Examples
    --------
    >>> from fastact import metrics
    >>> metrics.accuracy_score([0, 1, 2, 3], [0, 2, 1, 3])
    0.5
    """
    name = "accuracy_score"
    wrong, total = mismatches(name, ("y_true", y_true), ("y_pred", y_pred), sample_weight)
    if not normalize:
        return total - wrong
    if not total:
        raise ZeroDivisionError(f"{name}: the weights of sample_weight sum to zero")
    return (total - wrong) / total


@_metric
def log_loss(
    y_true: ArrayLike, y_proba: ArrayLike, *, normalize: bool = True, sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float:
    """Cross-entropy of predicted probabilities: mean of ``-log(p[true class])``, p clipped to [eps, 1 - eps].

    Parameters
    ----------
    y_true : array_like of shape (n,) or (n, classes)
        Numeric labels, or indicators of the classes.
    y_proba : array_like of shape (n, classes) or (n,)
        Probabilities of the classes in increasing order of their labels; one column: of the larger of two labels.
    normalize : bool
        False: the sum instead of the mean.
    sample_weight : array_like of shape (n,), optional
        Weights of the samples, finite and >= 0.
    labels : array_like, optional
        All labels, if `y_true` may lack some.

    Returns
    -------
    float
        In eps steps of the dtype of `y_proba`: of float32, or else of float64.

    Raises
    ------
    TypeError, ValueError, ZeroDivisionError
        As in `mean_absolute_error`, and if a probability is outside [0, 1], a label is not among `labels`, or labels
        and columns differ in number or are fewer than two.

    Notes
    -----
    `fastact.cross_entropy` works from logits, without clipping, and has a gradient.

    References
    ----------
    scikit-learn, ``sklearn.metrics.log_loss``.

    Examples
    --------
    >>> from fastact import metrics
    >>> round(metrics.log_loss([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]), 6)
    0.34055
    """
    name = "log_loss"
    p = np.asarray(as_operand(name, "y_proba", y_proba))
    p = as_floats(name, "y_proba", p, None if p.dtype.kind == "f" else np.float64)
    true = np.asarray(as_operand(name, "y_true", y_true))
    if p.ndim not in (1, 2) or not len(p) or not true.ndim or len(true) != len(p):
        raise ValueError(
            f"{name}: y_proba has shape {p.shape}, y_true {true.shape}, expected (n, classes) and (n,), n >= 1"
        )
    if sample_weight is None and _numbers_columns(true, labels, p):
        plain = _kernels.class_sums(_kernels.ROWS_ID["log_loss"], p, true, -1, None, False, _kernels.NO_GRADIENT)
        if plain is not None and plain[2] < 0 and not math.isnan(plain[0]):     # else it is found out below why
            return float(plain[0] / len(p) if normalize else plain[0])
    if not (p.min() >= 0 and p.max() <= 1):
        raise ValueError(f"{name}: y_proba goes from {p.min()} to {p.max()}, expected probabilities from 0 to 1")
    weight = None
    if sample_weight is not None:
        weight = check_weight(name, "sample_weight", sample_weight, (len(p),), np.dtype(np.float64))
    if p.ndim == 1 or p.shape[1] == 1:
        p = np.stack([1 - p.ravel(), p.ravel()], axis=1)
    eps = np.finfo(p.dtype).eps
    if not np.allclose(p.sum(axis=1), 1, rtol=np.sqrt(eps), atol=0):
        warnings.warn(f"{name}: the rows of y_proba do not sum to 1", UserWarning, stacklevel=3)
    losses = _class_losses(name, true, labels, p, eps)
    total = float(_kernels.loss_sums(_kernels.LOSS_ID["total"], len(losses), (losses,), weight)[0, 0])
    if not normalize:
        return total
    count = float(weight.sum()) if weight is not None else len(losses)
    if not count:
        raise ZeroDivisionError(f"{name}: the weights of sample_weight sum to zero")
    return total / count


def _numbers_columns(true: NDArray[Any], labels: ArrayLike | None, p: NDArray[Any]) -> bool:
    """Whether the labels are the numbers of p's columns; without `labels`, as far as the first ones of y_true tell."""
    known = true[: 64 * p.shape[-1]] if labels is None else np.asarray(labels)
    if p.ndim != 2 or p.shape[1] < 2 or true.dtype.kind not in "iu" or known.dtype.kind not in "iu" or known.ndim != 1:
        return False
    known = known.astype(np.int64, copy=False)
    within = known.size and known.min() == 0 and known.max() == p.shape[1] - 1
    return bool(within and np.bincount(known, minlength=p.shape[1]).all())


def _class_losses(name: str, true: NDArray[Any], labels: ArrayLike | None, p: NDArray[Any], eps: Any) -> Any:
    """-log of the clipped probability of each sample's class, in float64."""
    if true.ndim == 2 and true.shape[1] > 1:
        if true.shape != p.shape:
            raise ValueError(f"{name}: y_true has shape {true.shape}, expected {p.shape} (that of y_proba)")
        return -np.sum(true * np.log(np.clip(p, eps, 1 - eps)), axis=1, dtype=np.float64)
    true = true.ravel()
    classes = np.unique(true if labels is None else np.asarray(as_operand(name, "labels", labels)))
    if len(classes) != p.shape[1]:
        raise ValueError(
            f"{name}: y_proba has {p.shape[1]} columns, expected {len(classes)}, one for each label of"
            f" {'y_true (pass labels= if it lacks some)' if labels is None else 'labels'}: {classes}"
        )
    index = np.minimum(np.searchsorted(classes, true), len(classes) - 1)
    if (classes[index] != true).any():
        raise ValueError(f"{name}: y_true has labels {np.setdiff1d(true, classes)} that are not among labels {classes}")
    return -np.log(np.clip(p[np.arange(len(p)), index], eps, 1 - eps).astype(np.float64))
