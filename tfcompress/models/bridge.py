"""The bridge between Keras 3 and tf_keras (Keras 2): the same model, rebuilt layer by layer in the other one.

The graph is walked and every call made again on the other Keras's tensors; configurations are translated by
:mod:`~tfcompress.models.translation`, weights copied, and the outputs of both compared on random input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfcompress.errors import UnsupportedError
from tfcompress.models.call_template import leaves, map_structure
from tfcompress.models.graph import Call, calls, is_graph, is_sequential
from tfcompress.models.keras_private import has_graph, origin
from tfcompress.models.kinds import library
from tfcompress.models.own_call import refuse_own_call
from tfcompress.models.precision import float32_policy, in_float32
from tfcompress.models.raw_operations import (
    TENSORFLOW_LAYERS,
    operation_to_keras2,
    operation_to_keras3,
    tensorflow_to_keras2,
    tensorflow_to_keras3,
)
from tfcompress.models.signature import signature_of
from tfcompress.models.specs import Signature, random_inputs
from tfcompress.models.translation import TITLES, KerasName, make_layer
from tfcompress.models.wiring import infer_outputs, wire
from tfcompress.safety.configuration import TRAINING_WRAPPERS

TOLERANCE = {"float16": 2e-2, "bfloat16": 1e-1}
"""Largest difference allowed between the outputs, as a share of the largest output, by output dtype; else 1e-4.

Rebuilt networks differ by rounding only, 1e-7 to 1e-5; GELU's two formulas would differ by 5e-4 and more.
"""
SCALES = (0.1, 1.0, 30.0)
"""Sizes of the random samples: a network for [0, 1] saturates on large ones, one for [0, 255] ignores small ones."""


def to_keras2(model: Any) -> Any:
    """Rebuild a Keras 3 model in tf_keras.

    Args:
        model: a functional or sequential Keras 3 model; left alone.

    Returns:
        A new tf_keras model with the same layer names, weights and outputs.

    Raises:
        UnsupportedError: the model is not a graph of Keras's own layers, naming those, or the outputs differ.
    """
    return _carry(model, "keras2")


def to_keras3(model: Any) -> Any:
    """Rebuild a tf_keras model in Keras 3.

    Args:
        model: a functional or sequential tf_keras model without training wrappers; left alone.

    Returns:
        A new Keras 3 model with the same layer names, weights and outputs.

    Raises:
        UnsupportedError: the model is not a graph of Keras's own layers, naming those, or the outputs differ.
    """
    return _carry(model, "keras3")


def _carry(model: Any, target: KerasName) -> Any:
    refuse_own_call(model)
    carrier = _Carrier(target)
    model, _ = in_float32(model)
    with float32_policy():
        result = carrier.model(model)
    carrier.copy_weights()
    _compare(model, result, target)
    return result


@dataclass
class _Carrier:
    """One crossing of the bridge, with what has been rebuilt so far."""

    target: KerasName
    rebuilt: dict[int, Any] = field(default_factory=dict)
    models: list[tuple[Any, Any]] = field(default_factory=list)
    layers: list[tuple[Any, Any]] = field(default_factory=list)

    def model(self, model: Any) -> Any:
        if not is_graph(model):
            msg = (
                f"model {model.name!r} cannot be carried to {TITLES[self.target]}: it is subclassed or was never built,"
                " so it has no graph of layers; rebuild it with the functional interface"
            )
            raise UnsupportedError(msg)
        place = len(self.models)
        names = _legal_names(model)
        new = self._sequential(model, names) if is_sequential(model) else self._functional(model, names)
        self.models.insert(place, (model, new))
        return new

    def _input(self, tensor: Any, names: dict[str, str]) -> Any:
        dtype = getattr(tensor.dtype, "name", tensor.dtype)
        name = names[origin(tensor).name]
        return library(self.target).Input(batch_shape=tuple(tensor.shape), dtype=dtype, name=name)

    def _sequential(self, model: Any, names: dict[str, str]) -> Any:
        layers = [self.layer(layer, names.get(layer.name, layer.name)) for layer in model.layers]
        start = self._input(model.inputs[0], names)
        return library(self.target).Sequential([start, *layers], name=model.name.replace("/", "_"))

    def _functional(self, model: Any, names: dict[str, str]) -> Any:
        tensors = {id(tensor): self._input(tensor, names) for tensor in model.inputs}

        def swap(structure: Any) -> Any:
            return map_structure(lambda leaf: tensors.get(id(leaf), leaf), structure)

        for call in calls(model):
            outputs = self._call(call, swap, names[call.layer.name])
            tensors.update(zip(map(id, call.outputs), leaves(outputs), strict=True))
        model_class = library(self.target).Model
        return model_class(swap(model.input), swap(model.output), name=model.name.replace("/", "_"))

    def _call(self, call: Call, swap: Callable[[Any], Any], name: str) -> Any:
        layer, args = call.layer, swap(call.args)
        kind = type(layer).__name__
        kwargs = {k: swap(v) for k, v in call.kwargs.items() if v is not None and k != "training"}
        if self.target == "keras3":
            if kind in TENSORFLOW_LAYERS:
                return tensorflow_to_keras3(layer, args, kwargs, name)
            if kind == "KerasOperation":
                return operation_to_keras3(layer, args, name)
            if hasattr(layer, "cell") and isinstance(args[0], list):
                # tf_keras hands a recurrent layer its initial state in one list with the input.
                args, kwargs = (args[0][0],), {"initial_state": args[0][1:], **kwargs}
        elif not isinstance(layer, library("keras3").layers.Layer):
            return operation_to_keras2(layer, args, kwargs, name)
        elif kind == "TensorFlowOperation":
            return tensorflow_to_keras2(layer, args)
        return self.layer(layer, name)(*args, **kwargs)

    def layer(self, layer: Any, name: str) -> Any:
        """Rebuild a layer or nested model, once."""
        if id(layer) not in self.rebuilt:
            self.rebuilt[id(layer)] = self._new_layer(layer, name)
        return self.rebuilt[id(layer)]

    def _new_layer(self, layer: Any, name: str) -> Any:
        source = library("keras2" if self.target == "keras3" else "keras3")
        if isinstance(layer, source.Model):
            return self.model(layer)
        kind = type(layer).__name__
        self._check_class(layer, source)
        if kind == "Lambda":
            new = library(self.target).layers.Lambda(layer.function, arguments=layer.arguments, name=name)
        elif isinstance(getattr(layer, "layer", None), source.Model):
            inside = self.layer(layer.layer, layer.layer.name)  # all weights are in there
            return getattr(library(self.target).layers, kind)(inside, name=name)
        else:
            new = make_layer(kind, {**layer.get_config(), "name": name}, self.target)
        self.layers.append((layer, new))
        return new

    def _check_class(self, layer: Any, source: Any) -> None:
        kind = type(layer).__name__
        if kind in TRAINING_WRAPPERS:
            msg = f"layer {layer.name!r} is wrapped for training ({kind}); finish or strip that first"
            raise UnsupportedError(msg)
        if type(layer) is not getattr(source.layers, kind, None):
            msg = (
                f"layer {layer.name!r} cannot be carried to {TITLES[self.target]}: its class {kind} is not one of"
                " Keras's; rebuild it from Keras's own layers"
            )
            raise UnsupportedError(msg)

    def copy_weights(self) -> None:
        """Copy weights and trainable flags into the rebuilt layers."""
        for old, new in self.models:  # outer ones first: a model's flag is handed down to what is inside it
            new.trainable = old.trainable
        for old, new in self.layers:
            weights = old.get_weights()
            if weights:
                new.set_weights(weights)
            if hasattr(new, "finalize_state"):  # Normalization keeps what it computes from its weights
                new.finalize_state()
            new.trainable = old.trainable


def _legal_names(model: Any) -> dict[str, str]:
    """Map the names of a model's layers and operations to names without ``/``, which Keras 3 does not allow."""
    names = [origin(tensor).name for tensor in model.inputs] + [layer.name for layer in model.layers]
    if has_graph(model):
        names += [call.layer.name for call in calls(model)]
    legal: dict[str, str] = {}
    for name in dict.fromkeys(names):
        new = name.replace("/", "_")
        while new != name and (new in names or new in legal.values()):
            new += "_"
        legal[name] = new
    return legal


def _compare(old: Any, new: Any, target: KerasName) -> None:
    """Check that both models give the same on random input."""
    import tensorflow as tf

    theirs, ours = signature_of(old), signature_of(new)
    inputs = _inputs(theirs, wire(old).batch or len(SCALES))
    renamed = {o.name: inputs[t.name] for t, o in zip(theirs.inputs, ours.inputs, strict=True)}
    before = infer_outputs(old, {name: tf.constant(value) for name, value in inputs.items()})
    after = infer_outputs(new, {name: tf.constant(value) for name, value in renamed.items()})
    for (name, expected), got in zip(before.items(), after.values(), strict=True):
        difference, largest = _worst_sample(expected.numpy(), got.numpy())
        if not difference <= TOLERANCE.get(expected.dtype.name, 1e-4) * max(largest, 1e-3):
            msg = (
                f"model {old.name!r} cannot be carried to {TITLES[target]}: its output {name!r} would differ by"
                f" {difference:.2g} (the largest value is {largest:.2g}) on random input"
            )
            raise UnsupportedError(msg)


def _inputs(signature: Signature, count: int) -> dict[str, np.ndarray]:
    """Draw samples, whole numbers as they come and others in turn of each of the scales."""
    scales = np.resize(SCALES, count)
    return {
        name: value * scales.reshape(-1, *[1] * (value.ndim - 1)).astype(value.dtype)
        if value.dtype.kind == "f"
        else value
        for name, value in random_inputs(signature, count, seed=0).items()
    }


def _worst_sample(expected: np.ndarray, got: np.ndarray) -> tuple[float, float]:
    """Return largest difference and largest value of the sample where the difference counts most."""
    if expected.shape != got.shape:
        return np.inf, np.inf
    found = [_difference(a, b) for a, b in zip(np.atleast_1d(expected), np.atleast_1d(got), strict=True)]
    return max(found, key=lambda pair: pair[0] / max(pair[1], 1e-3))


def _difference(expected: np.ndarray, got: np.ndarray) -> tuple[float, float]:
    """Return the largest difference, and the largest value, where both are finite; infinity where only one is."""
    a, b = np.asarray(expected, np.float64), np.asarray(got, np.float64)
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return np.inf, np.inf
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    return float(np.max(np.abs(a - b), initial=0.0)), float(np.max(np.abs(a), initial=0.0))
