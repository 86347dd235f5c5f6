"""The parts of a gradient's docstring that follow from its signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

SECTIONS = """\
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

Raises
------
TypeError
    For complex, object and string arrays.

See Also
--------
{name} : The function, with its formula, kinks and reference.

"""


def vjp(function: Function) -> Function:
    """Completes the docstring of ``<name>_grad(dy, x or y, ...)``: the sections from Parameters to See Also."""
    if function.__doc__:                        # python -OO has none
        code = function.__code__
        saved = code.co_varnames[1]
        names = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount - 1]
        name = function.__name__.removesuffix("_grad")
        text = SECTIONS.format(
            name=name, saved=saved, which="output" if saved == "y" else "input",
            parameters=f"\n{', '.join(names)}\n    As in `{name}`." if names else "",
        )
        head, mark, examples = function.__doc__.partition("Examples\n")
        margin = head[head.rfind("\n") + 1 :]   # Python 3.13 strips it
        function.__doc__ = head + text.replace("\n", f"\n{margin}").replace(f"\n{margin}\n", "\n\n") + mark + examples
    return function
