"""What can be chosen for a layer: methods and ranks, with what they cost and what they lose."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tfcompress.low_rank.decompositions import (
    Kernel,
    Outline,
    ProjectedKernel,
    Ranks,
    best_factors,
    full_ranks,
    outlines,
)
from tfcompress.low_rank.factors import Factor
from tfcompress.low_rank.places import Part, Place
from tfcompress.low_rank.response import Response

CHOICES = 16
"""Ranks of a layer that are looked at for each method, at most."""

TUCKER_CHOICES = 10
"""The same for the first of Tucker's two ranks; :data:`SKEWS` gives the second one."""

CP_CHOICES = 6
"""The same for CP, which has to be computed anew for each."""

LAYER_BYTES = 256
"""What a further layer takes of a float32 file beside its weights (140 to 272 measured; of an int8 one 390 to 610)."""

WEIGHT_BYTES = 4

SKEWS = (1.0, 0.7, 1.5)
"""Of Tucker's two ranks, how the second one's part of the whole compares with the first one's."""

LEAST_KEPT = 1e-9


@dataclass(frozen=True)
class FactorCost:
    """What a layer, or its factors, or a model costs.

    Attributes:
        macs: multiply-accumulates for one sample.
        parameters: weights.
        bytes: of a float32 file.
    """

    macs: int
    parameters: int
    bytes: int

    def of(self, what: str) -> int:
        """Return what counts: latency is looked for by multiply-accumulates."""
        return int(getattr(self, "macs" if what == "latency" else what))

    def __sub__(self, other: FactorCost) -> FactorCost:
        """Return the difference."""
        return FactorCost(self.macs - other.macs, self.parameters - other.parameters, self.bytes - other.bytes)

    def __add__(self, other: FactorCost) -> FactorCost:
        """Return the sum."""
        return FactorCost(self.macs + other.macs, self.parameters + other.parameters, self.bytes + other.bytes)


@dataclass(frozen=True)
class RankOption:
    """One way to take a layer apart.

    Attributes:
        method: one of :data:`~tfcompress.low_rank.decompositions.METHODS`.
        ranks: the sizes between its factors.
        kept: share of the energy of the layer's outputs on samples, or of its weights, that is kept.
        cost: of the factors.
    """

    method: str
    ranks: Ranks
    kept: float
    cost: FactorCost

    @property
    def name(self) -> str:
        """Method and ranks: ``spatial 24``, ``tucker 16x32``."""
        return f"{self.method} {'x'.join(map(str, self.ranks))}"

    @property
    def loss(self) -> float:
        """What is to be small over the whole model: the product of what the layers keep is to be large.

        (Zhang et al. 2016, arXiv:1505.06798, eq. 15: the accuracy of a network goes with that product.)
        """
        return -math.log(max(self.kept, LEAST_KEPT))


def whole_cost(place: Place) -> FactorCost:
    """Return what a layer costs as it is."""
    return cost_of(place, (Outline(place.kernel.size, (True, True)),))


def cost_of(place: Place, parts: Sequence[Part]) -> FactorCost:
    """Return what factors cost in a layer's place; biases and the like, which stay, are not counted."""
    weights = sum(part.weights for part in parts)
    return FactorCost(place.macs(parts), weights, WEIGHT_BYTES * weights + LAYER_BYTES * (len(parts) - 1))


def methods_of(place: Place, method: str) -> tuple[str, ...]:
    """Return the methods by which a layer is taken apart, if one is asked for, or ``auto``."""
    rows, columns = place.window
    if rows * columns == 1:
        return ("svd",)
    if method == "auto":
        return ("svd", "spatial", "tucker") if min(rows, columns) > 1 else ("svd", "tucker")
    return ("svd",) if method == "spatial" and min(rows, columns) == 1 else (method,)


def why_not(place: Place, method: str, of: str, *, projected: bool) -> str:
    """Return why nothing can be chosen for a layer; empty: something can.

    Args:
        place: the layer.
        method: what was asked.
        of: what is to shrink.
        projected: whether only moments of the layer's outputs are known.
    """
    methods = methods_of(place, method)
    if place.is_embedding and of in ("macs", "latency"):
        return "it only looks up: no multiply-accumulates to save"
    if projected and "svd" not in methods:
        return f"its window holds {place.kernel[..., 0].size:,} numbers, too many for {method}: svd takes them"
    if methods == ("cp",) and max(place.strides) > 1:
        return "cp needs depthwise convolutions along one axis, which take no strides"
    if methods == ("cp",) and place.core.padding == "causal":
        return "cp needs depthwise convolutions, which have no causal padding"
    return ""


def options_of(place: Place, method: str, round_to: int, response: Response | None) -> list[RankOption]:
    """Return every way to take a layer apart that is cheaper than the layer, judged.

    Args:
        place: the layer.
        method: one of :data:`~tfcompress.low_rank.decompositions.METHODS`, or ``auto``.
        round_to: ranks are multiples of this, where one is small enough.
        response: the layer's moments on samples; None: its weights judge.
    """
    judge, candidates = kernels_of(place, response)
    energy = judge.energy
    found = []
    for each in methods_of(place, method):
        if isinstance(judge, ProjectedKernel) and each != "svd":
            continue
        for ranks, cost in _cheaper(place, each, round_to):
            _, lost = best_factors(judge, each, ranks, *candidates)
            kept = 1.0 - lost / energy if energy > 0.0 else 1.0
            found.append(RankOption(each, ranks, max(0.0, min(1.0, kept)), cost))
    return found


def unjudged_options(place: Place, method: str, round_to: int) -> list[RankOption]:
    """Return what :func:`options_of` gives where nothing is known of samples, as if nothing were lost: at once."""
    methods = methods_of(place, method)
    return [RankOption(each, ranks, 1.0, cost) for each in methods for ranks, cost in _cheaper(place, each, round_to)]


def kernels_of(place: Place, response: Response | None) -> tuple[Kernel, tuple[Kernel, ...]]:
    """Return a layer's kernel as it is judged, and as it is taken apart: by its weights, and by the samples."""
    plain = Kernel(place.kernel)
    if response is None:
        return plain, (plain,)
    return response.judged(place), (plain, response.fitted(place))


def factors_of(place: Place, option: RankOption, response: Response | None) -> tuple[Factor, ...]:
    """Return the factors of a chosen option."""
    judge, candidates = kernels_of(place, response)
    return best_factors(judge, option.method, option.ranks, *candidates)[0]


def _cheaper(place: Place, method: str, round_to: int) -> Iterator[tuple[Ranks, FactorCost]]:
    """Give the ranks of a method whose factors take fewer multiply-accumulates, parameters and bytes than the layer."""
    whole, shape = whole_cost(place), place.kernel.shape
    full = full_ranks(method, shape)

    def cheap(ranks: Ranks) -> FactorCost | None:
        cost = cost_of(place, outlines(method, shape, ranks))
        fewer = cost.macs < whole.macs or place.is_embedding
        return cost if fewer and cost.parameters < whole.parameters and cost.bytes < whole.bytes else None

    for ranks in _pairs(full, round_to) if method == "tucker" else _singles(full[0], round_to, cheap, method):
        cost = cheap(ranks)
        if cost is not None:
            yield ranks, cost


def _singles(full: int, round_to: int, cheap: Any, method: str) -> list[Ranks]:
    steps = range(round_to, full, round_to)
    ranks = [rank for rank in steps if cheap((rank,)) is not None]
    ranks = ranks or [rank for rank in range(1, min(full, round_to)) if cheap((rank,)) is not None]
    return [(rank,) for rank in _spread(ranks, CP_CHOICES if method == "cp" else CHOICES)]


def _pairs(full: Ranks, round_to: int) -> list[Ranks]:
    firsts = _spread(_steps(full[0], round_to), TUCKER_CHOICES)
    found = {
        (first, _near(skew * first / full[0] * full[1], full[1], round_to))
        for first, skew in itertools.product(firsts, SKEWS)
    }
    return sorted(found)


def _steps(full: int, round_to: int) -> list[int]:
    return list(range(round_to, full, round_to)) or list(range(1, full))


def _near(wanted: float, full: int, round_to: int) -> int:
    steps = _steps(full, round_to)
    return min(steps, key=lambda step: abs(step - wanted)) if steps else full


def _spread(ranks: Sequence[int], most: int) -> list[int]:
    """Return at most so many of some ranks, evenly spread, the first and the last among them."""
    if len(ranks) <= most:
        return list(ranks)
    places = {round(n * (len(ranks) - 1) / (most - 1)) for n in range(most)}
    return [ranks[place] for place in sorted(places)]
