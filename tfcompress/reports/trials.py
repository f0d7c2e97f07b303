"""The ways to int8 that were tried, as a table and as a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfcompress.reports import wording
from tfcompress.reports.markup import NAME, NUMBER, html_table


def trial_rows(verification: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Return a row a way: its name, agreement with float, the same top-1, seconds, and what became of it.

    Args:
        verification: of the result, as the report holds it.
    """
    return [
        (
            str(each["name"]),
            wording.NONE if each["agreement_db"] is None else f"{each['agreement_db']:.1f} dB",
            wording.NONE if each["top1"] is None else wording.percent(each["top1"], 1),
            wording.seconds(each["seconds"]) if each["seconds"] else "",
            "kept" if each["chosen"] else str(each["refusal"]).partition("; ")[0],
        )
        for each in verification.get("trials") or ()
    ]


def trial_table(verification: Mapping[str, Any]) -> str:
    """Return the rows as an HTML table; empty where only one way was tried."""
    rows = trial_rows(verification)
    titles = ("ranges and corrections", "agreement", "same top-1", "took", "")
    return html_table(titles, rows, (NAME, NUMBER, NUMBER, NUMBER, NAME)) if len(rows) > 1 else ""


def trial_sentences(verification: Mapping[str, Any]) -> Iterator[str]:
    """Say which of several ways was kept, and how each did."""
    rows, held = trial_rows(verification), verification.get("held_back") or 0
    if len(rows) == 1:
        name, ratio, same, *_ = rows[0]
        whole = verification["trials"][0]["agreement_db"] is None
        how = f"gives the same on {same} of" if whole else f"agrees by {ratio} on"
        yield f"{name} {how} {held} samples held back: no other way was tried"
    elif rows:
        told = ", ".join(f"{name} {db}{' (kept)' if last == 'kept' else ''}" for name, db, _, _, last in rows)
        yield f"best of {len(rows)} ways on {held} samples held back: {told}"
