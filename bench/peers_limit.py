"""The machine's limit, not a library: N threads that only move the bytes a case must move, each its own part.

NumPy's simplest loops (negative, add, maximum.reduce, dot) with ordinary stores, in Python threads that start together
and pass several times over their part: no barrier and no call between passes, so this is the floor of static blocks.
"""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import numpy as np
from calls import Call

TITLE = "limit"
_threads = 1


def setup(threads: int) -> str:
    global _threads
    _threads = threads
    return f"limit: {threads} threads, ordinary stores"


class Moved(Call):
    """Times `work(part)` on all parts at once."""

    parts: list

    def time(self, number: int) -> float:
        start = threading.Barrier(len(self.parts))
        spans = []

        def run(work, *arrays):
            start.wait()
            begin = time.perf_counter()
            for _ in range(number):
                work(*arrays)
            spans.append((begin, time.perf_counter()))

        workers = [threading.Thread(target=run, args=part) for part in self.parts]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return (max(end for _, end in spans) - min(begin for begin, _ in spans)) / number


def calls(case, data) -> list[Call]:
    """Ways to move what the case moves; the fastest counts. No new arrays: fresh pages are the allocator's cost."""
    kernels = {
        (1, 0): [np.max, lambda a: np.dot(a, a)],
        (2, 0): [np.dot],
        (1, 1): [np.negative],
        (2, 1): [np.add],
        (3, 2): [_three_in_two_out],
        (2, 2): [_two_in_two_out],
    }.get((case.reads, case.writes), [])
    size, dtype = case.size, case.dtype
    arrays = [np.ones(size, dtype) for _ in range(case.reads + case.writes)]
    bounds = np.linspace(0, size, _threads + 1).astype(int) // 64 * 64
    found = []
    for kernel in kernels:
        call = Moved("pass", {}, ("y",))
        call.parts = [(kernel, *(a[lo:hi] for a in arrays)) for lo, hi in pairwise(bounds)]
        found.append(call)
    return found


_BLOCK = 4096


def _two_in_two_out(a, b, c, d) -> None:
    for at in range(0, len(a), _BLOCK):
        part = slice(at, at + _BLOCK)
        np.add(a[part], b[part], c[part])
        np.subtract(a[part], b[part], d[part])


def _three_in_two_out(a, b, c, d, e) -> None:
    for at in range(0, len(a), _BLOCK):
        part = slice(at, at + _BLOCK)
        np.add(a[part], b[part], d[part])
        np.add(b[part], c[part], e[part])
