"""Tensors, ops and subgraphs of a TFLite file, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

DTYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64",
    "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16", "int2", "uint4",
    "float8_e4m3fn", "float8_e5m2",
)  # fmt: skip
"""TensorType of the schema, by number."""
BITS = {
    "float32": 32, "float16": 16, "int32": 32, "uint8": 8, "int64": 64, "bool": 8, "int16": 16, "complex64": 64,
    "int8": 8, "float64": 64, "complex128": 128, "uint64": 64, "uint32": 32, "uint16": 16, "int4": 4, "bfloat16": 16,
    "int2": 2, "uint4": 4, "float8_e4m3fn": 8, "float8_e5m2": 8,
}  # fmt: skip
"""Bits an element takes, of the types that have a size."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of a subgraph.

    Attributes:
        index: its number in the subgraph.
        name: as the converter gave it; it mostly holds the names of the layers that were fused into it.
        shape: sizes; () for a scalar.
        shape_signature: the same with -1 where any size is meant.
        dtype: NumPy's name, or int4, int2, bfloat16, string, resource, variant.
        scales: quantization scales, one or one a channel; empty: not quantized.
            Real value = scale * (stored - zero point).
        zero_points: as many as scales.
        axis: axis that the scales run along.
        buffer: number of its buffer; 0: none.
        data: bytes stored for it (shape (bytes,), uint8, a view into the file); empty for what is computed.
        variable: keeps its value from one run to the next.
        sparse: stored in TFLite's sparse encoding.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    buffer: int
    data: np.ndarray = field(repr=False, compare=False)
    variable: bool
    sparse: bool

    @property
    def elements(self) -> int:
        """How many elements the shape has."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def constant(self) -> bool:
        """Whether the file holds its values."""
        return self.data.size > 0


@dataclass(frozen=True)
class Op:
    """One operation: its name (a custom op's own), its version, and the numbers of its tensors (-1: absent)."""

    name: str
    version: int
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def flex(self) -> bool:
        """Whether it is a TensorFlow op that only the big runtime has."""
        return self.custom and self.name.startswith("Flex")


@dataclass(frozen=True)
class Subgraph:
    """Tensors, and the ops between them in the order in which they run."""

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def of(self, numbers: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Return tensors by number, without the absent ones."""
        return tuple(self.tensors[n] for n in numbers if n >= 0)
