"""Where progress goes unless somebody says so."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

import tfcompress as tfc
from tfcompress import progress
from tfcompress.progress_bars import RichProgress
from tfcompress.workbench import Workbench

WORK = """
import sys, time
from tfcompress.progress import effective
asked = {"None": None, "False": False, "True": True}[sys.argv[1]]
shown = effective(asked)
with shown.task("training", 4) as task:
    for _ in range(4):
        task.advance()
        time.sleep(0.05)
shown.note("worth keeping")
"""


def on_a_terminal(asked: str) -> str:
    """Return what work shows on a standard error that is a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", WORK, asked]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"}) as work:
        os.close(theirs)
        assert work.communicate(timeout=60)[0] == b""
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end is closed
            part = b""
        if not part:
            os.close(ours)
            return shown.decode()
        shown += part


def piped(asked: str) -> str:
    done = subprocess.run([sys.executable, "-c", WORK, asked], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("asked", ["None", "True"])
def test_a_terminal_shows_bars_and_notes(asked: str) -> None:
    shown = on_a_terminal(asked)
    assert "training" in shown
    assert "worth keeping" in shown


def test_false_is_silent_on_a_terminal_too() -> None:
    assert on_a_terminal("False") == ""


def test_a_pipe_gets_nothing_unless_asked_and_never_a_bar() -> None:
    assert piped("None") == piped("False") == ""
    assert piped("True") == "note: worth keeping\n"


def test_what_is_given_is_taken() -> None:
    mine = progress.SilentProgress()
    assert progress.effective(mine) is mine


def test_notes_alone_come_through_where_tasks_would_disturb() -> None:
    class Heard(progress.SilentProgress):
        """Keeps what it is told."""

        told: list[str] = []  # noqa: RUF012 - of this one test

        @contextmanager
        def task(self, name: str, total: float | None = None) -> Iterator[progress.ProgressTask]:
            self.told.append(name)
            yield progress.SilentTask()

        def note(self, text: str) -> None:
            self.told.append(text)

    shown = progress.NotesAlone(Heard())
    with shown.task("measuring on pi", 3) as task:
        task.describe("sending")
    shown.note("connection lost")
    assert Heard.told == ["connection lost"]


def test_no_standard_error_at_all_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert progress.default() is progress.SILENT


class Heard(progress.SilentProgress):
    """Remembers the names of what was done."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[progress.ProgressTask]:
        self.names.append(name)
        yield progress.SilentTask()


@pytest.mark.parametrize(("asked", "heard"), [(None, True), (False, False)])
@pytest.mark.parametrize("call", ["compress", "export", "Workbench"])
def test_python_shows_what_it_does_by_default(
    call: str, asked: bool | None, heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = Heard()
    monkeypatch.setattr(progress, "default", lambda: watching)
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    given = {} if asked is None else {"progress": asked}
    if call == "Workbench":
        with Workbench(model, **given) as bench:
            bench.run(tfc.Recipe())
    else:
        run: Callable[..., object] = getattr(tfc, call)
        run(model, tfc.Recipe() if call == "compress" else tfc.Export(), **given)
    assert ("converting" in watching.names) == heard


def test_a_notebook_without_widgets_gets_a_line_for_each_piece_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfcompress.progress_bars.find_spec", lambda _: None)
    said: list[str] = []
    monkeypatch.setattr(Console, "print", lambda self, *texts, **_: said.extend(map(str, texts)))
    shown = RichProgress(Console(file=io.StringIO(), force_jupyter=True))
    with shown.task("loading the model"), shown.task("inner", 3) as inner:
        inner.advance()
    shown.note("kept")
    assert said == ["loading the model …", "note: kept"]


@pytest.mark.parametrize("name", ["loss of out[/x]", "[red]trial", "reading a[1].npz", "[/]"])
def test_a_name_with_square_brackets_is_shown_as_it_is(name: str) -> None:
    stream = io.StringIO()
    shown = RichProgress(Console(file=stream, force_terminal=True, width=120, highlight=False, color_system=None))
    with shown.task(name, 2) as task:
        task.describe(f"at {name}")
        time.sleep(0.25)  # bars are drawn ten times a second
        shown.note(f"note of {name}")
    assert f"note: note of {name}" in stream.getvalue()
    assert name in stream.getvalue().replace(f"note of {name}", "")
    assert f"at {name}" in stream.getvalue()
