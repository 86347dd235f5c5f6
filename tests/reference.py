"""What every map is, exactly, and how far the kernels may be from it: one row per map of `fastact._kernels.MAPS`.

`exact` is the definition in mpmath, as a function of the map's first tensor (for a gradient the tensor it saves) and of
its parameters, everything else being 1; nobody has to keep it from cancelling, `exactly` takes the digits it needs.
`bounds` are the largest errors in ULP, measured by `tests/ulp_table.py` and rounded up: over all float32 inputs, and
over float64 samples, with FMA (AVX2, AVX-512, NEON) and without (baseline). Where the exact value crosses zero and
more than half of the largest term cancels, errors count in ULP of that term: `crossing` is (from, to, the term at the
zero, bound).

Every test of accuracy takes its names, definitions and bounds from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np

Exact = Callable[..., Any]


class Bounds(NamedTuple):
    """Largest error in ULP: float32 and float64 with FMA, then without; on AVX-512 where it has a form of its own."""

    f32: float
    f64: float
    f32_baseline: float
    f64_baseline: float
    f32_avx512: float | None = None
    f64_avx512: float | None = None

    def of(self, dtype: Any, isa: str) -> float:
        double = np.dtype(dtype) == np.float64
        own = (self.f64_avx512 if double else self.f32_avx512) if isa == "avx512" else None
        return self[2 * (isa == "baseline") + double] if own is None else own


class Crossing(NamedTuple):
    begin: float
    end: float
    term: float
    bound: float


NO_CROSSING = Crossing(0, 0, 0, 0)


@dataclass(frozen=True)
class Row:
    exact: Exact
    bounds: Bounds
    params: tuple[float, ...] = ()
    crossing: Crossing = NO_CROSSING
    signed_zero: bool = True  # False: a result that vanishes in a limit may be 0.0 or -0.0


def exactly(row: Row, x: float, params: tuple[float, ...]) -> mp.mpf:
    """The exact value to at least 30 digits: evaluated with more and more of them until it stays, but for 0.

    Which may be all that is left after a subtraction: squareplus(-1e100) wants 420 digits.
    """
    if np.isnan(x):
        return mp.nan
    before = None
    for digits in (60, 160, 420, 1100, 2800):
        with mp.workdps(digits):
            value = mp.mpf(row.exact(mp.mpf(float(x)), *map(mp.mpf, params)))
            if before is not None and value and abs(value - before) <= abs(value) * mp.mpf(10) ** -30:
                return value
            before = value
    return value


def limit(at_plus: float, at_minus: float) -> Callable[[Exact], Exact]:
    """The limits at +-inf, where the formula itself would be inf - inf or 0 * inf."""

    def with_limits(f: Exact) -> Exact:
        def exact(x: mp.mpf, *params: mp.mpf) -> mp.mpf:
            return f(x, *params) if mp.isfinite(x) else mp.mpf(at_plus if x > 0 else at_minus)

        return exact

    return with_limits


INF = float("inf")
ONE_PLUS = limit(1, 0)
ODD_UNIT = limit(1, -1)


def relu(x: mp.mpf) -> mp.mpf:
    return max(x, mp.mpf(0))


def sigmoid(x: mp.mpf) -> mp.mpf:
    return 1 / (1 + mp.exp(-x))


def softplus(x: mp.mpf, beta: mp.mpf = 1) -> mp.mpf:
    return mp.log1p(mp.exp(beta * x)) / beta if beta * x < 0 else x + mp.log1p(mp.exp(-beta * x)) / beta


def phi(x: mp.mpf) -> mp.mpf:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def Phi(x: mp.mpf) -> mp.mpf:  # noqa: N802
    return mp.erfc(-x / mp.sqrt(2)) / 2


def clip(x: mp.mpf, low: Any, high: Any) -> mp.mpf:
    return min(max(x, mp.mpf(low)), mp.mpf(high))


def inside(x: mp.mpf, low: Any, high: Any) -> mp.mpf:
    return mp.mpf(low < x < high)


def squareplus_slope(x: mp.mpf, b: mp.mpf) -> mp.mpf:
    return (1 + x / mp.sqrt(x * x + b)) / 2


def tanh_softplus(x: mp.mpf) -> mp.mpf:
    n = mp.exp(x) * (mp.exp(x) + 2) if x < 0 else None
    u = mp.exp(-abs(x))
    return n / (n + 2) if n is not None else (1 + 2 * u) / (1 + 2 * u + 2 * u * u)


def mish_slope(x: mp.mpf) -> mp.mpf:
    t = tanh_softplus(x)
    return t + x * (1 - t * t) * sigmoid(x)


def gelu_tanh_argument(x: mp.mpf) -> mp.mpf:
    return 2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)


def gelu_tanh_slope(x: mp.mpf) -> mp.mpf:
    s = sigmoid(gelu_tanh_argument(x))
    return s + x * s * sigmoid(-gelu_tanh_argument(x)) * 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mp.mpf("0.044715") * x * x)


SELU_SCALE, SELU_ALPHA = "1.0507009873554804934", "1.6732632423543772848"
RECTIFIER = Bounds(0.5, 0.5, 0.5, 0.5)
EXACT = Bounds(0, 0, 0, 0)

ROWS: dict[str, Row] = {
    "relu": Row(relu, EXACT),
    "relu_grad": Row(lambda x: mp.mpf(x > 0), EXACT),
    "relu6": Row(lambda x: clip(x, 0, 6), EXACT),
    "relu6_grad": Row(lambda x: inside(x, 0, 6), EXACT),
    "leaky_relu": Row(lambda x, a: x if x > 0 else a * x, RECTIFIER, (0.01,)),
    "leaky_relu_grad": Row(lambda x, a: mp.mpf(1) if x > 0 else a, EXACT, (0.01,)),
    "prelu": Row(lambda x, a: x if x > 0 else a * x, RECTIFIER, (0.25,)),
    "prelu_grad": Row(lambda x, a: mp.mpf(1) if x > 0 else a, EXACT, (0.25,)),
    "elu": Row(lambda x, a: x if x > 0 else a * mp.expm1(x), Bounds(0.98, 1, 0.99, 1), (1.0,)),
    "elu_grad": Row(lambda x, a: mp.mpf(1) if x > 0 else a * mp.exp(x), Bounds(0.91, 0.95, 1, 1.05), (1.0,)),
    "celu": Row(lambda x, a: x if x > 0 else a * mp.expm1(x / a), Bounds(0.98, 0.95, 0.99, 1.0), (1.0,)),
    "celu_grad": Row(lambda x, a: mp.mpf(1) if x > 0 else mp.exp(x / a), Bounds(0.91, 0.95, 1, 1.05), (1.0,)),
    "selu": Row(
        lambda x: mp.mpf(SELU_SCALE) * (x if x > 0 else mp.mpf(SELU_ALPHA) * mp.expm1(x)),
        Bounds(1.1, 1.05, 2.07, 2.05),
    ),
    "selu_grad": Row(
        lambda x: mp.mpf(SELU_SCALE) * (1 if x > 0 else mp.mpf(SELU_ALPHA) * mp.exp(x)),
        Bounds(1.83, 1.75, 1.86, 1.75),
    ),
    "sigmoid": Row(sigmoid, Bounds(2, 1.8, 1.75, 1.8)),
    "sigmoid_grad": Row(limit(-INF, -INF)(lambda y: y * (1 - y)), Bounds(0.5, 0.55, 1.5, 1.55)),
    "log_sigmoid": Row(limit(0, -INF)(lambda x: -softplus(-x)), Bounds(1.97, 1.95, 2.44, 2.25), signed_zero=False),
    "log_sigmoid_grad": Row(lambda x: sigmoid(-x), Bounds(2.44, 2.55, 2.44, 2.55, f64_avx512=2.6)),
    "hard_sigmoid": Row(lambda x: clip(x + 3, 0, 6) / 6, Bounds(1.34, 1.4, 1.34, 1.4)),
    "hard_sigmoid_grad": Row(lambda x: inside(x, -3, 3) / 6, Bounds(0.34, 0.4, 0.34, 0.4)),
    "hard_swish": Row(
        limit(INF, 0)(lambda x: x * clip(x + 3, 0, 6) / 6),
        Bounds(2.49, 2.55, 2.49, 2.55),
        signed_zero=False,
    ),
    "hard_swish_grad": Row(
        lambda x: clip((2 * x + 3) / 6, -INF, INF) if -3 < x < 3 else mp.mpf(x >= 3),
        Bounds(1.34, 1.4, 1.34, 1.4),
        crossing=Crossing(-2.25, -0.75, 0.5, 0.2),
        signed_zero=False,
    ),
    "tanh": Row(mp.tanh, Bounds(2.5, 2.55, 2.48, 2.55)),
    "tanh_grad": Row(limit(-INF, -INF)(lambda y: (1 - y) * (1 + y)), Bounds(0.5, 0.55, 1.5, 1.55)),
    "hard_tanh": Row(clip, EXACT, (-1.0, 1.0)),
    "hard_tanh_grad": Row(inside, EXACT, (-1.0, 1.0)),
    "softplus": Row(limit(INF, 0)(softplus), Bounds(1.97, 1.95, 2.44, 2.25), (1.0,)),
    "softplus_grad": Row(lambda x, b: sigmoid(b * x), Bounds(2, 1.8, 1.75, 1.8), (1.0,)),
    "softsign": Row(ODD_UNIT(lambda x: x / (1 + abs(x))), Bounds(1.52, 1.55, 1.5, 1.55)),
    "softsign_grad": Row(lambda x: 1 / (1 + abs(x)) ** 2, Bounds(2.32, 2.4, 2.32, 2.4)),
    "squareplus": Row(
        limit(INF, 0)(lambda x, b: (x + mp.sqrt(x * x + b)) / 2),
        Bounds(2.75, 2.8, 2.75, 2.8, f32_avx512=1.52),
        (4.0,),
    ),
    "squareplus_grad": Row(ONE_PLUS(squareplus_slope), Bounds(2.58, 2.8, 3.37, 3.6), (4.0,)),
    "silu": Row(
        limit(INF, 0)(lambda x: x * sigmoid(x)),
        Bounds(1.8, 1.95, 1.73, 1.9, f32_avx512=1.52),
        signed_zero=False,
    ),
    "silu_grad": Row(
        ONE_PLUS(lambda x: sigmoid(x) * (1 + x * sigmoid(-x))),
        Bounds(2.89, 3.0, 3.06, 3.15),
        crossing=Crossing(-2.2177, -0.7388, 0.2178, 2.4),
        signed_zero=False,
    ),
    "mish": Row(limit(INF, 0)(lambda x: x * tanh_softplus(x)), Bounds(2.87, 3.0, 2.98, 3.3), signed_zero=False),
    "mish_grad": Row(
        ONE_PLUS(mish_slope),
        Bounds(2.81, 2.9, 3.22, 3.55),
        crossing=Crossing(-2.1319, -0.68, 0.259, 1.6),
        signed_zero=False,
    ),
    "gelu": Row(limit(INF, 0)(lambda x: x * Phi(x)), Bounds(2.42, 2.75, 2.73, 3.3), signed_zero=False),
    "gelu_grad": Row(
        ONE_PLUS(lambda x: Phi(x) + x * phi(x)),
        Bounds(2.94, 3.0, 2.94, 3.1),
        crossing=Crossing(-1.1906, -0.452, 0.2261, 2.0),
        signed_zero=False,
    ),
    "gelu_tanh": Row(
        limit(INF, 0)(lambda x: x * sigmoid(gelu_tanh_argument(x))),
        Bounds(2.83, 3.0, 3.26, 3.55),
        signed_zero=False,
    ),
    "gelu_tanh_grad": Row(
        ONE_PLUS(gelu_tanh_slope),
        Bounds(2.55, 2.6, 3.55, 3.75),
        crossing=Crossing(-1.1919, -0.4521, 0.226, 2.2),
        signed_zero=False,
    ),
    "tanh_shrink": Row(limit(INF, -INF)(lambda x: x - mp.tanh(x)), Bounds(2.93, 2.8, 2.93, 2.8)),
    "tanh_shrink_grad": Row(lambda x: mp.tanh(x) ** 2, Bounds(2.06, 2.15, 2.3, 2.4)),
    "soft_shrink": Row(lambda x, lambd: x - clip(x, -lambd, lambd), RECTIFIER, (0.5,)),
    "soft_shrink_grad": Row(lambda x, lambd: mp.mpf(abs(x) > lambd), EXACT, (0.5,)),
    "hard_shrink": Row(lambda x, lambd: x if abs(x) > lambd else mp.mpf(0), EXACT, (0.5,)),
    "hard_shrink_grad": Row(lambda x, lambd: mp.mpf(abs(x) > lambd), EXACT, (0.5,)),
}
# A gated map with up = 1 is its activation.
for gated, activation in {"swiglu": "silu", "geglu": "gelu", "reglu": "relu"}.items():
    ROWS[gated], ROWS[f"{gated}_grad"] = ROWS[activation], ROWS[f"{activation}_grad"]
ROWS["siglu"] = ROWS["sigmoid"]
ROWS["siglu_grad"] = Row(lambda x: sigmoid(x) * sigmoid(-x), Bounds(2.57, 2.7, 2.49, 2.65))
