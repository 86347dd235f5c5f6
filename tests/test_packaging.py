"""What an installation holds, and what the source tree says without a build."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import zlib
from pathlib import Path

import pytest

import fastact
from fastact import _kernels

PACKAGE = Path(fastact.__file__).parent
ROOT = Path(__file__).parent.parent


def test_headers_are_there() -> None:
    include = Path(fastact.get_include(), "fastact")
    headers = {path.name for path in include.iterdir()}
    assert {"fastact.h", "ops.def"} <= headers
    source = ROOT / "include" / "fastact"
    if source.is_dir():
        assert {path.name for path in source.iterdir()} <= headers, "a header is not shipped"
    for path in include.glob("*.h"):            # whatever they include is shipped too
        for name in re.findall(r'#include "fastact/([^"]+)"', path.read_text()):
            assert name in headers, f"{path.name} includes {name}"


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("header", ["fastact.h", "table.h"])
def test_headers_compile_alone(header: str, tmp_path: Path) -> None:
    source = tmp_path / "user.c"
    source.write_text(f"#include <fastact/{header}>\nint n = FA_NDTYPES;\nint main(void) {{ return n == 0; }}\n")
    command = ["cc", "-Wall", "-Wextra", "-Werror", "-std=c11", f"-I{fastact.get_include()}", "-c", str(source), "-o",
               str(tmp_path / "user.o")]
    subprocess.run(command, check=True)
    if header == "fastact.h":
        return
    fast_math = subprocess.run([*command, "-ffast-math"], capture_output=True, text=True, check=False)
    assert fast_math.returncode != 0
    assert "do not compile it with -ffast-math" in fast_math.stderr


def test_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "_kernels.pyi").exists()
    assert (PACKAGE / "ufuncs.pyi").exists()


def test_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", fastact.__version__)
    try:
        installed = importlib.metadata.version("fastact")
    except importlib.metadata.PackageNotFoundError:
        return                                  # run from the source tree on PYTHONPATH
    assert installed == fastact.__version__


def test_source_tree_without_a_build_says_what_to_do(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "fastact", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "*.c"))
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-S", "-c", "import fastact"]      # without site: an editable fastact would be found
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: fastact: this is the source tree"), last
    assert "pip install -e ." in last
    assert "During handling" not in done.stderr


def test_the_wheel_is_small() -> None:
    """At most 3 MB for all instruction sets together, deflated as in a wheel."""
    here = (path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".pyi", ".pxd", ".typed"})
    files = [Path(_kernels.__file__), *here, *Path(fastact.get_include()).rglob("*.h")]
    sizes = {str(path): len(zlib.compress(path.read_bytes())) for path in files}
    assert sum(sizes.values()) < 2_970_000, sizes      # and 21 kB of names and records


def test_what_others_need_is_in_the_wheel() -> None:
    """By the patterns of pyproject.toml: all headers of the C interface, the types and the Cython declarations."""
    project = ROOT / "pyproject.toml"
    if not project.exists():
        pytest.skip("not a source tree")
    setuptools = tomllib.loads(project.read_text())["tool"]["setuptools"]
    folders = {package: Path(package.replace(".", "/")) for package in setuptools["packages"]}
    folders |= {package: Path(path) for package, path in setuptools["package-dir"].items()}
    packed = {
        path.relative_to(ROOT).as_posix() for package, patterns in setuptools["package-data"].items()
        for pattern in patterns for path in (ROOT / folders[package]).glob(pattern)
    }
    here = ROOT / "fastact"
    needed = [*(ROOT / "include/fastact").iterdir(), *here.glob("*.pyi"), *here.glob("*.pxd"), here / "py.typed"]
    assert {path.relative_to(ROOT).as_posix() for path in needed} == packed


COMPILER = """\
#!/bin/sh
# Makes empty files; refuses what REFUSED matches; keeps its arguments.
echo "$@" >> "$CALLS"
for argument; do
    eval "case \\$argument in $REFUSED) exit 1;; esac"
    [ "$last" = -o ] && : > "$argument"
    last=$argument
done
"""


def built(tmp_path: Path, refused: str, **env: str) -> tuple[str, list[str]]:
    """What setup.py says, and the calls of a compiler that refuses arguments; in the tree of the last call, if any."""
    if sys.platform == "win32" or not (ROOT / "setup.py").exists():
        pytest.skip("needs a source tree and a shell")
    pytest.importorskip("setuptools")
    pytest.importorskip("Cython")
    tree, calls = tmp_path / "tree", tmp_path / "calls"
    if not tree.exists():
        left_out = shutil.ignore_patterns("*.so", "__pycache__", "build", "docs", "tests", "bench", ".*", "*.egg-info")
        shutil.copytree(ROOT, tree, ignore=left_out)
        (tmp_path / "cc").write_text(COMPILER)
        (tmp_path / "cc").chmod(0o755)
    calls.unlink(missing_ok=True)
    env = os.environ | {"CC": str(tmp_path / "cc"), "CALLS": str(calls), "REFUSED": refused} | env
    env.pop("FASTACT_BUILD_ISAS", None)
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "lib", "--build-temp", "temp"]
    done = subprocess.run(command, env=env, cwd=tree, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr, calls.read_text().splitlines() if calls.exists() else []


def test_a_compiler_that_lacks_openmp_and_an_instruction_set(tmp_path: Path) -> None:
    """Serial, without these kernels, and the build says so."""
    said, calls = built(tmp_path, "-fopenmp|-march=x86-64-v4")
    assert "no OpenMP found: building a serial fastact" in said
    made = [call for call in calls if "probe" not in call]
    assert not [call for call in made if re.search(r"-fopenmp( |$)|-lomp|-march=x86-64-v4", call)]
    kernels = {match[1] for call in made if (match := re.search(r"-DFA_ISA=(\w+)", call))}
    assert kernels == set(_kernels.compiled_isas()) - {"avx512"}
    if "avx512" in _kernels.compiled_isas():
        assert "does not know the flags of avx512: building without" in said
    assert {name for name in kernels if any(f"FA_EACH({name})" in call for call in made)} == kernels
    assert sum("-DFA_ISA=" in call for call in made) == 3 * len(kernels)


def test_kernels_are_compiled_again_when_what_they_are_made_of_changed(tmp_path: Path) -> None:
    """Not because _kernels.c is new, as pip makes it each time."""

    def compiled(changed: str = "", **env: str) -> tuple[int, int]:
        """How many objects of kernels and of _kernels.c."""
        if changed:
            os.utime(tmp_path / "tree" / changed, (time.time() + 60,) * 2)
        calls = [call for call in built(tmp_path, "-nothing", **env)[1] if " -c " in call and "probe" not in call]
        return sum("-DFA_ISA=" in call for call in calls), sum("fastact/_kernels.c " in call for call in calls)

    kernels, one = compiled()
    assert kernels >= 3
    assert one == 1
    assert compiled() == (0, 0)
    assert compiled("fastact/_kernels.c") == (0, 1)
    assert compiled(CFLAGS="-g1") == (kernels, 1)
    assert compiled("include/fastact/gelu.h", CFLAGS="-g1") == (kernels, 1)


def test_openmp_that_is_where_ldflags_say(tmp_path: Path) -> None:
    """As with Apple's clang, for which libomp is installed apart."""
    said, calls = built(tmp_path, "-march=x86-64-v4", CPPFLAGS="-I/omp/include", LDFLAGS="-L/omp/lib")
    assert "OpenMP" not in said
    probes = [call for call in calls if "probe.o" in call and " -c " not in call]
    assert probes
    assert all("-L/omp/lib" in call for call in probes)
    assert "-fopenmp" in calls[-1]
    assert "-L/omp/lib" in calls[-1]


@pytest.mark.parametrize("script", ["compare", "floor", "report"])
def test_a_benchmark_without_its_extra_says_what_to_install(script: str) -> None:
    path = ROOT / "bench" / f"{script}.py"
    if not path.exists():
        pytest.skip("not a source tree")
    run = f"import runpy, sys; sys.modules['tabulate'] = None; sys.path.insert(0, {str(path.parent)!r})"
    command = [sys.executable, "-c", f"{run}; runpy.run_path({str(path)!r}, run_name='__main__')"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "tabulate is missing: install the bench extra: pip install '.[bench]'\n"


def test_sources_for_a_build_are_in_the_manifest() -> None:
    manifest = ROOT / "MANIFEST.in"
    if not manifest.exists():
        pytest.skip("not a source tree")
    text = manifest.read_text()
    for suffix in ("c", "h", "pyx", "pxi", "pyi"):
        assert f"fastact/*.{suffix}" in text
    assert "graft include" in text
    assert "fastact/py.typed" in text
    setup = (ROOT / "setup.py").read_text()
    for path in (ROOT / "fastact").glob("*.pyx"):
        assert f"fastact/{path.name}" in setup
