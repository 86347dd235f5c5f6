"""Softmax regression: linear_softmax, linear_cross_entropy and its gradients, in blocks of every shape."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import numpy as np
import pytest
from helpers import assert_same_bits
from linear import linear_reference
from numpy.testing import assert_allclose, assert_array_equal

import fastact
from fastact._linear import choose_blocks

BLOCKS = (1, 9_000, 70_000, 2**25)          # a sample and 64 classes; some of both; some samples; everything
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
each_block = pytest.mark.parametrize("block_bytes", BLOCKS)


def problem(dtype: Any, n: int = 40, d: int = 17, c: int = 201, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(c, d)).astype(dtype)
    return x, w, rng.integers(0, c, n), rng.normal(size=c).astype(dtype)


def options_of(n: int, c: int, seed: int = 1) -> dict[str, list[Any]]:
    rng = np.random.default_rng(seed)
    return {
        "linear_bias": [None, rng.normal(size=c)], "weight": [None, np.where(rng.random(c) < 0.1, 0, rng.random(c))],
        "label_smoothing": [0.0, 0.125, 1.0], "reduction": ["mean", "sum", "none"],
        "sample_weight": [None, np.where(rng.random(n) < 0.2, 0, rng.random(n))], "ignore_index": [-100, 3, None],
    }


def cast(options: dict[str, Any], dtype: Any) -> dict[str, Any]:
    return {k: v.astype(dtype) if isinstance(v, np.ndarray) else v for k, v in options.items()}


def check(x: Any, w: Any, target: Any, dtype: Any, block_bytes: int, **options: Any) -> None:
    options = cast(options, dtype)
    wanted = linear_reference(x, w, target, **options)
    loss = fastact.linear_cross_entropy(x, w, target, block_bytes=block_bytes, **options)
    got = fastact.linear_cross_entropy_with_grad(x, w, target, block_bytes=block_bytes, **options)
    tolerance = TOLERANCE[dtype]
    scale = max(np.abs(wanted[0]).max(initial=0), 1e-30)
    assert_allclose(loss, wanted[0], rtol=tolerance, atol=tolerance * scale)
    assert_allclose(got[0], wanted[0], rtol=tolerance, atol=tolerance * scale)
    assert (got[3] is None) == (options.get("linear_bias") is None)
    for gradient, exact in zip(got[1:], wanted[1:], strict=True):
        if gradient is not None:
            assert gradient.dtype == dtype
            assert_allclose(gradient, exact, rtol=0, atol=10 * tolerance * max(np.abs(exact).max(initial=0), 1e-6))


@each_dtype
@each_block
def test_options_together(dtype: Any, block_bytes: int) -> None:
    """Every combination of options, labels and probabilities, against the formula."""
    x, w, labels, _ = problem(dtype)
    labels[::5] = 3
    choices = options_of(*x.shape[:1], len(w))
    probabilities = fastact.softmax(np.random.default_rng(2).normal(0, 2, (len(x), len(w)))).astype(dtype)
    for values in itertools.product(*choices.values()):
        options = dict(zip(choices, values, strict=True))
        check(x, w, labels, dtype, block_bytes, **options)
        if options["ignore_index"] == -100:
            check(x, w, probabilities, dtype, block_bytes, **options)


@each_dtype
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 3, 2), (5, 1, 64), (3, 8, 65), (100, 4, 128), (33, 7, 1000), (300, 64, 10)]
)
def test_shapes(dtype: Any, shape: tuple[int, int, int]) -> None:
    x, w, labels, bias = problem(dtype, *shape)
    for block_bytes, bits in itertools.product(BLOCKS, ("int8", "uint8", "int32", "uint64")):
        check(x, w, (labels % 100).astype(bits), dtype, block_bytes, linear_bias=bias)


@each_block
def test_blocks_fit_the_workspace(block_bytes: int) -> None:
    for n, d, c in itertools.product((1, 33, 4096), (1, 512), (2, 200, 32000)):
        for grad, gathers in itertools.product((False, True), repeat=2):
            blocks = choose_blocks(n, d, c, max(block_bytes // 4, 1), 2**20, grad, gathers)
            aside = blocks.rows * d * (1 + grad) * gathers
            least = 64 + d * (1 + grad) * gathers + d * grad
            assert blocks.rows * blocks.cols + blocks.spare + aside <= max(block_bytes // 4, least) + d
            assert 1 <= blocks.rows <= n
            assert 1 <= blocks.cols <= c


@each_dtype
def test_an_error_far_below_one(dtype: Any) -> None:
    """One class dominates: the loss is exp(-gap) to full relative accuracy, in whichever block its rivals are."""
    x = np.ones((1, 1), dtype)
    for label, gap in itertools.product((0, 70, 199), (5.0, 16.94, 30.0, 80.0)):
        w = np.zeros((200, 1), dtype)
        w[label] = gap
        for block_bytes in BLOCKS:
            loss, *gradients = fastact.linear_cross_entropy_with_grad(x, w, [label], block_bytes=block_bytes)
            others = 199 * np.exp(-float(w[label, 0]))
            assert_allclose(loss, np.log1p(others), rtol=4e-7)
            assert_allclose(gradients[1][label, 0], -others / (1 + others), rtol=4e-7)


@each_block
def test_equal_maxima_in_several_blocks(block_bytes: int) -> None:
    x, w = np.ones((2, 1)), np.zeros((256, 1))
    w[[3, 100, 200], 0] = 50.0
    assert_allclose(fastact.linear_cross_entropy(x, w, [3, 200], block_bytes=block_bytes), np.log(3), rtol=1e-15)


@each_dtype
@each_block
def test_ignored_samples_may_hold_anything(dtype: Any, block_bytes: int) -> None:
    x, w, labels, bias = problem(dtype)
    clean, ignored = x.copy(), [0, 7, 8, 39]
    labels[ignored], clean[ignored] = -100, 0
    x[ignored] = np.array([np.inf, -np.inf, np.nan, np.finfo(dtype).max])[:, None]
    got = fastact.linear_cross_entropy_with_grad(x, w, labels, linear_bias=bias, block_bytes=block_bytes)
    wanted = fastact.linear_cross_entropy_with_grad(clean, w, labels, linear_bias=bias, block_bytes=block_bytes)
    assert_same_bits(got, wanted)
    assert not got[1][ignored].any()
    assert not np.signbit(got[1][ignored]).any()
    some = np.ones(len(x), dtype)
    some[ignored] = 0                                       # a weight of 0 leaves out as well
    by_weight = fastact.linear_cross_entropy_with_grad(
        x, w, np.maximum(labels, 0), linear_bias=bias, sample_weight=some, block_bytes=block_bytes
    )
    assert_same_bits(by_weight, wanted)
    room = np.arange(len(w) + 1) < len(w)                       # so does a label whose class weighs nothing
    without = np.where(np.isin(np.arange(len(x)), ignored), len(w), labels)
    bias_and_one = np.append(bias, bias.dtype.type(-1e30))
    by_class = fastact.linear_cross_entropy_with_grad(
        x, np.append(w, w[:1], 0), without, linear_bias=bias_and_one, weight=room, block_bytes=block_bytes
    )
    for ours, theirs in zip(by_class, wanted, strict=True):
        same = ours if ours.shape == theirs.shape else ours[:-1]
        rtol, atol = (1e-4, 1e-6) if dtype == np.float32 else (1e-12, 1e-15)
        assert_allclose(same, theirs, rtol=rtol, atol=atol)


@each_block
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nothing_counts(block_bytes: int, reduction: str) -> None:
    x, w, labels, bias = problem(np.float64)
    labels[:] = -100
    options = {"linear_bias": bias, "reduction": reduction, "block_bytes": block_bytes}
    for n in (len(x), 0):
        loss, *gradients = fastact.linear_cross_entropy_with_grad(x[:n], w, labels[:n], **options)
        assert_array_equal(loss, {"mean": np.nan, "sum": 0.0, "none": np.zeros(n)}[reduction])
        assert_array_equal(fastact.linear_cross_entropy(x[:n], w, labels[:n], **options), loss)
        assert [g.shape for g in gradients] == [(n, 17), w.shape, bias.shape]
        assert not any(g.any() for g in gradients)
    x[::2] = np.inf
    loss, *gradients = fastact.linear_cross_entropy_with_grad(
        x, w, np.zeros(len(x), int), weight=np.zeros(len(w)), **options
    )
    assert_array_equal(loss, {"mean": np.nan, "sum": 0.0, "none": np.zeros(len(x))}[reduction])
    assert not any(g.any() for g in gradients)


def test_no_features_and_no_classes() -> None:
    loss, dx, dw, db = fastact.linear_cross_entropy_with_grad(np.empty((3, 0)), np.empty((4, 0)), [0, 1, 2])
    assert_allclose(loss, np.log(4), rtol=1e-15)
    assert (dx.shape, dw.shape, db) == ((3, 0), (4, 0), None)
    loss, dx, dw, _ = fastact.linear_cross_entropy_with_grad(np.ones((2, 3)), np.empty((0, 3)), [-100, -100])
    assert np.isnan(loss)
    assert dw.shape == (0, 3)
    assert not dx.any()
    with pytest.raises(IndexError, match=r"target\[0\] is 0, but there are 0 classes"):
        fastact.linear_cross_entropy(np.ones((1, 3)), np.empty((0, 3)), [0])
    assert fastact.linear_softmax(np.empty((0, 3)), np.ones((2, 3))).shape == (0, 2)
    assert fastact.linear_softmax(np.ones((2, 3)), np.empty((0, 3))).shape == (2, 0)


@each_block
def test_special_values(block_bytes: int) -> None:
    """As cross_entropy of the logits: a nan or +inf is a nan loss, a label at -inf an infinite one."""
    w = np.zeros((200, 1))
    bias = np.zeros(200)
    for place, value, label, wanted in ((5, np.nan, 0, np.nan), (150, np.nan, 0, np.nan), (150, np.inf, 0, np.nan),
                                        (150, -np.inf, 0, np.log(199)), (150, -np.inf, 150, np.inf)):
        bias[:] = 0
        bias[place] = value
        got = fastact.linear_cross_entropy_with_grad(
            np.ones((1, 1)), w, [label], linear_bias=bias, block_bytes=block_bytes
        )
        assert_allclose(got[0], wanted, rtol=1e-15)
        assert_allclose(got[0], fastact.cross_entropy(bias[None], [label]), rtol=1e-15)
        gradient = fastact.cross_entropy_with_grad(bias[None], [label])[1][0]
        assert_allclose(got[3], gradient, rtol=1e-14, atol=1e-300)
    bias[:] = -np.inf
    assert np.isnan(fastact.linear_cross_entropy(np.ones((1, 1)), w, [0], linear_bias=bias, block_bytes=block_bytes))
    target = np.zeros((1, 200))
    target[0, :2] = 0.5
    bias[:2] = 0                                            # 0 * -inf = 0
    loss = fastact.linear_cross_entropy(np.ones((1, 1)), w, target, linear_bias=bias, block_bytes=block_bytes)
    assert_allclose(loss, np.log(2), rtol=1e-15)


def test_dtypes() -> None:
    x, w, labels, bias = problem(np.float64)
    half = fastact.linear_cross_entropy_with_grad(
        x.astype("f2"), w.astype("f2"), labels, linear_bias=bias.astype("f2")
    )
    single = fastact.linear_cross_entropy_with_grad(
        x.astype("f2").astype("f4"), w.astype("f2").astype("f4"), labels, linear_bias=bias.astype("f2").astype("f4")
    )
    assert_same_bits(half, (single[0], *(g.astype("f2") for g in single[1:])))
    assert half[0].dtype == np.float32
    mixed = fastact.linear_cross_entropy_with_grad(x.astype("f4"), w, labels)
    assert [a.dtype for a in mixed[:3]] == [np.float64] * 3
    assert fastact.linear_cross_entropy(np.ones((2, 3), int), np.ones((4, 3), bool), [0, 1]).dtype == np.float64
    assert fastact.linear_cross_entropy([[1.0]], [[1.0], [2.0]], [0]).dtype == np.float64
    assert fastact.linear_softmax(x.astype("f2"), w.astype("f2")).dtype == np.float16
    one_hot = np.eye(len(w), dtype=bool)[labels]
    assert_allclose(fastact.linear_cross_entropy(x, w, one_hot), fastact.linear_cross_entropy(x, w, labels), rtol=1e-14)


@each_dtype
def test_layouts(dtype: Any) -> None:
    x, w, labels, bias = problem(dtype)
    rng = np.random.default_rng(0)
    target = fastact.softmax(rng.normal(size=(len(x), len(w)))).astype(dtype)
    swapped = np.dtype(dtype).newbyteorder()

    def spread(a: Any) -> Any:
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        wide[..., ::2] = a
        return wide[..., ::2]

    for change in (np.asfortranarray, spread, lambda a: a[::-1][::-1], lambda a: a.astype(swapped), np.ndarray.tolist):
        if change is np.ndarray.tolist and dtype != np.float64:
            continue
        for block_bytes in (1, 2**25):
            got = fastact.linear_cross_entropy_with_grad(
                change(x), change(w), change(target), linear_bias=change(bias), weight=change(np.abs(bias)),
                sample_weight=change(np.abs(x[:, 0])), block_bytes=block_bytes,
            )
            wanted = fastact.linear_cross_entropy_with_grad(
                x, w, target, linear_bias=bias, weight=np.abs(bias), sample_weight=np.abs(x[:, 0]),
                block_bytes=block_bytes,
            )
            for a, b in zip(got, wanted, strict=True):
                assert_allclose(a, b, rtol=20 * TOLERANCE[dtype], atol=TOLERANCE[dtype])
            got = fastact.linear_cross_entropy(change(x), change(w), spread(labels), block_bytes=block_bytes)
            assert_allclose(got, fastact.linear_cross_entropy(x, w, labels), rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize(("n", "c", "block_bytes"), [(4096, 2000, 2**20), (512, 20000, 2**22), (2048, 500, 2**16)])
def test_workspace_is_bounded(grad: bool, ignored: bool, n: int, c: int, block_bytes: int) -> None:
    """The N x C logits would be 33, 41 and 4 MB."""
    x, w, labels, bias = problem(np.float32, n, 16, c)
    if ignored:
        labels[::3] = -100
    function = fastact.linear_cross_entropy_with_grad if grad else fastact.linear_cross_entropy
    function(x[:8], w, labels[:8], linear_bias=bias)
    tracemalloc.start()
    function(x, w, labels, linear_bias=bias, block_bytes=block_bytes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    results = (x.nbytes + w.nbytes + 3 * bias.nbytes) * grad
    assert peak - results <= block_bytes + 40 * n + 20_000       # the states of samples, what is kept


@each_dtype
@each_block
def test_float32_is_within_1e_6_of_float64(dtype: Any, block_bytes: int) -> None:
    x, w, labels, bias = problem(dtype, 100, 64, 3000)
    wanted = linear_reference(x, w, labels, bias)[0]
    assert_allclose(
        fastact.linear_cross_entropy(x, w, labels, linear_bias=bias, block_bytes=block_bytes), wanted, rtol=1e-6
    )


@each_block
def test_same_bits_again_and_for_any_number_of_threads(block_bytes: int) -> None:
    x, w, labels, bias = problem(np.float32, 300, 33, 700)
    wanted = fastact.linear_cross_entropy_with_grad(x, w, labels, linear_bias=bias, block_bytes=block_bytes)
    for n in (1, 2, 3):
        with fastact.threads(n):
            got = fastact.linear_cross_entropy_with_grad(x, w, labels, linear_bias=bias, block_bytes=block_bytes)
            assert_same_bits(got, wanted)
            assert fastact.get_num_threads() == n


SMALL = [(1, 1, 1), (5, 3, 1), (32, 64, 10), (90, 9, 33), (1, 7, 40_000), (3000, 2, 11)]
LONG = [(13_000, 4, 2), (15_000, 4, 2), (16_000, 3, 2)]     # few logits, but more samples than go together


@each_dtype
@pytest.mark.parametrize("shape", SMALL + LONG)
def test_small_plain_problems_have_the_bits_of_the_others(dtype: Any, shape: tuple[int, int, int]) -> None:
    x, w, labels, bias = problem(dtype, *shape)
    other = 2**25 - 1           # not the default: these calls go the general way, in blocks of the same shapes
    for options in ({}, {"reduction": "sum"}, {"linear_bias": bias}, {"ignore_index": int(labels[0])}):
        for function in (fastact.linear_cross_entropy, fastact.linear_cross_entropy_with_grad):
            got, wanted = function(x, w, labels, **options), function(x, w, labels, **options, block_bytes=other)
            if isinstance(got, tuple) and got[3] is None:
                got, wanted = got[:3], wanted[:3]
            assert_same_bits(got, wanted)


@each_dtype
def test_linear_softmax(dtype: Any) -> None:
    for shape in ((5, 3, 4), (100, 64, 10), (7, 9, 1000)):
        x, w, _, bias = problem(dtype, *shape)
        for b in (None, bias):
            z = x.astype(float) @ w.T.astype(float) + (0 if b is None else b)
            p = fastact.linear_softmax(x, w, linear_bias=b)
            assert p.dtype == dtype
            assert_allclose(p, np.exp(z - np.log(np.exp(z).sum(1, keepdims=True))), rtol=30 * TOLERANCE[dtype])
    x[0] = np.inf
    w = np.abs(w)
    with np.errstate(all="raise"):
        p = fastact.linear_softmax(x, w)
    assert np.isnan(p[0]).all()
    assert np.isfinite(p[1:]).all()


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"x": np.ones(3)}, ValueError, r"x has shape \(3,\), expected \(samples, features\)"),
    ({"x": np.ones((4, 3), complex)}, TypeError, "x has dtype complex128, expected float16"),
    ({"x": 3.0}, ValueError, r"x has shape \(\), expected"),
    ({"linear_weight": np.ones((5, 2))}, ValueError, r"linear_weight has shape \(5, 2\), expected \(classes, 3\)"),
    ({"linear_weight": np.ones(5)}, ValueError, r"linear_weight has shape \(5,\), expected"),
    ({"linear_weight": [["a"]]}, TypeError, "linear_weight has dtype <U1"),
    ({"linear_bias": np.ones(4)}, ValueError, r"linear_bias has shape \(4,\), expected \(5,\)"),
    ({"linear_bias": np.ones(5, object)}, TypeError, "linear_bias has dtype object"),
    ({"target": np.ones(4)}, TypeError, r"target has dtype float64, expected integer labels of shape \(4,\)"),
    ({"target": np.ones(3, int)}, ValueError, r"target has shape \(3,\), expected \(4,\) \(labels\) or \(4, 5\)"),
    ({"target": np.ones((4, 4))}, ValueError, r"target has shape \(4, 4\)"),
    ({"target": [0, 1, 5, 0]}, IndexError, r"target\[2\] is 5, but there are 5 classes"),
    ({"target": [0, 1, 0, -1]}, IndexError, r"target\[3\] is -1, but there are 5 classes"),
    ({"target": [0, 1, 0, -100], "ignore_index": None}, IndexError, r"target\[3\] is -100"),
    ({"weight": np.ones(4)}, ValueError, r"weight has shape \(4,\), expected \(5,\)"),
    ({"weight": [1, 1, -1, 1, 1]}, ValueError, r"weight\[2\] is -1"),
    ({"weight": [1, np.inf, 1, 1, 1]}, ValueError, r"weight\[1\] is inf"),
    ({"sample_weight": np.ones(5)}, ValueError, r"sample_weight has shape \(5,\), expected \(4,\)"),
    ({"sample_weight": [1, 1, np.nan, 1]}, ValueError, r"sample_weight\[2\] is nan"),
    ({"ignore_index": 1.5}, TypeError, "ignore_index is 1.5, expected an int or None"),
    ({"label_smoothing": 1.5}, ValueError, "label_smoothing is 1.5, expected a number from 0 to 1"),
    ({"label_smoothing": "a"}, TypeError, "label_smoothing is of type str"),
    ({"label_smoothing": np.zeros(2)}, TypeError, "label_smoothing is of type ndarray"),
    ({"reduction": "max"}, ValueError, "reduction is 'max', expected one of 'mean', 'sum', 'none'"),
    ({"block_bytes": 0}, ValueError, "block_bytes is 0, expected an int >= 1"),
    ({"block_bytes": 1e6}, TypeError, "block_bytes is 1000000.0, expected an int"),
]


@pytest.mark.parametrize("name", ["linear_cross_entropy", "linear_cross_entropy_with_grad"])
@pytest.mark.parametrize(("wrong", "error", "text"), BAD)
def test_bad_input(name: str, wrong: dict[str, Any], error: type[Exception], text: str) -> None:
    given = {"x": np.ones((4, 3)), "linear_weight": np.ones((5, 3)), "target": np.zeros(4, int)} | wrong
    refuses(name, given, error, text)


@pytest.mark.parametrize(
    ("wrong", "error", "text"), [bad for bad in BAD if bad[0].keys() <= {"x", "linear_weight", "linear_bias"}]
)
def test_bad_input_of_linear_softmax(wrong: dict[str, Any], error: type[Exception], text: str) -> None:
    refuses("linear_softmax", {"x": np.ones((4, 3)), "linear_weight": np.ones((5, 3))} | wrong, error, text)


def refuses(name: str, given: dict[str, Any], error: type[Exception], text: str) -> None:
    """The call raises, and its arguments are as they were."""
    copies = {k: np.array(v) for k, v in given.items()}
    with pytest.raises(error, match=rf"^{name}: {text}"):
        getattr(fastact, name)(**given)
    for k, v in given.items():
        assert_array_equal(v, copies[k])


def test_nothing_is_raised_under_errstate() -> None:
    x, w, labels, bias = problem(np.float32)
    x[0, 0], x[1], w[3] = 1e-40, 3e38, 1e-38
    half = np.full(x.shape, 6e4, np.float16), np.full(w.shape, 6e4, np.float16)  # products too large for it
    with np.errstate(all="raise"):
        for block_bytes in BLOCKS:
            fastact.linear_cross_entropy_with_grad(x, w, labels, linear_bias=bias, block_bytes=block_bytes)
            fastact.linear_cross_entropy_with_grad(*half, labels, block_bytes=block_bytes, reduction="sum")
