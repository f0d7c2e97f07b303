"""Composite layers rewritten into parts that the int8 runtime has: the table of who expands what.

A composite layer computes several things inside one call: fake quantization could be put around it, but not between
its steps, where the runtime quantizes. An expansion makes the same computation out of layers and operations of the
graph, with the same weights; training behaviour (dropout, batch statistics) stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tfcompress.models.keras_private import is_of_applications
from tfcompress.quantization import (
    expand_activations,
    expand_attention,
    expand_convs,
    expand_masks,
    expand_merges,
    expand_norms,
    expand_recurrent,
    expand_resizes,
    expand_volumes,
)
from tfcompress.quantization.expand_blocks import Apply, Expand

_L = keras.layers

EXPANSIONS: dict[type, Callable[[Any, Expand], Apply | None]] = {
    _L.Activation: expand_activations.activation,
    _L.ELU: expand_activations.elu,
    _L.ReLU: expand_activations.relu,
    **dict.fromkeys(
        (
            _L.Dense,
            _L.Conv1D,
            _L.Conv2D,
            _L.DepthwiseConv1D,
            _L.DepthwiseConv2D,
            _L.Conv1DTranspose,
            _L.Conv2DTranspose,
            _L.Conv3DTranspose,
        ),
        expand_activations.split,
    ),
    _L.Conv3D: expand_volumes.convolution,
    _L.MaxPooling3D: expand_volumes.pooling,
    _L.AveragePooling3D: expand_volumes.pooling,
    _L.UpSampling1D: expand_resizes.upsampling_of_sequences,
    _L.UpSampling2D: expand_resizes.upsampling,
    _L.SeparableConv1D: expand_convs.separable,
    _L.SeparableConv2D: expand_convs.separable,
    _L.EinsumDense: expand_convs.einsum_dense,
    _L.Dot: expand_convs.dot,
    _L.Add: expand_merges.of_more_than_two,
    _L.Multiply: expand_merges.of_more_than_two,
    _L.Average: expand_merges.average,
    _L.MultiHeadAttention: expand_attention.multi_head_attention,
    _L.LayerNormalization: expand_norms.layer_normalization,
    _L.RMSNormalization: expand_norms.rms_normalization,
    _L.GroupNormalization: expand_norms.group_normalization,
    _L.UnitNormalization: expand_norms.unit_normalization,
    _L.Normalization: expand_norms.normalization,
    _L.Rescaling: expand_norms.rescaling,
    _L.LSTM: expand_recurrent.recurrent,
    _L.GRU: expand_recurrent.recurrent,
    _L.SimpleRNN: expand_recurrent.recurrent,
    _L.RNN: expand_recurrent.recurrent,
    _L.Bidirectional: expand_recurrent.bidirectional,
    _L.TimeDistributed: expand_recurrent.time_distributed,
    _L.Masking: expand_masks.masking,
}
"""Class of a layer -> what makes its expansion of it; None where this one needs none, or can have none."""

_BY_NAME = {"LayerScale": expand_norms.layer_scale}  # of keras.applications, which does not export it

_OPERATIONS: dict[str, Callable[[Any, Expand], Apply]] = {"NotEqual": expand_masks.not_equal}

OBSTACLES: dict[type, Callable[[Any], str]] = {
    _L.Conv3D: expand_volumes.convolution_obstacle,
    _L.MaxPooling3D: expand_volumes.pooling_obstacle,
    _L.AveragePooling3D: expand_volumes.pooling_obstacle,
    _L.MultiHeadAttention: expand_attention.attention_obstacle,
    _L.LSTM: expand_recurrent.recurrent_obstacle,
    _L.GRU: expand_recurrent.recurrent_obstacle,
    _L.SimpleRNN: expand_recurrent.recurrent_obstacle,
    _L.RNN: expand_recurrent.recurrent_obstacle,
    _L.Bidirectional: expand_recurrent.bidirectional_obstacle,
    _L.TimeDistributed: expand_recurrent.time_distributed_obstacle,
}
"""Class of a layer -> what says why it can have no expansion."""


def expansion(layer: Any) -> Apply | None:
    """Return how *layer* is made of simpler parts.

    Args:
        layer: a built Keras 3 layer, or an operation. The expansion starts from its weights, but has variables of its
            own; for call arguments that it cannot take it calls the layer itself, so give a layer that belongs to the
            new model.

    Returns:
        A function that takes the layer's call arguments, applies the parts to them in the functional API and gives
        the outputs; it makes the parts' weights once, so call it for every call of a shared layer. Parts are named
        ``{layer.name}_{part}``; where an activation is split off a layer, what remains keeps the layer's name. None:
        the layer is taken as it is.

    Raises:
        UnsupportedError: the layer has no form in which the file would compute what it does.
    """
    if not isinstance(layer, _L.Layer):
        make = _OPERATIONS.get(type(layer).__name__)
        return None if make is None else make(layer, _expanded)
    maker = EXPANSIONS.get(type(layer)) or _by_name(layer)
    apply = None if maker is None else maker(layer, _expanded)
    return None if apply is None else _without_absent(apply)


def obstacle(layer: Any) -> str:
    """Return why a composite layer is not expanded and so stays in float; empty: it is, or need not be."""
    find = OBSTACLES.get(type(layer))
    return "" if find is None else find(layer)


def standalone(layer: Any) -> Apply | None:
    """Return how a BatchNormalization that follows no convolution is made one that does; see :func:`expansion`.

    The function calls *layer* itself, after a depthwise 1x1 convolution of ones that it folds into. None: it does not
    normalize over the last axis.
    """
    return expand_norms.standalone_batch_normalization(layer, _expanded)


def _without_absent(apply: Apply) -> Apply:
    """Drop keyword arguments that are None, such as the mask that Keras records with some calls."""
    return lambda *args, **kwargs: apply(*args, **{name: v for name, v in kwargs.items() if v is not None})


def _expanded(layer: Any) -> Apply:
    return expansion(layer) or layer


def _by_name(layer: Any) -> Callable[[Any, Expand], Apply | None] | None:
    return _BY_NAME.get(type(layer).__name__) if is_of_applications(layer) else None
