"""Which layers of a model can be taken apart, with their kernels and the sizes that they work on; and which cannot."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

from tfcompress.low_rank.factors import Values
from tfcompress.models.copies import DEPTHWISE, layers_with_kernels
from tfcompress.models.graph import calls, is_graph
from tfcompress.models.keras_private import has_origin

ANY_SIZE = 96
"""What an open size counts as, as everywhere in tfcompress where inputs are made up."""

KINDS = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Embedding)
"""Layers that can be taken apart; those of a class of somebody's own may compute anything."""

SEPARABLE = ("SeparableConv1D", "SeparableConv2D")
"""Layers of two kernels that stand for a convolution already."""

Pair = tuple[int, int]


class Part(Protocol):
    """A factor, or the outline of one."""

    @property
    def weights(self) -> int:
        """Numbers of its kernel."""
        ...

    @property
    def windowed(self) -> tuple[bool, bool]:
        """Whether it has the layer's window along rows and along columns."""
        ...


@dataclass(frozen=True)
class Sizes:
    """What one call of a layer works on.

    Attributes:
        inputs: rows and columns that go in; of a layer without a window, how many vectors, and 1.
        outputs: rows and columns that come out.
        times: how often that is done: steps of a TimeDistributed.
    """

    inputs: Pair
    outputs: Pair
    times: int = 1

    def macs(self, factors: Sequence[Part]) -> int:
        """Return the multiply-accumulates of factors in a row: each uses its whole kernel at every position."""
        total, (rows, columns) = 0, self.inputs
        for factor in factors:
            rows = self.outputs[0] if factor.windowed[0] else rows
            columns = self.outputs[1] if factor.windowed[1] else columns
            total += rows * columns * factor.weights
        return self.times * total


@dataclass(frozen=True, eq=False)
class Place:
    """A layer that can be taken apart.

    Attributes:
        path: its path in the model.
        layer: what is called: the layer, or a TimeDistributed around it.
        sizes: one for each of its calls.
        shape: of what goes into the first of them, without the batch.
    """

    path: str
    layer: Any
    sizes: tuple[Sizes, ...]
    shape: tuple[int, ...]

    @property
    def core(self) -> Any:
        """The layer that has the kernel."""
        return core_of(self.layer)

    @property
    def is_embedding(self) -> bool:
        """Whether it looks vectors up: there is nothing to multiply."""
        return isinstance(self.core, keras.layers.Embedding)

    @property
    def is_convolution(self) -> bool:
        """Whether it has a window."""
        return isinstance(self.core, keras.layers.Conv1D | keras.layers.Conv2D)

    @property
    def has_bias(self) -> bool:
        """Whether it has a bias, which takes up what a change of the kernel does to the mean of its outputs."""
        return bool(getattr(self.core, "use_bias", False))

    @functools.cached_property
    def kernel(self) -> Values:
        """Its kernel, shape (rows, columns, inputs, outputs)."""
        core = self.core
        values = np.asarray((core.embeddings if self.is_embedding else core.kernel).numpy(), np.float64)
        if not self.is_convolution:
            return values[None, None]
        return values[:, None] if values.ndim == 3 else values

    @property
    def window(self) -> Pair:
        """Rows and columns of its kernel."""
        return self.kernel.shape[0], self.kernel.shape[1]

    @property
    def strides(self) -> Pair:
        """Steps of its window."""
        return _pair(self.core.strides) if self.is_convolution else (1, 1)

    @property
    def dilation(self) -> Pair:
        """Steps inside its window."""
        return _pair(self.core.dilation_rate) if self.is_convolution else (1, 1)

    def macs(self, factors: Sequence[Part]) -> int:
        """Return the multiply-accumulates of factors in its place, over all its calls; a look-up has none."""
        counted = factors[1:] if self.is_embedding else factors
        return sum(sizes.macs(counted) for sizes in self.sizes)


def core_of(layer: Any) -> Any:
    """Return the layer inside a TimeDistributed, or the layer itself."""
    return layer.layer if type(layer) is keras.layers.TimeDistributed else layer


def _pair(sizes: Sequence[int]) -> Pair:
    return (int(sizes[0]), int(sizes[1]) if len(sizes) > 1 else 1)


@dataclass(frozen=True, eq=False)
class Places:
    """What there is in a model.

    Attributes:
        found: the layers that can be taken apart, by path.
        refused: path of every other layer with a kernel -> why it cannot.
    """

    found: dict[str, Place]
    refused: dict[str, str]


def places_of(model: Any) -> Places:
    """Find the layers of a model that can be taken apart.

    Args:
        model: a functional or sequential Keras 3 model; nested ones are looked into.
    """
    called: dict[int, list[Any]] = {}
    for call in _calls(model):
        called.setdefault(id(call.layer), []).append(call)
    found: dict[str, Place] = {}
    refused: dict[str, str] = {}
    holders = Counter(id(v) for layer in _holders(model) for v in {id(w): w for w in layer.weights}.values())
    for path, layer in layers_with_kernels(model).items():
        why = _refusal(layer, holders)
        if why:
            refused[path] = why
        elif id(layer) in called:
            mine = called[id(layer)]
            found[path] = Place(path, layer, tuple(_sizes(call) for call in mine), _known(_given(mine[0])))
    return Places(found, refused)


def _calls(model: Any) -> Iterator[Any]:
    for call in calls(model):
        if hasattr(call.layer, "layers") and is_graph(call.layer):
            yield from _calls(call.layer)
        else:
            yield call


def _holders(model: Any) -> list[Any]:
    """Return the layers that no other layer is around, but for models, each once."""
    found: dict[int, Any] = {}
    for layer in model.layers:
        inside = _holders(layer) if isinstance(layer, keras.Model) else [layer]
        found |= {id(each): each for each in inside}
    return list(found.values())


def _refusal(layer: Any, holders: Counter[int]) -> str:
    """Return why a layer cannot be taken apart; empty: it can."""
    core, kind = core_of(layer), type(core_of(layer)).__name__
    if kind in DEPTHWISE or kind in SEPARABLE:
        return "depthwise: few weights, and each of them counts"
    if type(core) not in KINDS:
        inside = core is not layer and isinstance(core, keras.Model)
        return "a model inside a TimeDistributed" if inside else f"{kind} is not taken apart"
    if getattr(core, "data_format", None) == "channels_first":
        return "its channels come first"
    if getattr(core, "groups", 1) > 1:
        return f"it has {core.groups} groups"
    if getattr(core, "kernel_constraint", None) or getattr(core, "embeddings_constraint", None):
        return "a constraint on its kernel, which factors would not keep"
    if getattr(core, "lora_enabled", False) or getattr(core, "quantization_mode", None):
        return "its kernel is held in another form (LoRA, or quantized)"
    if any(holders[id(weight)] > 1 for weight in layer.weights):
        return "its weights are another layer's, too"
    return ""


def _sizes(call: Any) -> Sizes:
    """Return what a call works on, the batch aside."""
    inputs, outputs = _known(_given(call)), _known(call.outputs[0].shape[1:])
    core, times = core_of(call.layer), 1
    if core is not call.layer:
        times, inputs, outputs = inputs[0], inputs[1:], outputs[1:]
    if isinstance(core, keras.layers.Embedding):
        return Sizes((math.prod(inputs), 1), (math.prod(inputs), 1), times)
    if isinstance(core, keras.layers.Dense):
        return Sizes((math.prod(inputs[:-1]), 1), (math.prod(inputs[:-1]), 1), times)
    return Sizes(_pair(inputs[:-1]), _pair(outputs[:-1]), times)


def _given(call: Any) -> Sequence[int | None]:
    """Return the shape of the first tensor that goes into a call, without the batch."""
    tensor = next(t for t in keras.tree.flatten([call.args, call.kwargs]) if has_origin(t))
    shape: Sequence[int | None] = tensor.shape[1:]
    return shape


def _known(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(ANY_SIZE if size is None else int(size) for size in shape)
