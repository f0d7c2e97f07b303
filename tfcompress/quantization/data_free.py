"""Ranges without a sample: from what BatchNormalization knows, and from what bounds a layer's outputs.

A normalized channel is taken for Gaussian with mean beta and deviation gamma; behind ReLU or ReLU6 for a Gaussian that
is cut off (Nagel et al. 2019, arXiv:1906.04721, section 4.2 and appendix C). Its range is :data:`DEVIATIONS` deviations
about the mean. Sums that nothing normalizes have the mean and the deviation that their inputs and weights give them,
inputs taken for independent, and never leave what interval arithmetic allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfcompress.errors import UnsupportedError
from tfcompress.input_ranges import InputRange
from tfcompress.models.call_template import Template
from tfcompress.models.graph import calls
from tfcompress.models.layer_copies import is_symbolic
from tfcompress.models.signature import signature_of
from tfcompress.models.transformed_layer import TransformedLayer
from tfcompress.quantization import rules
from tfcompress.quantization.baking import CHANNEL_AXES
from tfcompress.quantization.bias_correction import bias_of
from tfcompress.quantization.equalizing import by_statistics
from tfcompress.quantization.fake_quant import LEAST_SPAN, FakeQuant
from tfcompress.quantization.scalable_channels import RESHAPES
from tfcompress.quantization.transform import Quantized, quantize
from tfcompress.recipe import QAT

DEVIATIONS = 6.0
"""Of a Gaussian, at either side of its mean: what counts as its range."""
LOOSE_DEVIATIONS = 8.0
"""The same of sums that nothing normalizes: their inputs are taken for independent, and are not."""
_PLACES = 257  # where a function of one number is looked at
MERGING = frozenset({"Add", "Subtract", "Multiply", "Maximum", "Minimum", "Concatenate"})
"""Of several tensors: what comes out lies in a range that follows from theirs."""
MOVING = frozenset(
    {
        *(f"{kind}Pooling{rank}D" for kind in ("Max", "Average", "GlobalMax", "GlobalAverage") for rank in (1, 2)),
        *("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "Dropout", "SpatialDropout1D"),
        *("SpatialDropout2D", "Identity", "UpSampling2D", "Cast"),
    }
)
"""What hands channels on, each as it is; a mean of many lies in the range of one."""
ELEMENTWISE = frozenset({"ReLU", "LeakyReLU", "PReLU", "ELU", "Activation", "Softmax", "GELU"})
"""Layers that are a function of one number, but for some of their options."""
_WRITING_ZEROS = ("ZeroPadding", "Masking")

_ALL_OF: tuple[Callable[[np.ndarray], Any], ...] = (np.min, np.max, np.mean, np.max)
"""What is known of all channels together, where they are not kept apart: least, largest, mean, deviation."""


@dataclass(frozen=True)
class ChannelSpread:
    """What is known of a tensor's values: arrays of shape (channels,), or () where channels are not kept apart.

    Attributes:
        low: least value.
        high: largest value.
        mean: expected value.
        deviation: standard deviation.
    """

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of_range(cls, low: float, high: float) -> ChannelSpread:
        """Return the spread of values that are evenly distributed."""
        ends = np.asarray(low, np.float64), np.asarray(high, np.float64)
        return cls(*ends, (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / np.sqrt(12.0))

    @classmethod
    def gaussian(
        cls,
        mean: np.ndarray,
        deviation: np.ndarray,
        low: Any = -np.inf,
        high: Any = np.inf,
        *,
        deviations: float = DEVIATIONS,
    ) -> ChannelSpread:
        """Return the spread of Gaussian values that cannot leave [low, high]."""
        reach = deviations * deviation
        return cls(np.maximum(mean - reach, low), np.minimum(mean + reach, high), mean, deviation)

    def through(self, function: Callable[[np.ndarray], np.ndarray]) -> ChannelSpread:
        """Return the spread behind a function of one number, values taken for Gaussian and cut off at the ends.

        Args:
            function: takes and gives an array of shape (places, channels).
        """
        part = np.linspace(0.0, 1.0, _PLACES)[:, np.newaxis]
        low, high, mean, deviation = (np.atleast_1d(x) for x in (self.low, self.high, self.mean, self.deviation))
        places = low + part * (high - low)
        values = np.asarray(function(places), np.float64)
        wide = np.where(deviation > 0, deviation, 1.0)
        weight = np.exp(-0.5 * ((places - mean) / wide) ** 2)
        weight /= weight.sum(axis=0)
        average = (weight * values).sum(axis=0)
        spread = np.sqrt((weight * (values - average) ** 2).sum(axis=0))
        return ChannelSpread(values.min(axis=0), values.max(axis=0), average, spread)


def without_data(model: Any, ranges: Mapping[str, InputRange]) -> Quantized:
    """Return *model* with fake quantization whose ranges, and corrected biases, follow from the model alone.

    Channels are equalized before by what their normalizations promise.

    Args:
        model: a functional or sequential Keras 3 model that is built; it is only read.
        ranges: least and largest value of each input, by name.

    Raises:
        UnsupportedError: a layer whose outputs nothing bounds; it is named.
    """
    made = quantize(by_statistics(model, DEVIATIONS), QAT())
    _Reader(made.model, ranges).read()
    return made


class _Reader:
    """Goes through a model with fake quantization, and sets its ranges and biases."""

    def __init__(self, model: Any, ranges: Mapping[str, InputRange]) -> None:
        self._model, self._ranges = model, ranges
        self._calls = list(calls(model))
        self._templates = [Template.of(call.args, call.kwargs, is_symbolic) for call in self._calls]
        self._seen: dict[int, tuple[FakeQuant, float, float]] = {}
        self._sums: dict[int, np.ndarray] = {}  # by the sums of a layer: how far rounding its kernel moves their mean

    def read(self) -> None:
        """Set every range."""
        names = (spec.name for spec in signature_of(self._model).inputs)
        known = {
            id(tensor): ChannelSpread.of_range(*self._ranges[name])
            for name, tensor in zip(names, self._model.inputs, strict=True)
        }
        for call, (template, tensors) in zip(self._calls, self._templates, strict=True):
            given = [known[id(tensor)] for tensor in tensors]
            found = self._spread(call, template, tensors, given)
            known.update((id(tensor), found) for tensor in call.outputs)
        for layer, low, high in self._seen.values():
            layer.low.assign(low)
            layer.high.assign(max(high, low + LEAST_SPAN))
            layer.seen.assign(1.0)

    def _spread(self, call: Any, template: Template, tensors: list[Any], given: list[ChannelSpread]) -> ChannelSpread:
        layer, name = call.layer, type(call.layer).__name__
        if isinstance(layer, FakeQuant):
            return self._measured(layer, given[0])
        if isinstance(layer, TransformedLayer) and type(layer.layer).__name__ in CHANNEL_AXES:
            return self._weighed(call, given[0], int(tensors[0].shape[-1]))
        if name == "FreezableBatchNormalization":
            return self._normalized(layer, tensors[0])
        if name in MERGING and len(given) > 1:
            last = getattr(layer, "axis", -1) in (-1, len(tensors[0].shape) - 1)
            return _merged(name, given, [int(tensor.shape[-1]) for tensor in tensors] if last else [])
        if name in MOVING or rules.kind_of(layer) == "unchanged":
            return _with_zero(given[0]) if name.startswith(_WRITING_ZEROS) else given[0]
        if name in RESHAPES:
            return _reshaped(given[0], tensors[0].shape, call.outputs[0].shape)
        if len(given) == 1 and tuple(call.outputs[0].shape) == tuple(tensors[0].shape) and _is_elementwise(layer):
            return self._through(layer, template, tensors[0], given[0])
        if isinstance(layer, keras.layers.Layer) and rules.name_of(layer) in rules.FIXED:
            return ChannelSpread.of_range(*rules.FIXED[rules.name_of(layer)])
        kind = rules.name_of(layer)
        msg = f"layer {layer.name!r} ({kind}) has outputs that nothing bounds without samples; give --data"
        raise UnsupportedError(msg)

    def _measured(self, layer: FakeQuant, given: ChannelSpread) -> ChannelSpread:
        if layer.fixed is None:
            _, low, high = self._seen.get(id(layer), (layer, 0.0, 0.0))
            low, high = min(low, float(given.low.min())), max(high, float(given.high.max()))
            self._seen[id(layer)] = (layer, low, high)
        return given

    def _weighed(self, call: Any, given: ChannelSpread, channels: int) -> ChannelSpread:
        """Return the spread of a layer's sums, and take out of its bias what rounding its kernel does to their mean."""
        wrapper = call.layer
        layer, kernel = wrapper.layer, np.asarray(wrapper.layer.kernel, np.float64)
        kind = type(layer).__name__
        total = _totals(kind, kernel, channels)
        mean = _per_channel(given.mean, channels)
        low, high = _per_channel(given.low, channels, np.min), _per_channel(given.high, channels, np.max)
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)  # at the edges, zeros stand for some of the inputs
        variance = _per_channel(given.deviation, channels) ** 2
        off = total(kernel - np.asarray(wrapper.final("kernel"), np.float64), mean)
        bias = np.asarray(layer.bias, np.float64) if layer.use_bias else 0.0
        ends = total(np.maximum(kernel, 0), low) + total(np.minimum(kernel, 0), high)
        tops = total(np.maximum(kernel, 0), high) + total(np.minimum(kernel, 0), low)
        made = ChannelSpread.gaussian(
            total(kernel, mean) + bias,
            np.sqrt(total(kernel**2, variance)),
            ends + bias,
            tops + bias,
            deviations=LOOSE_DEVIATIONS,
        )
        self._sums[id(call.outputs[0])] = off
        variable = bias_of(layer)
        if variable is not None:
            variable.assign_add(off.astype(np.float32))
            self._sums.pop(id(call.outputs[0]))
        activation = getattr(layer, "activation", None)
        return made if activation is None else made.through(lambda x: np.asarray(activation(np.float32(x))))

    def _normalized(self, layer: Any, sums: Any) -> ChannelSpread:
        mean, factor = np.asarray(layer.moving_mean, np.float64), layer.factor
        beta = np.asarray(layer.beta, np.float64) if layer.center else np.zeros_like(mean)
        deviation = np.sqrt(np.asarray(layer.moving_variance, np.float64)) * np.abs(factor)
        off = self._sums.pop(id(sums), None)
        if off is not None and layer.center:
            layer.beta.assign_add((off * factor).astype(np.float32))
        return ChannelSpread.gaussian(beta, deviation)

    def _through(self, layer: Any, template: Template, tensor: Any, given: ChannelSpread) -> ChannelSpread:
        rank = len(tensor.shape)

        def function(places: np.ndarray) -> np.ndarray:
            values = np.float32(places).reshape(len(places), *[1] * (rank - 2), -1)
            args, kwargs = template.fill([keras.ops.convert_to_tensor(values)])
            return np.asarray(layer(*args, **kwargs)).reshape(len(places), -1)

        return given.through(function)


def _is_elementwise(layer: Any) -> bool:
    inside = getattr(layer, "alpha", None)
    if type(layer).__name__ == "PReLU" and inside is not None and np.ndim(inside) > 1:
        return all(size == 1 for size in np.shape(inside)[:-1])
    known = rules.kind_of(layer) == "relu" or not isinstance(layer, keras.layers.Layer)
    return known or (type(layer).__name__ in ELEMENTWISE and rules.name_of(layer) != "softmax")


def _per_channel(value: np.ndarray, channels: int, all_of: Callable[[np.ndarray], Any] = np.mean) -> np.ndarray:
    return np.broadcast_to(value, (channels,)) if np.size(value) in (1, channels) else np.full(channels, all_of(value))


def _totals(kind: str, kernel: np.ndarray, channels: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return a function that sums the kernel's places times a number for each input channel, by output channel."""

    def depthwise(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.asarray(weights.sum(axis=tuple(range(weights.ndim - 2))) * values[:, np.newaxis]).reshape(-1)

    def transposed(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.asarray(weights.sum(axis=tuple(range(weights.ndim - 2))) @ values)

    def plain(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        summed = weights.sum(axis=tuple(range(weights.ndim - 2)))  # (channels of a group, outputs)
        groups = channels // summed.shape[0]
        parts = zip(np.split(summed, groups, axis=1), np.split(values, groups), strict=True)
        return np.concatenate([part.T @ own for part, own in parts])

    return depthwise if kind.startswith("Depthwise") else transposed if kind.endswith("Transpose") else plain


def _merged(name: str, given: list[ChannelSpread], channels: list[int]) -> ChannelSpread:
    """Return the spread of several tensors together.

    Args:
        name: class of the layer.
        given: of each tensor.
        channels: how many each has, where they could be joined one behind the other; empty: along another axis.
    """
    if name == "Concatenate" and channels:
        told = [
            [_per_channel(part, count, all_of) for part, all_of in zip(vars(each).values(), _ALL_OF, strict=True)]
            for each, count in zip(given, channels, strict=True)
        ]
        return ChannelSpread(*(np.concatenate(parts) for parts in zip(*told, strict=True)))
    first, *rest = given
    for other in rest:
        first = _pair(name, first, other)
    return first


def _pair(name: str, a: ChannelSpread, b: ChannelSpread) -> ChannelSpread:
    both = np.sqrt(a.deviation**2 + b.deviation**2)
    if name == "Add":
        return ChannelSpread(a.low + b.low, a.high + b.high, a.mean + b.mean, both)
    if name == "Subtract":
        return ChannelSpread(a.low - b.high, a.high - b.low, a.mean - b.mean, both)
    if name == "Multiply":
        corners = np.stack(np.broadcast_arrays(a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high))
        deviation = np.sqrt(
            (a.mean * b.deviation) ** 2 + (b.mean * a.deviation) ** 2 + (a.deviation * b.deviation) ** 2
        )
        return ChannelSpread(corners.min(axis=0), corners.max(axis=0), a.mean * b.mean, deviation)
    return ChannelSpread(
        np.minimum(a.low, b.low),
        np.maximum(a.high, b.high),
        (a.mean + b.mean) / 2,
        np.maximum(a.deviation, b.deviation),
    )


def _with_zero(given: ChannelSpread) -> ChannelSpread:
    return ChannelSpread(np.minimum(given.low, 0.0), np.maximum(given.high, 0.0), given.mean, given.deviation)


def _reshaped(given: ChannelSpread, before: Any, after: Any) -> ChannelSpread:
    """Return the spread of a tensor's values in another shape."""
    if before[-1] == after[-1] or given.mean.ndim == 0:
        return given
    if len(after) == 2 and after[-1] % before[-1] == 0:  # flattened: channels are the fastest
        return ChannelSpread(*(np.tile(part, after[-1] // before[-1]) for part in vars(given).values()))
    whole = (given.low.min(), given.high.max(), given.mean.mean(), given.deviation.max())
    return ChannelSpread(*(np.asarray(part) for part in whole))
