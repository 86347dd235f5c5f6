"""The elementwise operations as citizens of NumPy: promotion, scalars, subclasses, keywords, methods of the ufuncs."""

from __future__ import annotations

import array
import collections
import itertools
from typing import Any

import numpy as np
import pytest
from helpers import OPS, Op, assert_same_bits, each_op, tuple_of

from fastact import ufuncs

PARAMETRIC = pytest.mark.parametrize("op", [op for op in OPS if op.params], ids=str)
BINARY = pytest.mark.parametrize("op", [op for op in OPS if op.tensors + op.params == 2 and op.outputs == 1], ids=str)
INTEGERS = [np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


def ordinary(op: Op, n: int, dtype: Any) -> tuple[np.ndarray, ...]:
    """Tensors without surprises, in every dtype exactly."""
    rng = np.random.default_rng(3)
    return tuple(rng.integers(0, 2, n).astype(dtype) for _ in range(op.tensors))


@each_op
def test_are_numpy_ufuncs(op: Op) -> None:
    u = op.raw
    assert type(u) is np.ufunc
    assert u.__name__ == op.name
    assert (u.nin, u.nout, u.signature) == (op.tensors + op.params, op.outputs, None)
    assert [types[0] for types in u.types] == ["e", "f", "d"], "float16 before float32 before float64"


@each_op
@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_promote_as_in_exp(op: Op, kind: type) -> None:
    tensors = ordinary(op, 40, kind)
    wanted = np.exp(tensors[0]).dtype
    floats = tuple(t.astype(wanted) for t in tensors)
    for got in tuple_of(op(*tensors)):
        assert got.dtype == wanted
    assert_same_bits(op(*tensors), op(*floats))


@pytest.mark.parametrize("op", [op for op in OPS if op.tensors > 1], ids=str)
def test_two_integer_dtypes_promote_as_in_arctan2(op: Op) -> None:
    for kinds in itertools.permutations(INTEGERS, 2):
        tensors = [t.astype(kind) for t, kind in zip(ordinary(op, 40, np.int8), (*kinds, kinds[0]), strict=False)]
        wanted = np.arctan2(*tensors[:2]).dtype
        assert {got.dtype for got in tuple_of(op(*tensors))} == {wanted}, kinds


class Holder:
    """Not an array; gives one, as h5py's data sets do."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.array


class Wrapper(Holder):
    """Makes its own of what comes, as PyTorch's tensors do."""

    def __array_wrap__(self, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> Wrapper:
        return Wrapper(array)


@each_op
@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_in_other_containers_promote_too(op: Op, kind: type) -> None:
    tensors = ordinary(op, 6, kind)
    code = np.dtype(kind).char
    containers: list[Any] = [memoryview, Holder, Wrapper]
    if code in array.typecodes:
        containers.append(lambda t: array.array(code, t.tolist()))
    if kind is np.uint8:
        containers.append(bytearray)
    if kind in (np.bool_, np.int64):
        containers += [lambda t: collections.deque(t.tolist()), lambda t: Point(*t.tolist())]
    for container in containers:
        got = tuple_of(op(*map(container, tensors)))
        assert (type(got[0]) is Wrapper) == (container is Wrapper)
        assert_same_bits(tuple(map(np.asarray, got)), op(*tensors))


Point = collections.namedtuple("Point", "a b c d e f")


@each_op
def test_float16_is_float32_rounded(op: Op, isa: str) -> None:
    patterns = np.arange(65536, dtype=np.uint16).view(np.float16)
    rng = np.random.default_rng(2)
    tensors = [patterns] + [rng.permutation(patterns) for _ in range(op.tensors - 1)]
    singles = [t.astype(np.float32) for t in tensors]
    parameters = [float(np.float16(d)) for d in op.defaults]
    with np.errstate(all="ignore"):             # NumPy's cast to float16
        wide = [w.astype(np.float16) for w in tuple_of(op(*singles, *parameters))]
    assert_same_bits(tuple_of(op(*tensors)), tuple(wide), "contiguous")
    assert_same_bits(tuple_of(op(*(t[::-3] for t in tensors))), tuple(w[::-3] for w in wide), "strided")
    for n in (0, 1, 7, 8, 9, 511, 513):
        assert_same_bits(tuple_of(op(*(t[:n] for t in tensors))), tuple(w[:n] for w in wide), f"n={n}")


@each_op
def test_scalars_and_0d_give_numpy_scalars(op: Op) -> None:
    for value in (0.5, 1, True, np.float16(0.5), np.float32(0.5), np.float64(0.5), np.array(0.5, "f4"), np.array(1)):
        got = op(*[value] * op.tensors)
        wanted = np.exp(value)
        for g in tuple_of(got):
            assert type(g) is type(wanted), f"{value!r} gave {type(g)}"
        in_array = tuple_of(op(*[np.asarray(value).reshape(1)] * op.tensors))
        assert_same_bits(got, tuple(a[0] for a in in_array), repr(value))
    out = [np.array(9.0) for _ in range(op.outputs)]
    got = tuple_of(op(*[0.5] * op.tensors, out=tuple(out)))
    assert all(g is o for g, o in zip(got, out, strict=True)), "a 0-d out is returned as it is"


@each_op
def test_lists_and_empties(op: Op) -> None:
    tensors = op.inputs(6, np.float64)
    for values in ([True, False], [1, 2], [1.5, 2], (True, True)):
        assert_same_bits(op(*[values] * op.tensors), op(*[np.array(values)] * op.tensors))
    assert_same_bits(op(*(t.tolist() for t in tensors)), op(*tensors))
    assert_same_bits(op(*(t.reshape(2, 3).tolist() for t in tensors)), op(*(t.reshape(2, 3) for t in tensors)))
    for shape in ((0,), (3, 0), (0, 5, 2)):
        for dtype in (np.float16, np.float32, np.float64):
            for got in tuple_of(op(*[np.empty(shape, dtype)] * op.tensors)):
                assert got.shape == shape
                assert got.dtype == dtype


@PARAMETRIC
def test_parameters_broadcast(op: Op, dtype: np.dtype) -> None:
    tensors = tuple(t.reshape(40, 7) for t in op.inputs(280, dtype))
    rng = np.random.default_rng(4)
    columns = [rng.uniform(0.1, 2, 7).astype(dtype) for _ in range(op.params)]
    got = tuple_of(op(*tensors, *columns))
    for c in range(7):
        one = tuple_of(op(*(t[:, c] for t in tensors), *(float(p[c]) for p in columns)))
        assert_same_bits(tuple(g[:, c] for g in got), one, f"column {c}")
    assert_same_bits(op(*tensors, *(np.broadcast_to(p, (40, 7)).copy() for p in columns)), got, "full arrays")
    rows = [p[:, None, None] for p in columns]
    assert op(*tensors, *rows).shape == (7, 40, 7)
    if op.params == 2:                          # one array, one number
        mixed = op(*tensors, columns[0], 1.5)
        assert_same_bits(mixed, op(*tensors, columns[0], np.full(7, 1.5, dtype)))


@PARAMETRIC
def test_parameters_follow_nep_50(op: Op) -> None:
    for dtype in (np.float16, np.float32, np.float64):
        tensors = op.inputs(40, dtype)
        for number in (1, 1.0):
            got = op(*tensors, *[number] * op.params)
            assert got.dtype == dtype, "Python numbers are weak"
            assert_same_bits(got, op(*tensors, *[dtype(1)] * op.params))
        for strong in (np.float64(1), np.array(1.0), np.ones(40)):
            got = op(*tensors, *[strong] * op.params)
            assert got.dtype == np.float64, "float64 scalars and 0-d arrays are not"
            assert_same_bits(got, op(*(t.astype(np.float64) for t in tensors), *[1.0] * op.params))
        inexact = op(*tensors, *[0.1] * op.params)
        assert_same_bits(inexact, op(*tensors, *[dtype(0.1)] * op.params), "0.1 is rounded to the dtype")
        big = 2**24 + 1
        if dtype is not np.float16:
            assert_same_bits(op(*tensors, *[big] * op.params), op(*tensors, *[dtype(big)] * op.params), "a large int")


@PARAMETRIC
def test_keywords_leave_parameters_weak(op: Op) -> None:
    tensors = ordinary(op, 40, np.int8)
    for option in ({"where": True}, {"order": "C"}, {"casting": "same_kind"}, {"subok": True}, {"dtype": None}):
        assert_same_bits(op(*tensors, **option), op(*tensors))
    outs = tuple(np.empty(40, np.float16) for _ in range(op.outputs))
    assert_same_bits(op(*tensors, out=outs, casting="safe"), op(*tensors))
    wide = "d" * (op.tensors + op.params) + "->" + "d" * op.outputs
    for chosen in ({"dtype": np.float64}, {"signature": wide}):
        assert_same_bits(op(*tensors, **chosen), op(*(t.astype(np.float64) for t in tensors)))


@PARAMETRIC
def test_a_parameter_above_float32(op: Op) -> None:
    """Both doors round it to inf with NumPy's warning."""
    x = op.inputs(30, np.float32)
    for door in (op, op.ufunc):
        with pytest.warns(RuntimeWarning, match="overflow encountered in cast"):
            door(*x, *[1e300] * op.params)


@each_op
def test_keywords(op: Op) -> None:
    tensors = op.inputs(64, np.float32)
    wide = op(*tensors, dtype=np.float64)
    assert_same_bits(wide, op(*(t.astype(np.float64) for t in tensors)))
    with np.errstate(all="ignore"):
        narrow = op(*tensors, dtype=np.float16, casting="same_kind")
        assert_same_bits(narrow, op(*(t.astype(np.float16) for t in tensors)))
        assert_same_bits(op(*tensors, dtype=np.float32, casting="unsafe"), op(*tensors))
    with pytest.raises(TypeError, match=op.name):
        op(*(t.astype(np.float64) for t in tensors), dtype=np.float32, casting="safe")
    with pytest.raises(TypeError, match=op.name):
        op(*tensors, dtype=np.int32)
    types = "f" * (op.tensors + op.params) + "->" + "f" * op.outputs
    assert_same_bits(op(*tensors, signature=types), op(*tensors))
    sub = tuple(t.view(Tagged) for t in tensors)
    assert all(type(g) is np.ndarray for g in tuple_of(op(*sub, subok=False)))


class Tagged(np.ndarray):
    """A subclass with an attribute that travels by __array_finalize__."""

    def __array_finalize__(self, parent: Any) -> None:
        self.tag = getattr(parent, "tag", None)


class Logged:
    """Not an array; takes part in ufuncs by the protocol."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return ufunc.__name__, method, len(inputs), sorted(kwargs)


class Refuses:
    __array_ufunc__ = None


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@each_op
def test_subclasses(op: Op) -> None:
    tensors = op.inputs(24, np.float64)
    plain = tuple_of(op(*tensors))
    tagged = [t.view(Tagged) for t in tensors]
    tagged[0].tag = "kept"
    for got, whole in zip(tuple_of(op(*tagged)), plain, strict=True):
        assert type(got) is Tagged
        assert_same_bits(got.view(np.ndarray), whole)
    for got in tuple_of(op(*(np.asmatrix(t.reshape(4, 6)) for t in tensors))):
        assert type(got) is np.matrix
        assert got.shape == (4, 6)


@each_op
def test_masked_arrays_keep_their_mask(op: Op) -> None:
    tensors = op.inputs(24, np.float64)
    mask = np.arange(24) % 3 == 0
    masked = [np.ma.array(tensors[0], mask=mask), *tensors[1:]]
    for got, whole in zip(tuple_of(op(*masked)), tuple_of(op(*tensors)), strict=True):
        assert isinstance(got, np.ma.MaskedArray)
        assert (np.ma.getmaskarray(got) == mask).all()
        assert_same_bits(got.data[~mask], whole[~mask])


@pytest.mark.parametrize("op", [op for op in OPS if op.tensors + op.params > 2], ids=str)
def test_masks_broadcast(op: Op) -> None:
    """Also that of the third operand and later ones, which NumPy would take as it is."""
    tensors = [t.reshape(4, 6) for t in op.inputs(24, np.float64)]
    operands: list[Any] = [*tensors, *(np.full((4, 6), d) for d in op.defaults)]
    for place in range(len(operands)):
        small, mask = operands[place][0], np.arange(6) % 3 == 0
        for hard in (False, True):
            masked = np.ma.array(small, mask=mask, fill_value=7, hard_mask=hard)
            mixed = [masked if k == place else t for k, t in enumerate(operands)]
            wanted = tuple_of(op(*(small if k == place else t for k, t in enumerate(operands))))
            for got, whole in zip(tuple_of(op(*mixed)), wanted, strict=True):
                assert got.mask.shape == got.shape == (4, 6)
                assert (got.mask == mask).all()
                assert (got.fill_value, got.hardmask) == (7, hard)
                assert_same_bits(got.data[~got.mask], whole[~got.mask])
            assert (masked.mask == mask).all()
        mixed = [np.ma.masked if k == place else t for k, t in enumerate(operands)]
        assert all(got.mask.shape == (4, 6) and got.mask.all() for got in tuple_of(op(*mixed)))
        with pytest.raises(ValueError, match=rf"^{op.said}: "):
            op(*(masked[:5] if k == place else t for k, t in enumerate(operands)))


@each_op
def test_array_ufunc_protocol(op: Op) -> None:
    operands = op.inputs(5, np.float32)
    for place in range(op.tensors):
        mixed = [Logged() if k == place else t for k, t in enumerate(operands)]
        assert op(*mixed) == (op.name, "__call__", op.tensors + op.params, [])
        assert op(*operands, out=Logged() if op.outputs == 1 else (Logged(), None))[:2] == (op.name, "__call__")
    with pytest.raises(TypeError):
        op(*[Refuses() if k == 0 else t for k, t in enumerate(operands)])


@BINARY
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_reduce_accumulate_outer_at(op: Op, dtype: Any) -> None:
    """Nobody should need them, but they are methods of a ufunc and must be right."""
    u, x = op.raw, np.random.default_rng(5).uniform(-2, 2, (6, 70)).astype(dtype)

    def one(a: Any, b: Any) -> Any:
        return u(np.array([a], dtype), np.array([b], dtype))[0]

    with np.errstate(all="ignore"):
        for row in x:
            steps = list(itertools.accumulate(row, one))
            assert_same_bits(u.accumulate(row), np.array(steps, dtype), "accumulate")
            assert_same_bits(u.reduce(row), steps[-1], "reduce")
        assert_same_bits(u.reduce(x, axis=0), np.array([list(itertools.accumulate(c, one))[-1] for c in x.T], dtype))
        assert_same_bits(u.accumulate(x, axis=0), np.array([list(itertools.accumulate(c, one)) for c in x.T], dtype).T)
        every_other = np.array([list(itertools.accumulate(r, one)) for r in x[:, ::-2]], dtype)
        assert_same_bits(u.accumulate(x[:, ::-2], axis=1), every_other)
        parts = [list(itertools.accumulate(part, one))[-1] for part in np.split(x[0], [5, 20])]
        assert_same_bits(u.reduceat(x[0], [0, 5, 20]), np.array(parts, dtype))
        assert_same_bits(u.outer(x[0], x[1]), u(x[0][:, None], x[1][None, :]))
        target, expected = x[2].copy(), x[2].copy()
        index = np.array([1, 1, 5, 69, 1])
        u.at(target, index, x[3, :5])
        for place, value in zip(index, x[3, :5], strict=True):
            expected[place] = one(expected[place], value)
        assert_same_bits(target, expected, "at")
    with pytest.raises(ValueError, match="no identity"):
        u.reduce(np.empty(0, dtype))


@pytest.mark.parametrize("name", ["softplus", "softplus_grad", "squareplus", "elu", "celu"])
def test_an_element_has_the_bits_it_has_alone(name: str, dtype: np.dtype, isa: str) -> None:
    """Whatever parameters its neighbours have; softplus takes another formula where beta is 1."""
    function, rng = getattr(ufuncs, name), np.random.default_rng(0)
    x = (rng.normal(size=100) * 4).astype(dtype)
    parameter = rng.choice([0.5, 1.0, 1.0, 2.0], 100).astype(dtype)
    given = (np.ones(100, dtype), x) if name.endswith("_grad") else (x,)
    for values in (parameter, np.ones(100, dtype)):
        got = function(*given, values)
        alone = [function(*(t[k : k + 1] for t in given), values[k])[0] for k in range(100)]
        assert_same_bits(got, np.array(alone))
