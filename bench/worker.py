"""One library in one process: builds a case, hands out a sample of its results, and times it when told to.

Thread pools of different libraries fight inside one process; here each is alone, and idle while another is timed.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import statistics
import time
import traceback
from dataclasses import dataclass

import quiet

# Every variable that sizes a pool, set before the worker imports anything. What the libraries make of it is in the
# `setup` of their peers_*.py.
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "FASTACT_NUM_THREADS", "NPROC")
# Where glibc's limits settle once a process has let go of an array of 32 MB. Before, whether new outputs fault their
# pages in on every call hangs on what was freed earlier: reglu_grad's of 2^20 float32 took 208 or 1400 us.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**26)}
REPEATS = 3  # timings per turn
# A turn in which tasks waited for a CPU is repeated: with another process about, both threads of a team can be left on
# one core, and then every barrier costs a time slice (8 ms), fastact's and torch's alike.
TRIES = 5
# Calibrated in such a moment, a timing would have one call, its pool asleep: relu_grad of 2^20 took 413 us, not 119.
RECOUNTS = 3
PAUSE = 0.004  # before each turn: pools that idle stop spinning
SLOW_SECONDS = 0.25  # calls so long are not warmed up or calibrated
WARM_SECONDS = 0.001  # a pool that slept 10 ms needs some 0.1 ms to wake: not the library's cost per call


@dataclass
class Turn:
    """Seconds per call of one turn: its median and its best timing, and how many cores it kept busy."""

    seconds: float
    best: float
    cores: float
    stalled: float = 0.0  # share of the turn in which some task waited for a CPU
    tries: int = 1


class Library:
    """The parent's end: a worker process that is asked one thing at a time."""

    def __init__(self, name: str, threads: int) -> None:
        os.environ.update(MALLOC | dict.fromkeys(POOLS, str(threads)))
        context = multiprocessing.get_context("spawn")  # a fork would inherit the parent's pools
        self.name = name
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, threads, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, question: str, *arguments):
        self._ours.send((question, arguments))
        return self.answer()

    def answer(self):
        try:
            kind, value = self._ours.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"{self.name}: the worker died, exit code {self._process.exitcode}") from None
        if kind == "error":
            raise RuntimeError(f"{self.name}: {value}")
        return value

    def time(self) -> Turn:
        """One turn; again if somebody waited for a CPU meanwhile (Linux tells), and the quietest of them counts."""
        turns = []
        while len(turns) < TRIES and not (turns and turns[-1].stalled < quiet.QUIET_STALL):
            time.sleep(PAUSE)
            before, begin = quiet.waited(), time.perf_counter()
            turn = self.ask("time")
            turn.stalled = (quiet.waited() - before) / (time.perf_counter() - begin)
            turns.append(turn)
        quietest = min(turns, key=lambda turn: turn.stalled)
        quietest.tries = len(turns)
        return quietest

    @property
    def process(self) -> int:
        return self._process.pid or 0

    def close(self) -> None:
        self._ours.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.terminate()


def _serve(name: str, threads: int, pipe) -> None:
    try:
        peer = importlib.import_module(f"peers_{name}")
        pipe.send(("ok", peer.setup(threads)))
    except Exception as error:
        pipe.send(("error", f"{type(error).__name__}: {error}"))
        return
    answers = {"prepare": _prepare, "calibrate": _calibrate, "place": _place, "time": _time, "drop": _drop}
    state: dict = {"peer": peer}
    while True:
        try:
            question, arguments = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(("ok", answers[question](state, *arguments)))
        except NotImplementedError as error:
            pipe.send(("ok", f"{error}"))
        except Exception:
            pipe.send(("error", traceback.format_exc(limit=-2).strip()))


def _prepare(state, case, check: bool):
    """A list of (statement, sampled outputs), one per way of writing the case; empty if the library lacks it."""
    import agreement
    import inputs

    state["case"], state["data"] = case, inputs.make(case)
    state["calls"] = state["peer"].calls(case, state["data"])
    if not check:
        return [(call.statement, None) for call in state["calls"]]
    return [
        (call.statement, {name: agreement.sample(case, name, values) for name, values in call.run().items()})
        for call in state["calls"]
    ]


def _calibrate(state, chosen: list[int], budget: float):
    """Keep the fastest of the chosen calls; returns its index."""
    best = None
    for index in chosen:
        call = state["calls"][index]
        seconds, count = call.time(1), 1
        while seconds * count < budget / 4 and count < 10**6:
            count = max(2 * count, min(8 * count, int(budget / 2 / max(seconds, 1e-9))))
            seconds = call.time(count)
        if seconds < SLOW_SECONDS:
            seconds = min(seconds, call.time(count))  # the first may have touched new pages, or compiled
        if best is None or seconds < best[1]:
            best = (index, seconds)
    index, seconds = best
    state["call"], state["seconds"], state["index"] = state["calls"][index], seconds, index
    state["calls"] = []
    state["span"] = budget / REPEATS
    state["repeats"] = REPEATS if seconds < budget else 1
    _count(state, seconds)
    return index


def _count(state, seconds: float) -> None:
    """How many calls of so many seconds a timing has, and how many go before a turn."""
    state["number"] = number = max(1, round(state["span"] / seconds))
    state["warm"] = max(1, min(number, round(WARM_SECONDS / seconds)))


def _place(state) -> None:
    """The same call on other arrays.

    Where arrays lie moves a light kernel by up to 20 % at 2^20 elements, and would else be drawn once per case. The
    last arrays are let go when the next ones stand, so that these get other memory.
    """
    data = {name: values.copy() for name, values in state["data"].items()}
    state["call"] = state["peer"].calls(state["case"], data)[state["index"]]
    state["call"].time(1)  # compiles, touches new pages


def _time(state) -> Turn:
    turn = _turn(state)
    for _ in range(RECOUNTS):
        if state["repeats"] == 1 or turn.best * state["number"] > state["span"] / 2:
            break
        _count(state, turn.best)  # the call was slower by far when it was calibrated
        turn = _turn(state)
    return turn


def _turn(state) -> Turn:
    call, number = state["call"], state["number"]
    if state["seconds"] < SLOW_SECONDS:
        call.time(state["warm"])
    cpu, wall = time.process_time(), time.perf_counter()
    timings = [call.time(number) for _ in range(state["repeats"])]
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Turn(statistics.median(timings), min(timings), cpu / wall)


def _drop(state) -> None:
    state["calls"], state["call"], state["data"] = [], None, {}
