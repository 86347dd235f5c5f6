"""The `fastact` command: what it prints, draws and refuses."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import linear
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fastact
from fastact import _plain
from fastact.__main__ import LOSSES, main, parse
from fastact._catalog import ACTIVATIONS, CURVES

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def one_blas_thread():
    """As in the demo itself: two threads cost milliseconds on a busy machine."""
    with threadpool_limits(1, "blas"):
        yield


def console(*arguments, cwd):
    """Run the console script as a user does; an uninstalled source tree has only its module."""
    script = Path(sysconfig.get_path("scripts"), "fastact")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "fastact"]
    return run([*command, *arguments], cwd)


def run(command, cwd):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def is_picture(path):
    return path.read_bytes().startswith(PNG) and path.stat().st_size > 5_000


def test_demo_without_a_command_trains_compares_and_draws(tmp_path):
    done = console("--epochs", "4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^test accuracy 0\.9\d{3}: 4\d\d of 450 right", done.stdout, re.MULTILINE)
    for row in ("fastact", "plain NumPy formulas", "scikit-learn MLPClassifier, relu"):
        assert re.search(rf"^  {row} +\d+\.\d\d ms +\d+\.\d\dx +0\.\d{{4}}$", done.stdout, re.MULTILINE), done.stdout
    assert "training: 100%" in done.stderr
    assert is_picture(tmp_path / "fastact-demo" / "training.png")
    assert is_picture(tmp_path / "fastact-demo" / "activations.png")


def test_demo_shows_prelus_alpha_moving(tmp_path, capsys):
    assert main(["demo", "--activation", "prelu", "--epochs", "3", "--out", str(tmp_path)]) == 0
    low, high = re.search(r"alpha: 0\.250 .* now (\S+) to (\S+), mean", capsys.readouterr().out).groups()
    assert float(low) < 0.25 < float(high)
    assert is_picture(tmp_path / "training.png")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_demo_reaches_096_with_every_activation(name):
    from fastact import _demo

    options = parse(["demo", "--activation", name])
    _, history, _ = _demo.train(_demo.set_up(options, _demo.load(options.seed)))
    assert history["test"][-1] >= 0.96


@pytest.mark.parametrize("seed", ["0", "1"])
@pytest.mark.parametrize("loss", LOSSES)
def test_demo_reaches_096_with_every_loss(loss, seed):
    from fastact import _demo

    options = parse(["demo", "--loss", loss, "--seed", seed])
    _, history, _ = _demo.train(_demo.set_up(options, _demo.load(options.seed)))
    assert history["test"][-1] >= 0.96
    assert history["loss"][-1] < history["loss"][0] / 5


@pytest.mark.parametrize(
    ("loss", "row"),
    [
        ("focal", "plain NumPy formulas"),
        ("distillation", "plain NumPy formulas"),
        ("large_margin", "(relu with large_margin has no plain NumPy formulas here)"),
    ],
)
def test_demo_compares_every_loss(loss, row, tmp_path, capsys):
    assert main(["--loss", loss, "--epochs", "3", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^test accuracy 0\.[89]\d{3}: ", text, re.MULTILINE)
    assert ("the teacher's test accuracy" in text) == (loss == "distillation")
    assert row in text
    assert "(scikit-learn trains with cross-entropy)" in text


TWINS = [(name, "cross_entropy") for name in sorted(_plain.ACTIVATIONS.keys() & ACTIVATIONS.keys())]


@pytest.mark.parametrize(("name", "loss"), [*TWINS, ("relu", "focal"), ("relu", "distillation")])
def test_demo_and_its_plain_twin_train_alike(name, loss):
    from fastact import _demo

    options = parse(["demo", "--activation", name, "--loss", loss])
    digits = _demo.load(options.seed)
    teacher = np.random.default_rng(1).normal(0, 4, (len(digits.train), 10)).astype(np.float32)
    task = _demo.Teaching(options, digits, teacher)
    losses = []
    with np.errstate(over="ignore"):
        for build in (_demo.fastact_network, _demo.plain_network):
            network = build(task, np.random.default_rng(0))
            losses.append(
                [network.epoch(digits.train, digits.train_target, np.arange(320) + 320 * k, 32, 0.1) for k in range(4)]
            )
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert losses[0][-1] < losses[0][0]


def test_the_loss_of_an_epoch_is_the_mean_over_its_digits():
    from fastact import _demo

    options = parse(["demo"])
    digits = _demo.load(options.seed)
    network = _demo.fastact_network(_demo.Teaching(options, digits), np.random.default_rng(0))
    loss = network.epoch(digits.train, digits.train_target, np.arange(500), 32, 0.0)
    expected = fastact.cross_entropy(network.scores(digits.train[:500]), digits.train_target[:500])
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_the_large_margin_head_asks_for_a_margin():
    from fastact import _demo

    assert _demo.MARGIN > 1
    rng = np.random.default_rng(0)
    head = _demo.LargeMarginHead(rng, 128, 10)
    h, target = rng.normal(size=(40, 128)).astype(np.float32), rng.integers(0, 10, 40)
    z = linear.margin_logits(h.astype(float), head.weight.astype(float), target, _demo.MARGIN, _demo.LAMBDA)
    loss, _, _ = head.loss_with_grad(h, target, np.arange(40))
    assert loss == pytest.approx(linear.loss_of_logits(z, target)[0], rel=1e-5)


def test_the_student_sees_its_teachers_scores(capsys):
    from fastact import _demo

    options = parse(["demo", "--loss", "distillation", "--epochs", "1"])
    digits = _demo.load(options.seed)
    teacher, _, _ = _demo.train(_demo.Teaching(parse(["demo", "--epochs", "1"]), digits))
    task = _demo.set_up(options, digits)
    np.testing.assert_array_equal(task.teacher, teacher.scores(digits.train))


def test_demo_says_that_training_diverged(tmp_path, capsys):
    assert main(["--lr", "1e6", "--epochs", "2", "--out", str(tmp_path)]) == 1
    assert "diverged" in capsys.readouterr().err


def test_info_prints_what_runs(tmp_path):
    done = console("info", cwd=tmp_path)
    config = fastact.show_config(mode="dicts")
    assert done.returncode == 0
    assert all(str(config[key]) in done.stdout for key in ("fastact", "compiler", "openmp", "threads", "numpy"))
    assert config["isa"]["in_use"] in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end in another way there")
def test_info_into_a_closed_pipe(tmp_path):
    read, write = os.pipe()
    os.close(read)
    try:
        code = "import sys; from fastact.__main__ import main; sys.exit(main(['info']))"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True, timeout=120,
            check=False,
        )  # fmt: skip
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_plot_draws_the_named_activations(tmp_path, capsys):
    assert main(["plot", "tanh", "elu", "swiglu", "glu", "--out", str(tmp_path / "new" / "folder")]) == 0
    assert is_picture(tmp_path / "new" / "folder" / "activations.png")
    assert "activations.png" in capsys.readouterr().out


def test_plot_names_what_it_knows(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["plot", "relu", "nonesuch", "--out", str(tmp_path)])
    assert stop.value.code == 2
    text = capsys.readouterr().err
    assert "nonesuch" in text
    assert all(name in text for name in CURVES)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--epochs", "0"], "--epochs: must be at least 1, got 0"),
        (["--lr", "-0.5"], "--lr: must be above 0, got -0.5"),
        (["--lr", "nan"], "--lr: must be above 0, got nan"),
        (["--batch-size", "x"], "--batch-size: invalid int value: 'x'"),
        (["--seed", "-1"], "--seed: must be at least 0, got -1"),
        (["--seed", "5000000000"], "--seed: must be at most 4294967295, got 5000000000"),
        (["--seed", "1" + 400 * "0"], "--seed: must be at most 4294967295, got 1000"),
        (["--activation", "nonesuch"], "nonesuch"),
        (["--loss", "nonesuch"], "nonesuch"),
    ],
)
def test_bad_arguments_are_named(arguments, text, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert text in capsys.readouterr().err


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--out", str(tmp_path / "file" / "x")]) == 1
    assert "fastact demo:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "blocked", "named"),
    [
        ("demo", ["sklearn", "tqdm"], "scikit-learn, tqdm"),
        ("demo", ["matplotlib"], "matplotlib"),
        ("plot", ["matplotlib"], "matplotlib"),
    ],
)
def test_without_the_demo_extra_it_says_what_to_install(command, blocked, named, tmp_path):
    block = f"import sys; sys.modules.update(dict.fromkeys({blocked}))"
    code = f"{block}; from fastact.__main__ import main; sys.exit(main(['{command}']))"
    done = run([sys.executable, "-c", code], tmp_path)
    assert done.returncode == 2
    assert f"needs {named}, " in done.stderr
    assert "pip install 'fastact[demo]'" in done.stderr
    assert "pip install '.[demo]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_version(tmp_path):
    done = console("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("demo", "info", "plot"))
    assert console("--version", cwd=tmp_path).stdout == f"fastact {fastact.__version__}\n"
    options = ("activation", "loss", "epochs", "lr", "batch-size", "seed", "out")
    text = console("demo", "--help", cwd=tmp_path).stdout
    assert all(f"--{option}" in text for option in options)


def test_the_command_is_not_imported_with_fastact(tmp_path):
    unwanted = ["sklearn", "scipy", "matplotlib", "tqdm", "fastact._demo", "fastact._mlp", "fastact._plot"]
    code = f"import sys, fastact; print([m for m in {unwanted} if m in sys.modules])"
    assert run([sys.executable, "-c", code], tmp_path).stdout == "[]\n"
