"""ONNX's activations, softmax and losses by fastact's public functions: attributes become options, nothing more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

import fastact

Array = np.ndarray


def run(node: onnx.NodeProto, inputs: list[Array]) -> tuple[Array, ...]:
    """The outputs of one node; inputs that are left out (an empty name) come as None."""
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    texts = {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}
    given = iter(inputs)
    operands = [next(given) if name else None for name in node.input]
    y = OPERATORS[node.op_type](*operands, **texts)
    return y if isinstance(y, tuple) else (y,)


def celu(x: Array, alpha: float = 1.0) -> Array:
    return fastact.celu(x, alpha=alpha)


def clip(x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    """Where low > high ONNX says high, and so does hard_tanh."""
    return fastact.hard_tanh(x, min_val=-np.inf if low is None else low, max_val=np.inf if high is None else high)


def elu(x: Array, alpha: float = 1.0) -> Array:
    return fastact.elu(x, alpha=alpha)


def hard_sigmoid(x: Array, alpha: float = 0.2, beta: float = 0.5) -> Array:
    """clip(alpha*x + beta, 0, 1), where fastact has clip(u/6 + 1/2, 0, 1)."""
    return fastact.hard_sigmoid(np.float32(6 * alpha) * x + np.float32(6 * beta - 3))


def leaky_relu(x: Array, alpha: float = 0.01) -> Array:
    return fastact.leaky_relu(x, negative_slope=alpha)


def reduce_log_sum_exp(x: Array, axes: Array | None = None, keepdims: int = 1) -> Array:
    """No axes, or an empty list of them, means all."""
    given = axes is not None and axes.size
    return fastact.logsumexp(x, axis=tuple(axes.tolist()) if given else None, keepdims=bool(keepdims))


def selu(x: Array, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Array:
    """Any alpha and gamma; fastact.selu has the two constants of the paper, which are ONNX's defaults in float32."""
    paper = (np.float32(1.6732632423543772848), np.float32(1.0507009873554804934))
    if (np.float32(alpha), np.float32(gamma)) == paper:
        return fastact.selu(x)
    return np.float32(gamma) * fastact.elu(x, alpha=alpha)


def shrink(x: Array, lambd: float = 0.5, bias: float = 0.0) -> Array:
    if bias == 0:
        return fastact.hard_shrink(x, lambd=lambd)
    assert bias == lambd, "a bias of its own is neither hard nor soft shrinkage"
    return fastact.soft_shrink(x, lambd=lambd)


def swish(x: Array, alpha: float = 1.0) -> Array:
    """x*sigmoid(alpha*x)."""
    return fastact.silu(np.float32(alpha) * x) / np.float32(alpha)


def softmax_cross_entropy(
    scores: Array, labels: Array, weight: Array | None = None, reduction: str = "mean", ignore_index: int | None = None
) -> tuple[Array, Array]:
    loss = fastact.cross_entropy(
        scores, labels, axis=1, weight=weight, ignore_index=ignore_index, reduction=reduction
    )
    return loss, fastact.log_softmax(scores, axis=1)


def negative_log_likelihood(
    log_probs: Array, labels: Array, weight: Array | None = None, reduction: str = "mean",
    ignore_index: int | None = None,
) -> Array:
    return fastact.nll_loss(log_probs, labels, axis=1, weight=weight, ignore_index=ignore_index, reduction=reduction)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Celu": celu,
    "Clip": clip,
    "Elu": elu,
    "Gelu": lambda x, approximate="none": fastact.gelu(x, approximate=approximate),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": lambda x: fastact.hard_swish(x),
    "LeakyRelu": leaky_relu,
    "LogSoftmax": lambda x, axis=-1: fastact.log_softmax(x, axis=axis),
    "Mish": lambda x: fastact.mish(x),
    "NegativeLogLikelihoodLoss": negative_log_likelihood,
    "PRelu": lambda x, slope: fastact.prelu(x, slope),
    "ReduceLogSumExp": reduce_log_sum_exp,
    "Relu": lambda x: fastact.relu(x),
    "Selu": selu,
    "Shrink": shrink,
    "Sigmoid": lambda x: fastact.sigmoid(x),
    "Softmax": lambda x, axis=-1: fastact.softmax(x, axis=axis),
    "SoftmaxCrossEntropyLoss": softmax_cross_entropy,
    "Softplus": lambda x: fastact.softplus(x),
    "Softsign": lambda x: fastact.softsign(x),
    "Swish": swish,
    "Tanh": lambda x: fastact.tanh(x),
}
