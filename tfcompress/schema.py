"""The one validator: values of frozen dataclasses, and what is read into them from TOML and JSON.

A refusal is one line that says where, what is allowed and what was given; a misspelt word gets the nearest spelling.
Reading is strict, so that a file which was cut or edited by hand is never half understood.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from tfcompress.errors import RecipeError, UsageError, nearest

T = TypeVar("T")

_NONE = type(None)
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class Notation:
    """How plain values were written: how messages call its tables, and the error that they are raised as."""

    table: str
    error: type[UsageError]


TOML = Notation("a table", RecipeError)
"""Recipes, which people write."""

JSON = Notation("an object", UsageError)
"""Reports and other documents, which programs write."""


def check_value(where: str, allowed: str, value: object, *, ok: bool, error: type[UsageError] = RecipeError) -> None:
    """Refuse a value.

    Raises:
        UsageError: *ok* is false; as the class *error*.
    """
    if not ok:
        msg = f"{where} must be {allowed}, got {value!r}"
        raise error(msg)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def check_fields(value: object, where: str) -> None:
    """Check every field of a frozen dataclass against its annotation; a list where a tuple belongs becomes one.

    Raises:
        RecipeError: a value that is not of its field's type.
    """
    kind: Any = type(value)
    for name, hint in _hints(kind).items():
        if get_origin(hint) is ClassVar or not hasattr(value, name):
            continue
        given = getattr(value, name)
        if get_origin(hint) is tuple and isinstance(given, list):
            given = tuple(given)
            object.__setattr__(value, name, given)
        check_type(f"{where}.{name}", hint, given)


def check_type(where: str, hint: Any, given: object) -> None:
    """Check that a value is of a type.

    Raises:
        RecipeError: it is not.
    """
    if get_origin(hint) is Literal:
        _check_choice(where, get_args(hint), given)
    elif isinstance(hint, types.UnionType) and _NONE in get_args(hint):
        if given is not None:
            check_type(where, next(a for a in get_args(hint) if a is not _NONE), given)
    elif hint is float:
        check_value(where, _NAMES[float], given, ok=isinstance(given, int | float) and not isinstance(given, bool))
        check_value(where, "a finite number", given, ok=_is_finite(typing.cast("float", given)))
    elif hint is int:
        check_value(where, _NAMES[int], given, ok=isinstance(given, int) and not isinstance(given, bool))
    elif hint in (str, bool):
        check_value(where, _NAMES[hint], given, ok=isinstance(given, hint))
    elif get_origin(hint) is tuple:
        item = get_args(hint)[0]
        check_value(where, "a list", given, ok=isinstance(given, tuple))
        for value in typing.cast("tuple[object, ...]", given):
            if item in (str, int, float):
                check_type(f"{where} item", item, value)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond all floating-point ones
        return False


def _check_choice(where: str, allowed: tuple[object, ...], given: object) -> None:
    if any(given == each and type(given) is type(each) for each in allowed):  # 8.0 is no number of bits
        return  # before the nearest spelling is looked for, which takes longer than all the rest
    near = nearest(str(given), [str(each) for each in allowed])
    check_value(where, f"one of {', '.join(map(repr, allowed))}{near}", given, ok=False)


def check_keys(where: str, table: Iterable[object], known: Iterable[str], error: type[UsageError]) -> None:
    """Check that a table has no key but the known ones.

    Raises:
        UsageError: naming the key and the nearest one; as the class *error*.
    """
    known = list(known)
    for key in table:
        if key not in known:
            msg = f"{where} has no key {key!r}{nearest(str(key), known)}; it has {', '.join(known)}"
            raise error(msg)


def pick(where: str, known: Mapping[str, T], key: object, error: type[UsageError] = RecipeError) -> T:
    """Return the entry of a table by its name.

    Raises:
        UsageError: no such name, with the nearest one; as the class *error*.
    """
    if not isinstance(key, str) or key not in known:
        msg = f"{where} must be one of {', '.join(known)}, got {key!r}{nearest(str(key), known)}"
        raise error(msg)
    return known[key]


def fill(kind: type[T], table: object, where: str, notation: Notation = TOML) -> T:
    """Build a dataclass that checks its own values from a table; lists become tuples, what is absent is the default.

    Raises:
        UsageError: no table, or an unknown key; and what the dataclass raises. As the class of *notation*.
    """
    if not isinstance(table, Mapping):
        msg = f"{where} must be {notation.table}, got {table!r}"
        raise notation.error(msg)
    check_keys(where, table, [field.name for field in fields_of(kind)], notation.error)
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in table.items()})


def build(kind: type[T], plain: object, where: str, notation: Notation = JSON) -> T:
    """Build a dataclass, and those inside it, from plain values by their type hints alone.

    Args:
        kind: the dataclass.
        plain: its fields as dicts, lists and scalars.
        where: how messages call this place.
        notation: where the values come from.

    Raises:
        UsageError: a key is missing or unknown, a value has the wrong type, or values contradict each other; as the
            class of *notation*.
    """
    built: T = _Reader(notation).record(kind, plain, where)
    return built


def fields_of(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    """Return the fields of a dataclass: its own, then those of what it is derived from."""
    return _fields(kind)


@functools.cache
def _fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    bases = (dataclasses.fields(base) for base in kind.__mro__[1:] if dataclasses.is_dataclass(base))
    inherited = Counter(each.name for fields in bases for each in fields)
    return tuple(sorted(dataclasses.fields(kind), key=lambda each: inherited[each.name]))


class _Reader:
    """Reads values of one notation."""

    def __init__(self, notation: Notation) -> None:
        self.notation = notation

    def record(self, kind: Any, plain: object, where: str) -> Any:
        if not isinstance(plain, Mapping):
            self.refuse(where, self.notation.table, plain)
        fields = {field.name: field for field in fields_of(kind)}
        check_keys(where, plain, fields, self.notation.error)
        hints = _hints(kind)
        values = {}
        for name, field in fields.items():
            if name in plain:
                values[name] = self.value(hints[name], plain[name], f"{where}.{name}")
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                msg = f"{where} lacks the key {name!r}"
                raise self.notation.error(msg)
        try:
            return kind(**values)
        except ValueError as error:  # values that contradict each other
            msg = f"{where}: {error}"
            raise self.notation.error(msg) from error

    def value(self, hint: Any, plain: object, where: str) -> Any:
        origin = get_origin(hint)
        if origin in (types.UnionType, typing.Union):
            return self.union(get_args(hint), plain, where)
        if origin is Literal:
            if not any(plain == each and type(plain) is type(each) for each in get_args(hint)):
                self.refuse(where, f"one of {', '.join(map(str, get_args(hint)))}", plain)
            return plain
        if origin is tuple:
            if not isinstance(plain, list):
                self.refuse(where, "a list", plain)
            item = get_args(hint)[0]
            if set(map(type, plain)) == {item} and item in _NAMES:
                return tuple(plain)  # ten thousand measurements are not looked at one by one
            return tuple(self.value(item, entry, f"{where}[{index}]") for index, entry in enumerate(plain))
        if origin in (dict, Mapping):
            if not isinstance(plain, Mapping):
                self.refuse(where, self.notation.table, plain)
            item = get_args(hint)[1]
            return {str(key): self.value(item, entry, f"{where}.{key}") for key, entry in plain.items()}
        if dataclasses.is_dataclass(hint):
            return self.record(hint, plain, where)
        return plain if hint is Any else self.scalar(hint, plain, where)

    def union(self, options: tuple[Any, ...], plain: object, where: str) -> Any:
        if plain is None and _NONE in options:
            return None
        real = [option for option in options if option is not _NONE]
        if len(real) == 1:
            return self.value(real[0], plain, where)
        if type(plain) not in real:
            self.refuse(where, " or ".join(option.__name__ for option in real), plain)
        return plain

    def scalar(self, hint: Any, plain: object, where: str) -> Any:
        if hint is float and type(plain) is int:
            return float(plain)
        if hint not in _NAMES or type(plain) is not hint:
            self.refuse(where, _NAMES.get(hint, str(hint)), plain)
        return plain

    def refuse(self, where: str, allowed: str, given: object) -> NoReturn:
        msg = f"{where} must be {allowed}, got {given!r:.80}"
        raise self.notation.error(msg)
