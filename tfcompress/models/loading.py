"""Loading a model: a file first in a child, then here in the Keras that wrote it; an object in the Keras it came in.

What the other Keras is needed for goes over the bridge.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tfcompress.errors import ModelError, UnsupportedError, UntrustedCodeError, UsageError
from tfcompress.files import sha256
from tfcompress.models.bridge import to_keras2, to_keras3
from tfcompress.models.compiled import compile_config, compile_config_of, traits_of
from tfcompress.models.custom_objects import import_objects
from tfcompress.models.file_reading import import_keras, read_file
from tfcompress.models.first_load import FirstLoad, Loader, LoadLimits
from tfcompress.models.graph import is_graph
from tfcompress.models.keras_private import all_layers
from tfcompress.models.kinds import Kind, check_backend, graph_of, has_layers, keras_of
from tfcompress.models.lookups import SplitModel, behind_lookups
from tfcompress.models.own_call import WAY_OUT, refuse_own_call, told_own_call, with_own_call
from tfcompress.models.precision import in_float32
from tfcompress.models.probing import FileInfo, probe
from tfcompress.models.saved_layers import rebuild
from tfcompress.models.savedmodel import check_trusted
from tfcompress.models.signature import signature_of
from tfcompress.models.specs import Signature
from tfcompress.models.step_masks import step_masks
from tfcompress.models.tflite_source import TFLiteSource
from tfcompress.safety.configuration import NATIVE_QUANTIZERS, QUANTIZERS, TRAINING_WRAPPERS

__all__ = ["FileInfo", "LoadLimits", "Loaded", "keras_of", "load_model", "native_of", "probe"]

SAVED_MODEL = "a SavedModel holds no Keras layers; only post-training quantization is possible"
SUBCLASSED = "a subclassed model has no graph of layers; only post-training quantization is possible"
QUANTIZED = "the model holds quantization-aware training already; it can be exported as it is"


@dataclass(frozen=True)
class Loaded:
    """A model, ready for the line.

    Attributes:
        source: the file it came from, or the model object's name.
        sha256: of the file (of a folder: of its files' names and hashes); None for an object.
        writer: the Keras it belongs to, or ``savedmodel``, or ``tflite``.
        native: the object as loaded: a Keras 3 or tf_keras model, the SavedModel's path, or a float file in its place.
        refusal: why stages cannot be applied; empty if they can.
        writer_version: the version of the Keras that wrote the file, where it says so.
        vocabularies: of look-up layers that stood in front of it and were left to the device: the words of each, by
            the layer's name; see :mod:`tfcompress.models.lookups`.
        qat: whether it holds quantization-aware layers, of tfmot or of tfcompress.
        notes: what was done to it on the way in, worth reporting.
        compiled: how it was compiled, as plain values; empty where nothing says so.
    """

    source: str
    sha256: str | None
    writer: Kind
    native: Any
    refusal: str = ""
    qat: bool = False
    notes: tuple[str, ...] = ()
    writer_version: str | None = None
    vocabularies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    compiled: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def signature(self) -> Signature:
        """Inputs and outputs, with what the model says about the latter.

        Raises:
            ModelError: the model was never built, or the SavedModel has no ``serving_default``.
            UnsupportedError: an input has no known rank, or is a nested structure.
        """
        if self.tflite is not None:
            return self.tflite.signature
        found = signature_of(self.native)
        masks = step_masks(self.native, found)
        return found.with_traits(traits_of(self.native, [spec.name for spec in found.outputs], self.compiled, masks))

    @property
    def keras2(self) -> Any | None:
        """The tf_keras model, when that is what was loaded."""
        return self.native if self.writer == "keras2" else None

    @property
    def saved_model(self) -> Path | None:
        """The SavedModel's folder, when that is what was given."""
        return self.native if self.writer == "savedmodel" else None

    @property
    def tflite(self) -> TFLiteSource | None:
        """The float file, when that is what was given."""
        return self.native if self.writer == "tflite" else None

    @property
    def has_layers(self) -> bool:
        """Whether it tells its Keras layers; one loaded as a graph of operations, and a TFLite file, do not."""
        return has_layers(self.native)

    @functools.cached_property
    def keras3(self) -> Any | None:
        """The functional or sequential Keras 3 model, carried over the bridge on first use; None where it has no graph.

        Raises:
            UnsupportedError: a tf_keras model that cannot be carried over; naming the layers.
        """
        if self.refusal:
            return None
        return to_keras3(self.native) if self.writer == "keras2" else self.native

    def for_tfmot(self) -> Any:
        """Return the tf_keras model, carried over the bridge if need be.

        Raises:
            UnsupportedError: stages cannot be applied, or the model cannot be carried over; naming the layers.
        """
        if self.refusal:
            msg = f"model {self.source!r}: {self.refusal}"
            raise UnsupportedError(msg)
        return self._carried_to_keras2

    @functools.cached_property
    def _carried_to_keras2(self) -> Any:
        return to_keras2(self.native) if self.writer == "keras3" else self.native


def native_of(model: Any) -> Any:
    """Return a model object, or the path of a SavedModel, for what users may give: that, a file's path, or a Loaded.

    A model that computes in half precision is rebuilt in float32, and one that looks words up first begins behind that.

    Raises:
        ModelError: not a model that can be read.
        UntrustedCodeError: the file holds code; load it with *trust* on.
    """
    return prepared(model)[0]


def prepared(model: Any) -> tuple[Any, tuple[str, ...]]:
    """Return what :func:`native_of` does, and what was done for it: one sentence each.

    Raises:
        ModelError: not a model that can be read.
        UntrustedCodeError: the file holds code; load it with *trust* on.
        UnsupportedError: it cannot be rebuilt in float32, or looks words up in the middle.
    """
    if isinstance(model, str | Path | Loaded):
        loaded = load_model(model)
        return loaded.native, loaded.notes
    made, notes = _computing(model)
    return made.model, notes


def _computing(model: Any) -> tuple[SplitModel, tuple[str, ...]]:
    """Return a model that computes in float32, behind its look-up layers."""
    split = behind_lookups(model)
    native, in_half = in_float32(split.model)
    notes = (*split.notes, in_half) if in_half else split.notes
    return replace(split, model=native), notes


def load_model(
    model: Any,
    *,
    trust: bool = False,
    custom: Sequence[str] = (),
    limits: LoadLimits | None = None,
    loader: Loader | None = None,
) -> Loaded:
    """Load a model file or SavedModel folder, or take a model object.

    A file is loaded in a child process first; only what loaded there, within the limits, is loaded here.

    Args:
        model: the path, or a model of either Keras; what was loaded before is given back.
        trust: run code that the file holds (Lambda layers).
        custom: classes and functions of the user's that the file needs, each as ``module:NAME``.
        limits: time and memory that the first load may take; None: the default ones.
        loader: a child process that was started earlier; None: one is started now.

    Raises:
        ModelError: not a model that can be read.
        UntrustedCodeError: the file holds code, or reaches outside itself, and *trust* is off.
        UsageError: *custom* names something that is not there; Keras runs on another backend than TensorFlow.
    """
    if isinstance(model, Loaded):
        return model
    check_backend()
    objects = import_objects(custom)
    if not isinstance(model, str | Path):
        return _from_object(model)
    path = Path(model)
    if not path.exists():
        probe(path)  # says so, before a child is started
    with FirstLoad(loader, runs_code=trust or bool(custom)) as first:
        info = probe(path)
        if info.kind == "tflite":
            msg = f"model {str(path)!r} is a TFLite file already; give the Keras model it was made from"
            raise ModelError(msg)
        _check_code(path, info, trust=trust)
        first.start(path, info, trust=trust, custom=custom, limits=limits or LoadLimits())
        import_keras(info)
        answered = first.finish()
    if info.kind == "savedmodel":
        return _from_folder(path, objects, answered["no_layers"], trust=trust)
    try:
        model = read_file(path, info, objects, trust=trust)
    except MemoryError as error:
        msg = f"model {str(path)!r} cannot be loaded: there is not enough memory for it beside its first load"
        raise ModelError(msg) from error
    split, notes = _ready(model, info.wrappers)
    native = split.model
    return Loaded(
        source=str(path),
        sha256=sha256(path),
        writer=keras_of(native),
        native=native,
        refusal=_refusal(native, qat=info.qat),
        qat=info.qat,
        notes=notes,
        writer_version=info.writer_version,
        vocabularies=split.vocabularies,
        compiled=compile_config(path, info.kind),
    )


def _from_object(model: Any) -> Loaded:
    writer = keras_of(model)
    graph = graph_of(model)
    kinds = {type(layer).__name__ for layer in graph.layers}
    if graph is not model and kinds & {"PruneLowMagnitude", "ClusterWeights"}:
        msg = f"model {model.name!r} is still in training wrappers; give what job.finish() returns"
        raise UsageError(msg)
    qat = not QUANTIZERS.isdisjoint(kinds) or _has_native_quantizers(graph)
    split, notes = _ready(model, tuple(kinds & TRAINING_WRAPPERS))
    native, words = split.model, split.vocabularies
    compiled = compile_config_of(model)
    refusal = _refusal(native, qat=qat)
    return Loaded(model.name, None, writer, native, refusal, qat, notes, vocabularies=words, compiled=compiled)


def _from_folder(path: Path, objects: Mapping[str, Any], no_layers: str | None, *, trust: bool) -> Loaded:
    """Load a SavedModel: by its layers where the first load found that they compute the same, else as a graph."""
    check_trusted(path, trust=trust)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listed = "\n".join(f"{file.relative_to(path)} {sha256(file)}" for file in files)
    key = sha256(listed.encode())
    if no_layers is None:
        split, notes = _ready(rebuild(path, objects), ())
        native, words = split.model, split.vocabularies
        return Loaded(str(path), key, "keras2", native, _refusal(native, qat=False), False, notes, vocabularies=words)
    signature_of(path)
    notes = (f"the layers that the SavedModel describes are left aside: {no_layers}",) if no_layers else ()
    return Loaded(str(path), key, "savedmodel", path, SAVED_MODEL, notes=notes)


def _has_native_quantizers(model: Any) -> bool:
    ours = (type(each) for each in all_layers(model) if type(each).__module__.startswith("tfcompress."))
    return any(kind.__name__ in NATIVE_QUANTIZERS for kind in ours)


def _refusal(model: Any, *, qat: bool) -> str:
    if qat:
        return QUANTIZED
    own = with_own_call(model)
    if own is not None:
        where = "" if own is model else f"model {own.name!r} in it: "
        return f"{where}{told_own_call(own)}; {WAY_OUT}"
    return "" if is_graph(model) else SUBCLASSED


def _check_code(path: Path, info: FileInfo, *, trust: bool) -> None:
    """Refuse what the configuration alone shows to be code."""
    if trust or not info.has_code:
        return
    what = f"a {info.code[0]}, that is code" if info.code else f"{info.outside[0]}, and may reach outside itself"
    msg = f"model {str(path)!r} holds {what}; load it with --trust if you know where it comes from"
    raise UntrustedCodeError(msg)


def _ready(model: Any, wrappers: Sequence[str]) -> tuple[SplitModel, tuple[str, ...]]:
    """Return a model without training wrappers that computes in float32, and what was done for it."""
    native, notes = _without_training_wrappers(model, wrappers)
    split, more = _computing(native)
    return split, (*notes, *more)


def _without_training_wrappers(model: Any, wrappers: Sequence[str]) -> tuple[Any, tuple[str, ...]]:
    """Take off pruning and clustering wrappers: exported with them, a model is twice as big and slow.

    Raises:
        UnsupportedError: tfmot would build a model anew that computes something else than its graph says.
    """
    notes = []
    if wrappers:
        refuse_own_call(model)
    if "PruneLowMagnitude" in wrappers:
        import tensorflow_model_optimization as tfmot

        _apply_masks_(model)
        model = tfmot.sparsity.keras.strip_pruning(model)
        notes.append("the model held pruning wrappers; they were taken off, the pruned weights stay zero")
    if "ClusterWeights" in wrappers:
        import tensorflow_model_optimization as tfmot

        model = tfmot.clustering.keras.strip_clustering(model)
        notes.append("the model held clustering wrappers; they were taken off, the weights stay clustered")
    return model, tuple(notes)


def _apply_masks_(model: Any) -> None:
    """Set to zero what pruning has masked: the last training step may have moved it."""
    for layer in model.layers:
        for weight, mask, _ in getattr(layer, "pruning_vars", ()):
            weight.assign(weight * mask)
