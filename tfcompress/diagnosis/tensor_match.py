"""Which layer of a Keras model gives which tensor of a TFLite file.

Names tell where the file has them; slimmed files have none inside but those of the outputs. Then values tell: a tensor
is what the layer gives with which it correlates most, whatever its scale. Where a fault has spoilt the values, the
place decides: kernels of the same sizes in the same order, or what is between neighbours that were told apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfcompress.diagnosis.layer_values import LayerValue

SURE = 0.9
"""Least correlation that is conclusive by itself."""
_TIE = 0.002  # of the correlation: a layer and what merely scales it
RELUS = frozenset({"ReLU", "relu", "relu6"})
"""Kinds of layers that ops have inside."""
_FUSED = RELUS | {"BatchNormalization"}
_FUSED_INSIDE = ("relu", "relu6")
KINDS = {
    "ADD": ("Add",),
    "SUB": ("Subtract",),
    "MUL": ("Multiply", "Rescaling", "Normalization"),
    "CONCATENATION": ("Concatenate",),
    "MEAN": ("GlobalAveragePooling", "Mean"),
    "AVERAGE_POOL_2D": ("AveragePooling", "GlobalAveragePooling"),
    "MAX_POOL_2D": ("MaxPooling", "GlobalMaxPooling"),
    "REDUCE_MAX": ("GlobalMaxPooling",),
    "RESHAPE": ("Flatten", "Reshape"),
    "PAD": ("ZeroPadding",),
    "SOFTMAX": ("softmax", "Dense"),
    "LOGISTIC": ("sigmoid", "Dense", "Conv"),
}
"""Op -> how the classes begin whose values it mostly gives; of any other op nothing is known."""
FUSING = frozenset({"ADD", "SUB", "MUL"})
"""Of these, the ops that may have a ReLU inside."""
_MOST = 1 << 16  # values that are compared of each tensor


@dataclass(frozen=True)
class Match:
    """A layer found for a tensor.

    Attributes:
        place: of the layer's value in the list of values.
        how: what decided.
    """

    place: int
    how: Literal["name", "values", "place"]


@dataclass(frozen=True)
class FileValue:
    """What a tensor of a file holds.

    Attributes:
        number: of the tensor.
        name: of the tensor; empty in a slimmed file.
        values: real values of shape (runs, *shape with the batch axis).
        op: what computes it.
        output: name of the output of the model that it is; empty: it is none.
        kernel_size: how many weights its op's kernel has; 0: it has none.
    """

    number: int
    name: str
    values: np.ndarray
    op: str
    output: str = ""
    kernel_size: int = 0


def match_tensors(tensors: Sequence[FileValue], layers: Sequence[LayerValue]) -> dict[int, Match]:
    """Find layers for tensors.

    Args:
        tensors: in the order of computation.
        layers: what :func:`tfcompress.diagnosis.layer_values.layer_values` gives for the same samples, in its order.

    Returns:
        Number of a tensor -> its layer; tensors that no layer gives are not there.
    """
    flat = [_sampled(layer.values, len(layer.values)) for layer in layers]
    closeness = {tensor.number: _closeness(tensor, layers, flat) for tensor in tensors}
    chains = _chains(tensors, layers)
    found: dict[int, Match] = {}
    for tensor in tensors:
        match = _told(tensor, closeness[tensor.number], layers, chains.get(tensor.number, ()))
        if match is not None:
            found[tensor.number] = match
    return {**found, **_by_place(tensors, layers, closeness, found)}


def _told(
    tensor: FileValue, close: Mapping[int, _Closeness], layers: Sequence[LayerValue], chain: Sequence[int]
) -> Match | None:
    """Find the layer of a tensor by what it is called, by its values, or by its kernel."""
    ends = [place for place, layer in enumerate(layers) if _is_output(layer.path, tensor.output) and place in close]
    if ends:
        return Match(ends[-1], "name")
    chained = {place: close[place] for place in chain if place in close}
    named = {place: each for place, each in close.items() if is_named(tensor.name, layers[place].path)}
    if named:
        both = {place: each for place, each in named.items() if place in chained}
        return Match(_best(both or named, tensor, layers), "name")
    for candidates in (chained,) if chained else (_of_kind(tensor.op, close, layers), close):
        if candidates and max(each.correlation for each in candidates.values()) >= SURE:
            return Match(_best(candidates, tensor, layers), "values")
    return Match(max(chained), "place") if chained else None


def _chains(tensors: Sequence[FileValue], layers: Sequence[LayerValue]) -> dict[int, list[int]]:
    """Pair ops and layers that have kernels, in their orders; nothing where the sizes of the kernels are not the same.

    Returns:
        Number of a tensor -> places of the values that its op may end at: the layer, and what is fused into it.
    """
    ops = [tensor for tensor in tensors if tensor.kernel_size]
    starts = [place for place, layer in enumerate(layers) if layer.kernel_size]
    if [op.kernel_size for op in ops] != [layers[place].kernel_size for place in starts]:
        return {}
    return {op.number: _chain(place, layers) for op, place in zip(ops, starts, strict=True)}


def _chain(start: int, layers: Sequence[LayerValue]) -> list[int]:
    """Return a value's place and those of what follows it alone and can be fused."""
    chain = [start]
    while True:
        users = [place for place, layer in enumerate(layers) if chain[-1] in layer.sources]
        fuses = len(users) == 1 and (layers[users[0]].kind in _FUSED or _is_after(layers, chain[-1], users[0]))
        if not fuses:
            return chain
        chain.append(users[0])


def _is_after(layers: Sequence[LayerValue], before: int, after: int) -> bool:
    """Say whether two values are one layer's, before and after an activation that ops have inside."""
    return layers[before].path in {f"{layers[after].path} (before {name})" for name in _FUSED_INSIDE}


@dataclass(frozen=True)
class _Closeness:
    correlation: float
    error: float  # of the values as they are, against the layer's spread


def _closeness(tensor: FileValue, layers: Sequence[LayerValue], flat: Sequence[np.ndarray]) -> dict[int, _Closeness]:
    """Compare a tensor with every layer that has as many values."""
    found: dict[int, _Closeness] = {}
    for place, layer in enumerate(layers):
        if layer.values.size == tensor.values.size and layer.values.dtype.kind == "f":
            found[place] = _compared(_sampled(tensor.values, len(layer.values)), flat[place])
    return found


def _sampled(values: np.ndarray, rows: int) -> np.ndarray:
    """Return up to :data:`_MOST` of the values of some samples, the same places of each, float64."""
    table = values.reshape(rows, -1)
    return table[:, :: max(1, table.size // _MOST)].astype(np.float64).reshape(-1)


def _compared(tensor: np.ndarray, layer: np.ndarray) -> _Closeness:
    if not (np.isfinite(tensor).all() and np.isfinite(layer).all()):
        return _Closeness(0.0, np.inf)  # what is no number is like nothing
    a, b = tensor - tensor.mean(), layer - layer.mean()
    power = float(b @ b)
    scale = float(np.sqrt(float(a @ a) * power))
    error = float(np.sum((tensor - layer) ** 2))
    return _Closeness(float(a @ b) / scale if scale else 0.0, error / power if power else np.inf)


def _best(close: Mapping[int, _Closeness], tensor: FileValue, layers: Sequence[LayerValue]) -> int:
    """Return the layer that correlates most; of several, the nearest in value, then in shape, then the first."""
    most = max(each.correlation for each in close.values())
    ties = [place for place, each in close.items() if each.correlation >= most - _TIE]
    shape = tensor.values.shape[2:]
    nearest = min(close[place].error for place in ties)
    near = [place for place in ties if close[place].error <= 1.1 * nearest + 1e-9]
    return min(near, key=lambda place: (layers[place].values.shape[1:] != shape, place))


def _by_place(
    tensors: Sequence[FileValue],
    layers: Sequence[LayerValue],
    closeness: Mapping[int, Mapping[int, _Closeness]],
    found: Mapping[int, Match],
) -> dict[int, Match]:
    """Match what is left with the layers of the right kind between those of its neighbours, which nobody has."""
    guessed: dict[int, Match] = {}
    taken = {match.place for match in found.values()}
    before = -1
    for position, tensor in enumerate(tensors):
        if tensor.number in found:
            before = max(before, found[tensor.number].place)
            continue
        later = (found[each.number].place for each in tensors[position + 1 :] if each.number in found)
        after = next((place for place in later if place > before), np.inf)
        close = closeness[tensor.number]
        between = {p: c for p, c in close.items() if before < p < after and p not in taken}
        fitting = _of_kind(tensor.op, between, layers)
        if fitting:
            before = _best(fitting, tensor, layers)
            guessed[tensor.number] = Match(before, "place")
    return guessed


def _of_kind(op: str, close: Mapping[int, _Closeness], layers: Sequence[LayerValue]) -> dict[int, _Closeness]:
    """Return what layers of the kinds give that an op mostly stands for; nothing where nothing is known of the op."""
    kinds = KINDS.get(op)
    if kinds is None:
        return {}
    places = [place for place, layer in enumerate(layers) if layer.kind.startswith(kinds)]
    if op in FUSING:
        places = [place for first in places for place in _chain(first, layers)]
    return {place: close[place] for place in places if place in close}


def _is_output(path: str, name: str) -> bool:
    """Say whether an output of a model is what a layer, or a layer of a nested model, gives."""
    return bool(name) and (path == name or path.startswith(f"{name}/"))


def is_named(name: str, path: str) -> bool:
    """Say whether the converter's name of a tensor (``model/conv_1/Relu;model/bn_1/…``) speaks of a layer."""
    layer = path.partition(" (")[0].rpartition("/")[2]
    return any(re.fullmatch(rf"{re.escape(layer)}(_\d+)?", part) for part in _parts(name))


def _parts(name: str) -> Iterable[str]:
    return (part for piece in name.split(";") for part in piece.split("/"))
