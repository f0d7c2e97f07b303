"""The page of a search: everything that was found, on one page that loads nothing."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from tfcompress.reports.front_chart import Dot, front_chart
from tfcompress.reports.search_facts import FinalFacts, GateFacts, GoalFacts, SearchFacts, TriedFacts
from tfcompress.reports.search_page import to_search_page

DROP = GoalFacts(name="drop", title="drop", unit="points", limit=1.0, flag="--max-drop")
SIZE = GoalFacts(name="size", title="file", unit="bytes", limit=None, flag="--max-size")


def tried(number: int, drop: float, size: float, state: str = "finished", *, on_front: bool = False) -> TriedFacts:
    figures = {"drop": drop, "size": size}
    return TriedFacts(
        number=number,
        name=f"recipe<{number}>",
        source="TPE",
        state=state,
        reason="too much" if state == "stopped" else "",
        figures=figures,
        trained_seconds=2.0,
        on_front=on_front,
    )


FINAL = FinalFacts(
    number=1,
    name="recipe<1>",
    folder="front/001-x",
    figures={"drop": 0.4, "size": 26_000.0},
    drop_low=-0.1,
    drop_high=0.9,
    score="92.00 %",
    interval="91 .. 93 %",
)
FOUND = SearchFacts(
    key="ab",
    model="net.keras",
    data="d.npz",
    judged="the validation split",
    tool_version="1",
    created_utc="now",
    goals=(DROP, SIZE),
    winner=1,
    tried=(
        tried(0, 3.0, 9_000.0, on_front=True),
        tried(1, 0.3, 26_000.0, on_front=True),
        tried(2, 60.0, 3e4, "stopped"),
    ),
    finals=(FINAL,),
    gates=(GateFacts(name="one epoch", trust="wide", pairs=7, correlation=0.45, stopped=3, spared=1),),
    words=("--max-drop 1 binds: <so>",),
    command="tfcompress export net.keras --recipe out/best/recipe.toml",
)


def test_the_page_shows_what_was_found_and_loads_nothing() -> None:
    page = to_search_page(FOUND)
    for text in (
        "net.keras: recipe&lt;1&gt;",
        "--max-drop 1 binds: &lt;so&gt;.",
        "26,000 B",
        "-0.10 .. 0.90",
        "too much",
        "0.45",
        "tfcompress export net.keras --recipe out/best/recipe.toml",
        "front/001-x/report.html",
    ):
        assert text in page
    assert not re.search(r"<script|https?:", page)
    assert page.count('class="dot winner"') == 1


def test_without_a_winner_the_page_says_so() -> None:
    page = to_search_page(dataclasses.replace(FOUND, winner=None, command=""))
    assert "nothing keeps the limits" in page
    assert "without a search" not in page


def test_json_holds_the_format_and_everything() -> None:
    plain = json.loads(FOUND.to_json())
    assert plain["format"] == 1
    assert [each["number"] for each in plain["tried"]] == [0, 1, 2]
    assert FOUND.best == FINAL


@pytest.mark.parametrize("unit", ["bytes", "ms"])
def test_ruined_files_do_not_press_the_others_together(unit: str) -> None:
    dots = [Dot(1.0, 0.2, "good", "front"), Dot(2.0, 0.4, "fair", "finished"), Dot(3.0, 65.0, "ruined", "stopped")]
    drawn = front_chart(dots, ("file", unit, 2.5), ("drop", "points", 1.0))
    heights = {role: float(y) for role, y in re.findall(r'class="dot (\w+)" cx="[\d.]+" cy="([\d.]+)"', drawn)}
    assert heights["stopped"] < heights["finished"] < heights["front"]
    assert heights["front"] - heights["finished"] > 10
    assert drawn.count('class="limit"') == 2


def test_one_dot_alone_is_drawn() -> None:
    assert "<circle" in front_chart([Dot(5.0, 0.0, "only", "winner")], ("p90", "ms", None), ("drop", "points", None))
