"""The pages on a narrow screen: what a browser of 390 px would otherwise break letter by letter.

The rules are read from the page's own style; a browser showed the page with them, and without them one letter a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.reports.test_html import DOCUMENT, a_report
from tests.reports.test_sensitivity_page import analysis
from tfcompress.reports import edge
from tfcompress.reports.html import to_html
from tfcompress.reports.sensitivity_page import to_page, to_svg

PAGES = {
    "report": to_html(edge.join_measurement(a_report(), DOCUMENT)),
    "sensitivity": to_page(analysis()),
}
any_page = pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))


def style_rules(page: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Return the style's rules, those of media queries too: selector and declarations."""
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", style[1]):
        pairs = (each.split(":", 1) for each in body.split(";") if ":" in each)
        declared = {name.strip(): value.strip() for name, value in pairs}
        for selector in selectors.split(","):
            yield selector.strip(), declared


def style_of(page: str, selector: str) -> dict[str, str]:
    """Return what is declared for a selector, in order."""
    found: dict[str, str] = {}
    for each, declared in style_rules(page):
        if each == selector:
            found |= declared
    return found


@any_page
def test_no_column_shrinks_to_a_letter(page: str) -> None:
    """``overflow-wrap: anywhere`` counts each letter as a word when a column's least width is found."""
    blocks = {"h1", "header p", "li", ".tile span", "code"}
    for selector, declared in style_rules(page):
        breaks = declared.get("overflow-wrap") == "anywhere" or declared.get("word-break", "normal") != "normal"
        if breaks and selector not in blocks:
            assert re.fullmatch(r"\d+em", declared.get("min-width", "")), selector
    assert float(style_of(page, ".name")["min-width"].removesuffix("em")) >= 6
    assert style_of(page, "td.number")["white-space"] == "nowrap"


@any_page
def test_what_is_wider_than_the_screen_scrolls_in_its_box(page: str) -> None:
    assert style_of(page, ".scroll")["overflow-x"] == "auto"
    for tag in ("table", "svg"):
        assert page.count(f"<{tag}") == page.count(f'<div class="scroll"><{tag}')


@any_page
def test_the_grid_has_one_column_and_the_page_the_screens_width(page: str) -> None:
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert style_of(page, ".grid")["grid-template-columns"] == "minmax(0, 1fr)"
    assert style_of(page, "section")["min-width"] == "0"


def test_a_hash_breaks_anywhere_in_a_column_wide_enough() -> None:
    (row,) = re.findall(r"<tr>(?:(?!</tr>).)*result's SHA-256.*?</tr>", PAGES["report"].replace("&#x27;", "'"))
    assert f'<td class="value">{a_report().result.sha256}</td>' in row
    assert style_of(PAGES["report"], ".value") == {"min-width": "12em", "overflow-wrap": "anywhere"}


@any_page
def test_on_paper_nothing_has_to_be_scrolled_and_nothing_is_dark(page: str) -> None:
    """A browser showed that paper cut the tables off, and that of a dark page the title was white on white."""
    printed = page[page.index("@media print {") :]
    rules = dict(re.findall(r"^  ([^{}]+) \{ ([^}]*) \}$", printed, re.MULTILINE))
    assert "overflow: visible" in rules[".scroll"]
    assert "white-space: pre-wrap" in rules["pre, pre code"]
    assert "position: static" in rules["td.first, th.first"]
    schemes = re.findall(r"@media ([^{]*)\(prefers-color-scheme: dark\)", page)
    assert set(schemes) == {"screen and "}


def test_an_image_is_drawn_alike_at_any_width() -> None:
    """The width that media queries ask for is the image's own, where it is shown as one."""
    image = to_svg(analysis())
    last = style_of(image, "svg")
    assert (last["min-width"], last["font-size"]) == ("0", "13px")


def test_names_break_between_their_parts() -> None:
    page = to_html(a_report())
    assert "<td" in page
    assert "CONV_<wbr>2D" in page
