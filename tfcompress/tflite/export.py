"""Export: lower, convert, choose the encoding, add metadata, verify. What breaks its contract never comes out."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gzip
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfcompress.errors import ContractError, DataError, UsageError
from tfcompress.files import sha256, write_atomic
from tfcompress.models.kinds import graph_of, keras_of
from tfcompress.models.signature import call
from tfcompress.models.specs import Signature, random_inputs
from tfcompress.progress import SILENT, Progress
from tfcompress.recipe import Export
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.lower import to_saved_model
from tfcompress.tflite.pack import add_metadata
from tfcompress.tflite.runtimes import RuntimeVerdict, check, where_it_runs
from tfcompress.tflite.sparse import choose
from tfcompress.tflite.verify import SAMPLES, Verification, verify

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
    progress: Progress = SILENT,
    seed: int = 0,
) -> TFLiteModel:
    """Lower a trained model to a TFLite file and check that the file is what was asked for.

    Args:
        model: a Keras 3 or tf_keras model (wrapped for quantization-aware training, too), or the path of a SavedModel.
        settings: how to lower it, and what the file must satisfy.
        data: samples to calibrate and to compare on: bound data, an array of shape (samples, *shape) for each input by
            name, or one array for a model of one input; preprocessed as in training.
        metadata: stored in the file, for whoever opens it; anything that JSON can hold.
        converter: a converter process that was started earlier; None: one is started now.
        float_model: the model before quantization-aware training, whose float file the size is compared with; None:
            *model* itself (for one trained for int8: no comparison).
        float_size_bytes: size of that float file, where the caller has it already.
        progress: where progress goes.
        seed: draws the samples.

    Raises:
        UsageError: settings that this model cannot be meant to be exported with.
        DataError: settings that need samples, without data; or samples that do not fit.
        ConversionError: the converter refused or died.
        ContractError: the file is not what was asked for.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tfcompress-")))
        engine = converter or stack.enter_context(ConverterProcess())
        run = _Run(settings, engine, folder)
        _check_wrappers(model)
        with progress.task("converting"):
            signature = to_saved_model(model, folder / "model")
            qat = _holds_fake_quant(folder / "model")
            samples = _draw(data, signature, settings, seed, qat=qat)
            engine.start(folder / "model", settings, samples.calibration, qat=qat)
            keras_outputs = call(model, samples.inputs)  # while the converter is at work
            content = engine.result()
            float_size = float_size_bytes or run.float_size(float_model, qat=qat)
            content, sparse = run.encode(content, samples, qat=qat)
        with progress.task("checking"):
            if metadata is not None:
                content = add_metadata(content, metadata)
            verification = verify(
                content,
                settings,
                signature=signature,
                inputs=samples.inputs,
                keras_outputs=keras_outputs,
                float_size_bytes=float_size,
                real_samples=samples.real,
            )
            verdicts = where_it_runs(content, trials={"litert": _ran, "tensorflow": engine.try_in_tensorflow})
            check(verdicts, settings.runtimes)
    verification = dataclasses.replace(verification, sparse=sparse, runtimes=verdicts)
    return TFLiteModel(content, settings, signature, verification)


def _ran(_: bytes) -> str:
    """Stand for a trial in LiteRT: the verification has just run the file there."""
    return ""


@dataclass(frozen=True)
class _Run:
    settings: Export
    engine: ConverterProcess
    folder: Path

    def float_size(self, float_model: Any | None, *, qat: bool) -> int | None:
        """Convert the float model, for the comparison of sizes."""
        if self.settings.quantize == "none" or (qat and float_model is None):
            return None
        source = self.folder / "model"
        if float_model is not None:
            source = self.folder / "float"
            to_saved_model(float_model, source)
        return len(self.engine.convert(source, Export(select_ops=self.settings.select_ops), None))

    def encode(self, content: bytes, samples: _Drawn, *, qat: bool) -> tuple[bytes, str]:
        """Use the sparse encoding where that pays."""
        if self.settings.sparse == "never":
            return content, ""
        return choose(
            content,
            lambda: self.engine.convert(
                self.folder / "model", self.settings, samples.calibration, sparse=True, qat=qat
            ),
            quantize=self.settings.quantize,
            runtimes=self.settings.runtimes,
            inputs=samples.inputs,
        )


@dataclass(frozen=True)
class _Drawn:
    """Samples by input name: for calibration (None: not needed), and to compare outputs on."""

    calibration: dict[str, np.ndarray] | None
    inputs: dict[str, np.ndarray]
    real: bool


def _draw(
    data: Samples | Mapping[str, np.ndarray] | np.ndarray | None,
    signature: Signature,
    settings: Export,
    seed: int,
    *,
    qat: bool,
) -> _Drawn:
    if qat and settings.quantize != "int8":
        msg = f"export.quantize must be 'int8' for a model trained with fake quantization, got {settings.quantize!r}"
        raise UsageError(msg)
    if data is None:
        if settings.needs_data and not qat:
            msg = f"quantize {settings.quantize} needs samples to calibrate; give --data"
            raise DataError(msg)
        return _Drawn(None, random_inputs(signature, 32, seed), real=False)
    wanted = settings.samples if settings.needs_data else 0
    drawn = _by_name(data, signature, wanted + SAMPLES, seed)
    calibration = {name: values[:wanted] for name, values in drawn.items()} if wanted else None
    return _Drawn(calibration, {name: values[-SAMPLES:] for name, values in drawn.items()}, real=True)


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


def _holds_fake_quant(folder: Path) -> bool:
    return b"FakeQuantWithMinMax" in (folder / "saved_model.pb").read_bytes()


def _check_wrappers(model: Any) -> None:
    if keras_of(model) == "savedmodel":
        return
    for layer in _layers(graph_of(model)):
        remedy = _LEFT_ON.get(type(layer).__name__)
        if remedy:
            msg = (
                f"layer {layer.name!r} still wears its training wrapper; finish the job or call {remedy} before export"
            )
            raise ContractError(msg)


def _layers(model: Any) -> Iterator[Any]:
    yield from model._flatten_layers(include_self=False)
