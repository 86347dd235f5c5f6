"""What the tests share: the list of maps as callables, inputs that hurt, comparison bit by bit and in ULP.

Nothing here names an operation: the list is `fastact._kernels.MAPS`, parameters and their defaults are read from the
signature of the public function.
"""

from __future__ import annotations

import functools
import inspect
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import fastact
from fastact import _kernels

FLOATS = (np.float32, np.float64)
WITHOUT_DEFAULT = 0.25              # for a parameter that the public function takes as an operand, like prelu's alpha


@dataclass(frozen=True)
class Op:
    """One map. Calling it takes the tensors and enters by the door that the public functions use."""

    id: int
    name: str
    kind: str
    grad: bool
    tensors: int
    params: int
    outputs: int
    saves_output: bool
    cost: int

    def __str__(self) -> str:
        return self.name

    def __call__(self, *operands: Any, out: Any = None, **options: Any) -> Any:
        return _kernels.apply(self.id, self.with_params(operands), out, options)

    @property
    def said(self) -> str:
        """The name in errors: of the public function that calls the map."""
        return _kernels.FUNCTION_OF[self.name]

    @property
    def raw(self) -> np.ufunc:
        return _kernels.UFUNCS[self.name]

    def ufunc(self, *operands: Any, **options: Any) -> Any:
        """The raw ufunc, with the parameters' defaults: NumPy's own door."""
        return self.raw(*self.with_params(operands), **options)

    def with_params(self, operands: tuple[Any, ...]) -> tuple[Any, ...]:
        return operands if len(operands) > self.tensors else (*operands, *self.defaults)

    @property
    def forward(self) -> Op:
        return BY_NAME[self.name.removesuffix("_grad")]

    @functools.cached_property
    def public(self) -> Any:
        return public(self.name)

    @functools.cached_property
    def parameters(self) -> dict[str, float]:
        """Names and defaults of the ufunc's parameters, in the order of its operands."""
        if not self.params:
            return {}
        try:
            signature = inspect.signature(self.forward.public).parameters.values()
        except AttributeError:          # the contract test says which function is missing
            return {f"parameter {k}": WITHOUT_DEFAULT for k in range(self.params)}
        operands = [p for p in signature if p.kind is p.POSITIONAL_ONLY][1:]
        options = [p for p in signature if p.kind is p.KEYWORD_ONLY and isinstance(p.default, float)]
        return {p.name: WITHOUT_DEFAULT for p in operands} | {p.name: p.default for p in options}

    @property
    def defaults(self) -> tuple[float, ...]:
        return tuple(self.parameters.values())

    def documented(self, tensors: Any) -> tuple[tuple[Any, ...], dict[str, float]]:
        """Operands and keywords as the public function takes them."""
        kinds = inspect.signature(self.public).parameters
        positional = [v for name, v in self.parameters.items() if kinds[name].kind is inspect.Parameter.POSITIONAL_ONLY]
        keywords = {k: v for k, v in self.parameters.items() if kinds[k].kind is inspect.Parameter.KEYWORD_ONLY}
        return (*tensors, *positional), keywords

    def inputs(self, n: int, dtype: Any, seed: int = 0) -> tuple[np.ndarray, ...]:
        """As many tensors as the map takes. The saved tensor of a gradient that reads y is an output of the map."""
        tensors = [hard_values(n, dtype, seed + k) for k in range(self.tensors)]
        if self.grad and self.saves_output:
            tensors[1] = self.forward(tensors[1])
        return tuple(tensors)

    def outs(self, *like: np.ndarray) -> Any:
        """A fresh `out`: an array, or a tuple of them for maps with several outputs."""
        empty = tuple(np.full_like(like[0], 77) for _ in range(self.outputs))
        return empty[0] if self.outputs == 1 else empty


OPS = [Op(id=number, **op) for number, op in enumerate(_kernels.MAPS)]
BY_NAME = {op.name: op for op in OPS}
FORWARD = [op for op in OPS if not op.grad]
GRADIENTS = [op for op in OPS if op.grad]
each_op = pytest.mark.parametrize("op", OPS, ids=str)
each_forward = pytest.mark.parametrize("op", FORWARD, ids=str)
each_gradient = pytest.mark.parametrize("op", GRADIENTS, ids=str)


def has_public(op: Op) -> bool:
    """Whether there is a function for just this map; the contract test says what is missing."""
    try:
        return op.public is not None
    except AttributeError:
        return False


def public(name: str) -> Any:
    """The public function of a map. A form that is another map (gelu_tanh) is its function's approximate="tanh"."""
    function = getattr(fastact, name, None)
    if function is not None:
        return function
    grad = "_grad" * name.endswith("_grad")
    base, _, form = name.removesuffix("_grad").rpartition("_")
    function = getattr(fastact, base + grad, None)
    if function is None or "approximate" not in inspect.signature(function).parameters:
        raise AttributeError(f"fastact has no public function for the map {name}")
    return functools.partial(function, approximate=form)


each_public = pytest.mark.parametrize("op", [op for op in OPS if has_public(op)], ids=str)


def hard_values(n: int, dtype: Any, seed: int = 0) -> np.ndarray:
    """Ordinary values with every special one among them: zeros, subnormals, infinities, NaN, the largest, kinks."""
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    specials = [0.0, -0.0, np.inf, -np.inf, np.nan, info.max, -info.max, info.tiny, -info.tiny, info.smallest_subnormal,
                -info.smallest_subnormal, 0.5, -0.5, 1, -1, 3, -3, 6, -88.5, 88.5, 1e-3, -20, 20, -710, 710]
    with np.errstate(over="ignore"):
        x = rng.normal(0, 4, n).astype(dtype)
        places = rng.random(n) < 0.3
        x[places] = rng.permutation(np.resize(np.array(specials, np.float64), np.count_nonzero(places))).astype(dtype)
    return x


BINARY = ("binary_", "sigmoid_")            # losses of independent probabilities: targets have the shape of the scores


def arguments_of(function: Any, dtype: Any, n: int = 6, classes: int = 37) -> list[np.ndarray]:
    """Arguments for the parameters without a default, by the names that the contract gives them."""
    rng = np.random.default_rng(9)
    name = function.__name__
    values = (rng.normal(0, 5, (n, classes)) * np.where(rng.random((n, classes)) < 0.1, 1e-39, 1)).astype(dtype)
    probabilities = fastact.softmax(values)
    known = {
        "logits": values, "student_logits": values, "teacher_logits": values[::-1].copy(), "pred": values, "x": values,
        "scores": values, "log_probs": np.log(probabilities), "probs": probabilities, "p": probabilities,
        "q": probabilities[::-1].copy(), "y": probabilities,
        "linear_weight": rng.normal(0, 1, (5, classes)).astype(dtype),
        "dy": rng.normal(0, 1, (n, classes)).astype(dtype), "y_true": values.ravel(), "y_pred": values[::-1].ravel(),
    }
    required = [p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    if name.startswith(BINARY):
        known["target"] = (values > 0).astype(dtype)
        known["probs"] = fastact.sigmoid(values)
    elif name.startswith("hinge"):
        known["target"] = np.where(values > 1, 1, -1).astype(dtype)
    elif {"logits", "log_probs", "linear_weight", "probs"} & set(required):
        known["target"] = rng.integers(0, min(5, classes), n)
    else:
        known["target"] = values[::-1] + values
    if name == "log_loss":
        known["y_true"], known["y_proba"] = np.arange(n), fastact.softmax(values[:, :n])
    elif name == "accuracy_score":
        known["y_true"], known["y_pred"] = rng.integers(0, 3, n), rng.integers(0, 3, n)
    return [known[p] for p in required]


def tuple_of(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def bits(x: np.ndarray) -> np.ndarray:
    return x.view(np.dtype(f"i{x.dtype.itemsize}"))


def same_bits(got: Any, expected: Any) -> bool:
    """Same dtype, shape and bits, -0.0 differing from 0.0; all NaNs count as one."""
    got, expected = tuple_of(got), tuple_of(expected)
    if len(got) != len(expected):
        return False
    for a, b in zip(map(np.asarray, got), map(np.asarray, expected), strict=True):
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
        if not ((bits(a) == bits(b)) | (np.isnan(a) & np.isnan(b))).all():
            return False
    return True


def assert_same_bits(got: Any, expected: Any, what: str = "") -> None:
    if same_bits(got, expected):
        return
    for k, (a, b) in enumerate(zip(map(np.asarray, tuple_of(got)), map(np.asarray, tuple_of(expected)), strict=True)):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), f"{what} output {k}"
        wrong = np.argwhere(~((a == b) & (np.signbit(a) == np.signbit(b)) | (np.isnan(a) & np.isnan(b))))
        if len(wrong):
            place = tuple(wrong[0])
            text = f"{what} output {k} at {place}: got {a[place]!r}, expected {b[place]!r}; {len(wrong)} differ"
            raise AssertionError(text)


def ulp_distance(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Representable numbers between two arrays of one dtype, -0.0 and 0.0 being one; NaN against a number: inf."""
    assert got.dtype == expected.dtype

    def ordered(x: np.ndarray) -> np.ndarray:
        i = bits(np.ascontiguousarray(x)).astype(np.int64)
        return np.where(i < 0, np.iinfo(bits(x).dtype).min - i, i)

    a, b = ordered(got), ordered(expected)
    with np.errstate(over="ignore"):
        distance = np.where((a < 0) == (b < 0), np.abs(a - b), np.abs(a) + np.abs(b)).astype(np.float64)
    nans = np.isnan(got).astype(int) + np.isnan(expected)
    return np.where(nans == 2, 0, np.where(nans == 1, np.inf, distance))


def run_python(code: str, *, timeout: float = 60, wrapper: tuple[str, ...] = (), check: bool = True,
               **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a fresh interpreter that sees the same fastact, with warnings as errors."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "FASTACT_"))} | environment
    env["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    command = [*wrapper, sys.executable, "-P", "-W", "error", "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    assert not check or done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
