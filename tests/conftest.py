"""Fixtures for all tests; what they share otherwise is in helpers.py."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest

import fastact
from fastact import _kernels, _threads

# The first call of another library imports half of it, and the machine may be busy: no deadline says anything.
hypothesis.settings.register_profile("fastact", deadline=None)
hypothesis.settings.load_profile("fastact")


@pytest.fixture(params=_kernels.available_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set that this machine runs."""
    before = _kernels.current_isa()
    _kernels.use_isa(request.param)
    yield request.param
    _kernels.use_isa(before)


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    return np.dtype(request.param)


@pytest.fixture(autouse=True)
def runtime_as_before() -> Iterator[None]:
    """The number of threads and the streaming threshold that a test changes do not reach the next one."""
    before = fastact.get_num_threads()
    own = _kernels.set_thread_threads(0)
    yield
    _kernels.set_thread_threads(own)
    _kernels.set_process_threads(before)
    _kernels.set_last_level_cache(_threads.last_level_cache())
