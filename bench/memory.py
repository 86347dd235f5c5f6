"""Extra memory of cross-entropy of a linear layer, in each library: `python bench/memory.py` (Linux).

A fresh process for each: how far the resident memory rises above what was there with the inputs, at its highest, after
a call with few classes has loaded what must be loaded. The gradients are counted, since they are new arrays too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

LIBRARIES = ("fastact", "torch", "jax", "numpy")


def fastact_calls(x, w, target):
    import fastact

    return (
        lambda: fastact.linear_cross_entropy(x, w, target),
        lambda: fastact.linear_cross_entropy_with_grad(x, w, target),
    )


def torch_calls(x, w, target):
    import torch

    functional = torch.nn.functional  # its linear_cross_entropy (2.13) takes as much memory
    x, w = (torch.from_numpy(a).requires_grad_() for a in (x, w))
    target = torch.from_numpy(target)

    def forward():
        with torch.inference_mode():
            return functional.cross_entropy(functional.linear(x, w), target)

    def with_grad():
        loss = functional.cross_entropy(functional.linear(x, w), target)
        return loss, torch.autograd.grad(loss, (x, w))

    return forward, with_grad


def jax_calls(x, w, target):
    import jax

    def loss(x, w):
        return -jax.numpy.take_along_axis(jax.nn.log_softmax(x @ w.T), target[:, None], 1).mean()

    x, w, target = (jax.numpy.asarray(a) for a in (x, w, target))
    forward, with_grad = jax.jit(loss), jax.jit(jax.value_and_grad(loss, (0, 1)))
    return lambda: jax.block_until_ready(forward(x, w)), lambda: jax.block_until_ready(with_grad(x, w))


def numpy_calls(x, w, target):
    rows = np.arange(len(x))

    def forward():
        z = x @ w.T
        z -= z.max(1, keepdims=True)
        picked = z[rows, target]
        return (np.log(np.exp(z, out=z).sum(1)) - picked).mean()

    def with_grad():
        z = x @ w.T
        z -= z.max(1, keepdims=True)
        picked = z[rows, target]
        sums = np.exp(z, out=z).sum(1, keepdims=True)
        z /= sums
        z[rows, target] -= 1
        z /= len(x)
        return (np.log(sums[:, 0]) - picked).mean(), z @ w, z.T @ x

    return forward, with_grad


def resident(field: str) -> int:
    """VmRSS or VmHWM (the highest it was) in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def measure(library: str, grad: bool, shape: list[int]) -> float:
    """In this process: MiB above what was there."""
    n, d, c = shape
    rng = np.random.default_rng(0)
    calls = globals()[f"{library}_calls"]

    def call(n, c):
        x, w = rng.standard_normal((n, d), np.float32), rng.standard_normal((c, d), np.float32)
        return calls(x, w, rng.integers(0, c, n))[grad]

    call(8, 64)()
    run = call(n, c)
    Path("/proc/self/clear_refs").write_text("5")  # the highest is what is there now
    before = resident("VmRSS")
    result = run()
    assert result is not None
    return (resident("VmHWM") - before) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description="Extra memory of cross-entropy of a linear layer, in MiB.")
    parser.add_argument("--shape", type=int, nargs=3, default=[1024, 512, 32000], metavar=("N", "D", "C"))
    parser.add_argument("--one", nargs=2, metavar=("LIBRARY", "GRAD"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(measure(options.one[0], options.one[1] == "1", options.shape))
        return
    print(f"{'MiB':<14}{'loss':>8}{'loss and gradients':>22}")
    for library in LIBRARIES:
        row = []
        for grad in "01":
            command = [sys.executable, __file__, "--one", library, grad, "--shape", *map(str, options.shape)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            row.append(f"{float(done.stdout):.0f}" if done.returncode == 0 else "-")
        print(f"{library:<14}{row[0]:>8}{row[1]:>22}")


if __name__ == "__main__":
    main()
