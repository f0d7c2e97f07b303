"""Progress bars on a terminal or in a notebook, by rich."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from tfcompress.progress import ProgressTask


class RichProgress:
    """Progress bars on a terminal and in a notebook; on anything else only the notes.

    A notebook without ipywidgets cannot redraw a bar: it gets a line for each piece of work.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[ProgressTask]:
        """Show a bar (or a spinner, for an unknown total) until the block ends."""
        outermost = self._bars is None
        bars = self._bars or self._new_bars()
        self._bars = bars
        task = bars.add_task(name, total=total, text="")
        shown = outermost and not bars.disable  # older versions of rich end disabled bars with an empty line
        if shown:
            bars.start()
        elif outermost and self._console.is_jupyter:
            self._console.print(Text(f"{name} …", style="dim"))
        try:
            yield RichTask(bars, task)
        finally:
            bars.remove_task(task)
            if shown:
                bars.stop()
            if outermost:
                self._bars = None

    def note(self, text: str) -> None:
        """Print one line that stays."""
        self._console.print(Text.assemble(("note:", "yellow"), f" {text}"), soft_wrap=True)

    def _new_bars(self) -> Bars:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", style="dim", markup=False),
        )
        console = self._console
        redraws = console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
        redirect = not console.is_jupyter  # a notebook shows what others print without our help, and then once
        return Bars(
            *columns,
            console=console,
            transient=True,
            redirect_stdout=redirect,
            redirect_stderr=redirect,
            disable=not redraws,
        )


class RichTask:
    """One bar."""

    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def advance(self, steps: float = 1) -> None:
        """Move the bar by *steps*."""
        self._bars.advance(self._task, steps)

    def describe(self, text: str) -> None:
        """Show *text* behind the bar."""
        self._bars.update(self._task, text=text)
