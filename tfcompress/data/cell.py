"""A data set as the cell of a notebook shows it; nothing is read for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_CLASSES = 12
"""Names of so many classes are shown."""


def data_cell(
    source: str, sizes: Mapping[str, int | None], steps: Mapping[str, Any], labels: Sequence[str], said: Sequence[str]
) -> str:
    """Return a small table as HTML.

    Args:
        source: what the user gave.
        sizes: samples of each split; None: not known before it is read.
        steps: what is done to the inputs, by name; what is not done has an empty value.
        labels: names of the classes.
        said: what a user must know.
    """
    rows = [(name, "not counted yet" if size is None else f"{size:,} samples") for name, size in sizes.items()]
    done = ", ".join(f"{name} {value}" for name, value in steps.items() if value not in (None, (), [], ""))
    rows.append(("preprocessing", done or "none"))
    if labels:
        more = f", … ({len(labels):,} in all)" if len(labels) > _CLASSES else ""
        rows.append(("classes", ", ".join(labels[:_CLASSES]) + more))
    rows += [("!", line) for line in said]
    lines = "".join(
        f'<tr><th style="text-align: left">{escape(name)}</th><td style="text-align: left">{escape(text)}</td></tr>'
        for name, text in rows
    )
    return f"<div><b>{escape(source)}</b><table>{lines}</table></div>"
