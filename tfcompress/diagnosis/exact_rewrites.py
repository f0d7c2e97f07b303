"""Rewrites of a model that change no number, each proven on random samples before it is kept.

What acts in training only goes: Dropout, noise, augmentation. What multiplies and adds per channel in front of a kernel
(BatchNormalization, Normalization, Rescaling) goes into that kernel and its bias, where that is exact: at a border that
is padded with zeros only if nothing is added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfcompress.models.call_template import Template
from tfcompress.models.copies import input_like, model_copy
from tfcompress.models.graph import Call, calls, is_graph
from tfcompress.models.keras_private import input_structure, output_structure
from tfcompress.models.layer_copies import is_symbolic, layer_copy
from tfcompress.models.own_call import refuse_own_call
from tfcompress.models.signature import signature_of
from tfcompress.models.specs import random_inputs
from tfcompress.models.wiring import infer_outputs
from tfcompress.reports.checkup_facts import RewriteOffer

TOLERANCE = 1e-4
"""Largest difference of an output, as a fraction of its largest value: what another order of float32 sums makes."""
_SAMPLES = 4
_SCALES = (1.0, 255.0)
"""What random inputs are multiplied by: numbers about 1, and pixels."""
TRAINING_ONLY = frozenset(
    {
        *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout"),
        *("GaussianNoise", "ActivityRegularization", "Identity", "StochasticDepth"),
        *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness"),
        *("RandomHue", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomColorJitter", "RandomErasing"),
    }
)
"""Classes of layers that give what they are given, but for training; whether they do is proven each time."""
FOLDS_INTO = ("Conv1D", "Conv2D", "DepthwiseConv2D", "Dense")
"""Layers whose kernel and bias can take an affine function in front of them."""


@dataclass(frozen=True)
class Affine:
    """``x * scale + offset`` along the last axis.

    Attributes:
        scale, offset: float64 of shape (channels,), or (1,).
    """

    scale: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True)
class _Plan:
    """One rewrite.

    Attributes:
        gone: calls that go, by the id of the layer.
        replaced: id of a layer -> what makes the layer in its place.
        layer, what: for the offer.
    """

    gone: frozenset[int]
    replaced: Mapping[int, Callable[[], Any]]
    layer: str
    what: str


def rewritten(model: Any) -> tuple[Any, tuple[RewriteOffer, ...]]:
    """Return a model with all rewrites that were proven, and what was tried.

    Args:
        model: a functional or sequential Keras 3 model; it stays as it is. The result is functional, its layers keep
            their names.

    Raises:
        UnsupportedError: it computes something else than its graph says.
    """
    refuse_own_call(model)
    done: list[RewriteOffer] = []
    tried: set[str] = set()
    current = model
    while True:
        plan = next((plan for plan in _plans(current) if plan.layer not in tried), None)
        if plan is None:
            return current, tuple(done)
        tried.add(plan.layer)
        candidate = _rebuilt(current, plan)
        difference = largest_difference(current, candidate)
        done.append(RewriteOffer(plan.layer, plan.what, difference, difference <= TOLERANCE))
        if difference <= TOLERANCE:
            current = candidate


def largest_difference(model: Any, other: Any) -> float:
    """Return the largest difference of two models' outputs on random samples, against the outputs' largest value."""
    worst = 0.0
    signature = signature_of(model)
    for seed, scale in enumerate(_SCALES):
        drawn = random_inputs(signature, _SAMPLES, seed)
        given = {
            name: values * np.asarray(scale, values.dtype) if values.dtype.kind == "f" else values
            for name, values in drawn.items()
        }
        tensors = {name: keras.ops.convert_to_tensor(values) for name, values in given.items()}
        before, after = (infer_outputs(each, tensors) for each in (model, other))
        for name, values in before.items():
            a, b = (np.asarray(each, np.float64) for each in (values, after[name]))
            largest = float(np.abs(a).max()) or 1.0
            worst = max(worst, float(np.abs(a - b).max()) / largest)
    return worst if np.isfinite(worst) else np.inf


def _plans(model: Any) -> Iterator[_Plan]:
    """Give what can be rewritten, from the input on."""
    listed = list(calls(model))
    called = Counter(id(call.layer) for call in listed)
    uses = Counter(id(tensor) for call in listed for tensor in _tensors(call))
    uses.update(id(tensor) for tensor in model.outputs)
    ends = {id(tensor) for tensor in model.outputs}
    for place, call in enumerate(listed):
        if called[id(call.layer)] > 1:
            continue
        layer = call.layer
        if acts_in_training_only(layer) and not (ends & {id(tensor) for tensor in call.outputs}):
            kind = type(layer).__name__ if not isinstance(layer, keras.Model) else "a model of augmentation"
            yield _Plan(frozenset({id(layer)}), {}, layer.name, f"{kind} goes: it acts in training only")
        affine = affine_of(layer)
        reader = _only_reader(listed[place + 1 :], call) if uses[id(call.outputs[0])] == 1 else None
        if affine is None or reader is None or called[id(reader.layer)] > 1 or not can_fold(affine, reader.layer):
            continue
        what = f"{type(layer).__name__} goes into the kernel and bias of {reader.layer.name}"
        yield _Plan(frozenset({id(layer)}), {id(reader.layer): _folding(affine, reader.layer)}, layer.name, what)


def _tensors(call: Call) -> list[Any]:
    return list(Template.of(call.args, call.kwargs, is_symbolic)[1])


def _only_reader(later: Sequence[Call], call: Call) -> Call | None:
    made = id(call.outputs[0])
    return next((each for each in later if [id(t) for t in _tensors(each)] == [made]), None)


def acts_in_training_only(layer: Any) -> bool:
    """Say whether a layer, or every layer of a nested model, gives what it is given, but for training."""
    if isinstance(layer, keras.Model) and is_graph(layer):
        inside = [each for each in layer.layers if not isinstance(each, keras.layers.InputLayer)]
        return bool(inside) and all(map(acts_in_training_only, inside))
    return type(layer).__name__ in TRAINING_ONLY and type(layer).__module__.startswith("keras.")


def affine_of(layer: Any) -> Affine | None:
    """Return what a layer multiplies and adds along the last axis; None: it does something else."""
    if type(layer) is keras.layers.Rescaling:
        return Affine(*(np.atleast_1d(np.asarray(part, np.float64)) for part in (layer.scale, layer.offset)))
    if type(layer) is keras.layers.BatchNormalization and _is_last(layer.axis, layer):
        deviation = np.sqrt(np.asarray(layer.moving_variance, np.float64) + layer.epsilon)
        scale = (np.asarray(layer.gamma, np.float64) if layer.scale else 1.0) / deviation
        beta = np.asarray(layer.beta, np.float64) if layer.center else 0.0
        return Affine(scale, beta - np.asarray(layer.moving_mean, np.float64) * scale)
    if type(layer) is keras.layers.Normalization and not layer.invert:
        if tuple(layer.axis) and not _is_last(layer.axis[0], layer):
            return None
        mean, variance = (np.asarray(part, np.float64).reshape(-1) for part in (layer.mean, layer.variance))
        deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
        return Affine(1.0 / deviation, -mean / deviation)
    return None


def _is_last(axis: Any, layer: Any) -> bool:
    place = axis[0] if isinstance(axis, list | tuple) else axis
    return place in (-1, len(layer.get_build_config()["input_shape"]) - 1)


def can_fold(affine: Affine, layer: Any) -> bool:
    """Say whether a kernel can take an affine function in front of it exactly."""
    if type(layer).__name__ not in FOLDS_INTO or getattr(layer, "data_format", "channels_last") != "channels_last":
        return False
    if getattr(layer, "groups", 1) != 1:
        return False
    padded = getattr(layer, "padding", "valid") != "valid" and any(size > 1 for size in layer.kernel_size)
    return not (padded and np.any(affine.offset))


def _folding(affine: Affine, layer: Any) -> Callable[[], Any]:
    """Return what makes a layer of a kernel and bias that hold *affine* too."""

    def make() -> Any:
        kernel = np.asarray(layer.kernel, np.float64)
        depthwise = type(layer).__name__.startswith("Depthwise")
        inputs = kernel.shape[-2]
        scale, offset = (np.broadcast_to(part, (inputs,))[:, np.newaxis] for part in (affine.scale, affine.offset))
        added = (kernel * offset).reshape(-1, *kernel.shape[-2:]).sum(axis=0)
        added = added.reshape(-1) if depthwise else added.sum(axis=0)
        bias = added + (np.asarray(layer.bias, np.float64) if layer.use_bias else 0.0)
        new = layer_copy(layer, layer.name, use_bias=True)
        new.set_weights([(kernel * scale).astype(np.float32), bias.astype(np.float32)])
        return new

    return make


def _rebuilt(model: Any, plan: _Plan) -> Any:
    """Build a model anew without what goes, with what takes its place; nothing is shared with *model*."""
    inputs = {id(tensor): input_like(tensor) for tensor in model.inputs}
    known = dict(inputs)
    copies: dict[int, Any] = {}
    for call in calls(model):
        template, symbols = Template.of(call.args, call.kwargs, is_symbolic)
        fed = [known[id(symbol)] for symbol in symbols]
        if id(call.layer) in plan.gone:
            known[id(call.outputs[0])] = fed[0]
            continue
        if id(call.layer) not in copies:
            copies[id(call.layer)] = plan.replaced.get(id(call.layer), lambda layer=call.layer: _copied(layer))()
        args, kwargs = template.fill(fed)
        made = keras.tree.flatten(copies[id(call.layer)](*args, **kwargs))
        known.update(zip(map(id, call.outputs), made, strict=True))
    given = keras.tree.map_structure(lambda tensor: inputs[id(tensor)], input_structure(model))
    outputs = keras.tree.map_structure(lambda tensor: known[id(tensor)], output_structure(model))
    return keras.Model(given, outputs, name=model.name)


def _copied(layer: Any) -> Any:
    return model_copy(layer) if isinstance(layer, keras.Model) else layer_copy(layer, layer.name)
