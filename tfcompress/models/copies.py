"""Copying Keras 3 models layer by layer, so that the user's own is never touched."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from tfcompress.errors import ModelError, UnsupportedError

KERNELS = frozenset({"kernel", "recurrent_kernel", "pointwise_kernel", "depthwise_kernel", "embeddings"})
"""What Keras's own layers call their kernels."""

_HALVES = frozenset({"float16", "bfloat16"})

DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
"""Layers whose kernel holds a filter for each channel: few weights, and each of them counts."""


@dataclass(frozen=True)
class Slot:
    """One kernel of a layer.

    Attributes:
        name: name for reports: the layer's path, with the rest of the variable's where the layer has several kernels
            (beside depthwise ones, which are always called so).
        layer: path of the layer in the model.
        owner: the layer, inside that one or itself, that made the variable.
        variable: the kernel.
        attribute: path of attributes from the layer to the variable, e.g. ``cell/kernel``; empty: there is none.
    """

    name: str
    layer: str
    owner: Any
    variable: Any
    attribute: str

    @property
    def depthwise(self) -> bool:
        """Whether the kernel holds a filter for each channel."""
        return type(self.owner).__name__ in DEPTHWISE or short_name(self.variable) == "depthwise_kernel"


def check_graph(model: Any) -> None:
    """Refuse a model whose graph of layers is not known.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model, or one inside it; it is named.
    """
    if isinstance(model, keras.Sequential):
        if not model.built or not model.inputs:
            msg = f"model {model.name!r} was never built, its shapes are unknown; call it once on a sample"
            raise ModelError(msg)
    elif not hasattr(model, "_nodes_by_depth"):
        msg = (
            f"model {model.name!r} is subclassed ({type(model).__name__}): stages need its graph of layers; "
            "build it with the functional API, or export it without stages"
        )
        raise UnsupportedError(msg)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            check_graph(layer)


def leaves(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every layer that is not itself a model, with its path (``inner/dense`` where models are nested)."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer, f"{prefix}{layer.name}/")
        else:
            yield f"{prefix}{layer.name}", layer


def copied(model: Any, *, dtype: str | None = None) -> Any:
    """Return an uncompiled model of the same layers and weights, that shares nothing with *model*.

    Args:
        model: functional or Sequential; it is read only.
        dtype: what all layers compute in, e.g. ``float32``; None: what they do.
    """
    new = rebuilt(model, lambda _path, layer: _fresh(layer) if dtype is None else _computing_in(dtype, _fresh(layer)))
    if dtype is not None:
        _computing_in(dtype, new)
    new.set_weights(model.get_weights())
    for old_layer, new_layer in zip(model._flatten_layers(), new._flatten_layers(), strict=True):
        if isinstance(old_layer, keras.Model) and not old_layer.trainable:
            new_layer.trainable = False
        if isinstance(new_layer, keras.layers.Normalization):
            new_layer.finalize_state()
    return new


def rebuilt(model: Any, replace: Callable[[str, Any], Any]) -> Any:
    """Build *model*'s graph anew, nested models included.

    Args:
        model: functional or Sequential; it is read only.
        replace: takes the path of a layer (or raw operation) and itself, gives what is called in its place; asked once
            for each, however often it is called.
    """
    return _rebuilt(model, "", replace, {})


def _rebuilt(model: Any, prefix: str, replace: Callable[[str, Any], Any], known: dict[int, Any]) -> Any:
    def stand_in(operation: Any) -> Any:
        if id(operation) not in known:
            path = f"{prefix}{operation.name}"
            if isinstance(operation, keras.Model):
                known[id(operation)] = _rebuilt(operation, f"{path}/", replace, known)
            else:
                known[id(operation)] = replace(path, operation)
        return known[id(operation)]

    if isinstance(model, keras.Sequential):
        return keras.Sequential([_input_like(model.inputs[0]), *map(stand_in, model.layers)], name=model.name)
    inputs = keras.tree.map_structure(_input_like, model.input)
    outputs = model._run_through_graph(inputs, operation_fn=stand_in)
    return keras.Model(inputs, outputs, name=model.name)


def _input_like(tensor: Any) -> Any:
    name = input_name(tensor)
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, sparse=tensor.sparse, name=name)


def input_name(tensor: Any) -> str:
    """Return the name of an input: that of its layer, which its tensor has only where somebody gave one."""
    return str(tensor._keras_history.operation.name)


def _fresh(operation: Any) -> Any:
    """Return a layer or raw operation as it was before it was built, with nothing of the old one's state."""
    if isinstance(operation, keras.layers.Lambda):
        # from_config refuses code that it does not know to be trusted; this function is in the process already.
        config = keras.layers.Layer.get_config(operation)
        shape = operation._output_shape
        return keras.layers.Lambda(operation.function, shape, operation.mask, operation.arguments, **config)
    if isinstance(operation, keras.layers.Layer):
        return type(operation).from_config(operation.get_config())
    new = copy.copy(operation)
    new._inbound_nodes, new._outbound_nodes = [], []
    return new


def _computing_in(dtype: str, operation: Any) -> Any:
    """Let a layer that is not built yet (or a model of built ones), and all in it, compute in another dtype."""
    if isinstance(operation, keras.layers.Layer):
        for layer in operation._flatten_layers():
            layer.dtype_policy = dtype
    elif getattr(operation, "dtype", None) in _HALVES:  # a Cast, or the like
        operation.dtype = dtype
    return operation


def short_name(variable: Any) -> str:
    """Return ``kernel`` for a variable whose path is ``dense/kernel``."""
    return str(variable.path).rpartition("/")[2]


def slots_of(path: str, layer: Any) -> list[Slot]:
    """Return the kernels of a layer: what Keras calls so, and every matrix or higher tensor of somebody's own layer.

    Args:
        path: the layer's path in the model.
        layer: the layer; kernels of layers inside it (a wrapper's, an attention's) are its kernels too.
    """
    found = [
        (owner, variable)
        for owner in layer._flatten_layers()
        for variable in owner._trainable_variables
        if short_name(variable) in KERNELS or (_own(owner) and len(variable.shape) > 1)
    ]
    slots = [Slot(_name(path, layer, v), path, owner, v, _attribute(layer, v)) for owner, v in found]
    others = [slot for slot in slots if not slot.depthwise]
    if len(others) == 1 or len(slots) == 1:
        first = (others or slots)[0]
        return [dataclasses.replace(slot, name=path) if slot is first else slot for slot in slots]
    return slots


def layers_with_kernels(model: Any) -> dict[str, Any]:
    """Return the layers of a model that have a kernel, by path; by their first one, where they have several."""
    first = {id(layer): path for path, layer in reversed(list(leaves(model)))}
    return {path: layer for path, layer in leaves(model) if first[id(layer)] == path and slots_of(path, layer)}


def _attribute(layer: Any, variable: Any) -> str:
    """Return the path of attributes from *layer* to a variable, e.g. ``cell/kernel``; empty: there is none."""
    name = short_name(variable)
    if getattr(layer, name, None) is variable:
        return name
    for attribute, value in vars(layer).items():
        inside = _attribute(value, variable) if isinstance(value, keras.layers.Layer) else ""
        if inside:
            return f"{attribute}/{inside}"
    return ""


def _own(layer: Any) -> bool:
    return not type(layer).__module__.startswith("keras.")


def _name(path: str, layer: Any, variable: Any) -> str:
    parts = str(variable.path).split("/")
    inside = parts[parts.index(layer.name) + 1 :] if layer.name in parts else parts
    return "/".join([path, *inside])
