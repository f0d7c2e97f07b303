"""One attempt at an export: lower, convert, choose the encoding, add metadata, verify, pack."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.errors import ContractError, DataError, UsageError
from tfcompress.models.fused_lstm import OP
from tfcompress.models.keras_private import all_layers
from tfcompress.models.kinds import graph_of, keras_of
from tfcompress.models.signature import call, padding_of
from tfcompress.models.specs import Signature, random_inputs
from tfcompress.progress import Progress
from tfcompress.recipe import Export
from tfcompress.tflite.contract import check_integer, float_ops
from tfcompress.tflite.convert import RETRIES, ConverterProcess, MissingKernelError
from tfcompress.tflite.exactness import IntegerModel, in_integers
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.lower import Lowered, lower
from tfcompress.tflite.mixed_record import MixedRecord
from tfcompress.tflite.op_trials import Stopwatch
from tfcompress.tflite.pack import add_metadata
from tfcompress.tflite.packings import Digest, pack
from tfcompress.tflite.recurrent_forms import check_fused, check_loops, float_file
from tfcompress.tflite.rolling import rolled_and_proven
from tfcompress.tflite.runtimes import check_runtimes, where_it_runs
from tfcompress.tflite.shares import SampleSource, Shares, shares
from tfcompress.tflite.sparse import choose_encoding
from tfcompress.tflite.verify import QAT_SAMPLES, SAMPLES, Verification, verify

_FITTING = {8: "int8", 16: "int16x8"}
_LEFT_ON = {"PruneLowMagnitude": "tfmot's strip_pruning", "ClusterWeights": "tfmot's strip_clustering"}


@dataclass(frozen=True)
class Attempt:
    """A file that kept its contract.

    Attributes:
        content: the file.
        signature: inputs and outputs of the model, by name.
        verification: what was checked and found.
        qat: its ranges are those that the model was trained with.
        fused: LSTM layers that are one op each in it; those of tf_keras have no names here, only a word for all.
    """

    content: bytes
    signature: Signature
    verification: Verification
    qat: bool
    fused: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return len(self.content)

    def noted(self, note: str) -> Attempt:
        """Return the same with one more sentence for the report."""
        found = dataclasses.replace(self.verification, notes=(*self.verification.notes, note))
        return dataclasses.replace(self, verification=found)


@dataclass(frozen=True)
class Mixed:
    """A file in which ops have other numbers than int8, by choice.

    Attributes:
        content: the file.
        islands: names of the tensors that its ops in float make, and of their kernels.
        record: what was measured and chosen.
    """

    content: bytes
    islands: frozenset[str]
    record: MixedRecord


FileMixer = Callable[[bytes], Mixed | None]
"""Makes a mixed file of a converted one; None: that one is to be refused as it is."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What an attempt is made with; see :func:`tfcompress.tflite.export.export`.

    Attributes:
        settings: how to lower the model, and what the file must satisfy.
        data: samples to calibrate and to compare on; None: there are none.
        metadata: stored in the file; None: nothing is.
        converter: the converter's process.
        float_model: the model before quantization-aware training, whose float file the size is compared with.
        float_size_bytes: size of that float file, where it is known already.
        progress: where progress goes.
        seed: draws the samples.
        shares: samples that were drawn already, some held back; None: they are now.
        mixer: gives ops of the converted file other numbers; None: they keep theirs.
        stopwatch: times files on another machine; None: they are timed here.
        bounded: whether what takes more of a microcontroller than it may is refused.
    """

    settings: Export
    data: SampleSource | None
    metadata: Mapping[str, Any] | None
    converter: ConverterProcess
    float_model: Any | None
    float_size_bytes: int | None
    progress: Progress
    seed: int
    shares: Shares | None = None
    mixer: FileMixer | None = None
    stopwatch: Stopwatch | None = None
    bounded: bool = True

    def drawn(self, compared: int = SAMPLES) -> Shares:
        """Return the samples to calibrate and to compare on.

        Args:
            compared: how many are compared on, at most, where they are drawn now.

        Raises:
            DataError: there are no data.
        """
        if self.shares is not None:
            return self.shares
        if self.data is None:
            msg = f"quantize {self.settings.quantize} needs samples to calibrate; give --data"
            raise DataError(msg)
        wanted = self.settings.sample_count if self.settings.needs_data else 0
        return shares(self.data, self.seed, calibration=wanted, compared=compared)


def attempt(model: Any, request: Request, reference: Any, *, fused: bool = False) -> Attempt:
    """Lower a model to a file, and check the file.

    Args:
        model: a Keras 3 or tf_keras model, or the path of a SavedModel.
        request: what is asked.
        reference: the model whose outputs the file must agree with.
        fused: make LSTM layers of Keras 3 one op each; see :mod:`tfcompress.tflite.recurrent_forms`.

    Raises:
        UsageError: settings that do not fit this model.
        DataError: settings that need samples, without data.
        ConversionError: the converter refused or died.
        ContractError: the file is not what was asked for.
    """
    settings, progress = request.settings, request.progress
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tfcompress-")))
        with progress.task("converting"):
            check_wrappers(model)
            check_bits(model, settings)
            lowered = lower(model, folder / "model", fused=fused)
            if lowered.batch != 1:
                progress.note(f"the model insists on batches of {lowered.batch}; so will the file")
            trained = in_integers(model)
            drawn = _draw(request, lowered, padding_of(model))
            if trained:
                drawn = dataclasses.replace(drawn, inputs=trained.on_grid(drawn.inputs))
            run = ConversionRun(settings, request.converter, lowered, drawn)
            content, keras_outputs = run.convert(reference)
            mixed = request.mixer(content) if request.mixer else None
            float_size_bytes = request.float_size_bytes
            if float_size_bytes is None:
                float_size_bytes = run.float_size(request.float_model, folder / "float")
            content, sparse = (mixed.content, "") if mixed else run.encode(content)
            content, looped = (content, "") if mixed else run.roll(content)
        with progress.task("checking"):
            if request.metadata is not None:
                content = add_metadata(content, request.metadata)
            islands = mixed.islands if mixed else frozenset()
            verification = run.verify(content, keras_outputs, float_size_bytes, None if mixed else trained, islands)
            content, verification = run.pack(content, verification)
            in_tensorflow = request.converter.try_in_tensorflow
            verdicts = where_it_runs(content, trials={"litert": _ran, "tensorflow": in_tensorflow})
            check_runtimes(verdicts, settings.runtimes)
    record = mixed.record if mixed else None
    notes = (*verification.notes, *lowered.recurrent.notes, *filter(None, (looped,)))
    verification = dataclasses.replace(verification, sparse=sparse, runtimes=verdicts, notes=notes, mixed=record)
    unnamed = ("its LSTMs",) if OP in verification.ops else ()
    return Attempt(content, lowered.signature, verification, lowered.qat, tuple(lowered.recurrent.fused) or unnamed)


def converted(model: Any, request: Request, *, fused: bool = False) -> bytes:
    """Return the file of a model, unchecked: to find out which of several models gives the best one.

    Args:
        model: a Keras 3 or tf_keras model.
        request: what is asked.
        fused: as for :func:`attempt`.

    Raises:
        DataError: settings that need samples, without data.
        ConversionError: the converter refused or died.
    """
    with tempfile.TemporaryDirectory(prefix="tfcompress-") as scratch:
        lowered = lower(model, Path(scratch) / "model", fused=fused)
        run = ConversionRun(request.settings, request.converter, lowered, _draw(request, lowered))
        return run.alone()


def _ran(_: bytes) -> str:
    """Stand for a trial in LiteRT: the verification, or the proof of a packing, has just run the file there."""
    return ""


@dataclass(frozen=True)
class ConversionRun:
    """One export under way."""

    settings: Export
    engine: ConverterProcess
    lowered: Lowered
    samples: _Drawn

    def convert(self, reference: Any) -> tuple[bytes, dict[str, np.ndarray]]:
        """Convert, and run a Keras model on the samples while the converter is at work.

        Where an op has no integer kernel the model is converted once more, with that op in float: to be reported where
        ``float_ops`` allows it, and otherwise to find out for the error message which layer it came from.
        """
        check_loops(self.lowered, self.settings)
        self._start(self.settings)
        keras_outputs = call(reference, self.samples.inputs)
        try:
            content = self.steady_content(self.engine.result())
            check_fused(content, self.lowered)
            return content, keras_outputs
        except MissingKernelError:
            if self.settings.float_ops == "refuse":
                lenient = dataclasses.replace(self.settings, io="float32")  # what stays in float may be the last op
                check_integer(read_model_file(self._wait(lenient, float_ops=True)), self.settings)
                raise
            return self._wait(self.settings, float_ops=True), keras_outputs

    def alone(self) -> bytes:
        """Convert, and do nothing else."""
        check_loops(self.lowered, self.settings)
        return self.steady_content(self._wait(self.settings))

    def steady_content(self, content: bytes) -> bytes:
        """Convert again where a SPLIT was left in float by accident.

        The converter does not always give the same file: of 40 conversions of one unrolled LSTM, whose first step has a
        gate that nothing reads, 6 left that SPLIT in float (TensorFlow 2.21).
        """
        for _ in range(RETRIES):
            if not self.settings.needs_data or all(op.op != "SPLIT" for op in float_ops(read_model_file(content))):
                break
            content = self._wait(self.settings)
        return content

    def _wait(self, settings: Export, *, sparse: bool = False, float_ops: bool = False) -> bytes:
        self._start(settings, sparse=sparse, float_ops=float_ops)
        return self.engine.result()

    def _start(self, settings: Export, *, sparse: bool = False, float_ops: bool = False) -> None:
        self.engine.start(
            self.lowered.folder,
            settings,
            self.samples.calibration,
            sparse=sparse,
            qat=self.lowered.qat,
            batch=self.lowered.batch,
            float_ops=float_ops,
        )

    def float_size(self, float_model: Any | None, folder: Path) -> int | None:
        """Convert the float model, for the comparison of sizes."""
        if self.settings.quantize == "none" or (self.lowered.qat and float_model is None):
            return None
        if float_model is not None:
            return len(float_file(float_model, folder, self.engine, select_ops=self.settings.select_ops))
        return len(self.engine.convert(self.lowered.folder, Export(select_ops=self.settings.select_ops), None))

    def encode(self, content: bytes) -> tuple[bytes, str]:
        """Use the sparse encoding where that pays."""
        if self.settings.sparse == "never":
            return content, ""
        if self.settings.deployment.micro:
            return content, "kernels are stored dense: TensorFlow Lite Micro reads no sparse encoding"
        return choose_encoding(
            content,
            lambda: self._wait(self.settings, sparse=True, float_ops=self.settings.float_ops == "allow"),
            quantize=self.settings.quantize,
            runtimes=self.settings.runtimes,
            inputs=self.samples.inputs,
            optimize_for=self.settings.optimize_for,
        )

    def roll(self, content: bytes) -> tuple[bytes, str]:
        """Put loops into the place of steps that are written out, and say so in a sentence; empty: there are none.

        An NPU computes steps and no loop.
        """
        if not self.settings.needs_data or self.settings.deployment.accelerator:
            return content, ""
        digests: dict[str, Digest] = {"tensorflow": self.engine.digest_in_tensorflow}
        if self.settings.deployment.micro:
            from tfcompress.tflite.micro.process import digest_in_micro

            digests["TensorFlow Lite Micro"] = functools.partial(digest_in_micro, self.samples.inputs)
        return rolled_and_proven(content, self.samples.inputs, digests)

    def verify(
        self,
        content: bytes,
        keras_outputs: Mapping[str, np.ndarray],
        float_size_bytes: int | None,
        trained: IntegerModel | None,
        islands: frozenset[str],
    ) -> Verification:
        """Hold the file against what was asked for."""
        return verify(
            content,
            self.settings,
            signature=self.lowered.signature,
            inputs=self.samples.inputs,
            keras_outputs=keras_outputs,
            float_size_bytes=float_size_bytes,
            real_samples=self.samples.real,
            trained=trained,
            islands=islands,
        )

    def pack(self, content: bytes, verification: Verification) -> tuple[bytes, Verification]:
        """Do the packings that are asked for, which change no number of what was verified."""
        if not self.settings.packings:
            return content, verification
        packed, records = pack(
            content,
            self.settings.packings,
            self.samples.inputs,
            keep_names=self.settings.keep_names,
            digests={"tensorflow": self.engine.digest_in_tensorflow},
        )
        names = read_model_file(content).tensor_names
        gone = () if read_model_file(packed).tensor_names == names else names
        return packed, dataclasses.replace(verification, size_bytes=len(packed), packings=records, tensor_names=gone)


@dataclass(frozen=True)
class _Drawn:
    """Samples by input name: for calibration (None: not needed), and to compare outputs on."""

    calibration: dict[str, np.ndarray] | None
    inputs: dict[str, np.ndarray]
    real: bool


def _draw(request: Request, lowered: Lowered, padding: float | None = None) -> _Drawn:
    settings, qat = request.settings, lowered.qat
    if qat and settings.quantize != "int8":
        raise _other_bits(8, settings)
    if request.data is None and request.shares is None and (qat or not settings.needs_data):
        return _Drawn(None, random_inputs(lowered.signature, 32, request.seed, padding=padding), real=False)
    drawn = request.drawn(QAT_SAMPLES if qat else SAMPLES)
    calibration = (drawn.calibration or None) if settings.needs_data else None
    return _Drawn(calibration, drawn.compared, real=request.data is not None)


def check_bits(model: Any, settings: Export) -> None:
    """Refuse to export a quantization-aware trained model with other numbers than it was trained for.

    Args:
        model: a Keras 3 or tf_keras model, or the path of a SavedModel.
        settings: how it is to be exported.

    Raises:
        UsageError: saying which numbers it was trained for.
    """
    bits = activation_bits(model)
    if bits and settings.quantize != _FITTING[bits]:
        raise _other_bits(bits, settings)


def activation_bits(model: Any) -> int:
    """Return the bits of the activations that a model was trained for; 0: it was not trained for any."""
    if keras_of(model) == "savedmodel":
        return 0
    graph = graph_of(model)
    if keras_of(graph) == "keras2":
        return 8 if any(type(layer).__name__.startswith("QuantizeWrapper") for layer in all_layers(graph)) else 0
    from tfcompress.quantization.fake_quant import FakeQuant

    return max((layer.bits for layer in all_layers(graph) if isinstance(layer, FakeQuant)), default=0)


def _other_bits(bits: int, settings: Export) -> UsageError:
    msg = (
        f"export.quantize must be {_FITTING[bits]!r} for a model trained with fake quantization of {bits} bits, "
        f"got {settings.quantize!r}; give --quantize {_FITTING[bits]}"
    )
    return UsageError(msg)


def check_wrappers(model: Any) -> None:
    """Refuse a model that was not taken out of its training.

    Args:
        model: a Keras 3 or tf_keras model, or the path of a SavedModel.

    Raises:
        ContractError: naming a layer and what takes its wrapper off.
    """
    if keras_of(model) == "savedmodel":
        return
    for layer in all_layers(graph_of(model)):
        remedy = _LEFT_ON.get(type(layer).__name__)
        if remedy:
            msg = (
                f"layer {layer.name!r} still wears its training wrapper; finish the job or call {remedy} before export"
            )
            raise ContractError(msg)
