"""What a search knows of each trial, in memory and as the storage keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tfcompress.search.goals import Goal
from tfcompress.search.space import Candidate, Selection
from tfcompress.search.trial import StepResult

State = Literal["running", "finished", "stopped", "refused", "failed"]
"""``finished``: run in full; ``stopped``: by a gate; ``refused``: model or data cannot have it; ``failed``: a worker
died of it, again and again."""

STEPS = ("draft", "short", "full")
"""Steps from the first to the last: what a later one says is nearer to the truth."""


@dataclass
class TrialRecord:
    """One candidate on its way.

    Attributes:
        number: in the storage.
        candidate: what is tried.
        selection: what made it.
        source: why it is tried, in a word or two.
        steps: what came of each step so far.
        p90_ms: measured on the device; None: it was not.
        joules: of an inference there, likewise.
        state: how far it is.
        reason: why it was stopped, refused or failed.
        deaths: workers that died while they were at it.
        spared: names of gates that would have stopped it and let it through, to be judged by what becomes of it.
    """

    number: int
    candidate: Candidate
    selection: Selection
    source: str
    steps: dict[str, StepResult] = field(default_factory=dict)
    p90_ms: float | None = None
    joules: float | None = None
    state: State = "running"
    reason: str = ""
    deaths: int = 0
    spared: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What tables call it: parts of the recipe, and what is tried of its training."""
        tried = {name: value for name, value in self.selection.items() if name.startswith("train.") and value}
        rest = ",".join(f"{name.partition('.')[2]}={value:g}" for name, value in tried.items() if _is_number(value))
        return f"{self.candidate.name} {rest}" if rest and self.candidate.recipe.stages else self.candidate.name

    @property
    def last(self) -> StepResult | None:
        """What the furthest step gave."""
        return next((self.steps[kind] for kind in reversed(STEPS) if kind in self.steps), None)

    @property
    def figures(self) -> dict[str, float]:
        """What is known of its file, by the names of goals, as far as it is."""
        found = self.last
        if found is None:
            return {}
        pairs = {
            "drop": found.points,
            "size": found.size_bytes,
            "download": found.gzip_bytes,
            "flash": found.flash_bytes,
            "arena": found.arena_bytes,
            "p90": self.p90_ms,
            "energy": self.joules,
        }
        return {name: float(value) for name, value in pairs.items() if value is not None}

    @property
    def trained_seconds(self) -> float:
        """How long it was trained."""
        return sum(step.trained_seconds for step in self.steps.values())

    def point(self, goals: Iterable[Goal]) -> tuple[float, ...]:
        """Return its figures in the order of goals; what is not known is infinite."""
        found = self.figures
        return tuple(found.get(goal.name, float("inf")) for goal in goals)

    def attributes(self) -> dict[str, Any]:
        """Return what the storage keeps of it, plain values."""
        return {
            "name": self.name,
            "selection": json.dumps(dict(self.selection), default=list),
            "source": self.source,
            "steps": {kind: step.to_dict() for kind, step in self.steps.items()},
            "p90_ms": self.p90_ms,
            "joules": self.joules,
            "state": self.state,
            "reason": self.reason,
            "deaths": self.deaths,
            "spared": list(self.spared),
        }

    def take(self, kept: Mapping[str, Any]) -> None:
        """Go on from what the storage has kept."""
        self.steps = {kind: StepResult(**step) for kind, step in kept.get("steps", {}).items()}
        self.p90_ms, self.joules = kept.get("p90_ms"), kept.get("joules")
        self.state, self.reason = kept.get("state", "running"), kept.get("reason", "")
        self.deaths, self.spared = kept.get("deaths", 0), tuple(kept.get("spared", ()))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
