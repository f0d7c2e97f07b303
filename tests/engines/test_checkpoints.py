"""Weights of an earlier epoch that come back into a pruned model, by whatever way, are noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tfcompress as tfc
from tests.engines.tiny_networks import dense, vectors

pytestmark = pytest.mark.slow

STAGE = tfc.Prune(sparsity=0.75, end_epoch=3, frequency=1)


def compiled(keras: Any) -> Any:
    job = tfc.attach(dense(keras), STAGE, epochs=4)
    job.model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return job


def fit(job: Any, callbacks: list[Any]) -> None:
    job.model.fit(*vectors(), batch_size=8, epochs=4, verbose=0, callbacks=callbacks)


def fitted_and_finished(job: Any, callbacks: list[Any]) -> None:
    fit(job, callbacks)
    job.finish()


class Back:
    """Puts the weights of the first epoch back when the training ends, as EarlyStopping does at its best."""

    def __new__(cls, keras: Any) -> Any:
        class Restoring(keras.callbacks.Callback):  # type: ignore[misc]  # of either Keras
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                if epoch == 0:
                    self.first = self.model.get_weights()

            def on_train_end(self, logs: Any = None) -> None:
                self.model.set_weights(self.first)

        return Restoring()


@pytest.mark.parametrize("order", ["theirs first", "ours first"])
def test_weights_that_a_callback_restores_are_named_with_their_zeros(order: str, keras: Any) -> None:
    job = compiled(keras)
    callbacks = [Back(keras), *job.callbacks] if order == "theirs first" else [*job.callbacks, Back(keras)]
    with pytest.warns(UserWarning, match=r"put back after pruning.* a \(\d+% zeros instead of 75%\)"):
        fitted_and_finished(job, callbacks)
    assert "start_from_epoch" in " ".join(job.notes)
    assert all(promise.kept for promise in job.promises())


def test_weights_that_are_loaded_after_the_training_are_noticed(keras: Any, tmp_path: Path) -> None:
    job = compiled(keras)

    class Saving(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                self.model.save_weights(str(tmp_path / "first.weights.h5"))

    with pytest.warns(UserWarning, match="first.weights.h5 was saved before pruning had come to its end"):
        fit(job, [Saving(), *job.callbacks])
    job.model.load_weights(str(tmp_path / "first.weights.h5"))
    with pytest.warns(UserWarning, match="weights of an earlier step were put back after pruning"):
        job.finish()


def test_a_best_model_that_was_saved_before_pruning_had_ended_is_noticed(keras_module: Any, tmp_path: Path) -> None:
    keras = keras_module
    job = compiled(keras)
    path = tmp_path / "best.keras"
    best = keras.callbacks.ModelCheckpoint(str(path), monitor="loss", mode="max", save_best_only=True)
    with pytest.warns(UserWarning, match=r"best\.keras was saved before pruning had come to its end \(a: sparsity 0"):
        fitted_and_finished(job, [best, *job.callbacks])
    assert sum("best.keras" in note for note in job.notes) == 1


def test_a_checkpoint_that_later_epochs_replace_is_none_of_our_business(keras: Any, tmp_path: Path) -> None:
    job = compiled(keras)
    fit(job, [keras.callbacks.ModelCheckpoint(str(tmp_path / "last.keras")), *job.callbacks])
    job.finish()
    assert job.notes == []


def test_a_fit_without_the_jobs_callbacks_is_noticed(keras: Any) -> None:
    job = compiled(keras)
    fit(job, [])
    with pytest.warns(UserWarning, match="training stopped at step 0, before a schedule was set"):
        job.finish()


def test_weights_of_an_earlier_step_are_noticed_in_tfmot_too(tf_keras: Any) -> None:
    job = compiled(tf_keras)
    fit(job, [Back(tf_keras), *job.callbacks])
    with pytest.warns(
        UserWarning, match=r"training stopped at step \d+, before step \d+ .*; if it went on, weights of that step"
    ):
        job.finish()
    assert all(promise.kept for promise in job.promises())


def test_an_average_of_weights_is_not_taken_for_earlier_ones(keras: Any) -> None:
    job = tfc.attach(dense(keras), STAGE, epochs=4)
    job.model.compile(
        keras.optimizers.Adam(1e-3, use_ema=True, ema_momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    fit(job, job.callbacks)
    job.finish()
    assert job.notes == []
