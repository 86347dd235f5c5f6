"""Softmax and what belongs to it: functions of rows, where an axis (or several) holds the classes.

Every function takes ``axis`` (an int, a tuple of ints, or None for all), keeps float16, float32 and float64 (float16 is
computed in float32), and takes any layout; a contiguous array is computed as it lies, whichever axis is meant.
Integers promote as in ``np.exp``. Sums have a fixed order: results do not depend on the number of threads, or on what
else is in the array.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastact._kernels import ROWS_ID, rows_fast
from fastact._layout import Axis, row_function

__all__ = ["log_softmax", "log_softmax_grad", "logsumexp", "softmax", "softmax_grad"]

_SOFTMAX, _LOG_SOFTMAX = ROWS_ID["softmax"], ROWS_ID["log_softmax"]
_LOGSUMEXP = ROWS_ID["logsumexp"]
_SOFTMAX_GRAD, _LOG_SOFTMAX_GRAD = ROWS_ID["softmax_grad"], ROWS_ID["log_softmax_grad"]


def softmax(
    x: ArrayLike, *, axis: Axis = -1, temperature: float = 1.0, where: ArrayLike | None = None, out: Any = None
) -> Any:
    """Softmax: ``exp((x - max)/T) / sum(exp((x - max)/T))`` along the class axis.

    Parameters
    ----------
    x : array_like
        Scores (logits).
    axis : int, tuple of ints or None, optional
        The axes over which the result sums to 1; None means all. Default: the last.
    temperature : float, optional
        T, finite and above 0; large values flatten the distribution. Default 1.
    where : array_like of bool, optional
        Broadcast to `x`: classes where it is False get probability 0, whatever `x` holds there.
    out : ndarray, optional
        Where the result goes; exactly of shape and dtype of the result; may be `x`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x` (integers: as ``np.exp`` has it).

    Raises
    ------
    TypeError
        For complex, object and string arrays, a `where` that is not bool, an `out` of another dtype.
    ValueError
        For a temperature that is not finite and positive, a wrong shape of `where` or `out`, a read-only `out`.
    AxisError
        For an axis that `x` does not have.

    See Also
    --------
    log_softmax, softmax_grad

    Notes
    -----
    Relative error within (4 + |x - max|/(2T)) eps; a row sums to 1 within 4 eps. Exactly 0 where `x` is -inf or its
    exponential is below the smallest normal number. A row that is all -inf, or holds a nan or +inf, is nan; a row whose
    classes are all masked is 0. No warnings.

    References
    ----------
    Bridle, "Probabilistic interpretation of feedforward classification network outputs", Neurocomputing 1990. The
    temperature: Hinton, Vinyals and Dean, arXiv:1503.02531, 2015.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.softmax(np.array([0.0, np.log(3)]))
    array([0.25, 0.75])
    >>> fastact.softmax([[5.0, 5.0, 9.0]], where=[True, True, False])
    array([[0.5, 0.5, 0. ]])
    """
    if where is None:
        y = rows_fast(_SOFTMAX, x, None, axis, temperature, out)
        if y is not None:
            return y
    return row_function("softmax", {"x": x}, axis, temperature, where, out)


def log_softmax(
    x: ArrayLike, *, axis: Axis = -1, temperature: float = 1.0, where: ArrayLike | None = None, out: Any = None
) -> Any:
    """Logarithm of softmax: ``(x - max)/T - log(sum(exp((x - max)/T)))``.

    Parameters
    ----------
    x, axis, temperature, out
        As in `softmax`.
    where : array_like of bool, optional
        Broadcast to `x`: classes where it is False get -inf, whatever `x` holds there.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`, at most 0.

    Raises
    ------
    TypeError, ValueError, AxisError
        As in `softmax`.

    See Also
    --------
    softmax, logsumexp, log_softmax_grad

    Notes
    -----
    The sum leaves one maximum out and enters by ``log1p``: the relative accuracy stays when one class dominates,
    float32 ``[16.94, 0]`` gives -4.39e-08 first, not 0. Within 4 eps of the largest term otherwise. A row that is all
    -inf, or holds a nan or +inf, is nan; a row whose classes are all masked is -inf.

    References
    ----------
    Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions", IMA J. Numer. Anal.
    41, 2021.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> print(f"{fastact.log_softmax(np.float32([16.94, 0.0]))[0]:.3g}")
    -4.4e-08
    """
    if where is None:
        y = rows_fast(_LOG_SOFTMAX, x, None, axis, temperature, out)
        if y is not None:
            return y
    return row_function("log_softmax", {"x": x}, axis, temperature, where, out)


def logsumexp(
    x: ArrayLike, *, axis: Axis = -1, keepdims: bool = False, where: ArrayLike | None = None, out: Any = None
) -> Any:
    """Logarithm of the sum of exponentials: ``max + log(sum(exp(x - max)))``.

    Parameters
    ----------
    x : array_like
        Scores (logits).
    axis : int, tuple of ints or None, optional
        The axes to sum over; None means all. Default: the last.
    keepdims : bool, optional
        Whether the axes stay with length 1.
    where : array_like of bool, optional
        Broadcast to `x`: elements where it is False are left out.
    out : ndarray, optional
        Where the result goes; exactly of shape and dtype of the result.

    Returns
    -------
    ndarray or scalar
        `x` without its class axes, of the dtype of `x`.

    Raises
    ------
    TypeError, ValueError, AxisError
        As in `softmax`.

    See Also
    --------
    log_softmax

    Notes
    -----
    -inf for a row that is empty or all -inf, +inf for one that holds +inf, nan for one that holds nan. Within 4 eps of
    the largest term.

    References
    ----------
    Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions", IMA J. Numer. Anal.
    41, 2021.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.logsumexp(np.log([1.0, 2.0, 5.0])) == np.log(8.0)
    np.True_
    """
    if where is None and keepdims is False:
        y = rows_fast(_LOGSUMEXP, x, None, axis, 1.0, out)
        if y is not None:
            return y
    return row_function("logsumexp", {"x": x}, axis, 1.0, where, out, reduces=True, keepdims=keepdims)


def softmax_grad(dy: ArrayLike, y: ArrayLike, *, axis: Axis = -1, temperature: float = 1.0, out: Any = None) -> Any:
    """Gradient of `softmax`: ``y*(dy - sum(dy*y))/T``.

    Parameters
    ----------
    dy : array_like
        Gradient of the loss with respect to the output of `softmax`.
    y : array_like
        The output of `softmax`, of the shape of `dy`.
    axis, temperature
        As in `softmax`.
    out : ndarray, optional
        Where the result goes; may be `dy` or `y`.

    Returns
    -------
    ndarray or scalar
        Gradient with respect to the input; nan where a row holds nan.

    Raises
    ------
    TypeError, ValueError, AxisError
        As in `softmax`; ValueError for shapes that differ.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> y = fastact.softmax(np.array([0.0, 0.0]))
    >>> fastact.softmax_grad([1.0, 0.0], y)
    array([ 0.25, -0.25])
    """
    dx = rows_fast(_SOFTMAX_GRAD, y, dy, axis, temperature, out)
    if dx is not None:
        return dx
    return row_function("softmax_grad", {"dy": dy, "y": y}, axis, temperature, None, out)


def log_softmax_grad(dy: ArrayLike, y: ArrayLike, *, axis: Axis = -1, temperature: float = 1.0, out: Any = None) -> Any:
    """Gradient of `log_softmax`: ``(dy - exp(y)*sum(dy))/T``.

    Parameters
    ----------
    dy : array_like
        Gradient of the loss with respect to the output of `log_softmax`.
    y : array_like
        The output of `log_softmax`, of the shape of `dy`.
    axis, temperature
        As in `softmax`.
    out : ndarray, optional
        Where the result goes; may be `dy` or `y`.

    Returns
    -------
    ndarray or scalar
        Gradient with respect to the input; nan where a row holds nan.

    Raises
    ------
    TypeError, ValueError, AxisError
        As in `softmax`; ValueError for shapes that differ.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> y = fastact.log_softmax(np.array([0.0, 0.0]))
    >>> fastact.log_softmax_grad([1.0, 0.0], y)
    array([ 0.5, -0.5])
    """
    dx = rows_fast(_LOG_SOFTMAX_GRAD, y, dy, axis, temperature, out)
    if dx is not None:
        return dx
    return row_function("log_softmax_grad", {"dy": dy, "y": y}, axis, temperature, None, out)
