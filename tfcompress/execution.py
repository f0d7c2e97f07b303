"""The stages of a run, between the loaded model and its export.

What rewrites the model goes first, in the order given and in as many cycles as were asked for, each fine-tuned; what
trains goes in the last fine-tuning, or is all there is. What each part has finished is kept for a run that is killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tfcompress import files
from tfcompress.errors import DataError, UnsupportedError
from tfcompress.models.fingerprints import model_sha256
from tfcompress.models.own_training import in_class_of, own_training, refuse_own_training
from tfcompress.progress import Progress
from tfcompress.recipe import Recipe, Stage, Train
from tfcompress.resumption import Finished, Work, sources_sha256
from tfcompress.stages.rewriting import prepare_training_
from tfcompress.stages.stage import RewritingStage, TrainingStage

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData
    from tfcompress.distillation.teacher import Teacher
    from tfcompress.job import Job
    from tfcompress.models.loading import Loaded
    from tfcompress.models.samples import Samples
    from tfcompress.stages.rewriting import Rewritten
    from tfcompress.tasks.task import Evaluation
    from tfcompress.tflite.convert import ConverterProcess
    from tfcompress.tracking.following import FollowedRun
    from tfcompress.training.fit import Training
    from tfcompress.training.teaching import Teaching
    from tfcompress.weights.promises import Promise

SAMPLES = 256
"""Training samples that a stage may look at before the training: for ranges, and for criteria by gradient."""

JUDGED = 2000
"""Training samples by which a rewriting stage judges, and on which a sensitivity analysis measures accuracy."""

_LEFT = "left"
"""What is kept of a rewriting stage beside its model: see :attr:`tfcompress.stages.rewriting.Rewritten.left`."""

TUNING_RATE = 0.05
"""Share of the learning rate at which a whole model is tuned before it is rewritten: it is trained already."""


@dataclass
class Run:
    """One run's inputs, and what it has found out so far.

    Attributes:
        recipe: what is done.
        loaded: the model.
        data: the bound data; None: there is none.
        converter: the converter's process.
        progress: where progress goes.
        loading: ``trust``, ``custom`` and ``limits``, for further model files.
        teaching: who is trained in place of the model, and who teaches; None: it is not known yet.
        wall_seconds: time of each phase.
        metadata: what is stored in the file for whoever opens it.
        warnings: lines for the report.
        baseline: the float file; None: there is none, or it is not made yet.
        scores: of the ``float`` file and the ``result``, once they are scored.
        closing: lets go of files and processes that the run holds.
        own_teachers: the model before compression, each time that it teaches with answers that are kept.
        followed: the run as trackers follow it; None: none does.
    """

    recipe: Recipe
    loaded: Loaded
    data: BoundData | None
    converter: ConverterProcess
    progress: Progress
    loading: Mapping[str, Any] = field(default_factory=dict)
    teaching: Teaching | None = None
    wall_seconds: dict[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    baseline: bytes | None = None
    scores: Mapping[str, Evaluation] = field(default_factory=dict)
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    own_teachers: list[Teacher] = field(default_factory=list)
    followed: FollowedRun | None = None

    def close(self) -> None:
        """Let go of what the run holds beside the model and its data."""
        self.closing.close()
        if self.teaching is not None:
            self.teaching.close()

    @property
    def student(self) -> Any:
        """The Keras 3 graph that is trained in place of the model; None: the model itself is."""
        return None if self.teaching is None else self.teaching.student

    @property
    def teachers(self) -> tuple[Teacher, ...]:
        """Whom to learn from; none: the model before compression."""
        return () if self.teaching is None else self.teaching.teachers

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
class Trained:
    """A model after a training of its stages.

    Attributes:
        model: the finished Keras model.
        engine: name of the engine that did the work.
        notes: what was left as it is and why, and what became of the schedules.
        promises: what each stage promised about each kernel, and what the kernel has.
        training: the training, or all trainings so far together.
    """

    model: Any
    engine: str
    notes: tuple[str, ...]
    promises: tuple[Promise, ...]
    training: Training


def run_stages(run: Run, work: Work) -> Trained:
    """Do what the recipe's stages ask for.

    Args:
        run: the run; its data has a training split.
        work: what a killed run of the same key has left behind, and what this one leaves.

    Raises:
        DataError: there is no data.
        UsageError: invalid stages.
        UnsupportedError: a stage cannot work on this model.
    """
    if run.data is None:
        msg = "stages need data"
        raise DataError(msg)
    rewriting = tuple(stage for stage in run.recipe.stages if isinstance(stage, RewritingStage))
    if rewriting:
        return _Cycles(run, run.data, rewriting, work).done()
    return _trained(run, run.data, lambda data: _attached(run, data), run.recipe.train.epochs, work, "training")


def _attached(run: Run, data: BoundData) -> Job:
    """Attach the stages by the first of the engines in question that takes this model."""
    from tfcompress.engines.session import engines_to_try
    from tfcompress.job import attach_to

    loaded, samples = run.loaded, _samples(run, data)
    stages = _decided(run, data, run.recipe.stages, samples)
    options: dict[str, Any] = {"train": run.recipe.train, "samples": samples}
    if run.student is not None:
        return attach_to(run.student, stages, teachers=run.teachers, **options)
    if not loaded.refusal and "compile" in own_training(loaded.native):
        refuse_own_training(loaded.native, "what it is to be compiled with is not known; use tfcompress.attach")
    first, *others = engines_to_try(stages, loaded.writer)
    if first == "native":
        model = in_keras3(loaded)
        return attach_to(model, stages, teachers=_teachers(run, model), **options)
    try:
        return attach_to(loaded.for_tfmot(), stages, **options)
    except UnsupportedError as error:
        if not others or loaded.refusal:
            raise
        run.warn(f"tfmot does not take this model ({error}); the native engine trains it, in Keras 3")
    return attach_to(in_keras3(loaded), stages, **options)


def _decided(
    run: Run, data: BoundData, stages: tuple[Stage, ...], samples: Samples, model: Any | None = None
) -> tuple[Stage, ...]:
    """Return stages with what was left open measured on the model that they will train; None: the run's own."""
    from tfcompress.stages.planning import PlanningContext, plan_stages
    from tfcompress.tflite.kernel_rest import untrained_rest_bytes

    if not any(stage.undecided for stage in stages):
        return stages
    learner = run.student if run.student is not None else run.loaded.keras3
    learner = learner if model is None else model
    if learner is None:
        return stages
    about = {"recipe": run.recipe, "data": data, "metadata": run.metadata, "converter": run.converter}
    context = PlanningContext(
        samples=samples,
        export=run.recipe.export,
        rest_bytes=functools.partial(untrained_rest_bytes, **about),
        seed=run.recipe.train.seed,
        progress=run.progress,
    )
    with run.phase("plan stages"):
        decided, notes = plan_stages(learner, stages, context)
    for note in notes:
        run.warn(note)
    return decided


def _teachers(run: Run, whole: Any) -> tuple[Teacher, ...]:
    """Return whom to learn from: those that were named, else the model before compression."""
    stage: Any = next((stage for stage in run.recipe.stages if stage.teaches), None)
    if stage is None or run.teachers:
        return run.teachers
    from tfcompress.distillation.teacher import own_teacher
    from tfcompress.teachers import kept_own_teacher
    from tfcompress.training.teaching import ANSWERS, can_keep_answers

    again = run.recipe.train.epochs > 1 and can_keep_answers(run.recipe.train)
    if again and not stage.compares_layers:
        kept = kept_own_teacher(whole, run.loading.get("custom", ()), files.cache_folder(ANSWERS))
        if kept is not None:
            run.closing.callback(kept[1])
            run.own_teachers.append(kept[0])
            return (kept[0],)
    return (own_teacher(whole),)


def in_keras3(loaded: Loaded) -> Any:
    """Return the model as a Keras 3 graph.

    Raises:
        UnsupportedError: it has none.
    """
    if loaded.writer == "keras2" and not loaded.refusal:
        refuse_own_training(loaded.native, "it was written for Keras 2 and the native engine trains it in Keras 3")
    model = loaded.keras3
    if model is None:
        msg = f"model {loaded.source!r}: {loaded.refusal}"
        raise UnsupportedError(msg)
    return model


def _samples(run: Run, data: BoundData, count: int = SAMPLES) -> Samples:
    from tfcompress.models.samples import Samples
    from tfcompress.training.targets import training_samples

    return Samples(*training_samples(data, run.loaded.native, count, run.recipe.train.seed))


def rewritten_model(run: Run, work: Work) -> Any:
    """Return the model after the recipe's rewriting stages in full, in one part and without any training.

    Args:
        run: the run; its data has a training split where there are such stages.
        work: where earlier runs left what they made, and this one leaves it.

    Raises:
        DataError: there is no data.
        UnsupportedError: a stage cannot work on this model.
    """
    whole = tuple(stage for stage in run.recipe.stages if isinstance(stage, RewritingStage))
    if not whole:
        return run.loaded.native
    if run.data is None:
        msg = "stages need data"
        raise DataError(msg)
    once = tuple(dataclasses.replace(stage.unprepared, cycles=1, tune_epochs=0) for stage in whole)
    return _Cycles(run, run.data, once, work).rewritten()


Attach = Callable[["BoundData"], "Job"]
"""Prepares the stages of a training."""


def _trained(
    run: Run,
    data: BoundData,
    attach: Attach,
    epochs: int,
    work: Work,
    title: str,
    *,
    rate: float = 1.0,
    stages: Sequence[Stage] | None = None,
    ready_for: Sequence[RewritingStage] = (),
) -> Trained:
    """Train for so many epochs at a part of the recipe's learning rate, or take what was finished before.

    *stages* are those that *attach* prepares; None: the recipe's. *ready_for* are those whose next part comes after
    this training, which makes the model ready for it: then its last epoch counts, not its best one.
    """
    stages = run.recipe.stages if stages is None else stages
    asked = dataclasses.asdict(run.recipe.train)
    work.begin(
        title,
        [[stage.kind, dataclasses.asdict(stage)] for stage in (*stages, *ready_for)],
        asked,
        epochs,
        rate,
        sources_sha256(stages),
    )
    kept = work.finished(title)
    if kept is not None:
        return _taken_up(run, kept)
    told = len(run.warnings)
    _seed_(run.recipe.train.seed)
    with run.phase("attach stages"), run.progress.task("preparing the stages"):
        job = attach(data)
        for stage in ready_for:
            job.callbacks += prepare_training_(job.model, stage, run.warn)
    train = dataclasses.replace(run.recipe.train, epochs=epochs)
    if ready_for:
        train = dataclasses.replace(train, keep="last", patience=None)
    training = _fitted(run, data, job, train, work, title, rate)
    with run.phase("finish stages"):
        made = Trained(job.finish(), job.engine, tuple(job.notes), tuple(job.promises()), training)
        work.keep(title, Finished(made.model, _facts(made), tuple(run.warnings[told:])))
    return made


def _seed_(seed: int) -> None:
    """Seed what layers that are copied draw their own seeds from."""
    import keras

    keras.utils.set_random_seed(seed)


def _fitted(run: Run, data: BoundData, job: Job, train: Train, work: Work, title: str, rate: float) -> Training:
    from tfcompress.models.signature import call
    from tfcompress.training.fit import fit_

    learning_rate = None if train.learning_rate is None else rate * train.learning_rate
    train = dataclasses.replace(train, learning_rate=learning_rate)
    with run.phase("train"):
        learner = run.loaded.native if run.student is None else run.student
        outputs = call(learner, data.representative(SAMPLES, train.seed))
        try:
            return fit_(
                job,
                data,
                train,
                outputs=outputs,
                teacher=run.loaded.native,
                progress=run.progress,
                backup=work.epochs(title),
                title=title,
                tell=_teller(run, job),
            )
        except Exception as error:  # a teacher's own comes through TensorFlow as one of TensorFlow's
            heard = (*run.teachers, *run.own_teachers)
            failure = next((teacher.failure for teacher in heard if teacher.failure), None)
            if failure is None:
                raise
            raise failure from error


def _teller(run: Run, job: Job) -> Callable[[int, Mapping[str, Any]], None] | None:
    """Return what tells trackers of each epoch; None: none follows the run."""
    followed = run.followed
    if followed is None:
        return None
    from tfcompress.tracking.epoch_values import logged, reached

    before = followed.steps

    def tell(epoch: int, logs: Mapping[str, Any]) -> None:
        followed.log({**logged(logs), **reached(job)}, before + epoch + 1)

    return tell


def _facts(made: Trained) -> dict[str, Any]:
    return {
        "engine": made.engine,
        "notes": list(made.notes),
        "promises": [dataclasses.asdict(promise) for promise in made.promises],
        "training": dataclasses.asdict(made.training),
    }


def _taken_up(run: Run, kept: Finished) -> Trained:
    """Return a training that a killed run had finished."""
    from tfcompress.training.fit import Training
    from tfcompress.weights.promises import Promise

    for text in kept.warnings:
        run.warn(text)
    facts, training = kept.facts, dict(kept.facts["training"])
    if run.followed is not None:
        from tfcompress.tracking.epoch_values import logged

        begun = run.followed.steps + int(training.get("resumed_at", 0))
        for place, row in enumerate(training["history"], start=1):
            run.followed.log(logged(row), begun + place)
    return Trained(
        kept.model,
        facts["engine"],
        tuple(facts["notes"]),
        tuple(Promise(**each) for each in facts["promises"]),
        Training(**{**training, "history": tuple(training["history"]), "notes": tuple(training.get("notes", ()))}),
    )


@dataclass(frozen=True)
class _Cycles:
    """Rewriting and fine-tuning, in turns.

    Each cycle does one part of every rewriting stage, in the order given; what trains by itself trains in the last one.
    Where a stage wants the model made ready, every training that a part of it follows does that: one before the first
    cycle, and those between two of them.
    """

    run: Run
    data: BoundData
    rewriting: Sequence[RewritingStage]
    work: Work

    def done(self) -> Trained:
        """Do all cycles, of which every stage has as many as the others: the recipe refuses what differs."""
        cycles, tuning = self.rewriting[0].cycles, self.rewriting[0].tune_epochs
        getting_ready = [stage for stage in self.rewriting if stage.preparation]
        before = max((stage.preparing_epochs(self.run.recipe.train.epochs) for stage in getting_ready), default=0)
        epochs = self._shared(cycles, tuning + before)
        model = whole = in_keras3(self.run.loaded) if self.run.student is None else self.run.student
        done: list[Trained] = []
        first: dict[str, Any] = {}
        left: dict[str, float] = {}
        if tuning:
            done.append(self._tuned(whole, tuning))
            model = whole = done[0].model
        if before:
            title = "training before the model is rewritten"
            done.append(self._fine_tuned(model, whole, before, title, last=False, ready_for=getting_ready))
            model = done[-1].model
        for number, turns in enumerate(epochs, start=1):
            title = "training" if cycles == 1 else f"training, cycle {number} of {cycles}"
            for stage in self.rewriting:
                part, kind = stage.parts[number - 1], stage.kind
                original, before = first.setdefault(kind, model), left.get(kind, 1.0)
                made = self._rewritten(model, part, f"{kind} {number}", original=original, left=before)
                model, left[kind] = made.model, made.left
            last = number == cycles
            later = () if last else getting_ready
            done.append(self._fine_tuned(model, whole, turns, title, last=last, ready_for=later))
            model = done[-1].model
        return dataclasses.replace(done[-1], training=_joined([each.training for each in done]))

    def rewritten(self) -> Any:
        """Return the model after the first part of every rewriting stage, with nothing trained."""
        model = in_keras3(self.run.loaded)
        for stage in self.rewriting:
            model = self._rewritten(model, stage.parts[0], f"{stage.kind} 1", original=model).model
        return model

    def _shared(self, cycles: int, before: int) -> list[int]:
        """Return each cycle's epochs, of those that are left; the last one has what is left over."""
        epochs = self.run.recipe.train.epochs - before
        each = epochs // cycles
        return [each] * (cycles - 1) + [epochs - each * (cycles - 1)]

    def _tuned(self, model: Any, epochs: int) -> Trained:
        """Return the whole model after a gentle training; the given one stays as it is."""
        from tfcompress.job import attach_to

        def attach(_: BoundData) -> Job:
            return attach_to(model, (), train=self.run.recipe.train)

        title = "tuning the whole model"
        return _trained(self.run, self.data, attach, epochs, self.work, title, rate=TUNING_RATE, stages=())

    def _rewritten(
        self, model: Any, stage: RewritingStage, title: str, *, original: Any, left: float = 1.0
    ) -> Rewritten:
        """Return the model after one part of a rewriting stage."""
        from tfcompress.stages.rewriting import RewritingContext, Rewritten, apply_rewriting

        seed, student = self.run.recipe.train.seed, self.run.student
        learner = None if student is None else model_sha256(student)
        self.work.begin(title, stage.kind, dataclasses.asdict(stage), seed, sources_sha256((stage,)), learner)
        kept = self.work.finished(title)
        if kept is None or _LEFT not in kept.facts:
            context = RewritingContext(
                samples=_samples(self.run, self.data, JUDGED),
                original=original,
                left=left,
                latency_ratio=_latency_ratio,
                cache=files.cache_folder(),
                seed=seed,
                progress=self.run.progress,
            )
            with self.run.phase(f"rewrite by {stage.kind}"):
                found = apply_rewriting(model, stage, context)
            kept = Finished(found.model, {_LEFT: found.left}, tuple(found.notes))
            self.work.keep(title, kept)
        for note in kept.warnings:
            self.run.warn(note)
        return Rewritten(kept.model, kept.warnings, kept.facts[_LEFT])

    def _fine_tuned(
        self,
        model: Any,
        teacher: Any,
        epochs: int,
        title: str,
        *,
        last: bool,
        ready_for: Sequence[RewritingStage] = (),
    ) -> Trained:
        from tfcompress.job import attach_to

        training = [stage for stage in self.run.recipe.stages if isinstance(stage, TrainingStage)]
        stages: tuple[Stage, ...] = tuple(stage for stage in training if last or stage.in_every_cycle)

        def attach(data: BoundData) -> Job:
            samples = _samples(self.run, data)
            own = in_class_of(model, self.run.loaded.native if self.run.student is None else self.run.student)
            # Schedules are laid over this cycle's epochs: over all of the recipe's they would not come to their end.
            train = dataclasses.replace(self.run.recipe.train, epochs=epochs)
            teachers = _teachers(self.run, teacher)
            decided = _decided(self.run, self.data, stages, samples, model)
            return attach_to(own, decided, train=train, samples=samples, teachers=teachers)

        return _trained(self.run, self.data, attach, epochs, self.work, title, stages=stages, ready_for=ready_for)


def _latency_ratio(original: Any, smaller: Any) -> float:
    from tfcompress.devices.latency import latency_ratio

    return latency_ratio(original, smaller)


def _joined(trainings: Sequence[Training]) -> Training:
    """Return several trainings as one."""
    return dataclasses.replace(
        trainings[-1],
        history=tuple(row for training in trainings for row in training.history),
        seconds=sum(training.seconds for training in trainings),
        resumed_at=sum(training.resumed_at for training in trainings),
        notes=tuple(dict.fromkeys(note for training in trainings for note in training.notes)),
    )
