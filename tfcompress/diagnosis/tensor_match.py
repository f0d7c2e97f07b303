"""Which layer of a Keras model gives which tensor of a TFLite file.

Names tell where the file has them; slimmed files have none inside. Then values tell: a tensor is what the layer gives
with which it correlates most, whatever its scale. Where a fault has spoilt the values, the place between neighbours that
were told apart decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfcompress.diagnosis.layer_values import LayerValue

SURE = 0.9
"""Least correlation that tells by itself."""
_TIE = 0.002  # of the correlation: a layer and what merely scales it
_MOST = 1 << 16  # values that are compared of each tensor


@dataclass(frozen=True)
class Match:
    """A layer found for a tensor.

    Attributes:
        place: of the layer's value in the list of values.
        how: what told.
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
    """

    number: int
    name: str
    values: np.ndarray


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
    found: dict[int, Match] = {}
    for tensor in tensors:
        close = closeness[tensor.number]
        named = {place: close[place] for place in close if _is_named(tensor.name, layers[place].path)}
        if named:
            found[tensor.number] = Match(_best(named, tensor, layers), "name")
        elif close and max(closest.correlation for closest in close.values()) >= SURE:
            found[tensor.number] = Match(_best(close, tensor, layers), "values")
    return {**found, **_by_place(tensors, closeness, found)}


@dataclass(frozen=True)
class _Closeness:
    correlation: float
    error: float  # of the values as they are, against the layer's spread


def _closeness(
    tensor: FileValue, layers: Sequence[LayerValue], flat: Sequence[np.ndarray]
) -> dict[int, _Closeness]:
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
    tensors: Sequence[FileValue], closeness: Mapping[int, Mapping[int, _Closeness]], found: Mapping[int, Match]
) -> dict[int, Match]:
    """Match what is left with the layers between those of its neighbours, which nobody has; the last of equals."""
    guessed: dict[int, Match] = {}
    taken = {match.place for match in found.values()}
    before = -1
    for position, tensor in enumerate(tensors):
        if tensor.number in found:
            before = max(before, found[tensor.number].place)
            continue
        later = (found[each.number].place for each in tensors[position + 1 :] if each.number in found)
        after = next((place for place in later if place > before), np.inf)
        between = {p: c for p, c in closeness[tensor.number].items() if before < p < after and p not in taken}
        if between:
            most = max(each.correlation for each in between.values())
            place = max(p for p, each in between.items() if each.correlation >= most - 0.05)
            guessed[tensor.number] = Match(place, "place")
            before = place
    return guessed


def _is_named(name: str, path: str) -> bool:
    """Say whether the converter's name of a tensor (``model/conv_1/Relu;model/bn_1/…``) speaks of a layer."""
    layer = path.partition(" (")[0].rpartition("/")[2]
    return any(
        re.fullmatch(rf"{re.escape(layer)}(_\d+)?", part) for part in _parts(name)
    )


def _parts(name: str) -> Iterable[str]:
    return (part for piece in name.split(";") for part in piece.split("/"))
