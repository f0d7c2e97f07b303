"""Reports that earlier versions wrote: files made by their own code, see the names."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tfcompress.errors import UsageError
from tfcompress.reports import edge, html, printing
from tfcompress.reports import report as r
from tfcompress.tasks.score import Difference, Figure, Score

FOLDER = Path(__file__).parent / "older_reports"
GOLDEN = sorted(FOLDER.glob("*.json"))
DOCUMENTS = sorted((Path(__file__).parents[1] / "data").glob("edge_format_*.json"))


def golden(number: int, task: str) -> Path:
    return FOLDER / f"report_format_{number}_{task}.json"


def test_every_older_format_has_a_file_a_task() -> None:
    tasks = ("binary", "classification", "regression")
    assert [golden(number, task) for number in range(1, r.FORMAT) for task in tasks] == GOLDEN


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_it_reads_prints_joins_and_is_written_in_the_newest_format(path: Path, document: Path) -> None:
    report, measured = r.read_report(path), edge.read_measurement(document)
    before, after = (model["sha256"] for model in measured["models"])
    report = dataclasses.replace(
        report,
        baseline=dataclasses.replace(report.baseline, sha256=before) if report.baseline else None,
        result=dataclasses.replace(report.result, sha256=after),
    )
    joined = edge.join_measurement(report, measured)
    assert len(joined.edge) == len(report.edge) + 1
    stream = io.StringIO()
    printing.print_report(joined, Console(file=stream, width=110, highlight=False))
    printing.print_comparison([joined, report], Console(file=stream, width=160, highlight=False))
    assert "net-int8.tflite" in stream.getvalue()
    assert "net-int8.tflite" in html.to_html(joined)
    assert json.loads(joined.to_json())["format"] == r.FORMAT
    assert r.from_json(joined.to_json()) == joined


@pytest.mark.parametrize("number", [1, 2])
def test_scores_become_figures(number: int) -> None:
    def score(task: str) -> Score | None:
        return r.read_report(golden(number, task)).result.score

    top1 = Figure(0.86, 0.86 - 0.02, 0.86 + 0.02)
    assert score("classification") == Score(
        task="classification", samples=1000, main="top1", figures={"top1": top1, "top5": Figure(0.99)}
    )
    assert score("binary") == Score(
        task="binary", samples=1000, main="top1", figures={"top1": top1, "auc": Figure(0.975, unit="area")}
    )
    errors = {"mae": Figure(0.625, unit="label", better="lower"), "rmse": Figure(1.25, unit="label", better="lower")}
    assert score("regression") == Score(task="regression", samples=1000, main="mae", figures=errors)


@pytest.mark.parametrize("number", [1, 2])
def test_the_difference_keeps_its_p_value_and_says_what_follows(number: int) -> None:
    def difference(task: str) -> Difference | None:
        return r.read_report(golden(number, task)).comparison.main

    tested = difference("classification")
    assert tested == Difference(
        figure="top1", value=pytest.approx(0.86 - 0.9), p=0.004, test="McNemar", verdict="worse"
    )
    assert difference("regression") == Difference(figure="mae", value=0.125, unit="label", better="lower")


def _kept(new: Any, old: Any) -> Any:
    """Return of a newer form what an older one has, too."""
    if isinstance(old, dict):
        return {key: _kept(new[key], value) for key, value in old.items()}
    if isinstance(old, list):
        return [_kept(one, other) for one, other in zip(new, old, strict=True)]
    return new


def test_what_stands_beside_the_scores_is_kept() -> None:
    plain: dict[str, Any] = json.loads(golden(2, "classification").read_text())
    report = r.read_report(golden(2, "classification"))
    again = report.to_dict()
    for name in ("recipe", "seeds", "versions", "machine", "data", "training", "wall_seconds", "warnings"):
        assert again[name] == plain[name]
    for section in ("source", "baseline", "result"):
        known = {k: v for k, v in plain[section].items() if k != "score"}
        assert _kept(again[section], known) == known
        assert not any(v for k, v in again[section].items() if k not in {*known, "score"})  # came later: not measured
    assert report.comparison.size_ratio == plain["comparison"]["size_ratio"]
    assert report.edge[0].result.score is not None
    counted = plain["edge"][0]["result"]["score"]
    assert report.edge[0].result.score.main_figure.value == counted["top1"]


def test_what_the_first_format_lacks_was_not_measured() -> None:
    read = r.read_report(golden(1, "classification"))
    assert (read.result.kernels_bytes, read.result.kernels_entropy_bytes, read.comparison.macs_ratio) == (None,) * 3


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("result", None, "x.json is not a complete report of format 2: AttributeError"),
        ("source", [], "x.json is not a complete report of format 2: AttributeError"),
        ("edge", [{}], "x.json is not a complete report of format 2: KeyError 'result'"),
    ],
)
def test_an_older_report_with_a_hole_is_refused(place: str, value: Any, message: str) -> None:
    plain = json.loads(golden(2, "binary").read_text())
    plain[place] = value
    with pytest.raises(UsageError, match=message):
        r.from_json(json.dumps(plain), "x.json")


def test_a_score_of_the_newest_format_in_an_older_report_is_refused() -> None:
    plain = json.loads(golden(2, "binary").read_text())
    plain["baseline"]["score"]["figures"] = {}
    with pytest.raises(UsageError, match=r"report.score has no key 'figures'; it has task, samples, top1"):
        r.from_json(json.dumps(plain))


def test_a_score_with_text_for_a_figure_is_refused() -> None:
    plain = json.loads(golden(2, "binary").read_text())
    plain["result"]["score"]["top1"] = "high"
    with pytest.raises(UsageError, match="TypeError a figure must be a number, got 'high'"):
        r.from_json(json.dumps(plain))
