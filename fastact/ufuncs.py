"""The raw ufuncs: every elementwise operation and its gradient, and the rows as generalised ufuncs.

Parameters are operands, after the tensors and in the order of the function's signature: ``ufuncs.elu(x, alpha)``,
``ufuncs.elu_grad(dy, x, alpha)``.

Examples
--------
>>> import numpy as np
>>> from fastact import ufuncs
>>> ufuncs.leaky_relu(np.float32([-1, 2]), np.float32(0.5))
array([-0.5,  2. ], dtype=float32)
"""

from __future__ import annotations

from fastact import _kernels

globals().update(_kernels.UFUNCS)
__all__ = sorted(_kernels.UFUNCS)
