"""What a finished file takes of a microcontroller: of its flash, and of its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tfcompress.tflite.export import TFLiteModel


class ChipNeeds(NamedTuple):
    """What a file takes.

    Attributes:
        flash_bytes: of the file that is put there.
        arena_bytes: of the smallest tensor arena that it runs in; with an accelerator, of SRAM by Vela's estimate.
    """

    flash_bytes: int
    arena_bytes: int


def needs_of(file: TFLiteModel) -> ChipNeeds | None:
    """Return what a file takes of the chip that it was exported for; None: it is for none.

    Of several files that were asked for, it is the one that is put there: the streaming one, or the one with look-up
    tables.

    Args:
        file: as :func:`tfcompress.tflite.export.export` gives it.
    """
    record = file.verification.micro
    if record is None:
        return None
    if file.streaming is not None and file.streaming.record.micro is not None:
        return ChipNeeds(len(file.streaming.content), file.streaming.record.micro.least_arena_bytes)
    if file.lookup is not None and file.export.lookup:
        return ChipNeeds(len(file.lookup.content), file.lookup.arena_bytes)
    if record.npu is not None:
        return ChipNeeds(record.npu.file_bytes, record.npu.sram_bytes)
    return ChipNeeds(record.flash_bytes, record.least_arena_bytes)
