"""What the docs' pictures and numbers share: the book they go into, and small training helpers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastact
from fastact import _plot
from fastact._mlp import Head, Hidden, Perceptron

Array = NDArray[Any]
HERE = Path(__file__).parent
# a number in the text and, behind it, its name:  0.25<!--sigmoid_slope-->
QUOTED = re.compile(r"(?P<number>[-+.,\w]+)(?P<unit> ?%?)<!--(?P<name>\w+)-->")


class Book:
    """The numbers that the text quotes, by name, and the folder of the pictures (None: draw nothing)."""

    def __init__(self, pictures: Path | None = None) -> None:
        self.pictures = pictures
        self.facts: dict[str, str] = {}

    def note(self, name: str, value: float, form: str = ".3g") -> None:
        assert name not in self.facts, name
        self.facts[name] = format(value, form)

    def save(self, figure: Figure, name: str) -> None:
        assert self.pictures
        print("wrote", _plot.save(figure, self.pictures / f"{name}.png"))


Point = Callable[[Book], None]


def quoted(page: Path) -> dict[str, str]:
    """The numbers a page quotes, by name."""
    found: dict[str, str] = {}
    for match in QUOTED.finditer(page.read_text()):
        if found.setdefault(match["name"], match["number"]) != match["number"]:
            raise ValueError(f"{page.name} quotes {match['name']} as {found[match['name']]} and as {match['number']}")
    return found


def write_numbers(page: Path, facts: dict[str, str]) -> None:
    """Put the numbers into the page, each at its name."""
    text = page.read_text()
    page.write_text(QUOTED.sub(lambda m: f"{facts.get(m['name'], m['number'])}{m['unit']}<!--{m['name']}-->", text))


def raw_digits() -> tuple[Array, Array, Array, Array]:
    """Training and test images with brightness 0 to 1 (so all inputs are positive), and their labels."""
    images, target = load_digits(return_X_y=True)
    split = train_test_split(images / 16, target, test_size=450, random_state=0, stratify=target)
    return split[0].astype(np.float32), split[1].astype(np.float32), split[2], split[3]


def cross_entropy(scores: Array, target: Array, rows: Array) -> tuple[float, Array]:
    return fastact.cross_entropy_with_grad(scores, target, grad_out=scores)


class Identity:
    """No activation at all."""

    parameters: list[Array] = []  # noqa: RUF012

    def forward(self, z: Array) -> Array:
        return z

    def backward(self, dy: Array) -> tuple[Array, list[Array]]:
        return dy, []


def build(
    activation: str | None, inputs: int = 64, units: int = 128, classes: int = 10, layers: int = 1, seed: int = 0
) -> tuple[Perceptron, np.random.Generator]:
    """A perceptron for cross-entropy and the generator that shuffles its batches."""
    rng = np.random.default_rng(seed)
    hidden = [Identity() if activation is None else Hidden(activation, units) for _ in range(layers)]
    return Perceptron(rng, inputs, hidden, units, Head(rng, units, classes, cross_entropy)), rng


def fit(
    network: Perceptron,
    rng: np.random.Generator,
    x: Array,
    target: Array,
    lr: float,
    epochs: int = 30,
    batch_size: int = 32,
    adagrad: bool = False,
    watch: Callable[[], Any] = lambda: None,
) -> tuple[list[float], list[Any]]:
    """Mini-batch SGD, or AdaGrad (Duchi et al. 2011): the loss of each epoch, and what `watch` saw after it."""
    losses, seen = [], []
    squares = [np.zeros_like(p) for p in network.parameters]
    for _ in range(epochs):
        order = rng.permutation(len(x))
        if adagrad:
            total = 0.0
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                loss, gradients = network.gradients(x[rows], target[rows], rows)
                total += loss * len(rows)
                for parameter, gradient, square in zip(network.parameters, gradients, squares, strict=True):
                    square += gradient * gradient
                    parameter -= lr * gradient / (np.sqrt(square) + 1e-8)
            losses.append(total / len(order))
        else:
            losses.append(network.epoch(x, target, order, batch_size, lr))
        seen.append(watch())
    return losses, seen


def right(network: Perceptron, x: Array, target: Array) -> float:
    """The share of right answers."""
    return float((network.scores(x).argmax(axis=-1) == target).mean())
