"""The `fastact` command: `demo` (the default), `info`, `plot`."""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import fastact
from fastact._catalog import ACTIVATIONS, CURVES

LOSSES = ("cross_entropy", "focal", "distillation", "large_margin")
# What each command imports beyond NumPy: module -> name of the package. All of it is in the `demo` extra.
NEEDS = {
    "demo": {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "tqdm": "tqdm"},
    "plot": {"matplotlib": "matplotlib"},
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(sys.argv[1:] if arguments is None else arguments)
    missing = [package for module, package in NEEDS.get(options.command, {}).items() if not importable(module)]
    if missing:
        print(
            f"fastact {options.command} needs {', '.join(missing)}, not found by {sys.executable}.\n"
            "Install the demo extra:  pip install 'fastact[demo]'\n"
            "  from the source tree:  pip install '.[demo]'",
            file=sys.stderr,
        )
        return 2
    try:
        code = run(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever reads the output has had enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return 1
    except OSError as error:  # a folder that cannot be made or written
        print(f"fastact {options.command}: {error}", file=sys.stderr)
        return 1


def run(options: argparse.Namespace) -> int:
    """The command itself; its modules are imported by nobody else."""
    if options.command == "info":
        fastact.show_config()
        return 0
    options.out.mkdir(parents=True, exist_ok=True)  # fail before the training, not after
    if options.command == "plot":
        from fastact import _plot

        print("wrote", _plot.draw_activations(options.names or list(ACTIVATIONS), options.out))
    else:
        from fastact import _demo

        return _demo.run(options)
    return 0


def importable(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError:
        return False
    return True


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    commands = ("demo", "info", "plot")
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version")):
        arguments = ["demo", *arguments]
    parser = argparse.ArgumentParser(
        prog="fastact",
        description="Activations, softmax and losses on NumPy arrays. Without a command: demo.",
        epilog="fastact COMMAND --help explains the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"fastact {fastact.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="{" + ",".join(commands) + "}", required=True)
    demo = subparsers.add_parser(
        "demo",
        help="train a network on handwritten digits, time it beside NumPy and scikit-learn, draw pictures",
        description="Train a 64-128-10 perceptron on scikit-learn's 1 797 handwritten digits. fastact computes every "
        "activation, softmax, loss and gradient, NumPy the matrix products.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    demo.add_argument(
        "--activation",
        default="relu",
        choices=list(ACTIVATIONS),
        metavar="NAME",
        help="of the hidden layer: " + ", ".join(ACTIVATIONS),
    )
    demo.add_argument("--loss", default="cross_entropy", choices=LOSSES, help="to minimise")
    demo.add_argument("--epochs", type=number(int, 1), default=60, help="passes over the training digits")
    demo.add_argument(
        "--lr", type=number(float), default=0.6, help="learning rate at the start; it falls to 0 in a straight line"
    )
    demo.add_argument("--batch-size", type=number(int, 1), default=32, help="digits per step")
    demo.add_argument(
        "--seed", type=number(int, 0, 2**32 - 1), default=0, help="of the split, the initial weights and the order"
    )
    demo.add_argument("--out", type=Path, default=Path("fastact-demo"), help="folder of the pictures")
    subparsers.add_parser(
        "info",
        help="print version, instruction sets, compiler and threads",
        description="Print fastact's version, the instruction sets available and in use, compiler, OpenMP and threads.",
    )
    plot = subparsers.add_parser(
        "plot",
        help="draw activations with their derivatives",
        description="Draw activations with their derivatives on one sheet, activations.png.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    plot.add_argument("names", nargs="*", metavar="NAME", help="what to draw; all but the gated if no name is given")
    plot.add_argument("--out", type=Path, default=Path("fastact-demo"), help="folder of the picture")
    options = parser.parse_args(arguments)
    unknown = [name for name in getattr(options, "names", []) if name not in CURVES]
    if unknown:
        plot.error(f"no activation {', '.join(unknown)}; choose from {', '.join(CURVES)}")
    return options


def number(kind: type, least: float | None = None, most: float = math.inf) -> Callable[[str], float]:
    """An argparse type: a finite number, at least `least` (above 0 without it) and at most `most`."""

    def convert(text: str) -> float:
        value: float = kind(text)
        if not (value > 0 if least is None else value >= least) or value == math.inf:
            wanted = "above 0" if least is None else f"at least {least}"
            raise argparse.ArgumentTypeError(f"must be {wanted}, got {text}")
        if value > most:
            raise argparse.ArgumentTypeError(f"must be at most {most}, got {text}")
        return value

    convert.__name__ = kind.__name__  # for argparse's "invalid int value"
    return convert


if __name__ == "__main__":
    sys.exit(main())
