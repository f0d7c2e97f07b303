"""Keras layers for factors, and a model with them in place of its own layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfcompress.low_rank.factors import Factor, Values
from tfcompress.low_rank.places import Place
from tfcompress.models.copies import rebuilt_model
from tfcompress.models.graph import leaf_layers
from tfcompress.models.layer_copies import unbuilt_copy

SUFFIX = "_factor"
"""What follows a layer's name in those of its factors, with their number; the last one has the layer's own name."""

_PLAIN: dict[str, Any] = {
    "activation": "linear",
    "use_bias": False,
    "bias_regularizer": None,
    "bias_constraint": None,
    "activity_regularizer": None,
}
"""What all factors but the last have: only that one has the layer's bias, activation and penalty on what comes out."""


@dataclass(frozen=True, eq=False)
class Replacement:
    """What comes in a layer's place.

    Attributes:
        layers: called one after the other; not built yet.
        weights: of each of them, in Keras's order.
    """

    layers: tuple[Any, ...]
    weights: tuple[list[np.ndarray], ...]


def replacement(place: Place, factors: Sequence[Factor], bias: Values | None, names: set[str]) -> Replacement:
    """Return the layers that compute factors in a layer's place.

    Args:
        place: the layer.
        factors: two or more, in a row.
        bias: of what comes out, shape (outputs,); None: there is none.
        names: of all layers of the model; those of new ones are added.
    """
    layers, weights = [], []
    for number, factor in enumerate(factors, start=1):
        last = number == len(factors)
        made = _layer(place, factor, number == 1, "" if last else f"{SUFFIX}{number}")
        if place.core is not place.layer:
            made = unbuilt_copy(place.layer, layer=keras.layers.serialize(made))
        made.name = place.layer.name if last else _unused(f"{place.layer.name}{SUFFIX}{number}", names)
        layers.append(made)
        weights.append([_kernel(place, factor), *([np.asarray(bias, np.float32)] if last and bias is not None else [])])
    return Replacement(tuple(layers), tuple(weights))


def _unused(name: str, names: set[str]) -> str:
    while name in names:
        name += "_"
    names.add(name)
    return name


def _layer(place: Place, factor: Factor, first: bool, suffix: str) -> Any:
    """Return the layer of one factor; without a suffix in its name it is the last one."""
    core = place.core
    changed: dict[str, Any] = {"name": f"{core.name}{suffix}", **(_PLAIN if suffix else {})}
    if place.is_convolution:
        return _convolution(place, factor, changed)
    if not place.is_embedding:
        return unbuilt_copy(core, **changed, units=factor.outputs)
    if first:
        changed = {"name": f"{core.name}{suffix}", "activity_regularizer": None}
        return unbuilt_copy(core, **changed, output_dim=factor.outputs)
    penalties = {"kernel_regularizer": core.embeddings_regularizer, "activity_regularizer": core.activity_regularizer}
    given = {"name": core.name, "dtype": core.dtype_policy, "trainable": core.trainable}
    return keras.layers.Dense(factor.outputs, use_bias=False, **given, **penalties)


def _convolution(place: Place, factor: Factor, changed: dict[str, Any]) -> Any:
    core, rank = place.core, place.core.rank
    window = tuple(factor.kernel.shape[:rank])
    strides, dilation = (
        tuple(size if mine else 1 for size, mine in zip(sizes[:rank], factor.windowed, strict=False))
        for sizes in (place.strides, place.dilation)
    )
    changed |= {"kernel_size": window, "strides": strides, "dilation_rate": dilation}
    if not factor.depthwise:
        return unbuilt_copy(core, **changed, filters=factor.outputs)
    kind = keras.layers.DepthwiseConv1D if rank == 1 else keras.layers.DepthwiseConv2D
    return kind(
        **changed,
        padding=core.padding,
        data_format=core.data_format,
        depthwise_regularizer=core.kernel_regularizer,
        dtype=core.dtype_policy,
        trainable=core.trainable,
    )


def _kernel(place: Place, factor: Factor) -> np.ndarray:
    """Return a factor's kernel in the shape that its layer has it in."""
    values: np.ndarray = factor.kernel.astype(np.float32)
    if not place.is_convolution:
        values = values[0, 0]
    elif place.core.rank == 1:
        values = values[:, 0]
    return values


def replaced(model: Any, replacements: Mapping[int, Replacement]) -> Any:
    """Build a model with other layers in the place of some of its own.

    Args:
        model: a functional or sequential Keras 3 model, built; it stays as it is.
        replacements: id of a layer -> what comes in its place, wherever it is called; none: it is left out.

    Returns:
        A model of the same names and weights, not compiled; nested ones stay nested.
    """
    copies: list[tuple[Any, Any]] = []

    def replace(_: str, operation: Any) -> Any:
        if id(operation) in replacements:
            return replacements[id(operation)].layers
        copy = unbuilt_copy(operation)
        copies.append((operation, copy))
        return copy

    new = rebuilt_model(model, replace)
    for old, copy in copies:
        if getattr(old, "weights", ()):
            copy.set_weights(old.get_weights())
        if isinstance(copy, keras.layers.Normalization):
            copy.finalize_state()  # it computes with tensors made from its weights
    for found in replacements.values():
        for layer, values in zip(found.layers, found.weights, strict=True):
            layer.set_weights(values)
    for old, copy in zip(_models(model), _models(new), strict=True):
        if not old.trainable:
            copy.trainable = False
    return new


def _models(model: Any) -> Iterator[Any]:
    """Give a model and those inside it."""
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _models(layer)


def names_in(model: Any) -> set[str]:
    """Return the names of all layers of a model, those of nested ones too."""
    return {layer.name for _, layer in leaf_layers(model)}
