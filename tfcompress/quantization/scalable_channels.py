"""Channels of a model that can be scaled by a positive factor, and scaled back behind, with its function unchanged.

A channel is made by layers with kernels, and taken by others; what lies between commutes with the factor (``f(s x) =
s f(x)``: ReLU, pooling …). Where tensors are added, channel *c* of all of them has one factor; where they are
concatenated, each keeps its own. So the channels of all tensors fall into sets, and each set has one factor.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tfcompress.models.graph import leaf_layers
from tfcompress.quantization import rules
from tfcompress.quantization.baking import CHANNEL_AXES
from tfcompress.quantization.steps import Step, Steps, Value

IN_AXES: dict[str, int] = {"Conv1D": 1, "Conv2D": 2, "Dense": 0, "DepthwiseConv1D": 1, "DepthwiseConv2D": 2}
"""Layers whose channels can be scaled -> the axis of their kernel that is their input's channels."""

COMMUTES = frozenset(
    {
        *("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D"),
        *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D"),
        *("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "UpSampling1D", "UpSampling2D"),
        *("LeakyReLU", "PReLU", "LeakyRelu", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "Identity"),
    }
)
"""Of one tensor, each channel by itself."""
MERGES = frozenset({"Add", "Subtract", "Average", "Maximum", "Minimum", "Concatenate"})
"""Of several tensors that have one factor, or are joined along the channels: what comes out has theirs."""
RESHAPES = frozenset({"Flatten", "Reshape"})
"""What lays values out otherwise, and changes none."""
_CLUSTERED = 4  # so many weights a distinct value, at least, are no accident
_NONE = -1


@dataclass(frozen=True, eq=False)
class ScalableLayer:
    """A layer with a kernel whose channels may be scaled.

    Attributes:
        step: the layer.
        ins: the set of each channel that it takes, shape (channels,); -1: it cannot be scaled.
        outs: the set of each channel that it makes, shape (channels,); -1: it cannot be scaled.
        normalization: what normalizes its sums; None: nothing does.
    """

    step: Step
    ins: np.ndarray
    outs: np.ndarray
    normalization: Step | None = None

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel that it makes is of one that it takes."""
        return _is_depthwise(self.step)

    @property
    def factor(self) -> np.ndarray:
        """What the normalization multiplies each channel with, shape (channels,)."""
        norm = self.normalization
        return np.ones(len(self.outs)) if norm is None else np.abs(norm.op.factor)

    def magnitudes(self) -> np.ndarray:
        """Return the largest weights as the file will hold them, with the normalization folded in.

        The shape is (channels in, channels out); of a depthwise layer (channels in, multiplier).
        """
        kernel = np.abs(np.asarray(self.step.op.kernel, np.float64))
        kernel = kernel.max(axis=tuple(range(kernel.ndim - 2)))
        factor = self.factor
        return np.asarray(kernel * (factor.reshape(kernel.shape) if self.is_depthwise else factor))

    def by_output(self, factor: np.ndarray) -> np.ndarray:
        """Shape a factor for each channel that it makes to multiply its kernel."""
        kernel, axes = self.step.op.kernel, CHANNEL_AXES[type(self.step.op).__name__]
        return factor.reshape([size if axis in axes else 1 for axis, size in enumerate(kernel.shape)])

    def by_input(self, factor: np.ndarray) -> np.ndarray:
        """Shape a factor for each channel that it takes to multiply its kernel."""
        shape = [1] * len(self.step.op.kernel.shape)
        shape[IN_AXES[type(self.step.op).__name__]] = -1
        return factor.reshape(shape)


@dataclass(frozen=True, eq=False)
class ScalableChannels:
    """The sets of channels that have one factor each.

    Attributes:
        count: how many sets.
        layers: what makes and takes them, in the model's order.
        tensors: tensors that the file rounds, with the set of each channel (-1: none).
        kin: the number of the family of each set, shape (count,): sets that meet in one tensor are of one.
        bound: largest value that a channel can have where a ReLU6 cuts it off, shape (count,); 0: none does.
    """

    count: int
    layers: list[ScalableLayer]
    tensors: list[tuple[Value, np.ndarray]]
    kin: np.ndarray
    bound: np.ndarray


def scalable_channels(steps: Steps, model: Any) -> ScalableChannels:
    """Find the channels of a model that can be scaled.

    Args:
        steps: the model, read.
        model: the model itself: only layers that are its own, by path and class, and called once, can be scaled.
    """
    return _Search(steps, model).result()


class _Sets:
    """Numbers that are put together in sets (union-find)."""

    def __init__(self) -> None:
        self._parents: list[int] = []

    def new(self, count: int) -> np.ndarray:
        start = len(self._parents)
        self._parents += range(start, start + count)
        return np.arange(start, start + count)

    def root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = number = self._parents[self._parents[number]]
        return number

    def roots(self, numbers: np.ndarray) -> np.ndarray:
        return np.array([self.root(int(number)) for number in numbers], int)

    def join(self, first: np.ndarray, second: np.ndarray) -> None:
        for a, b in zip(first, second, strict=True):
            self._parents[self.root(int(b))] = self.root(int(a))


@dataclass
class _Found:
    """A layer with a kernel, with the numbers of its channels before the sets are known."""

    step: Step
    ins: np.ndarray
    outs: np.ndarray
    normalization: Step | None = None


@dataclass
class _Marks:
    """What is known of numbers, which holds for the whole set of each."""

    fixed: list[np.ndarray] = field(default_factory=list)
    capped: list[np.ndarray] = field(default_factory=list)
    merged: list[np.ndarray] = field(default_factory=list)


class _Search:
    def __init__(self, steps: Steps, model: Any) -> None:
        self._steps, self._sets, self._marks = steps, _Sets(), _Marks()
        own = {path: type(layer).__name__ for path, layer in leaf_layers(model)}
        uses = Counter(id(step.op) for step in steps.steps)
        self._own = {
            step
            for step in steps.steps
            if own.get(step.path) == type(step.op).__name__.removeprefix("Freezable") and uses[id(step.op)] == 1
        }
        self._numbers: dict[Value, np.ndarray] = {}
        self._layers: list[_Found] = []
        self._normalizations: set[Step] = set()

    def result(self) -> ScalableChannels:
        for value in self._steps.inputs:
            self._fix(value, self._fresh(value))
        for step in self._steps.steps:
            self._follow(step)
        for value in self._steps.outputs:
            self._fix(value, self._numbers[value])
        return self._put_together()

    def _fresh(self, value: Value) -> np.ndarray:
        self._numbers[value] = self._sets.new(_channels(value))
        return self._numbers[value]

    def _fix(self, value: Value, numbers: np.ndarray) -> None:
        self._numbers[value] = numbers
        self._marks.fixed.append(numbers)

    def _follow(self, step: Step) -> None:
        if self._is_scalable(step):
            self._scalable(step)
            return
        passed = None if len(step.outputs) != 1 or not step.outputs[0].is_float else self._passed(step)
        if passed is not None:
            self._numbers[step.outputs[0]] = passed
            return
        self._marks.fixed += [self._numbers[value] for value in step.inputs]
        for value in step.outputs:
            self._fix(value, self._fresh(value))

    def _is_scalable(self, step: Step) -> bool:
        op = step.op
        if step not in self._own or type(op).__name__ not in IN_AXES or getattr(op, "groups", 1) != 1:
            return False
        return getattr(op, "data_format", "channels_last") != "channels_first" and not _is_clustered(step)

    def _scalable(self, step: Step) -> None:
        value = step.outputs[0]
        outs, activation = self._fresh(value), getattr(step.op, "activation", None)
        linear = activation in (None, keras.activations.linear)
        found = _Found(step, self._numbers[step.inputs[0]], outs)
        self._layers.append(found)
        if activation is keras.activations.relu6:
            self._marks.capped.append(outs)
        elif not linear and activation is not keras.activations.relu and _name(activation) != "leaky_relu":
            self._marks.fixed.append(outs)
        after = value.users[0] if len(value.users) == 1 and not value.is_output else None
        if linear and after in self._own and type(after.op).__name__ == "FreezableBatchNormalization":
            found.normalization = after
            self._normalizations.add(after)

    def _passed(self, step: Step) -> np.ndarray | None:
        """Return the numbers of the channels behind a step that passes factors; None: it does not."""
        name, given = type(step.op).__name__, [self._numbers[value] for value in step.inputs]
        if getattr(step.op, "data_format", "channels_last") == "channels_first":
            return None
        commutes = name in COMMUTES or step in self._normalizations or _is_relu(step) or _is_part_that_commutes(step)
        if len(given) == 1 and commutes:
            if _is_relu(step) and rules.bounds_at_six(step.op):
                self._marks.capped.append(given[0])
            return given[0]
        if name in RESHAPES and len(given) == 1:
            return _reshaped(given[0], step)
        if name == "Concatenate" and len(given) > 1 and _is_last(step):
            return np.concatenate(given)
        if len(given) > 1 and name in MERGES and len({len(numbers) for numbers in given}) == 1:
            for other in given[1:]:
                self._sets.join(given[0], other)
            self._marks.merged.append(given[0])
            return given[0]
        return None

    def _put_together(self) -> ScalableChannels:
        made = np.concatenate([found.outs for found in self._layers], dtype=int) if self._layers else np.empty(0, int)
        taken = np.concatenate([found.ins for found in self._layers], dtype=int) if self._layers else made
        once = Counter(self._sets.roots(made).tolist())
        fixed, capped, merged = (self._all(each) for each in vars(self._marks).values())
        fixed |= capped & (merged | {root for root, times in once.items() if times > 1})
        roots = sorted((set(once) & set(self._sets.roots(taken).tolist())) - fixed)
        index = {root: place for place, root in enumerate(roots)}

        def sets_of(numbers: np.ndarray) -> np.ndarray:
            return np.array([index.get(root, _NONE) for root in self._sets.roots(numbers).tolist()], int)

        layers = [ScalableLayer(f.step, sets_of(f.ins), sets_of(f.outs), f.normalization) for f in self._layers]
        every = [(value, sets_of(numbers)) for value, numbers in self._numbers.items() if _is_rounded(value)]
        tensors = [(value, sets) for value, sets in every if (sets != _NONE).any()]
        bound = np.zeros(len(roots))
        for layer in layers:
            cut = np.array([s != _NONE and roots[s] in capped for s in layer.outs], bool)
            if cut.any():
                bound[layer.outs[cut]] = _largest_sums(layer)[cut]
        return ScalableChannels(len(roots), layers, tensors, _families(len(roots), layers, tensors), bound)

    def _all(self, marked: list[np.ndarray]) -> set[int]:
        return {root for numbers in marked for root in self._sets.roots(numbers).tolist()}


def _families(count: int, layers: list[ScalableLayer], tensors: list[tuple[Value, np.ndarray]]) -> np.ndarray:
    kin = _Sets()
    kin.new(count)
    for sets in (*(layer.outs for layer in layers), *(sets for _, sets in tensors)):
        found = sets[sets != _NONE]
        kin.join(found[:-1], found[1:])
    _, numbers = np.unique(kin.roots(np.arange(count)), return_inverse=True)
    return numbers


def _is_relu(step: Step) -> bool:
    return rules.kind_of(step.op) == "relu"


def _is_part_that_commutes(step: Step) -> bool:
    """Say whether a step is what a layer that commutes is written out as.

    A mean of several tensors ends in a product with a constant, and enlarging by repetition is a resize.
    """
    name, shapes = type(step.op).__name__, [value.symbol.shape for value in (*step.inputs, *step.outputs)]
    if name == "Multiply":
        return len(shapes) == 2 and bool(shapes[0] == shapes[1])
    return name == "Resize" and bool(step.op.interpolation == "nearest")


def _reshaped(numbers: np.ndarray, step: Step) -> np.ndarray | None:
    """Return the numbers behind a Reshape or Flatten that keeps channels last, or makes one axis of all."""
    before, after = step.inputs[0].symbol.shape, step.outputs[0].symbol.shape
    if None in (*before[1:], *after[1:]):
        return None
    if before[-1] == after[-1]:
        return numbers
    return np.tile(numbers, after[-1] // before[-1]) if len(after) == 2 else None


def _is_last(step: Step) -> bool:
    rank = len(step.outputs[0].symbol.shape)
    return getattr(step.op, "axis", -1) in (-1, rank - 1)


def _is_rounded(value: Value) -> bool:
    """Say whether the file rounds a tensor: not where a ReLU or a normalization alone follows."""
    if len(value.users) != 1:
        return True
    op = value.users[0].op
    name = type(op).__name__
    return not (rules.kind_of(op) == "relu" or "ReLU" in name or name == "FreezableBatchNormalization")


def _is_clustered(step: Step) -> bool:
    """Say whether a kernel holds few different values: factors would make many of them."""
    values = np.asarray(step.op.kernel)
    values = values[values != 0]
    return bool(values.size >= 64 and np.unique(values).size * _CLUSTERED < values.size)


def _is_depthwise(step: Step) -> bool:
    return type(step.op).__name__.startswith("Depthwise")


def _channels(value: Value) -> int:
    shape = value.symbol.shape
    return int(shape[-1] or 1) if len(shape) > 1 else 1


def _name(activation: Any) -> str:
    return str(getattr(activation, "__name__", ""))


def _largest_sums(layer: ScalableLayer) -> np.ndarray:
    """Return the largest value that each channel can take before its activation; infinity: it is not known.

    It is ``bias + 6 sum(max(w, 0))`` where what the layer takes lies in [0, 6].
    """
    maker = layer.step.inputs[0].maker
    ends = maker is not None and (
        (rules.kind_of(maker.op) == "relu" and rules.bounds_at_six(maker.op))
        or getattr(maker.op, "activation", None) is keras.activations.relu6
    )
    if not ends:
        return np.full(len(layer.outs), np.inf)
    op, norm = layer.step.op, layer.normalization
    factor = np.ones(len(layer.outs)) if norm is None else norm.op.factor
    kernel = np.asarray(op.kernel, np.float64) * layer.by_output(factor)
    axes = CHANNEL_AXES[type(op).__name__]
    sums = 6.0 * np.maximum(kernel, 0.0).sum(axis=tuple(axis for axis in range(kernel.ndim) if axis not in axes))
    bias = np.asarray(op.bias, np.float64) if op.use_bias else np.zeros(len(layer.outs))
    if norm is not None:
        beta = np.asarray(norm.op.beta, np.float64) if norm.op.center else 0.0
        bias = beta + (bias - np.asarray(norm.op.moving_mean, np.float64)) * factor
    return np.asarray(sums.reshape(-1) + bias)
