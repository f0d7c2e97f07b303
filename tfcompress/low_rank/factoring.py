"""The stage that takes layers apart: from a model and what is asked to one of factors of low rank."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.low_rank.factors import Values, as_matrix, composed, with_even_spread
from tfcompress.low_rank.places import Place, Places, places_of
from tfcompress.low_rank.rank_choice import RankChoice, RankPlan, model_cost
from tfcompress.low_rank.rank_options import RankOption, factors_of, options_of, unjudged_options, why_not
from tfcompress.low_rank.recomposition import recomposed
from tfcompress.low_rank.replacing import Replacement, names_in, replaced, replacement
from tfcompress.low_rank.response import Response, is_projected, responses
from tfcompress.models.copies import check_graph
from tfcompress.models.layer_copies import layer_copy
from tfcompress.models.scope import check_scope, in_scope, listed
from tfcompress.stages.low_rank import LowRank
from tfcompress.stages.rewriting import RewritingContext, Rewritten, bisected


def rewrite(model: Any, stage: LowRank, context: RewritingContext) -> Rewritten:
    """Take layers apart until *stage.target* of what the model costs is left.

    Args:
        model: a functional or sequential Keras 3 model; it stays as it is. Layers that an earlier run of this stage
            took apart are put together again and taken apart anew.
        stage: what is asked; ``target`` counts from *model*. Its ``cycles`` do not count here: call once a cycle, with
            one of its ``parts``.
        context: with samples, what layers give on them is what counts, else their weights.

    Raises:
        UsageError: a scope that matches nothing, a target that cannot be reached, a latency that cannot be measured.
        UnsupportedError: nothing in the model can be taken apart.
    """
    if stage.of == "latency" and context.latency_ratio is None:
        msg = "low_rank.of must be 'macs', 'parameters' or 'bytes' where no latency can be measured, got 'latency'"
        raise UsageError(msg)
    check_graph(model)
    work = _Work.of(model, stage, context)
    plan = work.plan()
    with context.progress.task("choosing ranks"):
        choice = _by_latency(work, plan) if stage.of == "latency" else plan.choose(stage.target)
    with context.progress.task("taking layers apart"):
        made = work.built(choice)
    return Rewritten(made, tuple(plan.notes(choice, sampled=context.samples is not None, ratio=work.ratio(made))))


def check_factorable(model: Any, stage: LowRank) -> None:
    """Refuse a model in which nothing can be taken apart so that it becomes smaller, or as small as is asked.

    Args:
        model: a functional or sequential Keras 3 model.
        stage: what would be asked.

    Raises:
        UsageError: a scope that matches nothing, a target that cannot be reached.
        UnsupportedError: there is nothing.
    """
    check_graph(model)
    plan = _Work.of(model, stage, RewritingContext()).plan(judged=False)
    if stage.of != "latency":
        plan.check(stage.target)


def factored(model: Any, options: Mapping[str, RankOption], moments: Mapping[str, Response] | None = None) -> Any:
    """Take layers of a model apart.

    Args:
        model: a functional or sequential Keras 3 model; it stays as it is.
        options: path of a layer -> how it is taken apart.
        moments: by path, what the layers answer on samples; of others, and without, the weights decide.

    Returns:
        A model of the same names, not compiled; the last factor of a layer has the layer's name.
    """
    names, made = names_in(model), {}
    for path, place in places_of(model).found.items():
        if path in options:
            made[id(place.layer)] = factor_layer(place, options[path], (moments or {}).get(path), names)
    return replaced(model, made)


def factor_layer(place: Place, option: RankOption, response: Response | None, names: set[str]) -> Replacement:
    """Return the layers that stand for one layer.

    Args:
        place: the layer.
        option: how it is taken apart.
        response: the layer's moments on samples; None: its weights decide.
        names: of all layers of the model; those of new ones are added.
    """
    factors = factors_of(place, option, response)
    bias = _bias(place, as_matrix(composed(factors)), response) if place.has_bias else None
    moments = None if response is None or response.of_outputs else response.moments
    return replacement(place, with_even_spread(factors, moments), bias, names)


def _bias(place: Place, matrix: Values, response: Response | None) -> Values:
    """Return the bias with which the mean of what comes out is as it was."""
    bias: Values = place.core.bias.numpy().astype("float64")
    if response is None:
        return bias
    return bias + response.mean_change(place, matrix)


@dataclasses.dataclass(frozen=True, eq=False)
class _Work:
    """What is known of a model before ranks are chosen."""

    given: Any
    model: Any
    stage: LowRank
    context: RewritingContext
    places: Places
    moments: Mapping[str, Response]

    @classmethod
    def of(cls, given: Any, stage: LowRank, context: RewritingContext) -> _Work:
        model = recomposed(given)
        places = places_of(model)
        check_scope("low_rank", stage.scope, [*places.found, *places.refused], "layer with a kernel")
        found: dict[str, Place] = {}
        refused = {path: why for path, why in places.refused.items() if in_scope(path, stage.scope)}
        for path, place in places.found.items():
            if not in_scope(path, stage.scope):
                continue
            why = why_not(place, stage.method, stage.of, projected=context.samples is not None and is_projected(place))
            if why:
                refused[path] = why
            else:
                found[path] = place
        moments: Mapping[str, Response] = {}
        if context.samples is not None and found:
            with context.progress.task("looking at what layers give"):
                moments = responses(model, found.values(), context.samples.inputs, seed=context.seed)
        return cls(given, model, stage, context, Places(found, refused), moments)

    def plan(self, *, judged: bool = True) -> RankPlan:
        """Return what can be chosen.

        Args:
            judged: whether it is known what each option loses.

        Raises:
            UnsupportedError: nothing.
        """
        method, round_to = self.stage.method, self.stage.round_to
        options: dict[str, list[RankOption]] = {}
        refused = dict(self.places.refused)
        with self.context.progress.task("judging ranks", total=len(self.places.found)) as task:
            for path, place in self.places.found.items():
                found = (
                    options_of(place, method, round_to, self.moments.get(path))
                    if judged
                    else unjudged_options(place, method, round_to)
                )
                if found:
                    options[path] = found
                else:
                    refused[path] = "no rank takes fewer multiply-accumulates and fewer bytes"
                task.advance()
        if not options:
            reasons = listed([f"{path!r}: {why}" for path, why in refused.items()]) or "it has no kernels"
            msg = f"low_rank finds nothing to take apart in model {self.given.name!r} ({reasons})"
            raise UnsupportedError(msg, "leave low_rank out")
        first = self.context.original is None or self.context.original is self.given
        before = model_cost(self.given)
        whole = before if self.model is self.given else model_cost(self.model)
        return RankPlan(self.stage, self.places.found, options, refused, before, whole, first)

    def built(self, choice: RankChoice) -> Any:
        """Return the model of a choice."""
        return factored(self.model, choice.options, self.moments)

    def is_faster(self, path: str, option: RankOption) -> bool:
        """Say whether a layer by itself is measured to be faster taken apart."""
        place = self.places.found[path]
        dtype = "int32" if place.is_embedding else "float32"
        alone = keras.Sequential([keras.Input(place.shape, dtype=dtype), layer_copy(place.layer, place.layer.name)])
        options = {alone.layers[0].name: option}
        moments = {alone.layers[0].name: self.moments[path]} if path in self.moments else {}
        return self.measured(alone, factored(alone, options, moments)) < 1.0

    def measured(self, before: Any, after: Any) -> float:
        """Return the ratio of two latencies."""
        assert self.context.latency_ratio is not None  # asked for at the beginning
        return self.context.latency_ratio(before, after)

    def ratio(self, made: Any) -> float | None:
        """Return the latency of what was made over that of the model that was given, where latency was asked for."""
        return self.measured(self.given, made) if self.stage.of == "latency" else None


def _by_latency(work: _Work, plan: RankPlan) -> RankChoice:
    """Find by bisection the share of multiply-accumulates that leaves the latency asked for.

    Only layers that are measured to be faster taken apart are: the others are left whole.

    Raises:
        UsageError: the latency is not reached with the lowest ranks.
    """
    slower: dict[tuple[str, str], bool] = {}
    goal, low, high = work.stage.target, plan.least_share, 1.0

    def at(share: float) -> tuple[RankChoice, float]:
        choice = plan.choose(share)
        for path, option in choice.options.items():
            if (path, option.name) not in slower:
                slower[path, option.name] = not work.is_faster(path, option)
        choice = choice.without([path for path, option in choice.options.items() if slower[path, option.name]])
        return choice, work.measured(work.given, work.built(choice))

    best, ratio = at(low)
    if ratio > goal:
        msg = (
            f"low_rank.target must be at least {ratio:.2f} of the latency of this model here, got {goal:g}; "
            "ask for more to be left, or for macs"
        )
        raise UsageError(msg)
    return bisected(at, best, goal=goal, kept_at=low, missed_at=high)
