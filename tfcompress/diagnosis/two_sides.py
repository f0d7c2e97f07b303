"""A file and the Keras model that it was made from, run on the same samples, with every tensor and layer kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from tfcompress.diagnosis.layer_values import LayerValue, layer_values
from tfcompress.diagnosis.tensor_match import FileValue, Match, match_tensors
from tfcompress.diagnosis.tensor_statistics import TensorStatistics
from tfcompress.errors import DataError, TfcompressError
from tfcompress.models.kinds import graph_of, has_layers, keras_of
from tfcompress.models.precision import in_float32
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.slices import Slicer
from tfcompress.tflite.tensors import StoredTensor, Subgraph
from tfcompress.tflite.weights import kernel_sizes

T = TypeVar("T")

SAMPLES = 16
"""Samples that are run, at most."""
_MATCHED = 4
"""Those among them on whose values layers are found."""
_MOST_BYTES = 64 << 20
"""Of all tensors of the samples, on either side."""
_FLOAT_DB = 40.0
"""Where nothing in a file is quantized, an error beyond this is no error: another quantity is compared."""


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """What some ops of a file give to others, beside what the layer that they compute gives.

    Attributes:
        tensor: that they make.
        values: its real values, of shape (runs, *shape).
        layer: the layer's value, as many numbers.
        turn: of which call of that layer it is, from 0.
        snr_db: the layer's spread against the error, in decibels; None: it has none.
    """

    tensor: StoredTensor
    values: np.ndarray
    layer: LayerValue
    turn: int
    snr_db: float | None


@dataclass(frozen=True)
class TwoSides:
    """What running both sides gave.

    Attributes:
        inputs: what both were given, by the model's input names, arrays of shape (samples, *shape).
        layers: what the layers give, in the order of the calls.
        matches: number of a tensor -> the layer's value that it seems to be.
        values: number of a tensor -> its real values, of shape (runs, *shape).
        note: why nothing was run; mostly empty.
    """

    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    layers: Sequence[LayerValue] = ()
    matches: Mapping[int, Match] = field(default_factory=dict)
    values: Mapping[int, np.ndarray] = field(default_factory=dict)
    note: str = ""

    def output_of(self, graph: Subgraph, places: Sequence[int], paths: Sequence[str]) -> LayerOutput | None:
        """Return what some ops give to others; None: that is no value of their layers.

        Args:
            graph: the main subgraph.
            places: of the ops.
            paths: of the layers that they compute; what comes out is what the last of them gives that fits.
        """
        number = _leaving(graph, places)
        if number is None or number not in self.values:
            return None
        fitting = [p for p, each in enumerate(self.layers) if layer_of(each) in paths and self._fits(number, each)]
        if not fitting:
            return None
        match = self.matches.get(number)
        place = match.place if match is not None and match.place in fitting else fitting[-1]
        layer = self.layers[place]
        statistics = TensorStatistics(graph.tensors[number])
        statistics.add(self.values[number], layer.values)
        found = statistics.snr_db
        if found is not None and found < _FLOAT_DB and not any(tensor.scales for tensor in graph.tensors):
            return None
        turn = sum(each.path == layer.path for each in self.layers[:place])
        return LayerOutput(graph.tensors[number], self.values[number], layer, turn, found)

    def _fits(self, number: int, layer: LayerValue) -> bool:
        return layer.values.size == self.values[number].size and layer.values.dtype.kind == "f"


def _leaving(graph: Subgraph, places: Sequence[int]) -> int | None:
    """Return the last tensor of some ops that others read, or that is an output of the graph."""
    own = set(places)
    read = {n for place, op in enumerate(graph.ops) if place not in own for n in op.inputs} | set(graph.outputs)
    leaving = [n for place in places for n in graph.ops[place].outputs if n in read]
    return leaving[-1] if leaving else None


def layer_of(value: LayerValue) -> str:
    """Return the path of the layer that a value is of."""
    return value.path.partition(" (")[0]


def run_both(content: bytes, model: Any, inputs: Mapping[str, np.ndarray], names: Sequence[str]) -> TwoSides:
    """Run a file and its model; what cannot be run is reported, and costs a table two columns and an export nothing.

    Args:
        content: the file.
        model: the model, of either Keras; the path of a SavedModel has no layers.
        inputs: samples by the model's input names, arrays of shape (samples, *shape).
        names: of the tensors of the main subgraph.
    """
    if not has_layers(model):
        kind = "a SavedModel" if keras_of(model) == "savedmodel" else "a .tflite file"
        return TwoSides(note=f"{kind} does not list its layers")
    found, reason = _tried(lambda: _Comparison(content, _as_lowered(model), inputs, names).run())
    return found or TwoSides(note=f"the layers could not be run beside the file: {reason}")


def run_alone(model: Any, inputs: Mapping[str, np.ndarray]) -> tuple[list[LayerValue], str]:
    """Return what the layers of a model give, in the form in which it is lowered, and why nothing (mostly empty).

    Args:
        model: the model, of either Keras, with layers.
        inputs: samples by the model's input names, arrays of shape (samples, *shape).
    """
    found, reason = _tried(lambda: layer_values(_as_lowered(model), inputs))
    return found or [], reason


def _tried(run: Callable[[], T]) -> tuple[T | None, str]:
    """Run what a table and a picture may do without, and return what came of it, or why nothing did."""
    from tensorflow.errors import OpError

    try:
        return run(), ""
    except (TfcompressError, ValueError, TypeError, KeyError, RuntimeError, OpError) as error:
        return None, f"{type(error).__name__} {' '.join(str(error).split())[:200]}"


def _as_lowered(model: Any) -> Any:
    """Return a model in the form in which it is lowered: in float32, fake quantization of ours baked in."""
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

    def run(self) -> TwoSides:
        part = self._slicer.whole()
        numbers = {tensor.name: tensor.index for tensor in self._slicer.model.inputs}
        with InterpreterProcess(part.content, whole=True, workers=1) as interpreter:
            layers = layer_values(self._model, self._inputs)  # while the interpreter starts
            given = {numbers[n]: v.reshape(self._count, self._batch, *v.shape[1:]) for n, v in self._inputs.items()}
            outputs = interpreter.run({name: given[number] for name, number in part.inputs.items()})
        values = {number: outputs[name] for name, number in part.outputs.items()}
        return TwoSides(self._inputs, layers, self._matches(values, layers), values)

    def _matches(self, values: Mapping[int, np.ndarray], layers: Sequence[LayerValue]) -> dict[int, Match]:
        sizes, made = kernel_sizes(self._graph), self._slicer.made
        outputs = {tensor.index: tensor.name for tensor in self._slicer.model.outputs}
        tensors = [
            FileValue(
                number, self._names[number], v[:_MATCHED], self._graph.ops[made[number]].name, outputs.get(number, ""),
                sizes.get(made[number], 0),
            )
            for number, v in values.items()
            if self._graph.tensors[number].dtype != "bool"
        ]  # fmt: skip
        return match_tensors(tensors, [_first(layer, _MATCHED * self._batch) for layer in layers])


def _first(layer: LayerValue, count: int) -> LayerValue:
    return LayerValue(layer.path, layer.kind, layer.values[:count], layer.sources, layer.kernel_size)
