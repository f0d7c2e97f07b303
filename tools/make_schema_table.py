"""Write ``tfcompress/tflite/schema.json``, TFLite's schema as a table, from the classes that LiteRT ships.

``python tools/make_schema_table.py``. For every table of ``schema.fbs`` its fields by slot: ``[name, kind]``, for a
number with its default behind. Kinds: a number's (``u1`` to ``f8``, as NumPy has them); ``text``; ``table NAME``;
``union NAME`` (its type is in the slot before); with ``[]`` behind, a vector of those. Unions: type number -> table.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

_NUMBERS = {"Bool": "u1", "Float32": "f4", "Float64": "f8", "Uint8": "u1", "Int8": "i1", "Uint16": "u2", "Int16": "i2"}
_NUMBERS |= {"Uint32": "u4", "Int32": "i4", "Uint64": "u8", "Int64": "i8", "Byte": "u1"}
_MADE = r"obj = (?:[\w.]*\.)?(\w+)\(\)"
_UNIONS = ("BuiltinOptions", "BuiltinOptions2", "QuantizationDetails", "SparseIndexVector")


def main() -> None:
    """Write the table."""
    table = schema_table()
    blocks = (_block(name, table[name]) for name in ("tables", "unions"))
    with resources.as_file(resources.files("tfcompress.tflite") / "schema.json") as path:
        path.write_text("{" + ",\n".join(blocks) + "}\n", encoding="utf-8")


def schema_table() -> dict[str, dict[str, Any]]:
    """Return the tables and unions of the installed schema."""
    source = (resources.files("ai_edge_litert") / "schema_py_generated.py").read_text(encoding="utf-8")
    found = re.split(r"^class (\w+)\(object\):\n", source, flags=re.MULTILINE)
    bodies = dict(zip(found[1::2], found[2::2], strict=True))
    tables = {name: _fields(name, body) for name, body in bodies.items() if f"def {name}Start(builder)" in body}
    return {"tables": dict(sorted(tables.items())), "unions": {name: _members(bodies[name]) for name in _UNIONS}}


def _block(name: str, items: dict[str, Any]) -> str:
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in items.items())
    return f'"{name}": {{\n{lines}\n}}'


def _members(body: str) -> dict[str, str]:
    return {number: name for name, number in re.findall(r"^    (\w+) = (\d+)$", body, re.MULTILINE) if name != "NONE"}


def _fields(table: str, body: str) -> list[list[Any]]:
    methods = dict(re.findall(r"^    def (\w+)\(self.*?\):\n((?:        .*\n|\n)+)", body, re.MULTILINE))
    slots = re.findall(
        rf"^def {table}Add(\w+)\(builder, \w+\):\n    builder\.Prepend(\w+)Slot\((\d+), (.+)\)$", body, re.M
    )
    fields: dict[int, list[Any]] = {}
    for name, number, slot, given in slots:
        if number == "UOffsetTRelative":
            fields[int(slot)] = [_plain(name), _reference(table, name, methods)]
        else:
            text = given.rpartition(", ")[2]
            default = float({"True": "1", "False": "0"}.get(text, text))
            whole = not number.startswith("Float")
            fields[int(slot)] = [_plain(name), _NUMBERS[number], int(default) if whole else default]
    total = int(_found(rf"def {table}Start\(builder\):\n    builder\.StartObject\((\d+)\)", body))
    return [fields.get(slot, ["deprecated", "none"]) for slot in range(total)]


def _reference(table: str, name: str, methods: dict[str, str]) -> str:
    body = methods[name]
    vector = "[]" if f"{name}Length" in methods else ""
    if "_tab.Union(" in body:
        return f"union {next(union for union in _UNIONS if union == _union_of(table, name))}"
    if "_tab.String(" in body:
        return f"text{vector}"
    number = re.search(r"number_types\.(\w+)Flags, a \+", body)
    if number:
        return f"{_NUMBERS[number[1]]}{vector}"
    return f"table {_found(_MADE, body)}{vector}"


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        msg = f"{pattern!r} is not in {text[:80]!r}: the classes have another form"
        raise ValueError(msg)
    return match[1]


def _union_of(table: str, name: str) -> str:
    return {
        ("DimensionMetadata", "ArraySegments"): "SparseIndexVector",
        ("DimensionMetadata", "ArrayIndices"): "SparseIndexVector",
        ("QuantizationParameters", "Details"): "QuantizationDetails",
        ("Operator", "BuiltinOptions"): "BuiltinOptions",
        ("Operator", "BuiltinOptions2"): "BuiltinOptions2",
    }[table, name]


def _plain(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


if __name__ == "__main__":
    main()
