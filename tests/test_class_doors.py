"""Classification losses have a short way in for plain arrays: it is taken, and gives what the long way gives."""

from __future__ import annotations

from typing import Any

import fp
import numpy as np
import pytest

import fastact
from fastact import _classes

SHAPES = [((32, 10), 1), ((3, 1000), -1), ((2, 5, 3, 4), 1), ((7, 40), 0)]
COMMON: list[dict[str, Any]] = [{}, {"reduction": "sum"}, {"reduction": "none"}]
LABELLED: list[dict[str, Any]] = [*COMMON, {"weight": True}, {"weight": True, "reduction": "none", "ignore_index": 2},
                                  {"ignore_index": None}]
LOSSES: dict[str, list[dict[str, Any]]] = {
    "cross_entropy": [*LABELLED, {"temperature": 3}, {"label_smoothing": 0.1, "weight": True}],
    "nll_loss": [*LABELLED, {"label_smoothing": 1}],
    "focal_loss": [*LABELLED, {"gamma": 0}, {"gamma": 1.5, "temperature": 0.5}],
    "distillation_loss": [*COMMON, {"temperature": 2.0}],
}
CASES = [(name, k) for name, options in LOSSES.items() for k in range(len(options))]


def made(
    name: str, k: int, shape: tuple[int, ...], axis: int, dtype: Any, soft: bool
) -> tuple[np.ndarray, Any, dict[str, Any]]:
    rng = np.random.default_rng(k)
    x, options = rng.normal(0, 2, shape).astype(dtype), dict(LOSSES[name][k], axis=axis)
    if "weight" in options:
        options["weight"] = rng.uniform(0, 2, shape[axis]).astype(dtype)
    if soft:
        return x, fastact.softmax(rng.normal(0, 2, shape).astype(dtype), axis=axis), options
    return x, rng.integers(0, shape[axis], np.delete(shape, axis)), options


def same(a: Any, b: Any) -> None:
    assert type(a) is type(b)
    np.testing.assert_array_equal(a, b, strict=True)


def refuse(*args: Any) -> None:
    raise AssertionError("took the long way")


@pytest.fixture
def short_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_classes, "general_loss", refuse)


def long_way(monkeypatch: pytest.MonkeyPatch, call: Any) -> Any:
    with monkeypatch.context() as m:
        m.setattr(_classes._kernels, "class_plain", lambda *args: None)
        return call()


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(("name", "k"), CASES)
def test_both_ways_give_the_same_bits(
    name: str, k: int, soft: bool, dtype: np.dtype, monkeypatch: pytest.MonkeyPatch, isa: str
) -> None:
    if (soft and name == "focal_loss") or (not soft and name == "distillation_loss"):
        return
    for shape, axis in SHAPES:
        x, target, options = made(name, k, shape, axis, dtype, soft)
        for full in (name, f"{name}_with_grad"):
            function = getattr(fastact, full)

            def call(function: Any = function, x: Any = x, target: Any = target, options: Any = options) -> Any:
                return function(x, target, **options)

            long = long_way(monkeypatch, call)
            with monkeypatch.context() as m:
                m.setattr(_classes, "general_loss", refuse)
                short = call()
                if full != name:
                    out = np.empty_like(x)
                    assert function(x, target, **options, grad_out=out)[1] is out
                    same(out, long[1])
                    z = x.copy()
                    assert function(z, target, **options, grad_out=z)[1] is z
                    same(z, long[1])
            for a, b in zip(short if full != name else (short,), long if full != name else (long,), strict=True):
                same(a, b)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_labels_of_every_integer_dtype(kind: str, short_only: None) -> None:
    x, target, _ = made("cross_entropy", 0, (32, 10), 1, np.float32, False)
    for name in ("cross_entropy", "nll_loss", "focal_loss"):
        same(getattr(fastact, name)(x, target.astype(kind)), getattr(fastact, name)(x, target))


X, T = np.ones((4, 3), np.float32), np.array([0, 1, 2, 0])
READ_ONLY = np.ones((4, 3), np.float32)
READ_ONLY.flags.writeable = False
REFUSED: list[tuple[str, Any, dict[str, Any], type[Exception]]] = [
    ("cross_entropy", T, {"label_smoothing": -5e-324}, ValueError),
    ("cross_entropy", T, {"label_smoothing": 1.0000001}, ValueError),
    ("cross_entropy", T, {"label_smoothing": np.nan}, ValueError),
    ("cross_entropy", T, {"temperature": 0}, ValueError),
    ("cross_entropy", T, {"temperature": -0.0}, ValueError),
    ("cross_entropy", T, {"temperature": np.inf}, ValueError),
    ("cross_entropy", T, {"temperature": "1"}, TypeError),
    ("cross_entropy", T, {"reduction": "mean "}, ValueError),
    ("cross_entropy", T, {"reduction": None}, ValueError),
    ("cross_entropy", T, {"ignore_index": 2**63}, ValueError),
    ("cross_entropy", T, {"ignore_index": 1.0}, TypeError),
    ("cross_entropy", T, {"axis": 2}, np.exceptions.AxisError),
    ("cross_entropy", T, {"axis": -3}, np.exceptions.AxisError),
    ("cross_entropy", T, {"axis": 0}, ValueError),
    ("cross_entropy", T[:3], {}, ValueError),
    ("cross_entropy", X[:, :2].copy(), {}, ValueError),
    ("cross_entropy", T, {"weight": np.array([1, -1e-45, 1], np.float32)}, ValueError),
    ("cross_entropy", T, {"weight": np.array([1, np.inf, 1], np.float32)}, ValueError),
    ("cross_entropy", T, {"weight": np.array([1, np.nan, 1], np.float32)}, ValueError),
    ("cross_entropy", T, {"weight": np.ones(4, np.float32)}, ValueError),
    ("cross_entropy", T, {"weight": np.ones((1, 3), np.float32)}, ValueError),
    ("cross_entropy_with_grad", T, {"grad_out": np.ones((4, 4), np.float32)}, ValueError),
    ("cross_entropy_with_grad", T, {"grad_out": np.ones((4, 3))}, TypeError),
    ("cross_entropy_with_grad", T, {"grad_out": READ_ONLY}, ValueError),
    ("focal_loss", T, {"gamma": None}, TypeError),
    ("focal_loss", T, {"gamma": -1e-310}, ValueError),
    ("focal_loss", T, {"gamma": np.inf}, ValueError),
    ("focal_loss", X, {}, ValueError),
    ("distillation_loss", T, {}, ValueError),
    ("cross_entropy", T + 1, {}, IndexError),
    ("nll_loss_with_grad", T - 1, {}, IndexError),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]}-{'-'.join(case[2]) or case[3].__name__}")
def test_what_is_wrong_is_refused_in_the_same_words(
    case: tuple[str, Any, dict[str, Any], type[Exception]], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, target, options, kind = case
    with pytest.raises(kind) as short:
        getattr(fastact, name)(X, target, **options)
    with pytest.raises(kind) as long:
        long_way(monkeypatch, lambda: getattr(fastact, name)(X, target, **options))
    assert str(short.value) == str(long.value)
    assert str(short.value).startswith(f"{name}: ")


@pytest.mark.parametrize("word", fp.MODES.values(), ids=fp.MODES)
def test_numbers_below_zero_are_refused_in_every_mode(word: int) -> None:
    tiny = np.array([1, -1e-45, 1], np.float32)
    for options in ({"label_smoothing": -5e-324}, {"weight": tiny}):
        with fp.modes(word), pytest.raises(ValueError, match="cross_entropy"):
            fastact.cross_entropy(X, T, **options)


@pytest.mark.parametrize("of", ["logits", "target", "weight"])
def test_gradient_over_its_own_inputs(of: str) -> None:
    """Memory that the gradient shares with what it is computed from is read first, whatever the overlap."""
    for start in (0, 1, 5):
        memory = np.random.default_rng(3).uniform(0.1, 1, 6100).astype(np.float32)
        arrays = {"logits": memory[2000:4000].reshape(200, 10), "target": memory[4000:6000].reshape(200, 10)}
        arrays["weight"] = memory[:10]
        want = fastact.cross_entropy_with_grad(**{key: a.copy() for key, a in arrays.items()})
        first = (arrays[of].ctypes.data - memory.ctypes.data) // 4 + start
        out = memory[first : first + 2000].reshape(200, 10)
        loss, grad = fastact.cross_entropy_with_grad(**arrays, grad_out=out)
        assert grad is out
        same(loss, want[0])
        same(grad, want[1])
