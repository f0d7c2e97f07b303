"""The stages of a run: channels go first, then everything that trains trains, in as many cycles as were asked for."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress import files
from tfcompress.errors import DataError, UnsupportedError, UsageError
from tfcompress.progress import Progress
from tfcompress.recipe import Channels, Recipe, Stage

if TYPE_CHECKING:
    from tfcompress.channels.removal import ChannelsResult, Measure
    from tfcompress.data.dataset import BoundData
    from tfcompress.job import Job
    from tfcompress.models.loading import Loaded
    from tfcompress.models.samples import Samples
    from tfcompress.tflite.convert import ConverterProcess
    from tfcompress.training import Training

SAMPLES = 256
"""Training samples that a stage may look at before the training: for ranges, and for criteria by gradient."""

JUDGED = 2000
"""Training samples by which channels are judged, and on which a sensitivity analysis measures accuracy."""

TUNING_RATE = 0.05
"""Share of the learning rate at which a whole model is tuned before it loses channels: it is trained already."""


@dataclass
class Run:
    """One run's inputs, and what it has found out so far."""

    recipe: Recipe
    loaded: Loaded
    data: BoundData | None
    converter: ConverterProcess
    progress: Progress
    wall_seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase of the run."""
        started = time.perf_counter()
        yield
        self.wall_seconds[name] = self.wall_seconds.get(name, 0.0) + time.perf_counter() - started

    def warn(self, text: str) -> None:
        """Keep a warning for the report, and tell it now."""
        if text not in self.warnings:
            self.warnings.append(text)
            self.progress.note(text)


@dataclass(frozen=True)
class Staged:
    """A model after its stages.

    Attributes:
        model: the finished Keras model.
        job: the job of the last training.
        training: all trainings together.
    """

    model: Any
    job: Job
    training: Training


def run_stages(run: Run, folder: Path | None) -> Staged:
    """Do what the recipe's stages ask for.

    Args:
        run: the run; its data has a training split.
        folder: where a killed run's epochs are kept, to go on from; None: nowhere.

    Raises:
        DataError: there is no data.
        UsageError: stages that cannot be meant.
        UnsupportedError: a stage cannot work on this model.
    """
    if run.data is None:
        msg = "stages need data"
        raise DataError(msg)
    channels = run.recipe.stage("channels")
    if isinstance(channels, Channels):
        return _in_cycles(run, run.data, channels, folder)
    with run.phase("attach stages"), run.progress.task("preparing the stages"):
        job = _attached(run, run.data)
    return _trained(run, run.data, job, run.recipe.train.epochs, folder, "training")


def _attached(run: Run, data: BoundData) -> Job:
    """Attach the stages by the engine that was asked for, else by the one that takes this model.

    A tf_keras file goes to tfmot, as long as that takes it; everything else goes to the native engine, in Keras 3.
    """
    from tfcompress.job import attach

    stages, loaded = run.recipe.stages, run.loaded
    asked = {stage.engine for stage in stages} - {"auto"}
    options: dict[str, Any] = {"train": run.recipe.train, "samples": _samples(data, run.recipe.train.seed)}
    native = "native" in asked or any(stage.needs_native for stage in stages)
    if not native and ("tfmot" in asked or loaded.writer == "keras2"):
        try:
            return attach(loaded.for_tfmot(), *stages, **options)
        except UnsupportedError as error:
            if "tfmot" in asked or loaded.refusal:
                raise
            run.warn(f"tfmot does not take this model ({error}); the native engine trains it, in Keras 3")
    return attach(in_keras3(loaded), *stages, **options)


def in_keras3(loaded: Loaded) -> Any:
    """Return the model as a Keras 3 graph.

    Raises:
        UnsupportedError: it has none.
    """
    model = loaded.keras3
    if model is None:
        msg = f"model {loaded.source!r}: {loaded.refusal}"
        raise UnsupportedError(msg)
    return model


def _samples(data: BoundData, seed: int, count: int = SAMPLES) -> Samples:
    from tfcompress.models.samples import Samples

    inputs, labels = next(data.need_train().batches(count, seed=seed, limit=count))
    return Samples(inputs, labels)


def _trained(
    run: Run, data: BoundData, job: Job, epochs: int, folder: Path | None, title: str, *, rate: float = 1.0
) -> Staged:
    """Train for so many epochs at a part of the recipe's learning rate."""
    from tfcompress.models.signature import call
    from tfcompress.training import fit_

    asked = run.recipe.train
    learning_rate = None if asked.learning_rate is None else rate * asked.learning_rate
    train = dataclasses.replace(asked, epochs=epochs, learning_rate=learning_rate)
    backup = None if folder is None else folder / files.WORK / title.replace(" ", "-")
    with run.phase("train"):
        outputs = call(run.loaded.native, data.representative(SAMPLES, train.seed))
        training = fit_(job, data, train, outputs=outputs, progress=run.progress, backup=backup, title=title)
    with run.phase("finish stages"):
        return Staged(job.finish(), job, training)


def _in_cycles(run: Run, data: BoundData, stage: Channels, folder: Path | None) -> Staged:
    """Remove channels and fine-tune, in cycles; what else there is to train trains in the last one."""
    from tfcompress.job import attach_to

    cycles, epochs = stage.cycles, run.recipe.train.epochs - stage.tune_epochs
    if cycles > epochs:
        left = "train.epochs - channels.tune_epochs" if stage.tune_epochs else "train.epochs"
        msg = f"channels.cycles must be at most {left} ({epochs}): each cycle fine-tunes, got {cycles}"
        raise UsageError(msg)
    original = in_keras3(run.loaded)
    rest: tuple[Stage, ...] = tuple(each for each in run.recipe.stages if each is not stage)
    tuned = _tuned(run, data, original, stage.tune_epochs, folder)
    if tuned is not None:
        original = tuned.model
    done: list[Staged] = []
    for number, part in enumerate(stage.parts, start=1):
        last = number == cycles
        narrowed = _narrowed(run, data, done[-1].model if done else original, part, original)
        for note in narrowed.notes:
            run.warn(note)
        stages = rest if last else tuple(each for each in rest if each.kind == "distill")
        with run.phase("attach stages"):
            samples = _samples(data, run.recipe.train.seed)
            job = attach_to(narrowed.model, stages, train=run.recipe.train, samples=samples, teacher=original)
        turns = epochs - (epochs // cycles) * (cycles - 1) if last else epochs // cycles
        title = "training" if cycles == 1 else f"training, cycle {number} of {cycles}"
        done.append(_trained(run, data, job, turns, folder, title))
    parts = done if tuned is None else [tuned, *done]
    return dataclasses.replace(done[-1], training=_joined([each.training for each in parts]))


def _tuned(run: Run, data: BoundData, model: Any, epochs: int, folder: Path | None) -> Staged | None:
    """Return the whole model after a gentle training, where one is asked for; the given one stays as it is."""
    from tfcompress.job import attach_to

    if not epochs:
        return None
    job = attach_to(model, (), train=run.recipe.train)
    return _trained(run, data, job, epochs, folder, "tuning the whole model", rate=TUNING_RATE)


def _narrowed(run: Run, data: BoundData, model: Any, stage: Channels, original: Any) -> ChannelsResult:
    from tfcompress.channels.removal import remove_channels

    seed = run.recipe.train.seed
    with run.phase("remove channels"):
        return remove_channels(
            model,
            stage,
            samples=_samples(data, seed, JUDGED),
            measure=_stopwatch() if stage.of == "latency" else None,
            original=original,
            cache=files.cache_folder() if stage.max_drop is not None else None,
            seed=seed,
            progress=run.progress,
        )


def _stopwatch() -> Measure:
    from tfcompress.devices.latency import measure

    return measure


def _joined(trainings: list[Training]) -> Training:
    """Return several trainings as one."""
    return dataclasses.replace(
        trainings[-1],
        history=tuple(row for training in trainings for row in training.history),
        seconds=sum(training.seconds for training in trainings),
        resumed_at=sum(training.resumed_at for training in trainings),
    )
