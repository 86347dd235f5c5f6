"""The gated activations, an activation of one tensor times another, with their gradients.

The three of two tensors take what `fastact.activations` says. `glu` finds both in one tensor.
"""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from fastact._dispatch import UfuncOptions, as_floats, check_axis, check_out, refuse_dask
from fastact._docs import activation, two_gradients
from fastact._kernels import MAP_ID, apply, apply_halves, empty, in_default_modes

__all__ = ["geglu", "geglu_grad", "glu", "glu_grad", "reglu", "reglu_grad", "swiglu", "swiglu_grad"]

_SWIGLU = MAP_ID["swiglu"]


@activation
def swiglu(gate: ArrayLike, up: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Swish-gated linear unit: ``silu(gate) * up``.

    Parameters
    ----------
    gate, up : array_like
        Two projections of the same input, any shapes that broadcast.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        The broadcast shape and the common dtype.

    Notes
    -----
    In a transformer's feed-forward layer: ``swiglu(x @ w_gate, x @ w_up) @ w_down``. For finite, nonzero up,
    swiglu(-inf, up) is 0 and swiglu(inf, up) is up * inf; what comes to 0 * inf is nan.

    References
    ----------
    Shazeer, "GLU variants improve transformer", 2020, https://arxiv.org/abs/2002.05202.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.swiglu(np.array([-1.0, 0.0, 1.0]), np.array([2.0, 2.0, 2.0]))
    array([-0.53788284,  0.        ,  1.46211716])
    """
    return apply(_SWIGLU, (gate, up), out, options)


_SWIGLU_GRAD = MAP_ID["swiglu_grad"]


@two_gradients
def swiglu_grad(
    dy: ArrayLike, gate: ArrayLike, up: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]
) -> tuple[Any, Any]:
    """Gradients of `swiglu`: ``dgate = dy * silu'(gate) * up`` and ``dup = dy * silu(gate)``.

    Parameters
    ----------
    dy : array_like
        Gradient of the loss with respect to the output.
    gate, up : array_like
        What `swiglu` was given.
    out : tuple of two ndarrays, optional
        Where dgate and dup go; they may be the inputs.
    **options
        The other keywords of a NumPy ufunc.

    Returns
    -------
    dgate, dup : ndarray or scalar
        The broadcast shape and the common dtype. An operand that was broadcast wants its gradient summed.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.swiglu_grad(np.array([1.0]), np.array([0.0]), np.array([2.0]))
    (array([1.]), array([0.]))
    """
    gradients: tuple[Any, Any] = apply(_SWIGLU_GRAD, (dy, gate, up), out, options)
    return gradients


_GEGLU = MAP_ID["geglu"]


@activation
def geglu(gate: ArrayLike, up: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """GELU-gated linear unit: ``gelu(gate) * up``.

    Parameters
    ----------
    gate, up : array_like
        Two projections of the same input, any shapes that broadcast.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        The broadcast shape and the common dtype.

    Notes
    -----
    In a transformer's feed-forward layer: ``geglu(x @ w_gate, x @ w_up) @ w_down``. For finite, nonzero up,
    geglu(-inf, up) is 0 and geglu(inf, up) is up * inf; what comes to 0 * inf is nan.

    References
    ----------
    Shazeer, "GLU variants improve transformer", 2020, https://arxiv.org/abs/2002.05202.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.geglu(np.array([-1.0, 0.0, 1.0]), np.array([2.0, 2.0, 2.0]))
    array([-0.31731051,  0.        ,  1.68268949])
    """
    return apply(_GEGLU, (gate, up), out, options)


_GEGLU_GRAD = MAP_ID["geglu_grad"]


@two_gradients
def geglu_grad(
    dy: ArrayLike, gate: ArrayLike, up: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]
) -> tuple[Any, Any]:
    """Gradients of `geglu`: ``dgate = dy * gelu'(gate) * up`` and ``dup = dy * gelu(gate)``.

    Parameters
    ----------
    dy : array_like
        Gradient of the loss with respect to the output.
    gate, up : array_like
        What `geglu` was given.
    out : tuple of two ndarrays, optional
        Where dgate and dup go; they may be the inputs.
    **options
        The other keywords of a NumPy ufunc.

    Returns
    -------
    dgate, dup : ndarray or scalar
        The broadcast shape and the common dtype. An operand that was broadcast wants its gradient summed.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.geglu_grad(np.array([1.0]), np.array([0.0]), np.array([2.0]))
    (array([1.]), array([0.]))
    """
    gradients: tuple[Any, Any] = apply(_GEGLU_GRAD, (dy, gate, up), out, options)
    return gradients


_REGLU = MAP_ID["reglu"]


@activation
def reglu(gate: ArrayLike, up: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Rectifier-gated linear unit: ``relu(gate) * up``.

    Parameters
    ----------
    gate, up : array_like
        Two projections of the same input, any shapes that broadcast.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        The broadcast shape and the common dtype.

    Notes
    -----
    For finite, nonzero up, reglu(-inf, up) is 0 and reglu(inf, up) is up * inf; what comes to 0 * inf is nan. Kink at
    gate = 0, where the derivative of relu is taken as 0.

    References
    ----------
    Shazeer, "GLU variants improve transformer", 2020, https://arxiv.org/abs/2002.05202.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.reglu(np.array([-1.0, 0.0, 1.0]), np.array([2.0, 2.0, 2.0]))
    array([0., 0., 2.])
    """
    return apply(_REGLU, (gate, up), out, options)


_REGLU_GRAD = MAP_ID["reglu_grad"]


@two_gradients
def reglu_grad(
    dy: ArrayLike, gate: ArrayLike, up: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]
) -> tuple[Any, Any]:
    """Gradients of `reglu`: ``dgate = dy * (gate > 0) * up`` and ``dup = dy * relu(gate)``.

    Parameters
    ----------
    dy, gate, up, out, **options
        As in `swiglu_grad`.

    Returns
    -------
    dgate, dup : ndarray or scalar
        As in `swiglu_grad`.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.reglu_grad(np.array([1.0]), np.array([3.0]), np.array([2.0]))
    (array([2.]), array([3.]))
    """
    gradients: tuple[Any, Any] = apply(_REGLU_GRAD, (dy, gate, up), out, options)
    return gradients


_SIGLU, _SIGLU_GRAD = MAP_ID["siglu"], MAP_ID["siglu_grad"]


def glu(x: ArrayLike, /, *, axis: int = -1, out: Any = None) -> Any:
    """Gated linear unit: ``a * sigmoid(b)``, a and b being the two halves of `x` along `axis`.

    Parameters
    ----------
    x : array_like
        Input, any shape with an even size along `axis`. The halves are read where they lie.
    axis : int
        The axis that is halved.
    out : ndarray, optional
        Where the result goes.

    Returns
    -------
    ndarray
        The shape of `x` with half the size along `axis`, its dtype.

    Raises
    ------
    ValueError
        If the size along `axis` is odd, or `out` has another shape.
    numpy.exceptions.AxisError
        If `x` has no such axis.
    TypeError
        For complex, object and string arrays, or if `out` has another dtype.

    See Also
    --------
    glu_grad : Its gradient.
    swiglu : Its successor, of two tensors.

    Notes
    -----
    For finite a the limit is a at b = inf and 0 at b = -inf; for infinite a it is nan at b = -inf. No kinks. Masks,
    subclasses and Dask arrays stay; pandas and xarray give arrays, for their labels would align the halves.

    References
    ----------
    Dauphin et al., "Language modeling with gated convolutional networks", ICML 2017, https://arxiv.org/abs/1612.08083.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.glu(np.array([[2.0, 4.0, 0.0, np.inf]]))
    array([[1., 4.]])
    """
    y = apply_halves(_SIGLU, x, axis, None, out)
    return in_default_modes(_any_glu, x, axis, out) if y is None else y


def _any_glu(x: Any, axis: Any, out: Any) -> Any:
    t, first, second = _halved("glu", x, axis)
    if out is not None and isinstance(t, np.ndarray):
        check_out("glu", out, t[first].shape, t.dtype)
    return apply(_SIGLU, (t[second], t[first]), out, {})


def glu_grad(dy: ArrayLike, x: ArrayLike, /, *, axis: int = -1, out: Any = None) -> Any:
    """Gradient of `glu`: ``dy * sigmoid(b)`` for the first half, ``dy * a * sigmoid(b) * sigmoid(-b)`` for the second.

    Parameters
    ----------
    dy : array_like
        Gradient of the loss with respect to the output of `glu`.
    x, axis
        What `glu` was given.
    out : ndarray, optional
        Where the result goes; may be `x`.

    Returns
    -------
    ndarray
        The shape of `x`, the common dtype.

    Raises
    ------
    ValueError
        If the size along `axis` is odd, or `dy` or `out` has another shape.
    numpy.exceptions.AxisError
        If `x` has no such axis.
    TypeError
        For complex, object and string arrays and Dask collections, or if `out` has another dtype.

    See Also
    --------
    glu : The function, with its formula and reference.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.glu_grad(np.array([[3.0, 3.0]]), np.array([[2.0, 4.0, 0.0, np.inf]]))
    array([[1.5, 3. , 1.5, 0. ]])
    """
    dx = apply_halves(_SIGLU_GRAD, x, axis, dy, out)
    return in_default_modes(_any_glu_grad, dy, x, axis, out) if dx is None else dx


def _any_glu_grad(dy: Any, x: Any, axis: Any, out: Any) -> Any:
    refuse_dask("glu_grad", "x", x)
    refuse_dask("glu_grad", "dy", dy)
    t, first, second = _halved("glu_grad", x, axis)
    dy = as_floats("glu_grad", "dy", dy, subok=True)
    a, b = t[first], t[second]
    if dy.shape != a.shape:
        raise ValueError(f"glu_grad: dy has shape {dy.shape}, expected {a.shape}")
    dtype, plain = np.result_type(dy.dtype, t.dtype), type(t) is type(dy) is np.ndarray
    if out is not None:
        check_out("glu_grad", out, t.shape, dtype)
    elif plain:
        out = empty(t.shape, dtype)
    if plain and type(out) is np.ndarray:
        apply(_SIGLU_GRAD, (dy, b, a), (out[second], out[first]), {})
        return out
    db, da = apply(_SIGLU_GRAD, (dy, b, a), None, {})
    if out is None:
        out = np.empty_like(da, shape=t.shape)
    out[first], out[second] = da, db        # a mask goes along, which slices of `out` would keep to themselves
    return out


Index = tuple[slice, ...]


def _halved(name: str, x: Any, axis: int) -> tuple[Any, Index, Index]:
    """`x` as something whose slices are halves, and the indices of both."""
    # pandas and xarray would align the two halves by their labels.
    if isinstance(x, np.ndarray) or not hasattr(x, "__array_function__"):
        x = as_floats(name, "x", x, subok=isinstance(x, np.ndarray))
    axis = check_axis(name, axis, "x", x.ndim)
    if x.shape[axis] % 2:
        raise ValueError(f"{name}: x has size {x.shape[axis]} along axis {axis}, expected an even size")
    before, half = (slice(None),) * axis, x.shape[axis] // 2
    return x, (*before, slice(half)), (*before, slice(half, None))
