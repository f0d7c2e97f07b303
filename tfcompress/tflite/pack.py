"""Our metadata inside a ``.tflite`` file: labels, preprocessing, recipe and version, in a buffer that runtimes ignore.

The file's own bytes stay as they are. What is new (a root table, the lists of buffers and metadata with one entry more,
the JSON) is put in *front* of them, because FlatBuffers references only point forward; the lists then refer to the old
tables. Unlike the generated schema classes of Python, this keeps every buffer on the 16-byte boundary that the schema
demands and microcontrollers rely on, and whatever a newer converter wrote; it costs 4 bytes a buffer.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from edge_runner.cursor import Source, Table
from edge_runner.flatbuffer import DATA_FREE, METADATA_NAME
from edge_runner.graph import IDENTIFIER
from tfcompress.errors import ModelError
from tfcompress.tflite.flatbuffer import read_model_file, reading_errors

_FIELDS = 10  # of the schema's Model table: version, then nine references
_BUFFERS, _METADATA = 4, 6
_ALIGNMENT = 16


def read_metadata(content: bytes) -> dict[str, Any] | None:
    """Return what :func:`add_metadata` stored in a TFLite file; None where it stored nothing.

    Raises:
        ModelError: not a TFLite file, or a malformed one.
    """
    found = read_model_file(content).metadata.get(METADATA_NAME)
    if found is None:
        return None
    stored = bytes(found)
    try:
        value = json.loads(stored)
    except (ValueError, RecursionError) as error:
        msg = f"metadata {METADATA_NAME} must be JSON, got {stored[:40]!r}; export the model again"
        raise ModelError(msg) from error
    return value if isinstance(value, dict) else None


def data_free_note(content: bytes) -> str:
    """Return how the ranges of an int8 file were chosen that no sample was seen for; empty: of any other file.

    Raises:
        ModelError: not a TFLite file, or a malformed one.
    """
    told = (read_metadata(content) or {}).get("calibration")
    return told if isinstance(told, str) and told.startswith(DATA_FREE) else ""


def add_metadata(content: bytes, values: Mapping[str, Any]) -> bytes:
    """Return the file with *values* stored in it; what was stored before is replaced.

    Args:
        content: a TFLite file.
        values: anything that JSON can hold.

    Raises:
        ModelError: not a TFLite file, a malformed one, or one above 2 GB.
    """
    data = json.dumps(values, sort_keys=True, allow_nan=False, separators=(",", ":")).encode()
    content = _without_ours(content)
    with reading_errors():
        root = Source(memoryview(content)).root()
        if any(buffer.number(1, "Q") > 1 for buffer in root.tables(_BUFFERS)):
            msg = "metadata cannot be added to a file above 2 GB, whose buffers lie outside the flatbuffer"
            raise ModelError(msg)
        return _front(root, data) + content


def _front(root: Table, data: bytes) -> bytes:
    """Lay out everything that goes in front of the file; its size is a multiple of the alignment."""
    version = root.number(0, "I")
    buffers = [t.position for t in root.tables(_BUFFERS)]
    metadata = [t.position for t in root.tables(_METADATA) if t.text(0) != METADATA_NAME]
    name = METADATA_NAME.encode() + b"\0"
    name += b"\0" * (-len(name) % 4)

    vtable = 8
    table = vtable + _even(4 + 2 * _FIELDS)
    buffer_list = table + 4 + 4 * _FIELDS
    metadata_list = buffer_list + 4 + 4 * (len(buffers) + 1)
    entry = metadata_list + 4 + 4 * (len(metadata) + 1)  # vtable (8), table (12), name
    text = entry + 20
    buffer = text + 4 + len(name)  # vtable (8), table (8), data
    start = _aligned(buffer + 16 + 4)
    end = _aligned(start + len(data))

    targets = {field: end + target for field in range(1, _FIELDS) if (target := root.target(field))}
    targets |= {_BUFFERS: buffer_list, _METADATA: metadata_list}
    parts = bytearray(end)
    struct.pack_into("<I4s", parts, 0, table, IDENTIFIER)
    offsets = [4 if f == 0 or f in targets else 0 for f in range(_FIELDS)]
    struct.pack_into("<HH", parts, vtable, 4 + 2 * _FIELDS, 4 + 4 * _FIELDS)
    for number, present in enumerate(offsets):
        struct.pack_into("<H", parts, vtable + 4 + 2 * number, present and 4 + 4 * number)
    struct.pack_into("<iI", parts, table, table - vtable, version)
    for number, target in targets.items():
        place = table + 4 + 4 * number
        struct.pack_into("<I", parts, place, target - place)
    _put_list(parts, buffer_list, [*(end + p for p in buffers), buffer + 8])
    _put_list(parts, metadata_list, [*(end + p for p in metadata), entry + 8])
    struct.pack_into("<HHHH", parts, entry, 8, 12, 4, 8)
    struct.pack_into("<iII", parts, entry + 8, 8, text - (entry + 12), len(buffers))
    struct.pack_into(f"<I{len(name)}s", parts, text, len(METADATA_NAME), name)
    struct.pack_into("<HHH", parts, buffer, 6, 8, 4)
    struct.pack_into("<iI", parts, buffer + 8, 8, start - 4 - (buffer + 12))
    struct.pack_into(f"<I{len(data)}s", parts, start - 4, len(data), data)
    return bytes(parts)


def _put_list(parts: bytearray, place: int, targets: Sequence[int]) -> None:
    struct.pack_into("<I", parts, place, len(targets))
    for item, target in enumerate(targets):
        at = place + 4 + 4 * item
        struct.pack_into("<I", parts, at, target - at)


def _even(size: int) -> int:
    return -(-size // 4) * 4


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _without_ours(content: bytes) -> bytes:
    """Take off what an earlier :func:`add_metadata` put in front, if the file starts with that."""
    read_model_file(content)
    root = Source(memoryview(content)).root()
    buffers = root.tables(_BUFFERS)
    for entry in root.tables(_METADATA):
        if entry.text(0) == METADATA_NAME:
            start, size = buffers[entry.number(1, "I")].vector(0, 1)
            inner = content[_aligned(start + size) :]
            if start and inner[4:8] == IDENTIFIER:
                return inner
    return content
