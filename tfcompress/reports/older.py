"""Reports of older formats, rewritten as the newest has them before they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfcompress.errors import UsageError
from tfcompress.reports import codec
from tfcompress.tasks.figures import figure_kind
from tfcompress.tasks.score import SIGNIFICANT, Difference, DifferenceVerdict
from tfcompress.tasks.task_table import read_score

Plain = dict[str, Any]

_SCORE = ("task", "samples", "top1", "top1_low", "top1_high", "top5", "mae", "rmse", "auc")
"""What a score held before format 3."""


def upgraded(plain: Plain, number: int, where: str) -> Plain:
    """Return a report of an older format as the newest has it.

    Args:
        plain: the parsed JSON without its format number.
        number: that number.
        where: how messages call the report.

    Raises:
        UsageError: a score or comparison that such a format does not have.
    """
    if number >= 3:
        return plain
    try:
        return _from_2(plain)  # what format 2 added may be missing, so it reads format 1 as well
    except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
        msg = f"{where} is not a complete report of format {number}: {type(error).__name__} {error}"
        raise UsageError(msg) from error


def _from_2(plain: Plain) -> Plain:
    source = {key: value for key, value in plain["source"].items() if key != "score"}
    found = {**plain, "source": source, "result": _scored(plain["result"])}
    if plain.get("baseline") is not None:
        found["baseline"] = _scored(plain["baseline"])
    if "edge" in plain:
        found["edge"] = [_measured(run) for run in plain["edge"]]
    if "comparison" in plain:
        found["comparison"] = _compared(plain["comparison"], plain["result"].get("score"))
    return found


def _scored(section: Mapping[str, Any]) -> Plain:
    score = section.get("score")
    if score is None:
        return {**section}
    for key in score:
        if key not in _SCORE:
            msg = f"report.score has no key {key!r}; it has {', '.join(_SCORE)}"
            raise UsageError(msg)
    return {**section, "score": codec.to_plain(read_score(score))}


def _measured(run: Mapping[str, Any]) -> Plain:
    baseline = run.get("baseline")
    return {**run, "result": _scored(run["result"]), "baseline": None if baseline is None else _scored(baseline)}


def _compared(old: Mapping[str, Any], score: Mapping[str, Any] | None) -> Plain:
    """Return the comparison with the difference in one; the verdict follows from its p-value alone."""
    gone = ("accuracy_difference", "mcnemar_p", "energy_ratio")
    kept = {key: value for key, value in old.items() if key not in gone}
    value, p = old.get("accuracy_difference"), old.get("mcnemar_p")
    if value is None or score is None:
        return kept
    figure = read_score(score).main
    kind = figure_kind(figure)
    found = Difference(figure=figure, value=value, unit=kind.unit, better=kind.better)
    if p is not None:
        verdict: DifferenceVerdict = "cannot tell" if p >= SIGNIFICANT else "better" if found.gain else "worse"
        found = dataclasses.replace(found, p=p, test="McNemar", verdict=verdict)
    return {**kept, "main": codec.to_plain(found)}
