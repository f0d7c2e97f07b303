"""Remarks of a diagnosis on a terminal: a line each, faults first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from tfcompress.reports.remark import Gravity, Remark

_STYLES: dict[Gravity, str] = {"fault": "bold red", "risk": "yellow", "note": "dim"}


def print_remarks(console: Console, remarks: Sequence[Remark]) -> None:
    """Print remarks, or that there is none."""
    from rich.text import Text

    if not remarks:
        console.print("nothing was found")
    for remark in remarks:
        line = Text.assemble((f"{remark.gravity:<5}", _STYLES[remark.gravity]), " ", str(remark))
        console.print(line, soft_wrap=True)
