"""Files against each other: places, names that do not overlap, ruined files."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.reports.svg import WIDTH
from tfcompress.reports.tradeoff_chart import HEIGHT, TradeAxis, TradeDot, shortened, tradeoff_chart

ACROSS, UP = TradeAxis("bytes", lambda value: f"{value:g}"), TradeAxis("accuracy, %", lambda value: f"{value:g}")


def dots(*pairs, **more):
    return [TradeDot(x=x, y=y, name=f"n{n}", text=f"n{n}", role="after", **more) for n, (x, y) in enumerate(pairs)]


def places(chart):
    found = re.findall(r"<title>(n\d+)</title><circle class=\"reach\" cx=\"([\d.]+)\" cy=\"([\d.]+)\"", chart)
    return {name: (float(x), float(y)) for name, x, y in found}


def test_more_is_up_and_right_and_the_front_is_marked():
    chart = tradeoff_chart(dots((10, 80), (20, 90), (30, 85)), ACROSS, UP)
    at = places(chart)
    assert at["n0"][0] < at["n1"][0] < at["n2"][0]
    assert at["n1"][1] < at["n2"][1] < at["n0"][1]
    assert chart.count("on-front") == 2
    assert "higher is better" in chart


def test_of_errors_the_lowest_are_on_the_front():
    chart = tradeoff_chart(dots((10, 5.0), (20, 3.0), (30, 4.0)), ACROSS, UP, lower_is_better=True)
    assert re.findall(r'class="mark after on-front"><title>(n\d)', chart) == ["n0", "n1"]
    assert "lower is better" in chart


def test_a_wide_range_is_logarithmic():
    at = places(tradeoff_chart(dots((1, 80), (10, 85), (100, 90)), ACROSS, UP))
    assert at["n1"][0] - at["n0"][0] == pytest.approx(at["n2"][0] - at["n1"][0], abs=0.3)


def test_ruined_files_do_not_press_the_others_together():
    chart = tradeoff_chart(dots((1, 92.0), (2, 92.5), (3, 93.0), (4, 1.0)), ACROSS, UP)
    at = places(chart)
    assert at["n0"][1] - at["n2"][1] > 5
    assert chart.count("outside") == 1
    assert at["n3"][1] <= HEIGHT


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-3, 1e9), st.floats(-1e6, 1e6)), min_size=1, max_size=40), st.booleans())
def test_any_files_are_drawn_inside_the_chart(pairs, lower):
    chart = tradeoff_chart(dots(*pairs), ACROSS, UP, lower_is_better=lower)
    ET.fromstring(chart)
    assert len(places(chart)) == len(pairs)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places(chart).values())


@given(st.lists(st.tuples(st.floats(1, 100), st.floats(0, 1)), min_size=2, max_size=14))
def test_names_do_not_overlap(pairs):
    chart = tradeoff_chart(dots(*pairs), ACROSS, UP)
    named = re.findall(r'class="named( end| middle)?" x="([\d.-]+)" y="([\d.-]+)">([^<]+)<', chart)
    boxes = []
    for side, x, y, text in named:
        wide = 7.4 * len(text)
        left = float(x) - {" end": wide, " middle": wide / 2, "": 0.0}[side]
        boxes.append((left, float(y), left + wide))
    for n, (left, y, right) in enumerate(boxes):
        assert all(right <= a or b <= left or abs(y - other) >= 15.9 for a, other, b in boxes[n + 1 :])


def test_a_long_name_loses_its_middle():
    assert shortened("short") == "short"
    assert len(shortened("x" * 80)) == 26
