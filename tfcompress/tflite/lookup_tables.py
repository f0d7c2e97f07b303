"""Kernels with few values as look-up tables of TensorFlow Lite Micro: the same numbers from fewer bytes of flash.

A kernel becomes indices of a few bits and, for each output channel or for the whole kernel, a table of its values; an
op of its own (``TFLM_DECODE``) unpacks it into the arena before each use. TensorFlow Lite Micro's own compressor writes
that; LiteRT and the other runtimes of Linux do not know the op.

Nothing comes out that was not run: a table for the whole kernel, beside scales for each channel, is written without a
word and computes something else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tfcompress.errors import ContractError, MissingDependencyError, UnsupportedError
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.interpret import LOOKUP, InterpreterProcess
from tfcompress.tflite.micro.arena import ArenaUse
from tfcompress.tflite.micro.least_arena import least_arena_bytes
from tfcompress.tflite.micro.process import MicroProcess
from tfcompress.tflite.micro.record import MicroTest
from tfcompress.tflite.slim import slim
from tfcompress.tflite.tensors import StoredTensor
from tfcompress.tflite.tree import parse_tree
from tfcompress.tflite.tree_writer import write_tree
from tfcompress.tflite.weights import kernels
from tfcompress.worker import Worker, WorkerAnswerError, WorkerDiedError

SUFFIX = "-tflm.tflite"
"""What the names of such files end in: no other runtime than TensorFlow Lite Micro takes them."""
_CHILD = "tfcompress.tflite.lookup_child"
_OPS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
"""Whose portable kernels take a kernel that is computed."""
_MOST_BITS = 7
_OVERHEAD_BYTES = 160
"""Of an op, two tensors and their names in the graph, about."""
_HEADER_BYTES = 16
SAMPLES = 16
"""Samples that the two files are compared on, at most."""
_REFERENCE_MACS = 500_000_000


@dataclass(frozen=True)
class KernelTable:
    """A kernel as a look-up table.

    Attributes:
        tensor: its number in the main graph.
        op: the op that multiplies with it.
        name: of the tensor; empty in slim files.
        bits: of an index.
        axis: that has a table for each of its places; None: one table.
        kernel_bytes: that it takes as it is.
        table_bytes: that its indices and tables take.
    """

    tensor: int
    op: str
    name: str
    bits: int
    axis: int | None
    kernel_bytes: int
    table_bytes: int


@dataclass(frozen=True)
class LookupFile:
    """A file with look-up tables, run beside the one that it stands for.

    Attributes:
        content: the file.
        before_bytes: of the file that it was made of.
        tables: its tables.
        samples: on which all outputs of both were equal, bit by bit.
        version: of tflite-micro, which ran them.
        arena: what it keeps in the tensor arena.
        arena_bytes: of the smallest arena that the file runs in; kernels are unpacked there.
        tested: how it did on test samples in TFLM, *equal* among them those that the file without tables answers so in
            every bit; None: there are none with labels.
    """

    content: bytes = field(repr=False)
    before_bytes: int
    tables: tuple[KernelTable, ...]
    samples: int
    version: str
    arena: ArenaUse
    arena_bytes: int
    tested: MicroTest | None = None


def planned_tables(model: FlatModel) -> tuple[KernelTable, ...]:
    """Return the kernels of a file that are smaller as tables, each with the bits that make it smallest.

    A kernel that the body of a loop takes, too, stays as it is: what unpacks it stands in the main graph alone.

    Args:
        model: the file.
    """
    planned = []
    elsewhere = {tensor.buffer for graph in model.subgraphs[1:] for tensor in graph.tensors if tensor.constant}
    for kernel in kernels(model.subgraphs[:1]):
        if kernel.tensor.buffer in elsewhere:
            continue
        if kernel.op in _OPS and kernel.tensor.dtype == "int8" and not kernel.tensor.sparse:
            best = min(_ways(kernel.op, kernel.tensor, kernel.axis), key=lambda way: way.table_bytes, default=None)
            if best is not None and best.table_bytes + _OVERHEAD_BYTES < best.kernel_bytes:
                planned.append(best)
    return tuple(planned)


def _ways(op: str, tensor: StoredTensor, axis: int) -> Iterator[KernelTable]:
    """Yield how a kernel can be encoded; one table alone where there is one scale: see the module's docstring."""
    values = tensor.data.view(np.int8)
    if values.size != tensor.elements or values.size == 0:
        return
    shaped = values.reshape(tensor.shape)
    axis %= shaped.ndim
    rows = np.moveaxis(shaped, axis, 0).reshape(shaped.shape[axis], -1)
    ways: list[tuple[int | None, int, int]] = [(axis, max(len(np.unique(row)) for row in rows), len(rows))]
    if len(tensor.scales) < 2:
        ways.append((None, len(np.unique(values)), 1))
    for along, most, count in ways:
        bits = max(1, math.ceil(math.log2(most)))
        if bits <= _MOST_BITS:
            size = -(-values.size * bits // 8) + count * most + _HEADER_BYTES
            yield KernelTable(tensor.index, op, tensor.name.split(";")[0], bits, along, values.size, size)


def with_lookup_tables(
    content: bytes, inputs: Mapping[str, np.ndarray] | None = None, *, keep_names: bool = False, seed: int = 0
) -> LookupFile:
    """Return a file whose kernels are look-up tables where that is smaller, proven in TensorFlow Lite Micro.

    Args:
        content: a file that TensorFlow Lite Micro runs.
        inputs: samples by input name, real numbers of shape (samples, *shape without the batch axis); others are drawn
            over the inputs' whole range.
        keep_names: keep the names of graphs and of tensors inside them.
        seed: draws them.

    Raises:
        ModelError: not a TFLite file, or a malformed one.
        UnsupportedError: no kernel is smaller as a table, or TensorFlow Lite Micro does not run the file.
        ContractError: the file that came out does not compute the same; it is not given.
        MissingDependencyError: tflite-micro is not installed.
    """
    model = read_model_file(content)
    if any(op.name == LOOKUP for op in model.ops):
        msg = f"the file holds look-up tables already ({LOOKUP}); give the one that it was made of"
        raise UnsupportedError(msg)
    tables = planned_tables(model)
    packed = slim(_without_scales(_compressed(content, tables)), keep_names=keep_names) if tables else content
    if len(packed) >= len(content):
        msg = (
            "no kernel of the file is smaller as a look-up table: their channels hold too many values; "
            "train with --cluster 8 --cluster-per channel --qat"
        )
        raise UnsupportedError(msg)
    samples, version, arena = _prove(content, packed, model, inputs or {}, seed)
    least = least_arena_bytes(packed, arena.total_bytes)
    return LookupFile(packed, len(content), tables, samples, version, arena, least)


def check_lookup_limits(made: LookupFile, most_flash_bytes: float | None, most_arena_bytes: float | None) -> None:
    """Refuse a file that takes more than it may.

    Args:
        made: the file.
        most_flash_bytes: that it may have; None: any.
        most_arena_bytes: of the smallest arena that it runs in; None: any.

    Raises:
        ContractError: saying what it takes.
    """
    for what, limit, size_bytes in (
        ("the file with look-up tables", most_flash_bytes, len(made.content)),
        ("the arena of that file, into which kernels are unpacked,", most_arena_bytes, made.arena_bytes),
    ):
        if limit is not None and size_bytes > limit:
            msg = (
                f"{what} must be at most {limit:,.0f} bytes, it takes {size_bytes:,}; give it more, or fewer values "
                "(--cluster 4) or channels"
            )
            raise ContractError(msg)


def _compressed(content: bytes, tables: tuple[KernelTable, ...]) -> bytes:
    """Have TensorFlow Lite Micro's compressor write the tables."""
    with Worker(_CHILD) as worker:
        source, target = worker.folder / "before.tflite", worker.folder / "after.tflite"
        source.write_bytes(content)
        specs = [[table.tensor, table.bits, table.axis] for table in tables]
        worker.send({"source": str(source), "target": str(target), "tables": specs})
        try:
            worker.receive()
        except WorkerDiedError as error:
            msg = f"tflite-micro's compressor died by {error.reason}"
            raise UnsupportedError(msg) from error
        except WorkerAnswerError as error:
            if error.not_installed:
                msg = f"look-up tables are written by tflite-micro, and {error.text}: pip install 'tfcompress[mcu]'"
                raise MissingDependencyError(msg) from error
            msg = f"tflite-micro's compressor refuses the file: {error.text}"
            raise UnsupportedError(msg) from error
        return target.read_bytes()


def _without_scales(content: bytes) -> bytes:
    """Take the kernels' scales off their indices, where the compressor leaves them: bits have no scale."""
    model = parse_tree(content)
    codes = {n for n, code in enumerate(model.nodes("operator_codes")) if code.text("custom_code") == LOOKUP}
    graphs = []
    for graph in model.nodes("subgraphs"):
        unpacking = [op for op in graph.nodes("operators") if op.number("opcode_index") in codes]
        packed = {number for op in unpacking for number in op.numbers("inputs")}
        tensors = enumerate(graph.nodes("tensors"))
        graphs.append(
            graph.having(tensors=tuple(t.having(quantization=None) if n in packed else t for n, t in tensors))
        )
    return write_tree(model.having(subgraphs=tuple(graphs)))


def _prove(
    before: bytes, after: bytes, model: FlatModel, inputs: Mapping[str, np.ndarray], seed: int
) -> tuple[int, str, ArenaUse]:
    """Run both files; return the samples on which they were equal, the interpreter's version and the arena."""
    count = max(1, min(SAMPLES, _REFERENCE_MACS // max(1, model.least_macs)))
    with (
        MicroProcess(before, refusal=UnsupportedError) as one,
        MicroProcess(after, refusal=ContractError) as other,
    ):
        tried = [{name: values[:count] for name, values in inputs.items()}] if inputs else []
        samples = 0
        for given in (*tried, over_the_range(one, count, seed)):
            expected, got = one.run(given), other.run(given)
            different = [name for name, values in expected.items() if values.tobytes() != got[name].tobytes()]
            if different:
                msg = (
                    f"the file with look-up tables must compute the same as the one without, output {different[0]!r} "
                    "differs in TensorFlow Lite Micro; it was not written, keep the file without tables"
                )
                raise ContractError(msg)
            samples += len(next(iter(given.values())))
        return samples, other.opened(), other.arena


def over_the_range(interpreter: InterpreterProcess, count: int, seed: int) -> dict[str, np.ndarray]:
    """Draw samples for a file by *seed*: quantized inputs evenly over all that they can hold, others as usual.

    Args:
        interpreter: with the file open in it.
        count: how many.
        seed: draws them.
    """
    from tfcompress.models.specs import random_inputs

    drawn = random_inputs(interpreter.signature, count, seed)
    generator = np.random.default_rng(seed)
    for tensor in interpreter.model.inputs:
        if tensor.scale and tensor.zero_point is not None:
            limits = np.iinfo(np.dtype(tensor.dtype))
            stored = generator.integers(limits.min, limits.max, drawn[tensor.name].shape, endpoint=True)
            drawn[tensor.name] = ((stored - tensor.zero_point) * np.float32(tensor.scale)).astype(np.float32)
    return drawn
