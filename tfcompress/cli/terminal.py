"""What a command shows: results on stdout, progress and notes on stderr, everybody else's chatter in a log file."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.markup import escape
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

from tfcompress.errors import ConversionError, TfcompressError
from tfcompress.progress import ProgressTask


class Terminal:
    """The user's own stdout and stderr, and the log that TensorFlow and its friends write to meanwhile.

    Attributes:
        out: console on the real stdout, for results.
        err: console on the real stderr, for notes.
        log: file that holds everything printed by libraries.
    """

    def __init__(self, out: IO[str], err: IO[str], log: Path) -> None:
        wide = None if out.isatty() else 110
        self.out = Console(file=out, soft_wrap=False, width=wide, highlight=False)
        self.err = Console(file=err, highlight=False)
        self.log = log
        self.progress = RichProgress(self.err)

    def write(self, text: str) -> None:
        """Write *text* to stdout as it is."""
        self.out.file.write(text)
        self.out.file.flush()


class RichProgress:
    """Progress bars on a terminal; on anything else only the notes."""

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
        self._console.print(f"[yellow]note:[/] {escape(text)}", soft_wrap=True)

    def _new_bars(self) -> Bars:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[text]}"),
        )
        return Bars(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)


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


@contextmanager
def terminal() -> Iterator[Terminal]:
    """Take file descriptors 1 and 2 away from everybody but us while the block runs.

    TensorFlow's C++ writes there whatever its settings say. What it writes lands in a temporary log, which is removed
    at the end unless the block failed in a way that the log can explain.
    """
    handle, name = tempfile.mkstemp(prefix="tfcompress-", suffix=".log")
    log = Path(name)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    keep = False
    try:
        with os.fdopen(saved[0], "w", closefd=False) as out, os.fdopen(saved[1], "w", closefd=False) as err:
            os.set_inheritable(handle, False)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            yield Terminal(out, err, log)
    except ConversionError as error:
        keep = True
        msg = f"{error} (the converter's own words are in {log})"
        raise type(error)(msg) from error
    except TfcompressError:
        raise
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (*saved, handle):
            os.close(descriptor)
        if not keep:
            log.unlink(missing_ok=True)
