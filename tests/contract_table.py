"""Limits, special values and kinks of every elementwise function: the table that documentation and tests go by.

A row is (operands, value): the function at the operands is the value, bit for bit, in every dtype, on every
instruction set, by every door. Parameters follow the tensors; without them the defaults count. `near(v)` allows one
unit in the last place, `zero` is 0.0 or -0.0. Gradients are asked with dy = 1: rows hold the derivative at the saved
tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, nan
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Scaled:
    """A multiple of a number that depends on the dtype."""

    of: str
    factor: float = 1.0

    def __neg__(self) -> Scaled:
        return Scaled(self.of, -self.factor)

    def __mul__(self, factor: float) -> Scaled:
        return Scaled(self.of, self.factor * factor)

    def value(self, dtype: Any) -> float:
        info = np.finfo(dtype)
        # A sixteenth of the smallest normal number; the largest number.
        return self.factor * {"sub": float(info.tiny) / 16, "max": float(info.max)}[self.of]


@dataclass(frozen=True)
class Near:
    value: float


sub, largest = Scaled("sub"), Scaled("max")
near, zero = Near, Near(0.0)
LINEAR = [(inf, inf), (largest, largest), (0.0, 0.0), (-0.0, -0.0), (sub, sub), (nan, nan)]       # x for x >= 0
HALVED = [(inf, inf), (largest, largest), (0.0, 0.0), (-0.0, -0.0), (sub, sub * 0.5), (-sub, sub * -0.5), (-inf, zero),
          (-largest, zero), (nan, nan)]
ODD = [(0.0, 0.0), (-0.0, -0.0), (nan, nan)]
GATE = [((inf, 2.0), inf), ((-inf, 2.0), zero), ((0.0, 3.0), 0.0), ((2.0, 0.0), 0.0), ((nan, 1.0), nan),
        ((1.0, nan), nan)]
SHRINK = [(inf, inf), (-inf, -inf), (0.5, zero), (-0.5, zero), (0.0, zero), ((2.0, 3.0), zero), (nan, nan)]

VALUES: dict[str, list[tuple[Any, Any]]] = {
    "relu": [*LINEAR, (-inf, 0.0), (-2.0, 0.0), (-sub, 0.0)],
    "relu6": [(inf, 6.0), (-inf, 0.0), (6.0, 6.0), (5.0, 5.0), (0.0, 0.0), (-0.0, zero), (sub, sub), (nan, nan)],
    "leaky_relu": [*LINEAR, (-inf, -inf), (-1.0, near(-0.01)), ((-inf, 0.0), nan), ((-4.0, 0.25), -1.0),
                   ((-sub, 0.5), sub * -0.5), ((-inf, -1.0), inf)],
    "prelu": [*((((x, 0.25)), y) for x, y in LINEAR), ((-inf, 0.25), -inf), ((-4.0, 0.25), -1.0), ((-inf, 0.0), nan),
              ((-4.0, nan), nan), ((4.0, nan), 4.0)],
    "elu": [*LINEAR, (-inf, -1.0), (-largest, -1.0), (-sub, -sub), ((-inf, 2.0), -2.0), ((-sub, 2.0), sub * -2)],
    "celu": [*LINEAR, (-inf, -1.0), (-largest, -1.0), (-sub, -sub), ((-inf, 2.0), -2.0), ((-inf, 0.5), -0.5)],
    "selu": [*ODD, (inf, inf), (-inf, near(-1.7580993408473768)), (1.0, near(1.0507009873554804934))],
    "sigmoid": [(inf, 1.0), (-inf, 0.0), (0.0, 0.5), (-0.0, 0.5), (largest, 1.0), (-largest, 0.0), (nan, nan)],
    "log_sigmoid": [(inf, zero), (largest, zero), (-inf, -inf), (-largest, -largest), (0.0, near(-log(2))), (nan, nan)],
    "hard_sigmoid": [(inf, 1.0), (-inf, 0.0), (3.0, 1.0), (-3.0, zero), (0.0, 0.5), (largest, 1.0), (nan, nan)],
    "hard_swish": [(inf, inf), (-inf, zero), (largest, largest), (-largest, zero), (3.0, 3.0), (-3.0, zero), (0.0, 0.0),
                   (-0.0, -0.0), (sub, sub * 0.5), (nan, nan)],
    "tanh": [*ODD, (inf, 1.0), (-inf, -1.0), (largest, 1.0), (sub, sub), (-sub, -sub)],
    "hard_tanh": [*ODD, (inf, 1.0), (-inf, -1.0), (1.0, 1.0), (-1.0, -1.0), (0.25, 0.25), (sub, sub),
                  ((inf, -2.0, 3.0), 3.0), ((-inf, -2.0, 3.0), -2.0), ((2.5, -2.0, 3.0), 2.5)],
    "softplus": [(inf, inf), (largest, largest), (-inf, 0.0), (-largest, 0.0), (0.0, near(log(2))), (nan, nan),
                 ((0.0, 2.0), near(log(2) / 2)), ((inf, 2.0), inf), ((-inf, 2.0), 0.0)],
    "softsign": [*ODD, (inf, 1.0), (-inf, -1.0), (largest, 1.0), (-largest, -1.0), (sub, sub), (1.0, 0.5),
                 (-3.0, -0.75)],
    "squareplus": [(inf, inf), (largest, largest), (-inf, 0.0), (0.0, 1.0), (1.5, 2.0), (-1.5, 0.5), ((5.0, 0.0), 5.0),
                   ((-5.0, 0.0), zero), ((0.0, 0.0), zero), (nan, nan), ((inf, 0.0), inf), ((-inf, 0.0), zero)],
    "silu": HALVED,
    "mish": [row for row in HALVED if row[0] not in (sub, -sub)],
    "gelu": HALVED,
    "gelu_tanh": HALVED,
    "tanh_shrink": [*ODD, (inf, inf), (-inf, -inf), (largest, largest), (-largest, -largest), (sub, 0.0)],
    "soft_shrink": [*SHRINK, (1.5, 1.0), (-1.5, -1.0), ((4.0, 3.0), 1.0)],
    "hard_shrink": [*SHRINK, (0.75, 0.75), (-0.75, -0.75), ((-4.0, 3.0), -4.0)],
    "swiglu": GATE,
    "geglu": GATE,
    "reglu": [*GATE, ((-5.0, 2.0), 0.0), ((5.0, 2.0), 10.0)],
    "siglu": [((inf, 2.0), 2.0), ((-inf, 2.0), 0.0), ((0.0, 3.0), 1.5), ((nan, 1.0), nan), ((1.0, nan), nan)],
}

STEP = [(inf, 1.0), (largest, 1.0), (-inf, zero), (-largest, zero), (nan, nan)]     # from 0 to 1
LEAK = [((inf, 0.25), 1.0), ((0.0, 0.25), 0.25), ((-0.0, 0.25), 0.25), ((-inf, 0.25), 0.25), ((-inf, 0.0), 0.0),
        ((nan, 0.25), nan)]
BEYOND = [(inf, 1.0), (-inf, 1.0), (0.5, 0.0), (-0.5, 0.0), (0.0, 0.0), (0.75, 1.0), ((2.0, 3.0), 0.0), (nan, nan)]
DERIVATIVES: dict[str, list[tuple[Any, Any]]] = {
    "relu": [*STEP, (0.0, 0.0), (-0.0, 0.0), (sub, 1.0), (-sub, 0.0)],
    "relu6": [(inf, 0.0), (-inf, 0.0), (0.0, 0.0), (-0.0, 0.0), (6.0, 0.0), (3.0, 1.0), (sub, 1.0), (nan, nan)],
    "leaky_relu": LEAK,
    "prelu": LEAK,
    "elu": [*STEP, (0.0, 1.0), ((0.0, 2.0), 2.0), ((-0.0, 2.0), 2.0), ((sub, 2.0), 1.0), ((-inf, 2.0), zero)],
    "celu": [*STEP, (0.0, 1.0), ((0.0, 2.0), 1.0), ((-inf, 2.0), zero)],
    "selu": [(inf, near(1.0507009873554804934)), (-inf, zero), (0.0, near(1.7580993408473768)), (nan, nan)],
    "sigmoid": [(0.5, 0.25), (0.0, 0.0), (1.0, 0.0), (sub, sub), (nan, nan)],
    "log_sigmoid": [(inf, zero), (largest, zero), (-inf, 1.0), (-largest, 1.0), (0.0, 0.5), (nan, nan)],
    "hard_sigmoid": [(inf, 0.0), (-inf, 0.0), (3.0, 0.0), (-3.0, 0.0), (0.0, near(1 / 6)), (nan, nan)],
    "hard_swish": [*STEP, (-3.0, 0.0), (3.0, 1.0), (0.0, 0.5)],
    "tanh": [(0.0, 1.0), (1.0, 0.0), (-1.0, 0.0), (0.5, 0.75), (nan, nan)],
    "hard_tanh": [(inf, 0.0), (-inf, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), ((2.0, -2.0, 3.0), 1.0),
                  ((3.0, -2.0, 3.0), 0.0), ((-2.0, -2.0, 3.0), 0.0), (nan, nan)],
    "softplus": [*STEP, (0.0, 0.5), ((0.0, 2.0), 0.5)],
    "softsign": [(inf, 0.0), (-inf, 0.0), (0.0, 1.0), (-0.0, 1.0), (1.0, 0.25), (-1.0, 0.25), (sub, 1.0), (nan, nan)],
    "squareplus": [*STEP, (0.0, 0.5)],
    "silu": [*STEP, (0.0, 0.5)],
    "mish": [(inf, near(1.0)), (largest, near(1.0)), *STEP[2:], (0.0, near(0.6))],
    "gelu": [*STEP, (0.0, 0.5)],
    "gelu_tanh": [*STEP, (0.0, 0.5)],
    "tanh_shrink": [(inf, 1.0), (-inf, 1.0), (largest, 1.0), (0.0, zero), (nan, nan)],
    "soft_shrink": BEYOND,
    "hard_shrink": BEYOND,
    "swiglu": [((0.0, 2.0), (1.0, 0.0)), ((inf, 2.0), (2.0, inf)), ((-inf, 2.0), (zero, zero))],
    "geglu": [((0.0, 2.0), (1.0, 0.0)), ((inf, 2.0), (2.0, inf)), ((-inf, 2.0), (zero, zero))],
    "reglu": [((0.0, 2.0), (0.0, 0.0)), ((3.0, 2.0), (2.0, 3.0)), ((-3.0, 2.0), (0.0, 0.0))],
    "siglu": [((0.0, 2.0), (0.5, 0.5)), ((inf, 2.0), (0.0, 1.0)), ((-inf, 2.0), (0.0, 0.0))],
}

# Shapes, with default parameters: f(-x) = -f(x) in every bit; never falling (within rounding).
ODD_FUNCTIONS = {"tanh", "hard_tanh", "softsign", "tanh_shrink", "soft_shrink", "hard_shrink"}
RISING = ODD_FUNCTIONS | {
    "relu", "relu6", "leaky_relu", "prelu", "elu", "celu", "selu", "sigmoid", "log_sigmoid", "hard_sigmoid", "softplus",
    "squareplus",
}
