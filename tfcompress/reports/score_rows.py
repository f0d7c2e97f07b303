"""The figures of both models side by side, of every output that was scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from tfcompress.reports import wording
from tfcompress.reports.report import Report
from tfcompress.tasks.figures import figure_kind
from tfcompress.tasks.score import Difference, Figure, Score

V = TypeVar("V")


@dataclass(frozen=True)
class Row:
    """One quantity.

    Attributes:
        name: what it is.
        before: of the float model.
        after: of the result.
        change: from one to the other.
    """

    name: str
    before: str
    after: str
    change: str


def both(word: Callable[[V | None], str], pair: tuple[V | None, V | None]) -> tuple[str, str]:
    """Return two values in words."""
    return word(pair[0]), word(pair[1])


def score_rows(report: Report) -> Iterator[Row]:
    """Give the rows of a report's scores: of several outputs those of each, the main one first and named so."""
    before, after = report.baseline.score if report.baseline else None, report.result.score
    known = after or before
    if known is None:
        yield Row("accuracy", wording.NONE, wording.NONE, "no test data")
        return
    if not known.outputs:
        yield from _rows(before, after, known, report.comparison.main, "")
        return
    for place, (name, of_output) in enumerate(known.outputs.items()):
        pair = (_output(before, name), _output(after, name))
        label = f"{name} (main output)" if place == 0 else name
        yield from _rows(*pair, of_output, report.comparison.outputs.get(name), f"{label}: ")


def _rows(
    before: Score | None, after: Score | None, known: Score, difference: Difference | None, label: str
) -> Iterator[Row]:
    pair = (_figure(before, known.main), _figure(after, known.main))
    name = f"{label}{figure_kind(known.main).title}, {known.samples:,} samples"
    yield Row(name, *both(wording.figure, pair), wording.figure_difference(difference))
    if wording.interval(known.main_figure):
        yield Row("95 % interval", *both(wording.interval, pair), "")
    for name in known.figures:
        if name != known.main:
            pair = (_figure(before, name), _figure(after, name))
            yield Row(figure_kind(name).title, *both(wording.figure, pair), "")


def _output(score: Score | None, name: str) -> Score | None:
    return score.outputs.get(name) if score else None


def _figure(score: Score | None, name: str) -> Figure | None:
    return score.figures.get(name) if score else None
