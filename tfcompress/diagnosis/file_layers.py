"""The ops of a file by the layer that they compute, with what each layer costs there and how far off it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.diagnosis.layer_values import LayerValue
from tfcompress.diagnosis.tensor_match import FUSING, RELUS, is_named
from tfcompress.diagnosis.two_sides import LayerOutput, TwoSides, layer_of, run_both
from tfcompress.reports.sections import FileLayer
from tfcompress.tflite.costs import counts
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.op_parameters import op_parameters
from tfcompress.tflite.tensors import Subgraph
from tfcompress.tflite.weights import KernelFacts, kernel_sizes, unpacks_constant

_PREFIXES = ("quant_", "prune_low_magnitude_", "cluster_")
"""What training wrappers put before the name of a layer."""
_PART = re.compile(r"_(inner|pointwise|(factor|range|rescale)\d+)$")
"""What our own stages put behind it, where they make several layers of one."""


@dataclass(frozen=True)
class _Owner:
    """Who an op belongs to: the path of a layer, and those of the layers that are computed along with it."""

    path: str
    merged: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileLayers:
    """A file by its layers.

    Attributes:
        rows: what became of each layer.
        outputs: what comes out of a row's ops beside what the model that was exported has there, by the row's name;
            rows of which that is not known are not there.
        paths: of the layers of that model; empty: it did not run.
        inputs: that both were given, by the model's input names, arrays of shape (samples, *shape); empty: neither ran.
        note: why a column is empty; mostly empty itself.
    """

    rows: tuple[FileLayer, ...]
    outputs: Mapping[str, LayerOutput]
    paths: frozenset[str]
    inputs: Mapping[str, np.ndarray]
    note: str


def file_layers(
    content: bytes,
    kernels: Sequence[KernelFacts],
    model: Any,
    inputs: Mapping[str, np.ndarray],
    *,
    names: Sequence[str] = (),
    known: Sequence[str] = (),
) -> FileLayers:
    """Return what became of the layers of a model in a file.

    Args:
        content: the file.
        kernels: what :func:`tfcompress.tflite.weights.facts` found in it.
        model: the Keras model that was exported, of either Keras; the path of a SavedModel has no layers.
        inputs: samples by the model's input names, arrays of shape (samples, *shape).
        names: of the tensors of the main subgraph, where a packing took them out of the file.
        known: names of the layers that rows are to be called by.
    """
    flat = read_model_file(content)
    told = [names[t.index] if names else t.name for t in flat.subgraphs[0].tensors]
    sides = run_both(content, model, inputs, told)
    owners = _owners(flat, told, sides, known)
    costs = _Costs(flat, kernels, told)
    rows, outputs = [], {}
    for name, places, merged, paths in _groups(flat, owners, frozenset(known)):
        output = sides.output_of(flat.subgraphs[0], places, paths)
        rows.append(costs.row(name, places, merged, None if output is None else output.snr_db))
        if output is not None:
            outputs[name] = output
    return FileLayers(tuple(rows), outputs, frozenset(map(layer_of, sides.layers)), sides.inputs, sides.note)


def _owners(flat: FlatModel, names: Sequence[str], sides: TwoSides, known: Sequence[str]) -> dict[int, _Owner]:
    """Return whose each op is, by its place; those that belong to nobody are not there."""
    graph, sizes = flat.subgraphs[0], kernel_sizes(flat.subgraphs[0])
    paths = list(dict.fromkeys([*map(layer_of, sides.layers), *known]))
    owners: dict[int, _Owner] = {}
    doubtful: dict[int, set[str]] = {}
    for place, op in enumerate(graph.ops):
        number = next((n for n in op.outputs if n >= 0), None)
        if number is None:
            continue
        scopes, match = _scopes(names[number], paths), sides.matches.get(number)
        owner = None if match is None else _owner(match.place, sides.layers, sizes.get(place, 0), op.name)
        if len(scopes) == 1 and (owner is None or not scopes & {owner.path, *owner.merged}):
            owner = _Owner(next(iter(scopes)))
        if owner is not None:
            owners[place] = owner
        elif scopes:
            doubtful[place] = scopes
    _ask_neighbours(graph, owners, doubtful)
    for place in reversed([place for place, op in enumerate(graph.ops) if unpacks_constant(graph, op)]):
        readers = (n for n, op in enumerate(graph.ops) if graph.ops[place].outputs[0] in op.inputs)
        reader = owners.get(next(readers, -1))
        owners.pop(place, None)
        if reader is not None:
            owners[place] = _Owner(reader.path)
    return owners


def _scopes(name: str, paths: Sequence[str]) -> set[str]:
    """Return the layers in whose scope a tensor may be, by its name.

    A layer's own ops stand below it: ``model/attention/key/add`` is the layer ``attention``'s, and not ``add``'s. A
    name that the converter made of several (``model/relu;model/conv/BiasAdd``) speaks of several, and ``norm_1`` may be
    what Keras calls the layer ``norm`` there.
    """
    found: set[str] = set()
    for piece in name.split(";"):
        for part in piece.split("/"):
            inside = {path for path in paths if is_named(part, path)}
            if inside:
                found |= inside
                break
    return found


def _ask_neighbours(graph: Subgraph, owners: dict[int, _Owner], doubtful: Mapping[int, set[str]]) -> None:
    """Give ops that may be one of several layers' to the one that reads what they give, or gives what they read."""
    made = {number: place for place, op in enumerate(graph.ops) for number in op.outputs}
    readers: dict[int, list[int]] = {}
    for place, op in enumerate(graph.ops):
        for number in op.inputs:
            readers.setdefault(made.get(number, -1), []).append(place)
    for place in sorted(doubtful, reverse=True):
        _adopt(place, readers.get(place, ()), owners, doubtful[place])
    for place in sorted(set(doubtful) - set(owners)):
        _adopt(place, [made.get(number, -1) for number in graph.ops[place].inputs], owners, doubtful[place])


def _adopt(place: int, neighbours: Sequence[int], owners: dict[int, _Owner], scopes: set[str]) -> None:
    found = {owners[other].path for other in neighbours if other in owners} & scopes
    if len(found) == 1:
        owners[place] = _Owner(found.pop())


def _owner(place: int, layers: Sequence[LayerValue], kernel_size: int, op: str) -> _Owner:
    """Return whose op gives a value: the layer's that has the kernel or adds, before what is fused into it."""
    merged, at = [], place
    while layers[at].kernel_size != kernel_size if kernel_size else op in FUSING and layers[at].kind in RELUS:
        if len(layers[at].sources) != 1:
            return _Owner(layer_of(layers[place]))
        merged.append(layer_of(layers[at]))
        at = layers[at].sources[0]
    own = layer_of(layers[at])
    return _Owner(own, tuple(name for name in dict.fromkeys(reversed(merged)) if name != own))


def names_within(path: str) -> tuple[str, ...]:
    """Return the names that a layer may have in the model as it came: its own, and that of what a wrapper holds."""
    head, slash, last = path.rpartition("/")
    return tuple(f"{head}{slash}{name}" for name in (last, *(last.removeprefix(prefix) for prefix in _PREFIXES)))


def given_name(path: str, known: frozenset[str]) -> str:
    """Return the name of the layer of the model that was given which a layer is, or is a part of."""
    names = names_within(path)
    found = (*names, *(_PART.sub("", name) for name in names))
    return next((name for name in found if name in known), path)


_Group = tuple[str, list[int], tuple[str, ...], list[str]]
"""Name of a layer, places of its ops, names of the layers that are merged into it, and paths of all of them."""


def _groups(flat: FlatModel, owners: Mapping[int, _Owner], known: frozenset[str]) -> list[_Group]:
    """Return the ops by layer, in the order in which they end; an op without a layer is a group of its own."""
    found: dict[str | int, list[int]] = {}
    for place in range(len(flat.subgraphs[0].ops)):
        owner = owners.get(place)
        found.setdefault(given_name(owner.path, known) if owner else place, []).append(place)
    groups: list[_Group] = []
    for name, places in sorted(found.items(), key=lambda group: group[1][-1]):  # what unpacks constants runs first
        own = [owners[place] for place in places if place in owners]
        merged = dict.fromkeys(path for owner in own for path in owner.merged)
        called = tuple(given_name(path, known) for path in merged)
        paths = [*(owner.path for owner in own), *merged]
        groups.append(("" if isinstance(name, int) else name, places, called, paths))
    return groups


class _Costs:
    """What the ops of a file cost."""

    def __init__(self, flat: FlatModel, kernels: Sequence[KernelFacts], names: Sequence[str]) -> None:
        self._graph, self._names = flat.subgraphs[0], names
        self._parameters = op_parameters(flat.subgraphs, kernels)
        self._macs = counts(flat.subgraphs)

    def row(self, name: str, places: Sequence[int], merged: tuple[str, ...], snr_db: float | None) -> FileLayer:
        """Return the sums over some ops."""
        ops = [self._graph.ops[place] for place in places]
        own = [self._parameters[place] for place in places]
        macs = [self._macs[place] for place in places]
        counted = [count for count in macs if count is not None]
        largest = max((each for each in own if each.bits), key=lambda each: each.parameters, default=None)
        last = next(iter(self._graph.of(ops[-1].outputs[:1])), None)
        shape = () if last is None else tuple(None if size < 0 else size for size in last.shape_signature[1:])
        return FileLayer(
            name=name,
            tensor=self._names[last.index] if last else "",
            ops=tuple(op.name for op in ops),
            places=tuple(places),
            merged=merged,
            output_shape=shape,
            dtype=last.dtype if last else "",
            parameters=sum(each.parameters for each in own),
            nonzero=sum(each.nonzero for each in own),
            distinct=largest.distinct if largest else None,
            bits=largest.bits if largest else None,
            size_bytes=sum(each.size_bytes for each in own),
            macs=sum(counted) if len(counted) == len(macs) else None,
            snr_db=snr_db,
        )
