"""Look into a .tflite file without any interpreter: is it sound, what does it hold, what are its inputs called.

This runs before any interpreter sees the file. What is truncated, scrambled or not a model ends in
:class:`ModelFileError`, never in a crash or a long wait.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edge_runner import check, graph
from edge_runner.cursor import ModelFileError
from edge_runner.graph import FileSubgraph, Graph

__all__ = ["Expected", "FileFacts", "ModelFileError", "read_facts"]

_BROUGHT = {"AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess"}
"""Custom ops that the interpreters bring along all the same."""
METADATA_NAME = "TFCOMPRESS_METADATA"
"""Of the entry in which tfcompress notes labels, preprocessing, recipe and version, as JSON."""
DATA_FREE = "data-free"
"""What a note on calibration begins with where the ranges of an int8 file follow from the model alone."""
_MOST_METADATA_BYTES = 1 << 20
_LIMITS = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767)}
_RAW = 255.0
"""The largest value of an image's byte, which preprocessing brings to the range that the model was trained on."""


class Expected(NamedTuple):
    """The range of real values that an input is made for, and how the file says so."""

    low: float
    high: float
    why: str


@dataclass(frozen=True)
class FileFacts:
    """What a .tflite file says about itself.

    Attributes:
        version: of the TFLite schema.
        description: who wrote it.
        subgraphs: how many.
        operators: how many ops the first subgraph holds.
        custom_operators: names of the custom ops, in order.
        ops: name, version and number of the ops of all subgraphs, the most frequent first.
        remarks: what a reader should know before the file runs.
        signature: name of the signature in use; None when the file has none.
        inputs: by input name, the tensor's index; empty without a signature.
        outputs: likewise.
        shapes: by input name (the tensor's own without a signature), its extents, -1 for those that are left open.
        expects: by the index of an input's tensor, the real values it is made for, where the file says so.
    """

    version: int
    description: str
    subgraphs: int
    operators: int
    custom_operators: tuple[str, ...]
    ops: tuple[tuple[str, int, int], ...]
    remarks: tuple[str, ...]
    signature: str | None
    inputs: dict[str, int]
    outputs: dict[str, int]
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    expects: dict[int, Expected] = field(default_factory=dict)

    @property
    def open_inputs(self) -> list[str]:
        """Names of the inputs that leave open more than the batch, so that the work of an inference is open too."""
        return [name for name, shape in self.shapes.items() if -1 in shape[1:]]


def read_facts(content: bytes | memoryview, memory_bytes: int | None = None) -> FileFacts:
    """Check a .tflite file and return what it says about itself.

    Args:
        content: the whole file.
        memory_bytes: of the machine that is to run it; a tensor that cannot fit is refused.

    Raises:
        ModelFileError: it is empty, truncated, something else, or breaks a rule of :mod:`edge_runner.check`.
    """
    model = graph.read_graph(content)
    check.check_can_run(model, content, memory_bytes)
    name, inputs, outputs = _signature(model)
    return FileFacts(
        version=model.version,
        description=model.description,
        subgraphs=len(model.subgraphs),
        operators=len(model.subgraphs[0].operators),
        custom_operators=model.custom_operators,
        ops=_ops(model),
        remarks=(*op_remarks(model), *_calibration_remarks(noted(model, content))),
        signature=name,
        inputs=inputs,
        outputs=outputs,
        shapes=_shapes(model.subgraphs[0], inputs),
        expects=expected_ranges(model, content),
    )


def _shapes(main: FileSubgraph, inputs: dict[str, int]) -> dict[str, tuple[int, ...]]:
    named = inputs or {main.tensors[index].name: index for index in main.inputs}
    found = {name: main.tensors[index] for name, index in named.items()}
    return {name: tensor.signature or tensor.shape for name, tensor in found.items()}


def _signature(model: Graph) -> tuple[str | None, dict[str, int], dict[str, int]]:
    """Return name, inputs and outputs of ``serving_default``, else of the first signature of the first subgraph."""
    found = [signature for signature in model.signatures if signature.subgraph == 0]
    if not found:
        return None, {}, {}
    chosen = next((signature for signature in found if signature.key == "serving_default"), found[0])
    return chosen.key, chosen.inputs, chosen.outputs


def _ops(model: Graph) -> tuple[tuple[str, int, int], ...]:
    counts = Counter((op.name, op.version) for subgraph in model.subgraphs for op in subgraph.operators)
    return tuple((name, version, count) for (name, version), count in counts.most_common())


def op_remarks(model: Graph) -> tuple[str, ...]:
    """Return a sentence for each kind of op that only some interpreters have, or none."""
    flex = sorted({name for name in model.custom_operators if name.startswith("Flex")})
    other = sorted(set(model.custom_operators) - set(flex) - _BROUGHT)
    remarks = [f"needs TensorFlow's own ops ({', '.join(flex)}), which only the tensorflow runtime has"] if flex else []
    if other:
        remarks.append(f"needs custom ops ({', '.join(other)}), which no interpreter brings along")
    return tuple(remarks)


def _calibration_remarks(note: dict[str, Any]) -> tuple[str, ...]:
    """Return a sentence where no sample was seen by who chose the ranges, or none."""
    told = note.get("calibration")
    if not isinstance(told, str) or not told.startswith(DATA_FREE):
        return ()
    return (f"its int8 ranges were not measured on samples ({told})",)


def expected_ranges(model: Graph, content: bytes | memoryview) -> dict[int, Expected]:
    """Return what float inputs are made for: given by the QUANTIZE op behind, or by the preprocessing in the file."""
    main = model.subgraphs[0]
    told = _preprocessed(model, content)
    found = {}
    for index in main.inputs:
        if main.tensors[index].type != "FLOAT32":
            continue  # a quantized input has its own scale
        behind = [op.outputs[0] for op in main.operators if op.name == "QUANTIZE" and index in op.inputs and op.outputs]
        tensor = main.tensors[behind[0]] if behind and behind[0] >= 0 else None
        scales = tensor.quantization.scales if tensor else ()
        if tensor and len(scales) == 1 and tensor.type in _LIMITS:
            zero_point = tensor.quantization.zero_points[0]
            low, high = ((limit - zero_point) * scales[0] for limit in _LIMITS[tensor.type])
            found[index] = Expected(low, high, "it is quantized to that right behind the input")
        elif told and len(main.inputs) == 1:
            found[index] = told
    return found


def noted(model: Graph, content: bytes | memoryview) -> dict[str, Any]:
    """Return what tfcompress noted in a file; empty: nothing, or what cannot be read, which says nothing."""
    stored = model.metadata.get(METADATA_NAME)
    if stored is None or not 0 < model.buffers[stored].size_bytes <= _MOST_METADATA_BYTES:
        return {}
    start, size = model.buffers[stored]
    try:
        values = json.loads(bytes(content[start : start + size]))
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _preprocessed(model: Graph, content: bytes | memoryview) -> Expected | None:
    """Return the range into which the preprocessing that tfcompress noted brings an image's 0..255."""
    try:
        return preprocessed_range(noted(model, content)["preprocessing"])
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None  # a note that cannot be read says nothing


def preprocessed_range(steps: dict[str, Any]) -> Expected | None:
    """Return the range of ``(scale * raw - mean) / std`` over 0..255, unless another function follows."""
    scale = 1.0 if steps["scale"] is None else float(steps["scale"])
    means = [float(value) for value in steps["mean"]] or [0.0]
    deviations = [float(value) for value in steps["std"]] or [1.0]
    deviations *= len(means) if len(deviations) == 1 else 1
    means *= len(deviations) if len(means) == 1 else 1
    if steps.get("function") or len(means) != len(deviations) or 0 in deviations:
        return None
    if scale == 1 and means == [0.0] * len(means) and deviations == [1.0] * len(deviations):
        return None  # nothing was done, so nothing is reported
    ends = [(raw * scale - m) / d for raw in (0.0, _RAW) for m, d in zip(means, deviations)]
    if not all(map(math.isfinite, ends)):
        return None
    return Expected(min(ends), max(ends), "so says the preprocessing noted in the file, for images of 0..255")
