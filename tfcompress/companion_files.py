"""The files beside a run's ``.tflite``: what they are called, what the report says of them, how they are written."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress import files

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData
    from tfcompress.tflite.export import TFLiteModel
    from tfcompress.tflite.lookup_tables import LookupFile
    from tfcompress.tflite.streaming_file import StreamingFile

COMPILED_SUFFIX = ".vela.tflite"
"""What a file ends in that Vela made of the one that was proven."""


def lookup_name(name: str) -> str:
    """Return what the file with look-up tables is called that stands beside a file of a name."""
    from tfcompress.tflite.lookup_tables import SUFFIX

    return name.removesuffix(".tflite") + SUFFIX


def lookup_facts(found: LookupFile | None, name: str) -> dict[str, Any] | None:
    """Return what the report says of the file with look-up tables beside a file of a name; None: there is none."""
    if found is None:
        return None
    return {
        "name": lookup_name(name),
        "size_bytes": len(found.content),
        "sha256": files.sha256(found.content),
        "tables": [asdict(table) for table in found.tables],
        "equal_samples": found.samples,
        "tflite_micro": found.version,
        "arena_bytes": found.arena_bytes,
        "arena": asdict(found.arena),
        "tested": None if found.tested is None else asdict(found.tested),
    }


def streaming_name(name: str) -> str:
    """Return what the streaming file is called that stands beside a file of a name."""
    from tfcompress.tflite.streaming_file import SUFFIX

    return name.removesuffix(".tflite") + SUFFIX


def streaming_facts(found: StreamingFile | None, name: str) -> dict[str, Any] | None:
    """Return what the report says of the streaming file beside a file of a name; None: there is none."""
    if found is None:
        return None
    about = {
        "name": streaming_name(name),
        "size_bytes": len(found.content),
        "sha256": files.sha256(found.content),
        "lookup": lookup_facts(found.lookup, streaming_name(name)),
    }
    return about | found.record.to_dict()


def write_companions(path: Path, tflite: TFLiteModel) -> None:
    """Write what was made of a file beside it: compiled for an NPU, with look-up tables, streaming.

    Args:
        path: of the file.
        tflite: the file, and what was made of it.

    Raises:
        OutputError: one cannot be written.
    """
    _write_made(path, tflite.compiled, tflite.lookup)
    if tflite.streaming is not None:
        streams = path.with_name(streaming_name(path.name))
        files.write_atomic(streams, tflite.streaming.content)
        _write_made(streams, tflite.streaming.compiled, tflite.streaming.lookup)


def _write_made(path: Path, compiled: bytes, lookup: LookupFile | None) -> None:
    if compiled:
        files.write_atomic(path.with_suffix(COMPILED_SUFFIX), compiled)
    if lookup is not None:
        files.write_atomic(path.with_name(lookup_name(path.name)), lookup.content)


def write_firmware(folder: Path, name: str, tflite: TFLiteModel, data: BoundData | None, seed: int) -> None:
    """Write the file for the chip as sources: with look-up tables, streaming, or compiled for its NPU.

    Golden inputs are a test sample.
    """
    from tfcompress.firmware.layouts import LAYOUTS
    from tfcompress.firmware.package import make_firmware
    from tfcompress.tflite.micro.vela import Compiled

    values, told = None, ""
    if data is not None and data.test is not None:
        values, told = next(iter(data.test.batches(1)))[0], f"a test sample of {data.dataset.source}"
    content, source, compiled = tflite.content, name, tflite.compiled
    proven = tflite.verification.micro
    npu = None if proven is None else proven.npu
    if tflite.lookup is not None:
        content, source = tflite.lookup.content, lookup_name(name)
    if tflite.streaming is not None:  # whose inputs are new frames: golden ones are drawn
        content, source, values = tflite.streaming.content, streaming_name(name), None
        compiled, npu = tflite.streaming.compiled, tflite.streaming.record.npu
        if tflite.streaming.lookup is not None:
            content, source = tflite.streaming.lookup.content, lookup_name(source)
    on_npu = Compiled(compiled, npu) if compiled and npu is not None else None
    if on_npu is not None:
        source = f"{source.removesuffix('.tflite')}{COMPILED_SUFFIX}"
    layouts = tuple(LAYOUTS) if on_npu is None else ()  # neither builder has an Ethos-U
    make_firmware(
        content, source=source, values=values, values_from=told, seed=seed, layouts=layouts, compiled=on_npu
    ).save(folder)
