"""TensorBoard: event files that it reads, a folder for each run."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfcompress.tracking.tracker import TrackedEnd, TrackedStart

FOLDER = "runs"
"""Where event files go, where nobody says."""

_CODES = {"finished": 1, "failed": 2, "interrupted": 2}  # hparams' STATUS_SUCCESS and STATUS_FAILURE


class TensorBoard:
    """Writes event files below a folder.

    Attributes:
        name: what messages call it.
    """

    name = "tensorboard"

    def __init__(self, where: str) -> None:
        """Make the folder.

        Args:
            where: the folder; empty: :data:`FOLDER`.
        """
        self._folder = Path(where or FOLDER)
        self._folder.mkdir(parents=True, exist_ok=True)

    def begin(self, start: TrackedStart) -> EventFile:
        """Begin a run in a folder of its own."""
        return EventFile(self._folder, start)


class EventFile:
    """One run."""

    def __init__(self, parent: Path, start: TrackedStart) -> None:
        """Write what the run is.

        Args:
            parent: folder in which its own folder is made.
            start: the run.
        """
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.plugins.hparams.summary import session_start_pb
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._folder = _new_folder(parent, start.name)
        # TensorBoard's own EventFileWriter writes in a thread, which prints a traceback where the disk is full.
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
        self._writer: Any = RecordWriter((self._folder / name).open("wb"))
        self._step = 0
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._add(session_start_pb(dict(start.settings)), 0)
        if start.recipe:
            self._add(_text("recipe", _as_code(start.recipe)), 0)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write scalars."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._step = max(self._step, step)
        rows = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._add(Summary(value=rows), step)

    def child(self, start: TrackedStart) -> EventFile:
        """Begin a run in a folder within this one's."""
        return EventFile(self._folder, start)

    def end(self, end: TrackedEnd) -> None:
        """Write the figures at the last epoch, and how the run ended."""
        from tensorboard.plugins.hparams.summary import session_end_pb

        if end.figures:
            self.log(end.figures, self._step)
        if end.reason:
            self._add(_text(end.outcome, end.reason), self._step)
        self._add(session_end_pb(_CODES[end.outcome]), self._step)
        self._writer.close()

    def _add(self, summary: Any, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        own = Summary.FromString(summary.SerializeToString())  # some of TensorBoard's functions give TensorFlow's class
        self._write(Event(wall_time=time.time(), step=step, summary=own))

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())
        self._writer.flush()


def _new_folder(parent: Path, name: str) -> Path:
    """Make a folder that no other run has: two runs in one would be drawn as one line."""
    stem = name.replace("/", "_") or "run"
    for number in range(1, 1_000_000):
        folder = parent / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    msg = f"{parent} holds too many runs called {stem}"
    raise OSError(msg)


def _as_code(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _text(tag: str, markdown: str) -> Any:
    """Return a summary that TensorBoard's text page shows."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.text.metadata import create_summary_metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    about = create_summary_metadata(display_name=tag, description="")
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=make_tensor_proto(markdown))])
