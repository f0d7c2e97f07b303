"""The ``fit`` that ``compress`` runs by itself: loss by the task, progress, and epochs that survive a kill."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.errors import DataError, RecipeError, UnsupportedError
from tfcompress.models.kinds import keras_of
from tfcompress.progress import SILENT, Progress

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData
    from tfcompress.job import Job
    from tfcompress.progress import ProgressTask
    from tfcompress.recipe import Train
    from tfcompress.tasks.task import Task


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
    title: str = "training",
) -> Training:
    """Train ``job.model`` in place.

    Args:
        job: what :func:`tfcompress.job.attach` gave, for a model of either Keras.
        data: the bound data; its training split is used.
        train: epochs, batch size, optimizer, learning rate (None: Keras's own) and its decay, loss, augmentation, seed.
        outputs: the float model's outputs on a few samples by name, shape (n, k); they tell probabilities from logits.
        progress: where to tell how far it is.
        backup: folder for the state after each epoch, from which a killed run goes on; None: nothing is kept.
        title: what the progress calls it.

    Raises:
        RecipeError: an optimizer or loss that Keras does not know.
        DataError: augmentation of what is no image; a decaying learning rate over data of unknown size.
        UnsupportedError: the loss became NaN or infinite.
    """
    from tfcompress.data.feeding import to_tf

    keras = library(job.model)
    keras.utils.set_random_seed(train.seed)
    split = data.need_train()
    size = split.size if train.limit is None or split.size is None else min(split.size, train.limit)
    steps = None if size is None else -(-size // train.batch_size)
    losses = {name: _loss(task, outputs[name], train.loss, keras) for name, task in data.tasks.items()}
    metrics = {name: task.metrics(outputs[name], keras) for name, task in data.tasks.items()}
    only = len(outputs) == 1
    job.model.compile(
        optimizer=_optimizer(train, keras, steps),
        loss=next(iter(losses.values())) if only else losses,
        metrics=next(iter(metrics.values())) if only else {name: kept for name, kept in metrics.items() if kept},
    )
    kept = None if backup is None else (_Kept2(backup) if keras.__name__ == "tf_keras" else _Kept3(backup, job))
    done = 0 if kept is None else kept.resume_(job.model)
    current = [done]
    feed = to_tf(
        split,
        train.batch_size,
        train.seed,
        first_epoch=done,
        limit=train.limit,
        augment=train.augment,
        epoch_of=None if keras.__name__ == "tf_keras" else lambda: current[0],
    )
    started = time.perf_counter()
    total = None if steps is None else float(steps * train.epochs)
    with progress.task(title, total) as task:
        callbacks = [_watcher(keras, task, train.epochs, current), *job.callbacks]
        if kept is not None:
            callbacks.append(kept.callback())
        first = {} if keras.__name__ == "tf_keras" else {"initial_epoch": done}
        history = job.model.fit(
            feed, epochs=train.epochs, callbacks=callbacks, shuffle=False, verbose=0, **first
        ).history
    rows = zip(*history.values(), strict=True)
    return Training(
        history=tuple({name: float(value) for name, value in zip(history, row, strict=True)} for row in rows),
        seconds=time.perf_counter() - started,
        loss=", ".join(getattr(loss, "name", getattr(loss, "__name__", str(loss))) for loss in losses.values()),
        samples=size,
        resumed_at=done,
    )


def library(model: Any) -> Any:
    """Return the module ``keras`` or ``tf_keras``: whose model it is."""
    return importlib.import_module("keras" if keras_of(model) == "keras3" else "tf_keras")


class _Kept2:
    """The state after each epoch of a tf_keras training but the last, kept by Keras's own callback.

    Where Dropout and its like have come to in their random numbers is not kept: Keras 2 keeps it outside the model.
    Behind the last epoch nothing is left to train, and so no callback would be called to take the schedules up; what is
    kept then is the finished model, by the caller.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resume_(self, model: Any) -> int:
        """Return how many epochs a killed run has left behind; the callback restores them when training begins."""
        import tensorflow as tf

        saved = tf.train.latest_checkpoint(str(self.folder / "chief"))
        if saved is None:
            return 0
        return int(tf.train.load_variable(saved, "ckpt_saved_epoch/.ATTRIBUTES/VARIABLE_VALUE")) + 1

    def callback(self) -> Any:
        """Return what keeps the state."""
        import tf_keras

        class Keep(tf_keras.callbacks.BackupAndRestore):  # type: ignore[misc]  # tf_keras ships no types
            def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
                if epoch + 1 < self.params["epochs"]:
                    super().on_epoch_end(epoch, logs)

        return Keep(str(self.folder), delete_checkpoint=False)


class _Kept3:
    """The state after each epoch of a Keras 3 training but the last.

    That is weights and optimizer, what the stages remember, and where random numbers (of Dropout, say) have come to. It
    is there whole or not at all: the weights' file comes last.
    Keras 3's own callback writes the weights in place and the epoch beside them: a kill in between spoils both.
    """

    def __init__(self, folder: Path, job: Job) -> None:
        self.folder, self.job = folder, job

    def resume_(self, model: Any) -> int:
        """Give *model* and the stages the state that a killed run left; return how many epochs it had done."""
        found = {int(path.name.partition(".")[0]): path for path in self.folder.glob("*.weights.h5")}
        if not found:
            return 0
        done = max(found)
        model.optimizer.build(model.trainable_variables)
        model.load_weights(str(found[done]))
        with np.load(self.folder / f"{done}.more.npz") as more:
            self.job.restore_({key[len(_STAGES) :]: more[key] for key in more if key.startswith(_STAGES)})
            for number, state in enumerate(_random_states(model)):
                state.assign(more[f"{_RANDOM}{number}"])
        return done

    def callback(self) -> Any:
        """Return what keeps the state."""
        import keras

        folder, job = self.folder, self.job

        class Keep(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
            def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
                if epoch + 1 >= self.params["epochs"]:
                    return
                folder.mkdir(parents=True, exist_ok=True)
                older = [path for path in folder.iterdir() if path.is_file()]
                more: dict[str, Any] = {f"{_STAGES}{name}": value for name, value in job.state().items()}
                more |= {f"{_RANDOM}{n}": np.asarray(s.value) for n, s in enumerate(_random_states(self.model))}
                np.savez(folder / f"{epoch + 1}.more.npz", **more)
                partial = folder / "partial" / "state.weights.h5"
                partial.parent.mkdir(exist_ok=True)
                self.model.save_weights(str(partial), overwrite=True)
                partial.replace(folder / f"{epoch + 1}.weights.h5")
                for path in older:
                    path.unlink()

        return Keep()


_STAGES, _RANDOM = "stages.", "random."


def _random_states(model: Any) -> list[Any]:
    """Return the states of a model's random generators, which Keras 3 does not save with its weights."""
    known = {id(variable) for variable in (*model.weights, *model.metrics_variables)}
    return [variable for variable in model.variables if id(variable) not in known]


def _loss(task: Task, outputs: np.ndarray, name: str, keras: Any) -> Any:
    """Return the loss called *name*, a Keras loss, or for ``auto`` the task's own."""
    if name == "auto":
        return task.loss(outputs, keras)
    try:
        return keras.losses.get(name)
    except ValueError as error:
        msg = f"train.loss must be 'auto' or the name of a Keras loss, got {name!r}"
        raise RecipeError(msg) from error


def _optimizer(train: Train, keras: Any, steps: int | None) -> Any:
    optimizer = named_optimizer(train.optimizer, keras)
    rate = train.learning_rate
    if train.decay == "constant":
        return optimizer if rate is None else type(optimizer)(learning_rate=rate)
    if steps is None:
        msg = "train.decay 'cosine' needs to know the number of training samples, and this source does not tell"
        raise DataError(msg)
    peak = float(optimizer.learning_rate) if rate is None else rate
    return type(optimizer)(learning_rate=keras.optimizers.schedules.CosineDecay(peak, steps * train.epochs))


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
            msg = "train.optimizer 'muon' trains Keras 3 models (the native engine), and this one is trained in Keras 2"
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
