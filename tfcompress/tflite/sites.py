"""The ops of an int8 file that can be given other numbers, and their weights in the float file of the same model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from edge_runner.graph import Operator
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.tensors import StoredTensor, Subgraph
from tfcompress.tflite.weights import stored_values

SLOTS: dict[str, tuple[int, int, int]] = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
"""Op -> which of its inputs are the activation, the kernel and the bias."""
CHANNEL_AXIS = {"DEPTHWISE_CONV_2D": 3}
"""Axis of a kernel's output channels; of other ops it is 0."""
LEAST_ALIKE_DB = 6.0
"""What a kernel of the int8 file agrees with its float one by, at least; another one's has 0 dB or less."""


@dataclass(frozen=True)
class RealWeights:
    """A kernel and a bias in floating-point numbers.

    Attributes:
        kernel: of the shape that the file has.
        bias: shape (channels,); None: there is none.
    """

    kernel: np.ndarray = field(repr=False)
    bias: np.ndarray | None = field(repr=False)

    @classmethod
    def of(cls, graph: Subgraph, op: Operator) -> RealWeights:
        """Return what an op of :data:`SLOTS` multiplies with and adds, in real numbers."""
        bias, kernel = _bias(graph, op), graph.tensors[op.inputs[SLOTS[op.name][1]]]
        return cls(real_values(kernel), None if bias is None else real_values(bias))


@dataclass(frozen=True)
class Site:
    """One op of an int8 file whose numbers can be chosen.

    Attributes:
        number: of the op in the main subgraph.
        op: its name.
        name: of the layer that it comes from.
        given: number of the tensor that it takes.
        made: number of the tensor that it makes.
        float_number: of the same op in the float file.
        exact: the float file's weights.
        stored: the int8 file's weights, in real numbers.
        per_channel: whether its kernel has a scale a channel.
    """

    number: int
    op: str
    name: str
    given: int
    made: int
    float_number: int
    exact: RealWeights
    stored: RealWeights
    per_channel: bool

    @property
    def axis(self) -> int:
        """Axis of the kernel's output channels."""
        return CHANNEL_AXIS.get(self.op, 0)


def sites_of(int8: bytes, in_float: bytes) -> tuple[tuple[Site, ...], tuple[str, ...]]:
    """Find the ops of a file whose numbers can be chosen.

    Args:
        int8: the file of a model in int8.
        in_float: the float file of the same model.

    Returns:
        The ops, in the order in which they run; and a note on each op with a kernel that has to stay as it is.
    """
    graph, other = read_model_file(int8).subgraphs[0], read_model_file(in_float).subgraphs[0]
    known: dict[tuple[str, tuple[int, ...]], list[tuple[int, Operator]]] = defaultdict(list)
    for number, op in _with_kernels(other):
        known[op.name, other.tensors[op.inputs[SLOTS[op.name][1]]].shape].append((number, op))
    found, notes = [], []
    for number, op in _with_kernels(graph):
        kernel, name = graph.tensors[op.inputs[SLOTS[op.name][1]]], graph.tensors[op.outputs[0]].name.partition(";")[0]
        obstacle = _obstacle(graph, op, kernel)
        candidates = known[op.name, kernel.shape]
        place = None if obstacle else _alike(real_values(kernel), [(other, each) for _, each in candidates])
        if obstacle or place is None:
            notes.append(f"{op.name} at {name!r} stays as it is: {obstacle or 'the float file has no kernel like its'}")
            continue
        float_number, twin = candidates.pop(place)
        found.append(
            Site(
                number,
                op.name,
                other.tensors[twin.outputs[0]].name.partition(";")[0],
                op.inputs[SLOTS[op.name][0]],
                op.outputs[0],
                float_number,
                RealWeights.of(other, twin),
                RealWeights.of(graph, op),
                per_channel=len(kernel.scales) > 1,
            )
        )
    return tuple(found), tuple(notes)


def _with_kernels(graph: Subgraph) -> Iterator[tuple[int, Operator]]:
    """Go through the ops of :data:`SLOTS` whose kernel is a constant."""
    for number, op in enumerate(graph.ops):
        if op.name in SLOTS and graph.tensors[op.inputs[SLOTS[op.name][1]]].constant:
            yield number, op


def _obstacle(graph: Subgraph, op: Operator, kernel: StoredTensor) -> str:
    """Return why the numbers of an op cannot be chosen; empty: they can."""
    given, made = graph.tensors[op.inputs[SLOTS[op.name][0]]], graph.tensors[op.outputs[0]]
    bias = _bias(graph, op)
    if (given.dtype, kernel.dtype, made.dtype) != ("int8", "int8", "int8"):
        return f"it computes {kernel.dtype} times {given.dtype}, not int8 times int8"
    if kernel.sparse:
        return "its kernel is stored sparse"
    if bias is not None and not bias.constant:
        return "its bias is computed"
    return "" if given.scales and made.scales else "its tensors have no scale"


def _alike(kernel: np.ndarray, candidates: list[tuple[Subgraph, Operator]]) -> int | None:
    """Return the place of the first float kernel that another one is the rounded form of; None: there is none."""
    for place, (graph, op) in enumerate(candidates):
        if is_rounded_of(kernel, real_values(graph.tensors[op.inputs[SLOTS[op.name][1]]])):
            return place
    return None


def is_rounded_of(kernel: np.ndarray, exact: np.ndarray) -> bool:
    """Say whether a kernel can be the rounded form of another one."""
    error = float(np.square(kernel - exact).sum())
    return error == 0 or float(np.square(exact).sum()) / error >= 10 ** (LEAST_ALIKE_DB / 10)


def _bias(graph: Subgraph, op: Operator) -> StoredTensor | None:
    slot = SLOTS[op.name][2]
    return graph.tensors[op.inputs[slot]] if slot < len(op.inputs) and op.inputs[slot] >= 0 else None


def real_values(tensor: StoredTensor) -> np.ndarray:
    """Return what a constant's stored values stand for, float32, of its shape."""
    values = stored_values(tensor)
    if values is None:
        raise TypeError(tensor.dtype)
    real = values.reshape(tensor.shape).astype(np.float64)
    if not tensor.scales:
        return real.astype(np.float32)
    shape = [1] * real.ndim
    if len(tensor.scales) > 1:
        shape[tensor.axis] = len(tensor.scales)
    points, scales = (np.asarray(part).reshape(shape) for part in (tensor.zero_points, tensor.scales))
    return np.asarray((real - points) * scales, np.float32)
