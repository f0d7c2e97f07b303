"""What every layer of a model of either Keras gives on samples, nested models taken apart."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfcompress.models.call_template import Template, leaves
from tfcompress.models.graph import calls, is_graph
from tfcompress.models.keras_private import has_origin
from tfcompress.models.kinds import graph_of, library_of
from tfcompress.models.signature import samples_at_fault
from tfcompress.models.wiring import infer_outputs, unwrapped, wire
from tfcompress.quantization.rules import name_of


@dataclass(frozen=True)
class LayerValue:
    """What came out of one call of a layer.

    Attributes:
        path: the layer's: ``conv``, inside a nested model ``backbone/conv``; with a note where an activation inside the
            layer was held back: ``logits (before softmax)``.
        kind: class of the layer; of an Activation layer, its function.
        values: shape (samples, ...), float32 or whole numbers.
        sources: places in the list of the values that it is made of; those that are inputs of the model have none.
        kernel_size: how many weights the layer's kernel has, where it is dense or convolutional; 0: it is not, or this
            is not what comes out of the kernel first.
    """

    path: str
    kind: str
    values: np.ndarray
    sources: tuple[int, ...] = ()
    kernel_size: int = 0


def layer_values(model: Any, inputs: Mapping[str, np.ndarray]) -> list[LayerValue]:
    """Run a model for inference and keep what every layer gives, in the order of the calls.

    A layer with an activation inside counts twice, before and after it: a file's op may end at either place.

    Args:
        model: a Keras 3 or tf_keras model; of a subclassed one only the outputs are seen.
        inputs: an array of shape (samples, ...) for each input by name.

    Raises:
        DataError: numbers that the model cannot look up.
    """
    with samples_at_fault():
        return _layer_values(model, inputs)


def _layer_values(model: Any, inputs: Mapping[str, np.ndarray]) -> list[LayerValue]:
    tensors = {name: tf.constant(values) for name, values in inputs.items()}
    if not is_graph(graph_of(model)):
        outputs = infer_outputs(model, tensors)
        return [LayerValue(name, type(model).__name__, value.numpy()) for name, value in outputs.items()]
    walk = _Walk()
    graph = graph_of(model)
    walk.through(graph, [_Tensor(tensors[spec.name], None) for spec in wire(graph).inputs], "")
    return walk.found


@dataclass(frozen=True)
class _Tensor:
    value: Any
    place: int | None  # in the list of what was found; None: an input


class _Walk:
    """Runs a model call by call, nested ones inside too."""

    def __init__(self) -> None:
        self.found: list[LayerValue] = []

    def through(self, model: Any, given: list[_Tensor], prefix: str) -> list[_Tensor]:
        kind = library_of(model).Model
        known = {id(symbol): tensor for symbol, tensor in zip(model.inputs, given, strict=True)}
        for call in calls(model):
            template, symbols = Template.of(call.args, call.kwargs, has_origin)
            fed = [known[id(symbol)] for symbol in symbols]
            path = prefix + call.layer.name
            if isinstance(call.layer, kind) and is_graph(call.layer):
                results = self.through(call.layer, fed, f"{path}/")
            else:
                results = self._called(call.layer, path, template, fed)
            known.update({id(symbol): tensor for symbol, tensor in zip(call.outputs, results, strict=True)})
        return [known[id(symbol)] for symbol in model.outputs]

    def _called(self, layer: Any, path: str, template: Template, fed: list[_Tensor]) -> list[_Tensor]:
        args, kwargs = template.fill([tensor.value for tensor in fed])
        sources = tuple(tensor.place for tensor in fed if tensor.place is not None)
        activation, size = _inner_activation(layer), _kernel_size(layer)
        if activation is None:
            return [self._keep(layer, path, value, sources, size) for value in leaves(layer(*args, **kwargs))]
        with _linear_(layer):
            before = layer(*args, **kwargs)
        name = getattr(activation, "__name__", type(activation).__name__)
        self._keep(layer, f"{path} (before {name})", before, sources, size)
        return [self._keep(layer, path, activation(before), (len(self.found) - 1,))]

    def _keep(self, layer: Any, path: str, value: Any, sources: tuple[int, ...], size: int = 0) -> _Tensor:
        array = np.asarray(value)
        self.found.append(LayerValue(path, name_of(unwrapped(layer)), array, sources, size))
        return _Tensor(value, len(self.found) - 1)


def _is_weighted(layer: Any) -> bool:
    """Say whether a layer is dense or convolutional, and no loop over time; wrapped for training, too."""
    layer = unwrapped(layer)
    dense = any(each.__name__ == "Dense" for each in type(layer).__mro__)
    named = dense or type(layer).__name__.startswith(("Conv", "Depthwise"))
    return named and not hasattr(layer, "cell") and _kernel(layer) is not None


def _kernel(layer: Any) -> Any:
    """Return the kernel of a layer; tf_keras calls a depthwise one otherwise."""
    layer = unwrapped(layer)
    kernel = getattr(layer, "kernel", None)
    return getattr(layer, "depthwise_kernel", None) if kernel is None else kernel


def _kernel_size(layer: Any) -> int:
    return int(np.prod(_kernel(layer).shape)) if _is_weighted(layer) else 0


def _inner_activation(layer: Any) -> Any:
    """Return the activation that a dense or convolutional layer ends in; None: it ends in none."""
    activation = getattr(layer, "activation", None) if _is_weighted(layer) else None
    return None if activation is None or getattr(activation, "__name__", "") == "linear" else activation


def _as_it_is(value: Any) -> Any:
    return value


@contextlib.contextmanager
def _linear_(layer: Any) -> Iterator[None]:
    """Hold a layer's activation back for a while."""
    activation = layer.activation
    layer.activation = _as_it_is
    try:
        yield
    finally:
        layer.activation = activation
