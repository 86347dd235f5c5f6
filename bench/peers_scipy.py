"""SciPy: the functions of scipy.special, with `out=` where they are ufuncs, finished by NumPy where a step is missing.

Threads: none.
"""

from __future__ import annotations

import peers_numpy
import scipy
from calls import Call
from scipy import special

TITLE = "scipy"

_GELU_SLOPE = (  # Phi(x) + x phi(x)
    "np.multiply(x, x, out=dx); np.multiply(dx, -0.5, out=dx); np.exp(dx, out=dx); np.multiply(dx, x, out=dx); "
    "np.multiply(dx, 0.3989422804014327, out=dx); special.ndtr(x, out=t); np.add(dx, t, out=dx); "
    "np.multiply(dx, dy, out=dx)"
)
STATEMENTS = {
    "sigmoid": "special.expit(x, out=y)",
    "log_sigmoid": "special.log_expit(x, out=y)",
    "softplus": "special.softplus(x, out=y)",  # beta = 1
    "silu": "special.expit(x, out=y); np.multiply(x, y, out=y)",
    "gelu": "special.ndtr(x, out=y); np.multiply(x, y, out=y)",
    "gelu_grad": _GELU_SLOPE,
    "swiglu": "special.expit(gate, out=y); np.multiply(y, gate, out=y); np.multiply(y, up, out=y)",
    "geglu": "special.ndtr(gate, out=y); np.multiply(y, gate, out=y); np.multiply(y, up, out=y)",
    "geglu_grad": "special.ndtr(gate, out=t); np.multiply(gate, t, out=dup); np.multiply(dup, dy, out=dup); "
    "np.multiply(gate, gate, out=dgate); np.multiply(dgate, -0.5, out=dgate); np.exp(dgate, out=dgate); "
    "np.multiply(dgate, gate, out=dgate); np.multiply(dgate, 0.3989422804014327, out=dgate); "
    "np.add(dgate, t, out=dgate); np.multiply(dgate, up, out=dgate); np.multiply(dgate, dy, out=dgate)",
    "log_sigmoid_grad": "np.negative(x, out=dx); special.expit(dx, out=dx); np.multiply(dx, dy, out=dx)",
    "softplus_grad": "special.expit(x, out=dx); np.multiply(dx, dy, out=dx)",
    "entropy": "special.entr(p, out=t); y = t.sum(-1)",
    "kl_divergence": "special.rel_entr(p, q, out=t); y = t.sum(-1)",
    "softmax": "y = special.softmax(x, axis=axis)",
    "log_softmax": "y = special.log_softmax(x, axis=axis)",
    "logsumexp": "y = special.logsumexp(x, axis=axis)",
    "huber_loss": "np.subtract(pred, target, out=t); special.huber(delta, t, out=t); loss = t.mean()",
}


def setup(threads: int) -> str:
    return f"scipy {scipy.__version__}: on 1 thread"


def build(function, data, outputs, params, axis, into_new=False) -> list[Call]:
    extra = {"special": special}
    return peers_numpy.build(function, data, outputs, params, axis, STATEMENTS, into_new, extra)


def calls(case, data) -> list[Call]:
    return build(case.function, data, case.outputs, dict(case.params), case.axis, into_new=case.fresh)
