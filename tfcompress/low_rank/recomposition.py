"""Layers that were taken apart, put together again, so that they can be taken apart anew at other ranks."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from tfcompress.low_rank.factors import Factor, composed
from tfcompress.low_rank.places import core_of
from tfcompress.low_rank.replacing import SUFFIX, Replacement, replaced
from tfcompress.models.graph import calls
from tfcompress.models.keras_private import has_origin, origin
from tfcompress.models.layer_copies import unbuilt_copy

_NUMBERED = re.compile(rf"(.+){SUFFIX}(\d+)_*")

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


def recomposed(model: Any) -> Any:
    """Put the factors of layers together, where a model holds some by their names.

    Args:
        model: a functional or sequential Keras 3 model; it stays as it is.

    Returns:
        A model of the same outputs; *model* itself, where there is nothing to put together.
    """
    made: dict[int, Replacement] = {}
    for row in _rows(model):
        found = _whole(row)
        if found is not None:
            made |= {id(layer): Replacement((), ()) for layer in row[:-1]}
            made[id(row[-1])] = found
    return replaced(model, made) if made else model


def _rows(model: Any) -> Iterator[list[Any]]:
    """Give the layers that are factors of one another by their names, and feed nothing else."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _rows(layer)
    readers, sources = _wiring(model)
    factors: dict[str, dict[int, Any]] = {}
    for layer in model.layers:
        match = _NUMBERED.fullmatch(layer.name)
        if match:
            factors.setdefault(match[1], {})[int(match[2])] = layer
    last = {layer.name: layer for layer in model.layers}
    for name, numbered in factors.items():
        row = [numbered[number] for number in sorted(numbered)]
        if name in last and sorted(numbered) == list(range(1, len(row) + 1)):
            row.append(last[name])
            pairs = list(itertools.pairwise(row))
            if all(readers.get(id(a)) == {id(b)} and sources.get(id(b)) == {id(a)} for a, b in pairs):
                yield row


def _wiring(model: Any) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """Return by id who reads what a layer gives (0: the model's outputs do), and whose outputs a layer reads."""
    readers: dict[int, set[int]] = {}
    sources: dict[int, set[int]] = {}
    for call in calls(model):
        for tensor in (t for t in keras.tree.flatten([call.args, call.kwargs]) if has_origin(t)):
            readers.setdefault(id(origin(tensor)), set()).add(id(call.layer))
            sources.setdefault(id(call.layer), set()).add(id(origin(tensor)))
    for tensor in model.outputs:
        readers.setdefault(id(origin(tensor)), set()).add(0)
    return readers, sources


def _whole(row: Sequence[Any]) -> Replacement | None:
    """Return the layer that computes what factors compute; None: they are not what a layer was taken apart into."""
    cores = [core_of(layer) for layer in row]
    wrapped = {core is not layer for core, layer in zip(cores, row, strict=True)}
    if len(wrapped) > 1 or not all(_is_linear(core) for core in cores[:-1]):
        return None
    first, last = cores[0], cores[-1]
    if type(first) is keras.layers.Embedding:
        changed = _embedding(cores)
    elif all(type(core) is keras.layers.Dense for core in cores):
        changed = {}
    else:
        changed = _window(cores)
    if changed is None:
        return None
    kernel = composed([_factor(core) for core in cores])
    layer = unbuilt_copy(first if type(first) is keras.layers.Embedding else last, **{"name": last.name, **changed})
    values = kernel[0, 0] if not changed or "output_dim" in changed else kernel
    if isinstance(layer, keras.layers.Conv1D):
        values = kernel[:, 0]
    if True in wrapped:
        layer = unbuilt_copy(row[-1], layer=keras.layers.serialize(layer))
    bias = [last.bias.numpy()] if getattr(last, "use_bias", False) else []
    return Replacement((layer,), ([values.astype(np.float32), *bias],))


def _is_linear(core: Any) -> bool:
    if type(core) is keras.layers.Embedding:
        return True
    known = type(core) in (keras.layers.Dense, *_CONVOLUTIONS, *_DEPTHWISE)
    return known and not core.use_bias and core.activation is keras.activations.linear


def _embedding(cores: Sequence[Any]) -> dict[str, Any] | None:
    """Return what changes in the first of two factors of an Embedding."""
    last = cores[-1]
    plain = type(last) is keras.layers.Dense and _is_linear(last)
    if len(cores) != 2 or not plain:
        return None
    return {"output_dim": last.units, "activity_regularizer": last.activity_regularizer}


def _window(cores: Sequence[Any]) -> dict[str, Any] | None:
    """Return what changes in the last of several convolutions; None: their windows do not multiply."""
    last = cores[-1]
    if type(last) not in _CONVOLUTIONS or not all(type(core) in (*_CONVOLUTIONS, *_DEPTHWISE) for core in cores):
        return None
    same = {(core.rank, core.data_format, core.padding) for core in cores}
    if len(same) > 1 or any(getattr(core, "groups", 1) > 1 for core in cores[:-1]) or last.groups > 1:
        return None
    sizes = [list(zip(core.kernel_size, core.strides, core.dilation_rate, strict=True)) for core in cores]
    axes = [[size for size in along if size != (1, 1, 1)] or [(1, 1, 1)] for along in zip(*sizes, strict=True)]
    if any(len(along) > 1 for along in axes):
        return None
    names = ("kernel_size", "strides", "dilation_rate")
    return {name: tuple(along[0][place] for along in axes) for place, name in enumerate(names)}


def _factor(core: Any) -> Factor:
    windows = (True, True)  # which axes have the window says the kernel's shape
    if type(core) is keras.layers.Embedding:
        return Factor(core.embeddings.numpy().astype(np.float64)[None, None], windows)
    values = core.kernel.numpy().astype(np.float64)
    if type(core) is keras.layers.Dense:
        return Factor(values[None, None], windows)
    kernel = values[:, None] if core.rank == 1 else values
    return Factor(kernel, windows, depthwise=type(core) in _DEPTHWISE)
