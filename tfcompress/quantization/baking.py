"""A model under quantization-aware training as an ordinary one, for export.

Weights hold the values that fake quantization gave them, on the grid that the converter finds again by itself (their
largest magnitude is a multiple of the grid's step). BatchNormalization is folded into the layer before it: in the
arithmetic of float64, so that the folded weights stay on their grid. Activations keep their ranges, as constants.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import numpy as np

from tfcompress.models.call_template import Template
from tfcompress.models.graph import calls
from tfcompress.models.keras_private import all_layers, input_structure, origin, output_structure
from tfcompress.models.layer_copies import is_symbolic, layer_copy
from tfcompress.models.transformed_layer import TransformedLayer, variable_at
from tfcompress.quantization.batch_norm import FreezableBatchNormalization
from tfcompress.quantization.fake_quant import ConstantFakeQuant, FakeQuant
from tfcompress.quantization.four_bits import holds_four_bits, in_four_bits
from tfcompress.quantization.weight_fake_quant import WeightFakeQuant

_RELUS = (keras.activations.relu, keras.activations.relu6, "ReLU", "Relu", "Relu6")  # functions, layer, operations

CHANNEL_AXES: dict[str, tuple[int, ...]] = {
    "Conv1D": (2,),
    "Conv2D": (3,),
    "DepthwiseConv1D": (1, 2),
    "DepthwiseConv2D": (2, 3),
    "Conv1DTranspose": (1,),
    "Conv2DTranspose": (2,),
    "Dense": (1,),
}
"""Layers that a BatchNormalization after them is folded into -> axes of their kernel that are output channels."""


MOST_STEPS = 128.0
"""Steps of its output, at most, that one step of a layer's sums may be; XNNPACK refuses a file where it is 256."""


def least_steps(model: Any) -> dict[str, float]:
    """Return for the ranges of sums the least step that the runtime takes, by the name of their layer.

    Only a tensor that is next to zero throughout (its ReLUs are dead, say) has a range that is finer.
    """
    sums: dict[int, float] = {}
    found: dict[str, float] = {}
    ranges = {layer.name: layer for layer in model.layers if isinstance(layer, FakeQuant)}
    for call in calls(model):
        layer, given = call.layer, Template.of(call.args, call.kwargs, is_symbolic)[1]
        step = sums.get(id(given[0])) if len(given) == 1 else None
        if isinstance(layer, TransformedLayer):
            source = ranges.get(layer.input_range)
            step = (
                None if source is None else _step_of_sums(layer, max(source.step or 0.0, found.get(source.name, 0.0)))
            )
        elif isinstance(layer, FakeQuant):
            found[layer.name] = max(found.get(layer.name, 0.0), (step or 0.0) / MOST_STEPS)
            continue
        elif isinstance(layer, FreezableBatchNormalization):
            step = None if step is None else step * float(np.abs(layer.factor).max())
        elif type(layer).__name__ not in _RELUS and getattr(layer, "activation", None) not in _RELUS:
            continue
        if step is not None:
            sums.update((id(tensor), step) for tensor in call.outputs)
    return {name: step for name, step in found.items() if step > (ranges[name].step or np.inf)}


def range_of(layer: FakeQuant, least_step: float = 0.0) -> tuple[float, float]:
    """Return least and largest value of a range as the file holds it, zero among them.

    Args:
        layer: its range is known.
        least_step: of :func:`least_steps`; a finer range is widened to it.
    """
    low, high = layer.fixed or (min(float(layer.low), 0.0), max(float(layer.high), 0.0))
    wider = max(1.0, 255.0 * least_step / (high - low)) if high > low else 1.0
    return low * wider, high * wider


def is_fake_quant(model: Any) -> bool:
    """Say whether a Keras 3 model holds fake quantization of this package that is not baked yet."""
    return any(
        isinstance(layer, FakeQuant) or (isinstance(layer, TransformedLayer) and not holds_four_bits(layer))
        for layer in all_layers(model)
    )


def fewest_weight_bits(model: Any) -> int:
    """Return the fewest bits that a kernel of a Keras 3 model is under training for; 8: none for fewer."""
    wrappers = [layer for layer in all_layers(model) if isinstance(layer, TransformedLayer)]
    return min((_bits(wrapper) for wrapper in wrappers), default=8)


def baked(model: Any, *, four_bits: bool = True) -> Any:
    """Return an ordinary Keras 3 model with the values and ranges that the int8 file will hold, in float32.

    Args:
        model: a functional model for which :func:`is_fake_quant`; it stays as it is.
        four_bits: let the converter store kernels of 4 bits so; False: in 8 bits, as it does all others.
    """
    return _Baker(model, four_bits=four_bits).result()


def without_rounding(model: Any, *, seams: bool = False) -> Any:
    """Return an ordinary Keras 3 model of the same layers that rounds nothing, in float32.

    Args:
        model: a functional model for which :func:`is_fake_quant`; its ranges need not be known, and it stays as it is.
        seams: leave an op where a tensor was rounded, so that the converter folds nothing across it: the float file
            then has the kernels of the int8 file, one for one.
    """
    return _Bare(model, seams=seams).result()


class _Seam(keras.layers.Layer):  # type: ignore[misc]
    """Hands a tensor on by an op that the converter leaves."""

    def call(self, inputs: Any) -> Any:
        """Return *inputs*, of any shape."""
        return keras.ops.minimum(inputs, np.finfo(np.float32).max)


class _Bare:
    """Makes a model again without its fake quantization."""

    def __init__(self, model: Any, *, seams: bool = False) -> None:
        self._model = model
        self._seams = _followed(model) if seams else set()
        self._copies: dict[int, Any] = {}

    def result(self) -> Any:
        """Make every call again on copies of the layers."""
        model = self._model
        inputs = {id(t): keras.Input(batch_shape=t.shape, dtype=t.dtype, name=_name(t)) for t in model.inputs}
        made = dict(inputs)
        for call in calls(model):
            template, tensors = Template.of(call.args, call.kwargs, is_symbolic)
            args, kwargs = template.fill([made[id(tensor)] for tensor in tensors])
            replacement = self._replaced(call.layer)
            outputs = [args[0]] if replacement is None else keras.tree.flatten(replacement(*args, **kwargs))
            made.update(zip(map(id, call.outputs), outputs, strict=True))
        given = keras.tree.map_structure(lambda tensor: inputs[id(tensor)], input_structure(model))
        results = [made[id(tensor)] for tensor in model.outputs]
        return keras.Model(given, keras.tree.pack_sequence_as(output_structure(model), results), name=model.name)

    def _replaced(self, layer: Any) -> Any | None:
        """Return what stands for a layer; None: nothing does, its input passes."""
        if id(layer) not in self._copies:
            self._copies[id(layer)] = self._replacement(layer)
        return self._copies[id(layer)]

    def _replacement(self, layer: Any) -> Any | None:
        if isinstance(layer, FakeQuant):
            return _Seam(name=layer.name) if layer in self._seams else None
        if isinstance(layer, TransformedLayer):
            return _in_float32(layer.layer, layer.name)
        if isinstance(layer, FreezableBatchNormalization):
            return _unfrozen(layer)
        return _in_float32(layer, layer.name)


def _followed(model: Any) -> set[Any]:
    """Return the fake quantization behind which a layer computes something."""
    makers: dict[int, Any] = {}
    found = set()
    for call in calls(model):
        tensors = Template.of(call.args, call.kwargs, is_symbolic)[1]
        if not isinstance(call.layer, keras.layers.Identity):  # gives an output its name
            found |= {makers[id(tensor)] for tensor in tensors if id(tensor) in makers}
        if isinstance(call.layer, FakeQuant):
            makers.update((id(tensor), call.layer) for tensor in call.outputs)
    return found


class _Baker(_Bare):
    """Makes a model again with the values and ranges of its fake quantization in it."""

    def __init__(self, model: Any, *, four_bits: bool) -> None:
        super().__init__(model)
        self._four_bits = four_bits
        self._folded = _folded(model)
        self._least_steps = least_steps(model)

    def _replacement(self, layer: Any) -> Any | None:
        if any(layer is normalization for normalization in self._folded.values()):
            return None
        if isinstance(layer, FakeQuant):
            return constant_of(layer, self._least_steps.get(layer.name, 0.0))
        return self._plain(layer) if isinstance(layer, TransformedLayer) else super()._replacement(layer)

    def _plain(self, wrapper: TransformedLayer) -> Any:
        """Return the layer inside, with its final weights, and the normalization that follows folded in."""
        layer = wrapper.layer
        final = {path: wrapper.final(path) for path in wrapper.transforms}
        normalization = self._folded.get(id(wrapper))
        if normalization is None:
            new = _in_float32(layer, wrapper.name)
        else:
            new = _in_float32(layer, wrapper.name, use_bias=True)
            final = _fold(layer, final, normalization)
        if "kernel" in final and new.use_bias:
            final.setdefault("bias", np.asarray(layer.bias))
            final["bias"] = self._rounded_bias(wrapper, final["kernel"], final["bias"])
        for path, value in final.items():
            variable_at(new, path).assign(value)
        return in_four_bits(new) if self._four_bits and _bits(wrapper) == 4 else new

    def _rounded_bias(self, wrapper: TransformedLayer, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """Round a bias to what the runtime's 32-bit integers hold: steps of input times kernel."""
        axes = CHANNEL_AXES.get(type(wrapper.layer).__name__)
        if not wrapper.input_range or axes is None:
            return bias
        source = self._model.get_layer(wrapper.input_range)
        if source.step is None:
            return bias
        others = tuple(axis for axis in range(kernel.ndim) if axis not in axes)
        bound = np.abs(kernel).max(axis=others).reshape(-1).astype(np.float64)
        step = np.where(bound > 0.0, bound, 1.0) / (2 ** (_bits(wrapper) - 1) - 1) * source.step
        return np.asarray(np.round(bias / step) * step, np.float32)


def _folded(model: Any) -> dict[int, Any]:
    """Return, by the id of a layer with transformed weights, the normalization that disappears in it."""
    uses: Counter[int] = Counter(id(tensor) for tensor in model.outputs)
    made: dict[int, Any] = {}
    times: Counter[int] = Counter()
    pairs = []
    for call in calls(model):
        tensors = Template.of(call.args, call.kwargs, is_symbolic)[1]
        uses.update(map(id, tensors))
        times[id(call.layer)] += 1
        if isinstance(call.layer, FreezableBatchNormalization):
            pairs.append((made.get(id(tensors[0])), tensors[0], call.layer))
        made.update((id(tensor), call.layer) for tensor in call.outputs)
    return {
        id(before): after
        for before, between, after in pairs
        if uses[id(between)] == 1 and times[id(before)] == times[id(after)] == 1 and _folds(before, after)
    }


def _folds(before: Any, normalization: Any) -> bool:
    if not isinstance(before, TransformedLayer) or type(before.layer).__name__ not in CHANNEL_AXES:
        return False
    linear = before.layer.activation in (None, keras.activations.linear)
    last = len(normalization.get_build_config()["input_shape"]) - 1
    return linear and normalization.axis in (-1, last) and getattr(before.layer, "data_format", "") != "channels_first"


def _fold(layer: Any, final: dict[str, np.ndarray], normalization: Any) -> dict[str, np.ndarray]:
    """Return kernel and bias that do what *layer* and the normalization after it do together.

    ``gamma * (w x + b - mean) / sqrt(variance + epsilon) + beta`` (Jacob et al. 2018, arXiv:1712.05877, eq. 14).
    """
    mean, factor = np.asarray(normalization.moving_mean, np.float64), normalization.factor
    beta = np.asarray(normalization.beta, np.float64) if normalization.center else 0.0
    bias = np.asarray(layer.bias, np.float64) if layer.use_bias else 0.0
    kernel = final.get("kernel", np.asarray(layer.kernel))
    axes = CHANNEL_AXES[type(layer).__name__]
    shape = [size if axis in axes else 1 for axis, size in enumerate(kernel.shape)]
    return {
        **final,
        "kernel": (kernel * factor.reshape(shape)).astype(np.float32),
        "bias": (beta + (bias - mean) * factor).astype(np.float32),
    }


def _step_of_sums(wrapper: TransformedLayer, input_step: float) -> float | None:
    """Return what one step of the coarsest channel's sums is worth."""
    if type(wrapper.layer).__name__ not in CHANNEL_AXES or "kernel" not in wrapper.transforms:
        return None
    largest = float(np.abs(wrapper.final("kernel")).max())
    return largest / float(2 ** (_bits(wrapper) - 1) - 1) * input_step


def _bits(wrapper: TransformedLayer) -> int:
    """Return the bits of a kernel as the file will hold it."""
    last = wrapper.transforms["kernel"][-1] if "kernel" in wrapper.transforms else None
    return last.bits if isinstance(last, WeightFakeQuant) else 8


def constant_of(layer: FakeQuant, least_step: float) -> Any | None:
    """Return the range as it is now; None: the export's samples have to give it.

    That is so where it never saw anything; and for 16 bits, where the converter writes biases that no kernel takes
    (INT32 where it wants INT64) unless it measures the ranges itself.
    """
    if layer.bits == 16:
        return None
    if layer.fixed is None and not float(layer.seen):
        return None
    return ConstantFakeQuant(*range_of(layer, least_step), layer.bits, name=layer.name)


def _in_float32(layer: Any, name: str, **changed: Any) -> Any:
    """Copy a layer, or an operation; a layer computes in float32, also where it was trained in mixed precision."""
    return layer_copy(layer, name, **changed, dtype="float32")


def _unfrozen(layer: FreezableBatchNormalization) -> Any:
    """Return the normalization of Keras itself: the same without the weight that says whether it is frozen."""
    new = _in_float32(layer, layer.name, kind=keras.layers.BatchNormalization)
    new.set_weights(layer.get_weights()[: len(new.weights)])
    return new


def _name(tensor: Any) -> str:
    return str(origin(tensor).name)
