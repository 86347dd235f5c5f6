"""Softmax losses of a linear layer by the formula, in float64 NumPy, for the tests of the blocked ones."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray


def psi(cosine: Array, margin: int) -> Array:
    """(-1)^k cos(margin theta) - 2k for theta in [k pi/margin, (k + 1) pi/margin]."""
    theta = np.arccos(cosine)
    k = np.minimum(np.floor(theta * margin / np.pi), margin - 1)
    return (-1.0) ** k * np.cos(margin * theta) - 2 * k


def margin_logits(x: Array, w: Array, labels: Array, margin: int, lambda_: float) -> Array:
    """The logits of large_margin_softmax_loss."""
    z = x @ w.T
    for i, label in enumerate(labels):
        if 0 <= label < len(w):
            lengths = np.sqrt((w[label] @ w[label]) * (x[i] @ x[i]))
            cosine = np.clip(z[i, label] / lengths, -1, 1) if lengths else 0.0
            z[i, label] = (lambda_ * z[i, label] + lengths * psi(cosine, margin)) / (1 + lambda_)
    return z


def loss_of_logits(
    z: Array, target: Any, weight: Any = None, ignore_index: int | None = -100, label_smoothing: float = 0.0,
    reduction: str = "mean", sample_weight: Any = None,
) -> tuple[Any, Array]:
    """(loss, gradient with respect to z)."""
    n, c = z.shape
    target = np.asarray(target)
    w = np.ones(c) if weight is None else np.asarray(weight, float)
    s = np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
    counts = np.ones(n, bool)
    if target.ndim == 1:
        counts = np.ones(n, bool) if ignore_index is None else target != ignore_index
        a = np.zeros((n, c))
        a[counts, target[counts]] = 1
        total = (s * w[np.where(counts, target, 0)])[counts].sum()
    else:
        a, total = target.astype(float), s.sum()
    a = (a * (1 - label_smoothing) + label_smoothing / c) * w
    each, dz = np.zeros(n), np.zeros((n, c))
    for i in np.flatnonzero(counts & (s != 0)):
        d = z[i] - z[i].max()
        log_p = d - np.log1p(np.delete(np.exp(d), d.argmax()).sum())
        used = a[i] != 0
        each[i] = -s[i] * (a[i][used] * log_p[used]).sum()
        dz[i] = s[i] * (a[i].sum() * np.exp(log_p) - a[i])
    if reduction == "none":
        return each, dz
    if reduction == "sum":
        return each.sum(), dz
    return each.sum() / total if total else np.nan, dz / total if total else np.zeros_like(dz)


def linear_reference(
    x: Array, w: Array, target: Any, linear_bias: Any = None, **options: Any
) -> tuple[Any, Array, Array, Array]:
    """(loss, dx, dlinear_weight, dlinear_bias)."""
    x, w = np.asarray(x, float), np.asarray(w, float)
    with np.errstate(all="ignore"):
        z = x @ w.T + (0 if linear_bias is None else np.asarray(linear_bias, float))
        loss, dz = loss_of_logits(z, target, **options)
    x = np.where(dz.any(1)[:, None], x, 0)              # an ignored sample may hold anything
    return loss, dz @ w, dz.T @ x, dz.sum(0)
