"""Small text files of plain values that a user gives: recipes, devices, features, reports, measurements.

Reading one opens nothing but a regular file, takes no more memory or time than its size allows, and fails only by
OSError or ValueError, whose text is one line that says why.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any, BinaryIO

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOML_BYTES = 256 << 10
"""Largest TOML file: a recipe takes 2 KB, a fleet of a thousand devices 100 KB."""

TOML_LINE = 4_096
"""Longest line of a TOML file without its strings, characters: the parser's time grows with the square of a key's parts
(64 KB: 30 s)."""

_STRING = re.compile(r"""\"{3}|'{3}|"(?:[^"\\]|\\.)*(?:"|$)|'[^']*(?:'|$)""")
"""What begins a string of several lines; or one of a single line, or the rest of a line where it does not end."""

JSON_BYTES = 256 << 20
"""Largest JSON file: a report with a million single measurements takes 10 MB."""

DEPTH = 64
"""Deepest nesting of tables and lists: a report has 8. What walks through the values recurses as deep as they go."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read bytes, and nothing that might block or never end.

    Raises:
        OSError: no such file, no permission, a folder, a pipe or a device.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


def read_text(path: Path, at_most: int) -> str:
    """Return the UTF-8 text of a regular file of at most so many bytes.

    Raises:
        OSError: what :func:`open_regular` raises.
        ValueError: too large, or not UTF-8 text.
    """
    with open_regular(path) as stream:
        content = stream.read(at_most + 1)
    if len(content) > at_most:
        msg = f"the file is larger than {at_most:,} bytes"
        raise ValueError(msg)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        msg = "not UTF-8 text"
        raise ValueError(msg) from error


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of TOML text.

    Raises:
        ValueError: not TOML, or with lines, numbers or nesting that no honest file has.
    """
    longest = max(map(len, _without_strings(text).splitlines()), default=0)
    if longest > TOML_LINE:
        msg = f"a line of {longest:,} characters; at most {TOML_LINE:,} are read"
        raise ValueError(msg)
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise _too_deep() from None
    _check_depth(table)
    return table


def _without_strings(text: str) -> str:
    """Return TOML text without the strings in it; as it is where one of several lines may hide what is none."""
    lines = text.splitlines()
    if any(found in ('"""', "'''") for line in lines for found in _STRING.findall(line)):
        return text
    return "\n".join(_STRING.sub("", line) for line in lines)


def parse_json(text: str) -> Any:
    """Return the value of JSON text.

    Raises:
        ValueError: not JSON, or with numbers or nesting that no honest file has.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEPTH):
        level = [part for item in level for part in _parts(item)]
        if not level:
            return
    raise _too_deep()


def _parts(item: Any) -> list[Any]:
    values = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    if {dict, list}.isdisjoint(map(type, values)):
        return []  # most lists are of many numbers
    return [part for part in values if isinstance(part, dict | list)]


def _too_deep() -> ValueError:
    return ValueError(f"nested more than {DEPTH} deep")
