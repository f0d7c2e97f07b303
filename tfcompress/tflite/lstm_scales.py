"""The scales of what an integer LSTM hands from step to step, where the converter has broken them.

The op's output, its state and the ``hidden`` one of its intermediate tensors hold the same numbers. The converter gives
them one scale, and then changes that of the output alone where an op behind it wants the scale of something else, as
CONCATENATION does of its inputs (TensorFlow 2.21, ``Bidirectional``). The kernel writes its output in the scale of
``hidden``, so that the output is read as something else: 24 dB instead of 46.

The cell's state, of 16 bits, gets the power of two that its range in the calibration asks for; but the kernels know the
hyperbolic tangent of what has 0 to 6 bits before the point (``ApplyTanh`` in ``tensor_utils``), and of any other leave
unset what they should compute: 6 dB instead of 37 where the state stayed within 0.5. A range of at least 1 costs such a
state a bit of 16, and one of at most 64 nothing, since the tangent is 1 from 6 on.
"""

from __future__ import annotations

import struct

from edge_runner.cursor import Source, Table
from tfcompress.models.fused_lstm import OP
from tfcompress.tflite.flatbuffer import holds_op, read_model_file

STATE, CELL, HIDDEN = 18, 19, 4
"""Where an op has its two states among its inputs, and ``hidden`` among its intermediate tensors."""

CELL_SCALES = (2.0**-15, 2.0**-9)
"""Least and largest scale of the cell's state that the kernels can compute with."""

_SUBGRAPHS, _TENSORS, _QUANTIZATION, _SCALE, _ZERO_POINT = 2, 0, 4, 2, 3  # of Model, SubGraph, Tensor, and its scales


def with_state_scales(content: bytes) -> bytes:
    """Return a file whose integer LSTMs have the output's scale and zero point for their state, and a cell that works.

    Args:
        content: a TFLite file as the converter wrote it.

    Returns:
        The file; *content* itself where it has no LSTM.
    """
    if not holds_op(content, OP):
        return content
    root = Source(memoryview(content)).root()
    made = bytearray(content)
    for graph, table in zip(read_model_file(content).subgraphs, root.tables(_SUBGRAPHS), strict=True):
        wanted: dict[int, tuple[float, int]] = {}
        for op in graph.ops:
            output = graph.tensors[op.outputs[0]] if op.name == OP else None
            if output is None or output.dtype != "int8" or len(output.scales) != 1 or len(op.intermediates) <= HIDDEN:
                continue
            for number in (op.inputs[STATE], op.intermediates[HIDDEN]):
                wanted[number] = output.scales[0], output.zero_points[0]
            cell = graph.tensors[op.inputs[CELL]]
            if cell.dtype == "int16" and len(cell.scales) == 1:
                wanted[cell.index] = min(max(cell.scales[0], CELL_SCALES[0]), CELL_SCALES[1]), 0
        tensors = table.tables(_TENSORS) if wanted else []
        for number, (scale, zero_point) in wanted.items():
            _put_(made, tensors[number], scale, zero_point)
    return bytes(made)


def _put_(made: bytearray, tensor: Table, scale: float, zero_point: int) -> None:
    found = tensor.table(_QUANTIZATION)
    places = (found.vector(_SCALE, 4), found.vector(_ZERO_POINT, 8)) if found else ()
    if [count for _, count in places] == [1, 1]:
        for (place, _), form, value in zip(places, ("<f", "<q"), (scale, zero_point), strict=True):
            struct.pack_into(form, made, place, value)
