"""Small networks of random shapes, and the same with channels scaled by powers of two and the function unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np


def network(seed: int) -> Any:
    """Return a network of convolutions, depthwise ones among them, of a shape and weights drawn by *seed*."""
    import keras

    keras.utils.set_random_seed(seed)
    draw, layers = np.random.default_rng(seed), keras.layers
    tensor = given = keras.Input((8, 8, 3), name="image")
    for number in range(int(draw.integers(2, 4))):
        depthwise = number and draw.integers(2)
        make = layers.DepthwiseConv2D if depthwise else lambda size, **more: layers.Conv2D(6, size, **more)
        normalized = bool(draw.integers(2))
        tensor = make(3, padding="same", use_bias=not normalized, name=f"conv{number}")(tensor)
        if normalized:
            tensor = layers.BatchNormalization(scale=bool(draw.integers(2)), name=f"norm{number}")(tensor)
        activation = [layers.ReLU, layers.PReLU, lambda: layers.LeakyReLU(negative_slope=0.25)][draw.integers(3)]
        tensor = activation()(tensor)
    tensor = layers.AveragePooling2D(2)(tensor)
    tensor = layers.Flatten()(tensor) if draw.integers(2) else layers.GlobalAveragePooling2D()(tensor)
    model = keras.Model(
        given, layers.Dense(4, name="scores")(layers.Dense(8, activation="relu", name="hidden")(tensor))
    )
    model.set_weights([_varied(weight, draw) for weight in model.weights])
    return model


def branched(seed: int) -> Any:
    """Return a network with a residual connection, two that are joined, and weights drawn by *seed*."""
    import keras

    keras.utils.set_random_seed(seed)
    draw, layers = np.random.default_rng(seed), keras.layers

    def conv(tensor: Any, name: str, channels: int = 6, size: int = 3) -> Any:
        tensor = layers.Conv2D(channels, size, padding="same", name=name)(tensor)
        return layers.BatchNormalization(name=f"{name}_norm")(tensor)

    given = keras.Input((8, 8, 3), name="image")
    stem = layers.ReLU()(conv(given, "stem"))
    inner = conv(layers.ReLU()(conv(stem, "first")), "second")
    total = layers.ReLU()(layers.Add()([stem, inner]))
    short, deep = conv(total, "short", 4, 1), layers.DepthwiseConv2D(3, padding="same", name="deep")(total)
    joined = layers.MaxPooling2D(2)(layers.Concatenate()([layers.LeakyReLU(negative_slope=0.25)(short), deep]))
    model = keras.Model(given, layers.Dense(4, name="scores")(layers.GlobalAveragePooling2D()(joined)))
    model.set_weights([_varied(weight, draw) for weight in model.weights])
    return model


def _varied(weight: Any, draw: np.random.Generator) -> np.ndarray:
    value = np.asarray(weight)
    if "variance" in weight.path or "gamma" in weight.path:
        return draw.uniform(0.5, 2.0, value.shape).astype(np.float32)
    if "alpha" in weight.path:
        return draw.uniform(0.0, 0.5, value.shape).astype(np.float32)
    return (value + draw.normal(0, 0.2, value.shape)).astype(np.float32)


def rescaled(model: Any, seed: int) -> Any:
    """Return the network with each channel between layers scaled by a power of two, and scaled back behind."""
    from tfcompress.quantization.equalizing import scaled_by
    from tfcompress.quantization.steps import read_steps

    draw = np.random.default_rng(seed + 1)
    return scaled_by(model, read_steps(model), lambda count: 2.0 ** draw.integers(-4, 5, count))
