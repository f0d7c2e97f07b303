"""Small networks of blocks, drawn at random, and what makes a branch give zeros."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

BRANCHES = ("conv", "preactivated", "inverted", "nested", "gated", "operators", "dense")

networks = st.lists(st.sampled_from(BRANCHES), min_size=1, max_size=3)
"""The branches of a network's blocks, in their order."""


def network(branches: list[str], *, relu: bool = True, seed: int = 0) -> Any:
    """Return a network for images of 4x4x3, a residual block for each branch, and two outputs."""
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    given = keras.Input((4, 4, 3), name="image")
    x = layers.ReLU(name="stem_relu")(layers.Conv2D(4, 3, padding="same", name="stem")(given))
    for number, branch in enumerate(branches):
        y = _branch(keras, branch, f"b{number}", x)
        x = x + y if branch == "operators" else layers.Add(name=f"b{number}_sum")([x, y])
        x = layers.ReLU(name=f"b{number}_relu")(x) if relu else x
    pooled = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(given, [layers.Dense(3, name="first")(pooled), layers.Dense(2, name="second")(pooled)])


def _branch(keras: Any, kind: str, name: str, x: Any) -> Any:
    layers = keras.layers
    if kind == "preactivated":
        x = layers.ReLU(name=f"{name}_r")(layers.BatchNormalization(name=f"{name}_n")(x))
    if kind == "inverted":
        x = layers.ReLU(6.0, name=f"{name}_r")(layers.Conv2D(8, 1, name=f"{name}_wide")(x))
        x = layers.DepthwiseConv2D(3, padding="same", name=f"{name}_depth")(x)
    if kind == "nested":
        inner = keras.Sequential(
            [keras.Input((4, 4, 4)), layers.Conv2D(4, 1, name="one"), layers.Conv2D(4, 1, name="two")], name=name
        )
        return inner(x)
    if kind == "gated":
        gate = layers.Dense(4, "sigmoid", name=f"{name}_gate")(layers.GlobalAveragePooling2D(keepdims=True)(x))
        x = layers.Multiply(name=f"{name}_times")([layers.Conv2D(4, 1, name=f"{name}_in")(x), gate])
    if kind == "operators":
        x = keras.ops.relu(layers.Conv2D(4, 1, name=f"{name}_in")(x)) * 0.5
    if kind == "dense":
        return layers.Dense(4, name=f"{name}_dense")(x)
    y = layers.Conv2D(4, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return layers.BatchNormalization(name=f"{name}_norm")(y)


def silence_(model: Any, block: Any) -> None:
    """Zero the last layer of a block, so that its branch gives zeros."""
    from tfcompress.models.graph import leaf_layers

    layer = dict(leaf_layers(model))[block.layers[-1]]
    layer.set_weights([0.0 * weight for weight in layer.get_weights()])
