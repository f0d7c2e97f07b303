"""Export: from a trained model to a TFLite file that is what was asked for. What breaks its contract never comes out.

How numbers become integers without training is in :mod:`tfcompress.tflite.routes`; which of several ways is the best,
in :mod:`tfcompress.tflite.best`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress.errors import ContractError, MissingDependencyError, UnsupportedError, UsageError
from tfcompress.files import sha256, write_atomic
from tfcompress.input_ranges import InputRange
from tfcompress.models.loading import prepared
from tfcompress.models.signature import call, padding_of
from tfcompress.models.specs import Signature, random_inputs
from tfcompress.models.tflite_source import TFLiteSource
from tfcompress.progress import Progress, effective
from tfcompress.recipe import Export
from tfcompress.targets.installed import check_installed
from tfcompress.tflite.attempt import Request
from tfcompress.tflite.best import best_int8_of
from tfcompress.tflite.calibrated import check_input_range, is_correctable
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.drawing import samples_of
from tfcompress.tflite.eight_bits import asked_for_four_bits, warned_of_size
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.from_file import made_from_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.lookup_tables import (
    SAMPLES,
    LookupFile,
    check_lookup_limits,
    planned_tables,
    with_lookup_tables,
)
from tfcompress.tflite.mixed import made_mixed
from tfcompress.tflite.op_trials import Stopwatch
from tfcompress.tflite.routes import Made, Route, made_as_asked, made_without_data
from tfcompress.tflite.runtimes import RuntimeVerdict, parse_requirement
from tfcompress.tflite.source_file import check_settings, is_tflite, load_source
from tfcompress.tflite.verify import Verification

if TYPE_CHECKING:
    from tfcompress.tflite.streaming_file import StreamingFile


@dataclass(frozen=True)
class TFLiteModel:
    """A TFLite file that kept its contract, still in memory.

    Attributes:
        content: the file.
        export: what was asked for.
        signature: inputs and outputs of the model, by name.
        verification: what was checked and found.
        route: how its numbers came about.
        notes: what was done on the way that was not asked for, and why, and what the checks did not refuse but found
            worth reporting; sentences for the report.
        compiled: the same for the target's accelerator, which no runtime here opens; empty: the target has none.
        lookup: the same with look-up tables, for TensorFlow Lite Micro; None: neither asked for nor smaller there, or
            the file that streams has them.
        streaming: the same for new frames at a time; None: not asked for.
        input_ranges: least and largest value of each input, by name, where the file is data-free; empty: elsewhere.
    """

    content: bytes = field(repr=False)
    export: Export
    signature: Signature
    verification: Verification = field(repr=False)
    route: Route = "converter"
    notes: tuple[str, ...] = ()
    compiled: bytes = field(default=b"", repr=False)
    lookup: LookupFile | None = field(default=None, repr=False)
    streaming: StreamingFile | None = field(default=None, repr=False)
    input_ranges: Mapping[str, InputRange] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        """Say in a line what it is: ``TFLiteModel(int8: 53,104 B, image → probabilities)``."""
        ends = (", ".join(spec.name for spec in specs) for specs in (self.signature.inputs, self.signature.outputs))
        scheme = "float32" if self.export.quantize == "none" else self.export.quantize
        return f"TFLiteModel({scheme}: {self.size_bytes:,} B, {' → '.join(ends)})"

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return len(self.content)

    @property
    def runtimes(self) -> tuple[RuntimeVerdict, ...]:
        """Where the file runs."""
        return self.verification.runtimes

    @functools.cached_property
    def gzip_bytes(self) -> int:
        """Size of the file compressed by gzip at its best level."""
        return len(gzip.compress(self.content, 9, mtime=0))

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, as hexadecimal text."""
        return sha256(self.content)

    def save(self, path: str | Path) -> Path:
        """Write the file, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        target = Path(path)
        write_atomic(target, self.content)
        return target


def export(
    model: Any,
    settings: Export = Export(),  # noqa: B008 - a frozen value
    *,
    data: Any = None,
    metadata: Mapping[str, Any] | None = None,
    converter: ConverterProcess | None = None,
    float_model: Any | None = None,
    float_size_bytes: int | None = None,
    progress: Progress | bool | None = None,
    seed: int = 0,
    stopwatch: Stopwatch | None = None,
    bounded: bool = True,
) -> TFLiteModel:
    """Lower a trained model to a TFLite file and check that the file is what was asked for.

    Where the converter cannot quantize the model to int8 by itself, the model is rewritten by the rules of our
    quantization-aware training and calibrated on *data*, without training; :attr:`TFLiteModel.route` and
    :attr:`TFLiteModel.notes` say so. The same is done where *settings* ask for a calibrator that the converter lacks.
    Where they leave the calibration to measurements (``auto``), several ways to int8 are tried on samples that are held
    back, and the best is kept; ``verification.trials`` of the result says how each did. Where they ask for mixed
    precision, some ops get other numbers than int8; ``verification.mixed`` says which, and what was tried. Without
    *data*, ranges of an int8 file follow from the model alone, where BatchNormalization and bounds give them.

    Args:
        model: a Keras 3 or tf_keras model (wrapped for quantization-aware training, too), what
            :func:`tfcompress.load_model` gives, or the path of a file or SavedModel; the path of a float ``.tflite``
            file, too, which litert-quantizer quantizes (see :mod:`tfcompress.tflite.from_file`).
        settings: how to lower it, and what the file must satisfy.
        data: samples to calibrate and to compare on: an array of shape ``(samples, *shape)`` for each input by name,
            or one array for a model of one input, preprocessed as in training; or whatever
            :func:`tfcompress.load_data` takes or gives, such as ``(x, y)`` or a ``tf.data.Dataset``.
        metadata: stored in the file, for whoever opens it; anything that JSON can hold. None: nothing is, but for the
            note that int8 ranges are data-free, where they are.
        converter: a converter process that was started earlier; None: one is started now.
        float_model: the model before quantization-aware training, whose float file the size is compared with; None:
            *model* itself (for one trained for int8: no comparison).
        float_size_bytes: size of that float file, where the caller has it already.
        progress: where progress goes; None: bars on a terminal and in a notebook; False: nowhere.
        seed: draws the samples.
        stopwatch: times files on the device that *settings* name, where that is not this machine:
            ``tfcompress.devices.stopwatch.stopwatch_for(settings.device)``.
        bounded: whether a file that takes more flash or arena than the target or *settings* allow is refused; without,
            ``verification`` says what it takes, for whoever holds several files against the limits.

    Raises:
        UsageError: settings that do not fit this model.
        DataError: settings that need samples, without data; or samples that do not fit.
        ConversionError: the converter refused or died.
        ContractError: the file is not what was asked for.
        MissingDependencyError: what proves files for the target is not installed.
    """
    if settings.max_drop is not None:
        msg = (
            "export.max_drop is proven on test samples with labels, which an export by itself does not score; "
            "use tfcompress.compress, or tfcompress export --max-drop"
        )
        raise UsageError(msg)
    if settings.device != Export.device and stopwatch is None:
        msg = (
            f"export.device {settings.device!r} is measured on by tfcompress.compress and tfcompress export; an export "
            "by itself needs a stopwatch (tfcompress.devices.stopwatch.stopwatch_for)"
        )
        raise UsageError(msg)
    for text in settings.runtimes:
        parse_requirement(text)  # a name that is misspelt is reported now, not after the conversion
    check_installed(settings.deployment)
    progress = effective(progress)
    model, notes = _opened(model, settings)
    for note in notes:
        progress.note(note)
    if not isinstance(model, TFLiteSource):
        check_input_range(model, settings, has_data=data is not None)
    if settings.streaming:
        from tfcompress.tflite.streaming_file import check_streamable

        check_streamable(model, hop=settings.hop)
    with contextlib.ExitStack() as stack:
        request = Request(
            settings=settings,
            data=samples_of(data, model),
            metadata=metadata,
            converter=converter or stack.enter_context(ConverterProcess()),
            float_model=float_model,
            float_size_bytes=float_size_bytes,
            progress=progress,
            seed=seed,
            stopwatch=stopwatch,
            bounded=bounded,
        )
        made = _made(model, request)
        made = _proven(made, model, request) if settings.deployment.micro else made
        lookup, found = _with_tables(made, model, request)
        notes = (*notes, *found)
        streaming = _with_streaming(made, model, request) if settings.streaming else None
    notes = (*notes, *(() if streaming is None else streaming.notes))
    return dataclasses.replace(_file(made, settings, notes), lookup=lookup, streaming=streaming)


def _with_tables(made: Made, model: Any, request: Request) -> tuple[LookupFile | None, tuple[str, ...]]:
    """Return the file with look-up tables that was asked for, or that is smaller; and what there is to say of it."""
    settings = request.settings
    if settings.streaming:
        return None, ()  # the file that streams has them
    if settings.lookup:
        return _with_lookup(made, model, request, bounded=request.bounded), ()
    return _lookup_if_smaller(made, model, request) if settings.deployment.micro else (None, ())


def _opened(model: Any, settings: Export) -> tuple[Any, tuple[str, ...]]:
    """Return the model as it is exported, and what was done for it: one sentence each."""
    if isinstance(model, TFLiteSource) or is_tflite(model):
        check_settings(settings)
        return model if isinstance(model, TFLiteSource) else load_source(Path(model)).native, ()
    return prepared(model)


def _made(model: Any, request: Request) -> Made:
    settings = request.settings
    if isinstance(model, TFLiteSource):
        return made_from_file(model, request)
    if settings.mixed:
        return made_mixed(model, request)
    if settings.quantize == "int8" and request.data is None and is_correctable(model) and not settings.needs_samples:
        return made_without_data(model, request)
    made = best_int8_of(model, request) if settings.tries else made_as_asked(model, request)
    return warned_of_size(made, model, request) if asked_for_four_bits(model, settings) else made


def _proven(made: Made, model: Any, request: Request) -> Made:
    """Run the finished file on a microcontroller's interpreter, and keep what was found.

    Raises:
        ContractError: it does not run there, or takes more than it may.
        MissingDependencyError: there is no such interpreter.
    """
    from tfcompress.tflite.micro.proof import COMPARED, op_places_of, prove, sample_count

    found = made.attempt
    places = op_places_of(found.content, model, found.verification.tensor_names)
    count = sample_count(places.flat, COMPARED, 1)
    inputs = _inputs_to_prove_on(made, model, request, count)
    with request.progress.task("running it in TensorFlow Lite Micro"):
        proven = prove(
            found.content,
            request.settings,
            inputs=inputs,
            keras_outputs=_outputs_of(model, inputs),
            real_samples=request.data is not None,
            places=places,
            bounded=request.bounded,
        )
    verification = dataclasses.replace(found.verification, micro=proven.record)
    proven_attempt = dataclasses.replace(found, verification=verification)
    return dataclasses.replace(made, attempt=proven_attempt, compiled=proven.compiled)


def _outputs_of(model: Any, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(model, TFLiteSource):
        return call(model, inputs)
    with InterpreterProcess(model.content) as interpreter:
        return interpreter.run(inputs)


def _with_lookup(made: Made, model: Any, request: Request, *, bounded: bool = True) -> LookupFile:
    """Make the file with look-up tables, proven on samples.

    Raises:
        UnsupportedError: no kernel is smaller as a table.
        ContractError: it would not compute the same, or takes more than it may.
        MissingDependencyError: what writes and runs it is not installed.
    """
    from tfcompress.tflite.micro.op_places import OpPlaces
    from tfcompress.tflite.micro.proof import check_ops

    found, settings = made.attempt, request.settings
    inputs = _inputs_to_prove_on(made, model, request, SAMPLES)
    with request.progress.task("writing look-up tables"):
        lookup = with_lookup_tables(found.content, inputs, keep_names=settings.keep_names, seed=request.seed)
    target = settings.deployment
    check_ops(OpPlaces(read_model_file(lookup.content)), target)
    if bounded:
        check_lookup_limits(
            lookup, target.most_flash_bytes(settings.max_flash), target.most_arena_bytes(settings.max_arena)
        )
    return lookup


def _lookup_if_smaller(made: Made, model: Any, request: Request) -> tuple[LookupFile | None, tuple[str, ...]]:
    """Make the file with look-up tables where a microcontroller's flash gains by it; also say why not."""
    content, target = made.attempt.content, request.settings.deployment
    if target.accelerator or not planned_tables(read_model_file(content)):
        return None, ()
    try:
        lookup = _with_lookup(made, model, request)
    except (ContractError, MissingDependencyError, UnsupportedError) as refusal:
        return None, (f"look-up tables would be smaller, and were left out: {refusal}",)
    return (lookup, ()) if len(lookup.content) < len(content) else (None, ())


def _with_streaming(made: Made, model: Any, request: Request) -> StreamingFile:
    from tfcompress.tflite.streaming_file import with_streaming

    return with_streaming(made, model, request)


def _inputs_to_prove_on(made: Made, model: Any, request: Request, count: int) -> dict[str, Any]:
    if request.data is None:
        padding = None if isinstance(model, TFLiteSource) else padding_of(model)
        return random_inputs(made.attempt.signature, count, request.seed, padding=padding, ranges=made.ranges)
    return request.data.representative(count, request.seed)


def _file(made: Made, settings: Export, notes: tuple[str, ...] = ()) -> TFLiteModel:
    found = made.attempt
    told = (*notes, *made.notes, *found.verification.notes)
    parts = found.content, settings, found.signature, found.verification
    return TFLiteModel(*parts, made.route, told, made.compiled, input_ranges=made.ranges)
