"""Text that C99 and C++ compilers read alike: comments, literals and arrays of numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np

from tfcompress.errors import UsageError

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_BYTES_A_LINE, _NUMBERS_A_LINE = 16, 12
_LEAST = {np.dtype(np.int32): "INT32_MIN", np.dtype(np.int64): "INT64_MIN"}


def identifier(name: str) -> str:
    """Return a name that C can call things by, as it is.

    Raises:
        UsageError: it is none.
    """
    if not _IDENTIFIER.fullmatch(name):
        msg = f"--name must be letters, digits and _, a letter first, at most 64 of them, got {name!r}"
        raise UsageError(msg)
    return name


def comment(text: str) -> str:
    """Return text that ends no comment and starts no other line, whatever a file's name holds."""
    printed = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in " ".join(text.split()))
    return printed.replace("\\", "?").replace("*/", "*?").replace("/*", "?*")


def float_literal(value: float) -> str:
    """Return a float32 with as many digits as give it back."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = f"{value:.9g}"
    return f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"


def numbers(values: np.ndarray) -> str:
    """Return the numbers of an array as lines of literals, a comma behind each.

    Args:
        values: any shape; they are read in C's order.
    """
    flat = values.ravel()
    if flat.dtype.kind == "f":
        return _lines((float_literal(float(value)) for value in flat), _NUMBERS_A_LINE)
    least = _LEAST.get(flat.dtype)
    plain = (str(int(value)) for value in flat)
    if least is None:
        return _lines(plain, _NUMBERS_A_LINE)
    lowest = np.iinfo(flat.dtype).min
    large = flat.dtype == np.int64
    return _lines(
        (least if value == lowest else f"INT64_C({value})" if large else str(value) for value in flat.tolist()),
        _NUMBERS_A_LINE,
    )


def byte_lines(content: bytes) -> str:
    """Return bytes as lines of hexadecimal literals, a comma behind each."""
    return _lines((f"0x{value:02x}" for value in content), _BYTES_A_LINE)


def _lines(literals: Iterable[str], each: int) -> str:
    found = list(literals)
    return "".join("    " + ", ".join(found[n : n + each]) + ",\n" for n in range(0, len(found), each))
