"""The fit that compress runs by itself."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.errors import DataError, RecipeError, UnsupportedError
from tfcompress.recipe import Train
from tfcompress.training.fit import fit_, named_optimizer

pytestmark = pytest.mark.slow


@pytest.fixture(params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(request.param)


def small(
    keras: Any, rng: np.random.Generator, activation: str | None = "softmax"
) -> tuple[Any, Any, dict[str, np.ndarray]]:
    """Return a job on a dense network, bound data, and the network's outputs."""
    from tfcompress.models.signature import call, signature_of

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((8,), name="x"), keras.layers.Dense(3, activation=activation)])
    x = rng.random((96, 8), dtype=np.float32)
    data = tfc.load_data({"x_train": x, "y_train": np.arange(96) % 3}).bind(signature_of(model))
    job = tfc.attach(model, tfc.Prune(sparsity=0.5, frequency=1), epochs=3)
    return job, data, call(model, {signature_of(model).inputs[0].name: x})


def test_the_accuracy_in_the_history_of_binary_logits_is_that_of_the_score(keras: Any) -> None:
    """Logits of 0.3 mean yes; decided at one half, as Keras does by itself, every yes would be wrong."""
    from tfcompress.evaluate.scoring import evaluate
    from tfcompress.models.signature import call, signature_of

    model = keras.Sequential([keras.layers.Input((2,), name="x"), keras.layers.Dense(1, use_bias=False)])
    model.layers[0].set_weights([np.float32([[0.3], [0.0]])])
    x = np.float32([[-1.0, 0.0], [1.0, 0.0]] * 16)
    y = x[:, :1] > 0
    data = tfc.load_data({"x_train": x, "y_train": y, "x_test": x, "y_test": y}).bind(signature_of(model))
    outputs = call(model, {signature_of(model).inputs[0].name: x})
    score = evaluate(lambda inputs: call(model, inputs), data.need_test(), data.tasks).score
    job = tfc.attach(model, tfc.Prune(sparsity=0.5, frequency=1), epochs=1)
    history = fit_(job, data, Train(epochs=1, learning_rate=1e-6), outputs=outputs).history
    assert history[0]["accuracy"] == score.main_figure.value == 1.0


def test_an_optimizer_that_nobody_registered_is_refused(keras: Any) -> None:
    job, data, outputs = small(keras, np.random.default_rng(0))
    with pytest.raises(RecipeError, match=r"train\.optimizer must be the name of a Keras optimizer, got 'mine>Adam'"):
        fit_(job, data, Train(optimizer="mine>Adam"), outputs=outputs)


def test_muon_trains_keras_3_models_alone() -> None:
    import keras
    import tf_keras

    assert type(named_optimizer("muon", keras)).__name__ == "KernelMuon"
    with pytest.raises(RecipeError, match=r"'muon' trains Keras 3 models, .*; give --engine native"):
        named_optimizer("muon", tf_keras)


def test_a_loss_that_is_no_number_ends_the_training_with_the_likely_causes(keras: Any) -> None:
    job, data, outputs = small(keras, np.random.default_rng(0), activation=None)
    with pytest.raises(UnsupportedError, match=r"training diverged: the loss of epoch 1 is .*lower --learning-rate"):
        fit_(job, data, Train(optimizer="sgd", learning_rate=1e38), outputs=outputs)


def killed_at(keras: Any, epoch: int) -> Any:
    """Return a callback that ends the process, or so it looks, when an epoch begins."""

    class Killed(keras.callbacks.Callback):  # type: ignore[misc]  # of either Keras
        def on_epoch_begin(self, now: int, logs: Any = None) -> None:
            if now == epoch:
                raise KeyboardInterrupt

    return Killed()


def test_training_goes_on_where_a_stopped_run_left_it(keras: Any, tmp_path: Path) -> None:
    first, data, outputs = small(keras, np.random.default_rng(0))
    first.callbacks.append(killed_at(keras, epoch=2))
    with pytest.raises(KeyboardInterrupt):
        fit_(first, data, Train(epochs=3, learning_rate=0.01, batch_size=16), outputs=outputs, backup=tmp_path)
    second, data, outputs = small(keras, np.random.default_rng(0))
    rest = fit_(second, data, Train(epochs=3, learning_rate=0.01, batch_size=16), outputs=outputs, backup=tmp_path)
    assert (rest.resumed_at, len(rest.history)) == (2, 1)
    whole, data, outputs = small(keras, np.random.default_rng(0))
    all_three = fit_(whole, data, Train(epochs=3, learning_rate=0.01, batch_size=16), outputs=outputs)
    assert rest.history[-1]["loss"] == pytest.approx(all_three.history[-1]["loss"], rel=1e-4)
    np.testing.assert_allclose(second.finish().get_weights()[0], whole.finish().get_weights()[0], atol=1e-5)


def test_a_cosine_lets_the_learning_rate_fall_to_zero(keras: Any) -> None:
    job, data, outputs = small(keras, np.random.default_rng(0))
    fit_(job, data, Train(epochs=3, learning_rate=0.01, batch_size=16, decay="cosine"), outputs=outputs)
    schedule = job.model.optimizer.get_config()["learning_rate"]["config"]
    assert (schedule["initial_learning_rate"], schedule["decay_steps"]) == (0.01, 3 * 96 // 16)


def test_augmentation_of_what_is_no_image_is_refused(keras: Any) -> None:
    job, data, outputs = small(keras, np.random.default_rng(0))
    with pytest.raises(DataError, match=r"train\.augment 'flip' needs images .* got shape \(1, 8\); leave it out"):
        fit_(job, data, Train(augment="flip"), outputs=outputs)


def validated(keras: Any, rng: np.random.Generator, *, labelled: bool) -> tuple[Any, Any, Any]:
    """Return a job on a network that starts at its best for the validation samples, bound data, and the network.

    The training labels are noise, so that the validation loss rises from epoch to epoch.
    """
    from tfcompress.models.signature import signature_of

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((8,), name="x"), keras.layers.Dense(3, activation="softmax")])
    x, x_val = (rng.random((size, 8), dtype=np.float32) for size in (96, 48))
    arrays = {"x_train": x, "x_val": x_val}
    if labelled:
        answers = np.asarray(model(x_val)).argmax(-1)
        arrays |= {"y_train": rng.permutation(np.arange(96) % 3), "y_val": answers}
    data = tfc.load_data(arrays).bind(signature_of(model))
    job = tfc.attach(model, tfc.Prune(sparsity=0.25, frequency=1, end_epoch=2), epochs=8)
    return job, data, model


def run_of(keras: Any, labelled: bool, train: Train, killed: int | None = None, backup: Path | None = None) -> Any:
    """Train, killed at the beginning of an epoch if asked to; return the job and what the fit left."""
    from tfcompress.models.signature import call

    job, data, model = validated(keras, np.random.default_rng(0), labelled=labelled)
    outputs = call(model, data.representative(16, 0))
    if killed is not None:
        job.callbacks.append(killed_at(keras, epoch=killed))
        with pytest.raises(KeyboardInterrupt):
            fit_(job, data, train, outputs=outputs, teacher=model, backup=backup)
        return None
    return job, fit_(job, data, train, outputs=outputs, teacher=model, backup=backup)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_killed_training_keeps_the_best_epoch_so_far_and_ends_where_the_whole_one_does(
    keras: Any, labelled: bool, tmp_path: Path
) -> None:
    train = Train(epochs=8, batch_size=16, learning_rate=0.05, patience=3)
    whole, done = run_of(keras, labelled, train)
    run_of(keras, labelled, train, killed=4, backup=tmp_path)
    again, rest = run_of(keras, labelled, train, backup=tmp_path)
    assert rest.resumed_at == 4
    assert rest.notes == done.notes
    assert rest.resumed_at + len(rest.history) == len(done.history)
    np.testing.assert_allclose(again.finish().get_weights()[0], whole.finish().get_weights()[0], atol=1e-5)


def test_the_epoch_with_the_lowest_validation_loss_is_kept_with_all_its_zeros(keras: Any) -> None:
    train = Train(epochs=8, batch_size=16, learning_rate=0.05)
    job, done = run_of(keras, True, train)
    losses = [row["val_loss"] for row in done.history]
    best = 2 + int(np.argmin(losses[1:]))  # the schedule ends with the second epoch
    assert best < 8
    assert done.notes == (f"weights of epoch {best} of 8 were kept: its validation loss is the lowest",)
    kernel = job.finish().get_weights()[0]
    assert (kernel == 0).mean() == 0.25
    last, _ = run_of(keras, True, Train(epochs=8, batch_size=16, learning_rate=0.05, keep="last"))
    assert not np.array_equal(last.finish().get_weights()[0], kernel)
    assert not any("put back" in note for note in job.notes)


def test_patience_ends_a_training_after_its_schedules(keras: Any) -> None:
    _, done = run_of(keras, True, Train(epochs=8, batch_size=16, learning_rate=0.05, patience=1))
    assert 3 <= len(done.history) < 8
    assert done.notes[0].startswith(f"training ended early, after epoch {len(done.history)}: no validation loss below")


def test_balanced_classes_count_alike_in_the_loss(keras: Any) -> None:
    from tfcompress.models.signature import call, signature_of

    model = keras.Sequential([keras.layers.Input((1,), name="x"), keras.layers.Dense(2, activation="softmax")])
    model.set_weights([np.float32([[0, 0]]), np.float32([2, 0])])
    x, y = np.zeros((40, 1), np.float32), (np.arange(40) % 10 == 0).astype(int)
    data = tfc.load_data({"x_train": x, "y_train": y}).bind(signature_of(model))
    outputs = call(model, data.representative(16, 0))
    losses = {}
    for balance in (False, True):
        job = tfc.attach(model, tfc.Prune(sparsity=0.5, frequency=1), epochs=1)
        train = Train(epochs=1, batch_size=40, learning_rate=1e-9, balance=balance)
        losses[balance] = fit_(job, data, train, outputs=outputs).history[0]["loss"]
    common, rare = (-float(np.log(p)) for p in outputs[next(iter(outputs))][0])
    assert losses[False] == pytest.approx(0.9 * common + 0.1 * rare, rel=1e-4)
    assert losses[True] == pytest.approx((common + rare) / 2, rel=1e-4)


def test_each_output_has_the_loss_that_was_named_for_it(keras: Any) -> None:
    from tfcompress.models.signature import call, signature_of

    keras.utils.set_random_seed(0)
    given = keras.layers.Input((4,), name="x")
    dense = keras.layers.Dense
    model = keras.Model(given, {"kind": dense(3, name="kind")(given), "size": dense(1, name="size")(given)})
    x = np.random.default_rng(0).random((32, 4), dtype=np.float32)
    arrays = {"x_train": x, "y_train.kind": np.arange(32) % 3, "y_train.size": x[:, 0] + 2}
    data = tfc.load_data(arrays).bind(signature_of(model))
    job = tfc.attach(model, tfc.Prune(sparsity=0.25, frequency=1), epochs=1)
    train = Train(epochs=1, loss="kind=categorical_crossentropy,mae")
    done = fit_(job, data, train, outputs=call(model, {"x": x}))
    assert done.loss == "kind: categorical_crossentropy, size: mean_absolute_error"
    assert np.isfinite(done.history[0]["loss"])
