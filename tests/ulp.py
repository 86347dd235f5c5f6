"""Measures the error of every kernel in ULP: command line and library of the accuracy tests.

    python tests/ulp.py [NAME ...]                  a strided pass over float32 and 2^20 samples of float64, each ISA
    python tests/ulp.py --exhaustive [NAME ...]     all 2^32 float32 inputs and 10^8 samples of float64

The names, bounds and definitions are those of tests/reference.py; exit status 1 if a bound is exceeded. References:
float64 results against long double (tests/ulp.c, compiled here with the system's compiler, itself held against mpmath
by tests/test_accuracy.py), float32 results against fastact's own float64 kernel of the best ISA, whose error, bounded
by the first comparison, is below 2^-27 ULP of float32, and on a sample against long double as well.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from reference import CROSSING_BOUND, ROWS, Row

from fastact import _kernels

HERE = Path(__file__).parent
MAPS = {op["name"]: op for op in _kernels.MAPS}
CHUNK = 1 << 20


class _Found(ctypes.Structure):
    _fields_ = [
        ("max", ctypes.c_double),
        ("at", ctypes.c_double),
        ("crossing_max", ctypes.c_double),
        ("sum", ctypes.c_double),
        ("count", ctypes.c_int64),
        ("wrong", ctypes.c_int64),
        ("wrong_at", ctypes.c_double),
    ]


class _Crossing(ctypes.Structure):
    _fields_ = [
        ("begin", ctypes.c_double),
        ("end", ctypes.c_double),
        ("term", ctypes.c_double),
        ("any_zero", ctypes.c_int),
    ]


@functools.cache
def library() -> ctypes.CDLL:
    """tests/ulp.c, compiled once per content."""
    source = HERE / "ulp.c"
    compiler = next((c for c in ("cc", "gcc", "clang") if shutil.which(c)), None)
    if compiler is None:
        raise RuntimeError("tests/ulp.py needs a C compiler")
    name = f"fastact-ulp-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.so"
    target = Path(tempfile.gettempdir()) / name
    if not target.exists():
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder) / name
            flags = ["-O2", "-shared", "-fPIC", "-fno-math-errno"]
            for openmp in (["-fopenmp"], []):
                command = [compiler, *flags, *openmp, str(source), "-o", str(built), "-lm"]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode == 0:
                    break
            else:
                raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
            shutil.copy(built, f"{target}.{os.getpid()}")
            Path(f"{target}.{os.getpid()}").replace(target)
    return ctypes.CDLL(str(target))


def _pointer(x: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(x.ctypes.data)


@dataclass
class Error:
    """Largest error in ULP and where, the same near a zero crossing, mean, count, wrong special results."""

    max: float = 0.0
    at: float = 0.0
    crossing_max: float = 0.0
    total: float = 0.0
    count: int = 0
    wrong: int = 0
    wrong_at: float = 0.0

    @property
    def mean(self) -> float:
        return self.total / max(self.count, 1)

    def add(self, found: _Found) -> None:
        if found.max > self.max:
            self.max, self.at = found.max, found.at
        self.crossing_max = max(self.crossing_max, found.crossing_max)
        if found.wrong:
            self.wrong_at = found.wrong_at
        self.total += found.sum
        self.count += found.count
        self.wrong += found.wrong


def parameters(row: Row, dtype: Any) -> tuple[float, ...]:
    """The parameters as the kernels of this type see them."""
    return tuple(float(np.dtype(dtype).type(p)) for p in row.params)


def call(name: str, x: np.ndarray, params: tuple[float, ...]) -> np.ndarray:
    """The map as a function of its first tensor, or of the one its gradient saves; the others are ones."""
    op = MAPS[name]
    tensors = [np.ones_like(x)] * op["tensors"]
    tensors[1 if op["grad"] else 0] = x
    y = _kernels.apply(_kernels.MAP_ID[name], (*tensors, *params), None, {})
    return y[0] if isinstance(y, tuple) else y


class using:  # noqa: N801
    """Within: kernels of this ISA."""

    def __init__(self, isa: str) -> None:
        self.isa = isa

    def __enter__(self) -> None:
        self.before = _kernels.current_isa()
        _kernels.use_isa(self.isa)

    def __exit__(self, *_: object) -> None:
        _kernels.use_isa(self.before)


def float32_patterns(stride: int, offset: int = 0) -> Iterator[np.ndarray]:
    """Every stride-th of the 2^32 bit patterns."""
    for first in range(offset, 1 << 32, stride * CHUNK):
        last = min(first + stride * CHUNK, 1 << 32)
        yield np.arange(first, last, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)


def cutoffs(dtype: Any) -> np.ndarray:
    """Where a formula may change: limits.def, round numbers, halfway between multiples of ln 2, and more."""
    text = (HERE.parent / "include/fastact/limits.def").read_text()
    index = 1 if np.dtype(dtype) == np.float32 else 2
    found = [m[index] for m in re.findall(r"^FA_LIMIT\((\w+), ([^,]+?)f?, ([^)]+)\)", text, re.MULTILINE)]
    limits = [float.fromhex(t) if "x" in t else float(t) for t in found]
    halves = (np.arange(1100) + 0.5) * np.log(2)
    points = np.concatenate(
        [
            limits,
            [1.0, 2, 3, 6, 0.5, 0.25, 0.75, 1.5, 100, 20, 40, 1e-3, 0.7517916, 0.7524614, 1.2784645],
            halves,
            halves / 2,
            np.sqrt(2 * halves),
            np.ldexp(1.0, np.arange(-1074, 1024, 7)),
        ]
    )
    points = points[np.abs(points) <= np.finfo(dtype).max]
    return np.concatenate([points, -points]).astype(dtype)


def neighbours(points: np.ndarray, reach: int) -> np.ndarray:
    bits = points.view(np.int64 if points.dtype == np.float64 else np.int32)
    return (bits[:, None] + np.arange(-reach, reach + 1, dtype=bits.dtype)).ravel().view(points.dtype)


def float64_samples(count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Neighbours of all cutoffs, then `count` numbers: a quarter over all bit patterns, the rest over 2^-40..2^10."""
    yield neighbours(cutoffs(np.float64), 40)
    rng = np.random.default_rng(seed)
    low, high = np.array([2.0**-40, 2.0**10]).view(np.uint64)
    for first in range(0, count, CHUNK):
        n = min(CHUNK, count - first)
        x = rng.integers(low, high, n, dtype=np.uint64) | rng.integers(0, 2, n, dtype=np.uint64) << np.uint64(63)
        x[: n // 4] = rng.integers(0, 1 << 64, n // 4, dtype=np.uint64)
        yield x.view(np.float64)


def _reference(name: str) -> Any:
    return ctypes.cast(getattr(library(), f"ref_{name}"), ctypes.c_void_p)


def _two(params: tuple[float, ...]) -> list[ctypes.c_double]:
    return [ctypes.c_double(p) for p in (*params, 0.0, 0.0)[:2]]


def compare(name: str, x: np.ndarray, y: np.ndarray, error: Error, exact: np.ndarray | None = None) -> None:
    """Adds to `error` what y = name(x) is off by: from `exact` (float64), or from long double."""
    row, found = ROWS[name], _Found()
    tail = [ctypes.c_int64(x.size), ctypes.byref(_Crossing(*row.crossing, not row.signed_zero)), ctypes.byref(found)]
    x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
    if exact is not None:
        library().ulp_f32(_pointer(x), _pointer(y), _pointer(exact), *tail)
    else:
        function = library().ulp_f32_ref if x.dtype == np.float32 else library().ulp_f64_ref
        function(_pointer(x), _pointer(y), _reference(name), *_two(parameters(row, x.dtype)), *tail)
    error.add(found)


def measure(
    name: str, dtype: Any, isas: list[str], stride: int = 257, samples: int = 1 << 20, seed: int = 0
) -> dict[str, Error]:
    """Error of one map on each ISA: every stride-th float32 from `seed` on, or that many samples of float64."""
    params, errors = parameters(ROWS[name], dtype), {isa: Error() for isa in isas}
    if np.dtype(dtype) == np.float32:
        inputs = itertools.chain(
            [neighbours(cutoffs(dtype), 40)] * (stride > 1), float32_patterns(stride, seed % stride)
        )
    else:
        inputs = float64_samples(samples, seed)
    best = _kernels.available_isas()[-1]
    for x in inputs:
        exact = None
        if x.dtype == np.float32:
            with using(best), np.errstate(all="ignore"):
                exact = call(name, x.astype(np.float64), params)
        for isa in isas:
            with using(isa):
                y = call(name, x, params)
            compare(name, x, y, errors[isa], exact)
    return errors


def main() -> int:
    parser = argparse.ArgumentParser(description="Errors of the kernels in ULP.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="maps (default: all); a part of a name is enough")
    parser.add_argument("--exhaustive", action="store_true", help="all 2^32 float32 inputs, 10^8 samples of float64")
    parser.add_argument("--dtype", choices=["float32", "float64"])
    parser.add_argument("--isa", choices=_kernels.available_isas())
    parser.add_argument("--stride", type=int, default=257)
    parser.add_argument("--samples", type=int, default=1 << 20)
    options = parser.parse_args()
    if options.exhaustive:
        options.stride, options.samples = 1, 10**8
    names = [n for n in MAPS if not options.names or any(part in n for part in options.names)]
    isas = [options.isa] if options.isa else _kernels.available_isas()
    bad = 0
    for name in names:
        for dtype in [options.dtype] if options.dtype else ["float64", "float32"]:
            start = time.perf_counter()
            for isa, e in measure(name, dtype, isas, options.stride, options.samples).items():
                bound = ROWS[name].bounds.of(dtype, isa)
                over = e.max > bound or e.wrong or e.crossing_max > CROSSING_BOUND
                bad += bool(over)
                at = np.dtype(dtype).type(e.at)
                print(
                    f"{name:18} {dtype} {isa:8} max {e.max:7.3f} at {at!s:>14} mean {e.mean:.3f} of {e.count:.2e} "
                    f"bound {bound}"
                    + (f" crossing {e.crossing_max:.2f}" if e.crossing_max else "")
                    + (f"  WRONG {e.wrong}, {e.wrong_at!r}" if e.wrong else "")
                    + ("  EXCEEDED" if over else ""),
                    flush=True,
                )
            print(f"{'':18} {time.perf_counter() - start:.1f} s", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
