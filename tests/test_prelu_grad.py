"""prelu_grad: both gradients in one pass, for every way alpha can lie against x."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

import fastact

SHAPES = [
    # x, alpha
    ((7,), ()), ((7,), (1,)), ((1000,), (1,)), ((40000,), (1,)), ((3, 5), (1, 1)), ((3, 5), ()),
    ((1, 1), (1,)), ((4, 5), (5,)), ((300, 64), (64,)), ((129, 700), (700,)), ((5000, 3), (3,)), ((5001, 10), (10,)),
    ((2, 3000), (3000,)), ((4, 5), (1, 5)), ((4, 5), (4, 1)), ((4, 5), (4, 5)), ((5,), (5,)),
    ((2, 3, 4, 5), (3, 1, 1)), ((2, 3, 8, 8), (3, 1, 1)), ((3, 70, 33, 33), (70, 1, 1)), ((20, 16, 7, 7), (16, 1, 1)),
    ((200, 4, 3), (4, 1)), ((2, 3, 150, 150), (3, 1, 1)), ((6, 4, 5), (6, 4, 1)), ((6, 4, 5), (6, 1, 1)),
    ((6, 4, 5), (4, 5)), ((6, 4, 5), (6, 1, 5)), ((6, 1, 5), (6, 1, 1)), ((70000, 2), (2,)),
]


def case(shape: tuple[int, ...], alpha_shape: tuple[int, ...], dtype: type) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(len(shape) + sum(shape))
    x = rng.normal(size=shape).astype(dtype)
    x.flat[:: max(1, x.size // 7)] = 0
    return rng.normal(size=shape).astype(dtype), x, rng.normal(size=alpha_shape).astype(dtype)


def axes_of(x: np.ndarray, alpha_shape: tuple[int, ...]) -> tuple[int, ...]:
    padded = (1,) * (x.ndim - len(alpha_shape)) + alpha_shape
    return tuple(d for d in range(x.ndim) if padded[d] == 1)


def expected(dy: np.ndarray, x: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dx; dalpha by exact sums; the sum of the magnitudes."""
    dx = dy * np.where(x > 0, x.dtype.type(1), alpha)
    terms = dy.astype(np.float64) * np.minimum(x, 0).astype(np.float64)
    axes = axes_of(x, alpha.shape)
    moved = np.moveaxis(terms, axes, range(len(axes))).reshape(-1, max(1, alpha.size))
    sums = np.array([math.fsum(column) for column in moved.T]).reshape(alpha.shape)
    return dx, sums, np.abs(terms).sum(axis=axes).reshape(alpha.shape)


@pytest.mark.parametrize(("shape", "alpha_shape"), SHAPES)
def test_against_exact_sums(shape: tuple[int, ...], alpha_shape: tuple[int, ...], dtype: np.dtype, isa: str) -> None:
    dy, x, alpha = case(shape, alpha_shape, dtype.type)
    want_dx, want, magnitude = expected(dy, x, alpha)
    dx, dalpha = fastact.prelu_grad(dy, x, alpha)
    assert dx.dtype == dalpha.dtype == dtype
    assert dx.shape == shape
    assert np.shape(dalpha) == alpha_shape
    assert (dx == want_dx).all()
    bound = np.finfo(dtype).eps / 2 * np.abs(want) + 1e-15 * magnitude
    assert (np.abs(dalpha - want) <= bound).all()


@pytest.mark.parametrize(("shape", "alpha_shape"), SHAPES)
def test_same_bits_for_any_number_of_threads(shape: tuple[int, ...], alpha_shape: tuple[int, ...]) -> None:
    big = (shape[0] * 20, *shape[1:]) if alpha_shape[: len(shape)] != shape and len(alpha_shape) < len(shape) else shape
    dy, x, alpha = case(big, alpha_shape, np.float32)
    results = []
    for threads in (1, 2, 3, 7):
        with fastact.threads(threads):
            results.append(fastact.prelu_grad(dy, x, alpha))
    for dx, dalpha in results[1:]:
        assert (dx == results[0][0]).all()
        assert (dalpha == results[0][1]).all()


LAYOUTS = {
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "reversed": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "fortran": np.asfortranarray,
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
    "list": lambda a: a.tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_any_layout(layout: str, which: int) -> None:
    operands = list(case((6, 4, 5), (4, 1), np.float64))
    want_dx, want, magnitude = expected(*operands)
    operands[which] = LAYOUTS[layout](operands[which])
    dx, dalpha = fastact.prelu_grad(*operands)
    assert (np.asarray(dx) == want_dx).all()
    assert (np.abs(dalpha - want) <= 1e-15 * magnitude).all()


def test_x_itself_may_broadcast() -> None:
    rng = np.random.default_rng(3)
    dy, x, alpha = rng.normal(size=(6, 5)), rng.normal(size=(5,)), rng.normal(size=(6, 1))
    dx, dalpha = fastact.prelu_grad(dy, x, alpha)
    full = np.broadcast_to(x, dy.shape)
    assert (dx == dy * np.where(full > 0, 1, alpha)).all()
    np.testing.assert_allclose(dalpha, (dy * np.minimum(full, 0)).sum(axis=1, keepdims=True), rtol=1e-14)


@pytest.mark.parametrize("alpha", [0.25, 2, np.float32(0.25), np.float64(0.25), np.array(0.25)])
def test_scalar_alpha_gives_a_scalar(alpha: object) -> None:
    dy, x = np.float32([1, 2, 3]), np.float32([-1, 2, -3])
    dx, dalpha = fastact.prelu_grad(dy, x, alpha)
    assert isinstance(dalpha, np.floating)
    assert dalpha == -10
    strong = isinstance(alpha, (np.float64, np.ndarray))
    assert dx.dtype == dalpha.dtype == (np.float64 if strong else np.float32)


def test_float16_and_integers() -> None:
    dy, x = np.ones(3000, np.float16), np.full(3000, -1, np.float16)
    dx, dalpha = fastact.prelu_grad(dy, x, np.float16([0.5]))
    assert dx.dtype == dalpha.dtype == np.float16
    assert dalpha == -3000                                     # float16 sums would stop at 2048
    dx, dalpha = fastact.prelu_grad([1, 2], [-1, 2], [2])
    assert dx.dtype == np.float64
    assert dx.tolist() == [2, 2]
    assert dalpha.tolist() == [-1]


@pytest.mark.parametrize("one", [np.float32, np.float64, np.float16, np.int8])
def test_python_numbers_are_weak(one: type) -> None:
    array = np.array([-1, 2], one)
    kind = fastact.relu_grad(1.0, array).dtype
    for operands in ((1.0, array, array), (array, 2, array), (1.0, array, 0.5), (array, 1, 1), (1, array, array)):
        assert [t.dtype for t in fastact.prelu_grad(*operands)] == [kind, kind]
    assert [t.dtype for t in fastact.prelu_grad(1, 1, 1)] == [np.float64, np.float64]


class Tagged(np.ndarray):
    pass


@pytest.mark.parametrize("alpha", [0.5, np.array(0.5), np.full(4, 0.5), np.full((6, 1), 0.5)], ids=np.shape)
def test_subclasses_stay(alpha: object) -> None:
    dy, x, _ = case((6, 4), (), np.float32)
    want_dx, want = fastact.prelu_grad(dy, x, alpha)
    for operands in ((dy.view(Tagged), x, alpha), (dy, x.view(Tagged), alpha)):
        dx, dalpha = fastact.prelu_grad(*operands)
        assert type(dx) is type(dalpha) is Tagged
        assert dx.dtype == dalpha.dtype == want.dtype
        assert dalpha.shape == want.shape
        assert (dx == want_dx).all()
        np.testing.assert_allclose(dalpha, want, rtol=1e-6)
    dx, dalpha = np.empty_like(want_dx), np.empty_like(want)
    got = fastact.prelu_grad(dy, x.view(Tagged), alpha, out=(dx, None if want.ndim == 0 else dalpha))
    assert got[0] is dx
    assert (dx == want_dx).all()


def test_what_is_masked_is_not_summed() -> None:
    x = np.ma.array([-1.0, -1e6, 3.0], mask=[0, 1, 0])
    for operands in ((np.ones(3), x, np.array([0.5])), (x, -np.ones(3), np.array([0.5]))):
        dx, dalpha = fastact.prelu_grad(*operands)
        assert np.ma.getmaskarray(dx).tolist() == [False, True, False]
        assert isinstance(dalpha, np.ma.MaskedArray)
        assert dalpha.tolist() == [-1.0 if operands[1] is x else -2.0]
    assert fastact.prelu_grad(np.ones(3), x, 0.5)[1] == -1
    columns = np.ma.array(-np.ones((3, 2)), mask=[[0, 1], [1, 1], [0, 1]])
    assert fastact.prelu_grad(1.0, columns, np.ones(2))[1].tolist() == [-2.0, None]
    assert fastact.prelu_grad(1.0, -np.ones((3, 2)), np.ma.array([1.0, 2.0], mask=[1, 0]))[1].tolist() == [None, -3.0]
    assert fastact.prelu_grad(1.0, np.ma.array(np.empty((0, 2))), np.ones(2))[1].tolist() == [0.0, 0.0]


def test_pandas_keeps_labels() -> None:
    pd = pytest.importorskip("pandas")
    dy, x, alpha = case((6, 2), (2,), np.float32)
    want_dx, want = fastact.prelu_grad(dy, x, alpha)
    frame = pd.DataFrame(x, index=list("uvwxyz"), columns=["left", "right"])
    for operands in ((dy, frame, alpha), (pd.DataFrame(dy, frame.index, frame.columns), frame, alpha)):
        dx, dalpha = fastact.prelu_grad(*operands)
        assert dx.index.equals(frame.index)
        assert dx.columns.equals(frame.columns)
        assert (dx.to_numpy() == want_dx).all()
        assert dalpha.dtype == np.float32
        np.testing.assert_allclose(dalpha, want, rtol=1e-6)
    series = pd.Series([-1.0, 2.0, -3.0], index=list("abc"))
    dx, dalpha = fastact.prelu_grad(1.0, series, pd.Series([0.5, 0.25, 0.125], index=list("cba")))
    assert dx.to_dict() == {"a": 0.125, "b": 1.0, "c": 0.5}
    assert dalpha.to_dict() == {"c": -3.0, "b": 0.0, "a": -1.0}
    with pytest.raises(TypeError, match=r"^prelu_grad: x has dtype object, expected"):
        fastact.prelu_grad(1.0, series.astype(object), 0.5)


@pytest.mark.parametrize("kind", [np.int8, np.float32, np.float64])
def test_sparse_series_of_pandas(kind: type) -> None:
    pd = pytest.importorskip("pandas")
    x = np.array([1, -2, 3], kind)
    series, wanted = pd.Series(pd.arrays.SparseArray(x)), fastact.prelu_grad(x, x, 0.5)
    for operands in ((series, series, 0.5), (series, x, 0.5), (x, series, 0.5)):
        dx, dalpha = fastact.prelu_grad(*operands)
        assert dx.dtype.subtype == dalpha.dtype == wanted[0].dtype
        assert dx.tolist() == wanted[0].tolist()
        assert dalpha == 4


@pytest.mark.parametrize(("dim", "axis"), [("sample", 1), ("unit", 0)])
def test_xarray_keeps_labels(dim: str, axis: int) -> None:
    xr = pytest.importorskip("xarray")
    dy, x, _ = case((4, 3), (3,), np.float64)
    labelled = xr.DataArray(x, dims=("sample", "unit"), coords={"sample": range(4), "unit": list("abc")})
    alpha = xr.DataArray(np.arange(1.0, 1 + labelled.sizes[dim]), dims=dim, coords={dim: labelled[dim]})
    want_dx, want = fastact.prelu_grad(dy, x, np.expand_dims(alpha.values, axis))
    whole = labelled.copy(data=dy)
    for given in (whole, whole.transpose("unit", "sample")):
        dx, dalpha = fastact.prelu_grad(given, labelled, alpha)
        assert dx.dims == given.dims
        assert (dx.transpose("sample", "unit").values == want_dx).all()
        assert dalpha.dims == (dim,)
        assert dalpha[dim].equals(labelled[dim])
        np.testing.assert_allclose(dalpha, want.ravel(), rtol=1e-14)


def test_data_sets_of_xarray_are_refused_by_name() -> None:
    xr = pytest.importorskip("xarray")
    for argument, place in (("dy", 0), ("x", 1), ("alpha", 2)):
        operands = [xr.Dataset({"p": ("z", np.ones(3))}) if k == place else np.ones(3) for k in range(3)]
        with pytest.raises(TypeError, match=rf"^prelu_grad: {argument} is an xarray Dataset, expected one array"):
            fastact.prelu_grad(*operands)


def test_dask_names_the_recipe() -> None:
    da, xr = pytest.importorskip("dask.array"), pytest.importorskip("xarray")
    for argument, place in (("dy", 0), ("x", 1), ("alpha", 2)):
        for lazy in (da.ones(3), xr.DataArray(da.ones(3))):
            operands = [lazy if k == place else np.ones(3) for k in range(3)]
            with pytest.raises(TypeError, match=rf"^prelu_grad: {argument} is a Dask collection, .*map_blocks"):
                fastact.prelu_grad(*operands)


SMALL = [((100,), (1,)), ((70, 40), (40,)), ((3, 4, 70), (4, 1)), ((5,), (5,))]


@pytest.mark.parametrize(("shape", "alpha_shape"), SMALL)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_inf_reach_their_alpha_only(shape: tuple[int, ...], alpha_shape: tuple[int, ...], value: float) -> None:
    dy, x, alpha = case(shape, alpha_shape, np.float32)
    x[x == 0] = 1
    place = np.unravel_index(x.size - 1, shape)
    for operand in (dy, x):
        before, operand[place] = operand[place], -value if operand is x else value
        dx, dalpha = fastact.prelu_grad(dy, x, alpha)
        with np.errstate(invalid="ignore"):
            terms = dy.astype(np.float64) * np.minimum(x, 0)
            want = terms.sum(axis=axes_of(x, alpha_shape)).reshape(alpha_shape)
        assert (np.isfinite(dalpha) == np.isfinite(want)).all()
        assert (np.isnan(dalpha) == np.isnan(want)).all()
        assert not np.isfinite(dalpha.flat[-1])
        assert np.isnan(dx[place]) == np.isnan(value)
        operand[place] = before


@pytest.mark.parametrize("into", ["fresh", "dy", "x", "strided", "overlapping"])
@pytest.mark.parametrize(("shape", "alpha_shape"), SMALL)
def test_out(into: str, shape: tuple[int, ...], alpha_shape: tuple[int, ...]) -> None:
    dy, x, alpha = case(shape, alpha_shape, np.float32)
    want_dx, want_dalpha = fastact.prelu_grad(dy.copy(), x.copy(), alpha)
    if into == "overlapping":
        memory = np.empty(x.size + 3, np.float32)
        memory[3:] = x.ravel()
        x, dx = memory[3:].reshape(shape), memory[:-3].reshape(shape)
    else:
        dx = {"fresh": np.empty_like(x), "dy": dy, "x": x, "strided": np.empty((*shape, 2), np.float32)[..., 0]}[into]
    dalpha = np.empty_like(alpha)
    got = fastact.prelu_grad(dy, x, alpha, out=(dx, dalpha))
    assert got[0] is dx
    assert got[1] is dalpha
    assert (dx == want_dx).all()
    assert (dalpha == want_dalpha).all()


def test_out_may_be_partly_none() -> None:
    dy, x, alpha = case((70, 40), (40,), np.float32)
    want = fastact.prelu_grad(dy, x, alpha)
    for out in ((None, np.empty_like(alpha)), (np.empty_like(x), None)):
        got = fastact.prelu_grad(dy, x, alpha, out=out)
        assert all(a is b for a, b in zip(got, out, strict=True) if b is not None)
        assert all((a == b).all() for a, b in zip(got, want, strict=True))


def test_dx_goes_by_numpys_rules_to_another_dtype() -> None:
    dy, x, alpha = case((70, 40), (40,), np.float64)
    want, narrow = fastact.prelu_grad(dy, x, alpha), np.empty(x.shape, np.float32)
    got = fastact.prelu_grad(dy, x, alpha, out=(narrow, None))
    assert got[0] is narrow
    assert (narrow == want[0].astype(np.float32)).all()
    with pytest.raises(TypeError, match=r"^prelu_grad: .*int32"):
        fastact.prelu_grad(dy, x, alpha, out=(np.empty(x.shape, np.int32), None))


def test_errors_write_nothing() -> None:
    dy, x, alpha = case((70, 40), (40,), np.float32)
    dx, dalpha = np.full_like(x, 7), np.full_like(alpha, 7)
    readonly = np.full_like(alpha, 7)
    readonly.flags.writeable = False
    for error, text, operands, out in [
        (TypeError, r"^prelu_grad: x has dtype complex128, expected float16", (dy, x.astype(complex), alpha), None),
        (TypeError, r"^prelu_grad: dy has dtype object", (dy.astype(object), x, alpha), None),
        (ValueError, r"^prelu_grad: .*broadcast", (dy, x, alpha[:3]), None),
        (TypeError, r"^prelu_grad: out is of type ndarray, expected a tuple \(dx, dalpha\)", (dy, x, alpha), dx),
        (ValueError, r"^prelu_grad: out\[1\] has shape \(39,\), expected \(40,\)", (dy, x, alpha), (dx, dalpha[1:])),
        (TypeError, r"^prelu_grad: out\[1\] has dtype float64, expected", (dy, x, alpha), (dx, dalpha.astype(float))),
        (ValueError, r"^prelu_grad: out\[1\] is read-only", (dy, x, alpha), (dx, readonly)),
        (ValueError, r"^prelu_grad: ", (dy, x, alpha), (dx[1:], dalpha)),
    ]:
        with pytest.raises(error, match=text):
            fastact.prelu_grad(*operands, out=out)
        assert (dx == 7).all()
        assert (dalpha == 7).all()


@pytest.mark.parametrize(("shape", "alpha_shape"), [
    ((1 << 20,), (1,)), ((4096, 256), (256,)), ((1 << 17, 8), (8,)), ((16, 64, 32, 32), (64, 1, 1)),
])
def test_no_temporary_of_the_size_of_x(shape: tuple[int, ...], alpha_shape: tuple[int, ...]) -> None:
    dy, x, alpha = case(shape, alpha_shape, np.float32)
    dx = np.empty_like(x)
    fastact.prelu_grad(dy, x, alpha, out=(dx, None))
    tracemalloc.start()
    fastact.prelu_grad(dy, x, alpha, out=(dx, None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes // 50


@pytest.mark.parametrize(("shape", "alpha_shape"), SHAPES)
def test_against_torch(shape: tuple[int, ...], alpha_shape: tuple[int, ...], dtype: np.dtype) -> None:
    torch = pytest.importorskip("torch")
    dy, x, alpha = case(shape, alpha_shape, dtype.type)
    tensors = [torch.from_numpy(np.array(a)) for a in (dy, x, alpha)]
    dx, slopes = torch.ops.aten._prelu_kernel_backward(*tensors[:2], tensors[2].expand(shape))
    got_dx, got = fastact.prelu_grad(dy, x, alpha)
    assert (got_dx == dx.numpy()).all()
    axes = axes_of(x, alpha_shape)
    want = slopes.double().sum(axes).reshape(alpha_shape) if axes else slopes
    scale = np.abs(slopes.numpy()).sum()
    np.testing.assert_allclose(got, want.numpy(), rtol=1e-5 if dtype == np.float32 else 1e-12, atol=scale * 1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shares", ["nothing", "x", "dy", "dx", "alpha"])
def test_out_for_alphas_gradient(dtype: type, shares: str) -> None:
    """Any array takes dalpha, also one that lies in what is read or written."""
    rng = np.random.default_rng(0)
    dy, x, alpha = (rng.normal(size=n).astype(dtype) for n in ((6, 4), (6, 4), 4))
    wanted_dx, wanted = fastact.prelu_grad(dy, x, alpha)
    dx = np.empty_like(x)
    where = {"nothing": np.empty(4, dtype), "x": x[0], "dy": dy[5], "dx": dx[2], "alpha": alpha}[shares]
    got = fastact.prelu_grad(dy, x, alpha, out=(dx, where))
    assert got[0] is dx
    assert got[1] is where
    assert np.array_equal(where, wanted)
    rows = [0, 1, 3, 4, 5] if shares == "dx" else range(6)
    assert np.array_equal(dx[rows], wanted_dx[rows])
