"""Floating-point modes and flags: results do not depend on the caller's, and both are left as found."""

from __future__ import annotations

import itertools
from typing import Any

import fp
import numpy as np
import pytest
from helpers import Op, assert_same_bits, each_op, each_public, hard_values, run_python, tuple_of

import fastact
from fastact import _kernels

# Subnormal parameters.
TINY, TINY_HALVES = [np.float32(1e-42), np.float32(3e-42)], [np.float16(6e-8), np.float16(1.2e-7)]


def subnormal_values(n: int, dtype: Any, seed: int) -> np.ndarray:
    """Inputs whose results, intermediates or inputs are subnormal or rounded in every mode differently."""
    info = np.finfo(dtype)
    rng = np.random.default_rng(seed)
    tiny = rng.normal(0, 4, n) * float(info.tiny)
    return np.where(rng.random(n) < 0.4, tiny, hard_values(n, np.float64, seed).clip(-info.max, info.max)).astype(dtype)


def inputs(op: Op, n: int, dtype: Any) -> list[np.ndarray]:
    tensors = [subnormal_values(n, dtype, k) for k in range(op.tensors)]
    if op.grad and op.saves_output:
        tensors[1] = op.forward(tensors[1])
    return tensors


@each_op
def test_elementwise(op: Op, dtype: np.dtype) -> None:
    tensors = inputs(op, 300, dtype)
    whole = tuple_of(op(*tensors))
    for mode, word in fp.MODES.items():
        outs = op.outs(tensors[0])
        with fp.modes(word):
            got = op(*tensors)
        assert_same_bits(got, whole, f"{mode}, fast door")
        with fp.modes(word):
            op(*tensors, out=outs)
        assert_same_bits(outs, whole, f"{mode}, fast door into out")
        with fp.modes(word):
            got = op(*(t[::-1] for t in tensors))
        assert_same_bits(got, tuple(w[::-1] for w in whole), f"{mode}, ufunc door")


@each_op
def test_casts_and_parameters(op: Op) -> None:
    """What NumPy converts on the way to the loop: Python numbers, wider outputs, float16, integers, arrays."""
    singles, halves = inputs(op, 60, np.float32), inputs(op, 60, np.float16)
    doubles, reversed_ = [t.astype(np.float64) * 1.1 for t in singles], [t[::-1] for t in singles]
    integers = [np.arange(60, dtype=np.int16)] * op.tensors
    numbers = [0.1, 0.7][: op.params]
    calls = {
        "Python parameters, strided": (reversed_ + numbers, {}),
        "subnormal parameters": (singles + TINY[: op.params], {}),
        "subnormal parameters, fast door": (singles + [float(t) for t in TINY[: op.params]], {}),
        "subnormal float16 parameters": (halves + TINY_HALVES[: op.params], {}),
        "float16": (halves, {}),
        "float64 into float32": (doubles, {"dtype": np.float32, "casting": "same_kind"}),
        "integers": (integers, {}),
    }
    with np.errstate(all="ignore"):
        for name, (operands, options) in calls.items():
            whole = op(*operands, **options)
            for mode, word in fp.MODES.items():
                with fp.modes(word):
                    got = op(*operands, **options)
                assert_same_bits(got, whole, f"{mode}, {name}")


@each_op
def test_the_raw_ufunc_keeps_the_modes(op: Op, isa: str) -> None:
    """NumPy itself clears the flags of a ufunc call; the control word and the results are ours."""
    library = fp.library()
    singles, halves = inputs(op, 100, np.float32), inputs(op, 100, np.float16)
    calls = {
        "float32": [*singles, *(np.float32(d) for d in op.defaults)],
        "strided": [*(t[::-1] for t in singles), *(np.float32(d) for d in op.defaults)],
        "subnormal parameters": [*singles, *TINY[: op.params]],
        "float16": [*halves, *TINY_HALVES[: op.params]],
    }
    flags = 0x3f if fp.machine == "x86_64" else 0x9f << 32
    before = library.fp_get()
    with np.errstate(all="ignore"):
        for (mode, word), (name, operands) in itertools.product(fp.MODES.items(), calls.items()):
            whole = op.raw(*operands)
            library.fp_set(word)
            try:
                got = op.raw(*operands)
                after = library.fp_get()
            finally:
                library.fp_set(before)
            assert after & ~flags == word & ~flags, mode
            assert_same_bits(got, whole, f"{mode}, {name}")


@each_op
def test_workers(op: Op) -> None:
    n = 2_100_000 if op.cost == 0 else 900_000
    tensors = [np.resize(t, n) for t in inputs(op, 5003, np.float32)]
    fastact.set_num_threads(1)
    whole = op(*tensors)
    fastact.set_num_threads(3)
    for mode in list(fp.MODES)[:: len(fp.MODES) - 1]:         # the first and the last
        with fp.modes(fp.MODES[mode]):
            got = op(*tensors)
        assert_same_bits(got, whole, mode)


@pytest.mark.skipif(_kernels.build_info()["openmp"] == 0, reason="a serial build")
def test_workers_born_under_flush_to_zero() -> None:
    """A thread inherits the modes of the one that starts it, and a team lives on."""
    fp.library()
    word = next(word for name, word in fp.MODES.items() if name.startswith(("FTZ, DAZ", "FZ, down")))
    run_python(f"""
import sys
sys.path.insert(0, {str(fp.Path(__file__).parent)!r})
import fp, numpy as np, fastact
from helpers import OPS, same_bits
from test_fp_modes import inputs
library = fp.library()
fastact.set_num_threads(3)
library.fp_set({word:#x})
fastact.relu(np.zeros(4_000_000, np.float32))
library.fp_set(fp.WORDS[fp.machine]["default"])
wrong = []
for op in OPS:
    tensors = [np.resize(t, 2_100_000 if op.cost == 0 else 900_000) for t in inputs(op, 5003, np.float32)]
    got = op(*tensors)
    with fastact.threads(1):
        if not same_bits(got, op(*tensors)):
            wrong.append(op.name)
assert not wrong, wrong
""")


@each_op
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_finite_inputs_raise_no_flags(op: Op, kind: type) -> None:
    """np.errstate(all="raise") around any finite input raises nothing, by any door, and the sticky flags stay down."""
    tensors = [np.nan_to_num(t, nan=0.5) for t in inputs(op, 400, kind)]
    if op.grad and op.saves_output:
        tensors[1] = np.nan_to_num(tensors[1], nan=0.5)
    calls = {
        "contiguous": tensors,
        "strided": [t[::-1] for t in tensors],
        "a short tail": [t[:3] for t in tensors],
        "0-d": [t[0] for t in tensors],
        "byte-swapped": [t.astype(t.dtype.newbyteorder()) for t in tensors],
    }
    for name, operands in calls.items():
        with fp.modes(fp.WORDS[fp.machine]["default"]), np.errstate(all="raise"):
            try:
                op(*operands)
            except FloatingPointError as error:
                raise AssertionError(f"{name}: {error}") from error


@each_public
def test_errstate_of_the_public_function(op: Op) -> None:
    """So does the documented function; the gradient of a learnt parameter also sums."""
    big = np.array([[3e38, -3e38, 1e-45, -1e-45, 0, -0.0, 88, -104]] * 3, np.float32)
    operands, options = op.documented([big] * op.tensors)
    with np.errstate(all="raise"):
        op.public(*operands, **options)


BIG = np.array([[2**53 + 1, 2**60 + 3, 7, 2**53 + 3]])          # float64 rounds them
SUBNORMAL = np.full((1, 4), 6e-8, np.float16), np.full((1, 4), 1e-42, np.float32)
GLU = {
    "integers": lambda: (fastact.glu(BIG), fastact.glu_grad(BIG[:, :2], BIG)),
    "lists": lambda: (fastact.glu(BIG.tolist()), fastact.glu_grad(BIG[:, :2].tolist(), BIG.tolist())),
    "several dtypes": lambda: (fastact.glu(SUBNORMAL[0]), fastact.glu_grad(SUBNORMAL[0][:, :2], SUBNORMAL[1])),
    "masked": lambda: (fastact.glu(np.ma.array(BIG)).data, fastact.glu_grad(np.ma.array(BIG[:, :2]), BIG).data),
}


@pytest.mark.parametrize("case", GLU)
def test_glu_of_what_is_cast(case: str) -> None:
    whole = GLU[case]()
    for mode, word in fp.MODES.items():
        with fp.modes(word):
            got = GLU[case]()
        assert_same_bits(got, whole, mode)


def test_failing_glu_keeps_the_modes() -> None:
    calls = {
        "glu": lambda: fastact.glu(BIG, axis=0),
        "glu_grad": lambda: fastact.glu_grad(BIG[0], BIG),
        "glu into an int": lambda: fastact.glu(BIG, out=np.empty((1, 2), int)),
        "glu_grad into an int": lambda: fastact.glu_grad(BIG[:, :2], BIG, out=np.empty((1, 4), int)),
    }
    for name, call in calls.items():
        for word in fp.MODES.values():
            with fp.modes(word), pytest.raises((TypeError, ValueError), match=f"^{name.split()[0]}: "):
                call()
