"""How many threads: the default of this process, and the calls that change it."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager

from fastact import _kernels

KEPT_BYTES = 2**28  # of freed outputs that stay for the next ones: two of 2^24 float64


def set_num_threads(n: int) -> None:
    """Set how many threads fastact may use in this process.

    The number is honoured even above the CPU count. Results do not depend on it, and small
    calls stay serial.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or below 1.

    Examples
    --------
    >>> import fastact
    >>> before = fastact.get_num_threads()
    >>> fastact.set_num_threads(3)
    >>> fastact.get_num_threads()
    3
    >>> fastact.set_num_threads(before)
    """
    _kernels.set_process_threads(_count("set_num_threads", n))


def get_num_threads() -> int:
    """Return how many threads a large call made now by this thread may use.

    Examples
    --------
    >>> import fastact
    >>> fastact.get_num_threads() >= 1
    True
    """
    return _kernels.num_threads()


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Limit the calling thread's fastact calls to `n` threads inside a ``with`` block.

    Parameters
    ----------
    n : int
        At least 1.

    Examples
    --------
    >>> import fastact
    >>> with fastact.threads(1):
    ...     fastact.get_num_threads()
    1
    """
    before = _kernels.set_thread_threads(_count("threads", n))
    try:
        yield
    finally:
        _kernels.set_thread_threads(before)


def _count(name: str, n: int) -> int:
    try:
        count = operator.index(n)
    except TypeError:
        raise TypeError(f"{name}: n is of type {type(n).__name__}, expected int") from None
    if not 1 <= count <= 4096:
        raise ValueError(f"{name}: n is {count}, expected 1 to 4096")
    return count


def _environment(variable: str) -> int | None:
    """The first number of an environment variable (OpenMP allows a list, one per nesting level), if it is one."""
    text = os.environ.get(variable, "").split(",")[0].strip()
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _read(*path: str) -> str:
    """A small file's text, empty if there is none; pathlib alone would double fastact's import time."""
    try:
        with open(os.path.join(*path)) as file:  # noqa: PTH118
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def cgroup_cpus(root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> float | None:
    """CPUs that the tightest CPU quota of this process's cgroups (version 1 or 2) allows, None if there is none."""
    found: list[float | None] = []
    for line in _read(membership).splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if not path:
            continue
        if controllers == "":
            base, quota = root, _quota_v2
        elif "cpu" in controllers.split(","):
            base, quota = f"{root}/cpu", _quota_v1
        else:
            continue
        # Inside a container the path is the host's, and the mount shows the container's own group at its root.
        names = [name for name in path.split("/") if name]
        found += [quota("/".join([base, *names[:depth]])) for depth in range(len(names) + 1)]
    return min((cpus for cpus in found if cpus is not None), default=None)


def _quota_v2(folder: str) -> float | None:
    return _ratio(*_read(folder, "cpu.max").split())


def _quota_v1(folder: str) -> float | None:
    return _ratio(_read(folder, "cpu.cfs_quota_us"), _read(folder, "cpu.cfs_period_us"))


def _ratio(limit: str = "", period: str = "", *_: str) -> float | None:
    """limit/period; None for what means no limit ("max", -1) or is no number."""
    try:
        return int(limit) / int(period) if int(limit) > 0 else None
    except (ValueError, ZeroDivisionError):
        return None


def last_level_cache(folder: str = "/sys/devices/system/cpu/cpu0/cache") -> int:
    """Bytes of the last-level cache, 0 if unknown. Not from sysconf: glibc adds up all of an AMD socket's."""
    sizes = [_read(folder, f"index{level}", "size").strip() for level in range(8)]
    return max((int(size[:-1]) * 1024 for size in sizes if size[:-1].isdecimal() and size[-1] == "K"), default=0)


def _start() -> None:
    """Sets what depends on this machine and process; called once, at import."""
    _kernels.set_last_level_cache(last_level_cache())
    kept = os.environ.get("FASTACT_KEEP_BYTES", "").strip()
    _kernels.set_kept_limit(int(kept) if kept.isdecimal() else KEPT_BYTES)
    omp = _environment("OMP_NUM_THREADS")
    _kernels.set_omp_default(omp or _kernels.omp_num_procs())
    chosen = _environment("FASTACT_NUM_THREADS")
    if chosen is None:
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        quota = cgroup_cpus()
        chosen = max(1, min(omp or cpus, cpus, int(quota) if quota is not None else cpus))
        if not _kernels.build_info()["openmp"]:
            chosen = 1
    _kernels.set_process_threads(min(chosen, 4096))
