"""Copying tf_keras models layer by layer, so that the user's own is never touched.

It is ``models.copies`` for the other Keras, and apart from it since a layer here may wrap the old one and share its
variables, as tfmot's wrappers do: which variable stands for which has to be known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tf_keras

from tfcompress.errors import ModelError, UnsupportedError
from tfcompress.models import keras_private
from tfcompress.models.graph import leaf_layers
from tfcompress.models.own_call import refuse_own_call

KERNELS = frozenset({"kernel", "recurrent_kernel", "pointwise_kernel", "depthwise_kernel", "embeddings"})
"""What tf_keras's own layers call their kernels."""


@dataclass(frozen=True)
class Clone:
    """A model built anew from another.

    Attributes:
        model: the new model.
        live: id of a variable of the old model -> the variable that stands for it in the new one.
    """

    model: Any
    live: Mapping[int, Any]


def check_clonable(model: Any) -> None:
    """Refuse a model that cannot be rebuilt as a graph of layers, or that trains in another precision than float32.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model, one that computes in its own way, or mixed precision; names the model or
            the layers.
    """
    refuse_own_call(model)
    for each in (model, *_nested(model)):
        if isinstance(each, tf_keras.Sequential) and not each.built:
            msg = f"model {each.name!r} was never built, its shapes are unknown; call it once on a sample"
            raise ModelError(msg)
        if not isinstance(each, tf_keras.Sequential) and not keras_private.is_network(each):
            msg = f"model {each.name!r} is subclassed ({type(each).__name__}): stages need its graph of layers"
            raise UnsupportedError(msg, "build it with the functional API, or export it without stages")
    mixed = [path for path, layer in leaf_layers(model) if layer.weights and layer.compute_dtype != "float32"]
    if mixed:
        where = ", ".join(mixed[:5])
        msg = f"layers must compute in float32, got mixed precision in {where}"
        raise UnsupportedError(msg, "load the model under policy 'float32'")


def _nested(model: Any) -> Iterator[Any]:
    for layer in getattr(model, "layers", ()):
        if isinstance(layer, tf_keras.Model):
            yield layer
            yield from _nested(layer)


def clone(model: Any) -> Any:
    """Return a model of the same layers and weights, that shares nothing with *model*."""
    return clone_with(model, lambda _path, _layer: None).model


def with_weights(model: Any, weights: Sequence[np.ndarray]) -> Any:
    """Return a model of the same layers that holds *weights*, in the order of ``model.weights``."""
    new = clone(model)
    new.set_weights(weights)
    refresh_(new)
    return new


def clone_with(model: Any, replace: Callable[[str, Any], Any | None]) -> Clone:
    """Build *model* anew, nested models included.

    Args:
        model: the model; its graph is read, it is not changed.
        replace: takes a layer's path and the layer; gives the layer to stand in its place (which may wrap the layer
            itself and then shares its variables), or None for a copy with the same weights.
    """
    copies: list[tuple[Any, Any]] = []
    live: dict[int, Any] = {}

    def cloner(prefix: str) -> Callable[[Any], Any]:
        def clone(layer: Any) -> Any:
            path = f"{prefix}{layer.name}"
            if isinstance(layer, tf_keras.Model):
                return tf_keras.models.clone_model(layer, clone_function=cloner(f"{path}/"))
            new = None if isinstance(layer, tf_keras.layers.InputLayer) else replace(path, layer)
            if new is None:
                new = type(layer).from_config(layer.get_config())
                copies.append((layer, new))
            else:
                live.update({id(variable): variable for variable in layer.weights})
            return new

        return clone

    new_model = tf_keras.models.clone_model(model, clone_function=cloner(""))
    if not new_model.built:
        new_model.build(model.input_shape)
    for old, new in copies:
        new.set_weights(old.get_weights())
        live.update(zip(map(id, old.weights), new.weights, strict=True))
    refresh_(new_model)
    return Clone(new_model, live)


def refresh_(model: Any) -> None:
    """Let Normalization layers see the weights they were given: they keep tensors computed from them."""
    for _, layer in leaf_layers(model):
        if isinstance(layer, tf_keras.layers.Normalization):
            layer.finalize_state()


def short_name(variable: Any) -> str:
    """Return ``kernel`` for a variable called ``dense/kernel:0``."""
    return str(variable.name).partition(":")[0].rpartition("/")[2]


def kernels_of(layer: Any) -> list[Any]:
    """Return a layer's kernels: what tf_keras calls so, and every matrix or higher tensor of somebody's own layer."""
    own = not type(layer).__module__.startswith("tf_keras.")
    return [v for v in layer.weights if short_name(v) in KERNELS or (own and v.shape.rank > 1)]


def kernel_layers(model: Any) -> dict[str, Any]:
    """Return the layers that have a kernel, by path."""
    return {path: layer for path, layer in leaf_layers(model) if kernels_of(layer)}


def kernel_name(path: str, variable: Any, alone: bool) -> str:
    """Name a kernel: the layer's path alone where it has one kernel, else with the rest of the variable's name.

    Example: ``encoder/attention/query/kernel`` for the variable ``attention/query/kernel:0`` of several in a layer.
    """
    if alone:
        return path
    parts = str(variable.name).partition(":")[0].split("/")
    layer = path.rpartition("/")[2]
    inside = parts[parts.index(layer) + 1 :] if layer in parts else parts[-1:]
    return "/".join([path, *inside])
