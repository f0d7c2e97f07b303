"""What is left open of a cluster stage, measured before the training.

That is whether there is one code book a channel or one a kernel, and how many values each layer gets within a budget of
bytes. For that each layer is clustered by itself in a copy of the model, at several numbers of values, and what that
does to the outputs on samples is its cost; what it takes in the file is computed from the indices. An integer programme
chooses.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import DataError, InfeasibleError, UsageError
from tfcompress.models.copies import Slot, check_graph, layers_with_kernels, model_copy
from tfcompress.models.signature import call
from tfcompress.plans.knapsack import best_assignments
from tfcompress.plans.multiple_choice import Alternative, Item, Knapsack
from tfcompress.recipe import Cluster, Prune
from tfcompress.stages.decisions import Planned, PlanningContext
from tfcompress.weights.clustering import Clustering, clusterable, clusters_apart, kernels_to_cluster
from tfcompress.weights.code_book_sizes import Storage, stored_bytes
from tfcompress.weights.constraints import numpy_of

COUNTS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Numbers of values that are tried in a package, whose indices take parts of a bit; in tables, the powers of two."""

_BETTER_DB = 1.0
"""What one code book a channel has to gain over one a kernel to be worth more bytes."""

VALUE_BITS = {"none": 32, "float16": 16, "int8": 6}
"""``quantize`` -> bits of a value that a package stores once, about; int8 values are coded one after the other."""

_CAP_DB = 120.0

_FAR = 1e30  # stands for an output that became infinite

_MARGIN = 0.01
"""Part of a budget that is left free: training moves the numbers of values that occur, and so what is stored."""


def planned(model: Any, stage: Cluster, context: PlanningContext) -> Planned:
    """Decide what a cluster stage leaves open.

    Args:
        model: the Keras 3 model that it will train; it stays as it is.
        stage: what is asked.
        context: what may be used.

    Raises:
        DataError: a budget without samples.
        UsageError: a budget where no file is made.
        InfeasibleError: a budget that is too small even for the fewest values; with what that takes.
        UnsupportedError: there is nothing to cluster, or no graph of layers.
    """
    check_graph(model)
    stage, notes = _without_measuring(model, stage, context)
    if not stage.undecided:
        return Planned(stage, notes)
    work = _Trial.of(model, context)
    if stage.per_channel is None:
        stage, told = _with_books(stage, work)
        notes += told
    if stage.budget:
        stage, told = _within_budget(stage, work)
        notes += told
    return Planned(stage, notes)


def _without_measuring(model: Any, stage: Cluster, context: PlanningContext) -> tuple[Cluster, tuple[str, ...]]:
    """Decide where no kernel has channels apart, so that it is all the same, or for what the target stores in less."""
    if stage.per_channel is not None:
        return stage, ()
    if not any(map(clusters_apart, _slots(model, stage))):
        return dataclasses.replace(stage, per_channel=False), ()
    if context.export is None:
        return stage, ()
    target = context.export.deployment
    if target.accelerator:
        note = f"cluster takes one code book a kernel: the compiler for {target.name!r} codes a kernel whole"
        return dataclasses.replace(stage, per_channel=False), (note,)
    if context.export.lookup:
        note = "cluster takes one code book a channel: look-up tables have one for each"
        return dataclasses.replace(stage, per_channel=True), (note,)
    return stage, ()


def _slots(model: Any, stage: Cluster) -> list[Slot]:
    """Return the kernels of a model that a stage clusters."""
    chosen = kernels_to_cluster(stage, layers_with_kernels(model)).layers
    return [slot for path, layer in chosen.items() for slot in clusterable(path, layer)]


@dataclass(frozen=True)
class _Trial:
    """A copy of the model whose kernels are exchanged, and what the model itself gives.

    Attributes:
        model: the copy.
        context: what may be used.
        outputs: of the model on the samples; empty: there are no samples.
    """

    model: Any
    context: PlanningContext
    outputs: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, model: Any, context: PlanningContext) -> _Trial:
        copied = model_copy(model)
        given = context.samples
        return cls(copied, context, {} if given is None else call(copied, given.inputs))

    def outputs_with(self, kernels: Sequence[tuple[Any, np.ndarray]]) -> Mapping[str, np.ndarray]:
        """Return what the model gives with other values in some variables, which get their own back."""
        before = [(variable, numpy_of(variable).copy()) for variable, _ in kernels]
        try:
            for variable, value in kernels:
                variable.assign(value)
            return call(self.model, self._samples)
        finally:
            for variable, value in before:
                variable.assign(value)

    @property
    def _samples(self) -> Mapping[str, np.ndarray]:
        if self.context.samples is None:
            msg = "cluster.budget is kept by what layers cost on samples; give samples= (attach), or data"
            raise DataError(msg)
        return self.context.samples.inputs

    @property
    def storage(self) -> Storage:
        """How values are stored."""
        export = self.context.export
        if export is None:
            return Storage()
        return Storage(tables=export.lookup, value_bits=VALUE_BITS.get(export.quantize, VALUE_BITS["int8"]))


def _with_books(stage: Cluster, work: _Trial) -> tuple[Cluster, tuple[str, ...]]:
    """Decide for one code book a channel, or one a kernel."""
    ways = {name: dataclasses.replace(stage, per_channel=per) for name, per in (("channel", True), ("kernel", False))}
    found = {name: _measured(way, work) for name, way in ways.items()}
    best_db = max(each.agreement_db for each in found.values())
    close = [name for name, each in found.items() if each.agreement_db >= best_db - _BETTER_DB]
    chosen = min(close, key=lambda name: found[name].size_bytes)
    told = "; ".join(f"one a {name}: {each}" for name, each in found.items())
    note = f"cluster measured code books before training ({told}) and takes one a {chosen}"
    return ways[chosen], (note,)


@dataclass(frozen=True)
class _Measured:
    size_bytes: float
    agreement_db: float
    judged_by: str

    def __str__(self) -> str:
        return f"{self.size_bytes:,.0f} bytes of kernels, {self.agreement_db:.1f} dB {self.judged_by}"


def _measured(stage: Cluster, work: _Trial) -> _Measured:
    """Return what all kernels take that a stage clusters, and how the model agrees with itself then, untrained."""
    slots = _slots(work.model, stage)
    clustering = Clustering(stage, slots, (), work.context.seed)
    kernels = [(slot.variable, value) for slot, value in zip(slots, clustering.current().values(), strict=True)]
    size = sum(
        stored_bytes(value, stage.count_of(slot.layer), clustering.axis_of(slot), work.storage)
        for slot, (_, value) in zip(slots, kernels, strict=True)
    )
    if not work.outputs:
        power = sum(float(np.square(numpy_of(variable)).sum()) for variable, _ in kernels)
        noise = sum(float(np.square(value - numpy_of(variable)).sum()) for variable, value in kernels)
        return _Measured(size, _decibels(noise, power), "of the weights")
    return _Measured(size, agreement_db(work.outputs, work.outputs_with(kernels)), "of the outputs")


def _within_budget(stage: Cluster, work: _Trial) -> tuple[Cluster, tuple[str, ...]]:
    """Choose the number of values of each layer."""
    context = work.context
    if context.measure_file is None:
        msg = (
            "cluster.budget is about the bytes of the finished file, which attach does not know; give it to "
            "tfcompress.compress or export, or say cluster.layers"
        )
        raise UsageError(msg)
    layers = _by_layer(_slots(work.model, dataclasses.replace(stage, clusters=_fewest(stage, context))))
    sizes = Counter(int(np.prod(slot.variable.shape)) for slots in layers.values() for slot in slots)
    with context.progress.task("measuring how many values each layer needs", len(layers)) as task:
        rest = context.measure_file(work.model, sizes)
        items = []
        for path, slots in layers.items():
            task.describe(path)
            items.append(Item(path, tuple(_options(path, slots, stage, work))))
            task.advance()
    budget = stage.budget_bytes(rest.plain_bytes)
    try:
        (plan, *_) = best_assignments(
            Knapsack(tuple(items), limits={"bytes": budget * (1.0 - _MARGIN)}, fixed={"bytes": float(rest.rest_bytes)})
        )
    except InfeasibleError as error:
        least = error.least["bytes"] / (1.0 - _MARGIN)
        msg = f"cluster.budget must be at least {least:,.0f} bytes for this model, got {stage.budget!r}"
        raise InfeasibleError(msg, {"bytes": least}) from error
    what = "the file with look-up tables" if work.storage.tables else "the package"
    counts = tuple(f"{path}={plan.choices[path]}" for path in layers)
    note = (
        f"cluster gives so many values: {', '.join(counts)}; {what} then takes about {plan.amounts['bytes']:,.0f} bytes"
    )
    # A name alone is also that of a layer inside another model, whose whole path has to be looked at first.
    inner_first = tuple(sorted(counts, key=lambda text: -text.count("/")))
    return dataclasses.replace(stage, layers=inner_first, budget=""), (note,)


def _by_layer(slots: Sequence[Slot]) -> dict[str, list[Slot]]:
    found: dict[str, list[Slot]] = {}
    for slot in slots:
        found.setdefault(slot.layer, []).append(slot)
    return found


def _fewest(stage: Cluster, context: PlanningContext) -> int:
    zero_apart = stage.scheme == "power_of_two" or any(isinstance(other, Prune) for other in context.beside)
    return 3 if zero_apart else 2


def _options(path: str, slots: Sequence[Slot], stage: Cluster, work: _Trial) -> Iterator[Alternative]:
    """Yield what each number of values costs in a layer, and what its kernels take then."""
    counts = [2**bits for bits in range(1, 9)] if work.storage.tables else list(COUNTS)
    least = _fewest(stage, work.context)
    tried = sorted({count for count in (*counts, stage.clusters) if least <= count <= stage.clusters})
    best = float("inf")
    for count in tried:
        asked = dataclasses.replace(stage, clusters=count, layers=(), budget="")
        clustering = Clustering(asked, slots, (), work.context.seed)
        kernels = [(slot.variable, value) for slot, value in zip(slots, clustering.current().values(), strict=True)]
        size = sum(
            stored_bytes(value, count, clustering.axis_of(slot), work.storage)
            for slot, (_, value) in zip(slots, kernels, strict=True)
        )
        best = min(
            best, divergence(work.outputs, work.outputs_with(kernels))
        )  # samples are few, and noise has its luck
        yield Alternative(str(count), best, {"bytes": size})


def divergence(expected: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]) -> float:
    """Return how far outputs moved, summed over them; of one layer after the other it adds up, about.

    Of probabilities it is the mean Kullback-Leibler divergence from the expected ones, of other numbers the mean
    squared difference over their variance.

    Args:
        expected: an array of shape (samples, ...) for each output by name.
        got: the same of another model.
    """
    return sum(_moved(*_comparable(values, got[name])) for name, values in expected.items())


def _comparable(expected: np.ndarray, got: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both with 0 where what is expected is infinite (a mask, say), which nothing can be compared with."""
    finite = np.isfinite(expected)
    one, other = (np.where(finite, values, 0.0).astype(np.float64) for values in (expected, got))
    return one, np.nan_to_num(other, nan=_FAR, posinf=_FAR, neginf=-_FAR)


def _moved(expected: np.ndarray, got: np.ndarray) -> float:
    if (
        expected.ndim > 1
        and expected.shape[-1] > 1
        and (expected >= 0).all()
        and np.allclose(expected.sum(-1), 1, atol=1e-3)
    ):
        one, other = (np.maximum(values, 1e-9) for values in (expected, got))
        return float((one * np.log(one / other)).sum(axis=-1).mean())
    variance = float(np.var(expected, axis=0).mean())
    return float(np.square(got - expected).mean()) / (variance or 1.0)


def agreement_db(expected: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]) -> float:
    """Return the power of outputs over that of their difference, in decibels, from -120 to 120."""
    power = noise = 0.0
    for name, values in expected.items():
        one, other = _comparable(values, got[name])
        power += float(np.square(one).sum())
        noise += float(np.square(other - one).sum())
    return _decibels(noise, power)


def _decibels(noise: float, power: float) -> float:
    if not noise:
        return _CAP_DB
    return float(np.clip(10.0 * np.log10(power / noise), -_CAP_DB, _CAP_DB)) if power else 0.0
