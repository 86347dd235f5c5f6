"""Measures the exponential of float32's rows (include/fastact/exp_table.h) over every d of [-104, 0], on each ISA.

    python tests/ulp_exp.py     prints, and puts the table into docs/numerics.md; 15 s

No call gives its results alone, so the system's compiler makes a program of tests/ulp_exp.c with the ISA's flags.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from ulp_table import ISAS, PAGE, TITLES, number, place, put

HERE = Path(__file__).parent
INCLUDE = HERE.parent / "include"
FLAGS = {"avx2": "-march=x86-64-v3", "avx512": "-march=x86-64-v4"}


def lowest() -> str:
    text = (INCLUDE / "fastact/limits.def").read_text()
    return re.findall(r"^FA_LIMIT\(exp_normal_lo, ([^,]+),", text, re.MULTILINE)[0]


def measure(isa: str) -> list[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ulp_exp"
        flags = ["-O2", "-ffp-contract=off", FLAGS[isa], f"-DLOWEST={lowest()}", f"-I{INCLUDE}"]
        subprocess.run(["cc", *flags, HERE / "ulp_exp.c", "-o", program, "-lm"], check=True)
        done = subprocess.run([program], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{isa}: below {lowest()} expected 0 throughout, got something else")
    return [line.split() for line in done.stdout.splitlines()]


def main() -> int:
    lines = ["| exp of rows | d from | to | max | at | mean | inputs |", "|---|---|---|---|---|---|---|"]
    for isa in (isa for isa in ISAS if isa in FLAGS):
        begin = "0"
        for end, largest, at, mean, count in measure(isa):
            to = f"-{end}" if float(end) < -float(lowest().rstrip("f")) else lowest().rstrip("f")
            cells = (begin, to, number(float(largest)), place(at), f"{float(mean):.3f}", count)
            lines.append(f"| {TITLES[isa]} | {' | '.join(cells)} |")
            begin = to
    print(*lines, sep="\n")
    PAGE.write_text(put(PAGE.read_text(), "exp", lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
