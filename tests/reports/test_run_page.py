"""The page of several runs, read as a browser reads it."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.reports.test_html import DOCUMENT, a_report, read
from tests.reports.test_pictures import some_pictures
from tfcompress.reports import edge, run_page
from tfcompress.reports.run_page import to_run_page
from tfcompress.reports.run_records import RunRecord, RunSet

DRAWN = {"circle", "rect", "path", "polyline"}
ELSEWHERE = re.compile(r"https?:|//[a-z]|url\(|@import|fetch\(|XMLHttpRequest|WebSocket|import\(|<link|<iframe", re.I)


def a_record(name="one", **changes) -> RunRecord:
    report = edge.join_measurement(a_report(), DOCUMENT)
    result = dataclasses.replace(report.result, **changes)
    report = dataclasses.replace(report, result=result, recipe={"format": 1, "name": "<i>", "none": None})
    pictures = dataclasses.replace(some_pictures(), sha256=result.sha256)
    (measured,) = (one for one in edge.measured_files(DOCUMENT) if one.run.result.sha256 == report.result.sha256)
    return RunRecord(
        name=name,
        report=report,
        folder=Path("runs") / name,
        pictures=pictures,
        per_op=((measured.run.conditions, PER_OP),),
    )


PER_OP = edge.PerOp(
    method="each alone",
    sum_ms=0.3,
    whole_ms=0.25,
    nodes=(edge.OpTime(op="CONV_2D", output="a<b", median_ms=0.3, share=1.0), edge.OpTime(op="ADD", output="c")),
)


@pytest.fixture(scope="module")
def page() -> str:
    names = ("<b>one</b>", "two", "three")
    records = tuple(a_record(name, size_bytes=1000 + 300 * n) for n, name in enumerate(names))
    return to_run_page(RunSet(records, tuple(edge.measured_files(DOCUMENT))))


def test_nothing_is_asked_for_from_elsewhere(page):
    assert not ELSEWHERE.search(re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", page))
    reader = read(page.replace("<img ", "<wbr "))
    for _, attrs in reader.seen:
        assert not {"onclick", "onload", "srcset", "action"} & set(attrs)
        assert attrs.get("href", "#").startswith("#")
        assert attrs.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
    assert "default-src 'none'" in page


def test_every_chart_is_well_formed_and_has_data(page):
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) > 20
    for chart in charts:
        tree = ET.fromstring(chart)
        assert tree.find("title").text
        drawn = [node for node in tree.iter() if node.tag in DRAWN and node.get("class") not in ("steps", "reach")]
        assert drawn, tree.find("title").text
        assert "nan" not in chart
        assert "inf" not in re.sub(r"<title>.*?</title>", "", chart)


def test_it_shows_what_a_compression_is_judged_by(page):
    for title in (
        "Accuracy against size",
        "Accuracy against latency",
        "All files",
        "Layer by layer",
        "Latency",
        "Time by op",
        "Training",
        "Weights before and after",
        "Confusion before and after",
        "Samples whose answer changed",
        "Environment",
        "The same again",
        "Measured files without a report",
    ):
        assert f">{title}<" in page, title
    assert "tfcompress export &#x27;a&amp;b.h5&#x27; --recipe runs/two/recipe.toml --data d.npz" in page
    assert "name = &quot;&lt;i&gt;&quot;" in page


def test_what_comes_from_files_is_escaped(page):
    assert "<b>one</b>" not in page
    assert "<i>" not in page
    assert "a<b" not in page


def test_marks_tell_what_they_are(page):
    told = re.findall(r'<g class="mark [^"]*"><title>(.*?)</title>', page, re.DOTALL)
    assert any(text.startswith("two\naccuracy 88.00 %") for text in told)
    assert any("epoch 2: 0.5" in text for text in told)


def test_one_run_is_open_and_of_several_none_is():
    alone = to_run_page(RunSet((a_record(),)))
    assert '<details class="run" id="run-0" open>' in alone
    assert 'id="run-0" open' not in to_run_page(RunSet((a_record("a"), a_record("b"))))


def test_details_that_do_not_fit_are_left_out_and_that_is_said(monkeypatch):
    records = tuple(a_record(f"r{n}", size_bytes=1000 + n) for n in range(6))
    whole = to_run_page(RunSet(records))
    monkeypatch.setattr(run_page, "MOST_BYTES", len(whole.encode()) // 2)
    cut = to_run_page(RunSet(records))
    shown = cut.count('<details class="run"')
    assert 0 < shown < 6
    assert len(cut.encode()) <= len(whole.encode()) // 2 + 300
    assert f"{6 - shown} runs have no details here" in cut
    assert cut.count('href="#run-') == shown
    assert all(f">r{n}<" in cut for n in range(6))


def test_a_run_without_score_data_or_float_file_is_shown():
    report = dataclasses.replace(
        a_report(), baseline=None, data=None, training=None, result=dataclasses.replace(a_report().result, score=None)
    )
    page = to_run_page(RunSet((RunRecord(name="bare", report=report, folder=Path("bare")),)))
    assert ">bare<" in page
    assert "against size" not in page
    assert "This run keeps no pictures" in page


def test_files_judged_on_other_data_are_a_group_of_their_own():
    other = dataclasses.replace(a_report(), data={"source": "other.npz", "sha256": "ef"})
    records = (a_record("a"), RunRecord(name="b", report=other, folder=Path("b")))
    page = to_run_page(RunSet(records))
    assert page.count(">Accuracy against size<") == 2
    assert "a&amp;b.h5 on other.npz" in page


def test_an_error_is_drawn_as_one():
    report = a_report()
    figures = {"mae": run_page_figure(0.5)}
    score = dataclasses.replace(report.result.score, task="regression", main="mae", figures=figures)
    report = dataclasses.replace(
        report,
        result=dataclasses.replace(report.result, score=score),
        baseline=dataclasses.replace(report.baseline, score=score),
    )
    page = to_run_page(RunSet((RunRecord(name="r", report=report, folder=Path("r")),)))
    assert "MAE, lower is better" in page


def run_page_figure(value):
    from tfcompress.tasks.score import Figure

    return Figure(value, value - 0.1, value + 0.1, unit="label", better="lower")
