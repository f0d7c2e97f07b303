"""The ops of a file by the layer that they compute, with what each layer costs there and how far off it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfcompress.diagnosis.layer_values import LayerValue, layer_values
from tfcompress.diagnosis.tensor_match import FUSING, RELUS, FileValue, is_named, match_tensors
from tfcompress.diagnosis.tensor_statistics import TensorStatistics
from tfcompress.errors import DataError, TfcompressError
from tfcompress.models.kinds import graph_of, keras_of
from tfcompress.models.precision import in_float32
from tfcompress.reports.sections import FileLayer
from tfcompress.tflite.costs import counts
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.op_parameters import op_parameters
from tfcompress.tflite.slices import Slicer
from tfcompress.tflite.weights import KernelFacts, kernel_sizes, unpacks_constant

SAMPLES = 16
"""Samples that layers are compared on, at most."""
_MATCHED = 4
"""Those among them on whose values layers are found."""
_MOST_BYTES = 64 << 20
"""Of all tensors of the samples, on either side."""
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
class _Measured:
    """What running both sides has told.

    Attributes:
        owners: by the place of an op.
        snr_db: by the place of an op: of its first output.
        note: why nothing was measured; mostly empty.
    """

    owners: Mapping[int, _Owner] = field(default_factory=dict)
    snr_db: Mapping[int, float | None] = field(default_factory=dict)
    note: str = ""


def file_layers(
    content: bytes,
    kernels: Sequence[KernelFacts],
    model: Any,
    inputs: Mapping[str, np.ndarray],
    *,
    names: Sequence[str] = (),
    known: Sequence[str] = (),
) -> tuple[tuple[FileLayer, ...], str]:
    """Return what became of the layers of a model in a file, and why a column is empty (mostly an empty string).

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
    measured = _measured(content, model, inputs, told)
    owners = dict(measured.owners)
    _by_name(flat, told, owners, known)
    _unpacking(flat, owners)
    return _rows(flat, kernels, told, owners, measured, known), measured.note


def _measured(content: bytes, model: Any, inputs: Mapping[str, np.ndarray], names: Sequence[str]) -> _Measured:
    """Run both sides; what cannot be run is told, and costs the table two columns and the export nothing."""
    if keras_of(model) == "savedmodel":
        return _Measured(note="a SavedModel does not tell its layers")
    from tensorflow.errors import OpError

    try:
        return _Comparison(content, _plain(model), inputs, names).measured()
    except (TfcompressError, ValueError, TypeError, KeyError, RuntimeError, OpError) as error:
        reason = " ".join(str(error).split())[:200]
        return _Measured(note=f"the layers could not be run beside the file: {type(error).__name__} {reason}")


def _plain(model: Any) -> Any:
    """Return the model in the form in which it is lowered: in float32, fake quantization of ours baked in."""
    model = in_float32(model)[0]
    if keras_of(graph_of(model)) != "keras3":
        return model
    from tfcompress.quantization.baking import baked, is_fake_quant

    return baked(model) if is_fake_quant(model) else model


class _Comparison:
    """One file beside the model that it was made from."""

    def __init__(self, content: bytes, model: Any, inputs: Mapping[str, np.ndarray], names: Sequence[str]) -> None:
        self._slicer = Slicer(content)
        self._graph, self._names, self._model = self._slicer.model.subgraphs[0], names, model
        first = self._slicer.model.inputs[0].shape
        self._batch = max(1, first[0]) if first else 1
        self._count = self._runs(inputs)
        self._inputs = {name: np.asarray(v[: self._count * self._batch]) for name, v in inputs.items()}

    def _runs(self, inputs: Mapping[str, np.ndarray]) -> int:
        elements = sum(self._graph.tensors[number].elements for number in self._slicer.readable)
        most = max(1, min(SAMPLES // self._batch, _MOST_BYTES // (4 * max(1, elements))))
        count = min(most, len(next(iter(inputs.values()))) // self._batch)
        if not count:
            msg = f"the file takes {self._batch} samples at a time, and there are fewer"
            raise DataError(msg)
        return count

    def measured(self) -> _Measured:
        part = self._slicer.whole()
        numbers = {tensor.name: tensor.index for tensor in self._slicer.model.inputs}
        with InterpreterProcess(part.content, whole=True, workers=1) as interpreter:
            layers = layer_values(self._model, self._inputs)  # while the interpreter starts
            given = {numbers[n]: v.reshape(self._count, self._batch, *v.shape[1:]) for n, v in self._inputs.items()}
            outputs = interpreter.run({name: given[number] for name, number in part.inputs.items()})
        values = {number: outputs[name] for name, number in part.outputs.items()}
        return self._judged(values, layers)

    def _judged(self, values: Mapping[int, np.ndarray], layers: Sequence[LayerValue]) -> _Measured:
        sizes, made, outputs = kernel_sizes(self._graph), self._slicer.made, self._outputs
        few = [_first(layer, _MATCHED * self._batch) for layer in layers]
        tensors = [
            FileValue(
                number, self._names[number], v[:_MATCHED], self._graph.ops[made[number]].name, outputs.get(number, ""),
                sizes.get(made[number], 0),
            )
            for number, v in values.items()
            if self._graph.tensors[number].dtype != "bool"
        ]  # fmt: skip
        owners: dict[int, _Owner] = {}
        snr: dict[int, float | None] = {}
        for number, match in match_tensors(tensors, few).items():
            place = made[number]
            if place in owners:
                continue
            owners[place] = _owner(match.place, layers, sizes.get(place, 0), self._graph.ops[place].name)
            statistics = TensorStatistics(self._graph.tensors[number])
            statistics.add(values[number], layers[match.place].values)
            snr[place] = statistics.snr_db
        return _Measured(owners, snr)

    @property
    def _outputs(self) -> dict[int, str]:
        return {tensor.index: tensor.name for tensor in self._slicer.model.outputs}


def _first(layer: LayerValue, count: int) -> LayerValue:
    return LayerValue(layer.path, layer.kind, layer.values[:count], layer.sources, layer.kernel_size)


def _owner(place: int, layers: Sequence[LayerValue], kernel_size: int, op: str) -> _Owner:
    """Return whose op gives a value: the layer's that has the kernel or adds, before what is fused into it."""
    merged, at = [], place
    while layers[at].kernel_size != kernel_size if kernel_size else op in FUSING and layers[at].kind in RELUS:
        if len(layers[at].sources) != 1:
            return _Owner(_layer_of(layers[place]))
        merged.append(_layer_of(layers[at]))
        at = layers[at].sources[0]
    own = _layer_of(layers[at])
    return _Owner(own, tuple(name for name in dict.fromkeys(reversed(merged)) if name != own))


def _layer_of(layer: LayerValue) -> str:
    return layer.path.partition(" (")[0]


def _by_name(flat: FlatModel, names: Sequence[str], owners: dict[int, _Owner], known: Sequence[str]) -> None:
    """Give ops that no value told apart to the layer that their tensor is called by; the last one that is named."""
    for place, op in enumerate(flat.subgraphs[0].ops):
        if place in owners or not op.outputs or op.outputs[0] < 0:
            continue
        named = [path for path in known if is_named(names[op.outputs[0]], path)]
        if named:
            owners[place] = _Owner(max(named, key=len))


def _unpacking(flat: FlatModel, owners: dict[int, _Owner]) -> None:
    """Give ops that only unpack a constant to whoever reads it first."""
    graph = flat.subgraphs[0]
    for place in reversed([place for place, op in enumerate(graph.ops) if unpacks_constant(graph, op)]):
        readers = (n for n, op in enumerate(graph.ops) if graph.ops[place].outputs[0] in op.inputs)
        reader = next(readers, None)
        owners.pop(place, None)
        if reader in owners:
            owners[place] = _Owner(owners[reader].path)


def _called(path: str, known: frozenset[str]) -> str:
    """Return the name of the layer of the model that was given which a layer is, or is a part of."""
    head, slash, last = path.rpartition("/")
    names = [last, *(last.removeprefix(prefix) for prefix in _PREFIXES)]
    found = (f"{head}{slash}{name}" for name in (*names, *(_PART.sub("", name) for name in names)))
    return next((name for name in found if name in known), path)


def _rows(
    flat: FlatModel,
    kernels: Sequence[KernelFacts],
    names: Sequence[str],
    owners: Mapping[int, _Owner],
    measured: _Measured,
    known: Sequence[str],
) -> tuple[FileLayer, ...]:
    ours = frozenset(known)
    groups: dict[str, list[int]] = {}
    merged: dict[str, list[str]] = {}
    for place in range(len(flat.subgraphs[0].ops)):
        owner = owners.get(place)
        name = _called(owner.path, ours) if owner else f"\0{place}"  # an op without a layer is a group of its own
        groups.setdefault(name, []).append(place)
        merged.setdefault(name, []).extend(_called(path, ours) for path in (owner.merged if owner else ()))
    costs = _Costs(flat, kernels)
    return tuple(
        costs.row("" if name[0] == "\0" else name, places, names, measured.snr_db, tuple(dict.fromkeys(merged[name])))
        for name, places in sorted(groups.items(), key=lambda group: group[1][-1])  # what unpacks constants runs first
    )


class _Costs:
    """What the ops of a file cost."""

    def __init__(self, flat: FlatModel, kernels: Sequence[KernelFacts]) -> None:
        self._graph = flat.subgraphs[0]
        self._parameters = op_parameters(flat.subgraphs, kernels)
        self._macs = counts(flat.subgraphs)

    def row(
        self,
        name: str,
        places: Sequence[int],
        names: Sequence[str],
        snr_db: Mapping[int, float | None],
        merged: tuple[str, ...],
    ) -> FileLayer:
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
            tensor=names[last.index] if last else "",
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
            snr_db=next((snr_db[place] for place in reversed(places) if place in snr_db), None),
        )
