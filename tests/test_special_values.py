"""Limits, special values, kinks, signs of zero, NaN, subnormals, monotony; the values are in contract_table.py."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import contract_table as table
import mpmath as mp
import numpy as np
import pytest
from helpers import BY_NAME, FORWARD, Op, assert_same_bits, each_gradient, each_op, tuple_of, ulp_distance
from reference import ROWS

import fastact

KINDS = (np.float16, np.float32, np.float64)


def of_maps(names: Iterable[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [name for name in sorted(names) if name in BY_NAME])


def test_no_row_is_of_nothing() -> None:
    assert set(table.VALUES) <= set(BY_NAME)
    assert {f"{name}_grad" for name in table.DERIVATIVES} <= set(BY_NAME)
    assert set(table.VALUES) >= table.RISING


def resolve(value: Any, kind: type) -> Any:
    return kind(value.value(kind) if isinstance(value, table.Scaled) else value)


def check(got: np.ndarray, value: Any, kind: type, what: str) -> None:
    """Every element of `got` is the value of the table."""
    exact, expected = True, value
    if isinstance(value, table.Near):
        exact, expected = False, value.value
    expected = np.full(got.shape, resolve(expected, kind))
    distance = ulp_distance(got, expected)
    assert distance.max() <= (0 if exact or value == table.zero else 1), f"{what}: got {got[0]!r}, expected {value}"
    if exact and not np.isnan(expected[0]):
        assert (np.signbit(got) == np.signbit(expected)).all(), f"{what}: got {got[0]!r}, expected {expected[0]!r}"


@of_maps(table.VALUES)
def test_values(name: str, isa: str) -> None:
    check_rows(BY_NAME[name], table.VALUES[name])


@of_maps(table.DERIVATIVES)
def test_derivatives(name: str, isa: str) -> None:
    op = BY_NAME[f"{name}_grad"]
    check_rows(op, [((1.0, *tuple_of(x)), value) for x, value in table.DERIVATIVES[name]])


def check_rows(op: Op, rows: list[tuple[Any, Any]]) -> None:
    for (operands, value), kind in itertools.product(rows, KINDS):
        operands = tuple_of(operands)
        tensors = [np.full(21, resolve(v, kind)) for v in operands[: op.tensors]]
        scalars = [float(resolve(v, kind)) for v in operands[op.tensors:]]
        ways = {"array": (tensors, scalars), "strided": ([t[::-1] for t in tensors], scalars)}
        if scalars:
            ways["array parameters"] = (tensors, [np.full(21, p, kind) for p in scalars])
        for way, (arrays, parameters) in ways.items():
            got = tuple_of(op(*arrays, *parameters))
            for g, v in zip(got, tuple_of(value), strict=True):
                check(g, v, kind, f"{op.name}{operands} {kind.__name__}, {way}")


@each_op
def test_nan_propagates(op: Op, isa: str) -> None:
    """NaN in any tensor comes out; of two outputs, of those that depend on it."""
    for place, kind in itertools.product(range(op.tensors), KINDS):
        for other in (0.0, -1.0, 2.0, -30.0, 200.0):
            tensors = [np.full(19, np.nan if k == place else other, kind) for k in range(op.tensors)]
            depends = [True] * op.outputs
            if op.kind == "gated" and op.grad and place == op.tensors - 1:
                depends[-1] = False                      # dup = dy * f(gate) knows nothing of up
            for got, wanted in zip(tuple_of(op(*tensors)), depends, strict=True):
                assert np.isnan(got).all() == wanted, f"operand {place} is nan, the others {other}: {got[0]}"


@each_gradient
def test_gradients_are_linear_in_dy(op: Op, dtype: np.dtype) -> None:
    tensors = op.inputs(2000, dtype)
    dy, saved = np.random.default_rng(6).normal(0, 1, 2000).astype(dtype), tensors[1:]
    if op.kind == "gated":                      # of three factors two may leave the range and the product not
        saved = [s.clip(-50, 50) for s in saved]
    for got, doubled, unit in zip(*(tuple_of(op(d, *saved)) for d in (dy, 2 * dy, np.ones_like(dy))), strict=True):
        info, size = np.finfo(dtype), np.abs(unit)
        usual = (size > info.tiny * 1e6) & (size < info.max / 64)
        with np.errstate(all="ignore"):
            assert (doubled == 2 * got)[usual].all()
            assert ulp_distance(got[usual], (dy * unit)[usual]).max() <= 2
        assert np.isnan(got[np.isnan(unit)]).all()


@of_maps(table.ODD_FUNCTIONS)
def test_odd_functions(name: str, isa: str, dtype: np.dtype) -> None:
    op = BY_NAME[name]
    x = op.inputs(5000, dtype)[0]
    plus, minus = op(x), op(-x)
    assert ((plus == -minus) | np.isnan(plus)).all()
    assert ((np.signbit(plus) != np.signbit(minus)) | (plus == 0) | np.isnan(plus)).all()


def limits() -> dict[str, tuple[float, float]]:
    """Every bound and threshold of the kernels, for float32 and for float64, from their list."""
    text = Path(fastact.get_include(), "fastact", "limits.def").read_text()
    rows = re.findall(r"^FA_LIMIT\((\w+), *([^,]+)f, *([^)]+)\)", text, re.MULTILINE)
    assert rows
    number = {True: float.fromhex, False: float}
    return {name: (number["x" in single](single), number["x" in double](double)) for name, single, double in rows}


# Functions whose neighbours may fall by rounding, and the limits of the kernels at which they may not: cutoffs of their
# own, where another formula or a constant begins.
WOBBLING: dict[str, list[str]] = {
    "log_sigmoid": ["log_sigmoid_hi"], "selu": ["expm1_lo"], "softplus": [], "softsign": ["one", "softsign_hi"],
    "squareplus": ["square_hi"], "tanh": ["tanh_hi"], "tanh_shrink": ["tanh_shrink_hi"],
}


@of_maps(table.RISING)
def test_rises_across_cutoffs(name: str, isa: str, dtype: np.dtype) -> None:
    """The 200 neighbours of every cutoff, and of its half, double and logarithmic relatives, never fall by a step.

    A function that wobbles may by 4, but for its own cutoffs.
    """
    op = BY_NAME[name]
    steps = np.arange(-100, 101, dtype=f"i{dtype.itemsize}")
    known = (0.3466, 0.5493, 0.625, 0.6931, 1.0, 3.0, 6.0, 9.01, 16.64, 17.33, 19.06, 36.74, 88.72, 709.78)
    own = {abs(limits()[cutoff][dtype == np.float64]) for cutoff in WOBBLING.get(name, [])}
    places = {abs(v) for values in limits().values() for v in values}
    for place, factor in itertools.product({*places, *known}, (1, -1, 0.5, -0.5, 2, -2)):
        centre = place * factor
        if float(np.finfo(dtype).tiny) < abs(centre) < float(np.finfo(dtype).max) / 4:
            x = np.sort((np.array([centre], dtype).view(steps.dtype) + steps).view(dtype))
            y = op(x)
            falls = y[:-1] > y[1:]
            allowed = 4 if name in WOBBLING and abs(centre) not in own else 0
            assert ulp_distance(y[1:], y[:-1])[falls].max(initial=0) <= allowed, f"around {centre}"


@pytest.mark.parametrize("name", ["squareplus", "squareplus_grad", "softsign"])
def test_neighbours_far_out_change_nothing(name: str, isa: str, dtype: np.dtype) -> None:
    """Where a group of elements is computed at once, with a way of their own for those that are far out."""
    op, top = BY_NAME[name], np.finfo(dtype)
    far = np.array([np.inf, top.max, 2.0**61, 2.0**62, 2.0**63, 2.0**64, 2.0**65, 2.0**100, 0, top.tiny, np.nan], dtype)
    x = np.concatenate([far, -far, np.random.default_rng(0).normal(0, 3, 978).astype(dtype)])
    x = np.random.default_rng(1).permutation(x)
    dy = (np.ones_like(x),) if op.grad else ()
    for b in (0.0, 2.0**-99, 2.0**-20, 1.0, 4.0, 2.0**99) if op.params else (None,):
        params = () if b is None else (b,)
        together = op(*dy, x, *params)
        alone = [op(*(d[:1] for d in dy), x[i:i + 1], *params)[0] for i in range(x.size)]
        assert_same_bits(together, np.array(alone))
        if b is not None:
            assert_same_bits(op(*dy, x, np.full_like(x, b)), together)
        wide = op(*(d.astype(float) for d in dy), x.astype(float), *params).astype(dtype)
        assert (np.isnan(together) == np.isnan(x)).all()
        assert ulp_distance(together[~np.isnan(x)], wide[~np.isnan(x)]).max() <= 4


FAR_OUT = {
    # x, b: quotients whose numerator would be subnormal, or which would be infinite, were they scaled at once
    "float32": [(-5.163e18, 5.11e-24), (-5e18, 1e-20), (-9e18, 5e37), (1e19, 5e37), (-1e19, 1e29), (-3e38, 1e29)],
    "float64": [(-3.5374e146, 4.188e-159), (-3.29e144, 1e285), (1e145, 1e280), (-1e200, 1e250), (-1e300, 1e270)],
}


@pytest.mark.parametrize("n", [1, 40])
def test_squareplus_far_out(n: int, isa: str, dtype: np.dtype) -> None:
    for x, b in FAR_OUT[dtype.name]:
        x, b = dtype.type(x), dtype.type(b)
        with mp.workprec(4000):
            exact = [ROWS[name].exact(mp.mpf(float(x)), mp.mpf(float(b))) for name in ("squareplus", "squareplus_grad")]
        inputs = np.full(n, x)
        got = fastact.squareplus(inputs, b=b), fastact.squareplus_grad(np.ones_like(inputs), inputs, b=b)
        for values, value in zip(got, exact, strict=True):
            assert (ulp_distance(values, np.full(n, float(value)).astype(dtype)) <= 3).all(), (x, b)


def test_large_and_small_scales_do_not_overflow() -> None:
    """Finite in, finite out, for every forward map of one tensor that grows no faster than its input."""
    for op, dtype in itertools.product(FORWARD, (np.float32, np.float64)):
        if op.tensors == 1:
            info = np.finfo(dtype)
            x = np.array([info.max, -info.max, info.max / 2, -info.max / 3, info.tiny, -info.tiny], dtype)
            assert np.isfinite(op(x)).all() or op.name == "selu", op.name        # selu's slope is 1.05
