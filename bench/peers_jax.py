"""JAX at its best: jit; for `out=` the old output is donated, so XLA writes into its memory; block_until_ready.

Threads: NPROC=N, which sizes XLA's CPU pool (compare.py prints how many cores were busy). Gradients: jit of the
vector-Jacobian product, as a function of what fastact's gradient reads: x, or y for sigmoid and tanh.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from calls import Call

TITLE = "jax"

nn = jax.nn
ACTIVATIONS = {
    "relu": lambda x: jnp.maximum(x, 0),
    "relu6": nn.relu6,
    "leaky_relu": lambda x, negative_slope: jnp.where(x > 0, x, negative_slope * x),
    "prelu": lambda x, alpha: jnp.where(x > 0, x, alpha * x),
    "elu": lambda x, alpha: jnp.where(x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0))),
    "celu": lambda x, alpha: jnp.where(x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0) / alpha)),
    "selu": nn.selu,
    "sigmoid": nn.sigmoid,
    "log_sigmoid": nn.log_sigmoid,
    "hard_sigmoid": nn.hard_sigmoid,
    "hard_swish": nn.hard_swish,
    "tanh": jnp.tanh,
    "hard_tanh": lambda x, min_val, max_val: jnp.clip(x, min_val, max_val),
    "softplus": lambda x, beta: nn.softplus(beta * x) / beta,
    "softsign": nn.soft_sign,
    "squareplus": lambda x, b: nn.squareplus(x, b),
    "silu": nn.silu,
    "mish": nn.mish,
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: nn.gelu(x, approximate=True),
    "tanh_shrink": lambda x: x - jnp.tanh(x),
    "soft_shrink": lambda x, lambd: x - jnp.clip(x, -lambd, lambd),
    "hard_shrink": lambda x, lambd: jnp.where(jnp.abs(x) > lambd, x, 0),
    "swiglu": lambda gate, up: nn.silu(gate) * up,
    "geglu": lambda gate, up: nn.gelu(gate, approximate=False) * up,
    "glu": lambda x2: nn.glu(x2, axis=-1),
    "reglu": lambda gate, up: jnp.maximum(gate, 0) * up,
}
FROM_OUTPUT = {"sigmoid": lambda dy, y: dy * y * (1 - y), "tanh": lambda dy, y: dy * (1 - y * y)}


def _cross_entropy(logits, target):
    picked = jnp.take_along_axis(logits, target[:, None], axis=1)[:, 0]
    return (nn.logsumexp(logits, axis=1) - picked).mean()


def _focal(logits, target, gamma):
    log_p = jnp.take_along_axis(nn.log_softmax(logits, axis=1), target[:, None], axis=1)
    return -((-jnp.expm1(log_p)) ** gamma * log_p).mean()


def _distillation(student_logits, teacher_logits):
    teacher = nn.log_softmax(teacher_logits, axis=1)
    return (jnp.exp(teacher) * (teacher - nn.log_softmax(student_logits, axis=1))).sum(axis=1).mean()


def _sigmoid_focal(logits, target, alpha, gamma):
    z = (1 - 2 * target) * logits
    return ((target * (2 * alpha - 1) + (1 - alpha)) * nn.sigmoid(z) ** gamma * nn.softplus(z)).mean()


def _large_margin(x, w, target, margin):
    picked = w[target]
    norms = jnp.linalg.norm(x, axis=1) * jnp.linalg.norm(picked, axis=1)
    theta = jnp.arccos((x * picked).sum(axis=1) / norms)
    k = jnp.floor(margin * theta / jnp.pi)
    psi = (1 - 2 * (k % 2)) * jnp.cos(margin * theta) - 2 * k
    logits = (x @ w.T).at[jnp.arange(len(x)), target].set(norms * psi)
    return _cross_entropy(logits, target)


def _huber(d, knee):
    size = jnp.abs(d)
    low = jnp.minimum(size, knee)
    return low * (size - 0.5 * low)


LOSSES = {
    "cross_entropy": _cross_entropy,
    "linear_cross_entropy": lambda x, linear_weight, target: _cross_entropy(x @ linear_weight.T, target),
    "hinge_loss": lambda scores, target: jnp.maximum(1 - scores * target, 0).mean(),
    "nll_loss": lambda log_probs, target: -jnp.take_along_axis(log_probs, target[:, None], axis=1).mean(),
    "focal_loss": _focal,
    "distillation_loss": _distillation,
    "large_margin_softmax_loss": _large_margin,
    "binary_cross_entropy": lambda probs, target: (
        -(target * jnp.log(probs) + (1 - target) * jnp.log1p(-probs)).mean()
    ),
    "sigmoid_focal_loss": _sigmoid_focal,
    "zero_one_loss": lambda pred, target: (pred != target).mean(),
    "mse_loss": lambda pred, target: jnp.square(pred - target).mean(),
    "l1_loss": lambda pred, target: jnp.abs(pred - target).mean(),
    "huber_loss": lambda pred, target, delta: _huber(pred - target, delta).mean(),
    "smooth_l1_loss": lambda pred, target, beta: _huber(pred - target, beta).mean() / beta,
    "log_cosh_loss": lambda pred, target: (jnp.logaddexp(pred - target, target - pred) - jnp.log(2.0)).mean(),
    "quantile_loss": lambda pred, target, q: jnp.maximum(q * (target - pred), (q - 1) * (target - pred)).mean(),
    "binary_cross_entropy_with_logits": lambda logits, target: (
        jnp.maximum(logits, 0) - logits * target + jnp.log1p(jnp.exp(-jnp.abs(logits)))
    ).mean(),
}

METRICS = {
    "mean_absolute_error": lambda y_true, y_pred: jnp.abs(y_true - y_pred).mean(),
    "mean_squared_error": lambda y_true, y_pred: jnp.square(y_true - y_pred).mean(),
    "root_mean_squared_error": lambda y_true, y_pred: jnp.sqrt(jnp.square(y_true - y_pred).mean()),
    "mean_absolute_percentage_error": lambda y_true, y_pred: (
        jnp.abs(y_true - y_pred) / jnp.maximum(jnp.abs(y_true), 2.0**-52)
    ).mean(),
    "median_absolute_error": lambda y_true, y_pred: jnp.median(jnp.abs(y_true - y_pred)),
    "max_error": lambda y_true, y_pred: jnp.abs(y_true - y_pred).max(),
    "mean_pinball_loss": lambda y_true, y_pred: jnp.abs(y_true - y_pred).mean() / 2,
    "r2_score": lambda y_true, y_pred: 1 - jnp.mean(jnp.square(y_true - y_pred)) / jnp.var(y_true),
    "explained_variance_score": lambda y_true, y_pred: 1 - jnp.var(y_true - y_pred) / jnp.var(y_true),
    "accuracy_score": lambda y_true, y_pred: (y_true == y_pred).mean(),
    "log_loss": lambda y_true, y_pred: -jnp.log(jnp.take_along_axis(y_pred, y_true[:, None], axis=1)).mean(),
}
DISTRIBUTIONS = {
    "entropy": lambda p: -(p * jnp.log(p)).sum(axis=-1),
    "kl_divergence": lambda p, q: (p * jnp.log(p / q)).sum(axis=-1),
    "linear_softmax": lambda x, linear_weight: nn.softmax(x @ linear_weight.T, axis=-1),
}


def _function(case):
    """The function to compile, of the case's inputs in their order; a tuple if the case has several outputs."""
    options, axis = dict(case.params), case.axis
    if case.op in ("softmax", "log_softmax", "logsumexp"):
        if case.function == "softmax_grad":
            return lambda dy, y: y * (dy - (dy * y).sum(axis, keepdims=True))
        if case.function == "log_softmax_grad":
            return lambda dy, y: dy - jnp.exp(y) * dy.sum(axis, keepdims=True)
        return lambda x: getattr(nn, case.op)(x, axis=axis)
    if case.function in DISTRIBUTIONS:
        return DISTRIBUTIONS[case.function]
    if case.family == "gradients" and "y" in case.inputs:
        return FROM_OUTPUT.get(case.op)
    plain = (ACTIVATIONS | LOSSES | METRICS).get(case.op)
    if plain is None or not case.is_gradient:
        return plain and (lambda *inputs: plain(*inputs, **options))
    if case.family == "gradients" or case.op == "glu":

        def vjp(dy, *inputs):
            gradients = jax.vjp(lambda *at: plain(*at, **options), *inputs)[1](dy)
            return gradients if len(inputs) > 1 else gradients[0]

        return vjp
    with_respect_to = (0, 1) if len(case.outputs) == 3 else 0
    return jax.value_and_grad(lambda *inputs: plain(*inputs, **options), argnums=with_respect_to)


def setup(threads: int) -> str:
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)  # float32 inputs stay float32
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # in the calling thread: up to 3 times faster at 32k
    return f"jax {jax.__version__}: NPROC={threads} sizes XLA's pool"


def calls(case, data) -> list[Call]:
    function = _function(case)
    if function is None:
        return []
    namespace = {name: jax.device_put(values) for name, values in data.items()}
    inputs = ", ".join(case.inputs)
    big = [] if case.fresh else [name for name in case.outputs if name not in ("loss", "value", "dalpha")]
    if case.function in ("logsumexp", "entropy", "kl_divergence"):
        big = []  # small

    def into(old, *inputs):  # the old outputs are donated: XLA writes the new ones into their memory
        return flat(function(*inputs))

    def flat(result):
        leaves = jax.tree.leaves(result)
        return tuple(leaves) if len(leaves) > 1 else leaves[0]

    if big:
        compiled = jax.jit(into, donate_argnums=0, keep_unused=True)
        shapes = jax.eval_shape(lambda *inputs: flat(function(*inputs)), *(namespace[name] for name in case.inputs))
        shapes = shapes if isinstance(shapes, tuple) else (shapes,)
        namespace |= {
            name: jnp.empty(shape.shape, shape.dtype)
            for name, shape in zip(case.outputs, shapes, strict=True)
            if name in big
        }
        inputs = f"({', '.join(big)},), {inputs}"
    else:
        compiled = jax.jit(lambda *inputs: flat(function(*inputs)))
    namespace["compiled"] = compiled
    outputs = ", ".join(case.outputs)
    last = case.outputs[-1]  # all outputs of one executable are ready together
    return [Call(f"{outputs} = compiled({inputs}); {last}.block_until_ready()", namespace, case.outputs)]
