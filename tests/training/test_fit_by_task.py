"""What the fit compares outputs with, task by task, in either Keras."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.evaluate.scoring import evaluate
from tfcompress.recipe import Train
from tfcompress.training.fit import Training, fit_

pytestmark = pytest.mark.slow

GENTLE = Train(epochs=1, learning_rate=1e-7)
"""The history of one epoch tells the loss of the model as it was."""


@pytest.fixture(params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(request.param)


def dense(keras: Any, shape: tuple[int, ...], kernel: np.ndarray) -> Any:
    """Return a model of one layer that multiplies by *kernel*."""
    inputs = keras.layers.Input(shape, name="x")
    model = keras.Model(inputs, keras.layers.Dense(kernel.shape[1], use_bias=False, name="out")(inputs))
    model.layers[-1].set_weights([kernel.astype(np.float32)])
    return model


def trained(model: Any, stage: Any, given: dict[str, np.ndarray], task: str | None = None) -> tuple[Training, Any]:
    """Train for an epoch; return what came of it, and the score of the model as it was."""
    from tfcompress.models.signature import call, signature_of

    data = tfc.load_data(given, task=task).bind(signature_of(model))
    outputs = call(model, {"x": given["x_train"]})
    score = evaluate(lambda inputs: call(model, inputs), data.need_test(), data.tasks).score
    job = tfc.attach(model, stage, epochs=1, samples=given["x_train"])
    return fit_(job, data, GENTLE, outputs=outputs, teacher=model), score


def test_tokens_are_quantized_and_trained_without_padding(keras: Any) -> None:
    rng = np.random.default_rng(0)
    given = rng.integers(0, 3, (64, 4))
    labels = np.where(rng.random((64, 4)) < 0.3, (given + 1) % 3, given)
    y = np.where(np.arange(4) < rng.integers(1, 5, (64, 1)), labels, -1)
    x = np.eye(3, dtype=np.float32)[given]
    found, score = trained(
        dense(keras, (4, 3), 4 * np.eye(3)), tfc.QAT(), {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    )
    right = (given == y)[y >= 0].mean()
    entropy = np.log(np.exp(4) + 2) - 4 * right
    assert score.main_figure.value == pytest.approx(right)
    assert found.history[0]["accuracy"] == pytest.approx(right)
    assert found.history[0]["loss"] == pytest.approx(entropy, rel=0.05)  # but for rounding to integers


def test_an_autoencoder_learns_its_input_where_that_is_normal(keras: Any) -> None:
    y = np.arange(64) % 4 == 0
    x = np.where(y[:, None], 10.0, 1.0) * np.ones((64, 4), np.float32)
    given = {"x_train": x, "y_train": y.astype(int), "x_test": x, "y_test": y.astype(int)}
    found, score = trained(dense(keras, (4,), np.eye(4) / 2), tfc.Prune(sparsity=0.1, frequency=1), given)
    assert (score.task, score.main_figure.value) == ("autoencoder", 1)
    assert found.samples == 48
    assert found.history[0]["loss"] < 1.1  # of anomalies it would be 25


def test_an_embedding_learns_the_directions_that_it_had(keras: Any) -> None:
    rng = np.random.default_rng(0)
    who = np.arange(64) % 8
    x = (np.eye(8)[who] + 0.1 * rng.normal(size=(64, 8))).astype(np.float32)
    given = {"x_train": x, "y_train": who, "x_test": x, "y_test": who}
    found, score = trained(
        dense(keras, (8,), np.linalg.qr(rng.normal(size=(8, 8)))[0]),
        tfc.Prune(sparsity=0.1, frequency=1),
        given,
        "embedding",
    )
    assert score.figures["recall_at_1"].value == 1
    assert found.loss == "cosine distance from the float model's"
    assert found.history[0]["loss"] == pytest.approx(0, abs=0.05)
