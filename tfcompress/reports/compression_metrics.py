"""What compression is judged by: each metric once, with its formula, its unit and where the definition comes from.

Reports, tables and docs/metrics.md take them from :data:`COMPRESSION_METRICS`. Before is the float model (its file
where files are compared), after the file that was made. A ratio above 1 is a gain everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from tfcompress.reports.measurements import EdgeRun, Measurement
from tfcompress.reports.sections import Baseline, ResultFile, SourceModel, ratio
from tfcompress.tasks.figures import FRACTION, Better
from tfcompress.tasks.paired import student_quantile
from tfcompress.tasks.score import Difference

if TYPE_CHECKING:
    from tfcompress.reports.report import Report

MetricUnit = Literal["times", "fraction", "points", "1/s", "dB"]
"""``points``: percentage points of a figure that is a fraction; of another figure, its own unit."""


_UNITS: Mapping[MetricUnit, str] = {"times": "x", "fraction": " %", "points": " pt", "1/s": "/s", "dB": " dB"}


class Sides(NamedTuple):
    """What metrics are computed of.

    Attributes:
        source: the model that was given.
        baseline: its float file; None: there is none.
        result: the file that was made.
        main: how the main figure differs, after minus before; None: not measured.
        run: the device's measurement; None: there is none.
    """

    source: SourceModel
    baseline: Baseline | None
    result: ResultFile
    main: Difference | None = None
    run: EdgeRun | None = None


class MetricValue(NamedTuple):
    """A metric's value, and its interval where chance plays a part and is known.

    Attributes:
        value: in the metric's unit.
        low: lower end of the interval; None: there is none.
        high: upper end.
        plain: it is in the unit of the task's figure instead, which is no fraction.
    """

    value: float
    low: float | None = None
    high: float | None = None
    plain: bool = False


@dataclass(frozen=True, kw_only=True)
class CompressionMetric:
    """One metric.

    Attributes:
        title: in a sentence or a table.
        short: what papers abbreviate it by; empty: nothing.
        formula: of what; 0 is before, 1 is after.
        unit: of the value.
        better: which way is better.
        source: where the definition comes from.
        interval: its confidence, and what it comes from; empty: the value is exact, or no interval is known.
        of: the value of a run; None: not measured.
    """

    title: str
    formula: str
    unit: MetricUnit
    of: Callable[[Sides], MetricValue | None]
    short: str = ""
    better: Better = "higher"
    source: str = ""
    interval: str = ""


def _exact(value: float | None) -> MetricValue | None:
    return None if value is None else MetricValue(value)


def _files(of: str, after: str = "") -> Callable[[Sides], MetricValue | None]:
    """Return the ratio of a size of the float file to that of the result."""

    def value(sides: Sides) -> MetricValue | None:
        before = None if sides.baseline is None else getattr(sides.baseline, of)
        return _exact(ratio(before, getattr(sides.result, after or of)))

    return value


def _macs(sides: Sides) -> MetricValue | None:
    return None if sides.source.not_counted else _exact(ratio(sides.source.macs, sides.result.macs))


def _speedup(sides: Sides) -> MetricValue | None:
    run = sides.run
    if run is None or run.speedup is None:
        return None
    compared = run.compared if run.baseline else None
    return MetricValue(run.speedup) if compared is None else MetricValue(run.speedup, compared.low, compared.high)


def _rate(sides: Sides) -> MetricValue | None:
    """Return inferences in a second; the interval is that of the mean logarithm of the turns' medians."""
    found = None if sides.run is None else sides.run.result
    if found is None or not found.median_ms:
        return None
    rate = 1000 / found.median_ms
    logs = [math.log(value) for value in found.turn_medians_ns if value > 0]
    reach = _reach(logs)
    return MetricValue(rate) if reach is None else MetricValue(rate, rate / reach, rate * reach)


def _reach(logs: Sequence[float]) -> float | None:
    """Return the factor by which the geometric mean may be off either way; None: fewer than two turns."""
    if len(logs) < 2:
        return None
    mean = math.fsum(logs) / len(logs)
    variance = math.fsum((value - mean) ** 2 for value in logs) / (len(logs) - 1)
    return math.exp(student_quantile(len(logs) - 1) * math.sqrt(variance / len(logs)))


def _energy(sides: Sides) -> MetricValue | None:
    run = sides.run
    if run is None or run.baseline is None or run.result.energy_joules is None or not run.baseline.energy_joules:
        return None
    return MetricValue(1 - run.result.energy_joules / run.baseline.energy_joules)


def _loss(sides: Sides) -> MetricValue | None:
    """Return how much worse the main figure became: its difference, turned so that more is worse."""
    main = sides.main
    if main is None:
        return None
    sign, scale = (-1 if main.better == "higher" else 1), (100 if main.unit == FRACTION else 1)
    ends = [None if end is None else sign * scale * end for end in (main.low, main.high)]
    low, high = ends if sign > 0 else reversed(ends)
    plain = main.unit != FRACTION
    return MetricValue(sign * scale * main.value + 0.0, low, high, plain)  # + 0.0: a loss of -0.0 is none


def _relative_loss(sides: Sides) -> MetricValue | None:
    before = None if sides.baseline is None else sides.baseline.score
    if sides.main is None or before is None or before.main != sides.main.figure or not before.main_figure.value:
        return None
    sign = -1 if sides.main.better == "higher" else 1
    return MetricValue(sign * sides.main.value / before.main_figure.value + 0.0)


def _memory(of: Callable[[Measurement], int | None]) -> Callable[[Sides], MetricValue | None]:
    def value(sides: Sides) -> MetricValue | None:
        run = sides.run
        return None if run is None or run.baseline is None else _exact(ratio(of(run.baseline), of(run.result)))

    return value


def _least_agreement(of: str) -> Callable[[Sides], MetricValue | None]:
    """Return the lowest value over the outputs of what verification found."""

    def value(sides: Sides) -> MetricValue | None:
        rows = sides.result.verification.get("agreement") or ()
        found = [row.get(of) for row in rows if isinstance(row, Mapping)]
        return _exact(min((each for each in found if each is not None), default=None))

    return value


_CHENG = "Cheng et al. 2017, arXiv:1710.09282"
_BLALOCK = "Blalock et al. 2020, arXiv:2003.03033"

COMPRESSION_METRICS: dict[str, CompressionMetric] = {
    "parameter_ratio_all": CompressionMetric(
        title="parameter compression, all",
        short="PCR",
        formula="P0 / P1, P: all parameters",
        unit="times",
        source=_CHENG,
        of=lambda sides: _exact(ratio(sides.source.parameters, sides.result.parameters)),
    ),
    "parameter_ratio": CompressionMetric(
        title="parameter compression, non-zero",
        short="PCR",
        formula="P0 / N1, N: parameters that are not zero",
        unit="times",
        source=_BLALOCK,
        of=lambda sides: _exact(ratio(sides.source.parameters, sides.result.nonzero)),
    ),
    "size_ratio": CompressionMetric(
        title="size of the file",
        formula="B0 / B1, B: bytes of the .tflite file",
        unit="times",
        source=_BLALOCK,
        of=_files("size_bytes"),
    ),
    "gzip_ratio": CompressionMetric(
        title="size of the file, gzip",
        formula="G0 / G1, G: bytes after gzip -9",
        unit="times",
        source="Blalock et al. 2020; gzip as tfmot's guides measure it",
        of=_files("gzip_bytes"),
    ),
    "package_ratio": CompressionMetric(
        title="size of the download",
        formula="B0 / Z1, Z: bytes of the package (.tfz)",
        unit="times",
        source="Han et al. 2016, arXiv:1510.00149, table 1",
        of=_files("size_bytes", "package_bytes"),
    ),
    "macs_ratio": CompressionMetric(
        title="multiply-accumulates (FLOPs ratio)",
        formula="M0 / M1, M: multiply-accumulates of one inference; FLOPs = 2 M, so their ratio is the same",
        unit="times",
        source=f"{_BLALOCK} (theoretical speed-up)",
        of=_macs,
    ),
    "speedup": CompressionMetric(
        title="speed-up",
        short="ITS",
        formula="t0 / t1, t: inference time on one device in one run; the median over the turns",
        unit="times",
        source=_CHENG,
        interval="99 %, bootstrap over processes, by edge_runner",
        of=_speedup,
    ),
    "fps": CompressionMetric(
        title="inferences in a second",
        short="FPS",
        formula="1 / t1, t: median time of an inference",
        unit="1/s",
        source="MLPerf Mobile, Reddi et al. 2020, arXiv:2012.02328 (single stream)",
        interval="95 %, Student's t of the logarithms of the turns' medians",
        of=_rate,
    ),
    "energy_saving": CompressionMetric(
        title="energy saving rate",
        short="ESR",
        formula="(E0 - E1) / E0, E: energy of an inference above idle, measured by a sensor and never estimated",
        unit="fraction",
        source="a relative saving; energy as MLPerf Tiny measures it, Banbury et al. 2021, arXiv:2106.07597",
        of=_energy,
    ),
    "accuracy_loss": CompressionMetric(
        title="accuracy loss",
        short="AL",
        formula="A0 - A1, A: the task's main figure on the test split; turned where lower is better",
        unit="points",
        better="lower",
        source=_BLALOCK,
        interval="95 %, of the paired difference (tasks.md)",
        of=_loss,
    ),
    "relative_accuracy_loss": CompressionMetric(
        title="accuracy loss, relative",
        short="AL",
        formula="(A0 - A1) / A0; turned where lower is better",
        unit="fraction",
        better="lower",
        source="MLPerf Inference, Reddi et al. 2019, arXiv:1911.02549 (quality targets relative to FP32)",
        of=_relative_loss,
    ),
    "memory_ratio": CompressionMetric(
        title="peak memory",
        formula="R0 / R1, R: peak resident memory of a fresh process that opens and runs the file",
        unit="times",
        source="Ghobrial et al. 2023, arXiv:2305.10616",
        of=_memory(lambda one: one.peak_memory_bytes),
    ),
    "arena_ratio": CompressionMetric(
        title="planned arena",
        formula="T0 / T1, T: bytes of all tensors that live at once, planned from the file",
        unit="times",
        source="David et al. 2021, arXiv:2010.08678 (TensorFlow Lite Micro)",
        of=_memory(lambda one: one.planned_arena_bytes),
    ),
    "agreement_db": CompressionMetric(
        title="agreement with the model",
        short="SQNR",
        formula="10 log10(sum(k^2) / sum((k - f)^2)), k: outputs of the model, f: of the file; the lowest output",
        unit="dB",
        source="signal-to-quantization-noise ratio",
        of=_least_agreement("sqnr_db"),
    ),
    "agreement_top1": CompressionMetric(
        title="same answer as the model",
        formula="samples whose largest output is at the same place / samples; the lowest output",
        unit="fraction",
        source="the file against the model that it was made from, on the same samples",
        of=_least_agreement("top1"),
    ),
}
"""By the name in reports."""


def metric_value(name: str, sides: Sides) -> float | None:
    """Return the value of a metric, without its interval; None: not measured."""
    found = COMPRESSION_METRICS[name].of(sides)
    return None if found is None else found.value


def report_metrics(report: Report) -> dict[str, MetricValue]:
    """Return every metric that a report has measured, by name; those of a device of the run that came last."""
    run = report.edge[-1] if report.edge else None
    sides = Sides(report.source, report.baseline, report.result, report.comparison.main, run)
    found = ((name, metric.of(sides)) for name, metric in COMPRESSION_METRICS.items())
    return {name: value for name, value in found if value is not None}


def metric_words(metric: CompressionMetric, found: MetricValue) -> str:
    """Return a value for a person, with its interval where it has one."""
    scale, digits = (100, ".2f") if metric.unit == "fraction" else (1, ".2f" if metric.unit == "points" else ".3g")
    if found.plain or metric.unit == "1/s":
        digits = ",.0f" if abs(found.value) >= 1000 else ".4g"
    unit = "" if found.plain else _UNITS[metric.unit]
    ends = ""
    if found.low is not None and found.high is not None:
        ends = f" ({scale * found.low:{digits}}..{scale * found.high:{digits}})"
    return f"{scale * found.value:{digits}}{unit}{ends}"
