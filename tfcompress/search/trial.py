"""One step of a trial: a candidate made into a file, untrained, after a short training or after the whole one.

Steps are plain values on their way to a worker and back, so that any executor can carry them. Nothing here looks at the
test split: files are scored on the validation split (:func:`tfcompress.data.validation.judged_by_validation`).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tfcompress import files
from tfcompress.data.memory import peak_bytes
from tfcompress.errors import TfcompressError
from tfcompress.kept_stages import KEPT_BYTES, KeptStages
from tfcompress.recipe import Recipe, from_dict
from tfcompress.search.space import Candidate
from tfcompress.settings import ANY_AGREEMENT_DB, Export
from tfcompress.stages.stage import InputSize, RewritingStage
from tfcompress.tasks.drop import points_lost
from tfcompress.tflite.micro.needs import needs_of

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.progress import Progress
    from tfcompress.settings import Export
    from tfcompress.tasks.score import Score
    from tfcompress.tflite.export import TFLiteModel
    from tfcompress.train_settings import Train
    from tfcompress.workbench import Workbench

StepKind = Literal["draft", "short", "full"]
"""``draft``: rewritten and exported, with nothing trained; ``short``: one epoch; ``full``: the recipe as it is."""

SHORT_EPOCHS = 1
"""Epochs of a short training."""


@dataclass(frozen=True, kw_only=True)
class TrialStep:
    """What a worker is asked to do.

    Attributes:
        candidate: what is tried.
        kind: how far.
        samples: of the validation split that a draft is scored on; None: all.
        most_bytes: a draft that is larger is not scored, since nobody wants it; None: every one is.
        file: where the .tflite is written; None: nowhere.
    """

    candidate: Candidate
    kind: StepKind
    samples: int | None = None
    most_bytes: int | None = None
    file: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON has them."""
        return {
            "recipe": self.candidate.recipe.to_dict(),
            "kind": self.kind,
            "samples": self.samples,
            "most_bytes": self.most_bytes,
            "file": self.file,
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> TrialStep:
        """Read what :meth:`to_dict` wrote."""
        values = dict(plain)
        return TrialStep(candidate=Candidate(from_dict(values.pop("recipe"))), **values)


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What came of a step; what was not measured is None.

    Attributes:
        points: what the file loses against float on the samples that were scored (:mod:`tfcompress.tasks.drop`).
        size_bytes: size of the file.
        gzip_bytes: the same after gzip.
        flash_bytes: that the microcontroller keeps which it is for.
        arena_bytes: of the tensor arena there.
        sha256: of the file.
        seconds: wall time of the step.
        trained_seconds: how much of it was training; 0 where everything was there already.
        peak_bytes: most memory that the worker and its children have had (:func:`tfcompress.data.memory.peak_bytes`).
        refusal: why the candidate cannot be had; empty: it can.
    """

    points: float | None = None
    size_bytes: int | None = None
    gzip_bytes: int | None = None
    flash_bytes: int | None = None
    arena_bytes: int | None = None
    sha256: str = ""
    seconds: float = 0.0
    trained_seconds: float = 0.0
    peak_bytes: int = 0
    refusal: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON has them."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What a worker needs to open its workbench.

    Attributes:
        model: path of the model; a model object only for steps in this process.
        data: arguments of :func:`tfcompress.load_data`, its ``spec`` (a path or a name) among them; in this process
            whatever that takes or gives, too.
        loading: arguments of :class:`~tfcompress.workbench.Workbench` that say how the model is loaded.
        kept: the folder in which stages keep what they made; None: nothing is kept.
        kept_bytes: how large it may become.
    """

    model: Any
    data: Any
    loading: Mapping[str, Any] = field(default_factory=dict)
    kept: str | None = None
    kept_bytes: int = KEPT_BYTES

    @property
    def portable(self) -> bool:
        """Whether another process can open the same."""
        return isinstance(self.model, str) and self._names_data

    @property
    def _names_data(self) -> bool:
        return isinstance(self.data, Mapping) and isinstance(self.data.get("spec"), str)

    def workbench(self, *, judged_by: Literal["test", "val"] = "val", **more: Any) -> Workbench:
        """Return a workbench on the model; a file that takes more of a chip than it may is for the search to judge.

        Args:
            judged_by: the split that files are scored on.
            more: further arguments of :class:`~tfcompress.workbench.Workbench`.

        Raises:
            TfcompressError: data that cannot be opened.
        """
        from tfcompress.data.sources import load_data
        from tfcompress.workbench import Workbench

        data = self.data
        if self._names_data:
            arguments = dict(data)
            data = load_data(arguments.pop("spec"), **_with_preprocessing(arguments))
        kept = None if self.kept is None else KeptStages(Path(self.kept), self.kept_bytes)
        return Workbench(self.model, data, judged_by=judged_by, kept=kept, bounded=False, **self.loading, **more)


def _with_preprocessing(arguments: dict[str, Any]) -> dict[str, Any]:
    from tfcompress.data.preprocessing import Preprocessing

    steps = arguments.get("preprocessing")
    if isinstance(steps, Mapping):
        listed: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in steps.items()
        }
        arguments = {**arguments, "preprocessing": Preprocessing(**listed)}
    return arguments


class TrialBench:
    """A workbench that does the steps of trials, one after the other; a context manager."""

    def __init__(self, opening: Opening, *, progress: Progress | bool = False, log: Path | None = None) -> None:
        """Lay model and data ready.

        Args:
            opening: which.
            progress: where progress goes; False: nowhere.
            log: file that libraries' words are appended to.
        """
        self._bench = opening.workbench(progress=progress, log=log)
        self._floats: dict[tuple[Any, int | None], Score] = {}

    def __enter__(self) -> TrialBench:
        return self

    def __exit__(self, *_: object) -> None:
        self._bench.close()

    def run(self, step: TrialStep) -> StepResult:
        """Do a step.

        A candidate that this model or data refuses is an answer, not an error.

        Args:
            step: what to do.
        """
        started = time.perf_counter()
        try:
            found = self._draft(step) if step.kind == "draft" else self._trained(step)
        except TfcompressError as error:
            found = StepResult(refusal=f"{type(error).__name__}: {error}")
        return dataclasses.replace(found, seconds=time.perf_counter() - started, peak_bytes=peak_bytes())

    def _draft(self, step: TrialStep) -> StepResult:
        recipe = untrained(step.candidate.recipe)
        file = self._bench.export(self._bench.rewritten(recipe), recipe.export, train=recipe.train)
        found = _described(file, step.file)
        if step.most_bytes is not None and file.size_bytes > step.most_bytes:
            return found
        return dataclasses.replace(found, **self._scored(file, recipe.train, step.samples, recipe.input_size))

    def _trained(self, step: TrialStep) -> StepResult:
        recipe = shortened(step.candidate.recipe) if step.kind == "short" else step.candidate.recipe
        result = self._bench.run(recipe)
        report, score = result.report, result.report.result.score
        before = None if report.baseline is None else report.baseline.score
        points = None if score is None else 0.0 if before is None else points_lost(before, score)
        return dataclasses.replace(
            _described(result.tflite, step.file),
            points=points,
            trained_seconds=report.wall_seconds.get("train") or 0.0,
        )

    def _scored(self, file: TFLiteModel, train: Train, samples: int | None, size: InputSize | None) -> dict[str, Any]:
        """Score a file and the float file on some samples of the validation split."""
        from tfcompress.file_scores import evaluate_file

        data, taken = self._bench.data(train), self._bench.data(train, size)
        if data is None or data.scored is None or taken is None:
            return {}
        key = (train.division, samples)
        if key not in self._floats:
            baseline = self._bench.float_baseline(train)
            if baseline is None:
                return {}
            some = sampled(data, samples, train.seed)
            self._floats[key] = evaluate_file(baseline.content, some, "evaluating the float file").score
        score = evaluate_file(file.content, sampled(taken, samples, train.seed), "evaluating the file").score
        return {"points": points_lost(self._floats[key], score)}


def sampled(data: BoundData, count: int | None, seed: int) -> BoundData:
    """Return data whose split that is scored holds at most so many samples, drawn by *seed*; what belongs together is.

    Args:
        data: the bound data, with a split that can be scored.
        count: how many at most; None: all.
        seed: draws them.
    """
    if count is None or data.test is None:
        return data
    together = max((task.together for task in data.tasks.values()), default=1)
    return dataclasses.replace(data, test=data.test.sample(count, seed, together=together))


def untrained(recipe: Recipe) -> Recipe:
    """Return a recipe with only what rewrites, and one quick way to its numbers.

    What a stage that trains for these numbers says of them, as the export would (bits of a weight), the export does.
    How well the file agrees with its model is not asked yet: what is not trained for its numbers may agree badly.
    """
    rewriting = tuple(stage for stage in recipe.stages if isinstance(stage, RewritingStage))
    once = tuple(dataclasses.replace(stage.unprepared, cycles=1, tune_epochs=0) for stage in rewriting)
    said: dict[str, Any] = _not_proven(recipe.export)
    exports = {each.name for each in dataclasses.fields(recipe.export)}
    for stage in recipe.stages:
        own = {each.name for each in dataclasses.fields(stage)} if stage.numbers else set()
        said |= {name: getattr(stage, name) for name in own & exports}
    export = dataclasses.replace(recipe.export, **said)
    return dataclasses.replace(recipe, stages=once, export=export, title="")


def shortened(recipe: Recipe) -> Recipe:
    """Return a recipe with a training of :data:`SHORT_EPOCHS` in one part, and one quick way to its numbers.

    As in :func:`untrained`, how well the file agrees with its model is not asked.
    """
    stages = tuple(
        dataclasses.replace(stage.unprepared, cycles=1, tune_epochs=0) if isinstance(stage, RewritingStage) else stage
        for stage in recipe.stages
    )
    export = dataclasses.replace(recipe.export, **_not_proven(recipe.export))
    train = dataclasses.replace(recipe.train, epochs=SHORT_EPOCHS)
    return dataclasses.replace(recipe, stages=stages, train=train, export=export, title="")


def _not_proven(export: Export) -> dict[str, Any]:
    """Return what an export says whose file is on the way to another one."""
    return {"calibration": export.calibrator, "min_agreement_db": ANY_AGREEMENT_DB}


def _described(file: TFLiteModel, place: str | None) -> StepResult:
    if place is not None:
        files.write_atomic(Path(place), file.content)
    needs = needs_of(file)
    return StepResult(
        size_bytes=file.size_bytes,
        gzip_bytes=file.gzip_bytes,
        flash_bytes=None if needs is None else needs.flash_bytes,
        arena_bytes=None if needs is None else needs.arena_bytes,
        sha256=file.sha256,
    )
