"""Inputs and outputs of a file as a firmware sees them: in the order of the graph, with C's types."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfcompress.errors import UnsupportedError
from tfcompress.tflite.flatbuffer import FlatModel, IOTensor

C_TYPES = {
    "bool": "bool",
    "float32": "float",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "int8": "int8_t",
    "uint8": "uint8_t",
}
"""NumPy's names of the types that TensorFlow Lite Micro takes at an input or gives at an output, in C."""


@dataclass(frozen=True)
class Port:
    """An input or output.

    Attributes:
        kind: ``input`` or ``output``.
        place: its number among them, as ``MicroInterpreter::input`` counts.
        name: in the file's signature.
        shape: sizes with the batch axis.
        dtype: NumPy's name.
        scale: quantization scale; None: not quantized.
        zero_point: the stored number that stands for 0.0; None: not quantized.
    """

    kind: str
    place: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def c_type(self) -> str:
        """The type of a number in C."""
        return C_TYPES[self.dtype]

    def stored(self, values: np.ndarray) -> np.ndarray:
        """Return real values as the file stores them: round(value / scale) + zero point, held in the type's range.

        Args:
            values: any shape; the result has the same.
        """
        dtype = np.dtype(self.dtype)
        if not self.scale:
            return np.asarray(values).astype(dtype)
        steps = np.rint(np.asarray(values, np.float32) / np.float32(self.scale)) + (self.zero_point or 0)
        limits = np.iinfo(dtype)
        clipped: np.ndarray = np.clip(steps, limits.min, limits.max).astype(dtype)
        return clipped


def ports_of(model: FlatModel) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Return the inputs and the outputs of a file, in the order of its main subgraph.

    Raises:
        UnsupportedError: a shape that is open beyond the batch, or a type that TensorFlow Lite Micro does not take.
    """
    graph = model.subgraphs[0]
    return (
        tuple(_port(model, "input", place, _named(model.inputs, n)) for place, n in enumerate(graph.inputs)),
        tuple(_port(model, "output", place, _named(model.outputs, n)) for place, n in enumerate(graph.outputs)),
    )


def _named(tensors: tuple[IOTensor, ...], number: int) -> IOTensor:
    found = next((tensor for tensor in tensors if tensor.index == number), None)
    if found is None:
        msg = f"tensor {number} is an input or output of the graph, but not of its signature; convert the model again"
        raise UnsupportedError(msg)
    return found


def _port(model: FlatModel, kind: str, place: int, tensor: IOTensor) -> Port:
    if -1 in tensor.shape[1:]:
        sizes = ", ".join("any" if size < 0 else str(size) for size in tensor.shape)
        msg = (
            f"{kind} {tensor.name!r} must have a fixed shape for a microcontroller, it is ({sizes}); give the Keras "
            "model a fixed input shape and export it again"
        )
        raise UnsupportedError(msg)
    if tensor.dtype not in C_TYPES:
        msg = (
            f"{kind} {tensor.name!r} must be one of {', '.join(C_TYPES)} for TensorFlow Lite Micro, it is "
            f"{tensor.dtype}; export the model as int8 or float32"
        )
        raise UnsupportedError(msg)
    shape = model.subgraphs[0].tensors[tensor.index].shape
    return Port(kind, place, tensor.name, shape, tensor.dtype, tensor.scale, tensor.zero_point)


def check_same_ports(compiled: Sequence[Port], source: Sequence[Port]) -> None:
    """Refuse a compiled file that takes or gives other numbers than the one that its golden pair is of.

    Raises:
        UnsupportedError: naming the input or output.
    """
    if len(compiled) != len(source):
        msg = f"the compiled file must have {len(source)} inputs and outputs as its source has, it has {len(compiled)}"
        raise UnsupportedError(msg)
    for one, other in zip(compiled, source, strict=True):
        if _meaning(one) != _meaning(other):
            msg = (
                f"{one.kind} {one.place} of the compiled file must be that of its source, {_meaning(other)}, it is "
                f"{_meaning(one)}; there would be no golden pair for it"
            )
            raise UnsupportedError(msg)


def _meaning(port: Port) -> tuple[object, ...]:
    return port.kind, port.shape, port.dtype, port.scale, port.zero_point
