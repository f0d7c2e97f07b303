"""A TFLite file as a tree of tables that can be changed, and written again in few bytes.

``schema.json`` says which fields each table of ``schema.fbs`` has (``tools/make_schema_table.py`` writes it): nothing
that it names is lost, and a file that holds anything else is refused. Numbers stay the bytes that they are.

Written again, what is equal is written once (FlatBuffers may share whatever a reference points at), what is a default
is left out, and constants stand where the schema wants them: on multiples of 16 bytes.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeAlias, Union

from tfcompress.errors import ModelError, UnsupportedError
from tfcompress.tflite.flatbuffer import IDENTIFIER

CONSTANT_ALIGNMENT = 16
"""``force_align`` of Buffer.data in the schema; kernels of microcontrollers rely on it."""

Value: TypeAlias = Union[bytes, "Text", "Numbers", "Node", tuple["Value", ...]]


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Numbers:
    """A vector of numbers.

    Attributes:
        item_bytes: size of one.
        content: the numbers, little endian, one after the other.
    """

    item_bytes: int
    content: bytes


@dataclass(frozen=True)
class Node:
    """A table.

    Attributes:
        kind: its name in the schema.
        fields: what is set, by the field's name in the schema: the bytes of a number, or what a reference points at.
    """

    kind: str
    fields: Mapping[str, Value]

    def number(self, name: str) -> int:
        """Return a whole number, the schema's default where it is not set."""
        field = _tables()[self.kind][name]
        value = self.fields.get(name)
        return int(struct.unpack(field.form, value)[0]) if isinstance(value, bytes) else int(field.default)

    def text(self, name: str) -> str:
        """Return a string, empty where it is not set."""
        value = self.fields.get(name)
        return value.content.decode("utf-8", "replace") if isinstance(value, Text) else ""

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return a vector of whole numbers, empty where it is not set."""
        value = self.fields.get(name)
        if not isinstance(value, Numbers):
            return ()
        form = _tables()[self.kind][name].form[1:]
        return struct.unpack(f"<{len(value.content) // value.item_bytes}{form}", value.content)

    def nodes(self, name: str) -> tuple[Node, ...]:
        """Return a vector of tables, empty where it is not set."""
        value = self.fields.get(name)
        return tuple(item for item in value if isinstance(item, Node)) if isinstance(value, tuple) else ()

    def node(self, name: str) -> Node | None:
        """Return a table; None where it is not set."""
        value = self.fields.get(name)
        return value if isinstance(value, Node) else None

    def having(self, **fields: Value | int | None) -> Node:
        """Return the table with other fields; None takes one away, a whole number is stored as the schema has it."""
        known = _tables()[self.kind]
        given = {
            name: struct.pack(known[name].form, value) if isinstance(value, int) else value
            for name, value in fields.items()
        }
        merged = {
            name: value
            for name, value in {**self.fields, **given}.items()
            if value is not None and not _is_default(known[name], value)
        }
        return dataclasses.replace(self, fields=merged)


@dataclass(frozen=True)
class Field:
    """What the schema says of a field.

    Attributes:
        slot: its number in the table.
        kind: number, text, table, union or none (of old, without a use).
        of: what is referred to: name of a table or union.
        vector: it refers to a vector of these.
        form: struct's form of a number.
        default: of a number.
    """

    slot: int
    kind: str
    of: str
    vector: bool
    form: str
    default: float

    @property
    def size_bytes(self) -> int:
        """Size of a number."""
        return struct.calcsize(self.form)


_FORMS = {"u1": "<B", "i1": "<b", "u2": "<H", "i2": "<h", "u4": "<I", "i4": "<i", "u8": "<Q", "i8": "<q"}
_FORMS |= {"f4": "<f", "f8": "<d"}


@functools.cache
def _schema() -> dict[str, dict[str, Any]]:
    text = (resources.files("tfcompress.tflite") / "schema.json").read_text(encoding="utf-8")
    schema: dict[str, dict[str, Any]] = json.loads(text)
    return schema


@functools.cache
def _tables() -> dict[str, dict[str, Field]]:
    """Return the schema's tables: name -> field's name -> field, in the order of the slots."""
    return {
        name: {item[0]: _field(slot, item) for slot, item in enumerate(items) if item[1] != "none"}
        for name, items in _schema()["tables"].items()
    }


def _field(slot: int, item: list[Any]) -> Field:
    vector = item[1].endswith("[]")
    kind, _, of = item[1].removesuffix("[]").partition(" ")
    form = _FORMS.get(kind, "")
    return Field(slot, "number" if form else kind, of, vector, form, float(item[2]) if len(item) > 2 else 0.0)


def parse(content: bytes) -> Node:
    """Return the root table of a TFLite file that :func:`tfcompress.tflite.flatbuffer.read` has read.

    Raises:
        ModelError: a malformed file.
        UnsupportedError: it holds a field, or a kind of options, that ``schema.json`` does not know.
    """
    try:
        return _Parser(content).table("Model", struct.unpack_from("<I", content, 0)[0])
    except (struct.error, IndexError, RecursionError) as error:
        msg = f"malformed TFLite file: {error}; convert the model again"
        raise ModelError(msg) from error


class _Parser:
    """Reads tables; one that is referred to twice is read once."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._known: dict[tuple[str, int], Node] = {}

    def table(self, kind: str, position: int) -> Node:
        key = (kind, position)
        if key not in self._known:
            self._known[key] = self._table(kind, position)
        return self._known[key]

    def _table(self, kind: str, position: int) -> Node:
        vtable = position - self._integer("<i", position)
        count = (self._integer("<H", vtable) - 4) // 2
        offsets = struct.unpack_from(f"<{count}H", self._content, vtable + 4)
        places = {slot: position + offset for slot, offset in enumerate(offsets) if offset}
        found: dict[str, Value] = {}
        for name, field in _tables()[kind].items():
            if field.slot in places:
                value = self._value(kind, field, places.pop(field.slot), found)
                if not _is_default(field, value):
                    found[name] = value
        if places:
            msg = f"the file holds field {min(places)} of {kind}, which this version does not know; leave it as it is"
            raise UnsupportedError(msg)
        return Node(kind, found)

    def _value(self, kind: str, field: Field, place: int, before: Mapping[str, Value]) -> Value:
        if field.kind == "number" and not field.vector:
            return self._slice(place, field.size_bytes)
        target = place + self._integer("<I", place)
        if field.kind == "union":
            return self.table(_member(kind, field, before), target)
        if not field.vector:
            return self._text(target) if field.kind == "text" else self.table(field.of, target)
        count = self._integer("<I", target)
        if field.kind == "number":
            return Numbers(field.size_bytes, self._slice(target + 4, count * field.size_bytes))
        self._slice(target + 4, 4 * count)
        items = [at + self._integer("<I", at) for at in range(target + 4, target + 4 + 4 * count, 4)]
        return tuple(self._text(at) if field.kind == "text" else self.table(field.of, at) for at in items)

    def _text(self, place: int) -> Text:
        return Text(self._slice(place + 4, self._integer("<I", place)))

    def _integer(self, form: str, place: int) -> int:
        if place < 0:
            raise IndexError(place)
        return int(struct.unpack_from(form, self._content, place)[0])

    def _slice(self, place: int, size: int) -> bytes:
        if place + size > len(self._content):
            raise IndexError(place + size)
        return self._content[place : place + size]


def _member(kind: str, field: Field, before: Mapping[str, Value]) -> str:
    """Return the table that a union holds, which the field before it says."""
    number = next(f.slot for f in _tables()[kind].values() if f.slot == field.slot - 1)
    name = next(name for name, f in _tables()[kind].items() if f.slot == number)
    stored = before.get(name)
    member = stored[0] if isinstance(stored, bytes) else 0
    known: dict[str, str] = _schema()["unions"][field.of]
    if str(member) not in known:
        msg = f"the file holds {field.of} of type {member}, which this version does not know; leave it as it is"
        raise UnsupportedError(msg)
    return known[str(member)]


def write(root: Node) -> bytes:
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
        known = _tables()[node.kind]
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


def _is_default(field: Field, value: Value) -> bool:
    return isinstance(value, bytes) and value == struct.pack(
        field.form, field.default if field.form in ("<f", "<d") else int(field.default)
    )
