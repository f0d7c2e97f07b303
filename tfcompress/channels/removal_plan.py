"""What may go in a model, what it costs, and what came of it: the plan of a removal of channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfcompress.channels.cost import Cost, CostModel
from tfcompress.channels.criteria import Scores
from tfcompress.channels.groups import Group, groups
from tfcompress.channels.ranking import Candidate, ChannelChoice, best_of, choose_channels
from tfcompress.channels.sensitivity import Sensitivity
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.models.scope import check_scope, in_scope, listed
from tfcompress.recipe import Channels
from tfcompress.stages.rewriting import NEAR

Measure = Callable[[Any, Any], float]
"""From two Keras 3 models to the second one's latency over the first one's, measured side by side."""

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


@dataclass(frozen=True)
class RemovalPlan:
    """What may go in a model, and what it costs.

    Attributes:
        model: the model that shrinks.
        stage: what was asked.
        original: the model before the first cycle.
        left: share of what was asked to shrink that earlier cycles left.
        groups: all groups of channels of *model*.
        cost: what *model* costs at any widths.
        whole: what *model* would cost without earlier cycles, in what was asked to shrink; shares are counted from it.
        widths: channels of each group of *original*.
    """

    model: Any
    stage: Channels
    original: Any
    left: float
    groups: tuple[Group, ...]
    cost: CostModel
    whole: float
    widths: Mapping[str, int]

    @classmethod
    def of(cls, model: Any, stage: Channels, original: Any, left: float) -> RemovalPlan:
        """Find the groups.

        Raises:
            UsageError: a scope that matches nothing.
            UnsupportedError: not one group can shrink.
        """
        cost = CostModel.of(model)
        found = cost.analysis.groups
        first = found if original is model else groups(original)
        check_scope("channels", stage.scope, [path for g in found for path in g.producers], "layer that makes channels")
        plan = cls(
            model,
            stage,
            original,
            left,
            found,
            cost,
            _amount(cost.of_kept({}), stage.of) / left,
            {group.name: group.channels for group in first},
        )
        if not plan.free:
            reasons = listed([f"{name}: {reason}" for name, reason in plan.pinned.items()]) or "it has no kernels"
            msg = f"channels finds nothing that can shrink in model {model.name!r} ({reasons})"
            raise UnsupportedError(msg, "leave channels out")
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
        weights = self.worths()
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

    def worths(self) -> dict[str, float]:
        """Return how much a lost share of each group that may shrink counts; see :func:`worth`."""
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

    def ratio(self, smaller: Any, measure: Measure) -> float:
        """Return the share of the latency that is left, earlier cycles included."""
        return self.left * measure(self.model, smaller)

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
        why += f", spare {self.stage.spare:g}" if self.stage.spare is not None else ""
        limited = self.stage.spare is not None
        way_out = "raise spare, or ask for less" if limited else less_limited(self.stage)
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
            removed = 1.0 - self.ratio(smaller, measure)
        else:
            removed = 1.0 - _amount(after, self.stage.of) / self.whole
        notes = list(self._notes(before, after, removed, choice))
        unjudged = [repr(g.name) for g in self.free if g.name not in judged]
        if unjudged:
            notes.append(
                f"channels: {listed(unjudged)} stay whole: criterion {self.stage.judged_by!r} cannot judge them"
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
            reason = "a channel goes whole or not at all"
            if stage.of == "latency":
                reason = "latency moves in steps, and is measured with noise"
            elif stage.round_to > 1:
                reason = f"widths go in steps of round_to {stage.round_to}; a smaller one comes nearer"
            found.append(f"channels: {abs(removed - stage.remove):.1%} off what was asked: {reason}")
        stuck = {name: reason for name, reason in self.pinned.items() if not reason.startswith("feeds output")}
        if stuck:
            fixed = listed([f"{name!r} ({reason})" for name, reason in stuck.items()])
            found.append(f"channels: these groups cannot shrink: {fixed}")
        return found


def less_limited(stage: Channels) -> str:
    """Say what would let more channels go."""
    return "raise at_most or lower round_to" if stage.round_to > 1 else "raise at_most, or ask for less"


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
