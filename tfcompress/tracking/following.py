"""A command's runs as its trackers follow them: a tracker that fails costs a line, and no run."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from tfcompress.errors import TfcompressError, one_line
from tfcompress.tracking.tracker import RunEnding, TrackedEnd, TrackedRun, TrackedStart, Tracker

T = TypeVar("T")

LONGEST_REASON = 500
"""Characters of an error that are shown, and kept as the reason of a run that failed."""


class Following:
    """The trackers of a command."""

    def __init__(self, trackers: Sequence[Tracker], note: Callable[[str], None]) -> None:
        """Follow nothing yet.

        Args:
            trackers: ready to follow runs.
            note: shows the user a line.
        """
        self._trackers, self._note = list(trackers), note
        self._lost: set[int] = set()

    @property
    def active(self) -> bool:
        """Whether anybody follows."""
        return len(self._lost) < len(self._trackers)

    @contextlib.contextmanager
    def run(self, start: TrackedStart) -> Iterator[FollowedRun]:
        """Begin a run, which ends with the block; one that an exception ends has failed, or was interrupted."""
        begun = self.begin(start)
        try:
            yield begun
        except BaseException as error:  # Ctrl-C, too: the tracker learns how the run ended, and it is raised again
            outcome: RunEnding = "failed" if isinstance(error, Exception) else "interrupted"
            reason = one_line(str(error) or type(error).__name__)[:LONGEST_REASON]
            begun.end(TrackedEnd(outcome=outcome, reason=reason))
            raise
        begun.end(TrackedEnd())

    def begin(self, start: TrackedStart) -> FollowedRun:
        """Begin a run that somebody else ends."""
        found = {place: self.told(place, functools.partial(tracker.begin, start)) for place, tracker in self._each()}
        return FollowedRun(self, start, {place: run for place, run in found.items() if run is not None})

    def _each(self) -> list[tuple[int, Tracker]]:
        return [(place, tracker) for place, tracker in enumerate(self._trackers) if place not in self._lost]

    def told(self, place: int, call: Callable[[], T]) -> T | None:
        """Call a tracker, unless it has failed before; None where it fails, which is reported."""
        if place in self._lost:
            return None
        try:
            return call()
        except Exception as error:  # noqa: BLE001  whatever becomes of a tracker, the run is worth more
            self._lost.add(place)
            self.tell(f"{self._trackers[place].name} follows no further, the work goes on", error)
            return None

    def tell(self, text: str, error: Exception) -> None:
        """Tell the user that something about trackers went wrong, in a line."""
        self._note(f"{text}: {one_line(f'{type(error).__name__}: {error}')[:LONGEST_REASON]}")


class FollowedRun:
    """One run.

    Attributes:
        name: of the run.
        steps: epochs reported so far.
    """

    def __init__(self, following: Following, start: TrackedStart, runs: Mapping[int, TrackedRun]) -> None:
        """Use :meth:`Following.run`."""
        self.name, self.steps = start.name, 0
        self._following, self._runs, self._ended = following, dict(runs), False

    @property
    def followed(self) -> bool:
        """Whether anybody still follows it."""
        return bool(self._runs) and not self._ended and self._following.active

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Tell numbers; those that are not finite are left out."""
        self.steps = max(self.steps, step)
        known = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        self._tell(lambda run: run.log(known, step))

    def child(self, start: TrackedStart) -> FollowedRun:
        """Begin a run that is a part of this one."""
        begun = {
            place: self._following.told(place, functools.partial(run.child, start)) for place, run in self._runs.items()
        }
        return FollowedRun(self._following, start, {place: run for place, run in begun.items() if run is not None})

    def end(self, end: TrackedEnd) -> None:
        """Report how it ended; what comes later is not reported."""
        if not self._ended:
            self._ended = True
            self._tell(lambda run: run.end(end))

    def end_by(self, make: Callable[[], TrackedEnd]) -> None:
        """Tell how it ended with what *make* returns; where that fails, the run ends without figures."""
        try:
            end = make()
        except (TfcompressError, OSError) as error:
            self._following.tell("trackers do not receive the results", error)
            end = TrackedEnd()
        self.end(end)

    def _tell(self, action: Callable[[TrackedRun], None]) -> None:
        for place, run in self._runs.items():
            self._following.told(place, functools.partial(action, run))


NOBODY = Following((), lambda text: None)
"""Where nobody follows."""
