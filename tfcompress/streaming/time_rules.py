"""How layers treat time: which frames of what goes in a frame that comes out is made of, and how it is made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import keras
import numpy as np

from tfcompress.streaming.flat_graph import LayerCall
from tfcompress.streaming.spans import Span, Timeline
from tfcompress.streaming.step_pieces import Pieces, Sides


class TimeRule(Protocol):
    """How a call treats time."""

    def line(self, given: Timeline) -> Timeline | None:
        """Return what comes out along time, of what goes in; None: it has no frames any more."""

    def needed(self, span: Span, given: Timeline) -> Span:
        """Return the frames of what goes in that some of what comes out are made of; without frames, all of it."""

    def make(self, pieces: Pieces, call: LayerCall, tensors: Sequence[Any], span: Span, given: Timeline) -> Any:
        """Make frames that come out.

        Args:
            pieces: makes layers.
            call: what is called.
            tensors: the frames that :meth:`needed` gives, of each of the call's inputs.
            span: the frames to make.
            given: what goes in.
        """


@dataclass(frozen=True)
class EachFrame:
    """Every frame is made of the same frame of each input."""

    def line(self, given: Timeline) -> Timeline:
        """Return what comes out along time."""
        return given

    def needed(self, span: Span, given: Timeline) -> Span:
        """Return the frames that some of what comes out are made of."""
        return span

    def make(self, pieces: Pieces, call: LayerCall, tensors: Sequence[Any], span: Span, given: Timeline) -> Any:
        """Make frames that come out."""
        args, kwargs = call.template.fill(tensors)
        changed = {}
        if isinstance(call.layer, keras.layers.Reshape):
            changed["target_shape"] = (span.size, *call.outputs[0].shape[1:])
        return pieces.copy(call.layer, call.path, **changed)(*args, **kwargs)


@dataclass(frozen=True)
class WholeWindow:
    """Everything is made of all frames.

    Attributes:
        costly: the work is done again at each step, which is worth reporting.
    """

    costly: bool = False

    def line(self, given: Timeline) -> None:
        """Return what comes out along time."""
        return

    def needed(self, span: Span, given: Timeline) -> Span:
        """Return the frames that some of what comes out are made of."""
        return Span(0, given.frames)

    def make(self, pieces: Pieces, call: LayerCall, tensors: Sequence[Any], span: Span, given: Timeline) -> Any:
        """Make frames that come out."""
        args, kwargs = call.template.fill(tensors)
        return pieces.copy(call.layer, call.path)(*args, **kwargs)


@dataclass(frozen=True)
class OneFrame:
    """An index along time.

    Attributes:
        place: of the frame, from the oldest.
        key: the whole index, with one frame in the place of time.
    """

    place: int
    key: tuple[Any, ...]

    def line(self, given: Timeline) -> None:
        """Return what comes out along time."""
        return

    def needed(self, span: Span, given: Timeline) -> Span:
        """Return the frames that some of what comes out are made of."""
        return Span(self.place, self.place + 1)

    def make(self, pieces: Pieces, call: LayerCall, tensors: Sequence[Any], span: Span, given: Timeline) -> Any:
        """Make frames that come out."""
        return tensors[0][self.key]


@dataclass(frozen=True)
class Windowed:
    """A frame is made of frames at even distances.

    Attributes:
        size: how many of them.
        stride: from the first one of a frame to that of the next.
        gap: from one to the next.
        before: zeros before the oldest frame; below zero: so many frames are left out.
        after: the same behind the newest.
    """

    size: int = 1
    stride: int = 1
    gap: int = 1
    before: int = 0
    after: int = 0
    zeros: ClassVar[bool] = True

    @property
    def extent(self) -> int:
        """Frames from the first to the last one, both counted."""
        return self.gap * (self.size - 1) + 1

    def line(self, given: Timeline) -> Timeline:
        """Return what comes out along time."""
        count = (given.frames + self.before + self.after - self.extent) // self.stride + 1
        first = max(0, -(-(given.head + self.before) // self.stride))
        last = (given.frames - 1 - given.tail - self.extent + 1 + self.before) // self.stride
        return Timeline(count, given.rate * self.stride, min(first, count), max(0, min(count, count - 1 - last)))

    def reach(self, span: Span) -> Span:
        """Return the frames that some are made of, with those of zeros: before 0, or behind the newest."""
        start = self.stride * span.start - self.before
        return Span(start, self.stride * (span.stop - 1) - self.before + self.extent)

    def needed(self, span: Span, given: Timeline) -> Span:
        """Return the frames that some of what comes out are made of."""
        reach = self.reach(span)
        start = min(max(0, reach.start), given.frames - 1)
        return Span(start, max(start + 1, min(reach.stop, given.frames)))

    def make(self, pieces: Pieces, call: LayerCall, tensors: Sequence[Any], span: Span, given: Timeline) -> Any:
        """Make frames that come out."""
        raise NotImplementedError


@dataclass(frozen=True)
class Convolution(Windowed):
    """A convolution, of zeros where there are no frames."""

    def make(self, pieces: Pieces, call: LayerCall, tensors: Sequence[Any], span: Span, given: Timeline) -> Any:
        """Make frames that come out."""
        layer, reach = call.layer, self.reach(span)
        sides = max(0, -reach.start), max(0, reach.stop - given.frames)
        everything = span == Span(0, call.outputs[0].shape[0] or 0) and self.needed(span, given).size == given.frames
        if everything or self.size == self.stride == 1:
            return pieces.copy(layer, call.path)(tensors[0])
        others = [
            same_sides(size, *_along(layer, axis)) if layer.padding == "same" else (0, 0)
            for axis, size in enumerate(call.inputs[0].shape[1:-1], start=1)
        ]
        padded = pieces.padded(tensors[0], sides, others)
        return pieces.copy(layer, call.path, padding="valid")(padded)


@dataclass(frozen=True)
class Pooling(Windowed):
    """A pooling, over the frames that there are."""

    def make(self, pieces: Pieces, call: LayerCall, tensors: Sequence[Any], span: Span, given: Timeline) -> Any:
        """Make frames that come out."""
        layer, reach = call.layer, self.reach(span)
        inside = Span(0, given.frames).holds(reach)
        if span == Span(0, call.outputs[0].shape[0] or 0) and self.needed(span, given).size == given.frames:
            return pieces.copy(layer, call.path)(tensors[0])
        tensor, window, strides = tensors[0], list(layer.pool_size), list(layer.strides)
        if layer.padding == "same" and len(window) > 1:
            alone = {"pool_size": (1, *window[1:]), "strides": (1, *strides[1:])}
            tensor = pieces.copy(layer, call.path, **alone)(tensor)
            window[1:], strides[1:] = [1] * len(window[1:]), [1] * len(strides[1:])
        if inside:
            parts = [(span, self.size)]
        else:
            parts = [(Span(j, j + 1), self._taken(Span(j, j + 1), given).size) for j in range(span.start, span.stop)]
            parts = _runs(parts, self.size)
        held, made = self.needed(span, given), []
        for part, size in parts:
            changed = {"pool_size": (size, *window[1:]), "strides": (self.stride, *strides[1:]), "padding": "valid"}
            frames = pieces.cut(tensor, held, self._taken(part, given))
            made.append(pieces.copy(layer, call.path, **changed)(frames))
        return pieces.joined(made)

    def _taken(self, span: Span, given: Timeline) -> Span:
        return self.needed(span, given)


@dataclass(frozen=True)
class Borders(Windowed):
    """Frames of zeros are added, or some are left out.

    Attributes:
        others: zeros of the axes that follow, or what is left out there, below zero.
        key: an index that cuts the axes that follow; None: none does.
    """

    others: tuple[Sides, ...] = ()
    key: tuple[Any, ...] | None = None

    def make(self, pieces: Pieces, call: LayerCall, tensors: Sequence[Any], span: Span, given: Timeline) -> Any:
        """Make frames that come out."""
        reach, held = self.reach(span), self.needed(span, given)
        tensor = tensors[0]
        if self.key is not None:
            tensor = tensor[self.key]
        elif self.others and self.before >= 0 and self.after >= 0:
            tensor = pieces.padded(tensor, (0, 0), self.others)
        elif any(map(any, self.others)):
            changed = {"cropping": ((0, 0), *((-a, -b) for a, b in self.others))}
            tensor = pieces.copy(call.layer, call.path, **changed)(tensor)
        start, stop = min(reach.start, held.start), max(reach.stop, held.stop)
        if (start, stop) != (held.start, held.stop):
            tensor = pieces.padded(tensor, (held.start - start, stop - held.stop))
        return pieces.cut(tensor, Span(start, stop), reach)


def same_sides(frames: int | None, size: int, stride: int, gap: int) -> Sides:
    """Return the zeros that padding ``same`` puts before and behind."""
    extent, frames = gap * (size - 1) + 1, frames or 0
    total = max(0, (-(-frames // stride) - 1) * stride + extent - frames)
    return total // 2, total - total // 2


def _along(layer: Any, axis: int) -> tuple[int, int, int]:
    """Return a convolution's size, stride and gap along an axis, which is counted from 0 for time."""
    return layer.kernel_size[axis], layer.strides[axis], layer.dilation_rate[axis]


def _runs(parts: Sequence[tuple[Span, int]], size: int) -> list[tuple[Span, int]]:
    """Join neighbours of the full size."""
    joined: list[tuple[Span, int]] = []
    for span, taken in parts:
        if joined and taken == joined[-1][1] == size:
            joined[-1] = Span(joined[-1][0].start, span.stop), size
        else:
            joined.append((span, taken))
    return joined


def convolution_rule(call: LayerCall) -> TimeRule:
    """Return how a convolution treats time."""
    layer = call.layer
    size, stride, gap = _along(layer, 0)
    sides = {
        "same": same_sides(call.inputs[0].shape[0], size, stride, gap),
        "causal": (gap * (size - 1), 0),
    }.get(layer.padding, (0, 0))
    return Convolution(size, stride, gap, *sides)


def pooling_rule(call: LayerCall) -> TimeRule:
    """Return how a pooling treats time."""
    layer = call.layer
    size, stride = layer.pool_size[0], layer.strides[0]
    sides = same_sides(call.inputs[0].shape[0], size, stride, 1) if layer.padding == "same" else (0, 0)
    return Pooling(size, stride, 1, *sides)


def padding_rule(call: LayerCall) -> TimeRule:
    """Return how a padding with zeros treats time."""
    padding = call.layer.padding
    (before, after), *others = [padding] if isinstance(padding[0], int) else padding
    return Borders(before=int(before), after=int(after), others=tuple((int(a), int(b)) for a, b in others))


def cropping_rule(call: LayerCall) -> TimeRule:
    """Return how a cropping treats time."""
    cropping = call.layer.cropping
    (before, after), *others = [cropping] if isinstance(cropping[0], int) else cropping
    return Borders(before=-int(before), after=-int(after), others=tuple((-int(a), -int(b)) for a, b in others))


def index_rule(call: LayerCall) -> TimeRule:
    """Return how an index (``x[:, -1]``) treats time."""
    frames = call.inputs[0].shape[0] or 0
    key = call.template.args[1] if len(call.template.args) > 1 else call.template.kwargs.get("key")
    key = tuple(key) if isinstance(key, tuple | list) else (key,)  # a list in a model that was saved and read
    plain = all(isinstance(part, int | slice) for part in key)
    if not plain or key[0] != slice(None):
        return WholeWindow(costly=True)
    if len(key) == 1:
        return EachFrame()
    if isinstance(key[1], int):
        return OneFrame(key[1] % frames, (key[0], 0, *key[2:]))
    start, stop, step = key[1].indices(frames)
    if step != 1 or stop <= start:
        return WholeWindow(costly=True)
    rest = (key[0], slice(None), *key[2:]) if key[2:] else None
    return Borders(before=-start, after=stop - frames, key=rest)


WINDOWED: Mapping[str, Any] = {
    **dict.fromkeys(("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D"), convolution_rule),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), convolution_rule),
    **dict.fromkeys(("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D"), pooling_rule),
    **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D"), padding_rule),
    **dict.fromkeys(("Cropping1D", "Cropping2D"), cropping_rule),
    "GetItem": index_rule,
}
"""Layer or operation -> its rule: they take several frames together, or leave some out."""
EACH_FRAME = frozenset(
    {
        *("Activation", "ReLU", "LeakyReLU", "ELU", "Identity", "ActivityRegularization"),
        *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout"),
        *("ConstantFakeQuant", "TimeDistributed", "Embedding"),
        *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Divide", "TrueDivide", "Power"),
        *("Relu", "Relu6", "Sigmoid", "Silu", "Tanh", "Gelu", "Elu", "Selu", "HardSigmoid", "HardSilu", "Softplus"),
        *("Abs", "Absolute", "Negative", "Exp", "Log", "Sqrt", "Rsqrt", "Square", "Clip", "Cast"),
    }
)
"""Layers and operations that work number by number, or frame by frame."""


def _is_along_other_axes(call: LayerCall, rank: int) -> bool:
    axis = call.layer.axis
    return 1 not in {each % rank for each in (axis if isinstance(axis, list | tuple) else [axis])}


def _is_normalized_frame_by_frame(call: LayerCall, rank: int) -> bool:
    return rank > 2 and 1 not in {axis % rank for axis in call.layer.axis or ()}


def _has_no_scale_by_frame(call: LayerCall, rank: int) -> bool:
    return all(np.ndim(values) <= rank - 2 for values in (call.layer.scale, call.layer.offset))


def _has_no_slope_by_frame(call: LayerCall, _: int) -> bool:
    return int(call.layer.alpha.shape[0]) == 1


def _keeps_frames(call: LayerCall, _: int) -> bool:
    return call.outputs[0].shape[:1] == call.inputs[0].shape[:1]


FRAMES_APART: Mapping[str, Callable[[LayerCall, int], bool]] = {
    "BatchNormalization": _is_along_other_axes,
    "Concatenate": _is_along_other_axes,
    "Dense": lambda _, rank: rank > 2,
    "LayerNormalization": _is_along_other_axes,
    "Normalization": _is_normalized_frame_by_frame,
    "PReLU": _has_no_slope_by_frame,
    "RMSNormalization": _is_along_other_axes,
    "Rescaling": _has_no_scale_by_frame,
    "Reshape": _keeps_frames,
    "Softmax": _is_along_other_axes,
}
"""Layer or operation -> whether a call works frame by frame; takes the call and the rank of its inputs."""
LAYERS_ALONE = frozenset({"Average", "Reshape"})
"""Kinds of layers beside which there is an operation of the same name that takes frames together."""
CHEAP = frozenset({"Flatten", "Reshape", "Permute", "RepeatVector"})
"""Layers that only move numbers, beside the global poolings: doing so anew for each window costs little."""


def rule_of(call: LayerCall, lines: Sequence[Timeline | None]) -> TimeRule:
    """Return how a call treats time; what is not known takes the whole window, which is right of anything.

    Args:
        call: at least one input of it has frames.
        lines: its inputs along time; None: one without frames.
    """
    kind = type(call.layer).__name__
    costly = not (kind in CHEAP or (kind.startswith("Global") and "Pooling" in kind))
    if len(set(lines)) > 1 and not _alike(lines):
        return WholeWindow(costly)
    if not _is_known(call):
        return WholeWindow(costly)
    last = getattr(call.layer, "data_format", "channels_last") in ("channels_last", None)
    if len(call.inputs) == len(call.outputs) == 1 and kind in WINDOWED and last:
        return WINDOWED[kind](call)  # type: ignore[no-any-return]  # a rule
    return EachFrame() if len(call.outputs) == 1 and _frame_by_frame(call, kind) else WholeWindow(costly)


def _is_known(call: LayerCall) -> bool:
    """Say whether a call does what the tables say of its kind: others may bear the name, or end in another function."""
    layer = call.layer
    if not type(layer).__module__.startswith(("keras.", "tfcompress.")):
        return False
    if type(layer).__name__ in LAYERS_ALONE and not isinstance(layer, keras.layers.Layer):
        return False
    activation = getattr(layer, "activation", None)
    return activation is None or _keeps_frames_apart(activation, call.outputs[0].shape)


def _keeps_frames_apart(activation: Any, shape: tuple[int | None, ...]) -> bool:
    """Say whether a function makes each frame of the same frame alone: it is tried, since anyone may have written it.

    Args:
        activation: the function, or a layer.
        shape: what it is called on, WITHOUT the batch axis; an open size counts as 8.
    """
    sizes = [8 if size is None else size for size in shape]
    values = np.random.default_rng(0).normal(size=(1, *sizes)).astype(np.float32)
    whole, newest = (keras.ops.convert_to_numpy(activation(keras.ops.array(x))) for x in (values, values[:, -1:]))
    return whole.shape == values.shape and bool(np.allclose(whole[:, -1:], newest, atol=1e-5))


def _alike(lines: Sequence[Timeline | None]) -> bool:
    return len({None if line is None else (line.frames, line.rate) for line in lines}) == 1


def merged(lines: Sequence[Timeline | None]) -> Timeline:
    """Return what several inputs are along time together: steady where all are."""
    found = [line for line in lines if line is not None]
    head, tail = max(line.head for line in found), max(line.tail for line in found)
    return dataclasses.replace(found[0], head=head, tail=tail)


def _frame_by_frame(call: LayerCall, kind: str) -> bool:
    rank = len(call.inputs[0].shape) + 1
    if any(len(tensor.shape) + 1 != rank for tensor in call.inputs) or not _scalar_arguments(call):
        return False
    return FRAMES_APART[kind](call, rank) if kind in FRAMES_APART else kind in EACH_FRAME


def _scalar_arguments(call: LayerCall) -> bool:
    """Say whether no constant of a call has a place for each frame."""
    leaves = keras.tree.flatten((call.template.args, call.template.kwargs))
    return all(len(getattr(leaf, "shape", ())) == 0 for leaf in leaves)
