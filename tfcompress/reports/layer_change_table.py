"""What became of each layer, as a table of a page: before and after in one cell, the share of the bytes as a bar."""

from __future__ import annotations

from tfcompress.reports.layer_changes import LAYER_COLUMNS, LayerChange, LayerColumn, layer_changes
from tfcompress.reports.layer_table import share_cell
from tfcompress.reports.markup import NAME, NUMBER, SHARE, breakable, html_note, html_table
from tfcompress.reports.report import Report

_MOST = 120
"""So many layers are shown; ``inspect --csv`` writes all."""


_SPARED = 8
"""Columns that are spared so early have no room on a page: others say what they say."""


def layer_change_table(report: Report) -> str:
    """Return the table; empty for reports before format 6, which don't say what became of layers.

    Args:
        report: its source and its result are put beside each other.
    """
    rows = layer_changes(report)
    if not rows:
        return ""
    columns = [
        column
        for column in LAYER_COLUMNS
        if column.title and column.spared < _SPARED and any(_told(column, row) for row in rows)
    ]
    bytes_after = [row.after.size_bytes if row.after else 0 for row in rows]
    head = [*(column.title for column in columns), "share of the file's weights"]
    roles = [*(NUMBER if column.number else NAME for column in columns), SHARE]
    roles[0] = f"{NAME} first"
    lines = [
        [*(breakable(column.words(row)) for column in columns), share_cell(size, bytes_after)]
        for row, size in zip(rows[:_MOST], bytes_after, strict=False)
    ]
    said = [report.result.layers_note] if report.result.layers_note else []
    if len(rows) > _MOST:
        said.append(f"{len(rows) - _MOST:,} more layers are in report.json; tfcompress inspect --csv lists all")
    notes = "".join(html_note(f"{line.rstrip('.')}.") for line in said)
    return html_table(head, lines, roles) + notes


def _told(column: LayerColumn, row: LayerChange) -> bool:
    return column.value(row) not in (None, "")
