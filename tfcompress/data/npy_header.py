"""The header of an ``.npy`` array, read by its grammar: nothing is evaluated, whatever it holds.

NumPy's own reader parses it as Python (``ast``, and ``tokenize`` after a failure), which raises whatever those raise
(SyntaxError, TokenError, RecursionError, MemoryError), and builds any dtype that is named. What ``numpy.save`` writes
is a dict of three keys: a quoted dtype, a bool and a tuple of whole numbers; see
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import IO

import numpy as np

HEADER_BYTES = 10_000
"""Longest header, NumPy's own bound: one of numbers takes 128 bytes."""

AXES = 32
"""Most axes: as many as every NumPy allows."""

_MAGIC = b"\x93NUMPY"
_LENGTHS = {(1, 0): "<H", (2, 0): "<I", (3, 0): "<I"}
_SHAPE = r"\(\s*(?P<shape>(?:-?\d{1,19}L?\s*,\s*)*(?:-?\d{1,19}L?)?)\s*\)"
_PAIRS = {
    "descr": re.compile(r"'descr'\s*:\s*(?:'(?P<descr>[^'\\]{1,80})'|(?P<fields>[\[(]))"),
    "fortran_order": re.compile(r"'fortran_order'\s*:\s*(?P<fortran>True|False)"),
    "shape": re.compile(rf"'shape'\s*:\s*{_SHAPE}"),
}
_DTYPE = re.compile(r"[<>|=]?(\?|b1|[iufc]\d{1,2}|[SUV]\d{1,9}|[mM]8(\[\d{0,9}[a-zA-Zμ]{1,2}\])?|O8?)")
_SEPARATOR = re.compile(r"\s*,\s*")


@dataclass(frozen=True)
class Header:
    """What an array's header says, with what it needs.

    Attributes:
        shape: its shape.
        dtype: numbers, text, bytes, times or (to be refused with its own words) objects.
        fortran: whether the first axis changes fastest.
        size_bytes: of the header itself, with its magic.
        wanted_bytes: of the numbers that follow.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    size_bytes: int
    wanted_bytes: int


def read_header(stream: IO[bytes]) -> Header:
    """Read the header at the start of *stream*, leaving the stream where the numbers begin.

    Raises:
        ValueError: there is none, it is cut short, or it says what no array of numbers or text can be.
    """
    start = _exactly(stream, len(_MAGIC) + 2)
    if not start.startswith(_MAGIC):
        msg = f"it starts with {start[: len(_MAGIC)]!r} instead of NumPy's magic string"
        raise ValueError(msg)
    version = (start[-2], start[-1])
    if version not in _LENGTHS:
        msg = f"version {version} of the format is not known"
        raise ValueError(msg)
    code = struct.Struct(_LENGTHS[version])
    (length,) = code.unpack(_exactly(stream, code.size))
    if length > HEADER_BYTES:
        msg = f"its header claims {length:,} bytes, at most {HEADER_BYTES:,} are read"
        raise ValueError(msg)
    text = _exactly(stream, length).decode("utf-8" if version == (3, 0) else "latin1")
    shape, dtype, fortran = parse_header(text)
    wanted = math.prod(shape) * dtype.itemsize
    return Header(shape, dtype, fortran, len(start) + code.size + length, wanted)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    content = stream.read(count)
    if len(content) < count:
        msg = "its header is cut short"
        raise ValueError(msg)
    return content


def parse_header(text: str) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Return shape, dtype and whether it is in Fortran order from a header's text.

    Raises:
        ValueError: what numpy.save would not have written for numbers, text or objects.
    """
    found = _pairs(text)
    if found["fields"]:
        msg = "its elements are records of named fields, not numbers"
        raise ValueError(msg)
    shape = tuple(int(part.strip().rstrip("L")) for part in found["shape"].split(",") if part.strip())
    if min(shape, default=0) < 0 or len(shape) > AXES:
        msg = f"shape {shape} is none"
        raise ValueError(msg)
    return shape, _dtype(found["descr"]), found["fortran"] == "True"


def _pairs(text: str) -> dict[str, str]:
    body = text.strip()
    found: dict[str, str] = {}
    missing = dict(_PAIRS)
    place = 1
    while missing and body.startswith("{"):
        key, match = next(((k, m) for k, p in missing.items() if (m := p.match(body, place))), (None, None))
        if key is None or match is None:
            break
        del missing[key]
        found.update({name: value or "" for name, value in match.groupdict().items()})
        if found.get("fields"):
            return {**found, "shape": "", "fortran": ""}
        place = match.end()
        comma = _SEPARATOR.match(body, place)
        place = comma.end() if comma else place
        if missing and not comma:
            break
    if missing or body[place:].strip() != "}":
        msg = f"its header is {text.strip()[:80]!r}"
        raise ValueError(msg)
    return found


def _dtype(descr: str) -> np.dtype:
    try:
        dtype = np.dtype(descr) if _DTYPE.fullmatch(descr) else None
    except (TypeError, ValueError):
        dtype = None
    if dtype is None or dtype.itemsize == 0:
        msg = f"dtype {descr!r} is none of numbers or text"
        raise ValueError(msg)
    return dtype
