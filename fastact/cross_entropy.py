"""Cross-entropy of scores, log-probabilities or probabilities against labels or probabilities.

The class axis is the last unless ``axis`` says otherwise. All share ``weight``, ``ignore_index``, ``label_smoothing``,
``reduction`` and ``sample_weight``; ``<loss>_with_grad`` gives ``(loss, gradient)`` at the cost of little more than the
loss. Probabilities are never stored, sums have a fixed order.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastact import _docs
from fastact._classes import classification_loss
from fastact._kernels import NO_GRADIENT, ROWS_ID
from fastact._layout import check_temperature

_LOG_PROBS = "log_probs", "target"
_CROSS_ENTROPY, _CROSS_ENTROPY_WITH_GRAD = ROWS_ID["cross_entropy"], ROWS_ID["cross_entropy_with_grad"]
_NLL, _NLL_WITH_GRAD = ROWS_ID["nll_loss"], ROWS_ID["nll_loss_with_grad"]

__all__ = ["cross_entropy", "cross_entropy_with_grad", "nll_loss", "nll_loss_with_grad"]


def cross_entropy(
    logits: ArrayLike, target: ArrayLike, *, axis: int = -1, weight: ArrayLike | None = None,
    ignore_index: int | None = -100, label_smoothing: float = 0.0, temperature: float = 1.0,
    where: ArrayLike | None = None, from_logits: bool = True, reduction: str = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Cross-entropy of softmax: ``-sum(target * log_softmax(logits/T))``.

    Parameters
    ----------
    logits : array_like
        Scores, any shape with a class axis; probabilities with ``from_logits=False``.
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
        Broadcast to `logits`: classes where it is False leave the softmax. A label there gives inf; what a target of
        probabilities has there is left out.
    from_logits : bool, optional
        False: `logits` are probabilities p, and the loss is ``-sum(target * log(p))``. They are neither clipped nor
        renormalised, log 0 is -inf; excludes `temperature` and `where`. Default True.
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
        For shapes that do not fit, weights that are negative or not finite, options out of range, `temperature` or
        `where` beside ``from_logits=False``.
    IndexError
        For a label outside [0, C) that is not `ignore_index`.

    Notes
    -----
    "mean" of labels divides by the sum of ``weight[target] * sample_weight`` over the samples that count, "mean" of
    probabilities by the number of samples. If that is 0 the mean is nan, without a warning, and the gradient 0.
    0 * (-inf) is 0. A sample of weight 0 is left out like an ignored one. The loss alone reads each logit once from
    memory and stores no probability.

    References
    ----------
    Good, "Rational decisions", J. R. Stat. Soc. B 14, 1952. Label smoothing: Szegedy et al., CVPR 2016.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.cross_entropy(np.array([[0.0, 0.0]]), [1])
    np.float64(0.6931471805599453)
    >>> fastact.cross_entropy(np.array([[0.5, 0.5]]), [1], from_logits=False)
    np.float64(0.6931471805599453)
    """
    options = axis, weight, ignore_index, label_smoothing, temperature, where, reduction, sample_weight, None
    kernel = _CROSS_ENTROPY
    if from_logits is not True:
        kernel = kernel_of("cross_entropy", from_logits, temperature, where)
    return classification_loss("cross_entropy", kernel, logits, target, options)


@_docs.loss_with_grad
def cross_entropy_with_grad(
    logits: ArrayLike, target: ArrayLike, *, axis: int = -1, weight: ArrayLike | None = None,
    ignore_index: int | None = -100, label_smoothing: float = 0.0, temperature: float = 1.0,
    where: ArrayLike | None = None, from_logits: bool = True, reduction: str = "mean",
    sample_weight: ArrayLike | None = None, grad_out: Any = None,
) -> tuple[Any, Any]:
    """`cross_entropy` and its gradient with respect to `logits`, in one pass over each row.

    The gradient of a plain mean over n samples is ``(softmax(logits) - target) / n``; of probabilities
    ``-target / p / n``, where 0/0 is 0.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.cross_entropy_with_grad(np.array([[0.0, 0.0]]), [1])
    >>> grad
    array([[ 0.5, -0.5]])
    """
    options = axis, weight, ignore_index, label_smoothing, temperature, where, reduction, sample_weight, None
    name, kernel = "cross_entropy_with_grad", _CROSS_ENTROPY_WITH_GRAD
    if from_logits is not True:
        kernel = kernel_of(name, from_logits, temperature, where)
    return classification_loss(name, kernel, logits, target, options, grad_out)  # type: ignore[no-any-return]


def nll_loss(
    log_probs: ArrayLike, target: ArrayLike, *, axis: int = -1, weight: ArrayLike | None = None,
    ignore_index: int | None = -100, label_smoothing: float = 0.0, reduction: str = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Negative log-likelihood: ``-sum(target * log_probs)``; of a label, ``-log_probs[label]``.

    Parameters
    ----------
    log_probs : array_like
        Log-probabilities, as from `log_softmax`: any shape with a class axis.
    target : array_like
        Labels or probabilities, as in `cross_entropy`.
    axis, weight, ignore_index, label_smoothing, reduction, sample_weight
        As in `cross_entropy`.

    Returns
    -------
    scalar or ndarray
        The loss, of the dtype of `log_probs` (float32 for float16); with "none" one of each sample.

    Raises
    ------
    TypeError, ValueError, IndexError
        As in `cross_entropy`.

    See Also
    --------
    cross_entropy : does `log_softmax` and this at once, and more exactly.

    Notes
    -----
    Nothing is normalised, and 0 * (-inf) is 0. Labels without smoothing read one number of each sample.

    References
    ----------
    Bishop, "Pattern Recognition and Machine Learning", Springer 2006, 4.3.4.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.nll_loss(np.log([[0.25, 0.75], [0.5, 0.5]]), [0, 1], reduction="none").round(6)
    array([1.386294, 0.693147])
    """
    options = axis, weight, ignore_index, label_smoothing, 1.0, None, reduction, sample_weight, None
    return classification_loss("nll_loss", _NLL, log_probs, target, options, NO_GRADIENT, _LOG_PROBS)


@_docs.loss_with_grad
def nll_loss_with_grad(
    log_probs: ArrayLike, target: ArrayLike, *, axis: int = -1, weight: ArrayLike | None = None,
    ignore_index: int | None = -100, label_smoothing: float = 0.0, reduction: str = "mean",
    sample_weight: ArrayLike | None = None, grad_out: Any = None,
) -> tuple[Any, Any]:
    """`nll_loss` and its gradient with respect to `log_probs`: ``-target / n`` for a plain mean.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.nll_loss_with_grad(np.log([[0.25, 0.75], [0.5, 0.5]]), [0, 1])
    >>> grad
    array([[-0.5,  0. ],
           [ 0. , -0.5]])
    """
    options = axis, weight, ignore_index, label_smoothing, 1.0, None, reduction, sample_weight, None
    name = "nll_loss_with_grad"
    return classification_loss(  # type: ignore[no-any-return]
        name, _NLL_WITH_GRAD, log_probs, target, options, grad_out, _LOG_PROBS
    )


def kernel_of(name: str, from_logits: Any, temperature: Any, where: Any) -> int:
    """The kernel for logits or probabilities, which have no use for two of the options."""
    if from_logits:
        return ROWS_ID[name]
    if where is not None or check_temperature(name, temperature) != 1:
        given = "where" if where is not None else "temperature"
        raise ValueError(f"{name}: {given} is given, expected none with from_logits=False")
    return ROWS_ID["probs_" + name]
