"""Softmax, log-softmax, log-sum-exp and their gradients: accuracy, limits, layouts, the same bits however they run."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastact
from fastact import _kernels, ufuncs

LENGTHS = [*range(1, 101), 127, 128, 129, 255, 256, 257, 511, 513, 1000, 1025, 4097, 16384, 16385, 40001]
SPLIT = 200_003                     # classes of a row that is long enough to be cut over threads


def rows_of(n: int, dtype: np.dtype, count: int = 3, spread: float = 3.0) -> np.ndarray:
    rng = np.random.default_rng(n)
    x = (rng.standard_normal((count, n)) * spread).astype(dtype)
    x[0] = 0.3                      # all equal
    x[1] = 0
    x[1, n // 2] = 17               # one class dominates
    return x


def exact(x: np.ndarray, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """softmax, log_softmax, logsumexp and (x - max)/T of the last axis, in extended precision."""
    x = x.astype(np.longdouble)
    top = x.max(-1, keepdims=True)
    d = (x - top) / np.longdouble(temperature)
    e = np.exp(d)
    others = e.copy()
    np.put_along_axis(others, x.argmax(-1)[..., None], 0, -1)
    lse = np.log1p(others.sum(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True), d - lse, (top + lse)[..., 0], d


@pytest.mark.parametrize("n", LENGTHS)
def test_accuracy_at_every_length(n: int, dtype: np.dtype, isa: str) -> None:
    eps = np.finfo(dtype).eps
    slack = 2 if isa == "baseline" else 1                       # without FMA
    for temperature in (1.0, 0.7):
        x = rows_of(n, dtype)
        p, log_p, lse, d = exact(x, temperature)
        y = fastact.softmax(x, temperature=temperature)
        normal = p > 2 * np.finfo(dtype).tiny
        assert (np.abs(y - p) <= slack * (4 + 0.5 * np.abs(d)) * eps * p)[normal].all()
        assert np.abs(y.sum(-1, dtype=np.longdouble) - 1).max() <= 4 * eps
        log_y = fastact.log_softmax(x, temperature=temperature)
        dominated = d == 0                                      # relative, up to the rounding of x - max
        within = np.abs(log_y - log_p) <= slack * 4 * eps * np.maximum(np.abs(d), np.abs(log_p))
        assert (within | dominated).all()
        assert np.allclose(log_y[dominated].astype(float), log_p[dominated].astype(float), rtol=40 * eps, atol=0)
        if temperature == 1.0:
            bound = 4 * eps * np.maximum(np.abs(lse), np.abs(x).max(-1))
            assert (np.abs(fastact.logsumexp(x) - lse) <= bound).all()


def test_relative_accuracy_when_one_class_dominates() -> None:
    true = -np.log1p(np.exp(-np.float64(np.float32(16.94))))
    assert np.isclose(fastact.log_softmax(np.float32([16.94, 0]))[0], true, rtol=4 * np.finfo(np.float32).eps, atol=0)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("n", [5, 10, 64, 100, 1000, 16385, SPLIT])
def test_same_bits_for_any_threads_alone_or_in_a_batch(name: str, n: int, dtype: np.dtype) -> None:
    function = getattr(fastact, name)
    x = rows_of(n, dtype, 3 if n == SPLIT else 37)
    results = []
    for threads in (1, 2, 3, 7):
        with fastact.threads(threads):
            results.append(function(x))
    results.append(np.array([function(row) for row in x]))
    raw = np.empty(x.size + 16, dtype)[3 : 3 + x.size].reshape(x.shape)     # another alignment
    raw[...] = x
    results.append(function(raw))
    for other in results[1:]:
        assert np.array_equal(results[0], other)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_avx2_and_avx512_agree(name: str, dtype: np.dtype) -> None:
    """But for the last bits in float32, whose exponentials take tables of their registers' sizes."""
    if not {"avx2", "avx512"} <= set(_kernels.available_isas()):
        pytest.skip("this machine does not run both")
    before = _kernels.current_isa()
    try:
        for n in (*range(1, 70), 1000, 50257):
            x, got = rows_of(n, dtype), []
            for isa in ("avx2", "avx512"):
                _kernels.use_isa(isa)
                got.append(getattr(fastact, name)(x))
            if dtype == np.float32:
                np.testing.assert_allclose(*got, rtol=6e-7, atol=1e-7)
            else:
                assert np.array_equal(*got)
    finally:
        _kernels.use_isa(before)


def test_limits(dtype: np.dtype, isa: str) -> None:
    inf, nan = np.inf, np.nan
    x = np.array([[-inf, -inf, -inf], [inf, 0, 1], [nan, 0, 1], [-inf, 0, -inf], [0, 1, nan], [inf, nan, 0]], dtype)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        y, log_y, lse = fastact.softmax(x), fastact.log_softmax(x), fastact.logsumexp(x)
    for row in (0, 1, 2, 4, 5):
        assert np.isnan([y[row], log_y[row]]).all()
    assert y[3].tolist() == [0, 1, 0]
    assert log_y[3].tolist() == [-inf, 0, -inf]
    assert np.array_equal(lse, np.array([-inf, inf, nan, 0, nan, nan], dtype), equal_nan=True)


def test_underflow_is_exactly_zero(dtype: np.dtype) -> None:
    assert fastact.softmax(np.array([0, -2000], dtype)).tolist() == [1, 0]


def test_empty() -> None:
    assert fastact.softmax(np.empty((3, 0))).shape == (3, 0)
    assert fastact.logsumexp(np.empty((3, 0))).tolist() == [-np.inf] * 3
    assert fastact.softmax(np.empty((0, 3))).shape == (0, 3)
    assert fastact.logsumexp(np.empty((0, 3))).shape == (0,)


def test_masked_classes(dtype: np.dtype, isa: str) -> None:
    x = rows_of(70, dtype, 9)
    keep = np.random.default_rng(1).random(x.shape) < 0.5
    keep[4] = False
    dirty = np.where(keep, x, np.nan).astype(dtype)
    dirty[0, ~keep[0]] = np.inf
    plain = np.where(keep, x, -np.inf).astype(dtype)
    y, log_y = fastact.softmax(dirty, where=keep), fastact.log_softmax(dirty, where=keep)
    counts = keep.any(-1)
    assert np.array_equal(y[counts], fastact.softmax(plain[counts]))
    assert np.array_equal(log_y[counts], fastact.log_softmax(plain[counts]))
    assert (y[4] == 0).all()
    assert (log_y[4] == -np.inf).all()
    assert fastact.logsumexp(dirty, where=keep)[4] == -np.inf
    row = fastact.softmax(x, where=keep[0])                     # broadcast
    assert np.array_equal(row, fastact.softmax(x, where=np.tile(keep[0], (9, 1))))


@pytest.mark.parametrize("n", [4097, 40_001])
def test_masks_of_long_rows(n: int, dtype: np.dtype, isa: str) -> None:
    """Rows of several chunks, each with its own part of the mask, by one thread or cut over several."""
    x = rows_of(n, dtype)
    keep = np.random.default_rng(n).random(x.shape) < 0.5
    keep[:, -1] = True
    dirty, plain = np.where(keep, x, dtype.type(np.nan)), np.where(keep, x, dtype.type(-np.inf))
    target = np.full(len(x), n - 1)
    for function in (fastact.softmax, fastact.log_softmax, fastact.logsumexp):
        assert np.array_equal(function(dirty, where=keep), function(plain)), function.__name__
        assert np.array_equal(function(dirty[2:], where=keep[2:]), function(plain)[2:]), function.__name__
    loss, grad = fastact.cross_entropy_with_grad(dirty, target, where=keep)
    assert (loss, fastact.cross_entropy(dirty, target, where=keep)) == (fastact.cross_entropy(plain, target),) * 2
    assert np.array_equal(grad, fastact.cross_entropy_with_grad(plain, target)[1])


@pytest.mark.parametrize("axis", [0, 1, 2, -2, (0, 1), (1, 2), (0, 2), (2, 0), None, ()])
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_axes_and_layouts(axis: object, order: str, dtype: np.dtype) -> None:
    base = rows_of(20, dtype, 42).reshape(6, 7, 20)
    x = {"C": base, "F": np.asfortranarray(base), "strided": base[::-2, :, ::3]}[order]
    axes = tuple(range(3)) if axis is None else (axis,) if isinstance(axis, int) else axis
    e = np.exp(x.astype(np.longdouble) - x.max(axes, keepdims=True, initial=-np.inf))
    total = e.sum(axes, keepdims=True)
    assert np.allclose(fastact.softmax(x, axis=axis), e / total, rtol=30 * np.finfo(dtype).eps, atol=0)
    lse = fastact.logsumexp(x, axis=axis, keepdims=True)
    assert np.allclose(lse, np.log(total) + x.max(axes, keepdims=True), rtol=1e-6)
    assert np.array_equal(fastact.logsumexp(x, axis=axis), lse.squeeze(axes))
    out = x.copy(order="K")
    assert fastact.softmax(out, axis=axis, out=out) is out
    assert np.array_equal(out, fastact.softmax(x, axis=axis))


def test_logsumexp_drops_its_own_axis() -> None:
    """And not the last one, where that has length 1."""
    x = np.random.default_rng(0).standard_normal((5, 4, 1, 1))
    for axis in range(4):
        assert np.allclose(fastact.logsumexp(x, axis=axis), np.log(np.exp(x).sum(axis)))
        assert fastact.logsumexp(x, axis=axis).shape == x.sum(axis).shape


def test_gufuncs(dtype: np.dtype) -> None:
    x = rows_of(33, dtype, 12).reshape(3, 4, 33)
    for view in (x, x[::-1], x[:, ::2], x[..., ::-1], x[..., ::2], np.broadcast_to(x[:1], x.shape)):
        plain = np.ascontiguousarray(view)
        assert np.array_equal(ufuncs.softmax(view), fastact.softmax(plain))
        assert np.array_equal(ufuncs.logsumexp(view), fastact.logsumexp(plain))
        y = fastact.softmax(plain)
        assert np.array_equal(ufuncs.softmax_grad(view, y), fastact.softmax_grad(plain, y))
    half = x.astype(np.float16)
    assert ufuncs.softmax(half).dtype == np.float16 == fastact.softmax(half).dtype
    assert np.array_equal(ufuncs.softmax(half), fastact.softmax(half))
    again = x[..., ::2].copy()
    ufuncs.softmax(again, out=again)
    assert np.array_equal(again, fastact.softmax(x[..., ::2]))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_gradients_are_the_derivatives(name: str, temperature: float) -> None:
    rng = np.random.default_rng(3)
    x, dy, v = rng.standard_normal((3, 4, 9))
    function, gradient = getattr(fastact, name), getattr(fastact, f"{name}_grad")
    dx = gradient(dy, function(x, temperature=temperature), temperature=temperature)
    step = 1e-6
    change = function(x + step * v, temperature=temperature) - function(x - step * v, temperature=temperature)
    assert np.isclose((dx * v).sum(), (dy * change).sum() / (2 * step), rtol=1e-6)
    for target in ("dy", "y"):
        a, y = dy.copy(), function(x, temperature=temperature)
        out = a if target == "dy" else y
        gradient(a, y, temperature=temperature, out=out)
        assert np.array_equal(out, dx)


@pytest.mark.parametrize("n", [33, 100, 513, 1000])
@pytest.mark.parametrize("name", ["softmax_grad", "log_softmax_grad"])
def test_gradients_of_a_large_batch_are_those_of_its_parts(name: str, n: int, dtype: np.dtype, isa: str) -> None:
    """Past L2 rows may be taken by other vectors."""
    rng = np.random.default_rng(n)
    rows = (1 << 20) // (n * dtype.itemsize) + 3
    dy = rng.standard_normal((rows, n)).astype(dtype)
    y = getattr(fastact, name.removesuffix("_grad"))(rng.standard_normal((rows, n)).astype(dtype))
    gradient = getattr(fastact, name)
    for temperature in (1.0, 2.5):
        parts = [gradient(dy[i : i + 50], y[i : i + 50], temperature=temperature) for i in range(0, rows, 50)]
        assert np.array_equal(gradient(dy, y, temperature=temperature), np.concatenate(parts))


@pytest.mark.parametrize("n", [33, 64, 100, 128, 255, 256, 257, 512, 1000, 1024])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_rows_together_are_what_each_is_with_a_mask(name: str, n: int, dtype: np.dtype, isa: str) -> None:
    """A mask takes rows one by one: the same bits for any number of rows, whatever stands in the others."""
    function, everything = getattr(fastact, name), np.ones(n, bool)
    rng = np.random.default_rng(n)
    rows = (rng.standard_normal((33, n)) * 5).astype(dtype)
    for r, row in enumerate(rows):
        at = rng.integers(n)
        if r % 4 == 0:
            row[at] = (np.nan, np.inf, 9e3)[r // 4 % 3]
        elif r % 4 == 1:
            row[: (n, at, 1)[r // 4 % 3]] = -np.inf
        elif r % 4 == 2:
            row[[0, n // 2, n - 1]] = row.max()                 # three maxima
    for count in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33):
        x = rows[33 - count :]
        expected = function(x, where=everything)
        np.testing.assert_array_equal(function(x), expected)
        if name != "logsumexp":
            np.testing.assert_array_equal(function(x, out=x.copy()), expected)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("n", [*range(1, 18), 21, 31, 32])
@pytest.mark.parametrize("name", ["log_softmax", "logsumexp"])
def test_short_rows_that_are_looked_at_again(name: str, n: int, axis: int, dtype: np.dtype, isa: str) -> None:
    """Maxima and what underflows are left out of sums and counted: zeros of both signs, masked classes, nans."""
    function = getattr(fastact, name)
    rng = np.random.default_rng(n)
    rows = rng.choice(np.array([-9e9, -np.inf, -104, -88, -2, -0.0, 0.0], dtype), (333, n))
    rows[::7] = rng.standard_normal((48, n))
    rows[::5] = np.round(rows[::5] * 3)
    rows[3::50, n // 2] = np.nan
    rows[4::50, n - 1] = np.inf
    rows[6] = np.finfo(dtype).min
    with np.errstate(all="ignore"):
        x = rows.astype(np.longdouble)
        top = x.max(axis=1, keepdims=True)
        sums = np.log(np.exp(x - np.where(np.isinf(top), 0, top)).sum(axis=1, keepdims=True))
        expected = np.where(np.isinf(top), np.nan, x - top - sums) if name == "log_softmax" else (sums + top)[:, 0]
    got = function(rows if axis else np.ascontiguousarray(rows.T), axis=axis)
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(got if axis else got.T, expected.astype(dtype), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("n", [33, 300, 1000, 1025, 5000])
def test_maxima_and_what_underflows_or_is_nan(n: int, dtype: np.dtype, isa: str) -> None:
    """What a sum leaves out is counted: as a rule one maximum, here several, or -inf, far smaller numbers, nan."""
    rows = np.random.default_rng(n).normal(0, 1, (9, n)).astype(dtype)
    rows[0, [1, n - 1]] = 9.0
    rows[1, :] = 3.0
    rows[2, ::2] = -np.inf
    rows[3, 1:] = -1e4
    rows[4, n // 2] = np.nan
    rows[5, :] = -np.inf
    rows[6, [0, n - 2]] = np.inf
    rows[7, 5] = np.inf
    rows[8, [0, n - 1]] = 800.0, -np.nan
    got = fastact.logsumexp(rows, axis=1)
    finite = rows[:4].astype(np.longdouble)
    top = finite.max(1)
    with np.errstate(under="ignore"):
        expected = np.log(np.sum(np.exp(finite - top[:, None]), 1)) + top
    np.testing.assert_allclose(got[:4], expected.astype(np.float64), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(got[4:], np.array([np.nan, -np.inf, np.inf, np.inf, np.nan], dtype))


def test_scalars_and_lists() -> None:
    assert isinstance(fastact.logsumexp([1.0, 2.0]), np.float64)
    assert fastact.softmax(5.0, axis=None) == 1.0
    assert fastact.softmax(np.arange(3)).dtype == np.float64
    assert fastact.softmax(np.arange(3, dtype=np.int8)).dtype == np.float16


@pytest.mark.parametrize(
    ("error", "text", "arguments"),
    [
        (TypeError, "softmax: x has dtype complex128", {"x": np.ones(3, complex)}),
        (ValueError, "softmax: temperature is 0", {"temperature": 0}),
        (ValueError, "softmax: temperature is nan", {"temperature": np.nan}),
        (TypeError, "softmax: temperature is of type str", {"temperature": "1"}),
        (np.exceptions.AxisError, "softmax: axis is 2", {"axis": 2}),
        (TypeError, "softmax: axis is 0.5", {"axis": 0.5}),
        (ValueError, "softmax: axis is .0, -2., expected no axis twice", {"axis": (0, -2)}),
        (TypeError, "softmax: where has dtype int64", {"where": np.ones((2, 3), np.int64)}),
        (ValueError, r"softmax: where has shape \(4,\)", {"where": np.ones(4, bool)}),
        (ValueError, r"softmax: out has shape \(3,\)", {"out": np.empty(3)}),
        (TypeError, "softmax: out has dtype float32", {"out": np.empty((2, 3), np.float32)}),
    ],
)
def test_bad_arguments(error: type[Exception], text: str, arguments: dict) -> None:
    with pytest.raises(error, match=text):
        fastact.softmax(**{"x": np.ones((2, 3))} | arguments)


@pytest.mark.parametrize("axis", [-1, 0])
def test_float16_is_silent(axis: int) -> None:
    """What a float16 cannot hold becomes inf or subnormal without a word, whatever NumPy's errstate."""
    x = np.array([[-60000, 60000, 0, 15.5], [0, 15.5, 1, 2]], np.float16)
    p = np.array([[0, 1, 0, 0], [0.25, 0.25, 0.5, 0]], np.float16)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        assert fastact.log_softmax(x)[0, 0] == -np.inf
        fastact.logsumexp(x, axis=axis)
        for name in ("softmax", "log_softmax"):
            getattr(fastact, name)(x, axis=axis, temperature=1e-3)
        for name in ("softmax_grad", "log_softmax_grad"):
            getattr(fastact, name)(x, p, axis=axis, temperature=1e-3)
        fastact.entropy(x, axis=axis)
        fastact.kl_divergence(x, p, axis=axis)
        fastact.cross_entropy_with_grad(x, [0, 1] if axis else [0, 1, 0, 1], axis=axis)


def test_read_only_out_is_refused_and_untouched() -> None:
    out = np.full(3, 7.0)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="softmax: out is read-only"):
        fastact.softmax(np.ones(3), out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("cols", [10, 300])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmax_grad", "log_softmax_grad"])
def test_out_that_overlaps_an_input(name: str, cols: int, dtype: np.dtype) -> None:
    """Shifted over one of the inputs, so that a kernel would read what it has written."""
    function, size = getattr(fastact, name), 12 * cols
    rng = np.random.default_rng(0)
    given = [rng.random((12, cols)).astype(dtype) for _ in range(2 if name.endswith("grad") else 1)]
    expected = function(*given)
    for k in range(len(given)):
        for shift in (-cols, -1, 1, 3, cols):
            room = np.zeros(size + 2 * cols, dtype)
            moved = room[cols : cols + size].reshape(12, cols)
            out = room[cols + shift : cols + shift + size].reshape(12, cols)
            moved[...] = given[k]
            operands = [moved if j == k else t for j, t in enumerate(given)]
            assert function(*operands, out=out) is out
            assert np.array_equal(out, expected), (k, shift)
