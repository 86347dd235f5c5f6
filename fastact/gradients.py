"""The gradients of the activations: vector-Jacobian products ``dy * f'``.

``f_grad(dy, t)`` takes the gradient of the loss with respect to f's output, and the saved tensor `t`: the **output**
y = f(x) for sigmoid and tanh, the **input** x for all others. `out` may be `dy` or `t`. Parameters, dtypes and the
other keywords are those of f.
"""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from fastact._dispatch import UfuncOptions
from fastact._kernels import MAPS, apply, in_default_modes

_ID = {op["name"]: number for number, op in enumerate(MAPS)}
_RELU, _LEAKY_RELU, _PRELU = _ID["relu_grad"], _ID["leaky_relu_grad"], _ID["prelu_grad"]
_ELU, _SIGMOID, _TANH = _ID["elu_grad"], _ID["sigmoid_grad"], _ID["tanh_grad"]

__all__ = ["elu_grad", "leaky_relu_grad", "prelu_grad", "relu_grad", "sigmoid_grad", "tanh_grad"]


def relu_grad(dy: ArrayLike, x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `relu`: ``dy * (x > 0)``; at 0 it is 0.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.relu_grad(np.array([3.0, 3.0]), np.array([-1.0, 1.0]))
    array([0., 3.])
    """
    return apply(_RELU, (dy, x), out, options)


def leaky_relu_grad(
    dy: ArrayLike, x: ArrayLike, /, *, negative_slope: ArrayLike = 0.01, out: Any = None,
    **options: Unpack[UfuncOptions],
) -> Any:
    """Gradient of `leaky_relu`: ``dy * (1 if x > 0 else negative_slope)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.leaky_relu_grad(np.array([3.0, 3.0]), np.array([-1.0, 1.0]), negative_slope=0.5)
    array([1.5, 3. ])
    """
    return apply(_LEAKY_RELU, (dy, x, negative_slope), out, options)


def elu_grad(
    dy: ArrayLike, x: ArrayLike, /, *, alpha: ArrayLike = 1.0, out: Any = None, **options: Unpack[UfuncOptions]
) -> Any:
    """Gradient of `elu`: ``dy * (1 if x > 0 else alpha * exp(x))``; at 0 it is dy * alpha.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.elu_grad(np.array([3.0, 3.0]), np.array([0.0, 1.0]), alpha=0.5)
    array([1.5, 3. ])
    """
    return apply(_ELU, (dy, x, alpha), out, options)


def sigmoid_grad(dy: ArrayLike, y: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `sigmoid` from its output: ``dy * y * (1 - y)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.sigmoid_grad(np.array([1.0]), fastact.sigmoid(np.array([0.0])))
    array([0.25])
    """
    return apply(_SIGMOID, (dy, y), out, options)


def tanh_grad(dy: ArrayLike, y: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `tanh` from its output: ``dy * (1 - y * y)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.tanh_grad(np.array([1.0]), fastact.tanh(np.array([0.0])))
    array([1.])
    """
    return apply(_TANH, (dy, y), out, options)


def prelu_grad(dy: ArrayLike, x: ArrayLike, alpha: ArrayLike, /) -> tuple[Any, Any]:
    """Gradients of `prelu`: ``dx = dy * (1 if x > 0 else alpha)`` and ``dalpha = sum(dy * min(x, 0))``.

    Parameters
    ----------
    dy : array_like
        Gradient of the loss with respect to the output.
    x, alpha : array_like
        What `prelu` was given.

    Returns
    -------
    dx, dalpha : ndarray
        `dalpha` is summed to the shape of `alpha`.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> dx, dalpha = fastact.prelu_grad(np.array([1.0, 2.0]), np.array([-3.0, 4.0]), np.array([0.5]))
    >>> dx, dalpha
    (array([0.5, 2. ]), array([-3.]))
    """
    dx = apply(_PRELU, (dy, x, alpha), None, {})
    return dx, in_default_modes(_dalpha, dy, x, np.shape(alpha), dx)


def _dalpha(dy: ArrayLike, x: ArrayLike, shape: tuple[int, ...], dx: Any) -> Any:
    with np.errstate(all="ignore"):
        full = np.multiply(dy, np.minimum(x, 0), dtype=np.result_type(dx, np.float32))
        full = np.broadcast_to(full, np.shape(dx))
        extra = full.ndim - len(shape)
        axes = (*range(extra), *(extra + d for d, size in enumerate(shape) if size == 1))
        return full.sum(axis=axes, dtype=np.float64).astype(dx.dtype).reshape(shape)
