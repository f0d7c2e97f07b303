"""The ops of TensorFlow Lite Micro, and what ``MicroMutableOpResolver`` calls the methods that register them.

Names are those of its header ``micro_mutable_op_resolver.h`` in August 2026: ``AddConv2D()`` for ``CONV_2D``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tfcompress.errors import UnsupportedError
from tfcompress.tflite.flatbuffer import FlatModel
from tfcompress.tflite.tensors import StoredTensor, Subgraph

if TYPE_CHECKING:
    from edge_runner.graph import Operator

# fmt: off
_OPS = frozenset({
    "ABS", "ADD", "ADD_N", "ARG_MAX", "ARG_MIN", "ASSIGN_VARIABLE", "AVERAGE_POOL_2D", "BATCH_MATMUL",
    "BATCH_TO_SPACE_ND", "BROADCAST_ARGS", "BROADCAST_TO", "CALL_ONCE", "CAST", "CEIL", "CONCATENATION", "CONV_2D",
    "COS", "CUMSUM", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE", "DIV", "DYNAMIC_UPDATE_SLICE", "ELU",
    "EMBEDDING_LOOKUP", "EQUAL", "EXP", "EXPAND_DIMS", "FILL", "FLOOR", "FLOOR_DIV", "FLOOR_MOD", "FULLY_CONNECTED",
    "GATHER", "GATHER_ND", "GREATER", "GREATER_EQUAL", "HARD_SWISH", "IF", "L2_NORMALIZATION", "L2_POOL_2D",
    "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC", "LOG_SOFTMAX",
    "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MIRROR_PAD", "MUL", "NEG", "NOT_EQUAL", "PACK", "PAD", "PADV2",
    "PRELU", "QUANTIZE", "READ_VARIABLE", "REDUCE_ALL", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RESHAPE",
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "ROUND", "RSQRT", "SELECT_V2", "SHAPE", "SIN",
    "SLICE", "SOFTMAX", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQRT", "SQUARE",
    "SQUARED_DIFFERENCE", "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM", "SVDF", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNPACK", "VAR_HANDLE", "WHILE", "ZEROS_LIKE",
})
# fmt: on
_SPELT_OTHERWISE = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
LOOKUP = "TFLM_DECODE"
"""The custom op that unpacks a look-up table."""
_CUSTOM = {
    LOOKUP: "Decode",
    "CIRCULAR_BUFFER": "CircularBuffer",
    "TFLite_Detection_PostProcess": "DetectionPostprocess",
    "ethos-u": "EthosU",
    "SignalDelay": "Delay",
    "SignalEnergy": "Energy",
    "SignalFftAutoScale": "FftAutoScale",
    "SignalFilterBank": "FilterBank",
    "SignalFilterBankLog": "FilterBankLog",
    "SignalFilterBankSpectralSubtraction": "FilterBankSpectralSubtraction",
    "SignalFilterBankSquareRoot": "FilterBankSquareRoot",
    "SignalFramer": "Framer",
    "SignalIrfft": "Irfft",
    "SignalOverlapAdd": "OverlapAdd",
    "SignalPCAN": "PCAN",
    "SignalRfft": "Rfft",
    "SignalStacker": "Stacker",
    "SignalWindow": "Window",
}
_SHOWN = 3
"""Ops that a refusal names."""


def registering_method(op: Operator) -> str | None:
    """Return the method of ``MicroMutableOpResolver`` that registers an op; None: TensorFlow Lite Micro lacks it."""
    if op.custom:
        name = _CUSTOM.get(op.name)
        return None if name is None else f"Add{name}"
    if op.name not in _OPS:
        return None
    words = "".join(word.capitalize() for word in op.name.split("_"))
    return "Add" + _SPELT_OTHERWISE.get(op.name, re.sub(r"(\d)d$", r"\1D", words))


def registering_methods(model: FlatModel) -> tuple[str, ...]:
    """Return the methods that register exactly the ops of a file, in alphabetical order.

    Raises:
        UnsupportedError: TensorFlow Lite Micro lacks an op; it is named with the layer that it came from.
    """
    missing = [
        _described(graph, place, op)
        for graph in model.subgraphs
        for place, op in enumerate(graph.ops)
        if registering_method(op) is None
    ]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        msg = (
            f"TensorFlow Lite Micro has no kernel for {', '.join(missing[:_SHOWN])}{more}; replace those layers, or "
            "have their ops written as others"
        )
        raise UnsupportedError(msg)
    return tuple(sorted(filter(None, {registering_method(op) for op in model.ops})))


def _described(graph: Subgraph, place: int, op: Operator) -> str:
    return f"{op.name} ({_place(graph.of(op.outputs), place)})"


def _place(outputs: Iterable[StoredTensor], place: int) -> str:
    """Say where an op stands: the names of its outputs hold the layer's, where the file was not packed."""
    for tensor in outputs:
        name = tensor.name.split(";")[0]
        if name:
            return f"layer {name!r}"
    return f"op {place}; a slim file has no names of layers"
