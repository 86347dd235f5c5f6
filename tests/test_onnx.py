"""ONNX's own backend tests of the operators that fastact computes, by the adapter of onnx_adapter.py.

onnx makes the data in memory from its reference implementation, so nothing is downloaded. Left out:

- the expanded forms (``test_*_expanded*``): the same data for graphs of primitive operators (Exp, ReduceSum, ...),
  which say nothing about fastact;
- Clip on int8: fastact computes floats, clipping integers is NumPy's `clip`;
- Celu on bfloat16: NumPy has no such dtype.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx.backend.test.loader import load_model_tests  # noqa: E402
from onnx_adapter import OPERATORS, run  # noqa: E402

FLOATS = {onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE}
# How many cases each operator has at the least (in onnx 1.19; newer ones add some), so that none is lost unseen.
CASES = {
    "Celu": 1, "Clip": 9, "Elu": 3, "Gelu": 4, "HardSigmoid": 3, "HardSwish": 1, "LeakyRelu": 3, "LogSoftmax": 7,
    "Mish": 1, "NegativeLogLikelihoodLoss": 18, "PRelu": 2, "ReduceLogSumExp": 9, "Relu": 1, "Selu": 3, "Shrink": 2,
    "Sigmoid": 2, "Softmax": 7, "SoftmaxCrossEntropyLoss": 34, "Softplus": 2, "Softsign": 2, "Swish": 1, "Tanh": 2,
}


@functools.cache
def cases() -> dict[str, list[Any]]:
    """The test cases of each operator."""
    found: dict[str, list[Any]] = {name: [] for name in OPERATORS}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")         # the reference implementation's
        for case in load_model_tests(kind="node"):
            graph = case.model.graph
            if len(graph.node) != 1 or graph.node[0].op_type not in OPERATORS:
                continue
            if graph.input[0].type.tensor_type.elem_type in FLOATS:
                found[graph.node[0].op_type].append(case)
    return found


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_onnx_node_cases(operator: str) -> None:
    found = cases()[operator]
    assert len(found) >= CASES[operator], [case.name for case in found]
    for case in found:
        (node,) = case.model.graph.node
        assert case.data_sets
        for inputs, outputs in case.data_sets:
            before = [x.copy() for x in inputs]
            got = run(node, inputs)
            assert len(got) >= len(node.output) == len(outputs) >= 1
            for y, expected in zip(got, outputs, strict=False):     # the log-probabilities are asked for by some
                assert np.asarray(y).dtype == expected.dtype, case.name
                assert np.shape(y) == expected.shape, case.name
                np.testing.assert_allclose(y, expected, case.rtol, case.atol, err_msg=case.name)
            for x, kept in zip(inputs, before, strict=True):
                np.testing.assert_array_equal(x, kept, err_msg=f"{case.name} has written into its input")


def test_every_operator_is_counted() -> None:
    assert CASES.keys() == OPERATORS.keys()
