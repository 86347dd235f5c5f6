"""The pictures and numbers of activations.md. Each function is one point of the page, in its order."""

from __future__ import annotations

import time

import numpy as np
from book import Book, build, fit, raw_digits, right
from matplotlib.ticker import MaxNLocator
from scipy.stats import norm
from sklearn.datasets import make_moons

import fastact
from fastact._catalog import ACTIVATIONS
from fastact._demo import load
from fastact._plot import (
    BLUE,
    DASHES,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Array,
    curves,
    draw_activations,
    draw_alphas,
    panels,
)

RATE = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0}  # the largest slope of each
COURSE = {"sigmoid": PURPLE, "tanh": GREEN, "relu": BLUE, "leaky_relu": GREY, "prelu": "black", "elu": ORANGE}
STYLE = {"sigmoid": "-", "tanh": "--", "relu": "-", "leaky_relu": ":", "prelu": "-.", "elu": DASHES}


def sheet(book: Book) -> None:
    """All activations with their derivatives."""
    if book.pictures:
        print("wrote", draw_activations(list(ACTIVATIONS), book.pictures))


def why(book: Book) -> None:
    """Without an activation, two layers are one: a straight border between two moons."""
    x, target = make_moons(400, noise=0.12, random_state=0)
    x = x.astype(np.float32)
    networks = {}
    for name in (None, "relu"):
        networks[name], rng = build(name, inputs=2, units=32, classes=2)
        fit(networks[name], rng, x, target, lr=0.3, epochs=150)
        book.note(f"moons_{name or 'linear'}", 100 * right(networks[name], x, target), ".0f")
    if not book.pictures:
        return
    figure, axes = panels(1, 2, 4.4, 3.2)
    grid = np.stack(np.meshgrid(np.linspace(-1.5, 2.6, 240), np.linspace(-1.1, 1.6, 160)), axis=-1).astype(np.float32)
    for ax, (name, network) in zip(axes[0], networks.items(), strict=True):
        chance = fastact.softmax(network.scores(grid.reshape(-1, 2)))[:, 1].reshape(grid.shape[:2])
        ax.contourf(grid[..., 0], grid[..., 1], chance, [0, 0.5, 1], colors=["#cfe6f5", "#fbe0cc"])
        ax.scatter(*x[target == 0].T, s=9, color=BLUE, marker="o")
        ax.scatter(*x[target == 1].T, s=11, color=ORANGE, marker="^")
        share = book.facts[f"moons_{name or 'linear'}"]
        ax.set_title(f"2-32-2 with {'relu' if name else 'no activation'}: {share} % right")
    book.save(figure, "why_nonlinear")


def slopes(book: Book) -> None:
    """Saturation: the slopes of sigmoid and tanh far from 0."""
    x = np.array([0.0, 3.0, 5.0, 10.0])
    for name in ("sigmoid", "tanh"):
        for at, slope in zip(x, curves(name, x)[1], strict=True):
            book.note(f"{name}_slope_{at:.0f}", slope)
    book.note("sigmoid_product_10", RATE["sigmoid"] ** 10)


def vanishing(book: Book) -> None:
    """The size of the gradient that reaches each of 20 layers, and the product of the slopes on the way."""
    layers, x = 20, load(0).train[:256]
    target = load(0).train_target[:256]
    reached: dict[str, Array] = {}
    for name in ("sigmoid", "tanh", "relu"):
        network, _ = build(name, layers=layers)
        if name == "relu":  # He et al. 2015: half the units are silent, so twice the variance
            for k, weight in enumerate(network.weights):
                network.weights[k] = weight * np.float32(2**0.5)
        features = network.features(x)
        _, dh, _ = network.head.loss_with_grad(features[-1], target, np.arange(len(x)))
        sizes = []
        for k in reversed(range(layers)):
            dz, _ = network.hidden[k].backward(dh)
            sizes.append(np.sqrt(np.square(dz, dtype=np.float64).mean()))
            dh = dz @ network.weights[k]
        reached[name] = np.array(sizes[::-1])
        book.note(f"vanish_{name}", reached[name][0] / reached[name][-1], ".1g")
    if not book.pictures:
        return
    figure, axes = panels(1, 2, 4.8, 3.4)
    depth = np.arange(1, layers + 1)
    for name, sizes in reached.items():
        axes[0, 0].semilogy(depth, sizes / sizes[-1], STYLE[name], color=COURSE[name], linewidth=2.2, label=name)
        axes[0, 1].semilogy(depth, RATE[name] ** depth, STYLE[name], color=COURSE[name], linewidth=2.2, label=name)
    axes[0, 0].set(
        title="gradient at each layer, 20-layer network",
        xlabel="layer (1 is next to the input)",
        ylabel="RMS, relative to the last layer",
    )
    axes[0, 1].set(title="largest slope, multiplied over the layers", xlabel="layers on the way")
    axes[0, 1].annotate("tanh and relu: 1", (10, 1), xytext=(0, -14), textcoords="offset points", fontsize=9)
    for ax in axes[0]:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(fontsize=9)
    book.save(figure, "vanishing")


def centre(book: Book) -> None:
    """Mean output and share of zeros for standard normal inputs (quantiles, so no chance in it)."""
    x = norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    for name in COURSE:
        y = curves(name, x)[0]
        book.note(f"{name}_mean", y.mean() + 0.0, ".3f")
        book.note(f"{name}_zeros", 100 * (y == 0).mean(), ".0f")


def smooth(book: Book) -> None:
    """The dips of the smooth rectifiers and where they lie; how far gelu's forms differ; softplus at 0 and -20."""
    x = np.linspace(-8, 8, 1_600_001)
    for name in ("silu", "gelu", "mish"):
        y = curves(name, x)[0]
        book.note(f"{name}_lowest", y.min())
        book.note(f"{name}_lowest_at", x[y.argmin()])
    book.note("gelu_forms_differ", np.abs(curves("gelu", x)[0] - curves("gelu_tanh", x)[0]).max(), ".1g")
    book.note("softplus_0", fastact.softplus(0.0))
    book.note("softplus_minus_20", fastact.softplus(-20.0))


def gates(book: Book) -> None:
    """What a gate passes of the other tensor."""
    for at, gate in (("closed", -4.0), ("open", 4.0)):
        book.note(f"glu_{at}", fastact.glu(np.array([1.0, gate]))[0])
        for gated in (fastact.reglu, fastact.swiglu, fastact.geglu):
            book.note(f"{gated.__name__}_{at}", gated(gate, 1.0) + 0.0)


def kink(book: Book) -> None:
    """The two slopes of relu at 0, and the one that its gradient takes."""
    h = 0.125
    at_zero, left, right_of_zero = fastact.relu(np.array([0.0, -h, h]))
    book.note("relu_left", (at_zero - left) / h)
    book.note("relu_right", (right_of_zero - at_zero) / h)
    book.note("relu_at_zero", fastact.relu_grad(1.0, 0.0))


def descend(function: str, batch: int, lr: float, steps: int) -> tuple[Array, float]:
    """Move a unit's two weights from (-1, 1) to (1, -1), with inputs f(u) from a previous layer.

    Gives the path and the share of steps in which both weights' gradients have the same sign.
    """
    rng = np.random.default_rng(5)
    aim, weight, path, same = np.array([1.0, -1.0]), np.array([-1.0, 1.0]), [], 0
    for _ in range(steps):
        path.append(weight.copy())
        h = ACTIVATIONS[function].function(2 * rng.normal(size=(batch, 2)))
        gradient = ((h * (weight - aim)).sum(axis=1)[:, None] * h).mean(axis=0)
        same += gradient[0] * gradient[1] > 0
        weight -= lr * gradient
    return np.array(path), 100 * same / steps


def zigzag(book: Book) -> None:
    """Inputs of one sign: the gradients of a unit's weights share their sign."""
    cases = {
        "sigmoid, one sample a step": ("sigmoid", 1),
        "sigmoid, batches of 16": ("sigmoid", 16),
        "tanh, one sample a step": ("tanh", 1),
    }
    found = {title: descend(name, batch, 0.9, 60) for title, (name, batch) in cases.items()}
    for (name, batch), (_, same) in zip(cases.values(), found.values(), strict=True):
        book.note(f"same_sign_{name}_{batch}", same, ".0f")
    if not book.pictures:
        return
    figure, axes = panels(1, 3, 3.4, 3.3, sharex=True, sharey=True)
    for ax, (title, (path, same)) in zip(axes[0], found.items(), strict=True):
        ax.plot(*path.T, "-o", color=BLUE, markersize=3, linewidth=1.2)
        ax.plot(-1, 1, "s", color=GREY, markersize=9)
        ax.plot(1, -1, "*", color=ORANGE, markersize=15)
        ax.set(title=f"{title}\nsame sign in {same:.0f} % of the steps", xlabel="weight 1")
        ax.title.set_size(10)
    axes[0, 0].set_ylabel("weight 2")
    axes[0, 0].annotate("start", (-1, 1), xytext=(7, 5), textcoords="offset points")
    axes[0, 0].annotate("aim", (1, -1), xytext=(-30, -4), textcoords="offset points")
    book.save(figure, "zigzag")


def convergence(book: Book) -> None:
    """How fast each activation learns the digits, how many outputs are 0, and how prelu's alpha moves."""
    data = load(0)
    losses, alphas = {}, []
    for name in COURSE:
        network, rng = build(name)
        own = network.hidden[0].parameters

        def copies(own=own) -> list[Array]:
            return [array.copy() for array in own]

        start = copies()
        losses[name], seen = fit(network, rng, data.train, data.train_target, lr=0.1, epochs=60, watch=copies)
        if own:
            alphas = [start[0], *(after[0] for after in seen)]
        book.note(f"epochs_{name}", 1 + int(np.argmax(np.array(losses[name]) < 0.2)), "d")
        book.note(f"hidden_zeros_{name}", 100 * (network.features(data.test)[1] == 0).mean(), ".0f")
    book.note("alpha_mean", alphas[-1].mean())
    book.note("alpha_low", alphas[-1].min())
    book.note("alpha_high", alphas[-1].max())
    if not book.pictures:
        return
    figure, axes = panels(1, 2, 5.0, 3.6)
    for name, values in losses.items():
        axes[0, 0].semilogy(
            np.arange(1, 61), values, linestyle=STYLE[name], color=COURSE[name], linewidth=2, label=name
        )
    axes[0, 0].set(title="training loss on the digits, learning rate 0.1", xlabel="epoch")
    axes[0, 0].legend(ncols=2, fontsize=9)
    draw_alphas(axes[0, 1], alphas)
    axes[0, 1].set_xlabel("epoch")
    axes[0, 1].set_xlim(0, 70)
    book.save(figure, "convergence")


def dead_units(book: Book) -> None:
    """Units that no training digit wakes: two causes, and a remedy for each."""
    x, _, target, _ = raw_digits()
    runs = {}
    for key, lr, bias, adagrad, name in (
        ("unlucky", 0.1, 1.0, False, "relu"),
        ("xavier", 0.1, 0.0, False, "relu"),
        ("fast", 1.0, 0.0, False, "relu"),
        ("adagrad", 0.02, 0.0, True, "relu"),
        ("leaky", 1.0, 0.0, False, "leaky_relu"),
        ("elu", 1.0, 0.0, False, "elu"),
    ):
        network, rng = build(name)
        network.biases[0][:] = bias * np.random.default_rng(1).normal(size=128)
        slope = ACTIVATIONS[name].gradient

        def silent(network=network, slope=slope) -> Array:
            z = x @ network.weights[0].T + network.biases[0]
            return (slope(np.ones_like(z), z) == 0).all(axis=0)

        count = [int(silent().sum())]
        before = x @ network.weights[0].T + network.biases[0]
        _, seen = fit(network, rng, x, target, lr, adagrad=adagrad, watch=lambda silent=silent: int(silent().sum()))
        runs[key] = count + seen, before, silent()
        book.note(f"dead_{key}_start", count[0], "d")
        book.note(f"dead_{key}_end", seen[-1], "d")
    if book.pictures:
        draw_dead_units(book, runs)


def draw_dead_units(book: Book, runs: dict[str, tuple[list[int], Array, Array]]) -> None:
    figure, axes = panels(1, 3, 4.4, 3.5)
    _, before, dead = runs["unlucky"]
    usual = np.abs((before > 0).mean(axis=0) - 0.5).argmin()  # half of the digits wake it
    bins = np.linspace(-3, 2, 51)
    axes[0, 0].hist(before[:, usual], bins, color=BLUE, alpha=0.7, label="a live unit")
    axes[0, 0].hist(before[:, dead.argmax()], bins, color=ORANGE, hatch="//", alpha=0.7, label="a dead unit")
    axes[0, 0].axvline(0, color="black", linewidth=1)
    axes[0, 0].set(title="what two units get from all digits", xlabel="relu's input", ylabel="digits")
    lines = {
        "initialisation (learning rate 0.1)": {
            "unlucky": ("biases from N(0, 1)", ORANGE, "-"),
            "xavier": ("Xavier: biases 0", BLUE, "--"),
        },
        "learning rate (Xavier)": {
            "fast": ("learning rate 1", ORANGE, "-"),
            "adagrad": ("AdaGrad, 0.02", GREEN, ":"),
            "xavier": ("learning rate 0.1", BLUE, "--"),
        },
    }
    for ax, (title, shown) in zip(axes[0, 1:], lines.items(), strict=True):
        for key, (label, color, style) in shown.items():
            ax.plot(runs[key][0], style, color=color, linewidth=2.2, label=label)
        ax.set(title=title, xlabel="epoch", ylabel="dead units of 128", ylim=(-3, 131))
    for ax, place in zip(axes[0], ("upper left", "center right", "center right"), strict=True):
        ax.legend(fontsize=9, loc=place)
    book.save(figure, "dead_units")


def binary_softmax(book: Book) -> None:
    """Softmax of two scores is the sigmoid of their difference."""
    book.note("softmax_two", fastact.softmax(np.array([1.5, 0.0]))[0], ".6f")
    book.note("sigmoid_of_difference", fastact.sigmoid(1.5), ".6f")
    z = np.array([2.0, 1.0, 0.1])
    for k, p in enumerate(fastact.softmax(z)):
        book.note(f"softmax_three_{k}", p, ".3f")


POINTS = [sheet, why, slopes, vanishing, centre, zigzag, kink, convergence, dead_units, smooth, gates, binary_softmax]
TRAINED = [why, vanishing, convergence, dead_units]  # may differ a little from one BLAS to another
MEASURED = ("ns_", "ratio_")  # how the names of the measured numbers begin


def costs(book: Book) -> None:
    """Nanoseconds per float32 element, forward and backward, one thread, 32 768 elements in the cache."""
    x = np.random.default_rng(0).normal(size=32_768).astype(np.float32)
    dy, y, out = np.ones_like(x), np.empty_like(x), np.empty_like(x)
    with fastact.threads(1):
        for name in COURSE:
            op = ACTIVATIONS[name]
            values = [np.float32(v) for v in op.parameters.values()] if op.learns else []
            op.function(x, *values, out=y)
            kept = y if op.saves_output else x
            calls = {"forward": lambda: op.function(x, *values, out=out)}  # noqa: B023
            if not op.learns:  # prelu's backward also sums the slope's gradient
                calls["backward"] = lambda: op.gradient(dy, kept, out=out)  # noqa: B023
            for way, call in calls.items():
                rounds = []
                for _ in range(21):
                    start = time.perf_counter()
                    for _ in range(50):
                        call()
                    rounds.append((time.perf_counter() - start) / 50 / x.size * 1e9)
                book.note(f"ns_{name}_{way}", float(np.median(rounds)), ".3f")
    for name in ("sigmoid", "elu"):
        ratio = float(book.facts[f"ns_{name}_forward"]) / float(book.facts["ns_relu_forward"])
        book.note(f"ratio_{name}", ratio, ".1f")


MEASUREMENTS = [costs]
