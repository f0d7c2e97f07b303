"""The ladder to a file that loses no more than it may: cheap ways first, training last, until one is proven to.

Each rung is a way to a file; what a user asked for (stages, a calibration, a rounding) is in all of them, and a rung
changes only what was left open. The first file whose drop on the test split is within the limit, with the upper end of
its 95 % interval, is the result.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress.drop_limit import judged, no_data, with_ladder
from tfcompress.errors import (
    ContractError,
    ConversionError,
    DataError,
    MissingDependencyError,
    ModelError,
    PromiseError,
    RecipeError,
    UnsupportedError,
    UsageError,
)
from tfcompress.recipe import STAGES, Recipe
from tfcompress.reports.rungs import LadderRecord, RungRecord
from tfcompress.search.shortfall import binding, remedies
from tfcompress.settings import Export
from tfcompress.stages.flags import asking
from tfcompress.workbench import Result, Workbench

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.models.loading import Loaded
    from tfcompress.reports.report import Report
    from tfcompress.stages.stage import Stage

REFUSALS = (ContractError, ConversionError, UnsupportedError)
"""What a rung may end in and the next one be tried all the same."""

LATER_REFUSALS = (*REFUSALS, UsageError, DataError, ModelError, MissingDependencyError)
"""The same of the rungs behind the first: what they ask for beyond that, the ladder chose and not the user."""


@dataclass(frozen=True)
class Rung:
    """One way to a file.

    Attributes:
        name: what reports call it.
        about: what it does, in one sentence.
        recipe: from what was asked and the data to what is run; or why that would be no other way, in half a sentence.
        layerless: the sources without Keras layers for which it is a way of its own, too.
    """

    name: str
    about: str
    recipe: Callable[[Recipe, BoundData], Recipe | str]
    layerless: frozenset[str] = frozenset()


def _exporting(recipe: Recipe, **choices: Any) -> Recipe:
    return dataclasses.replace(recipe, export=dataclasses.replace(recipe.export, **choices))


def _trains_for_numbers(recipe: Recipe) -> Stage | None:
    """Return the stage that trains for what the export writes; None: the recipe has none."""
    return next((stage for stage in recipe.stages if stage.numbers), None)


def plain_recipe(recipe: Recipe, data: BoundData) -> Recipe | str:
    """Take what was asked; of several ways to integers, only the first."""
    first_only = recipe.export.tries and not recipe.export.mixed and not _trains_for_numbers(recipe)
    return _exporting(recipe, calibration="minmax") if first_only else recipe


def _uncorrectable(recipe: Recipe) -> str:
    """Return why nothing can be prepared for rounding that is not asked for already; empty: it can."""
    stage, export = _trains_for_numbers(recipe), recipe.export
    if stage is not None:
        return f"{asking(type(stage)).name} trains with ranges and rounding of its own"
    if export.quantize != "int8":
        return f"corrections are for int8, and {export.quantize} is asked for"
    if not export.tries:
        return "calibration, correct or rounding say how already"
    return ""


def corrected_recipe(recipe: Recipe, data: BoundData) -> Recipe | str:
    """Let measurements choose among the cheap corrections."""
    reason = _uncorrectable(recipe)
    if not reason and recipe.export.mixed:
        return "mixed precision chooses among corrections itself"
    return reason or recipe


def rounded_recipe(recipe: Recipe, data: BoundData) -> Recipe | str:
    """Round towards the float model's outputs, then correct the biases."""
    reason, export = _uncorrectable(recipe), recipe.export
    if reason:
        return reason
    if export.weight_bits != Export.weight_bits:
        return f"weights of {export.weight_bits} bits are rounded so in every way"
    if export.rounding != Export.rounding:
        return f"rounding {export.rounding} is asked for"
    return _exporting(recipe, rounding="gptq", correct=("bias",))


def mixed_recipe(recipe: Recipe, data: BoundData) -> Recipe | str:
    """Give some layers other numbers than int8."""
    stage, export = _trains_for_numbers(recipe), recipe.export
    if stage is not None:
        return f"{asking(type(stage)).name} trains all layers for one kind of numbers"
    if export.quantize != "int8":
        return f"mixed precision is for int8, and {export.quantize} is asked for"
    if export.mixed:
        return "it is asked for, so the first way was mixed already"
    if export.weight_bits != Export.weight_bits:
        return "weight_bits says how many bits all weights have"
    if export.deployment.accelerator:
        return f"target {export.target} computes with weights of 8 bits alone"
    return _exporting(recipe, mixed=True)


def trained_recipe(recipe: Recipe, data: BoundData) -> Recipe | str:
    """Add the stage that trains for the numbers of the file to what trains already, or let it train alone."""
    given = _trains_for_numbers(recipe)
    if given is not None:
        return f"{asking(type(given)).name} is asked for, so the first way was trained already"
    stage = next(filter(None, (kind.training_for(recipe.export) for kind in STAGES.values())), None)
    if stage is None:
        return f"no stage trains for {recipe.export.quantize}"
    if not recipe.stages and not recipe.train.if_needed:
        return "training is not allowed; --epochs N (train.if_needed) allows it"
    try:
        data.need_train()
    except DataError as error:
        return str(error)
    left_open = {
        name: getattr(Export(), name)
        for name in ("calibration", "correct", "rounding", "weight_bits", "mixed", "max_size", "max_latency", "plans")
    }
    export = dataclasses.replace(recipe.export, **left_open)
    train = dataclasses.replace(recipe.train, if_needed=False)
    return dataclasses.replace(recipe, stages=(*recipe.stages, stage), export=export, train=train)


RUNGS: tuple[Rung, ...] = (
    Rung(
        "plain",
        "What was asked for; of several ways to int8 the first.",
        plain_recipe,
        frozenset({"savedmodel", "tflite"}),
    ),
    Rung(
        "corrected",
        "The best of several cheap calibrations and corrections (--calibration auto).",
        corrected_recipe,
        frozenset({"tflite"}),
    ),
    Rung(
        "rounded",
        "Weights towards the float outputs, biases corrected (--rounding gptq --correct bias).",
        rounded_recipe,
    ),
    Rung("mixed", "Layers that int8 costs most in float, within 1.25 times the bytes (--mixed).", mixed_recipe),
    Rung("trained", "Trained for the numbers of the file (--qat), where training is allowed.", trained_recipe),
)
"""From the cheapest to the dearest."""


def planned_recipe(rung: Rung, recipe: Recipe, data: BoundData, loaded: Loaded) -> Recipe | str:
    """Return what a rung runs, or why it is none: a model without layers, its own reason, or a contradiction."""
    if not loaded.has_layers and loaded.writer not in rung.layerless:
        return loaded.refusal.partition(";")[0]
    try:
        return rung.recipe(recipe, data)
    except RecipeError as error:  # an engine that does not have the stage, say
        return str(error)


def climb(
    bench: Workbench,
    recipe: Recipe,
    *,
    output: str | Path | None = None,
    force: bool = False,
    test_samples: int | None = None,
) -> Result:
    """Run a recipe, and where its ``export.max_drop`` is not kept, one rung after the other.

    Args:
        bench: the model and its data.
        recipe: what is asked; without a limit it is run once.
        output: folder to write; None: nothing is written.
        force: replace an existing output folder.
        test_samples: how many test samples are written for edge_runner; see :meth:`Workbench.run`.

    Returns:
        The first result within the limit; its report's ``result.verification["promise"]`` holds all that was tried.

    Raises:
        PromiseError: no rung keeps the limit; nothing was written.
        TfcompressError: one of its classes; where no rung gives a file, what the first one raised.
    """
    options: dict[str, Any] = {"output": output, "force": force, "test_samples": test_samples}
    if not recipe.promises:
        return bench.run(recipe, **options)
    return _Climb(bench, recipe, options).result()


class _MissedError(PromiseError):
    """A file that loses too much."""

    def __init__(self, record: RungRecord, result: Result) -> None:
        super().__init__(record.said)
        self.record, self.result = record, result


class _Climb:
    """One way up."""

    def __init__(self, bench: Workbench, recipe: Recipe, options: dict[str, Any]) -> None:
        self._bench, self._recipe, self._options = bench, recipe, options
        self._limit = recipe.export.max_drop or 0.0
        self._records: list[RungRecord] = []
        self._missed: list[_MissedError] = []
        self._refused: list[Exception] = []

    def result(self) -> Result:
        """Try one rung after the other."""
        output = self._options["output"]
        target = None if output is None else Path(output)
        force = bool(self._options["force"])
        self._bench.check(self._recipe, output=target, force=force)
        data = self._bench.data(self._recipe.train)
        if data is None:
            raise no_data()
        planned = [(rung, planned_recipe(rung, self._recipe, data, self._bench.loaded)) for rung in RUNGS]
        seen = [(self._recipe.stages, self._recipe.train)]
        for _, recipe in planned:  # a mistake in what only the last rung looks at is told before the first
            if isinstance(recipe, Recipe) and (recipe.stages, recipe.train) not in seen:
                seen.append((recipe.stages, recipe.train))
                self._bench.check(recipe, output=target, force=force)
        for place, (rung, recipe) in enumerate(planned):
            if isinstance(recipe, str):
                self._records.append(RungRecord(name=rung.name, outcome="not tried", reason=recipe))
                continue
            rest = [RungRecord(name=later.name, outcome="not tried") for later, _ in planned[place + 1 :]]
            found = self._tried(rung, recipe, rest)
            if found is not None:
                return found
        raise self._failure()

    def _tried(self, rung: Rung, recipe: Recipe, rest: list[RungRecord]) -> Result | None:
        started = time.perf_counter()

        def examine(result: Result) -> Report:
            record = judged(result.report, recipe, rung.name, time.perf_counter() - started)
            if record.outcome == "missed":
                raise _MissedError(record, result)
            self._tell(record)
            return with_ladder(result.report, LadderRecord(max_drop=self._limit, rungs=(*self._records, record, *rest)))

        self._bench.progress.note(f"{rung.name}: {rung.about}")
        try:
            return self._bench.run(recipe, **self._options, examine=examine)
        except _MissedError as missed:
            self._missed.append(missed)
            self._records.append(missed.record)
            self._tell(missed.record)
        except self._passed_over as refusal:
            self._refused.append(refusal)
            seconds = time.perf_counter() - started
            record = RungRecord(
                name=rung.name, recipe=recipe.name, outcome="refused", reason=str(refusal), seconds=seconds
            )
            self._records.append(record)
            self._tell(self._records[-1])
        return None

    @property
    def _passed_over(self) -> tuple[type[Exception], ...]:
        """What the rung that is tried now may end in."""
        return LATER_REFUSALS if self._missed or self._refused else REFUSALS

    def _tell(self, record: RungRecord) -> None:
        verdict = {"kept": "within", "missed": "above"}.get(record.outcome)
        judgement = f": {verdict} {self._limit:g}" if verdict else ""
        self._bench.progress.note(f"{record.name}: {record.said}{judgement}")

    def _failure(self) -> Exception:
        """Return the error that says the best that was reached, what binds, and what to try."""
        if not self._missed:
            return self._no_file()
        best = min(self._missed, key=lambda missed: missed.record.high or 0.0)
        why = tuple(binding(self._bench, self._recipe, best.record, best.result))
        next_ways = remedies(self._recipe, best.record, self._bench.loaded)
        tried = len(self._missed) + len(self._refused)
        msg = (
            f"max_drop {self._limit:g} is not kept, and nothing was written: the best of {tried} way"
            f"{'' if tried == 1 else 's'} is {best.record.name}, {best.record.said}; what binds: {'; '.join(why)}; "
            f"try {', '.join(next_ways)}"
        )
        ladder = LadderRecord(max_drop=self._limit, rungs=tuple(self._records), binding=why)
        return PromiseError(msg, ladder.to_dict())

    def _no_file(self) -> Exception:
        """Return the error where no way gave a file: the first's own, unless the files were made and were too bad."""
        told = [(record.name, record.reason.partition("; ")[0]) for record in self._records if record.recipe]
        if not any(isinstance(refusal, ContractError) for refusal in self._refused):
            return self._refused[0]
        ways = "; ".join(f"{name}: {reason}" for name, reason in told)
        next_ways = ", ".join(remedies(self._recipe, None, self._bench.loaded))
        msg = (
            f"max_drop {self._limit:g} is not kept, and nothing was written: no way gives a file that is what was "
            f"asked for ({ways}); try {next_ways}"
        )
        ladder = LadderRecord(max_drop=self._limit, rungs=tuple(self._records), binding=(ways,))
        return PromiseError(msg, ladder.to_dict())
