"""Copying Keras 3 models layer by layer, so that the user's own is never touched.

Models are rebuilt in other places too, where layers are not merely exchanged: the bridge changes the Keras, surgery
of channels the sizes of weights and the arguments of calls, ``quantization.transform`` and ``baking`` put steps in and
take them out, and ``engines.tfmot.cloning`` does for tf_keras, with its own ``clone_model``, what this module does, and
tells which variable became which.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tfcompress.errors import ModelError, UnsupportedError
from tfcompress.models.graph import leaf_layers
from tfcompress.models.keras_private import (
    all_layers,
    has_graph,
    origin,
    own_trainable_variables,
    replayed,
)
from tfcompress.models.layer_copies import unbuilt_copy
from tfcompress.models.own_call import refuse_own_call

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
        part_of: path of the composite layer that this one is a part of, in the model as it came; empty: of none.
    """

    name: str
    layer: str
    owner: Any
    variable: Any
    attribute: str
    part_of: str = ""

    @property
    def asked_as(self) -> str:
        """Path by which the model's user knows the layer."""
        return self.part_of or self.layer

    @property
    def depthwise(self) -> bool:
        """Whether the kernel holds a filter for each channel."""
        return type(self.owner).__name__ in DEPTHWISE or short_name(self.variable) == "depthwise_kernel"


def check_graph(model: Any) -> None:
    """Refuse a model whose graph of layers is not known.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model, or one that computes in its own way, or one inside it; it is named.
    """
    refuse_own_call(model)
    if isinstance(model, keras.Sequential):
        if not model.built or not model.inputs:
            msg = f"model {model.name!r} was never built, its shapes are unknown; call it once on a sample"
            raise ModelError(msg)
    elif not has_graph(model):
        msg = (
            f"model {model.name!r} is subclassed ({type(model).__name__}): stages need its graph of layers; "
            "build it with the functional API, or export it without stages"
        )
        raise UnsupportedError(msg)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            check_graph(layer)


def model_copy(model: Any, *, dtype: str | None = None) -> Any:
    """Return an uncompiled model of the same layers and weights, that shares nothing with *model*.

    Args:
        model: functional or Sequential; it is read only.
        dtype: what all layers compute in, e.g. ``float32``; None: what they do.
    """

    def copy_of(_: str, layer: Any) -> Any:
        return unbuilt_copy(layer) if dtype is None else _computing_in(dtype, unbuilt_copy(layer))

    new = rebuilt_model(model, copy_of)
    if dtype is not None:
        _computing_in(dtype, new)
    take_weights_(new, model)
    return new


def take_weights_(new: Any, model: Any) -> None:
    """Give a rebuilt model the weights of the one that it was built like, and freeze the models in it that were."""
    set_weights_(new, model.get_weights())
    for old_layer, new_layer in zip(all_layers(model, itself=True), all_layers(new, itself=True), strict=True):
        if isinstance(old_layer, keras.Model) and not old_layer.trainable:
            new_layer.trainable = False


def set_weights_(model: Any, weights: Sequence[Any]) -> None:
    """Set the weights of a Keras 3 model, an array for each in its order, and let Normalization layers see theirs."""
    model.set_weights(weights)
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with tensors made from its weights


def input_like(tensor: Any) -> Any:
    """Return a symbolic input of the same name, shape and dtype as an input of a Keras 3 model."""
    return input_of_shape(tensor, tensor.shape)


def input_of_shape(tensor: Any, shape: Sequence[int | None]) -> Any:
    """Return a symbolic input of the same name and dtype as an input of a Keras 3 model, and of a shape with batch."""
    name = input_name(tensor)
    return keras.Input(batch_shape=tuple(shape), dtype=tensor.dtype, sparse=tensor.sparse, name=name)


def rebuilt_model(model: Any, replace: Callable[[str, Any], Any], *, entry: Callable[[Any], Any] = input_like) -> Any:
    """Build *model*'s graph anew, nested models included.

    Args:
        model: functional or Sequential; it is read only.
        replace: takes the path of a layer (or raw operation) and itself, gives what is called in its place, or a tuple
            of what is called one after the other (empty: nothing); asked once for each, however often it is called.
        entry: takes an input of the model, or of one in it, gives the symbolic input in its place.

    Raises:
        UnsupportedError: the model, or one in it, computes something else than its graph says.
    """
    refuse_own_call(model)
    return _rebuilt(model, "", replace, entry, {})


def _rebuilt(
    model: Any,
    prefix: str,
    replace: Callable[[str, Any], Any],
    entry: Callable[[Any], Any],
    known: dict[int, Any],
) -> Any:
    def stand_in(operation: Any) -> Any:
        if id(operation) not in known:
            path = f"{prefix}{operation.name}"
            if isinstance(operation, keras.Model):
                known[id(operation)] = _rebuilt(operation, f"{path}/", replace, entry, known)
            else:
                known[id(operation)] = replace(path, operation)
        return known[id(operation)]

    if isinstance(model, keras.Sequential):
        layers = [each for layer in model.layers for each in _in_a_row(stand_in(layer))]
        return keras.Sequential([entry(model.inputs[0]), *layers], name=model.name)
    inputs = keras.tree.map_structure(entry, model.input)
    outputs = replayed(model, inputs, lambda operation: _as_one(_in_a_row(stand_in(operation))))
    return keras.Model(inputs, outputs, name=model.name)


def _in_a_row(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def _as_one(operations: tuple[Any, ...]) -> Callable[..., Any]:
    """Return what calls operations one after the other; the arguments beside the tensor go to the first."""
    if not operations:
        return lambda tensor, *_, **__: tensor
    if len(operations) == 1:
        return operations[0]  # type: ignore[no-any-return]  # a layer, or an operation

    def call(*args: Any, **kwargs: Any) -> Any:
        tensor = operations[0](*args, **kwargs)
        for operation in operations[1:]:
            tensor = operation(tensor)
        return tensor

    return call


def input_name(tensor: Any) -> str:
    """Return the name of an input: that of its layer, which its tensor has only where somebody gave one."""
    return str(origin(tensor).name)


def _computing_in(dtype: str, operation: Any) -> Any:
    """Let a layer that is not built yet (or a model of built ones), and all in it, compute in another dtype."""
    if isinstance(operation, keras.layers.Layer):
        for layer in all_layers(operation, itself=True):
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
        for owner in all_layers(layer, itself=True)
        for variable in own_trainable_variables(owner)
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
    first = {id(layer): path for path, layer in reversed(list(leaf_layers(model)))}
    return {path: layer for path, layer in leaf_layers(model) if first[id(layer)] == path and slots_of(path, layer)}


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
