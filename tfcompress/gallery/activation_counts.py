"""What comes out of layers: of a file beside the model as it came, layer by layer, on the same samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfcompress.diagnosis.file_layers import FileLayers, given_name
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
        before = _calls(values, frozenset(known))
    counts, left = [], 0
    for name, output in found.outputs.items():
        given = output.layer.values if before is None else _given(output, before, frozenset(known))
        if given is None or not given.size or not (np.isfinite(given).all() and np.isfinite(output.values).all()):
            left += 1
        else:
            counts.append(_counts(_title(name, output.layer), given, output))
    note = f"of {left} layers, what comes out could not be compared with the model as it came"
    return tuple(counts), note if left else ""


_Calls = Mapping[str, Sequence[np.ndarray]]
"""What each call of a layer gave, by the layer's path with the note on an activation that was held back."""


def _calls(values: Sequence[LayerValue], known: frozenset[str]) -> _Calls:
    found: dict[str, list[np.ndarray]] = {}
    for value in values:
        found.setdefault(_key(value, known), []).append(value.values)
    return found


def _key(value: LayerValue, known: frozenset[str]) -> str:
    path = layer_of(value)
    return given_name(path, known) + value.path.removeprefix(path)


def _given(output: LayerOutput, before: _Calls, known: frozenset[str]) -> np.ndarray | None:
    """Return what the model as it came has in the place of an output; None: nothing that can be compared."""
    calls = before.get(_key(output.layer, known), ())
    if output.turn >= len(calls):
        return None
    values = calls[output.turn]
    return values if values.ndim == output.layer.values.ndim and values.dtype.kind == "f" else None


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
