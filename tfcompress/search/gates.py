"""Gates: what may stop a trial before it has cost its whole training, and how far each of them can be trusted.

A gate looks at what a cheap step has shown. It never stops by its figure alone: a file that keeps no limit even if it
gained as much as others did from that step to the end, or that a finished one beats in everything even then, goes no
further. How the gate's figure ranks finished trials is watched (Spearman), also on trials that it would have stopped
and lets through now and then for that; one that ranks badly is widened, or stops nothing any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tfcompress.search.front import rank_correlation
from tfcompress.search.goals import Goal, Limits
from tfcompress.search.trial import StepKind
from tfcompress.search.trial_records import TrialRecord
from tfcompress.stages.stage import TrainingStage

LEAST_PAIRS = 5
"""Finished trials before a gate stops anything by what it predicts."""
GOOD, POOR = 0.6, 0.3
"""Rank correlations: from the first on a gate is trusted, below the second it stops nothing."""
QUANTILE = 0.9
"""Share of finished trials whose gain a gate allows for."""
SPARED = 4
"""Every so manieth trial that a gate would stop goes on, to judge the gate by."""

Trust = Literal["watching", "on", "wide", "off"]


@dataclass(frozen=True)
class Gate:
    """A gate.

    Attributes:
        name: what reports call it.
        step: after which step it looks.
        goal: at which figure.
        exact: whether the figure at this step is that of the end, so that a limit on it can be held against it.
    """

    name: str
    step: StepKind
    goal: str
    exact: bool = False

    def pairs(self, records: Sequence[TrialRecord]) -> list[tuple[float, float]]:
        """Return the figure at this gate and at the end of each trial that has both."""
        found = []
        for record in records:
            if record.state == "finished" and self.step in record.steps and record.steps[self.step] is not record.last:
                early, late = self.figure(record), record.figures.get(self.goal)
                if early is not None and late is not None:
                    found.append((early, late))
        return found

    def figure(self, record: TrialRecord) -> float | None:
        """Return the figure that the gate looks at; None: it was not measured."""
        step = record.steps.get(self.step)
        if step is None:
            return None
        value = {
            "drop": step.points,
            "size": step.size_bytes,
            "download": step.gzip_bytes,
            "flash": step.flash_bytes,
            "arena": step.arena_bytes,
            "p90": record.p90_ms,
            "energy": record.joules,
        }
        return value[self.goal]

    def correlation(self, records: Sequence[TrialRecord]) -> float | None:
        """Return the rank correlation of the figure here and at the end; None where too little is known."""
        pairs = self.pairs(records)
        if len(pairs) < LEAST_PAIRS:
            return None
        return rank_correlation([early for early, _ in pairs], [late for _, late in pairs])

    def trust(self, records: Sequence[TrialRecord]) -> Trust:
        """Return how far the gate may stop trials."""
        found = self.correlation(records)
        if found is None:
            return "watching"
        return "on" if found >= GOOD else "wide" if found >= POOR else "off"

    def allowance(self, records: Sequence[TrialRecord]) -> float:
        """Return how much lower the figure may become by the end: what nine of ten gained at most, twice if wide."""
        gains = sorted(max(0.0, early - late) for early, late in self.pairs(records))
        usual = gains[min(len(gains) - 1, int(QUANTILE * len(gains)))] if gains else 0.0
        return 2 * usual if self.trust(records) == "wide" else usual

    def verdict(
        self, record: TrialRecord, records: Sequence[TrialRecord], limits: Limits, goals: Sequence[Goal]
    ) -> str:
        """Say why a trial goes no further; empty: it goes on.

        Args:
            record: the trial, after this gate's step.
            records: all trials.
            limits: what the file must keep.
            goals: what is made smaller.
        """
        value = self.figure(record)
        if value is None:
            return ""
        limit, goal = limits.given.get(self.goal), next((each for each in goals if each.name == self.goal), None)
        if goal is None:
            return ""
        if self.exact:
            over = limit is not None and value > limit and is_final(record, self.goal)
            return f"{goal.title} {goal.text(value)}, allowed are {goal.text(limit)}" if over else ""
        if self.trust(records) in ("watching", "off"):
            return ""
        hoped = value - self.allowance(records)
        if limit is not None and hoped > limit:
            return f"{goal.title} {goal.text(value)} {self.name}, {goal.text(hoped)} to be hoped for: above the limit"
        return self._beaten(record, records, goals, hoped)

    def _beaten(self, record: TrialRecord, records: Sequence[TrialRecord], goals: Sequence[Goal], hoped: float) -> str:
        """Say which finished trial is nowhere worse than this one can become; empty: none is, or nobody can know."""
        others = [goal.name for goal in goals if goal.name != self.goal]
        if self.step == "draft" and not all(is_final(record, name) for name in others):
            return ""
        own = {**record.figures, self.goal: hoped}
        others = [goal.name for goal in goals if goal.name in own]
        for other in records:
            found = other.figures
            if other.state == "finished" and all(found.get(name, float("inf")) <= own[name] for name in others):
                return f"{other.name} is better in everything, even with what may be gained"
        return ""


GATES: tuple[Gate, ...] = (
    Gate("untrained: bytes", "draft", "size", exact=True),
    Gate("untrained: download", "draft", "download", exact=True),
    Gate("untrained: flash", "draft", "flash", exact=True),
    Gate("untrained: arena", "draft", "arena", exact=True),
    Gate("untrained: latency", "draft", "p90", exact=True),
    Gate("untrained: energy", "draft", "energy", exact=True),
    Gate("untrained: accuracy on a part", "draft", "drop"),
    Gate("one epoch", "short", "drop"),
)
"""From the cheapest to the dearest."""


def is_final(record: TrialRecord, goal: str) -> bool:
    """Say whether a figure of the untrained file is that of the trained one: no stage of the training changes it."""
    if goal in ("p90", "energy"):
        return True  # kernels do not look at the weights
    export = record.candidate.recipe.export
    training = [stage for stage in record.candidate.recipe.stages if isinstance(stage, TrainingStage)]
    if goal == "arena":
        return not (export.lookup and training)  # kernels with few values are unpacked there
    if goal == "flash" and (export.lookup or export.deployment.accelerator):
        return not training  # tables, and what Vela codes, are the shorter the fewer values training leaves
    gain = "download" if goal == "download" else "file"
    return all(stage.numbers or getattr(stage.gains, gain) in ("no", "-") for stage in training)


def spares(gate: Gate, records: Sequence[TrialRecord]) -> bool:
    """Say whether a trial that a gate would stop is let through this time."""
    stopped = sum(1 for record in records if record.reason.startswith(f"{gate.name}: "))
    spared = sum(1 for record in records if gate.name in record.spared)
    return not gate.exact and stopped >= (SPARED - 1) * (spared + 1)
