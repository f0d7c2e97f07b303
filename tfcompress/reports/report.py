"""The report of one run: what went in, what was done, what came out, and what was proven about it.

Every number carries its unit in its name; fractions and ratios are plain numbers; None means "not measured". Nothing
here imports numpy or TensorFlow: a report is read and printed on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tfcompress.errors import UsageError
from tfcompress.files import write_atomic
from tfcompress.plain import JSON_BYTES, parse_json, read_text
from tfcompress.reports import codec, older, wording
from tfcompress.reports.compression_metrics import Sides, metric_value
from tfcompress.reports.measurements import EdgeRun, Measurement
from tfcompress.reports.sections import (
    Baseline,
    Comparison,
    FileLayer,
    Layer,
    Machine,
    PromiseRecord,
    ResultFile,
    Runtime,
    SourceModel,
    TrainingRecord,
    ratio,
)
from tfcompress.tasks.score import Difference, untested

__all__ = [
    "FORMAT",
    "Baseline",
    "Comparison",
    "EdgeRun",
    "FileLayer",
    "Layer",
    "Machine",
    "Measurement",
    "PromiseRecord",
    "Report",
    "ResultFile",
    "Runtime",
    "SourceModel",
    "TrainingRecord",
    "comparison_of",
    "from_json",
    "ratio",
    "read_report",
]

FORMAT = 7
"""Number of the JSON format. A key that is added, removed or changes its meaning makes a new number.

History:
    1: first.
    2: bytes and entropy of the kernels, the ratio of multiply-accumulates; what edge_runner's second format brings.
    3: a score holds figures by name, each with its interval, unit and which way is better, the fraction right of each
       class and the figure of a constant prediction (before: ``top1``, ``mae``, … side by side); ``comparison.main``
       holds the difference of the main figure, its interval and the verdict of a paired test, for every task (before:
       ``accuracy_difference`` and ``mcnemar_p``). ``source.score`` and ``comparison.energy_ratio``, which were
       never filled, are gone.
    4: ``comparison.outputs`` holds the difference of each of several outputs; the main one comes first in
       ``score.outputs``; a score holds the classes that are taken for each other.
    5: ``result.package_bytes``.
    6: ``result.layers`` and ``result.layers_note``; ``distinct``, ``bits`` and ``size_bytes`` of the source's layers;
       ``op_ms`` of a measurement.
    7: ``data.reading``, what was said of how the data is read; ``source.trust`` and ``source.custom``; ``scratch`` and
       ``scratch_bytes`` of kernels in ``result.verification`` of a file for a microcontroller.
"""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything about one run; see the module's docstring.

    Attributes:
        tool_version: of tfcompress.
        created_utc: ISO 8601, seconds.
        recipe_name: the recipe's name.
        recipe: the recipe as plain values.
        seeds: by what they seed.
        versions: by package; None when it is not installed.
        machine: where the run was done.
        source: the model that was given.
        result: the file that was written.
        engine: which engine did the stages; empty without stages.
        data: the data's own description; None without data.
        training: None when nothing was trained.
        baseline: the float export; None when it was not made.
        comparison: the result against the baseline.
        wall_seconds: by phase, in the order they ran.
        edge: measurements on devices, oldest first.
        warnings: what a careful reader should know.
    """

    tool_version: str
    created_utc: str
    recipe_name: str
    recipe: Mapping[str, Any]
    seeds: Mapping[str, int]
    versions: Mapping[str, str | None]
    machine: Machine
    source: SourceModel
    result: ResultFile
    engine: str = ""
    data: Mapping[str, Any] | None = None
    training: TrainingRecord | None = None
    baseline: Baseline | None = None
    comparison: Comparison = field(default_factory=Comparison)
    wall_seconds: Mapping[str, float | None] = field(default_factory=dict)
    edge: tuple[EdgeRun, ...] = ()
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Say in a line what came out: ``Report(int8: 53,104 B, 92.90 %)``."""
        score = self.result.score
        known = [wording.size(self.result.size_bytes), *([wording.main_figure(score)] if score else [])]
        return f"Report({self.recipe_name}: {', '.join(known)})"

    def _repr_html_(self) -> str:
        """Return the float model beside the result, as notebooks show it."""
        from tfcompress.reports.html import to_cell

        return to_cell(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, format number first."""
        return {"format": FORMAT, "tool": "tfcompress", **codec.to_plain(self)}

    def to_json(self) -> str:
        """Return the report as JSON text that :func:`from_json` reads back."""
        return codec.to_text(self.to_dict()) + "\n"

    def save(self, path: Path) -> None:
        """Write :meth:`to_json` to *path*, whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        write_atomic(path, self.to_json())


def comparison_of(
    source: SourceModel,
    baseline: Baseline | None,
    result: ResultFile,
    *,
    main: Difference | None = None,
    outputs: Mapping[str, Difference] = MappingProxyType({}),
) -> Comparison:
    """Put the result beside the float baseline.

    Args:
        source: the model that was given.
        baseline: its float export, or None.
        result: the file that was written.
        main: how the main figure differs, tested on the same samples; None: it is taken from the two scores, untested.
        outputs: the same of each output, by name, where several were scored.
    """
    sides = Sides(source, baseline, result)
    return Comparison(
        size_ratio=metric_value("size_ratio", sides),
        gzip_ratio=metric_value("gzip_ratio", sides),
        parameter_ratio=metric_value("parameter_ratio", sides),
        macs_ratio=metric_value("macs_ratio", sides),
        main=main or untested(baseline.score if baseline else None, result.score),
        outputs=dict(outputs),
    )


def from_json(text: str, where: str = "report") -> Report:
    """Read a report.

    Args:
        text: what :meth:`Report.to_json` wrote.
        where: how messages call the report (its path).

    Raises:
        UsageError: not JSON, not a tfcompress report, of a newer format, or with keys or values that do not belong.
    """
    try:
        plain = parse_json(text)
    except ValueError as error:
        msg = f"{where} is not JSON: {error}"
        raise UsageError(msg) from error
    return from_values(plain, where)


def from_values(plain: object, where: str = "report") -> Report:
    """Read a report out of parsed JSON; see :func:`from_json`.

    Raises:
        UsageError: not a tfcompress report, of a newer format, or with keys or values that do not belong.
    """
    if not isinstance(plain, dict) or plain.get("tool") != "tfcompress":
        msg = f"{where} is not a report of tfcompress; give the report.json of a run's output folder"
        raise UsageError(msg)
    number = plain.get("format")
    if type(number) is int and number > FORMAT:
        msg = f"{where}: format must be at most {FORMAT}, got {number}; a newer tfcompress wrote it: upgrade tfcompress"
        raise UsageError(msg)
    if type(number) is not int or number < 1:
        msg = f"{where}: format must be a whole number between 1 and {FORMAT}, got {number!r}"
        raise UsageError(msg)
    values = {key: value for key, value in plain.items() if key not in ("tool", "format")}
    found = codec.from_plain(Report, older.upgraded(values, number, where), where)
    name = found.result.name
    if name in ("", "..") or Path(name).name != name or "\0" in name:
        msg = f"{where}: result.name must be the name of a file beside the report, got {name!r:.80}"
        raise UsageError(msg)
    return found


def read_report(path: Path) -> Report:
    """Read the report in the file *path*, or in the folder *path*.

    Raises:
        UsageError: no such file, or what :func:`from_json` refuses.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        text = read_text(file, JSON_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"report {str(file)!r} cannot be read: {reason}"
        raise UsageError(msg) from error
    return from_json(text, str(file))
