"""What comes out of layers: of a file beside the model as it came, layer by layer, on the same samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfcompress.diagnosis.file_layers import FileLayers, given_name, names_within
from tfcompress.diagnosis.layer_values import LayerValue
from tfcompress.diagnosis.tensor_statistics import TensorStatistics
from tfcompress.diagnosis.two_sides import LayerOutput, layer_of, run_alone
from tfcompress.gallery.value_counts import value_counts
from tfcompress.reports.pictures import ValueCounts


def activation_counts(
    found: FileLayers, source: Any = None, known: Sequence[str] = ()
) -> tuple[tuple[ValueCounts, ...], str]:
    """Count what comes out of layers.

    Args:
        found: what came out of those of the file, and of the model that was exported.
        source: the model as it came; None: it is the one that was exported, nothing was trained.
        known: names of its layers.

    Returns:
        A count for each layer, in the file's order, and what is to be said about those that are not there.
    """
    if not found.outputs:
        reason = found.note or "no op could be told for the layer that it computes"
        return (), f"what comes out of the layers is not known: {reason}"
    before = None
    if source is not None:
        values, reason = run_alone(source, found.inputs)
        if reason:
            return (), f"the layers of the model as it came could not be run: {reason}"
        names = frozenset(known)
        before = _Before(values, names, frozenset(name for path in found.paths for name in names_within(path)))
    counts, left = [], 0
    for name, output in found.outputs.items():
        given = output.layer.values if before is None else before.of(output)
        if given is None or not given.size or not (np.isfinite(given).all() and np.isfinite(output.values).all()):
            left += 1
        else:
            counts.append(_counts(_title(name, output.layer), given, output))
    note = f"of {left} layers, what comes out could not be compared with the model as it came"
    return tuple(counts), note if left else ""


class _Before:
    """What the layers of the model as it came give, found by what became of them.

    Args:
        values: of its layers, in the order of the calls.
        known: names of its layers.
        exported: those of the layers that the model which was exported has; a part made of a layer is another one.
    """

    def __init__(self, values: Sequence[LayerValue], known: frozenset[str], exported: frozenset[str]) -> None:
        self._values, self._known, self._exported = values, known, exported
        self._calls: dict[str, list[int]] = {}
        for place, value in enumerate(values):
            self._calls.setdefault(self._key(value), []).append(place)

    def _key(self, value: LayerValue) -> str:
        """Return the layer's path, with the note on an activation that was held back."""
        path = layer_of(value)
        return given_name(path, self._known) + value.path.removeprefix(path)

    def of(self, output: LayerOutput) -> np.ndarray | None:
        """Return what stands in the place of an output; None: nothing that can be compared."""
        calls = self._calls.get(self._key(output.layer), ())
        if output.turn >= len(calls):
            return None
        values = self._values[self._behind_folded(calls[output.turn])].values
        return values if values.ndim == output.layer.values.ndim and values.dtype.kind == "f" else None

    def _behind_folded(self, place: int) -> int:
        """Go on to what a normalization gives that a stage has folded into the layer before it."""
        users = [number for number, value in enumerate(self._values) if place in value.sources]
        if len(users) != 1 or self._values[users[0]].kind != "BatchNormalization":
            return place
        return place if layer_of(self._values[users[0]]) in self._exported else users[0]


def _title(name: str, layer: LayerValue) -> str:
    """Return the row's name, and the layer that ends what its ops compute where that is another."""
    own = layer_of(layer)
    return name if own == name else f"{name} … {own}"


def _counts(name: str, before: np.ndarray, output: LayerOutput) -> ValueCounts:
    statistics = TensorStatistics(output.tensor)
    statistics.add(output.values, None)
    grid = statistics.grid
    if grid is not None:
        slack = output.tensor.scales[0] / 2
        grid = (grid[0] - slack, grid[1] + slack)
        grid = grid if all(map(math.isfinite, grid)) else None
    return value_counts(name, before, output.values, statistics.distinct, grid)
