"""What outputs are compared with in a training, and how much each sample counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.models.signature import call, signature_of
from tfcompress.tasks.task_table import TASKS
from tfcompress.training.objectives import kind_of_output
from tfcompress.training.targets import Targets, own_tasks, taught_outputs

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def network(**last: Any) -> Any:
    """Return a model with an output of two values for each name, by its last activation."""
    import keras

    keras.utils.set_random_seed(0)
    given = keras.Input((4,), name="x")
    outputs = {name: keras.layers.Dense(2, activation, name=name)(given) for name, activation in last.items()}
    return keras.Model(given, outputs if len(outputs) > 1 else next(iter(outputs.values())))


def bound(model: Any, **arrays: Any) -> Any:
    return tfc.load_data({"x_train": X, **arrays}).bind(signature_of(model))


def test_outputs_without_labels_are_compared_with_the_float_models() -> None:
    model = network(kind="softmax", size=None)
    data = bound(model, **{"y_train.kind": np.arange(6) % 2})
    assert taught_outputs(data) == ["size"]
    targets = Targets({"kind": 1, "size": 1}, {"kind": TASKS["classification"]}, ("size",), model)
    x, y, weights = targets({"x": X}, {"kind": np.arange(6) % 2}, None)
    assert weights is None
    assert y["kind"].tolist() == [0, 1] * 3
    assert np.array_equal(y["size"], call(model, {"x": X})["size"])
    assert x["x"] is X


def test_whole_numbers_cannot_be_learnt() -> None:
    import keras

    given = keras.Input((4,), name="x")
    scores = keras.layers.Dense(2, name="scores")(given)
    model = keras.Model(given, [scores, keras.ops.argmax(scores, axis=-1)])
    assert taught_outputs(bound(model)) == [signature_of(model).outputs[0].name]


def test_class_weights_multiply_with_those_of_the_data_for_their_own_output() -> None:
    targets = Targets({"a": 1, "b": 1}, dict.fromkeys("ab", TASKS["binary"]), weights={"a": np.float32([1, 10])})
    y = {"a": np.float32([[0], [1]]), "b": np.float32([[1], [1]])}
    _, _, weights = targets({"x": X[:2]}, y, {"a": np.float32([2, 3]), "b": np.float32([5, 7])})
    assert {name: each.tolist() for name, each in weights.items()} == {"a": [2, 30], "b": [5, 7]}
    _, _, weights = targets({"x": X[:2]}, y, None)
    assert {name: each.tolist() for name, each in weights.items()} == {"a": [1, 10], "b": [1, 1]}


def test_a_weight_for_each_sample_reaches_every_place_of_its_output() -> None:
    targets = Targets({"map": 3}, {"map": TASKS["classification"]}, weights={"map": np.float32([1, 10])})
    labels = np.array([[[0, 1]], [[1, 1]]])
    _, _, weights = targets({"x": X[:2]}, labels, np.float32([2, 3]))
    assert weights.tolist() == [[[2, 20]], [[30, 30]]]
    _, _, plain = Targets({"map": 3}, {"map": TASKS["classification"]})({"x": X[:2]}, labels, np.float32([2, 3]))
    assert plain.shape == (2, 1, 1)


KINDS = [("softmax", "softmax"), ("sigmoid", "sigmoid"), (None, "numbers"), ("relu", "numbers")]


@pytest.mark.parametrize(("activation", "kind"), KINDS)
def test_without_a_task_the_last_activation_tells_what_an_output_is(activation: str | None, kind: str) -> None:
    model = network(out=activation)
    assert kind_of_output(bound(model), model, "out", call(model, {"x": X})["out"]) == kind


def test_a_softmax_is_known_by_its_values_wherever_it_is() -> None:
    import keras

    model = network(out=None)
    given = keras.Input((4,), name="x")
    model = keras.Model(given, keras.layers.Reshape((2,), name="out")(keras.layers.Softmax()(model(given))))
    assert kind_of_output(bound(model), model, "out", call(model, {"x": X})["out"]) == "softmax"


@pytest.mark.parametrize(
    ("activation", "labels", "kind"),
    [
        (None, np.arange(6) % 2, "logits"),
        ("softmax", np.arange(6) % 2, "softmax"),
        (None, X[:, :2], "numbers"),
        ("sigmoid", X[:, :2], "numbers"),
    ],
)
def test_labels_of_another_split_tell_what_an_output_is(activation: Any, labels: np.ndarray, kind: str) -> None:
    model = network(out=activation)
    data = bound(model, x_test=X, y_test=labels)
    assert kind_of_output(data, model, "out", call(model, {"x": X})["out"]) == kind


def said(model: Any, task: str, **arrays: Any) -> Any:
    return tfc.load_data({"x_train": X, **arrays}, task=task).bind(signature_of(model))


def test_embeddings_learn_directions_from_the_float_model_with_labels_and_without() -> None:
    model = network(out=None)
    own = call(model, {"x": X})["out"]
    for more in ({}, {"y_train": np.arange(6) % 3}):
        data = said(model, "embedding", **more)
        assert (own_tasks(data), taught_outputs(data)) == ({}, ["out"])
        assert kind_of_output(data, model, "out", own) == "directions"


def test_an_autoencoder_is_compared_with_its_input() -> None:
    import keras

    given = keras.Input((4,), name="x")
    model = keras.Model(given, keras.layers.Dense(4, name="out")(given))
    data = said(model, "autoencoder")
    assert taught_outputs(data) == []
    _, y, weights = Targets({"out": 1}, own_tasks(data))({"x": X}, None, None)
    assert weights is None
    assert np.array_equal(y, X)
