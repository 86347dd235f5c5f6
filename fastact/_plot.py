"""The pictures of the command. Colours are Okabe and Ito's, told apart by dashes too."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from fastact._catalog import CURVES
from fastact._plain import Array

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#767676"
DASHES = (0, (4, 1.5))


def save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=120)
    few = Image.open(drawn).convert("RGB").quantize(40, dither=Image.Dither.NONE)  # a third of the bytes
    few.save(path, optimize=True)
    return path


def panels(rows: int, columns: int, width: float = 4.2, height: float = 3.2, **options: Any) -> tuple[Figure, Any]:
    """A figure without pyplot (so without its global state) and its axes, lightly gridded."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for ax in axes.flat:
        ax.grid(color="0.9", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def curves(name: str, x: Array) -> tuple[Array, Array]:
    """The function and its derivative at x."""
    op = CURVES[name]
    values = op.parameters.values()
    y = op.function(x, *values) if op.learns else op.function(x, **op.parameters)
    kept = y if op.saves_output else x
    ones = np.ones_like(x)
    if op.learns:
        return y, op.gradient(ones, kept, *values)[0]  # the second gradient is the parameter's
    return y, op.gradient(ones, kept, **op.parameters)


def half_width(name: str) -> float:
    """4, or 8 where the slope still changes beyond (relu6)."""
    _, slope = curves(name, np.array([-8.0, -4.0, 4.0, 8.0]))
    return 8.0 if max(abs(slope[1] - slope[0]), abs(slope[3] - slope[2])) > 0.1 else 4.0


def broken_at_jumps(y: Array) -> Array:
    """The values with a gap in place of each vertical stroke."""
    y = y.copy()
    y[np.flatnonzero(np.abs(np.diff(y)) > 0.08)] = np.nan  # the samples are 0.004 apart or closer: a slope of 20
    return y


def draw_activation(ax: Axes, name: str) -> None:
    """The function and its derivative on one pair of axes."""
    width = half_width(name)
    x = np.linspace(-width, width, 4001)
    y, slope = curves(name, x)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.plot(x, broken_at_jumps(y), color=BLUE, linewidth=2.2, label="f(x)")
    ax.plot(x, broken_at_jumps(slope), color=ORANGE, linewidth=1.8, linestyle=DASHES, label="f'(x)")
    given = ", ".join(f"{key}={value:g}" for key, value in CURVES[name].parameters.items())
    ax.set_title(f"{name} ({given})" if given else name, fontsize=11)
    ax.set_xlim(-width, width)


def draw_activations(names: Sequence[str], folder: Path) -> Path:
    """One sheet: each activation with its derivative."""
    columns = min(len(names), 3 if len(names) <= 9 else 4)
    rows = -(-len(names) // columns)
    figure, axes = panels(rows, columns, 3.4, 2.6)
    for ax, name in zip(axes.flat, names, strict=False):
        draw_activation(ax, name)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for column in range(columns):
        axes[(len(names) - 1 - column) // columns, column].set_xlabel("x")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return save(figure, folder / "activations.png")


def draw_training(history: dict[str, list[float]], alphas: list[Array], title: str, folder: Path) -> Path:
    """Loss and accuracy per epoch, and beside them what a learning activation learned."""
    figure, axes = panels(1, 3 if alphas else 2, 4.6, 3.4)
    epochs = np.arange(1, len(history["loss"]) + 1)
    loss, accuracy = axes[0, :2]
    loss.semilogy(epochs, history["loss"], color=BLUE, linewidth=2)
    loss.set(title="training loss")
    accuracy.plot(epochs, history["train"], color=ORANGE, linewidth=1.6, linestyle=DASHES, label="training digits")
    accuracy.plot(epochs, history["test"], color=BLUE, linewidth=2, label="test digits")
    accuracy.set(title=f"accuracy: {history['test'][-1]:.4f} on the test digits")
    accuracy.legend(loc="lower right")
    if alphas:
        draw_alphas(axes[0, 2], alphas)
    for ax in axes[0]:
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(title, fontsize=11)
    return save(figure, folder / "training.png")


def draw_alphas(ax: Axes, alphas: list[Array]) -> None:
    """What prelu's units learned: the mean slope, the middle 80 % and the extremes, named at their right ends."""
    moved = np.array(alphas)
    epochs = np.arange(len(moved))
    low, high = np.quantile(moved, [0.1, 0.9], axis=1)
    ax.fill_between(epochs, low, high, color=BLUE, alpha=0.25, linewidth=0)
    lines = {"largest": moved.max(axis=1), "mean": moved.mean(axis=1), "smallest": moved.min(axis=1)}
    for label, values in lines.items():
        style: dict[str, Any] = {"linewidth": 2.2} if label == "mean" else {"linestyle": DASHES, "linewidth": 1.4}
        (line,) = ax.plot(epochs, values, color=BLUE if label == "mean" else ORANGE, **style)
        ax.annotate(
            label,
            (epochs[-1], values[-1]),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=line.get_color(),
            fontsize=9,
        )
    ax.set(title=f"alpha of the {moved.shape[1]} units (band: middle 80 %)")
