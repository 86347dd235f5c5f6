"""Dask arrays stay lazy, pandas objects keep index and columns, xarray keeps its labels: with the real libraries."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest
from helpers import FORWARD, OPS, Op, assert_same_bits

import fastact
from fastact import _kernels, metrics

ONE_TENSOR = pytest.mark.parametrize("op", [op for op in FORWARD if op.tensors == 1], ids=str)
rows = pytest.mark.parametrize("name", ["softmax", "log_softmax"])


@pytest.mark.parametrize("op", [op for op in OPS if op.outputs == 1], ids=str)
def test_dask_stays_lazy(op: Op) -> None:
    da = pytest.importorskip("dask.array")
    tensors = tuple(t.reshape(20, 30) for t in op.inputs(600, np.float32))
    whole = op(*tensors)
    computed: list[int] = []

    def block(x: np.ndarray) -> np.ndarray:
        computed.append(x.size)
        return x

    lazy = [da.from_array(t, chunks=(7, 30)).map_blocks(block, dtype=t.dtype, meta=t[:0, :0]) for t in tensors]
    got = op(*lazy)
    assert not computed, "something was computed"
    assert isinstance(got, da.Array)
    assert got.dtype == np.float32
    assert got.shape == (20, 30)
    assert_same_bits(got.compute(scheduler="threads"), whole)
    assert computed


@pytest.mark.parametrize("op", [op for op in OPS if op.outputs > 1], ids=str)
def test_dask_knows_no_ufunc_with_two_outputs(op: Op) -> None:
    """A limit of Dask's: the error names the recipe, nothing is computed behind the caller's back."""
    da = pytest.importorskip("dask.array")
    with pytest.raises(TypeError, match=rf"^{op.said}: dy is a Dask collection, .*map_blocks"):
        op(*[da.zeros(10, chunks=5)] * op.tensors)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int32])
@ONE_TENSOR
def test_dask_infers_the_dtype(op: Op, dtype: Any) -> None:
    da = pytest.importorskip("dask.array")
    x = np.arange(-10, 10).astype(dtype)
    got = op(da.from_array(x, chunks=6))
    assert got.dtype == op(x).dtype
    assert_same_bits(got.compute(), op(x))


@rows
def test_dask_rows_stay_lazy(name: str) -> None:
    da = pytest.importorskip("dask.array")
    x = np.random.default_rng(1).normal(0, 3, (20, 30)).astype(np.float32)
    function = getattr(fastact, name)
    got = function(da.from_array(x, chunks=(6, 30)))
    assert isinstance(got, da.Array)
    assert got.dtype == np.float32
    assert_same_bits(got.compute(), function(x))
    chunked = function(da.from_array(x, chunks=(6, 7)).rechunk({1: -1}))
    assert_same_bits(chunked.compute(), function(x))


@ONE_TENSOR
def test_pandas_keeps_index_and_columns(op: Op) -> None:
    pd = pytest.importorskip("pandas")
    x = np.random.default_rng(2).normal(0, 3, (6, 2)).astype(np.float32)
    frame = pd.DataFrame(x, index=list("uvwxyz"), columns=["left", "right"])
    series = frame["left"]
    assert series.name == "left"
    for got, expected in ((op(frame), op(x)), (op(series), op(x[:, 0]))):
        assert type(got) in (pd.DataFrame, pd.Series)
        assert list(got.index) == list("uvwxyz")
        assert_same_bits(got.to_numpy(), expected)
    assert list(op(frame).columns) == ["left", "right"]
    assert op(series).name == "left"


@pytest.mark.parametrize("op", [op for op in OPS if op.params], ids=str)
def test_parameters_beside_pandas_are_weak(op: Op) -> None:
    pd = pytest.importorskip("pandas")
    tensors = [t.reshape(6, 2) for t in op.inputs(12, np.float32)]
    for place in range(op.tensors):
        mixed = [pd.DataFrame(t) if k == place else t for k, t in enumerate(tensors)]
        for option in ({}, {"casting": "same_kind"}):
            assert_same_bits(op(*mixed, **option).to_numpy(), op(*tensors))


@pytest.mark.parametrize("dtype", ["boolean", "Int8", "UInt8", "Int16", "UInt16", "Int32", "Float32", "Float64",
                                   "Sparse[float32]", "Sparse[float64]"])       # of sparse integers pandas decides
@pytest.mark.parametrize("op", [op for op in OPS if op.outputs == 1], ids=str)
def test_dtypes_of_pandas_promote_as_in_exp(op: Op, dtype: str) -> None:
    pd = pytest.importorskip("pandas")
    series = pd.Series([0, 1, 1]).astype(dtype)
    got, wanted = op(*[series] * op.tensors).dtype, np.exp(series).dtype
    assert getattr(got, "subtype", got) == getattr(wanted, "subtype", wanted)


def test_dtypes_of_pandas_are_named() -> None:
    pd = pytest.importorskip("pandas")
    for wrong in (pd.Series([1.0], dtype=object), pd.Series(["a"]), pd.Series([1j])):
        for got in (wrong, pd.DataFrame({"a": [1.0], "b": wrong})):
            with pytest.raises(TypeError, match=rf"^relu_grad: x has dtype {wrong.dtype}, expected float16"):
                fastact.relu_grad(1.0, got)


def test_errors_of_xarray_keep_their_class() -> None:
    xr = pytest.importorskip("xarray")
    short, long = (xr.DataArray(np.ones(n), coords={"x": range(n)}, dims="x") for n in (2, 3))
    with xr.set_options(arithmetic_join="exact"), pytest.raises(xr.AlignmentError):
        fastact.swiglu(short, long)


def test_pandas_gradients_align_by_label() -> None:
    pd = pytest.importorskip("pandas")
    x = pd.Series(np.array([-1.0, 2.0, 3.0]), index=["a", "b", "c"])
    dy = pd.Series(np.array([30.0, 10.0, 20.0]), index=["c", "a", "b"])
    got = fastact.relu_grad(dy, x)
    assert got.to_dict() == {"a": 0.0, "b": 20.0, "c": 30.0}


@rows
def test_pandas_rows_run_along_the_right_axis(name: str) -> None:
    pd = pytest.importorskip("pandas")
    x = np.random.default_rng(3).normal(0, 3, (5, 3))
    function = getattr(fastact, name)
    frame = pd.DataFrame(x, index=list("abcde"), columns=["p", "q", "r"])
    for axis in (-1, 0, 1):
        got = function(frame, axis=axis)
        assert isinstance(got, pd.DataFrame)
        assert list(got.index) == list("abcde")
        assert list(got.columns) == ["p", "q", "r"]
        assert_same_bits(np.ascontiguousarray(got.to_numpy()), function(x, axis=axis), f"axis={axis}")


@ONE_TENSOR
def test_xarray_keeps_labels(op: Op) -> None:
    xr = pytest.importorskip("xarray")
    x = np.random.default_rng(4).normal(0, 3, (4, 3)).astype(np.float32)
    coords = {"time": [10, 20, 30, 40], "unit": list("abc")}
    labelled = xr.DataArray(x, dims=("time", "unit"), coords=coords)
    got = op(labelled)
    assert isinstance(got, xr.DataArray)
    assert got.dims == ("time", "unit")
    assert list(got.coords["time"].values) == [10, 20, 30, 40]
    assert_same_bits(got.values, op(x))
    assert_same_bits(op(labelled.transpose("unit", "time")).values, np.ascontiguousarray(op(x).T))


@pytest.mark.parametrize("op", [op for op in OPS if op.params], ids=str)
def test_parameters_beside_data_sets_are_weak(op: Op) -> None:
    """Variable by variable, as NumPy takes them beside arrays."""
    xr = pytest.importorskip("xarray")
    tensors = op.inputs(12, np.float32)
    sets = [xr.Dataset({"single": ("x", t), "double": ("x", t.astype(np.float64))}) for t in tensors]
    for lazy in (False, True):
        if lazy:
            pytest.importorskip("dask.array")
        got = op(*(s.chunk() if lazy else s for s in sets))
        assert_same_bits(got["single"].values, op(*tensors))
        assert_same_bits(got["double"].values, op(*(t.astype(np.float64) for t in tensors)))
    mixed = op(sets[0], *(xr.DataArray(t, dims="x") for t in tensors[1:]))
    assert_same_bits(mixed["single"].values, op(*tensors))
    integers = op(*[xr.Dataset({"n": ("x", np.arange(12, dtype=np.int16))})] * op.tensors)
    assert integers["n"].dtype == np.float32


def test_masks_beside_labels_leave_the_shapes_to_xarray() -> None:
    xr = pytest.importorskip("xarray")
    dy, x = xr.DataArray(np.ones(3), dims="a"), xr.DataArray(-np.ones(2), dims="b")
    got = fastact.elu_grad(dy, x, alpha=np.ma.array([[1.0]], mask=[[False]]))
    assert got.dims == ("a", "b")
    assert got.shape == (3, 2)


def test_xarray_softmax_by_apply_ufunc() -> None:
    xr = pytest.importorskip("xarray")
    x = np.random.default_rng(5).normal(0, 3, (4, 3))
    labelled = xr.DataArray(x, dims=("class", "sample"), coords={"sample": list("abc")})
    got = xr.apply_ufunc(fastact.softmax, labelled, input_core_dims=[["class"]], output_core_dims=[["class"]])
    assert got.dims == ("sample", "class")
    assert list(got.coords["sample"].values) == list("abc")
    assert_same_bits(got.transpose("class", "sample").values, fastact.softmax(x, axis=0))


LABELS, ROWS, LINE, MATRIX = np.zeros(6, np.int64), np.full((6, 4), 0.25), np.full(6, 0.5), np.ones((4, 4))
OF_ROWS: dict[str, tuple[np.ndarray, ...]] = {
    "cross_entropy": (ROWS, LABELS), "nll_loss": (ROWS, LABELS), "focal_loss": (ROWS, LABELS),
    "distillation_loss": (ROWS, ROWS), "zero_one_loss": (LABELS, LABELS), "entropy": (ROWS,),
    "kl_divergence": (ROWS, ROWS), "linear_softmax": (ROWS, MATRIX), "linear_cross_entropy": (ROWS, MATRIX, LABELS),
    "large_margin_softmax_loss": (ROWS, MATRIX, LABELS),
}
LOSSES = OF_ROWS | {loss["name"]: (LINE, LINE) for loss in _kernels.LOSSES if hasattr(fastact, loss["name"])}
REFUSE = [name for base in LOSSES for name in (base, f"{base}_with_grad") if hasattr(fastact, name)]


def test_every_loss_is_listed() -> None:
    named = {name.removesuffix("_with_grad") for name in fastact.__all__
             if re.search(r"(_loss|entropy|divergence|entropy_with_logits|linear_softmax)(_with_grad)?$", name)}
    assert named == LOSSES.keys()


@pytest.mark.parametrize("name", REFUSE)
def test_dask_losses_name_the_recipe(name: str) -> None:
    da = pytest.importorskip("dask.array")
    function, given = getattr(fastact, name), LOSSES[name.removesuffix("_with_grad")]
    function(*given)
    for k in range(len(given)):
        lazy = [da.from_array(t, chunks=3) if k == j else t for j, t in enumerate(given)]
        with pytest.raises(TypeError, match=rf"^{name}: .* Dask collection, .*map_blocks \(recipe in docs/losses.md\)"):
            function(*lazy)
    if "sample_weight" in inspect.signature(function).parameters:
        with pytest.raises(TypeError, match=rf"^{name}: sample_weight is a Dask collection, .*map_blocks"):
            function(*given, sample_weight=da.ones(6, chunks=3))
    if "where" in inspect.signature(function).parameters:
        with pytest.raises(TypeError, match=rf"^{name}: where is a Dask collection, .*map_blocks"):
            function(*given, where=da.ones(given[0].shape, chunks=3, dtype=bool))


@pytest.mark.parametrize("name", metrics.__all__)
def test_dask_metrics_name_the_recipe(name: str) -> None:
    da = pytest.importorskip("dask.array")
    for y in ((da.ones(6, chunks=3), LINE), (LABELS, da.ones(6, chunks=3))):
        with pytest.raises(TypeError, match=rf"^{name}: y_\w+ is a Dask collection, .*map_blocks"):
            getattr(metrics, name)(*y)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_dask_losses_by_map_blocks(reduction: str) -> None:
    """The recipe of docs/losses.md: the losses of each block, all classes in one chunk, reduced by Dask."""
    da = pytest.importorskip("dask.array")
    rng = np.random.default_rng(6)
    z, t = rng.normal(0, 3, (100, 5)).astype(np.float32), rng.integers(0, 5, 100)
    blocks: list[int] = []

    def block_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        blocks.append(len(logits))
        return np.asarray(fastact.cross_entropy(logits, labels[:, 0], reduction="none"))

    losses = da.map_blocks(
        block_losses, da.from_array(z, chunks=(30, -1)), da.from_array(t, chunks=30)[:, None], drop_axis=1,
        dtype=z.dtype, meta=np.empty(0, z.dtype),
    )
    assert not blocks
    assert losses.shape == (100,)
    if reduction == "none":
        assert_same_bits(losses.compute(), fastact.cross_entropy(z, t, reduction="none"))
        assert sorted(blocks) == [10, 30, 30, 30]
    else:
        assert np.isclose(losses.mean().compute(), fastact.cross_entropy(z, t), rtol=1e-6)


def test_pandas_and_xarray_losses() -> None:
    """A loss reduces: frames, series and labelled arrays go in, a NumPy number comes out."""
    pd, xr = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    rng = np.random.default_rng(7)
    z, t = rng.normal(size=(8, 3)), rng.integers(0, 3, 8)
    expected, slope = fastact.cross_entropy_with_grad(z, t)
    for scores, labels in (
        (pd.DataFrame(z, columns=list("abc")), pd.Series(t)),
        (xr.DataArray(z, dims=("sample", "class")), xr.DataArray(t, dims="sample")),
    ):
        loss, grad = fastact.cross_entropy_with_grad(scores, labels)
        assert np.isclose(loss, expected, rtol=1e-14)      # a frame is laid out by columns
        np.testing.assert_allclose(grad, slope, rtol=1e-14)
        assert np.isclose(fastact.mse_loss(scores, scores * 0), fastact.mse_loss(z, z * 0), rtol=1e-14)
