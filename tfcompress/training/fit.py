"""The ``fit`` that ``compress`` runs by itself: loss by the task, progress, the epoch that is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.errors import DataError, RecipeError, UnsupportedError
from tfcompress.models.kinds import library_of
from tfcompress.progress import SILENT, Progress
from tfcompress.tracking.epoch_values import teller
from tfcompress.training.averaging import SAMPLES, LastWeights, keep_better_
from tfcompress.training.balance import class_weights
from tfcompress.training.best_epoch import BestEpoch
from tfcompress.training.choices import keeps_best, validation_split
from tfcompress.training.kept_epochs import kept_epochs
from tfcompress.training.objectives import TEMPERATURE, Objective, objectives, said_of
from tfcompress.training.targets import Targets, own_tasks

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData
    from tfcompress.job import Job
    from tfcompress.progress import ProgressTask
    from tfcompress.recipe import Train


@dataclass(frozen=True)
class Training:
    """What a fit left behind.

    Attributes:
        history: one dict an epoch, with the loss and metrics that Keras reported.
        seconds: wall time of the fit.
        loss: what the loss was, in words.
        samples: training samples an epoch; None when the source does not say.
        resumed_at: epochs that an earlier, killed run had done already; they are not in *history*.
        notes: what became of the epochs: which one was kept, whether the training ended early.
    """

    history: tuple[dict[str, float], ...]
    seconds: float
    loss: str
    samples: int | None
    resumed_at: int = 0
    notes: tuple[str, ...] = ()


def fit_(
    job: Job,
    data: BoundData,
    train: Train,
    *,
    outputs: Mapping[str, np.ndarray],
    teacher: Any = None,
    progress: Progress = SILENT,
    backup: Path | None = None,
    title: str = "training",
    tell: Callable[[int, Mapping[str, Any]], None] | None = None,
) -> Training:
    """Train ``job.model`` in place.

    Args:
        job: what :func:`tfcompress.job.attach` gave, for a model of either Keras.
        data: the bound data; its training split is used, and its validation split where there is one.
        train: epochs, batch size, optimizer, learning rate (None: Keras's own) and its decay, loss, augmentation,
            seed, balance, the epoch to keep, the average of the weights.
        outputs: the float model's outputs on a few samples by name, shape (n, k), to know probabilities from logits.
        teacher: the float model, from which outputs without labels learn; None: all have labels.
        progress: where progress is shown.
        backup: folder for the state after each epoch, from which a killed run goes on; None: nothing is kept.
        title: what the progress calls it.
        tell: called after each epoch, with its number from 0 and what Keras reports of it; None: nobody is.

    Raises:
        RecipeError: an optimizer or loss that Keras does not know.
        DataError: augmentation of what is no image; a decaying learning rate over data of unknown size.
        UnsupportedError: the loss became NaN or infinite.
    """
    keras = library_of(job.model)
    keras.utils.set_random_seed(train.seed)
    split = data.need_train()
    size = split.size if train.limit is None or split.size is None else min(split.size, train.limit)
    steps = None if size is None else -(-size // train.batch_size)
    aims = objectives(data, train, outputs, teacher, keras, _temperature(job))
    weights = {spec.name: spec.traits.weight for spec in data.signature.outputs if spec.name in aims}
    _compile(job.model, aims, _optimizer(train, keras, steps), weights, only=len(outputs) == 1)
    best = BestEpoch(lambda: job.unfinished, keep=keeps_best(data, train), patience=train.patience)
    kept = None if backup is None else kept_epochs(backup, job, best)
    done = 0 if kept is None else kept.resume_(job.model)
    current = [done]
    feeds = _feeds(data, train, aims, teacher, _Clock(done, None if _is_keras2(keras) else lambda: current[0]))
    last = LastWeights()
    started = time.perf_counter()
    with progress.task(title, None if steps is None else float(steps * train.epochs)) as task:
        callbacks = [_watcher(keras, task, train.epochs, current)]
        callbacks += [best.callback(keras)] if not best.idle else []
        callbacks += [last.callback(keras)] if train.ema is not None else []
        callbacks += [] if tell is None else [teller(keras, tell)]
        callbacks += [*job.callbacks, *([kept.callback()] if kept is not None else [])]
        first = {} if _is_keras2(keras) else {"initial_epoch": done}
        history = job.model.fit(
            feeds.train,
            epochs=train.epochs,
            validation_data=feeds.checks,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
            **first,
        ).history
    rows = [dict(zip(history, map(float, row), strict=True)) for row in zip(*history.values(), strict=True)]
    averaged = [np.array(weight) for weight in job.model.get_weights()] if train.ema is not None else []
    if averaged:
        job.model.set_weights(last.weights)
    put_back = best.put_back_(job.model, done + len(rows))
    notes = list(best.words(done + len(rows), put_back=put_back))
    if averaged:
        job.model.reset_metrics()
        notes.append(keep_better_(job.model, averaged, lambda: feeds.loss_of(job.model), feeds.judges))
    return Training(
        history=tuple(rows),
        seconds=time.perf_counter() - started,
        loss=said_of(aims),
        samples=size,
        resumed_at=done,
        notes=tuple(notes),
    )


def _is_keras2(keras: Any) -> bool:
    return bool(keras.__name__ == "tf_keras")


def _temperature(job: Job) -> float:
    """Return the temperature of the stage that has one, else the default one."""
    return float(next((s.temperature for s in job.stages if hasattr(s, "temperature")), TEMPERATURE))


def _compile(
    model: Any, aims: Mapping[str, Objective], optimizer: Any, weights: Mapping[str, float], *, only: bool
) -> None:
    losses = {name: aim.loss for name, aim in aims.items()}
    metrics = {name: aim.metrics for name, aim in aims.items()}
    model.compile(
        optimizer=optimizer,
        loss=next(iter(losses.values())) if only else losses,
        loss_weights=None if only or set(weights.values()) == {1.0} else dict(weights),
        metrics=next(iter(metrics.values())) if only else {name: kept for name, kept in metrics.items() if kept},
    )


@dataclass(frozen=True)
class _Clock:
    """Which epoch is fed: the first one, and the count of the others where Keras begins one more than it trains on."""

    first: int
    now: Callable[[], int] | None


@dataclass(frozen=True)
class _Feeds:
    """Samples as ``fit`` takes them: to train on, to check by (None: there are none), and to judge weights by."""

    train: Any
    checks: Any
    judged: Any
    judges: str

    def loss_of(self, model: Any) -> float:
        return float(model.evaluate(self.judged, verbose=0, return_dict=True)["loss"])


def _feeds(data: BoundData, train: Train, aims: Mapping[str, Objective], teacher: Any, clock: _Clock) -> _Feeds:
    from tfcompress.data.feeding import to_tf

    targets = Targets(
        ranks={spec.name: max(1, len(spec.shape)) for spec in data.signature.outputs},
        tasks=own_tasks(data),
        taught=tuple(name for name, aim in aims.items() if aim.taught),
        teacher=teacher,
        weights=class_weights(data) if train.balance else {},
    )
    feed = to_tf(
        data.need_train(),
        train.batch_size,
        train.seed,
        complete=targets,
        first_epoch=clock.first,
        limit=train.limit,
        augment=train.augment,
        epoch_of=clock.now,
    )
    checked = validation_split(data)
    if checked is not None:
        checks = to_tf(checked, train.batch_size, None, complete=targets)
        return _Feeds(feed, checks, checks, "the validation samples")
    few = min(SAMPLES, train.limit or SAMPLES)
    judged = to_tf(data.need_train(), train.batch_size, train.seed, complete=targets, limit=few, epoch_of=lambda: 0)
    return _Feeds(feed, None, judged, f"{few:,} training samples")


def _optimizer(train: Train, keras: Any, steps: int | None) -> Any:
    optimizer = named_optimizer(train.optimizer, keras)
    rate = train.learning_rate
    more = {} if train.ema is None else {"use_ema": True, "ema_momentum": train.ema}
    if train.decay == "constant":
        return type(optimizer)(**({} if rate is None else {"learning_rate": rate}), **more)
    if steps is None:
        msg = "train.decay 'cosine' needs to know the number of training samples, and this source does not give it"
        raise DataError(msg)
    peak = float(optimizer.learning_rate) if rate is None else rate
    return type(optimizer)(learning_rate=keras.optimizers.schedules.CosineDecay(peak, steps * train.epochs), **more)


def named_optimizer(name: str, keras: Any) -> Any:
    """Return an optimizer of *keras* by its name, with Keras's own settings.

    Raises:
        RecipeError: there is none of this name in this Keras.
    """
    if name.lower() == "muon" and keras.__name__ == "keras":
        from tfcompress.optimizers import KernelMuon

        return KernelMuon()
    try:
        return keras.optimizers.get(name)
    except ValueError as error:
        msg = f"train.optimizer must be the name of a Keras optimizer, got {name!r}"
        if name.lower() == "muon":
            msg = (
                "train.optimizer 'muon' trains Keras 3 models, and this one is trained in Keras 2; give --engine native"
                " or another optimizer"
            )
        raise RecipeError(msg) from error


def _watcher(keras: Any, task: ProgressTask, epochs: int, current: list[int]) -> Any:
    """Return a callback that moves the bar, keeps *current* the epoch, and stops at a loss that is no number."""

    class Watcher(keras.callbacks.Callback):  # type: ignore[misc]  # of either Keras
        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            current[0] = epoch
            if epoch and self.params.get("steps") and not getattr(self, "seen", False):
                task.advance(epoch * self.params["steps"])
            self.seen = True

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            task.advance()
            if batch % 20 == 0 and logs:
                words = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
                task.describe(f"epoch {current[0] + 1}/{epochs}  {words}")

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            loss = (logs or {}).get("loss", 0.0)
            if not np.isfinite(loss):
                msg = (
                    f"training diverged: the loss of epoch {epoch + 1} is {loss}; "
                    "lower --learning-rate, or check that the data is scaled as it was when the model was trained"
                )
                raise UnsupportedError(msg)

    return Watcher()
