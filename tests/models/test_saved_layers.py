"""SavedModels of tf_keras come back with their layers; whatever is not plain layers is left aside and runs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models import small_models
from tests.models.small_models import build
from tfcompress.cli.main import run_command
from tfcompress.models.loading import load_model
from tfcompress.models.saved_layers import METADATA


def saved(tf_keras: Any, folder: Path, builder: Any = small_models.mlp) -> Any:
    model = build(builder, tf_keras)
    model.save(folder, save_format="tf")
    return model


def redescribe(folder: Path, change: Any) -> None:
    """Change the configuration of the whole model in a SavedModel's description."""
    from tf_keras.protobuf import saved_metadata_pb2

    metadata = saved_metadata_pb2.SavedMetadata()
    metadata.ParseFromString((folder / METADATA).read_bytes())
    root = next(node for node in metadata.nodes if node.node_path == "root")
    described = json.loads(root.metadata)
    change(described["model_config"]["config"])
    root.metadata = json.dumps(described)
    (folder / METADATA).write_bytes(metadata.SerializeToString())


def test_the_layers_and_weights_of_a_tf_keras_saved_model_are_there(tf_keras: Any, tmp_path: Path) -> None:
    model = saved(tf_keras, tmp_path / "saved")
    loaded = load_model(tmp_path / "saved")
    assert (loaded.writer, loaded.refusal, loaded.notes) == ("keras2", "", ())
    assert [type(layer).__name__ for layer in loaded.native.layers] == [type(layer).__name__ for layer in model.layers]
    for ours, theirs in zip(loaded.native.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def lambda_layer(tmp_path: Path) -> dict[str, Any]:
    return {"class_name": "Lambda", "config": {"name": "evil", "function": ["4wAAAA==", None, None]}}


def writing_layer(tmp_path: Path) -> dict[str, Any]:
    config = {"name": "evil", "function": "io.write_file"}
    calls = [[["written", 0, 0, {"contents": str(tmp_path / "written")}]]]
    return {"class_name": "TFOpLambda", "config": config, "name": "evil", "inbound_nodes": calls}


def unknown_layer(tmp_path: Path) -> dict[str, Any]:
    return {"class_name": "Unheard", "config": {"name": "evil"}}


@pytest.mark.parametrize(
    ("hostile", "named"),
    [
        (lambda_layer, "Lambda layer 'evil'"),
        (writing_layer, "call of tf.io.write_file in layer 'evil'"),
        (unknown_layer, "'Unheard'"),
    ],
)
@pytest.mark.parametrize("trust", [False, True])
def test_a_description_that_names_anything_else_is_left_aside_and_that_is_told(
    hostile: Any, named: str, trust: bool, tf_keras: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "saved"
    saved(tf_keras, folder)
    redescribe(folder, lambda config: config["layers"].append(hostile(tmp_path)))
    loaded = load_model(folder, trust=trust)
    assert (loaded.writer, loaded.native) == ("savedmodel", folder)
    (note,) = loaded.notes
    assert note == f"the layers that the SavedModel describes are left aside: it holds {named}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved"]


def activation_of_first_dense(config: dict[str, Any]) -> None:
    dense = next(layer for layer in config["layers"] if layer["class_name"] == "Dense")
    dense["config"]["activation"] = "tanh" if dense["config"]["activation"] != "tanh" else "sigmoid"


def units_of_first_dense(config: dict[str, Any]) -> None:
    next(layer for layer in config["layers"] if layer["class_name"] == "Dense")["config"]["units"] += 1


@pytest.mark.parametrize("change", [activation_of_first_dense, units_of_first_dense])
def test_layers_that_compute_something_else_than_the_graph_are_left_aside(
    change: Any, tf_keras: Any, tmp_path: Path
) -> None:
    saved(tf_keras, tmp_path / "saved")
    redescribe(tmp_path / "saved", change)
    loaded = load_model(tmp_path / "saved")
    assert loaded.writer == "savedmodel"
    assert len(loaded.notes) == 1


@pytest.mark.parametrize("content", [b"", b"\xff" * 40])
def test_a_damaged_description_leaves_the_graph(content: bytes, tf_keras: Any, tmp_path: Path) -> None:
    saved(tf_keras, tmp_path / "saved")
    (tmp_path / "saved" / METADATA).write_bytes(content)
    loaded = load_model(tmp_path / "saved")
    assert (loaded.writer, len(loaded.notes)) == ("savedmodel", 1)


@pytest.mark.slow
def test_a_saved_model_of_tf_keras_can_be_pruned(
    tf_keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = saved(tf_keras, tmp_path / "saved")
    shape = model.input_shape[1:]
    x = np.random.default_rng(0).standard_normal((64, *shape)).astype(np.float32)
    y = np.arange(64) % model.output_shape[-1]
    np.savez("data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    words = ["export", "saved", "--prune", "0.5", "--data", "data.npz", "--epochs", "1", "-o", "out"]
    assert run_command(words) == 0
    assert len(list(Path("out").glob("*.tflite"))) == 1
    assert json.loads(Path("out/report.json").read_text())["source"]["writer"] == "keras2"
