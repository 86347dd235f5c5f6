"""Softmax regression: class probabilities and losses of a linear layer, x @ linear_weight.T + linear_bias.

The losses never hold the N x C logits: they go through blocks of them, in a workspace of at most `block_bytes`.
Products are NumPy's, so they run in its BLAS and are as reproducible as that is.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastact._linear import BLOCK_BYTES, Options, linear_loss, softmax_of_layer

__all__ = [
    "large_margin_softmax_loss", "large_margin_softmax_loss_with_grad", "linear_cross_entropy",
    "linear_cross_entropy_with_grad", "linear_softmax",
]  # fmt: skip


def linear_softmax(x: ArrayLike, linear_weight: ArrayLike, *, linear_bias: ArrayLike | None = None) -> Any:
    """Softmax regression: ``softmax(x @ linear_weight.T + linear_bias)``, the probability of each class.

    Parameters
    ----------
    x : array_like of shape (N, D)
        Samples.
    linear_weight : array_like of shape (C, D)
        A row for each class.
    linear_bias : array_like of shape (C,), optional
        Added to the scores. Default: none.

    Returns
    -------
    ndarray of shape (N, C)
        Rows that sum to 1, of the common dtype of the arguments (float16 is computed in float32).

    Raises
    ------
    TypeError
        For complex, object and string arrays.
    ValueError
        For shapes that do not fit.

    See Also
    --------
    linear_cross_entropy : The loss that trains it.

    Notes
    -----
    The softmax is computed in place on the product, as `softmax` does it: a row with a nan or +inf score is nan.

    References
    ----------
    Cox, "Some procedures connected with the logistic qualitative response curve", 1966.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.linear_softmax([[1.0, 2.0]], np.zeros((2, 2)), linear_bias=np.log([0.25, 0.75]))
    array([[0.25, 0.75]])
    """
    return softmax_of_layer("linear_softmax", x, linear_weight, linear_bias)


def linear_cross_entropy(
    x: ArrayLike, linear_weight: ArrayLike, target: ArrayLike, *, linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None, ignore_index: int | None = -100, label_smoothing: float = 0.0,
    reduction: str = "mean", sample_weight: ArrayLike | None = None, block_bytes: int = BLOCK_BYTES,
) -> Any:
    """Cross-entropy of ``z = x @ linear_weight.T + linear_bias``, z not held: ``-sum(target * log_softmax(z))``.

    Parameters
    ----------
    x : array_like of shape (N, D)
        Samples.
    linear_weight : array_like of shape (C, D)
        A row for each class.
    target : array_like of shape (N,) or (N, C)
        Labels of any integer dtype, in [0, C), or probabilities.
    linear_bias : array_like of shape (C,), optional
        Added to the scores. Default: none.
    weight : array_like of shape (C,), optional
        Weight of each class, finite and >= 0.
    ignore_index : int or None, optional
        Samples with this label count for nothing, whatever they hold; they cost nothing either. Default -100.
    label_smoothing : float, optional
        From 0 to 1: the share of the target that is spread evenly over the classes. Default 0.
    reduction : {"mean", "sum", "none"}, optional
        Default "mean"; what it divides by is told in `cross_entropy`.
    sample_weight : array_like of shape (N,), optional
        Multiplies the losses and, for "mean", joins the divisor.
    block_bytes : int, optional
        Bound of the workspace, at least 1 (there is always room for 64 classes of a sample). Default 32 MiB.

    Returns
    -------
    scalar or ndarray of shape (N,)
        The loss, of the common dtype of `x`, `linear_weight` and `linear_bias` (float32 for float16).

    Raises
    ------
    TypeError
        For labels that are floats, complex or object arrays, a `block_bytes` that is no int.
    ValueError
        For shapes that do not fit, weights that are negative or not finite, options out of range.
    IndexError
        For a label outside [0, C) that is not `ignore_index`.

    See Also
    --------
    cross_entropy : Of logits that are there already.

    Notes
    -----
    Beside the workspace memory is taken for arguments that are not float32 or float64, not contiguous, or of another
    dtype than the rest, which are copied, and, if samples are ignored, 8 bytes a sample. Blocks depend on shapes and
    `block_bytes`; results for other blocks differ by rounding.

    References
    ----------
    Wijmans et al., "Cut your losses in large-vocabulary language models", arXiv:2411.09009, 2024.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.linear_cross_entropy([[1.0, 2.0]], np.zeros((2, 2)), [1])
    np.float64(0.6931471805599453)
    """
    options = Options(weight, ignore_index, label_smoothing, reduction, sample_weight, block_bytes)
    return linear_loss("linear_cross_entropy", x, linear_weight, target, linear_bias, options)


def linear_cross_entropy_with_grad(
    x: ArrayLike, linear_weight: ArrayLike, target: ArrayLike, *, linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None, ignore_index: int | None = -100, label_smoothing: float = 0.0,
    reduction: str = "mean", sample_weight: ArrayLike | None = None, block_bytes: int = BLOCK_BYTES,
) -> tuple[Any, Any, Any, Any]:
    """`linear_cross_entropy` and its gradients, which never hold the N x C logits either.

    Parameters
    ----------
    x, linear_weight, target, linear_bias, weight, ignore_index, label_smoothing, reduction, sample_weight, block_bytes
        As in `linear_cross_entropy`.

    Returns
    -------
    loss : scalar or ndarray of shape (N,)
        As from `linear_cross_entropy`.
    dx : ndarray of shape (N, D)
        Gradient of the reduced loss (with "none": of the sum) with respect to `x`, like the following of the common
        dtype of the arguments; exactly 0 for ignored samples.
    dlinear_weight : ndarray of shape (C, D)
        Gradient with respect to `linear_weight`.
    dlinear_bias : ndarray of shape (C,) or None
        Gradient with respect to `linear_bias`; None if there is none.

    Raises
    ------
    TypeError, ValueError, IndexError
        As in `linear_cross_entropy`.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, dx, dw, db = fastact.linear_cross_entropy_with_grad([[1.0, 2.0]], np.zeros((2, 2)), [1])
    >>> dw
    array([[ 0.5,  1. ],
           [-0.5, -1. ]])
    """
    options = Options(weight, ignore_index, label_smoothing, reduction, sample_weight, block_bytes)
    name = "linear_cross_entropy_with_grad"
    loss, dx, dw, db = linear_loss(name, x, linear_weight, target, linear_bias, options, grad=True)
    return loss, dx, dw, db


def large_margin_softmax_loss(
    x: ArrayLike, linear_weight: ArrayLike, target: ArrayLike, *, margin: int = 4, lambda_: float = 0.0,
    weight: ArrayLike | None = None, ignore_index: int | None = -100, label_smoothing: float = 0.0,
    reduction: str = "mean", sample_weight: ArrayLike | None = None, block_bytes: int = BLOCK_BYTES,
) -> Any:
    """L-softmax: cross-entropy of ``z = x @ linear_weight.T`` in which the label must win by an angular margin.

    The label's logit ``|w||x| cos(theta)`` becomes ``|w||x| (lambda_*cos(theta) + psi(theta)) / (1 + lambda_)`` with
    ``psi(theta) = (-1)**k * cos(margin*theta) - 2*k`` for theta in ``[k*pi/margin, (k + 1)*pi/margin]``, which is at
    most ``cos(theta)``: a sample must lie closer to its class than the softmax loss asks for.

    Parameters
    ----------
    x : array_like of shape (N, D)
        Samples: the features that the last layer sees.
    linear_weight : array_like of shape (C, D)
        A row for each class. There is no bias.
    target : array_like of shape (N,)
        Labels of any integer dtype, in [0, C).
    margin : int, optional
        m, at least 1: the larger, the more compact the classes become. 1 is `linear_cross_entropy`. Default 4.
    lambda_ : float, optional
        Finite and >= 0: how much of the plain logit is mixed in. Training starts with a large one, which is lowered.
        Default 0.
    weight, ignore_index, label_smoothing, reduction, sample_weight, block_bytes
        As in `linear_cross_entropy`.

    Returns
    -------
    scalar or ndarray of shape (N,)
        The loss, of the common dtype of `x` and `linear_weight` (float32 for float16).

    Raises
    ------
    TypeError, ValueError, IndexError
        As in `linear_cross_entropy`; TypeError for a `margin` that is no int, ValueError for one below 1.

    Notes
    -----
    psi is computed from c = cos(theta) by Chebyshev's recurrence, so it and its derivative are finite at c = 1 and -1.
    A zero vector, of `x` or of `linear_weight`, has c = 0 and no direction.

    References
    ----------
    Liu, Wen, Yu and Yang, "Large-margin softmax loss for convolutional neural networks", ICML 2016.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> x, w = np.array([[1.0, 1.0]]), np.eye(2)
    >>> [round(float(fastact.large_margin_softmax_loss(x, w, [0], margin=m)), 6) for m in (1, 2, 4)]
    [0.693147, 1.313262, 2.499875]
    """
    options = Options(weight, ignore_index, label_smoothing, reduction, sample_weight, block_bytes, (margin, lambda_))
    return linear_loss("large_margin_softmax_loss", x, linear_weight, target, None, options)


def large_margin_softmax_loss_with_grad(
    x: ArrayLike, linear_weight: ArrayLike, target: ArrayLike, *, margin: int = 4, lambda_: float = 0.0,
    weight: ArrayLike | None = None, ignore_index: int | None = -100, label_smoothing: float = 0.0,
    reduction: str = "mean", sample_weight: ArrayLike | None = None, block_bytes: int = BLOCK_BYTES,
) -> tuple[Any, Any, Any]:
    """`large_margin_softmax_loss` and its gradients.

    Parameters
    ----------
    x, linear_weight, target, margin, lambda_, weight, ignore_index, label_smoothing, reduction
        As in `large_margin_softmax_loss`.
    sample_weight, block_bytes
        As in `linear_cross_entropy`.

    Returns
    -------
    loss : scalar or ndarray of shape (N,)
        As from `large_margin_softmax_loss`.
    dx : ndarray of shape (N, D)
        Gradient of the reduced loss (with "none": of the sum) with respect to `x`; exactly 0 for ignored samples.
    dlinear_weight : ndarray of shape (C, D)
        Gradient with respect to `linear_weight`.

    Raises
    ------
    TypeError, ValueError, IndexError
        As in `large_margin_softmax_loss`.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> loss, dx, dw = fastact.large_margin_softmax_loss_with_grad([[1.0, 0.0]], np.eye(2), [0], margin=3)
    >>> loss.round(4), dx.round(4)
    (np.float64(0.3133), array([[-0.2689,  0.2689]]))
    """
    options = Options(weight, ignore_index, label_smoothing, reduction, sample_weight, block_bytes, (margin, lambda_))
    name = "large_margin_softmax_loss_with_grad"
    loss, dx, dw, _ = linear_loss(name, x, linear_weight, target, None, options, grad=True)
    return loss, dx, dw
