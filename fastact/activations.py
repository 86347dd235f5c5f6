"""The activations: each takes any array, keeps float16, float32 and float64, and hands over to its NumPy ufunc.

Every function takes ``out`` (an array, which may be the input itself) and the keywords of a NumPy ufunc: ``where``,
``dtype``, ``casting``, ``order``, ``subok``. Scalars and 0-d arrays give NumPy scalars. Integers promote as in
``np.exp``; complex, object and string arrays raise TypeError. NaN gives NaN. The gradients are in `fastact.gradients`.
"""

from __future__ import annotations

from typing import Any, Unpack

from numpy.typing import ArrayLike

from fastact._dispatch import UfuncOptions
from fastact._kernels import MAPS, apply

_ID = {op["name"]: number for number, op in enumerate(MAPS)}
_RELU, _LEAKY_RELU, _PRELU = _ID["relu"], _ID["leaky_relu"], _ID["prelu"]
_ELU, _SIGMOID, _TANH = _ID["elu"], _ID["sigmoid"], _ID["tanh"]

__all__ = ["elu", "leaky_relu", "prelu", "relu", "sigmoid", "tanh"]


def relu(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Rectified linear unit: ``max(x, 0)``.

    Parameters
    ----------
    x : array_like
        Input, any shape.
    out : ndarray, optional
        Where the result goes; may be `x`.
    **options
        The other keywords of a NumPy ufunc.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`.

    Notes
    -----
    relu(-0.0) is -0.0, relu(nan) is nan. Kink at 0, where the derivative is taken as 0.

    References
    ----------
    Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.relu(np.float32([-1, 0, 2]))
    array([0., 0., 2.], dtype=float32)
    """
    return apply(_RELU, (x,), out, options)


def leaky_relu(
    x: ArrayLike, /, *, negative_slope: ArrayLike = 0.01, out: Any = None, **options: Unpack[UfuncOptions]
) -> Any:
    """Leaky rectified linear unit: ``x if x > 0 else negative_slope * x``.

    Parameters
    ----------
    x : array_like
        Input, any shape.
    negative_slope : float or array_like
        Slope for x <= 0; an array broadcasts against `x`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`.

    Notes
    -----
    Kink at 0, where the derivative is taken as `negative_slope`. leaky_relu(-inf, negative_slope=0) is nan.

    References
    ----------
    Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.leaky_relu(np.array([-1.0, 2.0]))
    array([-0.01,  2.  ])
    """
    return apply(_LEAKY_RELU, (x, negative_slope), out, options)


def prelu(x: ArrayLike, alpha: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Parametric rectified linear unit: ``x if x > 0 else alpha * x``, with a learnable `alpha`.

    Parameters
    ----------
    x : array_like
        Input, any shape.
    alpha : array_like
        Slopes for x <= 0, broadcast against `x` by NumPy's rules: (C,) for (N, C), (C, 1, 1) for (N, C, H, W).
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        The broadcast shape, the dtype of `x`.

    Notes
    -----
    Kink at 0, where the derivative is taken as `alpha`.

    References
    ----------
    He et al., "Delving deep into rectifiers", ICCV 2015, https://arxiv.org/abs/1502.01852.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.prelu(np.array([[-1.0, -1.0], [3.0, 4.0]]), np.array([0.5, 0.25]))
    array([[-0.5 , -0.25],
           [ 3.  ,  4.  ]])
    """
    return apply(_PRELU, (x, alpha), out, options)


def elu(x: ArrayLike, /, *, alpha: ArrayLike = 1.0, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Exponential linear unit: ``x if x > 0 else alpha * expm1(x)``.

    Parameters
    ----------
    x : array_like
        Input, any shape.
    alpha : float or array_like
        Minus the limit at -inf.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`.

    Notes
    -----
    elu(-inf) is -alpha. For alpha != 1 a kink at 0, where the derivative is taken as alpha.

    References
    ----------
    Clevert, Unterthiner and Hochreiter, ICLR 2016, https://arxiv.org/abs/1511.07289.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.elu(np.array([-np.inf, -1.0, 2.0]))
    array([-1.        , -0.63212056,  2.        ])
    """
    return apply(_ELU, (x, alpha), out, options)


def sigmoid(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Logistic sigmoid: ``1 / (1 + exp(-x))``.

    Parameters
    ----------
    x : array_like
        Input, any shape.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`, from 0 to 1.

    Notes
    -----
    Smooth. sigmoid(-inf) is 0, sigmoid(inf) is 1; results below the smallest normal number are computed, not flushed.

    References
    ----------
    Verhulst, "Notice sur la loi que la population suit dans son accroissement", 1838.

    Examples
    --------
    >>> import fastact
    >>> float(fastact.sigmoid(0.0))
    0.5
    """
    return apply(_SIGMOID, (x,), out, options)


def tanh(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Hyperbolic tangent: ``(exp(x) - exp(-x)) / (exp(x) + exp(-x))``.

    Parameters
    ----------
    x : array_like
        Input, any shape.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`, from -1 to 1.

    Notes
    -----
    Smooth and odd: tanh(-0.0) is -0.0, tanh(+-inf) is +-1.

    References
    ----------
    LeCun et al., "Efficient backprop", 1998, section 4.4.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.tanh(np.array([-np.inf, 0.0, 1.0]))
    array([-1.        ,  0.        ,  0.76159416])
    """
    return apply(_TANH, (x,), out, options)
