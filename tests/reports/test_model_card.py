"""A model card: front matter as the Hub reads it, and nothing that the report does not say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.reports.test_changes import a_report, data_free_report
from tests.reports.test_layer_changes import report_of
from tfcompress.reports.model_card import front_matter, model_card, published
from tfcompress.reports.report import Report, read_report
from tfcompress.tasks.score import Figure, Score

REPORTS = sorted((Path(__file__).parent / "older_reports").glob("report_format_5_*.json"))


def parts(text: str) -> tuple[str, str]:
    start, front, body = text.split("---\n", 2)
    assert start == ""
    return front, body


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_the_front_matter_is_yaml_of_what_the_report_says(path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the front matter")
    report = read_report(path)
    front, body = parts(model_card(report, title="net: 8", license_id="apache-2.0"))
    read = yaml.safe_load(front)
    assert read == front_matter(report, title="net: 8", license_id="apache-2.0")
    (index,) = read["model-index"]
    assert index["name"] == "net: 8"
    score = report.result.score
    assert score is not None
    told = {metric["name"]: metric["value"] for metric in index["results"][0]["metrics"]}
    assert score.main_figure.value in told.values()
    assert read["license"] == "apache-2.0"
    assert report.result.sha256 in body


def scored(shape: list[int], score: Score, source: str = "/home/me/private/data.npz") -> Report:
    report = report_of()
    data = {"source": source, "sha256": "ab", "samples": {"test": 10}, "inputs": {"x": {"shape": shape}}}
    return dataclasses.replace(report, data=data, result=dataclasses.replace(report.result, score=score))


def accuracy(**more: Any) -> Score:
    figures = {"top1": Figure(0.9, 0.85, 0.95), "calibration_error": Figure(None)}
    return Score(task="classification", samples=10, main="top1", figures=figures, **more)


def test_a_data_free_file_is_tagged_so_and_says_so() -> None:
    report = data_free_report()
    assert "data-free" in front_matter(report, title="net")["tags"]
    assert "- ranges: data-free: the model alone, inputs in" in model_card(report, title="net")
    assert "data-free" not in model_card(a_report(), title="net")


@pytest.mark.parametrize(
    ("shape", "pipeline"), [([8, 8, 3], "image-classification"), ([8], "tabular-classification"), ([8, 3], None)]
)
def test_what_the_model_does_is_called_as_hubs_do(shape: list[int], pipeline: str | None) -> None:
    found = front_matter(scored(shape, accuracy()), title="net")
    assert found.get("pipeline_tag") == pipeline
    (row,) = found["model-index"][0]["results"]
    assert row["task"]["type"] == (pipeline or "classification")
    (metric,) = row["metrics"]
    assert (metric["type"], metric["value"]) == ("accuracy", 0.9)
    assert metric["args"] == {"low": 0.85, "high": 0.95, "samples": 10}
    assert "license" not in found


def test_each_output_is_an_entry() -> None:
    score = accuracy(outputs={"digit": accuracy(), "colour": accuracy()})
    rows = front_matter(scored([8, 8, 3], score), title="net")["model-index"][0]["results"]
    assert [row["task"]["name"] for row in rows] == ["classification (digit)", "classification (colour)"]


def test_an_output_is_called_by_its_own_task() -> None:
    age = Score(task="regression", samples=10, main="mae", figures={"mae": Figure(0.5)})
    found = front_matter(scored([8], accuracy(outputs={"kind": accuracy(), "age": age})), title="net")
    kinds = [row["task"]["type"] for row in found["model-index"][0]["results"]]
    assert kinds == ["tabular-classification", "tabular-regression"]
    assert found["pipeline_tag"] == "tabular-classification"


@pytest.mark.parametrize(("writer", "called"), [("keras3", "Keras model"), ("tflite", "float file")])
def test_what_a_file_was_made_of_is_called_what_it_is(writer: str, called: str) -> None:
    report = report_of()
    source = dataclasses.replace(report.source, writer=writer)
    assert f"made of the {called} `" in model_card(dataclasses.replace(report, source=source), title="net")


@pytest.mark.parametrize("title", ["Grüße \U0001f600", "a\tb", 'say "yes"\\', "no", "1e5", "- a: b # c"])
def test_any_title_is_read_back(title: str) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the front matter")
    front, _ = parts(model_card(scored([8], accuracy()), title=title))
    assert yaml.safe_load(front)["model-index"][0]["name"] == title


def test_no_path_to_the_data_is_published() -> None:
    report = scored([8], accuracy())
    assert "private" not in model_card(report, title="net")
    assert "private" not in published(report).to_json()
    assert published(report).data == {**(report.data or {}), "source": "data.npz"}


def test_names_out_of_files_stay_text() -> None:
    report = report_of()
    result = dataclasses.replace(report.result, name="a`b|<script>.tflite")
    source = dataclasses.replace(report.source, name="x\n---\n# y")
    text = model_card(dataclasses.replace(report, result=result, source=source), title="# [a](b)\nno: yes")
    _, body = parts(text)
    assert "\n# y" not in body
    assert "# \\# \\[a\\](b) no: yes\n" in body
    assert "a`b" not in body.partition("```python")[0]


def test_a_run_without_scores_has_no_index() -> None:
    report = report_of()
    bare = dataclasses.replace(report, data=None, result=dataclasses.replace(report.result, score=None))
    assert "model-index" not in front_matter(bare, title="net")
