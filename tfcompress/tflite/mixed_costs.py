"""What each precision of each op costs in noise, bytes and time, measured; and the plans of least noise from it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tfcompress.errors import ContractError
from tfcompress.plans.knapsack import best_assignments
from tfcompress.plans.multiple_choice import Alternative, Assignment, Item, Knapsack, Switch
from tfcompress.progress import Progress
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.layer_noise import HeldBack, with_rounded_output, with_weights
from tfcompress.tflite.mixing import ACTIVATIONS, Mixer, Precision
from tfcompress.tflite.op_trials import OpTrials
from tfcompress.tflite.sites import Site

PLAIN: Precision = "int8"
BYTES, MS = "bytes", "ms"
"""Names of the two limits."""
Size = Callable[[bytes], int]


@dataclass(frozen=True)
class OpCosts:
    """What the precisions of one op cost.

    Attributes:
        noise: precision -> noise of the outputs where this op alone has it.
        size_bytes: precision -> bytes more than in the plain file.
        seconds: precision -> seconds more than in the plain file, casts on either side included; empty: not timed.
        refused: precision -> why it is not to be had.
    """

    noise: dict[Precision, float] = field(default_factory=dict)
    size_bytes: dict[Precision, int] = field(default_factory=dict)
    seconds: dict[Precision, float] = field(default_factory=dict)
    refused: dict[Precision, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LinkCosts:
    """What two ops cost each other of which the second alone takes what the first makes.

    Attributes:
        first: number of the op before.
        second: number of the op behind.
        noise: of the outputs where the tensor between them is rounded to 8 bits: spared where neither computes in int8.
        size_bytes: what two casts take that are spared where both have the same numbers.
        seconds: what is spared, by the precisions of both where they are not int8; empty: not timed.
    """

    first: int
    second: int
    noise: float
    size_bytes: int
    seconds: Mapping[tuple[Precision, Precision], float]


@dataclass(frozen=True)
class Costs:
    """All that was measured.

    Attributes:
        ops: number of an op -> what its precisions cost.
        links: between neighbours.
        rest: noise of the plain file that no op and no link explains.
    """

    ops: Mapping[int, OpCosts]
    links: tuple[LinkCosts, ...]
    rest: float

    def knapsack(self, limits: Mapping[str, float], fixed: Mapping[str, float]) -> Knapsack:
        """Return what is to be chosen.

        Args:
            limits: the most by :data:`BYTES` and :data:`MS`.
            fixed: what the plain file has of them.
        """
        items = tuple(
            Item(str(number), tuple(_alternative(costs, precision) for precision in costs.noise))
            for number, costs in self.ops.items()
        )
        switches = tuple(self._switch(link) for link in self.links)
        return Knapsack(items, switches, limits, {**fixed})

    def _switch(self, link: LinkCosts) -> Switch:
        pairs = {}
        for pair in itertools.product(self.ops[link.first].noise, self.ops[link.second].noise):
            if any(ACTIVATIONS[each] == "int8" for each in pair):
                pairs[pair] = Alternative("", link.noise)
            else:
                casts = 2 if pair[0] == pair[1] else 1
                spared = {BYTES: -link.size_bytes * casts / 2, MS: -1e3 * link.seconds.get(pair, 0.0)}
                pairs[pair] = Alternative("", 0.0, spared)
        return Switch(str(link.first), str(link.second), {(str(a), str(b)): cost for (a, b), cost in pairs.items()})

    def plans(self, limits: Mapping[str, float], fixed: Mapping[str, float], count: int) -> tuple[Assignment, ...]:
        """Return the plans of least predicted noise; see :func:`tfcompress.plans.knapsack.best_assignments`."""
        return best_assignments(self.knapsack(limits, fixed), count)

    def predicted_noise(self, plan: Assignment) -> float:
        """Return the noise that a plan's file should have."""
        return self.rest + plan.cost


def _alternative(costs: OpCosts, precision: Precision) -> Alternative:
    amounts = {BYTES: float(costs.size_bytes[precision]), MS: 1e3 * costs.seconds.get(precision, 0.0)}
    return Alternative(precision, costs.noise[precision], amounts)


@dataclass(frozen=True)
class CostMeasurements:
    """Measures what plans are made from.

    Attributes:
        mixer: writes files by plan.
        in_float: the float file of the same layers.
        float_bytes: size of the model's own float file, which a mixed one must be smaller than.
        held: samples to judge by.
        size: bytes of a file as it will be written.
        trials: runs files of one op.
        precisions: what an op may be beside int8.
        timed: whether ops are timed.
        progress: where progress goes.
    """

    mixer: Mixer
    in_float: bytes
    float_bytes: int
    held: HeldBack
    size: Size
    trials: OpTrials
    precisions: tuple[Precision, ...]
    timed: bool
    progress: Progress

    def costs(self, plain: bytes) -> Costs:
        """Measure every op and link.

        Args:
            plain: the int8 file.

        Raises:
            TfcompressError: the int8 or the float file itself does not run.
        """
        sites, links = self.mixer.sites, self.mixer.links()
        plain_bytes = self.size(plain)
        task_of = self.progress.task("measuring layers", len(sites) + len(links))
        if self.timed:
            with self.progress.task("timing ops"):
                self.trials.time_ahead(sites, (PLAIN, *self.precisions))
        with task_of as task, InterpreterProcess(plain) as process:
            plain_noise = self.held.noise(process, plain)
            ops, found = {}, []
            for site in sites:
                ops[site.number] = self._op(site, process, plain_bytes)
                task.advance()
            for first, second in links:
                found.append(self._link(first, second, ops, process, plain_bytes))
                task.advance()
        told = sum(costs.noise[PLAIN] for costs in ops.values()) + sum(link.noise for link in found)
        return Costs(ops, tuple(found), max(0.0, plain_noise - told))

    def _op(self, site: Site, process: InterpreterProcess, plain_bytes: int) -> OpCosts:
        costs = OpCosts()
        unable = self.trials.op_refusal_elsewhere(site, PLAIN) if self.timed else ""
        if unable:
            msg = f"{site.op} at {site.name!r} as plain int8 cannot be timed on {unable}; choose another --device"
            raise ContractError(msg)
        as_plain = self.trials.op_seconds(site, PLAIN) if self.timed else 0.0
        for precision in (PLAIN, *self.precisions):
            refusal = "" if precision == PLAIN else self.trials.refusal(site, precision)
            refusal = refusal or (self.trials.op_refusal_elsewhere(site, precision) if self.timed else "")
            seconds = 0.0
            if self.timed and not refusal and precision != PLAIN:
                seconds = self._seconds(site, precision) - as_plain
                refusal = "" if math.isfinite(seconds) else "the device cannot change numbers before or behind it"
            size = 0 if refusal or precision == PLAIN else self._bytes((site, precision)) - plain_bytes
            if precision == "int4" and size >= 0:
                refusal = refusal or "the file is no smaller for it"
            if refusal:
                costs.refused[precision] = refusal
                continue
            if precision == "float":
                costs.noise[precision] = 0.0
            elif precision == "int16":
                costs.noise[precision] = costs.noise[PLAIN]  # the same kernel
            else:
                rounded = with_weights(self.in_float, site, self.mixer.weights(site, precision))
                costs.noise[precision] = self.held.noise(process, rounded)
            costs.size_bytes[precision] = size
            if self.timed:
                costs.seconds[precision] = seconds
        return costs

    def _bytes(self, *choices: tuple[Site, Precision]) -> int:
        """Return the size of the file in which some ops have other numbers."""
        return self.size(self.mixer.mixed({site.number: precision for site, precision in choices}).content)

    def _seconds(self, site: Site, precision: Precision) -> float:
        """Return how long an op takes between neighbours in int8."""
        before = self.trials.cast_seconds(site.given, PLAIN, precision)
        return self.trials.op_seconds(site, precision) + before + self.trials.cast_seconds(site.made, precision, PLAIN)

    def _link(
        self,
        first: Site,
        second: Site,
        ops: Mapping[int, OpCosts],
        process: InterpreterProcess,
        plain_bytes: int,
    ) -> LinkCosts:
        rounded = with_rounded_output(self.in_float, first, *self.mixer.grid_of(first.made))
        noise = self.held.noise(process, rounded)
        one, other = ops[first.number], ops[second.number]
        both: list[Precision] = [p for p in self.precisions if ACTIVATIONS[p] != "int8" and p in one.noise]
        same = next((p for p in both if p in other.noise), None)
        spared = 0
        if same is not None:
            together = self._bytes((first, same), (second, same))
            spared = one.size_bytes[same] + other.size_bytes[same] + plain_bytes - together
        seconds: dict[tuple[Precision, Precision], float] = {}
        if self.timed:
            for pair in itertools.product(both, [p for p in both if p in other.noise]):
                spares = (
                    self.trials.cast_seconds(first.made, pair[0], PLAIN)
                    + self.trials.cast_seconds(first.made, PLAIN, pair[1])
                    - self.trials.cast_seconds(first.made, *pair)
                )
                seconds |= {pair: spares} if math.isfinite(spares) else {}
        return LinkCosts(first.number, second.number, noise, spared, seconds)
