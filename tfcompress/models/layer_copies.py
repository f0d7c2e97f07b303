"""Copies of single layers and operations of Keras 3."""

from __future__ import annotations

import copy
from typing import Any

import keras

from tfcompress.models.call_template import Template
from tfcompress.models.keras_private import first_arguments, forget_calls_, lambda_output_shape


def unbuilt_copy(operation: Any, *, kind: Any = None, **changed: Any) -> Any:
    """Return a layer or raw operation as it was before it was built, with nothing of the old one's state.

    Args:
        operation: a layer, or an operation of the graph that is no layer.
        kind: class of a layer's copy, where it is another one.
        changed: what is different in a layer's configuration; of an operation only ``name`` can be.
    """
    if isinstance(operation, keras.layers.Lambda):
        # from_config refuses code that it does not know to be trusted; this function is in the process already.
        config = {**keras.layers.Layer.get_config(operation), **changed}
        shape = lambda_output_shape(operation)
        return keras.layers.Lambda(operation.function, shape, operation.mask, operation.arguments, **config)
    if isinstance(operation, keras.layers.Layer):
        return (kind or type(operation)).from_config({**operation.get_config(), **changed})
    new = copy.copy(operation)
    forget_calls_(new)
    new.name = changed.get("name", operation.name)
    return new


def layer_copy(layer: Any, name: str, *, kind: Any = None, **changed: Any) -> Any:
    """Return a layer or operation like *layer* that shares nothing with it.

    Args:
        layer: a layer that is built, or an operation of the graph that is no layer.
        name: the copy's name.
        kind: class of the copy, where it is another one; its weights begin with the layer's.
        changed: what is different in its configuration. A change that makes other weights leaves them as initialized.
    """
    new = unbuilt_copy(layer, kind=kind, name=name, **changed)
    if not isinstance(layer, keras.layers.Layer) or isinstance(layer, keras.layers.Lambda):
        return new
    _build_(new, layer)
    if [w.shape for w in new.weights[: len(layer.weights)]] == [w.shape for w in layer.weights]:
        values = layer.get_weights()
        new.set_weights([*values, *new.get_weights()[len(values) :]])
    if isinstance(new, keras.layers.Normalization):
        new.finalize_state()  # it computes with tensors made from its weights
    return new


def is_symbolic(leaf: Any) -> bool:
    """Say whether a leaf of a call's arguments is a tensor of the graph."""
    return isinstance(leaf, keras.KerasTensor)


def _build_(new: Any, like: Any) -> None:
    """Build a layer for what the layer *like* was built for."""
    if new.built:
        return
    how = like.get_build_config()
    if how:
        new.build_from_config(how)
        new.built = True
    if len(new.weights) < len(like.weights) and (arguments := first_arguments(like)) is not None:
        template, tensors = Template.of(arguments.args, arguments.kwargs, is_symbolic)
        args, kwargs = template.fill([keras.KerasTensor(t.shape, t.dtype) for t in tensors])
        new(*args, **kwargs)
