"""Keras losses by name: which go with which labels, and that they get labels in their own coding."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.errors import RecipeError
from tfcompress.keras_names import LOSSES, loss_class
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.recipe import Train
from tfcompress.tasks.task_table import TASKS
from tfcompress.training.named_losses import FITTING, RIGHT, check_losses, named_loss

Y = np.array([0, 1, 2, 1], np.int32)
LOGITS = np.float32([[2, 0, 1], [0, 3, 1], [1, 1, 0], [5, 1, 2]])
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)


@pytest.fixture(params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(request.param)


def bound(y: Any, size: int) -> Any:
    signature = Signature((TensorSpec("x", (2,), "float32"),), (TensorSpec("out", (size,), "float32"),))
    return tfc.load_data({"x_train": np.zeros((len(y), 2), np.float32), "y_train": y}).bind(signature)


KINDS = {"classes": bound(Y, 3), "yes or no": bound(Y % 2, 1), "numbers": bound(Y * 1.5 - 1, 1)}


@pytest.mark.parametrize(
    ("labels", "name", "message"),
    [
        (
            "yes or no",
            "categorical_crossentropy",
            r"does not go with output 'out' \(binary\); give binary_crossentropy",
        ),
        ("yes or no", "sparse_categorical_crossentropy", "give binary_crossentropy, or leave --loss out"),
        ("classes", "ctc", "give sparse_categorical_crossentropy or categorical_crossentropy"),
        ("classes", "poisson", "give sparse_categorical_crossentropy or categorical_crossentropy"),
        ("numbers", "sparse_categorical_crossentropy", "give mean_squared_error, mean_absolute_error or huber"),
        ("numbers", "hinge", "give mean_squared_error"),
        ("numbers", "bce", r"it wants targets in \[0, 1\], these reach from -1 to 2; give mean_squared_error"),
        ("classes", "other=mse", r"no output 'other'; the model's outputs are out"),
        ("classes", "oud=mse", r"no output 'oud' \(did you mean 'out'\?\)"),
    ],
)
def test_a_loss_that_makes_no_sense_for_the_labels_is_refused_with_the_right_one(
    labels: str, name: str, message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        check_losses(KINDS[labels], Train(loss=name))


def test_a_loss_without_labels_is_refused() -> None:
    data = tfc.load_data({"x_train": np.zeros((4, 2), np.float32)}).bind(KINDS["classes"].signature)
    with pytest.raises(
        RecipeError, match=r"train\.loss 'mse' compares output 'out' with labels, and it is trained with"
    ):
        check_losses(data, Train(loss="mse"))


@pytest.mark.parametrize("labels", KINDS)
def test_the_loss_that_is_named_instead_is_taken(labels: str) -> None:
    teaching = next(iter(KINDS[labels].tasks.values())).teaching
    for name in RIGHT[teaching].replace(" or ", ", ").split(", "):
        check_losses(KINDS[labels], Train(loss=f"out={name}"))


def test_every_loss_of_the_table_is_one_of_keras() -> None:
    assert {name for names in FITTING.values() for name in names} <= set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_every_name_of_a_loss_leads_to_its_class(name: str) -> None:
    import keras

    found = loss_class(name)
    assert found is not None
    assert type(keras.losses.get(found)) is getattr(keras.losses, found)


@pytest.mark.parametrize("outputs", [LOGITS, SHARES], ids=["logits", "probabilities"])
def test_class_numbers_are_coded_for_losses_that_compare_vectors(keras: Any, outputs: np.ndarray) -> None:
    task = TASKS["classification"]
    values = [
        float(named_loss(name, task, outputs, keras)(Y, outputs))
        for name in ("sparse_categorical_crossentropy", "CategoricalCrossentropy")
    ]
    expected = -np.log(SHARES[np.arange(4), Y]).mean()
    assert values == pytest.approx([expected] * 2, rel=1e-5)
    squared = float(named_loss("mse", task, outputs, keras)(Y, outputs))
    assert squared == pytest.approx(((outputs - np.eye(3)[Y]) ** 2).mean(), rel=1e-5)


@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "categorical_crossentropy", "mae"])
def test_steps_that_are_no_class_do_not_count(keras: Any, name: str) -> None:
    loss = named_loss(name, TASKS["classification"], LOGITS, keras)
    padded = np.int32([[0, 1, -1], [2, 1, -1]])
    outputs = np.stack([np.stack([LOGITS[0], LOGITS[1], 9 * LOGITS[2]]), np.stack([LOGITS[2], LOGITS[3], LOGITS[0]])])
    assert float(loss(padded, outputs)) == pytest.approx(float(loss(padded[:, :2], outputs[:, :2])), rel=1e-5)


@pytest.mark.parametrize("probable", [False, True])
def test_yes_and_no_are_told_as_logits_or_probabilities(keras: Any, probable: bool) -> None:
    logits = np.float32([[2], [-1], [0.5], [-3]])
    shares = 1 / (1 + np.exp(-logits))
    outputs = shares if probable else logits
    loss = named_loss("bce", TASKS["binary"], outputs, keras)
    y = np.float32([[1], [0], [0], [1]])
    expected = -np.where(y == 1, np.log(shares), np.log(1 - shares)).mean()
    assert float(loss(y, outputs)) == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_this_keras_lacks_is_named() -> None:
    import tf_keras

    with pytest.raises(RecipeError, match=r"must be 'auto' or the name of a loss of tf_keras, got 'dice'"):
        named_loss("dice", TASKS["regression"], LOGITS, tf_keras)


def test_losses_by_output_are_read_and_checked() -> None:
    train = Train(loss="kind=auto, box = huber,mse")
    assert [train.loss_of(name) for name in ("kind", "box", "other")] == ["auto", "huber", "mse"]
    with pytest.raises(RecipeError, match=r"train\.loss must be one name for each output"):
        Train(loss="a=mse,a=mae")
    with pytest.raises(RecipeError, match=r"the name of a Keras loss \(did you mean 'huber'\?\)"):
        Train(loss="a=hubert")
