"""Pictures of what compare.py measured: `python bench/report.py FILE [FILE ...] --out DIR`.

One heat map per family (function x size or shape, colour by ratio) and one chart of the share of the machine's
bandwidth that the large cases reach, for each combination of threads, dtype and out= or new outputs in the files.
"""

from __future__ import annotations

import argparse
import json
from math import log2
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import tables

BRIGHT = 3  # the colour scale ends at 2^BRIGHT times faster or slower


def main() -> None:
    parser = argparse.ArgumentParser(prog="report.py", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="written by compare.py --json")
    parser.add_argument("--out", type=Path, default=Path("bench-report"), metavar="DIR")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for (threads, dtype, fresh), found in groups(options.files).items():
        where = f"{dtype}-{threads}-threads-{'new-outputs' if fresh else 'out'}"
        title = f"{dtype}, {threads} thread{'s' * (threads > 1)}, {'new outputs' if fresh else 'out='}"
        for family in dict.fromkeys(case["family"] for case in found):
            members = [case for case in found if case["family"] == family]
            heat_map(members, f"{family}: {title}", options.out / f"{family}-{where}.png")
        bandwidth(found, title, options.out / f"bandwidth-{where}.png")
        print(f"{title}\n" + "\n".join(tables.summary({"cases": found, "notes": []})) + "\n")


def groups(files: list[Path]) -> dict[tuple, list[dict]]:
    """The cases of all files by (threads, dtype, fresh); of a case measured twice the later file's."""
    found: dict[tuple, dict[str, dict]] = {}
    for file in files:
        report = json.loads(file.read_text(encoding="utf-8"))
        about = report["about"]
        for case in report["cases"]:
            if tables.ratio(case) is not None:
                found.setdefault((about["threads"], case["dtype"], about["fresh"]), {})[case["name"]] = case
    return {key: list(cases.values()) for key, cases in found.items()}


def heat_map(cases: list[dict], title: str, path: Path) -> None:
    """Each cell: how many times faster than the fastest peer, and who that is."""
    rows = list(dict.fromkeys(case["function"] for case in cases))
    columns = sorted({(case["elements"], _shape(case)) for case in cases})
    values = np.full((len(rows), len(columns)), np.nan)
    size = (max(7.5, 2.5 + 1.25 * len(columns)), 1.6 + 0.32 * len(rows))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    for case in cases:
        row, column = rows.index(case["function"]), columns.index((case["elements"], _shape(case)))
        value = values[row, column] = log2(tables.ratio(case))
        label = f"{2**value:.3g}" if value < 0 else f"{2**value:.2f}" if value < log2(10) else f"{2**value:.0f}"
        weight = "normal" if tables.is_level(case) else "bold"
        style = {"ha": "center", "va": "center", "color": "white" if abs(value) > 0.6 * BRIGHT else "black"}
        axes.text(column, row - 0.12, label, fontsize=8, weight=weight, **style)
        axes.text(column, row + 0.3, tables.fastest_peer(case), fontsize=5, **style)
    image = axes.imshow(values, cmap="RdBu", vmin=-BRIGHT, vmax=BRIGHT, aspect="auto")
    axes.set_xticks(range(len(columns)), [shape for _, shape in columns], rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    meaning = "times faster than the fastest peer (named below); bold: slower, and not at the machine's limit"
    axes.set_title(f"{title}\n{meaning}", fontsize=9)
    bar = figure.colorbar(image, ax=axes, ticks=range(-BRIGHT, BRIGHT + 1), fraction=0.05)
    bar.ax.set_yticklabels([f"{2.0**t:g}" for t in range(-BRIGHT, BRIGHT + 1)])
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _shape(case: dict) -> str:
    size = case["elements"]
    if len(case["shape"]) == 1:
        return f"2^{size.bit_length() - 1}" if size & (size - 1) == 0 and size > 10**4 else f"{size}"
    return "x".join(map(str, case["shape"])) + (f" axis {case['axis']}" if case["axis"] != -1 else "")


def bandwidth(cases: list[dict], title: str, path: Path) -> None:
    """Bytes per second of the large cases, beside what moving the same bytes reaches on this machine."""
    large = [case for case in cases if "limit" in case["turns"] and tables.moved(case) >= tables.LARGE_BYTES]
    if not large:
        return
    large.sort(key=lambda case: tables.share(case))
    names = [f"{case['function']} {_shape(case)}" for case in large]
    rate = [tables.moved(case) / tables.median(case["turns"]["fastact"]) / 1e9 for case in large]
    limit = [tables.moved(case) / tables.median(case["turns"]["limit"]) / 1e9 for case in large]
    figure, axes = plt.subplots(figsize=(8, 1.5 + 0.2 * len(large)), layout="constrained")
    axes.barh(names, rate, color="tab:blue", label="fastact")
    axes.plot(limit, names, "k|", markersize=8, label="same bytes only moved")
    for name, at, case in zip(names, rate, large, strict=True):
        axes.text(at, name, f" {tables.share(case):.0%}", va="center", fontsize=7)
    axes.set_xlabel("GB/s read and written (ordinary stores fetch the line first, which is not counted)")
    axes.set_title(f"large cases: {title}", fontsize=9)
    axes.tick_params(axis="y", labelsize=7)
    axes.margins(y=0.01)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    figure.savefig(path, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
