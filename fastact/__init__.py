"""fastact: fast and accurate activations, softmax and losses on NumPy arrays."""

try:
    from fastact._kernels import _C_API as _C_API
except ModuleNotFoundError as error:
    if error.name != "fastact._kernels":
        raise
    raise ImportError(
        "fastact: this is the source tree, not an installed fastact: run `pip install -e .` here, or change directory"
    ) from None

from fastact import _threads, metrics, ufuncs
from fastact._config import get_include, show_config
from fastact._threads import get_num_threads, set_num_threads, threads
from fastact._version import __version__
from fastact.activations import *  # noqa: F403
from fastact.activations import __all__ as _activations
from fastact.binary import *  # noqa: F403
from fastact.binary import __all__ as _binary
from fastact.cross_entropy import *  # noqa: F403
from fastact.cross_entropy import __all__ as _cross_entropy
from fastact.divergence import *  # noqa: F403
from fastact.divergence import __all__ as _divergence
from fastact.focal import *  # noqa: F403
from fastact.focal import __all__ as _focal
from fastact.gated import *  # noqa: F403
from fastact.gated import __all__ as _gated
from fastact.gradients import *  # noqa: F403
from fastact.gradients import __all__ as _gradients
from fastact.linear import *  # noqa: F403
from fastact.linear import __all__ as _linear_layer
from fastact.regression import *  # noqa: F403
from fastact.regression import __all__ as _regression
from fastact.rows import *  # noqa: F403
from fastact.rows import __all__ as _rows
from fastact.smooth import *  # noqa: F403
from fastact.smooth import __all__ as _smooth

_threads._start()

__all__ = [
    *_activations, *_smooth, *_gated, *_gradients, *_rows, *_cross_entropy, *_divergence, *_focal, *_linear_layer,
    *_binary, *_regression, "__version__", "get_include", "get_num_threads", "metrics", "set_num_threads",
    "show_config", "threads", "ufuncs",
]
