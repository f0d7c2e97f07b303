"""Where the int8 runtime rounds: what each layer and operation needs, as data.

Keys are names of classes of Keras's layers and operations (``Add`` is both). What is not listed computes on a scale of
its own: its output gets fake quantization. The facts are the TFLite converter's and its 8-bit specification's.
"""

from __future__ import annotations

from typing import Any, Literal

import keras

from tfcompress.quantization.baking import CHANNEL_AXES

KERNELS: dict[str, dict[str, tuple[int, ...]]] = {
    **{name: {"kernel": axes} for name, axes in CHANNEL_AXES.items()},
    "EinsumDense": {"kernel": ()},
    "Embedding": {"embeddings": ()},
}
"""Class -> its weights that become int8, and their axes that have a scale for each place (none: one scale)."""

FOLDS_NORMALIZATION = frozenset(CHANNEL_AXES)
"""A BatchNormalization that alone follows one of these is folded into its kernel: no rounding between the two."""

FUSES_RELU = frozenset(
    {"Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "Dense", "Add", "Subtract", "Multiply"}
)
"""A ReLU or ReLU6 that alone follows one of these (and its normalization) is done by it: no rounding in between."""

SAME_SCALE = frozenset(
    {
        *(f"{kind}Pooling{rank}D" for kind in ("Max", "Average", "GlobalMax") for rank in (1, 2, 3)),
        *("MaxPool", "AveragePool", "Max", "Min", "Maximum", "Minimum"),
        *("Concatenate", "Stack", "Split", "Unstack", "RepeatVector", "Repeat", "Tile"),
        *("ZeroPadding1D", "ZeroPadding2D", "Pad", "Cropping1D", "Cropping2D", "GetItem", "Slice", "Take"),
        *("Reshape", "Flatten", "Permute", "Transpose", "Squeeze", "ExpandDims", "Moveaxis", "Swapaxes"),
        *("UpSampling1D", "UpSampling2D", "Resizing", "Resize", "BroadcastTo", "Flip", "Roll", "Where"),
        "TopK",
    }
)
"""Inputs and outputs of these have one scale; the converter refuses ranges that differ ("violate the same scale")."""

ROUNDS = frozenset({"AveragePooling1D", "AveragePooling2D", "AveragePool", "UpSampling2D", "Resizing", "Resize"})
"""Those of :data:`SAME_SCALE` that give new values, and so round; the others move values, or drop some."""

AUGMENTING = frozenset(
    {
        *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomShear", "RandomPerspective"),
        *("RandomContrast", "RandomBrightness", "RandomHue", "RandomSaturation", "RandomSharpness", "RandomInvert"),
        *("RandomColorDegeneration", "RandomColorJitter", "RandomGrayscale", "RandomPosterization", "RandomErasing"),
        *("RandomElasticTransform", "RandomGaussianBlur", "AugMix", "RandAugment"),
    }
)
"""Layers that change images in training only."""

UNCHANGED = AUGMENTING | frozenset(
    {
        *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout"),
        *("GaussianNoise", "ActivityRegularization", "Identity", "Masking", "StopGradient", "Cast"),
        *("RandomCrop", "StochasticDepth"),
    }
)
"""Gone at inference: what comes out is what went in."""

NONNEGATIVE = frozenset(
    {
        *(f"{kind}Pooling{rank}D" for kind in ("Max", "Average", "GlobalMax") for rank in (1, 2, 3)),
        *("Concatenate", "RepeatVector", "ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "GetItem"),
        *("Reshape", "Flatten", "Permute", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "Identity"),
    }
)
"""Those of :data:`SAME_SCALE` and :data:`UNCHANGED` that make nothing negative of what is not."""

FIXED: dict[str, tuple[float, float]] = {
    "softmax": (0.0, 255.0 / 256.0),
    "sigmoid": (0.0, 255.0 / 256.0),
    "tanh": (-1.0, 127.0 / 128.0),
}
"""Function -> the one range that its output has in the runtime, whatever the data."""

FIXED_16: dict[str, tuple[float, float]] = dict.fromkeys(FIXED, (-32767.0 / 32768.0, 32767.0 / 32768.0))
"""The same for 16-bit activations."""

STAYS_FLOAT: dict[str, str] = {
    "Conv3D": "TFLite has no int8 CONV_3D",
    "Conv3DTranspose": "TFLite has no int8 CONV_3D_TRANSPOSE",
    "MaxPooling3D": "TFLite has no 3D pooling",
    "AveragePooling3D": "TFLite has no 3D pooling",
    "ConvLSTM1D": "TFLite has no int8 kernel for it",
    "ConvLSTM2D": "TFLite has no int8 kernel for it",
    "LSTM": "TFLite has no int8 kernel for its loop",
    "GRU": "TFLite has no int8 kernel for its loop",
    "SimpleRNN": "TFLite has no int8 kernel for its loop",
    "Lambda": "its inside is not known",
    "Sin": "TFLite has no int8 SIN",
    "Cos": "TFLite has no int8 COS",
    "Erf": "TFLite has no int8 ERF",
    "Square": "TFLite has no int8 SQUARE",
    "Power": "TFLite has no int8 POW",
    "Negative": "TFLite has no int8 NEG",
    "Floor": "TFLite has no int8 FLOOR",
}
"""Class -> why it computes in float; its inputs are read from, and its outputs written to, the grid around it."""

Kind = Literal["relu", "fixed", "same", "unchanged", "float", "own"]

_FUNCTIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid", "Tanh": "tanh"}


def name_of(op: Any) -> str:
    """Return the name that the tables know a layer or operation by; of its activation, for an Activation layer."""
    name = type(op).__name__
    if name == "Activation":
        return str(getattr(op.activation, "__name__", type(op.activation).__name__))
    return _FUNCTIONS.get(name, name)


def kind_of(op: Any) -> Kind:
    """Say what a layer or operation needs of its inputs and outputs."""
    name = name_of(op)
    if name in ("relu", "relu6", "Relu", "Relu6") or (name == "ReLU" and _is_plain(op)):
        return "relu"
    if name in FIXED:
        return "fixed"
    if name in SAME_SCALE:
        return "same"
    if name in UNCHANGED or name == "linear":
        return "unchanged"
    return "float" if name in STAYS_FLOAT else "own"


def bounds_at_six(op: Any) -> bool:
    """Say whether an op whose kind is "relu" is a ReLU6."""
    return name_of(op) in ("relu6", "Relu6") or getattr(op, "max_value", None) is not None


def ends_in_relu(op: Any) -> bool:
    """Say whether an op is a ReLU or ReLU6, or a layer that ends in one."""
    inside = getattr(op, "activation", None) if type(op).__name__ in FOLDS_NORMALIZATION else None
    return kind_of(op) == "relu" or inside in (keras.activations.relu, keras.activations.relu6)


def rounds(op: Any) -> bool:
    """Say whether an op that keeps the scale gives values that were not there before."""
    nearest = getattr(op, "interpolation", "") == "nearest"
    return name_of(op) in ROUNDS and not nearest


def kernels(op: Any) -> dict[str, tuple[int, ...]]:
    """Return the paths of a layer's weights that become integers, and the axes that have a scale for each place."""
    found = KERNELS.get(type(op).__name__, {})
    return {path: axes for path, axes in found.items() if isinstance(op, keras.layers.Layer)}


def _is_plain(relu: Any) -> bool:
    return relu.max_value in (None, 6.0) and not relu.negative_slope and not relu.threshold
