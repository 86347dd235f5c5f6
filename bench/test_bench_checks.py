"""The checks of the benchmarks must be able to fail: a wrong function, an unwritten output, a wrong tail."""

from dataclasses import replace
from itertools import permutations

import agreement
import cases
import inputs
import peers_fastact
import pytest

CASES = cases.map_cases(("float32",), (4096,), fresh=False)[0]
SAME = [{"elu", "celu"}, {"elu_grad", "celu_grad"}, {"soft_shrink_grad", "hard_shrink_grad"}]  # at alpha = 1


def sampled(case, results):
    return {name: agreement.sample(case, name, values) for name, values in results.items()}


def build(case):
    (call,) = peers_fastact.calls(case, inputs.make(case))
    return call


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_right_function_agrees(case):
    assert agreement.disagreement(case, sampled(case, build(case).run())) is None


def test_wrong_function_disagrees():
    """Every operation's results are refused in the name of every other one."""
    pairs = [
        (case, other)
        for case, other in permutations(CASES, 2)
        if (case.inputs, case.outputs, case.is_gradient) == (other.inputs, other.outputs, other.is_gradient)
        and {case.function, other.function} not in SAME
    ]
    assert len(pairs) > len(CASES)
    results = {case.name: sampled(case, build(case).run()) for case in CASES}
    accepted = [(a.name, b.name) for a, b in pairs if agreement.disagreement(a, results[b.name]) is None]
    assert not accepted


@pytest.mark.parametrize("case", [case for case in CASES if case.op in ("relu", "swiglu")], ids=lambda case: case.name)
def test_unwritten_output_disagrees(case):
    call = build(case)
    call.statement = "None"
    assert "wrong" in agreement.disagreement(case, sampled(case, call.run()))


def test_wrong_last_element_disagrees():
    case = replace(CASES[0], shape=(2**20 + 3,))
    results = build(case).run()
    results["y"][-1] += 1
    assert "1 of" in agreement.disagreement(case, sampled(case, results))


def test_statement_names_the_function():
    for case in CASES:
        public, _ = cases.THROUGH_OPTION.get(case.op, (case.op, {}))
        assert f"fastact.{public}{'_grad' if case.is_gradient else ''}(" in build(case).statement
