"""Measures the error of every kernel in ULP: library of the accuracy tests, and command line.

    python tests/ulp.py [NAME ...]                  a strided pass over float32 and 2^20 samples of float64, each ISA
    python tests/ulp.py --exhaustive [NAME ...]     all 2^32 float32 inputs and 10^8 samples of float64

The names, bounds and definitions are those of tests/reference.py; exit status 1 if a bound is exceeded. The exact
values are computed once for all ISAs: for float64 in long double (tests/ulp.c, compiled here with the system's
compiler, itself held against mpmath by tests/test_accuracy.py), for float32 by fastact's own float64 kernel of the best
ISA, which is right to 2^-26 ULP of float32: every 251st is compared with long double as well. The tables of
docs/numerics.md are made by tests/ulp_table.py.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import hashlib
import itertools
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from reference import ROWS, Row

from fastact import _kernels, set_num_threads

HERE = Path(__file__).parent
RESULTS = HERE.parent / "docs/accuracy.json"
MAPS = {op["name"]: op for op in _kernels.MAPS}
CHUNK = 1 << 17
CHECKED = 251  # every so many values of the float64 kernel are compared with long double
CHECK_BOUND = 2.0**-26  # ULP of float32
ALL = 1 << 32


class _Found(ctypes.Structure):
    _fields_ = [
        ("max", ctypes.c_double),
        ("at", ctypes.c_double),
        ("crossing_max", ctypes.c_double),
        ("crossing_at", ctypes.c_double),
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
    flags = ["-O3", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-fopenmp-simd"]
    name = f"fastact-ulp-{hashlib.sha256(source.read_bytes() + str(flags).encode()).hexdigest()[:16]}.so"
    target = Path(tempfile.gettempdir()) / name
    if not target.exists():
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder) / name
            for native in (["-march=native"], []):
                command = [compiler, *flags, *native, str(source), "-o", str(built), "-lm"]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode == 0:
                    break
            else:
                raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
            shutil.copy(built, f"{target}.{os.getpid()}")
            Path(f"{target}.{os.getpid()}").replace(target)
    loaded = ctypes.CDLL(str(target))
    loaded.check_f32.restype = ctypes.c_double
    return loaded


def _pointer(x: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(x.ctypes.data)


@dataclass
class Error:
    """Largest error in ULP and where, the same near a zero crossing, mean, count, wrong special results."""

    max: float = 0.0
    at: float = 0.0
    crossing_max: float = 0.0
    crossing_at: float = 0.0
    total: float = 0.0
    count: int = 0
    wrong: int = 0
    wrong_at: float = 0.0
    unlike: int = 0  # results whose bits are not those of the ISA before

    @property
    def mean(self) -> float:
        return self.total / max(self.count, 1)

    def add(self, found: Any) -> None:
        """What a comparison found, or another Error."""
        if found.max > self.max:
            self.max, self.at = found.max, found.at
        if found.crossing_max > self.crossing_max:
            self.crossing_max, self.crossing_at = found.crossing_max, found.crossing_at
        if found.wrong:
            self.wrong_at = found.wrong_at
        self.total += found.total if isinstance(found, Error) else found.sum
        self.count += found.count
        self.wrong += found.wrong
        self.unlike += getattr(found, "unlike", 0)


Errors = dict[str, Error]


def parameters(row: Row, dtype: Any) -> tuple[float, ...]:
    """The parameters as the kernels of this type see them."""
    return tuple(float(np.dtype(dtype).type(p)) for p in row.params)


@functools.lru_cache(maxsize=4)
def _ones(size: int, dtype: np.dtype) -> np.ndarray:
    return np.ones(size, dtype)


def call(name: str, x: np.ndarray, params: tuple[float, ...]) -> np.ndarray:
    """The map as a function of its first tensor, or of the one its gradient saves; the others are ones."""
    op = MAPS[name]
    tensors = [_ones(x.size, x.dtype)] * op["tensors"]
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


def float32_patterns(stride: int, first: int = 0, last: int = ALL) -> Iterator[np.ndarray]:
    """Every stride-th bit pattern of those from first on."""
    for begin in range(first, last, stride * CHUNK):
        end = min(begin + stride * CHUNK, last)
        yield np.arange(begin, end, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)


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


def float64_samples(count: int, seed: Any = 0) -> Iterator[np.ndarray]:
    """Numbers at random: a quarter over all bit patterns, the rest over 2^-40..2^10."""
    rng = np.random.default_rng(seed)
    low, high = np.array([2.0**-40, 2.0**10]).view(np.uint64)
    for first in range(0, count, CHUNK):
        n = min(CHUNK, count - first)
        x = rng.integers(low, high, n, dtype=np.uint64) | rng.integers(0, 2, n, dtype=np.uint64) << np.uint64(63)
        x[: n // 4] = rng.integers(0, 1 << 64, n // 4, dtype=np.uint64)
        yield x.view(np.float64)


@functools.cache
def recorded() -> dict[str, Any]:
    """The passes that tests/ulp_table.py has made."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


# The worst of float64 that 10^7 numbers in a place which looked bad have found, and few numbers near find.
FOUND = {
    "gelu": (-0.9497855915234028, -0.9491256024209489),
    "gelu_tanh": (-0.3227377093441702,),
    "log_sigmoid": (0.4366329617530868, 0.43467983092248336),
    "mish": (-21.126275680780537,),
    "siglu_grad": (1.7675334186442906,),
    "silu_grad": (-36.39341899135396, -36.390264565167314),
    "softplus": (-0.4344863012278162, -0.4330303598454106),
    "squareplus_grad": (-16.01021275607247,),
    "tanh_shrink_grad": (0.8509988783198198, 0.8508876840199635),
}


def known_worst(name: str, dtype: Any) -> np.ndarray:
    """Where the errors of all ISAs were largest in the recorded pass, and those of FOUND."""
    dtype = np.dtype(dtype)
    errors = recorded().get(dtype.name, {}).get(name, {"errors": {}})["errors"].values()
    found = FOUND.get(name, ()) if dtype == np.float64 else ()
    return np.array([*(float(e[key]) for e in errors for key in ("at", "crossing_at") if key in e), *found], dtype)


class Measured:
    """The errors of one map on several ISAs, the exact values being computed once for all."""

    def __init__(self, name: str, dtype: Any, isas: list[str], by_kernel: bool = False, any_zero: bool = False) -> None:
        self.name, self.dtype, self.by_kernel = name, np.dtype(dtype), by_kernel
        self.errors: Errors = {isa: Error() for isa in isas}
        self.worst: list[tuple[float, float]] = []  # of each chunk: error, where
        self.params = parameters(ROWS[name], dtype)
        reference = ctypes.cast(getattr(library(), f"ref_{name}"), ctypes.c_void_p)
        self._reference = (reference, *(ctypes.c_double(p) for p in (*self.params, 0.0, 0.0)[:2]))
        self._crossing = ctypes.byref(_Crossing(*ROWS[name].crossing[:3], any_zero or not ROWS[name].signed_zero))

    def exact(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The exact values as a high part and, for float64, a low one in ULP."""
        size = ctypes.c_int64(x.size)
        if self.by_kernel:
            with using(_kernels.available_isas()[-1]), np.errstate(invalid="ignore"):  # of signalling NaN
                high = call(self.name, x.astype(np.float64), self.params)
            step = ctypes.c_int64(CHECKED)
            values = (_pointer(x), _pointer(high), size, step)
            off = library().check_f32(*self._reference, *values, self._crossing)
            if off > CHECK_BOUND:
                raise RuntimeError(f"{self.name}: the float64 kernel is {off} ULP of float32 off")
            return high, high
        high = np.empty(x.size)
        if self.dtype == np.float32:
            library().exact_f32(*self._reference, _pointer(x), _pointer(high), size)
            return high, high
        low = np.empty(x.size)
        library().exact_f64(*self._reference, _pointer(x), _pointer(high), _pointer(low), size, self._crossing)
        return high, low

    def add(self, x: np.ndarray) -> Measured:
        high, low = self.exact(x)
        before, found = None, _Found()
        for isa, error in self.errors.items():
            with using(isa):
                y = call(self.name, x, self.params)
            unlike = y.size if before is None else _unlike(y, before)
            if unlike:  # else what was found for the ISA before holds
                found = self.compare(x, y, high, low)
            self.worst.append((max(found.max, found.crossing_max), found.at if found.max else found.crossing_at))
            error.add(found)
            error.unlike += unlike if before is not None else 0
            before = y
        return self

    def compare(self, x: np.ndarray, y: np.ndarray, high: np.ndarray, low: np.ndarray) -> Any:
        """What y = name(x) is off by."""
        found = _Found()
        compare = library().compare_f32 if self.dtype == np.float32 else library().compare_f64
        arrays = (_pointer(np.ascontiguousarray(a)) for a in (x, y, high, low))
        compare(*arrays, ctypes.c_int64(x.size), self._crossing, ctypes.byref(found))
        return found

    def search(self, rounds: int = 3, points: int = 32, seed: int = 0) -> Measured:
        """Looks about the worst inputs of all chunks so far, at distances of 2^-8 of them down to their neighbours."""
        rng = np.random.default_rng(seed)
        for _ in range(rounds):
            for width in range(8, 53, 6):
                best = sorted(set(self.worst), reverse=True)[:points]
                for _, at in best:
                    spread = np.ldexp(rng.uniform(-1, 1, 2000), -width)
                    self.add(np.concatenate([at * (1 + spread), neighbours(np.array([at]), 20)]))
                self.worst = sorted(set(self.worst), reverse=True)[: 4 * points]
        return self


def _unlike(x: np.ndarray, y: np.ndarray) -> int:
    """How many differ in their bits, all NaN being alike."""
    integers = np.uint32 if x.dtype == np.float32 else np.uint64
    differ = x.view(integers) != y.view(integers)
    return int(np.count_nonzero(differ & ~(np.isnan(x) & np.isnan(y)))) if differ.any() else 0


def measure(
    name: str, dtype: Any, isas: list[str], stride: int = 257, samples: int = 1 << 20, seed: int = 0
) -> Errors:
    """Error of one map on each ISA: every stride-th float32 from `seed` on, or that many samples of float64.

    And near the cutoffs and the inputs known to be the worst.
    """
    points = np.concatenate([cutoffs(dtype), known_worst(name, dtype)])
    single = np.dtype(dtype) == np.float32
    measured = Measured(name, dtype, isas, by_kernel=single).add(neighbours(points, 40))
    for x in float32_patterns(stride, seed % stride) if single else float64_samples(samples, seed):
        measured.add(x)
    return measured.errors


# ---- all inputs, by several processes ------------------------------------------------------------------------------

PARTS = 32


def _start() -> None:
    set_num_threads(1)


def _part(name: str, dtype: str, isas: list[str], samples: int, part: int) -> tuple[Errors, list[tuple[float, float]]]:
    measured = Measured(name, dtype, isas, by_kernel=dtype == "float32")
    inputs: Iterable[np.ndarray]
    if dtype == "float32":
        inputs = float32_patterns(1, ALL * part // PARTS, ALL * (part + 1) // PARTS)
    else:
        count = samples * (part + 1) // PARTS - samples * part // PARTS
        inputs = itertools.chain(
            [neighbours(cutoffs(dtype), 40)] * (part == 0), float64_samples(count, (7, part))
        )
    for x in inputs:
        measured.add(x)
        measured.worst = sorted(set(measured.worst), reverse=True)[:64]
    return measured.errors, measured.worst


def _about(name: str, isas: list[str], at: float, samples: int, part: int) -> tuple[Errors, list[tuple[float, float]]]:
    """Evenly from all around a bad input: of 10^8 samples of all float64 too few lie there to meet the worst."""
    measured, rng = Measured(name, "float64", isas), np.random.default_rng((11, part))
    for width in (4, 6, 8, 10, 12):
        for _ in range(0, samples // 5 // PARTS, CHUNK):
            measured.add(at * (1 + np.ldexp(rng.uniform(-1, 1, CHUNK), -width)))
    return measured.errors, sorted(set(measured.worst), reverse=True)[:64]


def _apart(worst: list[tuple[float, float]]) -> list[float]:
    """The worst inputs of so many places."""
    places: list[float] = []
    for _, at in sorted(set(worst), reverse=True):
        if at and np.isfinite(at) and all(abs(at - other) > abs(other) * 2.0**-6 for other in places):
            places.append(at)
    return places[:PARTS]


def measure_all(name: str, dtype: str, isas: list[str], samples: int = 10**8, jobs: int | None = None) -> Errors:
    """All 2^32 float32 inputs; or samples of float64, and the cutoffs' neighbours.

    Then half as many samples about the worst of these and of earlier passes, and a search about what that found.
    """
    whole = Measured(name, dtype, isas)
    # spawn: a forked child would not run its own threads after the parent's
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs or os.cpu_count(), context, _start) as pool:

        def gather(parts: list[Any]) -> None:
            for part in parts:
                errors, worst = part.result()
                whole.worst += worst
                for isa in isas:
                    whole.errors[isa].add(errors[isa])

        gather([pool.submit(_part, name, dtype, isas, samples, part) for part in range(PARTS)])
        if dtype == "float32":
            return whole.errors
        for at in known_worst(name, dtype):
            whole.add(neighbours(np.array([at]), 20))
        places = _apart(whole.worst)
        gather([pool.submit(_about, name, isas, at, samples // 2, part) for part, at in enumerate(places)])
    return whole.search().errors


def main() -> int:
    parser = argparse.ArgumentParser(description="Errors of the kernels in ULP.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="maps (default: all); a part of a name is enough")
    parser.add_argument("--exhaustive", action="store_true", help="all 2^32 float32 inputs, 10^8 samples of float64")
    parser.add_argument("--dtype", choices=["float32", "float64"])
    parser.add_argument("--isa", choices=_kernels.available_isas())
    parser.add_argument("--stride", type=int, default=257)
    parser.add_argument("--samples", type=int)
    options = parser.parse_args()
    names = [n for n in MAPS if not options.names or any(part in n for part in options.names)]
    isas = [options.isa] if options.isa else _kernels.available_isas()
    bad = 0
    for name in names:
        for dtype in [options.dtype] if options.dtype else ["float64", "float32"]:
            start = time.perf_counter()
            if options.exhaustive:
                errors = measure_all(name, dtype, isas, options.samples or 10**8)
            else:
                errors = measure(name, dtype, isas, options.stride, options.samples or 1 << 20)
            for isa, e in errors.items():
                bound = ROWS[name].bounds.of(dtype, isa)
                over = e.max > bound or e.wrong or e.crossing_max > ROWS[name].crossing.bound
                bad += bool(over)
                at = np.dtype(dtype).type(e.at)
                print(
                    f"{name:18} {dtype} {isa:8} max {e.max:7.3f} at {at!s:>14} mean {e.mean:.3f} of {e.count:.2e} "
                    f"bound {bound}"
                    + (f" crossing {e.crossing_max:.3f}" if e.crossing_max else "")
                    + (f" {e.unlike} unlike" if e.unlike else "")
                    + (f"  WRONG {e.wrong}, {e.wrong_at!r}" if e.wrong else "")
                    + ("  EXCEEDED" if over else ""),
                    flush=True,
                )
            print(f"{'':18} {time.perf_counter() - start:.1f} s", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
