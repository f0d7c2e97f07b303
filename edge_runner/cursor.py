"""Steps through a flatbuffer whose bytes nobody vouches for: every position is checked before it is read.

The layout is that of FlatBuffers: a table points back to its vtable, which says where each field lies inside the table;
references point forward, so that they cannot form a cycle; vectors and strings start with their length. Tables may be
shared, so that a small file can describe a huge tree: how much is visited is limited as well.
"""

from __future__ import annotations

import struct
import sys
from array import array
from typing import Any, NoReturn

MAX_TABLES = 200_000
"""Tables visited in one file, at most; models of several GB have some ten thousand."""
MAX_ITEMS = 2_000_000
"""Numbers read from vectors of one file, at most; eight bytes of a scale, a zero point or a text count as one."""
MAX_TEXT_BYTES = 4096

_U32, _I32, _HEADER = struct.Struct("<I"), struct.Struct("<i"), struct.Struct("<HH")
_NUMBERS = {form: struct.Struct(f"<{form}") for form in "bBhHiIqQ?"}


class ModelFileError(ValueError):
    """The bytes are not a whole TFLite file, or not a sound one; the message says what is wrong with them."""


def refuse(reason: str) -> NoReturn:
    """End the reading of a file.

    Raises:
        ModelFileError: always.
    """
    raise ModelFileError(reason)


class Source:
    """The bytes of a file and how much of it was visited."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.size = len(data)
        self.visited = 0
        self.items = 0

    def count(self, items: int) -> None:
        """Note that so many numbers are about to be kept."""
        self.items += items
        if self.items > MAX_ITEMS:
            refuse(f"the file's lists hold more than {MAX_ITEMS:,} numbers, which no model's do")

    def read(self, form: struct.Struct, position: int) -> int:
        """Return the number at *position*."""
        if position < 0 or position + form.size > self.size:
            refuse(f"an offset points to byte {position} of a file of {self.size} bytes")
        value: int = form.unpack_from(self.data, position)[0]
        return value

    def target(self, position: int) -> int:
        """Return where the reference at *position* leads."""
        return position + self.read(_U32, position)

    def root(self) -> Table:
        """Return the file's first table."""
        return Table(self, self.target(0))


class Table:
    """A table at *position*; reading outside the file, or outside the table, raises ModelFileError.

    Field numbers are those of TensorFlow Lite's ``schema.fbs``, counted from 0.
    """

    __slots__ = ("_bytes", "_fields", "_offsets", "_source", "position")

    def __init__(self, source: Source, position: int) -> None:
        source.visited += 1
        if source.visited > MAX_TABLES:
            refuse(f"the file describes more than {MAX_TABLES:,} tables, which no model does")
        vtable = position - source.read(_I32, position)
        if position % 4:
            refuse(f"a table stands at byte {position}, which is no multiple of 4")
        if vtable < 0 or vtable + 4 > source.size:
            refuse(f"an offset points to byte {vtable} of a file of {source.size} bytes")
        vtable_bytes, self._bytes = _HEADER.unpack_from(source.data, vtable)
        broken = vtable % 2 or vtable_bytes < 4 or vtable_bytes % 2 or self._bytes < 4
        if broken or vtable + vtable_bytes > source.size or position + self._bytes > source.size:
            refuse(f"broken vtable at byte {vtable}")
        self._fields = vtable_bytes // 2 - 2
        self._offsets = struct.unpack_from(f"<{self._fields}H", source.data, vtable + 4)
        self._source, self.position = source, position

    def sound(self) -> None:
        """Refuse a table with a field outside itself, for tables whose fields are not read one by one."""
        if any(offset and not 4 <= offset < self._bytes for offset in self._offsets):
            refuse(f"the table at byte {self.position} has a field outside itself")

    def at(self, field: int, size: int) -> int:
        """Return where the field's value of *size* bytes stands, or 0 when it is left out."""
        offset: int = self._offsets[field] if field < self._fields else 0
        if not offset:
            return 0
        if offset < 4 or offset + size > self._bytes:
            refuse(f"the table at byte {self.position} has a field outside itself")
        return self.position + offset

    def number(self, field: int, form: str, default: int = 0) -> int:
        """Return a number, its *form* as the struct module has it."""
        unpacker = _NUMBERS[form]
        at = self.at(field, unpacker.size)
        return self._source.read(unpacker, at) if at else default

    def has(self, field: int) -> bool:
        """Say whether the field is there."""
        return bool(self.at(field, 1))

    def target(self, field: int) -> int:
        """Return where the field's reference leads, or 0 when it is left out."""
        at = self.at(field, 4)
        return self._source.target(at) if at else 0

    def vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        """Return where a vector's items start and how many there are; (0, 0) for none."""
        start = self.target(field)
        if not start:
            return 0, 0
        count = self._source.read(_U32, start)
        first = start + 4
        if first + count * item_bytes > self._source.size:
            refuse(f"a vector of {count} items at byte {start} reaches beyond the end of the file")
        if start % 4 or (count and first % item_bytes):
            refuse(f"a vector of {item_bytes}-byte items starts at byte {first}, which is no multiple of {item_bytes}")
        return first, count

    def text(self, field: int) -> str:
        """Return a string, empty when left out; very long ones are cut."""
        start, count = self.vector(field, 1)
        if start and (start + count >= self._source.size or self._source.data[start + count]):
            refuse(f"the string at byte {start} does not end with a zero")
        taken = min(count, MAX_TEXT_BYTES)
        self._source.count(taken // 8)
        return bytes(self._source.data[start : start + taken]).decode("utf-8", "replace")

    def numbers(self, field: int) -> tuple[int, ...]:
        """Return a vector of 32-bit numbers, empty when left out."""
        start, count = self.vector(field, 4)
        self._source.count(count)
        return struct.unpack_from(f"<{count}i", self._source.data, start) if count else ()

    def longs(self, field: int) -> array[int]:
        """Return a vector of 64-bit numbers."""
        return self._array(field, array("q"))

    def reals(self, field: int) -> array[float]:
        """Return a vector of 32-bit reals."""
        return self._array(field, array("f"))

    def _array(self, field: int, empty: array[Any]) -> array[Any]:
        start, count = self.vector(field, empty.itemsize)
        self._source.count(count * empty.itemsize // 8)
        empty.frombytes(self._source.data[start : start + count * empty.itemsize])
        if sys.byteorder == "big":
            empty.byteswap()
        return empty

    def table(self, field: int) -> Table | None:
        """Return the table that a field refers to."""
        position = self.target(field)
        return Table(self._source, position) if position else None

    def tables(self, field: int) -> list[Table]:
        """Return a vector of tables."""
        start, count = self.vector(field, 4)
        if count > MAX_TABLES:
            refuse(f"a vector at byte {start} claims {count} tables")
        source = self._source
        return [Table(source, source.target(place)) for place in range(start, start + 4 * count, 4)]

    def count(self, field: int) -> int:
        """Return how many tables a vector holds."""
        return self.vector(field, 4)[1]
