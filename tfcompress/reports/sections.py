"""The parts of a report: frozen values, their units in their names, None for "not measured"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfcompress.tasks.score import Difference, Score


def ratio(before: float | None, after: float | None) -> float | None:
    """Return ``before / after``; None when either was not measured or *after* is 0."""
    return before / after if before is not None and after else None


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer (or TFLite op) and what it costs.

    Attributes:
        name: the layer's name.
        type: its class.
        output_shape: without the batch; None for an unknown extent.
        parameters: how many weights it holds.
        nonzero: how many of them are not zero.
        macs: multiply-accumulates of one inference; None: not counted.
        dtype: dtype of its output.
        distinct: different values in its largest weight; None: not counted, or it has no weights.
        bits: of a number of that weight; None: it has no weights.
        size_bytes: of all its weights; None: not known (reports before format 6).
    """

    name: str
    type: str
    output_shape: tuple[int | None, ...] = ()
    parameters: int = 0
    nonzero: int = 0
    macs: int | None = None
    dtype: str = ""
    distinct: int | None = None
    bits: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class FileLayer:
    """What became of a layer in the file: the ops that compute it, and what they cost.

    Attributes:
        name: the layer's name in the model that was given; a name of its own where a stage put it in; empty: these ops
            belong to no layer that is known.
        tensor: name of the tensor that comes out last.
        ops: the ops, in the order in which they run.
        places: where each of them stands among the ops of the main subgraph.
        merged: layers that the same ops compute as well: a normalization folded into a kernel, a fused activation.
        output_shape: of what comes out last, without the batch; None for an open extent.
        dtype: of what comes out last.
        parameters: numbers that the file holds for these ops.
        nonzero: how many of them are not zero.
        distinct: different values in the largest kernel; None: there is none, or they are not known.
        bits: of a number of the largest kernel, as stored; None: there is none.
        size_bytes: of all these numbers, as stored.
        macs: multiply-accumulates of one inference; None: the file does not say.
        snr_db: signal to noise of what comes out last against the Keras model that was exported, about the mean of each
            channel, in dB; None: not measured.
    """

    name: str
    tensor: str = ""
    ops: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    merged: tuple[str, ...] = ()
    output_shape: tuple[int | None, ...] = ()
    dtype: str = ""
    parameters: int = 0
    nonzero: int = 0
    distinct: int | None = None
    bits: int | None = None
    size_bytes: int = 0
    macs: int | None = None
    snr_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class SourceModel:
    """The model that was given.

    Attributes:
        name: its file name, or its class for an object in memory.
        writer: what wrote it: ``keras2``, ``keras3``, ``savedmodel``; ``tflite`` for a float file.
        sha256: of the file (of a folder: of its files' names and hashes); None for an object.
        writer_version: version of Keras or TensorFlow that wrote it.
        size_bytes: of the file.
        parameters: how many weights it holds.
        nonzero: how many of them are not zero.
        macs: multiply-accumulates of one inference, over the layers that can be counted.
        not_counted: layers whose multiply-accumulates are not in *macs*.
        layers: one entry a layer.
        trust: whether code that it holds was allowed to run.
        custom: ``module:name`` of what it was given of the user's own.
    """

    name: str
    writer: str
    sha256: str | None = None
    writer_version: str | None = None
    size_bytes: int | None = None
    parameters: int | None = None
    nonzero: int | None = None
    macs: int | None = None
    not_counted: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = field(default=(), repr=False)
    trust: bool = False
    custom: tuple[str, ...] = ()

    @property
    def kind_words(self) -> str:
        """What sentences call it."""
        return "float file" if self.writer == "tflite" else "Keras model"


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What training did.

    Attributes:
        epochs: passes over the training split.
        samples: training samples seen in an epoch.
        history: by name of the quantity, one value an epoch.
        wall_seconds: from first to last step.
        notes: what was chosen on the user's behalf, and why.
    """

    epochs: int
    samples: int | None = None
    history: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict, repr=False)
    wall_seconds: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PromiseRecord:
    """What a stage promised about a layer, and what was found in the end.

    Attributes:
        layer: its name.
        what: the quantity: ``sparsity``, ``clusters``.
        asked: what the recipe asks for.
        got: what the finished model holds.
    """

    layer: str
    what: str
    asked: str | int | float | None
    got: str | int | float | None


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Whether a runtime opens and runs the file.

    Attributes:
        runtime: ``litert``, ``tflite-runtime``, ``tensorflow``.
        version: of the runtime.
        verdict: ``runs``, ``refuses``, ``should run``, ``should refuse``.
        how: ``tried``, or ``op versions`` when it is not installed here.
        reason: why not; empty when it runs.
    """

    runtime: str
    version: str
    verdict: str
    how: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The same model exported plainly, in float32: what the result is compared with.

    Attributes:
        size_bytes: of the .tflite file.
        gzip_bytes: of the same, compressed by gzip -9.
        sha256: of the .tflite file; device measurements join by it.
        score: in the interpreter.
    """

    size_bytes: int
    gzip_bytes: int
    sha256: str | None = None
    score: Score | None = None


@dataclass(frozen=True, kw_only=True)
class ResultFile:
    """The .tflite file that was written.

    Attributes:
        name: its file name.
        sha256: of the file; device measurements join by it.
        size_bytes: of the file.
        gzip_bytes: of the same, compressed by gzip -9.
        package_bytes: of the package (``.tfz``) that was written beside it; None: none was.
        kernels_bytes: of its kernels as stored.
        kernels_entropy_bytes: the fewest that a code of single values could hold them in (the sum over the kernels).
        quantize: the scheme: ``none``, ``dynamic``, ``float16``, ``int8``, ``int16x8``.
        parameters: how many weights it holds.
        nonzero: how many of them are not zero.
        macs: multiply-accumulates of one inference.
        score: in the interpreter.
        operators: how many of each op.
        verification: what was checked before the file was written, and what came out.
        runtimes: where it runs.
        promises: what the stages promised and kept.
        layers: its ops, by the layer that they compute, in the order in which they run.
        layers_note: why a column of *layers* is empty; mostly empty itself.
    """

    name: str
    sha256: str
    size_bytes: int
    gzip_bytes: int
    quantize: str
    parameters: int | None = None
    nonzero: int | None = None
    macs: int | None = None
    package_bytes: int | None = None
    kernels_bytes: int | None = None
    kernels_entropy_bytes: int | None = None
    score: Score | None = None
    operators: Mapping[str, int] = field(default_factory=dict, repr=False)
    verification: Mapping[str, Any] = field(default_factory=dict, repr=False)
    runtimes: tuple[Runtime, ...] = field(default=(), repr=False)
    promises: tuple[PromiseRecord, ...] = field(default=(), repr=False)
    layers: tuple[FileLayer, ...] = field(default=(), repr=False)
    layers_note: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The result against the float baseline; a ratio above 1 is a gain.

    Attributes:
        size_ratio: float .tflite bytes over the result's.
        gzip_ratio: the same after gzip.
        parameter_ratio: parameters of the source over non-zero parameters of the result.
        macs_ratio: multiply-accumulates of the source over the result's.
        main: how the main figure differs, result minus float.
        outputs: how the main figure of each output does, by name, where several were scored.
        speedup: float latency over the result's, on the device measured last.
    """

    size_ratio: float | None = None
    gzip_ratio: float | None = None
    parameter_ratio: float | None = None
    macs_ratio: float | None = None
    main: Difference | None = None
    outputs: Mapping[str, Difference] = field(default_factory=dict)
    speedup: float | None = None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where the run was done.

    Attributes:
        system: kernel and its release.
        architecture: the machine's.
        cpu: the processor.
        cores: how many the process may use.
        memory_bytes: of the machine.
    """

    system: str
    architecture: str
    cpu: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
