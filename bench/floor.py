"""What a call costs at least: relu(x, out=y) and sigmoid(x) on 16 float32, beside the other libraries.

`python bench/floor.py [--rounds R]`
"""

from __future__ import annotations

import argparse

import cases
import compare
import tables
from tabulate import tabulate

SIZE = 16
CALLS = (("relu", False), ("sigmoid", True), ("relu_grad", False), ("elu", False))  # and whether into a new array
LIBRARIES = ("fastact", "torch", "onnx", "jax", "numpy", "scipy")


def main() -> None:
    parser = argparse.ArgumentParser(prog="floor.py", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    libraries, _ = compare.start([*LIBRARIES], options.threads)
    try:
        for function, fresh in CALLS:
            case = next(c for c in cases.map_cases(("float32",), (SIZE,), fresh)[0] if c.function == function)
            show(compare.measure(case, libraries, options))
    finally:
        for library in libraries.values():
            library.close()


def show(result: dict) -> None:
    rows = [
        [name, result["statements"][name], tables.median(turns) * 1e6, tables.best(turns) * 1e6]
        for name, turns in result["turns"].items()
    ]
    rows.sort(key=lambda row: row[2])
    print(tabulate(rows, [result["name"], "timed", "median us", "least us"], floatfmt=".3f"), end="\n\n")


if __name__ == "__main__":
    main()
