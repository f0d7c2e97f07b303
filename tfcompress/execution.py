"""The stages of a run, between the loaded model and its export.

What rewrites the model goes first, in the order given and in as many cycles as were asked for, each fine-tuned; what
trains goes in the last fine-tuning, or is all there is. What each part has finished is kept for a run that is killed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcompress import files
from tfcompress.errors import DataError, UnsupportedError
from tfcompress.models.fingerprints import model_sha256
from tfcompress.models.own_training import in_class_of, own_training, refuse_own_training
from tfcompress.models.signature import samples_at_fault
from tfcompress.recipe import Stage
from tfcompress.resumption import Finished, Work, sources_sha256
from tfcompress.run import Run, Trained
from tfcompress.stage_training import SAMPLES, trained
from tfcompress.stages.stage import RewritingStage, TrainingStage
from tfcompress.undecided import decided_stages

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData
    from tfcompress.distillation.teacher import Teacher
    from tfcompress.job import Job
    from tfcompress.models.loading import Loaded
    from tfcompress.models.samples import Samples
    from tfcompress.stages.rewriting import Rewritten
    from tfcompress.training.fit import Training

JUDGED = 2000
"""Training samples by which a rewriting stage judges, and on which a sensitivity analysis measures accuracy."""

_LEFT = "left"
"""What is kept of a rewriting stage beside its model: see :attr:`tfcompress.stages.rewriting.Rewritten.left`."""

TUNING_RATE = 0.05
"""Share of the learning rate at which a whole model is tuned before it is rewritten: it is trained already."""


def run_stages(run: Run, work: Work) -> Trained:
    """Do what the recipe's stages ask for.

    Args:
        run: the run; its data has a training split.
        work: what a killed run of the same key has left behind, and what this one leaves.

    Raises:
        DataError: there is no data, or the model cannot compute some of it.
        UsageError: invalid stages.
        UnsupportedError: a stage cannot work on this model.
    """
    if run.data is None:
        msg = "stages need data"
        raise DataError(msg)
    rewriting = tuple(stage for stage in run.recipe.stages if isinstance(stage, RewritingStage))
    with samples_at_fault():
        if rewriting:
            return _Cycles(run, run.data, rewriting, work).done()
        return trained(run, run.data, lambda data: _attached(run, data), run.recipe.train.epochs, work, "training")


def _attached(run: Run, data: BoundData) -> Job:
    """Attach the stages by the first of the engines in question that takes this model."""
    from tfcompress.engines.session import engines_to_try
    from tfcompress.job import attach_to

    loaded, samples = run.loaded, _samples(run, data)
    stages = decided_stages(run, data, run.recipe.stages, samples)
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
        if loaded.writer == "keras3" and not loaded.refusal:
            refuse_own_training(loaded.native, f"engine {first!r} trains it in the other Keras")
        return attach_to(loaded.for_tfmot(), stages, **options)
    except UnsupportedError as error:
        if not others or loaded.refusal:
            raise
        run.warn(f"tfmot does not take this model ({error.reason}); the native engine trains it, in Keras 3")
    return attach_to(in_keras3(loaded), stages, **options)


def _teachers(run: Run, whole: Any) -> tuple[Teacher, ...]:
    """Return whom to learn from: those that were named, else the model before compression."""
    stage: Any = next((stage for stage in run.recipe.stages if stage.teaches), None)
    if stage is None or run.teachers:
        return run.teachers
    if whole is run.student and run.teaching is not None and run.teaching.resizing is not None:
        whole = run.teaching.resizing
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
    from tfcompress.training.first_samples import training_samples

    return training_samples(data, run.reference, run.recipe.train, count, run.student)


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

    @property
    def _whole(self) -> Any:
        """What is rewritten: the student, or the model itself."""
        return in_keras3(self.run.loaded) if self.run.student is None else self.run.student

    def done(self) -> Trained:
        """Do all cycles, of which every stage has as many as the others: the recipe refuses what differs."""
        cycles, tuning = self.rewriting[0].cycles, self.rewriting[0].tune_epochs
        getting_ready = [stage for stage in self.rewriting if stage.preparation]
        ready = max((stage.preparing_epochs(self.run.recipe.train.epochs) for stage in getting_ready), default=0)
        epochs = self._shared(cycles, tuning + ready)
        model = whole = self._whole
        done: list[Trained] = []
        first: dict[str, Any] = {}
        left: dict[str, float] = {}
        if tuning:
            done.append(self._tuned(whole, tuning))
            model = whole = done[0].model
        if ready:
            title = "training before the model is rewritten"
            done.append(self._fine_tuned(model, whole, ready, title, last=False, ready_for=getting_ready))
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
        model = self._whole
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
        return trained(self.run, self.data, attach, epochs, self.work, title, rate=TUNING_RATE, stages=())

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
            own = in_class_of(model, self.run.class_model)
            # Schedules are laid over this cycle's epochs: over all of the recipe's they would not come to their end.
            train = dataclasses.replace(self.run.recipe.train, epochs=epochs)
            teachers = _teachers(self.run, teacher)
            decided = decided_stages(self.run, self.data, stages, samples, model)
            return attach_to(own, decided, train=train, samples=samples, teachers=teachers)

        return trained(self.run, self.data, attach, epochs, self.work, title, stages=stages, ready_for=ready_for)


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
