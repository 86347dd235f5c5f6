"""The activations of one array, ready to be called, as the list of operations and the functions' signatures say."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import fastact
from fastact._kernels import FUNCTION_OF, MAPS

LEARNED_START = 0.25  # He et al. 2015: where prelu's alpha begins


class Activation(NamedTuple):
    """An activation with its gradient; `parameters` have their default values, or LEARNED_START if they have none.

    If it `learns`, they are operands, and the gradient gives theirs too, after that of the input.
    """

    name: str
    function: Callable[..., Any]
    gradient: Callable[..., Any]
    saves_output: bool
    parameters: dict[str, float]
    learns: bool


def _activation(op: dict[str, Any]) -> Activation:
    name = op["name"]
    # a form that is an option of another function (gelu's tanh form) has a name among the ufuncs only
    home = fastact if hasattr(fastact, name) else fastact.ufuncs
    function, gradient = getattr(home, name), getattr(home, f"{name}_grad")
    parameters, learns = {}, False
    if op["params"]:
        others = list(inspect.signature(function).parameters.values())[1:]
        required = [p.name for p in others if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
        parameters = {p.name: p.default for p in others if isinstance(p.default, float)}
        parameters |= dict.fromkeys(required, LEARNED_START)
        learns = bool(required)
    return Activation(name, function, gradient, op["saves_output"], parameters, learns)


def _callable(op: dict[str, Any]) -> bool:
    return op["kind"] == "activation" and not op["grad"] and (hasattr(fastact, op["name"]) or not op["params"])


def _gated(op: dict[str, Any]) -> Activation:
    """As a function of its gate."""
    function, gradient = getattr(fastact.ufuncs, op["name"]), getattr(fastact.ufuncs, f"{op['name']}_grad")
    return Activation(FUNCTION_OF[op["name"]], function, gradient, False, {"other half": 1.0}, True)


ACTIVATIONS = {op["name"]: _activation(op) for op in MAPS if _callable(op)}
_GATED = [_gated(op) for op in MAPS if op["kind"] == "gated" and not op["grad"]]
CURVES = ACTIVATIONS | {op.name: op for op in _GATED}  # what can be drawn
