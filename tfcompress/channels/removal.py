"""The stage that removes channels: from a model and what is asked to a smaller model of the same kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfcompress.channels.compensation import compensate_
from tfcompress.channels.cost import Cost, CostModel
from tfcompress.channels.criteria import Scores, scores
from tfcompress.channels.groups import Group, groups
from tfcompress.channels.ranking import Candidate, ChannelChoice, best_of, choose_channels
from tfcompress.channels.sensitivity import Evaluate, Sensitivity, analyse, copy_of, fingerprint
from tfcompress.channels.statistics import renew_
from tfcompress.channels.surgery import narrow
from tfcompress.channels.task_loss import main_kind, score_of
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.models.samples import Samples
from tfcompress.models.scope import check_scope, in_scope, listed
from tfcompress.progress import SILENT, Progress
from tfcompress.recipe import Channels
from tfcompress.stages.rewriting import RewritingContext, Rewritten
from tfcompress.tasks.figures import FRACTION

Measure = Callable[[Any, Any], float]
"""From two Keras 3 models to the second one's latency over the first one's, measured side by side."""

NEAR = 0.02
"""What is removed may differ from what was asked by this share of the whole without a word on why."""

LATENCY_ROUNDS = 6
"""Smaller models that are measured on the way to a latency, at most."""

_UNITS = {"macs": "multiply-accumulates", "parameters": "parameters", "bytes": "bytes of weights", "latency": "latency"}


@dataclass(frozen=True)
class ChannelsResult:
    """What the stage came to.

    Attributes:
        model: the smaller model, not compiled.
        keep: group -> the channels that stayed, for each group that lost any.
        notes: sentences for the report.
        before: cost of the model that was given.
        after: cost of the smaller model.
        removed: fraction of what was asked to shrink that is gone, counted from the original.
        pinned: group -> why it could not shrink.
    """

    model: Any
    keep: Mapping[str, tuple[int, ...]]
    notes: tuple[str, ...]
    before: Cost
    after: Cost
    removed: float
    pinned: Mapping[str, str]


def rewrite(model: Any, stage: Channels, context: RewritingContext) -> Rewritten:
    """Remove channels as a stage of a run; see :func:`remove_channels`."""
    found = remove_channels(
        model,
        stage,
        samples=context.samples,
        measure=context.latency_ratio,
        original=context.original,
        cache=context.cache if stage.max_drop is not None else None,
        seed=context.seed,
        progress=context.progress,
    )
    return Rewritten(found.model, found.notes)


def remove_channels(
    model: Any,
    stage: Channels,
    *,
    samples: Samples | None = None,
    evaluate: Evaluate | None = None,
    measure: Measure | None = None,
    original: Any | None = None,
    cache: Path | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> ChannelsResult:
    """Remove the channels that matter least until *stage.remove* of the model's cost is gone.

    Args:
        model: a functional or sequential Keras 3 model; it stays as it is.
        stage: what is asked. Its ``cycles`` do not count here: call once a cycle, with one of its ``parts``.
        samples: representative training data. With it the kernels behind the removed channels, and
            BatchNormalization's averages, are fitted to what is left; the criteria ``taylor`` (with labels) and
            ``activation`` need it.
        evaluate: gives a model's score, higher is better, for ``max_drop``; None: the main figure of the labels' task
            on *samples*.
        measure: gives the ratio of latencies of a smaller model and the original, for ``of="latency"``.
        original: the model before the first cycle; None: *model*.
        cache: folder that keeps sensitivity analyses; None: none is kept.
        seed: of everything random.
        progress: where progress goes.

    Raises:
        UsageError: a scope that matches nothing, a target that cannot be reached, a latency without *measure*.
        UnsupportedError: nothing in the model can shrink, or the criterion can judge nothing of it.
        DataError: a criterion, or ``max_drop``, without the data that it needs.
    """
    if stage.of == "latency" and measure is None:
        msg = "channels.of must be 'macs', 'parameters' or 'bytes' where no latency can be measured, got 'latency'"
        raise UsageError(msg)
    plan = _Plan.of(model, stage, original or model)
    with progress.task("scoring channels"):
        judged = scores(model, plan.free, stage.criterion, samples=samples)
    found = None
    if stage.max_drop is not None:
        found = _sensitivity(plan, judged, samples, evaluate, cache, progress)
    candidates = plan.candidates(judged, found, _allowed_drop(plan, samples, evaluate))
    with progress.task("choosing channels"):
        choice = (
            _by_latency(plan, candidates, measure, samples, seed)
            if measure is not None and stage.of == "latency"
            else plan.choose(candidates, stage.remove)
        )
    plan.check(choice)
    with progress.task("removing channels"):
        smaller = _smaller(model, choice, samples, seed)
    return plan.result(smaller, choice, judged, measure)


@dataclass(frozen=True)
class _Plan:
    """What may go in a model, and what it costs."""

    model: Any
    stage: Channels
    original: Any
    groups: tuple[Group, ...]
    cost: CostModel
    whole: float
    widths: Mapping[str, int]

    @classmethod
    def of(cls, model: Any, stage: Channels, original: Any) -> _Plan:
        """Find the groups.

        Raises:
            UsageError: a scope that matches nothing.
            UnsupportedError: not one group can shrink.
        """
        cost = CostModel.of(model)
        first = cost if original is model else CostModel.of(original)
        found = cost.analysis.groups
        check_scope("channels", stage.scope, [path for g in found for path in g.producers], "layer that makes channels")
        plan = cls(
            model,
            stage,
            original,
            found,
            cost,
            _amount(first.of_kept({}), stage.of),
            {group.name: group.channels for group in first.analysis.groups},
        )
        if not plan.free:
            reasons = listed([f"{name}: {reason}" for name, reason in plan.pinned.items()]) or "it has no kernels"
            msg = f"channels finds nothing that can shrink in model {model.name!r} ({reasons}); leave channels out"
            raise UnsupportedError(msg)
        return plan

    @property
    def free(self) -> list[Group]:
        """The groups that may shrink."""
        return [group for group in self.groups if not group.pinned and self._in_scope(group)]

    @property
    def pinned(self) -> dict[str, str]:
        """The groups that cannot shrink, with the reason."""
        return {group.name: group.pinned for group in self.groups if group.pinned}

    def _in_scope(self, group: Group) -> bool:
        return any(in_scope(path, self.stage.scope) for path in group.producers)

    def floors(self) -> dict[str, int]:
        """Return the least numbers of channels by ``at_most``, counted from the original."""
        kept = 1.0 - self.stage.at_most
        return {g.name: max(1, math.ceil(kept * self.widths.get(g.name, g.channels) - 1e-9)) for g in self.free}

    def candidates(self, judged: Scores, found: Sensitivity | None, drop: float) -> list[Candidate]:
        """Return the groups that may shrink, with their scores and allowed widths.

        A group counts by the parameters that go with it and the kernels that suffer from its loss (:func:`worth`). A
        sensitivity analysis raises floors to what each group can lose by itself without falling by more than
        *drop*, and lets groups count by how fast the score falls without them.
        """
        floors, round_to = self.floors(), self.stage.round_to
        weights = self._worths()
        if found is not None:
            lowest = found.baseline - drop
            for curve in found.curves:
                least = math.ceil((1.0 - curve.removable(lowest)) * curve.channels - 1e-9)
                floors[curve.group] = max(floors[curve.group], least)
                weights[curve.group] = curve.weight(found.baseline)
        return [
            Candidate(
                g.name,
                judged[g.name],
                floors[g.name],
                round_to // math.gcd(round_to, g.unit),
                weights[g.name],
                best_of(g.parts, judged[g.name]),
            )
            for g in self.free
            if g.name in judged
        ]

    def _worths(self) -> dict[str, float]:
        macs = {id(variable): each for variable, each in self.cost.analysis.trace.kernels}
        slopes = self.cost.per_channel({})
        return {
            group.name: worth(group.channels * slopes[group.name][1], [macs.get(each, 0.0) for each in _kernels(group)])
            for group in self.free
        }

    def choose(self, candidates: Sequence[Candidate], remove: float) -> ChannelChoice:
        """Choose channels so that *remove* of the original is gone."""
        of = "macs" if self.stage.of == "latency" else self.stage.of
        return choose_channels(
            candidates, lambda keep: _amount(self.cost.of_kept(keep), of), (1.0 - remove) * self.whole
        )

    def check(self, choice: ChannelChoice) -> None:
        """Refuse a target that the floors do not reach.

        Raises:
            UsageError: naming what can be reached.
        """
        goal = 1.0 - self.stage.remove
        if self.stage.of == "latency" or choice.cost <= goal * self.whole:
            return
        most = math.floor(1000 * (1.0 - choice.least / self.whole)) / 1000
        why = f"at_most {self.stage.at_most:g} and round_to {self.stage.round_to}"
        why += f", max_drop {self.stage.max_drop:g}" if self.stage.max_drop is not None else ""
        limited = self.stage.max_drop is not None
        way_out = "raise max_drop, or ask for less" if limited else "raise at_most or lower round_to"
        stuck = [f"{name!r} ({reason})" for name, reason in self.pinned.items()]
        held = f"; fixed are {listed(stuck)}" if stuck else ""
        msg = (
            f"channels.remove must be at most {most:g} of the {_UNITS[self.stage.of]} of this model with {why}, "
            f"got {self.stage.remove:g}; {way_out}{held}"
        )
        raise UsageError(msg)

    def result(self, smaller: Any, choice: ChannelChoice, judged: Scores, measure: Measure | None) -> ChannelsResult:
        """Put together what came out."""
        before, after = self.cost.of_kept({}), self.cost.of_kept(choice.keep)
        if self.stage.of == "latency" and measure is not None:
            removed = 1.0 - measure(self.original, smaller)
        else:
            removed = 1.0 - _amount(after, self.stage.of) / self.whole
        notes = list(self._notes(before, after, removed, choice))
        unjudged = [repr(g.name) for g in self.free if g.name not in judged]
        if unjudged:
            notes.append(
                f"channels: {listed(unjudged)} stay whole: criterion {self.stage.criterion!r} cannot judge them"
            )
        return ChannelsResult(smaller, choice.keep, tuple(notes), before, after, removed, self.pinned)

    def _notes(self, before: Cost, after: Cost, removed: float, choice: ChannelChoice) -> list[str]:
        stage = self.stage
        lost = sum(g.channels - len(choice.keep.get(g.name, range(g.channels))) for g in self.groups)
        found = [
            f"channels: {lost} of {sum(g.channels for g in self.free)} channels were removed: {removed:.1%} of the "
            f"{_UNITS[stage.of]} of the original ({stage.remove:.1%} asked); "
            f"{before.macs:,} → {after.macs:,} multiply-accumulates, "
            f"{before.parameters:,} → {after.parameters:,} parameters"
        ]
        if abs(removed - stage.remove) > NEAR:
            reason = (
                "latency moves in steps, and is measured with noise"
                if stage.of == "latency"
                else f"widths go in steps of round_to {stage.round_to}; a smaller one comes nearer"
            )
            found.append(f"channels: {abs(removed - stage.remove):.1%} off what was asked: {reason}")
        stuck = {name: reason for name, reason in self.pinned.items() if not reason.startswith("feeds output")}
        if stuck:
            fixed = listed([f"{name!r} ({reason})" for name, reason in stuck.items()])
            found.append(f"channels: these groups cannot shrink: {fixed}")
        return found


def worth(parameters: float, parts: Sequence[float]) -> float:
    """Return how much a lost share of a group counts: ``parameters ** (1/4) * breadth(parts) ** (1/2)``.

    Found on ResNet8 and CIFAR-10 (ADR 0009): of 31 ways to narrow it, each trained for four epochs, the accuracy lost
    is the sum over the groups of ``-log(kept share)`` times a constant of each group, and this comes near to those.

    Args:
        parameters: weights that go with the group's channels, if all of them went.
        parts: multiply-accumulates of each kernel that makes or reads them.

    Example:
        >>> worth(16.0, [2.5, 2.5, 2.5, 2.5])
        4.0
    """
    return float(max(parameters, 1.0) ** 0.25 * math.sqrt(breadth(parts)))


def breadth(parts: Sequence[float]) -> float:
    """Return over how many kernels a group's work is spread: ``sum(parts)**2 / sum(parts**2)``, at least 1.

    Example:
        >>> breadth([4.0, 4.0, 4.0]), round(breadth([100.0, 100.0, 1.0]), 1)
        (3.0, 2.0)
    """
    squares = sum(part * part for part in parts)
    return max(1.0, sum(parts) ** 2 / squares) if squares else 1.0


def _kernels(group: Group) -> set[int]:
    """Return the ids of the variables that make or read a group's channels."""
    return {id(m.variable) for m in group.members if m.role != "follows"}


def _amount(cost: Cost, of: str) -> float:
    """Return what counts of a cost; every weight takes as many bytes as the next, so bytes go with parameters."""
    return float(cost.macs if of in ("macs", "latency") else cost.parameters)


def _allowed_drop(plan: _Plan, samples: Samples | None, evaluate: Evaluate | None) -> float:
    """Return ``max_drop`` in the score's own unit: points of a fraction, which a caller's own score is taken for."""
    drop = plan.stage.max_drop
    if drop is None:
        return 0.0
    if evaluate is not None or samples is None:
        return drop / 100.0
    return drop / 100.0 if main_kind(plan.original, samples).unit == FRACTION else drop


def _sensitivity(
    plan: _Plan,
    judged: Scores,
    samples: Samples | None,
    evaluate: Evaluate | None,
    cache: Path | None,
    progress: Progress,
) -> Sensitivity:
    score = evaluate
    if score is None:
        if samples is None or samples.labels is None:
            msg = (
                "channels.max_drop needs samples with labels, or an evaluate function, got neither; give training data"
            )
            raise UsageError(msg)
        data = samples

        def score(model: Any) -> float:
            return score_of(model, data)

    place = None
    if cache is not None and evaluate is None and samples is not None:
        settings = {"criterion": plan.stage.criterion, "figure": main_kind(plan.original, samples).title}
        place = cache / f"{fingerprint(plan.model, samples, settings)}.json"
    inputs = None if samples is None else samples.inputs
    return analyse(plan.model, judged, score, inputs=inputs, cache=place, progress=progress)


def _by_latency(
    plan: _Plan, candidates: Sequence[Candidate], measure: Measure, samples: Samples | None, seed: int
) -> ChannelChoice:
    """Find by bisection the fraction of multiply-accumulates whose removal gives the latency asked for.

    Raises:
        UsageError: the latency is not reached with every group at its floor.
    """
    goal, low, high = 1.0 - plan.stage.remove, 0.0, 1.0 - plan.choose(candidates, 1.0).least / plan.whole
    best = plan.choose(candidates, high)
    ratio = measure(plan.original, narrow(plan.model, best.keep))
    if ratio > goal:
        msg = (
            f"channels.remove must be at most {1.0 - ratio:.2f} of the latency of this model here, got "
            f"{plan.stage.remove:g}; raise at_most or lower round_to"
        )
        raise UsageError(msg)
    for _ in range(LATENCY_ROUNDS):
        middle = (low + high) / 2.0
        choice = plan.choose(candidates, middle)
        ratio = measure(plan.original, narrow(plan.model, choice.keep))
        if ratio <= goal:
            best, high = choice, middle
        else:
            low = middle
        if abs(ratio - goal) <= NEAR / 2.0:
            break
    return best


def _smaller(model: Any, choice: ChannelChoice, samples: Samples | None, seed: int) -> Any:
    """Remove the chosen channels; with samples, fit what is left."""
    if samples is None or not choice.keep:
        return narrow(model, choice.keep)
    copy = copy_of(model)
    compensate_(groups(copy), choice.keep, copy, samples.inputs)
    smaller = narrow(copy, choice.keep)
    renew_(smaller, samples.inputs, seed=seed)
    return smaller
