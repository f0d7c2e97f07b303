"""How long work reports its progress: a protocol, a silent implementation, and the choice between that and bars.

The command line and, where somebody is watching, the Python calls show :class:`tfcompress.progress_bars.RichProgress`.
Anything of the protocol's shape can be passed instead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class ProgressTask(Protocol):
    """One piece of work under way."""

    def advance(self, steps: float = 1) -> None:
        """Say that *steps* more of the task's total are done."""

    def describe(self, text: str) -> None:
        """Replace the few words shown behind the task's name (a loss, an epoch)."""


class Progress(Protocol):
    """Where progress goes."""

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[ProgressTask]:
        """Open a task called *name* of *total* steps (None: unknown), closed on exit."""
        yield SilentTask()

    def note(self, text: str) -> None:
        """Show the user one line that is worth keeping on the screen."""


class SilentTask:
    """A task that says nothing."""

    def advance(self, steps: float = 1) -> None:
        """Say nothing."""

    def describe(self, text: str) -> None:
        """Say nothing."""


class SilentProgress:
    """A progress that says nothing."""

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[ProgressTask]:
        """Open a silent task."""
        yield SilentTask()

    def note(self, text: str) -> None:
        """Say nothing."""


class ToldOnce:
    """A progress that shows a line once, however often it is given: for several runs on one model."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self._told: set[str] = set()

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[ProgressTask]:
        """Open a task of the inner progress."""
        with self._inner.task(name, total) as task:
            yield task

    def note(self, text: str) -> None:
        """Show a line that was not shown before."""
        if text not in self._told:
            self._told.add(text)
            self._inner.note(text)


class NotesAlone(SilentProgress):
    """A progress that shows lines and no tasks, for what is done many times beside what is shown already."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner

    def note(self, text: str) -> None:
        """Show a line."""
        self._inner.note(text)


SILENT = SilentProgress()


def default() -> Progress:
    """Return bars where somebody is watching, silence elsewhere.

    Watched are a standard error that is a terminal, and a Jupyter notebook; a pipe, a file and a test are not.
    """
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if not terminal and "IPython" not in sys.modules:
        return SILENT
    from rich.console import Console

    return bars() if terminal or Console(stderr=True).is_jupyter else SILENT


def bars() -> Progress:
    """Return bars on standard error; where it can't redraw them, only the notes are shown."""
    from rich.console import Console

    from tfcompress.progress_bars import RichProgress

    return RichProgress(Console(stderr=True, highlight=False, markup=False))


def effective(asked: Progress | bool | None) -> Progress:
    """Return where progress goes.

    Args:
        asked: a progress; None: :func:`default`; False: :data:`SILENT`; True: :func:`bars`.
    """
    if asked is None:
        return default()
    if isinstance(asked, bool):
        return bars() if asked else SILENT
    return asked
