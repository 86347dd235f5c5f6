"""`fastact demo`: train on handwritten digits, compare, draw."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
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


def network_of(
    options: argparse.Namespace,
    rng: np.random.Generator,
    layer: Callable[[str, int], Layer],
    losses: dict[str, ScoreLoss],
) -> Perceptron:
    head = Head(rng, UNITS, CLASSES, losses[options.loss])
    return Perceptron(rng, 64, [layer(options.activation, UNITS)], UNITS, head)


def fastact_network(options: argparse.Namespace, digits: Digits, rng: np.random.Generator) -> Perceptron:
    losses: dict[str, ScoreLoss] = {
        "cross_entropy": lambda scores, target, rows: fastact.cross_entropy_with_grad(scores, target, grad_out=scores),
    }
    return network_of(options, rng, Hidden, losses)


def plain_network(options: argparse.Namespace, digits: Digits, rng: np.random.Generator) -> Perceptron:
    losses: dict[str, ScoreLoss] = {
        "cross_entropy": lambda scores, target, rows: _plain.cross_entropy(scores, target),
    }
    return network_of(options, rng, PlainHidden, losses)


def accuracy(scores: Array, target: Array) -> float:
    return float((scores.argmax(axis=-1) == target).mean())


def rates(options: argparse.Namespace) -> list[float]:
    """The learning rate of each epoch: it falls to 0 in a straight line, so that the training ends in a quiet place."""
    return [options.lr * (1 - epoch / options.epochs) for epoch in range(options.epochs)]


def train(options: argparse.Namespace, digits: Digits) -> tuple[Perceptron, dict[str, list[float]], list[Array]]:
    """The main job: the trained network, its history per epoch, and prelu's alphas before and after each epoch."""
    rng = np.random.default_rng(options.seed)
    network = fastact_network(options, digits, rng)
    history: dict[str, list[float]] = {"loss": [], "train": [], "test": []}
    alphas = [alpha.copy() for alpha in network.hidden[0].parameters]
    # a training that diverges says so at its end, not by NumPy's warnings
    bar = tqdm(rates(options), desc="training", unit="epoch")
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


def contenders(options: argparse.Namespace, digits: Digits) -> list[Contender]:
    """The same training thrice: same digits, size, batches and epochs; only scikit-learn's learning rate stays."""

    def network_contender(name: str, build: Callable[..., Perceptron]) -> Contender:
        rng = np.random.default_rng(options.seed)
        network = build(options, digits, rng)

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


def has_plain_twin(options: argparse.Namespace) -> bool:
    return options.activation in _plain.ACTIVATIONS


def compare(options: argparse.Namespace, digits: Digits) -> str:
    """Train all contenders in turns, one epoch each, so that a busy moment hits all alike; the table of medians."""
    found = contenders(options, digits)
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
    network, history, alphas = train(options, digits)
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
    print(compare(options, digits))
    title = (
        f"{options.activation}, {options.loss}, 64-{UNITS}-{CLASSES}, "
        f"learning rate {options.lr:g}, batches of {options.batch_size}"
    )
    print("wrote", _plot.draw_training(history, alphas, title, options.out))
    print("wrote", _plot.draw_activations(list(ACTIVATIONS), options.out))
    return 0
