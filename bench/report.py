"""Pictures of what compare.py measured: `python bench/report.py FILE [FILE ...] --out DIR`.

One heat map per family (function x size or shape, colour by ratio) and one chart of the share of the machine's
bandwidth that the large cases reach, for each combination of threads, dtype and out= or new outputs in the files.
`--page docs/speed.md` puts them on a page with the summaries; `--table NAME ...` prints the cases with these names
(`relu/64/float32`; see compare.py --list) as a Markdown table for the README.
"""

from __future__ import annotations

import argparse
import json
import os
from math import log2
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import tables
from tabulate import tabulate

PEERS = {"torch": "PyTorch", "onnx": "ONNX Runtime", "jax": "JAX", "numpy": "NumPy", "scipy": "SciPy"}
PEERS["sklearn"] = "scikit-learn"
BRIGHT = 3  # the colour scale ends at 2^BRIGHT times faster or slower


def main() -> None:
    parser = argparse.ArgumentParser(prog="report.py", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="written by compare.py --json")
    parser.add_argument("--out", type=Path, default=Path("bench-report"), metavar="DIR")
    parser.add_argument("--page", type=Path, metavar="FILE", help="a Markdown page with the pictures and the summaries")
    parser.add_argument("--table", nargs="+", metavar="NAME", help="only print these cases as a Markdown table")
    options = parser.parse_args()
    if options.table:
        print(markdown(groups(options.files), options.table))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    sections = []
    for (threads, dtype, fresh), found in groups(options.files).items():
        where = f"{dtype}-{threads}-threads-{'new-outputs' if fresh else 'out'}"
        title = f"{dtype}, {threads} thread{'s' * (threads > 1)}, {'new outputs' if fresh else 'out='}"
        pictures = []
        for family in dict.fromkeys(case["family"] for case in found):
            members = [case for case in found if case["family"] == family]
            pictures.append(heat_map(members, f"{family}: {title}", options.out / f"{family}-{where}.png"))
        pictures += bandwidth(found, title, options.out / f"bandwidth-{where}.png")
        lines = tables.summary({"cases": found, "notes": []})
        print("\n".join([title, *lines, ""]))
        sections.append((title, lines, pictures))
    if options.page:
        write_page(options.page, options.files, sections)


def write_page(page: Path, files: list[Path], sections: list[tuple[str, list[str], list[Path]]]) -> None:
    """Put the measurements behind the first line `## Measured` of the page, which stays as it is up to there."""
    text, mark, _ = page.read_text(encoding="utf-8").partition("\n## Measured\n")
    about = json.loads(files[0].read_text(encoding="utf-8"))["about"]
    said = [f"- {line}" for line in about["libraries"].values() if not line.startswith(("limit", "fastact"))]
    lines = ["", f"{about['cpus']} CPUs, Python {about['python']}, {about['when'][:10]}:", "", *said]
    for title, summary, pictures in sections:
        lines += ["", f"### {title}", "", "```text", *summary, "```", ""]
        lines += [f"![{picture.stem}]({_link(picture, page)})" for picture in pictures]
    page.write_text(text + mark + "\n".join(lines) + "\n", encoding="utf-8")


def _link(picture: Path, page: Path) -> str:
    return Path(os.path.relpath(picture, page.parent)).as_posix()


def markdown(found: dict[tuple, dict[str, dict]], names: list[str]) -> str:
    """Microseconds of every library, medians, and how many times faster fastact is than the fastest of them."""
    known = {case["name"]: case for cases in found.values() for case in cases}
    missing = [name for name in names if name not in known]
    if missing:
        raise SystemExit(f"not measured, or without a peer: {', '.join(missing)}")
    libraries = [name for name in PEERS if any(name in known[case]["turns"] for case in names)]
    rows = []
    for name in names:
        turns = known[name]["turns"]
        times = [_microseconds(turns.get(library)) for library in ("fastact", *libraries)]
        rows.append([name, *times, f"{tables.ratio(known[name]):.2g}x"])
    head = ["us", "fastact", *(PEERS[name] for name in libraries), "faster by"]
    align = ["left", *["right"] * (len(head) - 1)]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True, colalign=align)


def _microseconds(turns: list[dict] | None) -> str:
    if not turns:
        return "-"
    value = tables.median(turns) * 1e6
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


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


def heat_map(cases: list[dict], title: str, path: Path) -> Path:
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
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path


def _shape(case: dict) -> str:
    size = case["elements"]
    if len(case["shape"]) == 1:
        return f"2^{size.bit_length() - 1}" if size & (size - 1) == 0 and size > 10**4 else f"{size}"
    return "x".join(map(str, case["shape"])) + (f" axis {case['axis']}" if case["axis"] != -1 else "")


def bandwidth(cases: list[dict], title: str, path: Path) -> list[Path]:
    """Bytes per second of the large cases, beside what moving the same bytes reaches on this machine."""
    large = [case for case in cases if "limit" in case["turns"] and tables.moved(case) >= tables.LARGE_BYTES]
    if not large:
        return []
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
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return [path]


if __name__ == "__main__":
    main()
