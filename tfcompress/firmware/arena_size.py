"""How large the arena of a firmware has to be: measured by TensorFlow Lite Micro, or planned from the file."""

from __future__ import annotations

from dataclasses import dataclass

from tfcompress.tflite.flatbuffer import FlatModel
from tfcompress.tflite.micro.arena import ArenaUse, planned_arena_bytes

MARGIN = 0.10
"""Share of a measured arena that is added: kernels for one processor may want more scratch memory than the portable."""
PLANNED_MARGIN = 0.25
"""The same for a planned one, which knows nothing of kernels' scratch memory."""
_ALIGNMENT = 16
_FIXED_BYTES, _TENSOR_BYTES, _OP_BYTES, _CHANNEL_BYTES = 1536, 32, 160, 12
"""What lives as long as the interpreter: itself, a tensor, an op, and a channel's multiplier and shift.

Above what the recorder showed for nets of 1 to 16 ops, where pointers take 8 bytes.
"""


@dataclass(frozen=True)
class ArenaSize:
    """The size to give an arena.

    Attributes:
        needed_bytes: found for the file.
        size_bytes: with the margin, a multiple of 16.
        measured: by TensorFlow Lite Micro; else planned.
        how: how it was found, in one sentence without a full stop.
    """

    needed_bytes: int
    size_bytes: int
    measured: bool
    how: str


def measured_size(least_bytes: int, kept: ArenaUse, version: str) -> ArenaSize:
    """Return the size for a file that was run in TensorFlow Lite Micro here, where pointers take 8 bytes.

    Args:
        least_bytes: the smallest arena that it was set up and run in.
        kept: what the recorder counts of it.
        version: of tflite-micro.
    """
    how = (
        f"measured in tflite-micro {version} on this machine, whose pointers take 8 bytes: {least_bytes:,} bytes is "
        f"the least it runs in (it keeps {kept.total_bytes:,}: head {kept.head_bytes:,}, tail {kept.tail_bytes:,}), "
        f"and {MARGIN:.0%} more"
    )
    return ArenaSize(least_bytes, _with(least_bytes, MARGIN), measured=True, how=how)


def size_beside_npu(least_bytes: int, addresses_bytes: int, kept: ArenaUse, version: str) -> ArenaSize:
    """Return the size for a file that Vela compiled, which was set up here without its NPU.

    Args:
        least_bytes: the smallest arena that it is set up in, with another op in the place of the NPU's.
        addresses_bytes: what the kernel of the NPU's op asks for besides.
        kept: what the recorder counts of it.
        version: of tflite-micro.
    """
    needed = least_bytes + addresses_bytes
    kept_text = f"it keeps {kept.total_bytes:,}: head {kept.head_bytes:,}, tail {kept.tail_bytes:,}"
    how = (
        f"set up in tflite-micro {version} on this machine, whose pointers take 8 bytes, with another op in the place "
        f"of the NPU's, on which nothing ran: {least_bytes:,} bytes is the least ({kept_text}), {addresses_bytes:,} "
        f"for the NPU's addresses, and {MARGIN:.0%} more"
    )
    return ArenaSize(needed, _with(needed, MARGIN), measured=True, how=how)


def planned_size(content: bytes, model: FlatModel) -> ArenaSize:
    """Return the size for a file that could not be measured.

    Args:
        content: the file.
        model: the same, read.
    """
    planned = planned_arena_bytes(content)
    channels = sum(len(tensor.scales) for graph in model.subgraphs for tensor in graph.tensors if tensor.constant)
    tensors = sum(len(graph.tensors) for graph in model.subgraphs)
    kept = _FIXED_BYTES + _TENSOR_BYTES * tensors + _OP_BYTES * sum(1 for _ in model.ops) + _CHANNEL_BYTES * channels
    how = (
        f"not measured, tflite-micro is not installed: {planned:,} bytes planned for activations, {kept:,} allowed for "
        f"the interpreter's own structures, and {PLANNED_MARGIN:.0%} more; measure it on the device"
    )
    return ArenaSize(planned + kept, _with(planned + kept, PLANNED_MARGIN), measured=False, how=how)


def _with(size: int, margin: float) -> int:
    return -(-int(size * (1 + margin)) // _ALIGNMENT) * _ALIGNMENT
