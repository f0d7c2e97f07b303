"""What a search would try and how long it would take, by the measured cost of a few steps: for ``--dry-run``."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tfcompress.errors import PromiseError
from tfcompress.progress import Progress
from tfcompress.reports import wording
from tfcompress.search.gates import GATES
from tfcompress.search.goals import GOALS
from tfcompress.search.metering import Meter
from tfcompress.search.preparation import Prepared, prepared_search, told_space
from tfcompress.search.proposals import recipes_by_hand
from tfcompress.search.space import Candidate
from tfcompress.search.trial import Opening, StepResult, TrialBench, TrialStep
from tfcompress.search.wishes import Wishes

FEW, MORE = 4, 24
"""Batches of the first two short trainings; their difference is what a batch costs."""
OUTWEIGHING = 0.3
"""The difference that tells something, in times that the shorter one took."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a search would do.

    Attributes:
        ready: the search.
        by_hand: names of what is tried first.
        file_seconds: making and judging a file, without training, and measuring it where there is a device.
        start_seconds: what a training costs before its first batch.
        batch_seconds: what a batch costs.
        batches: of the whole training.
    """

    ready: Prepared
    by_hand: tuple[str, ...]
    file_seconds: float
    start_seconds: float
    batch_seconds: float
    batches: int

    @property
    def training_seconds(self) -> float:
        """A whole training."""
        return self.start_seconds + self.batches * self.batch_seconds

    @property
    def trials(self) -> tuple[int, int]:
        """How many candidates are tried, at least and about at most: all trained in full, or all stopped early."""
        wishes = self.ready.wishes
        most = wishes.trials or self.ready.space.size()
        if wishes.budget_seconds is None:
            return most, most
        time = max(0.0, wishes.budget_seconds - 6 * self.file_seconds) * wishes.jobs
        slow = 2 * self.file_seconds + self.training_seconds
        return min(most, int(time / slow)), min(most, int(time / self.file_seconds))


def estimated(opening: Opening, wishes: Wishes, progress: Progress, log: Path | None = None) -> Estimate:
    """Measure a few steps.

    Args:
        opening: the model and the data.
        wishes: what is asked for.
        progress: where progress goes.
        log: file that libraries' words are appended to.

    Raises:
        TfcompressError: what the search would be refused for.
    """
    with opening.workbench(judged_by="test", progress=progress, log=log) as bench:
        ready = prepared_search(bench, wishes, None)
        data = bench.data(ready.wishes.train)
        size = 0 if data is None or data.train is None else data.train.count()
    train, space = ready.wishes.train, ready.space
    by_hand = [space.candidate(selection) for selection in recipes_by_hand(space)]
    plain = next((each for each in by_hand if each.recipe.export.needs_data and not each.recipe.stages), by_hand[0])
    trained = next((each for each in by_hand if each.recipe.stages), None)
    with TrialBench(dataclasses.replace(opening, kept=None), log=log) as trials:
        with progress.task("timing a file"):
            file_seconds = _seconds(trials, plain) + _measuring_seconds(trials, plain, ready.meter(progress))
        start = batch = 0.0
        if trained is not None:
            with progress.task("timing a training"):
                start, batch = training_costs(trials, trained, size)
    limit = size if train.limit is None else min(size, train.limit)
    return Estimate(
        ready=ready,
        by_hand=tuple(each.name for each in by_hand),
        file_seconds=file_seconds,
        start_seconds=start,
        batch_seconds=batch,
        batches=train.epochs * math.ceil(limit / train.batch_size),
    )


def _seconds(trials: TrialBench, candidate: Candidate) -> float:
    """Return how long a candidate takes that trains nothing; the second time, when everything is warm."""
    _done(trials, candidate)
    return _done(trials, candidate).seconds


def _measuring_seconds(trials: TrialBench, candidate: Candidate, meter: Meter | None) -> float:
    """Return how long a file of a candidate is measured on the device; 0 without one."""
    if meter is None:
        return 0.0
    with tempfile.TemporaryDirectory(prefix="tfcompress-") as folder:
        file = Path(folder) / "measured.tflite"
        trials.run(TrialStep(candidate=candidate, kind="full", file=str(file)))
        began = time.monotonic()
        meter.figures(file)
        return time.monotonic() - began


def training_costs(trials: TrialBench, candidate: Candidate, size: int) -> tuple[float, float]:
    """Return what a training costs before its first batch, and what a batch costs, by short ones.

    The start (tracing a graph, above all) takes longer than hundreds of batches of a small network, and not always the
    same; the longer training therefore has four times as many batches again and again, until they outweigh that.

    Args:
        trials: keeps nothing.
        candidate: trains.
        size: samples that there are; where that is little, the longer one has fewer batches, or is no longer.
    """
    batch_size = candidate.recipe.train.batch_size
    most = math.ceil(size / batch_size)
    few, more = min(FEW, most), min(MORE, most)
    start = _training_seconds(trials, candidate, few * batch_size)
    while more > few:
        further = _training_seconds(trials, candidate, more * batch_size) - start
        if further >= OUTWEIGHING * start or more == most:
            batch = max(0.0, further) / (more - few)
            return max(0.0, start - few * batch), batch
        more = min(4 * more, most)
    return start, 0.0


def _training_seconds(trials: TrialBench, candidate: Candidate, samples: int) -> float:
    train = dataclasses.replace(candidate.recipe.train, epochs=1, limit=samples)
    return _done(trials, Candidate(dataclasses.replace(candidate.recipe, train=train))).trained_seconds


def _done(trials: TrialBench, candidate: Candidate) -> StepResult:
    """Return what came of a candidate in full.

    Raises:
        PromiseError: it is refused.
    """
    found = trials.run(TrialStep(candidate=candidate, kind="full"))
    if found.refusal:
        msg = f"a first candidate ({candidate.name}) fails: {found.refusal}"
        raise PromiseError(msg)
    return found


def estimate_lines(found: Estimate) -> list[str]:
    """Return an estimate as lines for people."""
    ready, goals = found.ready, ", ".join(goal.title for goal in found.ready.goals)
    limits = [f"{GOALS[name].flag} {GOALS[name].text(limit)}" for name, limit in ready.wishes.limits.given.items()]
    least, most = found.trials
    number = f"{least:,}" if least == most else f"{least:,} (all trained in full) to {most:,} (none)"
    lines = [
        f"{ready.model} on {ready.data}, judged by {ready.judged}; the test split decides at the end",
        f"made small: {goals}; kept: {', '.join(limits)}; {ready.decides.title} decides",
        "",
        "what is tried:",
        *(f"  {name:<24} {values}" for name, values in told_space(ready.space)),
        f"  at most {ready.space.size():,} combinations, many of which contradict themselves",
        f"first by hand: {', '.join(found.by_hand)}",
        "",
        "gates, from the cheapest: validity; "
        + "; ".join(gate.name for gate in GATES if gate.goal in {goal.name for goal in ready.goals})
        + "; the whole training; the test split",
        "",
        f"a file takes {wording.seconds(found.file_seconds)}, a whole training "
        f"{wording.seconds(found.training_seconds)} ({found.batches:,} batches of "
        f"{1000 * found.batch_seconds:.1f} ms)",
        f"candidates that would be tried: {number}",
    ]
    if ready.wishes.budget_seconds is None:
        trials = least * (2 * found.file_seconds + found.training_seconds) / ready.wishes.jobs
        lines.append(f"that takes {wording.seconds(trials)} at most")
    return lines
