"""The activations with kinks: rectifiers, clipped lines, shrinkage.

The smooth ones are in `fastact.smooth`, those of two tensors in `fastact.gated`, the gradients in `fastact.gradients`.
Each takes any array, keeps float16, float32 and float64, and hands over to its NumPy ufunc. Every function takes
``out`` (an array, which may be the input itself) and the keywords of a NumPy ufunc: ``where``, ``dtype``, ``casting``,
``order``, ``subok``. Scalars and 0-d arrays give NumPy scalars. Integers promote as in ``np.exp``; complex, object and
string arrays raise TypeError. NaN gives NaN.
"""

from __future__ import annotations

from typing import Any, Unpack

from numpy.typing import ArrayLike

from fastact._dispatch import UfuncOptions
from fastact._docs import activation
from fastact._kernels import MAP_ID, apply

__all__ = [
    "celu", "elu", "hard_shrink", "hard_sigmoid", "hard_swish", "hard_tanh", "leaky_relu", "prelu", "relu", "relu6",
    "selu", "soft_shrink",
]

_RELU = MAP_ID["relu"]


@activation
def relu(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Rectified linear unit: ``max(x, 0)``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
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
    relu(-0.0) is -0.0, relu(-inf) is 0, relu(nan) is nan. Kink at 0, where the derivative is taken as 0.

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


_RELU6 = MAP_ID["relu6"]


@activation
def relu6(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Rectified linear unit with a ceiling: ``min(max(x, 0), 6)``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`, from 0 to 6.

    Notes
    -----
    relu6(-inf) is 0, relu6(inf) is 6. Kinks at 0 and 6, where the derivative is taken as 0.

    References
    ----------
    Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.relu6(np.float32([-1, 2, 8]))
    array([0., 2., 6.], dtype=float32)
    """
    return apply(_RELU6, (x,), out, options)


_LEAKY_RELU = MAP_ID["leaky_relu"]


@activation
def leaky_relu(
    x: ArrayLike, /, *, negative_slope: ArrayLike = 0.01, out: Any = None, **options: Unpack[UfuncOptions]
) -> Any:
    """Leaky rectified linear unit: ``x if x > 0 else negative_slope * x``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
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


_PRELU = MAP_ID["prelu"]


@activation
def prelu(x: ArrayLike, alpha: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Parametric rectified linear unit: ``x if x > 0 else alpha * x``, with a learnable `alpha`.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
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
    prelu(inf, alpha) is inf; prelu(-inf, alpha) is alpha * -inf: nan for alpha = 0. Kink at 0, where the derivative is
    taken as `alpha`.

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


_ELU = MAP_ID["elu"]


@activation
def elu(x: ArrayLike, /, *, alpha: ArrayLike = 1.0, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Exponential linear unit: ``x if x > 0 else alpha * expm1(x)``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
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


_CELU = MAP_ID["celu"]


@activation
def celu(x: ArrayLike, /, *, alpha: ArrayLike = 1.0, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Continuously differentiable exponential linear unit: ``x if x > 0 else alpha * expm1(x / alpha)``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    alpha : float or array_like
        Minus the limit at -inf, and the length over which it is reached.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`.

    Notes
    -----
    celu(-inf) is -alpha. The derivative is 1 at 0 whatever alpha is: no kink.

    References
    ----------
    Barron, "Continuously differentiable exponential linear units", 2017, https://arxiv.org/abs/1704.07483.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.celu(np.array([-np.inf, -1.0, 2.0]), alpha=2.0)
    array([-2.        , -0.78693868,  2.        ])
    """
    return apply(_CELU, (x, alpha), out, options)


_SELU = MAP_ID["selu"]


@activation
def selu(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Scaled exponential linear unit: ``scale * (x if x > 0 else alpha * expm1(x))``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`.

    Notes
    -----
    alpha = 1.6732632423543772848 and scale = 1.0507009873554804934 keep mean 0 and variance 1 from layer to layer.
    selu(-inf) is -scale * alpha. Kink at 0, where the derivative is taken as scale * alpha.

    References
    ----------
    Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017, https://arxiv.org/abs/1706.02515.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.selu(np.array([-np.inf, 0.0, 1.0]))
    array([-1.75809934,  0.        ,  1.05070099])
    """
    return apply(_SELU, (x,), out, options)


_HARD_SIGMOID = MAP_ID["hard_sigmoid"]


@activation
def hard_sigmoid(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Sigmoid of three straight lines: ``relu6(x + 3) / 6``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`, from 0 to 1.

    Notes
    -----
    0 up to -3 (and at -inf), 1 from 3 on (and at inf). Kinks at -3 and 3, where the derivative is taken as 0.

    References
    ----------
    Howard et al., "Searching for MobileNetV3", ICCV 2019, https://arxiv.org/abs/1905.02244.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.hard_sigmoid(np.array([-4.0, 0.0, 1.5]))
    array([0.  , 0.5 , 0.75])
    """
    return apply(_HARD_SIGMOID, (x,), out, options)


_HARD_SWISH = MAP_ID["hard_swish"]


@activation
def hard_swish(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """`silu` with a `hard_sigmoid`: ``x * relu6(x + 3) / 6``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`.

    Notes
    -----
    0 up to -3 (and at -inf), x from 3 on. Kinks at -3 and 3, where the derivative is taken as 0 and as 1.

    References
    ----------
    Howard et al., "Searching for MobileNetV3", ICCV 2019, https://arxiv.org/abs/1905.02244.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.hard_swish(np.array([-1.5, 0.0, 1.5, 4.0]))
    array([-0.375,  0.   ,  1.125,  4.   ])
    """
    return apply(_HARD_SWISH, (x,), out, options)


_HARD_TANH = MAP_ID["hard_tanh"]


@activation
def hard_tanh(
    x: ArrayLike, /, *, min_val: ArrayLike = -1.0, max_val: ArrayLike = 1.0, out: Any = None,
    **options: Unpack[UfuncOptions],
) -> Any:
    """Tanh of three straight lines: ``min(max(x, min_val), max_val)``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    min_val, max_val : float or array_like
        The ends; arrays broadcast against `x`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`, from `min_val` to `max_val`.

    Notes
    -----
    hard_tanh(-inf) is min_val, hard_tanh(inf) is max_val. Kinks at both ends, where the derivative is taken as 0. An
    end that is nan bounds nothing.

    References
    ----------
    Collobert, "Large scale machine learning", PhD thesis, Université de Paris VI, 2004.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.hard_tanh(np.array([-4.0, 0.5, 4.0]), max_val=2.0)
    array([-1. ,  0.5,  2. ])
    """
    return apply(_HARD_TANH, (x, min_val, max_val), out, options)


_SOFT_SHRINK = MAP_ID["soft_shrink"]


@activation
def soft_shrink(x: ArrayLike, /, *, lambd: ArrayLike = 0.5, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Soft thresholding: ``x - lambd if x > lambd else x + lambd if x < -lambd else 0``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    lambd : float or array_like
        The threshold, at least 0; an array broadcasts against `x`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`.

    Notes
    -----
    soft_shrink(+-inf) is +-inf. Kinks at -lambd and lambd, where the derivative is taken as 0. A nan lambd gives nan.
    The proximal operator of lambd * abs(x).

    References
    ----------
    Donoho, "De-noising by soft-thresholding", IEEE Transactions on Information Theory 41(3), 1995.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.soft_shrink(np.array([-2.0, 0.25, 2.0]))
    array([-1.5,  0. ,  1.5])
    """
    return apply(_SOFT_SHRINK, (x, lambd), out, options)


_HARD_SHRINK = MAP_ID["hard_shrink"]


@activation
def hard_shrink(x: ArrayLike, /, *, lambd: ArrayLike = 0.5, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Hard thresholding: ``x if abs(x) > lambd else 0``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    lambd : float or array_like
        The threshold, at least 0; an array broadcasts against `x`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`.

    Notes
    -----
    hard_shrink(+-inf) is +-inf. Jumps at -lambd and lambd, where the derivative is taken as 0. NaN is kept; a nan
    lambd shrinks nothing.

    References
    ----------
    Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 81(3), 1994.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.hard_shrink(np.array([-2.0, 0.25, 2.0]))
    array([-2.,  0.,  2.])
    """
    return apply(_HARD_SHRINK, (x, lambd), out, options)
