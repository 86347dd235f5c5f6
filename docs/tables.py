"""The tables of include/fastact that hold a polynomial for each of several intervals, by the fits of minimax.py.

    python docs/tables.py log_cosh|gelu     prints the rows: where each polynomial is centred, then its coefficients

A polynomial is in a - e, e next to the middle of its interval and such that the first coefficient is a float32 to
2^-35: so it costs no rounding error. The interval of a is what the leading bits of scale*a + 1 number. In gelu's, write
the first interval's 0 of its first coefficient as -0.
"""

from __future__ import annotations

import itertools
import struct
import sys

import mpmath as mp
from minimax import Fit, Function, Real, c_literal, rounded, solve


def next_to(middle: mp.mpf, f: Function) -> mp.mpf:
    """The float32 e next to `middle` with an f(e) that is one to 2^-35."""
    place = struct.unpack("i", struct.pack("f", float(middle)))[0]
    for k in itertools.count():
        for candidate in {place - k, place + k}:
            e = Real(struct.unpack("f", struct.pack("i", candidate))[0])
            if abs(rounded(f(e), 24) / f(e) - 1) < mp.ldexp(1, -35):
                return e
    raise AssertionError


def centred(f: Function, w: Function, a: mp.mpf, b: mp.mpf, degree: int, fixed: dict[str, mp.mpf] | None = None):
    """(e, coefficients) of one interval; with `fixed` e is 0."""
    e = Real(0) if fixed else next_to((a + b) / 2, f)
    given = fixed or {"p0": rounded(f(e), 24)}
    fit = Fit("", lambda t: f(t + e), lambda t: w(t + e), a - e, b - e, degree, fixed=given)
    P, _, _, after = solve(fit)
    return e, P, after


def log_cosh() -> list[list[mp.mpf]]:
    """Log cosh a = m^2 P(a) + (a - m), m = min(a, 9/8), for a = 0 .. 8.4375; relative to log cosh a."""
    scale, bend = Real(struct.unpack("f", struct.pack("f", 16 / 9))[0]), Real(9) / 8

    def f(a: mp.mpf) -> mp.mpf:
        m = min(a, bend)
        return (mp.log(mp.cosh(a)) - (a - m)) / m**2 if a > 1e-9 else Real(1) / 2

    def w(a: mp.mpf) -> mp.mpf:
        return min(a, bend) ** 2 / mp.log(mp.cosh(a)) if a > 1e-9 else Real(2)

    rows = []
    for octave, half in itertools.product(range(4), range(2)):
        a, b = ((mp.ldexp(1 + Real(h) / 2, octave) - 1) / scale for h in (half, half + 1))
        e, P, after = centred(f, w, a, b, 6)
        print(f"/* {float(a):.4f} to {float(b):.4f}: {after:.1f} bits */")
        rows.append([e, *P])
    return rows[2:] + rows[:2]                    # the bits of 1, shifted by 22, end in 6


def gelu() -> list[list[mp.mpf]]:
    """-M H/2 e^(a^2 1.4e-9) 2^(16 - 2j), H = a erfc(a/sqrt 2) e^(a^2/2) = 2 a G(a), for a = 0 .. 15; relative to H."""
    step, M = Real(float.fromhex("0x1.62e43p-4")), 1 + mp.ldexp(262, -23)
    lost = (mp.log(2) / 8 - step) / step / 2        # of the exponent, per a^2

    def f(a: mp.mpf) -> mp.mpf:
        return M * a / 2 * mp.erfc(a / mp.sqrt(2)) * mp.exp(a * a * (Real(1) / 2 + lost))

    rows = []
    for j, (octave, eighth) in enumerate(itertools.product(range(4), range(8))):
        a, b = (mp.ldexp(1 + Real(k) / 8, octave) - 1 for k in (eighth, eighth + 1))
        e, P, after = centred(f, lambda t: 1 / f(t), a, b, 5, None if j else {"p0": Real(0), "p1": M / 2})
        print(f"/* {float(a):.4f} to {float(b):.4f}: {after:.1f} bits */")
        rows.append([e, *(-mp.ldexp(c, 16 - 2 * j) for c in P)])
    print("/* powers */", ", ".join(power_bits(k, M) for k in range(16)))
    return rows[8:] + rows[:8]                    # the bits of 1, shifted by 20, end in 24


def power_bits(k: int, M: mp.mpf) -> str:
    """The bits of 2^(-k/16)/M and k << 19 more."""
    power = rounded(mp.mpf(2) ** (-Real(k) / 16) / M, 24)
    return f"{struct.unpack('I', struct.pack('f', float(power)))[0] + (k << 19):#010x}"


if __name__ == "__main__":
    for row in zip(*{"log_cosh": log_cosh, "gelu": gelu}[sys.argv[1]](), strict=True):
        print("    {" + ", ".join(c_literal(x, 24) for x in row) + "},")
