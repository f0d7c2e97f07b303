"""The two values of an integer ONE_HOT, where the converter has stored them in scales of their own.

The kernel copies the stored numbers of ``on_value`` and ``off_value`` into its output, which therefore has to have
their scale and zero point. The converter calibrates each of the three by itself (TensorFlow 2.21): 0.0, stored as 0 in
a scale of its own, is read as 0.5 in an output of [0, 1] whose zero point is -128.
"""

from __future__ import annotations

import numpy as np

from tfcompress.tflite.flatbuffer import holds_op, read_model_file
from tfcompress.tflite.graph_editor import GraphEditor
from tfcompress.tflite.tensors import StoredTensor

OP = "ONE_HOT"
ON, OFF = 2, 3
"""Where the op has its two values among its inputs."""


def with_one_hot_scales(content: bytes) -> bytes:
    """Return a file whose ONE_HOT ops take both values in the scale and with the zero point of their output.

    Args:
        content: a TFLite file as the converter wrote it.

    Returns:
        The file; *content* itself where each such op is right.
    """
    if not holds_op(content, OP):
        return content
    graph = read_model_file(content).subgraphs[0]
    editor: GraphEditor | None = None
    for number, op in enumerate(graph.ops):
        if op.name != OP:
            continue
        output = graph.tensors[op.outputs[0]]
        wrong = [place for place in (ON, OFF) if _is_wrong(graph.tensors[op.inputs[place]], output)]
        if not wrong:
            continue
        editor = editor or GraphEditor(content)
        inputs = list(op.inputs)
        for place in wrong:
            inputs[place] = _constant(editor, graph.tensors[op.inputs[place]], output)
        editor.ops[number] = editor.placed_as(editor.ops[number], inputs, op.outputs)
    return editor.content() if editor else content


def _is_wrong(value: StoredTensor, output: StoredTensor) -> bool:
    quantized = len(output.scales) == len(value.scales) == 1 and output.dtype == value.dtype and len(value.data) > 0
    return quantized and (value.scales, value.zero_points) != (output.scales, output.zero_points)


def _constant(editor: GraphEditor, value: StoredTensor, output: StoredTensor) -> int:
    """Add a value as its op's output stores it, and return its number."""
    stored = np.frombuffer(value.data, np.dtype(value.dtype).newbyteorder("<"))[0]
    real = (int(stored) - value.zero_points[0]) * value.scales[0]
    bounds = np.iinfo(output.dtype)
    there = np.clip(round(real / output.scales[0]) + output.zero_points[0], bounds.min, bounds.max)
    return editor.add_constant(
        np.asarray(there), output.dtype, value.index, output.scales, zero_points=output.zero_points
    )
