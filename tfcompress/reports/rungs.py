"""The ways that were tried so that a file loses no more than it may, as a table and as sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tfcompress.reports import wording
from tfcompress.reports.markup import NAME, NUMBER, html_table

RungOutcome = Literal["kept", "missed", "refused", "not tried"]
"""Of a way: its file is within the limit; its file is not; no file came of it; nobody tried."""


@dataclass(frozen=True, kw_only=True)
class RungRecord:
    """One way that was tried, or why it was not.

    Attributes:
        name: of the rung.
        recipe: name of the recipe that was run; empty: none was.
        outcome: what became of it.
        reason: why it was refused, or not tried; empty for those that an earlier one made needless.
        output: the scored output that lost most; empty for a model with one.
        figure: what it lost, by name.
        points: how much, on the test samples; below 0: it gained. None: not measured.
        low: lower end of the drop's 95 % interval, in points.
        high: what it is at most: the upper end.
        point: what a point is, in words.
        samples: how many test samples that was measured on.
        size_bytes: of the file.
        seconds: that it took.
    """

    name: str
    recipe: str = ""
    outcome: RungOutcome
    reason: str = ""
    output: str = ""
    figure: str = ""
    points: float | None = None
    low: float | None = None
    high: float | None = None
    point: str = ""
    samples: int = 0
    size_bytes: int | None = None
    seconds: float = 0.0

    @property
    def said(self) -> str:
        """What it lost, in words: ``0.31 percentage points of accuracy lost, up to 0.74 by its 95 % interval``."""
        if self.points is None or self.high is None:
            return self.reason
        where = f" by output {self.output}" if self.output else ""
        lost = f"{self.points:.2f} {self.point} lost{where}" if self.points > 0 else "nothing lost"
        return f"{lost}, up to {self.high:.2f} by its 95 % interval, on {self.samples:,} test samples"


@dataclass(frozen=True, kw_only=True)
class LadderRecord:
    """All ways that were tried.

    Attributes:
        max_drop: what may be lost, in points.
        rungs: in the order of the ladder.
        binding: what kept the limit from being kept, a sentence each; empty: it was.
    """

    max_drop: float
    rungs: tuple[RungRecord, ...]
    binding: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return dataclasses.asdict(self)


RUNG_TITLES = ("way", "lost", "up to (95 %)", "file", "took", "")
"""Heads of the columns."""


def rung_rows(promise: Mapping[str, Any]) -> list[tuple[str, str, str, str, str, str]]:
    """Return a row a way: its name, points lost and their upper bound, size, seconds, and what became of it.

    Args:
        promise: :meth:`LadderRecord.to_dict`, as the report's verification and an error hold it.
    """
    return [
        (
            str(rung["name"]),
            wording.NONE if rung["points"] is None else f"{rung['points']:.2f}",
            wording.NONE if rung["high"] is None else f"{rung['high']:.2f}",
            wording.size(rung["size_bytes"]),
            wording.seconds(rung["seconds"]) if rung["seconds"] else "",
            rung["outcome"] + (f": {rung['reason'].partition('; ')[0]}" if rung["reason"] else ""),
        )
        for rung in promise.get("rungs") or ()
    ]


def rung_table(promise: Mapping[str, Any]) -> str:
    """Return the rows as an HTML table; empty where nothing was promised."""
    rows = rung_rows(promise)
    return html_table(RUNG_TITLES, rows, (NAME, NUMBER, NUMBER, NUMBER, NUMBER, NAME)) if rows else ""


def rung_sentences(promise: Mapping[str, Any]) -> Iterator[str]:
    """Say which way keeps the limit, and how the others did."""
    for plain in promise.get("rungs") or ():
        rung = RungRecord(**plain)
        if rung.outcome == "kept":
            yield f"at most {promise['max_drop']:g} may be lost: {rung.name} keeps that: {rung.said}"
        elif rung.outcome == "missed":
            yield f"{rung.name} does not: {rung.said}"
        elif rung.reason:
            was, why = "was " if rung.outcome == "refused" else "", rung.reason.partition("; ")[0]
            yield f"{rung.name} {was}{rung.outcome}: {why}"
