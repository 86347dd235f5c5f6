"""What is timed: one Case per function, shape and dtype. Elementwise operations come from fastact's own list."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from math import prod

ELEMENTS = (64, 1024, 32768, 2**20, 2**24)
ROWS = ((1, 1000), (32, 1000), (4096, 128), (6144, 512), (1024, 32000), (8, 50257), (65536, 10))
SEGMENTATION = (8, 21, 256, 256)  # N, C, H, W; beside it, the same numbers with the classes last
LITTLE = ((32, 10), (32, 1000))  # a batch of labels, where the call itself counts
LABELLED = ((256, 1000), (1024, 32000), (512, 50257), (65536, 10))
LINEAR = ((1024, 512, 32000),)  # samples, features, classes
SOME_LABELLED = ((256, 1000), (1024, 32000))
DISTRIBUTIONS = ((6144, 512), (65536, 10))
MARGIN = (1024, 512, 1000)
POINTWISE = (1024, 32768, 2**20, 2**24)
SCORED = (2**20, 2**24)

METRICS = (
    "mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "mean_absolute_percentage_error",
    "median_absolute_error", "max_error", "mean_pinball_loss", "r2_score", "explained_variance_score",
)  # fmt: skip

RUNTIME = {"get_include", "get_num_threads", "set_num_threads", "show_config", "threads"}
# An operation that is reached through an option of a public function.
THROUGH_OPTION = {"gelu_tanh": ("gelu", {"approximate": "tanh"})}
# The gate of glu, which takes both its tensors from one array.
HALVES = {"siglu": "glu"}
# Options whose default changes nothing, so that no peer needs to know them.
NEUTRAL = ("axis", "ignore_index", "label_smoothing", "temperature", "lambda_", "block_bytes")


@dataclass(frozen=True)
class Case:
    """One function of fastact at one shape and dtype; `op` is the operation whose value or gradient it computes."""

    family: str
    op: str
    function: str
    shape: tuple[int, ...]
    dtype: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: tuple[tuple[str, float], ...] = ()  # as the signature of the public function has them
    options: tuple[tuple[str, object], ...] = ()  # written out in the call of fastact
    axis: int = -1
    fresh: bool = False
    reads: int = 1  # arrays of full size that must be read and written: the floor for large ones
    writes: int = 1

    @property
    def name(self) -> str:
        axis = "" if self.axis == -1 else f"/axis={self.axis}"
        return f"{self.function}/{'x'.join(map(str, self.shape))}/{self.dtype}{axis}{'/fresh' if self.fresh else ''}"

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def is_gradient(self) -> bool:
        return self.function.endswith(("_grad", "_with_grad"))


def select(dtypes, sizes, only, fresh) -> tuple[list[Case], list[str]]:
    """The cases that the options ask for, large ones last, and notes on operations that cannot be called yet."""
    maps, notes = map_cases(dtypes, sizes or ELEMENTS, fresh)
    found = maps + [
        case
        for dtype in dtypes
        for case in [*row_cases(dtype, fresh), *loss_cases(dtype, fresh), *metric_cases(dtype)]
        if not sizes or case.size in sizes
    ]
    notes += without_case(found) if not sizes else []
    if only:
        found = [case for case in found if any(text in case.name for text in only)]
    order = {family: i for i, family in enumerate(("activations", "gradients", "rows", "losses", "metrics"))}
    return sorted(found, key=lambda case: (order[case.family], case.size, case.dtype)), notes


def map_cases(dtypes, sizes, fresh) -> tuple[list[Case], list[str]]:
    import fastact
    from fastact import _kernels

    cases, notes = [], []
    for entry in _kernels.MAPS:
        op = entry["name"].removesuffix("_grad")
        public, options = THROUGH_OPTION.get(op, (HALVES.get(op, op), {}))
        public_name = public + ("_grad" if entry["grad"] else "")
        function = getattr(fastact, public_name, None)
        if function is None:
            notes.append(f"fastact.{public_name} does not exist yet: not timed")
            continue
        for dtype in dtypes:
            for size in sizes:
                make = _halves_case if op in HALVES else _map_case
                cases.append(make(entry, op, function, options, (size,), dtype, fresh))
    return cases, notes


def _halves_case(entry, op, function, options, shape, dtype, fresh) -> Case:
    """The gated unit glu on rows of 512 or less: `shape` counts the elements of the output."""
    half = min(shape[0], 256)
    rows = shape[0] // half
    grad = entry["grad"]
    return Case(
        family="rows", op=function.__name__.removesuffix("_grad"),
        function=function.__name__, shape=(rows, half), dtype=dtype, inputs=("dy", "x2") if grad else ("x2",),
        outputs=("dx2",) if grad else ("y",), fresh=fresh, reads=3 if grad else 2, writes=2 if grad else 1,
    )  # fmt: skip


def _map_case(entry, op, function, options, shape, dtype, fresh) -> Case:
    params = scalar_defaults(function)
    array_params = ("alpha",) if entry["params"] > len(params) else ()  # prelu's alpha is an operand
    if entry["kind"] == "gated":
        tensors = ("gate", "up")
    else:
        tensors = ("y",) if entry["grad"] and entry["saves_output"] else ("x",)
    if entry["grad"]:
        inputs = ("dy", *tensors, *array_params)
        outputs = tuple(f"d{name}" for name in inputs[1:]) if len(inputs) > 2 else ("dx",)
    else:
        inputs, outputs = (*tensors, *array_params), ("y",)
    return Case(
        family="gradients" if entry["grad"] else "activations", op=op, function=entry["name"], shape=shape,
        dtype=dtype, inputs=inputs, outputs=outputs, params=tuple(params.items()), options=tuple(options.items()),
        fresh=fresh, reads=len(inputs) - len(array_params), writes=len(outputs) - len(array_params) * entry["grad"],
    )  # fmt: skip


def scalar_defaults(function) -> dict[str, float]:
    """The numeric options of a public function (if there is one) with their defaults, in its own order."""
    return {} if function is None else {
        parameter.name: parameter.default
        for parameter in inspect.signature(function).parameters.values()
        if type(parameter.default) in (int, float) and parameter.name not in NEUTRAL
    }


def row_cases(dtype, fresh) -> list[Case]:
    import fastact

    def rows(op, shape, axis=-1):
        def make(function, inputs, outputs, reads, writes):
            return Case("rows", op, function, shape, dtype, inputs, outputs,
                        axis=axis, fresh=fresh, reads=reads, writes=writes)  # fmt: skip

        if op == "logsumexp":
            return [make(op, ("x",), ("y",), 1, 0)]
        return [make(op, ("x",), ("y",), 1, 1), make(f"{op}_grad", ("dy", "y"), ("dx",), 2, 1)]

    n, classes, height, width = SEGMENTATION
    shapes = [(shape, -1) for shape in ROWS] + [((n * height * width, classes), -1), (SEGMENTATION, 1)]
    cases = [
        case
        for op in ("softmax", "log_softmax", "logsumexp")
        for shape, axis in shapes
        for case in rows(op, shape, axis)
    ]
    for shape in DISTRIBUTIONS:
        for op, inputs in (("entropy", ("p",)), ("kl_divergence", ("p", "q"))):
            cases.append(Case("rows", op, op, shape, dtype, inputs, ("y",), reads=len(inputs), writes=0))
    cases.append(Case("rows", "linear_softmax", "linear_softmax", MARGIN, dtype, ("x", "linear_weight"), ("y",)))
    return [case for case in cases if hasattr(fastact, case.function)]


def loss_cases(dtype, fresh) -> list[Case]:
    import fastact
    from fastact import _kernels

    def both(op, shape, inputs, grads=("grad",), params=(), reads=1):
        common = {"params": params, "fresh": fresh, "reads": reads}
        found = [Case("losses", op, op, shape, dtype, inputs, ("loss",), writes=0, **common)]
        if hasattr(fastact, f"{op}_with_grad"):
            found.append(Case("losses", op, f"{op}_with_grad", shape, dtype, inputs, ("loss", *grads), **common))
        return found if hasattr(fastact, op) else []

    def options(op):
        return tuple(scalar_defaults(getattr(fastact, op, None)).items())

    cases = []
    for shape in LITTLE + LABELLED:
        cases += both("cross_entropy", shape, ("logits", "target"))
    for shape in LITTLE + SOME_LABELLED:
        cases += both("nll_loss", shape, ("log_probs", "target"), reads=0)
        cases += both("focal_loss", shape, ("logits", "target"), params=options("focal_loss"))
        cases += both("distillation_loss", shape, ("student_logits", "teacher_logits"), reads=2)
    layer, gradients = ("x", "linear_weight", "target"), ("dx", "dlinear_weight")
    for shape in LINEAR:
        cases += both("linear_cross_entropy", shape, layer, gradients)
    cases += both("large_margin_softmax_loss", MARGIN, layer, gradients, options("large_margin_softmax_loss"))
    # two tensors; a third, as pos_weight, is optional
    pointwise = [loss["name"] for loss in _kernels.LOSSES if loss["tensors"] > 1 and hasattr(fastact, loss["name"])]
    for size in POINTWISE:
        for op in pointwise:
            names = tuple(inspect.signature(getattr(fastact, op)).parameters)[:2]
            cases += both(op, (size,), names, params=options(op), reads=2)
    labels = Case("losses", "zero_one_loss", "zero_one_loss", (2**20,), dtype, ("pred", "target"), ("loss",), writes=0)
    return cases + [labels] * hasattr(fastact, "zero_one_loss")


def metric_cases(dtype) -> list[Case]:
    from fastact import metrics

    def metric(op, shape, reads=2):
        return Case("metrics", op, op, shape, dtype, ("y_true", "y_pred"), ("value",), reads=reads, writes=0)

    scores = [metric("accuracy_score", (2**20,)), metric("log_loss", (65536, 10), reads=1)]
    found = [metric(op, (size,)) for op in METRICS for size in SCORED] + scores
    return [case for case in found if hasattr(metrics, case.function)]


def without_case(cases: list[Case]) -> list[str]:
    """A note for each public function of fastact that no case times."""
    import fastact
    from fastact import metrics

    public = {name for name in fastact.__all__ if inspect.isfunction(getattr(fastact, name))} - RUNTIME
    public |= {name for name in metrics.__all__ if inspect.isfunction(getattr(metrics, name))}
    timed = {case.function for case in cases} | {THROUGH_OPTION.get(case.op, (case.function,))[0] for case in cases}
    return [f"{name} is public and has no benchmark" for name in sorted(public - timed)]
