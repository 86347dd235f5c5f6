"""Regression losses: elementwise in `pred` and `target`, then reduced.

Common to all: `pred` and `target` are array_like of float16, float32, float64 or integers, of equal shape or one of
them a scalar. float32 stays float32; float16 is computed in float32, and its loss is float32; integers promote by
NumPy's rules. NaN gives NaN. A mean over nothing (an empty batch, a zero total weight) is nan without a warning, its
gradient 0. Sums have the same bits for any number of threads. Each ``<loss>_with_grad`` returns the loss and its
gradient with respect to `pred` from one pass over the data.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastact import _docs
from fastact._dispatch import check_number
from fastact._pointwise import loss, loss_with_grad
from fastact._reduction import Reduction

__all__ = [
    "huber_loss", "huber_loss_with_grad", "l1_loss", "l1_loss_with_grad", "log_cosh_loss", "log_cosh_loss_with_grad",
    "mse_loss", "mse_loss_with_grad", "quantile_loss", "quantile_loss_with_grad", "smooth_l1_loss",
    "smooth_l1_loss_with_grad",
]


def l1_loss(
    pred: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean", sample_weight: ArrayLike | None = None
) -> Any:
    """Absolute error (MAE): ``|pred - target|``.

    Parameters
    ----------
    pred, target : array_like
        Predictions and true values; equal shapes, or one of them a scalar.
    reduction : {"mean", "sum", "none"}
        What becomes of the losses of the elements.
    sample_weight : array_like, optional
        Shape of the losses, finite and >= 0: multiplies them; a mean is then divided by its sum.

    Returns
    -------
    scalar or ndarray
        The loss; for "none" one for each element. float32, or float64 if that is what `pred` and `target` promote to.

    Raises
    ------
    TypeError
        If an array is complex, of objects or strings, or a Dask collection.
    ValueError
        If shapes do not fit, a weight is negative or not finite, or `reduction` is another word.

    Notes
    -----
    Robust against outliers. Kink at 0, where the derivative is taken as 0.

    References
    ----------
    Boscovich, 1757; Huber, "Robust Statistics", 1981, section 1.2.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> float(fastact.l1_loss(np.array([1.0, 5.0]), np.array([2.0, 2.0])))
    2.0
    """
    return loss("l1_loss", pred, target, (), reduction, sample_weight)


@_docs.loss_with_grad
def l1_loss_with_grad(
    pred: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean", sample_weight: ArrayLike | None = None,
    grad_out: Any = None,
) -> tuple[Any, Any]:
    """`l1_loss` and its gradient ``sign(pred - target)`` with respect to `pred`, 0 where they are equal.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.l1_loss_with_grad(np.array([1.0, 5.0]), np.array([2.0, 2.0]))
    >>> float(loss), grad
    (2.0, array([-0.5,  0.5]))
    """
    return loss_with_grad("l1_loss", pred, target, (), reduction, sample_weight, grad_out)


def mse_loss(
    pred: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean", sample_weight: ArrayLike | None = None
) -> Any:
    """Squared error (MSE, L2): ``(pred - target)**2``.

    Parameters
    ----------
    pred, target, reduction, sample_weight
        As in `l1_loss`.

    Returns
    -------
    scalar or ndarray
        As in `l1_loss`.

    Raises
    ------
    TypeError, ValueError
        As in `l1_loss`.

    Notes
    -----
    Smooth; the gradient shrinks towards the minimum, and an outlier counts with its square.

    References
    ----------
    Legendre, "Nouvelles methodes pour la determination des orbites des cometes", 1805.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> float(fastact.mse_loss(np.array([1.0, 5.0]), np.array([2.0, 2.0])))
    5.0
    """
    return loss("mse_loss", pred, target, (), reduction, sample_weight)


@_docs.loss_with_grad
def mse_loss_with_grad(
    pred: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean", sample_weight: ArrayLike | None = None,
    grad_out: Any = None,
) -> tuple[Any, Any]:
    """`mse_loss` and its gradient ``2*(pred - target)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.mse_loss_with_grad(np.array([1.0, 5.0]), np.array([2.0, 2.0]))
    >>> float(loss), grad
    (5.0, array([-1.,  3.]))
    """
    return loss_with_grad("mse_loss", pred, target, (), reduction, sample_weight, grad_out)


def huber_loss(
    pred: ArrayLike, target: ArrayLike, *, delta: float = 1.0, reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Huber's loss: ``z**2/2 if |z| <= delta else delta*(|z| - delta/2)`` of ``z = pred - target``.

    Parameters
    ----------
    pred, target, reduction, sample_weight
        As in `l1_loss`.
    delta : float
        Where the parabola goes over into lines; finite and > 0.

    Returns
    -------
    scalar or ndarray
        As in `l1_loss`.

    Raises
    ------
    TypeError, ValueError
        As in `l1_loss`, and if `delta` is not a finite number > 0.

    Notes
    -----
    `mse_loss`/2 near the minimum, ``delta`` times `l1_loss` far from it; delta * `smooth_l1_loss` with beta = delta.

    References
    ----------
    Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.huber_loss(np.array([0.5, 3.0]), 0.0, reduction="none")
    array([0.125, 2.5  ])
    """
    return loss("huber_loss", pred, target, _delta("huber_loss", delta), reduction, sample_weight)


@_docs.loss_with_grad
def huber_loss_with_grad(
    pred: ArrayLike, target: ArrayLike, *, delta: float = 1.0, reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None, grad_out: Any = None,
) -> tuple[Any, Any]:
    """`huber_loss` and its gradient ``clip(pred - target, -delta, delta)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.huber_loss_with_grad(np.array([0.5, 3.0]), np.zeros(2), reduction="sum")
    >>> float(loss), grad
    (2.625, array([0.5, 1. ]))
    """
    params = _delta("huber_loss_with_grad", delta)
    return loss_with_grad("huber_loss", pred, target, params, reduction, sample_weight, grad_out)


def smooth_l1_loss(
    pred: ArrayLike, target: ArrayLike, *, beta: float = 1.0, reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Smooth L1: ``z**2/(2*beta) if |z| < beta else |z| - beta/2`` of ``z = pred - target``.

    Parameters
    ----------
    pred, target, reduction, sample_weight
        As in `l1_loss`.
    beta : float
        Where the parabola goes over into lines; finite and >= 0. 0 gives `l1_loss`.

    Returns
    -------
    scalar or ndarray
        As in `l1_loss`.

    Raises
    ------
    TypeError, ValueError
        As in `l1_loss`, and if `beta` is not a finite number >= 0.

    References
    ----------
    Girshick, "Fast R-CNN", ICCV 2015, https://arxiv.org/abs/1504.08083.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.smooth_l1_loss(np.array([0.5, 3.0]), 0.0, reduction="none")
    array([0.125, 2.5  ])
    """
    kernel, params = _beta("smooth_l1_loss", beta)
    return loss(kernel, pred, target, params, reduction, sample_weight, name="smooth_l1_loss")


@_docs.loss_with_grad
def smooth_l1_loss_with_grad(
    pred: ArrayLike, target: ArrayLike, *, beta: float = 1.0, reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None, grad_out: Any = None,
) -> tuple[Any, Any]:
    """`smooth_l1_loss` and its gradient ``clip((pred - target)/beta, -1, 1)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.smooth_l1_loss_with_grad(np.array([0.5, 3.0]), np.zeros(2), reduction="sum")
    >>> float(loss), grad
    (2.625, array([0.5, 1. ]))
    """
    name = "smooth_l1_loss_with_grad"
    kernel, params = _beta(name, beta)
    return loss_with_grad(kernel, pred, target, params, reduction, sample_weight, grad_out, name=name)


def log_cosh_loss(
    pred: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean", sample_weight: ArrayLike | None = None
) -> Any:
    """Logarithm of the hyperbolic cosine: ``log(cosh(pred - target))``, without overflow or cancellation.

    Parameters
    ----------
    pred, target, reduction, sample_weight
        As in `l1_loss`.

    Returns
    -------
    scalar or ndarray
        As in `l1_loss`.

    Raises
    ------
    TypeError, ValueError
        As in `l1_loss`.

    Notes
    -----
    About z**2/2 near 0 and ``|z| - log 2`` far from it, smooth everywhere.

    References
    ----------
    Green, "Bayesian reconstructions from emission tomography data using a modified EM algorithm", IEEE TMI 9, 1990.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.log_cosh_loss(np.array([0.0, 1000.0]), 0.0, reduction="none")
    array([  0.        , 999.30685282])
    """
    return loss("log_cosh_loss", pred, target, (), reduction, sample_weight)


@_docs.loss_with_grad
def log_cosh_loss_with_grad(
    pred: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean", sample_weight: ArrayLike | None = None,
    grad_out: Any = None,
) -> tuple[Any, Any]:
    """`log_cosh_loss` and its gradient ``tanh(pred - target)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.log_cosh_loss_with_grad(np.array([0.0, 1000.0]), np.zeros(2), reduction="sum")
    >>> grad
    array([0., 1.])
    """
    return loss_with_grad("log_cosh_loss", pred, target, (), reduction, sample_weight, grad_out)


def quantile_loss(
    pred: ArrayLike, target: ArrayLike, *, q: float = 0.5, reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Quantile (pinball) loss: ``max(q*z, (q - 1)*z)`` of ``z = target - pred``.

    Parameters
    ----------
    pred, target, reduction, sample_weight
        As in `l1_loss`.
    q : float
        The quantile whose best constant prediction minimises the loss; from 0 to 1. 0.5 gives `l1_loss`/2.

    Returns
    -------
    scalar or ndarray
        As in `l1_loss`.

    Raises
    ------
    TypeError, ValueError
        As in `l1_loss`, and if `q` is not a number from 0 to 1.

    Notes
    -----
    Kink at 0, where the derivative is taken as 0.

    References
    ----------
    Koenker and Bassett, "Regression quantiles", Econometrica 46, 1978.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.quantile_loss(np.array([1.0, 3.0]), 2.0, q=0.75, reduction="none")
    array([0.75, 0.25])
    """
    return loss("quantile_loss", pred, target, _q("quantile_loss", q), reduction, sample_weight)


@_docs.loss_with_grad
def quantile_loss_with_grad(
    pred: ArrayLike, target: ArrayLike, *, q: float = 0.5, reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None, grad_out: Any = None,
) -> tuple[Any, Any]:
    """`quantile_loss` and its gradient: -q below the target, 1 - q above it.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.quantile_loss_with_grad(np.array([1.0, 3.0]), np.full(2, 2.0), q=0.75, reduction="sum")
    >>> float(loss), grad
    (1.0, array([-0.75,  0.25]))
    """
    params = _q("quantile_loss_with_grad", q)
    return loss_with_grad("quantile_loss", pred, target, params, reduction, sample_weight, grad_out)


def _delta(name: str, delta: float) -> tuple[float, ...]:
    return (check_number(name, "delta", delta, 0.0, float("inf"), "a finite number > 0", strict=True),)


def _beta(name: str, beta: float) -> tuple[str, tuple[float, ...]]:
    """The kernel and its parameters: without a beta whose reciprocal is finite, |z| < beta holds for no z."""
    beta = check_number(name, "beta", beta, 0.0, float("inf"), "a finite number >= 0")
    return ("smooth_l1_loss", (beta, 1.0 / beta)) if beta > 1e-307 else ("l1_loss", ())


def _q(name: str, q: float) -> tuple[float, ...]:
    return (check_number(name, "q", q, 0.0, 1.0, "a number from 0 to 1"),)
