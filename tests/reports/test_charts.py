"""The table of charts: a line of it is a section of the page."""

from __future__ import annotations

import dataclasses

import pytest

from tests.reports.test_html import DOCUMENT, a_report
from tfcompress.reports import edge
from tfcompress.reports.charts import CHARTS, Chart
from tfcompress.reports.html import to_html
from tfcompress.reports.report import Report


def zeros(report: Report) -> str:
    return f"<p>{report.source.parameters} drawn</p>"


@pytest.mark.parametrize(("wide", "tag"), [(False, "<section>"), (True, "<section class=wide>")])
def test_a_chart_is_one_function_and_one_line(wide: bool, tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHARTS, "zeros", Chart("Zeros & such", zeros, wide))
    assert f"{tag}<h2>Zeros &amp; such</h2><p>10 drawn</p></section>" in to_html(a_report())


def test_a_chart_with_nothing_to_draw_has_no_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHARTS, "nothing", Chart("Nothing", lambda _: ""))
    page = to_html(a_report(training=None))
    assert "<h2>Nothing</h2>" not in page
    assert "<h2>Training</h2>" not in page
    assert "<h2>Latency</h2>" not in page


def test_the_latency_of_every_device_is_drawn_under_its_name() -> None:
    report = edge.join_measurement(edge.join_measurement(a_report(), DOCUMENT), DOCUMENT)
    first, second = report.edge
    runs = (dataclasses.replace(first, device="a <Pi>"), dataclasses.replace(second, device="b"))
    drawn = CHARTS["latency"].draw(dataclasses.replace(report, edge=runs))
    assert drawn.count("<svg") == 2
    assert "<h3>a &lt;Pi&gt;</h3>" in drawn
    assert "<h3>b</h3>" in drawn


def test_a_long_name_of_a_device_is_cut_where_the_chart_begins() -> None:
    report = edge.join_measurement(a_report(), DOCUMENT)
    run = dataclasses.replace(report.edge[0], device="Raspberry Pi 4 Model B Rev 1.5")
    scored = dataclasses.replace(run, result=dataclasses.replace(run.result, score=report.result.score))
    assert ">Raspberry Pi…<" in CHARTS["score"].draw(dataclasses.replace(report, edge=(scored,)))
