"""Activations rewritten into ops that the int8 runtime has, and activations split off the layers they sit in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tfcompress.techniques.qat.expand_parts import Apply, Parts, Settle, copied

FUSED = (keras.activations.linear, keras.activations.relu, keras.activations.relu6)
"""Activations that a convolution or dense layer of the runtime does itself."""

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017, equation 2


def split(layer: Any, settle: Settle) -> Apply | None:
    """Split the activation off a layer with an ``activation`` that does not fuse; the rest keeps the layer's name."""
    if layer.activation in FUSED or layer.activation is None:
        return None
    parts = Parts(layer, settle)
    linear = settle(copied(layer, activation="linear"))
    activation = parts.activation("activation", layer.activation)
    return lambda *args, **kwargs: activation(linear(*args, **kwargs))


def activation(layer: Any, settle: Settle) -> Apply | None:
    """Expand an Activation layer."""
    made = _MAKERS.get(layer.activation)
    return None if made is None else made(Parts(layer, settle))


def elu(layer: Any, settle: Settle) -> Apply | None:
    """Expand an ELU layer: the runtime has only ``alpha = 1``."""
    return _scaled_elu(Parts(layer, settle), float(layer.alpha), 1.0)


def _swish(parts: Parts) -> Apply:
    """``x * sigmoid(x)`` (Ramachandran et al. 2017)."""
    gate = parts.layer(keras.layers.Activation, "sigmoid", activation="sigmoid")
    product = parts.layer(keras.layers.Multiply, "multiply")
    return lambda x: product([x, gate(x)])


def _hard_sigmoid(parts: Parts) -> Apply:
    """``relu6(x + 3) / 6``."""
    relu6 = parts.layer(keras.layers.ReLU, "relu6", max_value=6.0)

    def apply(x: Any) -> Any:
        shifted = parts.op("shift", keras.ops.add, x, 3.0)
        return parts.op("scale", keras.ops.multiply, relu6(shifted), 1 / 6)

    return apply


def _scaled_elu(parts: Parts, alpha: float, scale: float) -> Apply | None:
    """``scale * (x if x > 0 else alpha * (exp(x) - 1))`` as ``scale * (alpha * elu(x) + (1 - alpha) * relu(x))``."""
    if alpha == scale == 1.0:
        return None
    curve = parts.layer(keras.layers.Activation, "elu", activation="elu")
    relu = parts.layer(keras.layers.ReLU, "relu")
    total = parts.layer(keras.layers.Add, "add")

    def apply(x: Any) -> Any:
        curved = parts.op("curve", keras.ops.multiply, curve(x), scale * alpha)
        if alpha == 1.0:
            return curved
        return total([curved, parts.op("line", keras.ops.multiply, relu(x), scale * (1.0 - alpha))])

    return apply


def _selu(parts: Parts) -> Apply | None:
    return _scaled_elu(parts, _SELU_ALPHA, _SELU_SCALE)


def _softplus(parts: Parts) -> Apply:
    """``log(1 + exp(x))`` as ``relu(x) - log(sigmoid(|x|))``: every step has a small range, none overflows."""
    relu = parts.layer(keras.layers.ReLU, "relu")
    gate = parts.layer(keras.layers.Activation, "sigmoid", activation="sigmoid")
    difference = parts.layer(keras.layers.Subtract, "subtract")

    def apply(x: Any) -> Any:
        size = gate(parts.op("absolute", keras.ops.absolute, x))
        return difference([relu(x), parts.op("log", keras.ops.log, size)])

    return apply


def _mish(parts: Parts) -> Apply:
    """``x * tanh(softplus(x))`` (Misra 2019)."""
    softplus = parts.layer(keras.layers.Activation, "softplus", activation="softplus")
    tanh = parts.layer(keras.layers.Activation, "tanh", activation="tanh")
    product = parts.layer(keras.layers.Multiply, "multiply")
    return lambda x: product([x, tanh(softplus(x))])


def _tanh_shrink(parts: Parts) -> Apply:
    """``x - tanh(x)``."""
    tanh = parts.layer(keras.layers.Activation, "tanh", activation="tanh")
    difference = parts.layer(keras.layers.Subtract, "subtract")
    return lambda x: difference([x, tanh(x)])


_MAKERS: dict[Any, Callable[[Parts], Apply | None]] = {
    keras.activations.silu: _swish,
    keras.activations.hard_sigmoid: _hard_sigmoid,
    keras.activations.selu: _selu,
    keras.activations.softplus: _softplus,
    keras.activations.mish: _mish,
    keras.activations.tanh_shrink: _tanh_shrink,
}
