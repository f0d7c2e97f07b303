"""Frozen dataclasses to plain JSON values and back, by their type hints.

Reading is strict: a missing or unknown key and a value of the wrong type are refused with the place they stand at, so
that a report which was cut or edited by hand is never half understood. What is not finite is written as null.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from tfcompress import schema

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Return *value* as dicts, lists and scalars; NaN and infinities become None.

    Raises:
        TypeError: a value that JSON cannot represent (a bug in the caller).
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, int):
        return int(value)
    if hasattr(value, "tolist"):  # a numpy scalar or array, met without importing numpy
        return to_plain(value.tolist())
    msg = f"a report cannot hold {type(value).__name__} {value!r}"
    raise TypeError(msg)


def to_text(plain: Any, line: str = "\n") -> str:
    """Return plain values as JSON text, indented, a list of plain values on one line."""
    inner = line + " "
    if isinstance(plain, dict) and plain:
        items = (f"{inner}{_scalar_text(key)}: {to_text(item, inner)}" for key, item in plain.items())
        return "{" + ",".join(items) + line + "}"
    if isinstance(plain, list) and any(isinstance(item, dict | list) for item in plain):
        return "[" + ",".join(inner + to_text(item, inner) for item in plain) + line + "]"
    return _scalar_text(plain)


def _scalar_text(plain: Any) -> str:
    return json.dumps(plain, allow_nan=False, ensure_ascii=False)


def from_plain(kind: type[T], plain: object, where: str) -> T:
    """Build the dataclass *kind* from what :func:`to_plain` made of one.

    Args:
        kind: the dataclass.
        plain: a dict of plain values.
        where: how messages call this place.

    Raises:
        UsageError: a key is missing or unknown, or a value has the wrong type.
    """
    return schema.build(kind, plain, where, schema.JSON)
