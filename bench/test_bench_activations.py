"""Every elementwise operation and its gradient, in cache and out of it, and what a call costs at least.

`pytest bench --benchmark-only`; the cases follow from fastact's own list of operations.
"""

import cases
import pytest

DTYPES = ("float32", "float64")


def maps(dtypes, sizes):
    return pytest.mark.parametrize("case", cases.map_cases(dtypes, sizes, fresh=False)[0], ids=lambda case: case.name)


@maps(DTYPES, (1024, 2**20))
def test_map(timed, case):
    timed(case)


@maps(("float32",), (16,))
def test_call_overhead(timed, case):
    timed(case)
