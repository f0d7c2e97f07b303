"""How long work tells its progress: a protocol, and the silent implementation the library uses by default.

The command line passes :class:`tfcompress.cli.terminal.RichProgress`; a user's own process hears nothing unless it
passes something of this shape.
"""

from __future__ import annotations

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
        """Tell the user one line that is worth keeping on the screen."""


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


SILENT = SilentProgress()
