"""What all expansions are made of: named sublayers and operations, copies, a scale and offset for each channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfcompress.models.keras_private import origin
from tfcompress.models.layer_copies import layer_copy

Apply = Callable[..., Any]
"""Takes a layer's call arguments (symbolic tensors), gives its outputs."""

Expand = Callable[[Any], Apply]
"""Takes a new layer, gives its own expansion, or the layer itself where there is none."""


class Sublayers:
    """The parts that one composite layer is rewritten into; they share its policy and are named after it.

    Attributes:
        name: of the composite layer.
        expand: expands parts that are composite themselves.
        repeated: its steps are written out, in which the same parts come again: what each makes has one scale.
    """

    def __init__(self, layer: Any, expand: Expand, *, repeated: bool = False) -> None:
        """Make parts for *layer*; *expand* expands those that are composite themselves."""
        self.name: str = layer.name
        self.expand = expand
        self.repeated = repeated or bool(scale_name(layer))
        self._policy, self._trainable = layer.dtype_policy, layer.trainable
        self._taken: dict[str, int] = {}

    def layer(self, kind: Any, part: str, *, scale: str = "", **options: Any) -> Apply:
        """Return a new layer of class *kind*, named after *part* and expanded; it is called as often as need be.

        Where steps are written out, layers of one *scale* make values on the same one; without it each has its own.
        """
        made = kind(name=self._unique(part), dtype=self._policy, trainable=self._trainable, **options)
        return self.expand(self._marked(made, scale))

    def weighted(self, kind: Any, part: str, shape: tuple[int | None, ...], values: list[Any], **options: Any) -> Apply:
        """Return a layer built for inputs of *shape* that starts from *values*, in the order of its weights."""
        made = kind(name=self._unique(part), dtype=self._policy, trainable=self._trainable, **options)
        made.build(shape)
        made.set_weights([keras.ops.convert_to_numpy(value) for value in values])
        return self.expand(self._marked(made))

    def activation(self, part: str, function: Any) -> Apply:
        """Return *function* as an Activation layer, expanded where the runtime has no op for it."""
        if isinstance(function, keras.Layer):
            return self.expand(self._marked(layer_copy(function, self._unique(part))))
        return self.layer(keras.layers.Activation, part, activation=function)

    def op(self, part: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Apply one function of ``keras.ops``; the operation in the graph gets the part's name."""
        outputs = function(*args, **kwargs)
        made = origin(keras.tree.flatten(outputs)[0])
        self._marked(made, part).name = self._unique(part)
        return outputs

    def _marked(self, layer: Any, scale: str = "") -> Any:
        if self.repeated:
            setattr(layer, _SCALE, f"{self.name}_{scale}" if scale else layer.name)
        return layer

    def _unique(self, part: str) -> str:
        """Name a part; automatic names could meet those of a model that was loaded from a file."""
        count = self._taken.get(part, 0)
        self._taken[part] = count + 1
        return f"{self.name}_{part}_{count}" if count else f"{self.name}_{part}"


_SCALE = "scale_at_each_step"


def scale_name(op: Any) -> str:
    """Return what the one scale is called that a part of steps that are written out has in all of them; empty: none."""
    return str(getattr(op, _SCALE, ""))


def per_channel(
    parts: Sublayers, part: str, scale: Any, offset: Any | None, channels: int, *, trainable: bool | None = None
) -> Apply:
    """Return ``x * scale + offset`` over the last axis as one op that is exact in int8.

    It is a depthwise 1x1 convolution: its kernel has one scale a channel, so that a single factor a channel is kept to
    1/127 of itself at worst and mostly exactly, its bias is int32, and a ReLU fuses into it. MUL and ADD would round
    twice, with one scale for all channels.

    Args:
        parts: of the layer that this belongs to.
        part: what to call it.
        scale: of shape () or (channels,).
        offset: likewise; None: none is added.
        channels: size of the last axis.
        trainable: whether the two are trained; None: as the layer is.

    Returns:
        A function of one tensor of shape (batch, …, channels), of rank 2 or more.
    """
    values = [_spread(scale, channels).reshape(1, 1, channels, 1)]
    values += [] if offset is None else [_spread(offset, channels)]
    shape = (None, None, None, channels)
    # not a loss of freedom: a depthwise kernel of 1x1 has exactly one weight a channel
    convolution = parts.weighted(
        keras.layers.DepthwiseConv2D, part, shape, values, kernel_size=1, use_bias=offset is not None
    )
    if trainable is not None:
        convolution.trainable = trainable  # type: ignore[attr-defined]
    return lambda x: as_image(parts, part, x, convolution)


def _spread(value: Any, channels: int) -> np.ndarray:
    return np.broadcast_to(keras.ops.convert_to_numpy(value).astype("float32").reshape(-1), (channels,))


def as_image(parts: Sublayers, part: str, x: Any, function: Apply) -> Any:
    """Apply *function*, which takes (batch, height, width, channels) and keeps the shape, to *x* of any rank."""
    if len(x.shape) == 4:
        return function(x)
    shape, channels = tuple(x.shape[1:]), x.shape[-1]
    image = parts.layer(keras.layers.Reshape, f"{part}_image", target_shape=(1, -1, channels))
    back = parts.layer(keras.layers.Reshape, f"{part}_back", target_shape=tuple(s or -1 for s in shape))
    return back(function(image(x)))
