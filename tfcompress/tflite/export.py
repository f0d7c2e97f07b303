"""Export: lower, convert, choose the encoding, add metadata, verify. What breaks its contract never comes out."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gzip
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfcompress.errors import ContractError, DataError, UsageError
from tfcompress.files import sha256, write_atomic
from tfcompress.models.keras_private import all_layers
from tfcompress.models.kinds import graph_of, keras_of
from tfcompress.models.loading import native_of
from tfcompress.models.signature import call
from tfcompress.models.specs import Signature, random_inputs
from tfcompress.progress import Progress, effective
from tfcompress.recipe import Export
from tfcompress.tflite.contract import check_integer, float_ops
from tfcompress.tflite.convert import RETRIES, ConverterProcess, MissingKernelError
from tfcompress.tflite.exactness import Trained, in_integers
from tfcompress.tflite.flatbuffer import read
from tfcompress.tflite.lower import Lowered, lower
from tfcompress.tflite.pack import add_metadata
from tfcompress.tflite.runtimes import RuntimeVerdict, check, parse, where_it_runs
from tfcompress.tflite.sparse import choose
from tfcompress.tflite.verify import QAT_SAMPLES, SAMPLES, Verification, verify

_LEFT_ON = {"PruneLowMagnitude": "tfmot's strip_pruning", "ClusterWeights": "tfmot's strip_clustering"}


class Samples(Protocol):
    """Data that can be drawn from, such as :class:`tfcompress.data.BoundData`."""

    def representative(self, count: int, seed: int) -> dict[str, np.ndarray]:
        """Draw up to *count* samples by *seed*: for each input by name an array of shape (samples, *shape)."""


@dataclass(frozen=True)
class TFLiteModel:
    """A TFLite file that kept its contract, still in memory.

    Attributes:
        content: the file.
        export: what was asked for.
        signature: inputs and outputs of the model, by name.
        verification: what was checked and found.
    """

    content: bytes = field(repr=False)
    export: Export
    signature: Signature
    verification: Verification = field(repr=False)

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
    data: Samples | Mapping[str, np.ndarray] | np.ndarray | None = None,
    metadata: Mapping[str, Any] | None = None,
    converter: ConverterProcess | None = None,
    float_model: Any | None = None,
    float_size_bytes: int | None = None,
    reference: Any | None = None,
    progress: Progress | bool | None = None,
    seed: int = 0,
) -> TFLiteModel:
    """Lower a trained model to a TFLite file and check that the file is what was asked for.

    Args:
        model: a Keras 3 or tf_keras model (wrapped for quantization-aware training, too), what
            :func:`tfcompress.load_model` gives, or the path of a file or SavedModel.
        settings: how to lower it, and what the file must satisfy.
        data: samples to calibrate and to compare on: bound data, an array of shape (samples, *shape) for each input by
            name, or one array for a model of one input; preprocessed as in training.
        metadata: stored in the file, for whoever opens it; anything that JSON can hold.
        converter: a converter process that was started earlier; None: one is started now.
        float_model: the model before quantization-aware training, whose float file the size is compared with; None:
            *model* itself (for one trained for int8: no comparison).
        float_size_bytes: size of that float file, where the caller has it already.
        reference: the model whose outputs the file must agree with; None: *model* itself.
        progress: where progress goes; None: bars on a terminal and in a notebook; False: nowhere.
        seed: draws the samples.

    Raises:
        UsageError: settings that this model cannot be meant to be exported with.
        DataError: settings that need samples, without data; or samples that do not fit.
        ConversionError: the converter refused or died.
        ContractError: the file is not what was asked for.
    """
    for text in settings.runtimes:
        parse(text)  # a name that is misspelt is told now, not after the conversion
    model, progress = native_of(model), effective(progress)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tfcompress-")))
        engine = converter or stack.enter_context(ConverterProcess())
        with progress.task("converting"):
            _check_wrappers(model)
            lowered = lower(model, folder / "model")
            if lowered.batch != 1:
                progress.note(f"the model insists on batches of {lowered.batch}; so will the file")
            trained = in_integers(model)
            drawn = _draw(data, lowered, settings, seed)
            if trained:
                drawn = dataclasses.replace(drawn, inputs=trained.on_grid(drawn.inputs))
            run = _Run(settings, engine, lowered, drawn)
            content, keras_outputs = run.convert(model if reference is None else reference)
            if float_size_bytes is None:
                float_size_bytes = run.float_size(float_model, folder / "float")
            content, sparse = run.encode(content)
        with progress.task("checking"):
            if metadata is not None:
                content = add_metadata(content, metadata)
            verification = run.verify(content, keras_outputs, float_size_bytes, trained)
            verdicts = where_it_runs(content, trials={"litert": _ran, "tensorflow": engine.try_in_tensorflow})
            check(verdicts, settings.runtimes)
    verification = dataclasses.replace(verification, sparse=sparse, runtimes=verdicts)
    return TFLiteModel(content, settings, lowered.signature, verification)


def _ran(_: bytes) -> str:
    """Stand for a trial in LiteRT: the verification has just run the file there."""
    return ""


@dataclass(frozen=True)
class _Run:
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
        self._start(self.settings)
        keras_outputs = call(reference, self.samples.inputs)
        try:
            return self._steady(self.engine.result()), keras_outputs
        except MissingKernelError:
            if self.settings.float_ops == "refuse":
                lenient = dataclasses.replace(self.settings, io="float32")  # what stays in float may be the last op
                check_integer(read(self._wait(lenient, float_ops=True)), self.settings)
                raise
            return self._wait(self.settings, float_ops=True), keras_outputs

    def _steady(self, content: bytes) -> bytes:
        """Convert again where a SPLIT was left in float by accident.

        The converter does not always give the same file: of 40 conversions of one unrolled LSTM, whose first step has a
        gate that nothing reads, 6 left that SPLIT in float (TensorFlow 2.21).
        """
        for _ in range(RETRIES):
            if not self.settings.needs_data or all(op.op != "SPLIT" for op in float_ops(read(content))):
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
        source = self.lowered if float_model is None else lower(float_model, folder)
        return len(self.engine.convert(source.folder, Export(select_ops=self.settings.select_ops), None))

    def encode(self, content: bytes) -> tuple[bytes, str]:
        """Use the sparse encoding where that pays."""
        if self.settings.sparse == "never":
            return content, ""
        return choose(
            content,
            lambda: self._wait(self.settings, sparse=True, float_ops=self.settings.float_ops == "allow"),
            quantize=self.settings.quantize,
            runtimes=self.settings.runtimes,
            inputs=self.samples.inputs,
            optimize_for=self.settings.optimize_for,
        )

    def verify(
        self,
        content: bytes,
        keras_outputs: Mapping[str, np.ndarray],
        float_size_bytes: int | None,
        trained: Trained | None,
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
        )


@dataclass(frozen=True)
class _Drawn:
    """Samples by input name: for calibration (None: not needed), and to compare outputs on."""

    calibration: dict[str, np.ndarray] | None
    inputs: dict[str, np.ndarray]
    real: bool


def _draw(
    data: Samples | Mapping[str, np.ndarray] | np.ndarray | None, lowered: Lowered, settings: Export, seed: int
) -> _Drawn:
    signature, qat = lowered.signature, lowered.qat
    if qat and settings.quantize != "int8":
        msg = f"export.quantize must be 'int8' for a model trained with fake quantization, got {settings.quantize!r}"
        raise UsageError(msg)
    if data is None:
        if settings.needs_data and not qat:
            msg = f"quantize {settings.quantize} needs samples to calibrate; give --data"
            raise DataError(msg)
        return _Drawn(None, random_inputs(signature, 32, seed), real=False)
    wanted = settings.samples if settings.needs_data else 0
    compared = QAT_SAMPLES if qat else SAMPLES
    drawn = _by_name(data, signature, wanted + compared, seed)
    calibration = {name: values[:wanted] for name, values in drawn.items()} if wanted else None
    return _Drawn(calibration, {name: values[-compared:] for name, values in drawn.items()}, real=True)


def _by_name(
    data: Samples | Mapping[str, np.ndarray] | np.ndarray, signature: Signature, count: int, seed: int
) -> dict[str, np.ndarray]:
    names = [spec.name for spec in signature.inputs]
    if not isinstance(data, Mapping | np.ndarray):
        return data.representative(count, seed)
    arrays = data if isinstance(data, Mapping) else {names[0]: data}
    if sorted(arrays) != sorted(names):
        msg = f"data must hold an array for each input ({', '.join(names)}), got {', '.join(arrays)}"
        raise DataError(msg)
    sizes = {name: len(values) for name, values in arrays.items()}
    total = min(sizes.values())
    if total == 0 or total != max(sizes.values()):
        msg = f"data must hold the same number of samples for every input, at least one, got {sizes}"
        raise DataError(msg)
    chosen = np.random.default_rng(seed).permutation(total)[:count]
    return {s.name: np.asarray(arrays[s.name])[chosen].astype(s.dtype) for s in signature.inputs}


def _check_wrappers(model: Any) -> None:
    if keras_of(model) == "savedmodel":
        return
    for layer in all_layers(graph_of(model)):
        remedy = _LEFT_ON.get(type(layer).__name__)
        if remedy:
            msg = (
                f"layer {layer.name!r} still wears its training wrapper; finish the job or call {remedy} before export"
            )
            raise ContractError(msg)
