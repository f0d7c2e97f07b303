"""A tracker that keeps what it is told, and one that fails where it is asked to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfcompress.tracking.tracker import TrackedEnd, TrackedStart

DISK_FULL = "No space left on device"


@dataclass
class Record:
    """What a run was told.

    Attributes:
        start: what it is.
        rows: by step.
        ends: how it ended; once.
        children: runs within it.
        file_sizes: bytes of the files that were there at its end, by name.
        fails_at: ``log``, ``child`` or ``end``; empty: nowhere.
    """

    start: TrackedStart
    rows: dict[int, dict[str, float]] = field(default_factory=dict)
    ends: list[TrackedEnd] = field(default_factory=list)
    children: list[Record] = field(default_factory=list)
    file_sizes: dict[str, int] = field(default_factory=dict)
    fails_at: str = ""

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._fail("log")
        self.rows.setdefault(step, {}).update(values)

    def child(self, start: TrackedStart) -> Record:
        self._fail("child")
        self.children.append(Record(start, fails_at=self.fails_at))
        return self.children[-1]

    def end(self, end: TrackedEnd) -> None:
        self._fail("end")
        self.ends.append(end)
        self.file_sizes = {name: path.stat().st_size for name, path in end.files.items()}

    def _fail(self, at: str) -> None:
        if self.fails_at == at:
            raise OSError(28, DISK_FULL)


class Recorder:
    """Keeps the records of its runs."""

    name = "recorder"

    def __init__(self, fails_at: str = "") -> None:
        self.runs: list[Record] = []
        self._fails_at = fails_at

    def begin(self, start: TrackedStart) -> Record:
        if self._fails_at == "begin":
            raise OSError(28, DISK_FULL)
        self.runs.append(Record(start, fails_at=self._fails_at))
        return self.runs[-1]
