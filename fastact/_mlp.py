"""A multi-layer perceptron, trained by mini-batch SGD: the matrix products are NumPy's, all else is fastact's.

The hidden activations and the head (last layer with its loss) are objects, so that the same training loop runs with
fastact (`Hidden`, `Head`) and with the plain formulas of `_plain` that it is compared with (`PlainHidden`, `Head`).
Every backward step works in place where fastact's `out=` and `grad_out=` allow it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from fastact import _plain
from fastact._catalog import ACTIVATIONS
from fastact._plain import Array

# (scores, target, rows of the training set) -> (mean loss, its gradient for the scores)
ScoreLoss = Callable[[Array, Array, Array], tuple[float, Array]]


class Layer(Protocol):
    """What the training loop needs of a hidden layer's activation."""

    parameters: list[Array]

    def forward(self, z: Array) -> Array: ...
    def backward(self, dy: Array) -> tuple[Array, list[Array]]: ...


class Hidden:
    """An activation of fastact; one that learns (prelu) has a parameter per unit."""

    def __init__(self, name: str, units: int) -> None:
        self.activation = ACTIVATIONS[name]
        self.parameters = learned_parameters(name, units)

    def forward(self, z: Array) -> Array:
        y: Array = self.activation.function(z, *self.parameters)
        self.kept = y if self.activation.saves_output else z
        return y

    def backward(self, dy: Array) -> tuple[Array, list[Array]]:
        if self.activation.learns:
            dz, *gradients = self.activation.gradient(dy, self.kept, *self.parameters)
            return dz, gradients
        return self.activation.gradient(dy, self.kept, out=dy), []


class PlainHidden:
    """The same activation by the formulas of `_plain`."""

    def __init__(self, name: str, units: int) -> None:
        self.formula, self.derivative = _plain.ACTIVATIONS[name]
        self.parameters = learned_parameters(name, units)

    def forward(self, z: Array) -> Array:
        self.kept = z, self.formula(z, *self.parameters)
        return self.kept[1]

    def backward(self, dy: Array) -> tuple[Array, list[Array]]:
        z, y = self.kept
        dz = dy * self.derivative(z, y, *self.parameters)
        return dz, [np.where(z > 0, 0, dy * z).sum(axis=0)] if self.parameters else []  # prelu's


def learned_parameters(name: str, units: int) -> list[Array]:
    """What the activation learns, before it has."""
    op = ACTIVATIONS[name]
    return [np.full(units, start, np.float32) for start in op.parameters.values()] if op.learns else []


def xavier(rng: np.random.Generator, outputs: int, inputs: int) -> Array:
    """Glorot and Bengio 2010: uniform, variance 2 / (inputs + outputs)."""
    bound = (6 / (inputs + outputs)) ** 0.5
    return rng.uniform(-bound, bound, (outputs, inputs)).astype(np.float32)


class Head:
    """The last layer and a loss of its scores."""

    def __init__(self, rng: np.random.Generator, units: int, classes: int, loss: ScoreLoss) -> None:
        self.weight = xavier(rng, classes, units)
        self.bias = np.zeros(classes, np.float32)
        self.parameters = [self.weight, self.bias]
        self.loss = loss

    def scores(self, h: Array) -> Array:
        z: Array = h @ self.weight.T
        z += self.bias
        return z

    def loss_with_grad(self, h: Array, target: Array, rows: Array) -> tuple[float, Array, list[Array]]:
        loss, dz = self.loss(self.scores(h), target, rows)
        return loss, dz @ self.weight, [dz.T @ h, dz.sum(axis=0)]


class Perceptron:
    """Inputs, hidden layers of as many units each, the head."""

    def __init__(self, rng: np.random.Generator, inputs: int, hidden: Sequence[Layer], units: int, head: Head) -> None:
        sizes = [inputs] + [units] * len(hidden)
        self.weights = [xavier(rng, units, size) for size in sizes[:-1]]
        self.biases = [np.zeros(units, np.float32) for _ in hidden]
        self.hidden, self.head = hidden, head
        learned = (layer.parameters for layer in hidden)
        groups = zip(self.weights, self.biases, learned, strict=True)
        self.parameters = [array for weight, bias, own in groups for array in (weight, bias, *own)] + head.parameters

    def scores(self, x: Array) -> Array:
        return self.head.scores(self.features(x)[-1])

    def features(self, x: Array) -> list[Array]:
        """The inputs and what each hidden layer makes of them."""
        found = [x]
        for weight, bias, layer in zip(self.weights, self.biases, self.hidden, strict=True):
            z = found[-1] @ weight.T
            z += bias
            found.append(layer.forward(z))
        return found

    def epoch(self, x: Array, target: Array, order: Array, batch_size: int, lr: float) -> float:
        """One pass over the rows in the given order; the mean loss."""
        total = 0.0
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            total += self.step(x[rows], target[rows], rows, lr) * len(rows)
        return total / len(order)

    def step(self, x: Array, target: Array, rows: Array, lr: float) -> float:
        loss, gradients = self.gradients(x, target, rows)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            gradient *= lr
            parameter -= gradient
        return loss

    def gradients(self, x: Array, target: Array, rows: Array) -> tuple[float, list[Array]]:
        """The mean loss of a batch and its gradient for each of the parameters."""
        features = self.features(x)
        loss, dh, gradients = self.head.loss_with_grad(features[-1], target, rows)
        for k in reversed(range(len(self.hidden))):
            dz, own = self.hidden[k].backward(dh)
            gradients = [dz.T @ features[k], dz.sum(axis=0), *own, *gradients]
            if k:  # nobody asks for the gradient of the inputs
                dh = dz @ self.weights[k]
        return float(loss), gradients
