"""Runs as points of a trade: what each file weighs, how long it takes, and how well it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from edge_runner.flatbuffer import DATA_FREE
from tfcompress.reports.findings import ranges_without_data
from tfcompress.reports.measurements import EdgeRun, MeasuredFile
from tfcompress.reports.run_records import RunRecord
from tfcompress.tasks.score import Figure, Score

FLOAT, RESULT = "before", "after"
"""Roles of a point, which are CSS classes: the float file that results are compared with, and a result."""

LARGEST = 1e30
"""A figure that is not below this is a mistake, and not drawn."""


@dataclass(frozen=True, kw_only=True)
class RunPoint:
    """One file.

    Attributes:
        name: what the page calls it.
        role: :data:`FLOAT` or :data:`RESULT`.
        size_bytes: of the file; None: not known.
        score: how well it does; None: not scored.
        runs: what was measured on devices, oldest first: the conditions, and the median in milliseconds.
        record: the run that it is the result of; None for a float file, and for one without a report.
    """

    name: str
    role: str
    size_bytes: int | None
    score: Score | None
    runs: tuple[tuple[str, float], ...] = ()
    record: RunRecord | None = None

    def latency_ms(self, conditions: str) -> float | None:
        """Return the median that was measured last under these conditions."""
        return next((median for held, median in reversed(self.runs) if held == conditions), None)

    def figure(self, name: str) -> Figure | None:
        """Return a figure of the score, if it has that and it has a value."""
        found = self.score.figures.get(name) if self.score else None
        return found if found is not None and found.value is not None and abs(found.value) < LARGEST else None


@dataclass(frozen=True, kw_only=True)
class RunGroup:
    """Files that may be compared: judged by one figure on the same data.

    Attributes:
        title: the model (or models) and the data.
        main: the figure; empty where none was scored.
        points: float files first, then results in the order in which they were named.
    """

    title: str
    main: str
    points: tuple[RunPoint, ...]

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """The runs among the points."""
        return tuple(point.record for point in self.points if point.record is not None)

    @property
    def conditions(self) -> list[str]:
        """Under which conditions files were measured, those of most files first."""
        counts = Counter(held for point in self.points for held in dict(point.runs))
        return [held for held, _ in counts.most_common()]


def run_groups(records: Sequence[RunRecord], measured: Sequence[MeasuredFile] = ()) -> list[RunGroup]:
    """Divide runs into groups that may be compared, in the order of their first runs.

    Args:
        records: the runs; of one group are those on the same data, or of the same model where there is no data, whose
            scores have the same main figure.
        measured: files without reports, which are a group of their own.
    """
    held: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        held.setdefault(_key(record), []).append(record)
    groups = [_group(key, own) for key, own in held.items()]
    if measured:
        points = tuple(_measured_points(measured))
        mains = Counter(point.score.main for point in points if point.score)
        main = mains.most_common(1)[0][0] if mains else ""
        groups.append(RunGroup(title="Measured files without a report", main=main, points=points))
    return groups


def _key(record: RunRecord) -> tuple[str, str]:
    report = record.report
    data = report.data or {}
    known = data.get("sha256") or data.get("source") or report.source.sha256 or report.source.name
    return str(known), report.result.score.main if report.result.score else ""


def _group(key: tuple[str, str], records: Sequence[RunRecord]) -> RunGroup:
    models = list(dict.fromkeys(record.report.source.name for record in records))
    title = ", ".join(models[:3]) + (f" and {len(models) - 3} more" if len(models) > 3 else "")
    source = next((str(r.report.data["source"]) for r in records if r.report.data and r.report.data.get("source")), "")
    title += f" on {PurePath(source).name}" if source else ""
    return RunGroup(
        title=title, main=key[1], points=(*_floats(records, several=len(models) > 1), *map(_result, records))
    )


def _floats(records: Sequence[RunRecord], *, several: bool) -> Iterator[RunPoint]:
    """Return the float file of each model, unless a run has made it: a model has one, whatever the recipes."""
    made = {record.report.source.name for record in records if _is_plain(record)}
    seen: set[tuple[str, int]] = set()
    for record in records:
        before, model = record.report.baseline, record.report.source.name
        if before is None or model in made or (model, before.size_bytes) in seen:
            continue
        seen.add((model, before.size_bytes))
        own = [
            r
            for r in records
            if (r.report.source.name, r.report.baseline and r.report.baseline.size_bytes) == (model, before.size_bytes)
        ]
        runs = [run for r in own for run in r.report.edge]
        yield RunPoint(
            name=f"{model}, float" if several else "float",
            role=FLOAT,
            size_bytes=before.size_bytes,
            score=before.score,
            runs=tuple(_medians(runs, of_float=True)),
        )


def _is_plain(record: RunRecord) -> bool:
    return record.report.baseline is None and record.report.result.quantize == "none" and not record.report.engine


def _result(record: RunRecord) -> RunPoint:
    report = record.report
    return RunPoint(
        name=f"{record.name} ({DATA_FREE})" if ranges_without_data(report) else record.name,
        role=FLOAT if _is_plain(record) else RESULT,
        size_bytes=report.result.size_bytes,
        score=report.result.score,
        runs=tuple(_medians(report.edge, of_float=False)),
        record=record,
    )


def _medians(runs: Sequence[EdgeRun], *, of_float: bool) -> Iterator[tuple[str, float]]:
    for run in runs:
        one = run.baseline if of_float else run.result
        if one is not None and one.median_ms is not None:
            yield run.conditions, one.median_ms


def _measured_points(measured: Sequence[MeasuredFile]) -> Iterator[RunPoint]:
    for one in measured:
        yield RunPoint(
            name=one.name,
            role=RESULT,
            size_bytes=one.size_bytes,
            score=one.run.result.score,
            runs=tuple(_medians([one.run], of_float=False)),
        )


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return which points no other one dominates, by number: none is at most as far along and higher.

    Args:
        points: what is to be small, and what is to be large.
    """
    best, found = float("-inf"), []
    for number in sorted(range(len(points)), key=lambda n: (points[n][0], -points[n][1])):
        if points[number][1] > best:
            best = points[number][1]
            found.append(number)
    return found
