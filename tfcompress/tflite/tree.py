"""A TFLite file as a tree of tables that can be changed; :mod:`tfcompress.tflite.tree_writer` writes it again.

``schema.json`` says which fields each table of ``schema.fbs`` has (``tools/make_schema_table.py`` writes it): nothing
that it names is lost, and a file that holds anything else is refused. Numbers stay the bytes that they are.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeAlias, Union

from tfcompress.errors import ModelError, UnsupportedError

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
        field = tables()[self.kind][name]
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
        form = tables()[self.kind][name].form[1:]
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
        known = tables()[self.kind]
        given = {
            name: struct.pack(known[name].form, value) if isinstance(value, int) else value
            for name, value in fields.items()
        }
        merged = {
            name: value
            for name, value in {**self.fields, **given}.items()
            if value is not None and not is_default(known[name], value)
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
def schema() -> dict[str, dict[str, Any]]:
    """Return ``schema.json``: the fields of every table, the members of every union."""
    text = (resources.files("tfcompress.tflite") / "schema.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found


@functools.cache
def tables() -> dict[str, dict[str, Field]]:
    """Return the schema's tables: name -> field's name -> field, in the order of the slots."""
    return {
        name: {item[0]: _field(slot, item) for slot, item in enumerate(items) if item[1] != "none"}
        for name, items in schema()["tables"].items()
    }


def _field(slot: int, item: list[Any]) -> Field:
    vector = item[1].endswith("[]")
    kind, _, of = item[1].removesuffix("[]").partition(" ")
    form = _FORMS.get(kind, "")
    return Field(slot, "number" if form else kind, of, vector, form, float(item[2]) if len(item) > 2 else 0.0)


def parse_tree(content: bytes) -> Node:
    """Return the root table of a TFLite file that :func:`tfcompress.tflite.flatbuffer.read_model_file` has read.

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
        for name, field in tables()[kind].items():
            if field.slot in places:
                value = self._value(kind, field, places.pop(field.slot), found)
                if not is_default(field, value):
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
    number = next(f.slot for f in tables()[kind].values() if f.slot == field.slot - 1)
    name = next(name for name, f in tables()[kind].items() if f.slot == number)
    stored = before.get(name)
    member = stored[0] if isinstance(stored, bytes) else 0
    known: dict[str, str] = schema()["unions"][field.of]
    if str(member) not in known:
        msg = f"the file holds {field.of} of type {member}, which this version does not know; leave it as it is"
        raise UnsupportedError(msg)
    return known[str(member)]


def is_default(field: Field, value: Value) -> bool:
    """Say whether a value is the number that a reader takes where the field is left out."""
    return isinstance(value, bytes) and value == struct.pack(
        field.form, field.default if field.form in ("<f", "<d") else int(field.default)
    )
