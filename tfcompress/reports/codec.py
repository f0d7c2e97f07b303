"""Frozen dataclasses to plain JSON values and back, by their type hints.

Reading is strict: a missing or unknown key and a value of the wrong type are refused with the place they stand at, so
that a report which was cut or edited by hand is never half understood. What is not finite is written as null.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from tfcompress.errors import UsageError, nearest

T = TypeVar("T")
_SCALARS = (str, int, float, bool)
_NONE = type(None)


def to_plain(value: Any) -> Any:
    """Return *value* as dicts, lists and scalars; NaN and infinities become None.

    Raises:
        TypeError: a value that JSON has no word for (a bug of the caller's).
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
    built: T = _dataclass(kind, plain, where)
    return built


def _dataclass(kind: Any, plain: object, where: str) -> Any:
    if not isinstance(plain, Mapping):
        _refuse(where, "an object", plain)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in plain:
        if key not in fields:
            msg = f"{where} has no key {key!r}{nearest(str(key), fields)}; it has {', '.join(fields)}"
            raise UsageError(msg)
    hints = get_type_hints(kind)
    values = {}
    for name, field in fields.items():
        if name in plain:
            values[name] = _value(hints[name], plain[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            msg = f"{where} lacks the key {name!r}"
            raise UsageError(msg)
    try:
        return kind(**values)
    except ValueError as error:
        msg = f"{where}: {error}"
        raise UsageError(msg) from error


def _value(hint: Any, plain: object, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return _union(get_args(hint), plain, where)
    if origin is typing.Literal:
        if plain not in get_args(hint):
            _refuse(where, f"one of {', '.join(map(str, get_args(hint)))}", plain)
        return plain
    if origin is tuple:
        if not isinstance(plain, list):
            _refuse(where, "a list", plain)
        item = get_args(hint)[0]
        return tuple(_value(item, entry, f"{where}[{index}]") for index, entry in enumerate(plain))
    if origin in (dict, Mapping):
        if not isinstance(plain, Mapping):
            _refuse(where, "an object", plain)
        item = get_args(hint)[1]
        return {str(key): _value(item, entry, f"{where}.{key}") for key, entry in plain.items()}
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint, plain, where)
    return plain if hint is Any else _scalar(hint, plain, where)


def _union(options: tuple[Any, ...], plain: object, where: str) -> Any:
    if plain is None and _NONE in options:
        return None
    real = [option for option in options if option is not _NONE]
    if len(real) == 1:
        return _value(real[0], plain, where)
    if type(plain) not in real:
        _refuse(where, " or ".join(option.__name__ for option in real), plain)
    return plain


def _scalar(hint: Any, plain: object, where: str) -> Any:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    if hint is float and type(plain) is int:
        return float(plain)
    if hint not in _SCALARS or type(plain) is not hint:
        _refuse(where, names.get(hint, str(hint)), plain)
    return plain


def _refuse(where: str, allowed: str, given: object) -> typing.NoReturn:
    msg = f"{where} must be {allowed}, got {given!r:.80}"
    raise UsageError(msg)
