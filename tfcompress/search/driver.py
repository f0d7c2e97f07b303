"""The driver of a search: asks for candidates, has their steps done, stops them at gates, and writes everything down.

There is one driver a search. Whatever ends it (or a worker, or the database for a while), the study holds every step
that was finished: the next driver of the same study goes on from there.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState

from tfcompress.errors import ContractError, RecipeError, TfcompressError
from tfcompress.search.executors import DoneStep, Executor
from tfcompress.search.front import front_of
from tfcompress.search.gates import GATES, spares
from tfcompress.search.goals import Goal, Limits
from tfcompress.search.metering import MeasureFile
from tfcompress.search.proposals import BY_HAND, Proposals
from tfcompress.search.space import Candidate, Space
from tfcompress.search.study_store import FACTS, StudyStore
from tfcompress.search.trial import SHORT_EPOCHS, StepKind, StepResult, TrialStep, untrained
from tfcompress.search.trial_records import TrialRecord

TRIES = 2
"""Times that a step is begun whose worker dies of it."""

SHORT_FROM = 3
"""Epochs of the whole training from which on a short one comes first."""

ALIKE = 3
"""So many first trials that all fail end the search: it would go on for ever like that."""

MOST_KEPT_BACK = 0.4
"""Part of the time that is kept back for what comes after the trials, at most."""

_VARIED = 3  # the best so far, of which variations are made
_EXPECTED = "expected_trials"  # by this name among what is known of the search
_PULSE = 0.5  # seconds between two looks at the clock


class Watcher(Protocol):
    """Is shown how far a search is."""

    def show(self, search: Search) -> None:
        """Look at the search; called about twice a second."""

    def note(self, text: str) -> None:
        """Take a line to show."""


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """What a search goes by.

    Attributes:
        limits: what the file must keep.
        goals: what is made smaller.
        decides: which of them decides among those that keep the limits.
        seconds: how long it may take, with what earlier drivers took; None: as long as it likes.
        reserve: seconds of it that what comes after the trials needs, for a trial's usual time without training.
        trials: how many candidates at most; None: as many as there is time for.
        samples: of the validation split that drafts are scored on; None: all.
        files: folder for the files of drafts that are measured.
        measure: from a .tflite to what the device says of it, or a ContractError where that cannot run it; None: no
            device.
        prepared_seconds: that went by before the search.
    """

    limits: Limits
    goals: tuple[Goal, ...]
    decides: Goal
    seconds: float | None = None
    reserve: Callable[[float], float] = field(default=lambda usual: 0.0)
    trials: int | None = None
    samples: int | None = None
    files: Path
    measure: MeasureFile | None = None
    prepared_seconds: float = 0.0


class Search:
    """A search on its way.

    Attributes:
        plan: what it goes by.
        records: every candidate so far, in the order of the storage.
        interrupted: whether Ctrl-C has ended it.
    """

    def __init__(
        self,
        plan: SearchPlan,
        space: Space,
        store: StudyStore,
        proposals: Proposals,
        executor: Executor,
        watcher: Watcher,
    ) -> None:
        """Take up what an earlier driver has left in the study."""
        self.plan, self.records = plan, list[TrialRecord]()
        self.interrupted = False
        self._space, self._store, self._proposals = space, store, proposals
        self._executor, self._watcher = executor, watcher
        self._trials: dict[int, optuna.Trial] = {}
        self._ready: list[tuple[TrialRecord, StepKind]] = []
        self._at: dict[int, tuple[TrialRecord, StepKind]] = {}
        self._drafts: dict[tuple[Candidate, int | None], StepResult] = {}
        self._used_up = False
        self._metered: list[float] = []
        self._before = float(store.facts().get("spent_seconds", 0.0)) + plan.prepared_seconds
        self._began = time.monotonic()
        self._take_up()

    def _take_up(self) -> None:
        found: dict[Candidate, TrialRecord] = {}
        for trial in self._store.trials():
            facts = trial.user_attrs.get(FACTS, {})
            if trial.state == TrialState.RUNNING:
                self._proposals.again(trial.number)
            elif facts.get("state") in ("finished", "stopped", "refused", "failed"):
                record = self._read(trial)
                if record is not None:
                    found[record.candidate] = record  # the later one, should a driver have died at its very end
                    self._proposals.take(record.candidate)
        self.records += found.values()

    def _read(self, trial: FrozenTrial) -> TrialRecord | None:
        facts = trial.user_attrs[FACTS]
        chosen = json.loads(facts["selection"])
        selection = {name: tuple(value) if isinstance(value, list) else value for name, value in chosen.items()}
        try:
            record = TrialRecord(trial.number, self._space.candidate(selection), selection, facts["source"])
        except RecipeError:
            return None  # of a space that has become another one
        record.take(facts)
        return record

    @property
    def spent_seconds(self) -> float:
        """How long the search has gone on, earlier drivers' part included."""
        return self._before + time.monotonic() - self._began

    @property
    def seconds_left(self) -> float | None:
        """How long trials may still run; None: there is no such limit."""
        if self.plan.seconds is None:
            return None
        kept_back = min(self.plan.reserve(self.usual_seconds), MOST_KEPT_BACK * self.plan.seconds)
        return self.plan.seconds - kept_back - self.spent_seconds

    @property
    def usual_seconds(self) -> float:
        """What making and measuring a file takes beside the training, by medians of what was finished; 0 at first."""
        known = [step.seconds - step.trained_seconds for each in self.finished for step in (each.steps["full"],)]
        return sum(statistics.median(seconds) for seconds in (known, self._metered) if seconds)

    @property
    def finished(self) -> list[TrialRecord]:
        """The trials that were run in full, with all figures known."""
        needed = {goal.name for goal in self.plan.goals}
        return [each for each in self.records if each.state == "finished" and needed <= set(each.figures)]

    @property
    def front(self) -> list[TrialRecord]:
        """The finished trials that no other one beats in everything."""
        return front_of(self.finished, lambda record: record.point(self.plan.goals))

    @property
    def running(self) -> list[tuple[TrialRecord, StepKind]]:
        """What is being done."""
        return list(self._at.values())

    def run(self) -> None:
        """Try candidates until the time, their number or the space is used up, or Ctrl-C.

        Raises:
            TfcompressError: the first trials all fail.
            OutputError: the database is away for too long.
        """
        try:
            while self._go_on():
                self._fill()
                if not self._at:
                    break
                for done in self._executor.wait(_PULSE, self._go_on):
                    self._take_result(done)
                self._watcher.show(self)
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            self._executor.close()
            self._store.keep_facts({**self._store.facts(), "spent_seconds": self.spent_seconds})

    def _go_on(self) -> bool:
        """Say whether there is time; a first finished trial there always is time for."""
        left = self.seconds_left
        return left is None or left > 0 or not self.finished

    def _may_begin(self) -> bool:
        """Say whether another candidate may be begun."""
        few = self.plan.trials is None or len(self.records) < self.plan.trials
        return few and not self._used_up

    def _fill(self) -> None:
        while self._executor.free > 0:
            while not self._ready and self._may_begin():
                self._begin()  # one that an earlier driver had all but ended leaves nothing to do
            if not self._ready:
                return
            self._submit(*self._ready.pop(0))

    def _expect_trials(self) -> None:
        """Estimate once how many trials the time is enough for, when those by hand have told what one takes."""
        ended = [each for each in self.records if each.state != "running"]
        if self._proposals.trials is not None or len(ended) < BY_HAND:
            return
        facts, left = self._store.facts(), self.seconds_left
        if left is not None and _EXPECTED not in facts:
            facts[_EXPECTED] = len(ended) + int(max(left, 0) * len(ended) / self.spent_seconds)
            self._store.keep_facts(facts)
        self._proposals.trials = facts.get(_EXPECTED)

    def _best(self) -> list[TrialRecord]:
        """Return what variations are made of: what keeps the limits, the best first; else what is nearest to that."""
        ranked = best_records(self.front, self.plan.limits, self.plan.decides)
        keeping = [each for each in ranked if not self.plan.limits.violation(each.figures)]
        return (keeping or ranked[:1])[:_VARIED]

    def _begin(self) -> None:
        self._expect_trials()
        found = self._proposals.next(self._best())
        if found is None:
            self._used_up = True
            return
        trial, record = found
        self._trials[record.number] = trial
        self.records.append(record)
        if record.state != "running":
            self._end(record, record.state, record.reason)  # an earlier driver had come so far
            return
        self._store.keep(trial, record.attributes())
        self._go_further(record)

    def _go_further(self, record: TrialRecord) -> None:
        """Queue the next step of a trial that is past its gates, or end it."""
        left = [kind for kind in steps_of(record.candidate) if kind not in record.steps]
        if left:
            self._ready.insert(0, (record, left[0]))
        else:
            self._end(record, "finished")

    def _submit(self, record: TrialRecord, kind: StepKind) -> None:
        known = self._drafts.get(self._draft_key(record.candidate)) if kind == "draft" else None
        if known is not None:
            self._passed(record, kind, known)
            return
        size = self.plan.limits.size
        step = TrialStep(
            candidate=record.candidate,
            kind=kind,
            samples=self.plan.samples if kind == "draft" else None,
            most_bytes=None if size is None else int(size),
            file=str(self._file(record)) if self._is_measured(record, kind) else None,
        )
        self._at[record.number] = (record, kind)
        self._executor.submit(record.number, step)

    def _draft_key(self, candidate: Candidate) -> tuple[Candidate, int | None]:
        return Candidate(untrained(candidate.recipe)), self.plan.samples

    def _file(self, record: TrialRecord) -> Path:
        return self.plan.files / f"{record.number}.tflite"

    def _is_measured(self, record: TrialRecord, kind: StepKind) -> bool:
        """Say whether a step's file goes to the device: the first one, since kernels do not look at the weights."""
        return self.plan.measure is not None and kind == steps_of(record.candidate)[0]

    def _take_result(self, done: DoneStep) -> None:
        record, kind = self._at.pop(done.number)
        if done.result is None:
            record.deaths += 1
            if done.died and record.deaths < TRIES:
                self._watcher.note(f"{record.name}: {done.failure}; once more")
                self._ready.insert(0, (record, kind))
                self._store.keep(self._trials[record.number], record.attributes())
            else:
                self._end(record, "failed", done.failure)
                self._check_failures()
        elif done.result.refusal:
            self._end(record, "refused", done.result.refusal)
            self._check_failures()
        else:
            self._passed(record, kind, done.result)

    def _passed(self, record: TrialRecord, kind: StepKind, result: StepResult) -> None:
        record.steps[kind] = result
        if kind == "draft":
            self._drafts[self._draft_key(record.candidate)] = result
        refusal = self._measured(record) if self._is_measured(record, kind) else ""
        if kind == "full" and result.points is None:
            refusal = "what it loses cannot be determined: the validation samples give no such figure"
        if refusal:
            self._end(record, "refused", refusal)
            self._check_failures()
            return
        reason = "" if kind == "full" else self._stopping(record, kind)
        if reason:
            self._end(record, "stopped", reason)
            return
        self._store.keep(self._trials[record.number], record.attributes())
        self._go_further(record)

    def _measured(self, record: TrialRecord) -> str:
        """Have the file of a trial measured; return why it cannot be, empty: it was."""
        if self.plan.measure is None or record.last is None:
            return ""
        known = [each for each in self.records if each.p90_ms is not None and _same_file(each, record)]
        if known:
            record.p90_ms, record.joules = known[0].p90_ms, known[0].joules
        elif self._file(record).is_file():
            began = time.monotonic()
            try:
                found = self.plan.measure(self._file(record))
            except ContractError as refusal:
                return str(refusal)
            self._metered.append(time.monotonic() - began)
            record.p90_ms, record.joules = found.p90_ms, found.joules
        return ""

    def _stopping(self, record: TrialRecord, kind: StepKind) -> str:
        """Return which gate of a step stops a trial, and why; empty: none does."""
        for gate in GATES:
            if gate.step != kind:
                continue
            reason = gate.verdict(record, self.records, self.plan.limits, self.plan.goals)
            if reason and spares(gate, self.records):
                record.spared = (*record.spared, gate.name)
            elif reason:
                return f"{gate.name}: {reason}"
        return ""

    def _end(self, record: TrialRecord, state: str, reason: str = "") -> None:
        record.state, record.reason = state, reason  # type: ignore[assignment]  # one of its states
        trial, figures = self._trials.pop(record.number), record.figures
        self._store.keep(trial, record.attributes())
        told = state in ("finished", "stopped") and bool(figures)
        values = [figures.get(goal.name, self._worst(goal)) for goal in self.plan.goals] if told else None
        self._store.tell(trial, values, self.plan.limits.excess(figures) if told else {})
        self._file(record).unlink(missing_ok=True)

    def _worst(self, goal: Goal) -> float:
        """Return what stands for a figure that is not known of a trial that went no further."""
        return max((each.figures[goal.name] for each in self.records if goal.name in each.figures), default=100.0)

    def _check_failures(self) -> None:
        ended = [each for each in self.records if each.state != "running"]
        if len(ended) >= ALIKE and all(each.state in ("failed", "refused") for each in ended):
            msg = f"the first {len(ended)} candidates all fail; the last one, {ended[-1].name}: {ended[-1].reason}"
            raise TfcompressError(msg)


def steps_of(candidate: Candidate) -> tuple[StepKind, ...]:
    """Return the steps of a candidate, from the cheapest on; one that trains nothing has only the last."""
    recipe = candidate.recipe
    if not recipe.stages:
        return ("full",)
    return ("draft", "short", "full") if recipe.train.epochs >= max(SHORT_FROM, SHORT_EPOCHS + 1) else ("draft", "full")


def _same_file(one: TrialRecord, other: TrialRecord) -> bool:
    first, second = (steps[0] if (steps := list(each.steps.values())) else None for each in (one, other))
    return one is not other and first is not None and second is not None and first.sha256 == second.sha256


def best_records(records: Sequence[TrialRecord], limits: Limits, decides: Goal) -> list[TrialRecord]:
    """Return records with the best first: what keeps the limits by the goal that decides, then by what is amiss."""

    def rank(record: TrialRecord) -> tuple[float, float]:
        figures = record.figures
        return limits.violation(figures), figures.get(decides.name, float("inf"))

    return sorted(records, key=rank)
