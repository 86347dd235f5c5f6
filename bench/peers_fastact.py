"""fastact, called as a user calls it: the public function of the case's own name, options at their defaults."""

from __future__ import annotations

import importlib

import cases
import numpy as np
from calls import Call

import fastact

TITLE = "fastact"


def setup(threads: int) -> str:
    fastact.set_num_threads(threads)
    isa = fastact.show_config(mode="dicts")["isa"]["in_use"]
    return f"fastact {fastact.__version__}: set_num_threads({threads}), {isa}, from {fastact.__file__}"


def calls(case, data) -> list[Call]:
    owner, prefix = fastact, "fastact."
    if case.family == "metrics":
        owner, prefix = importlib.import_module("fastact.metrics"), "fastact.metrics."
    public = case.function
    if case.op in cases.THROUGH_OPTION:
        public = public.replace(case.op, cases.THROUGH_OPTION[case.op][0])
    if not hasattr(owner, public):
        return []
    assert getattr(owner, public).__name__ == public, f"{prefix}{public} is {getattr(owner, public).__name__}"
    arguments = list(case.inputs) + [f"{name}={value!r}" for name, value in case.options]
    arguments += [f"axis={case.axis}"] if case.axis != -1 else []
    ready = {} if case.fresh else _ready(case, data)
    if ready and case.family == "losses":
        arguments.append("grad_out=grad")
    elif ready:
        arguments.append(f"out={', '.join(ready)}" if len(ready) == 1 else f"out=({', '.join(ready)})")
    call = f"{prefix}{public}({', '.join(arguments)})"
    if not ready or case.family == "losses":
        spare = ", _" if case.function == "linear_cross_entropy_with_grad" else ""  # no bias, no gradient of it
        call = f"{', '.join(case.outputs)}{spare} = {call}"
    return [Call(call, {"fastact": fastact} | data | ready, case.outputs, poison=list(ready.values()))]


def _ready(case, data) -> dict[str, np.ndarray]:
    """The outputs that the function can write into."""
    first = next(iter(data.values()))
    if case.function == "logsumexp":
        return {"y": np.empty(first.max(case.axis).shape, first.dtype)}
    if "linear_weight" in data or case.function in ("entropy", "kl_divergence"):
        return {}
    shape = {"glu": case.shape, "glu_grad": data["x2"].shape if "x2" in data else ()}.get(case.function, first.shape)
    shapes = {name: shape for name in case.outputs if name not in ("loss", "value")}
    shapes |= {"dalpha": data["alpha"].shape} if "dalpha" in shapes else {}
    return {name: np.empty(of, case.dtype) for name, of in shapes.items()}
