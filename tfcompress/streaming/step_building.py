"""The Keras model of a step: new frames and states in, answers and the next step's states out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tfcompress.models.keras_private import origin
from tfcompress.models.layer_copies import layer_copy
from tfcompress.models.specs import unique_names
from tfcompress.streaming.flat_graph import StreamTensor
from tfcompress.streaming.spans import Span
from tfcompress.streaming.step_pieces import Pieces
from tfcompress.streaming.step_planning import PlannedCall, StreamPlan

SAME_RANGE = frozenset(
    {
        *("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D", "Reshape", "Identity", "Dropout"),
        *("Cropping1D", "Cropping2D", "ZeroPadding1D", "ZeroPadding2D", "SpatialDropout1D", "SpatialDropout2D"),
        "GetItem",
    }
)
"""What comes out of them is on the grid of what goes in."""


@dataclass(frozen=True)
class StreamState:
    """Frames that one step leaves to the next.

    Attributes:
        name: of the model's input.
        next_name: of the model's output.
        shape: of both, WITHOUT the batch axis.
        source: path of the layer whose frames they are; empty: the model's input.
    """

    name: str
    next_name: str
    shape: tuple[int, ...]
    source: str


@dataclass(frozen=True)
class StepModel:
    """A model of one step.

    Attributes:
        model: a Keras 3 model; its inputs are the new frames and the states, its outputs the answers and the next ones.
        states: the states, in the order of its inputs and outputs.
    """

    model: Any
    states: tuple[StreamState, ...]


@dataclass(frozen=True)
class _Frames:
    """Frames of a tensor that there are in a step: those of the window's beginning, and the others."""

    parts: tuple[tuple[Span, Any], ...]

    def get(self, span: Span, pieces: Pieces) -> Any:
        found = []
        for held, tensor in self.parts:
            wanted = Span(max(held.start, span.start), min(held.stop, span.stop))
            if wanted.size > 0:
                found.append(pieces.cut(tensor, held, wanted))
        return pieces.joined(found)


def build_step(plan: StreamPlan, name: str, answers: Sequence[str]) -> StepModel:
    """Build the model of a step.

    Args:
        plan: what it does.
        name: of the model.
        answers: names of its outputs, one an output of the whole model.
    """
    return _Builder(plan, answers).result(name)


class _Builder:
    def __init__(self, plan: StreamPlan, answers: Sequence[str]) -> None:
        self._plan, self._answers = plan, answers
        self._source = plan.graph.inputs[0]
        self._input_name = str(origin(self._source.symbol).name)
        self._pieces = Pieces([self._input_name, *answers])
        self._streams: dict[StreamTensor, _Frames] = {}
        self._others: dict[StreamTensor, Any] = {}
        self._states: list[StreamState] = []
        self._inputs: list[Any] = []
        self._nexts: list[Any] = []

    def result(self, name: str) -> StepModel:
        source = self._source.symbol
        frames = keras.Input((self._plan.hop, *source.shape[2:]), dtype=source.dtype, name=self._input_name)
        self._keep(self._source, [(self._fresh(self._source), frames)])
        for work in self._plan.work:
            self._make(work)
        outputs = [
            keras.layers.Identity(name=answer)(self._answer(tensor))
            for answer, tensor in zip(self._answers, self._plan.graph.outputs, strict=True)
        ]
        model = keras.Model([frames, *self._inputs], [*outputs, *self._nexts], name=name)
        return StepModel(model, tuple(self._states))

    def _fresh(self, tensor: StreamTensor) -> Span:
        found = self._plan.upkeep[tensor].fresh
        return found or Span(0, 0)

    def _make(self, work: PlannedCall) -> None:
        outputs = work.call.outputs
        if outputs[0] in self._plan.lines:
            self._keep(outputs[0], [(span, self._made(work, span)) for span in self._plan.upkeep[outputs[0]].computed])
        else:
            self._others.update(zip(outputs, keras.tree.flatten(self._made(work, work.whole)), strict=True))

    def _made(self, work: PlannedCall, span: Span) -> Any:
        if work.rule is None or work.given is None:
            args, kwargs = work.call.template.fill([self._others[tensor] for tensor in work.call.inputs])
            return self._pieces.copy(work.call.layer, work.call.path)(*args, **kwargs)
        wanted = work.rule.needed(span, work.given)
        tensors = [
            self._streams[tensor].get(wanted, self._pieces) if tensor in self._streams else self._others[tensor]
            for tensor in work.call.inputs
        ]
        return work.rule.make(self._pieces, work.call, tensors, span, work.given)

    def _keep(self, tensor: StreamTensor, parts: list[tuple[Span, Any]]) -> None:
        """Put kept frames before the fresh ones, and hand on what the next step keeps."""
        found = self._plan.upkeep[tensor]
        if found.kept is not None and found.next is not None and found.main is not None:
            fresh = parts.pop()[1]
            past = self._state(tensor, (found.kept.size, *fresh.shape[2:]), fresh.dtype)
            joined = self._pieces.joined([past, fresh])
            parts.append((found.main, joined))
            state = self._states[-1]
            left = self._pieces.cut(joined, found.main, found.next)
            self._nexts.append(keras.layers.Identity(name=state.next_name)(left))
        self._streams[tensor] = _Frames(tuple(parts))

    def _state(self, tensor: StreamTensor, shape: tuple[int, ...], dtype: str) -> Any:
        source = "" if tensor.maker is None else tensor.maker.path
        stem = unique_names([source or self._input_name])[0]
        name = self._pieces.name(f"{stem}_state")
        state = StreamState(name, self._pieces.name(f"{name}_next"), shape, source)
        self._states.append(state)
        self._inputs.append(keras.Input(shape, dtype=dtype, name=state.name))
        ranged = _range_of(tensor)
        if ranged is None:
            return self._inputs[-1]
        return layer_copy(ranged, self._pieces.name(f"{name}_range"))(self._inputs[-1])

    def _answer(self, tensor: StreamTensor) -> Any:
        if tensor not in self._streams:
            return self._others[tensor]
        return self._streams[tensor].get(self._plan.answered(tensor), self._pieces)


def _range_of(tensor: StreamTensor) -> Any | None:
    """Return the layer that rounds a tensor to the grid that a file has it on; None: nothing does."""
    maker = tensor.maker
    if maker is None:
        return None
    kind = type(maker.layer).__name__
    if kind == "ConstantFakeQuant":
        return maker.layer
    return _range_of(maker.inputs[0]) if kind in SAME_RANGE and maker.inputs else None
