"""A model that takes a few frames at a time: what :func:`tfcompress.to_streaming` gives."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfcompress.errors import DataError, UnsupportedError
from tfcompress.models.bridge import to_keras3
from tfcompress.models.kinds import keras_of
from tfcompress.models.loading import prepared
from tfcompress.models.profile import profile
from tfcompress.models.signature import call, signature_of
from tfcompress.models.specs import Signature
from tfcompress.quantization.baking import baked, is_fake_quant
from tfcompress.streaming.flat_graph import read_flat_graph
from tfcompress.streaming.step_building import StreamState, build_step
from tfcompress.streaming.step_planning import plan_steps


@dataclass(frozen=True, eq=False)
class StreamingModel:
    """A model of a window of time that takes the newest frames, and keeps what it needs of those before.

    Once :attr:`frames_seen` frames have been fed, each answer is that of the whole model on the last window.

    Attributes:
        model: a Keras 3 model of one step. Inputs: the new frames, shape (batch, hop, …), under the name of the whole
            model's input, and the states; outputs: the answers, under the whole model's names, and the next states. Of
            an output with frames of its own a step gives the new ones.
        signature: inputs and outputs of the whole model.
        states: what one step leaves to the next.
        hop: new frames a step.
        window: frames of the whole model.
        frames_seen: frames that an answer is made of.
        macs: multiply-accumulates of a step; None: not known.
        whole_macs: those of the whole model, which without states are done at each step.
        notes: layers that are computed on the whole window at each step; sentences.
    """

    model: Any = field(repr=False)
    signature: Signature = field(repr=False)
    states: tuple[StreamState, ...] = field(repr=False)
    hop: int
    window: int
    frames_seen: int
    macs: int | None
    whole_macs: int | None
    notes: tuple[str, ...] = ()
    _kept: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def first_answer(self) -> int:
        """Steps until the first answer that is right."""
        return math.ceil(self.frames_seen / self.hop)

    @property
    def gives_frames(self) -> bool:
        """Whether an output has frames of its own, of which a step gives the new ones."""
        made = {spec.name: spec.shape for spec in signature_of(self.model).outputs}
        return any(made[spec.name] != spec.shape for spec in self.signature.outputs)

    @property
    def state_elements(self) -> int:
        """Numbers that are kept from step to step."""
        return sum(math.prod(state.shape) for state in self.states)

    def reset(self) -> None:
        """Forget all frames: the next step is the first."""
        self._kept.clear()

    def zeros(self, batch: int = 1) -> dict[str, np.ndarray]:
        """Return states before the first frame, by name, each of shape ``(batch, *shape)``."""
        dtypes = {spec.name: spec.dtype for spec in signature_of(self.model).inputs}
        return {state.name: np.zeros((batch, *state.shape), dtypes[state.name]) for state in self.states}

    def step(self, frames: np.ndarray) -> Any:
        """Take the newest frames, and answer.

        Args:
            frames: shape (batch, hop, …), or (hop, …) of one stream; streams of a batch go side by side.

        Returns:
            The answer, as the whole model gives it: an array, or one by name of each of several outputs; without the
            batch axis where *frames* has none.

        Raises:
            DataError: frames of another shape, or another number of streams than before.
        """
        own = self.signature.inputs[0]
        values = np.asarray(frames, own.dtype)
        shape = (self.hop, *own.shape[1:])
        alone = values.shape == shape
        batched = values[np.newaxis] if alone else values
        if batched.shape[1:] != shape or not len(batched):
            msg = f"frames must have the shape {shape} or (batch, *{shape}), got {values.shape}"
            raise DataError(msg)
        kept = self._kept or self.zeros(len(batched))
        if self.states and len(next(iter(kept.values()))) != len(batched):
            msg = f"frames must be of as many streams as before, got {len(batched)}; call reset() before others"
            raise DataError(msg)
        outputs = call(self.model, {own.name: batched, **kept})
        self._kept.update({state.name: outputs.pop(state.next_name) for state in self.states})
        answers = {name: value[0] if alone else value for name, value in outputs.items()}
        return next(iter(answers.values())) if len(answers) == 1 else answers


def to_streaming(model: Any, *, hop: int | None = None) -> StreamingModel:
    """Turn a model of a window of time into one that takes a few frames at a time and keeps state.

    Time is the first axis of the input behind the batch's. Convolutions and poolings over time keep the frames that
    they see again; what zeros before the window (padding ``same`` or ``causal``) or behind it touch is computed anew at
    each step, as are layers that take the whole window: the answer is always that of the whole model on the last
    window. Padding ``valid`` is cheapest.

    Args:
        model: a functional or sequential model of either Keras with one input of a fixed number of frames, also one
            that was trained with fake quantization; or the path of its file. It is read only.
        hop: new frames a step; None: as few as the strides in time allow, whose multiple it has to be.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: its layers are not known, or its input is no window.
        UsageError: a hop that does not fit.
    """
    whole = _layers_of(model)
    signature, graph = signature_of(whole), read_flat_graph(whole)
    found = plan_steps(graph, hop)
    made = build_step(found, whole.name, [spec.name for spec in signature.outputs])
    return StreamingModel(
        model=made.model,
        signature=signature,
        states=made.states,
        hop=found.hop,
        window=found.window,
        frames_seen=found.frames_seen,
        macs=profile(made.model).macs,
        whole_macs=profile(whole).macs,
        notes=tuple(found.notes),
    )


def check_window(model: Any, *, hop: int | None = None) -> None:
    """Refuse what :func:`to_streaming` would refuse, and build nothing.

    Raises:
        TfcompressError: as :func:`to_streaming`.
    """
    plan_steps(read_flat_graph(_layers_of(model)), hop)


def _layers_of(model: Any) -> Any:
    """Return a Keras 3 model without what only trains."""
    model, _ = prepared(model)
    if keras_of(model) == "savedmodel":
        msg = "streaming needs the model's layers, and a SavedModel holds none; give a .keras"
        raise UnsupportedError(msg)
    whole = model if keras_of(model) == "keras3" else to_keras3(model)
    return baked(whole) if is_fake_quant(whole) else whole
