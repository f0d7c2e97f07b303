"""Which files TensorFlow Lite Micro cannot compute for the types of their numbers, found without running them."""

from __future__ import annotations

from tfcompress.errors import UnsupportedError
from tfcompress.tflite.flatbuffer import FlatModel
from tfcompress.tflite.weights import KERNEL_INPUTS

_UNKNOWN = frozenset({"float16", "bfloat16", "float64", "complex64", "complex128", "string"})
_FLOAT_OPS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})


def check_number_types(model: FlatModel) -> None:
    """Refuse a file whose numbers TensorFlow Lite Micro has no kernels for.

    Raises:
        UnsupportedError: it holds float16 or the like, or integer kernels that meet floats (dynamic range).
    """
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if tensor.dtype in _UNKNOWN:
                msg = (
                    f"TensorFlow Lite Micro computes no {tensor.dtype}, which tensor {tensor.index} {tensor.name!r} "
                    "holds; export the model with --quantize int8"
                )
                raise UnsupportedError(msg)
        for place, op in enumerate(graph.ops):
            kernels = [graph.tensors[op.inputs[n]] for n in KERNEL_INPUTS.get(op.name, ()) if -1 < n < len(op.inputs)]
            given = graph.tensors[op.inputs[0]].dtype if op.inputs else ""
            if op.name in _FLOAT_OPS and given == "float32" and any(k.dtype.startswith("int") for k in kernels):
                msg = (
                    f"TensorFlow Lite Micro does not multiply floats with {kernels[0].dtype} kernels (dynamic range), "
                    f"as {op.name} (op {place}) does; export the model with --quantize int8"
                )
                raise UnsupportedError(msg)
