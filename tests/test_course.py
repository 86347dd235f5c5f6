"""The worked examples of a course on activations and classification losses (softmax regression: in docs/losses.md)."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fastact

SCORES, LABELS = [[0.9, 0.1], [0.2, 0.8]], [0, 1]  # one sample of class A, one of class B


def test_cross_entropy_of_two_classes():
    """The truth (1, 0), the prediction (0.9, 0.1): only the true class counts."""
    p, y = np.array([0.9, 0.1]), np.array([1.0, 0.0])
    assert fastact.cross_entropy(p, y, from_logits=False) == pytest.approx(-math.log(0.9), rel=1e-15)
    assert fastact.cross_entropy(np.log(p), y) == pytest.approx(-math.log(0.9), rel=1e-14)
    assert fastact.cross_entropy(np.log(p), 0) == pytest.approx(-math.log(0.9), rel=1e-14)


def test_softmax_loss_of_a_batch_of_two():
    a = math.exp(0.9) / (math.exp(0.9) + math.exp(0.1))
    b = math.exp(0.8) / (math.exp(0.2) + math.exp(0.8))
    assert_allclose(fastact.softmax(SCORES), [[a, 1 - a], [1 - b, b]], rtol=1e-14)
    loss, gradient = fastact.cross_entropy_with_grad(SCORES, LABELS)
    assert loss == pytest.approx(-(math.log(a) + math.log(b)) / 2, rel=1e-14)
    assert loss > 0
    assert_allclose(gradient, np.array([[a - 1, 1 - a], [1 - b, b - 1]]) / 2, rtol=1e-13)


def test_softmax_loss_is_softmax_then_cross_entropy():
    one_hot = np.eye(2)[LABELS]
    in_two_steps = fastact.cross_entropy(np.log(fastact.softmax(SCORES)), one_hot)
    assert in_two_steps == pytest.approx(fastact.cross_entropy(SCORES, LABELS), rel=1e-14)


def test_softmax_loss_in_its_linear_form():
    """-1/n sum log(e^(W_y.x + b_y) / sum_j e^(W_j.x + b_j))."""
    x, w, b = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([[0.5, 0.2], [-0.3, 0.4]]), np.array([0.0, 0.1])
    terms = [
        math.log(math.exp(w[y] @ row + b[y]) / sum(math.exp(w[j] @ row + b[j]) for j in range(2)))
        for row, y in zip(x, LABELS, strict=True)
    ]
    assert fastact.linear_cross_entropy(x, w, LABELS, linear_bias=b) == pytest.approx(-sum(terms) / 2, rel=1e-14)
    assert fastact.cross_entropy(x @ w.T + b, LABELS) == pytest.approx(-sum(terms) / 2, rel=1e-14)


def test_softmax_divides_by_the_sum_of_exponentials():
    p = fastact.softmax(SCORES[0])
    assert p.sum() == pytest.approx(1, abs=1e-15)
    assert not np.allclose(p, np.exp(SCORES[0]) / np.exp(np.sum(SCORES[0])))


def test_softmax_of_two_classes_is_logistic():
    z = np.linspace(-30, 30, 121)
    assert_allclose(fastact.softmax(np.stack([z, np.zeros_like(z)]), axis=0)[0], fastact.sigmoid(z), rtol=1e-14)


def test_relu_has_two_slopes_at_zero():
    h = 2.0**-10
    assert (fastact.relu(0.0) - fastact.relu(-h)) / h == 0
    assert (fastact.relu(h) - fastact.relu(0.0)) / h == 1
    assert fastact.relu_grad(1.0, 0.0) == 0
