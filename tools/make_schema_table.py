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
_UNIONS = ("BuiltinOptions", "BuiltinOptions2", "QuantizationDetails", "SparseIndexVector")


def main() -> None:
    """Write the table."""
    source = (resources.files("ai_edge_litert") / "schema_py_generated.py").read_text(encoding="utf-8")
    found = re.split(r"^class (\w+)\(object\):\n", source, flags=re.MULTILINE)
    bodies = dict(zip(found[1::2], found[2::2], strict=True))
    tables = {name: _fields(name, body) for name, body in bodies.items() if f"def {name}Start(builder)" in body}
    unions = {name: _members(bodies[name]) for name in _UNIONS}
    table = {"tables": tables, "unions": unions}
    target = resources.files("tfcompress.tflite") / "schema.json"
    lines = [f" {json.dumps(name)}: {json.dumps(fields)}" for name, fields in sorted(tables.items())]
    union_lines = [f" {json.dumps(name)}: {json.dumps(members)}" for name, members in unions.items()]
    text = '{"tables": {\n' + ",\n".join(lines) + '\n},\n"unions": {\n' + ",\n".join(union_lines) + "\n}}\n"
    assert json.loads(text) == table
    with resources.as_file(target) as path:
        path.write_text(text, encoding="utf-8")


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
            default = given.rpartition(", ")[2]
            value = {"True": 1, "False": 0}.get(default) if default in ("True", "False") else float(default)
            fields[int(slot)] = [_plain(name), _NUMBERS[number], value if number.startswith("Float") else int(value)]
    total = int(re.search(rf"def {table}Start\(builder\):\n    builder\.StartObject\((\d+)\)", body)[1])
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
    made = re.search(r"obj = (?:[\w.]*\.)?(\w+)\(\)", body)
    return f"table {made[1]}{vector}"


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
