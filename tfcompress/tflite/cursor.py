"""Bounds-checked reading of FlatBuffers tables, for files that nobody has vouched for.

Layout (https://flatbuffers.dev/internals): little endian; the first four bytes point to the root table; a table starts
with a signed offset back to its vtable, whose entries are 16-bit offsets of the fields from the table's start (0:
absent); vectors and strings are a 32-bit length followed by the items; references are unsigned offsets forward.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NoReturn

import numpy as np

from tfcompress.errors import ModelError

_TABLE_COST = 64  # of the allowance: a table of a few bytes takes as long as a long vector


class Bytes:
    """A file's content, and how much of it may still be read.

    A well-formed file holds every vector once. A malformed one can point at the same vector from thousands of places;
    the allowance turns the hours that reading it would take into an error.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._allowance = 8 * len(content) + 65536

    def unpack(self, form: str, position: int) -> int | float:
        """Read one number at *position*.

        Raises:
            ModelError: it does not lie inside the file.
        """
        if not 0 <= position <= len(self.content) - struct.calcsize(form):
            malformed(f"byte {position} of {len(self.content)}")
        value: int | float = struct.unpack_from(form, self.content, position)[0]
        return value

    def integer(self, form: str, position: int) -> int:
        """Read one whole number at *position*."""
        return int(self.unpack(form, position))

    def span(self, position: int, size: int, cost: int = 0) -> None:
        """Check that *size* bytes at *position* lie inside the file, and take them (or *cost*) from the allowance."""
        if position < 0 or position + size > len(self.content):
            malformed(f"{size} bytes at byte {position} of {len(self.content)}")
        self._allowance -= cost or size
        if self._allowance < 0:
            malformed("the same parts again and again")

    def root(self) -> Table:
        """Return the root table."""
        return Table(self, self.integer("<I", 0))


def malformed(what: str) -> NoReturn:
    """Refuse a file that points at *what*.

    Raises:
        ModelError: always.
    """
    msg = f"malformed TFLite file: it points at {what}; convert the model again, or fetch the file again"
    raise ModelError(msg)


class Table:
    """One table; fields go by their number in the schema."""

    def __init__(self, source: Bytes, position: int) -> None:
        self.source = source
        self.position = position
        source.span(position, 4, _TABLE_COST)
        self._vtable = position - source.integer("<i", position)
        self._size = source.integer("<H", self._vtable)

    def at(self, field: int) -> int:
        """Return the position of a field, 0 where it is absent."""
        entry = 4 + 2 * field
        if entry + 2 > self._size:
            return 0
        offset = self.source.integer("<H", self._vtable + entry)
        return self.position + offset if offset else 0

    def integer(self, field: int, form: str, default: int = 0) -> int:
        """Read a whole number in struct's format *form*."""
        position = self.at(field)
        return self.source.integer(form, position) if position else default

    def target(self, field: int) -> int:
        """Return the position that a reference points at, 0 where it is absent."""
        position = self.at(field)
        return position + self.source.integer("<I", position) if position else 0

    def table(self, field: int) -> Table | None:
        """Return the table that a field points at."""
        position = self.target(field)
        return Table(self.source, position) if position else None

    def tables(self, field: int) -> Iterator[Table]:
        """Go through a vector of tables."""
        start = self.target(field)
        if start:
            count = self.source.integer("<I", start)
            self.source.span(start + 4, 4 * count)
            for position in range(start + 4, start + 4 + 4 * count, 4):
                yield Table(self.source, position + self.source.integer("<I", position))

    def array(self, field: int, dtype: str) -> np.ndarray:
        """Return a vector of numbers as a read-only view; empty where it is absent."""
        start, item = self.target(field), np.dtype(dtype)
        if not start:
            return np.empty(0, item)
        count = self.source.integer("<I", start)
        self.source.span(start + 4, count * item.itemsize)
        return np.frombuffer(self.source.content, item, count, start + 4)

    def text(self, field: int) -> str:
        """Return a string; empty where it is absent."""
        return self.array(field, "u1").tobytes().decode("utf-8", errors="replace")
