"""`fastact demo`: train on handwritten digits, compare, draw."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import fastact
from fastact import _plain, _plot
from fastact._catalog import ACTIVATIONS
from fastact._mlp import Head, Hidden, Layer, Perceptron, PlainHidden, ScoreLoss
from fastact._plain import Array

UNITS, CLASSES, TEST_DIGITS = 128, 10, 450
TEMPERATURE = 4.0  # of distillation
MARGIN, LAMBDA = 2, 1.0  # of the large-margin loss; without the plain logit mixed in, training starts badly
SKLEARN_ACTIVATIONS = {"sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}


class Digits(NamedTuple):
    train: Array
    test: Array
    train_target: Array
    test_target: Array


def load(seed: int) -> Digits:
    """The digits in float32, brightness 0 to 1 less each pixel's mean, a quarter held back for the test."""
    images, target = load_digits(return_X_y=True)
    split = train_test_split(images / 16, target, test_size=TEST_DIGITS, random_state=seed, stratify=target)
    mean = split[0].mean(axis=0)
    train, test = ((part - mean).astype(np.float32) for part in split[:2])
    return Digits(train, test, *split[2:])


class Teaching(NamedTuple):
    """What a network is trained on: the options, the digits, and for distillation a teacher's scores of them."""

    options: argparse.Namespace
    digits: Digits
    teacher: Array | None = None


def fastact_network(task: Teaching, rng: np.random.Generator) -> Perceptron:
    losses: dict[str, ScoreLoss] = {
        "cross_entropy": lambda z, target, rows: fastact.cross_entropy_with_grad(z, target, grad_out=z),
        "focal": lambda z, target, rows: fastact.focal_loss_with_grad(z, target, grad_out=z),
        "distillation": lambda z, target, rows: fastact.distillation_loss_with_grad(
            z, taught(task, rows), temperature=TEMPERATURE, grad_out=z
        ),
    }
    loss = task.options.loss
    head = LargeMarginHead if loss == "large_margin" else partial(Head, loss=losses[loss])
    return perceptron(rng, Hidden(task.options.activation, UNITS), head)


def plain_network(task: Teaching, rng: np.random.Generator) -> Perceptron:
    losses: dict[str, ScoreLoss] = {
        "cross_entropy": lambda z, target, rows: _plain.cross_entropy(z, target),
        "focal": lambda z, target, rows: _plain.focal(z, target),
        "distillation": lambda z, target, rows: _plain.distillation(z, taught(task, rows), TEMPERATURE),
    }
    return perceptron(rng, PlainHidden(task.options.activation, UNITS), partial(Head, loss=losses[task.options.loss]))


def has_plain_twin(options: argparse.Namespace) -> bool:
    return options.activation in _plain.ACTIVATIONS and options.loss != "large_margin"


def perceptron(rng: np.random.Generator, hidden: Layer, head: Callable[..., Head]) -> Perceptron:
    return Perceptron(rng, 64, [hidden], UNITS, head(rng, UNITS, CLASSES))


def taught(task: Teaching, rows: Array) -> Array:
    """The teacher's scores of these digits."""
    assert task.teacher is not None
    return task.teacher[rows]


class LargeMarginHead(Head):
    """The last layer of L-softmax, whose loss takes the weights: there is no bias."""

    def __init__(self, rng: np.random.Generator, units: int, classes: int) -> None:
        super().__init__(rng, units, classes, lambda *_: (np.nan, None))
        self.parameters = [self.weight]

    def loss_with_grad(self, h: Array, target: Array, rows: Array) -> tuple[float, Array, list[Array]]:
        loss, dh, dweight = fastact.large_margin_softmax_loss_with_grad(
            h, self.weight, target, margin=MARGIN, lambda_=LAMBDA
        )
        return loss, dh, [dweight]


def accuracy(scores: Array, target: Array) -> float:
    return float((scores.argmax(axis=-1) == target).mean())


def rates(options: argparse.Namespace) -> list[float]:
    """The learning rate of each epoch: it falls to 0 in a straight line, so that the training ends in a quiet place."""
    return [options.lr * (1 - epoch / options.epochs) for epoch in range(options.epochs)]


def set_up(options: argparse.Namespace, digits: Digits) -> Teaching:
    """The task; for distillation, a network trained by cross-entropy is the teacher."""
    task = Teaching(options, digits)
    if options.loss != "distillation":
        return task
    by_labels = argparse.Namespace(**{**vars(options), "loss": "cross_entropy"})
    teacher, history, _ = train(Teaching(by_labels, digits), "training the teacher")
    print(f"the teacher's test accuracy {history['test'][-1]:.4f}; its student sees its scores and no label")
    return Teaching(options, digits, teacher.scores(digits.train))


def train(task: Teaching, title: str = "training") -> tuple[Perceptron, dict[str, list[float]], list[Array]]:
    """The main job: the trained network, its history per epoch, and prelu's alphas before and after each epoch."""
    options, digits = task.options, task.digits
    rng = np.random.default_rng(options.seed)
    network = fastact_network(task, rng)
    history: dict[str, list[float]] = {"loss": [], "train": [], "test": []}
    alphas = [alpha.copy() for alpha in network.hidden[0].parameters]
    # a training that diverges says so at its end, not by NumPy's warnings
    bar = tqdm(rates(options), desc=title, unit="epoch")
    with np.errstate(over="ignore", invalid="ignore"):
        for lr in bar:
            order = rng.permutation(len(digits.train))
            loss = network.epoch(digits.train, digits.train_target, order, options.batch_size, lr)
            history["loss"].append(loss)
            history["train"].append(accuracy(network.scores(digits.train), digits.train_target))
            history["test"].append(accuracy(network.scores(digits.test), digits.test_target))
            alphas += [alpha.copy() for alpha in network.hidden[0].parameters]
            bar.set_postfix_str(f"loss {loss:.4f}, test accuracy {history['test'][-1]:.4f}", refresh=False)
    return network, history, alphas


class Contender(NamedTuple):
    """One of the trainings that are timed: `epoch` trains one at a learning rate, `accuracy` is that so far."""

    name: str
    epoch: Callable[[float], Any]
    accuracy: Callable[[], float]


def contenders(task: Teaching) -> list[Contender]:
    """The same training thrice: same digits, size, batches and epochs; only scikit-learn's learning rate stays."""
    options, digits = task.options, task.digits

    def network_contender(name: str, build: Callable[..., Perceptron]) -> Contender:
        rng = np.random.default_rng(options.seed)
        network = build(task, rng)

        def epoch(lr: float) -> float:
            order = rng.permutation(len(digits.train))
            return network.epoch(digits.train, digits.train_target, order, options.batch_size, lr)

        return Contender(name, epoch, lambda: accuracy(network.scores(digits.test), digits.test_target))

    found = [network_contender("fastact", fastact_network)]
    if has_plain_twin(options):
        found.append(network_contender("plain NumPy formulas", plain_network))
    activation = SKLEARN_ACTIVATIONS.get(options.activation, "relu")
    peer = MLPClassifier(
        (UNITS,),
        activation=activation,
        solver="sgd",
        alpha=0,
        momentum=0,
        batch_size=options.batch_size,
        learning_rate_init=options.lr,
        random_state=options.seed,
    )
    found.append(
        Contender(
            f"scikit-learn MLPClassifier, {activation}",
            lambda lr: peer.partial_fit(digits.train, digits.train_target, classes=np.arange(CLASSES)),
            lambda: float(peer.score(digits.test, digits.test_target)),
        )
    )
    return found


def compare(task: Teaching) -> str:
    """Train all contenders in turns, one epoch each, so that a busy moment hits all alike; the table of medians."""
    options, found = task.options, contenders(task)
    seconds: list[list[float]] = [[] for _ in found]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the plain formulas overflow where fastact does not
        for lr in tqdm(rates(options), desc="comparing", unit="epoch"):
            for contender, spent in zip(found, seconds, strict=True):
                start = time.perf_counter()
                contender.epoch(lr)
                spent.append(time.perf_counter() - start)
    medians = [float(np.median(spent)) for spent in seconds]
    lines = ["time per epoch (median, trained in turns)         ratio   test accuracy"]
    for contender, median in zip(found, medians, strict=True):
        lines.append(
            f"  {contender.name:<36}{median * 1e3:8.2f} ms{median / medians[0]:7.2f}x{contender.accuracy():16.4f}"
        )
    if not has_plain_twin(options):
        lines.append(f"  ({options.activation} with {options.loss} has no plain NumPy formulas here)")
    if options.loss != "cross_entropy":
        lines.append("  (scikit-learn trains with cross-entropy)")
    return "\n".join(lines)


def run(options: argparse.Namespace) -> int:
    # Matrix products this small gain nothing from BLAS's threads (32x64x128: 20 us with one or two), and on a busy
    # machine their barriers cost milliseconds.
    with threadpool_limits(1, "blas"):
        return demonstrate(options)


def demonstrate(options: argparse.Namespace) -> int:
    digits = load(options.seed)
    print(
        f"64-{UNITS}-{CLASSES} perceptron, {options.activation}, {options.loss}: "
        f"{len(digits.train)} digits to train, {len(digits.test)} to test"
    )
    task = set_up(options, digits)
    network, history, alphas = train(task)
    if not np.isfinite(history["loss"][-1]):
        print(f"the training diverged: try a smaller --lr than {options.lr:g}", file=sys.stderr)
        return 1
    scores = network.scores(digits.test)
    right = int((scores.argmax(axis=-1) == digits.test_target).sum())
    sure = fastact.softmax(scores).max(axis=-1).mean()
    print(f"test accuracy {history['test'][-1]:.4f}: {right} of {len(digits.test)} right, {sure:.1%} sure on average")
    if alphas:
        now = alphas[-1]
        print(
            f"alpha: {alphas[0].mean():.3f} in every unit at first, "
            f"now {now.min():.3f} to {now.max():.3f}, mean {now.mean():.3f}"
        )
    print(compare(task))
    title = (
        f"{options.activation}, {options.loss}, 64-{UNITS}-{CLASSES}, "
        f"learning rate {options.lr:g}, batches of {options.batch_size}"
    )
    print("wrote", _plot.draw_training(history, alphas, title, options.out))
    print("wrote", _plot.draw_activations(list(ACTIVATIONS), options.out))
    return 0
