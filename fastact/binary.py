"""Losses of yes-or-no targets, elementwise, and the 0-1 loss.

What the module `fastact.regression` says of shapes, dtypes, reductions and NaN holds here too, but that targets of
integers or bools take the dtype of the logits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastact import _docs
from fastact._dispatch import as_operand, check_number
from fastact._kernels import in_default_modes
from fastact._labels import compare
from fastact._pointwise import loss, loss_with_grad
from fastact._reduction import Reduction, check_reduction, check_weight, reduced

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_grad", "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_with_grad", "hinge_loss", "hinge_loss_with_grad", "sigmoid_focal_loss",
    "sigmoid_focal_loss_with_grad", "zero_one_loss",
]


def binary_cross_entropy(
    probs: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean", sample_weight: ArrayLike | None = None
) -> Any:
    """Cross-entropy of probabilities: ``-(t*log(p) + (1 - t)*log(1 - p))``.

    Parameters
    ----------
    probs : array_like
        Probabilities p, from 0 to 1; not clipped.
    target : array_like
        Targets t, from 0 to 1; the shape of `probs`, or a scalar.
    reduction, sample_weight
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
    A certain and wrong prediction costs inf, a certain and right one 0: a factor of 0 beats the infinite logarithm.
    `binary_cross_entropy_with_logits` is more accurate where there are logits.

    References
    ----------
    Good, "Rational decisions", Journal of the Royal Statistical Society B 14, 1952.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.binary_cross_entropy(np.array([0.5, 1.0, 1.0]), np.array([1.0, 1.0, 0.0]), reduction="none")
    array([0.69314718, 0.        ,        inf])
    """
    return loss("binary_cross_entropy", probs, target, (), reduction, sample_weight, first="probs", labels=True)


@_docs.loss_with_grad
def binary_cross_entropy_with_grad(
    probs: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean", sample_weight: ArrayLike | None = None,
    grad_out: Any = None,
) -> tuple[Any, Any]:
    """`binary_cross_entropy` and its gradient ``(1 - t)/(1 - p) - t/p``, where 0/0 is 0.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.binary_cross_entropy_with_grad(np.array([0.5, 1.0]), np.ones(2), reduction="sum")
    >>> grad
    array([-2., -1.])
    """
    return loss_with_grad(
        "binary_cross_entropy", probs, target, (), reduction, sample_weight, grad_out, first="probs", labels=True
    )


def binary_cross_entropy_with_logits(
    logits: ArrayLike, target: ArrayLike, *, pos_weight: ArrayLike | None = None, reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Cross-entropy of ``p = sigmoid(x)``: ``pos_weight*t*softplus(-x) + (1 - t)*softplus(x)``, without p itself.

    Parameters
    ----------
    logits : array_like
        Logits x.
    target : array_like
        Targets t, from 0 to 1; the shape of `logits`, or a scalar.
    pos_weight : array_like, optional
        Weight of the positive targets, finite and >= 0, broadcast against `logits`: (C,) for (N, C).
    reduction, sample_weight
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
    Finite for finite logits, and no digits lost where the loss is tiny. An infinite logit costs 0 if right, else inf.

    References
    ----------
    PyTorch, ``torch.nn.BCEWithLogitsLoss``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.binary_cross_entropy_with_logits(np.array([0.0, 40.0, 40.0]), np.array([1, 1, 0]), reduction="none")
    array([6.93147181e-01, 4.24835426e-18, 4.00000000e+01])
    """
    kernel = "binary_cross_entropy_with_logits"
    return loss(
        kernel, logits, target, (), reduction, sample_weight, first="logits", labels=True, pos_weight=pos_weight
    )


@_docs.loss_with_grad
def binary_cross_entropy_with_logits_with_grad(
    logits: ArrayLike, target: ArrayLike, *, pos_weight: ArrayLike | None = None, reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None, grad_out: Any = None,
) -> tuple[Any, Any]:
    """`binary_cross_entropy_with_logits` and its gradient ``(1 - t)*sigmoid(x) - pos_weight*t*sigmoid(-x)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> x, t = np.array([0.0, 0.0]), np.array([1, 0])
    >>> loss, grad = fastact.binary_cross_entropy_with_logits_with_grad(x, t, reduction="sum")
    >>> grad
    array([-0.5,  0.5])
    """
    return loss_with_grad(
        "binary_cross_entropy_with_logits", logits, target, (), reduction, sample_weight, grad_out, first="logits",
        labels=True, pos_weight=pos_weight,
    )


def sigmoid_focal_loss(
    logits: ArrayLike, target: ArrayLike, *, alpha: float | None = 0.25, gamma: float = 2.0,
    reduction: Reduction = "mean", sample_weight: ArrayLike | None = None,
) -> Any:
    """Focal loss of one class: ``-alpha_t * (1 - p_t)**gamma * log(p_t)``.

    p_t is sigmoid(x) for the target 1 and 1 - sigmoid(x) for 0, alpha_t is alpha or 1 - alpha.

    Parameters
    ----------
    logits : array_like
        Logits x.
    target : array_like
        Targets t, from 0 to 1; the shape of `logits`, or a scalar. Between 0 and 1, p_t and alpha_t are interpolated
        and the logarithm becomes the cross-entropy.
    alpha : float or None
        Weight of the target 1, from 0 to 1; None for no weights.
    gamma : float
        Focusing, finite and >= 0. 0 gives the weighted cross-entropy.
    reduction, sample_weight
        As in `l1_loss`.

    Returns
    -------
    scalar or ndarray
        As in `l1_loss`.

    Raises
    ------
    TypeError, ValueError
        As in `l1_loss`, and if `alpha` or `gamma` is out of range.

    References
    ----------
    Lin et al., "Focal loss for dense object detection", ICCV 2017, https://arxiv.org/abs/1708.02002.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> x = np.array([0.0, 4.0, -4.0])
    >>> fastact.sigmoid_focal_loss(x, 1, alpha=None, reduction="none").round(6)
    array([1.732870e-01, 6.000000e-06, 3.874907e+00])
    """
    params = _focal("sigmoid_focal_loss", alpha, gamma)
    return loss("sigmoid_focal_loss", logits, target, params, reduction, sample_weight, first="logits", labels=True)


@_docs.loss_with_grad
def sigmoid_focal_loss_with_grad(
    logits: ArrayLike, target: ArrayLike, *, alpha: float | None = 0.25, gamma: float = 2.0,
    reduction: Reduction = "mean", sample_weight: ArrayLike | None = None, grad_out: Any = None,
) -> tuple[Any, Any]:
    """`sigmoid_focal_loss` and its gradient.

    ``alpha_t*(1 - p_t)**gamma*(gamma*p_t*log(p_t) + p_t - 1)`` for the target 1, minus that for 0.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.sigmoid_focal_loss_with_grad(np.zeros(2), np.array([1, 0]), gamma=0, reduction="sum")
    >>> grad
    array([-0.125,  0.375])
    """
    kernel = "sigmoid_focal_loss"
    params = _focal(f"{kernel}_with_grad", alpha, gamma)
    return loss_with_grad(
        kernel, logits, target, params, reduction, sample_weight, grad_out, first="logits", labels=True
    )


def _focal(name: str, alpha: float | None, gamma: float) -> tuple[float, ...]:
    gamma = check_number(name, "gamma", gamma, 0.0, float("inf"), "a finite number >= 0")
    if alpha is None:
        return 1.0, 1.0, gamma
    alpha = check_number(name, "alpha", alpha, 0.0, 1.0, "a number from 0 to 1, or None")
    return alpha, 1.0 - alpha, gamma


def hinge_loss(
    scores: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean", sample_weight: ArrayLike | None = None
) -> Any:
    """Hinge loss: ``max(0, 1 - t*score)``.

    Parameters
    ----------
    scores : array_like
        Decision values; their sign is the prediction.
    target : array_like
        Targets t, -1 or +1; the shape of `scores`, or a scalar.
    reduction, sample_weight
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
    Kink at t*score = 1, where the derivative is taken as 0.

    References
    ----------
    Cortes and Vapnik, "Support-vector networks", Machine Learning 20, 1995.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.hinge_loss(np.array([2.0, 0.25, -1.0]), 1, reduction="none")
    array([0.  , 0.75, 2.  ])
    """
    return loss("hinge_loss", scores, target, (), reduction, sample_weight, first="scores", labels=True)


@_docs.loss_with_grad
def hinge_loss_with_grad(
    scores: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean", sample_weight: ArrayLike | None = None,
    grad_out: Any = None,
) -> tuple[Any, Any]:
    """`hinge_loss` and its gradient ``-t`` where t*score < 1, else 0.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.hinge_loss_with_grad(np.array([2.0, 0.25, -1.0]), np.ones(3), reduction="sum")
    >>> float(loss), grad
    (2.75, array([ 0., -1., -1.]))
    """
    return loss_with_grad(
        "hinge_loss", scores, target, (), reduction, sample_weight, grad_out, first="scores", labels=True
    )


def zero_one_loss(
    pred: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean", sample_weight: ArrayLike | None = None
) -> Any:
    """0-1 loss: ``pred != target``, 0 where the predicted label is the true one, else 1.

    Parameters
    ----------
    pred : array_like
        Labels of the shape of `target`, or scores with one more axis, the last, along which the largest (the first of
        them; NaN counts as largest) is the prediction.
    target : array_like
        True labels.
    reduction, sample_weight
        As in `l1_loss`.

    Returns
    -------
    scalar or ndarray
        As in `l1_loss`; float32 for float32 or float16 scores, else float64.

    Raises
    ------
    TypeError, ValueError
        As in `l1_loss`.

    Notes
    -----
    It has no useful derivative and so no gradient function: a metric, not something to train on.

    References
    ----------
    Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2009, section 2.4.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> float(fastact.zero_one_loss(np.array([0, 2, 1, 3]), np.array([0, 1, 2, 3])))
    0.5
    >>> float(fastact.zero_one_loss(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0])))
    0.5
    """
    return in_default_modes(lambda: _zero_one(pred, target, reduction, sample_weight))


def _zero_one(pred: ArrayLike, target: ArrayLike, reduction: str, sample_weight: ArrayLike | None) -> Any:
    name = "zero_one_loss"
    check_reduction(name, reduction)
    labels, true = (np.asarray(as_operand(name, argument, x)) for argument, x in (("pred", pred), ("target", target)))
    dtype: Any = np.dtype(np.float64)
    if labels.ndim == true.ndim + 1:
        if labels.shape[:-1] != true.shape or labels.shape[-1] == 0:
            raise ValueError(f"{name}: target has shape {true.shape}, expected {labels.shape[:-1]} for these scores")
        if labels.dtype.kind == "f" and np.can_cast(labels.dtype, np.float32):
            dtype = np.dtype(np.float32)
        labels = np.asarray(labels.argmax(axis=-1))
    elif labels.shape != true.shape:
        raise ValueError(
            f"{name}: target has shape {true.shape}, pred {labels.shape}, expected equal shapes, or one more axis"
            " (of scores) in pred"
        )
    weight = None
    if sample_weight is not None:
        weight = check_weight(name, "sample_weight", sample_weight, true.shape, np.dtype(np.float64))
    each = np.empty(true.size) if reduction == "none" else None
    wrong, total = compare(labels, true, weight, each)
    if each is None:
        return reduced(wrong, total, reduction, dtype)
    losses = each.reshape(true.shape).astype(dtype, copy=False)
    return losses if losses.ndim else losses[()]
