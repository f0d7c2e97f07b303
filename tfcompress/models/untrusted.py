"""What a model's configuration would run: found by reading, without building anything.

Light: the child that looks into a file imports this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

TRAINING_WRAPPERS = frozenset({"QuantizeWrapper", "QuantizeWrapperV2", "PruneLowMagnitude", "ClusterWeights"})
"""Classes of tfmot's layers around a layer, which is at their attribute ``layer``."""
QUANTIZERS = frozenset({"QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer"})
"""Classes of tfmot's layers that only a quantization-aware model holds."""
NATIVE_QUANTIZERS = frozenset({"FakeQuant"})
"""Classes of tfcompress's layers that only a quantization-aware model holds."""

CODE_CLASSES = frozenset({"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"})
"""Classes whose configuration is code, or names a file that is."""

UNSAFE_FUNCTIONS = (
    "data.",
    "debugging.",
    "io.",
    "load_",
    "numpy_function",
    "print",
    "profiler.",
    "py_function",
    "queue.",
    "raw_ops.",
    "saved_model.",
    "summary.",
    "train.",
)
"""Beginnings of names of TensorFlow functions (without ``tf.``) that reach outside the model."""

PACKAGES = frozenset({"keras", "tf_keras", "builtins", "tensorflow_model_optimization", "tfcompress"})
"""Packages whose classes a file may name without the user's word."""


def is_unsafe_function(symbol: str) -> bool:
    """Say whether a TensorFlow function reaches outside the model (files, Python code), or is no public one."""
    name = symbol.removeprefix("compat.").removeprefix("v1.").removeprefix("v2.")
    private = any(part.startswith("_") for part in name.removeprefix("__operators__.").split("."))
    return private or name.startswith(UNSAFE_FUNCTIONS)


@dataclass
class Findings:
    """What a configuration holds.

    Attributes:
        code: what would run, e.g. ``Lambda layer 'scale'``.
        foreign: classes and functions of packages other than Keras, as ``package.module:Name``.
        wrappers: tfmot's classes around layers, and tfcompress's of quantization-aware training.
        modules: tfcompress's own modules that hold its classes.
    """

    code: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    wrappers: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """Give every description of an object, wherever it is nested."""
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if isinstance(node.get("class_name"), str):
                yield node
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def find(config: Any) -> Findings:
    """Search a model's configuration, nested ones included.

    Args:
        config: what ``model_config`` or ``config.json`` holds.
    """
    findings = Findings()
    for described in _objects(config):
        class_name = described["class_name"]
        inner = described.get("config")
        inner = inner if isinstance(inner, dict) else {}
        name = inner.get("name") or described.get("name") or class_name
        function = inner.get("function") or inner.get("symbol")
        if class_name in CODE_CLASSES:
            findings.code.append(f"{class_name.strip('_').capitalize()} layer {name!r}")
        elif isinstance(function, str) and is_unsafe_function(function):
            findings.code.append(f"call of tf.{function} in layer {name!r}")
        module = described.get("module")
        if isinstance(module, str) and module.partition(".")[0] not in PACKAGES:
            findings.foreign.append(f"{module}:{described.get('registered_name') or class_name}")
        if isinstance(module, str) and module.startswith("tfcompress.") and module not in findings.modules:
            findings.modules.append(module)
        ours = described.get("registered_name") == f"tfcompress>{class_name}" and class_name in NATIVE_QUANTIZERS
        if class_name in TRAINING_WRAPPERS | QUANTIZERS or ours:
            findings.wrappers.append(class_name)
    return findings
