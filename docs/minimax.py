"""Minimax fits behind the coefficients of include/fastact: polynomials and quotients, in mpmath.

    python docs/minimax.py              list the fits
    python docs/minimax.py NAME ...     compute them and print coefficients as C hex floats

Each fit minimises max |w(t) (f(t) - R(t))| over an interval, R a polynomial P or a quotient P/Q. The method is
Lawson's: least squares whose weights are multiplied, step by step, by the errors they leave, until the errors level
out; for a quotient the equation is linearised with the denominator of the step before. Unlike Remez exchange it needs
no starting reference, does not care whether the fixed coefficients spoil the Haar condition (r^2, r^3.. on an interval
around zero), and converges from nothing on quotients over wide intervals, where exchange diverged. It stops within
1 % of the optimum: 0.01 bits.

Coefficients are rounded one after another, the lowest power first (it carries the most weight), and the rest is fitted
again around what is fixed; `beam` keeps that many of the best roundings at every step. "bits" is -log2 of the weighted
error, before and after rounding.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import mpmath as mp

mp.mp.dps = 70
Real = mp.mpf
Function = Callable[[mp.mpf], mp.mpf]


def horner(coefficients: list[mp.mpf], t: mp.mpf) -> mp.mpf:
    y = Real(0)
    for c in reversed(coefficients):
        y = y * t + c
    return y


def chebyshev(a: mp.mpf, b: mp.mpf, n: int) -> list[mp.mpf]:
    half, middle = (b - a) / 2, (a + b) / 2
    return [middle - half * mp.cos(mp.pi * (2 * k + 1) / (2 * n)) for k in range(n)]


def rounded(x: mp.mpf, bits: int) -> mp.mpf:
    """X to the nearest number of `bits` significant bits."""
    with mp.workprec(bits):
        return +x


@dataclass
class Fit:
    """f and w on [a, b]; degrees of P and Q; significant bits of the coefficients.

    fixed: coefficients that are given, by place: k for P, -k for Q; by default Q begins with 1.
    grid: maps an even spread over the interval, for functions that live at one end of a wide one.
    digits: significant bits of single coefficients, by place, where they differ.
    """

    what: str
    f: Function
    w: Function
    a: float | mp.mpf
    b: float | mp.mpf
    degree: int
    denominator: int = 0
    bits: int = 24
    beam: int = 1
    fixed: dict[int | str, mp.mpf] = field(default_factory=dict)
    grid: tuple[Function, Function] = (lambda t: t, lambda t: t)


class Lawson:
    """The points, values and weights of one fit, and the weights found so far."""

    def __init__(self, fit: Fit, density: int = 10) -> None:
        self.places = [f"p{k}" for k in range(fit.degree + 1)] + [f"q{k}" for k in range(fit.denominator + 1)]
        there, back = fit.grid
        n = density * (len(self.places) + 2)
        self.t = [back(u) for u in chebyshev(there(Real(fit.a)), there(Real(fit.b)), n)]
        self.f = [fit.f(t) for t in self.t]
        self.w = [fit.w(t) for t in self.t]
        self.column = {place: [t ** int(place[1:]) for t in self.t] for place in self.places}
        for place in self.places:
            if place[0] == "q":
                self.column[place] = [-y * v for y, v in zip(self.f, self.column[place], strict=True)]

    def q(self, values: dict[str, mp.mpf]) -> list[mp.mpf]:
        Q = [values[place] for place in self.places if place[0] == "q"]
        return [horner(Q, t) for t in self.t]

    def errors(self, values: dict[str, mp.mpf], q: list[mp.mpf]) -> list[mp.mpf]:
        P = [values[place] for place in self.places if place[0] == "p"]
        return [w * (f - horner(P, t) / d) for t, f, w, d in zip(self.t, self.f, self.w, q, strict=True)]

    def solve(self, fixed: dict[str, mp.mpf], steps: int, start=None):
        """Best values with those in `fixed` given: (largest error, values, weights to start the next from)."""
        n, free = len(self.t), [place for place in self.places if place not in fixed]
        weights, q = start if start else ([Real(1) / n] * n, [Real(1)] * n)
        if not free:
            q = self.q(fixed)
            return max(map(abs, self.errors(fixed, q))), fixed, (weights, q)
        right = [-mp.fsum(fixed[place] * self.column[place][i] for place in fixed) for i in range(n)]
        best = None
        for step in range(steps):
            scale = [weights[i] * (self.w[i] / q[i]) ** 2 for i in range(n)]
            A, b = mp.matrix(len(free)), mp.matrix(len(free), 1)
            for r, place in enumerate(free):
                row = [s * c for s, c in zip(scale, self.column[place], strict=True)]
                for c in range(r, len(free)):
                    A[r, c] = A[c, r] = mp.fdot(row, self.column[free[c]])
                b[r] = mp.fdot(row, right)
            values = {**fixed, **dict(zip(free, mp.lu_solve(A, b), strict=True))}
            q = self.q(values)
            errors = self.errors(values, q)
            worst = max(map(abs, errors))
            if min(q) > 0 and (best is None or worst < best[0]):
                best = worst, values, (weights, q)
            level = mp.sqrt(mp.fdot(weights, [e * e for e in errors]) / mp.fsum(weights))
            if step > 2 and worst < level * Real("1.01"):
                break
            if step >= (2 if "q1" in self.places else 0):
                weights = [v * abs(e) / worst for v, e in zip(weights, errors, strict=True)]
                total = mp.fsum(weights)
                weights = [v / total + Real("1e-12") / n for v in weights]
        if best is None:
            raise ArithmeticError("the denominator has a zero in the interval")
        return best


def bits(error: mp.mpf) -> float:
    return float(-mp.log(error, 2)) if error else float("inf")


def solve(fit: Fit) -> tuple[list[mp.mpf], list[mp.mpf], float, float]:
    """Rounded P and Q, bits before and after rounding."""
    lawson = Lawson(fit)
    fixed = {str(k): Real(c) for k, c in fit.fixed.items()}
    if not any(place[0] == "q" for place in fixed):
        fixed["q0"] = Real(1)
    exact, _, start = lawson.solve(fixed, 40)
    states = [(exact, fixed, start)]
    order = [f"{kind}{k}" for k in range(max(fit.degree, fit.denominator) + 1) for kind in "qp"]
    for place in order:
        if place in fixed or place not in lawson.places:
            continue
        tried = []
        for _, given, start in states:
            c = lawson.solve(given, 8, start)[1][place]
            near = rounded(c, fit.bits)
            step = mp.ldexp(1, int(mp.floor(mp.log(abs(c), 2))) + 1 - fit.bits) if c else Real(0)
            for value in [near] if fit.beam == 1 else [near - step, near, near + step]:
                given_too = {**given, place: value}
                error, _, start_too = lawson.solve(given_too, 8, start)
                tried.append((error, given_too, start_too))
        tried.sort(key=lambda state: state[0])
        states = tried[: fit.beam]
    _, values, _ = states[0]
    after = Lawson(fit, density=60)
    error = max(map(abs, after.errors(values, after.q(values))))
    P = [values[place] for place in lawson.places if place[0] == "p"]
    Q = [values[place] for place in lawson.places if place[0] == "q"]
    return P, Q, bits(exact), bits(error)


def c_literal(x: mp.mpf, width: int) -> str:
    """X as a C hex float, with an f where it fits a float."""
    head, exponent = float.hex(float(x)).split("p")
    whole, _, digits = head.partition(".")
    digits = digits.rstrip("0")
    return f"{whole}{'.' + digits if digits else ''}p{int(exponent)}{'f' if width <= 24 else ''}"


def report(name: str, fit: Fit) -> str:
    P, Q, before, after = solve(fit)
    lines = [
        f"{name}: {fit.what}; [{float(fit.a):.6g}, {float(fit.b):.6g}], {before:.1f} bits, "
        f"rounded to {fit.bits}: {after:.1f}"
    ]
    lines.append("    P " + ", ".join(c_literal(c, fit.bits) for c in P))
    if fit.denominator:
        lines.append("    Q " + ", ".join(c_literal(c, fit.bits) for c in Q))
    return "\n".join(lines)


HALF_LN2 = mp.log(2) / 2


def both(what: str, f: Function, w: Function, a, b, f32: int, f64: int, **more) -> dict[str, Fit]:
    """The same fit for float32 and float64."""
    return {
        "f32": Fit(what, f, w, a, b, f32, bits=24, beam=3, **more),
        "f64": Fit(what, f, w, a, b, f64, bits=53, **more),
    }


def odd(g: Function) -> Function:
    """c(s) of g(x) = x + x^3 c(x^2)."""
    return lambda s: (g(mp.sqrt(s)) / mp.sqrt(s) - 1) / s


def odd_weight(g: Function) -> Function:
    """Relative to g."""
    return lambda s: s * mp.sqrt(s) / g(mp.sqrt(s))


def tanh_d(s: mp.mpf) -> mp.mpf:
    """D of tanh(x) = x - x s/D(s), s = x^2."""
    x = mp.sqrt(s)
    return s / (1 - mp.tanh(x) / x)


EXP_Q: Function = lambda r: (mp.expm1(r) - r) / r**2  # noqa: E731
LOG1P_Q: Function = lambda u: (mp.log1p(u) - u) / u**2  # noqa: E731

LN2_ROUNDED = {24: Real(float.fromhex("0x1.62e43p-1")), 53: Real(float.fromhex("0x1.62e42fefa39efp-1"))}
SLOPE_ROUNDED = {24: Real(float.fromhex("0x1.988454p-2")), 53: Real(float.fromhex("0x1.9884533d43651p-2"))}


def exp2m1(degree: int, width: int, beam: int) -> Fit:
    """Fits q of 2^f - 1 = f ln2 + f^2 q(f), ln2 as it is rounded."""
    what, ln2 = "q of 2^f = 1 + f ln2 + f^2 q(f), relative to 2^f", LN2_ROUNDED[width]
    f: Function = lambda t: (mp.expm1(t * mp.log(2)) - t * ln2) / t**2  # noqa: E731
    return Fit(what, f, lambda t: t**2 / mp.mpf(2) ** t, Real(-0.5), Real(0.5), degree, bits=width, beam=beam)


def gelu_d(degree: int, width: int, beam: int, end: float) -> Fit:
    """Fits P/Q of G(a) - a/sqrt(2 pi) = 19/64 - c a + P(a)/Q(a), c as it is rounded, relative to it or to 0.22."""
    what, c = "P/Q of G(a) - a/sqrt(2 pi) = 19/64 - c a + P(a)/Q(a)", SLOPE_ROUNDED[width]
    by_gauss: Function = lambda a: mp.erfc(a / mp.sqrt(2)) * mp.exp(a * a / 2) / 2 - a / mp.sqrt(2 * mp.pi)  # noqa: E731
    return Fit(
        what,
        lambda a: by_gauss(a) + c * a - Real(19) / 64,
        lambda a: 1 / max(abs(by_gauss(a)), Real("0.22")),
        0,
        end,
        degree,
        degree,
        bits=width,
        beam=beam,
        fixed={f"q{degree}": Real(1)},
        grid=(lambda a: a / (a + 2), lambda u: 2 * u / (1 - u)),
    )


FITS: dict[str, dict[str, Fit]] = {
    "exp2m1": {"f32": exp2m1(4, 24, 3), "f64": exp2m1(10, 53, 1)},
    "gelu_d": {"f32": gelu_d(5, 24, 3, 14.7), "f64": gelu_d(10, 53, 1, 38.8)},
    "exp": both(
        "q of e^r = 1 + r + r^2 q(r), relative to e^r", EXP_Q, lambda r: r**2 / mp.exp(r), -HALF_LN2, HALF_LN2, 4, 10
    ),
    "exp_11": both("the same, one degree less", EXP_Q, lambda r: r**2 / mp.exp(r), -HALF_LN2, HALF_LN2, 3, 9),
    "expm1": both(
        "q of e^r = 1 + r + r^2 q(r), relative to e^r - 1",
        EXP_Q,
        lambda r: abs(r**2 / mp.expm1(r)),
        -HALF_LN2,
        HALF_LN2,
        4,
        10,
    ),
    "expm1_11": both("the same, one degree less", EXP_Q, lambda r: abs(r**2 / mp.expm1(r)), -HALF_LN2, HALF_LN2, 3, 9),
    "tanh_small": both(
        "D of tanh(x) = x - x s/D(s), s = x^2, |x| < atanh(1/2)",
        tanh_d,
        lambda s: mp.sqrt(s) * s / tanh_d(s) ** 2 / mp.tanh(mp.sqrt(s)),
        0,
        mp.atanh(0.5) ** 2,
        2,
        5,
    ),
    "tanh_small_6": both(
        "the same, one degree more",
        tanh_d,
        lambda s: mp.sqrt(s) * s / tanh_d(s) ** 2 / mp.tanh(mp.sqrt(s)),
        0,
        mp.atanh(0.5) ** 2,
        3,
        6,
    ),
    "tanh_half": both(
        "c of tanh(u) = u + u^3 c(u^2), |u| < ln2/4", odd(mp.tanh), odd_weight(mp.tanh), 0, (HALF_LN2 / 2) ** 2, 2, 5
    ),
    "log1p_atanh": both(
        "c of atanh(z) = z + z^3 c(z^2), z = u/(2 + u) <= 1/3",
        odd(mp.atanh),
        odd_weight(mp.atanh),
        0,
        Real(1) / 9,
        4,
        9,
    ),
    "log1p_atanh_10": both("the same, one degree more", odd(mp.atanh), odd_weight(mp.atanh), 0, Real(1) / 9, 5, 10),
    "log": both(
        "c of atanh(z) = z + z^3 c(z^2), z = (m-1)/(m+1), sqrt(1/2) < m < sqrt(2)",
        odd(mp.atanh),
        odd_weight(mp.atanh),
        0,
        (3 - 2 * mp.sqrt(2)) ** 2,
        3,
        6,
    ),
    "log_7": both("the same, one degree more", odd(mp.atanh), odd_weight(mp.atanh), 0, (3 - 2 * mp.sqrt(2)) ** 2, 2, 7),
    "log_ratio": both(
        "c of atanh(z) = z + z^3 c(z^2), z = (a-b)/(a+b), 1/1.501 < a/b < 1.501",
        odd(mp.atanh),
        odd_weight(mp.atanh),
        0,
        Real("0.0405"),
        3,
        7,
    ),
    "log1p": both("Q of log1p(u) = u + u^2 Q(u), 0 < u <= 1", LOG1P_Q, lambda u: u**2 / mp.log1p(u), 0, 1, 8, 19),
}


def main(names: list[str]) -> None:
    for name in names or FITS:
        for kind, fit in FITS[name].items():
            print(report(f"{name} {kind}", fit) if names else f"{name} {kind}: {fit.what}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
