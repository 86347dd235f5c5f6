"""The import: needs NumPy only, is quick, starts no thread, changes nothing of the process."""

from __future__ import annotations

import sys
from pathlib import Path

import fp
import pytest
from helpers import run_python

from fastact import _kernels

QUIET = {"OPENBLAS_NUM_THREADS": "1"}
MILLISECONDS, SHARE = 20, 0.1   # what the import may add to NumPy's, or of it


def test_needs_numpy_only() -> None:
    """With every module refused that is neither NumPy's, Python's nor fastact's."""
    run_python("""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root not in sys.stdlib_module_names and root not in ("numpy", "fastact"):
            raise ImportError(f"{name} was imported")
sys.meta_path.insert(0, Refuse())
import numpy as np, fastact, fastact.metrics
assert float(fastact.sigmoid(0.0)) == 0.5
fastact.relu(np.zeros((3, 4), np.float32)[::2], out=np.empty((2, 4), np.float32))
fastact.show_config()
""")


def test_adds_little_to_numpys_import(tmp_path: Path) -> None:
    """Processor time and best of several, for the machine may be busy; byte code is cached, as an installation's is.

    A processor that others share may need twice its time for minutes, and for NumPy's import as well.
    """
    code = """
import time
times = [time.process_time()]
import numpy
times.append(time.process_time())
import fastact
print(*times, time.process_time())
"""
    cached = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    run_python(code, **cached)
    best, share = 1e9, 1e9
    for _ in range(12):
        begin, between, end = map(float, run_python(code, **cached).stdout.split())
        best, share = min(best, (end - between) * 1000), min(share, (end - between) / (between - begin))
        if best <= MILLISECONDS or share <= SHARE:
            return
    raise AssertionError(f"the import took {best:.1f} ms at best, {share:.2f} of NumPy's")


def test_heavy_modules_stay_out() -> None:
    """What the import must not pull in, whatever the machine's speed."""
    loaded = run_python("import sys, numpy; a = set(sys.modules); import fastact; print(*sorted(set(sys.modules) - a))")
    heavy = {"matplotlib", "sklearn", "scipy", "pandas", "dask", "inspect", "asyncio", "multiprocessing", "unittest",
             "subprocess", "argparse", "tqdm", "threadpoolctl", "cProfile", "importlib.metadata", "concurrent.futures"}
    assert not heavy & set(loaded.stdout.split())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_starts_no_thread_and_changes_no_global_state() -> None:
    folder = Path(__file__).parent
    fp.library()
    run_python(f"""
import os, signal, sys, threading, warnings, locale, random
sys.path.insert(0, {str(folder)!r})
import numpy as np
import fp
library = fp.library()

def state():
    status = open("/proc/self/status").read()
    threads = int(status.partition("Threads:")[2].split()[0])
    signals = [signal.getsignal(s) for s in signal.valid_signals() if s not in (signal.SIGKILL, signal.SIGSTOP)]
    return (threads, library.fp_get() & ~0x3f, signals, dict(os.environ), os.getcwd(), os.sched_getaffinity(0),
            threading.active_count(), threading.stack_size(), sys.getrecursionlimit(), sys.getswitchinterval(),
            sys.excepthook, sys.flags, locale.setlocale(locale.LC_ALL), list(warnings.filters), random.getstate(),
            np.geterr(), np.random.get_state()[1].tolist(), sorted(np.get_printoptions().items(), key=str))

before = state()
import fastact
after = state()
assert before == after, [pair for pair in zip(before, after) if pair[0] != pair[1]]
fastact.sigmoid(np.zeros(1000, np.float32))
assert state() == before, "a small call changed something"
""", **QUIET)


@pytest.mark.parametrize("name", ["nonsense", "AVX2", "avx2 ", "sse9"])
def test_unknown_isa(name: str) -> None:
    done = run_python("import fastact", check=False, FASTACT_ISA=name)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ValueError: FASTACT_ISA"), last
    assert repr(name) in last
    assert all(isa in last for isa in _kernels.available_isas())


@pytest.mark.parametrize("name", ["", *_kernels.available_isas()])
def test_isa_from_the_environment(name: str) -> None:
    code = "import fastact; print(fastact.show_config(mode='dicts')['isa']['in_use'])"
    assert run_python(code, FASTACT_ISA=name).stdout.strip() == (name or _kernels.available_isas()[-1])


def test_use_isa_refuses_what_cannot_run() -> None:
    before = _kernels.current_isa()
    with pytest.raises(ValueError, match="FASTACT_ISA: expected one of"):
        _kernels.use_isa("avx1024")
    assert _kernels.current_isa() == before
