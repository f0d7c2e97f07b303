"""One training of stages: prepared, fitted, finished, and kept for a run that is killed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfcompress.recipe import Stage, Train
from tfcompress.resumption import Finished, Work, decided_by, sources_sha256
from tfcompress.run import Run, Trained
from tfcompress.stages.rewriting import prepare_training_
from tfcompress.stages.stage import RewritingStage

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData
    from tfcompress.job import Job
    from tfcompress.training.fit import Training

SAMPLES = 256
"""Training samples that a stage may look at before the training: for ranges, and for criteria by gradient."""

Attach = Callable[["BoundData"], "Job"]
"""Prepares the stages of a training."""


def trained(
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

    Args:
        run: the run.
        data: the bound data.
        attach: prepares the stages.
        epochs: how many.
        work: what a killed run has left behind, and what this one leaves.
        title: what the training is called, in *work* and in progress.
        rate: share of the recipe's learning rate.
        stages: those that *attach* prepares; None: the recipe's.
        ready_for: those whose next part comes after this training, which makes the model ready for it: then its last
            epoch counts, not its best one.

    Raises:
        UnsupportedError: a stage cannot work on this model.
        UsageError: invalid stages.
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
        decided_by(stages, run.recipe.export),
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
    training = fitted(run, data, job, train, work, title, rate)
    with run.phase("finish stages"):
        made = Trained(job.finish(), job.engine, tuple(job.notes), tuple(job.promises()), training)
        work.keep(title, Finished(made.model, _facts(made), tuple(run.warnings[told:])))
    return made


def _seed_(seed: int) -> None:
    """Seed what layers that are copied draw their own seeds from."""
    import keras

    keras.utils.set_random_seed(seed)


def fitted(run: Run, data: BoundData, job: Job, train: Train, work: Work, title: str, rate: float) -> Training:
    """Fit what a job has prepared, at a part of the recipe's learning rate; see :func:`trained`.

    Raises:
        TfcompressError: what a teacher says of itself.
    """
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
                teacher=run.reference,
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
    """Return what reports each epoch to trackers; None: none follows the run."""
    followed = run.followed
    if followed is None or not followed.followed:
        return None
    from tfcompress.tracking.epoch_values import logged, reached

    before = followed.steps

    def tell(epoch: int, logs: Mapping[str, Any]) -> None:
        if followed.followed:  # what was reached takes a look at every kernel
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
