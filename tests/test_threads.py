"""Threads: the same bits for any number, the ways to say how many, concurrent calls, the GIL, and forks."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import OPS, Op, assert_same_bits, each_op, run_python, same_bits, tuple_of

import fastact
from fastact import _kernels, _threads

threadpoolctl = pytest.importorskip("threadpoolctl")
LARGE = 2_100_000               # elements of float32 from which every map threads, whatever it did before
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="affinity, /proc and cgroups are Linux's")
parallel = pytest.mark.skipif(_kernels.build_info()["openmp"] == 0, reason="a serial build")


def threads_of_process() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


@each_op
def test_same_bits_for_any_number_of_threads(op: Op) -> None:
    n = {0: LARGE, 1: 850_001, 2: 350_003}[op.cost]
    tensors = tuple(np.resize(t, n) for t in op.inputs(10_007, np.float32))
    fastact.set_num_threads(1)
    whole = tuple_of(op(*tensors))
    for count in (2, 3, 7):
        fastact.set_num_threads(count)
        assert_same_bits(op(*tensors), whole, f"{count} threads")
    assert_same_bits(op(*(t[::-1] for t in tensors)), tuple(w[::-1] for w in whole), "strided, 7 threads")


@linux
@parallel
def test_the_number_is_honoured_above_the_cpu_count() -> None:
    run_python("""
import os, numpy as np, fastact
x = np.zeros(3_000_000, np.float32)
fastact.sigmoid(x)
for n in (5, 9):
    fastact.set_num_threads(n)
    assert fastact.get_num_threads() == n
    fastact.sigmoid(x)
    assert len(os.listdir("/proc/self/task")) == n, os.listdir("/proc/self/task")
""", OPENBLAS_NUM_THREADS="1")


def test_set_get_and_context() -> None:
    fastact.set_num_threads(3)
    assert fastact.get_num_threads() == 3
    with fastact.threads(2):
        assert fastact.get_num_threads() == 2
        with fastact.threads(5):
            assert fastact.get_num_threads() == 5
            fastact.set_num_threads(4)
            assert fastact.get_num_threads() == 5, "the thread's own number wins over the process's"
        assert fastact.get_num_threads() == 2
    assert fastact.get_num_threads() == 4
    with pytest.raises(KeyError), fastact.threads(1):
        raise KeyError
    assert fastact.get_num_threads() == 4, "an exception leaves the block too"
    fastact.set_num_threads(np.int64(2))
    assert fastact.get_num_threads() == 2


def test_context_is_of_the_calling_thread() -> None:
    fastact.set_num_threads(3)
    with ThreadPoolExecutor(1) as pool, fastact.threads(2):
        assert pool.submit(fastact.get_num_threads).result() == 3
        pool.submit(fastact.set_num_threads, 6).result()
        assert fastact.get_num_threads() == 2
    assert fastact.get_num_threads() == 6


@pytest.mark.parametrize("function", [fastact.set_num_threads, lambda n: fastact.threads(n).__enter__()])
@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (-1, ValueError), (5000, ValueError), (1.0, TypeError),
                                          ("2", TypeError), (None, TypeError)])
def test_bad_numbers(function: object, n: object, error: type[Exception]) -> None:
    before = fastact.get_num_threads()
    with pytest.raises(error, match=r"threads: n is .*, expected "):
        function(n)
    assert fastact.get_num_threads() == before


def started(wrapper: tuple[str, ...] = (), before: str = "", **environment: str) -> int:
    """Number of threads that a fresh process starts with."""
    code = f"{before}\nimport fastact; print(fastact.get_num_threads())"
    return int(run_python(code, wrapper=wrapper, **environment).stdout)


@parallel
def test_environment() -> None:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert started(FASTACT_NUM_THREADS="5") == 5, "honoured above the CPU count"
    assert started(FASTACT_NUM_THREADS="3", OMP_NUM_THREADS="3") == 3
    assert started(OMP_NUM_THREADS="1") == 1
    assert started(OMP_NUM_THREADS="1,4") == 1, "a list by nesting level"
    assert started(OMP_NUM_THREADS="64") <= cpus
    assert started(before="import fastact; fastact.set_num_threads(6)", OMP_NUM_THREADS="1") == 6
    for nonsense in ("", "0", "many", "-2", "\u00b2"):
        assert 1 <= started(FASTACT_NUM_THREADS=nonsense) <= cpus


@linux
@parallel
def test_affinity() -> None:
    one = min(os.sched_getaffinity(0))
    assert started(before=f"import os; os.sched_setaffinity(0, {{{one}}})") == 1
    assert started(wrapper=("taskset", "-c", str(one))) == 1
    assert started(wrapper=("taskset", "-c", str(one)), FASTACT_NUM_THREADS="4") == 4


def cgroup(root: Path, files: dict[str, str]) -> tuple[str, str]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root / "fs"), str(root / "membership")


@pytest.mark.parametrize(("files", "cpus"), [
    ({"membership": "0::/\n"}, None),
    ({"membership": "0::/\n", "fs/cpu.max": "max 100000\n"}, None),
    ({"membership": "0::/\n", "fs/cpu.max": "250000 100000\n"}, 2.5),
    ({"membership": "0::/a/b\n", "fs/a/b/cpu.max": "max 100000\n", "fs/a/cpu.max": "150000 100000\n"}, 1.5),
    ({"membership": "0::/a/b\n", "fs/a/b/cpu.max": "50000 100000\n", "fs/a/cpu.max": "400000 100000\n"}, 0.5),
    ({"membership": "0::/host/path\n", "fs/cpu.max": "300000 100000\n"}, 3),          # a container's own root
    ({"membership": "0::/../other\n", "fs/cpu.max": "300000 100000\n"}, 3),
    ({"membership": "2:cpuacct:/\n1:cpu:/x\n", "fs/cpu/x/cpu.cfs_quota_us": "-1\n",
      "fs/cpu/x/cpu.cfs_period_us": "100000\n"}, None),
    ({"membership": "4:memory:/\n1:cpu,cpuacct:/x\n", "fs/cpu/x/cpu.cfs_quota_us": "150000\n",
      "fs/cpu/x/cpu.cfs_period_us": "50000\n"}, 3),
    ({"membership": "1:cpu:/x\n0::/\n",
      "fs/cpu/x/cpu.cfs_quota_us": "100000\n", "fs/cpu/x/cpu.cfs_period_us": "50000\n",
      "fs/cpu/cpu.cfs_quota_us": "50000\n", "fs/cpu/cpu.cfs_period_us": "50000\n"}, 1),
    ({"membership": "nonsense\n\n1:cpu:/\n0::/\n", "fs/cpu.max": "what\n", "fs/cpu/cpu.cfs_quota_us": "x\n"}, None),
    ({"membership": "0::/\n", "fs/cpu.max": "100000 0\n"}, None),
    ({"membership": "3:cpuset:/y\n", "fs/cpu/y/cpu.cfs_quota_us": "50000\n", "fs/cpu/y/cpu.cfs_period_us": "50000\n"},
     None),
    ({}, None),
])
def test_cgroup_quotas(tmp_path: Path, files: dict[str, str], cpus: float | None) -> None:
    assert _threads.cgroup_cpus(*cgroup(tmp_path, files)) == cpus


@pytest.mark.parametrize(("text", "count"), [("3", 3), ("3,1", 3), (" 2 , 2", 2), ("0", None), ("-1", None),
                                             ("x", None), ("", None)])
def test_numbers_of_the_environment(monkeypatch: pytest.MonkeyPatch, text: str, count: int | None) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert _threads._environment("OMP_NUM_THREADS") == count


def test_last_level_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for level, size in enumerate(["32K\n", "32K\n", "1024K\n", "32768K\n"]):
        (tmp_path / f"index{level}").mkdir()
        (tmp_path / f"index{level}" / "size").write_text(size)
    assert _threads.last_level_cache(str(tmp_path)) == 32 << 20
    assert _threads.last_level_cache(str(tmp_path / "nowhere")) == 0
    told: list[int] = []
    monkeypatch.setattr(_threads, "last_level_cache", lambda: 12345)
    monkeypatch.setattr(_kernels, "set_last_level_cache", told.append)
    _threads._start()
    assert told == [12345]


@pytest.mark.parametrize(("quota", "count"), [(2.9, 2), (0.4, 1), (100, None), (None, None)])
def test_quota_is_rounded_down(monkeypatch: pytest.MonkeyPatch, quota: float | None, count: int | None) -> None:
    monkeypatch.setattr(_threads, "cgroup_cpus", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for variable in ("OMP_NUM_THREADS", "FASTACT_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    _threads._start()
    assert fastact.get_num_threads() == ((count or 8) if _kernels.build_info()["openmp"] else 1)


@parallel
def test_threadpoolctl_limits_each_call() -> None:
    fastact.set_num_threads(4)
    with threadpoolctl.threadpool_limits(1):
        assert fastact.get_num_threads() == 1
        with fastact.threads(3):
            assert fastact.get_num_threads() == 1
    assert fastact.get_num_threads() == 4
    above = _kernels.omp_num_procs() + 1
    with threadpoolctl.threadpool_limits(above), fastact.threads(above + 1):
        assert fastact.get_num_threads() == above, "also where the limit is above the CPU count"
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        assert fastact.get_num_threads() == 4


@linux
@parallel
def test_threadpoolctl_keeps_a_call_serial() -> None:
    run_python("""
import os, numpy as np, fastact, threadpoolctl
x = np.zeros(3_000_000, np.float32)
with threadpoolctl.threadpool_limits(1):
    fastact.sigmoid(x)
    assert len(os.listdir("/proc/self/task")) == 1
fastact.sigmoid(x)
assert len(os.listdir("/proc/self/task")) == 2
""", OPENBLAS_NUM_THREADS="1", FASTACT_NUM_THREADS="2", OMP_NUM_THREADS="2")


def test_concurrent_calls() -> None:
    """Eight Python threads at once, each with its own sizes, maps, doors and number of threads."""
    fastact.set_num_threads(2)
    rng = np.random.default_rng(8)
    sizes = [3, 100, 5000, 120_001, 900_001]
    cases = []
    for op in OPS:
        n = int(rng.choice(sizes))
        tensors = tuple(np.resize(t, n) for t in op.inputs(min(n, 10_007), np.float32))
        cases.append((op, tensors, op(*tensors)))

    def work(seed: int) -> list[str]:
        wrong = []
        with fastact.threads(1 + seed % 3):
            for k in np.random.default_rng(seed).permutation(len(cases)):
                op, tensors, whole = cases[k]
                door = op.ufunc if (k + seed) % 2 else op
                if not same_bits(door(*tensors), whole):
                    wrong.append(op.name)
        return wrong

    with ThreadPoolExecutor(8) as pool:
        assert [name for wrong in pool.map(work, range(8)) for name in wrong] == []


@pytest.mark.parametrize("door", ["fast", "strided", "float16"])
def test_the_gil_is_released(door: str) -> None:
    op = max(OPS, key=lambda op: (op.cost, not op.grad))
    fastact.set_num_threads(1)
    n = 24_000_000
    x = np.zeros(n, np.float16 if door == "float16" else np.float32)
    tensors = [x[::-1] if door == "strided" else x] * op.tensors
    span: list[float] = []

    def call() -> None:
        span.append(time.perf_counter())
        op(*tensors)
        span.append(time.perf_counter())

    worker = threading.Thread(target=call)
    ticks = []
    worker.start()
    while worker.is_alive():
        ticks.append(time.perf_counter())
        time.sleep(0.0005)
    worker.join()
    begin, end = span
    inside = [t for t in ticks if begin + 0.2 * (end - begin) < t < end - 0.2 * (end - begin)]
    assert len(inside) >= 3, f"the other thread stood still during a call of {end - begin:.3f} s"


FORK = """
import os, signal, sys, threading, warnings
import numpy as np, fastact
warnings.simplefilter("ignore", DeprecationWarning)     # Python 3.12 on forks of processes with threads
signal.alarm(60)
x = np.linspace(-9, 9, 3_000_000, dtype=np.float32)
fastact.set_num_threads(2)

def compute():
    return [fastact.sigmoid(x), fastact.relu(x[::-1]), fastact.ufuncs.tanh(x)]

def right(expected):
    return all(np.array_equal(a, b) for a, b in zip(compute(), expected))

def child(expected, threads):
    signal.alarm(30)
    try:
        ok = right(expected) and fastact.get_num_threads() == threads
        fastact.set_num_threads(4)
        ok = ok and right(expected) and fastact.get_num_threads() == (1 if threads == 1 else 4)
    except BaseException:
        ok = False
    os._exit(0 if ok else 1)

def fork(expected, threads=1):
    pid = os.fork()
    if pid == 0:
        child(expected, threads)
    assert os.waitpid(pid, 0)[1] == 0, "the child hung or was wrong"
"""
FORKS = {
    "after kernels": "e = compute(); fork(e); fork(e); assert right(e) and fastact.get_num_threads() == 2",
    "from a thread": """
e = compute()
failed = []
def body():
    try:
        compute(); fork(e)
    except BaseException as error:
        failed.append(error)
for _ in range(2):
    t = threading.Thread(target=body); t.start(); t.join()
assert not failed, failed
assert right(e)""",
    "while another thread computes": """
e = compute()
stop = False
def busy():
    while not stop:
        compute()
t = threading.Thread(target=busy); t.start()
for _ in range(3):
    fork(e)
stop = True; t.join()""",
    "a grandchild": """
e = compute()
pid = os.fork()
if pid == 0:
    signal.alarm(30)
    try:
        fork(e)
    except BaseException:
        os._exit(1)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0""",
    "before any kernel": """
with fastact.threads(1):
    e = compute()
fork(e, threads=2)
assert right(e)
fork(e)""",
    "multiprocessing": """
import multiprocessing
e = compute()
with multiprocessing.get_context("fork").Pool(2, initializer=signal.alarm, initargs=(30,)) as pool:
    results = [pool.apply_async(compute) for _ in range(4)]
    for r in results:
        assert all(np.array_equal(a, b) for a, b in zip(r.get(timeout=40), e))
assert right(e)""",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("case", FORKS)
def test_fork(case: str) -> None:
    run_python(FORK + FORKS[case], timeout=90)


@pytest.fixture
def runtime(tmp_path: Path) -> ctypes.CDLL:
    """fastact/_runtime.h by itself, of a process that asks for four threads."""
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        pytest.skip("needs a C compiler")
    root = Path(__file__).parent.parent
    (tmp_path / "runtime.c").write_text("""
#include "_runtime.h"
int parts(int64_t ns) { fa_process_threads = 4; return fa_parts(ns); }
void alone_ends(void) { fa_alone_ends(); }
int64_t serial_ns(int64_t ps, int64_t bytes) { return fa_serial_ns(ps, bytes); }
""")
    includes = [f"-I{root / 'fastact'}", f"-I{root / 'include'}"]
    flags = ["-shared", "-fPIC", "-DFA_ISAS=", "-w", *includes, "-o", "runtime.so"]
    subprocess.run([*compiler, "runtime.c", *flags, "-lpthread"], cwd=tmp_path, check=True)
    library = ctypes.CDLL(str(tmp_path / "runtime.so"))
    library.serial_ns.restype = ctypes.c_int64
    return library


def test_work_that_keeps_coming_wakes_the_team_however_long_it_takes(runtime: ctypes.CDLL) -> None:
    between = ctypes.c_int64(100_000)           # nanoseconds: worth it for a team that is awake
    assert runtime.parts(between) == 1
    time.sleep(0.005)                           # the work took longer than a team stays awake
    runtime.alone_ends()
    assert runtime.parts(between) == 4
    assert runtime.parts(ctypes.c_int64(4_000)) == 1


def test_work_that_comes_now_and_then_lets_the_team_sleep(runtime: ctypes.CDLL) -> None:
    for _ in range(3):
        assert runtime.parts(ctypes.c_int64(100_000)) == 1
        runtime.alone_ends()
        time.sleep(0.005)
    assert runtime.parts(ctypes.c_int64(300_000)) == 4


def test_what_memory_takes_counts_too(runtime: ctypes.CDLL) -> None:
    def serial_ns(ps: int, nbytes: int) -> int:
        return runtime.serial_ns(ctypes.c_int64(ps), ctypes.c_int64(nbytes))

    assert serial_ns(60_000_000, 1 << 20) == 60_000
    assert serial_ns(60_000_000, 1 << 23) >= 200_000
    assert serial_ns(10**12, 1 << 23) == 10**9
