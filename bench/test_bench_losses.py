"""Losses with and without gradient, and metrics."""

import cases
import pytest


@pytest.mark.parametrize("case", cases.loss_cases("float32", fresh=False), ids=lambda case: case.name)
def test_loss(timed, case):
    timed(case)


@pytest.mark.parametrize("case", cases.metric_cases("float32"), ids=lambda case: case.name)
def test_metric(timed, case):
    timed(case)
