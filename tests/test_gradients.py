"""Gradients: each against numerical derivatives of its function, and their values at kinks.

tests/test_prelu_grad.py and tests/test_glu.py hold what those two do beyond a formula.
"""

from __future__ import annotations

import inspect

import mpmath as mp
import numpy as np
import pytest
from contract_table import DERIVATIVES
from helpers import GRADIENTS, Op, each_gradient, public, tuple_of
from reference import ROWS

import fastact

# 0.06 and more away from every multiple of 1/4, and with SHIFTED parameters too no kink lies anywhere else.
POINTS = np.arange(-64, 64) / 4 + 0.09
SHIFT = 0.25
H = 0.01
WEIGHTS = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60         # sixth-order first derivative at spacing 1


def slope(op: Op, tensors: list[np.ndarray], which: int, params: tuple[float, ...] = ()) -> np.ndarray:
    """Derivative of a map with respect to one of its tensors, numerically in float64: right to about 1e-11."""
    total = np.zeros_like(tensors[which])
    for step, weight in zip(range(-3, 4), WEIGHTS, strict=True):
        moved = [t + step * H if k == which else t for k, t in enumerate(tensors)]
        total += weight * op(*moved, *params) / H
    return total


def parameter_sets(op: Op) -> list[tuple[float, ...]]:
    if not op.params:
        return [()]
    shifted = [tuple(v + SHIFT * (k == which) for k, v in enumerate(op.defaults)) for which in range(op.params)]
    return [op.defaults, *shifted]


@each_gradient
def test_gradient_is_the_derivative_of_the_function(op: Op) -> None:
    """Every output of every map: the gradient of one of the function's tensors."""
    rng = np.random.default_rng(op.id)
    inputs = [rng.permutation(POINTS) for _ in range(op.forward.tensors)]
    dy = rng.normal(size=POINTS.size)
    for params in parameter_sets(op):
        saved = (op.forward(*inputs, *params),) if op.saves_output else inputs
        got = tuple_of(op(dy, *saved, *params))
        assert len(got) == len(inputs)
        for k, gradient in enumerate(got):
            want = dy * slope(op.forward, inputs, k, params)
            np.testing.assert_allclose(gradient, want, rtol=1e-9, atol=1e-10, err_msg=f"{op} {params} output {k}")


@each_gradient
def test_far_out_the_gradient_is_that_of_the_asymptote(op: Op) -> None:
    """At +-40 every function is a straight line to 1e-8 relative or flat, unless it decays slowly."""
    for x in (-40.09, 40.09):
        inputs = [np.array([x])] + [np.array([1.5])] * (op.forward.tensors - 1)
        saved = (op.forward(*inputs),) if op.saves_output else inputs
        got = tuple_of(op(np.array([1.0]), *saved))[0]
        np.testing.assert_allclose(got, slope(op.forward, inputs, 0), rtol=1e-8, atol=1e-11)


ONE_TENSOR = [op for op in GRADIENTS if op.kind == "activation" and not op.saves_output]


def kinks(op: Op, params: tuple[float, ...]) -> list[float]:
    """Where the slopes just left and right differ: at multiples of 1/4 and at the parameters."""
    places = np.union1d(np.arange(-32, 33) / 4, [*params, *(-p for p in params)])
    one = np.ones_like(places)
    left, right = (op(one, places + step, *params) for step in (-1e-9, 1e-9))
    return [float(x) for x in places[np.abs(right - left) > 1e-3]]


@pytest.mark.parametrize("op", ONE_TENSOR, ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_slope_at_a_kink(op: Op, dtype: type) -> None:
    """It is that of the row in tests/reference.py."""
    for params in parameter_sets(op):
        params = tuple(float(dtype(p)) for p in params)     # as the kernel sees them
        for x in kinks(op, params):
            for signed in (x, x or -0.0):
                got = op(dtype([3.0]), dtype([signed]), *params)
                expected = 3 * float(ROWS[op.name].exact(mp.mpf(x), *map(mp.mpf, params)))
                rtol = 2 * np.finfo(dtype).eps
                np.testing.assert_allclose(got, dtype([expected]), rtol, err_msg=f"{signed} {params}")


def test_the_table_of_special_values_has_the_kinks() -> None:
    """Those of a function that is in tests/contract_table.py: what is promised there is not of the reference."""
    found = 0
    for op in ONE_TENSOR:
        named = {tuple_of(operands)[0] for operands, _ in DERIVATIVES.get(op.forward.name, [])}
        places = kinks(op, op.defaults)
        assert not named or set(places) <= named, op.name
        found += len(places)
    assert found >= 16, "kinks() no longer finds those there are"


@each_gradient
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_in_any_operand_gives_nan(op: Op, dtype: type) -> None:
    """NaN in dy reaches every output; a NaN saved tensor those that are computed from it."""
    for bad in range(op.tensors):
        operands = [np.full(5, 0.75, dtype) for _ in range(op.tensors)]
        operands[bad][2] = np.nan
        got = tuple_of(op(*operands))
        # gated: dup = dy * f(gate) does not read up
        readers = got if bad < 2 else got[:1]
        for gradient in readers:
            assert np.isnan(gradient[2])
            assert not np.isnan(gradient[[0, 1, 3, 4]]).any()


@each_gradient
def test_options_are_those_of_the_function(op: Op) -> None:
    def options(name: str) -> dict[str, object]:
        parameters = inspect.signature(public(name)).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "out"}

    if op.name in dir(fastact):                 # siglu is glu's, which adds an axis
        assert options(op.name) == options(op.forward.name)


def test_gelu_says_which_approximations_there_are() -> None:
    with pytest.raises(ValueError, match=r"^gelu: approximate is 'erf', expected one of 'none', 'tanh'$"):
        fastact.gelu(1.0, approximate="erf")
    with pytest.raises(ValueError, match=r"^gelu_grad: approximate is 'erf', expected one of 'none', 'tanh'$"):
        fastact.gelu_grad(1.0, 1.0, approximate="erf")
