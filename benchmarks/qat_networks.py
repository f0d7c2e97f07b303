"""Networks that quantization-aware training is measured on, built with either Keras, and pictures to feed them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

DEMO = Path(__file__).parents[1] / "tfcompress" / "demo" / "fashion.npz"
CLASSES = 10

ZOO: dict[str, tuple[int, bool]] = {
    "MobileNetV2": (32, False),
    "MobileNetV3Small": (32, True),
    "MobileNetV3Large": (32, True),
    "EfficientNetB0": (32, True),
    "EfficientNetV2B0": (32, True),
    "ResNet50": (32, False),
    "ResNet50V2": (32, False),
    "DenseNet121": (32, False),
    "NASNetMobile": (32, False),
    "InceptionV3": (75, False),
    "Xception": (71, False),
    "ConvNeXtTiny": (32, True),
}
"""Class in ``keras.applications`` -> height and width of its inputs, and whether it scales pixels itself."""


def network(library: Any, name: str) -> Any:
    """Build one of :data:`ZOO`, without weights, with ten classes.

    Args:
        library: ``keras`` or ``tf_keras``.
        name: its class.
    """
    size, _ = ZOO[name]
    return getattr(library.applications, name)(weights=None, input_shape=(size, size, 3), classes=CLASSES)


def pictures(name: str) -> dict[str, np.ndarray]:
    """Return the demo's Fashion-MNIST pictures as one of :data:`ZOO` takes them, and their labels.

    Returns:
        ``x_train``, ``x_test`` of shape (n, size, size, 3), 0..255 or -1..1; ``y_train``, ``y_test`` of shape (n,).
    """
    size, scales = ZOO[name]
    with np.load(DEMO) as file:
        data = {key: file[key] for key in file}
    for split in ("train", "test"):
        x = data[f"x_{split}"].astype(np.float32)
        rows = np.minimum(np.arange(size) * x.shape[1] // size, x.shape[1] - 1)  # nearest neighbour
        x = np.repeat(x[:, rows][:, :, rows], 3, axis=-1)
        data[f"x_{split}"] = x if scales else x / np.float32(127.5) - np.float32(1)
        data[f"y_{split}"] = data[f"y_{split}"].reshape(-1).astype(np.int64)
    return data


def fashion(folder: Path) -> dict[str, np.ndarray]:
    """Read the whole of Fashion-MNIST from its four ``idx`` files.

    Args:
        folder: where they lie, compressed; Debian's package dataset-fashion-mnist installs them.

    Returns:
        ``x_train`` (60000, 28, 28, 1) and ``x_test`` (10000, …), 0..1; ``y_train`` and ``y_test``.
    """
    data: dict[str, np.ndarray] = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        pixels = gzip.decompress((folder / f"{prefix}-images-idx3-ubyte.gz").read_bytes())[16:]
        labels = gzip.decompress((folder / f"{prefix}-labels-idx1-ubyte.gz").read_bytes())[8:]
        data[f"x_{split}"] = np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28, 1).astype(np.float32) / np.float32(255)
        data[f"y_{split}"] = np.frombuffer(labels, np.uint8).astype(np.int64)
    return data


Layers = Any
"""``keras.layers`` or ``tf_keras.layers``."""


def _chain(library: Any, shape: tuple[int, ...], *layers: Any, dtype: str = "float32") -> Any:
    inputs = x = library.Input(shape, dtype=dtype)
    for layer in layers:
        x = layer(x)
    return library.Model(inputs, x)


def _sequence(make: Callable[[Layers], Any]) -> Callable[[Any], Any]:
    """Return a builder of a model of one layer between two dense ones, over 8 steps of 6 values."""

    def build(library: Any) -> Any:
        layers = library.layers
        return _chain(library, (8, 6), layers.Dense(8), make(layers), layers.Flatten(), layers.Dense(4))

    return build


def _image(make: Callable[[Layers], Any]) -> Callable[[Any], Any]:
    """Return a builder of a model of one layer between two convolutions, over pictures of 8 x 8."""

    def build(library: Any) -> Any:
        layers = library.layers
        middle = (layers.Conv2D(8, 3), make(layers), layers.Conv2D(4, 3))
        return _chain(library, (8, 8, 3), *middle, layers.Flatten(), layers.Dense(4))

    return build


def _merge(make: Callable[[Layers], Any]) -> Callable[[Any], Any]:
    """Return a builder of a model that merges two dense layers."""

    def build(library: Any) -> Any:
        layers = library.layers
        inputs = library.Input((8,))
        merged = make(layers)([layers.Dense(8)(inputs), layers.Dense(8)(inputs)])
        return library.Model(inputs, layers.Dense(4)(merged))

    return build


def _volume(library: Any) -> Any:
    layers = library.layers
    convolution, pool = layers.Conv3D(4, 3, activation="relu"), layers.MaxPooling3D(2)
    return _chain(library, (8, 8, 8, 2), convolution, pool, layers.Flatten(), layers.Dense(4))


def _embedding(library: Any) -> Any:
    layers = library.layers
    return _chain(
        library, (8,), layers.Embedding(20, 6), layers.GlobalAveragePooling1D(), layers.Dense(4), dtype="int32"
    )


def _attention(library: Any) -> Any:
    layers = library.layers
    inputs = library.Input((8, 6))
    x = layers.Dense(8)(inputs)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)])
    return library.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling1D()(x)))


def _rescaling(library: Any) -> Any:
    layers = library.layers
    return _chain(library, (8, 8, 3), layers.Rescaling(2.0, offset=-1.0), layers.Conv2D(4, 3, activation="relu"))


def _normalization(library: Any) -> Any:
    layers = library.layers
    normalization = layers.Normalization(mean=[0.5, 0.1, -0.2], variance=[1.0, 2.0, 0.5])
    return _chain(library, (8, 8, 3), normalization, layers.Conv2D(4, 3, activation="relu"))


def _hard_swish(layers: Layers) -> Any:
    if layers.__name__.startswith("keras."):
        return layers.Activation("hard_swish")
    return lambda x: layers.Multiply()([x, layers.ReLU(6.0)(x + 3.0) / 6.0])  # as tf_keras writes it in MobileNetV3


def _slices(library: Any) -> Any:
    layers = library.layers
    inputs = library.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    return library.Model(inputs, layers.Conv2D(4, 3)(x[:, 1:7, ::2] - 0.5))


def _nested(library: Any) -> Any:
    layers = library.layers
    inner = _chain(library, (8, 8, 3), layers.Conv2D(8, 3), layers.BatchNormalization(), layers.ReLU())
    return _chain(library, (8, 8, 3), inner, layers.GlobalAveragePooling2D(), layers.Dense(4))


def _models_of_models(library: Any) -> Any:
    layers = library.layers
    block = _chain(library, (8, 8, 4), layers.Conv2D(4, 3, padding="same"), layers.Activation("swish"))
    body = _chain(library, (8, 8, 3), layers.Conv2D(4, 1), block, block)
    first, second = library.Input((8, 8, 3)), library.Input((8, 8, 3))
    joined = layers.Concatenate()([body(first), body(second)])
    return library.Model([first, second], layers.Dense(4)(layers.GlobalAveragePooling2D()(joined)))


LAYERS: dict[str, Callable[[Any], Any]] = {
    "Conv1D": _sequence(lambda layers: layers.Conv1D(8, 3, activation="relu")),
    "SeparableConv1D": _sequence(lambda layers: layers.SeparableConv1D(8, 3)),
    "Conv3D, MaxPooling3D": _volume,
    "LSTM": _sequence(lambda layers: layers.LSTM(8)),
    "GRU": _sequence(lambda layers: layers.GRU(8, return_sequences=True)),
    "Bidirectional": _sequence(lambda layers: layers.Bidirectional(layers.LSTM(4, return_sequences=True))),
    "TimeDistributed": _sequence(lambda layers: layers.TimeDistributed(layers.Dense(5, activation="relu"))),
    "Embedding": _embedding,
    "LayerNormalization": _sequence(lambda layers: layers.LayerNormalization()),
    "GroupNormalization": _image(lambda layers: layers.GroupNormalization(4)),
    "MultiHeadAttention": _attention,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "Multiply": _merge(lambda layers: layers.Multiply()),
    "Subtract": _merge(lambda layers: layers.Subtract()),
    "Dot": _merge(lambda layers: layers.Dot(axes=1)),
    "PReLU": _image(lambda layers: layers.PReLU(alpha_initializer="uniform", shared_axes=[1, 2])),
    "ELU": _image(lambda layers: layers.ELU()),
    "swish": _image(lambda layers: layers.Activation("swish")),
    "hard-swish": _image(_hard_swish),
    "gelu": _image(lambda layers: layers.Activation("gelu")),
    "slices": _slices,
    "nested": _nested,
    "models of models": _models_of_models,
}
"""What tfmot never took -> builder of a tiny model of it, which takes ``keras`` or ``tf_keras``."""


def noise(model: Any, count: int, seed: int = 0) -> list[np.ndarray]:
    """Return random inputs for a model of either Keras: normal numbers, or whole ones below 20."""
    rng = np.random.default_rng(seed)

    def draw(tensor: Any) -> np.ndarray:
        shape = (count, *tensor.shape[1:])
        return rng.integers(0, 20, shape) if "int" in str(tensor.dtype) else rng.normal(size=shape).astype(np.float32)

    return [draw(tensor) for tensor in model.inputs]
