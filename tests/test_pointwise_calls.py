"""The pointwise losses as functions: layouts, dtypes, grad_out, empty inputs, errors, modes; and the 0-1 loss."""

from __future__ import annotations

from typing import Any

import fp
import numpy as np
import pytest
from helpers import assert_same_bits
from losses import CASES, LOSSES, Case, each_case

import fastact
from fastact import _kernels

each_name = pytest.mark.parametrize("name", LOSSES)
REDUCTIONS = ("mean", "sum", "none")


def case_of(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


LAYOUTS = {
    "strided": lambda a: np.repeat(a, 3, axis=-1)[..., ::3],
    "reversed": lambda a: a[..., ::-1].copy()[..., ::-1],
    "Fortran": np.asfortranarray,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "a list": lambda a: a.tolist() if a.dtype == np.float64 else a,
    "misaligned": lambda a: _misaligned(a),
    "a subclass": lambda a: a.view(np.memmap),
}


def _misaligned(a: np.ndarray) -> np.ndarray:
    room = np.empty(a.nbytes + 1, np.uint8)
    moved = room[1:].view(a.dtype).reshape(a.shape)
    moved[...] = a
    return moved


def test_what_is_taken_as_it_is(dtype: np.dtype) -> None:
    """Plain arrays of floats that kernels can read; everything else is looked at, and copied if need be."""
    a = np.ones((4, 3), dtype)
    assert all(map(_kernels.is_floats, (a, a.astype(np.float16), a[::2])))
    for layout in ("byte-swapped", "misaligned", "a subclass"):
        assert not _kernels.is_floats(LAYOUTS[layout](a)), layout
    assert not any(map(_kernels.is_floats, (a.astype(int), a.astype(complex), a.tolist(), a[0, 0], 1.0, None)))


@each_name
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(name: str, layout: str, dtype: np.dtype) -> None:
    case, change = case_of(name), LAYOUTS[layout]
    for shape in ((50,), (40, 7), (3, 2, 0)):
        pred, target = case.inputs(shape, dtype, 3)
        for reduction in REDUCTIONS:
            whole = case.with_grad(pred, target, reduction=reduction)
            for a, b in ((change(pred), target), (pred, change(target)), (change(pred), change(target))):
                got = case.with_grad(a, b, reduction=reduction)
                if layout == "Fortran" and reduction != "none":       # another order of summation
                    np.testing.assert_allclose(got[0], whole[0], rtol=2 * np.finfo(dtype).eps)
                else:
                    assert_same_bits(got[0], whole[0])
                    assert_same_bits(case.loss(a, b, reduction=reduction), whole[0])
                assert_same_bits(got[1], whole[1])


@each_name
def test_scalars(name: str, dtype: np.dtype) -> None:
    """One of the two may be a scalar: a Python number is weak, and the gradient of a scalar pred is a sum."""
    case = case_of(name)
    pred, target = case.inputs(60, dtype, 4)
    target[:] = target[0]
    whole = case.with_grad(pred, target, reduction="none")
    for scalar in (float(target[0]), target[0], target[:1].reshape(())):
        assert_same_bits(case.with_grad(pred, scalar, reduction="none"), whole)
    loss, grad = case.with_grad(pred[0], target, reduction="sum")
    full = case.with_grad(np.full_like(target, pred[0]), target, reduction="sum")
    assert_same_bits(loss, full[0])
    assert grad.shape == ()
    np.testing.assert_allclose(grad, full[1].astype(float).sum(), rtol=1e-6)
    one = case.with_grad(pred[0], target[0])
    assert all(isinstance(v, dtype.type) for v in one)
    assert isinstance(case.loss(float(pred[0]), float(target[0])), np.float64)


@each_case
def test_half_precision(case: Case) -> None:
    """Computed in float32: a float32 loss, a float16 gradient."""
    pred, target = case.inputs(500, np.float16)
    for reduction in REDUCTIONS:
        single = case.with_grad(pred.astype(np.float32), target.astype(np.float32), reduction=reduction)
        loss, grad = case.with_grad(pred, target, reduction=reduction)
        assert_same_bits(loss, single[0])
        assert_same_bits(grad, single[1].astype(np.float16))
        assert_same_bits(case.loss(pred, target, reduction=reduction), single[0])


@pytest.mark.parametrize(("pred", "target", "loss", "grad"), [
    (np.int8, np.int8, np.float32, np.float16), (np.bool_, np.float32, np.float32, np.float16),
    (np.int16, np.float32, np.float32, np.float32), (np.int32, np.float32, np.float64, np.float64),
    (np.float32, np.int64, np.float64, np.float32), (np.float16, np.float64, np.float64, np.float16),
    (np.uint64, np.uint64, np.float64, np.float64),
])
def test_integers_promote_as_in_numpy(pred: Any, target: Any, loss: Any, grad: Any) -> None:
    x, y = np.array([1, 0, 1], pred), np.array([0, 0, 1], target)
    got = fastact.l1_loss_with_grad(x, y)
    assert (got[0].dtype, got[1].dtype) == (loss, grad)
    assert abs(got[0] - 1 / 3) < 1e-7


@each_name
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_grad_out(name: str, reduction: str, dtype: np.dtype) -> None:
    """Any writeable array of the right shape and dtype, also pred, target or something that overlaps them."""
    case = case_of(name)
    pred, target = case.inputs((30, 9), dtype)
    weight = np.random.default_rng(0).random((30, 9)).astype(dtype)
    for options in ({}, {"sample_weight": weight}):
        loss, grad = case.with_grad(pred, target, reduction=reduction, **options)
        outs = {
            "fresh": np.full((30, 9), 7, dtype),
            "Fortran": np.full((30, 9), 7, dtype, "F"),
            "strided": np.full((60, 9), 7, dtype)[::2],
            "pred": pred.copy(),
            "target": target.copy(),
        }
        for which, out in outs.items():
            a = out if which == "pred" else pred
            b = out if which == "target" else target
            got = case.with_grad(a, b, reduction=reduction, grad_out=out, **options)
            assert got[1] is out
            assert_same_bits(got[0], loss, which)
            assert_same_bits(out.astype(dtype), grad, which)
        for which in ("pred", "target"):
            for shift in (-5, -1, 1, 5, 40):
                room = np.zeros(350, dtype)
                moved, out = room[40:310].reshape(30, 9), room[40 + shift : 310 + shift].reshape(30, 9)
                moved[...] = pred if which == "pred" else target
                operands = (moved, target) if which == "pred" else (pred, moved)
                got = case.with_grad(*operands, reduction=reduction, grad_out=out, **options)
                assert_same_bits(got[0], loss, f"{which} {shift}")
                assert_same_bits(out, grad, f"{which} {shift}")
        heavy = weight.copy()
        if options:
            case.with_grad(pred, target, reduction=reduction, sample_weight=heavy, grad_out=heavy)
            assert_same_bits(heavy, grad)


def test_grad_out_of_half_precision() -> None:
    x = np.linspace(-3, 3, 100).astype(np.float16)
    expected = fastact.mse_loss_with_grad(x, 0.0)
    assert_same_bits(fastact.mse_loss_with_grad(x, 0.0, grad_out=x), expected)


@each_name
def test_empty_batch(name: str, dtype: np.dtype) -> None:
    """A mean is nan without a warning, sum 0, gradient empty."""
    case = case_of(name)
    for shape in ((0,), (3, 0)):
        x = np.empty(shape, dtype)
        for options in ({}, {"sample_weight": x}):
            assert np.isnan(case.loss(x, x, **options))
            assert case.loss(x, x, reduction="sum", **options) == 0
            assert case.loss(x, x, reduction="none", **options).shape == shape
            loss, grad = case.with_grad(x, x, **options)
            assert np.isnan(loss)
            assert (grad.shape, grad.dtype) == (shape, dtype)


def test_no_weight_at_all() -> None:
    """Zero total weight: mean is nan without a warning, sum 0, gradient 0, whatever the loss."""
    x = np.array([1.0, np.inf, np.nan])
    loss, grad = fastact.mse_loss_with_grad(x, np.zeros(3), sample_weight=np.zeros(3))
    assert np.isnan(loss)
    assert grad.tolist() == [0, 0, 0]
    x[1:] = 2
    assert fastact.mse_loss(x, 0.0, sample_weight=np.zeros(3), reduction="sum") == 0


def bad_calls(name: str) -> dict[str, tuple[type, str, dict[str, Any]]]:
    first = {"hinge_loss": "scores", "binary_cross_entropy": "probs"}.get(name, "pred")
    first = "logits" if name.endswith("logits") or name == "sigmoid_focal_loss" else first
    x = np.zeros((4, 3), np.float32)
    read_only = x.copy()
    read_only.flags.writeable = False
    return {
        "complex": (TypeError, f"{first} has dtype complex64", {"pred": x.astype(np.complex64)}),
        "objects": (TypeError, "target has dtype object", {"target": x.astype(object)}),
        "strings": (TypeError, f"{first} has dtype <U", {"pred": x.astype(str)}),
        "dates": (TypeError, "target has dtype datetime64", {"target": x.astype("datetime64[s]")}),
        "shapes": (ValueError, r"target has shape \(4, 1\), expected \(4, 3\)", {"target": x[:, :1]}),
        "transposed": (ValueError, r"target has shape \(3, 4\), expected \(4, 3\)", {"target": x.T}),
        "reduction": (ValueError, "reduction is 'avg', expected one of 'mean', 'sum', 'none'", {"reduction": "avg"}),
        "weight shape": (ValueError, r"sample_weight has shape \(4,\), expected \(4, 3\)",
                         {"sample_weight": np.ones(4)}),
        "weight sign": (ValueError, r"sample_weight\[1, 2\] is -1.0, expected a finite number >= 0",
                        {"sample_weight": np.where(np.arange(12).reshape(4, 3) == 5, -1, 1)}),
        "weight nan": (ValueError, r"sample_weight\[0, 0\] is nan", {"sample_weight": np.full((4, 3), np.nan)}),
        "weight inf": (ValueError, r"sample_weight\[0, 0\] is inf", {"sample_weight": np.full((4, 3), np.inf)}),
        "weight dtype": (TypeError, "sample_weight has dtype complex128", {"sample_weight": np.ones((4, 3)) * 1j}),
        "out type": (TypeError, "grad_out is of type list", {"grad_out": x.tolist()}),
        "out False": (TypeError, "grad_out is of type bool", {"grad_out": False}),
        "out shape": (ValueError, r"grad_out has shape \(4,\), expected \(4, 3\)",
                      {"grad_out": np.zeros(4, np.float32)}),
        "out dtype": (TypeError, "grad_out has dtype float64, expected float32", {"grad_out": np.zeros((4, 3))}),
        "out read-only": (ValueError, "grad_out is read-only", {"grad_out": read_only}),
    }


@each_name
@pytest.mark.parametrize("which", bad_calls("l1_loss"))
def test_bad_arguments(name: str, which: str) -> None:
    """The error names function, argument, what was expected and what came; nothing is written."""
    error, text, change = bad_calls(name)[which]
    out = np.full((4, 3), 7, np.float32)
    arguments = {"pred": np.zeros((4, 3), np.float32), "target": np.zeros((4, 3), np.float32), "grad_out": out} | change
    pred, target = arguments.pop("pred"), arguments.pop("target")
    with pytest.raises(error, match=f"^{name}_with_grad: .*{text}"):
        getattr(fastact, f"{name}_with_grad")(pred, target, **arguments)
    assert (out == 7).all()
    del arguments["grad_out"]
    if "out" not in which:
        with pytest.raises(error, match=f"^{name}: .*{text}"):
            getattr(fastact, name)(pred, target, **arguments)


@pytest.mark.parametrize(("name", "options", "error"), [
    ("huber_loss", {"delta": 0.0}, ValueError), ("huber_loss", {"delta": -1}, ValueError),
    ("huber_loss", {"delta": np.inf}, ValueError), ("huber_loss", {"delta": "1"}, TypeError),
    ("smooth_l1_loss", {"beta": -0.5}, ValueError), ("smooth_l1_loss", {"beta": np.nan}, ValueError),
    ("smooth_l1_loss", {"beta": None}, TypeError),
    ("quantile_loss", {"q": 1.5}, ValueError), ("quantile_loss", {"q": -0.1}, ValueError),
    ("quantile_loss", {"q": [0.5]}, TypeError),
    ("sigmoid_focal_loss", {"gamma": -1}, ValueError), ("sigmoid_focal_loss", {"alpha": 2}, ValueError),
    ("sigmoid_focal_loss", {"gamma": None}, TypeError), ("sigmoid_focal_loss", {"gamma": np.inf}, ValueError),
    ("binary_cross_entropy_with_logits", {"pos_weight": -1}, ValueError),
    ("binary_cross_entropy_with_logits", {"pos_weight": [1, np.nan, 1]}, ValueError),
    ("binary_cross_entropy_with_logits", {"pos_weight": np.ones(4)}, ValueError),
    ("binary_cross_entropy_with_logits", {"pos_weight": np.ones((2, 1, 3))}, ValueError),
    ("binary_cross_entropy_with_logits", {"pos_weight": 1j}, TypeError),
])
def test_bad_options(name: str, options: dict[str, Any], error: type) -> None:
    x, out = np.zeros((2, 3)), np.full((2, 3), 7.0)
    argument = next(iter(options))
    with pytest.raises(error, match=rf"^{name}: {argument}.* expected "):
        getattr(fastact, name)(x, x, **options)
    with pytest.raises(error, match=rf"^{name}_with_grad: {argument}.* expected "):
        getattr(fastact, f"{name}_with_grad")(x, x, grad_out=out, **options)
    assert (out == 7).all()


def test_dask_arrays_are_refused_with_a_recipe() -> None:
    da = pytest.importorskip("dask.array")
    x = da.ones(10, chunks=5)
    for call in (lambda: fastact.mse_loss(x, 0.0), lambda: fastact.mse_loss(np.ones(10), x)):
        with pytest.raises(TypeError, match=r"^mse_loss: .* Dask collection, .*map_blocks"):
            call()
    losses = da.map_blocks(fastact.mse_loss, x, da.zeros(10, chunks=5), reduction="none", dtype=x.dtype)
    assert losses.mean().compute() == 1


@each_name
def test_floating_point_modes(name: str, dtype: np.dtype) -> None:
    """Results do not depend on the caller's modes, which are left as found together with the flags."""
    case = case_of(name)
    pred, target = case.inputs(4111, dtype)
    pred[::7] *= float(np.finfo(dtype).tiny)
    weight = np.random.default_rng(0).random(4111).astype(dtype)
    half = pred.astype(np.float16)
    calls = {
        "fast": lambda: case.with_grad(pred, target),
        "strided": lambda: case.with_grad(pred[::-1], target[::-1]),
        "weighted": lambda: case.with_grad(pred, target, sample_weight=weight),
        "none": lambda: case.loss(pred, target, reduction="none"),
        "float16": lambda: case.with_grad(half, target),
    }
    for which, call in calls.items():
        whole = call()
        for mode, word in fp.MODES.items():
            with fp.modes(word):
                got = call()
            assert_same_bits(got, whole, f"{mode}, {which}")


@each_name
def test_errstate(name: str, dtype: np.dtype) -> None:
    """Finite inputs never raise, infinite and NaN results neither."""
    case = case_of(name)
    big = float(np.finfo(dtype).max)
    pred = np.array([big, -big, 0, 1e-30, 1, np.inf, -np.inf, np.nan], dtype)
    for target in (np.zeros(8, dtype), np.ones(8, dtype), -pred):
        with np.errstate(all="raise"):
            case.with_grad(pred, target)
            case.with_grad(pred, target, sample_weight=np.ones(8))
            case.with_grad(pred[::2], target[::2], reduction="none")
            case.with_grad(pred, target.astype(np.float64))


def test_zero_one_labels() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 31, 32, 5000):
        for kinds in (("int64", "int64"), ("int8", "uint16"), ("int32", "int64"), ("uint64", "uint64"),
                      ("bool", "bool"), ("float32", "float32"), ("float64", "int32"), ("float16", "int8")):
            pred, target = rng.integers(0, 2, n).astype(kinds[0]), rng.integers(0, 2, n).astype(kinds[1])
            wrong = pred != target
            assert fastact.zero_one_loss(pred, target) == np.float64(wrong.mean())
            assert fastact.zero_one_loss(pred, target, reduction="sum") == wrong.sum()
            each = fastact.zero_one_loss(pred, target, reduction="none")
            assert_same_bits(each, wrong.astype(np.float64))
            weight = rng.random(n)
            np.testing.assert_allclose(fastact.zero_one_loss(pred, target, sample_weight=weight),
                                       (wrong * weight).sum() / weight.sum(), rtol=1e-13)
    assert fastact.zero_one_loss(2**53 + 1, 2**53) == 1
    assert fastact.zero_one_loss(np.uint64(2**64 - 1), np.uint64(2**64 - 2)) == 1
    assert fastact.zero_one_loss(0.0, -0.0) == 0
    assert np.isnan(fastact.zero_one_loss(np.zeros(0), np.zeros(0)))


def test_zero_one_scores() -> None:
    rng = np.random.default_rng(0)
    for dtype in (np.float16, np.float32, np.float64):
        scores, target = rng.normal(size=(40, 6, 5)).astype(dtype), rng.integers(0, 5, (40, 6))
        wrong = scores.argmax(-1) != target
        got = fastact.zero_one_loss(scores, target, reduction="none")
        assert_same_bits(got, wrong.astype(np.float64 if dtype == np.float64 else np.float32))
        assert fastact.zero_one_loss(scores, target) == got.dtype.type(wrong.mean())
    assert not hasattr(fastact, "zero_one_loss_with_grad")


def test_zero_one_refuses() -> None:
    calls = (([0, 1], [0], ValueError), (np.zeros((2, 3)), [0], ValueError), (["a"], ["b"], TypeError),
             (np.zeros((2, 0)), [0, 1], ValueError), ([1j], [1], TypeError))
    for pred, target, error in calls:
        with pytest.raises(error, match=r"^zero_one_loss: .*expected"):
            fastact.zero_one_loss(pred, target)


def test_calls_from_many_threads_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    pred, target = case_of("log_cosh_loss").inputs(300_000, np.float32)
    whole = fastact.log_cosh_loss_with_grad(pred, target)
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: fastact.log_cosh_loss_with_grad(pred, target), range(16)):
            assert_same_bits(got, whole)
    assert _kernels.current_isa()
