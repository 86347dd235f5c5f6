"""Is the answer right? Expected values in float64, and the tolerances that a library must meet before it is timed.

The values come from the NumPy (or SciPy) peer's own formula run in float64; gradients of elementwise operations are
differences of that formula instead, so that they share nothing with any gradient that is timed. The tolerances are
loose on purpose (PyTorch's gelu is wrong in the tail by 1e-7 absolutely, 57 % relatively): they tell a right function
from a wrong one. Exactness is the business of tests/ and docs/numerics.md.
"""

from __future__ import annotations

from functools import lru_cache

import inputs
import numpy as np

RTOL = {"float32": 3e-5, "float64": 1e-6}
ATOL = {"float32": 5e-6, "float64": 1e-8}  # times the largest value; gelu and its tanh form differ by 4.7e-4 near 2
MEAN_RTOL = 2e-3  # ONNX Runtime's float32 mean of 2^24 numbers is off by 1.3e-3
SAMPLE = 2048
SAMPLE_ROWS = 12


def sample(case, name: str, values: np.ndarray) -> np.ndarray:
    """The part of an input or output that is compared: everything if small, else spread elements and the very end."""
    if values.ndim == 0 or values.size <= SAMPLE:
        return values
    if case.family in ("activations", "gradients"):
        return values.reshape(-1)[_spread(values.size, SAMPLE)]
    if values.ndim == 1:
        return values[_spread(len(values), SAMPLE)]
    rows = np.moveaxis(values, case.axis, -1)
    rows = rows.reshape(-1, rows.shape[-1])
    return rows[_spread(len(rows), SAMPLE_ROWS)]


def _spread(size: int, count: int) -> np.ndarray:
    everywhere, end = np.linspace(0, size - 1, count).astype(np.intp), np.arange(max(0, size - 64), size)
    return np.unique(np.concatenate([everywhere, end]))


@lru_cache(maxsize=2)  # out= and fresh, and dtypes, follow each other
def expected(case) -> dict[str, np.ndarray] | None:
    """The sampled outputs in float64, or None if no formula is known."""
    data = {name: _double(values) for name, values in inputs.make(case).items()}
    if case.family in ("activations", "gradients"):
        data = {name: values if name == "alpha" else sample(case, name, values) for name, values in data.items()}
    if case.family == "gradients":
        return _gradient(case, data)
    call = _formula(case, case.function, data, case.outputs)
    if call is None:
        return None
    results = call.run()
    if case.family == "activations":  # the inputs were sampled already
        return results
    return {name: sample(case, name, values) for name, values in results.items()}


def _double(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def _formula(case, function: str, data, outputs):
    import peers_numpy
    import peers_scipy

    for peer in (peers_numpy, peers_scipy):
        found = peer.build(function, data, outputs, dict(case.params), case.axis)
        if found:
            return found[0]
    return None


def forward(case, data: dict[str, np.ndarray]) -> np.ndarray | None:
    """The operation itself at `data`, in the dtype of `data`."""
    call = _formula(case, case.function.removesuffix("_grad"), data, ("y",))
    return None if call is None else call.run()["y"]


def saved_output(case, x: np.ndarray) -> np.ndarray:
    y = forward(case, {"x": x})
    assert y is not None, f"{case.name}: no formula for the saved output"
    return y


def _gradient(case, data) -> dict[str, np.ndarray] | None:
    """Upstream gradient times slope, by central differences in float64; nan (not compared) within a step of a kink."""
    dy = data.pop("dy")
    if "y" in data:  # the gradient reads y; differentiate at the x that made it
        shape = case.shape
        data = {"x": sample(case, "x", _double(inputs.normal("x", shape, case.dtype)))}
    value = forward(case, data)
    if value is None:
        return None
    gradients = {}
    for name, output in zip(data, case.outputs, strict=True):
        slope = _slope(case, data, name, value)
        gradients[output] = dy * slope
    if "dalpha" in gradients:  # summed over all elements of the full arrays, not of the sample
        gradients["dalpha"] = None
    return gradients


def _slope(case, data, name, value) -> np.ndarray:
    step = 1e-6 * np.maximum(1.0, np.abs(data[name]))
    above = (forward(case, data | {name: data[name] + step}) - value) / step
    below = (value - forward(case, data | {name: data[name] - step})) / step
    return np.where(np.abs(above - below) < 1e-3, (above + below) / 2, np.nan)


def disagreement(case, samples: dict[str, np.ndarray]) -> str | None:
    """None if the sampled outputs of a library are right, else what is wrong."""
    wanted = expected(case)
    if wanted is None:
        return "no reference to check against"
    for name in case.outputs:
        want, got = wanted[name], np.asarray(samples[name], dtype=np.float64)
        if want is None:
            continue
        if want.shape != got.shape:
            return f"{name} has shape {got.shape}, expected {want.shape}"
        scale = np.nanmax(np.abs(want)) if want.size else 0.0
        error = np.abs(got - want)
        rtol = MEAN_RTOL if want.ndim == 0 and case.dtype == "float32" else RTOL[case.dtype]
        allowed = rtol * np.abs(want) + ATOL[case.dtype] * max(scale, 1e-300)
        wrong = ~((error <= allowed) | np.isnan(want))  # a nan where a number is wanted is wrong
        if wrong.any():
            worst = np.nanargmax(np.where(wrong, np.where(np.isnan(error), np.inf, error), -1.0))
            return f"{name}: {wrong.sum()} of {want.size} wrong, e.g. {got.flat[worst]!r} for {want.flat[worst]!r}"
    return None
