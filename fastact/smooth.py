"""The smooth activations. They take what `fastact.activations` says; the gradients are in `fastact.gradients`."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from numpy.typing import ArrayLike

from fastact._dispatch import UfuncOptions, check_choice
from fastact._docs import activation
from fastact._kernels import MAP_ID, apply

__all__ = [
    "gelu", "log_sigmoid", "mish", "sigmoid", "silu", "softplus", "softsign", "squareplus", "tanh", "tanh_shrink",
]

_SIGMOID = MAP_ID["sigmoid"]


@activation
def sigmoid(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Logistic sigmoid: ``1 / (1 + exp(-x))``.

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
    sigmoid(-inf) is 0, sigmoid(inf) is 1; results below the smallest normal number are computed, not flushed.

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


_LOG_SIGMOID = MAP_ID["log_sigmoid"]


@activation
def log_sigmoid(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Logarithm of the logistic sigmoid: ``-log1p(exp(-x))``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`, from -inf to 0.

    Notes
    -----
    log_sigmoid(-inf) is -inf, log_sigmoid(inf) is -0.0 (without FMA 0.0). Never computed through the sigmoid, whose
    logarithm loses all digits for large x and is -inf for very negative x.

    References
    ----------
    Cox, "The regression analysis of binary sequences", Journal of the Royal Statistical Society B 20(2), 1958.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.log_sigmoid(np.array([-100.0, 0.0]))
    array([-100.        ,   -0.69314718])
    """
    return apply(_LOG_SIGMOID, (x,), out, options)


_TANH = MAP_ID["tanh"]


@activation
def tanh(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Hyperbolic tangent: ``(exp(x) - exp(-x)) / (exp(x) + exp(-x))``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`, from -1 to 1.

    Notes
    -----
    Odd: tanh(-0.0) is -0.0, tanh(+-inf) is +-1.

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


_SOFTPLUS = MAP_ID["softplus"]


@activation
def softplus(x: ArrayLike, /, *, beta: ArrayLike = 1.0, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Smooth rectifier: ``log1p(exp(beta * x)) / beta``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    beta : float or array_like
        Sharpness: the larger, the closer to `relu`. An array broadcasts against `x`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`.

    Notes
    -----
    Exact everywhere; there is no threshold above which x itself is returned. softplus(-inf) is 0, softplus(inf) is inf.

    References
    ----------
    Dugas et al., "Incorporating second-order functional knowledge for better option pricing", NeurIPS 2000.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.softplus(np.array([-50.0, 0.0, 50.0]))
    array([1.92874985e-22, 6.93147181e-01, 5.00000000e+01])
    """
    return apply(_SOFTPLUS, (x, beta), out, options)


_SOFTSIGN = MAP_ID["softsign"]


@activation
def softsign(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Sigmoid with polynomial tails: ``x / (1 + abs(x))``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`, from -1 to 1.

    Notes
    -----
    Odd: softsign(-0.0) is -0.0, softsign(+-inf) is +-1. The second derivative jumps at 0.

    References
    ----------
    Bergstra et al., "Quadratic polynomials learn better image features", Université de Montréal, 2009.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.softsign(np.array([-np.inf, 1.0, 3.0]))
    array([-1.  ,  0.5 ,  0.75])
    """
    return apply(_SOFTSIGN, (x,), out, options)


_SQUAREPLUS = MAP_ID["squareplus"]


@activation
def squareplus(x: ArrayLike, /, *, b: ArrayLike = 4.0, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Smooth rectifier without exponentials: ``(x + sqrt(x*x + b)) / 2``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    b : float or array_like
        Width of the bend, at least 0; 0 gives `relu`. An array broadcasts against `x`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`.

    Notes
    -----
    Computed without cancellation (very negative x give b / (4 * abs(x))) and without overflow. squareplus(-inf) is 0.

    References
    ----------
    Barron, "Squareplus: a softplus-like algebraic rectifier", 2021, https://arxiv.org/abs/2112.11687.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.squareplus(np.array([-1e8, 0.0, 1.5]))
    array([1.e-08, 1.e+00, 2.e+00])
    """
    return apply(_SQUAREPLUS, (x, b), out, options)


_SILU = MAP_ID["silu"]


@activation
def silu(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Sigmoid linear unit, also called swish: ``x * sigmoid(x)``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`, at least -0.2785.

    Notes
    -----
    The minimum, -0.2785, is at -1.2785. silu(-inf) is -0.0 (without FMA 0.0), silu(inf) is inf.

    References
    ----------
    Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units for neural network function approximation in reinforcement
    learning", Neural Networks 107, 2018, https://arxiv.org/abs/1702.03118.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.silu(np.array([-1.0, 0.0, 1.0]))
    array([-0.26894142,  0.        ,  0.73105858])
    """
    return apply(_SILU, (x,), out, options)


_MISH = MAP_ID["mish"]


@activation
def mish(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Mish: ``x * tanh(softplus(x))``.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`, at least -0.3088.

    Notes
    -----
    The minimum, -0.3088, is at -1.1924. mish(-inf) is -0.0 (without FMA 0.0), mish(inf) is inf.

    References
    ----------
    Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020, https://arxiv.org/abs/1908.08681.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.mish(np.array([-1.0, 0.0, 1.0]))
    array([-0.30340146,  0.        ,  0.86509839])
    """
    return apply(_MISH, (x,), out, options)


_GELU = {"none": MAP_ID["gelu"], "tanh": MAP_ID["gelu_tanh"]}


@activation
def gelu(
    x: ArrayLike, /, *, approximate: Literal["none", "tanh"] = "none", out: Any = None, **options: Unpack[UfuncOptions]
) -> Any:
    """Gaussian error linear unit: ``x * Phi(x)``, Phi the normal distribution function.

    Parameters
    ----------
    x : array_like
        Input, any shape: floats, which keep their dtype, or integers, which promote as in `np.exp`.
    approximate : {"none", "tanh"}
        "tanh" computes ``0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3)))`` instead.
    out, **options
        As in `relu`.

    Returns
    -------
    ndarray or scalar
        Shape and dtype of `x`, at least -0.17.

    Notes
    -----
    gelu(inf) is inf, gelu(-inf) is 0. Accurate in the negative tail, where x * (1 + erf(x/sqrt(2))) cancels.

    References
    ----------
    Hendrycks and Gimpel, 2016, https://arxiv.org/abs/1606.08415.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.gelu(np.array([-1.0, 0.0, 1.0]))
    array([-0.15865525,  0.        ,  0.84134475])
    """
    check_choice("gelu", "approximate", approximate, ("none", "tanh"))
    return apply(_GELU[approximate], (x,), out, options)


_TANH_SHRINK = MAP_ID["tanh_shrink"]


@activation
def tanh_shrink(x: ArrayLike, /, *, out: Any = None, **options: Unpack[UfuncOptions]) -> Any:
    """Tanh shrinkage: ``x - tanh(x)``.

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
    Odd: tanh_shrink(-0.0) is -0.0, tanh_shrink(+-inf) is +-inf. Accurate near 0, where x - tanh(x) cancels.

    References
    ----------
    PyTorch's ``Tanhshrink``; shrinkage: Donoho, "De-noising by soft-thresholding", IEEE Trans. Inf. Theory 41, 1995.

    Examples
    --------
    >>> import numpy as np, fastact
    >>> fastact.tanh_shrink(np.array([-1.0, 0.0, 1.0]))
    array([-0.23840584,  0.        ,  0.23840584])
    """
    return apply(_TANH_SHRINK, (x,), out, options)
