"""NumPy at its best: formulas with `out=`, scratch arrays that stand ready, no temporary of full size.

Threads: none for elementwise work; the matrix products use OpenBLAS's N. Formulas are those a careful user writes:
stable where the plain one overflows for ordinary inputs. The float64 reference runs these same statements.
"""

from __future__ import annotations

import numpy as np
from calls import Call, alternatives, fresh, workspace

TITLE = "numpy"
EMPTY = "np.empty_like({name}_like)"

SQRT_2_OVER_PI = 0.7978845608028654
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848, 1.0507009873554804934
LOG_2 = 0.6931471805599453

_SIGMOID = "np.negative({x}, out={y}); np.exp({y}, out={y}); np.add({y}, 1, out={y}); "
_SOFTPLUS = "np.abs(x, out=y); np.negative(y, out=y); np.exp(y, out=y); np.log1p(y, out=y); "
_SWIGLU = _SIGMOID.format(x="gate", y="y") + "np.divide(gate, y, out=y); np.multiply(y, up, out=y)"
_BETWEEN = "np.greater(x, {low}, out=mask); np.less(x, {high}, out=mask2); np.logical_and(mask, mask2, out=mask); "
_KEEP = "np.multiply(dy, mask, out=dx)"
_EXP_SUM = "m = {x}.max({axis}, keepdims=True); np.subtract({x}, m, out={t}); "

# alpha = 1 in elu and celu, where max(x, expm1(min(x, 0))) is the whole formula
_ELU = "np.minimum(x, 0, out=y); np.expm1(y, out=y); np.maximum(x, y, out=y)"
_ELU_GRAD = "np.minimum(x, 0, out=dx); np.exp(dx, out=dx); np.multiply(dx, dy, out=dx)"

ACTIVATIONS = {
    "relu": "np.maximum(x, 0, out=y)",
    "relu6": ("np.clip(x, 0, 6, out=y)", "np.maximum(x, 0, out=y); np.minimum(y, 6, out=y)"),
    "leaky_relu": "np.multiply(x, negative_slope, out=y); np.maximum(x, y, out=y)",
    "prelu": "np.multiply(x, alpha, out=y); np.maximum(x, y, out=y)",
    "elu": _ELU,
    "celu": _ELU,
    "selu": "np.minimum(x, 0, out=y); np.expm1(y, out=y); np.multiply(y, SELU_ALPHA, out=y); "
    "np.maximum(x, 0, out=t); np.add(y, t, out=y); np.multiply(y, SELU_SCALE, out=y)",
    "sigmoid": (
        _SIGMOID.format(x="x", y="y") + "np.reciprocal(y, out=y)",
        "np.multiply(x, 0.5, out=y); np.tanh(y, out=y); np.multiply(y, 0.5, out=y); np.add(y, 0.5, out=y)",
    ),
    "log_sigmoid": _SOFTPLUS + "np.minimum(x, 0, out=t); np.subtract(t, y, out=y)",
    "hard_sigmoid": "np.add(x, 3, out=y); np.clip(y, 0, 6, out=y); np.divide(y, 6, out=y)",
    "hard_swish": "np.add(x, 3, out=y); np.clip(y, 0, 6, out=y); np.multiply(x, y, out=y); np.divide(y, 6, out=y)",
    "tanh": "np.tanh(x, out=y)",
    "hard_tanh": (
        "np.clip(x, min_val, max_val, out=y)",
        "np.maximum(x, min_val, out=y); np.minimum(y, max_val, out=y)",
    ),
    "softplus": _SOFTPLUS + "np.maximum(x, 0, out=t); np.add(t, y, out=y)",  # beta = 1
    "softsign": "np.abs(x, out=y); np.add(y, 1, out=y); np.divide(x, y, out=y)",
    "squareplus": "np.multiply(x, x, out=y); np.add(y, b, out=y); np.sqrt(y, out=y); np.add(y, x, out=y); "
    "np.multiply(y, 0.5, out=y)",
    "silu": _SIGMOID.format(x="x", y="y") + "np.divide(x, y, out=y)",
    # x tanh(log(1 + e)) = x n / (n + 2) with n = e (e + 2), e = exp(x)
    "mish": "np.minimum(x, 40, out=y); np.exp(y, out=y); np.add(y, 2, out=t); np.multiply(y, t, out=y); "
    "np.add(y, 2, out=t); np.divide(y, t, out=y); np.multiply(x, y, out=y)",
    "gelu_tanh": "np.multiply(x, x, out=y); np.multiply(y, 0.044715, out=y); np.add(y, 1, out=y); "
    "np.multiply(y, x, out=y); np.multiply(y, SQRT_2_OVER_PI, out=y); np.tanh(y, out=y); np.add(y, 1, out=y); "
    "np.multiply(y, x, out=y); np.multiply(y, 0.5, out=y)",
    "tanh_shrink": "np.tanh(x, out=y); np.subtract(x, y, out=y)",
    "soft_shrink": "np.clip(x, -lambd, lambd, out=y); np.subtract(x, y, out=y)",
    "hard_shrink": "np.abs(x, out=y); np.greater(y, lambd, out=mask); np.multiply(x, mask, out=y)",
    "swiglu": _SWIGLU,
    "reglu": "np.maximum(gate, 0, out=y); np.multiply(y, up, out=y)",
}

GRADIENTS = {
    "relu_grad": "np.greater(x, 0, out=mask); " + _KEEP,
    "relu6_grad": _BETWEEN.format(low=0, high=6) + _KEEP,
    "leaky_relu_grad": "np.greater(x, 0, out=mask); np.multiply(dy, negative_slope, out=dx); "
    "np.copyto(dx, dy, where=mask)",
    "prelu_grad": "np.minimum(x, 0, out=t); np.multiply(t, dy, out=t); dalpha = t.sum(keepdims=True); "
    "np.greater(x, 0, out=mask); np.multiply(dy, alpha, out=dx); np.copyto(dx, dy, where=mask)",
    "elu_grad": _ELU_GRAD,
    "celu_grad": _ELU_GRAD,
    "selu_grad": "np.minimum(x, 0, out=dx); np.exp(dx, out=dx); np.multiply(dx, SELU_ALPHA, out=dx); "
    "np.greater(x, 0, out=mask); np.copyto(dx, 1, where=mask); np.multiply(dx, dy, out=dx); "
    "np.multiply(dx, SELU_SCALE, out=dx)",
    "sigmoid_grad": "np.subtract(1, y, out=dx); np.multiply(dx, y, out=dx); np.multiply(dx, dy, out=dx)",
    "log_sigmoid_grad": "np.exp(x, out=dx); np.add(dx, 1, out=dx); np.divide(dy, dx, out=dx)",
    "hard_sigmoid_grad": _BETWEEN.format(low=-3, high=3) + _KEEP + "; np.divide(dx, 6, out=dx)",
    "hard_swish_grad": "np.multiply(x, 1 / 3, out=dx); np.add(dx, 0.5, out=dx); np.greater(x, -3, out=mask); "
    "np.multiply(dx, mask, out=dx); np.greater_equal(x, 3, out=mask); np.copyto(dx, 1, where=mask); "
    "np.multiply(dx, dy, out=dx)",
    "tanh_grad": "np.multiply(y, y, out=dx); np.subtract(1, dx, out=dx); np.multiply(dx, dy, out=dx)",
    "hard_tanh_grad": _BETWEEN.format(low="min_val", high="max_val") + _KEEP,
    "softplus_grad": _SIGMOID.format(x="x", y="dx") + "np.divide(dy, dx, out=dx)",
    "softsign_grad": "np.abs(x, out=dx); np.add(dx, 1, out=dx); np.multiply(dx, dx, out=dx); np.divide(dy, dx, out=dx)",
    "squareplus_grad": "np.multiply(x, x, out=dx); np.add(dx, b, out=dx); np.sqrt(dx, out=dx); "
    "np.divide(x, dx, out=dx); np.add(dx, 1, out=dx); np.multiply(dx, 0.5, out=dx); np.multiply(dx, dy, out=dx)",
    # s + x s (1 - s) = s (1 + x - x s)
    "silu_grad": _SIGMOID.format(x="x", y="t") + "np.reciprocal(t, out=t); np.multiply(x, t, out=dx); "
    "np.subtract(x, dx, out=dx); np.add(dx, 1, out=dx); np.multiply(dx, t, out=dx); np.multiply(dx, dy, out=dx)",
    "tanh_shrink_grad": "np.tanh(x, out=dx); np.multiply(dx, dx, out=dx); np.multiply(dx, dy, out=dx)",
    "soft_shrink_grad": "np.abs(x, out=dx); np.greater(dx, lambd, out=mask); " + _KEEP,
    "hard_shrink_grad": "np.abs(x, out=dx); np.greater(dx, lambd, out=mask); " + _KEEP,
    "swiglu_grad": _SIGMOID.format(x="gate", y="t") + "np.reciprocal(t, out=t); np.multiply(gate, t, out=dup); "
    "np.subtract(gate, dup, out=dgate); np.add(dgate, 1, out=dgate); np.multiply(dgate, t, out=dgate); "
    "np.multiply(dgate, up, out=dgate); np.multiply(dgate, dy, out=dgate); np.multiply(dup, dy, out=dup)",
    "reglu_grad": "np.greater(gate, 0, out=mask); np.multiply(dy, up, out=dgate); np.multiply(dgate, mask, out=dgate); "
    "np.maximum(gate, 0, out=dup); np.multiply(dup, dy, out=dup)",
}

_ENTROPY = "np.log(p, out=t); np.multiply(t, p, out=t); y = -t.sum(-1)"
_KL = "np.divide(p, q, out=t); np.log(t, out=t); np.multiply(t, p, out=t); y = t.sum(-1)"
_GLU = "half = x2.shape[1] // 2; a, b = x2[:, :half], x2[:, half:]; "
_SOFTMAX = _EXP_SUM.format(x="x", t="y", axis="axis")
ROWS = {
    "glu": _GLU + _SIGMOID.format(x="b", y="y") + "np.divide(a, y, out=y)",
    "glu_grad": _GLU + "da, db = dx2[:, :half], dx2[:, half:]; " + _SIGMOID.format(x="b", y="db")
    + "np.reciprocal(db, out=db); np.multiply(dy, db, out=da); np.subtract(1, db, out=db); "
    "np.multiply(db, da, out=db); np.multiply(db, a, out=db)",
    "entropy": _ENTROPY,
    "kl_divergence": _KL,
    "linear_softmax": "np.matmul(x, linear_weight.T, out=y); np.subtract(y, y.max(1, keepdims=True), out=y); "
    "np.exp(y, out=y); np.divide(y, y.sum(1, keepdims=True), out=y)",
    "softmax": _SOFTMAX + "np.exp(y, out=y); np.divide(y, y.sum(axis, keepdims=True), out=y)",
    "log_softmax": _SOFTMAX + "np.exp(y, out=t); np.subtract(y, np.log(t.sum(axis, keepdims=True)), out=y)",
    "logsumexp": _EXP_SUM.format(x="x", t="t", axis="axis")
    + "np.exp(t, out=t); y = np.log(t.sum(axis)) + m.squeeze(axis)",
    "softmax_grad": "np.multiply(dy, y, out=dx); np.subtract(dy, dx.sum(axis, keepdims=True), out=dx); "
    "np.multiply(dx, y, out=dx)",
    "log_softmax_grad": "np.exp(y, out=dx); np.multiply(dx, dy.sum(axis, keepdims=True), out=dx); "
    "np.subtract(dy, dx, out=dx)",
}  # fmt: skip


def _cross_entropy(x: str, t: str) -> str:
    start = _EXP_SUM.format(x=x, t=t, axis=1)
    return start + f"z = {t}[rows, target]; np.exp({t}, out={t}); s = {t}.sum(1); loss = (np.log(s) - z).mean()"


def _cross_entropy_grad(x: str, t: str) -> str:
    return _cross_entropy(x, t) + (
        f"; np.divide({t}, s[:, None] * len(target), out={t}); {t}[rows, target] -= 1 / len(target)"
    )


_DIFFERENCE = "np.subtract(pred, target, out={t}); "
_HUBER = _DIFFERENCE.format(t="t") + "np.abs(t, out=t); np.minimum(t, {knee}, out=u); "
_HUBER += "np.multiply(u, 0.5, out=mid); np.subtract(t, mid, out=t); loss = np.dot(t, u) / t.size{scale}"
_HUBER_GRAD = "; np.subtract(pred, target, out=grad); np.clip(grad, -{knee}, {knee}, out=grad); "
_HUBER_GRAD += "np.multiply(grad, 1 / grad.size{scale}, out=grad)"
_LOG_COSH = _DIFFERENCE.format(t="u") + "np.abs(u, out=t); np.multiply(t, -2, out=mid); np.exp(mid, out=mid); "
_LOG_COSH += "np.log1p(mid, out=mid); np.add(t, mid, out=t); loss = t.mean() - LOG_2"
_QUANTILE = "np.subtract(target, pred, out=t); np.multiply(t, q, out=u); np.multiply(t, q - 1, out=mid); "
_QUANTILE += "np.maximum(u, mid, out=u); loss = u.mean()"
_BCE = "np.abs(logits, out=t); np.negative(t, out=t); np.exp(t, out=t); np.log1p(t, out=t); "
_BCE += "np.maximum(logits, 0, out=u); np.add(t, u, out=t); loss = t.mean() - np.dot(logits, target) / t.size"
_BCE_GRAD = "; np.negative(logits, out=grad); np.exp(grad, out=grad); np.add(grad, 1, out=grad); "
_BCE_GRAD += "np.reciprocal(grad, out=grad); np.subtract(grad, target, out=grad); np.divide(grad, grad.size, out=grad)"

_FOCAL = "; lp = z - np.log(s); q = -np.expm1(lp); loss = -(q**gamma * lp).mean()"
_DISTIL = _EXP_SUM.format(x="teacher_logits", t="t", axis=1) + "np.exp(t, out={u}); "
_DISTIL += "np.subtract(t, np.log({u}.sum(1, keepdims=True)), out=t); "
_DISTIL += _EXP_SUM.format(x="student_logits", t="{u}", axis=1)
_DISTIL += "np.subtract({u}, np.log(np.exp({u}).sum(1, keepdims=True)), out={u})"
_BCE_PROBS = "np.log(probs, out=t); np.subtract(1, probs, out=u); np.log(u, out=u); np.subtract(t, u, out=t); "
_BCE_PROBS += "loss = -(np.dot(t, target) / t.size + u.mean())"
# targets of 0 or 1: z = x of the wrong sign, t = 1 - p_t = sigmoid(z), mid = -log p_t = softplus(z)
_SIGMOID_FOCAL = "sign = 1 - 2 * target; np.multiply(logits, sign, out=u); np.logaddexp(0, u, out=mid); "
_SIGMOID_FOCAL += _SIGMOID.format(x="u", y="t") + "np.reciprocal(t, out=t); np.power(t, gamma, out=v); "
_SIGMOID_FOCAL += "np.multiply(v, mid, out=v); w = target * (2 * alpha - 1) + (1 - alpha); loss = np.dot(v, w) / v.size"
_HINGE = "np.multiply(scores, target, out=t); np.subtract(1, t, out=t); np.maximum(t, 0, out=t); loss = t.mean()"
LOSSES = {
    "cross_entropy": _cross_entropy("logits", "t"),
    "cross_entropy_with_grad": _cross_entropy_grad("logits", "grad"),
    "linear_cross_entropy": "np.matmul(x, linear_weight.T, out=z0); " + _cross_entropy("z0", "z0"),
    "linear_cross_entropy_with_grad": "np.matmul(x, linear_weight.T, out=z0); " + _cross_entropy_grad("z0", "z0")
    + "; np.matmul(z0, linear_weight, out=dx); np.matmul(z0.T, x, out=dlinear_weight)",
    "hinge_loss": _HINGE,
    "hinge_loss_with_grad": _HINGE + "; np.sign(t, out=grad); np.multiply(grad, target, out=grad); "
    "np.divide(grad, -grad.size, out=grad)",
    "large_margin_softmax_loss": "loss, *_ = large_margin(x, linear_weight, target, margin, False)",
    "large_margin_softmax_loss_with_grad": "loss, dx, dlinear_weight = large_margin(x, linear_weight, target, margin)",
    "nll_loss": "loss = -log_probs[rows, target].mean()",
    "nll_loss_with_grad": "loss = -log_probs[rows, target].mean(); np.copyto(grad, 0); "
    "grad[rows, target] = -1 / len(target)",
    "focal_loss": _cross_entropy("logits", "t") + _FOCAL,
    "focal_loss_with_grad": _cross_entropy("logits", "grad") + _FOCAL + "; pt = np.exp(lp); "
    "c = (q**gamma - gamma * pt * q ** (gamma - 1) * lp) / (s * len(s)); np.multiply(grad, c[:, None], out=grad); "
    "grad[rows, target] = q**gamma * (gamma * pt * lp - q) / len(s)",
    "distillation_loss": _DISTIL.format(u="u") + "; np.subtract(t, u, out=u); np.exp(t, out=t); "
    "loss = np.vdot(t, u) / len(t)",
    "distillation_loss_with_grad": _DISTIL.format(u="grad") + "; np.subtract(t, grad, out=mid); np.exp(t, out=t); "
    "loss = np.vdot(t, mid) / len(t); np.exp(grad, out=grad); np.subtract(grad, t, out=grad); "
    "np.divide(grad, len(t), out=grad)",
    "binary_cross_entropy": _BCE_PROBS,
    "binary_cross_entropy_with_grad": _BCE_PROBS + "; np.subtract(1, probs, out=t); np.multiply(t, probs, out=t); "
    "np.subtract(probs, target, out=grad); np.divide(grad, t, out=grad); np.divide(grad, grad.size, out=grad)",
    "sigmoid_focal_loss": _SIGMOID_FOCAL,
    "sigmoid_focal_loss_with_grad": _SIGMOID_FOCAL + "; np.subtract(1, t, out=v); np.multiply(v, mid, out=v); "
    "np.multiply(v, gamma, out=v); np.add(v, t, out=v); np.power(t, gamma, out=t); np.multiply(v, t, out=v); "
    "np.multiply(v, w, out=v); np.multiply(v, sign, out=grad); np.divide(grad, grad.size, out=grad)",
    "zero_one_loss": "np.not_equal(pred, target, out=mask); loss = np.count_nonzero(mask) / mask.size",
    "mse_loss": _DIFFERENCE.format(t="t") + "loss = np.dot(t, t) / t.size",
    "mse_loss_with_grad": _DIFFERENCE.format(t="grad")
    + "loss = np.dot(grad, grad) / grad.size; np.multiply(grad, 2 / grad.size, out=grad)",
    "l1_loss": _DIFFERENCE.format(t="t") + "np.abs(t, out=t); loss = t.mean()",
    "l1_loss_with_grad": _DIFFERENCE.format(t="grad")
    + "np.abs(grad, out=t); loss = t.mean(); np.sign(grad, out=grad); np.divide(grad, grad.size, out=grad)",
    "huber_loss": _HUBER.format(knee="delta", scale=""),
    "huber_loss_with_grad": (_HUBER + _HUBER_GRAD).format(knee="delta", scale=""),
    "smooth_l1_loss": _HUBER.format(knee="beta", scale=" / beta"),
    "smooth_l1_loss_with_grad": (_HUBER + _HUBER_GRAD).format(knee="beta", scale=" / beta"),
    "log_cosh_loss": _LOG_COSH,
    "log_cosh_loss_with_grad": _LOG_COSH + "; np.tanh(u, out=grad); np.divide(grad, grad.size, out=grad)",
    "quantile_loss": _QUANTILE,
    "quantile_loss_with_grad": _QUANTILE + "; np.greater(t, 0, out=mask); np.subtract(1 - q, mask, out=grad); "
    "np.divide(grad, grad.size, out=grad)",
    "binary_cross_entropy_with_logits": _BCE,
    "binary_cross_entropy_with_logits_with_grad": _BCE + _BCE_GRAD,
}  # fmt: skip

_ERROR = "np.subtract(y_true, y_pred, out=t); "
METRICS = {
    "mean_absolute_error": _ERROR + "np.abs(t, out=t); value = t.mean()",
    "mean_squared_error": _ERROR + "value = np.dot(t, t) / t.size",
    "root_mean_squared_error": _ERROR + "value = np.sqrt(np.dot(t, t) / t.size)",
    "mean_absolute_percentage_error": _ERROR + "np.abs(y_true, out=u); np.maximum(u, EPSILON, out=u); "
    "np.abs(t, out=t); np.divide(t, u, out=t); value = t.mean()",
    "median_absolute_error": _ERROR + "np.abs(t, out=t); value = np.median(t, overwrite_input=True)",
    "max_error": _ERROR + "np.abs(t, out=t); value = t.max()",
    "mean_pinball_loss": _ERROR + "np.abs(t, out=t); value = t.mean() / 2",  # alpha = 0.5
    "r2_score": _ERROR + "np.subtract(y_true, y_true.mean(), out=u); value = 1 - np.dot(t, t) / np.dot(u, u)",
    "explained_variance_score": _ERROR + "np.subtract(t, t.mean(), out=t); np.subtract(y_true, y_true.mean(), out=u); "
    "value = 1 - np.dot(t, t) / np.dot(u, u)",
    "accuracy_score": "np.equal(y_true, y_pred, out=mask); value = np.count_nonzero(mask) / mask.size",
    "log_loss": "value = -np.log(y_pred[rows, y_true]).mean()",
}

STATEMENTS = ACTIVATIONS | GRADIENTS | ROWS | LOSSES | METRICS


def setup(threads: int) -> str:
    return f"numpy {np.__version__}: elementwise on 1 thread, BLAS on {threads}"


def large_margin(x, w, target, margin, with_grad=True):
    """L-softmax (Liu et al. 2016) by arccos, as in the paper; lambda = 0."""
    rows, wt = np.arange(len(x)), w[target]
    nx, nw = np.linalg.norm(x, axis=1), np.linalg.norm(wt, axis=1)
    z = x @ w.T
    c = np.clip(z[rows, target] / (nx * nw), -1, 1)
    theta = np.arccos(c)
    k = np.floor(margin * theta / np.pi)
    sign = 1 - 2 * (k % 2)
    psi = (sign * np.cos(margin * theta) - 2 * k).astype(x.dtype)
    z[rows, target] = nx * nw * psi
    z -= z.max(axis=1, keepdims=True)
    picked = z[rows, target]
    np.exp(z, out=z)
    s = z.sum(axis=1)
    loss = (np.log(s) - picked).mean()
    if not with_grad:
        return loss, None, None
    z /= s[:, None] * len(x)
    g = z[rows, target] - 1 / len(x)
    z[rows, target] = 0
    slope = sign * margin * np.sin(margin * theta) / np.sin(theta)
    ux, uw = x / nx[:, None], wt / nw[:, None]
    dx = z @ w + (g * nw)[:, None] * (psi[:, None] * ux + slope[:, None] * (uw - c[:, None] * ux))
    dw = z.T @ x
    np.add.at(dw, target, (g * nx)[:, None] * (psi[:, None] * uw + slope[:, None] * (ux - c[:, None] * uw)))
    return loss, dx.astype(x.dtype), dw.astype(x.dtype)


def build(function, data, outputs, params, axis, statements=STATEMENTS, into_new=False, extra=None) -> list[Call]:
    """The calls that compute `function`: one for each way of writing it."""
    namespace = {"np": np, "axis": axis, "SELU_ALPHA": SELU_ALPHA, "SELU_SCALE": SELU_SCALE, "LOG_2": LOG_2}
    namespace["large_margin"] = large_margin
    namespace |= {"SQRT_2_OVER_PI": SQRT_2_OVER_PI, "EPSILON": np.finfo(np.float64).eps} | params | (extra or {}) | data
    calls = []
    for statement in alternatives(statements.get(function)):
        arrays, poison = workspace(statement, data, outputs, axis)
        if into_new:
            statement = fresh(statement, outputs, EMPTY)
        calls.append(Call(statement, namespace | arrays, outputs, poison=poison))
    return calls


def calls(case, data) -> list[Call]:
    return build(case.function, data, case.outputs, dict(case.params), case.axis, into_new=case.fresh)
