"""A streaming file beside that of the whole window: made of the same numbers, and proven frame by frame.

An int8 file has the ranges of the whole window's: its answers can be compared with that file's bit by bit. No range
is measured of a stream; a state has the grid of the tensor whose frames it keeps, at the input and at the output.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfcompress.errors import ContractError, UnsupportedError
from tfcompress.models.kinds import graph_of, keras_of
from tfcompress.models.signature import call, padding_of, signature_of
from tfcompress.models.specs import random_inputs
from tfcompress.streaming.streaming_model import StreamingModel, check_window, to_streaming
from tfcompress.targets.target import Target
from tfcompress.tflite.agreement import OutputAgreement, agreements
from tfcompress.tflite.attempt import Request, activation_bits, attempt, converted
from tfcompress.tflite.calibrated import prepared_by, ranged, ranged_without_data
from tfcompress.tflite.flatbuffer import FlatModel, IOTensor, read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.lookup_tables import LookupFile, check_lookup_limits, with_lookup_tables
from tfcompress.tflite.micro.kernel_comparison import LEAST_DB, MOST_STEPS
from tfcompress.tflite.micro.op_places import OpPlaces
from tfcompress.tflite.micro.proof import check_ops, op_places_of
from tfcompress.tflite.micro.record import NpuEstimate
from tfcompress.tflite.routes import Made, marked
from tfcompress.tflite.shares import Shares
from tfcompress.tflite.state_variables import keeps_states, with_state_variables
from tfcompress.tflite.stream_feeding import answers_of, newest, steps_of
from tfcompress.tflite.streaming_record import MicroStream, StateRecord, StreamAgreement, StreamingRecord
from tfcompress.tflite.verify import LEAST_EQUAL, NOTHING

SUFFIX = "-streaming.tflite"
"""What the names of such files end in."""
WINDOWS = 64
"""Windows that are fed frame by frame for the proof, at most."""
_ROWS = 64
"""Steps on which the file is compared with the Keras model of a step."""


@dataclass(frozen=True)
class StreamingFile:
    """A file that takes a hop of frames at a time.

    Attributes:
        content: the file.
        model: the model that it was made of.
        record: what was proven and measured.
        notes: sentences for the report.
        lookup: the same with look-up tables, for TensorFlow Lite Micro; None: not asked for.
        compiled: the same for the target's accelerator, which no runtime here opens; empty: the target has none.
    """

    content: bytes = field(repr=False)
    model: StreamingModel = field(repr=False)
    record: StreamingRecord
    notes: tuple[str, ...] = ()
    lookup: LookupFile | None = field(default=None, repr=False)
    compiled: bytes = field(default=b"", repr=False)

    @property
    def continuous(self) -> bool:
        """Whether the file keeps its states itself, so that its runs are steps of one stream."""
        return self.record.kept == "internal"


@dataclass(frozen=True)
class _Source:
    """What the streaming file is made of.

    Attributes:
        model: the Keras model.
        written: the file of the whole window that is written beside it.
        whole: one with the same numbers, where that one has others; None: it has the same.
    """

    model: Any
    written: bytes
    whole: bytes | None = None


def with_streaming(made: Made, model: Any, request: Request) -> StreamingFile:
    """Make the streaming file, and prove it.

    Args:
        made: the file of the whole window.
        model: the Keras model that it was made of.
        request: what is asked.

    Raises:
        UnsupportedError: a model that cannot be made one that streams.
        UsageError: a hop that does not fit it.
        ConversionError: the converter refused or died.
        ContractError: the file is not what was asked for, or answers otherwise than the file of the whole window.
        MissingDependencyError: what proves files for the target is not installed.
    """
    settings = request.settings
    with request.progress.task("making the streaming file"):
        source = _source(made, model, request)
        streaming = to_streaming(source.model, hop=settings.hop)
        windows = _windows(made, model, request)
        found = _attempted(streaming, windows, made, request)
        content = found.content
        states = tuple(_states(read_model_file(content), streaming))
        if settings.state == "internal" and states:
            content = with_state_variables(content, {state.name: state.next_name for state in states})
    with request.progress.task("feeding it frame by frame"):
        kept = "internal" if settings.state == "internal" and states else "external"
        record = _proven(content, source, streaming, windows, call(model, windows))
        record = dataclasses.replace(record, kept=kept, states=states, real_samples=request.data is not None)
        made_file = StreamingFile(content, streaming, record, streaming.notes)
        if settings.lookup:
            made_file = dataclasses.replace(made_file, lookup=_with_tables(made_file, windows, request))
        if settings.deployment.micro:
            places = op_places_of(content, model, found.verification.tensor_names)
            made_file = _for_micro(made_file, windows, request, places)
    return made_file


def _with_tables(made: StreamingFile, windows: Mapping[str, np.ndarray], request: Request) -> LookupFile:
    """Make the file with look-up tables, and feed it the same windows frame by frame.

    Raises:
        UnsupportedError: no kernel is smaller as a table.
        ContractError: it answers otherwise.
        MissingDependencyError: what writes and runs it is not installed.
    """
    from tfcompress.tflite.micro.process import MicroProcess

    lookup = with_lookup_tables(made.content, keep_names=request.settings.keep_names, seed=request.seed)
    with (
        MicroProcess(made.content, continuous=made.continuous) as plain,
        MicroProcess(lookup.content, continuous=made.continuous) as tables,
    ):
        expected, found = (answers_of(process, made.model, windows) for process in (plain, tables))
    different = [name for name, values in expected.items() if values.tobytes() != found[name].tobytes()]
    if different:
        msg = (
            f"the streaming file with look-up tables must answer as the one without, output {different[0]!r} differs "
            "frame by frame in TensorFlow Lite Micro; leave --lookup out"
        )
        raise ContractError(msg)
    steps = len(next(iter(windows.values()))) * -(-made.model.window // made.model.hop)
    return dataclasses.replace(lookup, samples=lookup.samples + steps)


def _for_micro(
    made: StreamingFile, windows: Mapping[str, np.ndarray], request: Request, places: OpPlaces
) -> StreamingFile:
    """Run the streaming file in TensorFlow Lite Micro, compile it for an accelerator, and hold it against limits.

    Raises:
        ContractError: it does not run there, answers otherwise, or takes more than it may.
        MissingDependencyError: what proves files for the target is not installed.
    """
    from tfcompress.tflite.micro.vela import compile_for

    settings, content = request.settings, made.content
    target = settings.deployment
    check_ops(places, target)
    if made.lookup is not None:
        check_ops(OpPlaces(read_model_file(made.lookup.content)), target)
    micro = _in_micro(made, windows, places)
    compiled = compile_for(content, target.accelerator, places) if target.accelerator else None
    npu = None if compiled is None else compiled.estimate
    if request.bounded and made.lookup is None:
        check_streaming_limits(len(content), micro, target, settings.max_arena, settings.max_flash, npu)
    elif request.bounded and made.lookup is not None:
        most_flash = target.most_flash_bytes(settings.max_flash)
        check_lookup_limits(made.lookup, most_flash, target.most_arena_bytes(settings.max_arena))
    record = dataclasses.replace(made.record, micro=micro, npu=npu)
    return dataclasses.replace(made, record=record, compiled=b"" if compiled is None else compiled.content)


def check_streamable(model: Any, *, hop: int | None) -> None:
    """Refuse, before any work, a model that cannot be made one that streams.

    Args:
        model: a model of either Keras, or the path of a SavedModel.
        hop: new frames a step; None: as few as can be.

    Raises:
        UnsupportedError: naming what cannot.
        UsageError: a hop that does not fit it.
    """
    if keras_of(graph_of(model)) == "keras2" and activation_bits(model):
        raise not_of_tfmot()
    check_window(model, hop=hop)


def not_of_tfmot() -> UnsupportedError:
    """Return the refusal of a model that tfmot trains for int8."""
    msg = (
        "streaming takes models that the native engine trains for int8, and tfmot's wrappers cannot be taken apart: "
        "give the model as Keras 3 (.keras), with engine 'native', or leave --qat out"
    )
    return UnsupportedError(msg)


def _source(made: Made, model: Any, request: Request) -> _Source:
    written = made.attempt.content
    if request.settings.quantize != "int8":
        return _Source(model, written)
    if activation_bits(model):
        return _Source(graph_of(model), written)
    if made.source is not None and made.source.rewritten:
        return _Source(made.source.model, written)
    if request.data is None:
        return _Source(ranged_without_data(model, request)[0].model, written)
    asked = dataclasses.replace(request, settings=made.settings or request.settings)
    rewritten = ranged(prepared_by(model, asked), asked).model
    return _Source(rewritten, written, converted(rewritten, request))


def _windows(made: Made, model: Any, request: Request) -> dict[str, np.ndarray]:
    """Return windows to feed, by the name of the input; without data they are drawn, from the ranges that are known."""
    if request.shares is not None and request.shares.compared:
        drawn = request.shares.compared
    elif request.data is None:
        padding = padding_of(model)
        drawn = random_inputs(signature_of(model), WINDOWS, request.seed, padding=padding, ranges=made.ranges)
    else:
        drawn = request.drawn(WINDOWS).compared
    return {name: values[:WINDOWS] for name, values in drawn.items()}


def _attempted(streaming: StreamingModel, windows: Mapping[str, np.ndarray], made: Made, request: Request) -> Any:
    """Convert the model of a step, and hold the file to its contract on steps of the windows."""
    told = {
        "hop": streaming.hop,
        "window": streaming.window,
        "first_answer": streaming.first_answer,
        "states": [[state.name, state.next_name] for state in streaming.states],
    }
    metadata = None if request.metadata is None else {**request.metadata, "streaming": told}
    if made.route == "data-free":
        metadata = marked(metadata, made.attempt.verification.calibration)
    rows = _rows(streaming, windows, request.seed)
    asked = dataclasses.replace(
        request,
        metadata=metadata,
        float_model=None,
        float_size_bytes=None,
        shares=Shares(rows, {}, rows),
        mixer=None,
    )
    return attempt(streaming.model, asked, streaming.model)


def _rows(streaming: StreamingModel, windows: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Return inputs of the model of a step as they come when windows are fed, some of all steps."""
    name = streaming.signature.inputs[0].name
    steps = steps_of(streaming, windows[name])
    states = streaming.zeros(steps.shape[1])
    seen: dict[str, list[np.ndarray]] = {}
    for frames in steps:
        given = {name: frames, **states}
        for key, values in given.items():
            seen.setdefault(key, []).append(values)
        outputs = call(streaming.model, given)
        states = {state.name: outputs[state.next_name] for state in streaming.states}
    joined = {key: np.concatenate(values) for key, values in seen.items()}
    total = len(joined[name])
    order = np.random.default_rng(seed).permutation(total)[: max(_ROWS, 1)]
    return {key: values[order] for key, values in joined.items()}


def _states(flat: FlatModel, streaming: StreamingModel) -> Iterator[StateRecord]:
    """Give the states as the file has them.

    Raises:
        ContractError: one that has another grid at the output than at the input.
    """
    given, left = ({tensor.name: tensor for tensor in side} for side in (flat.inputs, flat.outputs))
    for state in streaming.states:
        before, after = given[state.name], left[state.next_name]
        if _grid(before) != _grid(after):
            msg = (
                f"state {state.name!r} must have one scale, the file has {_grid(before)} where it takes it and "
                f"{_grid(after)} where it gives it; choose another --quantize"
            )
            raise ContractError(msg)
        size = int(np.prod(state.shape)) * np.dtype(before.dtype).itemsize
        yield StateRecord(state.name, state.next_name, state.shape, before.dtype, before.scale, before.zero_point, size)


def _grid(tensor: IOTensor) -> tuple[Any, ...]:
    return tensor.dtype, tensor.scale, tensor.zero_point


def _proven(
    content: bytes,
    source: _Source,
    streaming: StreamingModel,
    windows: Mapping[str, np.ndarray],
    keras_outputs: Mapping[str, np.ndarray],
) -> StreamingRecord:
    """Feed windows, and compare the last answers with those of a file of the whole window.

    Raises:
        ContractError: they differ by more than rounding from one with the same numbers.
    """
    with opened_stream(content) as process:
        answers, flat = answers_of(process, streaming, windows), process.model
    written = newest(_answers_of_whole(source.written, windows), answers)
    whole = written if source.whole is None else newest(_answers_of_whole(source.whole, windows), answers)
    found = held(flat, whole, answers, "the file of the whole window")
    return StreamingRecord(
        hop=streaming.hop,
        window=streaming.window,
        frames_seen=streaming.frames_seen,
        first_answer=streaming.first_answer,
        kept="external",
        states=(),
        macs=streaming.macs,
        whole_macs=streaming.whole_macs,
        real_samples=False,
        whole=found,
        keras=compared(flat, newest(keras_outputs, answers), answers),
        written=None if source.whole is None else compared(flat, written, answers),
    )


def _answers_of_whole(content: bytes, windows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    with InterpreterProcess(content) as process:
        return process.run(windows)


@contextmanager
def opened_stream(content: bytes, *, reference_kernels: bool = False) -> Iterator[InterpreterProcess]:
    """Open a streaming file in LiteRT; where it keeps its states, runs are steps of one stream."""
    with InterpreterProcess(content, reference_kernels=reference_kernels, continuous=keeps_states(content)) as process:
        yield process


def compared(
    model: FlatModel, references: Mapping[str, np.ndarray], answers: Mapping[str, np.ndarray]
) -> StreamAgreement:
    """Compare last answers of windows.

    Args:
        model: the streaming file.
        references: by output, shape (windows, …).
        answers: the same.
    """
    alike = [np.all((references[n] == answers[n]).reshape(len(answers[n]), -1), axis=1) for n in answers]
    found = agreements(model, references, answers)
    return StreamAgreement(
        windows=len(alike[0]),
        equal=int(np.all(alike, axis=0).sum()),
        steps=max(each.max_abs_error / each.step if each.step else 0.0 for each in found),
        error=max(each.max_abs_error for each in found),
        agreement_db=min((each.sqnr_db for each in found if each.sqnr_db is not None), default=None),
    )


def held(
    model: FlatModel, references: Mapping[str, np.ndarray], answers: Mapping[str, np.ndarray], what: str
) -> StreamAgreement:
    """Compare last answers of windows, and refuse what is more than rounding.

    Args:
        model: the streaming file.
        references: as for :func:`compared`.
        answers: the same.
        what: gave the references, for the message.

    Raises:
        ContractError: they differ by more.
    """
    found = compared(model, references, answers)
    outputs = agreements(model, references, answers)
    if any(_is_far(each, references[each.name].dtype.kind) for each in outputs):
        by = f"{found.steps:.0f} quantization steps" if found.steps else f"{found.error:.3g}"
        decibels = "" if found.agreement_db is None else f" ({found.agreement_db:.1f} dB)"
        msg = (
            f"the streaming file must answer as {what} does, {found.windows - found.equal} of {found.windows} windows "
            f"differ by up to {by}{decibels}; choose another --quantize"
        )
        raise ContractError(msg)
    return found


def _is_far(found: OutputAgreement, kind: str) -> bool:
    """Say whether an output differs by more than rounding; *kind* is that of its dtype."""
    steps = found.max_abs_error / found.step if found.step else None
    if kind != "f":
        return (found.top1 or 0.0) < LEAST_EQUAL
    if found.sqnr_db is None:  # zero throughout
        return found.max_abs_error > NOTHING if steps is None else steps > MOST_STEPS
    return found.sqnr_db < LEAST_DB and (steps is None or steps > MOST_STEPS)


def _in_micro(made: StreamingFile, windows: Mapping[str, np.ndarray], places: OpPlaces) -> MicroStream:
    """Feed windows to TensorFlow Lite Micro, and compare with the reference kernels.

    Raises:
        ContractError: it refuses the file, or answers otherwise.
        MissingDependencyError: it is not installed.
    """
    from tfcompress.tflite.micro.least_arena import least_arena_bytes
    from tfcompress.tflite.micro.process import MicroProcess

    content, streaming = made.content, made.model
    with (
        MicroProcess(content, places=places, continuous=made.continuous) as micro,
        opened_stream(content, reference_kernels=True) as reference,
    ):
        version = micro.opened()
        answers = answers_of(micro, streaming, windows)
        found = held(micro.model, answers_of(reference, streaming, windows), answers, "the reference kernels make it")
        least = least_arena_bytes(content, micro.arena.total_bytes)
    return MicroStream(version, found, least, made.record.state_bytes if made.continuous else 0)


def check_streaming_limits(
    size_bytes: int, micro: MicroStream, target: Target, max_arena: str, max_flash: str, npu: NpuEstimate | None = None
) -> None:
    """Refuse a streaming file that takes more than it may: for an accelerator, by what Vela estimates.

    Raises:
        ContractError: with the limit and what it takes.
    """
    broken = []
    most_arena, most_flash = target.most_arena_bytes(max_arena), target.most_flash_bytes(max_flash)
    if most_arena is not None and npu is not None and npu.sram_bytes > most_arena:
        broken.append(f"SRAM must be at most {most_arena:,.0f} bytes, Vela estimates {npu.sram_bytes:,}")
    if most_arena is not None and npu is None and micro.least_arena_bytes > most_arena:
        broken.append(f"the arena must be at most {most_arena:,.0f} bytes, it takes {micro.least_arena_bytes:,}")
    on_chip = size_bytes if npu is None else npu.file_bytes
    if most_flash is not None and on_chip > most_flash:
        broken.append(f"the file must be at most {most_flash:,.0f} bytes, it has {on_chip:,}")
    if broken:
        msg = f"target {target.name!r}, streaming file: {'; '.join(broken)}; take channels away, or raise the limit"
        raise ContractError(msg)
