"""What every layer of a Keras 3 model gives on samples, nested models taken apart."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.models.call_template import Template, leaves
from tfcompress.models.graph import calls, is_graph
from tfcompress.models.keras_private import has_origin
from tfcompress.models.wiring import infer_outputs, wire


@dataclass(frozen=True)
class LayerValue:
    """What came out of one call of a layer.

    Attributes:
        path: the layer's: ``conv``, inside a nested model ``backbone/conv``; with a note where an activation inside the
            layer was held back: ``logits (before softmax)``.
        kind: class of the layer.
        values: shape (samples, ...), float32 or whole numbers.
        call: which call of the layer, from 0 on.
    """

    path: str
    kind: str
    values: np.ndarray
    call: int = 0


def layer_values(model: Any, inputs: Mapping[str, np.ndarray]) -> list[LayerValue]:
    """Run a model for inference and keep what every layer gives, in the order of the calls.

    A layer with an activation inside counts twice, before and after it: a file's op may end at either place.

    Args:
        model: a Keras 3 model; of a subclassed one only the outputs are seen.
        inputs: an array of shape (samples, ...) for each input by name.
    """
    tensors = {name: tf.constant(values) for name, values in inputs.items()}
    if not is_graph(model):
        outputs = infer_outputs(model, tensors)
        return [LayerValue(name, type(model).__name__, value.numpy()) for name, value in outputs.items()]
    found: list[LayerValue] = []
    _walk(model, [tensors[spec.name] for spec in wire(model).inputs], "", found)
    return found


def _walk(model: Any, given: list[Any], prefix: str, found: list[LayerValue]) -> list[Any]:
    values = {id(symbol): value for symbol, value in zip(model.inputs, given, strict=True)}
    for call in calls(model):
        template, symbols = Template.of(call.args, call.kwargs, has_origin)
        fed = [values[id(symbol)] for symbol in symbols]
        path = prefix + call.layer.name
        if isinstance(call.layer, keras.Model) and is_graph(call.layer):
            results = _walk(call.layer, fed, f"{path}/", found)
        else:
            args, kwargs = template.fill(fed)
            results = _called(call.layer, path, args, kwargs, found)
        values.update({id(symbol): value for symbol, value in zip(call.outputs, results, strict=True)})
    return [values[id(symbol)] for symbol in model.outputs]


def _called(layer: Any, path: str, args: Any, kwargs: dict[str, Any], found: list[LayerValue]) -> list[Any]:
    kind, count = type(layer).__name__, sum(value.path == path for value in found)
    activation = _inner_activation(layer)
    if activation is None:
        results = leaves(layer(*args, **kwargs))
    else:
        with _linear_(layer):
            before = layer(*args, **kwargs)
        name = getattr(activation, "__name__", type(activation).__name__)
        found.append(LayerValue(f"{path} (before {name})", kind, keras.ops.convert_to_numpy(before), count))
        results = [activation(before)]
    found += [LayerValue(path, kind, keras.ops.convert_to_numpy(value), count) for value in results]
    return results


def _inner_activation(layer: Any) -> Any:
    """Return the activation that a dense or convolutional layer ends in; None: it ends in none."""
    weighted = isinstance(layer, keras.layers.Dense) or type(layer).__name__.startswith(("Conv", "Depthwise"))
    activation = getattr(layer, "activation", None) if weighted and not hasattr(layer, "cell") else None
    return None if activation in (None, keras.activations.linear) else activation


@contextlib.contextmanager
def _linear_(layer: Any) -> Iterator[None]:
    """Hold a layer's activation back for a while."""
    activation = layer.activation
    layer.activation = keras.activations.linear
    try:
        yield
    finally:
        layer.activation = activation
