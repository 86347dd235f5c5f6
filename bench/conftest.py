"""The fixture of the pytest-benchmark suites: check a case of fastact, then time it."""

from __future__ import annotations

import agreement
import inputs
import peers_fastact
import pytest


@pytest.fixture
def timed(benchmark):
    """Time one case: the statement that was checked, so never the wrong function or a wrong answer."""

    def run(case):
        (call,) = peers_fastact.calls(case, inputs.make(case))
        results = call.run()
        samples = {name: agreement.sample(case, name, values) for name, values in results.items()}
        assert agreement.disagreement(case, samples) is None
        benchmark.group = f"{case.family} {'x'.join(map(str, case.shape))} {case.dtype}"
        benchmark.extra_info["statement"] = call.statement
        benchmark(call.function())

    return run
