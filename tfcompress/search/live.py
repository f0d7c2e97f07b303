"""A search on the terminal: a table that lives while it goes on, or a line a trial where nobody can see one move."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tfcompress.progress import Progress
from tfcompress.reports import wording

if TYPE_CHECKING:
    from rich.console import Console

    from tfcompress.search.driver import Search
    from tfcompress.search.trial_records import TrialRecord

ROWS = 14
"""Trials that the table shows: what runs, the front, then the last ones."""

_STYLES = {"running": "yellow", "stopped": "dim", "refused": "dim", "failed": "red", "finished": ""}


class LiveTable:
    """The table; a context manager."""

    def __init__(self, console: Console) -> None:
        """Show nothing yet.

        Args:
            console: of standard error.
        """
        self._console = console
        self._live: Live | None = None

    def __enter__(self) -> LiveTable:
        self._live = Live(console=self._console, refresh_per_second=2, transient=True)
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, search: Search) -> None:
        """Draw the search as it is."""
        if self._live is not None:
            self._live.update(drawn(search))

    def note(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(Text.assemble(("note: ", "yellow"), text), soft_wrap=True)


class Lines:
    """A line for each trial that has ended."""

    def __init__(self, progress: Progress) -> None:
        """Tell nothing yet.

        Args:
            progress: gets the lines.
        """
        self._progress = progress
        self._told: set[int] = set()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, search: Search) -> None:
        """Tell of the trials that have ended since the last time."""
        ended = [each for each in search.records if each.state != "running" and each.number not in self._told]
        for record in ended:
            cells = (f"{goal.title} {goal.text(record.figures.get(goal.name))}" for goal in search.plan.goals)
            self._progress.note(f"trial {record.number} {record.name}: {said_of(record)}, {', '.join(cells)}")
        self._told |= {record.number for record in ended}

    def note(self, text: str) -> None:
        """Tell a line."""
        self._progress.note(text)


def said_of(record: TrialRecord) -> str:
    """Return how far a trial is, in words."""
    return record.state if not record.reason else f"{record.state} ({record.reason})"


def drawn(search: Search) -> Group:
    """Return what the terminal shows of a search."""
    goals, front, at = search.plan.goals, search.front, {record.number: kind for record, kind in search.running}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title, side in (("trial", "right"), ("recipe", "left"), *((goal.title, "right") for goal in goals)):
        table.add_column(Text(title), justify="right" if side == "right" else "left", no_wrap=side == "right")
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=48)
    running = [record for record, _ in search.running]
    last = [record for record in reversed(search.records) if record not in front and record not in running]
    for record in (*running, *sorted(front, key=lambda each: each.point(goals)), *last)[:ROWS]:
        kept = search.plan.limits.kept_by(record.figures)
        state = f"{at[record.number]}, {record.source}" if record.number in at else said_of(record)
        mark = ("★ " if kept else "☆ ") if record in front else ""
        table.add_row(
            str(record.number),
            Text(record.name),
            *(goal.text(record.figures.get(goal.name)) for goal in goals),
            Text(f"{mark}{state}"),
            style=_STYLES[record.state],
        )
    return Group(table, Text(_headline(search), style="dim"))


def _headline(search: Search) -> str:
    ended = sum(record.state != "running" for record in search.records)
    left = search.seconds_left
    parts = [f"{ended} tried", f"{len(search.front)} on the front (★ keeps every limit)"]
    parts.append(f"{wording.seconds(search.spent_seconds)} spent")
    parts += [] if left is None else [f"{wording.seconds(max(0.0, left))} left"]
    return ", ".join(parts) + "; Ctrl-C ends with the best so far"
