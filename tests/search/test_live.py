"""What is seen of a search while it goes on."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.search.toy_search import LIMITS, ToyExecutor, toy_search
from tfcompress.progress import SilentProgress
from tfcompress.search.driver import Search
from tfcompress.search.executors import DoneStep, GoOn, always
from tfcompress.search.live import Lines, LiveTable, drawn

TRIALS = 7


class Noted(SilentProgress):
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


class Backwards(ToyExecutor):
    """Ends the last of its steps first."""

    def wait(self, seconds: float, go_on: GoOn = always) -> tuple[DoneStep, ...]:
        self._waiting.reverse()
        return super().wait(seconds)


def test_each_trial_is_told_once_in_whatever_order_they_end(tmp_path: Path) -> None:
    progress = Noted()
    toy_search(tmp_path, Backwards(jobs=3), trials=TRIALS, watcher=Lines(progress)).run()
    numbers = [int(line.split()[1]) for line in progress.lines]
    assert sorted(numbers) == list(range(TRIALS))
    assert numbers != sorted(numbers)
    assert all("finished, drop " in line or "stopped (" in line for line in progress.lines)


def test_the_table_shows_what_runs_the_front_and_what_is_left(tmp_path: Path) -> None:
    console, pages = Console(record=True, width=160, file=io.StringIO()), list[str]()

    class Shown(LiveTable):
        """Keeps every page."""

        def show(self, search: Search) -> None:
            super().show(search)
            console.print(drawn(search))
            pages.append(console.export_text())

    with Shown(console) as table:
        table.note("a line")
        search = toy_search(tmp_path, Backwards(jobs=3), trials=TRIALS, seconds=1e6, watcher=table)
        search.run()
    assert "note: a line" in pages[0]
    assert "full, by hand" in pages[0]
    assert f"{TRIALS} tried, {len(search.front)} on the front" in pages[-1]
    assert pages[-1].count("★") == sum(LIMITS.kept_by(record.figures) for record in search.front) + 1  # the legend's
    assert "left; Ctrl-C ends with the best so far" in pages[-1]


@pytest.mark.parametrize("words", ["a[/b]", "[red]a", "input [None, 3]"])
def test_names_and_reasons_with_square_brackets_are_shown_as_they_are(words: str, tmp_path: Path) -> None:
    search = toy_search(tmp_path, Backwards(jobs=3), trials=TRIALS)
    search.run()
    search.records[:] = [dataclasses.replace(record, reason=words) for record in search.records]
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(drawn(search))
    page = console.export_text()
    assert page.count(f"({words})") == TRIALS
