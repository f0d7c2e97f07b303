"""Checks of the values in frozen dataclasses: one line that says where, what is allowed and what was given."""

from __future__ import annotations

import types
import typing
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from tfcompress.errors import RecipeError, nearest


def check(where: str, allowed: str, value: object, *, ok: bool) -> None:
    """Refuse a value.

    Raises:
        RecipeError: *ok* is false.
    """
    if not ok:
        msg = f"{where} must be {allowed}, got {value!r}"
        raise RecipeError(msg)


def check_literals(value: object, where: str) -> None:
    """Check every field of a dataclass whose annotation is a Literal, and the plain types of the others.

    Raises:
        RecipeError: a value that is not of its field's type.
    """
    for name, hint in get_type_hints(type(value)).items():
        if get_origin(hint) is ClassVar or not hasattr(value, name):
            continue
        check_type(f"{where}.{name}", hint, getattr(value, name))


def check_type(where: str, hint: Any, given: object) -> None:
    """Check that a value is of a type.

    Raises:
        RecipeError: it is not.
    """
    if get_origin(hint) is Literal:
        allowed = get_args(hint)
        hint_text = nearest(str(given), [str(a) for a in allowed])
        check(where, f"one of {', '.join(map(repr, allowed))}{hint_text}", given, ok=given in allowed)
    elif isinstance(hint, types.UnionType) and type(None) in get_args(hint):
        if given is not None:
            check_type(where, next(a for a in get_args(hint) if a is not type(None)), given)
    elif hint is float:
        check(where, "a number", given, ok=isinstance(given, int | float) and not isinstance(given, bool))
    elif hint is int:
        check(where, "a whole number", given, ok=isinstance(given, int) and not isinstance(given, bool))
    elif hint in (str, bool):
        check(where, {str: "text", bool: "true or false"}[hint], given, ok=isinstance(given, hint))
    elif get_origin(hint) is tuple:
        item = get_args(hint)[0]
        check(where, "a list", given, ok=isinstance(given, tuple))
        for value in typing.cast("tuple[object, ...]", given):
            if item in (str, int, float):
                check_type(f"{where} item", item, value)
