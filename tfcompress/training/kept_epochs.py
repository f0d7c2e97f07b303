"""The state after each epoch of a training, from which a killed run goes on and gives what an unkilled one gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tfcompress.models.kinds import library_of

if TYPE_CHECKING:
    from tfcompress.job import Job
    from tfcompress.training.best_epoch import BestEpoch

_STAGES, _RANDOM, _BEST = "stages.", "random.", "best."


class KeptEpochs(Protocol):
    """What keeps the state after each epoch but the last."""

    def resume_(self, model: Any) -> int:
        """Take up what a killed run has left behind; return how many epochs it had done."""

    def callback(self) -> Any:
        """Return what keeps the state; it comes behind every callback that may stop the training."""


def kept_epochs(folder: Path, job: Job, best: BestEpoch) -> KeptEpochs:
    """Return what keeps the state of a training, for the Keras of ``job.model``.

    Behind the last epoch (of all, or the one that ended the training early) nothing is left to train, and so no
    callback would be called to take the schedules up; what is kept then is the finished model, by the caller.

    Args:
        folder: where to keep it.
        job: the stages, which remember things beside the weights.
        best: what remembers the best epoch so far.
    """
    of_keras2 = library_of(job.model).__name__ == "tf_keras"
    return _KeptByKeras2(folder, best) if of_keras2 else _KeptByKeras3(folder, job, best)


class _KeptByKeras2:
    """The state of a tf_keras training, kept by Keras's own callback, and the best epoch beside it.

    Where Dropout and its like have come to in their random numbers is not kept: Keras 2 keeps it outside the model.
    """

    def __init__(self, folder: Path, best: BestEpoch) -> None:
        self.folder, self.best = folder, best

    def resume_(self, model: Any) -> int:
        """Return how many epochs a killed run has left behind; the callback restores them when training begins."""
        import tensorflow as tf

        saved = tf.train.latest_checkpoint(str(self.folder / "chief"))
        if saved is None:
            return 0
        done = int(tf.train.load_variable(saved, "ckpt_saved_epoch/.ATTRIBUTES/VARIABLE_VALUE")) + 1
        with np.load(self._beside(done)) as more:
            self.best.restore_(dict(more))
        return done

    def _beside(self, done: int) -> Path:
        return self.folder / f"{done}.best.npz"

    def callback(self) -> Any:
        """Return what keeps the state. The best epoch is written first: a checkpoint never lacks it."""
        import tf_keras

        kept = self

        class Keep(tf_keras.callbacks.BackupAndRestore):  # type: ignore[misc]  # tf_keras ships no types
            def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
                if epoch + 1 >= self.params["epochs"] or self.model.stop_training:
                    return
                kept.folder.mkdir(parents=True, exist_ok=True)
                state: dict[str, Any] = dict(kept.best.state())
                np.savez(kept._beside(epoch + 1), **state)
                super().on_epoch_end(epoch, logs)
                for older in set(kept.folder.glob("*.best.npz")) - {kept._beside(epoch + 1)}:
                    older.unlink()

        return Keep(str(self.folder), delete_checkpoint=False)


class _KeptByKeras3:
    """The state of a Keras 3 training.

    That is weights and optimizer, what the stages and the best epoch remember, and where random numbers (of Dropout,
    say) have come to. It is there whole or not at all: the weights' file comes last.
    Keras 3's own callback writes the weights in place and the epoch beside them: a kill in between spoils both.
    """

    def __init__(self, folder: Path, job: Job, best: BestEpoch) -> None:
        self.folder, self.job, self.best = folder, job, best

    def resume_(self, model: Any) -> int:
        """Give *model* and the stages the state that a killed run left; return how many epochs it had done."""
        found = {int(path.name.partition(".")[0]): path for path in self.folder.glob("*.weights.h5")}
        if not found:
            return 0
        done = max(found)
        model.optimizer.build(model.trainable_variables)
        model.load_weights(str(found[done]))
        with np.load(self.folder / f"{done}.more.npz") as more:
            self.job.restore_(_named(more, _STAGES))
            self.best.restore_(_named(more, _BEST))
            for number, state in enumerate(_random_states(model)):
                state.assign(more[f"{_RANDOM}{number}"])
        return done

    def callback(self) -> Any:
        """Return what keeps the state."""
        import keras

        kept = self

        class Keep(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
            def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
                if epoch + 1 < self.params["epochs"] and not self.model.stop_training:
                    kept._keep(self.model, epoch + 1)

        return Keep()

    def _keep(self, model: Any, done: int) -> None:
        folder = self.folder
        folder.mkdir(parents=True, exist_ok=True)
        older = [path for path in folder.iterdir() if path.is_file()]
        more: dict[str, Any] = {f"{_STAGES}{name}": value for name, value in self.job.state().items()}
        more |= {f"{_BEST}{name}": value for name, value in self.best.state().items()}
        more |= {f"{_RANDOM}{n}": np.asarray(s.value) for n, s in enumerate(_random_states(model))}
        np.savez(folder / f"{done}.more.npz", **more)
        partial = folder / "partial" / "state.weights.h5"
        partial.parent.mkdir(exist_ok=True)
        model.save_weights(str(partial), overwrite=True)
        partial.replace(folder / f"{done}.weights.h5")
        for path in older:
            path.unlink()


def _named(arrays: Any, prefix: str) -> dict[str, np.ndarray]:
    return {key[len(prefix) :]: arrays[key] for key in arrays if key.startswith(prefix)}


def _random_states(model: Any) -> list[Any]:
    """Return the states of a model's random generators, which Keras 3 does not save with its weights."""
    known = {id(variable) for variable in (*model.weights, *model.metrics_variables)}
    return [variable for variable in model.variables if id(variable) not in known]
