"""The layers of a SavedModel that tf_keras wrote, rebuilt from its description beside the graph, ``keras_metadata.pb``.

Nothing of the graph is revived for it: the description of the model goes through the reader that an .h5 file's goes
through, Keras makes the layers, and the weights come from the checkpoint in the folder. That the result computes what
the graph does is tried once, where the folder is loaded first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.errors import TfcompressError, UnsupportedError
from tfcompress.models.probe_child import CONFIG_BYTES
from tfcompress.models.signature import call, random_inputs, signature_of
from tfcompress.safety.allowed_classes import refused_names
from tfcompress.safety.configuration import find_names
from tfcompress.safety.configuration_graph import find_fault
from tfcompress.safety.proportions import find_excess

METADATA = "keras_metadata.pb"
"""The file in which tf_keras describes the layers."""

TOLERANCE = 1e-4
"""Largest difference between the layers' outputs and the graph's, as a part of the largest output (or of 1)."""


def describes_layers(path: Path) -> bool:
    """Say whether a SavedModel's folder holds a description of layers."""
    return (path / METADATA).is_file()


def rebuild(path: Path, objects: Mapping[str, Any]) -> Any:
    """Rebuild the tf_keras model that a SavedModel was written from.

    Args:
        path: the folder, which :func:`~tfcompress.models.savedmodel.check_trusted` has let pass.
        objects: the classes and functions that the user gave, by name.

    Raises:
        UnsupportedError: its description names code, is not understood, or is not of this graph; half a sentence.
    """
    try:
        return _from_description(_description(path), path, objects)
    except UnsupportedError:
        raise
    except Exception as error:  # whatever stumbles over the file's contents in Keras
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise UnsupportedError(lines[0] if lines else type(error).__name__) from error


def _description(path: Path) -> dict[str, Any]:
    """Return the configuration of the whole model."""
    from tf_keras.protobuf import saved_metadata_pb2

    stored = path / METADATA
    if stored.stat().st_size > CONFIG_BYTES:
        msg = f"its {METADATA} is {stored.stat().st_size:,} bytes long"
        raise UnsupportedError(msg)
    metadata = saved_metadata_pb2.SavedMetadata()
    metadata.ParseFromString(stored.read_bytes())
    root = next((node.metadata for node in metadata.nodes if node.node_path == "root"), "{}")
    config = json.loads(root).get("model_config")
    if not isinstance(config, dict) or config.get("class_name") not in ("Functional", "Sequential"):
        msg = "it is neither a functional nor a sequential model"
        raise UnsupportedError(msg)
    return config


def _from_description(config: dict[str, Any], path: Path, objects: Mapping[str, Any]) -> Any:
    _check(config, path, objects)
    import tf_keras

    model = tf_keras.models.model_from_json(json.dumps(config), custom_objects=dict(objects))
    status = model.load_weights(str(path / "variables" / "variables"))
    status.assert_existing_objects_matched()
    status.expect_partial()
    return model


def _check(config: dict[str, Any], path: Path, objects: Mapping[str, Any]) -> None:
    """Refuse a description that names anything but what Keras computes with."""
    numbers = sum(file.stat().st_size for file in (path / "variables").glob("variables.data-*"))  # at least 1 byte each
    fault = find_fault(config) or find_excess(config, numbers)
    if fault:
        raise UnsupportedError(fault)
    findings = find_names(config)
    refused = refused_names(findings.names, "keras2", objects, tfmot=False)
    met = [*findings.code, *findings.outside, *findings.wrappers, *(repr(name.name) for name in refused)]
    if met:
        msg = f"it holds {met[0]}"
        raise UnsupportedError(msg)


def check_same(model: Any, path: Path) -> None:
    """Check that rebuilt layers take, give and compute what the graph does.

    Raises:
        UnsupportedError: they do not; half a sentence.
    """
    signature, ours = signature_of(path), signature_of(model)
    if set(signature.inputs) != set(ours.inputs) or {o.name for o in signature.outputs} != {
        o.name for o in ours.outputs
    }:
        msg = "its signature is not the model's own"
        raise UnsupportedError(msg)
    try:
        inputs = random_inputs(signature, 2, seed=0)
        expected, given = call(path, inputs), call(model, inputs)
    except TfcompressError as error:
        raise UnsupportedError(str(error)) from error
    for name, values in expected.items():
        scale = max(1.0, float(np.abs(values).max(initial=0)))
        if values.shape != given[name].shape or not np.allclose(values, given[name], rtol=0, atol=TOLERANCE * scale):
            msg = f"they compute another {name!r} than its graph"
            raise UnsupportedError(msg)
