"""Activations rewritten into ops that the int8 runtime has, and activations split off the layers they sit in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tfcompress.models.layer_copies import layer_copy
from tfcompress.quantization.expand_blocks import Apply, Expand, Sublayers

FUSED = (keras.activations.linear, keras.activations.relu, keras.activations.relu6)
"""Activations that a convolution or dense layer of the runtime does itself."""

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017, equation 2


def split(layer: Any, expand: Expand) -> Apply | None:
    """Split the activation off a layer with an ``activation`` that does not fuse; the rest keeps the layer's name."""
    if layer.activation in FUSED or layer.activation is None:
        return None
    parts = Sublayers(layer, expand)
    linear = expand(layer_copy(layer, layer.name, activation="linear"))
    activation = parts.activation("activation", layer.activation)
    return lambda *args, **kwargs: activation(linear(*args, **kwargs))


def activation(layer: Any, expand: Expand) -> Apply | None:
    """Expand an Activation layer."""
    made = _MAKERS.get(layer.activation)
    return None if made is None else made(Sublayers(layer, expand))


def elu(layer: Any, expand: Expand) -> Apply | None:
    """Expand an ELU layer."""
    return _scaled_elu(Sublayers(layer, expand), float(layer.alpha), 1.0)


def _swish(parts: Sublayers) -> Apply:
    """``x * sigmoid(x)`` (Ramachandran et al. 2017)."""
    gate = parts.layer(keras.layers.Activation, "sigmoid", activation="sigmoid")
    product = parts.layer(keras.layers.Multiply, "multiply")
    return lambda x: product([x, gate(x)])


def _hard_sigmoid(parts: Sublayers) -> Apply:
    """``relu6(x + 3) / 6``."""
    relu6 = parts.layer(keras.layers.ReLU, "relu6", max_value=6.0)

    def apply(x: Any) -> Any:
        shifted = parts.op("shift", keras.ops.add, x, 3.0)
        return parts.op("scale", keras.ops.multiply, relu6(shifted), 1 / 6)

    return apply


def _scaled_elu(parts: Sublayers, alpha: float, scale: float) -> Apply:
    """``scale * (x if x > 0 else alpha * (exp(x) - 1))`` (Clevert et al. 2016), positive and negative part apart.

    The runtime has an ELU for int8, but the converter never makes one.
    """
    relu = parts.layer(keras.layers.ReLU, "relu")
    exponential = parts.layer(keras.layers.Activation, "exponential", activation="exponential")
    below, total = parts.layer(keras.layers.Subtract, "negative"), parts.layer(keras.layers.Add, "add")

    def scaled(part: str, x: Any, factor: float) -> Any:
        return x if factor == 1.0 else parts.op(part, keras.ops.multiply, x, factor)

    def apply(x: Any) -> Any:
        line = relu(x)
        # x - relu(x) has a scale of its own; minimum(x, 0) would force its range on x
        curve = scaled("curve", exponential(below([x, line])), scale * alpha)
        return total([scaled("line", line, scale), parts.op("shift", keras.ops.subtract, curve, scale * alpha)])

    return apply


def _elu(parts: Sublayers) -> Apply:
    return _scaled_elu(parts, 1.0, 1.0)


def _selu(parts: Sublayers) -> Apply:
    return _scaled_elu(parts, _SELU_ALPHA, _SELU_SCALE)


def _log_sigmoid(parts: Sublayers) -> Apply:
    """``log(sigmoid(x))`` as ``x - relu(x) + log(sigmoid(|x|))``: every step has a small range."""
    relu, below = parts.layer(keras.layers.ReLU, "relu"), parts.layer(keras.layers.Subtract, "negative")
    gate = parts.layer(keras.layers.Activation, "sigmoid", activation="sigmoid")
    total = parts.layer(keras.layers.Add, "add")

    def apply(x: Any) -> Any:
        size = gate(parts.op("absolute", keras.ops.absolute, x))
        return total([below([x, relu(x)]), parts.op("log", keras.ops.log, size)])

    return apply


def _softplus(parts: Sublayers) -> Apply:
    """``log(1 + exp(x))`` as ``relu(x) - log(sigmoid(|x|))``: every step has a small range, none overflows."""
    relu = parts.layer(keras.layers.ReLU, "relu")
    gate = parts.layer(keras.layers.Activation, "sigmoid", activation="sigmoid")
    difference = parts.layer(keras.layers.Subtract, "subtract")

    def apply(x: Any) -> Any:
        size = gate(parts.op("absolute", keras.ops.absolute, x))
        return difference([relu(x), parts.op("log", keras.ops.log, size)])

    return apply


def _mish(parts: Sublayers) -> Apply:
    """``x * tanh(softplus(x))`` (Misra 2019)."""
    softplus = parts.layer(keras.layers.Activation, "softplus", activation="softplus")
    tanh = parts.layer(keras.layers.Activation, "tanh", activation="tanh")
    product = parts.layer(keras.layers.Multiply, "multiply")
    return lambda x: product([x, tanh(softplus(x))])


def _tanh_shrink(parts: Sublayers) -> Apply:
    """``x - tanh(x)``."""
    tanh = parts.layer(keras.layers.Activation, "tanh", activation="tanh")
    difference = parts.layer(keras.layers.Subtract, "subtract")
    return lambda x: difference([x, tanh(x)])


def _softsign(parts: Sublayers) -> Apply:
    """``x / (1 + |x|)``, with ``rsqrt(1 + |x|)`` twice: the runtime's DIV refuses a divisor that is rounded to zero."""

    def apply(x: Any) -> Any:
        size = parts.op("shift", keras.ops.add, parts.op("absolute", keras.ops.absolute, x), 1.0)
        root = parts.op("root", keras.ops.rsqrt, size)
        return parts.op("product", keras.ops.multiply, parts.op("share", keras.ops.multiply, x, root), root)

    return apply


def _leaky_relu(parts: Sublayers) -> Apply:
    """``x if x > 0 else 0.2 x``, which is one op (the slope is that of the function in Keras)."""
    return parts.layer(keras.layers.LeakyReLU, "leaky", negative_slope=0.2)


def relu(layer: Any, expand: Expand) -> Apply | None:
    """Expand a ReLU layer that is both leaky and bounded."""
    if not layer.negative_slope or layer.max_value is None or layer.threshold:
        return None
    parts = Sublayers(layer, expand)
    leaky = parts.layer(keras.layers.LeakyReLU, "leaky", negative_slope=float(layer.negative_slope))
    return lambda x: parts.op("bound", keras.ops.minimum, leaky(x), float(layer.max_value))


_MAKERS: dict[Any, Callable[[Sublayers], Apply]] = {
    keras.activations.silu: _swish,
    keras.activations.hard_sigmoid: _hard_sigmoid,
    keras.activations.elu: _elu,
    keras.activations.celu: _elu,  # they differ only where alpha is not 1
    keras.activations.leaky_relu: _leaky_relu,
    keras.activations.selu: _selu,
    keras.activations.softsign: _softsign,
    keras.activations.log_sigmoid: _log_sigmoid,
    keras.activations.softplus: _softplus,
    keras.activations.mish: _mish,
    keras.activations.tanh_shrink: _tanh_shrink,
}
