"""Measures the same errors of other libraries, in float32: what docs/numerics.md shows beside fastact's.

    python tests/ulp_peers.py [LIBRARY ...]         torch, onnx, jax, scipy, numpy (default: all that are installed)

The ways of calling a library are those of bench/compare.py; of several, the most accurate one counts. Every stride-th
of all 2^32 float32 numbers and the neighbours of all cutoffs are given to each, in a process of its own. Results go to
docs/accuracy.json; `python tests/ulp_table.py --table` then makes the table.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import ulp
import ulp_table

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))


KINKS = {"hard_sigmoid_grad": 3, "hard_swish_grad": 3}


def arguments(case: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    first = next(name for name in case.inputs if name in ("x", "y"))
    values = {name: np.ones_like(x) for name in case.inputs} | {first: x}
    if "alpha" in values:
        values["alpha"] = np.full(1, 0.25, np.float32)
    return values


def measure(library: str, stride: int) -> dict[str, Any]:
    cases = importlib.import_module("cases")
    peer = importlib.import_module(f"peers_{library}")
    setup = peer.setup(1)
    x = np.concatenate([*ulp.float32_patterns(stride), ulp.neighbours(ulp.cutoffs(np.float32), 40)])
    errors = {}
    for case in cases.map_cases(["float32"], [x.size], fresh=False)[0]:
        name = case.function
        if name not in ulp_table.NAMES:
            continue
        measured = ulp.Measured(name, np.float32, [], by_kernel=True, any_zero=True)
        found = []
        inputs = x[np.abs(x) != KINKS.get(name, -1)]
        try:
            with np.errstate(all="ignore"):
                for call in peer.calls(case, arguments(case, inputs)):
                    result = call.run()[case.outputs[0]]
                    found.append((call.statement, compare(measured, inputs, result)))
        except NotImplementedError:
            continue
        if found:
            statement, e = min(found, key=lambda pair: (pair[1].wrong > 0, pair[1].max))
            errors[name] = {"max": e.max, "at": repr(e.at), "mean": round(e.mean, 4)}
            errors[name] |= {"wrong": e.wrong, "wrong_at": repr(e.wrong_at)} if e.wrong else {}
            print(f"{library} {name:18} {e.max:10.4g} at {e.at:<14.7g} wrong {e.wrong}  {statement[:60]}", flush=True)
    return {"setup": setup, "stride": stride, "errors": errors}


def compare(measured: ulp.Measured, x: np.ndarray, result: np.ndarray) -> ulp.Error:
    """Where the value crosses zero errors count there too."""
    error = ulp.Error()
    for first in range(0, x.size, ulp.CHUNK):
        part = slice(first, first + ulp.CHUNK)
        error.add(measured.compare(x[part], result[part], *measured.exact(x[part])))
    if error.crossing_max > error.max:
        error.max, error.at = error.crossing_max, error.crossing_at
    return error


def main() -> int:
    parser = argparse.ArgumentParser(description="Errors of other libraries in ULP.")
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"{', '.join(ulp_table.PEERS)} (default: all)")
    parser.add_argument("--stride", type=int, default=61)
    options = parser.parse_args()
    unknown = set(options.libraries) - set(ulp_table.PEERS)
    if unknown:
        parser.error(f"LIBRARY: expected {', '.join(ulp_table.PEERS)}, got {', '.join(sorted(unknown))}")
    if len(options.libraries) != 1:  # thread pools of several libraries get in each other's way
        bad = 0
        for library in options.libraries or ulp_table.PEERS:
            command = [sys.executable, __file__, library, "--stride", str(options.stride)]
            bad |= subprocess.run(command, check=False).returncode
        return bad
    library = options.libraries[0]
    try:
        found = measure(library, options.stride)
    except ModuleNotFoundError as error:
        print(f"{library}: {error}")
        return 0
    results = ulp_table.load()
    results["peers"][library] = found
    ulp_table.save(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
