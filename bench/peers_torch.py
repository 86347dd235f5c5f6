"""PyTorch at its best: inference mode, `out=` into NumPy's memory (huge pages), aten's own gradients called directly.

Threads: torch.set_num_threads(N). Not timed: torch.compile (a compiler on the user's machine).
"""

from __future__ import annotations

import numpy as np
import torch
from calls import Call, alternatives, fresh, workspace
from peers_numpy import LOG_2, SELU_ALPHA, SELU_SCALE

TITLE = "torch"
EMPTY = "torch.empty_like({name}_like)"


def _grad(name: str, *arguments: str) -> str:
    return f"aten.{name}_backward.grad_input({', '.join(('dy', *arguments))}, grad_input=dx)"


_TAIL = "approximate='{}'"
ACTIVATIONS = {
    "relu": ("torch.clamp_min(x, 0, out=y)", "aten.relu.out(x, out=y)"),
    "relu6": "nn.hardtanh(x, 0.0, 6.0, out=y)",
    "leaky_relu": "nn.leaky_relu(x, negative_slope, out=y)",
    "prelu": "y = torch.prelu(x, alpha)",
    "elu": "nn.elu(x, alpha, 1, 1, out=y)",
    "celu": ("aten.celu.out(x, alpha, out=y)", "nn.elu(x, alpha, 1, 1 / alpha, out=y)"),
    "selu": ("nn.elu(x, SELU_ALPHA, SELU_SCALE, 1, out=y)", "y = torch.selu(x)"),
    "sigmoid": "torch.sigmoid(x, out=y)",
    "log_sigmoid": "nn.log_sigmoid(x, out=y)",
    "hard_sigmoid": "nn.hardsigmoid(x, out=y)",
    "hard_swish": "nn.hardswish(x, out=y)",
    "tanh": "torch.tanh(x, out=y)",
    "hard_tanh": "nn.hardtanh(x, min_val, max_val, out=y)",
    "softplus": "nn.softplus(x, beta, 20, out=y)",
    "softsign": "torch.abs(x, out=y); y.add_(1); torch.div(x, y, out=y)",
    "squareplus": "torch.mul(x, x, out=y); y.add_(b).sqrt_().add_(x).mul_(0.5)",
    "silu": "nn.silu(x, out=y)",
    "mish": "nn.mish(x, out=y)",
    "gelu": f"nn.gelu(x, {_TAIL.format('none')}, out=y)",
    "gelu_tanh": f"nn.gelu(x, {_TAIL.format('tanh')}, out=y)",
    "tanh_shrink": "torch.tanh(x, out=y); torch.sub(x, y, out=y)",
    "soft_shrink": "nn.softshrink(x, lambd, out=y)",
    "hard_shrink": "aten.hardshrink.out(x, lambd, out=y)",
    "swiglu": "nn.silu(gate, out=y); y.mul_(up)",
    "geglu": "nn.gelu(gate, out=y); y.mul_(up)",
    "glu": "nn.glu(x2, -1, out=y)",
    "reglu": "torch.clamp_min(gate, 0, out=y); y.mul_(up)",
}

GRADIENTS = {
    "relu_grad": _grad("threshold", "x", "0"),
    "relu6_grad": _grad("hardtanh", "x", "0.0", "6.0"),
    "leaky_relu_grad": _grad("leaky_relu", "x", "negative_slope", "False"),
    "prelu_grad": "dx, full = aten._prelu_kernel_backward.default(dy, x, alpha); dalpha = full.sum().reshape(1)",
    "elu_grad": _grad("elu", "alpha", "1", "1", "False", "x"),
    "celu_grad": _grad("elu", "alpha", "1", "1 / alpha", "False", "x"),
    "selu_grad": _grad("elu", "SELU_ALPHA", "SELU_SCALE", "1", "False", "x"),
    "sigmoid_grad": _grad("sigmoid", "y"),
    "log_sigmoid_grad": _grad("log_sigmoid", "x", "buffer"),  # reads exp(-|x|), which its forward saved
    "hard_sigmoid_grad": _grad("hardsigmoid", "x"),
    "hard_swish_grad": "aten.hardswish_backward.out(dy, x, out=dx)",
    "tanh_grad": _grad("tanh", "y"),
    "hard_tanh_grad": _grad("hardtanh", "x", "min_val", "max_val"),
    "softplus_grad": _grad("softplus", "x", "beta", "20"),
    "softsign_grad": "torch.abs(x, out=dx); dx.add_(1).square_(); torch.div(dy, dx, out=dx)",
    "squareplus_grad": "torch.mul(x, x, out=dx); dx.add_(b).rsqrt_().mul_(x).add_(1).mul_(0.5).mul_(dy)",
    "silu_grad": _grad("silu", "x"),
    "mish_grad": "dx = aten.mish_backward.default(dy, x)",
    "gelu_grad": _grad("gelu", "x"),
    "gelu_tanh_grad": _grad("gelu", "x", "approximate='tanh'"),
    "tanh_shrink_grad": "torch.tanh(x, out=dx); dx.square_().mul_(dy)",
    "soft_shrink_grad": _grad("softshrink", "x", "lambd"),
    "hard_shrink_grad": _grad("hardshrink", "x", "lambd"),
    "swiglu_grad": "torch.mul(dy, up, out=t); aten.silu_backward.grad_input(t, gate, grad_input=dgate); "
    "nn.silu(gate, out=dup); dup.mul_(dy)",
    "geglu_grad": "torch.mul(dy, up, out=t); aten.gelu_backward.grad_input(t, gate, grad_input=dgate); "
    "nn.gelu(gate, out=dup); dup.mul_(dy)",
    "glu_grad": "aten.glu_backward.grad_input(dy, x2, -1, grad_input=dx2)",
    "reglu_grad": "torch.mul(dy, up, out=t); aten.threshold_backward.grad_input(t, gate, 0, grad_input=dgate); "
    "torch.clamp_min(gate, 0, out=dup); dup.mul_(dy)",
}

ROWS = {
    "softmax": "torch.softmax(x, axis, out=y)",
    "log_softmax": "torch.log_softmax(x, axis, out=y)",
    "entropy": "torch.special.entr(p, out=t); y = t.sum(-1)",
    "kl_divergence": "torch.div(p, q, out=t); t.log_().mul_(p); y = t.sum(-1)",
    "linear_softmax": "torch.mm(x, linear_weight.T, out=y); torch.softmax(y, 1, out=y)",
    "logsumexp": "torch.logsumexp(x, axis, out=y)",
    "softmax_grad": "aten._softmax_backward_data.out(dy, y, axis, dtype, grad_input=dx)",
    "log_softmax_grad": "aten._log_softmax_backward_data.out(dy, y, axis, dtype, out=dx)",
}

_LOG_SOFTMAX = "aten._log_softmax.out({x}, 1, False, out=t); "
_NLL = "loss, total = aten.nll_loss_forward.default(t, target, None, 1, -100); "
_NLL += "aten.nll_loss_backward.grad_input(one, t, target, None, 1, -100, total, grad_input=u); "
_CE_GRAD = _LOG_SOFTMAX + _NLL + "aten._log_softmax_backward_data.out(u, t, 1, dtype, out={grad})"
_DIFFERENCE = "torch.sub(pred, target, out=t); "
_LOG_COSH = _DIFFERENCE + "torch.abs(t, out=u); torch.mul(u, -2, out=mid); mid.exp_().log1p_().add_(u); "
_LOG_COSH += "loss = mid.mean() - LOG_2"
_QUANTILE = "torch.sub(target, pred, out=t); torch.mul(t, q, out=u); torch.mul(t, q - 1, out=mid); "
_QUANTILE += "torch.maximum(u, mid, out=u); loss = u.mean()"
_BCE = "loss = torch.binary_cross_entropy_with_logits(logits, target, None, None, 1)"


def _pointwise(name: str, knee: str = "") -> dict[str, str]:
    backward = f"aten.{name}_backward.grad_input(one, pred, target, 1{knee}, grad_input=grad)"
    if name == "huber_loss":
        backward = backward.replace("backward.grad_input(", "backward.out(")
    loss = f"loss = nn.{name}(pred, target, 1{knee})"
    return {name: loss, f"{name}_with_grad": f"{loss}; {backward}"}


LOSSES = {
    "cross_entropy": (
        "loss = nn.cross_entropy_loss(logits, target, None, 1)",
        _LOG_SOFTMAX.format(x="logits") + "loss = nn.nll_loss(t, target, None, 1)",
        "loss = (torch.logsumexp(logits, 1) - logits.gather(1, target[:, None])[:, 0]).mean()",
    ),
    "cross_entropy_with_grad": _CE_GRAD.format(x="logits", grad="grad"),
    "linear_cross_entropy": (
        "loss = torch.nn.functional.linear_cross_entropy(x, linear_weight, target)",
        "torch.mm(x, linear_weight.T, out=z0); loss = nn.cross_entropy_loss(z0, target, None, 1)",
    ),
    "linear_cross_entropy_with_grad": "torch.mm(x, linear_weight.T, out=z0); " + _CE_GRAD.format(x="z0", grad="z0")
    + "; torch.mm(z0, linear_weight, out=dx); torch.mm(z0.T, x, out=dlinear_weight)",
    "nll_loss": "loss = nn.nll_loss(log_probs, target, None, 1)",
    "nll_loss_with_grad": "loss, total = aten.nll_loss_forward.default(log_probs, target, None, 1, -100); "
    "aten.nll_loss_backward.grad_input(one, log_probs, target, None, 1, -100, total, grad_input=grad)",
    "focal_loss": _LOG_SOFTMAX.format(x="logits") + "lp = t.gather(1, target[:, None])[:, 0]; "
    "loss = -(torch.expm1(lp).neg_().pow_(gamma).mul_(lp)).mean()",
    "distillation_loss": _LOG_SOFTMAX.format(x="teacher_logits")
    + "aten._log_softmax.out(student_logits, 1, False, out=u); "
    "loss = torch.nn.functional.kl_div(u, t, reduction='batchmean', log_target=True)",
    "distillation_loss_with_grad": _LOG_SOFTMAX.format(x="teacher_logits")
    + "aten._log_softmax.out(student_logits, 1, False, out=grad); "
    "loss = torch.nn.functional.kl_div(grad, t, reduction='batchmean', log_target=True); grad.exp_(); t.exp_(); "
    "grad.sub_(t).div_(len(t))",
    "binary_cross_entropy": "loss = nn.binary_cross_entropy(probs, target, None, 1)",
    "binary_cross_entropy_with_grad": "loss = nn.binary_cross_entropy(probs, target, None, 1); "
    "aten.binary_cross_entropy_backward.grad_input(one, probs, target, None, 1, grad_input=grad)",
    "sigmoid_focal_loss": "aten.binary_cross_entropy_with_logits.out(logits, target, None, None, 0, out=u); "
    "torch.neg(u, out=t); t.exp_().neg_().add_(1).pow_(gamma).mul_(u); "
    "torch.mul(target, 2 * alpha - 1, out=u); u.add_(1 - alpha).mul_(t); loss = u.mean()",
    "zero_one_loss": "torch.ne(pred, target, out=mask); loss = mask.sum() / mask.numel()",
    "hinge_loss": "torch.mul(scores, target, out=t); torch.sub(1, t, out=t); loss = t.clamp_min_(0).mean()",
    "hinge_loss_with_grad": "torch.mul(scores, target, out=t); torch.sub(1, t, out=t); loss = t.clamp_min_(0).mean(); "
    "torch.sgn(t, out=grad); grad.mul_(target).div_(-grad.numel())",
    **_pointwise("mse_loss"),
    **_pointwise("huber_loss", ", delta"),
    **_pointwise("smooth_l1_loss", ", beta"),
    "l1_loss": "loss = nn.l1_loss(pred, target, 1)",
    "l1_loss_with_grad": _DIFFERENCE + "loss = t.abs().mean(); torch.sgn(t, out=grad); grad.div_(grad.numel())",
    "log_cosh_loss": _LOG_COSH,
    "log_cosh_loss_with_grad": _LOG_COSH + "; torch.tanh(t, out=grad); grad.div_(grad.numel())",
    "quantile_loss": _QUANTILE,
    "quantile_loss_with_grad": _QUANTILE + "; torch.le(t, 0, out=grad); grad.sub_(q); "
    "grad.div_(grad.numel())",
    "binary_cross_entropy_with_logits": _BCE,
    "binary_cross_entropy_with_logits_with_grad": _BCE + "; torch.sigmoid(logits, out=grad); grad.sub_(target); "
    "grad.div_(grad.numel())",
}  # fmt: skip

_ERROR = "torch.sub(y_true, y_pred, out=t); "
METRICS = {
    "mean_absolute_error": "value = nn.l1_loss(y_pred, y_true, 1)",
    "mean_squared_error": "value = nn.mse_loss(y_pred, y_true, 1)",
    "root_mean_squared_error": "value = nn.mse_loss(y_pred, y_true, 1).sqrt()",
    "mean_absolute_percentage_error": _ERROR + "torch.abs(y_true, out=u); u.clamp_min_(EPSILON); "
    "value = t.abs_().div_(u).mean()",
    "median_absolute_error": _ERROR + "value = t.abs_().median()",
    "max_error": _ERROR + "value = t.abs_().max()",
    "mean_pinball_loss": "value = nn.l1_loss(y_pred, y_true, 1) / 2",
    "r2_score": _ERROR + "torch.sub(y_true, y_true.mean(), out=u); value = 1 - torch.dot(t, t) / torch.dot(u, u)",
    "explained_variance_score": _ERROR + "t.sub_(t.mean()); torch.sub(y_true, y_true.mean(), out=u); "
    "value = 1 - torch.dot(t, t) / torch.dot(u, u)",
    "accuracy_score": "torch.eq(y_true, y_pred, out=mask); value = mask.sum() / mask.numel()",
    "log_loss": "value = -y_pred.gather(1, y_true[:, None]).log_().mean()",
}

STATEMENTS = ACTIVATIONS | GRADIENTS | ROWS | LOSSES | METRICS


def setup(threads: int) -> str:
    torch.set_num_threads(threads)
    torch.inference_mode(True).__enter__()  # for the life of the worker
    capability = torch.backends.cpu.get_cpu_capability()
    return f"torch {torch.__version__}: set_num_threads({threads}), inference_mode, {capability}"


def calls(case, data) -> list[Call]:
    constants = {"torch": torch, "nn": torch._C._nn, "aten": torch.ops.aten, "axis": case.axis}
    constants |= {"SELU_ALPHA": SELU_ALPHA, "SELU_SCALE": SELU_SCALE, "LOG_2": LOG_2, "EPSILON": 2.0**-52}
    constants |= {"dtype": getattr(torch, case.dtype), "one": torch.ones((), dtype=getattr(torch, case.dtype))}
    if case.function == "log_sigmoid_grad":
        constants["buffer"] = torch.from_numpy(np.exp(-np.abs(data["x"])))
    found = []
    for statement in alternatives(STATEMENTS.get(case.function)):
        arrays, poison = workspace(statement, data, case.outputs, case.axis)
        tensors = {name: torch.from_numpy(values) for name, values in (data | arrays).items()}
        text = fresh(statement, case.outputs, EMPTY) if case.fresh else statement
        namespace = constants | dict(case.params) | tensors
        found.append(Call(text, namespace, case.outputs, to_numpy=torch.Tensor.numpy, poison=poison))
    return found
