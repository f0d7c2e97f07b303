"""Training without labels: against the float model's own outputs, whatever the stage, the task and the Keras."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.models.signature import call, signature_of
from tfcompress.recipe import Train
from tfcompress.reports.findings import findings
from tfcompress.stages.stage import Stage
from tfcompress.training.fit import Training, fit_

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)


@pytest.fixture(params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(request.param)


def network(keras: Any, **last: Any) -> Any:
    """Return a model with an output of three values for each name, by its last activation."""
    keras.utils.set_random_seed(0)
    given = keras.Input((8,), name="x")
    inner = keras.layers.Dense(16, "relu", name="inner")(given)
    outputs = {name: keras.layers.Dense(3, activation, name=name)(inner) for name, activation in last.items()}
    return keras.Model(given, outputs if len(outputs) > 1 else next(iter(outputs.values())))


def trained(model: Any, stages: tuple[Stage, ...], train: Train, **arrays: Any) -> tuple[Any, Training]:
    data = tfc.load_data({"x_train": X, **arrays}).bind(signature_of(model))
    name = signature_of(model).inputs[0].name
    job = tfc.attach(model, *stages, train=train, samples={name: X})
    done = fit_(job, data, train, outputs=call(model, {name: X}), teacher=model)
    return job.finish(), done


def apart(model: Any, other: Any) -> float:
    one, two = (call(each, {signature_of(each).inputs[0].name: X}) for each in (model, other))
    return float(np.mean([np.square(a - b).mean() for a, b in zip(one.values(), two.values(), strict=True)]))


CONSTANT = tfc.Prune(sparsity=0.5, schedule="constant")


@pytest.mark.parametrize(
    "last", [{"out": "softmax"}, {"out": None}, {"a": "softmax", "b": "sigmoid", "c": None}], ids=str
)
def test_a_model_comes_back_to_what_it_answered_before_it_was_pruned(keras: Any, last: dict[str, Any]) -> None:
    model = network(keras, **last)
    finished, done = trained(model, (CONSTANT,), Train(epochs=12, batch_size=16, learning_rate=0.01))
    losses = [row["loss"] for row in done.history]
    assert losses[-1] < 0.5 * losses[0]
    assert apart(model, finished) < 0.1  # of outputs that vary by about one
    assert "from the float model's" in done.loss
    names = done.history[0]
    assert any(name.endswith("agreement") for name in names) is ("softmax" in last.values())
    assert not any("accuracy" in name for name in names)


def test_every_stage_of_both_engines_goes_without_labels(keras: Any) -> None:
    stages = (tfc.Prune(sparsity=0.5), tfc.Cluster(clusters=8), tfc.QAT())
    model = network(keras, out="softmax")
    recipe = tfc.Recipe(stages=stages, export=tfc.Export(quantize="int8"), train=Train(epochs=2, batch_size=16))
    report = tfc.compress(model, recipe, {"x_train": X, "x_test": X, "y_test": np.arange(64) % 3}).report
    assert report.engine == {"keras": "native", "tf_keras": "tfmot"}[keras.__name__]
    assert report.warnings[0] == (
        "the training data has no labels: the stages train against the float model's own outputs"
    )
    assert report.result.score is not None  # of the test split, which has labels
    assert report.result.score.samples == 64


def test_channels_and_distillation_go_without_labels_and_the_report_has_no_accuracy() -> None:
    import keras

    stages = (tfc.Channels(remove=0.3, round_to=1, criterion="taylor", spare=90.0), tfc.Distill(temperature=2.0))
    recipe = tfc.Recipe(stages=stages, train=Train(epochs=2, batch_size=16))
    report = tfc.compress(network(keras, out="softmax"), recipe, {"x_train": X}).report
    assert report.training is not None
    assert "temperature 2" in report.training.notes[0]
    assert report.result.score is None
    assert set(report.training.history) == {"loss", "agreement"}
    likeness = report.result.verification["likeness"]
    assert (likeness["split"], likeness["samples"]) == ("train", 64)
    assert likeness["outputs"][0]["top1"] > 0.5
    assert any("against the float file, 64 samples of 'train'" in found.text for found in findings(report))


@pytest.mark.parametrize("criterion", ["taylor", "hessian"])
@pytest.mark.parametrize("last", [{"out": None}, {"out": "softmax"}, {"a": "sigmoid", "b": None}], ids=str)
def test_a_criterion_by_gradient_goes_without_labels(last: dict[str, Any], criterion: Any) -> None:
    import keras

    recipe = tfc.Recipe(
        stages=(tfc.Channels(remove=0.3, round_to=1, criterion="taylor", spare=90.0), tfc.Prune(criterion=criterion)),
        train=Train(epochs=2, batch_size=16),
    )
    result = tfc.compress(network(keras, **last), recipe, {"x_train": X})
    assert [promise for promise in result.report.result.promises if promise.what == "sparsity"]


def test_augmented_samples_are_what_the_float_model_answers_for() -> None:
    """The agreement of an untouched model is whole only where the teacher sees each sample as the student does."""
    import keras

    keras.utils.set_random_seed(0)
    given = keras.Input((8, 8, 1), name="x")
    flat = keras.layers.Flatten()(given)
    model = keras.Model(given, keras.layers.Dense(3, "softmax", name="out")(flat))
    images = np.random.default_rng(0).random((64, 8, 8, 1), dtype=np.float32)
    data = tfc.load_data({"x_train": images}).bind(signature_of(model))
    train = Train(epochs=2, batch_size=16, learning_rate=1e-9, augment="flip-shift")
    job = tfc.attach(model, tfc.Distill(), train=train)
    done = fit_(job, data, train, outputs=call(model, {"x": images}), teacher=model)
    assert [row["agreement"] for row in done.history] == [1.0, 1.0]
    assert all(row["loss"] < 1e-6 for row in done.history)


@pytest.mark.parametrize("quantize", ["int8", "float16"])
def test_what_is_not_trained_never_asks_for_labels(quantize: Any) -> None:
    import keras

    report = tfc.compress(network(keras, out="softmax"), tfc.Recipe(export=tfc.Export(quantize=quantize)), X).report
    assert report.training is None
    assert report.result.score is None
