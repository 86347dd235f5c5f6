"""Makes the tables of docs/numerics.md: the error of every map on every ISA, over all float32 and sampled float64.

    python tests/ulp_table.py                  every pass that is missing or whose kernel has changed, then the tables
    python tests/ulp_table.py NAME ...         the same for these maps; one pass takes 10 s to 2 min on two cores
    python tests/ulp_table.py --missing        names the passes that are due
    python tests/ulp_table.py --table          the tables only

Results are kept in docs/accuracy.json, pass by pass, so an interrupted run goes on where it was. A kernel has changed
when its results for 2*10^5 numbers have other bits. The other libraries' errors come from tests/ulp_peers.py.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ulp
from reference import ROWS

from fastact import _kernels

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "numerics.md"
DTYPES = ("float32", "float64")
ISAS = _kernels.available_isas()
TITLES = {"baseline": "baseline", "avx2": "AVX2", "avx512": "AVX-512", "neon": "NEON"}
PEERS = {"torch": "PyTorch", "onnx": "ONNX Runtime", "jax": "JAX", "scipy": "SciPy", "numpy": "NumPy"}

# A gated map with up = 1 is its activation: same row, same formula, not measured twice.
SAME = {}
for _name, _row in ROWS.items():
    _first = next(other for other in ROWS if ROWS[other] is _row)
    if _first != _name:
        SAME[_name] = _first
NAMES = [name for name in ulp.MAPS if name not in SAME]


def load() -> dict[str, Any]:
    ulp.recorded.cache_clear()  # another process may have written
    return {**{dtype: {} for dtype in DTYPES}, "peers": {}, **ulp.recorded()}


def save(results: dict[str, Any]) -> None:
    """One line a pass, so that a diff shows what changed."""
    parts = []
    for key, passes in sorted(results.items()):
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(passes[name])}" for name in sorted(passes))
        parts.append(f" {json.dumps(key)}: {{\n{lines}\n }}" if passes else f" {json.dumps(key)}: {{}}")
    written = ulp.RESULTS.with_suffix(".new")
    written.write_text("{\n" + ",\n".join(parts) + "\n}\n")
    written.replace(ulp.RESULTS)


def checksum(name: str, dtype: str) -> int:
    """Of the results of all ISAs for 2*10^5 numbers, half of them in +-8, and of what they are measured by."""
    total = zlib.crc32(repr((ROWS[name].params, ROWS[name].crossing[:3])).encode())
    samples = ulp.float32_patterns(40009) if dtype == "float32" else ulp.float64_samples(100_000, 3)
    for x in (np.random.default_rng(0).uniform(-8, 8, 100_000).astype(dtype), *samples):
        for isa in ISAS:
            with ulp.using(isa), np.errstate(all="ignore"):
                y = ulp.call(name, x, ulp.parameters(ROWS[name], dtype))
            total = zlib.crc32(np.where(np.isnan(y), np.array(np.nan, y.dtype), y).tobytes(), total)
    return total


def due(results: dict[str, Any], names: list[str], dtypes: list[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        for dtype in dtypes:
            before = results[dtype].get(name)
            if not before or before["checksum"] != checksum(name, dtype) or list(before["errors"]) != ISAS:
                yield name, dtype


def measure(name: str, dtype: str, samples: int) -> dict[str, Any]:
    errors = {}
    for isa, e in ulp.measure_all(name, dtype, ISAS, samples).items():
        if e.wrong:
            raise RuntimeError(f"{name} {dtype} {isa}: {e.wrong} wrong limits or signs, {e.wrong_at!r} the last")
        errors[isa] = {"max": e.max, "at": repr(np.dtype(dtype).type(e.at).item()), "mean": round(e.mean, 4)}
        errors[isa] |= {"crossing": e.crossing_max, "crossing_at": repr(e.crossing_at)} if e.crossing_max else {}
        errors[isa] |= {"unlike": e.unlike} if e.unlike else {}
    return {"checksum": checksum(name, dtype), "samples": samples if dtype == "float64" else ulp.ALL, "errors": errors}


# ---- the tables ----------------------------------------------------------------------------------------------------


def number(value: float) -> str:
    """Rounded up: a table of largest errors must not understate them."""
    if value >= 1e4:
        power = int(np.floor(np.log10(value)))
        return f"{value / 10**power:.0f}e{power}"
    return f"{value:.0f}" if value >= 100 else f"{np.ceil(value * 100 - 1e-9) / 100:.2f}"


def place(text: str) -> str:
    x = float(text)
    return f"{x:.7g}" if np.float32(x) == x else f"{x:.9g}"


def families(results: dict[str, Any]) -> list[list[str]]:
    """The best ISA first; those that gave the same bits in most passes share a column."""
    passes = [found["errors"] for dtype in DTYPES for found in results[dtype].values()]
    groups: list[list[str]] = []
    for isa in passes[0]:
        if groups and sum("unlike" in errors[isa] for errors in passes) < len(passes) / 2:
            groups[-1].append(isa)
        else:
            groups.append([isa])
    return groups[::-1]


def largest(error: dict[str, Any]) -> tuple[float, str, str]:
    """The largest error, where, and a mark if it is one at a crossing."""
    if error.get("crossing", 0) > error["max"]:
        return error["crossing"], error["crossing_at"], " °"
    return error["max"], error["at"], ""


def worst(errors: dict[str, Any], group: list[str]) -> dict[str, Any]:
    return max((errors[isa] for isa in reversed(group)), key=lambda error: largest(error)[0])


def cells(errors: dict[str, Any], group: list[str]) -> list[str]:
    error = worst(errors, group)
    value, at, mark = largest(error)
    return [number(value) + mark, place(at) if value else "", f"{error['mean']:.3f}"]


def title(name: str) -> str:
    return ", ".join(shown(n) for n in [name, *(other for other, first in SAME.items() if first == name)])


def shown(name: str) -> str:
    return name.replace("siglu", "glu").removesuffix("_grad") + "'" * name.endswith("_grad")


def is_exact(results: dict[str, Any], name: str) -> bool:
    passes = [results[dtype][name]["errors"] for dtype in DTYPES if name in results[dtype]]
    return not any(largest(error)[0] for errors in passes for error in errors.values())


def table(results: dict[str, Any], dtype: str) -> list[str]:
    groups = families(results)
    heads = [" and ".join(TITLES[isa] for isa in group) for group in groups]
    lines = ["| function | " + " | ".join(f"{head}: max | at | mean" for head in heads) + " |"]
    lines.append("|---|" + "---|" * 3 * len(groups))
    measured = [name for name in NAMES if name in results[dtype]]
    exact = [name for name in measured if is_exact(results, name)]
    for name in measured:
        if name not in exact:
            row = [cell for group in groups for cell in cells(results[dtype][name]["errors"], group)]
            lines.append(f"| {title(name)} | " + " | ".join(row) + " |")
    lines.append(f"| {', '.join(map(title, exact))} | " + " | ".join(["0", "", "0"] * len(groups)) + " |")
    return lines


def crossings(results: dict[str, Any]) -> list[str]:
    groups = families(results)
    heads = [f"{dtype}, {' and '.join(TITLES[isa] for isa in group)}" for dtype in DTYPES for group in groups]
    lines = ["| function | from | to | " + " | ".join(heads) + " |", "|---|---|---|" + "---|" * len(heads)]
    for name in NAMES:
        begin, end, term, _ = ROWS[name].crossing
        if term and all(name in results[dtype] for dtype in DTYPES):
            found = [worst(results[dtype][name]["errors"], group)["crossing"] for dtype in DTYPES for group in groups]
            lines.append(f"| {title(name)} | {begin} | {end} | {' | '.join(map(number, found))} |")
    return lines


def beside(results: dict[str, Any]) -> list[str]:
    libraries = [library for library in PEERS if library in results["peers"]]
    lines = ["| function | fastact | " + " | ".join(PEERS[library] for library in libraries) + " |"]
    lines.append("|---|---|" + "---|" * len(libraries))
    for name in NAMES:
        row = [results["peers"][library]["errors"].get(name) for library in libraries]
        if any(row) and name in results["float32"] and not is_exact(results, name):
            ours = number(largest(worst(results["float32"][name]["errors"], families(results)[0]))[0])
            theirs = [number(e["max"]) + " !" * bool(e.get("wrong")) if e else "" for e in row]
            lines.append(f"| {shown(name)} | {ours} | " + " | ".join(theirs) + " |")
    return lines


def exceptions(results: dict[str, Any]) -> list[str]:
    """A line for each group of ISAs that share a column, of what does not have the same bits on all of them."""
    lines = []
    for group in families(results):
        found = {}
        for dtype in DTYPES:
            errors = {name: results[dtype][name]["errors"] for name in NAMES if name in results[dtype]}
            found[dtype] = [shown(name) for name, of in errors.items() if any("unlike" in of[isa] for isa in group[1:])]
        if len(group) > 1:
            names = [f"{', '.join(of)} in {dtype}" for dtype, of in found.items() if of]
            lines.append(f"{' and '.join(TITLES[isa] for isa in group)} give the same bits"
                         f"{', except for ' + ' and '.join(names) if names else ''}.")
    return lines


def put(text: str, mark: str, lines: list[str]) -> str:
    """Between <!--mark--> and <!--end-->."""
    pattern = re.compile(rf"(<!--{mark}-->\n).*?(<!--end-->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{PAGE}: expected a <!--{mark}--> ... <!--end-->, got none")
    return pattern.sub(lambda m: m[1] + "\n".join(["", *lines, "", ""]) + m[2], text)


def page() -> str:
    """docs/numerics.md with the tables of the recorded passes."""
    results, text = load(), PAGE.read_text()
    for dtype in DTYPES:
        text = put(text, dtype, table(results, dtype))
    text = put(text, "exceptions", exceptions(results))
    text = put(text, "crossings", crossings(results))
    return put(text, "beside", beside(results))


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the errors of all maps and make the tables of the docs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="maps (default: all)")
    parser.add_argument("--dtype", choices=DTYPES)
    parser.add_argument("--samples", type=int, default=10**8, help="of float64 (default: 10^8)")
    parser.add_argument("--missing", action="store_true", help="name the passes that are due, and stop")
    parser.add_argument("--table", action="store_true", help="only make the tables")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"NAME: expected one of {', '.join(NAMES)}, got {', '.join(sorted(unknown))}")
    if not options.table:
        dtypes = [options.dtype] if options.dtype else list(DTYPES)
        for name, dtype in due(load(), options.names or NAMES, dtypes):
            start = time.perf_counter()
            if not options.missing:
                found = measure(name, dtype, options.samples)
                results = load()
                results[dtype][name] = found
                save(results)
                print(*(f"{isa} {e['max']:.3f}" for isa, e in found["errors"].items()), sep=", ", end="  ")
            print(name, dtype, f"{time.perf_counter() - start:.0f} s" if not options.missing else "", flush=True)
    if not options.missing and not options.names:
        PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
