"""Which Keras an object belongs to, told without importing either."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

from tfcompress.errors import UsageError

Kind = Literal["keras2", "keras3", "savedmodel"]


def _is_model_of(package: str, model: Any) -> bool:
    # A model of a Keras can only exist once that Keras has been imported: no need to import it to find out.
    module = sys.modules.get(package)
    return module is not None and isinstance(model, module.Model)


def keras_of(model: Any) -> Kind:
    """Say whether *model* is a Keras 3 model, a tf_keras (Keras 2) model, or the path of a SavedModel folder.

    Raises:
        UsageError: it is none of them.
    """
    if _is_model_of("tf_keras", model):
        return "keras2"
    if _is_model_of("keras", model):
        return "keras3"
    if isinstance(model, str | Path):
        return "savedmodel"
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
