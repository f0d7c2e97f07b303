"""The losses and metrics that a model was compiled with, as its file or the object itself says.

They are read as plain values and never deserialized: a loss or metric counts only if its name is one of Keras's, and of
its settings only numbers do.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tfcompress.errors import ModelError
from tfcompress.keras_names import loss_class
from tfcompress.models.graph import is_graph, last_activation
from tfcompress.models.kinds import graph_of
from tfcompress.tasks.metric import KERAS_METRICS
from tfcompress.tasks.traits import OutputTraits, StepMask

MOST_BYTES = 64 << 20
"""Largest configuration that is read: one of ten thousand layers takes 10 MB."""

SETTINGS: Mapping[str, float] = {"label_smoothing": 0.0, "delta": 1.0, "gamma": 2.0, "alpha": 0.25, "beta": 0.5}
"""Settings of losses that count, and their defaults."""

NO_MASKS: Mapping[str, StepMask] = MappingProxyType({})
"""No output has one."""

_OWN = {"accuracy", "acc", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy"}
_OWN |= {"mae", "meanabsoluteerror", "mean_absolute_error", "rootmeansquarederror", "root_mean_squared_error"}
_OWN |= {"binaryaccuracy", "categoricalaccuracy", "sparsecategoricalaccuracy", "auc", "topkcategoricalaccuracy"}
_OWN |= {"sparsetopkcategoricalaccuracy", "top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy"}
"""Metrics that a task's own figures hold already."""

_PLAIN = {metric.lower(): metric for metric in KERAS_METRICS}
_DEFAULTS = (None, False, -1, 0, 0.0, 0.5, 200, "ROC", "interpolation", "none", 1e-7)
_ABOUT = ("name", "dtype", "fn", "reduction", "num_classes")


def compile_config(path: Path, kind: str) -> Mapping[str, Any]:
    """Return what a file says about how its model was compiled; empty where it says nothing.

    Args:
        path: an HDF5 or ``.keras`` file that was loaded before.
        kind: ``h5`` or ``keras``.
    """
    try:
        found = _from_h5(path) if kind == "h5" else _from_zip(path)
    except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile):
        return {}
    return found if isinstance(found, Mapping) else {}


def compile_config_of(model: Any) -> Mapping[str, Any]:
    """Return how a model object was compiled, as plain values; empty where it was not, or does not say.

    Args:
        model: of either Keras.
    """
    if not getattr(model, "compiled", getattr(model, "optimizer", None) is not None):
        return {}
    try:
        found = model.get_compile_config()
    except (AttributeError, NotImplementedError, TypeError, ValueError):  # a loss of the user's own may not serialize
        return {}
    return found if isinstance(found, Mapping) else {}


def _from_h5(path: Path) -> Any:
    import h5py

    with h5py.File(path, "r") as file:
        text = file.attrs.get("training_config")
    return json.loads(text) if isinstance(text, str | bytes) and len(text) <= MOST_BYTES else {}


def _from_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo("config.json").file_size > MOST_BYTES:
            return {}
        return json.loads(archive.read("config.json")).get("compile_config") or {}


def traits_of(
    model: Any, outputs: Sequence[str], config: Mapping[str, Any], masks: Mapping[str, StepMask] = NO_MASKS
) -> dict[str, OutputTraits]:
    """Return what a model says about its outputs.

    Args:
        model: of either Keras, or the path of a SavedModel.
        outputs: their names, in the model's order (:func:`tfcompress.models.signature.signature_of`).
        config: how it was compiled; see :func:`compile_config`.
        masks: how it tells steps that it masks, by output (:func:`tfcompress.models.step_masks.step_masks`).
    """
    activations = _activations(model, len(outputs))
    known = [str(name) for name in getattr(model, "output_names", None) or ()]
    names = known if len(known) == len(outputs) else list(outputs)
    traits = {}
    for place, output in enumerate(outputs):
        parts = {
            key: _part(config.get(key), names, place) for key in ("loss", "loss_weights", "metrics", "weighted_metrics")
        }
        loss, settings = _loss(parts["loss"])
        metrics = [*_listed(parts["metrics"]), *_listed(parts["weighted_metrics"])]
        unknown = [] if parts["loss"] is None or loss is not None else [_name(parts["loss"])]
        weight = parts["loss_weights"]
        traits[output] = OutputTraits(
            activation=activations[place],
            loss=loss,
            loss_settings=settings,
            weight=float(weight) if _is_number(weight) and weight > 0 else 1.0,
            metrics=tuple(dict.fromkeys(name for each in metrics if (name := _metric(each)))),
            unknown=(*unknown, *(_name(each) for each in metrics if _metric(each) is None)),
            mask=masks.get(output),
        )
    return traits


def _activations(model: Any, count: int) -> list[str | None]:
    if isinstance(model, str | Path) or not is_graph(graph_of(model)):
        return [None] * count
    tensors = list(graph_of(model).outputs)
    if len(tensors) != count:
        return [None] * count
    try:
        return [last_activation(tensor) for tensor in tensors]
    except (ModelError, AttributeError, KeyError, IndexError):  # an output that comes from no layer
        return [None] * count


def _part(value: Any, names: Sequence[str], place: int) -> Any:
    """Return what a configuration says about one output: by its name, by its place, or of all alike."""
    if isinstance(value, Mapping) and "class_name" not in value:
        return value.get(names[place])
    if not isinstance(value, list | tuple):
        return value
    nested = [each for each in value if isinstance(each, list | tuple)]
    if len(names) > 1 or (nested and len(nested) == len(value)):
        return value[place] if place < len(value) else None
    return value


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _name(value: Any) -> str:
    config = value.get("config") if isinstance(value, Mapping) else None
    named = config if isinstance(config, str) else value.get("class_name") if isinstance(value, Mapping) else value
    return f"{named!s:.80}"


def _is_keras(value: Mapping[str, Any]) -> bool:
    """Whether a serialized object says that it is Keras's own."""
    module, registered = value.get("module"), value.get("registered_name")
    name = str(value.get("class_name"))
    return ">" not in name and not registered and (module is None or str(module).split(".")[0] in ("keras", "builtins"))


def _loss(value: Any) -> tuple[str | None, dict[str, float]]:
    """Return the class of Keras's that a loss is, and its settings; None where it is not one."""
    if isinstance(value, str):
        return loss_class(value), {}
    if not isinstance(value, Mapping) or not _is_keras(value):
        return None, {}
    config = value.get("config")
    if isinstance(config, str):  # a function
        return loss_class(config), {}
    found = config if isinstance(config, Mapping) else {}
    said = {key: found[key] for key in SETTINGS if isinstance(found.get(key), int | float)}
    if not all(map(_is_number, said.values())):
        return None, {}
    return loss_class(_name(value)), {key: float(said[key]) for key in said if said[key] != SETTINGS[key]}


def _is_number(value: Any) -> bool:
    """Whether it is a number that a float holds; JSON holds integers of any length, NaN and infinity too."""
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _metric(value: Any) -> str | None:
    """Return the class of a metric, ``""`` where a task's own figures hold it; None where it is none of those known."""
    name = _name(value)
    if isinstance(value, Mapping) and name == "MeanMetricWrapper" and isinstance(value.get("config"), Mapping):
        name = f"{value['config'].get('fn')!s:.80}"
    if name.lower() in _OWN:
        return ""
    known = _PLAIN.get((loss_class(name) or name).lower().replace("_", ""))
    if known is None or not isinstance(value, Mapping):
        return known
    config = value.get("config")
    settings = config if isinstance(config, Mapping) else {}
    plain = all(key in _ABOUT or setting in _DEFAULTS for key, setting in settings.items() if not _nested(setting))
    return known if _is_keras(value) and plain and not any(map(_nested, settings.values())) else None


def _nested(value: Any) -> bool:
    return isinstance(value, list | dict)
