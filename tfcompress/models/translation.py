"""How the configuration of a layer of one Keras reads in the other: everything in which they differ, with the reason.

A configuration entry that the other Keras does not know is left out only where that changes nothing; otherwise the
layer is refused by name. The bridge compares the outputs afterwards all the same.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tfcompress.errors import UnsupportedError
from tfcompress.models.kinds import library

KerasName = Literal["keras2", "keras3"]
TITLES = {"keras2": "Keras 2 (tf_keras)", "keras3": "Keras 3"}


@dataclass(frozen=True)
class Rule:
    """One entry that is written differently.

    Attributes:
        layer: class name of the layer; ``*``: any.
        entry: name of the entry.
        target: the Keras it is translated for.
        change: takes the value and gives the entries it becomes.
        why: the difference.
    """

    layer: str
    entry: str
    target: KerasName
    change: Callable[[Any], dict[str, Any]]
    why: str


def _only(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def _without_prefix(entry: str, prefix: str) -> Callable[[Any], dict[str, Any]]:
    def change(value: Any) -> dict[str, Any]:
        config = {**value["config"], "name": value["config"]["name"].removeprefix(prefix)}
        return {entry: {**value, "config": config}}

    return change


RULES = (
    Rule("LeakyReLU", "negative_slope", "keras2", lambda v: {"alpha": v}, "the argument was called alpha"),
    Rule("LeakyReLU", "alpha", "keras3", lambda v: {"negative_slope": v}, "the argument is called negative_slope"),
    Rule("BatchNormalization", "axis", "keras3", lambda v: {"axis": _only(v)}, "tf_keras stores a list of one axis"),
    Rule("ThresholdedReLU", "theta", "keras3", lambda v: {"threshold": v}, "Keras 3 has it as ReLU(threshold)"),
    Rule("Bidirectional", "layer", "keras2", _without_prefix("layer", "forward_"), "tf_keras adds the prefix again"),
    Rule("Bidirectional", "backward_layer", "keras2", _without_prefix("backward_layer", "backward_"), "likewise"),
    Rule(
        "*", "dtype", "keras3", lambda v: {"dtype": policy_name(v)}, "both write dtype policies as objects of their own"
    ),
    Rule(
        "*", "dtype", "keras2", lambda v: {"dtype": _policy2(policy_name(v))}, "tf_keras takes mixed ones as an object"
    ),
)
RENAMED = {("ThresholdedReLU", "keras3"): "ReLU"}
"""Classes that the target Keras has under another name."""

LEFT_OUT: Mapping[str, str] = {
    "batch_input_shape": "shapes come with the replayed graph",
    "input_length": "likewise",
    "build_config": "likewise",
    "query_shape": "likewise",
    "key_shape": "likewise",
    "value_shape": "likewise",
    "implementation": "chooses a way to compute the same",
    "synchronized": "concerns training on several devices",
    "seed": "the state of random numbers is not carried over",
    "renorm_momentum": "means something with renorm only, which is refused",
    "renorm_clipping": "likewise",
    "fill_mode": "means something with pad_to_aspect_ratio only, which is refused",
    "fill_value": "likewise",
    "shared_object_id": "only the file needs it",
}
"""Entries that may be left out whatever their value, and why."""

HARMLESS: Mapping[str, Any] = {"groups": 1, "data_format": "channels_last", "score_mode": "dot", "filters": None}
"""Entries that may be left out with this value (and any with None, False or nothing): the target does that anyway."""

BY_OPTIONS = {"zero_output_for_mask": ("LSTM", "GRU", "SimpleRNN", "RNN")}
"""Entries that constructors of tf_keras take without naming them."""

OLDER_NAMES = {"silu": "swish"}
"""Activations that tf_keras has under another name."""
OTHER_FORMULA = {"hard_sigmoid": "Keras 3 computes relu6(x + 3) / 6, tf_keras clip(0.2 x + 0.5, 0, 1)"}
"""Activations of one name and two formulas."""


def policy_name(value: Any) -> Any:
    """Return the name of a dtype policy written in any way."""
    if isinstance(value, dict):
        return value["config"]["name"]
    return getattr(value, "name", value)


def _policy2(name: Any) -> Any:
    if isinstance(name, str) and name.startswith("mixed_"):
        return library("keras2").mixed_precision.Policy(name)
    return name


def _refuse(layer: str, what: str, target: KerasName) -> UnsupportedError:
    return UnsupportedError(f"layer {layer!r} cannot be carried to {TITLES[target]}: {what}")


@functools.cache
def accepted_entries(layer_class: type) -> frozenset[str]:
    """Return the names that a layer's constructor, and those it hands its options on to, take."""
    names: set[str] = set()
    for owner in layer_class.__mro__:
        if "__init__" not in vars(owner) or owner is object:
            continue
        parameters = inspect.signature(owner.__init__).parameters.values()  # type: ignore[misc]
        names |= {p.name for p in parameters} - {"self", "args", "kwargs"}
        if owner.__name__ == "Layer" or not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    names |= {entry for entry, classes in BY_OPTIONS.items() if layer_class.__name__ in classes}
    return frozenset(names)


def plain(value: Any) -> Any:
    """Turn NumPy values, tracked lists and the like into plain Python."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, tuple):
        return tuple(plain(v) for v in value)
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    return value


def make_layer(class_name: str, config: Mapping[str, Any], target: KerasName) -> Any:
    """Build, with the *target* Keras, the layer that *class_name* and *config* of the other one describe.

    Raises:
        UnsupportedError: naming the layer and what the target lacks.
    """
    name = str(config.get("name", class_name))
    class_name = RENAMED.get((class_name, target), class_name)
    layer_class = getattr(library(target).layers, class_name, None)
    if layer_class is None:
        raise _refuse(name, f"there is no {class_name} there", target)
    return layer_class(**_entries(name, class_name, config, target, accepted_entries(layer_class)))


def _entries(
    name: str, class_name: str, config: Mapping[str, Any], target: KerasName, accepted: frozenset[str]
) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for entry, value in config.items():
        for key, changed in _changed(class_name, entry, plain(value), target).items():
            if key.endswith("_initializer"):
                continue  # weights are copied
            if key in accepted:
                entries[key] = _value(name, key, changed, target)
            elif key not in LEFT_OUT and changed not in (None, False, [], {}, HARMLESS.get(key)):
                raise _refuse(name, f"{key}={changed!r} has no counterpart there", target)
    return entries


def _changed(class_name: str, entry: str, value: Any, target: KerasName) -> dict[str, Any]:
    for rule in RULES:
        if rule.target == target and rule.entry == entry and rule.layer in ("*", class_name):
            return rule.change(value)
    return {entry: value}


def _value(layer: str, key: str, value: Any, target: KerasName) -> Any:
    if key.endswith("activation"):
        return activation(layer, value, target)
    if not isinstance(value, dict) or "class_name" not in value:
        return [_value(layer, key, v, target) for v in value] if isinstance(value, list) else value
    for ending in ("regularizer", "constraint"):
        if key.endswith(ending):
            found = getattr(getattr(library(target), f"{ending}s"), value["class_name"], None)
            if found is None:
                raise _refuse(layer, f"there is no {ending} {value['class_name']!r} there", target)
            return found(**plain(value["config"]))
    return make_layer(value["class_name"], value["config"], target)


def activation(layer: str, value: Any, target: KerasName) -> Any:
    """Return what the *target* Keras takes for an activation of the other one.

    Args:
        layer: name of the layer it belongs to, for messages.
        value: its name, or what a configuration says of a function or of a layer used as one.
        target: the Keras it is for.

    Raises:
        UnsupportedError: a function that is not one of Keras's.
    """
    if isinstance(value, dict):
        if value.get("class_name") != "function":
            return make_layer(value["class_name"], value["config"], target)
        value = value["config"]
    if value is None:
        return None
    name = str(value).rpartition(">")[2]
    found = _activation2(name) if target == "keras2" else _activation3(name)
    if found is None:
        raise _refuse(layer, f"its activation {name!r} is not one of Keras's", target)
    return found


def _activation2(name: str) -> Any:
    from tfcompress.models.keras2_layers import foreign_activation

    name = OLDER_NAMES.get(name, name)
    if name.startswith("keras2_"):
        return name.removeprefix("keras2_")
    if hasattr(library("keras2").activations, name) and name not in OTHER_FORMULA:
        return name
    return foreign_activation(name) if hasattr(library("keras3").activations, name) else None


def _activation3(name: str) -> Any:
    from tfcompress.models import keras3_layers

    if name in OTHER_FORMULA:
        return getattr(keras3_layers, f"keras2_{name}")
    name = name.removeprefix("keras3_")
    return name if hasattr(library("keras3").activations, name) else None
