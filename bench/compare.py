"""fastact beside PyTorch, ONNX Runtime, JAX, NumPy, SciPy and scikit-learn: `python bench/compare.py --help`.

Every library runs in its own process with the same inputs and thread count; its results are checked before it is
timed; the libraries take turns, round by round, each turn on arrays that lie elsewhere. A ratio is the median over the
rounds of (fastest peer / fastact).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import platform
import statistics
import sys
from dataclasses import asdict
from datetime import UTC, datetime

import agreement
import cases
import numpy as np
import quiet
import tables
from tqdm import tqdm
from worker import Library

PEERS = {name: name for name in ("torch", "jax", "numpy", "scipy", "sklearn")} | {"onnx": "onnxruntime"}  # and module
BUDGET = 0.012  # seconds per turn
SIT_OUT = (math.inf, 8.0, 3.0)  # left out: who took so many times the fastest peer's time in 0, 1, 2 or more rounds
LARGE = 2**20  # elements from which the machine's limit is measured beside a case


def main() -> int:
    options = parse()
    if importlib.util.find_spec("fastact") is None:
        sys.exit("fastact is not installed: pip install '.[bench]'")
    chosen, notes = cases.select(options.dtype, options.sizes, options.only, options.fresh)
    if not chosen:
        sys.exit(f"no case has {options.only} in its name")
    if options.list:
        print("\n".join(case.name for case in chosen))
        return 0
    libraries, about = start(["fastact", *options.peers, "limit"], options.threads)
    try:
        results = measure_all(chosen, libraries, options)
    finally:
        for library in libraries.values():
            library.close()
    report = {"about": about | describe(options), "notes": notes, "cases": results}
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
    print(tables.text(report))
    return tables.exit_code(report)


def parse() -> argparse.Namespace:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(prog="compare.py", description=__doc__.split("\n")[0].split(":")[0])
    add = parser.add_argument
    add("--only", action="append", metavar="SUBSTR", help="cases with this in their name; may be repeated (see --list)")
    add("--list", action="store_true", help="print the names of the cases and stop")
    add("--threads", type=int, default=cpus, metavar="N", help="of every library (default: all CPUs, %(default)s)")
    add("--rounds", type=int, default=5, metavar="R", help="turns of every library per case (default: %(default)s)")
    help_again = "measure cases again during which other processes were busy, up to N times (default: %(default)s)"
    add("--again", type=int, default=1, metavar="N", help=help_again)
    add("--dtype", nargs="+", default=["float32"], choices=("float32", "float64"))
    add("--sizes", type=size, nargs="+", metavar="N", help="elements, e.g. 64 32768 2^20 (default: all)")
    add("--fresh", action="store_true", help="new output arrays on every call (default: out=, where there is one)")
    add("--json", metavar="FILE", help="write everything measured; `report.py FILE` draws it")
    installed = [name for name, module in PEERS.items() if importlib.util.find_spec(module)]
    add("--peers", nargs="*", default=installed, choices=list(PEERS), help="default: those installed")
    return parser.parse_args()


def size(text: str) -> int:
    base, _, power = text.replace("**", "^").partition("^")
    return int(base) ** int(power or 1)


def start(names: list[str], threads: int) -> tuple[dict[str, Library], dict]:
    """The workers, and what each says of itself and its threads. Without fastact there is nothing to compare."""
    libraries = {name: Library(name, threads) for name in names}
    said = {}
    for name in names:
        try:
            said[name] = libraries[name].answer()
        except RuntimeError as error:
            said[name] = f"not timed: {error}"
            libraries.pop(name).close()
    return libraries, {"libraries": said}


def describe(options) -> dict:
    return {
        "threads": options.threads, "rounds": options.rounds, "fresh": options.fresh,
        "python": platform.python_version(), "machine": platform.platform(), "cpus": os.cpu_count(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def measure_all(chosen, libraries: dict[str, Library], options) -> list[dict]:
    """Every case once; those during which other processes were busy again, and the quieter measurement counts."""
    results: dict[str, dict] = {}
    todo = chosen
    for attempt in range(1 + options.again):
        title = "again" if attempt else None
        for case in tqdm(todo, desc=title, unit="case", disable=not sys.stderr.isatty()):
            result = measure(case, libraries, options)
            if result["others"] <= results.get(case.name, result)["others"]:
                results[case.name] = result
        todo = [case for case in todo if results[case.name]["others"] > quiet.QUIET_OTHERS]
    return [results[case.name] for case in chosen]


def measure(case, libraries: dict[str, Library], options) -> dict:
    """Check everybody, then time them in turns."""
    result = {"name": case.name, **asdict(case), "elements": case.size, "itemsize": np.dtype(case.dtype).itemsize}
    result |= {"statements": {}, "problems": {}, "turns": {}}
    ready = [name for name in libraries if prepare(case, name, libraries[name], result)]
    others = quiet.Others([os.getpid(), *(library.process for library in libraries.values())])
    for turn in range(options.rounds):
        turns = result["turns"]
        peers = {name: statistics.median(t["seconds"] for t in turns[name]) for name in ready if name in PEERS and turn}
        shift = turn % max(1, len(ready))
        for name in ready[shift:] + ready[:shift]:  # nobody always follows the same neighbour
            if peers.get(name, 0) > SIT_OUT[min(turn, 2)] * min(peers.values(), default=0):
                continue
            try:
                if turn:
                    libraries[name].ask("place")
                turns.setdefault(name, []).append(asdict(libraries[name].time()) | {"round": turn})
            except RuntimeError as error:  # its worker died
                result["problems"][name] = str(error)
                turns.pop(name)
                ready = [other for other in ready if other != name]
    result["others"] = others.cores()
    for name in ready:
        libraries[name].ask("drop")
    return result


def prepare(case, name: str, library: Library, result: dict) -> bool:
    """Have the library build the case; True if it has it and gets it right."""
    if name == "limit" and (case.size < LARGE or case.op == "linear_cross_entropy"):
        return False
    try:
        built = library.ask("prepare", case, name != "limit")
        if isinstance(built, str) or not built:  # a type it has no kernel for, or no such function
            if built or name == "fastact":
                result["problems"][name] = built or "no such function"
            return False
        wrong = {i: agreement.disagreement(case, found) for i, (_, found) in enumerate(built) if found is not None}
        right = [i for i in range(len(built)) if not wrong.get(i)]
        if len(right) < len(built):  # one way of writing it, or all of them
            texts = [f"[{built[i][0]}] {text}" for i, text in wrong.items() if text]
            result["problems"][name] = "DISAGREES " + "; ".join(texts)
        if not right:
            return False
        index = library.ask("calibrate", right, BUDGET)
        result["statements"][name] = built[index][0]
        return True
    except RuntimeError as error:
        result["problems"][name] = str(error)
        return False


if __name__ == "__main__":
    sys.exit(main())
