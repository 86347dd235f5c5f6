"""The parts of docstrings that follow from signatures: of activations, gradients, losses with gradients, metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

RAISES = """\
Raises
------
TypeError
    For complex, object and string arrays, or if `out` is of a kind that cannot hold the result (integers).
ValueError
    If shapes do not broadcast with each other or into `out`, or `out` is read-only{also}.

"""

SEE_GRADIENT = """\
See Also
--------
{name}_grad : Its gradient.

"""

GRADIENT = """\
Parameters
----------
dy : array_like
    Gradient of the loss with respect to the output of `{name}`.
{saved} : array_like
    The {which} of `{name}`.{parameters}
out : ndarray, optional
    Where the result goes; may be `dy` or `{saved}`.
**options
    The other keywords of a NumPy ufunc.

Returns
-------
ndarray or scalar
    The broadcast shape and the dtype of `dy` and `{saved}`; NaN where either is NaN.

{raises}See Also
--------
{name} : The function, with its formula, kinks and reference.

"""


LOSS_WITH_GRAD = """\
Parameters
----------
{names}
    As in `{name}`.
grad_out : ndarray, optional
    Where the gradient goes: shape and dtype of `{first}`; may be `{first}` itself.

Returns
-------
loss : scalar or ndarray
    As from `{name}`.
grad : scalar or ndarray
    Gradient of the reduced loss ("none": of the sum) with respect to `{first}`, of its shape and
    dtype (integers: that of the loss).

Raises
------
{errors}
    As in `{name}`, and if `grad_out` does not fit. Nothing is written then.

See Also
--------
{name} : The loss alone, with its formula and reference.

"""

METRIC = """\
Parameters
----------
{names}
    As in `{like}`.

Returns
-------
{returns}

Raises
------
{errors}
    As in `{like}`.

References
----------
scikit-learn, ``sklearn.metrics.{name}``.

"""


def activation(function: Function) -> Function:
    """Completes the docstring of an activation: what it raises, and where its gradient is."""
    return _complete(function, _raises(function) + SEE_GRADIENT.format(name=function.__name__), before="Notes\n")


def two_gradients(function: Function) -> Function:
    """Completes the docstring of the gradient of an activation of two tensors: what it raises, and of what it is."""
    name = function.__name__.removesuffix("_grad")
    see = f"See Also\n--------\n{name} : The function, with its formula and reference.\n\n"
    return _complete(function, _raises(function) + see)


def vjp(function: Function) -> Function:
    """Completes the docstring of ``<name>_grad(dy, x or y, ...)``: the sections from Parameters to See Also."""
    positional, keywords = _names(function)
    name, saved, options = function.__name__.removesuffix("_grad"), positional[1], keywords[:-1]
    parameters = f"\n{', '.join(options)}\n    As in `{name}`." if options else ""
    which = "output" if saved == "y" else "input"
    text = GRADIENT.format(name=name, saved=saved, which=which, parameters=parameters, raises=_raises(function))
    return _complete(function, text)


def loss_with_grad(function: Function) -> Function:
    """Completes the docstring of ``<name>_with_grad(first, target, *, ..., grad_out)``, up to See Also."""
    positional, keywords = _names(function)
    name, names = function.__name__.removesuffix("_with_grad"), ", ".join(positional + keywords[:-1])
    errors = "TypeError, ValueError" + ", IndexError" * ("ignore_index" in keywords)
    return _complete(function, LOSS_WITH_GRAD.format(name=name, names=names, first=positional[0], errors=errors))


def metric(function: Function) -> Function:
    """Completes the docstring of a metric that does not say itself what it takes, from Parameters to References."""
    positional, keywords = _names(function)
    if "Parameters\n" in (function.__doc__ or ""):
        return function
    like = "r2_score" if "force_finite" in keywords else "mean_absolute_error"
    returns = "float or ndarray of floats" if "multioutput" in keywords else "float"
    errors = "TypeError, ValueError" + ", ZeroDivisionError" * ("sample_weight" in keywords)
    names = ", ".join(positional + keywords)
    text = METRIC.format(name=function.__name__, names=names, like=like, returns=returns, errors=errors)
    return _complete(function, text)


def _raises(function: Function) -> str:
    return RAISES.format(also=", or `approximate` is another word" * ("approximate" in _names(function)[1]))


def _names(function: Function) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The arguments by position, those by keyword."""
    code = function.__code__
    first, last = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    return code.co_varnames[:first], code.co_varnames[first:last]


def _complete(function: Function, text: str, before: str = "Examples\n") -> Function:
    """Puts the sections in front of another."""
    if function.__doc__:                        # python -OO has none
        head, mark, examples = function.__doc__.partition(before)
        margin = head[head.rfind("\n") + 1 :]   # Python 3.13 strips it
        function.__doc__ = head + text.replace("\n", f"\n{margin}").replace(f"\n{margin}\n", "\n\n") + mark + examples
    return function
