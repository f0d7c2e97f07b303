from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.recipe import Train
from tfcompress.tasks.task_table import TASKS
from tfcompress.tasks.traits import OutputTraits
from tfcompress.training.named_losses import named_loss
from tfcompress.training.objectives import Objective, objectives

X = np.zeros((12, 2), np.float32)
CLASSES = np.arange(12) % 3
SHARES = np.random.default_rng(0).dirichlet(np.ones(3), 12).astype(np.float32)


@pytest.fixture(params=["keras", "tf_keras"])
def library(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(request.param)


def objective(library: Any, y: Any, outputs: np.ndarray, train: Train = Train(), **traits: Any) -> Objective:  # noqa: B008 - a frozen value
    spec = TensorSpec("out", outputs.shape[1:], "float32", OutputTraits(**traits))
    data = tfc.load_data({"train": (X, y)}).bind(Signature((TensorSpec("v", (2,), "float32"),), (spec,)))
    return objectives(data, train, {"out": outputs}, None, library, 4.0)["out"]


def test_the_loss_that_the_model_was_compiled_with_trains_it_with_its_settings(library: Any) -> None:
    found = objective(library, CLASSES, SHARES, loss="CategoricalCrossentropy", loss_settings={"label_smoothing": 0.1})
    expected = library.losses.CategoricalCrossentropy(label_smoothing=0.1)(np.eye(3)[CLASSES], SHARES)
    assert float(found.loss(CLASSES, SHARES)) == pytest.approx(float(expected), rel=1e-5)
    assert found.words == "categorical_crossentropy, label_smoothing 0.1 (which the model was compiled with)"


def test_the_tasks_own_loss_is_what_it_is(library: Any) -> None:
    found = objective(library, CLASSES, SHARES, loss="SparseCategoricalCrossentropy")
    assert type(found.loss).__name__ == "SparseCategoricalCrossentropy"
    assert "compiled" not in found.words


def test_a_loss_of_class_numbers_is_left_aside_for_shares_and_named(library: Any) -> None:
    found = objective(library, SHARES, SHARES, loss="SparseCategoricalCrossentropy")
    assert type(found.loss).__name__ == "CategoricalCrossentropy"
    assert found.words.endswith("(not SparseCategoricalCrossentropy, which takes class numbers, no shares)")


@pytest.mark.parametrize("kind", [None, "SparseCategoricalCrossentropy", "CategoricalCrossentropy"])
def test_steps_that_a_model_masks_are_averaged_over_once(library: Any, kind: str | None) -> None:
    layers, tokens = library.layers, np.array([[1, 2, 3, 0], [2, 0, 0, 0], [3, 1, 0, 0]])
    model = library.Sequential([layers.Input((4,)), layers.Embedding(4, 3, mask_zero=True), layers.Dense(3, "softmax")])
    y = np.where(tokens > 0, tokens - 1, -1).astype(np.int32)
    outputs = model.predict(tokens, verbose=0)
    shares = np.take_along_axis(outputs, np.maximum(y, 0)[..., None], -1)[..., 0]
    task = TASKS["tokens"]
    loss = task.loss(outputs, library) if kind is None else named_loss(kind, task, outputs, library)
    model.compile("sgd", loss=loss)
    for weights in (None, np.ones(3), np.ones((3, 4)), 1.0 * (tokens > 0)):
        found = model.evaluate(tokens, y, sample_weight=weights, verbose=0)
        assert found == pytest.approx(-np.log(shares[y >= 0]).mean(), rel=1e-5)


def test_a_loss_that_trains_no_such_task_is_left_aside_and_named(library: Any) -> None:
    found = objective(library, CLASSES, SHARES, loss="Poisson")
    assert type(found.loss).__name__ == "SparseCategoricalCrossentropy"
    assert found.words.endswith("(not Poisson, which no classification is trained by)")


def test_the_users_loss_comes_first(library: Any) -> None:
    found = objective(library, np.ones((12, 3)), SHARES, Train(loss="mean_absolute_error"), loss="Huber")
    assert found.words == "mean_absolute_error"
