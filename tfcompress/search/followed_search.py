"""A search as trackers follow it: a run for the search, and within it one for each candidate."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tfcompress.search.trial_records import STEPS
from tfcompress.tracking.run_values import settings_of
from tfcompress.tracking.tracker import RunEnding, TrackedEnd, TrackedStart

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tfcompress.search.driver import Search, Watcher
    from tfcompress.search.preparation import Prepared
    from tfcompress.search.trial_records import State, TrialRecord
    from tfcompress.tracking.following import FollowedRun

NAMES = {
    "drop": "drop_points",
    "size": "size_bytes",
    "download": "gzip_bytes",
    "flash": "flash_bytes",
    "arena": "arena_bytes",
    "p90": "p90_ms",
    "energy": "joules",
}
"""The names under which trackers receive the figures of candidates, by the names of goals."""

CANDIDATE = "candidate"
"""First part of those names: they are of the validation split."""

_OUTCOMES: dict[State, RunEnding] = {"finished": "finished", "stopped": "interrupted", "refused": "failed"}


def start_of_search(ready: Prepared, output: Path | None) -> TrackedStart:
    """Return what a search is, for the run that stands for it.

    Args:
        ready: the search.
        output: folder that it writes; None: none.
    """
    wishes = ready.wishes
    limits = {f"limit.{name}": getattr(wishes.limits, name) for name in wishes.limits.given}
    asked = {"trials": wishes.trials, "budget_seconds": wishes.budget_seconds, "jobs": wishes.jobs}
    settings: dict[str, Any] = {
        "model": ready.model,
        "data": ready.data,
        "goals": ", ".join(goal.name for goal in ready.goals),
        **limits,
        **{key: value for key, value in asked.items() if value is not None},
    }
    name = f"{Path(ready.model).stem or 'model'}-auto" if output is None else output.name
    return TrackedStart(name=name, settings=settings)


class FollowedSearch:
    """Shows a search to another watcher, and reports to trackers what has come of each candidate; a context manager."""

    def __init__(self, inner: AbstractContextManager[Watcher], followed: FollowedRun) -> None:
        """Tell nothing yet.

        Args:
            inner: makes the watcher that somebody looks at.
            followed: the search, as trackers follow it.
        """
        self._inner, self._followed = inner, followed
        self._watcher: Watcher | None = None
        self._runs: dict[int, FollowedRun] = {}
        self._told: dict[int, set[str]] = {}

    def __enter__(self) -> FollowedSearch:
        self._watcher = self._inner.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._inner.__exit__(kind, error, at)
        for run in self._runs.values():  # of what was not ended before
            run.end(TrackedEnd(outcome="interrupted", reason="the search ended before it"))

    def show(self, search: Search) -> None:
        """Tell what has come of candidates since the last time."""
        if self._watcher is not None:
            self._watcher.show(search)
        for record in search.records:
            self._tell(record)
        ended = sum(record.state != "running" for record in search.records)
        if ended > self._followed.steps:
            self._followed.log({"search/tried": ended, "search/front": len(search.front)}, ended)

    def note(self, text: str) -> None:
        """Pass a line on."""
        if self._watcher is not None:
            self._watcher.note(text)

    def _tell(self, record: TrialRecord) -> None:
        if record.number not in self._runs:
            self._runs[record.number] = self._followed.child(self._start(record))
        run, told = self._runs[record.number], self._told.setdefault(record.number, set())
        for kind in record.steps:
            if kind not in told:
                told.add(kind)
                run.log(figures_of_candidate(record), STEPS.index(kind) + 1)
        if record.state != "running":
            run.end(TrackedEnd(outcome=_OUTCOMES.get(record.state, "failed"), reason=record.reason))

    def _start(self, record: TrialRecord) -> TrackedStart:
        recipe = record.candidate.recipe
        return TrackedStart(
            name=f"{record.number:03d}-{recipe.name}",
            settings={"source": record.source, **settings_of(recipe)},
            recipe=recipe.to_toml(),
            parent=self._followed.name,
        )


def figures_of_candidate(record: TrialRecord) -> dict[str, float]:
    """Return what is known of a candidate's file, as trackers receive it."""
    known = {f"{CANDIDATE}/{NAMES[name]}": value for name, value in record.figures.items()}
    return {**known, f"{CANDIDATE}/trained_seconds": record.trained_seconds}
