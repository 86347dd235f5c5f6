"""A parameter array beside a contiguous tensor: its own door must give the bits of the ufunc."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import OPS, Op, assert_same_bits, hard_values

import fastact

ONE_PARAMETER = [op for op in OPS if op.params == 1]
SHAPES = [
    # tensor, parameter
    ((7,), ()), ((7,), (1,)), ((40000,), (1,)), ((3, 5), (1, 1)), ((4, 5), (5,)), ((4, 5), (4, 5)), ((33, 64), (64,)),
    ((5, 700), (700,)), ((5001, 10), (10,)), ((1030, 1), (1,)), ((3, 2), (2,)), ((4, 5), (4, 1)),
    ((2, 3, 8, 9), (3, 1, 1)), ((3, 70, 33), (70, 1)), ((20, 16, 7, 7), (16, 1, 1)), ((2, 16, 7), (16, 1)),
    ((2, 2, 150, 150), (2, 1, 1)), ((6, 4, 5), (6, 1, 5)), ((6, 4, 5), (6, 4, 1)), ((6, 1, 5), (6, 1, 1)),
    ((0, 5), (5,)), ((3, 0), (1,)), ((2, 90000), (2, 1)),
]


def tensors(op: Op, shape: tuple[int, ...], dtype: type) -> list[np.ndarray]:
    return [t.reshape(shape) for t in op.inputs(int(np.prod(shape)), dtype)]


def parameter(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    rng = np.random.default_rng(len(shape))
    return rng.uniform(0.25, 2, shape).astype(dtype)


@pytest.mark.parametrize("op", ONE_PARAMETER, ids=str)
@pytest.mark.parametrize(("shape", "of"), SHAPES)
def test_same_bits_as_the_ufunc(op: Op, shape: tuple[int, ...], of: tuple[int, ...], dtype: np.dtype) -> None:
    operands = [*tensors(op, shape, dtype.type), parameter(of, dtype.type)]
    want = op.ufunc(*operands)
    for threads in (1, 3):
        with fastact.threads(threads):
            assert_same_bits(op(*operands), want, f"{op}")
    out = np.full(shape, 7, dtype)
    assert op(*operands, out=out) is out
    assert_same_bits(out, want, f"{op} out")
    for tensor in operands[:-1]:                        # in place
        before = tensor.copy()
        assert op(*operands, out=tensor) is tensor
        assert_same_bits(tensor, want, f"{op} in place")
        tensor[...] = before


@pytest.mark.parametrize("op", ONE_PARAMETER, ids=str)
def test_out_that_overlaps_the_parameter(op: Op) -> None:
    operands = tensors(op, (300, 8), np.float32)
    memory = np.full(2400 + 8, 0.5, np.float32)
    want = op.ufunc(*operands, memory[4:12].copy())
    got = op(*operands, memory[4:12], out=memory[8:].reshape(300, 8))
    assert_same_bits(np.ascontiguousarray(got), want)


def test_a_special_parameter_is_the_same_at_both_doors() -> None:
    x = hard_values(900, np.float32).reshape(3, 300)
    for value in (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42):
        for shape in ((1,), (3, 1), (300,)):
            alpha = np.full(shape, value, np.float32)
            assert_same_bits(fastact.prelu(x, alpha), fastact.ufuncs.prelu(x, alpha), f"{value} {shape}")


def test_another_dtype_promotes() -> None:
    x, alpha = np.float32([[-1, 2]]), np.array([0.1])
    got = fastact.prelu(x, alpha)
    assert got.dtype == np.float64
    assert got.tolist() == [[-0.1, 2.0]]
