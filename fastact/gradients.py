"""The gradients of the activations: vector-Jacobian products ``dy * f'``.

``f_grad(dy, t)`` takes the gradient of the loss with respect to f's output, and the saved tensor `t`: the **output**
y = f(x) for sigmoid and tanh, the **input** x for all others. `out` may be `dy` or `t`. Parameters, dtypes and the
other keywords are those of f.
"""

from __future__ import annotations

from typing import Any, Literal, Unpack

from numpy.typing import ArrayLike

from fastact._dispatch import UfuncOptions, check_choice
from fastact._docs import vjp
from fastact._kernels import MAP_ID, apply, in_default_modes, plain_prelu_grad
from fastact._prelu import prelu_grad as any_prelu_grad

__all__ = [
    "celu_grad", "elu_grad", "gelu_grad", "hard_shrink_grad", "hard_sigmoid_grad", "hard_swish_grad", "hard_tanh_grad",
    "leaky_relu_grad", "log_sigmoid_grad", "mish_grad", "prelu_grad", "relu6_grad", "relu_grad", "selu_grad",
    "sigmoid_grad", "silu_grad", "soft_shrink_grad", "softplus_grad", "softsign_grad", "squareplus_grad", "tanh_grad",
    "tanh_shrink_grad",
]

_RELU = MAP_ID["relu_grad"]


@vjp
def relu_grad(dy: ArrayLike, x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `relu`: ``dy * (x > 0)``.

    At 0 it is 0.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.relu_grad(np.array([3.0, 3.0]), np.array([-1.0, 1.0]))
    array([0., 3.])
    """
    return apply(_RELU, (dy, x), out, options)


_RELU6 = MAP_ID["relu6_grad"]


@vjp
def relu6_grad(dy: ArrayLike, x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `relu6`: ``dy * (0 < x < 6)``.

    At 0 and at 6 it is 0.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.relu6_grad(np.array([3.0, 3.0, 3.0]), np.array([-1.0, 1.0, 6.0]))
    array([0., 3., 0.])
    """
    return apply(_RELU6, (dy, x), out, options)


_LEAKY_RELU = MAP_ID["leaky_relu_grad"]


@vjp
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


def prelu_grad(
    dy: ArrayLike, x: ArrayLike, alpha: ArrayLike, /, *, out: tuple[Any, Any] | None = None
) -> tuple[Any, Any]:
    """Gradients of `prelu`: ``dx = dy * (1 if x > 0 else alpha)`` and ``dalpha = sum(dy * min(x, 0))``.

    Parameters
    ----------
    dy : array_like
        Gradient of the loss with respect to the output.
    x, alpha : array_like
        What `prelu` was given.
    out : tuple of two ndarrays, optional
        Where dx and dalpha go; either may be None. dx goes by NumPy's rules, also to `dy` or `x` or to another
        floating-point dtype; dalpha wants its exact shape and dtype.

    Returns
    -------
    dx : ndarray or scalar
        The broadcast shape of `dy`, `x` and `alpha`, their common dtype.
    dalpha : ndarray or scalar
        Summed to the shape of `alpha`; the common dtype. NaN where the alpha met a NaN in `dy` or `x`.

    Raises
    ------
    ValueError
        If shapes do not broadcast, or an `out` has another shape or is read-only.
    TypeError
        For complex, object and string arrays and Dask collections, or if an `out` cannot hold its gradient.

    Notes
    -----
    Products and sums of dalpha are float64, in an order that depends on shapes and memory layout only. C-contiguous
    arrays of one dtype take one pass over `dy` and `x`, if the axes of `alpha` that are longer than 1 lie side by side:
    one alpha for all, (C,) for (N, C), (C, 1, 1) for (N, C, H, W).

    Masks, subclasses and labels (pandas, xarray) stay; dalpha has those labels that `alpha` has. What is masked is not
    summed.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> dx, dalpha = fastact.prelu_grad(np.array([1.0, 2.0]), np.array([-3.0, 4.0]), np.array([0.5]))
    >>> dx, dalpha
    (array([0.5, 2. ]), array([-3.]))
    """
    if out is None:
        plain = plain_prelu_grad(dy, x, alpha, None)
        return in_default_modes(any_prelu_grad, dy, x, alpha, None, None) if plain is None else plain
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(f"prelu_grad: out is of type {type(out).__name__}, expected a tuple (dx, dalpha)")
    plain = plain_prelu_grad(dy, x, alpha, *out)
    return in_default_modes(any_prelu_grad, dy, x, alpha, *out) if plain is None else plain


_ELU = MAP_ID["elu_grad"]


@vjp
def elu_grad(
    dy: ArrayLike, x: ArrayLike, /, *, alpha: ArrayLike = 1.0, out: Any = None, **options: Unpack[UfuncOptions]
) -> Any:
    """Gradient of `elu`: ``dy * (1 if x > 0 else alpha * exp(x))``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.elu_grad(np.array([3.0, 3.0]), np.array([0.0, 1.0]), alpha=0.5)
    array([1.5, 3. ])
    """
    return apply(_ELU, (dy, x, alpha), out, options)


_CELU = MAP_ID["celu_grad"]


@vjp
def celu_grad(
    dy: ArrayLike, x: ArrayLike, /, *, alpha: ArrayLike = 1.0, out: Any = None, **options: Unpack[UfuncOptions]
) -> Any:
    """Gradient of `celu`: ``dy * (1 if x > 0 else exp(x / alpha))``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.celu_grad(np.array([3.0, 3.0]), np.array([-np.inf, 1.0]), alpha=0.5)
    array([0., 3.])
    """
    return apply(_CELU, (dy, x, alpha), out, options)


_SELU = MAP_ID["selu_grad"]


@vjp
def selu_grad(dy: ArrayLike, x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `selu`: ``dy * scale * (1 if x > 0 else alpha * exp(x))``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.selu_grad(np.array([1.0, 1.0]), np.array([0.0, 1.0]))
    array([1.75809934, 1.05070099])
    """
    return apply(_SELU, (dy, x), out, options)


_HARD_SIGMOID = MAP_ID["hard_sigmoid_grad"]


@vjp
def hard_sigmoid_grad(dy: ArrayLike, x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `hard_sigmoid`: ``dy * (abs(x) < 3) / 6``.

    At -3 and 3 it is 0.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.hard_sigmoid_grad(np.array([3.0, 3.0]), np.array([-3.0, 1.0]))
    array([0. , 0.5])
    """
    return apply(_HARD_SIGMOID, (dy, x), out, options)


_HARD_SWISH = MAP_ID["hard_swish_grad"]


@vjp
def hard_swish_grad(dy: ArrayLike, x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `hard_swish`: ``dy * (0 if x <= -3 else 1 if x >= 3 else (2*x + 3) / 6)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.hard_swish_grad(np.array([3.0, 3.0, 3.0]), np.array([-3.0, 1.5, 3.0]))
    array([0., 3., 3.])
    """
    return apply(_HARD_SWISH, (dy, x), out, options)


_HARD_TANH = MAP_ID["hard_tanh_grad"]


@vjp
def hard_tanh_grad(
    dy: ArrayLike, x: ArrayLike, /, *, min_val: ArrayLike = -1.0, max_val: ArrayLike = 1.0, out: Any = None,
    **options: Unpack[UfuncOptions],
) -> Any:
    """Gradient of `hard_tanh`: ``dy * (min_val < x < max_val)``.

    At both ends it is 0. An end that is nan bounds nothing.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.hard_tanh_grad(np.array([3.0, 3.0]), np.array([-1.0, 1.5]), max_val=2.0)
    array([0., 3.])
    """
    return apply(_HARD_TANH, (dy, x, min_val, max_val), out, options)


_SOFT_SHRINK = MAP_ID["soft_shrink_grad"]


@vjp
def soft_shrink_grad(
    dy: ArrayLike, x: ArrayLike, /, *, lambd: ArrayLike = 0.5, out: Any = None, **options: Unpack[UfuncOptions]
) -> Any:
    """Gradient of `soft_shrink`: ``dy * (abs(x) > lambd)``.

    For a nan lambd it is dy.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.soft_shrink_grad(np.array([3.0, 3.0]), np.array([0.5, 1.0]))
    array([0., 3.])
    """
    return apply(_SOFT_SHRINK, (dy, x, lambd), out, options)


_HARD_SHRINK = MAP_ID["hard_shrink_grad"]


@vjp
def hard_shrink_grad(
    dy: ArrayLike, x: ArrayLike, /, *, lambd: ArrayLike = 0.5, out: Any = None, **options: Unpack[UfuncOptions]
) -> Any:
    """Gradient of `hard_shrink`: ``dy * (abs(x) > lambd)``.

    For a nan lambd it is dy.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.hard_shrink_grad(np.array([3.0, 3.0]), np.array([0.5, 1.0]))
    array([0., 3.])
    """
    return apply(_HARD_SHRINK, (dy, x, lambd), out, options)


_SIGMOID = MAP_ID["sigmoid_grad"]


@vjp
def sigmoid_grad(dy: ArrayLike, y: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `sigmoid` from its output: ``dy * y * (1 - y)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.sigmoid_grad(np.array([1.0]), fastact.sigmoid(np.array([0.0])))
    array([0.25])
    """
    return apply(_SIGMOID, (dy, y), out, options)


_LOG_SIGMOID = MAP_ID["log_sigmoid_grad"]


@vjp
def log_sigmoid_grad(dy: ArrayLike, x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `log_sigmoid`: ``dy * sigmoid(-x)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.log_sigmoid_grad(np.array([1.0, 1.0]), np.array([0.0, np.inf]))
    array([0.5, 0. ])
    """
    return apply(_LOG_SIGMOID, (dy, x), out, options)


_TANH = MAP_ID["tanh_grad"]


@vjp
def tanh_grad(dy: ArrayLike, y: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `tanh` from its output: ``dy * (1 - y*y)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.tanh_grad(np.array([1.0]), fastact.tanh(np.array([0.0])))
    array([1.])
    """
    return apply(_TANH, (dy, y), out, options)


_SOFTPLUS = MAP_ID["softplus_grad"]


@vjp
def softplus_grad(
    dy: ArrayLike, x: ArrayLike, /, *, beta: ArrayLike = 1.0, out: Any = None, **options: Unpack[UfuncOptions]
) -> Any:
    """Gradient of `softplus`: ``dy * sigmoid(beta * x)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.softplus_grad(np.array([1.0, 1.0]), np.array([0.0, np.inf]))
    array([0.5, 1. ])
    """
    return apply(_SOFTPLUS, (dy, x, beta), out, options)


_SOFTSIGN = MAP_ID["softsign_grad"]


@vjp
def softsign_grad(dy: ArrayLike, x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `softsign`: ``dy / (1 + abs(x))**2``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.softsign_grad(np.array([1.0, 1.0]), np.array([0.0, -1.0]))
    array([1.  , 0.25])
    """
    return apply(_SOFTSIGN, (dy, x), out, options)


_SQUAREPLUS = MAP_ID["squareplus_grad"]


@vjp
def squareplus_grad(
    dy: ArrayLike, x: ArrayLike, /, *, b: ArrayLike = 4.0, out: Any = None, **options: Unpack[UfuncOptions]
) -> Any:
    """Gradient of `squareplus`: ``dy * (1 + x / sqrt(x*x + b)) / 2``.

    With b = 0 it is dy at 0, where `relu_grad` is 0.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.squareplus_grad(np.array([1.0, 1.0]), np.array([0.0, 1.5]))
    array([0.5, 0.8])
    """
    return apply(_SQUAREPLUS, (dy, x, b), out, options)


_SILU = MAP_ID["silu_grad"]


@vjp
def silu_grad(dy: ArrayLike, x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `silu`: ``dy * s * (1 + x * (1 - s))``, ``s = sigmoid(x)``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.silu_grad(np.array([1.0, 1.0]), np.array([0.0, np.inf]))
    array([0.5, 1. ])
    """
    return apply(_SILU, (dy, x), out, options)


_MISH = MAP_ID["mish_grad"]


@vjp
def mish_grad(dy: ArrayLike, x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `mish`: ``dy * (t + x * sigmoid(x) * (1 - t*t))``, ``t = tanh(softplus(x))``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.mish_grad(np.array([1.0, 1.0]), np.array([0.0, np.inf]))
    array([0.6, 1. ])
    """
    return apply(_MISH, (dy, x), out, options)


_GELU = {"none": MAP_ID["gelu_grad"], "tanh": MAP_ID["gelu_tanh_grad"]}


@vjp
def gelu_grad(
    dy: ArrayLike, x: ArrayLike, /, *, approximate: Literal["none", "tanh"] = "none", out: Any = None,
    **options: Unpack[UfuncOptions],
) -> Any:
    """Gradient of `gelu`: ``dy * (Phi(x) + x * phi(x))``, or the derivative of its tanh form.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.gelu_grad(np.array([1.0, 1.0]), np.array([0.0, np.inf]))
    array([0.5, 1. ])
    """
    check_choice("gelu_grad", "approximate", approximate, ("none", "tanh"))
    return apply(_GELU[approximate], (dy, x), out, options)


_TANH_SHRINK = MAP_ID["tanh_shrink_grad"]


@vjp
def tanh_shrink_grad(dy: ArrayLike, x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Gradient of `tanh_shrink`: ``dy * tanh(x)**2``.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.tanh_shrink_grad(np.array([1.0, 1.0]), np.array([0.0, np.inf]))
    array([0., 1.])
    """
    return apply(_TANH_SHRINK, (dy, x), out, options)
