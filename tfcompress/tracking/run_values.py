"""What trackers receive of a run: its recipe as settings, its figures and its files, all out of its report."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress.tracking.tracker import TensorForm, TrackedEnd, TrackedStart

if TYPE_CHECKING:
    from tfcompress.models.specs import TensorSpec
    from tfcompress.recipe import Recipe
    from tfcompress.reports.report import Report
    from tfcompress.result import Result
    from tfcompress.run import Run
    from tfcompress.stages.stage import Stage
    from tfcompress.tasks.score import Score
    from tfcompress.tflite.export import TFLiteModel
    from tfcompress.tracking.following import FollowedRun

RESULT, FLOAT = "result", "float"
"""First parts of names: of the file that was made, and of the float file beside it."""

SENT = ("report.json", "report.html", "recipe.toml")
"""What of an output folder is reported beside the ``.tflite``: test samples and trained models stay where they are."""

_COUNTS = ("size_bytes", "gzip_bytes", "package_bytes", "parameters", "nonzero", "macs")


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's values by their places: ``train.epochs``, ``prune.sparsity``; several values as a text."""
    own = {"train": recipe.train, "export": recipe.export}
    return {"recipe": recipe.name, **stage_settings(recipe.stages), **_settings(own)}


def stage_settings(stages: Sequence[Stage]) -> dict[str, Any]:
    """Return the values of stages by kind and field: ``prune.sparsity``."""
    return _settings({stage.kind: stage for stage in stages})


def _settings(parts: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, values in parts.items():
        pairs = ((field.name, getattr(values, field.name)) for field in dataclasses.fields(values))
        found |= {f"{part}.{name}": _simple(value) for name, value in pairs if value is not None}
    return found


def _simple(value: Any) -> Any:
    if isinstance(value, bool | int | float | str):
        return value
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def start_of(run: Run) -> TrackedStart:
    """Return what a run is whose model and data are there."""
    recipe, model = run.recipe, Path(run.loaded.source).name
    about = {"model": model, **({"data": run.data.dataset.source} if run.data is not None else {})}
    return TrackedStart(
        name=f"{Path(model).stem or 'model'}-{recipe.name}",
        settings={**about, **settings_of(recipe)},
        recipe=recipe.to_toml(),
    )


def figures_of(report: Report) -> dict[str, float]:
    """Return a run's figures by name.

    Sizes and counts of both files, the metrics of docs/metrics.md, every figure of the task with the ends of its
    interval, and the median and p90 latency of the last measurement.
    """
    from tfcompress.reports.compression_metrics import report_metrics

    found: dict[str, float | None] = {f"{RESULT}/{name}": getattr(report.result, name) for name in _COUNTS}
    if report.baseline is not None:
        found |= {f"{FLOAT}/{name}": getattr(report.baseline, name) for name in ("size_bytes", "gzip_bytes")}
        found |= _score(FLOAT, report.baseline.score)
    found |= {f"{FLOAT}/{name}": getattr(report.source, name) for name in ("parameters", "nonzero", "macs")}
    found |= {f"{RESULT}/{name}": value.value for name, value in report_metrics(report).items()}
    found |= _score(RESULT, report.result.score)
    if report.edge:
        found |= {f"{RESULT}/{name}": report.edge[-1].result.summary.get(name) for name in ("median_ms", "p90_ms")}
    found |= {f"seconds/{phase.replace(' ', '_')}": seconds for phase, seconds in report.wall_seconds.items()}
    return {name: float(value) for name, value in found.items() if value is not None}


def _score(side: str, score: Score | None) -> Mapping[str, float | None]:
    """Return the figures of a score, of several outputs with the output's name before them."""
    if score is None:
        return {}
    several = score.outputs or {"": score}
    found: dict[str, float | None] = {}
    for output, own in several.items():
        start = f"{side}/{output}/" if output else f"{side}/"
        for name, figure in own.figures.items():
            ends = {f"{start}{name}_low": figure.low, f"{start}{name}_high": figure.high}
            found |= {f"{start}{name}": figure.value, **ends}
    return found


def tell_end(followed: FollowedRun, result: Result) -> None:
    """Tell what came out of a run that is finished; what goes wrong with that is reported in a line.

    Args:
        followed: the run.
        result: what it gave; where nothing was written, file and report are written for as long as it takes.
    """
    if followed.followed:
        with contextlib.ExitStack() as stack:
            followed.end_by(lambda: end_of(result.report, result.tflite, result.folder or scratch_of(result, stack)))


def scratch_of(result: Result, stack: contextlib.ExitStack) -> Path:
    """Write the file and the report of a run into a folder that goes with *stack*, and return it."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tfcompress-")))
    result.tflite.save(folder / result.report.result.name)
    result.report.save(folder / "report.json")
    return folder


def end_of(report: Report, tflite: TFLiteModel, folder: Path) -> TrackedEnd:
    """Return what came out of a run.

    Args:
        report: of the run.
        tflite: its file.
        folder: where everything was written.
    """
    names = [report.result.name, *SENT]
    return TrackedEnd(
        figures=figures_of(report),
        files={name: folder / name for name in names if (folder / name).is_file()},
        model=report.result.name,
        inputs=tuple(map(_form, tflite.signature.inputs)),
        outputs=tuple(map(_form, tflite.signature.outputs)),
    )


def _form(spec: TensorSpec) -> TensorForm:
    return TensorForm(name=spec.name, shape=spec.shape, dtype=spec.dtype)
