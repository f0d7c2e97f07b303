"""The ``fit`` that ``compress`` runs by itself: loss by the task, progress, and epochs that survive a kill."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.errors import RecipeError, UnsupportedError
from tfcompress.progress import SILENT, Progress, Task

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData
    from tfcompress.job import Job
    from tfcompress.recipe import Train


@dataclass(frozen=True)
class Training:
    """What a fit left behind.

    Attributes:
        history: one dict an epoch, with the loss and metrics that Keras reported.
        seconds: wall time of the fit.
        loss: name of the loss that was used.
        samples: training samples an epoch; None when the source does not tell.
        resumed_at: epochs that an earlier, killed run had done already; they are not in *history*.
    """

    history: tuple[dict[str, float], ...]
    seconds: float
    loss: str
    samples: int | None
    resumed_at: int = 0


def fit_(
    job: Job,
    data: BoundData,
    train: Train,
    *,
    outputs: Mapping[str, np.ndarray],
    progress: Progress = SILENT,
    backup: Path | None = None,
) -> Training:
    """Train ``job.model`` (a tf_keras model) in place.

    Args:
        job: what :func:`tfcompress.job.attach` gave for a tf_keras model.
        data: the bound data; its training split is used.
        train: epochs, batch size, optimizer, learning rate (None: Keras's own), loss, seed.
        outputs: the float model's outputs on a few samples by name, shape (n, k); they tell probabilities from logits.
        progress: where to tell how far it is.
        backup: folder for the state after each epoch, from which a killed run goes on; None: nothing is kept.

    Raises:
        RecipeError: an optimizer or loss that Keras does not know.
        UnsupportedError: the loss became NaN or infinite.
    """
    import tf_keras

    from tfcompress.data.feeding import to_tf

    tf_keras.utils.set_random_seed(train.seed)
    split = data.need_train()
    size = split.size if train.limit is None or split.size is None else min(split.size, train.limit)
    steps = None if size is None else -(-size // train.batch_size)
    losses = {name: choose_loss(task, outputs[name], train.loss) for name, task in data.tasks.items()}
    metrics = {name: ["accuracy"] for name, task in data.tasks.items() if task != "regression"}
    only = len(outputs) == 1
    job.model.compile(
        optimizer=_optimizer(train),
        loss=next(iter(losses.values())) if only else losses,
        metrics=next(iter(metrics.values()), None) if only else metrics,
    )
    done = 0 if backup is None else _epochs_done(backup)
    feed = to_tf(split, train.batch_size, train.seed, first_epoch=done, limit=train.limit)
    started = time.perf_counter()
    total = None if steps is None else float(steps * train.epochs)
    with progress.task("training", total) as task:
        callbacks = [*job.callbacks, _watcher(task, train.epochs)]
        if backup is not None:
            callbacks.append(tf_keras.callbacks.BackupAndRestore(str(backup), delete_checkpoint=False))
        history = job.model.fit(feed, epochs=train.epochs, callbacks=callbacks, verbose=0).history
    rows = zip(*history.values(), strict=True)
    return Training(
        history=tuple({name: float(value) for name, value in zip(history, row, strict=True)} for row in rows),
        seconds=time.perf_counter() - started,
        loss=", ".join(getattr(loss, "name", getattr(loss, "__name__", str(loss))) for loss in losses.values()),
        samples=size,
        resumed_at=done,
    )


def _epochs_done(backup: Path) -> int:
    """Return how many epochs a killed run has left behind in *backup*."""
    import tensorflow as tf

    saved = tf.train.latest_checkpoint(str(backup / "chief"))
    if saved is None:
        return 0
    return int(tf.train.load_variable(saved, "ckpt_saved_epoch/.ATTRIBUTES/VARIABLE_VALUE")) + 1


def choose_loss(task: str, outputs: np.ndarray, name: str) -> Any:
    """Return the tf_keras loss for *task*; probabilities and logits are told apart by the outputs themselves.

    Args:
        task: ``classification``, ``binary`` or ``regression``.
        outputs: the model's outputs on real samples, shape (n, k).
        name: ``auto``, or the name of a Keras loss.

    Raises:
        RecipeError: a name that Keras does not know.
    """
    import tf_keras

    if name != "auto":
        try:
            return tf_keras.losses.get(name)
        except ValueError as error:
            msg = f"train.loss must be 'auto' or the name of a Keras loss, got {name!r}"
            raise RecipeError(msg) from error
    if task == "regression":
        return tf_keras.losses.MeanSquaredError()
    if task == "binary":
        return tf_keras.losses.BinaryCrossentropy(from_logits=not _in_unit_interval(outputs))
    return tf_keras.losses.SparseCategoricalCrossentropy(from_logits=not are_probabilities(outputs))


def are_probabilities(outputs: np.ndarray) -> bool:
    """Tell whether every row of *outputs*, shape (..., k), lies in [0, 1] and sums to 1 (a softmax did that)."""
    return _in_unit_interval(outputs) and bool(np.allclose(outputs.sum(-1), 1.0, atol=1e-3))


def _in_unit_interval(outputs: np.ndarray) -> bool:
    return bool(outputs.min() >= 0.0 and outputs.max() <= 1.0)


def _optimizer(train: Train) -> Any:
    import tf_keras

    rate = train.learning_rate

    try:
        return tf_keras.optimizers.get(
            {"class_name": train.optimizer, "config": {} if rate is None else {"learning_rate": rate}}
        )
    except ValueError as error:
        msg = f"train.optimizer must be the name of a Keras optimizer, got {train.optimizer!r}"
        raise RecipeError(msg) from error


def _watcher(task: Task, epochs: int) -> Any:
    """Return a callback that moves the bar, and stops at a loss that is no number."""
    import tf_keras

    class Watcher(tf_keras.callbacks.Callback):  # type: ignore[misc]  # tf_keras ships no types
        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.epoch = epoch
            if epoch and self.params.get("steps") and not getattr(self, "seen", False):
                task.advance(epoch * self.params["steps"])
            self.seen = True

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            task.advance()
            if batch % 20 == 0 and logs:
                words = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
                task.describe(f"epoch {self.epoch + 1}/{epochs}  {words}")

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            loss = (logs or {}).get("loss", 0.0)
            if not np.isfinite(loss):
                msg = (
                    f"training diverged: the loss of epoch {epoch + 1} is {loss}; "
                    "lower --learning-rate, or check that the data is scaled as it was when the model was trained"
                )
                raise UnsupportedError(msg)

    return Watcher()
