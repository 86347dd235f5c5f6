"""The pictures and numbers of the regression part of losses.md, in the page's order."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from book import Book
from sklearn.datasets import load_diabetes

import fastact
from fastact import regression
from fastact._plain import Array
from fastact._plot import BLUE, DASHES, GREEN, GREY, ORANGE, PURPLE, panels

NAMES = [name for name in regression.__all__ if not name.endswith("_with_grad")]
LOOKS = dict(
    zip(
        NAMES,
        zip((GREY, BLUE, GREEN, ORANGE, PURPLE, "black"), ("-", "--", "-.", "-", ":", DASHES), strict=True),
        strict=True,
    )
)


def errors_on(name: str, pred: Array, target: float) -> tuple[Array, Array]:
    """The loss and its gradient for each prediction alone."""
    return getattr(fastact, f"{name}_with_grad")(pred, target, reduction="none")


def shapes(book: Book) -> None:
    """All regression losses and their gradients near 0."""
    if not book.pictures:
        return
    figure, axes = panels(1, 2, 5.0, 3.6)
    error = np.linspace(-3, 3, 1201)
    for name, (color, style) in LOOKS.items():
        loss, gradient = errors_on(name, error, 0.0)
        gradient[np.flatnonzero(np.abs(np.diff(gradient)) > 0.3)] = np.nan  # a gap where it jumps
        axes[0, 0].plot(error, loss, linestyle=style, color=color, linewidth=2, label=name)
        axes[0, 1].plot(error, gradient, linestyle=style, color=color, linewidth=2)
    axes[0, 0].set(title="loss", xlabel="prediction - target", ylim=(-0.1, 4))
    axes[0, 1].set(title="gradient", xlabel="prediction - target", ylim=(-3, 3))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    book.save(figure, "regression_losses")


def far_off(book: Book) -> None:
    """MSE beside MAE: target 100, predictions from -10 000 to 10 000."""
    pred = np.linspace(-10_000, 10_000, 2001)
    for name in ("mse", "l1"):
        loss, gradient = errors_on(f"{name}_loss", pred, 100.0)
        for at in (-10_000, 90, 100, 110, 10_000):
            where = int(np.argmin(np.abs(pred - at)))
            book.note(f"{name}_at_{'m' if at < 0 else ''}{abs(at)}", loss[where], ",.0f")
            book.note(f"{name}_slope_at_{'m' if at < 0 else ''}{abs(at)}", gradient[where], ",.0f")
    if not book.pictures:
        return
    figure, axes = panels(2, 2, 4.6, 2.9)
    for column, (name, title, color) in enumerate((("mse_loss", "MSE", BLUE), ("l1_loss", "MAE", ORANGE))):
        loss, gradient = errors_on(name, pred, 100.0)
        if name == "l1_loss":
            gradient[np.flatnonzero(np.diff(gradient))] = np.nan
        axes[0, column].plot(pred, loss, color=color, linewidth=2.2)
        axes[0, column].set_title(f"{title} (target 100)")
        axes[1, column].plot(pred, gradient, color=color, linewidth=2.2)
        axes[1, column].set(title=f"gradient of {title}", xlabel="prediction")
        for ax in axes[:, column]:
            ax.axvline(100, color=GREY, linewidth=1, linestyle=":")
    for ax in axes.flat:
        ax.set_xticks([-10_000, -5_000, 0, 5_000, 10_000])
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}".replace(",", " "))
    book.save(figure, "mse_and_mae")


def walk(name: str, rates: Iterable[float]) -> Array:
    """Gradient descent on one number from 0 to the target 1: where it is after each step."""
    pred, path = np.zeros(1), [0.0]
    for rate in rates:
        _, gradient = getattr(fastact, f"{name}_with_grad")(pred, np.ones(1))
        pred = pred - rate * gradient
        path.append(float(pred[0]))
    return np.array(path)


def overshoot(book: Book) -> None:
    """L1's gradient keeps its size, so a fixed step overshoots for ever; a decaying one arrives."""
    steps = np.arange(40)
    runs = {
        "L1, step 0.3": walk("l1_loss", [0.3] * 40),
        "L1, step 0.3 x 0.9^t": walk("l1_loss", 0.3 * 0.9**steps),
        "L2, step 0.3": walk("mse_loss", [0.3] * 40),
    }
    for name, path in zip(("fixed", "decayed", "l2"), runs.values(), strict=True):
        book.note(f"left_{name}", np.abs(path[-5:] - 1).max(), ".1g")
    if not book.pictures:
        return
    figure, axes = panels(1, 3, 3.6, 3.0, sharey=True)
    for ax, (label, path), color in zip(axes[0], runs.items(), (ORANGE, BLUE, GREEN), strict=True):
        ax.axhline(1, color=GREY, linewidth=1, linestyle="--")
        ax.plot(path, "-o", color=color, linewidth=1.4, markersize=3)
        ax.set(title=label, xlabel="step")
    axes[0, 0].set_ylabel("prediction (target 1)")
    book.save(figure, "overshoot")


def fit_line(name: str, x: Array, y: Array) -> tuple[float, float]:
    """Slope and intercept that make a loss least, by gradient descent with a decaying step."""
    theta = np.zeros(2)
    for t in range(4000):
        _, gradient = getattr(fastact, f"{name}_with_grad")(theta[0] * x + theta[1], y)
        theta = theta - 0.5 / (1 + t / 50) ** 0.9 * np.array([gradient @ x, gradient.sum()])
    return float(theta[0]), float(theta[1])


def outliers(book: Book) -> None:
    """A line through 20 points, two of them wrong."""
    rng = np.random.default_rng(2)
    x = np.linspace(-1, 1, 20)
    y = 2 * x + 1 + 0.1 * rng.normal(size=20)
    clean = fit_line("mse_loss", x, y)
    y[[16, 18]] = -7.0
    found = {name: fit_line(name, x, y) for name in ("mse_loss", "l1_loss", "huber_loss")}
    book.note("slope_clean", clean[0], ".2f")
    for name, (slope, _) in found.items():
        book.note(f"slope_{name}", slope, ".2f")
    if not book.pictures:
        return
    figure, axes = panels(1, 1, 6.0, 3.6)
    ax = axes[0, 0]
    ax.plot(x, y, "o", color=GREY, label="points, two of them wrong")
    ax.plot(x, clean[0] * x + clean[1], color="black", linewidth=1, label=f"without the two: slope {clean[0]:.2f}")
    for (name, (slope, start)), color, style in zip(
        found.items(), (BLUE, ORANGE, GREEN), ("-", "--", "-."), strict=True
    ):
        ax.plot(x, slope * x + start, style, color=color, linewidth=2.2, label=f"{name}: slope {slope:.2f}")
    ax.set(xlabel="x", ylabel="y")
    ax.legend(fontsize=9, loc="lower left")
    book.save(figure, "outliers")


def sparse(book: Book) -> None:
    """L1 as a regulariser sets weights to exactly 0: proximal gradient descent with soft_shrink, beside L2."""
    x, y = load_diabetes(return_X_y=True)
    x = np.hstack([x / x.std(axis=0), np.random.default_rng(0).normal(size=(len(x), 20))])  # 10 of use, 20 of none
    y = (y - y.mean()) / y.std()
    step, strength = 0.05, 0.1
    shrinks: dict[str, Callable[[Array], Array]] = {
        "l1": lambda w: fastact.soft_shrink(w, lambd=step * strength),
        "l2": lambda w: w / (1 + step * strength),
    }
    for name, shrink in shrinks.items():
        weight = np.zeros(x.shape[1])
        for _ in range(3000):
            _, gradient = fastact.mse_loss_with_grad(x @ weight, y)
            weight = shrink(weight - step * (gradient @ x))
        book.note(f"zeros_{name}", int((weight == 0).sum()), "d")


def metrics(book: Book) -> None:
    """The usual metrics on four predictions."""
    true, pred = np.array([3.0, -0.5, 2.0, 7.0]), np.array([2.5, 0.0, 2.0, 8.0])
    for name in fastact.metrics.__all__:
        if name not in ("accuracy_score", "log_loss"):
            book.note(name, getattr(fastact.metrics, name)(true, pred))


POINTS = [shapes, far_off, overshoot, outliers, sparse, metrics]
TRAINED = [outliers, sparse]
