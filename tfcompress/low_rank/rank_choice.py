"""Ranks for a whole model: those that lose least within a limit, and what is said about them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfcompress.errors import UsageError
from tfcompress.low_rank.places import Place, places_of
from tfcompress.low_rank.rank_options import LAYER_BYTES, WEIGHT_BYTES, FactorCost, RankOption, whole_cost
from tfcompress.models.copies import layers_with_kernels
from tfcompress.models.profile import profile
from tfcompress.models.scope import listed
from tfcompress.plans.knapsack import best_assignments
from tfcompress.plans.multiple_choice import Alternative, Item, Knapsack
from tfcompress.stages.low_rank import LowRank

UNITS = {
    "macs": "multiply-accumulates",
    "parameters": "parameters",
    "bytes": "bytes of a float32 file",
    "latency": "latency",
}

_WHOLE = "whole"


@dataclass(frozen=True)
class RankChoice:
    """What was chosen.

    Attributes:
        options: path of each layer that is taken apart -> how.
    """

    options: Mapping[str, RankOption]

    def without(self, paths: Collection[str]) -> RankChoice:
        """Return the choice with some layers left whole."""
        return RankChoice({path: option for path, option in self.options.items() if path not in paths})


def model_cost(model: Any) -> FactorCost:
    """Return what a model costs, of what can be counted; where any size is meant, it is 96."""
    found = profile(model)
    places = places_of(model).found
    macs = sum(layer.macs or 0 for layer in found.layers if layer.name not in places)
    macs += sum(whole_cost(place).macs for place in places.values())
    layers = LAYER_BYTES * len(layers_with_kernels(model))
    return FactorCost(macs, found.parameters, WEIGHT_BYTES * found.parameters + layers)


@dataclass(frozen=True, eq=False)
class RankPlan:
    """What can be chosen for a model.

    Attributes:
        stage: what was asked.
        places: the layers that can be taken apart, by path.
        options: path -> how a layer can be taken apart.
        refused: path of a layer in scope -> why it cannot.
        before: what the model costs that was given.
        whole: what it costs with every layer whole.
        first: whether this is the first cycle, or the only one.
    """

    stage: LowRank
    places: Mapping[str, Place]
    options: Mapping[str, Sequence[RankOption]]
    refused: Mapping[str, str]
    before: FactorCost
    whole: FactorCost
    first: bool

    def cost(self, choice: RankChoice) -> FactorCost:
        """Return what the model costs with a choice."""
        found = self.whole
        for path, option in choice.options.items():
            found = found - whole_cost(self.places[path]) + option.cost
        return found

    @property
    def least_share(self) -> float:
        """The least of what was given that can be left, of what is to shrink."""
        found = float(self._of(self.whole))
        for path, options in self.options.items():
            whole = self._of(whole_cost(self.places[path]))
            found -= whole - min(whole, *(self._of(option.cost) for option in options))
        return found / self._of(self.before)

    def check(self, share: float) -> None:
        """Refuse a share of what was given that cannot be reached. Raises as :meth:`choose` does."""
        asked = self.stage.target**self.stage.cycles if self.first and self.stage.of != "latency" else share
        if self.least_share > min(asked, share) * (1.0 + 1e-9):
            raise self._out_of_reach()

    def choose(self, share: float) -> RankChoice:
        """Return the ranks of least loss with which at most a share of what was given is left.

        Raises:
            UsageError: it cannot be so little; with how little it can be.
        """
        self.check(share)
        wholes = {path: float(self._of(whole_cost(self.places[path]))) for path in self.options}
        items = tuple(Item(path, tuple(self._alternatives(path, wholes[path]))) for path in self.options)
        fixed = self._of(self.whole) - sum(wholes.values())
        problem = Knapsack(items, (), {self.stage.of: share * self._of(self.before)}, {self.stage.of: fixed})
        chosen = best_assignments(problem)[0].choices
        by_name = {path: {option.name: option for option in options} for path, options in self.options.items()}
        return RankChoice({path: by_name[path][name] for path, name in chosen.items() if name != _WHOLE})

    def _alternatives(self, path: str, whole: float) -> Iterator[Alternative]:
        """Give the ways to do a layer, but for those that cost no less than one that loses less."""
        of = self.stage.of
        yield Alternative(_WHOLE, 0.0, {of: whole})
        cheapest = whole
        for option in sorted(self.options[path], key=lambda option: (option.loss, self._of(option.cost))):
            cost = float(self._of(option.cost))
            if cost < cheapest:
                cheapest = cost
                yield Alternative(option.name, option.loss, {of: cost})

    def _of(self, cost: FactorCost) -> int:
        return cost.of(self.stage.of)

    def _out_of_reach(self) -> UsageError:
        least = math.ceil(1000 * self.least_share) / 1000
        step = " or lower round_to" if self.stage.round_to > 1 else ""
        whole = f"; these stay whole: {self._left_alone(self.refused)}" if self.refused else ""
        target, parts = self.stage.target**self.stage.cycles if self.first else self.stage.target, ""
        if self.stage.method != "auto":
            parts = f" by method {self.stage.method!r}"
        msg = (
            f"low_rank.target must be at least {least:g} of the {UNITS[self.stage.of]} of this model{parts} and with "
            f"round_to {self.stage.round_to}, got {target:g}; ask for more to be left{step}{whole}"
        )
        return UsageError(msg)

    def notes(self, choice: RankChoice, *, sampled: bool, ratio: float | None = None) -> Iterator[str]:
        """Give sentences for the report.

        Args:
            choice: what was chosen.
            sampled: whether samples judged.
            ratio: the latency that is left, where it was measured.
        """
        after, stage = self.cost(choice), self.stage
        left = ratio if ratio is not None else self._of(after) / self._of(self.before)
        yield (
            f"low_rank: {len(choice.options)} of {len(self.places)} layers were taken apart: {left:.1%} of the "
            f"{UNITS[stage.of]} left (at most {stage.target:.1%} asked); {self.before.macs:,} → {after.macs:,} "
            f"multiply-accumulates, {self.before.parameters:,} → {after.parameters:,} parameters, "
            f"{self.before.bytes:,} → {after.bytes:,} bytes as float32"
        )
        if choice.options:
            energy = "what they give on samples" if sampled else "their weights"
            told = "; ".join(self._told(path, option) for path, option in choice.options.items())
            yield f"low_rank: ranks, and how much of the energy of {energy} they keep: {told}"
        looked_up = [repr(path) for path in choice.options if self.places[path].is_embedding]
        if looked_up:
            yield f"low_rank: {listed(looked_up)} multiply now, where they only looked up; bytes are what falls"
        why = "others lose less for what they save"
        if stage.of == "latency":
            why = f"not faster apart, or {why}"
        alone = {**dict.fromkeys((path for path in self.options if path not in choice.options), why), **self.refused}
        if alone:
            yield f"low_rank: left alone: {self._left_alone(alone)}"

    def _told(self, path: str, option: RankOption) -> str:
        before, after = whole_cost(self.places[path]), option.cost
        return (
            f"{path!r} {option.name}, {option.kept:.1%} ({before.macs:,} → {after.macs:,} MACs, "
            f"{before.parameters:,} → {after.parameters:,} weights)"
        )

    def _left_alone(self, refused: Mapping[str, str]) -> str:
        by_reason: dict[str, list[str]] = {}
        for path, why in refused.items():
            by_reason.setdefault(why, []).append(repr(path))
        return "; ".join(f"{listed(paths)} ({why})" for why, paths in by_reason.items())
