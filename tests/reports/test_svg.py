"""Charts as laws: well-formed whatever they are called, round numbers on their axes, nothing outside the drawing."""

from __future__ import annotations

import itertools
import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.reports import svg
from tfcompress.reports.curve_chart import curve_chart, curve_families
from tfcompress.reports.markup import Markup, breakable, html_note, html_page, html_section, html_table
from tfcompress.reports.svg import Bar, Range

names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=12)
ROLES = st.sampled_from(["before", "after", "after soft"])


def parsed(text: str) -> ET.Element:
    """Return a drawing as an element; a fault in it is an error."""
    return ET.fromstring(text)


def numbers_in(root: ET.Element, *keys: str) -> list[float]:
    return [float(each.attrib[key]) for each in root.iter() for key in keys if key in each.attrib]


def texts_of(root: ET.Element) -> list[str]:
    return [each.text or "" for each in root.iter("text")]


@given(st.floats(-1e3, 1e3), st.floats(1e-4, 1e9))
def test_round_numbers_lie_within_and_are_multiples_of_one_step(low: float, spread: float) -> None:
    high = low + spread
    ticks = svg.round_numbers(low, high)
    assert 1 <= len(ticks) <= 11
    assert all(low - 1e-9 * max(1, abs(low)) <= tick <= high + 1e-9 * max(1, abs(high)) for tick in ticks)
    assert ticks == sorted(set(ticks))
    steps = [b - a for a, b in itertools.pairwise(ticks)]
    for step in steps:
        assert step == pytest.approx(steps[0], rel=1e-3)
        digit = step / 10 ** math.floor(math.log10(step * (1 + 1e-6)))
        assert min(abs(digit - each) for each in (1, 2, 5, 10)) < 0.01


@given(st.lists(st.tuples(names, st.floats(0, 1e12), names, ROLES), min_size=1, max_size=6), names)
def test_bars_are_as_long_as_their_values_and_none_is_longer_than_the_room(items: list[Any], title: str) -> None:
    root = parsed(svg.bars([Bar(*item) for item in items], title))
    assert root[0].text == title or (root[0].text is None and title == "")
    lengths = numbers_in(root, "width")
    assert len(lengths) == len(items)
    most = max(item[1] for item in items)
    for length, item in zip(lengths, items, strict=True):
        assert 2.0 <= length <= svg.WIDTH
        if most:
            assert length == pytest.approx(max(2.0, max(lengths) * item[1] / most), abs=0.15)
    assert texts_of(root) == [text for item in items for text in (item[0], item[2])]


@given(
    st.lists(
        st.tuples(names, st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3).map(sorted), names, ROLES),
        min_size=1,
        max_size=5,
    )
)
def test_an_interval_is_drawn_around_its_value_in_the_drawing(items: list[Any]) -> None:
    given_items = [Range(name, *ends, text, role) for name, ends, text, role in items]
    root = parsed(svg.ranges(given_items, "scores", " %"))
    spans = [each for each in root.iter("line") if "span" in each.attrib["class"]]
    dots = list(root.iter("circle"))
    assert len(spans) == len(dots) == len(items)
    for span, dot in zip(spans, dots, strict=True):
        left, place, right = (float(each) for each in (span.attrib["x1"], dot.attrib["cx"], span.attrib["x2"]))
        assert 0 <= left <= place <= right <= svg.WIDTH


@given(st.lists(st.floats(1e-4, 1e5), min_size=1, max_size=80), st.lists(st.floats(1e-4, 1e5), min_size=1, max_size=80))
def test_a_histogram_marks_both_medians_within_its_axis(one: list[float], two: list[float]) -> None:
    root = parsed(svg.histogram({"a<b": (one, "before"), "c&d": (two, "after")}, "t", "ms"))
    assert [each for each in texts_of(root) if not each.endswith(" ms")] == ["a<b", "c&d"]
    assert len(list(root.iter("path"))) == 2
    for path in root.iter("path"):
        assert not re.search("nan|inf", path.attrib["d"])


@given(st.dictionaries(names, st.lists(st.none() | st.floats(-1e6, 1e6), min_size=2, max_size=9), max_size=4))
def test_curves_pair_training_with_validation_and_leave_out_what_one_epoch_knows(history: dict[str, Any]) -> None:
    whole = {**history, "loss": [3.0, 2.0, None], "val_loss": [3.5, None, 2.5], "once": [1.0, None]}
    families = curve_families(whole)
    assert families["loss"] == {"training": [(1, 3.0), (2, 2.0)], "validation": [(1, 3.5), (3, 2.5)]}
    assert "once" not in families or "once" in history
    for name, curves in families.items():
        assert all(len(curve) >= 2 for curve in curves.values())
        root = parsed(curve_chart(name, curves))
        lines = list(root.iter("polyline"))
        assert len(lines) == len(curves)
        for line in lines:
            points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
            assert all(0 <= x <= svg.WIDTH and 0 <= y <= 200 for x, y in points)
            assert points == sorted(points, key=lambda point: point[0])


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-12, 1e12])
def test_a_loss_that_never_moves_is_a_level_line(value: float) -> None:
    root = parsed(curve_chart("loss", {"training": [(1, value), (2, value)]}))
    (line,) = root.iter("polyline")
    first, second = (pair.split(",")[1] for pair in line.attrib["points"].split())
    assert first == second


HOSTILE = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20) | st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a&b", "</td></table>", "]]>", "'quoted'"]
)


@given(st.lists(st.tuples(HOSTILE, HOSTILE), max_size=4), st.tuples(HOSTILE, HOSTILE))
def test_a_table_is_read_back_whatever_stands_in_it(rows: list[tuple[str, str]], head: tuple[str, str]) -> None:
    root = parsed(html_table(head, rows).replace("<wbr>", ""))
    read = [["".join(cell.itertext()) for cell in line] for line in root.iter("tr")]
    assert read == [list(each) for each in ([head] if any(head) else []) + rows]
    assert not list(root.iter("script"))
    assert not list(root.iter("img"))


@given(HOSTILE, HOSTILE)
def test_notes_and_headings_hold_text_and_no_markup(title: str, text: str) -> None:
    root = parsed(f"<div>{html_section(title, html_note(text))}</div>".replace("<wbr>", ""))
    assert "".join(root.find(".//h2").itertext()) == title  # type: ignore[union-attr]
    assert "".join(root.find(".//p").itertext()) == text  # type: ignore[union-attr]


@given(HOSTILE)
def test_a_page_is_titled_by_text_and_loads_nothing(title: str) -> None:
    page = html_page(title, "<p>body</p>", script="let a = 1;")
    assert "<script>let a = 1;</script>" in page
    assert page.count("<script") == 1
    assert page.count("<title>") == 1
    assert "default-src 'none'" in page
    assert "Content-Security-Policy" not in html_page(title, "")


def test_a_section_of_nothing_is_nothing_and_a_cell_of_markup_is_not_escaped_again() -> None:
    assert html_section("title", "") == ""
    assert "<b>x</b>" in html_table(("a",), [(Markup("<b>x</b>"),)])
    assert "&lt;b&gt;" in html_table(("a",), [("<b>",)])
    assert breakable("block_1/add") == "block_<wbr>1/<wbr>add"
