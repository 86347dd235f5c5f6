"""The pictures and numbers of the classification part of losses.md, in the page's order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from book import Book, build, fit, raw_digits, right

import fastact
from fastact._mlp import xavier
from fastact._plain import Array
from fastact._plot import BLUE, DASHES, GREEN, ORANGE, PURPLE, panels


def zero_one(book: Book) -> None:
    """The 0-1 loss beside two losses that can be trained, over the margin of the right class."""
    pred, target = np.array([3, 1, 4, 1]), np.array([3, 1, 4, 5])
    book.note("zero_one", fastact.zero_one_loss(pred, target))
    book.note("hinge", fastact.hinge_loss(0.4, 1), ".1f")
    if not book.pictures:
        return
    margin = np.linspace(-3, 3, 1201)
    scores = np.stack([margin, np.zeros_like(margin)], axis=1)
    labels = np.zeros(len(margin), int)
    wrong = fastact.zero_one_loss(scores, labels, reduction="none").astype(float)
    wrong[np.flatnonzero(np.diff(wrong))] = np.nan
    figure, axes = panels(1, 1, 5.6, 3.3)
    ax = axes[0, 0]
    ax.plot(margin, wrong, color=ORANGE, linewidth=2.4, label="0-1 loss: flat, so its slope says nothing")
    softmax_loss = fastact.cross_entropy(scores, labels, reduction="none")
    ax.plot(margin, softmax_loss, color=BLUE, linewidth=2.2, linestyle=DASHES, label="softmax loss")
    hinge = fastact.hinge_loss(margin, np.ones_like(margin), reduction="none")
    ax.plot(margin, hinge, color=GREEN, linewidth=2, linestyle=":", label="hinge loss")
    ax.set(xlabel="score of the right class - score of the other", title="two classes", ylim=(-0.1, 4.2))
    ax.legend(fontsize=9)
    book.save(figure, "zero_one")


def information(book: Book) -> None:
    """-log p falls in p and adds up over independent events; entropy; cross-entropy of two distributions."""
    for name, p in (("half", 0.5), ("quarter", 0.25), ("eighth", 0.125)):
        book.note(f"information_{name}", surprise(p), ".3f")
    coin = np.array([0.5, 0.5])
    book.note("entropy_coin", fastact.entropy(coin), ".3f")
    p = np.array([0.7, 0.3])
    entropy = fastact.entropy(p)
    book.note("entropy_07", entropy, ".3f")
    book.note("divergence", fastact.kl_divergence(p, coin), ".3f")
    q = np.linspace(0.02, 0.98, 481)
    believed, truth = np.stack([q, 1 - q], axis=1), np.tile(p, (len(q), 1))
    crossed = fastact.cross_entropy(believed, truth, from_logits=False, reduction="none")
    book.note("cross_entropy_least_at", q[crossed.argmin()], ".3g")
    book.note("cross_entropy_least", crossed.min(), ".3f")
    if not book.pictures:
        return
    figure, axes = panels(1, 2, 4.6, 3.3)
    x = np.linspace(0.005, 1, 400)
    axes[0, 0].plot(x[:-1], [surprise(v) for v in x[:-1]], color=BLUE, linewidth=2.2)
    axes[0, 0].set(title="information of an event, -log p", xlabel="p", ylim=(-0.1, 5.5))
    axes[0, 1].plot(q, crossed, color=BLUE, linewidth=2.2, label="cross-entropy of (0.7, 0.3) and (q, 1 - q)")
    axes[0, 1].axhline(entropy, color=ORANGE, linestyle=DASHES, label="entropy of (0.7, 0.3)")
    axes[0, 1].set(title="least where q = p", xlabel="q", ylim=(0, 3.4))
    axes[0, 1].legend(fontsize=9, loc="upper right")
    book.save(figure, "entropy")


def surprise(p: float) -> float:
    """-log p, as the cross-entropy of (p, 1 - p) when the first happened."""
    return float(fastact.cross_entropy([p, 1 - p], [1.0, 0.0], from_logits=False))


def worked(book: Book) -> None:
    """The worked examples: -log 0.9, and a batch of two."""
    book.note("two_classes", surprise(0.9), ".4f")
    scores, labels = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1])
    p = fastact.softmax(scores)
    losses = fastact.cross_entropy(scores, labels, reduction="none")
    for row, (letter, label) in enumerate(zip("ab", labels, strict=True)):
        book.note(f"batch_p_{letter}", p[row, label], ".4f")
        book.note(f"batch_loss_{letter}", losses[row], ".4f")
    loss, gradient = fastact.cross_entropy_with_grad(scores, labels)
    book.note("batch_loss", loss, ".4f")
    book.note("batch_nll", fastact.nll_loss(fastact.log_softmax(scores), labels), ".4f")
    book.note("batch_weighted", fastact.cross_entropy(scores, labels, sample_weight=[3, 1]), ".4f")
    book.note("batch_smoothed", fastact.cross_entropy(scores, labels, label_smoothing=0.2), ".4f")
    book.note("too_sure", fastact.cross_entropy([[20.0, 0.0]], [0], label_smoothing=0.2), ".0f")
    for (row, column), value in np.ndenumerate(gradient):
        book.note(f"batch_gradient_{row}{column}", value, ".4f")
    wrong = np.exp(scores[0]) / np.exp(scores[0].sum())
    book.note("wrong_sum", wrong.sum(), ".4f")


def linear_form(book: Book) -> None:
    """softmax, cross-entropy and a linear layer, step by step and in one; softmax regression on the digits."""
    x, test, target, test_target = raw_digits()
    rng = np.random.default_rng(0)
    weight, bias = 0.1 * rng.normal(size=(10, 64)).astype(np.float32), np.zeros(10, np.float32)
    steps = -np.log(fastact.softmax(x @ weight.T + bias)[np.arange(len(x)), target]).mean()
    book.note("chain_steps", steps, ".5f")
    book.note("chain_cross_entropy", fastact.cross_entropy(x @ weight.T + bias, target), ".5f")
    book.note("chain_linear", fastact.linear_cross_entropy(x, weight, target, linear_bias=bias), ".5f")
    for _ in range(500):
        _, _, dw, db = fastact.linear_cross_entropy_with_grad(x, weight, target, linear_bias=bias)
        weight, bias = weight - 0.5 * dw, bias - 0.5 * db
    scores = fastact.linear_softmax(test, weight, linear_bias=bias)
    book.note("softmax_regression", 100 * (1 - fastact.zero_one_loss(scores, test_target)), ".0f")


def pixels(book: Book) -> None:
    """Segmentation: a class for each pixel, the classes along axis 1."""
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(2, 21, 32, 32)), rng.integers(0, 21, (2, 32, 32))
    book.note("pixels", fastact.cross_entropy(scores, labels, axis=1), ".4f")
    book.note("pixels_last", fastact.cross_entropy(np.moveaxis(scores, 1, -1), labels), ".4f")


def two_clouds(weight: Array | None) -> tuple[Array, Array, Array, Array]:
    """A border between 400 points of one class and 20 of another, by softmax regression with class weights."""
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(size=(400, 2)), rng.normal(size=(20, 2)) + np.array([2.0, 1.0])])
    target = np.repeat([0, 1], [400, 20])
    theta, bias = np.zeros((2, 2)), np.zeros(2)
    for _ in range(2000):
        _, _, dtheta, dbias = fastact.linear_cross_entropy_with_grad(x, theta, target, linear_bias=bias, weight=weight)
        theta, bias = theta - 0.5 * dtheta, bias - 0.5 * dbias
    return x, target, theta, bias


def weighted(book: Book) -> None:
    """Class weights move the border towards the common class."""
    runs = {"plain": two_clouds(None), "weighted": two_clouds(np.array([1.0, 20.0]))}
    for name, (x, target, theta, bias) in runs.items():
        chosen = (x @ theta.T + bias).argmax(axis=1)
        for label, word in ((0, "common"), (1, "rare")):
            book.note(f"{name}_{word}", 100 * (chosen == label)[target == label].mean(), ".0f")
    if not book.pictures:
        return
    figure, axes = panels(1, 2, 4.4, 3.4, sharex=True, sharey=True)
    titles = {"plain": "no weights", "weighted": "weight 20 on the rare class"}
    for ax, (name, (x, target, theta, bias)) in zip(axes[0], runs.items(), strict=True):
        ax.scatter(*x[target == 0].T, s=8, color=BLUE, marker="o", label="400 of the common class")
        ax.scatter(*x[target == 1].T, s=22, color=ORANGE, marker="^", label="20 of the rare class")
        normal, offset = theta[1] - theta[0], bias[1] - bias[0]
        across = np.array([-4.0, 5.0])
        ax.plot(across, -(normal[0] * across + offset) / normal[1], color="black", linewidth=1.6, label="border")
        ax.set(
            title=f"{titles[name]}: finds {book.facts[f'{name}_rare']} % of the rare",
            xlim=(-3.4, 4.4),
            ylim=(-3.5, 3.8),
        )
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    book.save(figure, "weighted")


def focal(book: Book) -> None:
    """Focal loss: over p of the right class, and how much of a batch's loss its hardest samples carry."""
    p = np.linspace(0.002, 0.998, 499)
    scores, labels = np.log(np.stack([p, 1 - p], axis=1)), np.zeros(len(p), int)
    for name, at in (("half", 0.5), ("90", 0.9), ("99", 0.99)):
        pair = np.log([[at, 1 - at]])
        book.note(f"focal_{name}", fastact.cross_entropy(pair, [0]) / fastact.focal_loss(pair, [0]), ",.0f")
    x, test, target, test_target = raw_digits()
    network, rng = build("relu")
    fit(network, rng, x, target, 0.1, epochs=10)
    found = network.scores(test)
    each = {gamma: fastact.focal_loss(found, test_target, gamma=gamma, reduction="none") for gamma in (0.0, 2.0)}
    shares = {gamma: np.sort(loss)[::-1].cumsum() / loss.sum() for gamma, loss in each.items()}
    tenth = len(test) // 10
    book.note("focal_share_0", 100 * shares[0.0][tenth - 1], ".0f")
    book.note("focal_share_2", 100 * shares[2.0][tenth - 1], ".0f")
    if not book.pictures:
        return
    figure, axes = panels(1, 2, 4.6, 3.3)
    for gamma, color, dashes in ((0, BLUE, "-"), (0.5, GREEN, ":"), (2, ORANGE, DASHES), (5, PURPLE, "-.")):
        loss = fastact.focal_loss(scores, labels, gamma=gamma, reduction="none")
        name = "0: softmax loss" if gamma == 0 else f"{gamma:g}"
        axes[0, 0].plot(p, loss, color=color, linestyle=dashes, linewidth=2, label=f"gamma = {name}")
    axes[0, 0].set(title="what is nearly right hardly counts", xlabel="p of the right class", ylim=(-0.1, 4))
    axes[0, 0].legend(fontsize=9)
    percent = 100 * np.arange(1, len(test) + 1) / len(test)
    for gamma, color, dashes, name in ((0.0, BLUE, "-", "softmax loss"), (2.0, ORANGE, DASHES, "focal, gamma = 2")):
        axes[0, 1].plot(percent, 100 * shares[gamma], color=color, linestyle=dashes, linewidth=2, label=name)
    axes[0, 1].set(title="the loss of 450 digits, hardest first", xlabel="% of the digits", ylabel="% of the loss")
    axes[0, 1].legend(fontsize=9)
    book.save(figure, "focal")


def distillation(book: Book) -> None:
    """What a teacher's soft targets tell, and a student that learns from them."""
    x, test, target, test_target = raw_digits()
    teacher, rng = build("relu")
    fit(teacher, rng, x, target, 0.1, epochs=60)
    taught = teacher.scores(x)
    few = np.arange(100)
    for name, temperature in (("labels", None), ("teacher", 4.0)):

        student, rng = build("relu", seed=1)
        if temperature is not None:
            student.head.loss = lambda scores, labels, rows, t=temperature: fastact.distillation_loss_with_grad(
                scores, taught[rows], temperature=t
            )
        fit(student, rng, x[few], target[few], 0.05, epochs=200)
        book.note(f"student_{name}", 100 * right(student, test, test_target), ".0f")
    confident = fastact.softmax(taught)
    second = np.sort(confident, axis=1)[:, -2]
    shown = np.flatnonzero((confident.argmax(axis=1) == target) & (second < 0.05))
    shown = shown[second[shown].argmax()]
    soft = fastact.softmax(taught[shown], temperature=4.0)
    book.note("teacher_digit", target[shown], "d")
    book.note("teacher_other", np.argsort(confident[shown])[-2], "d")
    book.note("teacher_sure", 100 * confident[shown].max(), ".0f")
    book.note("teacher_soft", 100 * soft.max(), ".0f")
    book.note("teacher_soft_other", 100 * np.sort(soft)[-2], ".0f")
    if not book.pictures:
        return
    figure, axes = panels(1, 3, 3.3, 2.9, width_ratios=[1, 1.7, 1.7])
    axes[0, 0].imshow(x[shown].reshape(8, 8), cmap="gray_r")
    axes[0, 0].set(title=f"a {target[shown]}", xticks=[], yticks=[])
    axes[0, 0].grid(visible=False)
    for ax, temperature, color in ((axes[0, 1], 1.0, BLUE), (axes[0, 2], 4.0, ORANGE)):
        ax.bar(np.arange(10), 100 * fastact.softmax(taught[shown], temperature=temperature), color=color)
        ax.set(title=f"the teacher at temperature {temperature:g}, %", xlabel="class", xticks=range(10), ylim=(0, 105))
    book.save(figure, "distillation")


def plane(margin: int, lambda_at: Callable[[int], float]) -> tuple[Array, Array, Array]:
    """A network with two features in front of its last layer: those of the test digits 0 to 3, labels, last weights."""
    x, test, target, test_target = raw_digits()
    few, few_test = target < 4, test_target < 4
    x, target, test, test_target = x[few], target[few], test[few_test], test_target[few_test]
    rng = np.random.default_rng(0)
    first, second, last = xavier(rng, 128, 64), xavier(rng, 2, 128), xavier(rng, 4, 2)
    bias = np.zeros(128, np.float32)
    for epoch in range(60):
        order = rng.permutation(len(x))
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            z = x[rows] @ first.T + bias
            h = fastact.relu(z)
            _, dfeatures, dlast = fastact.large_margin_softmax_loss_with_grad(
                h @ second.T, last, target[rows], margin=margin, lambda_=lambda_at(epoch)
            )
            dz = fastact.relu_grad(dfeatures @ second, z)
            steps = ((first, dz.T @ x[rows]), (bias, dz.sum(axis=0)), (second, dfeatures.T @ h), (last, dlast))
            for parameter, gradient in steps:
                parameter -= 0.1 * gradient
    return fastact.relu(test @ first.T + bias) @ second.T, test_target, last


def large_margin(book: Book) -> None:
    """The score by psi beside that by the cosine; features of two dimensions with and without the margin."""
    runs = {
        "plain": plane(1, lambda epoch: 0.0),
        "margin": plane(4, lambda epoch: max(0.5, 20 * (1 - epoch / 40))),
    }
    for name, (features, labels, last) in runs.items():
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        middle = np.stack([unit[labels == label].mean(axis=0) for label in range(4)])
        middle /= np.linalg.norm(middle, axis=1, keepdims=True)
        angle = np.degrees(np.arccos(np.clip((unit * middle[labels]).sum(axis=1), -1, 1)))
        book.note(f"angle_{name}", np.median(angle), ".1f")
        book.note(f"angle_right_{name}", 100 * ((features @ last.T).argmax(axis=1) == labels).mean(), ".0f")
    if not book.pictures:
        return
    figure, axes = panels(1, 3, 3.5, 3.3)
    theta = np.linspace(0, np.pi, 361)
    x, w = np.stack([np.cos(theta), np.sin(theta)], axis=1), np.array([[1.0, 0.0], [0.0, 0.0]])
    for margin, color, dashes in ((1, BLUE, "-"), (2, GREEN, ":"), (4, ORANGE, DASHES)):
        # against a class with the score 0 the loss is log(1 + exp(-score of the label))
        loss = fastact.large_margin_softmax_loss(x, w, np.zeros(len(x), int), margin=margin, reduction="none")
        name = "1: the cosine" if margin == 1 else str(margin)
        axes[0, 0].plot(np.degrees(theta), -np.log(np.expm1(loss)), color=color, linestyle=dashes, linewidth=2,
                        label=f"margin {name}")  # fmt: skip
    axes[0, 0].set(title="score of the right class", xlabel="angle to its weight", xticks=[0, 45, 90, 135, 180])
    axes[0, 0].legend(fontsize=9)
    titles = {"plain": "features by softmax loss", "margin": "features by L-softmax, margin 4"}
    for ax, (name, (features, labels, _)) in zip(axes[0, 1:], runs.items(), strict=True):
        for label, (color, marker) in enumerate(((BLUE, "o"), (ORANGE, "^"), (GREEN, "s"), (PURPLE, "x"))):
            ax.scatter(*features[labels == label].T, s=9, color=color, marker=marker, label=str(label))
        ax.set_title(titles[name])
        ax.legend(fontsize=8, title="digit", title_fontsize=8)
    book.save(figure, "large_margin")


POINTS = [zero_one, information, worked, linear_form, pixels, weighted, focal, distillation, large_margin]
TRAINED = [weighted, focal, distillation, large_margin]
