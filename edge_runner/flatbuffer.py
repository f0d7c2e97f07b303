"""Look into a .tflite file without any interpreter: is it whole, what does it hold, what are its inputs called.

Every offset is checked before it is followed, so that a truncated or scrambled file ends in :class:`ModelFileError`,
never in a crash or a long wait. Only what the runner needs is read; field numbers are those of TensorFlow Lite's
``schema.fbs``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NoReturn

MAX_ENTRIES = 100_000
"""More entries than this in one vector are taken for a broken length: the largest models have a few thousand."""

MAX_TEXT_BYTES = 4096


class ModelFileError(ValueError):
    """The bytes are not a whole TFLite file; the message says what is wrong with them."""


@dataclass(frozen=True)
class FileFacts:
    """What a .tflite file says about itself.

    Attributes:
        version: of the TFLite schema.
        description: who wrote it.
        subgraphs: how many.
        operators: how many ops the first subgraph holds.
        custom_operators: names of the custom ops, in order.
        signature: name of the signature in use; None when the file has none.
        inputs: by input name, the tensor's index; empty without a signature.
        outputs: likewise.
    """

    version: int
    description: str
    subgraphs: int
    operators: int
    custom_operators: tuple[str, ...]
    signature: str | None
    inputs: dict[str, int]
    outputs: dict[str, int]


class _Table:
    """A flatbuffers table at *position* of *data*; reading outside the file raises ModelFileError."""

    def __init__(self, data: memoryview, position: int) -> None:
        self.data = data
        self.position = position
        vtable = position - _read(data, "<i", position)
        self.fields = _read(data, "<H", vtable) // 2 - 2
        self.vtable = vtable
        if self.fields < 0:
            _refuse(f"broken vtable at byte {vtable}")

    def _at(self, field: int) -> int:
        """Return where the field's value stands, or 0 when it is left out."""
        offset = _read(self.data, "<H", self.vtable + 4 + 2 * field) if field < self.fields else 0
        return self.position + offset if offset else 0

    def number(self, field: int, form: str, default: int = 0) -> int:
        at = self._at(field)
        return _read(self.data, form, at) if at else default

    def _vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        """Return where the items start and how many there are."""
        at = self._at(field)
        if not at:
            return 0, 0
        start = at + _read(self.data, "<I", at)
        count = _read(self.data, "<I", start)
        if start + 4 + count * item_bytes > len(self.data):
            _refuse(f"a vector of {count} items at byte {start} reaches beyond the end of the file")
        if item_bytes > 1 and count > MAX_ENTRIES:
            _refuse(f"a vector at byte {start} claims {count} items")
        return start + 4, count

    def text(self, field: int) -> str:
        start, count = self._vector(field, 1)
        return bytes(self.data[start : start + min(count, MAX_TEXT_BYTES)]).decode("utf-8", "replace")

    def numbers(self, field: int) -> tuple[int, ...]:
        start, count = self._vector(field, 4)
        return struct.unpack_from(f"<{count}i", self.data, start) if count else ()

    def count(self, field: int) -> int:
        return self._vector(field, 4)[1]

    def tables(self, field: int) -> list[_Table]:
        start, count = self._vector(field, 4)
        places = range(start, start + 4 * count, 4)
        return [_Table(self.data, place + _read(self.data, "<I", place)) for place in places]

    def payload(self, field: int) -> int:
        """Return how many bytes a byte vector holds, having checked that the file has them."""
        return self._vector(field, 1)[1]


def _refuse(reason: str) -> NoReturn:
    raise ModelFileError(reason)


def _read(data: memoryview, form: str, position: int) -> int:
    if position < 0 or position + struct.calcsize(form) > len(data):
        _refuse(f"an offset points to byte {position} of a file of {len(data)} bytes")
    value: int = struct.unpack_from(form, data, position)[0]
    return value


def read(content: bytes) -> FileFacts:
    """Check a .tflite file's outline and return what it says about itself.

    Raises:
        ModelFileError: it is empty, truncated, something else, or its offsets lead out of the file.
    """
    if not content:
        _refuse("the file is empty")
    if len(content) < 8 or content[4:8] != b"TFL3":
        _refuse("not a .tflite file: the identifier 'TFL3' is missing at byte 4")
    data = memoryview(content)
    model = _Table(data, _read(data, "<I", 0))
    subgraphs = model.tables(2)
    if not subgraphs:
        _refuse("the file holds no subgraph")
    _check_buffers(model, len(content))
    first = subgraphs[0]
    tensors = first.count(0)
    _check_tensors(first, tensors, model.count(4))
    name, inputs, outputs = _signature(model, tensors)
    return FileFacts(
        version=model.number(0, "<I"),
        description=model.text(3),
        subgraphs=len(subgraphs),
        operators=first.count(3),
        custom_operators=tuple(text for text in (code.text(1) for code in model.tables(1)) if text),
        signature=name,
        inputs=inputs,
        outputs=outputs,
    )


def _check_buffers(model: _Table, size: int) -> None:
    """Check that every buffer lies in the file: those inside the flatbuffer, and those appended behind it."""
    for index, buffer in enumerate(model.tables(4)):
        buffer.payload(0)
        offset, length = buffer.number(1, "<Q"), buffer.number(2, "<Q")
        if offset > 1 and offset + length > size:
            _refuse(f"buffer {index} reaches to byte {offset + length} of a file of {size} bytes")


def _check_tensors(subgraph: _Table, tensors: int, buffers: int) -> None:
    for index in subgraph.numbers(1) + subgraph.numbers(2):
        if not 0 <= index < tensors:
            _refuse(f"an input or output is tensor {index}, and there are {tensors}")
    for index, tensor in enumerate(subgraph.tables(0)):
        if tensor.number(2, "<I") >= max(buffers, 1):
            _refuse(f"tensor {index} uses buffer {tensor.number(2, '<I')}, and there are {buffers}")


def _signature(model: _Table, tensors: int) -> tuple[str | None, dict[str, int], dict[str, int]]:
    """Return name, inputs and outputs of ``serving_default``, else of the first signature of the first subgraph."""
    found = [table for table in model.tables(7) if table.number(4, "<I") == 0]
    if not found:
        return None, {}, {}
    chosen = next((table for table in found if table.text(2) == "serving_default"), found[0])
    maps = [{entry.text(0): entry.number(1, "<I") for entry in chosen.tables(field)} for field in (0, 1)]
    for index in [*maps[0].values(), *maps[1].values()]:
        if index >= tensors:
            _refuse(f"the signature names tensor {index}, and there are {tensors}")
    return chosen.text(2), maps[0], maps[1]
