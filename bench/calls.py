"""A call that can be checked and timed: one Python statement, as a user writes it, and the names it works on.

The statement that is checked against the reference is the very text that is timed; it also goes into the JSON file.
"""

from __future__ import annotations

import re
import timeit
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Call:
    """`statement`, run with `namespace` as its globals, fills or assigns the names in `outputs`."""

    statement: str
    namespace: dict[str, Any]
    outputs: tuple[str, ...]
    to_numpy: Callable[[Any], np.ndarray] = np.asarray
    poison: list[np.ndarray] = field(default_factory=list)  # outputs that stand ready, as NumPy arrays
    timer: timeit.Timer = field(init=False)

    def __post_init__(self) -> None:
        setup = f"global {', '.join(self.outputs)}"  # so that results can be read, and handed back (donated)
        self.timer = timeit.Timer(self.statement, setup, globals=self.namespace)

    def run(self) -> dict[str, np.ndarray]:
        """Run once and read the outputs; arrays that stood ready are filled with nan first: unwritten ones show."""
        for values in self.poison:
            values.fill(np.nan)
        exec(self.statement, self.namespace)
        return {name: np.asarray(self.to_numpy(self.namespace[name])) for name in self.outputs}

    def function(self) -> Callable[[], None]:
        """The statement as a function of nothing, for pytest-benchmark."""
        scope = dict.fromkeys(("timed",))
        body = f"def timed():\n    global {', '.join(self.outputs)}\n    {self.statement}"
        exec(body, self.namespace, scope)
        return scope["timed"]

    def time(self, number: int) -> float:
        """Seconds per execution, over `number` in a row."""
        return self.timer.timeit(number) / number


Statements = str | Iterable[str]


def alternatives(entry: Statements | None) -> list[str]:
    """An entry of a peer's dictionary is a statement or several that do the same; the fastest of them counts."""
    if entry is None:
        return []
    return [entry] if isinstance(entry, str) else list(entry)


_INTO = re.compile(r"(?P<call>[\w.]+\(.*), (?:out|grad_input)=(?P<name>\w+)\)")


def fresh(statement: str, outputs: tuple[str, ...], empty: str) -> str:
    """The same work into new arrays: `y = f(x)` for `f(x, out=y)`, else new arrays first, then the statement.

    `empty` is the library's text for a new array, with {name} to fill in.
    """
    into = _INTO.fullmatch(statement)
    if into and ";" not in statement:
        call = into["call"]
        for overload in (".grad_input(", ".out("):
            call = call.replace(overload, ".default(")
        return f"{into['name']} = {call})"
    written_by_name = [name for name in outputs if not re.search(rf"(^|; |, ){name}(, \w+)* = ", statement)]
    return "; ".join([f"{name} = {empty.format(name=name)}" for name in written_by_name] + [statement])


def workspace(statement: str, data: dict, outputs: tuple[str, ...], axis: int) -> tuple[dict, list[np.ndarray]]:
    """NumPy arrays for the names that a statement writes into (`out=`) or uses as scratch, and the outputs of these.

    Scratch: t, u, v, mid like the first input; mask, mask2 of bool; z0 the logits of a linear layer; rows 0, 1, 2 ...;
    <output>_like for what a new output is to look like.
    """
    names = set(re.findall(r"\w+", statement))
    like = next(iter(data.values()))
    looks = {name: data.get(name[1:], like) if name.startswith("d") else like for name in outputs}
    if "x2" in data and "y" in outputs:  # glu
        looks["y"] = like[:, : like.shape[1] // 2].copy()
    if "logsumexp" in names:
        looks["y"] = like.max(axis)
    if "linear_weight" in data and "y" in outputs:  # linear_softmax
        looks["y"] = np.empty((len(data["x"]), len(data["linear_weight"])), data["x"].dtype)
    if "z0" in names:
        like = np.empty((len(data["x"]), len(data["linear_weight"])), data["x"].dtype)
    arrays = {name: np.empty_like(like) for name in ("z0", "t", "u", "v", "mid") if name in names}
    arrays |= {name: np.empty(like.shape, bool) for name in ("mask", "mask2") if name in names}
    arrays |= {"rows": np.arange(len(like))} if "rows" in names else {}
    arrays |= {f"{name}_like": values for name, values in looks.items()}
    written = [name for name in outputs if re.search(rf"((out|grad_input)=|, db = |copyto\(){name}\b", statement)]
    ready = {name: np.empty_like(looks[name]) for name in written}
    return arrays | ready, list(ready.values())
