"""How a text table is written: what stands between its columns, and between a number and its decimals."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import NamedTuple

SEPARATORS = (",", ";", "\t", "|")
"""What may stand between columns."""

ROWS = 50
"""Rows behind the names of the columns that are looked at."""

_POINT = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_COMMA = re.compile(r"\s*[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?\s*")
_THOUSANDS = re.compile(r"\s*[+-]?\d{1,3}(,\d{3})+\s*")


class Dialect(NamedTuple):
    """How a text table is written.

    Attributes:
        separator: between columns.
        decimal: between a number and its decimals: ``.`` or ``,``.
    """

    separator: str
    decimal: str = "."


def detect(lines: Sequence[str], usual: str) -> Dialect:
    """Tell how a table is written from its first lines.

    A separator counts where it cuts every row into as many columns as the first, at least two. Of several that do, the
    one that leaves the most numbers is taken, then *usual*, then the one that makes the most columns.

    Args:
        lines: the names of the columns and some rows, whole.
        usual: the separator that the file's name stands for.

    Raises:
        ValueError: no separator makes columns of the rows, or ``1,500`` may be 1.5 or 1500.
    """
    tables = {separator: _rows(lines, separator) for separator in SEPARATORS}
    fitting = {separator: rows for separator, rows in tables.items() if _is_even(rows)}
    if not fitting:
        return Dialect(_ragged(tables, usual))
    best = max(fitting, key=lambda each: (_numeric(fitting[each][1:]), each == usual, len(fitting[each][0])))
    cells = [cell for row in fitting[best][1:] for cell in row]
    commas = [cell for cell in cells if _COMMA.fullmatch(cell)]
    if best == "," or not commas or any("." in cell and _POINT.fullmatch(cell) for cell in cells):
        return Dialect(best)
    if all(_THOUSANDS.fullmatch(cell) for cell in commas):
        msg = f"{commas[0].strip()!r} may be a decimal or thousands; write numbers with a point, and no thousands"
        raise ValueError(msg)
    return Dialect(best, ",")


def is_decimal_comma(text: str) -> bool:
    """Tell whether *text* is a number written with a decimal comma."""
    return bool(_COMMA.fullmatch(text))


def _rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    try:
        return [row for row in csv.reader(lines, delimiter=separator) if row][: ROWS + 1]
    except csv.Error:  # a field as long as only another separator's row can be
        return []


def _is_even(rows: Sequence[Sequence[str]]) -> bool:
    return bool(rows) and len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows)


def _numeric(rows: Sequence[Sequence[str]]) -> float:
    """Return the fraction of cells that are numbers or empty, whatever their decimals."""
    cells = [cell for row in rows for cell in row]
    good = sum(not cell.strip() or bool(_POINT.fullmatch(cell) or _COMMA.fullmatch(cell)) for cell in cells)
    return good / len(cells) if cells else 0.0


def _ragged(tables: dict[str, list[list[str]]], usual: str) -> str:
    """Return the separator of rows of different lengths (reading them says which): the one that names most columns."""
    if not any(tables.values()):
        return usual  # nothing is there, which the reader says
    header = {separator: len(rows[0]) if rows else 0 for separator, rows in tables.items()}
    if header[usual] > 1:
        return usual
    most = max(SEPARATORS, key=header.__getitem__)
    if header[most] > 1:
        return most
    names = tables[usual][0] if tables[usual] else [""]
    msg = (
        f"it has one column only, {names[0]!r:.60}; columns must be separated by commas, semicolons, tabs or |, and "
        "one of them is the label"
    )
    raise ValueError(msg)
