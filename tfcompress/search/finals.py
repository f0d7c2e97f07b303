"""The end of a search: the best candidates are exported as usual and judged on the test split, which nobody has seen.

What decides is the upper end of the drop's 95 % interval, as for ``tfcompress export --max-drop``. No stage is trained
again: the search has left in the cache what it made.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfcompress.drop_limit import drops_of
from tfcompress.errors import TfcompressError, UsageError
from tfcompress.files import write_atomic
from tfcompress.recipe import Recipe
from tfcompress.reports import edge, wording
from tfcompress.reports.html import to_html
from tfcompress.reports.report import Report
from tfcompress.search.driver import best_records
from tfcompress.search.goals import Goal, Limits
from tfcompress.search.metering import DeviceFigures, Meter
from tfcompress.search.trial_records import TrialRecord
from tfcompress.tasks.drop import Drop, points_lost
from tfcompress.tflite.micro.needs import needs_of
from tfcompress.workbench import Result, Workbench

MOST_FINALISTS = 6
"""Candidates that are judged on the test split at most: each one more makes the winner's figures a little too good."""

FRONT, BEST = "front", "best"
"""Folders of the output: the judged candidates, and the winner."""


@dataclass(frozen=True)
class Finalist:
    """A candidate after it was judged.

    Attributes:
        record: the candidate.
        folder: of its export, within the output.
        result: of the export.
        drop: on the test split; None: it has no meaning or no interval.
        figures: of the finished file by the names of goals, the drop at the upper end of its interval; as measured
            where it has none.
    """

    record: TrialRecord
    folder: str
    result: Result
    drop: Drop | None
    figures: dict[str, float]

    @property
    def measured(self) -> dict[str, float]:
        """The figures with the drop as it was measured."""
        return {**self.figures, **({"drop": self.drop.points} if self.drop else {})}

    def misses(self, limits: Limits) -> tuple[str, ...]:
        """Return the names of goals whose limits the file does not keep, or is not known to."""
        proven = {name: value for name, value in self.figures.items() if name != "drop" or self.drop is not None}
        excess = limits.excess(proven)
        return tuple(name for name in limits.given if excess.get(name, 1.0) > 0)


def finalists(front: Sequence[TrialRecord], limits: Limits, decides: Goal, count: int) -> list[TrialRecord]:
    """Return who is judged on the test split.

    From the front, the best by the goal that decides, and one that loses least, should the others not be proven to keep
    the limit; where there is room, others of the front. What is known not to keep another limit than the drop's is only
    judged where nothing else is there.

    Args:
        front: of the search; not empty.
        limits: what must be kept.
        decides: the goal that decides.
        count: how many at most.
    """
    within = [each for each in front if not limits.violation({**each.figures, "drop": 0.0})]
    ordered = best_records(within or front, limits, decides)
    if len(ordered) <= count:
        return ordered
    safe = min(ordered, key=lambda record: (record.figures["drop"], record.figures[decides.name]))
    chosen = [each for each in ordered[:count] if each is not safe][: max(0, count - 1)]
    return best_records([*chosen, safe], limits, decides)


class Finals:
    """Exports and judges finalists, one after the other."""

    def __init__(self, bench: Workbench, folder: Path, meter: Meter | None) -> None:
        """Take a workbench whose files are scored on the test split.

        Args:
            bench: on the model as the user gave it.
            folder: the search's output.
            meter: measures the finished files; None: nobody does.
        """
        self._bench, self._folder, self._meter = bench, folder, meter

    def tell(self, text: str) -> None:
        """Tell a line to whoever watches."""
        self._bench.progress.note(text)

    def judged(self, record: TrialRecord) -> Finalist:
        """Export a candidate into the front's folder, and judge it.

        Raises:
            TfcompressError: what the export raises: another test split may hold what cannot be scored.
        """
        place = f"{FRONT}/{record.number:03d}-{record.candidate.recipe.name}"
        target = self._folder / place
        target.parent.mkdir(exist_ok=True)
        result = self._bench.run(record.candidate.recipe, output=target, force=True)
        drop = drop_on_test(result.report, record.candidate.recipe)
        figures = {"size": float(result.tflite.size_bytes), "download": float(result.tflite.gzip_bytes)}
        needs = needs_of(result.tflite)
        if needs is not None:
            figures |= {"flash": float(needs.flash_bytes), "arena": float(needs.arena_bytes)}
        points = drop.bound if drop is not None else _measured_points(result.report)
        if points is not None:
            figures["drop"] = points
        if self._meter is not None:
            found = self._measured(self._meter, result.report, target)
            figures |= {"p90": found.p90_ms} | ({} if found.joules is None else {"energy": found.joules})
        return Finalist(record, place, result, drop, figures)

    def _measured(self, meter: Meter, report: Report, folder: Path) -> DeviceFigures:
        """Return what the device says of a finished file, and put the measurement into its report."""
        document = meter.document(folder / report.result.name)
        joined = edge.join_measurement(report, document, f"the measurement on {meter.device.name}")
        write_atomic(folder / "report.html", to_html(joined))
        joined.save(folder / "report.json")
        return meter.figures_in(document)

    def crown(self, winner: Finalist) -> Path:
        """Copy the winner's export to where the best one is, and return that folder."""
        target = self._folder / BEST
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self._folder / winner.folder, target)
        return target


def drop_on_test(report: Report, recipe: Recipe) -> Drop | None:
    """Return what a file loses against float on the test split, in its worst output; None: that has no interval."""
    try:
        drops = drops_of(report, recipe)
    except UsageError:
        return None
    return max(drops.values(), key=lambda drop: drop.bound)


def _measured_points(report: Report) -> float | None:
    """Return what a file loses on the test split as a search measures it, without an interval; None: nobody knows."""
    before, after = None if report.baseline is None else report.baseline.score, report.result.score
    return None if before is None or after is None else points_lost(before, after)


def winner_of(judged: Sequence[Finalist], limits: Limits, decides: Goal) -> Finalist | None:
    """Return the best finalist that keeps all limits; None: none does."""
    keeping = [each for each in judged if not each.misses(limits)]
    worst = float("inf")

    def rank(each: Finalist) -> tuple[float, float]:
        return each.figures.get(decides.name, worst), each.figures.get("drop", worst)

    return min(keeping, key=rank, default=None)


def judge_all(finals: Finals, records: Sequence[TrialRecord]) -> list[Finalist]:
    """Judge candidates; one whose export fails now is left out, and that is reported.

    Raises:
        TfcompressError: every one fails; the last one's reason.
    """
    found, refusal = [], None
    for record in records:
        try:
            found.append(finals.judged(record))
        except TfcompressError as error:
            refusal = error
            finals.tell(f"{record.name} is not judged: {error}")
    if refusal is not None and not found:
        raise refusal
    return found


def score_text(result: Result) -> tuple[str, str]:
    """Return the main figure of a result on the test split, and its interval, as people read them."""
    score = result.report.result.score
    figure = None if score is None else score.main_figure
    return wording.main_figure(score), wording.interval(figure)
