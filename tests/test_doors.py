"""Two doors, one room: whatever way an array comes in, each element gets the bits that the kernel gives it.

`whole` below is the contiguous call of the fast door; every other length, offset, layout and door must agree with it.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from helpers import OPS, Op, assert_same_bits, each_op, same_bits, tuple_of

import fastact
from fastact import _kernels

GUARD = 16                      # elements before and behind an output that must stay as they are
BLOCKS = (127, 128, 129, 511, 512, 513, 1023, 1024, 1025, 8191, 8192, 8193)


def guarded(op: Op, n: int, dtype: Any, offset: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Frames full of a mark, and the outputs inside them, `offset` bytes off a 64-byte border."""
    frames = [aligned((n + 2 * GUARD) * np.dtype(dtype).itemsize + 64, 0, np.uint8) for _ in range(op.outputs)]
    for frame in frames:
        frame[:] = 0xA5
    start = GUARD * np.dtype(dtype).itemsize + offset
    return frames, [frame[start:start + n * np.dtype(dtype).itemsize].view(dtype) for frame in frames]


def untouched(frames: list[np.ndarray], outs: list[np.ndarray]) -> bool:
    for frame, out in zip(frames, outs, strict=True):
        start = out.__array_interface__["data"][0] - frame.__array_interface__["data"][0]
        if not ((frame[:start] == 0xA5).all() and (frame[start + out.nbytes:] == 0xA5).all()):
            return False
    return True


def aligned(n: int, offset: int, dtype: Any) -> np.ndarray:
    """An array that begins `offset` bytes behind a 64-byte border."""
    dtype = np.dtype(dtype)
    raw = np.zeros(n * dtype.itemsize + 128, np.uint8)
    start = -raw.__array_interface__["data"][0] % 64 + offset
    return raw[start:start + n * dtype.itemsize].view(dtype)


def as_out(outs: list[np.ndarray]) -> Any:
    return outs[0] if len(outs) == 1 else tuple(outs)


@each_op
def test_every_length(op: Op, isa: str, dtype: np.dtype) -> None:
    tensors = op.inputs(max(BLOCKS), dtype)
    whole = tuple_of(op(*tensors))
    for n in (*range(101), *BLOCKS):
        cut = tuple(t[:n] for t in tensors)
        expected = tuple(w[:n] for w in whole)
        assert_same_bits(op(*cut), expected, f"fast door, n={n}")
        frames, outs = guarded(op, n, dtype)
        assert_same_bits(op(*cut, out=as_out(outs)), expected, f"fast door into out, n={n}")
        assert untouched(frames, outs), f"n={n}: wrote outside of out"
        frames, outs = guarded(op, n, dtype)
        op.ufunc(*cut, out=as_out(outs))
        assert_same_bits(tuple(outs), expected, f"ufunc door, n={n}")
        assert untouched(frames, outs), f"n={n}: wrote outside of out"


@each_op
def test_every_alignment(op: Op, dtype: np.dtype) -> None:
    n = 77
    tensors = op.inputs(n, dtype)
    whole = op(*tensors)
    for offset in range(64):
        moved = []
        for k, tensor in enumerate(tensors):
            moved.append(aligned(n, (offset + k * dtype.itemsize) % 64, dtype))
            moved[-1][:] = tensor
        assert_same_bits(op(*moved), whole, f"inputs {offset} bytes off")
        frames, outs = guarded(op, n, dtype, offset)
        op(*moved, out=as_out(outs))
        assert_same_bits(tuple(outs), tuple_of(whole), f"all {offset} bytes off")
        assert untouched(frames, outs), f"{offset} bytes off: wrote outside of out"


@each_op
def test_any_strides(op: Op, dtype: np.dtype) -> None:
    n = 1100
    tensors = op.inputs(n, dtype)
    whole = tuple_of(op(*tensors))
    for step in (1, 2, 3, 7, -1, -2, -5):
        views = []
        for k, tensor in enumerate(tensors):
            spaced = np.full(n * 9, np.nan, dtype)[:: step + (k if step > 0 else -k)][:n]
            spaced[:] = tensor
            views.append(spaced)
        assert_same_bits(op(*views), whole, f"step {step}")
        outs = [np.full(n * 9, 55, dtype) for _ in whole]
        spaced = [out[::step][:n] for out in outs]
        op(*views, out=as_out(spaced))
        assert_same_bits(tuple(spaced), whole, f"step {step} into out")
        for out in outs:
            out[::step][:n] = 55
            assert (out == 55).all(), f"step {step}: wrote between the elements"


@each_op
def test_stride_zero(op: Op, dtype: np.dtype) -> None:
    """Broadcast inputs: each operand in turn is one element repeated."""
    tensors = op.inputs(700, dtype)
    for k in range(op.tensors):
        single = [np.broadcast_to(t[:1], 700) if j == k else t for j, t in enumerate(tensors)]
        full = [t.copy() for t in single]
        assert_same_bits(op(*single), op(*full), f"operand {k} repeated")
    same = [np.broadcast_to(t[:1], 700) for t in tensors]
    once = tuple_of(op(*(t[:1] for t in tensors)))
    assert_same_bits(op(*same), tuple(np.repeat(o, 700) for o in once), "all repeated")


@each_op
def test_memory_orders(op: Op, dtype: np.dtype) -> None:
    shape = (3, 5, 7, 4)
    flat = op.inputs(int(np.prod(shape)), dtype)
    tensors = [t.reshape(shape) for t in flat]
    whole = tuple(w.reshape(shape) for w in tuple_of(op(*flat)))
    views = {
        "F order": [np.asfortranarray(t) for t in tensors],
        "mixed orders": [np.asfortranarray(t) if k % 2 else t for k, t in enumerate(tensors)],
        "transposed": [t.transpose(2, 0, 3, 1).copy().transpose(1, 3, 0, 2) for t in tensors],
        "read-only": [frozen(t) for t in tensors],
        "byte-swapped": [t.astype(dtype.newbyteorder()) for t in tensors],
        "unaligned": [unaligned(t) for t in tensors],
        "negative and sliced": [np.flip(np.flip(np.pad(t, 1)).copy())[1:-1, 1:-1, 1:-1, 1:-1] for t in tensors],
    }
    for name, layout in views.items():
        got = op(*layout)
        assert_same_bits(got, whole, name)
        assert all(g.dtype.isnative for g in tuple_of(got)), name
    for order, flag in (("C", "C_CONTIGUOUS"), ("F", "F_CONTIGUOUS")):
        got = tuple_of(op(*views["mixed orders"], order=order))
        assert_same_bits(got, whole, f"order={order}")
        assert all(g.flags[flag] for g in got), order
    assert all(g.flags.f_contiguous for g in tuple_of(op(*views["F order"]))), "K order keeps F order"


def frozen(t: np.ndarray) -> np.ndarray:
    t = t.copy()
    t.flags.writeable = False
    return t


def unaligned(t: np.ndarray) -> np.ndarray:
    raw = np.zeros(t.nbytes + 1, np.uint8)
    view = raw[1:].view(t.dtype).reshape(t.shape)
    view[...] = t
    assert not view.flags.aligned
    return view


@each_op
def test_in_place(op: Op, isa: str, dtype: np.dtype) -> None:
    """`out` may be any of the inputs, and for two outputs any two of them, at every length class."""
    for n in (1, 15, 16, 100, 1000):
        tensors = op.inputs(n, dtype)
        whole = op(*tensors)
        for places in itertools.permutations(range(op.tensors), op.outputs):
            for door in (op, op.ufunc):
                own = [t.copy() for t in tensors]
                door(*own, out=as_out([own[k] for k in places]))
                assert_same_bits(tuple(own[k] for k in places), tuple_of(whole), f"n={n}, out is input {places}")
                kept = (k for k in range(op.tensors) if k not in places)
                assert all(same_bits(own[k], tensors[k]) for k in kept), "an input changed"


@each_op
def test_overlapping_out(op: Op, dtype: np.dtype) -> None:
    """Outputs that share some bytes with inputs, shifted or reversed, come out as if they shared none."""
    n = 300
    tensors = op.inputs(n, dtype)
    whole = tuple_of(op(*tensors))
    for k, shift in itertools.product(range(op.tensors), (1, -1, 3, 17, -64, 0.5)):
        frame = np.zeros((n + 200) * dtype.itemsize, np.uint8)
        start, move = 100 * dtype.itemsize, int(shift * dtype.itemsize)
        own = list(tensors)
        own[k] = frame[start:start + n * dtype.itemsize].view(dtype)
        own[k][:] = tensors[k]
        out = frame[start + move:start + move + n * dtype.itemsize].view(dtype)
        outs = [out, *(np.empty_like(w) for w in whole[1:])]
        op(*own, out=as_out(outs))
        assert_same_bits(tuple(outs), whole, f"out is input {k} shifted by {shift}")
        own[k] = tensors[k].copy()
        outs = [own[k][::-1], *(np.empty_like(w) for w in whole[1:])]
        op(*own, out=as_out(outs))
        assert_same_bits(tuple(outs), whole, f"out is input {k} reversed")


@each_op
def test_out_of_another_kind(op: Op, dtype: np.dtype) -> None:
    tensors = tuple(t.reshape(20, 30) for t in op.inputs(600, dtype))
    whole = tuple_of(op(*tensors))
    outs = op.outs(tensors[0])
    got = op(*tensors, out=tuple_of(outs))
    assert all(g is o for g, o in zip(tuple_of(got), tuple_of(outs), strict=True)), "out as a tuple is returned"
    assert_same_bits(got, whole if op.outputs > 1 else whole[0], "out as a tuple")

    broad = [np.full((3, 20, 30), 7, dtype) for _ in whole]
    assert tuple_of(op(*tensors, out=as_out(broad)))[0] is broad[0]
    assert_same_bits(tuple(broad), tuple(np.broadcast_to(w, (3, 20, 30)) for w in whole), "out broadcasts")

    for target in (np.float16, np.float32, np.float64):
        outs = [np.empty(w.shape, target) for w in whole]
        with np.errstate(all="ignore"):                 # the cast may overflow, as NumPy's own would
            op(*tensors, out=as_out(outs))
            assert_same_bits(tuple(outs), tuple(w.astype(target) for w in whole), f"out of {target.__name__}")
    swapped = [np.empty(w.shape, dtype.newbyteorder()) for w in whole]
    op(*tensors, out=as_out(swapped))
    assert_same_bits(tuple(s.astype(dtype) for s in swapped), whole, "byte-swapped out")


@each_op
def test_where(op: Op, dtype: np.dtype) -> None:
    tensors = op.inputs(600, dtype)
    mask = np.random.default_rng(1).random(600) < 0.5
    whole = tuple_of(op(*tensors))
    outs = op.outs(tensors[0])
    op(*tensors, out=outs, where=mask)
    assert_same_bits(tuple_of(outs), tuple(np.where(mask, w, w.dtype.type(77)) for w in whole))
    assert_same_bits(op(*tensors, where=True), op(*tensors))


@each_op
def test_past_the_caches(op: Op, dtype: np.dtype) -> None:
    """Results of large calls are stored past the caches: the same bits, at every alignment and length class."""
    tensors = op.inputs(5000, dtype)
    whole = tuple_of(op(*tensors))
    _kernels.set_last_level_cache(1)
    for n, offset in itertools.product((1, 5, 100, 1023, 1024, 1025, 4111, 5000), (0, dtype.itemsize, 32, 56)):
        frames, outs = guarded(op, n, dtype, offset)
        op(*(t[:n] for t in tensors), out=as_out(outs))
        assert_same_bits(tuple(outs), tuple(w[:n] for w in whole), f"n={n}, {offset} bytes off")
        assert untouched(frames, outs), f"n={n}: wrote outside of out"
    if op.outputs == 1:
        over = [t.copy() for t in tensors]
        assert_same_bits(op(*over, out=over[0]), whole[0], "over an input, by the kernel for much data")
    fastact.set_num_threads(3)
    many = tuple(np.tile(t, 300) for t in tensors)
    assert_same_bits(op(*many), tuple(np.tile(w, 300) for w in whole) if op.outputs > 1 else np.tile(whole[0], 300))


@pytest.mark.exhaustive
@pytest.mark.parametrize("op", [op for op in OPS if not op.grad and op.cost == 0][:2], ids=str)
def test_more_than_2_31_elements(op: Op) -> None:
    n = 2**31 + 77
    x = np.zeros(n, np.float32)
    x[-100:] = np.linspace(-5, 5, 100)
    for result in (op(x), op(x[::-1])[::-1]):
        assert_same_bits(result[-100:], op(x[-100:]))
        assert not result[:-100].any()
