"""Cross-entropy and its kin: losses of class scores against labels or probabilities.

The class axis is the last unless ``axis`` says otherwise. All share ``weight``, ``ignore_index``, ``where``,
``temperature``, ``reduction`` and ``sample_weight``; ``<loss>_with_grad`` gives ``(loss, gradient)`` at the cost of
little more than the loss. Probabilities are never stored, sums have a fixed order.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastact._classes import Options, classification_loss

__all__ = ["cross_entropy", "cross_entropy_with_grad"]


def cross_entropy(
    logits: ArrayLike, target: ArrayLike, *, axis: int = -1, weight: ArrayLike | None = None,
    ignore_index: int | None = -100, label_smoothing: float = 0.0, temperature: float = 1.0,
    where: ArrayLike | None = None, reduction: str = "mean", sample_weight: ArrayLike | None = None,
) -> Any:
    """Cross-entropy of softmax: ``-sum(target * log_softmax(logits/T))``.

    Parameters
    ----------
    logits : array_like
        Scores, any shape with a class axis.
    target : array_like
        Its number of dimensions decides: one less than `logits` means labels, of any integer dtype, in [0, C); equal
        means probabilities (integer or bool one-hot too), of the shape of `logits`.
    axis : int, optional
        The class axis. Default: the last; 1 for segmentation (N, C, H, W).
    weight : array_like of shape (C,), optional
        Weight of each class, finite and >= 0.
    ignore_index : int or None, optional
        Samples with this label count for nothing, whatever their logits hold. Default -100; None switches it off.
    label_smoothing : float, optional
        From 0 to 1: the share of the target that is spread evenly over the classes. Default 0.
    temperature : float, optional
        T, finite and above 0. Default 1.
    where : array_like of bool, optional
        Broadcast to `logits`: classes where it is False leave the softmax. A label there gives inf.
    reduction : {"mean", "sum", "none"}, optional
        Default "mean".
    sample_weight : array_like, optional
        Of the shape of the per-sample loss: multiplies it and, for "mean", joins the divisor.

    Returns
    -------
    scalar or ndarray
        The loss, of the dtype of `logits` (float32 for float16); with "none" one of each sample.

    Raises
    ------
    TypeError
        For labels that are floats, complex or object arrays.
    ValueError
        For shapes that do not fit, weights that are negative or not finite, options out of range.
    IndexError
        For a label outside [0, C) that is not `ignore_index`.

    Notes
    -----
    "mean" of labels divides by the sum of ``weight[target] * sample_weight`` over the samples that count, "mean" of
    probabilities by the number of samples. If that is 0 the mean is nan, without a warning, and the gradient 0.
    0 * (-inf) is 0. The loss alone reads each logit once from memory and stores no probability.

    References
    ----------
    Good, "Rational decisions", J. R. Stat. Soc. B 14, 1952. Label smoothing: Szegedy et al., CVPR 2016.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.cross_entropy(np.array([[0.0, 0.0]]), [1])
    np.float64(0.6931471805599453)
    """
    options = Options(axis, weight, ignore_index, label_smoothing, temperature, where, reduction, sample_weight)
    return classification_loss("cross_entropy", "cross_entropy", logits, target, options)


def cross_entropy_with_grad(
    logits: ArrayLike, target: ArrayLike, *, axis: int = -1, weight: ArrayLike | None = None,
    ignore_index: int | None = -100, label_smoothing: float = 0.0, temperature: float = 1.0,
    where: ArrayLike | None = None, reduction: str = "mean", sample_weight: ArrayLike | None = None,
    grad_out: Any = None,
) -> tuple[Any, Any]:
    """`cross_entropy` and its gradient with respect to `logits`, in one pass over each row.

    Parameters
    ----------
    logits, target, axis, weight, ignore_index, label_smoothing, temperature, where, reduction, sample_weight
        As in `cross_entropy`.
    grad_out : ndarray, optional
        Where the gradient goes, of the shape and dtype of `logits`; may be `logits`.

    Returns
    -------
    loss : scalar or ndarray
        As from `cross_entropy`.
    grad : ndarray
        Gradient of the reduced loss (with "none": of the sum): ``(softmax(logits) - target) / n`` for a plain mean.

    Raises
    ------
    TypeError, ValueError, IndexError
        As in `cross_entropy`, and for a `grad_out` that does not fit.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.cross_entropy_with_grad(np.array([[0.0, 0.0]]), [1])
    >>> grad
    array([[ 0.5, -0.5]])
    """
    options = Options(axis, weight, ignore_index, label_smoothing, temperature, where, reduction, sample_weight)
    loss, grad = classification_loss(
        "cross_entropy_with_grad", "cross_entropy", logits, target, options, grad=True, grad_out=grad_out
    )
    return loss, grad
