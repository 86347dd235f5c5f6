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
    """`cross_entropy` and its gradient with respect to `logits`, in one pass over each row."""
    options = Options(axis, weight, ignore_index, label_smoothing, temperature, where, reduction, sample_weight)
    loss, grad = classification_loss(
        "cross_entropy_with_grad", "cross_entropy", logits, target, options, grad=True, grad_out=grad_out
    )
    return loss, grad
