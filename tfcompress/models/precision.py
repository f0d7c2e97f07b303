"""Models that compute in half precision, made to compute in float32, which is what TFLite's kernels have.

``mixed_float16`` and ``mixed_bfloat16`` speed up training on a GPU: weights are float32 there already, and every layer
rounds what goes into it. Nothing is lost when the same weights compute in float32; what comes out differs by the
rounding that is left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcompress.errors import UnsupportedError
from tfcompress.models.call_template import leaves, map_structure
from tfcompress.models.graph import called_again, calls, is_graph, is_sequential
from tfcompress.models.keras_private import all_layers, origin
from tfcompress.models.kinds import graph_of, keras_of, library
from tfcompress.models.own_call import refuse_own_call
from tfcompress.models.signature import call, signature_of
from tfcompress.models.specs import random_inputs
from tfcompress.models.wiring import wire

FLOAT32 = "float32"

TOLERANCE = {"float16": 5e-2, "bfloat16": 2e-1}
"""Largest difference allowed between the outputs, as a share of the largest one, by what the model computed in.

A number of float16 has 11 bits and one of bfloat16 has 8; a network of some dozens of layers loses two to three of
them to rounding. Another precision than these (float64) rounds less than float32: there it is 1e-3.
"""
_OTHERS = frozenset({"float16", "bfloat16", "float64"})
_SAMPLES = 4
_SHOWN = 3


def other_precisions(model: Any) -> dict[str, str]:
    """Return the layers of a model that do not compute in float32: name -> what they compute in, e.g. ``float16``.

    Args:
        model: of either Keras; of a SavedModel nothing is known, and nothing returned.
    """
    graph = graph_of(model)
    if keras_of(graph) == "savedmodel":
        return {}
    layers = all_layers(graph)
    found = {layer.name: layer.compute_dtype for layer in layers if layer.weights or not hasattr(layer, "layers")}
    return {name: str(dtype) for name, dtype in found.items() if str(dtype) in _OTHERS}


def in_float32(model: Any) -> tuple[Any, str]:
    """Return a model that computes in float32, and one sentence on it.

    Args:
        model: of either Keras, or the path of a SavedModel; left alone.

    Returns:
        *model* itself and an empty string where all its layers compute in float32 already; otherwise a new model with
        the same weights.

    Raises:
        UnsupportedError: it cannot be built again; or it would compute something else.
    """
    if graph_of(model) is not model or keras_of(model) == "savedmodel":
        return model, ""
    halves = other_precisions(model)
    inputs = _other_inputs(model)
    if not halves and not inputs:
        return model, ""
    with float32_policy():
        made = _rebuilt(model) if halves else model
        made = _taking_float32(made) if inputs and made is not None else made
    left = made is None or other_precisions(made)
    if left:
        raise _cannot(model, halves)
    difference = _compare(model, made, {**halves, **inputs})
    if not halves:
        taken = ", ".join(f"{name!r} ({dtype})" for name, dtype in inputs.items())
        return made, f"TFLite computes in float32: the model's inputs are float32 in the file, too: {taken}"
    kinds = "/".join(sorted(set(halves.values())))
    note = (
        f"the model computes in {kinds}, TFLite in float32: it was rebuilt in float32 with the same weights (its "
        f"outputs differ by at most {difference:.2g} of the largest one)"
    )
    return made, note


def _other_inputs(model: Any) -> dict[str, str]:
    """Return the inputs of a model with a graph that are numbers of another precision: name -> dtype."""
    if not is_graph(model):
        return {}
    dtypes = {origin(tensor).name: getattr(tensor.dtype, "name", tensor.dtype) for tensor in model.inputs}
    return {name: str(dtype) for name, dtype in dtypes.items() if str(dtype) in _OTHERS}


def _taking_float32(model: Any) -> Any:
    """Return a model with the same layers on inputs of float32 in the place of other precisions."""
    keras = library("keras3" if keras_of(model) == "keras3" else "keras2")
    others = _other_inputs(model)

    def taken(tensor: Any) -> Any:
        name, dtype = origin(tensor).name, getattr(tensor.dtype, "name", tensor.dtype)
        return keras.Input(batch_shape=tuple(tensor.shape), dtype=FLOAT32 if name in others else dtype, name=name)

    sequential = is_sequential(model)  # which Keras 3 has never called
    inputs = map_structure(taken, model.inputs[0] if sequential else model.input)
    given = dict(zip(map(id, model.inputs), leaves(inputs), strict=True))
    tensors = called_again(calls(model), given)
    outputs = map_structure(lambda tensor: tensors[id(tensor)], model.outputs[0] if sequential else model.output)
    return keras.Model(inputs, outputs, name=model.name)


@contextlib.contextmanager
def float32_policy() -> Iterator[None]:
    """Let layers that are made meanwhile, by either Keras, compute in float32, whatever this process has set."""
    import keras
    import tf_keras

    policies = [(module, module.mixed_precision) for module in (keras, tf_keras)]
    before = [settings.dtype_policy() if m is keras else settings.global_policy() for m, settings in policies]
    try:
        for _, settings in policies:
            settings.set_global_policy(FLOAT32)
        yield
    finally:
        for (_, settings), policy in zip(policies, before, strict=True):
            settings.set_global_policy(policy)


def _rebuilt(model: Any) -> Any | None:
    """Return the model built again; None: Keras cannot."""
    from tfcompress.models.copies import model_copy

    try:
        if not is_graph(model):
            return _subclassed(model) if keras_of(model) == "keras3" else None
        return model_copy(model, dtype=FLOAT32) if keras_of(model) == "keras3" else _keras2(model)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise _cannot(model, other_precisions(model)) from error


def _subclassed(model: Any) -> Any:
    made, drawn = type(model).from_config(model.get_config()), random_inputs(signature_of(model), 1, seed=0)
    inputs = [values.astype(FLOAT32) if values.dtype.kind in "fV" else values for values in drawn.values()]
    wire(model).infer(made, inputs)  # a subclassed model makes its weights when it is called
    made.set_weights(model.get_weights())
    return made


def _keras2(model: Any) -> Any:
    tf_keras = library("keras2")

    refuse_own_call(model)

    def fresh(layer: Any) -> Any:
        if isinstance(layer, tf_keras.Model):
            return _keras2(layer)
        if isinstance(layer, tf_keras.layers.Lambda):
            return tf_keras.layers.Lambda(layer.function, arguments=layer.arguments, name=layer.name)
        return type(layer).from_config(_with_float32(layer.get_config()))

    made = tf_keras.models.clone_model(model, clone_function=fresh)
    made.set_weights(model.get_weights())
    for layer in all_layers(made):
        if hasattr(layer, "finalize_state"):  # Normalization keeps what it computes from its weights
            layer.finalize_state()
    return made


def _with_float32(config: Any) -> Any:
    """Return a configuration with every dtype policy in it, those of layers inside included, replaced."""
    if isinstance(config, dict):
        return {
            key: FLOAT32 if key == "dtype" and _is_other_policy(value) else _with_float32(value)
            for key, value in config.items()
        }
    return [_with_float32(item) for item in config] if isinstance(config, list | tuple) else config


def _is_other_policy(value: Any) -> bool:
    name = value.get("config", {}).get("name", "") if isinstance(value, dict) else value
    return str(name).removeprefix("mixed_") in _OTHERS


def _cannot(model: Any, halves: dict[str, str]) -> UnsupportedError:
    layers = ", ".join(f"{name!r} ({dtype})" for name, dtype in list(halves.items())[:_SHOWN])
    more = f" and {len(halves) - _SHOWN} more" if len(halves) > _SHOWN else ""
    return UnsupportedError(
        f"model {model.name!r} computes in half precision in layer {layers}{more}, TFLite in float32, and it cannot be "
        "rebuilt from its configuration; build it under the dtype policy 'float32', give it these weights, and use that"
    )


def _compare(old: Any, new: Any, halves: dict[str, str]) -> float:
    """Check that two models give the same on random input, but for rounding; returns the largest difference."""
    theirs, ours = signature_of(old), signature_of(new)
    drawn = random_inputs(ours, _SAMPLES, seed=0)
    renamed = {b.name: drawn[a.name] for a, b in zip(ours.inputs, theirs.inputs, strict=True)}
    before, after = list(call(old, renamed).values()), list(call(new, drawn).values())
    allowed = max(TOLERANCE.get(dtype, 1e-3) for dtype in halves.values())
    worst = 0.0
    for spec, a, b in zip(ours.outputs, before, after, strict=True):
        if spec.dtype == FLOAT32:
            worst = max(worst, _difference(a.astype(np.float64), b.astype(np.float64)))
    if worst > allowed:
        msg = (
            f"model {old.name!r} computes in half precision, and in float32 its outputs would differ by {worst:.2g} of "
            "the largest one on random input; train it in float32"
        )
        raise UnsupportedError(msg)
    return worst


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return the largest difference as a share of the largest value, where half precision has not overflowed."""
    known = np.isfinite(a) & np.isfinite(b)
    largest = float(np.abs(b[known]).max(initial=0.0))
    return float(np.abs(a[known] - b[known]).max(initial=0.0)) / max(largest, 1e-3)
