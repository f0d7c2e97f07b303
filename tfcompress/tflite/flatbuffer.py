"""What a ``.tflite`` file holds, read without an interpreter: subgraphs, ops, tensors, signatures, metadata.

edge_runner's reader walks through the bytes and looks at every position before it follows it (ADR 0012); here its
values come to it, what they cost, and names for its inputs and outputs. Reading never runs anything, and a malformed
file ends in one clear error.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edge_runner import check, graph
from edge_runner.cursor import ModelFileError, Source
from edge_runner.graph import IDENTIFIER, FileSignature, Operator
from edge_runner.opnames import BUILTIN
from tfcompress.errors import ModelError
from tfcompress.tflite import costs, weights
from tfcompress.tflite.tensors import StoredTensor, Subgraph, with_values

_CODES, _OLD_BUILTIN, _BUILTIN = 1, 0, 3  # of Model, and OperatorCode


@dataclass(frozen=True)
class IOTensor:
    """An input or output of a file.

    Attributes:
        name: in the signature; the tensor's own name where the file has no signature.
        shape: sizes with the batch axis, -1 where any size is meant.
        dtype: NumPy's name.
        scale: quantization scale; None: not quantized.
        zero_point: the stored number that stands for 0.0; None: not quantized.
        index: number of the tensor in the main subgraph.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None
    index: int

    @property
    def example_shape(self) -> tuple[int, ...]:
        """A shape that it can take: one sample (or the file's batch), and 96 where any size is meant."""
        batch, *sizes = self.shape or (1,)
        return (max(1, batch), *(96 if size < 0 else size for size in sizes)) if self.shape else ()

    def __str__(self) -> str:
        sizes = ", ".join("any" if size < 0 else str(size) for size in self.shape)
        quantized = f" scale {self.scale:.6g} zero point {self.zero_point}" if self.scale else ""
        return f"{self.name} {self.dtype} ({sizes}){quantized}"


@dataclass(frozen=True)
class FlatModel:
    """A whole file.

    Attributes:
        size_bytes: of the file.
        description: what the converter wrote there.
        subgraphs: the main one, then those of control flow.
        signatures: named ways in.
        metadata: entries by name, views into the file.
    """

    size_bytes: int
    description: str
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[FileSignature, ...]
    metadata: Mapping[str, memoryview]

    @property
    def ops(self) -> Iterator[Operator]:
        """Every op of every subgraph."""
        return (op for graph in self.subgraphs for op in graph.ops)

    @property
    def tensor_names(self) -> tuple[tuple[str, ...], ...]:
        """Names of all tensors, one tuple a subgraph; packed files have them of inputs and outputs only."""
        return tuple(tuple(tensor.name for tensor in graph.tensors) for graph in self.subgraphs)

    @property
    def parameters(self) -> int:
        """Real numbers that the file holds: kernels, biases and other constants of the computation."""
        return weights.parameters(self.subgraphs)

    @property
    def nonzero(self) -> int:
        """Parameters that are not 0.0."""
        return weights.nonzero(self.subgraphs)

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates of one inference, in convolutions, dense and recurrent layers; None: see *macs_note*."""
        return None if self.macs_note else self.least_macs

    @property
    def macs_note(self) -> str:
        """Why the multiply-accumulates of an inference cannot be known from the file; empty where they can."""
        return costs.uncounted(self.subgraphs, {tensor.index: tensor.name for tensor in self.inputs})

    @property
    def least_macs(self) -> int:
        """Multiply-accumulates of the ops whose number is known."""
        return sum(count or 0 for count in costs.counts(self.subgraphs))

    def table(self) -> tuple[costs.OpFacts, ...]:
        """Return one row an op of the main subgraph, in the order in which they run."""
        return costs.table(self.subgraphs)

    @property
    def op_counts(self) -> dict[str, int]:
        """How often each op occurs, the most frequent first."""
        return dict(Counter(op.name for op in self.ops).most_common())

    @property
    def inputs(self) -> tuple[IOTensor, ...]:
        """Inputs of the main subgraph."""
        signature = self._signature()
        return self._named("input", self.subgraphs[0].inputs, signature.inputs if signature else None)

    @property
    def outputs(self) -> tuple[IOTensor, ...]:
        """Outputs of the main subgraph."""
        signature = self._signature()
        return self._named("output", self.subgraphs[0].outputs, signature.outputs if signature else None)

    def _signature(self) -> FileSignature | None:
        return next((s for s in self.signatures if s.subgraph == 0), None)

    def _named(self, kind: str, numbers: tuple[int, ...], named: Mapping[str, int] | None) -> tuple[IOTensor, ...]:
        tensors = self.subgraphs[0].tensors
        if named is None:
            names = [tensors[number].name for number in numbers]
            unique = "" not in names and len(set(names)) == len(names)
            named = {name if unique else f"{kind}_{place}": numbers[place] for place, name in enumerate(names)}
        return tuple(_io(name, tensors[number]) for name, number in named.items())


@contextlib.contextmanager
def reading_errors() -> Iterator[None]:
    """Turn what edge_runner's reader refuses into an error that says what to do.

    Raises:
        ModelError: in place of its ModelFileError.
    """
    try:
        yield
    except ModelFileError as error:
        msg = f"malformed TFLite file: {error}; convert the model again, or fetch the file again"
        raise ModelError(msg) from error


def holds_op(content: bytes, op: str) -> bool:
    """Say whether a TFLite file that a converter has just written has an op, without reading the rest of it.

    Args:
        content: the whole file.
        op: a builtin op's name.
    """
    codes = Source(memoryview(content)).root().tables(_CODES)
    return BUILTIN.index(op) in {max(code.number(_OLD_BUILTIN, "b"), code.number(_BUILTIN, "i")) for code in codes}


def read_model_file(content: bytes) -> FlatModel:
    """Read a TFLite file.

    Args:
        content: the whole file; the arrays in the result are views into it.

    Raises:
        ModelError: it is not a TFLite file, or a malformed one.
    """
    if content[4:8] != IDENTIFIER:
        got = "an empty file" if not content else f"{content[4:8]!r} there"
        msg = f"not a TFLite file: bytes 4 to 8 must be {IDENTIFIER!r}, got {got}; give a .tflite file"
        raise ModelError(msg)
    with reading_errors():
        found = graph.read_graph(content)
        check.references(found)
    stored = {name: found.buffers[number] for name, number in found.metadata.items()}
    return FlatModel(
        size_bytes=len(content),
        description=found.description,
        subgraphs=with_values(found, content),
        signatures=found.signatures,
        metadata={name: memoryview(content)[start : start + size] for name, (start, size) in stored.items()},
    )


def _io(name: str, tensor: StoredTensor) -> IOTensor:
    quantized = bool(tensor.scales)
    return IOTensor(
        name=name,
        shape=tensor.shape_signature,
        dtype=tensor.dtype,
        scale=tensor.scales[0] if quantized else None,
        zero_point=tensor.zero_points[0] if quantized else None,
        index=tensor.index,
    )
