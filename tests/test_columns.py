"""Short rows and class axes that are not the last, which are computed by columns: accuracy, limits, layouts, bits."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
import pytest

import fastact
from fastact import _kernels, ufuncs

FORWARD = ["softmax", "log_softmax", "logsumexp"]
GRADIENTS = ["softmax_grad", "log_softmax_grad"]
SHORT = 32                          # classes up to which a row is computed by columns (FA_SHORT)
# outer, classes, inner: blocks with and without a tail, a short inner, one element, more classes than scratch holds,
# wide blocks
STRIDED = [
    (2, 21, 64), (3, 5, 1000), (1, 2, 5000), (2, 1, 37), (5, 3, 7), (40, 12, 3), (3, 70, 2), (2, 33, 15), (2, 33, 16),
    (1, 300, 20), (2, 700, 9), (1, 9000, 3), (1, 257, 33), (2, 100, 1003), (1, 700, 530),
]  # fmt: skip


def numbers(shape: tuple[int, ...], dtype: np.dtype, spread: float = 3.0) -> np.ndarray:
    return (np.random.default_rng(sum(shape)).standard_normal(shape) * spread).astype(dtype)


def exact(x: np.ndarray, axis: int, temperature: float = 1.0) -> dict[str, np.ndarray]:
    """Forward results in extended precision, and d = (x - max)/T."""
    x = x.astype(np.longdouble)
    top = x.max(axis, keepdims=True)
    d = (x - top) / np.longdouble(temperature)
    e = np.exp(d)
    others = e.copy()
    np.put_along_axis(others, np.expand_dims(x.argmax(axis), axis), 0, axis)
    lse = np.log1p(others.sum(axis, keepdims=True))
    p = e / e.sum(axis, keepdims=True)
    return {"softmax": p, "log_softmax": d - lse, "logsumexp": (top + lse).squeeze(axis), "d": d}


def assert_accurate(x: np.ndarray, axis: int, temperature: float, slack: float) -> None:
    eps, want = np.finfo(x.dtype).eps, exact(x, axis, temperature)
    y = fastact.softmax(x, axis=axis, temperature=temperature)
    error = np.abs(y - want["softmax"])
    assert (error <= slack * (4 + 0.5 * np.abs(want["d"])) * eps * want["softmax"] + np.finfo(x.dtype).tiny).all()
    assert np.abs(y.sum(axis, dtype=np.longdouble) - 1).max(initial=0) <= 4 * eps
    log_y = fastact.log_softmax(x, axis=axis, temperature=temperature)
    largest = np.maximum(np.abs(want["d"]), np.abs(want["log_softmax"]))
    dominated = want["d"] == 0                                  # relative, up to the rounding of x - max
    assert ((np.abs(log_y - want["log_softmax"]) <= slack * 4 * eps * largest) | dominated).all()
    got, expected = log_y[dominated].astype(float), want["log_softmax"][dominated].astype(float)
    assert np.allclose(got, expected, rtol=40 * eps, atol=0)
    if temperature == 1.0:
        largest = np.maximum(np.abs(want["logsumexp"]), np.abs(x).max(axis))
        assert (np.abs(fastact.logsumexp(x, axis=axis) - want["logsumexp"]) <= 4 * eps * largest).all()


@pytest.mark.parametrize("classes", range(1, 41))
def test_short_rows(classes: int, dtype: np.dtype, isa: str) -> None:
    slack = 2 if isa == "baseline" else 1                       # without FMA
    x = numbers((40, classes), dtype)
    whole = {name: getattr(fastact, name)(x) for name in FORWARD}
    for temperature in (1.0, 0.7):
        assert_accurate(x, -1, temperature, slack)
    dy = numbers((40, classes), dtype, 1.0)
    for name in GRADIENTS:
        whole[name] = getattr(fastact, name)(dy, whole[name.removesuffix("_grad")])
    for rows in range(40):
        for name in FORWARD:
            assert np.array_equal(getattr(fastact, name)(x[:rows]), whole[name][:rows])
        for name in GRADIENTS:
            y = whole[name.removesuffix("_grad")]
            assert np.array_equal(getattr(fastact, name)(dy[rows:], y[rows:]), whole[name][rows:])


@pytest.mark.parametrize("shape", STRIDED)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_any_class_axis(shape: tuple[int, int, int], temperature: float, dtype: np.dtype, isa: str) -> None:
    x = numbers(shape, dtype)
    assert_accurate(x, 1, temperature, 2 if isa == "baseline" else 1)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    for name in FORWARD:
        options = {} if name == "logsumexp" else {"temperature": temperature}
        got, moved = getattr(fastact, name)(x, axis=1, **options), getattr(fastact, name)(last, **options)
        moved = moved if name == "logsumexp" else np.moveaxis(moved, -1, 1)
        if shape[1] <= SHORT:
            assert np.array_equal(got, moved)
        else:
            assert np.allclose(got, moved, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)
    for name in GRADIENTS:
        y, dy = getattr(fastact, name.removesuffix("_grad"))(x, axis=1), numbers(shape, dtype, 1.0)
        got = getattr(fastact, name)(dy, y, axis=1, temperature=temperature)
        w, p = dy.astype(np.longdouble), y.astype(np.longdouble)
        if name == "softmax_grad":
            terms = p * (np.abs(w) + np.abs(w * p).sum(1, keepdims=True))
            want = p * (w - (w * p).sum(1, keepdims=True))
        else:
            terms = np.abs(w) + np.exp(p) * np.abs(w).sum(1, keepdims=True)
            want = w - np.exp(p) * w.sum(1, keepdims=True)
        assert (np.abs(got * np.longdouble(temperature) - want) <= 8 * np.finfo(dtype).eps * terms).all()


@pytest.mark.parametrize("name", FORWARD + GRADIENTS)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1000, 10), -1), ((37, 32), -1), ((2, 21, 1000), 1), ((9, 4, 700), 1), ((90, 21, 3), 1), ((3, 100, 1003), 1),
    ],
)  # fmt: skip
def test_same_bits_for_any_threads_alignment_and_place(
    name: str, shape: tuple[int, ...], axis: int, dtype: np.dtype
) -> None:
    function, tensors = getattr(fastact, name), [numbers(shape, dtype)]
    if name in GRADIENTS:
        tensors = [numbers(shape, dtype, 1.0), getattr(fastact, name.removesuffix("_grad"))(tensors[0], axis=axis)]
    results = []
    for threads in (1, 2, 3, 7):
        with fastact.threads(threads):
            results.append(function(*tensors, axis=axis))
    alone = [function(*(t[i : i + 1] for t in tensors), axis=axis)[0] for i in range(shape[0])]
    results.append(np.stack(alone))
    for offset in range(1, 16, 5):
        moved = [np.empty(t.size + 16, dtype)[offset : offset + t.size].reshape(shape) for t in tensors]
        for to, t in zip(moved, tensors, strict=True):
            to[...] = t
        results.append(function(*moved, axis=axis))
        if name != "logsumexp":
            function(*moved, axis=axis, out=moved[-1])          # in place
            results.append(moved[-1])
    for other in results[1:]:
        assert np.array_equal(results[0], other)


@pytest.mark.parametrize("shape", [(37, 10), (3, 21, 40), (9, 5, 3), (1, 300, 20), (2, 100, 1003)])
def test_nothing_is_written_beside_the_result(shape: tuple[int, ...], dtype: np.dtype, isa: str) -> None:
    x = numbers(shape, dtype)
    for axis in (1, -1):
        for name in FORWARD:
            want = getattr(fastact, name)(x, axis=axis)
            around = np.full(want.size + 64, 7, dtype)
            out = around[32 : 32 + want.size].reshape(want.shape)
            getattr(fastact, name)(x, axis=axis, out=out)
            assert np.array_equal(out, want)
            assert (around[:32] == 7).all()
            assert (around[-32:] == 7).all()


@pytest.mark.parametrize(
    ("shape", "axis"), [((40, 9), -1), ((5, 9, 40), 1), ((11, 9, 3), 1), ((1, 300, 20), 1), ((2, 100, 1003), 1)]
)
def test_masked(shape: tuple[int, ...], axis: int, dtype: np.dtype, isa: str) -> None:
    x, rng = numbers(shape, dtype), np.random.default_rng(2)
    keep = rng.random(shape) < 0.5
    keep[(0, slice(None), *[0] * (len(shape) - 2))] = False     # one row without classes
    dirty = np.where(keep, x, rng.choice([np.nan, np.inf, -np.inf], shape)).astype(dtype)
    plain = np.where(keep, x, -np.inf).astype(dtype)
    some = np.broadcast_to(keep.any(axis, keepdims=True), shape)
    for name, none in (("softmax", 0), ("log_softmax", -np.inf)):
        got, want = getattr(fastact, name)(dirty, axis=axis, where=keep), getattr(fastact, name)(plain, axis=axis)
        assert np.array_equal(got[some], want[some])
        assert (got[~keep] == none).all()
        again = dirty.copy()
        getattr(fastact, name)(again, axis=axis, where=keep, out=again)
        assert np.array_equal(again, got)
    assert np.array_equal(fastact.logsumexp(dirty, axis=axis, where=keep), fastact.logsumexp(plain, axis=axis))


@pytest.mark.parametrize("layout", ["rows", "strided", "across", "parts"])
def test_limits(layout: str, dtype: np.dtype, isa: str) -> None:
    inf, nan = np.inf, np.nan
    rows = [[-inf, -inf, -inf], [inf, 0, 1], [nan, 0, 1], [-inf, 0, -inf], [0, 1, nan], [inf, nan, 0], [inf, inf, 0]]
    rows = np.array(rows, dtype)
    fill = np.full((7, 300), -inf, dtype)
    fill[:, ::100] = rows
    x, axis = {"rows": (rows, -1), "across": (np.stack([rows, rows], -1), 1), "strided": (rows.T.copy(), 0),
               "parts": (fill.T.copy(), 0)}[layout]  # fmt: skip
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        y, log_y, lse = (getattr(fastact, name)(x, axis=axis) for name in FORWARD)
        dx = fastact.softmax_grad(x, x, axis=axis)
    if layout == "across":
        for a in (y, log_y, lse):
            assert np.array_equal(a[..., 0], a[..., 1], equal_nan=True)
        y, log_y, lse = y[..., 0], log_y[..., 0], lse[..., 0]
    elif axis == 0:
        y, log_y = y.T, log_y.T
    if layout == "parts":
        y, log_y = y[:, ::100], log_y[:, ::100]
    for row in (0, 1, 2, 4, 5, 6):
        assert np.isnan([y[row], log_y[row]]).all()
    assert y[3].tolist() == [0, 1, 0]
    assert log_y[3].tolist() == [-inf, 0, -inf]
    assert np.array_equal(lse, np.array([-inf, inf, nan, 0, nan, nan, inf], dtype), equal_nan=True)
    assert np.isnan(dx).any()


def test_one_class_dominates(dtype: np.dtype, isa: str) -> None:
    x = np.zeros((3, 20, 50), dtype)
    x[:, 7] = 16.94
    want = exact(x, 1)["log_softmax"]
    last = fastact.log_softmax(np.moveaxis(x, 1, -1).copy())
    for got in (fastact.log_softmax(x, axis=1), np.moveaxis(last, -1, 1)):
        assert np.allclose(got[:, 7].astype(float), want[:, 7].astype(float), rtol=4 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("classes", [3, 10, 32, 33])
def test_gufuncs_of_any_strides(classes: int, dtype: np.dtype) -> None:
    x, dy = numbers((6, 50, classes), dtype), numbers((6, 50, classes), dtype, 1.0)
    wide = np.zeros((6, 50, classes + 5), dtype)
    wide[..., 2 : classes + 2] = x
    views = [x, x[::-1], x[:, ::2], x[..., ::-1], x[..., ::2], x[:, :1], np.broadcast_to(x[:1], x.shape)]
    for view in (*views, wide[..., 2 : classes + 2]):
        plain = np.ascontiguousarray(view)
        for name in FORWARD:
            assert np.array_equal(getattr(ufuncs, name)(view), getattr(fastact, name)(plain))
    for name in GRADIENTS:
        y = getattr(fastact, name.removesuffix("_grad"))(x)
        want = getattr(fastact, name)(dy, y)
        assert np.array_equal(getattr(ufuncs, name)(np.asfortranarray(dy), y), want)
        out = np.zeros((6, 50, 2 * classes), dtype)[..., ::2]
        getattr(ufuncs, name)(dy, y, out=out)
        assert np.array_equal(out, want)
    half = x.astype(np.float16)
    assert np.array_equal(ufuncs.softmax(half), fastact.softmax(half))
    assert np.array_equal(ufuncs.softmax(x, axis=1), fastact.softmax(np.moveaxis(x, 1, -1).copy()).swapaxes(1, -1))


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((2, 21, 1000), 1), ((3, 5, 16), 1), ((1, 700, 40), 1), ((2, 3, 4099), 1),
        ((2, 21, 2048), 1), ((2, 33, 1024), 1), ((37, 21), -1), ((90, 3), -1), ((64, 16), -1), ((5, 33), -1),
        ((3, 2049), -1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_past_the_caches(shape: tuple[int, ...], axis: int, temperature: float, dtype: np.dtype) -> None:
    """Large results are stored past the caches: the same bits at every alignment and over an input, nothing around."""
    x, dy = numbers(shape, dtype), numbers(shape, dtype, 1.0)
    for name in [*FORWARD[:2], *GRADIENTS]:
        function = functools.partial(getattr(fastact, name), axis=axis, temperature=temperature)
        inputs = (dy, x) if name in GRADIENTS else (x,)
        whole = function(*inputs)
        _kernels.set_last_level_cache(1)
        for offset in range(0, 64 // dtype.itemsize + 1, 3):
            for threads in (1, 3):
                fastact.set_num_threads(threads)
                frame = np.full(x.size + 40, 77, dtype)
                out = frame[offset : offset + x.size].reshape(shape)
                function(*inputs, out=out)
                assert np.array_equal(out, whole), f"{name}, {offset} elements off, {threads} threads"
                assert (frame[:offset] == 77).all(), "wrote before out"
                assert (frame[offset + x.size :] == 77).all(), "wrote behind out"
        for k in range(len(inputs)):
            over = [t.copy() for t in inputs]
            assert np.array_equal(function(*over, out=over[k]), whole), f"{name} over input {k}"
        _kernels.set_last_level_cache(0)


@pytest.mark.parametrize("options", [{}, {"temperature": 0.7}, {"where": True}], ids=["plain", "temperature", "where"])
def test_long_rows_past_the_caches(options: dict[str, Any], dtype: np.dtype) -> None:
    """A row leaves while the next is summed, line by line: chunks of many lengths, specials between."""
    for shape in ((1, 2500), (7, 4096), (5, 2049), (6, 5003), (4, 9001)):
        x = numbers(shape, dtype)
        x[-1, :3] = -np.inf, np.finfo(dtype).max, 0
        if len(x) > 4:
            x[1, 7], x[2] = np.nan, -np.inf
            x[3, ::3] = np.inf
        if "where" in options:
            options = {"where": np.random.default_rng(1).random(shape) < 0.7}
        for function in (fastact.softmax, fastact.log_softmax):
            _kernels.set_last_level_cache(0)
            whole = function(x, **options)
            _kernels.set_last_level_cache(1)
            for offset in (0, 1, 5, 64 // dtype.itemsize - 1):
                for threads in (1, 2, 3):
                    fastact.set_num_threads(threads)
                    frame = np.full(x.size + 40, 77, dtype)
                    function(x, out=frame[offset : offset + x.size].reshape(shape), **options)
                    np.testing.assert_array_equal(frame[offset : offset + x.size], whole.ravel(), f"{shape}, {offset}")
                    assert (frame[:offset] == 77).all(), "wrote before out"
                    assert (frame[offset + x.size :] == 77).all(), "wrote behind out"


def test_empty_and_scalar(dtype: np.dtype) -> None:
    assert fastact.softmax(np.empty((3, 0, 4), dtype), axis=1).shape == (3, 0, 4)
    assert fastact.softmax(np.empty((3, 5, 0), dtype), axis=1).shape == (3, 5, 0)
    assert (fastact.logsumexp(np.empty((3, 0, 4), dtype), axis=1) == np.full((3, 4), -np.inf)).all()
    assert fastact.logsumexp(np.empty((0, 3, 4), dtype), axis=1).shape == (0, 4)
    one = fastact.logsumexp(np.zeros(1, dtype))
    assert isinstance(one, dtype.type)
    assert one == 0
    x = numbers((4, 3), dtype)
    out = np.empty(4, dtype)
    assert fastact.logsumexp(x, out=out) is out
    assert np.array_equal(out, fastact.logsumexp(x))
    overlapping = x.copy()
    fastact.logsumexp(overlapping, out=overlapping.reshape(-1)[:4])         # inputs that the output covers
    assert np.array_equal(overlapping.reshape(-1)[:4], out)
