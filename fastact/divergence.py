"""Entropy, divergence, and the loss that teaches one softmax to be like another."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastact import _docs
from fastact._classes import classification_loss, divergence
from fastact._kernels import NO_GRADIENT, ROWS_ID
from fastact._layout import Axis

__all__ = ["distillation_loss", "distillation_loss_with_grad", "entropy", "kl_divergence"]

_ARGUMENTS = "student_logits", "teacher_logits"
_DISTILLATION, _DISTILLATION_WITH_GRAD = ROWS_ID["distillation_loss"], ROWS_ID["distillation_loss_with_grad"]


def entropy(p: ArrayLike, *, axis: Axis = -1) -> Any:
    """Entropy: ``-sum(p * log(p))``, in nats; the mean information of a distribution.

    Parameters
    ----------
    p : array_like
        Probabilities; they are not normalised.
    axis : int, tuple of ints or None, optional
        The axes that hold a distribution; None means all. Default: the last.

    Returns
    -------
    scalar or ndarray
        One number for each distribution, of the dtype of `p` (integers: as ``np.exp`` has it).

    Raises
    ------
    TypeError
        For complex, object and string arrays.
    AxisError
        For an axis that `p` does not have.

    See Also
    --------
    kl_divergence, cross_entropy

    Notes
    -----
    0 * log 0 is 0; a negative number or a nan gives nan; nothing at all gives 0. For bits divide by ``log(2)``.

    References
    ----------
    Shannon, "A mathematical theory of communication", Bell Syst. Tech. J. 27, 1948.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.entropy(np.array([[0.5, 0.5], [1.0, 0.0]]))
    array([0.69314718, 0.        ])
    """
    return divergence("entropy", "probs_cross_entropy", {"p": p}, axis)


def kl_divergence(p: ArrayLike, q: ArrayLike, *, axis: Axis = -1) -> Any:
    """Kullback-Leibler divergence: ``sum(p * log(p/q))``, in nats; what believing q costs if p is true.

    Parameters
    ----------
    p, q : array_like
        Probabilities, of one shape; they are not normalised.
    axis : int, tuple of ints or None, optional
        The axes that hold a distribution; None means all. Default: the last.

    Returns
    -------
    scalar or ndarray
        One number for each pair of distributions, of the common dtype of `p` and `q`.

    Raises
    ------
    TypeError
        For complex, object and string arrays.
    ValueError
        For shapes that differ.
    AxisError
        For an axis that `p` does not have.

    See Also
    --------
    entropy, cross_entropy, distillation_loss

    Notes
    -----
    0 * log 0 is 0; inf where q is 0 and p is not; a negative or infinite number or a nan gives nan. log(p/q) keeps all
    its digits where p and q are close, which the difference of two logarithms does not.

    References
    ----------
    Kullback and Leibler, "On information and sufficiency", Ann. Math. Stat. 22, 1951.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.kl_divergence([0.5, 0.5], [0.25, 0.75]).round(6)
    np.float64(0.143841)
    """
    return divergence("kl_divergence", "divergence", {"p": p, "q": q}, axis)


def distillation_loss(
    student_logits: ArrayLike, teacher_logits: ArrayLike, *, temperature: float = 1.0, axis: int = -1,
    where: ArrayLike | None = None, reduction: str = "mean", sample_weight: ArrayLike | None = None,
) -> Any:
    """Distillation (soft softmax) loss: ``T**2 * KL(softmax(teacher/T) || softmax(student/T))``.

    Parameters
    ----------
    student_logits : array_like
        Scores of the model that learns, any shape with a class axis.
    teacher_logits : array_like
        Scores of the model it learns from, of the same shape.
    temperature : float, optional
        T, finite and above 0: the larger, the more the small probabilities count. Default 1.
    axis : int, optional
        The class axis. Default: the last.
    where : array_like of bool, optional
        Broadcast to `student_logits`: classes where it is False leave both softmaxes.
    reduction, sample_weight
        As in `cross_entropy`.

    Returns
    -------
    scalar or ndarray
        The loss, of the dtype of `student_logits` (float32 for float16); with "none" one of each sample.

    Raises
    ------
    TypeError, ValueError
        As in `cross_entropy`.

    See Also
    --------
    cross_entropy, kl_divergence

    Notes
    -----
    T**2 keeps the size of the gradient when T changes, so that the loss can be mixed with that of true labels. "mean"
    divides by the number of samples (their total weight), as PyTorch's "batchmean" does. A class
    to which the student gives probability 0 and the teacher does not makes the loss inf. It keeps its digits at
    temperatures at which the two distributions are next to each other.

    References
    ----------
    Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", arXiv:1503.02531, 2015.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.distillation_loss(np.log([[0.25, 0.75]]), np.log([[0.5, 0.5]])).round(6)
    np.float64(0.143841)
    """
    options = axis, None, None, 0.0, temperature, where, reduction, sample_weight, None
    return classification_loss(
        "distillation_loss", _DISTILLATION, student_logits, teacher_logits, options, NO_GRADIENT, _ARGUMENTS
    )


@_docs.loss_with_grad
def distillation_loss_with_grad(
    student_logits: ArrayLike, teacher_logits: ArrayLike, *, temperature: float = 1.0, axis: int = -1,
    where: ArrayLike | None = None, reduction: str = "mean", sample_weight: ArrayLike | None = None,
    grad_out: Any = None,
) -> tuple[Any, Any]:
    """`distillation_loss` and its gradient with respect to `student_logits`.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, grad = fastact.distillation_loss_with_grad(np.log([[0.25, 0.75]]), np.log([[0.5, 0.5]]))
    >>> grad.round(6)
    array([[-0.25,  0.25]])
    """
    options = axis, None, None, 0.0, temperature, where, reduction, sample_weight, None
    return classification_loss(  # type: ignore[no-any-return]
        "distillation_loss_with_grad", _DISTILLATION_WITH_GRAD, student_logits, teacher_logits, options, grad_out,
        _ARGUMENTS,
    )
