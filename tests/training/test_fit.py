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
    with pytest.raises(RecipeError, match="'muon' trains Keras 3 models"):
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
