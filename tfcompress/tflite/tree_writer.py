"""Writes a tree of tables as a TFLite file, in few bytes.

What is equal is written once (FlatBuffers may share whatever a reference points at), what is a default is left out, and
constants stand where the schema wants them: on multiples of 16 bytes.
"""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from edge_runner.graph import IDENTIFIER
from tfcompress.tflite.tree import Field, Node, Numbers, Text, Value, tables

CONSTANT_ALIGNMENT = 16
"""``force_align`` of Buffer.data in the schema; kernels of microcontrollers rely on it."""


def write_tree(root: Node) -> bytes:
    """Return the file of a tree: what is equal once, defaults left out, constants on multiples of 16 bytes."""
    writer = _Writer()
    start = writer.place(root)
    return writer.file(start)


@dataclass(slots=True)
class _Part:
    """What references can point at: a table, vector or string.

    Its fifth byte, where the items of a vector or the fields of a table begin, stands on a multiple of *alignment*.
    """

    content: bytes
    alignment: int
    references: tuple[tuple[int, int], ...] = ()  # place inside the part, number of the part it points at
    vtable: bytes = b""


class _Writer:
    """Collects parts, equal ones once, and lays them out: a part comes behind all that refer to it."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._known: dict[tuple[object, ...], int] = {}
        self._placed: dict[int, tuple[Value, int]] = {}

    def place(self, value: Value, alignment: int = 4) -> int:
        """Return the number of the part for a value."""
        known = self._placed.get(id(value))
        if known is None or alignment > 4:
            known = self._placed[id(value)] = (value, self._add(self._part(value, alignment)))
        return known[1]

    def _add(self, part: _Part) -> int:
        key = (part.content, part.alignment, part.references, part.vtable)
        number = self._known.setdefault(key, len(self._parts))
        if number == len(self._parts):
            self._parts.append(part)
        return number

    def _part(self, value: Value, alignment: int) -> _Part:
        if isinstance(value, Text):
            return _Part(struct.pack("<I", len(value.content)) + value.content + b"\0", 4)
        if isinstance(value, Numbers):
            count = len(value.content) // value.item_bytes
            return _Part(struct.pack("<I", count) + value.content, max(alignment, value.item_bytes))
        if isinstance(value, tuple):
            items = [self.place(item) for item in value]
            references = tuple((4 + 4 * place, item) for place, item in enumerate(items))
            return _Part(struct.pack("<I", len(value)) + bytes(4 * len(value)), 4, references)
        if isinstance(value, Node):
            return self._table(value)
        raise TypeError(value)

    def _table(self, node: Node) -> _Part:
        known = tables()[node.kind]
        fields = {known[name].slot: (known[name], value) for name, value in node.fields.items()}
        kept = {
            slot: value if isinstance(value, bytes) else self.place(value, _alignment(node.kind, field))
            for slot, (field, value) in sorted(fields.items())
        }
        sizes = {slot: len(value) if isinstance(value, bytes) else 4 for slot, value in kept.items()}
        content, places, references = bytearray(4), {}, []
        for slot in sorted(kept, key=lambda slot: (-sizes[slot], slot)):
            value, places[slot] = kept[slot], len(content)
            if isinstance(value, bytes):
                content += value
            else:
                references.append((len(content), value))
                content += bytes(4)
        slots = 1 + max(kept, default=-1)
        vtable = struct.pack(
            f"<HH{slots}H", 4 + 2 * slots, len(content), *(places.get(slot, 0) for slot in range(slots))
        )
        return _Part(bytes(content), max([4, *sizes.values()]), tuple(references), vtable)

    def file(self, root: int) -> bytes:
        """Lay out all parts behind the header and the vtables."""
        content = bytearray(struct.pack("<I4s", 0, IDENTIFIER))
        vtables: dict[bytes, int] = {}
        for part in self._parts:
            if part.vtable and part.vtable not in vtables:
                vtables[part.vtable] = len(content)
                content += part.vtable
        places: dict[int, int] = {}
        for number in self._order(len(content)):
            part = self._parts[number]
            places[number] = _start(len(content), part.alignment)
            content += bytes(places[number] - len(content)) + part.content
        for number, place in places.items():
            part = self._parts[number]
            if part.vtable:
                struct.pack_into("<i", content, place, place - vtables[part.vtable])
            for at, target in part.references:
                struct.pack_into("<I", content, place + at, places[target] - (place + at))
        struct.pack_into("<I", content, 0, places[root])
        return bytes(content) + bytes(-len(content) % 4)

    def _order(self, end: int) -> Iterator[int]:
        """Put what refers to others first, each before what it refers to; then the rest, small parts into the gaps.

        Args:
            end: where the first part may begin.
        """
        numbers = range(len(self._parts) - 1, -1, -1)
        order = [number for number in numbers if self._parts[number].references]
        rest = [number for number in numbers if not self._parts[number].references]
        wide = [number for number in rest if self._parts[number].alignment > 4]
        small = sorted(
            (len(self._parts[number].content), number) for number in rest if self._parts[number].alignment == 4
        )
        for number in order:
            end = self._behind(end, number)
            yield number
        for number in wide:
            while chosen := self._fitting(small, _start(end, self._parts[number].alignment) - end, end):
                end = self._behind(end, chosen[1])
                yield chosen[1]
            end = self._behind(end, number)
            yield number
        yield from (number for _, number in small)

    def _behind(self, end: int, number: int) -> int:
        part = self._parts[number]
        return _start(end, part.alignment) + len(part.content)

    def _fitting(self, small: list[tuple[int, int]], gap: int, end: int) -> tuple[int, int] | None:
        """Take the largest of the small parts that fits into a gap; None: there is none."""
        place = bisect.bisect_right(small, (gap - (-end % 4), len(self._parts)))
        return small.pop(place - 1) if place else None


def _start(end: int, alignment: int) -> int:
    """Return the first place from *end* on whose fifth byte is aligned."""
    return end + -(end + 4) % alignment


def _alignment(kind: str, field: Field) -> int:
    return CONSTANT_ALIGNMENT if (kind, field.slot) == ("Buffer", 0) else 4
