"""Was the machine ours? On Linux: how long tasks waited for a CPU, and how many cores other processes used.

Elsewhere the answers are 0: measured as found.
"""

from __future__ import annotations

import os
import time

QUIET_STALL = 0.05  # share of a turn; above it the turn is repeated
QUIET_OTHERS = 0.15  # cores that other processes used during a case; above it the case is measured again at the end


def waited() -> float:
    """Seconds since boot in which some task that could run was waiting for a CPU."""
    try:
        with open("/proc/pressure/cpu", encoding="ascii") as file:
            return int(file.readline().rpartition("=")[2]) / 1e6
    except (OSError, ValueError):
        return 0.0


class Others:
    """Cores used by processes other than these, since this object was made."""

    def __init__(self, ours: list[int]) -> None:
        self._ours = ours
        self._start = time.perf_counter()
        self._before = self._used_by_others()

    def cores(self) -> float:
        span = time.perf_counter() - self._start
        return max(0.0, (self._used_by_others() - self._before) / span)

    def _used_by_others(self) -> float:
        try:
            with open("/proc/stat", encoding="ascii") as file:
                user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, file.readline().split()[1:])
            everybody = user + nice + system + irq + softirq + steal
            return (everybody - sum(map(_used_by, self._ours))) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError):
            return 0.0


def _used_by(process: int) -> int:
    with open(f"/proc/{process}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # user and system time
