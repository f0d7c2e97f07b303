"""The best plans of a mixed file, written and measured, and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfcompress.errors import ContractError, InfeasibleError, TfcompressError
from tfcompress.limits import LATENCY_UNITS, SIZE_UNITS, read_limit
from tfcompress.plans.multiple_choice import Assignment
from tfcompress.recipe import Export
from tfcompress.tflite.agreement import OutputAgreement
from tfcompress.tflite.attempt import Mixed
from tfcompress.tflite.contract import check_size
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.layer_noise import decibels, noise_of
from tfcompress.tflite.mixed_costs import BYTES, MS, PLAIN, CostMeasurements, Costs
from tfcompress.tflite.mixed_record import LayerChoices, MixedPlan, MixedRecord
from tfcompress.tflite.mixing import Mixture, Precision

DEFAULT_SIZE = "1.25x"
"""Largest file where no limit is given: without one, all would be float."""


@dataclass(frozen=True)
class _Tried:
    """A file that was written and measured.

    Attributes:
        choices: number of an op -> its precision, of those that are not int8.
        plan: where they come from; None: this is the plain int8 file.
        mixture: the file.
        size_bytes: of the file as it will be written.
        agreement: on the samples held back; empty: it does not run.
        seconds: that it takes; None: not timed.
        refusal: why it cannot be kept; empty: it can.
    """

    choices: dict[int, Precision]
    plan: Assignment | None
    mixture: Mixture
    size_bytes: int
    agreement: tuple[OutputAgreement, ...] = ()
    seconds: float | None = None
    refusal: str = ""

    @property
    def noise(self) -> float:
        """Power of the outputs' noise over what they vary by."""
        return noise_of(self.agreement) if self.agreement else float("inf")


class PlanTrials:
    """Plans, files and their measurements."""

    def __init__(self, measurements: CostMeasurements, plain: bytes, plain_bytes: int, asked: Export) -> None:
        """Take what is known.

        Args:
            measurements: what measures, and writes files.
            plain: the int8 file.
            plain_bytes: its size as it would be written, with what is added to it.
            asked: limits and number of plans.
        """
        self._from, self._plain, self._plain_bytes, self._asked = measurements, plain, plain_bytes, asked
        self._added = plain_bytes - measurements.size(plain)

    def best(self) -> Mixed:
        """Measure, plan, write, measure again, and choose.

        Raises:
            InfeasibleError: no plan keeps the limits.
            ContractError: none of the files does, measured.
        """
        costs = self._from.costs(self._plain)
        plain_seconds = self._plain_seconds() if self._from.timed else None
        limits = self._limits(plain_seconds)
        fixed = {BYTES: float(self._plain_bytes)} | ({} if plain_seconds is None else {MS: 1e3 * plain_seconds})
        with self._from.progress.task("trying plans"):
            try:
                plans = self._within(costs, limits, fixed)
            except InfeasibleError as error:
                raise self._without_use(error) from None
            tried = self._measured([self._written(None), *plans], int(limits[BYTES]))
        kept = [each for each in tried if not each.refusal]
        if not kept:
            told = "; ".join(dict.fromkeys(each.refusal for each in tried))
            msg = f"none of the {len(tried)} files that were tried keeps the limits: {told}; allow more"
            raise ContractError(msg)
        best = min(kept, key=lambda each: (each.noise, each.size_bytes))
        self._from.progress.note(_sentence(best, tried[0], len(plans), self._from.held.count))
        return Mixed(best.mixture.content, best.mixture.islands, self._record(costs, tried, best, limits))

    def _without_use(self, error: InfeasibleError) -> InfeasibleError:
        """Return what to say where no plan keeps the limits: another sentence where the float file is smaller still."""
        least, in_float = error.least[BYTES], self._from.float_bytes
        if not least >= in_float:
            return error
        msg = f"a mixed file has {least:,.0f} bytes at least, and the float file {in_float:,}; leave --mixed out"
        return InfeasibleError(msg, error.least)

    def _plain_seconds(self) -> float:
        found = self._from.trials.seconds([self._plain])[0]
        unable = self._from.trials.refusal_elsewhere(self._plain)
        if unable:
            msg = f"the plain int8 file does not run on {unable}; choose another --device"
            raise ContractError(msg)
        return found

    def _within(self, costs: Costs, limits: dict[str, float], fixed: dict[str, float]) -> list[_Tried]:
        """Plan and write files; once more, a little tighter, where some are too large, and larger than estimated."""
        files = [self._written(plan) for plan in costs.plans(limits, fixed, self._asked.plans)]
        if all(file.size_bytes <= limits[BYTES] for file in files):
            return files
        beyond = max(file.size_bytes - file.plan.amounts[BYTES] for file in files if file.plan)
        tighter = {**limits, BYTES: limits[BYTES] - beyond}
        try:
            return [self._written(plan) for plan in costs.plans(tighter, fixed, self._asked.plans)]
        except InfeasibleError:
            return files

    def _limits(self, plain_seconds: float | None) -> dict[str, float]:
        size = read_limit(self._asked.max_size or DEFAULT_SIZE, SIZE_UNITS).beside(self._plain_bytes)
        limits = {BYTES: min(size, self._from.float_bytes - 1.0)}  # a file larger than the float one is no use
        if plain_seconds is not None:
            limits[MS] = read_limit(self._asked.max_latency, LATENCY_UNITS).beside(1e3 * plain_seconds)
        return limits

    def _written(self, plan: Assignment | None) -> _Tried:
        choices: dict[int, Precision] = {}
        for site in self._from.mixer.sites if plan else ():
            chosen = next(p for p in self._precisions if plan and p == plan.choices[str(site.number)])
            if chosen != PLAIN:
                choices[site.number] = chosen
        mixture = self._mixed(choices) if choices else Mixture(self._plain, frozenset())
        return _Tried(choices, plan, mixture, self._from.size(mixture.content) + self._added)

    def _mixed(self, choices: dict[int, Precision]) -> Mixture:
        """Return the file of a plan, with the biases that are the better ones.

        What the int8 file's biases make good came from ops that may have other numbers in this plan.
        """
        mixer = self._from.mixer
        files = [mixer.mixed(choices, incoming=kept) for kept in ((True, False) if mixer.incoming else (False,))]
        return min(files, key=self._noise) if len(files) > 1 else files[0]

    def _noise(self, file: Mixture) -> float:
        try:
            with InterpreterProcess(file.content) as process:
                return self._from.held.noise(process, file.content)
        except TfcompressError:
            return float("inf")  # it is refused as a plan, with the reason

    @property
    def _precisions(self) -> tuple[Precision, ...]:
        return (PLAIN, *self._from.precisions)

    def _measured(self, written: Sequence[_Tried], most_bytes: int) -> list[_Tried]:
        """Return files with their measurements; the second plain file, where a plan is that, is left out."""
        files = [each for place, each in enumerate(written) if place == 0 or each.choices]
        seconds: Sequence[float | None] = [None] * len(files)
        if self._from.timed:
            seconds = self._from.trials.seconds([each.mixture.content for each in files])
        return [self._judged(each, took, seconds[0], most_bytes) for each, took in zip(files, seconds, strict=True)]

    def _judged(self, file: _Tried, seconds: float | None, plain: float | None, most_bytes: int) -> _Tried:
        agreement: tuple[OutputAgreement, ...] = ()
        refusal = ""
        try:
            with InterpreterProcess(file.mixture.content) as process:
                agreement = self._from.held.agreement(process, file.mixture.content)
            if file.choices:
                check_size(read_model_file(file.mixture.content), self._from.float_bytes)
        except TfcompressError as error:
            refusal = str(error)
        if file.size_bytes > most_bytes:
            refusal = f"{file.size_bytes:,} bytes of {most_bytes:,}"
        if seconds is not None and plain is not None:
            most_ms = read_limit(self._asked.max_latency, LATENCY_UNITS).beside(1e3 * plain)
            unable = self._from.trials.refusal_elsewhere(file.mixture.content)
            if unable:
                refusal, seconds = f"it does not run on {unable}", None
            elif 1e3 * seconds > most_ms:
                refusal = f"{1e3 * seconds:.3g} ms of {most_ms:.3g} ms, measured"
        return _Tried(file.choices, file.plan, file.mixture, file.size_bytes, agreement, seconds, refusal)

    def _record(self, costs: Costs, tried: Sequence[_Tried], best: _Tried, limits: dict[str, float]) -> MixedRecord:
        asked = self._asked
        size = asked.max_size or f"{DEFAULT_SIZE}, as no limit was given"
        where = f" on {asked.device}" if asked.device != Export.device else ""
        latency = f", latency {asked.max_latency}{where}" if asked.max_latency else ""
        return MixedRecord(
            layers=tuple(self._layers(costs, best)),
            plans=tuple(self._plan(costs, each, chosen=each is best) for each in tried),
            largest_bytes=int(limits[BYTES]),
            largest_ms=limits.get(MS),
            limit=f"size {size}{latency}",
            device=asked.device if asked.max_latency else "",
            held_back=self._from.held.count,
            seconds=0.0,
        )

    def _layers(self, costs: Costs, best: _Tried) -> list[LayerChoices]:
        return [
            LayerChoices(
                layer=site.name,
                op=site.op,
                chosen=best.choices.get(site.number, PLAIN),
                noise={str(name): value for name, value in costs.ops[site.number].noise.items()},
                size_bytes={str(name): value for name, value in costs.ops[site.number].size_bytes.items()},
                latency_ms={str(name): 1e3 * value for name, value in costs.ops[site.number].seconds.items()},
                refused={str(name): why for name, why in costs.ops[site.number].refused.items()},
            )
            for site in self._from.mixer.sites
        ]

    def _plan(self, costs: Costs, tried: _Tried, *, chosen: bool) -> MixedPlan:
        plan = tried.plan
        if plan is None:
            fixed = {BYTES: float(self._plain_bytes)}
            plan = costs.knapsack({}, fixed).assignment({str(number): str(PLAIN) for number in costs.ops})
        timed = tried.seconds is not None and tried.plan is not None
        names = {site.number: site.name for site in self._from.mixer.sites}
        top1 = [each.top1 for each in tried.agreement if each.top1 is not None]
        return MixedPlan(
            layers={names[number]: str(precision) for number, precision in tried.choices.items()},
            predicted_db=decibels(costs.predicted_noise(plan)),
            agreement_db=decibels(tried.noise) if tried.agreement else None,
            predicted_top1=self._from.held.same_top1(costs.predicted_noise(plan)),
            top1=min(top1, default=None),
            predicted_bytes=round(plan.amounts[BYTES]),
            size_bytes=tried.size_bytes,
            predicted_ms=plan.amounts[MS] if timed else None,
            latency_ms=None if tried.seconds is None else 1e3 * tried.seconds,
            refusal=tried.refusal,
            chosen=chosen,
        )


def _sentence(best: _Tried, plain: _Tried, plans: int, held: int) -> str:
    before = f"the plain int8 file {decibels(plain.noise):.1f} dB ({plain.size_bytes:,} bytes)"
    if not best.choices:
        return f"mixed precision brings nothing within the limits: {before} on {held} samples held back, and no better"
    counts: dict[str, int] = {}
    for precision in best.choices.values():
        counts[precision] = counts.get(precision, 0) + 1
    told = ", ".join(f"{count} op{'s' if count > 1 else ''} in {name}" for name, count in counts.items())
    return (
        f"mixed precision, best of {plans} plans on {held} samples held back: {told}: {decibels(best.noise):.1f} dB "
        f"({best.size_bytes:,} bytes), {before}"
    )
