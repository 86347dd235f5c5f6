"""Every map within its declared bound: on each ISA strided over the bit patterns, and against mpmath itself."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
import ulp
import ulp_table
from reference import ROWS, exactly

from fastact import _kernels

NAMES = [op["name"] for op in _kernels.MAPS]
ISAS = _kernels.available_isas()
CPUINFO = Path("/proc/cpuinfo")

# Of another form on AVX-512: by include/fastact/approx.h, whose 14 bits differ between AMD, of which docs/accuracy.json
# is, and Intel; by gelu_table.h, sigmoid_table.h, silu_table.h.
APPROXIMATE = {
    ("softsign", "float32"),
    *itertools.product(["squareplus", "squareplus_grad"], ["float32", "float64"]),
}
UNLIKE = APPROXIMATE | {
    *itertools.product(["silu", "swiglu", "gelu", "geglu"], ["float32"]),
    *itertools.product(["log_sigmoid_grad", "tanh_shrink"], ["float64"]),
}
BY_AMD = CPUINFO.exists() and "AuthenticAMD" in CPUINFO.read_text()


def test_every_map_has_a_row() -> None:
    assert set(ROWS) == set(NAMES)
    written = set(re.findall(r"^REF\((\w+)\)", (ulp.HERE / "ulp.c").read_text(), re.MULTILINE))
    assert not {*NAMES} - written, "no formula in tests/ulp.c"
    assert not written - {*NAMES}, "tests/ulp.c has a formula of no map"


def check(name: str, dtype: str, errors: ulp.Errors) -> None:
    row = ROWS[name]
    for isa, error in errors.items():
        assert not error.wrong, f"{name} {dtype} {isa}: wrong limit or sign at {error.wrong_at!r}"
        assert error.count > 1000
        assert error.max <= row.bounds.of(dtype, isa), f"{name} {dtype} {isa}: {error.max} ULP at {error.at!r}"
        at = f"{error.crossing_at!r}, at the crossing"
        assert error.crossing_max <= row.crossing.bound, f"{name} {dtype} {isa}: {error.crossing_max} ULP at {at}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_strided(name: str, dtype: str) -> None:
    check(name, dtype, ulp.measure(name, dtype, ISAS, stride=509, samples=100_000))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ulp_table.NAMES)
def test_the_bounds_are_what_was_measured(name: str, dtype: str) -> None:
    """No more than rounded up, on every ISA: a loose bound would let a kernel get worse."""
    row = ROWS[name]
    assert name in ulp.recorded()[dtype], f"run python tests/ulp_table.py {name}"
    for isa, error in ulp.recorded()[dtype][name]["errors"].items():
        bound = row.bounds.of(dtype, isa)
        assert error["max"] <= bound <= error["max"] + 0.1, f"{isa}: bound {bound}, measured {error['max']}"
        assert error.get("crossing", 0) <= row.crossing.bound


def test_the_page_shows_what_was_measured() -> None:
    assert ulp_table.page() == ulp_table.PAGE.read_text(), "run python tests/ulp_table.py --table"


def test_the_record_is_of_these_kernels() -> None:
    """A kernel whose bits have changed since then has to be measured again."""
    recorded = list(ulp.recorded()["float32"]["relu"]["errors"])
    if recorded != ISAS:
        pytest.skip(f"the record is of {', '.join(recorded)}, this machine and build run {', '.join(ISAS)}")
    due = set(ulp_table.due(ulp.recorded(), ulp_table.NAMES, list(ulp_table.DTYPES)))
    names = sorted({name for name, _ in (due if BY_AMD else due - APPROXIMATE)})
    assert not names, f"run python tests/ulp_table.py {' '.join(names)}"


@pytest.mark.skipif(not {"avx2", "avx512"} <= set(ISAS), reason="needs AVX2 and AVX-512")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_avx2_and_avx512_agree(name: str, dtype: str) -> None:
    found = ulp.measure(name, dtype, ["avx2", "avx512"], stride=100_003, samples=40_000)["avx512"]
    assert bool(found.unlike) == ((name, dtype) in UNLIKE), f"{found.unlike} results differ"


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_exhaustive(name: str, dtype: str) -> None:
    check(name, dtype, ulp.measure_all(name, dtype, ISAS))


@pytest.mark.parametrize("name", NAMES)
def test_against_mpmath(name: str) -> None:
    """The references of ulp.c could share a slip with the kernels; the definition in mpmath does not."""
    row, rng = ROWS[name], np.random.default_rng(0)
    params = ulp.parameters(row, np.float64)
    x = np.concatenate([rng.normal(0, 3, 40), rng.uniform(-1, 1, 10), [1e-8, -1e-8, 20.0, -20.0]])
    if _kernels.MAPS[NAMES.index(name)]["saves_output"]:
        x = np.tanh(x)
    for value, got in zip(x, ulp.call(name, x, params), strict=True):
        exact = exactly(row, float(value), params)
        term = row.crossing.term if row.crossing.begin < value < row.crossing.end else 0.0
        unit = np.spacing(max(abs(float(exact)), term, 2.0**-1022))
        assert abs(mp.mpf(float(got)) - exact) <= row.bounds.f64_baseline * unit, (value, got, float(exact))
