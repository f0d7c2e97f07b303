"""Reading a model's configuration: which classes and functions it names, and what in it would run or read something.

A configuration is data until a Keras rebuilds the model from it; then every name in it becomes a class or function that
is called with arguments from the file. So everything in it is read here first, whatever form it has, by a list of what
is allowed: what is not understood is refused and never handed on. Classes are only collected; whether they are Keras's
own is for :mod:`~tfcompress.safety.allowed_classes`, which needs that Keras.

Light: the child that looks into a file imports this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tfcompress.safety.configuration_graph import MOST_NESTED
from tfcompress.safety.graph_operations import is_pure_graph_operation
from tfcompress.safety.pure_functions import (
    INSTANCE_METHODS,
    INSTANCE_PROPERTIES,
    is_pure_class_method,
    is_pure_function,
)

TRAINING_WRAPPERS = frozenset({"QuantizeWrapper", "QuantizeWrapperV2", "PruneLowMagnitude", "ClusterWeights"})
"""Classes of tfmot's layers around a layer, which is at their attribute ``layer``."""
QUANTIZERS = frozenset({"QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer"})
"""Classes of tfmot's layers that only a quantization-aware model holds."""
NATIVE_QUANTIZERS = frozenset({"FakeQuant"})
"""Classes of tfcompress's layers that only a quantization-aware model holds."""

CODE_CLASSES = frozenset(
    {
        *("Lambda", "__lambda__", "ResidualWrapper", "DropoutWrapper", "ModuleWrapper"),  # marshalled functions
        *("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"),  # models of other frameworks, or files of them
        *("GPTQConfig", "AWQConfig"),  # data sets and tokenizers, to quantize by
        *("DynamicEmbedding", "DynamicLookup"),  # write their vocabulary to files
        *("DenseFeatures", "SequenceFeatures", "LinearModel", "WideDeepModel"),  # feature columns: functions and files
    }
)
"""Classes whose configuration is code, or names a file."""

VALUES = frozenset(
    {
        "__tensor__",
        "__numpy__",
        "__bytes__",
        "__ellipsis__",
        "__slice__",
        "__keras_tensor__",
        "__tuple__",
        "TensorShape",
    }
)
"""Values in the guise of objects."""

TYPE_SPECS = frozenset({"TensorSpec", "tf.TensorSpec"})
TYPE_SPEC_MODULES = frozenset({None, "tensorflow.python.framework.tensor", "tensorflow.python.framework.tensor_spec"})

FILE_ENTRIES = frozenset(
    {"vocabulary", "idf_weights", "vocabulary_file", "filepath", "file_path", "filename", "file", "path", "url", "uri"}
)
"""Entries of a layer that name a file where they hold text."""

WORDS = "words"
"""What stands for the entry of words that are listed where a file could be named."""

IDENTIFIER_ENDINGS = ("activation", "initializer", "regularizer", "constraint")
"""Ends of the entries whose text is the name of a function or class."""

DESCRIBED_ENTRIES = frozenset(
    {"layer", "backward_layer", "cell", "quantize_config", "quantizer", "pruning_schedule", "operation"}
)
"""Entries of a layer that describe an object; a name alone would be looked up among all that a module holds."""

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class Name(NamedTuple):
    """A class or function that a configuration names.

    Attributes:
        kind: ``class``, ``function`` or ``identifier`` (a name alone, as in ``activation="relu"``).
        name: as written, perhaps with a package before ``>``.
        module: where the file says it is from, if it does.
        registered: under which name it was registered with its Keras, where the file says so.
        layer: name of the layer it stands in.
    """

    kind: str
    name: str
    module: str | None
    registered: str | None
    layer: str


@dataclass
class Findings:
    """What a configuration holds.

    Attributes:
        names: the classes and functions it names, each once.
        code: what would run, e.g. ``Lambda layer 'scale'``.
        outside: what would be read that is not part of the model, or what is not understood.
        wrappers: tfmot's classes around layers, and tfcompress's of quantization-aware training.
        ours: whether it names classes or functions of tfcompress's.
    """

    names: list[Name] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    wrappers: list[str] = field(default_factory=list)
    ours: bool = False


class _Place(NamedTuple):
    """Where in a configuration a value stands."""

    value: Any
    layer: str
    entry: str
    depth: int


def find_names(config: Any) -> Findings:
    """Search a model's configuration, nested ones included.

    Args:
        config: what ``model_config`` or ``config.json`` holds. How the model was compiled is left out: it is loaded
            without.
    """
    if isinstance(config, dict):
        config = {key: value for key, value in config.items() if key != "compile_config"}
    findings = Findings()
    seen: set[tuple[Any, ...]] = set()
    for place in _places(config, findings):
        if isinstance(place.value, dict) and "class_name" in place.value:
            for name in _described(place, findings):
                _collect(name, findings, seen)
        elif isinstance(place.value, str):
            _text(place, findings, seen)
    return findings


def _collect(name: Name, findings: Findings, seen: set[tuple[Any, ...]]) -> None:
    if name[:4] in seen:
        return
    seen.add(name[:4])
    findings.names.append(name)
    if any(str(text).startswith("tfcompress>") for text in (name.name, name.registered)):
        findings.ours = True


def _places(config: Any, findings: Findings) -> Iterator[_Place]:
    """Give every value of a configuration, also of those that stand as JSON in a text."""
    stack = [_Place(config, "", "", 0)]
    while stack:
        place = stack.pop()
        value, depth = place.value, place.depth + 1
        if depth > MOST_NESTED:
            _refuse(findings, f"descriptions nested more than {MOST_NESTED} deep", place.layer)
            return
        yield place
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") and "class_name" in value:
            try:
                stack.append(_Place(json.loads(value), place.layer, place.entry, depth))
            except (ValueError, RecursionError):
                _refuse(findings, "a text that looks like a description", place.layer)
        if isinstance(value, dict):
            layer = _layer_name(value) or place.layer
            stack.extend(_Place(item, layer, str(key), depth) for key, item in value.items())
        elif isinstance(value, list):
            entry = WORDS if place.entry in FILE_ENTRIES else place.entry
            stack.extend(_Place(item, place.layer, entry, depth) for item in value)


def _layer_name(described: Mapping[str, Any]) -> str:
    inner = described.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else ""


def _refuse(findings: Findings, what: str, layer: str) -> None:
    where = f" in layer {layer!r}" if layer else ""
    text = f"{what}{where}"
    if text not in findings.outside:
        findings.outside.append(text)


def _described(place: _Place, findings: Findings) -> Iterator[Name]:
    """Give the names in one description of an object, and note what in it would run."""
    described, kind = place.value, place.value["class_name"]
    layer = _layer_name(described) or str(described.get("name") or place.layer or kind)
    module, registered = described.get("module"), described.get("registered_name")
    texts = (kind, *(text for text in (module, registered) if text is not None))
    if not all(isinstance(text, str) and text for text in texts):
        _refuse(findings, "a description that is not understood", layer)
        return
    inner = described.get("config")
    if isinstance(inner, dict) and not isinstance(inner.get("name", ""), str | None):
        _refuse(findings, "a name that is no text", layer)
    short = kind.rpartition(">")[2]
    names = {short, str(registered or short).rpartition(">")[2]}
    if place.entry in FILE_ENTRIES:
        _refuse(findings, f"something other than a list of words as {place.entry!r}", layer)
    if not names.isdisjoint(CODE_CLASSES):
        found = min(names & CODE_CLASSES)
        findings.code.append(f"{'Lambda' if found == '__lambda__' else found} layer {layer!r}")
    elif kind in VALUES:
        return
    elif kind == "CompositeTensor":
        _refuse(findings, "a composite tensor", layer)
    elif kind in ("__typespec__", "TypeSpec"):
        _type_spec(described, layer, findings)
    elif kind == "function":
        yield from _function(described, layer, findings)
    else:
        for each in names:  # Keras prefers the one that is registered
            _calls(each, described.get("config"), layer, findings)
        _own(described, short, findings)
        yield Name("class", kind, module, registered, layer)


def _type_spec(described: Mapping[str, Any], layer: str, findings: Findings) -> None:
    name = described.get("spec_name") or described.get("type_spec")
    if name not in TYPE_SPECS or described.get("module") not in TYPE_SPEC_MODULES:
        _refuse(findings, f"a type {name!r}", layer)


def _function(described: Mapping[str, Any], layer: str, findings: Findings) -> Iterator[Name]:
    name, registered = described.get("config"), described.get("registered_name")
    if not isinstance(name, str):
        _refuse(findings, "a function without a name", layer)
        return
    yield Name("function", name, described.get("module"), None if registered == "function" else registered, layer)


def _own(described: Mapping[str, Any], short: str, findings: Findings) -> None:
    """Note wrappers of training, and that there are classes of tfcompress's."""
    ours = described.get("registered_name") == f"tfcompress>{short}" and short in NATIVE_QUANTIZERS
    if short in TRAINING_WRAPPERS | QUANTIZERS or ours:
        findings.wrappers.append(short)


def _calls(kind: str, config: Any, layer: str, findings: Findings) -> None:
    """Refuse a layer around a function, method or operation that is not known as pure arithmetic."""
    config = config if isinstance(config, dict) else {}
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        _call(config.get("function"), is_pure_function, layer, findings)
    elif kind == "TensorFlowOperation":
        _call(config.get("symbol"), is_pure_function, layer, findings)
    elif kind == "ClassMethod":
        symbol, method = str(config.get("cls_symbol")), str(config.get("method_name"))
        _call(f"{symbol}.{method}", lambda _: is_pure_class_method(symbol, method), layer, findings)
    elif kind == "InstanceMethod":
        _call(config.get("attr_name"), lambda name: name in INSTANCE_METHODS, layer, findings)
    elif kind == "InstanceProperty":
        _call(config.get("attr_name"), lambda name: name in INSTANCE_PROPERTIES, layer, findings)
    elif kind == "TensorFlowOpLayer":
        node = config.get("node_def")
        name = node.get("op") if isinstance(node, dict) else None  # as text it was the bytes of a protocol buffer
        _call(name, is_pure_graph_operation, layer, findings)


def _call(name: Any, is_pure: Any, layer: str, findings: Findings) -> None:
    if not (isinstance(name, str) and is_pure(name)):
        given = f"tf.{name}" if isinstance(name, str) else "a function that is not understood"
        findings.code.append(f"call of {given} in layer {layer!r}")


def _text(place: _Place, findings: Findings, seen: set[tuple[Any, ...]]) -> None:
    """Look at a text that stands for a function, or for a file."""
    text = place.value
    if place.entry.endswith(IDENTIFIER_ENDINGS):
        _collect(Name("identifier", text, None, None, place.layer), findings, seen)
    elif place.entry in DESCRIBED_ENTRIES:
        _refuse(findings, f"the name {text[:60]!r} where a description belongs, as {place.entry!r}", place.layer)
    elif _is_file(place):
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        _refuse(findings, f"the name of a file, {shown!r}, as {place.entry!r}", place.layer)


def _is_file(place: _Place) -> bool:
    return place.entry in FILE_ENTRIES or (place.entry != WORDS and bool(_URL.match(place.value)))
