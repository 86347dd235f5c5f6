"""ONNX Runtime at its best: CPU provider, all graph optimisations, IO binding with inputs and outputs bound once.

Threads: intra_op_num_threads=N, inter_op_num_threads=1. Graphs are in ONNX's text syntax. New outputs: session.run.
ONNX Runtime has no gradients.
"""

from __future__ import annotations

import numpy as np
import onnx.parser
import onnxruntime
from calls import Call, alternatives

TITLE = "onnx"

_HEADER = '<ir_version: 10, opset_import: ["" : 22, "com.microsoft" : 1]>'
_QUICK_GELU = "y = com.microsoft.QuickGelu<alpha = 1.0>(x)"  # x sigmoid(alpha x)
ACTIVATIONS = {
    "relu": "y = Relu(x)",
    "relu6": "low = Constant<value = {dtype} {{0}}>() high = Constant<value = {dtype} {{6}}>() y = Clip(x, low, high)",
    "leaky_relu": "y = LeakyRelu<alpha = {negative_slope}>(x)",
    "prelu": "y = PRelu(x, alpha)",
    "elu": "y = Elu<alpha = {alpha}>(x)",
    "celu": ("y = Celu<alpha = {alpha}>(x)", "y = Elu<alpha = {alpha}>(x)"),  # the same at alpha = 1
    "selu": "y = Selu(x)",
    "sigmoid": "y = Sigmoid(x)",
    "log_sigmoid": "n = Neg(x) s = Softplus(n) y = Neg(s)",
    "hard_sigmoid": "y = HardSigmoid<alpha = 0.16666667, beta = 0.5>(x)",
    "hard_swish": "y = HardSwish(x)",
    "tanh": "y = Tanh(x)",
    "hard_tanh": "low = Constant<value = {dtype} {{{min_val}}}>() high = Constant<value = {dtype} {{{max_val}}}>() "
    "y = Clip(x, low, high)",
    "softplus": "y = Softplus(x)",  # beta = 1
    "softsign": "y = Softsign(x)",
    "squareplus": "b = Constant<value = {dtype} {{{b}}}>() half = Constant<value = {dtype} {{0.5}}>() "
    "q = Mul(x, x) q1 = Add(q, b) r = Sqrt(q1) z = Add(x, r) y = Mul(z, half)",
    "silu": (_QUICK_GELU, "s = Sigmoid(x) y = Mul(x, s)"),
    "mish": "y = Mish(x)",
    "gelu": ("y = Gelu(x)", "y = com.microsoft.Gelu(x)"),
    "gelu_tanh": ('y = Gelu<approximate = "tanh">(x)', "y = com.microsoft.FastGelu(x)"),
    "tanh_shrink": "t = Tanh(x) y = Sub(x, t)",
    "soft_shrink": "y = Shrink<lambd = {lambd}, bias = {lambd}>(x)",
    "hard_shrink": "y = Shrink<lambd = {lambd}, bias = 0.0>(x)",
    "swiglu": "s = com.microsoft.QuickGelu<alpha = 1.0>(gate) y = Mul(s, up)",
    "geglu": "s = Gelu(gate) y = Mul(s, up)",
    "glu": "a, g = Split<axis = -1, num_outputs = 2>(x2) s = Sigmoid(g) y = Mul(a, s)",
    "reglu": "s = Relu(gate) y = Mul(s, up)",
}
ROWS = {
    "softmax": "y = Softmax<axis = {axis}>(x)",
    "log_softmax": "y = LogSoftmax<axis = {axis}>(x)",
    "logsumexp": "a = Constant<value = int64[1] {{{axis}}}>() y = ReduceLogSumExp<keepdims = 0>(x, a)",
}
_DIFFERENCE = "d = Sub(pred, target) "
LOSSES = {
    "cross_entropy": 'loss = SoftmaxCrossEntropyLoss<reduction = "mean">(logits, target)',
    "linear_cross_entropy": "w = Transpose(linear_weight) z = MatMul(x, w) loss = SoftmaxCrossEntropyLoss(z, target)",
    "mse_loss": _DIFFERENCE + "q = Mul(d, d) loss = ReduceMean<keepdims = 0>(q)",
    "l1_loss": _DIFFERENCE + "q = Abs(d) loss = ReduceMean<keepdims = 0>(q)",
}
METRICS = {
    "mean_squared_error": "d = Sub(y_true, y_pred) q = Mul(d, d) value = ReduceMean<keepdims = 0>(q)",
    "mean_absolute_error": "d = Sub(y_true, y_pred) q = Abs(d) value = ReduceMean<keepdims = 0>(q)",
    "max_error": "d = Sub(y_true, y_pred) q = Abs(d) value = ReduceMax<keepdims = 0>(q)",
}
GRAPHS = ACTIVATIONS | ROWS | LOSSES | METRICS
_ONNX_TYPES = {"float32": "float", "float64": "double", "int64": "int64"}
_threads = 1


def setup(threads: int) -> str:
    global _threads
    _threads = threads
    onnxruntime.set_default_logger_severity(4)  # "no kernel for this type" is an answer here, not an alarm
    return f"onnxruntime {onnxruntime.__version__}: intra_op_num_threads={threads}, inter_op_num_threads=1"


def calls(case, data) -> list[Call]:
    """One call per way of writing the graph; a type that ONNX Runtime has no kernel for raises NotImplementedError."""
    found, missing = [], None
    for graph in alternatives(GRAPHS.get(case.function)):
        try:
            found.append(_call(case, data, graph))
        except Exception as error:  # NotImplemented, Fail: classes of a private module of onnxruntime
            missing = error
    if missing is not None and not found:
        raise NotImplementedError(str(missing).splitlines()[0])
    return found


def _call(case, data, graph: str) -> Call:
    session = _session(case, data, graph)
    output = case.outputs[0]
    if case.fresh:
        namespace = {"session": session, "feed": data}
        return Call(f"{output}, = session.run(None, feed)", namespace, case.outputs)
    binding = session.io_binding()
    for name, values in data.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(values))
    ready = np.empty(_output_shape(case), case.dtype)
    binding.bind_ortvalue_output(output, onnxruntime.OrtValue.ortvalue_from_numpy(ready))  # its memory, no copy
    namespace = {"session": session, "binding": binding, output: ready}
    return Call("session.run_with_iobinding(binding)", namespace, case.outputs, poison=[ready])


def _session(case, data, graph: str):
    takes = ", ".join(_declare(name, values.dtype, values.shape) for name, values in data.items())
    gives = _declare(case.outputs[0], case.dtype, _output_shape(case))
    text = graph.format(dtype=_ONNX_TYPES[case.dtype], axis=case.axis, **dict(case.params))
    model = onnx.parser.parse_model(f"{_HEADER} bench ({takes}) => ({gives}) {{ {text} }}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _declare(name: str, dtype, shape) -> str:
    return f"{_ONNX_TYPES[str(dtype)]}[{', '.join(map(str, shape))}] {name}"


def _output_shape(case) -> tuple[int, ...]:
    if case.family in ("losses", "metrics"):
        return ()
    if case.function == "logsumexp":
        return tuple(size for axis, size in enumerate(case.shape) if axis != case.axis % len(case.shape))
    return case.shape
