"""Layers that compute with a changed copy of their weights: rounded, masked or shared."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

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


def variable_at(layer: Any, path: str) -> Any:
    """Return the variable at a path of attributes below *layer*, e.g. ``kernel`` or ``cell/recurrent_kernel``."""
    return functools.reduce(getattr, path.split("/"), layer)


@keras.saving.register_keras_serializable("tfcompress")
class TransformedLayer(keras.layers.Layer):  # type: ignore[misc]
    """Runs a layer with some of its variables replaced, for the time of the call, by what transforms make of them.

    Attributes:
        layer: the layer, which is built and holds the variables that are trained.
        transforms: path of a variable below the layer -> its transforms, in the order in which they are applied.
        input_range: name of the :class:`~tfcompress.quantization.fake_quant.FakeQuant` layer that rounds what the
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
