"""The command that makes a run's file again, from what its report holds, and what no command line can say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfcompress.reports.report import Report

_FLAGS = {
    "label": "--label", "features": "--features", "classes": "--classes", "window": "--window", "stride": "--stride",
    "group": "--group", "vocabulary": "--vocabulary", "skip_corrupt": "--skip-corrupt", "task": "--task",
    "metrics": "--metric", "main_metric": "--main-metric", "main_output": "--main-output",
    "ignore_label": "--ignore-label", "windows_of": "--windows-of",
}  # fmt: skip
"""Flags by the arguments of ``load_data``."""
_REPEATED = ("task", "metrics")
OLDER = (
    "As far as the report says: how the data is read (columns, windows, a vocabulary) and --trust are to be added "
    "where they were given."
)
"""What is to be said of a command from a report that does not hold how its data was read."""


def again(report: Report, folder: Path) -> list[str]:
    """Return the command, a word each.

    Args:
        report: of the run.
        folder: where its recipe lies.
    """
    words = ["tfcompress", "export", report.source.name, "--recipe", str(folder / "recipe.toml")]
    data = report.data or {}
    reading = data.get("reading", {})
    if data.get("source") and reading is not None:
        words += ["--data", str(data["source"])]
        words += _steps(data.get("preprocessing") or {})
        words += _reading(reading)
    words += ["--trust"] if report.source.trust else []
    return words + [word for each in report.source.custom for word in ("--custom", each)]


def _steps(steps: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    if steps.get("scale") not in (None, 1, 1.0):
        words += ["--scale", f"{steps['scale']!r}"]
    for name in ("mean", "std"):
        if steps.get(name):
            words += [f"--{name}", ",".join(f"{value!r}" for value in steps[name])]
    return words + (["--preprocess", str(steps["function"])] if steps.get("function") else [])


def _reading(reading: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    for name, flag in _FLAGS.items():
        value = reading.get(name)
        if value is True:
            words.append(flag)
        elif name in _REPEATED:
            words += [word for each in value or () for word in (flag, str(each))]
        elif value is not None and _can_be_typed(value):
            words += [flag, ",".join(value) if isinstance(value, list) else str(value)]
    return words


def _can_be_typed(value: Any) -> bool:
    return not isinstance(value, list) or not any("," in each for each in value)


def beyond_words(report: Report) -> Iterator[str]:
    """Give what would have to be done before the command says everything, a part of a sentence each."""
    if report.source.sha256 is None:
        yield "the model was an object in memory: save it, and name the file"
    data = report.data
    if data is None or "reading" not in data:
        return
    reading = data["reading"]
    if reading is None:
        yield "the data was in memory: save it as an .npz, or have a function return it, and name that (--data)"
        return
    for name in reading.get("unsaid") or ():
        yield f"{_FLAGS[name]} was an object of Python: give it as MODULE:NAME"
    for name, value in reading.items():
        if name in ("label", "classes") and not _can_be_typed(value):
            mend = "write them to a file" if name == "classes" else "rename the columns"
            yield f"{_FLAGS[name]} has names with commas: {mend}"
