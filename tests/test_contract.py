"""The sets agree: ops.def, the maps, their ufuncs, public functions, docstrings and reference rows; nothing by hand."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import operator
import pkgutil
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from helpers import FORWARD, OPS, Op, assert_same_bits, each_forward, each_public, has_public, public, tuple_of

import fastact
from fastact import _kernels, ufuncs

PACKAGE = Path(fastact.__file__).parent
FUNCTIONS = sorted(name for name in fastact.__all__ if inspect.isfunction(getattr(fastact, name)))
MODULES = sorted(m.name for m in pkgutil.iter_modules([str(PACKAGE)]) if not m.name.startswith("__"))


def op_lines() -> dict[str, list[list[str]]]:
    """Arguments of every line of ops.def, by macro."""
    text = Path(fastact.get_include(), "fastact", "ops.def").read_text()
    lines: dict[str, list[list[str]]] = {}
    for macro, arguments in re.findall(r"^(FA_\w+)\((.*)\)$", text, re.MULTILINE):
        lines.setdefault(macro, []).append([a.strip() for a in arguments.split(",")])
    return lines


def test_maps_are_the_lines_of_ops_def() -> None:
    lines = op_lines()
    costs = {"LIGHT": 0, "MEDIUM": 1, "HEAVY": 2, "SPANS": 2}
    expected: dict[str, tuple[Any, ...]] = {}
    for name, params, saved, cost in lines["FA_ACTIVATION"]:
        expected[name] = ("activation", False, 1, int(params), 1, saved == "y", costs[cost])
        expected[f"{name}_grad"] = ("activation", True, 2, int(params), 1, saved == "y",
                                    0 if saved == "y" else costs[cost])
    for name, *_, cost in lines["FA_GATED"]:
        expected[name] = ("gated", False, 2, 0, 1, False, costs[cost])
        expected[f"{name}_grad"] = ("gated", True, 3, 0, 2, False, costs[cost])
    found = {op.name: (op.kind, op.grad, op.tensors, op.params, op.outputs, op.saves_output, op.cost) for op in OPS}
    assert found == expected
    assert [loss["name"] for loss in _kernels.LOSSES] == [
        line[0] for macro in ("FA_LOSS", "FA_MEASURE") for line in lines.get(macro, [])
    ]


def test_every_map_has_its_ufunc() -> None:
    assert {name for name, u in _kernels.UFUNCS.items() if u.signature is None} == {op.name for op in OPS}
    assert set(ufuncs.__all__) == set(_kernels.UFUNCS)
    for name in ufuncs.__all__:
        assert isinstance(getattr(ufuncs, name), np.ufunc)
        assert getattr(ufuncs, name).__name__ == name
        assert getattr(ufuncs, name).__doc__
    for name, function in _kernels.FUNCTION_OF.items():
        assert f"See fastact.{function}." in getattr(ufuncs, name).__doc__


@each_forward
def test_every_map_has_its_functions(op: Op) -> None:
    assert {_kernels.FUNCTION_OF[op.name], _kernels.FUNCTION_OF[f"{op.name}_grad"]} <= set(fastact.__all__)
    if has_public(op):
        assert len(op.parameters) == op.params
        assert of_gradient(op) == list(op.parameters), "the gradient takes the parameters of the function"


def of_gradient(op: Op) -> list[str]:
    """Names of the parameters that the gradient of a map takes beside dy, the saved tensor and out."""
    signature = inspect.signature(public(f"{op.name}_grad")).parameters.values()
    positional = [p.name for p in signature if p.kind is p.POSITIONAL_ONLY][op.tensors + 1:]
    return positional + [p.name for p in signature if p.kind is p.KEYWORD_ONLY and isinstance(p.default, float)]


@each_public
def test_the_public_function_is_the_map(op: Op) -> None:
    """Through the documented signature, with `out` and options, against the door itself."""
    tensors = op.inputs(50, np.float32)
    operands, options = op.documented(tensors)
    whole = op(*tensors)
    got = op.public(*operands, **options)
    if op.name.removesuffix("_grad") == "prelu" and op.grad:      # also returns the sum for alpha
        assert_same_bits(got[0], whole)
        return
    assert_same_bits(got, whole)
    assert_same_bits(op.public(*operands), whole, "the defaults")
    outs = op.outs(tensors[0])
    got = op.public(*operands, out=outs, **options)
    assert all(g is o for g, o in zip(tuple_of(got), tuple_of(outs), strict=True))
    assert_same_bits(outs, whole)
    assert_same_bits(op.public(*operands, dtype=np.float64), op(*tensors, dtype=np.float64))
    parameters = inspect.signature(op.public).parameters
    for name in options:                        # options are for keywords only
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    with pytest.raises(TypeError):
        op.public(*operands, *options.values(), 1.0)


def test_every_map_has_its_reference_row() -> None:
    assert set(reference.ROWS) == {op.name for op in OPS}
    for op in OPS:
        assert len(reference.ROWS[op.name].params) == op.params


def test_names() -> None:
    assert sorted(fastact.__all__) == sorted(set(fastact.__all__)), "a name twice"
    for name in fastact.__all__:
        assert hasattr(fastact, name)
    runtime = {"__version__", "get_include", "get_num_threads", "set_num_threads", "show_config", "threads", "ufuncs"}
    assert runtime <= set(fastact.__all__)
    for name in FUNCTIONS:
        if name.endswith("_with_grad"):
            assert name.removesuffix("_with_grad") in FUNCTIONS
        elif name.endswith("_grad"):
            assert name.removesuffix("_grad") in FUNCTIONS


def sections(function: Any) -> dict[str, str]:
    """The docstring of a function by its numpydoc sections; what comes before the first is "head"."""
    found, current = {"head": ""}, "head"
    for line in inspect.cleandoc(function.__doc__ or "").splitlines():
        if re.fullmatch(r"-{3,}", line):
            title = found[current].rstrip().rpartition("\n")[2]
            found[current] = found[current].rstrip().removesuffix(title)
            current = title
            found[current] = ""
        else:
            found[current] += line + "\n"
    return found


@pytest.mark.parametrize("name", [*FUNCTIONS, *(f"metrics.{name}" for name in fastact.metrics.__all__)])
def test_docstrings(name: str) -> None:
    function = operator.attrgetter(name)(fastact)
    doc = sections(function)
    assert ">>> " in doc.get("Examples", ""), "an example that runs"
    assert "fastact" in doc["Examples"]
    assert max(map(len, inspect.cleandoc(function.__doc__).splitlines())) <= 120
    if name.endswith("_grad"):
        assert f"`{name.removesuffix('_grad').removesuffix('_with')}`" in doc["head"]
    parameters = inspect.signature(function).parameters.values()
    if any(p.annotation == "ArrayLike" for p in parameters):
        assert {"Parameters", "Returns"} <= set(doc), "what comes in and goes out"
        assert "Raises" in doc, "what is refused"
        for p in parameters:
            said = re.search(rf"^(.*, )?{p.name}(, .*)?( :.*)?$", doc["Parameters"], re.MULTILINE)
            assert said or p.kind is p.VAR_KEYWORD, f"{p.name} is missing"
        if not name.endswith("_grad"):
            assert "``" in doc["head"] or name.endswith("accuracy_score"), "the formula"
            assert "References" in doc, "the paper or the standard"


@pytest.mark.parametrize("name", sorted(set(map(_kernels.FUNCTION_OF.get, (op.name for op in FORWARD)))))
def test_activations_state_their_limits(name: str) -> None:
    doc = sections(getattr(fastact, name))
    assert re.search(r"\binf\b", doc["Notes"] + doc["Examples"])
    assert f"{name}_grad : " in doc["See Also"]


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module: str) -> None:
    found = importlib.import_module(f"fastact.{module}")
    tests = doctest.DocTestFinder().find(found, f"fastact.{module}")
    named = {test.name.rpartition(".")[2] for test in tests if test.examples}
    public_here = {name for name in getattr(found, "__all__", ()) if inspect.isfunction(getattr(found, name))}
    without = {name for name in public_here if ">>>" not in (getattr(found, name).__doc__ or "")}
    assert public_here - without <= named, "doctest does not see these examples"
    for test in tests:
        assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test).failed == 0, test.name


def test_no_list_of_operations_by_hand() -> None:
    """No collection in the Python layer spells out six operations or more: such lists go stale. `__all__` may."""
    names = {op.name for op in FORWARD} | {loss["name"] for loss in _kernels.LOSSES}
    # _plain.py holds the demo's NumPy formulas, a formula a name, and the demo asks it what it has.
    for path in sorted(set(PACKAGE.glob("*.py")) - {PACKAGE / "_plain.py"}):
        todo: list[ast.AST] = [ast.parse(path.read_text())]
        while todo:
            node = todo.pop()
            if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in node.targets):
                continue
            if isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict)):
                items = node.keys if isinstance(node, ast.Dict) else node.elts
                spelled = {item.value for item in items if isinstance(item, ast.Constant)} & names
                assert len(spelled) < 6, f"{path.name}:{node.lineno} lists {sorted(spelled)}"
            todo += ast.iter_child_nodes(node)
