"""Kernels of 4 bits in a model made for export.

The converter stores a kernel in 4 bits only where it sees fake quantization of 4 bits on it, and per channel only on a
convolution's (on a dense layer's it fails: "mismatched quantized axes"). So a dense layer goes as a convolution of 1x1,
and one along a line as one of an image of one row, as which the converter writes it anyway.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.models.transformed_layer import TransformedLayer, WeightTransform

FOUR_BIT_LAYERS = frozenset({"Conv1D", "Conv2D", "Dense"})
"""Layers whose kernel the runtime takes in 4 bits."""


@keras.saving.register_keras_serializable("tfcompress")
class FourBitGrid(WeightTransform):
    """Fake quantization of 4 bits as an op of the graph, on a kernel whose last axis has a range for each place.

    Attributes:
        bounds: largest magnitude of each place along the last axis.
    """

    def __init__(self, bounds: Sequence[float], **options: Any) -> None:
        super().__init__(**options)
        self.bounds = [float(bound) or 1.0 for bound in bounds]
        self.built = True

    @classmethod
    def of(cls, kernel: np.ndarray) -> FourBitGrid:
        """Return the grid of *kernel*, shape (…, channels)."""
        return cls(np.abs(kernel).reshape(-1, kernel.shape[-1]).max(axis=0))

    def call(self, weights: Any, training: bool | None = None) -> Any:
        """Round *weights*, shape (…, channels)."""
        bounds = tf.constant(self.bounds, tf.float32)
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(
            weights, -bounds, bounds, num_bits=4, narrow_range=True
        )

    def get_config(self) -> dict[str, Any]:
        """Describe the transform."""
        return {**super().get_config(), "bounds": self.bounds}

    def final(self, weights: np.ndarray) -> np.ndarray:
        """Return the rounded values."""
        return np.asarray(self(weights))


@keras.saving.register_keras_serializable("tfcompress")
class PointwiseDense(keras.layers.Layer):  # type: ignore[misc]
    """A dense layer computed by a 1x1 convolution.

    Attributes:
        convolution: what computes it, a layer of its own.
    """

    def __init__(self, convolution: Any, **options: Any) -> None:
        super().__init__(**options)
        self.convolution = convolution
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Take *inputs* of shape (batch, …, features); give (batch, …, units)."""
        ops, shape = keras.ops, inputs.shape
        image = ops.reshape(inputs, (-1, math.prod(shape[1:-1]), 1, shape[-1]))
        return ops.reshape(self.convolution(image), (-1, *shape[1:-1], self.convolution.layer.filters))

    def get_config(self) -> dict[str, Any]:
        """Describe the layer."""
        return {**super().get_config(), "convolution": keras.saving.serialize_keras_object(self.convolution)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PointwiseDense:
        """Build the layer from what :meth:`get_config` gave."""
        return cls(**{**config, "convolution": keras.saving.deserialize_keras_object(config["convolution"])})


@keras.saving.register_keras_serializable("tfcompress")
class RowConvolution(keras.layers.Layer):  # type: ignore[misc]
    """A convolution along a line, computed by one of an image of one row.

    Attributes:
        convolution: what computes it, a layer of its own.
        before: steps of zeros that are put in front.
    """

    def __init__(self, convolution: Any, before: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.convolution, self.before = convolution, before
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Take *inputs* of shape (batch, steps, channels); give (batch, steps, filters)."""
        ops = keras.ops
        padded = ops.pad(inputs, ((0, 0), (self.before, 0), (0, 0))) if self.before else inputs
        return ops.squeeze(self.convolution(ops.expand_dims(padded, 1)), 1)

    def get_config(self) -> dict[str, Any]:
        """Describe the layer."""
        own = {"convolution": keras.saving.serialize_keras_object(self.convolution), "before": self.before}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RowConvolution:
        """Build the layer from what :meth:`get_config` gave."""
        return cls(**{**config, "convolution": keras.saving.deserialize_keras_object(config["convolution"])})


def holds_four_bits(layer: TransformedLayer) -> bool:
    """Say whether a layer is one of those that :func:`in_four_bits` makes."""
    return all(isinstance(last, FourBitGrid) for *_, last in layer.transforms.values())


def in_four_bits(layer: Any) -> Any:
    """Return a layer like *layer*, whose kernel the converter stores in 4 bits.

    Args:
        layer: a Conv1D, Conv2D or Dense that holds its final weights.
    """
    if type(layer).__name__ == "Conv1D":
        return _of_one_row(layer)
    if type(layer).__name__ == "Conv2D":
        return TransformedLayer(layer, {"kernel": [FourBitGrid.of(np.asarray(layer.kernel))]})
    inside = keras.layers.Conv2D(
        layer.units, 1, activation=layer.activation, use_bias=layer.use_bias, name=f"{layer.name}_pointwise"
    )
    kernel, *bias = layer.get_weights()
    inside.build((None, None, 1, kernel.shape[0]))
    inside.set_weights([kernel[np.newaxis, np.newaxis], *bias])
    return PointwiseDense(TransformedLayer(inside, {"kernel": [FourBitGrid.of(kernel)]}), name=layer.name)


def _of_one_row(layer: Any) -> RowConvolution:
    causal = layer.padding == "causal"
    inside = keras.layers.Conv2D(
        layer.filters,
        (1, *layer.kernel_size),
        strides=layer.strides * 2,  # of one row any stride across gives one
        padding="valid" if causal else layer.padding,
        dilation_rate=(1, *layer.dilation_rate),
        groups=layer.groups,
        activation=layer.activation,
        use_bias=layer.use_bias,
        name=f"{layer.name}_row",
    )
    kernel, *bias = layer.get_weights()
    inside.build((None, 1, None, kernel.shape[1] * layer.groups))
    inside.set_weights([kernel[np.newaxis], *bias])
    before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1) if causal else 0
    grid = FourBitGrid.of(kernel)
    return RowConvolution(TransformedLayer(inside, {"kernel": [grid]}), before, name=layer.name)
