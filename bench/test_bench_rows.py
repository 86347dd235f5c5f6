"""Softmax, log-softmax, log-sum-exp and their gradients: short rows, long rows, few rows, another axis."""

import cases
import pytest


@pytest.mark.parametrize("case", cases.row_cases("float32", fresh=False), ids=lambda case: case.name)
def test_rows(timed, case):
    timed(case)
