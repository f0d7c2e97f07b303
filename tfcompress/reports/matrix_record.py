"""The same recipes over several models and data sets: what came of each cell, and of each recipe over all of them.

Ratios are averaged by their geometric mean, the only one under which it doesn't matter what is divided by what (Fleming
and Wallace 1986, CACM 29:218); everything else by the arithmetic one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_runner.flatbuffer import DATA_FREE
from tfcompress.errors import UsageError
from tfcompress.plain import parse_json
from tfcompress.reports import codec, wording
from tfcompress.reports.compression_metrics import COMPRESSION_METRICS, MetricValue, metric_words, report_metrics
from tfcompress.reports.findings import ranges_without_data
from tfcompress.reports.report import Report

MATRIX_FORMAT = 2
"""Number of the JSON format. History: 1: first; 2: a cell says where its file is data-free."""

SHOWN_METRICS: Mapping[str, str] = {
    "size_ratio": "smaller",
    "gzip_ratio": "gzip",
    "parameter_ratio": "non-zero",
    "macs_ratio": "MACs",
    "accuracy_loss": "loss",
    "agreement_db": "agreement",
    "speedup": "faster",
}
"""Those that the tables show, and their columns' titles."""


@dataclass(frozen=True, kw_only=True)
class CellMetric:
    """A metric of one cell; see :class:`tfcompress.reports.compression_metrics.MetricValue`."""

    value: float
    low: float | None = None
    high: float | None = None
    plain: bool = False


@dataclass(frozen=True, kw_only=True)
class MatrixCell:
    """One recipe on one model and its data.

    Attributes:
        recipe: its name.
        model: as it was typed.
        data: likewise; empty: none.
        folder: the run's folder, below the matrix's.
        error: why nothing came of it, in a line; empty: something did.
        exit_code: of that error; 0: none.
        kept: whether an earlier run of the same matrix had made it.
        size_bytes: of the file.
        figure: name of the task's main figure; empty: nothing was scored.
        before: that figure of the float file.
        after: of the file.
        metrics: by name, see :data:`tfcompress.reports.compression_metrics.COMPRESSION_METRICS`.
        data_free: how the ranges of an int8 file were chosen that no sample was seen for; empty: it is no such file.
    """

    recipe: str
    model: str
    data: str
    folder: str
    error: str = ""
    exit_code: int = 0
    kept: bool = False
    size_bytes: int | None = None
    figure: str = ""
    before: str = wording.NONE
    after: str = wording.NONE
    metrics: Mapping[str, CellMetric] = field(default_factory=dict)
    data_free: str = ""

    @property
    def where(self) -> str:
        """The model and its data, as they were typed."""
        return f"{self.model}:{self.data}" if self.data else self.model


@dataclass(frozen=True, kw_only=True)
class MetricSummary:
    """A metric of one recipe over all cells that have it.

    Attributes:
        recipe: the recipe's name.
        metric: the metric's.
        cells: how many have it.
        mean: geometric of ratios, else arithmetic; None: the cells have it in different units.
        worst: the worst of them; None: likewise.
        worst_on: where that was.
    """

    recipe: str
    metric: str
    cells: int
    mean: float | None
    worst: float | None
    worst_on: str


@dataclass(frozen=True, kw_only=True)
class MatrixRecord:
    """A whole matrix.

    Attributes:
        tool_version: of tfcompress.
        cells: those that were made or failed, in the order of models, then of recipes.
        summaries: of each recipe.
    """

    tool_version: str
    cells: tuple[MatrixCell, ...]
    summaries: tuple[MetricSummary, ...] = ()

    @property
    def failed(self) -> tuple[MatrixCell, ...]:
        """Cells of which nothing came."""
        return tuple(cell for cell in self.cells if cell.error)

    def to_json(self) -> str:
        """Return the record as JSON text that :func:`matrix_from_json` reads back."""
        return codec.to_text({"format": MATRIX_FORMAT, "tool": "tfcompress matrix", **codec.to_plain(self)}) + "\n"


def matrix_from_json(text: str, where: str) -> MatrixRecord:
    """Read what :meth:`MatrixRecord.to_json` wrote.

    Raises:
        UsageError: it is something else, or of a newer format.
    """
    try:
        plain = parse_json(text)
    except ValueError as error:
        msg = f"{where} is not JSON: {error}"
        raise UsageError(msg) from error
    if not isinstance(plain, dict) or plain.pop("tool", None) != "tfcompress matrix":
        msg = f"{where} is not the record of a matrix; give the matrix.json that `tfcompress matrix` wrote"
        raise UsageError(msg)
    number = plain.pop("format", None)
    if type(number) is not int or not 1 <= number <= MATRIX_FORMAT:
        msg = f"{where}: format must be a whole number between 1 and {MATRIX_FORMAT}, got {number!r}"
        raise UsageError(msg)
    return codec.from_plain(MatrixRecord, plain, where)


def cell_of(report: Report, *, model: str, data: str, folder: str, kept: bool) -> MatrixCell:
    """Return the cell of a run that went well."""
    score, before = report.result.score, report.baseline.score if report.baseline else None
    metrics = {name: CellMetric(**found._asdict()) for name, found in report_metrics(report).items()}
    return MatrixCell(
        recipe=report.recipe_name,
        model=model,
        data=data,
        folder=folder,
        kept=kept,
        size_bytes=report.result.size_bytes,
        figure=score.main if score else "",
        before=wording.figure(before.main_figure if before else None),
        after=wording.figure(score.main_figure if score else None),
        metrics=metrics,
        data_free=ranges_without_data(report),
    )


def summaries_of(cells: Sequence[MatrixCell]) -> tuple[MetricSummary, ...]:
    """Return the mean and the worst of every metric, recipe by recipe."""
    return tuple(
        _summary(recipe, name, found)
        for recipe in dict.fromkeys(cell.recipe for cell in cells)
        for name in COMPRESSION_METRICS
        if (found := [cell for cell in cells if cell.recipe == recipe and name in cell.metrics])
    )


def _summary(recipe: str, name: str, cells: Sequence[MatrixCell]) -> MetricSummary:
    metric, values = COMPRESSION_METRICS[name], [cell.metrics[name].value for cell in cells]
    units = {(cell.metrics[name].plain, cell.figure if cell.metrics[name].plain else "") for cell in cells}
    if len(units) > 1:  # points of an accuracy and an error in metres have no mean
        return MetricSummary(recipe=recipe, metric=name, cells=len(cells), mean=None, worst=None, worst_on="")
    place = (max if metric.better == "lower" else min)(range(len(values)), key=lambda number: values[number])
    return MetricSummary(
        recipe=recipe,
        metric=name,
        cells=len(cells),
        mean=_mean(values, ratios=metric.unit == "times"),
        worst=values[place],
        worst_on=cells[place].where,
    )


def _mean(values: Sequence[float], *, ratios: bool) -> float:
    if ratios and min(values) > 0:
        return math.exp(math.fsum(map(math.log, values)) / len(values))
    return math.fsum(values) / len(values)


def cell_rows(record: MatrixRecord) -> tuple[list[str], list[list[str]]]:
    """Return titles, and a row of texts for each cell; only metrics that some cell has."""
    names = [name for name in SHOWN_METRICS if any(name in cell.metrics for cell in record.cells)]
    titles = ["on", "recipe", "file", "float", "result", *(SHOWN_METRICS[name] for name in names)]
    rows = []
    for cell in record.cells:
        if cell.error:
            rows.append([cell.where, cell.recipe, "failed", *[""] * (len(names) + 2)])
            continue
        found = [cell.metrics.get(name) for name in names]
        words = [_words(name, each) for name, each in zip(names, found, strict=True)]
        recipe = f"{cell.recipe} ({DATA_FREE})" if cell.data_free else cell.recipe
        rows.append([cell.where, recipe, wording.size(cell.size_bytes), cell.before, cell.after, *words])
    return titles, rows


def _words(name: str, found: CellMetric | None) -> str:
    if found is None:
        return wording.NONE
    return metric_words(COMPRESSION_METRICS[name], MetricValue(found.value, None, None, found.plain))


def summary_rows(record: MatrixRecord) -> tuple[list[str], list[list[str]]]:
    """Return titles, and a row of texts for each recipe and metric that is shown."""
    rows = []
    for each in record.summaries:
        if each.metric not in SHOWN_METRICS:
            continue
        metric = COMPRESSION_METRICS[each.metric]
        plain = any(
            cell.metrics[each.metric].plain
            for cell in record.cells
            if cell.recipe == each.recipe and each.metric in cell.metrics
        )
        words: list[Any] = [
            wording.NONE if value is None else metric_words(metric, MetricValue(value, plain=plain))
            for value in (each.mean, each.worst)
        ]
        rows.append([each.recipe, metric.title, str(each.cells), *words, each.worst_on])
    return ["recipe", "metric", "cells", "mean", "worst", "on"], rows
