"""glu and glu_grad: the halves where they lie, along any axis."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_same_bits, hard_values, ulp_distance

import fastact
from fastact import _kernels, ufuncs

SHAPES = [((2,), 0), ((6,), -1), ((3, 4), -1), ((4, 3), 0), ((65, 10), 1), ((2, 6, 5), 1), ((3, 128), 1),
          ((5, 254), 1), ((4, 2, 70), -2), ((2, 70000), 1), ((200000, 2), 1), ((2, 8, 3, 50), 1),
          ((0, 4), 1), ((3, 0), 1), ((4, 0), 0)]


def halves(x: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.split(x, 2, axis)
    return a.copy(), b.copy()


def tensors(shape: tuple[int, ...], axis: int, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    x = hard_values(int(np.prod(shape)), dtype).reshape(shape)
    return hard_values(x.size // 2, dtype, 1).reshape(halves(x, axis)[0].shape), x


def backward(dy: np.ndarray, x: np.ndarray, axis: int) -> np.ndarray:
    a, b = halves(x, axis)
    db, da = ufuncs.siglu_grad(dy, b, a)
    return np.concatenate([da, db], axis)


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_same_bits_as_the_ufunc_of_both_halves(shape: tuple[int, ...], axis: int, dtype: np.dtype, isa: str) -> None:
    dy, x = tensors(shape, axis, dtype.type)
    a, b = halves(x, axis)
    want = ufuncs.siglu(b, a)
    for threads in (1, 3):
        with fastact.threads(threads):
            assert_same_bits(fastact.glu(x, axis=axis), want, "glu")
            assert_same_bits(fastact.glu_grad(dy, x, axis=axis), backward(dy, x, axis), "glu_grad")


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_out(shape: tuple[int, ...], axis: int) -> None:
    dy, x = tensors(shape, axis, np.float32)
    y, dx = np.full_like(dy, 7), np.full_like(x, 7)
    want_y, want_dx = fastact.glu(x, axis=axis), fastact.glu_grad(dy, x, axis=axis)
    assert fastact.glu(x, axis=axis, out=y) is y
    assert fastact.glu_grad(dy, x, axis=axis, out=dx) is dx
    assert_same_bits(y, want_y)
    assert_same_bits(dx, want_dx)
    strided = np.empty((*y.shape, 2), np.float32)[..., 0]
    assert_same_bits(np.ascontiguousarray(fastact.glu(x, axis=axis, out=strided)), want_y)
    assert fastact.glu_grad(dy, x, axis=axis, out=x) is x                  # in place
    assert_same_bits(x, want_dx)


def test_out_may_overlap_the_input() -> None:
    memory = hard_values(1001, np.float32)
    x, y = memory[1:].reshape(10, 100), memory[:500].reshape(10, 50)
    want = fastact.glu(x.copy())
    assert_same_bits(fastact.glu(x, out=y), want)
    dy, x = tensors((10, 100), -1, np.float32)
    memory = np.concatenate([np.float32([0]), x.ravel()])
    want = fastact.glu_grad(dy, x)
    assert_same_bits(fastact.glu_grad(dy, memory[1:].reshape(10, 100), out=memory[:-1].reshape(10, 100)), want)


LAYOUTS = {
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "fortran": np.asfortranarray,
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "reversed": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "list": lambda a: a.tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout: str) -> None:
    dy, x = tensors((6, 4, 8), 1, np.float64)
    a, b = halves(x, 1)
    arranged = LAYOUTS[layout](x)
    assert_same_bits(np.ascontiguousarray(fastact.glu(arranged, axis=1)), ufuncs.siglu(b, a))
    assert_same_bits(np.ascontiguousarray(fastact.glu_grad(LAYOUTS[layout](dy), arranged, axis=1)), backward(dy, x, 1))
    assert_same_bits(np.ascontiguousarray(fastact.glu_grad(dy, arranged, axis=1)), backward(dy, x, 1))


def test_float16_integers_and_mixed_dtypes() -> None:
    x = np.float16([[2, 4, 0, 1]])
    assert fastact.glu(x).dtype == fastact.glu_grad(np.float16([[1, 1]]), x).dtype == np.float16
    assert fastact.glu([2, 4, 0, 0]).tolist() == [1, 2]
    assert fastact.glu(np.array([2, 4, 0, 0])).dtype == np.float64
    dx = fastact.glu_grad(np.array([[1.0, 1.0]]), np.float32([[2, 4, 0, 0]]))
    assert dx.dtype == np.float64
    assert dx.tolist() == [[0.5, 0.5, 0.5, 1.0]]


def test_errors() -> None:
    x, dy = np.zeros((4, 6), np.float32), np.zeros((4, 3), np.float32)
    complex_x = x.astype(complex)
    for error, text, call in [
        (ValueError, r"^glu: x has size 5 along axis 1, expected an even size$", lambda: fastact.glu(x[:, :5])),
        (ValueError, r"^glu_grad: x has size 5 along axis 1, expected", lambda: fastact.glu_grad(dy, x[:, :5])),
        (np.exceptions.AxisError, r"^glu: axis is 2, but x has 2 dimensions$", lambda: fastact.glu(x, axis=2)),
        (np.exceptions.AxisError, r"^glu: axis is -1, but x has 0 dimensions$", lambda: fastact.glu(1.0)),
        (TypeError, r"^glu: x has dtype complex128, expected float16", lambda: fastact.glu(complex_x)),
        (ValueError, r"^glu: out has shape \(4, 6\), expected \(4, 3\)$", lambda: fastact.glu(x, out=x)),
        (TypeError, r"^glu: out has dtype float64, expected float32$", lambda: fastact.glu(x, out=dy.astype(float))),
        (ValueError, r"^glu_grad: dy has shape \(4, 6\), expected \(4, 3\)$", lambda: fastact.glu_grad(x, x)),
        (ValueError, r"^glu_grad: out has shape \(4, 3\), expected \(4, 6\)$", lambda: fastact.glu_grad(dy, x, out=dy)),
        (TypeError, r"^glu: axis is 1.0, expected an int$", lambda: fastact.glu(x, axis=1.0)),
    ]:
        with pytest.raises(error, match=text):
            call()


def test_dask_stays_lazy_and_masks_stay() -> None:
    da = pytest.importorskip("dask.array")
    _, x = tensors((6, 8), 1, np.float64)
    lazy = fastact.glu(da.from_array(x, chunks=(2, 8)))
    assert isinstance(lazy, da.Array)
    assert_same_bits(lazy.compute(), fastact.glu(x))
    masked = fastact.glu(np.ma.array(x, mask=np.eye(6, 8, dtype=bool)))
    a, b = halves(np.eye(6, 8, dtype=bool), 1)
    assert (np.ma.getmaskarray(masked) == (a | b)).all()


class Tagged(np.ndarray):
    pass


@pytest.mark.parametrize("kind", [Tagged, np.memmap, np.ma.MaskedArray])
def test_subclasses_are_checked_and_fill_out(kind: type[np.ndarray]) -> None:
    dy, x = tensors((6, 8), 1, np.float32)
    for a, b in ((dy, x.view(kind)), (dy.view(kind), x)):
        y, dx = np.full_like(dy, 7), np.full_like(x, 7)
        assert fastact.glu(b, out=y) is y
        assert fastact.glu_grad(a, b, out=dx) is dx
        assert_same_bits(y, fastact.glu(x))
        assert_same_bits(dx, fastact.glu_grad(dy, x))
        got = fastact.glu_grad(a, b)
        assert type(got) is type(fastact.swiglu_grad(a, dy, b[:, :4])[0]), "the class that its siblings give"
        assert_same_bits(np.asarray(got), dx)
        for error, text, function, operands, out in [
            (ValueError, r"^glu_grad: dy has shape \(5, 4\), expected \(6, 4\)$", fastact.glu_grad, (a[:5], b), None),
            (ValueError, r"^glu_grad: dy has shape \(6, 1\), expected", fastact.glu_grad, (a[:, :1], b), None),
            (TypeError, r"^glu_grad: out is of type str", fastact.glu_grad, (a, b), "junk"),
            (ValueError, r"^glu_grad: out has shape \(3, 6, 8\)", fastact.glu_grad, (a, b), np.stack([x] * 3)),
            (TypeError, r"^glu_grad: out has dtype float64", fastact.glu_grad, (a, b), x.astype(float)),
            (TypeError, r"^glu_grad: dy has dtype complex", fastact.glu_grad, (a.astype(complex), b), None),
            (ValueError, r"^glu: out has shape \(3, 6, 4\)", fastact.glu, (b,), np.stack([dy] * 3)),
            (TypeError, r"^glu: x has dtype complex", fastact.glu, (b.astype(complex),), None),
        ]:
            with pytest.raises(error, match=text):
                function(*operands, out=out)


def test_the_gradient_keeps_masks() -> None:
    dy, x = tensors((6, 8), 1, np.float64)
    mask = np.eye(6, 8, dtype=bool)
    a, b = halves(mask, 1)
    for got in (
        fastact.glu_grad(dy, np.ma.array(x, mask=mask)),
        fastact.glu_grad(np.ma.array(dy, mask=a | b), x),
        fastact.glu_grad(dy, np.ma.array(x, mask=mask), out=np.ma.zeros((6, 8))),
    ):
        assert (np.ma.getmaskarray(got) == np.concatenate([a | b, a | b], 1)).all()
        assert_same_bits(got.data[~got.mask], fastact.glu_grad(dy, x)[~got.mask])


def test_dask_gradients_name_the_recipe() -> None:
    da = pytest.importorskip("dask.array")
    dy, x = tensors((6, 8), 1, np.float64)
    for argument, operands in (("dy", (da.from_array(dy), x)), ("x", (dy, da.from_array(x)))):
        with pytest.raises(TypeError, match=rf"^glu_grad: {argument} is a Dask collection, .*map_blocks"):
            fastact.glu_grad(*operands)


def test_pandas_labels_do_not_align_the_halves() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame([[2.0, 4.0, 0.0, 0.0]], columns=list("abcd"))
    assert np.asarray(fastact.glu(frame)).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("half", [20, 127, 128, 133, 140, 160, 1023, 1024, 1040, 2049, 10001])
@pytest.mark.parametrize("start", [0, 4])
def test_stores_past_the_caches_give_the_same_bits(half: int, start: int, dtype: np.dtype) -> None:
    """Rows of any length, whole lines or not, fetched ahead and stored past the caches; nothing around them."""
    x = hard_values(60 * half, dtype.type).reshape(30, 2 * half)
    want = fastact.glu(x)
    _kernels.set_last_level_cache(1)
    memory = np.full(want.size + 64, 7, dtype)
    first = (-memory.ctypes.data % 64) // dtype.itemsize + start
    out = memory[first : first + want.size].reshape(want.shape)
    for threads in (1, 3):
        with fastact.threads(threads):
            assert_same_bits(fastact.glu(x, out=out), want, f"{threads} threads")
            assert_same_bits(fastact.glu_grad(want, x), backward(want, x, 1), "glu_grad")
    assert (memory[:first] == 7).all(), "wrote before out"
    assert (memory[first + want.size :] == 7).all(), "wrote behind out"


def test_against_torch(dtype: np.dtype) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for shape, axis in SHAPES:
        if 0 in shape:
            continue
        x = rng.normal(size=shape).astype(dtype)
        leaf = torch.from_numpy(x).requires_grad_()
        y = torch.nn.functional.glu(leaf, dim=axis)
        dy = rng.normal(size=y.shape).astype(dtype)
        y.backward(torch.from_numpy(dy))
        dx, eps = fastact.glu_grad(dy, x, axis=axis), np.finfo(dtype).eps
        np.testing.assert_allclose(fastact.glu(x, axis=axis), y.detach().numpy(), rtol=8 * eps, atol=1e-30)
        np.testing.assert_allclose(dx, leaf.grad.numpy(), rtol=8 * eps, atol=8 * eps)


def test_the_gradient_of_the_first_half_is_the_sigmoid(dtype: np.dtype, isa: str) -> None:
    """glu_grad computes it beside the derivative, by another formula than glu: as near to the exact values."""
    b = np.concatenate([hard_values(1000, dtype.type), np.linspace(-120, 40, 200_001).astype(dtype)])
    b = b[~np.isnan(b)]
    one = np.ones_like(b)
    got = fastact.glu_grad(one[:, None], np.stack([one, b], 1))[:, 0]
    e = np.exp(-np.abs(b).astype(np.longdouble))
    assert ulp_distance(got, (np.where(b < 0, e, 1) / (1 + e)).astype(dtype)).max() <= 2
    assert (got[b == 0] == 0.5).all()
    assert (got[b >= 40] == 1).all()


def test_nan_and_infinity_in_the_gradient() -> None:
    x = np.float32([[2, np.nan], [2, np.inf], [2, -np.inf]])
    got = fastact.glu_grad(np.ones((3, 1), np.float32), x)
    np.testing.assert_array_equal(got, np.float32([[np.nan, np.nan], [1, 0], [0, 0]]))
