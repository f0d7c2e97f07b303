"""What goes into a model and what comes out, by name, and running it that way."""

from __future__ import annotations

import contextlib
import functools
import re
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.errors import DataError, ModelError
from tfcompress.models.keras_private import all_layers
from tfcompress.models.kinds import graph_of, keras_of
from tfcompress.models.samples import by_input_name
from tfcompress.models.savedmodel import changed_at, saved_signature
from tfcompress.models.specs import Signature, TensorSpec, random_inputs, unique_names
from tfcompress.models.wiring import infer_outputs, tensor_spec, tensor_specs, wire

__all__ = [
    "Signature",
    "TensorSpec",
    "call",
    "check_finite",
    "infer_outputs",
    "padding_of",
    "random_inputs",
    "samples_at_fault",
    "signature_of",
    "unique_names",
]

_OUTSIDE = re.compile(r"indices\[[\d,]*\] = -?\d+ is not in \[0, \d+\)|[^\n]*\bmust be in the range\b[^\n\[]*")
"""What TensorFlow says of a number that is too large for a table or a number of categories."""
_FUNCTIONS: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def _compile(model: Any) -> Any:
    """Trace one function for any batch size (or the one the model insists on)."""
    import tensorflow as tf

    wiring = wire(model)
    specs = {s.name: tf.TensorSpec((wiring.batch, *s.shape), s.dtype, name=s.name) for s in wiring.inputs}
    # The function must not keep its model alive: it is itself kept for as long as the model lives.
    held = weakref.ref(model) if keras_of(model) != "savedmodel" else functools.partial(Path, model)

    @tf.function(input_signature=[specs], autograph=False)  # type: ignore[untyped-decorator]
    def run(tensors: dict[str, Any]) -> dict[str, Any]:
        return infer_outputs(held(), tensors)

    return run.get_concrete_function()


@functools.lru_cache(maxsize=2)
def _compile_savedmodel(path: Path, _changed: int) -> Any:
    return _compile(path)


def _function(model: Any) -> Any:
    graph = graph_of(model)
    if keras_of(graph) == "savedmodel":
        path = Path(graph).resolve()
        return _compile_savedmodel(path, changed_at(path))
    if graph not in _FUNCTIONS:
        _FUNCTIONS[graph] = _compile(graph)
    return _FUNCTIONS[graph]


def signature_of(model: Any) -> Signature:
    """Return the inputs and outputs of a model.

    Args:
        model: a Keras 3 or tf_keras model (with tfmot's wrappers too), a carrier of a tf_keras model, or the path of a
            SavedModel folder.

    Raises:
        ModelError: the model was never built, or the SavedModel has no ``serving_default``.
        UnsupportedError: an input has no known rank, or is a nested structure.
    """
    graph = graph_of(model)
    wiring = wire(graph)
    if wiring.output_names is not None:
        return Signature(wiring.inputs, tensor_specs(wiring.output_names, graph.outputs))
    traced = _function(model).structured_outputs
    return Signature(wiring.inputs, tuple(tensor_spec(n, t.shape, t.dtype) for n, t in traced.items()))


def _pad(piece: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last sample until there are *size* of them."""
    return piece if len(piece) == size else np.concatenate([piece, np.repeat(piece[-1:], size - len(piece), axis=0)])


def call(model: Any, inputs: Mapping[str, np.ndarray], batch_size: int = 64) -> dict[str, np.ndarray]:
    """Run *model* for inference, batch by batch.

    The model is traced once and the function kept for as long as the model lives; changed weights are seen, a changed
    structure is not (a technique returns a new model).

    Args:
        model: as for :func:`signature_of`.
        inputs: an array of shape (samples, *spec.shape) for every input, by name; cast to the input's dtype.
        batch_size: samples a step; a model with a fixed batch size keeps its own.

    Returns:
        An array of shape (samples, *spec.shape) for every output, by name.

    Raises:
        DataError: names, shapes or dtypes that are not the model's, or no samples.
    """
    function = _function(model)
    wiring = wire(graph_of(model))
    arrays = by_input_name(inputs, wiring.inputs)
    samples = len(arrays[wiring.inputs[0].name])
    size = wiring.batch or batch_size
    pieces: dict[str, list[np.ndarray]] = {}
    for start in range(0, samples, size):
        batch = {s.name: np.asarray(arrays[s.name][start : start + size], dtype=s.dtype) for s in wiring.inputs}
        if wiring.batch:
            batch = {name: _pad(piece, size) for name, piece in batch.items()}
        for name, value in _run(function, batch).items():
            pieces.setdefault(name, []).append(value.numpy()[: samples - start])
    return {name: np.concatenate(parts) for name, parts in pieces.items()}


def _run(function: Any, batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
    import tensorflow as tf

    with samples_at_fault():
        outputs: dict[str, Any] = function({name: tf.constant(piece) for name, piece in batch.items()})
    return outputs


@contextlib.contextmanager
def samples_at_fault() -> Iterator[None]:
    """Say of numbers that a model cannot look up, such as words beyond its table, that the samples are at fault.

    Raises:
        DataError: in place of TensorFlow's error, which is of many lines on where.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = _OUTSIDE.search(error.message)
        if not found:
            raise
        msg = f"data: the model cannot compute these samples: {found[0]}; give the numbers that it was trained on"
        raise DataError(msg) from error


def padding_of(model: Any) -> float | None:
    """Return the value by which a model marks padding in sequences of floats (``Masking``); None: it marks none."""
    graph = graph_of(model)
    if keras_of(graph) == "savedmodel":
        return None
    values = (layer.mask_value for layer in all_layers(graph) if type(layer).__name__ == "Masking")
    return next(map(float, values), None)


def _weights(model: Any) -> Iterable[tuple[str, Any]]:
    graph = graph_of(model)
    kind = keras_of(graph)
    if kind == "savedmodel":
        function, _ = saved_signature(Path(graph))
        return [(v.name, v.numpy()) for v in function.variables]
    return [(w.path if kind == "keras3" else w.name, w.numpy()) for w in graph.weights]


def check_finite(model: Any) -> None:
    """Check that no weight of *model* is NaN or infinite.

    Raises:
        ModelError: naming the layer and the weight.
    """
    for path, value in _weights(model):
        if value.dtype.kind != "f":
            continue
        bad = value.size - int(np.count_nonzero(np.isfinite(value)))
        if bad:
            layer, _, weight = path.removesuffix(":0").rpartition("/")
            what = "NaN" if np.isnan(value).any() else "infinity"
            msg = (
                f"layer {layer!r} holds {what} in {bad} of {value.size} values of its {weight!r}; train the model again"
            )
            raise ModelError(msg)
