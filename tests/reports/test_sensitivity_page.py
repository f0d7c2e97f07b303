"""The page of a sensitivity analysis, and what its table says."""

import dataclasses
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.reports import sensitivity_chart, sensitivity_page
from tfcompress.reports.sensitivity_page import ScoreCurve, SensitivityAnalysis

FRACTIONS = (0.25, 0.5, 0.75)


def curve(name, *scores, macs=0.25):
    return ScoreCurve(name, 16, macs, tuple(zip(FRACTIONS, scores, strict=True)))


def analysis(*curves, **changes):
    values = {
        "model": "<net>.keras",
        "data": "d.npz",
        "samples": 2000,
        "metric": "accuracy",
        "percent": True,
        "criterion": "l2",
        "baseline": 0.9,
        "curves": curves or (curve("robust", 0.9, 0.895, 0.88), curve("fragile", 0.8, 0.6, 0.3, macs=None)),
        "pinned": (("head", "feeds output 'head'"),),
    }
    return SensitivityAnalysis(**{**values, **changes})


def test_the_most_sensitive_group_comes_first_with_what_it_can_lose():
    fragile, robust = sensitivity_page.group_rows(analysis())
    assert fragile == ("fragile", "16", "—", "0 %", "−10.0", "−30.0", "−60.0")  # noqa: RUF001 - a minus sign
    assert robust == ("robust", "16", "25.0 %", "50 %", "+0.0", "−0.5", "−2.0")  # noqa: RUF001
    assert sensitivity_page.column_titles(analysis())[4:] == ("−25 %", "−50 %", "−75 %")  # noqa: RUF001


@pytest.mark.parametrize(("limit", "fraction"), [(0.95, 0.0), (0.9, 0.25), (0.89, 0.5), (0.1, 0.75)])
def test_what_can_go_ends_at_the_first_score_below_the_limit(limit, fraction):
    assert sensitivity_page.removable(curve("g", 0.9, 0.89, 0.88), limit) == fraction


def test_the_page_stands_alone_and_shows_every_group():
    page = sensitivity_page.to_page(analysis())
    assert not re.search(r"https?://|<script", page)
    assert "&lt;net&gt;.keras" in page
    assert "<net>" not in page
    for text in ("fragile", "robust", "head", "feeds output", "90.00 % on 2,000 samples", "1 point below"):
        assert text in page


def test_the_deepest_fall_is_coloured_strongest():
    page = sensitivity_page.to_page(analysis())
    shades = [float(alpha) for alpha in re.findall(r"rgb\(214 92 20 / ([0-9.]+)\)", page)]
    assert max(shades) == 0.55
    assert len(set(shades)) == 5  # five different falls; the score that did not fall has none


def test_the_chart_is_well_formed_and_draws_the_limit():
    chart = ET.fromstring(sensitivity_chart.chart(analysis().curves, 0.9, percent=True, limit=0.89))
    lines = [element for element in chart if element.tag == "polyline"]
    assert len(lines) == 2
    assert all(len(line.get("points").split()) == 1 + len(FRACTIONS) for line in lines)
    assert sum(element.get("class") == "limit" for element in chart) == 1


def test_every_point_says_what_it_is():
    chart = ET.fromstring(sensitivity_chart.chart((curve("a&b", 0.9, 0.8, 0.25),), 0.9, percent=True))
    said = [title.text for title in chart.iterfind("circle/title")]
    assert said == [f"a&b: {score} % without {gone} % of 16 channels" for score, gone in
                    (("90.0", 25), ("80.0", 50), ("25.0", 75))]  # fmt: skip


def test_the_name_of_the_limit_stands_apart_from_names_of_curves():
    close = (curve("one", 0.9, 0.9, 0.899), curve("two", 0.9, 0.9, 0.898))
    drawn = sensitivity_chart.chart(close, 0.9, percent=True, limit=0.8985, allowed="so low")
    places = [(float(e.get("y")), e.text) for e in ET.fromstring(drawn) if e.text in ("so low", "one", "two")]
    assert sorted(text for _, text in places) == ["one", "so low", "two"]
    assert all(b - a >= 18 - 0.1 for a, b in pairwise(sorted(y for y, _ in places)))


def test_the_image_is_well_formed_and_carries_its_style_and_title():
    image = ET.fromstring(sensitivity_page.to_svg(analysis()))
    svg = "{http://www.w3.org/2000/svg}"
    assert image.tag == f"{svg}svg"
    assert len(list(image.iter(f"{svg}polyline"))) == 2
    assert "--c0:" in image.find(f"{svg}style").text
    texts = [element.text for element in image.iter(f"{svg}text")]
    assert texts[:2] == ["Sensitivity of <net>.keras", "accuracy 90.00 % on 2,000 samples of d.npz"]


def test_beyond_eight_only_the_worst_are_named():
    curves = tuple(curve(f"layer{n:02}", 0.9, 0.8, 0.7 - 0.01 * n) for n in range(12))
    shown = sensitivity_chart.highlighted(curves)
    assert shown == tuple(f"layer{n:02}" for n in range(11, 3, -1))
    drawn = sensitivity_chart.chart(curves, 0.9, percent=True)
    assert drawn.count('class="curve rest"') == 4
    assert "layer03" not in drawn


def test_scores_that_are_no_fractions_are_shown_as_they_are():
    one = analysis(curve("g", -1.0, -2.5, -3.0), percent=False, metric="negative mean squared error", baseline=-0.5)
    assert sensitivity_page.group_rows(one)[0][3:] == ("25 %", "−0.5", "−2", "−2.5")  # noqa: RUF001
    assert dataclasses.replace(one, spare=0.1).limit == pytest.approx(-0.6)
    assert "-0.5 on 2,000" in sensitivity_page.to_page(one)


def test_equal_scores_everywhere_still_give_a_chart():
    assert ET.fromstring(sensitivity_chart.chart((curve("g", 0.9, 0.9, 0.9),), 0.9, percent=True)).tag == "svg"


@given(places=st.lists(st.floats(0, 250), min_size=1, max_size=8))
def test_names_never_overlap_and_stay_on_the_chart(places):
    moved = sensitivity_chart.spread(sorted(places), 15.0, 260.0)
    assert all(b - a >= 15.0 - 1e-6 for a, b in pairwise(moved))
    assert moved[-1] <= 260.0
