"""Quantization-aware training with tfmot's ``quantize_annotate`` and ``quantize_apply``."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from tfcompress.engines.tfmot.cloning import refresh_
from tfcompress.engines.tfmot.names import (
    INSIDE_ACTIVATIONS,
    Default8BitQuantizeRegistry,
    MovingAverageQuantizer,
    MovingAvgQuantize,
    QuantizeLayer,
    Quantizer,
    QuantizeWrapper,
    quantize_annotate_layer,
    quantize_apply,
    quantize_scope,
    replace_activation_quantizers_,
    weight_quantizers,
)
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.models.keras_private import hold_still_
from tfcompress.models.scope import check_scope, in_scope, listed
from tfcompress.recipe import QAT

INITIAL_RANGE = 6.0
"""Where every range of tfmot stands before it has seen a value: -6 to 6."""

WHAT_TO_DO = (
    "leave these layers out with qat.scope (they stay float), or drop the qat stage and export with quantize 'int8', "
    "which calibrates instead of training"
)

FOLDS_BATCH_NORM = ("Conv2D", "DepthwiseConv2D", "Dense", "Conv2DTranspose", "SeparableConv2D", "SeparableConv1D")
"""Layers whose following BatchNormalization tfmot folds into them."""

BY_PATTERN = ("BatchNormalization", "SyncBatchNormalization", "SeparableConv2D", "SeparableConv1D")
"""Layers that tfmot's registry does not hold, but its graph transformations turn into what it does."""

FOLLOWERS = ("BatchNormalization", "SyncBatchNormalization", "ReLU", "Activation")
"""Layers that become one op with the layer before them: they are quantized together or not at all."""


class WarmRange(Quantizer):  # type: ignore[misc]  # tfmot ships no types
    """tfmot's moving average of an activation's range, without the long way from its arbitrary start.

    tfmot averages with decay 0.999 from -6 … 6: after n steps ``0.999^n`` of that start is still in the range, half of
    it after 700 (tfmot#368). Here the decay of update n is ``min(0.999, n / (n + 1))``: a plain mean of the first
    thousand steps, that turns into tfmot's average.
    """

    def __init__(self, like: MovingAverageQuantizer, count: Any) -> None:
        """Take the settings of *like*, and a scalar float32 variable that counts updates."""
        self.like, self.count = like, count

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Return nothing: this quantizer comes in after the range's variables were built."""
        return {}

    def __call__(self, inputs: Any, training: Any, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Return *inputs* rounded to the 256 steps of the range, which learns from them in training."""
        decay = tf.minimum(0.999, self.count / (self.count + 1.0))
        rounded = MovingAvgQuantize(
            inputs,
            weights["min_var"],
            weights["max_var"],
            ema_decay=decay,
            is_training=training,
            num_bits=self.like.num_bits,
            per_channel=self.like.per_axis,
            symmetric=self.like.symmetric,
            narrow_range=self.like.narrow_range,
        )
        if training:
            self.count.assign_add(1.0)
        return rounded

    def get_config(self) -> dict[str, Any]:
        """Return the config of tfmot's quantizer, which loads in its place."""
        config: dict[str, Any] = self.like.get_config()
        return config


def check_quantizable(model: Any, stage: QAT) -> None:
    """Refuse, before any work, what tfmot is known to refuse; all layers at once, where it names the first.

    Raises:
        UsageError: a pattern of the scope matches no layer.
        UnsupportedError: nested models, or layers in the scope that tfmot cannot quantize; names them all.
    """
    nested = [layer.name for layer in model.layers if isinstance(layer, tf_keras.Model)]
    if nested:
        msg = f"qat cannot quantize models inside the model ({listed(nested)}): tfmot needs one flat graph"
        raise UnsupportedError(msg, WHAT_TO_DO)
    layers = {layer.name: layer for layer in model.layers if not isinstance(layer, tf_keras.layers.InputLayer)}
    check_scope(stage.kind, stage.scope, layers, "layer")
    reasons = {name: reason for name in annotated(model, stage) if (reason := _reason(layers[name]))}
    if reasons:
        words = listed([f"{name} ({reason})" for name, reason in reasons.items()])
        msg = f"qat cannot quantize {len(reasons)} of {len(layers)} layers: {words}"
        raise UnsupportedError(msg, WHAT_TO_DO)


def unquantizable_layers(model: Any) -> dict[str, str]:
    """Return the layers of a tf_keras model that tfmot cannot quantize, each with the reason."""
    layers = [layer for layer in model.layers if not isinstance(layer, tf_keras.layers.InputLayer)]
    nested = {layer.name: "a model inside the model" for layer in layers if isinstance(layer, tf_keras.Model)}
    plain = {layer.name: _reason(layer) for layer in layers if layer.name not in nested}
    return {**nested, **{name: reason for name, reason in plain.items() if reason}}


def _reason(layer: Any) -> str:
    """Say why tfmot cannot quantize a layer; an empty string if nothing speaks against it."""
    kind = type(layer).__name__
    if isinstance(layer, tf_keras.layers.BatchNormalization):
        before = _before(layer)
        if type(before).__name__ not in FOLDS_BATCH_NORM:
            return f"{kind} after {type(before).__name__}: it can only be folded into a convolution or Dense before it"
        if _activation(before) != "linear":
            return f"{kind} after the activation {_activation(before)} of {before.name}: put the activation behind it"
        return ""
    if not Default8BitQuantizeRegistry().supports(layer) and kind not in BY_PATTERN:
        return kind
    activation = _activation(layer)
    known = {*INSIDE_ACTIVATIONS, "relu6"} if kind == "Activation" else INSIDE_ACTIVATIONS
    return f"{kind} with activation {activation}" if activation not in known else ""


def _activation(layer: Any) -> str:
    function = getattr(layer, "activation", None)
    return "linear" if function is None else str(getattr(function, "__name__", type(function).__name__))


def _before(layer: Any) -> Any:
    """Return the layer that feeds *layer*; its first one, where it is used or fed more than once."""
    return tf.nest.flatten(layer.inbound_nodes[0].inbound_layers)[0]


def annotated(model: Any, stage: QAT) -> set[str]:
    """Return the names of the layers to quantize: those in the scope, and what becomes one op with them."""
    chosen: set[str] = set()
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.InputLayer):
            continue
        follows = type(layer).__name__ in FOLLOWERS and getattr(_before(layer), "name", "") in chosen
        if in_scope(layer.name, stage.scope) or follows:
            chosen.add(layer.name)
    return chosen


def annotated_copy(model: Any, stage: QAT) -> tuple[Any, dict[str, Any]]:
    """Copy a model, with tfmot's annotation around the layers to quantize.

    Args:
        model: a flat tf_keras model; never changed.
        stage: what is asked.

    Returns:
        The annotated copy, and the copied layers below the annotations by name.

    Raises:
        UsageError: a pattern of the scope matches no layer.
        UnsupportedError: layers that tfmot is known to refuse.
    """
    check_quantizable(model, stage)
    names = annotated(model, stage)
    layers: dict[str, Any] = {}

    def annotate(layer: Any) -> Any:
        layers[layer.name] = type(layer).from_config(layer.get_config())
        return quantize_annotate_layer(layers[layer.name]) if layer.name in names else layers[layer.name]

    copy = tf_keras.models.clone_model(model, clone_function=annotate)
    copy.set_weights(model.get_weights())
    return copy, layers


def quantized(annotated_model: Any) -> Any:
    """Return a tf_keras model with tfmot's wrappers around the annotated layers.

    Raises:
        UnsupportedError: tfmot refuses the model.
    """
    # What tfmot refuses it refuses by any of these, from deep inside; the words name the layer where there is one.
    try:
        with quantize_scope():
            result = quantize_apply(annotated_model)
    except (ValueError, RuntimeError, TypeError, AttributeError, NotImplementedError, KeyError) as error:
        msg = f"qat: tfmot cannot quantize this model: {_first_line(error)}"
        raise UnsupportedError(msg, WHAT_TO_DO) from error
    refresh_(result)
    return result


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def warm_(model: Any) -> None:
    """Replace the moving averages of *model*'s activations by :class:`WarmRange`."""
    for layer in model.layers:
        if isinstance(layer, QuantizeLayer):
            layer.quantizer = _warmed(layer, layer.quantizer, "input")
        elif isinstance(layer, QuantizeWrapper):
            replace_activation_quantizers_(layer, functools.partial(_warmed, layer))


def _warmed(layer: Any, quantizer: Any, name: str) -> Any:
    if not isinstance(quantizer, MovingAverageQuantizer):
        return quantizer
    zeros = tf_keras.initializers.Zeros()
    count = layer.add_weight(f"{name}_updates", (), initializer=zeros, trainable=False)
    return WarmRange(quantizer, count)


def wrappers_with_kernels(model: Any) -> list[Any]:
    """Return tfmot's wrappers that quantize a kernel."""
    return [layer for layer in model.layers if isinstance(layer, QuantizeWrapper) and weight_quantizers(layer)]


def ranges_of(model: Any) -> dict[str, tuple[float, float]]:
    """Return the least and largest value of each activation range of *model*, by the name of its layer.

    Where a layer has several, the rest of the variable's name is behind it; ranges of single channels are weights'.
    """
    found = {}
    for layer in model.layers:
        if isinstance(layer, QuantizeLayer | QuantizeWrapper):
            scalars = {v.name.rpartition("/")[2].partition(":")[0]: v for v in layer.weights if not v.shape.rank}
            ends = [name.removesuffix("_min") for name in scalars if name.endswith("_min")]
            for end in ends:
                own = layer.name if len(ends) == 1 else f"{layer.name}/{end}"
                found[own] = (float(scalars[f"{end}_min"]), float(scalars[f"{end}_max"]))
    return found


def freeze_(model: Any) -> None:
    """Keep the kernels of frozen layers out of training: tfmot's wrapper lists every kernel as trainable."""
    for wrapper in wrappers_with_kernels(model):
        if wrapper.layer.trainable:
            continue
        hold_still_(wrapper, [kernel for kernel, *_ in weight_quantizers(wrapper)])


def finished(model: Any, theirs: Mapping[str, Sequence[Any]], kernels: Mapping[int, Any]) -> Any:
    """Return a copy of a trained model that holds nothing but tfmot's own wrappers, as ``quantize_scope`` loads them.

    Args:
        model: the trained model.
        theirs: the variables that tfmot made for each layer, in its order, by the layer's name; those that we added are
            left behind.
        kernels: id of a variable -> the value (an array of its shape) that it gets in the copy.
    """
    copies: list[Any] = []

    def clone(layer: Any) -> Any:
        copies.append(type(layer).from_config(layer.get_config()))
        return copies[-1]

    with quantize_scope():
        result = tf_keras.models.clone_model(model, clone_function=clone)
    for new in copies:
        new.set_weights([kernels[id(v)] if id(v) in kernels else v.numpy() for v in theirs.get(new.name, ())])
    refresh_(result)
    return result


def check_trained(model: Any) -> None:
    """Refuse a model whose ranges have seen nothing: its file would round every weight to steps of 6 / 127.

    Raises:
        UsageError: no step of training was run.
    """
    found = wrappers_with_kernels(model)
    ranges = [variables["max_var"].numpy() for w in found for *_, variables in weight_quantizers(w)]
    if ranges and all((value == INITIAL_RANGE).all() for value in ranges):
        msg = "qat must be trained before finish(): its ranges have seen no data; call job.model.fit first"
        raise UsageError(msg)
