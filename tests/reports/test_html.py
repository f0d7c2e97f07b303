import dataclasses
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tfcompress.reports import edge, html, style, svg
from tfcompress.reports import report as r
from tfcompress.tasks.score import Figure, Score

DOCUMENT = edge.read_measurement(Path(__file__).parents[1] / "data" / "edge_format_1.json")
BEFORE, AFTER = DOCUMENT["models"]


def a_report(**changes):
    def score(top1):
        figures = {"top1": Figure(top1, top1 - 0.03, top1 + 0.02)}
        return Score(task="classification", samples=500, main="top1", figures=figures)

    layers = tuple(
        r.Layer(name=f"layer{n}", type="Dense", output_shape=(n,), parameters=n, nonzero=n) for n in range(50)
    )
    values = {
        "tool_version": "0.1.0",
        "created_utc": "2026-01-02T03:04:05Z",
        "recipe_name": "<b>int8</b>",
        "recipe": {"format": 1, "name": "<i>"},
        "seeds": {"seed": 0},
        "versions": {"python": "3.11.7", "tensorflow": None},
        "machine": r.Machine(system="Linux 6", architecture="x86_64"),
        "source": r.SourceModel(name="a&b.h5", writer="keras2", parameters=10, layers=layers),
        "baseline": r.Baseline(size_bytes=4000, gzip_bytes=3000, sha256=BEFORE["sha256"], score=score(0.9)),
        "result": r.ResultFile(
            name="a&b.tflite",
            sha256=AFTER["sha256"],
            size_bytes=1000,
            gzip_bytes=750,
            quantize="int8",
            score=score(0.88),
            operators={"CONV_2D": 3},
        ),
        "data": {"source": "d.npz", "sha256": "cd"},
        "training": r.TrainingRecord(
            epochs=3, samples=100, history={"loss": (0.9, 0.5, 0.4), "once": (1.0, None, None)}
        ),
        "wall_seconds": {"load": 1.0},
    }
    return r.Report(**{**values, **changes})


class Reader(HTMLParser):
    """Collects tags, and checks that they nest."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_the_page_is_well_formed_and_loads_nothing():
    reader = read(html.to_html(edge.join_measurement(a_report(), DOCUMENT)))
    tags = {tag for tag, _ in reader.seen}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert not any(name in attrs for _, attrs in reader.seen for name in ("href", "src", "onclick", "onload"))
    assert "url(" not in style.CSS
    assert "@import" not in style.CSS


def test_what_comes_from_files_is_escaped():
    page = html.to_html(a_report())
    assert "<b>int8</b>" not in page
    assert "&lt;b&gt;int8&lt;/b&gt;" in page
    assert "<title>a&amp;b.tflite</title>" in page


def test_every_chart_is_well_formed_and_says_what_it_shows():
    page = html.to_html(edge.join_measurement(a_report(), DOCUMENT))
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    titles = [ET.fromstring(chart).find("title").text for chart in charts]
    assert titles == [
        "bytes of the files, plain and compressed by gzip",
        "accuracy with intervals",
        "how often each latency occurred",
        "training by epoch",
    ]


def test_without_a_measurement_the_page_says_so():
    text = " ".join(read(html.to_html(a_report())).text)
    assert "not measured yet: run edge_runner on the device" in text
    assert "how often each latency occurred" not in text


def test_many_layers_are_cut_and_the_rest_is_pointed_to():
    text = " ".join(read(html.to_html(a_report())).text)
    assert "layer39" in text
    assert "layer40" not in text
    assert "10 more layers are in report.json." in text


def test_light_and_dark_follow_the_readers_setting():
    assert "color-scheme: light dark" in style.CSS
    assert "@media screen and (prefers-color-scheme: dark)" in style.CSS


@pytest.mark.parametrize(("ends", "charts"), [((None, None), 0), ((0.25, 0.75), 1)])
def test_an_error_is_drawn_with_its_interval_where_it_has_one(ends, charts):
    figures = {"mae": Figure(0.5, *ends, unit="label", better="lower")}
    score = Score(task="regression", samples=5, main="mae", figures=figures)
    report = a_report()
    report = dataclasses.replace(
        report,
        baseline=dataclasses.replace(report.baseline, score=score),
        result=dataclasses.replace(report.result, score=score),
    )
    page = html.to_html(report)
    assert "accuracy" not in page
    assert page.count("MAE with intervals") == charts
    assert "mean absolute error" in page


def widths(chart):
    return [float(found) for found in re.findall(r'<rect class="[^"]*" x="\d+" y="\d+" width="([\d.]+)"', chart)]


def test_bars_are_as_long_as_their_values():
    first, second = widths(svg.bars([svg.Bar("a", 100, "", "before"), svg.Bar("b", 25, "", "after")], "t"))
    assert first == pytest.approx(4 * second, abs=0.2)


def test_no_bar_vanishes():
    assert min(widths(svg.bars([svg.Bar("a", 10**9, "", "before"), svg.Bar("b", 1, "", "after")], "t"))) == 2


def test_a_range_of_one_value_is_drawn():
    chart = svg.ranges([svg.Range("a", 90.0, 90.0, 90.0, "90 %", "after")], "t", " %")
    ET.fromstring(chart)


def test_a_histogram_of_one_value_is_drawn():
    ET.fromstring(svg.histogram({"a": ([5.0], "after")}, "t", "ms"))


def test_the_slowest_hundredth_does_not_stretch_the_axis():
    values = [1.0 + n / 1000 for n in range(198)] + [500.0, 900.0]
    assert "500" not in svg.histogram({"a": (values, "after")}, "t", "ms")


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (86.5, 88.1), (0.0007, 0.0012), (100.0, 90000.0)])
def test_ticks_are_round_and_inside(low, high):
    ticks = svg.round_numbers(low, high)
    assert 2 <= len(ticks) <= 7
    assert all(low <= tick <= high for tick in ticks)
    assert all(len(f"{tick:g}") <= 6 for tick in ticks)
