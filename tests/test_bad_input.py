"""Bad input to the elementwise functions: the right class, a text that says what and where, outputs untouched."""

from __future__ import annotations

import itertools
import operator
import platform
from typing import Any

import numpy as np
import pytest
from helpers import Op, each_op, each_public, same_bits, tuple_of

import fastact

UNSUPPORTED = [np.zeros(5, dtype) for dtype in ("c8", "c16", "O", "U3", "S3", "M8[s]", "m8[s]", [("a", "f4")])]
if np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant:
    UNSUPPORTED.append(np.zeros(5, np.longdouble))


def outputs(op: Op, shape: Any = 5, dtype: Any = np.float32) -> tuple[np.ndarray, ...]:
    return tuple(np.full(shape, 77, dtype) for _ in range(op.outputs))


@each_op
def test_unsupported_dtype(op: Op) -> None:
    """TypeError naming the function, the argument, what came and what is expected; for every argument in turn."""
    for place, wrong in itertools.product(range(op.tensors + op.params), UNSUPPORTED):
        operands: list[Any] = [np.ones(5, np.float32)] * op.tensors + list(op.defaults)
        operands[place] = wrong
        outs = outputs(op)
        with pytest.raises(TypeError) as caught:
            op(*operands, out=outs)
        text = str(caught.value)
        assert text.startswith(f"{op.said}: "), text
        assert f"has dtype {wrong.dtype}, expected float16, float32, float64" in text
        assert all((out == 77).all() for out in outs)


@each_public
def test_the_argument_is_named(op: Op) -> None:
    operands, options = op.documented([np.ones(3, np.float32)] * op.tensors)
    names = fastact_names(op)
    for place in range(len(operands)):
        wrong = list(operands)
        wrong[place] = np.zeros(3, complex)
        with pytest.raises(TypeError, match=rf"^{op.said}: {names[place]} has dtype complex128"):
            op.public(*wrong, **options)
    for name in options:
        with pytest.raises(TypeError, match=rf"^{op.said}: {name} has dtype <U4"):
            op.public(*operands, **options | {name: "text"})


def fastact_names(op: Op) -> list[str]:
    code = getattr(op.public, "func", op.public).__code__
    return list(code.co_varnames[: code.co_argcount])


@each_op
def test_bad_scalars(op: Op) -> None:
    cases = ((None, TypeError), ("abc", TypeError), (1j, TypeError), ({}, TypeError), ([1, [2, 3]], ValueError))
    for value, error in cases:
        with pytest.raises(error, match=rf"^{op.said}: "):
            op(*[value] * op.tensors)


@each_op
def test_shapes_that_do_not_broadcast(op: Op) -> None:
    for place in range(1, op.tensors + op.params):
        operands: list[Any] = [np.ones((4, 5), np.float32)] * op.tensors + list(op.defaults)
        operands[place] = np.ones(4, np.float32)
        outs = outputs(op, (4, 5))
        with pytest.raises(ValueError, match=rf"^{op.said}: .*\(4,5\).*\(4,\)"):
            op(*operands, out=outs)
        assert all((out == 77).all() for out in outs)


@each_op
def test_bad_out(op: Op) -> None:
    tensors = [np.ones((4, 5), np.float32)] * op.tensors
    read_only = [np.full((4, 5), 77, np.float32) for _ in range(op.outputs)]
    for array in read_only:
        array.flags.writeable = False
    cases: list[tuple[Any, type[Exception]]] = [
        (outputs(op, (5, 4)), ValueError), (outputs(op, (4, 4)), ValueError), (outputs(op, 5), ValueError),
        (outputs(op, (4, 5), np.int32), TypeError), (outputs(op, (4, 5), np.bool_), TypeError),
        (tuple(read_only), ValueError), (tuple(o.tolist() for o in outputs(op, (4, 5))), TypeError),
        ((*outputs(op, (4, 5)), np.empty((4, 5))), ValueError),
    ]
    if op.outputs == 1:
        cases += [(out[0], error) for out, error in cases if len(out) == 1]         # not in a tuple: the fast door
        cases += [([[0.0]], TypeError), ("out", TypeError), (3.0, TypeError)]
    else:
        cases += [(np.empty((4, 5), np.float32), TypeError), ((np.empty((4, 5), np.float32),), ValueError)]
        good = np.full((4, 5), 77, np.float32)
        cases += [((good, read_only[0]), ValueError), ((good, np.full((5, 4), 77.0)), ValueError)]
    for out, error in cases:
        with pytest.raises(error, match=op.said) as raised:
            op(*tensors, out=out)
        given, text = tuple_of(out), str(raised.value)
        if len(given) == op.outputs and not any(isinstance(array, np.ndarray) for array in given):
            assert "out is of type " in text
        elif len(given) == op.outputs and all(map(operator.is_, given, read_only)):
            assert "out is read-only" in text
        for array in tuple_of(out):
            if isinstance(array, np.ndarray) and array.dtype == np.float32 and array.size and array.flat[0] == 77:
                assert (array == 77).all(), f"{out!r} was written"


@each_op
def test_input_that_would_be_cast_unsafely(op: Op) -> None:
    tensors = [np.ones(5)] * op.tensors
    outs = outputs(op)
    with pytest.raises(TypeError, match=op.said):
        op(*tensors, out=outs, casting="safe")
    with pytest.raises(TypeError, match=op.said):
        op(*tensors, dtype=np.float32, casting="no")
    assert all((out == 77).all() for out in outs)


@each_op
def test_bad_keywords(op: Op) -> None:
    tensors = [np.ones(5, np.float32)] * op.tensors
    outs = outputs(op)
    for options in ({"axis": 0}, {"inplace": True}, {"casting": "wild"}, {"order": "Z"}, {"dtype": "float12"},
                    {"signature": "ff->f->f"}):
        with pytest.raises((TypeError, ValueError)):
            op(*tensors, out=outs, **options)
    assert all((out == 77).all() for out in outs)


@each_op
def test_number_of_operands(op: Op) -> None:
    tensors = [np.ones(5, np.float32)] * (op.tensors + op.params + 1)
    with pytest.raises(TypeError):
        op.raw(*tensors[: op.tensors + op.params - 1])
    with pytest.raises((TypeError, ValueError)):
        op.raw(*tensors, *tensors)


@each_public
def test_the_public_function_takes_its_tensors_by_position_only(op: Op) -> None:
    operands, options = op.documented([np.ones(3, np.float32)] * op.tensors)
    with pytest.raises(TypeError):
        op.public(**dict(zip(fastact_names(op), operands, strict=False)), **options)
    with pytest.raises(TypeError):
        op.public(*operands[:-1], **options)


@each_op
def test_an_error_inside_the_protocol_comes_through(op: Op) -> None:
    class Broken:
        def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
            raise ZeroDivisionError("of the user")

    with pytest.raises(ZeroDivisionError, match="of the user"):
        op(*[Broken()] * op.tensors)


class UserError(ValueError):
    pass


@each_op
def test_errors_of_other_libraries_keep_their_class(op: Op) -> None:
    class Broken:
        def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
            raise UserError("not aligned")

    with pytest.raises(UserError, match=r"^not aligned$"):
        op(*[Broken()] * op.tensors)


def test_huge_integers_as_parameters() -> None:
    x = np.ones(3, np.float32)
    for array in (x, x[::-1], x.astype(np.float16), x.astype(np.int8), [1.0]):
        with pytest.raises(OverflowError, match=r"^leaky_relu: negative_slope is an int beyond float64$"):
            fastact.leaky_relu(array, negative_slope=10**400)
    before = x.copy()
    with pytest.raises(OverflowError, match=r"^leaky_relu: negative_slope is"):
        fastact.leaky_relu(x, negative_slope=10**400, out=x)
    assert same_bits(x, before)
    with pytest.raises(OverflowError, match=r"^prelu_grad: alpha is an int beyond float64$"):
        fastact.prelu_grad(x, x, 10**400)
    with pytest.raises(ValueError, match=r"^softmax: temperature is a number beyond float64, expected"):
        fastact.softmax(x, temperature=10**5000)
    with pytest.raises(ValueError, match=r"^cross_entropy: label_smoothing is a number beyond float64, expected"):
        fastact.cross_entropy(np.ones((2, 3)), np.array([0, 1]), label_smoothing=10**400)


RAGGED = [[1.0], [1.0, 2.0]]


@pytest.mark.parametrize(("name", "arguments", "argument"), [
    ("softmax", (RAGGED,), "x"), ("glu", (RAGGED,), "x"), ("glu_grad", (RAGGED, np.ones((2, 4))), "dy"),
    ("prelu_grad", (RAGGED, np.ones((2, 4)), 0.5), "dy"), ("prelu_grad", (1.0, 1.0, RAGGED), "alpha"),
    ("gelu", (RAGGED,), "x"), ("mse_loss", (RAGGED, np.ones((2, 4))), "pred"),
])
def test_ragged_lists(name: str, arguments: Any, argument: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: {argument} is no array: setting an array element"):
        getattr(fastact, name)(*arguments)


@pytest.mark.parametrize("name", ["gelu", "gelu_grad"])
def test_a_word_that_is_an_array(name: str) -> None:
    words = np.array(["none", "tanh"])
    with pytest.raises(ValueError, match=f"^{name}: approximate is array.*, expected one of 'none', 'tanh'$"):
        getattr(fastact, name)(*[np.ones(2)] * (1 + name.endswith("_grad")), approximate=words)


def test_options_that_are_arrays_of_one_number() -> None:
    """NumPy makes them readily, of its own numbers; they count as these numbers."""
    z, t = np.random.default_rng(0).normal(size=(5, 3)), np.arange(5) % 3
    for options in ({"label_smoothing": 0.25}, {"temperature": 2.0}):
        arrays = {name: np.array(value) for name, value in options.items()}
        assert fastact.cross_entropy(z, t, **arrays) == fastact.cross_entropy(z, t, **options)
    assert same_bits(fastact.softmax(z, temperature=np.array(2.0)), fastact.softmax(z, temperature=2.0))
    assert fastact.huber_loss(z, z[::-1], delta=np.array(0.5)) == fastact.huber_loss(z, z[::-1], delta=0.5)


def test_config_says_what_runs() -> None:
    config = fastact.show_config(mode="dicts")
    assert config["fastact"] == fastact.__version__
    assert config["numpy"] == np.__version__
    assert config["python"] == platform.python_version()
    assert config["machine"] == platform.machine()
    assert config["threads"] == fastact.get_num_threads()
    assert config["isa"]["in_use"] in config["isa"]["available"]
    assert set(config["isa"]["available"]) <= set(config["isa"]["compiled"])


@pytest.mark.parametrize("mode", ["", "dict", "print", None, 3])
def test_show_config(mode: Any) -> None:
    with pytest.raises(ValueError, match=r"show_config: mode is .*, expected one of 'stdout', 'dicts'"):
        fastact.show_config(mode=mode)


@pytest.mark.parametrize("axis", [5, -6, 10**30, -(10**30)])
def test_an_axis_that_is_not_there(axis: int) -> None:
    x, labels = np.ones((3, 2)), np.zeros(3, int)
    for name, call in {
        "softmax": lambda: fastact.softmax(x, axis=axis), "entropy": lambda: fastact.entropy(x, axis=axis),
        "cross_entropy": lambda: fastact.cross_entropy(x, labels, axis=axis), "glu": lambda: fastact.glu(x, axis=axis),
    }.items():
        with pytest.raises(np.exceptions.AxisError, match=rf"^{name}: axis is {axis}, but"):
            call()
