"""Layers that compute with a changed copy of their weights: rounded, masked or shared."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.errors import UsageError


class WeightTransform(keras.layers.Layer):  # type: ignore[misc]
    """What a layer's weight becomes before the layer uses it. Subclasses give ``call`` and ``final``."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("dtype", "float32")
        super().__init__(autocast=False, **options)

    def call(self, weights: Any, training: bool | None = None) -> Any:
        """Return what stands for *weights* in the forward pass, of the same shape."""
        raise NotImplementedError

    def final(self, weights: np.ndarray) -> np.ndarray:
        """Return the exact values that a file should hold for *weights*, of the same shape."""
        raise NotImplementedError


@keras.saving.register_keras_serializable("tfcompress")
class WeightFakeQuant(WeightTransform):
    """Rounds a weight to the symmetric grid of TFLite's weights, ``scale * {-(2**(b-1) - 1) … 2**(b-1) - 1}``.

    ``scale = max|w| / (2**(b-1) - 1)`` for each slice along *axes* (Jacob et al. 2018, arXiv:1712.05877, section 3; the
    narrow range that TFLite's 8-bit specification asks for). Every weight lies within the range, so the gradient passes
    unchanged. A BatchNormalization that follows scales whole slices, and so moves the grid with the weights: rounding
    before it is folded in, or after, gives the same integers.

    Attributes:
        bits: 8 or 4.
        axes: axes that have a scale for each place, e.g. (3,) for a convolution's (height, width, in, out); none: one
            scale for the whole weight.
    """

    def __init__(self, *, bits: int = 8, axes: Sequence[int] = (), **options: Any) -> None:
        """Create the transform; see the class.

        Raises:
            UsageError: bits that are neither 8 nor 4.
        """
        super().__init__(**options)
        if bits not in (4, 8):
            msg = f"WeightFakeQuant bits must be 4 or 8, got {bits!r}; choose one of them"
            raise UsageError(msg)
        self.bits, self.axes = bits, tuple(axes)
        self.built = True

    @property
    def largest(self) -> float:
        """Largest integer of the grid."""
        return float(2 ** (self.bits - 1) - 1)

    def _others(self, rank: int) -> tuple[int, ...]:
        return tuple(axis for axis in range(rank) if axis not in self.axes)

    def call(self, weights: Any, training: bool | None = None) -> Any:
        """Round *weights*; the gradient passes through."""
        return self._rounded(tf.convert_to_tensor(weights))

    def _rounded(self, weights: Any) -> Any:
        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def straight_through(weights: Any) -> tuple[Any, Any]:
            bound = tf.reduce_max(tf.abs(weights), axis=self._others(len(weights.shape)), keepdims=True)
            scale = tf.where(bound > 0.0, bound, 1.0) / self.largest
            return tf.round(weights / scale) * scale, lambda gradient: gradient

        return straight_through(weights)

    def scale(self, weights: np.ndarray) -> np.ndarray:
        """Return the distance between two values of the grid, shaped to multiply *weights*."""
        bound = np.abs(weights).max(axis=self._others(weights.ndim), keepdims=True)
        return np.asarray(np.where(bound > 0.0, bound, np.float32(1.0)) / np.float32(self.largest), np.float32)

    def final(self, weights: np.ndarray) -> np.ndarray:
        """Return the rounded values."""
        scale = self.scale(weights)
        return np.asarray(np.round(weights / scale) * scale, np.float32)

    def get_config(self) -> dict[str, Any]:
        """Describe the transform."""
        return {**super().get_config(), "bits": self.bits, "axes": list(self.axes)}


def variable_at(layer: Any, path: str) -> Any:
    """Return the variable at a path of attributes below *layer*, e.g. ``kernel`` or ``cell/recurrent_kernel``."""
    return functools.reduce(getattr, path.split("/"), layer)


@keras.saving.register_keras_serializable("tfcompress")
class TransformedLayer(keras.layers.Layer):  # type: ignore[misc]
    """Runs a layer with some of its variables replaced, for the time of the call, by what transforms make of them.

    Attributes:
        layer: the layer, which is built and holds the variables that are trained.
        transforms: path of a variable below the layer -> its transforms, in the order in which they are applied.
        input_range: name of the :class:`~tfcompress.models.fake_quant.activations.FakeQuant` layer that rounds what the
            layer takes; empty: none does. The runtime's bias is a multiple of that scale times the kernel's.
    """

    def __init__(
        self,
        layer: Any,
        transforms: Mapping[str, Sequence[WeightTransform]],
        *,
        input_range: str = "",
        **options: Any,
    ) -> None:
        """Wrap a built layer.

        Raises:
            UsageError: the layer was never built.
        """
        options.setdefault("name", layer.name)
        options.setdefault("dtype", layer.dtype_policy)
        super().__init__(autocast=False, **options)
        if not layer.built:
            msg = f"layer {layer.name!r} must be built before its weights are transformed; call it once"
            raise UsageError(msg)
        self.layer, self.input_range = layer, input_range
        self._paths = [path for path, chain in transforms.items() for _ in chain]
        self._chain = [transform for chain in transforms.values() for transform in chain]
        self.supports_masking = layer.supports_masking
        self.built = True

    @property
    def transforms(self) -> dict[str, list[WeightTransform]]:
        """The transforms by the path of their variable."""
        found: dict[str, list[WeightTransform]] = {}
        for path, transform in zip(self._paths, self._chain, strict=True):
            found.setdefault(path, []).append(transform)
        return found

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the layer itself would."""
        return self.layer.compute_output_spec(*args, **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Return the layer's own mask."""
        return self.layer.compute_mask(inputs, previous_mask)

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the layer on *inputs* (and what else it takes), with transformed variables."""
        replaced = []
        for path, chain in self.transforms.items():
            variable = variable_at(self.layer, path)
            value = variable.value
            for transform in chain:
                value = transform(value)
            replaced.append((variable, value))
        outside = {id(variable) for variable, _ in replaced}
        with keras.StatelessScope(state_mapping=replaced, collect_losses=True) as scope:
            outputs = self.layer(inputs, *args, **kwargs)
        for loss in scope.losses:
            self.add_loss(loss)
        for variable in [*self.layer.non_trainable_variables]:
            if id(variable) not in outside and (value := scope.get_current_value(variable)) is not None:
                variable.assign(value)
        return outputs

    def final(self, path: str) -> np.ndarray:
        """Return the values that a file should hold for the variable at *path*."""
        value = np.asarray(variable_at(self.layer, path))
        for transform in self.transforms[path]:
            value = transform.final(value)
        return value

    def get_config(self) -> dict[str, Any]:
        """Describe layer, how it was built, and transforms."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "layer": serialize(self.layer),
            "input_range": self.input_range,
            "transforms": {path: [serialize(t) for t in chain] for path, chain in self.transforms.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TransformedLayer:
        """Build the layer from what :meth:`get_config` gave."""
        read = keras.saving.deserialize_keras_object
        transforms = {path: [read(t) for t in chain] for path, chain in config["transforms"].items()}
        return cls(**{**config, "layer": read(config["layer"]), "transforms": transforms})
