"""Focal loss of softmax: cross-entropy that looks away from the samples that are already right."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastact import _docs
from fastact._classes import check_gamma, classification_loss
from fastact._kernels import ROWS_ID

__all__ = ["focal_loss", "focal_loss_with_grad"]

_KERNEL, _KERNEL_WITH_GRAD = ROWS_ID["cross_entropy"], ROWS_ID["cross_entropy_with_grad"]


def focal_loss(
    logits: ArrayLike, target: ArrayLike, *, gamma: float = 2.0, axis: int = -1, weight: ArrayLike | None = None,
    ignore_index: int | None = -100, temperature: float = 1.0, where: ArrayLike | None = None, reduction: str = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Softmax focal loss: ``-(1 - p_t)**gamma * log(p_t)``, p_t the probability of the label.

    Parameters
    ----------
    logits : array_like
        Scores, any shape with a class axis.
    target : array_like
        Labels of any integer dtype, in [0, C), of the shape of `logits` without its class axis.
    gamma : float, optional
        Focus, finite and >= 0: the larger, the less easy samples count; 0 is cross-entropy. Default 2.
    axis, weight, ignore_index, temperature, where, reduction, sample_weight
        As in `cross_entropy`.

    Returns
    -------
    scalar or ndarray
        The loss, of the dtype of `logits` (float32 for float16); with "none" one of each sample.

    Raises
    ------
    TypeError, ValueError, IndexError
        As in `cross_entropy`; ValueError also for a negative `gamma` and for probability targets.

    See Also
    --------
    cross_entropy, sigmoid_focal_loss

    Notes
    -----
    1 - p_t is the sum of the other probabilities, so that it keeps its digits when the label dominates. "mean" divides
    by the sum of ``weight[target] * sample_weight``, as in `cross_entropy`.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollar, "Focal loss for dense object detection", ICCV 2017.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.focal_loss(np.log([[0.5, 0.5]]), [0]) == 0.25 * np.log(2)
    np.True_
    """
    if gamma is None:               # which means no focal loss from here on
        check_gamma("focal_loss", gamma)
    options = axis, weight, ignore_index, 0.0, temperature, where, reduction, sample_weight, gamma
    return classification_loss("focal_loss", _KERNEL, logits, target, options)


@_docs.loss_with_grad
def focal_loss_with_grad(
    logits: ArrayLike, target: ArrayLike, *, gamma: float = 2.0, axis: int = -1, weight: ArrayLike | None = None,
    ignore_index: int | None = -100, temperature: float = 1.0, where: ArrayLike | None = None, reduction: str = "mean",
    sample_weight: ArrayLike | None = None, grad_out: Any = None,
) -> tuple[Any, Any]:
    """`focal_loss` and its gradient with respect to `logits`, in one pass over each row.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.focal_loss_with_grad(np.array([[0.0, 0.0]]), [1], gamma=0.0)
    >>> grad
    array([[ 0.5, -0.5]])
    """
    if gamma is None:
        check_gamma("focal_loss_with_grad", gamma)
    options = axis, weight, ignore_index, 0.0, temperature, where, reduction, sample_weight, gamma
    return classification_loss(  # type: ignore[no-any-return]
        "focal_loss_with_grad", _KERNEL_WITH_GRAD, logits, target, options, grad_out
    )
