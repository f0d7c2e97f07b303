"""Training samples that are looked at before a training, and what gradients are taken of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.channels import criteria, task_loss
from tfcompress.channels.groups import groups
from tfcompress.models.signature import call, signature_of
from tfcompress.recipe import Train
from tfcompress.training.first_samples import training_samples
from tfcompress.weights.loss_sensitivity import LossSensitivity

keras = pytest.importorskip("keras")

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)


def network(**last: Any) -> Any:
    """Return a model with an output of two values for each name, by its last activation."""
    keras.utils.set_random_seed(0)
    given = keras.Input((4,), name="x")
    inner = keras.layers.Dense(6, "relu", name="inner")(given)
    outputs = {name: keras.layers.Dense(2, activation, name=name)(inner) for name, activation in last.items()}
    return keras.Model(given, outputs if len(outputs) > 1 else next(iter(outputs.values())))


def drawn(model: Any, task: Any = None, train: Train | None = None, **arrays: Any) -> Any:
    data = tfc.load_data({"x_train": X, **arrays}, task=task).bind(signature_of(model))
    return training_samples(data, model, train or Train(), 64)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_where_there_are_no_labels_the_float_models_own_outputs_say_what_they_are(activation: str | None) -> None:
    model = network(out=activation)
    samples = drawn(model)
    own = call(model, samples.inputs)["out"]
    if activation == "softmax":
        assert samples.labels.tolist() == own.argmax(-1).tolist()
    elif activation == "sigmoid":
        assert samples.labels.tolist() == (own > 0.5).astype(float).tolist()
    else:
        assert np.array_equal(samples.labels, own)


def test_labels_that_are_there_are_given_as_they_are() -> None:
    samples = drawn(network(out="softmax"), y_train=np.arange(64) % 2)
    assert np.bincount(samples.labels).tolist() == [32, 32]
    assert {name: task.name for name, task in samples.tasks.items()} == {"out": "classification"}


def autoencoder() -> Any:
    keras.utils.set_random_seed(0)
    given = keras.Input((4,), name="x")
    inner = keras.layers.Dense(6, "relu", name="inner")(given)
    return keras.Model(given, keras.layers.Dense(4, name="out")(inner))


TASKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "classes": (lambda: network(out="softmax"), {"y_train": np.arange(64) % 2}),
    "one-hot logits": (lambda: network(out=None), {"y_train": np.eye(2, dtype=int)[np.arange(64) % 2]}),
    "tags": (lambda: network(out="sigmoid"), {"y_train": (X[:, :2] > 0) * 1, "task": "multi-label"}),
    "numbers": (lambda: network(out=None), {"y_train": X[:, :2]}),
    "whole numbers": (lambda: network(out=None), {"y_train": (X[:, :2] > 0) * 1.0, "task": "regression"}),
    "autoencoder": (autoencoder, {"task": "autoencoder"}),
    "identities": (lambda: network(out=None), {"y_train": np.arange(64) % 7, "task": "embedding"}),
    "vectors": (lambda: network(out=None), {"task": "embedding"}),
    "no labels: classes": (lambda: network(out="softmax"), {}),
    "no labels: tags": (lambda: network(out="sigmoid"), {}),
    "no labels: numbers": (lambda: network(out=None), {}),
    "some outputs": (lambda: network(a="softmax", b=None), {"y_train.a": np.arange(64) % 2}),
}


@pytest.mark.parametrize("case", TASKS)
def test_criteria_by_gradient_and_the_limit_of_each_group_go_for_every_task(case: str) -> None:
    make, arrays = TASKS[case]
    model = make()
    samples = drawn(model, **arrays)
    free = [group for group in groups(model) if not group.pinned]
    (taylor,) = criteria.scores(model, free, "taylor", samples=samples).values()
    assert np.isfinite(taylor).all()
    dead = np.flatnonzero(
        call(keras.Model(model.input, model.get_layer("inner").output), {"x": X})["inner"].max(0) <= 0
    )
    assert set(np.flatnonzero(taylor == 0)) == set(dead)  # what is never active matters to no loss
    assert np.isfinite(task_loss.merit_of(task_loss.score_of(model, samples)))
    kernels = [model.get_layer("inner").kernel]
    for criterion in ("taylor", "hessian"):
        (importance,) = LossSensitivity(criterion, model, samples)(kernels)
        assert np.array_equal(np.flatnonzero(~importance.any(0)), dead)


def test_of_numbers_without_labels_the_hessian_is_that_of_the_distance_from_the_float_model() -> None:
    """One Dense layer: d^2/dw^2 of mean((x w - t)^2) over the outputs' variance is 2 x^2 / (k var)."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(1, use_bias=False, name="out")])
    x = np.random.default_rng(1).normal(scale=[1, 2, 4, 8], size=(256, 4)).astype(np.float32)
    data = tfc.load_data({"x_train": x}).bind(signature_of(model))
    samples = training_samples(data, model, Train(), 256)
    kernel = model.layers[0].kernel
    (found,) = LossSensitivity("hessian", model, samples)([kernel])
    expected = np.square(kernel.numpy()) * np.square(x).mean(0)[:, None]
    assert found / found.sum() == pytest.approx(expected / expected.sum(), rel=0.35)


def test_the_loss_that_was_asked_for_is_the_one_that_gradients_are_taken_of() -> None:
    model = network(out=None)
    aims = [drawn(model, train=Train(loss=loss), y_train=X[:, :2]).aims() for loss in ("auto", "mean_absolute_error")]
    assert [type(aim.loss).__name__ for (aim,) in aims] == ["MeanSquaredError", "MeanAbsoluteError"]


def test_an_output_that_nothing_trains_has_no_aim() -> None:
    given = keras.Input((4,), name="x")
    scores = keras.layers.Dense(2, name="scores")(given)
    model = keras.Model(given, [scores, keras.ops.argmax(scores, axis=-1)])
    first, second = drawn(model).aims()
    assert first is not None
    assert second is None


def test_a_student_that_gives_logits_is_told_from_a_model_that_gives_probabilities() -> None:
    model, student = network(out="softmax"), network(out=None)
    data = tfc.load_data({"x_train": X, "y_train": np.arange(64) % 2}).bind(signature_of(model))
    (of_model,) = training_samples(data, model, Train(), 64).aims()  # type: ignore[misc]
    (of_student,) = training_samples(data, model, Train(), 64, student).aims()  # type: ignore[misc]
    assert (of_model.loss.get_config()["from_logits"], of_student.loss.get_config()["from_logits"]) == (False, True)
