"""What a file says about how its model was compiled is read as plain values."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tfcompress.models.compiled import compile_config, compile_config_of, traits_of
from tfcompress.models.loading import load_model
from tfcompress.tasks.traits import OutputTraits


def two_outputs(keras: Any) -> Any:
    x = keras.Input((4,), name="x")
    kind = keras.layers.Dense(3, "softmax", name="kind")(x)
    return keras.Model(x, [kind, keras.layers.Dense(1, name="size")(x)])


def own(y_true: Any, y_pred: Any) -> Any:
    return y_pred


def compiled(keras: Any) -> Any:
    model = two_outputs(keras)
    model.compile(
        "sgd",
        {"kind": keras.losses.CategoricalCrossentropy(label_smoothing=0.1), "size": "mse"},
        loss_weights={"kind": 1.0, "size": 0.5},
        metrics={
            "kind": ["accuracy", keras.metrics.Precision(), keras.metrics.Recall(thresholds=0.3)],
            "size": ["mape"],
        },
    )
    return model


EXPECTED = {
    "kind": OutputTraits(
        activation="softmax",
        loss="CategoricalCrossentropy",
        loss_settings={"label_smoothing": 0.1},
        metrics=("Precision",),
        unknown=("Recall",),  # with a threshold of its own
    ),
    "size": OutputTraits(
        activation="linear", loss="MeanSquaredError", weight=0.5, metrics=("MeanAbsolutePercentageError",)
    ),
}


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_a_file_says_what_its_model_was_compiled_with(library: str, kind: str, tmp_path: Path) -> None:
    model = compiled(importlib.import_module(library))
    path = tmp_path / f"model.{kind}"
    model.save(path)
    assert traits_of(model, ["kind", "size"], compile_config(path, kind)) == EXPECTED
    assert traits_of(model, ["kind", "size"], compile_config_of(model)) == EXPECTED


def test_a_loaded_model_tells_it_with_its_outputs(tmp_path: Path, keras: Any) -> None:
    compiled(keras).save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert {spec.name: spec.traits for spec in loaded.signature.outputs} == EXPECTED
    assert {spec.name: spec.traits for spec in load_model(compiled(keras)).signature.outputs} == EXPECTED


def test_what_is_not_keras_own_is_named_and_not_used(keras: Any) -> None:
    model = two_outputs(keras)
    model.compile("sgd", own, metrics=[[own], []])
    found = traits_of(model, ["kind", "size"], compile_config_of(model))
    assert (found["kind"].loss, found["kind"].unknown) == (None, ("own", "own"))


def test_a_model_that_was_not_compiled_tells_its_activations_alone(keras: Any) -> None:
    model = two_outputs(keras)
    assert compile_config_of(model) == {}
    assert traits_of(model, ["kind", "size"], {})["kind"] == OutputTraits(activation="softmax")


@pytest.mark.parametrize(
    "config",
    [
        "nonsense",
        "[]",
        '{"loss": 7}',
        '{"loss": {"class_name": "Popen", "module": "subprocess", "config": {"args": ["true"]}}}',
        '{"loss": {"class_name": "Custom>MeanSquaredError", "config": {}}}',
        '{"loss": {"class_name": "Huber", "module": "evil.losses", "config": {}}}',
        '{"loss": ["mse"], "metrics": {"class_name": []}}',
    ],
)
def test_nonsense_in_a_file_tells_nothing(config: str, tmp_path: Path, keras: Any) -> None:
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["training_config"] = config
    found = traits_of(two_outputs(keras), ["kind", "size"], compile_config(tmp_path / "model.h5", "h5"))
    assert found["size"].loss is None
    assert compile_config(tmp_path / "absent.keras", "keras") == {}


@pytest.mark.parametrize(
    "said", [np.zeros(5), 7, h5py.Empty("f"), b"\xff"], ids=["numbers", "a number", "nothing", "no text"]
)
def test_what_is_no_text_in_a_file_tells_nothing(said: object, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["training_config"] = said
    assert compile_config(tmp_path / "model.h5", "h5") == {}


@pytest.mark.parametrize("number", ["1e999", "NaN", "1" + "0" * 400], ids=["infinity", "nan", "a long one"])
def test_numbers_that_are_none_are_no_weight_and_no_setting(number: str, tmp_path: Path, keras: Any) -> None:
    loss = f'{{"class_name": "Huber", "module": "keras.losses", "config": {{"delta": {number}}}}}'
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["training_config"] = f'{{"loss": {{"size": {loss}}}, "loss_weights": {{"size": {number}}}}}'
    size = traits_of(two_outputs(keras), ["kind", "size"], compile_config(tmp_path / "model.h5", "h5"))["size"]
    assert (size.loss, size.loss_settings, size.weight) == (None, {}, 1.0)
    assert size.unknown == ("Huber",)
