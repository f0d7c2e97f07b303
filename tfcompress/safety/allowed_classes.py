"""The classes and functions that a model file may name: Keras's own, tfmot's, ours, and those the user gave.

A name is looked up in tables made of the installed Keras's own namespaces, once, and counts as Keras's only if what is
found there was defined in that Keras. Nothing is looked up by walking the attributes of a text from a file.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from tfcompress.safety.configuration import CODE_CLASSES, Name
from tfcompress.safety.pure_keras import is_pure_operation, is_pure_operation_class

Writer = Literal["keras2", "keras3"]

OUR_MODULES = {
    "keras2": ("tfcompress.models.keras2_layers",),
    "keras3": (
        "tfcompress.quantization.fake_quant",
        "tfcompress.quantization.weight_fake_quant",
        "tfcompress.quantization.batch_norm",
        "tfcompress.quantization.four_bits",
        "tfcompress.models.transformed_layer",
        "tfcompress.models.keras3_layers",
        "tfcompress.weights.code_book",
    ),
}
"""Modules that register tfcompress's own layers and functions with a Keras when they are imported."""

KERAS_PACKAGES = frozenset({"keras", "tf_keras", "builtins"})
"""Packages that files of either Keras name for their own classes; of Python's builtins they mean no object."""
TFMOT = "tensorflow_model_optimization"

NAMESPACES = ("layers", "initializers", "regularizers", "constraints", "losses", "metrics", "optimizers")
"""Namespaces that both Kerases have, whose classes a model file may name."""
FUNCTION_NAMESPACES = ("activations", "losses", "metrics")
"""Namespaces whose functions a model file may name: of tensors, to tensors."""
RESOLVERS = frozenset({"get", "serialize", "deserialize"})
"""Functions in those namespaces that turn a description into an object."""

KERAS2_INNER_LAYERS = frozenset(
    {
        *("TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty", "TensorFlowOpLayer"),
        *("AddLoss", "AddMetric", "Functional", "Network", "CuDNNGRU", "CuDNNLSTM", "BatchNormalizationV1"),
        *("BatchNormalizationV2", "SyncBatchNormalization"),
    }
)
"""Layers of tf_keras that have no public name of their own; what they call has been checked by name."""

APPLICATION_LAYERS = {
    "CustomScaleLayer": "inception_resnet_v2",
    "LayerScale": "convnext",
    "StochasticDepth": "convnext",
}
"""Layers that Keras defines beside one of its own networks, and in which module of ``applications``."""

TENSORFLOW_INITIALIZERS = frozenset(
    {
        *(
            "Constant",
            "GlorotNormal",
            "GlorotUniform",
            "HeNormal",
            "HeUniform",
            "Identity",
            "LecunNormal",
            "LecunUniform",
        ),
        *("Ones", "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros"),
    }
)
"""Initializers that TensorFlow itself defines, which Keras 2's own networks use in places."""
TENSORFLOW_INITIALIZER_MODULES = frozenset({"tensorflow.python.ops.init_ops", "tensorflow.python.ops.init_ops_v2"})

KERAS2_OLDER_NAMES = frozenset(
    {
        *("PolicyV1", "normal", "uniform", "one", "zero"),
        *(f"{kind}{version}" for kind in ("LSTM", "GRU", "LSTMCell", "GRUCell") for version in ("V1", "V2")),
        *(f"{kind}V2" for kind in ("Constant", "Identity", "Ones", "Orthogonal", "VarianceScaling", "Zeros")),
        *(f"{kind}{shape}V2" for kind in ("Glorot", "He", "Lecun", "Random") for shape in ("Normal", "Uniform")),
        *(f"{kind}_{shape}V2" for kind in ("glorot", "he", "lecun") for shape in ("normal", "uniform")),
        "TruncatedNormalV2",
    }
)
"""Names in files of older versions of Keras 2, which tf_keras still reads."""


def refused_names(names: Iterable[Name], writer: Writer, custom: Mapping[str, Any], *, tfmot: bool) -> list[Name]:
    """Return those of *names* that are neither Keras's, tfmot's or ours, nor the user's.

    Args:
        names: what the configuration of a file names.
        writer: the Keras that is to read it.
        custom: the classes and functions that the user gave, by name.
        tfmot: whether the file holds wrappers of tfmot's.
    """
    known = _tfmot_classes() if tfmot else frozenset()
    return [
        name
        for name in names
        if not (_is_tfmots(name, known, writer) if _short(name.name) in known else _is_known(name, writer, custom))
    ]


def _is_tfmots(name: Name, known: frozenset[str], writer: Writer) -> bool:
    package = (name.module or TFMOT).partition(".")[0]
    return writer == "keras2" and package in {TFMOT, *KERAS_PACKAGES} and _short(name.registered or name.name) in known


def is_library(name: Name) -> bool:
    """Say whether a refused name is one of Python's library, a Keras, TensorFlow or NumPy, and so no custom object."""
    package = (name.module or "").partition(".")[0]
    libraries = {*KERAS_PACKAGES, TFMOT, "tensorflow", "numpy", "tfcompress"}
    return package in libraries or package in sys.stdlib_module_names


def _is_known(name: Name, writer: Writer, custom: Mapping[str, Any]) -> bool:
    short = _short(name.name)
    given = custom.get(short)
    if given is not None:
        # What is registered comes first, and a name that is not leads to any module: it must be the user's very object.
        plain = name.kind == "identifier" or name.registered in (None, short)
        return plain or bool(_library(writer).saving.get_custom_objects().get(name.registered) is given)
    if name.registered and _short(name.registered) != short:
        return False
    if name.kind == "identifier":
        return _plain(short) in _identifiers(writer) or _is_ours(name.name, writer)
    registered = name.registered or name.name
    if ">" in name.name or ">" in registered:
        return _is_ours(registered, writer) or (short in APPLICATION_LAYERS and _is_kerases(registered, writer))
    if name.kind == "function":
        return _is_function_module(name.module) and short in _functions(writer)
    if name.module in TENSORFLOW_INITIALIZER_MODULES:
        return writer == "keras2" and short in TENSORFLOW_INITIALIZERS
    package = (name.module or "keras").partition(".")[0]
    return package in KERAS_PACKAGES and (short in classes_of(writer) or _is_operation(name))


def _is_function_module(module: str | None) -> bool:
    """Say whether a module is one of Keras's with functions of tensors; ``builtins`` stands for those, too."""
    parts = [part for part in (module or "builtins").split(".") if part != "src"]
    return parts == ["builtins"] or (parts[0] in KERAS_PACKAGES and len(parts) > 1 and parts[1] in FUNCTION_NAMESPACES)


def _short(name: str) -> str:
    return name.rpartition(">")[2]


def _plain(name: str) -> str:
    """Return a name as ``relu``, ``ReLU`` and ``glorot_uniform``, ``GlorotUniform`` have it in common."""
    return name.replace("_", "").lower()


def _is_operation(name: Name) -> bool:
    """Say whether it is an operation of Keras 3, which a tf_keras file may hold inside one of our layers."""
    return is_pure_operation_class(name.name) if name.module is None else is_pure_operation(name.module, name.name)


def _is_ours(registered: str, writer: Writer) -> bool:
    """Say whether a registered name is one of tfcompress's: ``tfcompress>FakeQuant``."""
    if not registered.startswith("tfcompress>"):
        return False
    import_our_layers(writer)
    item = _library(writer).saving.get_custom_objects().get(registered)
    return item is not None and bool(item.__module__.startswith("tfcompress."))


def _is_kerases(registered: str, writer: Writer) -> bool:
    """Say whether a registered name is one that Keras itself registered: ``Custom>CustomScaleLayer``."""
    item = _library(writer).saving.get_custom_objects().get(registered)
    return item is not None and _defined_in(item, _library(writer))


def import_our_layers(writer: Writer) -> None:
    """Register tfcompress's own layers and functions with a Keras."""
    for module in OUR_MODULES[writer]:
        importlib.import_module(module)


def _library(writer: Writer) -> Any:
    if writer == "keras2":
        import tf_keras

        return tf_keras
    import keras

    return keras


def _defined_in(item: Any, library: Any) -> bool:
    return bool(str(getattr(item, "__module__", "")).partition(".")[0] == library.__name__)


def _members(module: Any, library: Any, is_kind: Any) -> Iterator[tuple[str, Any]]:
    for name, item in vars(module).items():
        if not name.startswith("_") and is_kind(item) and _defined_in(item, library):
            yield name, item
            yield item.__name__, item  # which is what a file holds; its public name may be another


@functools.cache
def classes_of(writer: Writer) -> frozenset[str]:
    """Return the names of a Keras's own classes that a file may name."""
    library = _library(writer)
    spaces = [getattr(library, name) for name in NAMESPACES]
    names = {"Functional", "Model", "Sequential", *APPLICATION_LAYERS}
    if writer == "keras3":
        spaces += [library.dtype_policies, library.quantizers, library.optimizers.schedules]
        names |= {"SeedGenerator"}
    else:
        spaces += [library.mixed_precision, library.optimizers.schedules, library.optimizers.legacy]
        spaces += [library.layers.experimental, library.layers.experimental.preprocessing]
        names |= KERAS2_INNER_LAYERS | KERAS2_OLDER_NAMES
    for space in spaces:
        names |= {name for name, _ in _members(space, library, inspect.isclass)}
    return frozenset(names) - CODE_CLASSES


@functools.cache
def _functions(writer: Writer) -> frozenset[str]:
    library = _library(writer)
    found = (_members(getattr(library, name), library, inspect.isfunction) for name in FUNCTION_NAMESPACES)
    return frozenset(name for members in found for name, _ in members) - RESOLVERS


@functools.cache
def _identifiers(writer: Writer) -> frozenset[str]:
    """Return what may stand alone as ``relu`` or ``glorot_uniform``, without underscores, in lower case."""
    library = _library(writer)
    spaces = [getattr(library, name) for name in ("activations", "initializers", "regularizers", "constraints")]
    names = {name for space in spaces for name in vars(space) if not name.startswith("_")} - RESOLVERS
    return frozenset(map(_plain, names | classes_of(writer) | _functions(writer)))


@functools.cache
def _tfmot_classes() -> frozenset[str]:
    """Return the classes that tfmot's scopes make known to tf_keras, and those of its wrappers' settings."""
    import tensorflow_model_optimization as tfmot

    from tfcompress.safety.tfmot_scopes import scope_objects

    spaces = (tfmot.sparsity.keras, tfmot.clustering.keras, tfmot.quantization.keras.quantizers)
    public = {name for space in spaces for name, item in vars(space).items() if inspect.isclass(item)}
    return frozenset(scope_objects()) | public
