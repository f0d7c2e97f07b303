"""Which Keras an object belongs to, found out without importing either."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Literal

from tfcompress.errors import UsageError
from tfcompress.models.tflite_source import TFLiteSource

Kind = Literal["keras2", "keras3", "savedmodel", "tflite"]


def _is_model_of(package: str, model: Any) -> bool:
    # A model of a Keras can only exist once that Keras has been imported: no need to import it to find out.
    module = sys.modules.get(package)
    return module is not None and isinstance(model, module.Model)


def check_backend() -> None:
    """Refuse a process whose Keras 3 runs on another backend than TensorFlow, or would when it is imported.

    Raises:
        UsageError: naming the backend.
    """
    keras = sys.modules.get("keras")
    config = getattr(keras, "config", None)  # absent while Keras is being imported
    backend = os.environ.get("KERAS_BACKEND") if config is None else config.backend()
    if backend not in (None, "", "tensorflow"):
        msg = (
            f"Keras runs on {backend!r} in this process, and tfcompress works on TensorFlow; "
            "set KERAS_BACKEND=tensorflow before Keras is imported"
        )
        raise UsageError(msg)


def keras_of(model: Any) -> Kind:
    """Say whether *model* is a Keras 3 model, a tf_keras (Keras 2) model, the path of a SavedModel folder, or a file.

    Raises:
        UsageError: it is none of them, or a Keras 3 model on another backend than TensorFlow.
    """
    if _is_model_of("tf_keras", model):
        return "keras2"
    if _is_model_of("keras", model):
        check_backend()
        return "keras3"
    if isinstance(model, str | Path):
        return "savedmodel"
    if isinstance(model, TFLiteSource):
        return "tflite"
    msg = f"model must be a Keras 3 model, a tf_keras model or the path of one, got {type(model).__name__}"
    raise UsageError(msg)


def is_model(layer: Any) -> bool:
    """Say whether an object is a model of either Keras."""
    return _is_model_of("keras", layer) or _is_model_of("tf_keras", layer)


def library(kind: str) -> Any:
    """Return the package of a Keras, ``tf_keras`` for "keras2" and ``keras`` for "keras3"; it is imported."""
    if kind == "keras2":
        import tf_keras

        return tf_keras
    import keras

    return keras


def library_of(model: Any) -> Any:
    """Return the package of the Keras that a model belongs to, ``keras`` or ``tf_keras``.

    Raises:
        UsageError: it belongs to neither.
    """
    return library(keras_of(model))


def graph_of(model: Any) -> Any:
    """Return the model that holds the layers and computes the outputs.

    That is *model* itself, but for a carrier: a Keras 3 model whose attribute ``tfcompress_graph`` is the tf_keras
    model that it runs (quantization-aware training of a Keras 3 model in tfmot's graph, for one).
    """
    return getattr(model, "tfcompress_graph", model)


def has_layers(model: Any) -> bool:
    """Say whether a model lists its layers: the path of a SavedModel and a ``.tflite`` file do not.

    Raises:
        UsageError: it is no model.
    """
    return keras_of(model) not in ("savedmodel", "tflite")
