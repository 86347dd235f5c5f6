"""What runs where: show_config and get_include."""

from __future__ import annotations

import os
import platform
from typing import Any, Literal, overload

import numpy as np

from fastact import _kernels
from fastact._dispatch import check_choice
from fastact._threads import get_num_threads
from fastact._version import __version__


@overload
def show_config(mode: Literal["stdout"] = ...) -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show which instruction set runs and how fastact was built.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print it, or return it as a dict.

    Raises
    ------
    ValueError
        If `mode` is another word.

    Examples
    --------
    >>> import fastact
    >>> fastact.show_config(mode="dicts")["isa"]["in_use"] in fastact.show_config(mode="dicts")["isa"]["available"]
    True
    """
    check_choice("show_config", "mode", mode, ("stdout", "dicts"))
    build = _kernels.build_info()
    config = {
        "fastact": __version__,
        "isa": {
            "in_use": _kernels.current_isa(),
            "available": _kernels.available_isas(),
            "compiled": _kernels.compiled_isas(),
        },
        "compiler": build["compiler"],
        "openmp": build["openmp"] or "none (serial build)",
        "threads": get_num_threads(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    if mode == "dicts":
        return config
    for key, value in config.items():
        if isinstance(value, dict):
            value = "; ".join(f"{k} {v if isinstance(v, str) else ', '.join(v)}" for k, v in value.items())
        print(f"{key + ':':<10} {value}")
    return None


def get_include() -> str:
    """Return the folder of fastact's C headers, for ``-I``.

    Examples
    --------
    >>> import fastact, pathlib
    >>> pathlib.Path(fastact.get_include(), "fastact", "fastact.h").exists()
    True
    """
    package = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (pathlib is slow to import)
    for folder in (package, os.path.dirname(package)):  # noqa: PTH120 (installed; editable)
        if os.path.exists(f"{folder}/include/fastact/fastact.h"):  # noqa: PTH110
            return f"{folder}/include"
    raise FileNotFoundError(f"fastact: no include folder beside {package}: the installation is incomplete")
