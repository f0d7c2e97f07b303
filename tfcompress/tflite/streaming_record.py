"""What was measured of a streaming file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from tfcompress.tflite.micro.record import NpuEstimate


@dataclass(frozen=True)
class StateRecord:
    """A state of a streaming file.

    Attributes:
        name: of the file's input; of the variable, where the file keeps it.
        next_name: of the output whose values are the next step's.
        shape: WITHOUT the batch axis.
        dtype: NumPy's name.
        scale: quantization scale; None: it holds real numbers.
        zero_point: the stored number that stands for 0.0; a stream begins with it everywhere.
        size_bytes: of its values.
    """

    name: str
    next_name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None
    size_bytes: int


@dataclass(frozen=True)
class StreamAgreement:
    """Last answers of windows that were fed frame by frame, compared with others.

    Attributes:
        windows: how many.
        equal: those of them whose answers are the same in every bit.
        steps: the largest difference, in quantization steps of its output; 0.0 where outputs are float.
        error: the largest difference, as a value of an output.
        agreement_db: signal-to-noise ratio, in dB; None: the answers are zero throughout, or whole numbers.
    """

    windows: int
    equal: int
    steps: float
    error: float
    agreement_db: float | None


@dataclass(frozen=True)
class MicroStream:
    """What TensorFlow Lite Micro made of the file.

    Attributes:
        version: of tflite-micro.
        reference: its answers beside those of the reference kernels.
        least_arena_bytes: of the smallest arena that the file runs in.
        state_bytes: of it, kept from step to step; 0: the caller keeps the states.
    """

    version: str
    reference: StreamAgreement
    least_arena_bytes: int
    state_bytes: int


@dataclass(frozen=True)
class StreamTest:
    """How the file did on test samples, each fed frame by frame.

    Attributes:
        runtime: that ran it.
        samples: how many.
        figure: name of the task's main figure.
        value: of it.
        low: lower end of its 95 % interval; None: it has none.
        high: upper end.
        unit: of the value.
    """

    runtime: str
    samples: int
    figure: str
    value: float | None
    low: float | None
    high: float | None
    unit: str


@dataclass(frozen=True)
class StreamingRecord:
    """What is known of a streaming file.

    Attributes:
        hop: new frames a step.
        window: frames of the whole model.
        frames_seen: frames that an answer is made of.
        first_answer: steps until the first answer that is right.
        kept: who keeps the states: ``external``, the caller; ``internal``, the file.
        states: the states.
        macs: multiply-accumulates of a step; None: not known.
        whole_macs: of the whole model.
        real_samples: whether the windows that were compared are real data.
        whole: answers beside those of the whole-window file with the same numbers.
        keras: answers beside those of the Keras model of a window.
        written: answers beside those of the file of the whole window that is written, where that one has other numbers;
            None: it has the same.
        micro: what TensorFlow Lite Micro made of it; None: the target is another.
        npu: what Vela estimates of a step; None: the target has no accelerator.
        tested: how it did on test samples; None: there are none, or it was not asked.
    """

    hop: int
    window: int
    frames_seen: int
    first_answer: int
    kept: str
    states: tuple[StateRecord, ...]
    macs: int | None
    whole_macs: int | None
    real_samples: bool
    whole: StreamAgreement
    keras: StreamAgreement
    written: StreamAgreement | None = None
    micro: MicroStream | None = None
    npu: NpuEstimate | None = None
    tested: StreamTest | None = None

    @property
    def state_bytes(self) -> int:
        """Bytes that are kept from step to step."""
        return sum(state.size_bytes for state in self.states)

    def to_dict(self) -> dict[str, Any]:
        """Return the record for a report."""
        return {**dataclasses.asdict(self), "state_bytes": self.state_bytes}
