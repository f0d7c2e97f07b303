"""Weights of an earlier epoch that come back into a pruned model, by whatever way, are noticed."""

from __future__ import annotations

import itertools
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


STAGES: dict[str, Any] = {
    "prune": STAGE,
    "cluster": tfc.Cluster(clusters=4),
    "qat": tfc.QAT(),
    "distill": tfc.Distill(),
}

COMBINATIONS = [kinds for count in (2, 3, 4) for kinds in itertools.combinations(STAGES, count)]

WAYS = ("EarlyStopping", "ModelCheckpoint", "load_weights")


def first_put_back(job: Any, keras: Any, way: str, path: str) -> None:
    """Train, and bring the weights of the first epoch back at the end."""

    class Saving(keras.callbacks.Callback):  # type: ignore[misc]  # of either Keras
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                self.model.save_weights(path)

    best: dict[str, Any] = {"monitor": "loss", "mode": "max"}
    saving = {
        "EarlyStopping": lambda: keras.callbacks.EarlyStopping(**best, patience=100, restore_best_weights=True),
        "ModelCheckpoint": lambda: keras.callbacks.ModelCheckpoint(
            path, save_best_only=True, save_weights_only=True, **best
        ),
        "load_weights": Saving,
    }
    fit(job, [saving[way](), *job.callbacks])
    if way != "EarlyStopping":
        job.model.load_weights(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kinds", COMBINATIONS, ids="-".join)
def test_whatever_comes_back_every_stage_keeps_its_promises(
    kinds: tuple[str, ...], way: str, keras_module: Any, tmp_path: Path
) -> None:
    if "distill" in kinds and keras_module.__name__ == "tf_keras":
        pytest.skip("tfmot has no distillation")
    job = tfc.attach(dense(keras_module), *(STAGES[kind] for kind in kinds), epochs=4)
    job.model.compile("adam", keras_module.losses.SparseCategoricalCrossentropy(from_logits=True))
    first_put_back(job, keras_module, way, str(tmp_path / "kept.weights.h5"))
    job.finish()
    promises = job.promises()
    assert all(promise.kept for promise in promises)
    asked = {what for kind, what in (("prune", "sparsity"), ("cluster", "distinct values")) if kind in kinds}
    assert {promise.what for promise in promises} == asked
    if "prune" in kinds:
        assert any("put back" in note for note in job.notes)


def test_centroids_that_are_gone_with_the_weights_are_told_and_placed_anew(keras: Any) -> None:
    job = tfc.attach(dense(keras), STAGE, STAGES["cluster"], epochs=4)
    job.model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.warns(UserWarning, match="were put back") as told:
        fitted_and_finished(job, [Back(keras), *job.callbacks])
    words = "weights from before their centroids were placed were put back into a, b, by EarlyStopping"
    assert [str(each.message).startswith(words) for each in told] == [False, True]
    fit(job, job.callbacks)  # the next training begins with what was put back, and clusters it
    job.finish()
    assert all(promise.kept for promise in job.promises())
    assert sum("put back" in note for note in job.notes) == 2


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
