"""From one report to another: every quantity that both hold, how it changed, and how sure that is.

Sizes and counts are exact. Figures of a score and latencies carry chance: of two scores the interval of the difference
follows from their own intervals (Zou and Donner 2008, Statistics in Medicine 27:1693, "MOVER"), as of samples drawn
apart; models scored on the same samples differ by less, so the interval errs on the careful side. Latencies of two runs
are compared by the logarithms of the same percentile of each turn (Welch 1947), where device, runtime, threads and
kernels are the same.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge_runner.wording import digits, printable
from tfcompress.reports import wording
from tfcompress.reports.measurements import EdgeRun
from tfcompress.reports.report import Report
from tfcompress.tasks.figures import FRACTION, figure_kind
from tfcompress.tasks.paired import student_quantile
from tfcompress.tasks.score import Figure, Score


@dataclass(frozen=True, kw_only=True)
class Change:
    """One quantity in two reports.

    Attributes:
        name: what conditions call it.
        title: what tables call it.
        before: its value in the first report; None: not measured.
        after: in the second.
        words: writes a value for a person.
        kind: ``bytes``, ``count``, ``milliseconds``, ``joules``, ``decibels``, ``fraction`` or ``number``.
        lower_is_better: which way is better.
        difference: interval of *after* minus *before*; None: it is exact, or nothing is known of its chance.
        ratio: interval of *after* over *before*; likewise.
        chance: whether chance plays a part in the values.
    """

    name: str
    title: str
    before: float | None
    after: float | None
    words: Callable[[float | None], str]
    kind: str
    lower_is_better: bool = True
    difference: tuple[float, float] | None = None
    ratio: tuple[float, float] | None = None
    chance: bool = False

    @property
    def known(self) -> bool:
        """Whether both reports hold it."""
        return self.before is not None and self.after is not None

    @property
    def verdict(self) -> str:
        """Say what became of it: ``better``, ``worse``, ``same``, ``indistinguishable``; empty where one is missing."""
        if self.before is None or self.after is None:
            return ""
        if self.chance:
            ends = self.difference or (self.ratio and (self.ratio[0] - 1, self.ratio[1] - 1))
            if not ends or ends[0] <= 0 <= ends[1]:
                return "same" if self.before == self.after else "indistinguishable"
        if self.before == self.after:
            return "same"
        return "better" if (self.after < self.before) == self.lower_is_better else "worse"

    @property
    def text(self) -> str:
        """The change in words: a ratio, or points."""
        if self.before is None or self.after is None:
            return ""
        if self.kind == "fraction":
            return f"{100 * (self.after - self.before):+.2f} pt"
        if self.kind in ("number", "decibels"):
            return digits(self.after - self.before, 4, sign="+")
        return wording.times(self.after / self.before) if self.before else ""


def changes(before: Report, after: Report) -> list[Change]:
    """Return every quantity that at least one of two reports holds, in the order of tables."""
    found = [*_sizes(before, after), *_figures(before, after), *_agreement(before, after), *_device(before, after)]
    return [change for change in found if change.before is not None or change.after is not None]


def _size(value: float | None) -> str:
    return wording.size(None if value is None else round(value))


def _count(value: float | None) -> str:
    return wording.count(None if value is None else round(value))


def _number(value: float | None) -> str:
    return wording.NONE if value is None else digits(value, 4)


def _decibels(value: float | None) -> str:
    return wording.NONE if value is None else f"{value:.1f} dB"


def _sizes(before: Report, after: Report) -> Iterator[Change]:
    one, two = before.result, after.result
    for name, title, pair in (
        ("size", "file", (one.size_bytes, two.size_bytes)),
        ("gzip", "file, gzip", (one.gzip_bytes, two.gzip_bytes)),
        ("package", "package", (one.package_bytes, two.package_bytes)),
        ("kernels", "kernels", (one.kernels_bytes, two.kernels_bytes)),
    ):
        yield Change(name=name, title=title, before=pair[0], after=pair[1], words=_size, kind="bytes")
    for name, title, pair in (
        ("parameters", "parameters", (one.parameters, two.parameters)),
        ("nonzero", "non-zero parameters", (one.nonzero, two.nonzero)),
        ("macs", "multiply-accumulates", (one.macs, two.macs)),
    ):
        yield Change(name=name, title=title, before=pair[0], after=pair[1], words=_count, kind="count")


def _figures(before: Report, after: Report) -> Iterator[Change]:
    one, two = before.result.score, after.result.score
    known = two or one
    if known is None:
        return
    for name in sorted(known.figures, key=lambda name: name != known.main):  # the main one first
        yield _figure_change(name, figure_kind(name).title, (_of(one, name), _of(two, name)), known.figures[name])


def _of(score: Score | None, name: str) -> Figure | None:
    return score.figures.get(name) if score else None


def _figure_change(name: str, title: str, pair: tuple[Figure | None, Figure | None], known: Figure) -> Change:
    one, two = pair
    return Change(
        name=name,
        title=printable(title),  # a metric of somebody's own is called as he likes
        before=one.value if one else None,
        after=two.value if two else None,
        words=wording.percent if known.unit == FRACTION else _number,
        kind="fraction" if known.unit == FRACTION else "number",
        lower_is_better=known.better == "lower",
        difference=_difference(one, two),
        chance=known.low is not None,
    )


def _difference(one: Figure | None, two: Figure | None) -> tuple[float, float] | None:
    """Return the interval of the difference of two figures by their own intervals (MOVER)."""
    if one is None or two is None or one.value is None or two.value is None:
        return None
    if one.low is None or one.high is None or two.low is None or two.high is None:
        return None
    value = two.value - one.value
    down = math.hypot(two.value - two.low, one.high - one.value)
    up = math.hypot(two.high - two.value, one.value - one.low)
    return value - down, value + up


def _agreement(before: Report, after: Report) -> Iterator[Change]:
    pair = _least_db(before), _least_db(after)
    yield Change(
        name="agreement",
        title="agreement with the model",
        before=pair[0],
        after=pair[1],
        words=_decibels,
        kind="decibels",
        lower_is_better=False,
    )


def _least_db(report: Report) -> float | None:
    """Return the lowest ratio of signal to noise over the outputs; None: none was measured."""
    rows = report.result.verification.get("agreement") or ()
    found = [row.get("sqnr_db") for row in rows if isinstance(row, dict)]
    return min((db for db in found if db is not None), default=None)


_LATENCIES = (
    ("median_latency", "median_ms", 0.5),
    ("p90_latency", "p90_ms", 0.9),
    ("p99_latency", "p99_ms", 0.99),
)
"""Names of latencies, of edge_runner's statistics, and the part of the inferences that take no longer."""


def _device(before: Report, after: Report) -> Iterator[Change]:
    runs = comparable_runs(before, after)
    if runs is None:
        return
    one, two = runs
    where = f" on {printable(two.device or two.architecture or 'the device')}"
    for name, key, share in _LATENCIES:
        yield Change(
            name=name,
            title=f"{name.removesuffix('_latency')} latency{where}",
            before=one.result.summary.get(key),
            after=two.result.summary.get(key),
            words=wording.duration,
            kind="milliseconds",
            ratio=_turn_ratio(one, two, share),
            chance=True,
        )
    for name, title, pair in (
        ("peak_memory", "peak memory", (one.result.peak_memory_bytes, two.result.peak_memory_bytes)),
        ("arena", "planned arena", (one.result.planned_arena_bytes, two.result.planned_arena_bytes)),
    ):
        yield Change(name=name, title=title, before=pair[0], after=pair[1], words=_size, kind="bytes")
    yield Change(
        name="energy",
        title="energy of an inference",
        before=one.result.energy_joules,
        after=two.result.energy_joules,
        words=wording.joules,
        kind="joules",
    )


def comparable_runs(before: Report, after: Report) -> tuple[EdgeRun, EdgeRun] | None:
    """Return the last two runs of edge_runner on one device under one set of conditions; None: there are none."""
    for two in reversed(after.edge):
        for one in reversed(before.edge):
            if _conditions(one) == _conditions(two):
                return one, two
    return None


def _conditions(run: EdgeRun) -> tuple[object, ...]:
    kernels = run.environment.get("kernels")
    return run.device, run.cpu, run.architecture, run.runtime, run.runtime_version, run.delegate, run.threads, kernels


def _turn_ratio(one: EdgeRun, two: EdgeRun, share: float) -> tuple[float, float] | None:
    """Return the 95 % interval of the second's percentile over the first's, by the logarithms of those of turns."""
    logs = [[math.log(value) for value in run.result.turn_percentiles_ns(share) if value > 0] for run in (one, two)]
    if min(map(len, logs)) < 2:
        return None
    means = [statistics.fmean(each) for each in logs]
    errors = [statistics.variance(each) / len(each) for each in logs]
    spread = sum(errors)
    if not spread:
        return math.exp(means[1] - means[0]), math.exp(means[1] - means[0])
    freedom = spread**2 / sum(error**2 / (len(each) - 1) for error, each in zip(errors, logs, strict=True))
    reach = student_quantile(max(1, int(freedom))) * math.sqrt(spread)
    return math.exp(means[1] - means[0] - reach), math.exp(means[1] - means[0] + reach)
