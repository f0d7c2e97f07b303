"""How a model of either Keras, or a SavedModel, is fed and read by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfcompress.errors import ModelError, UnsupportedError
from tfcompress.models.keras_private import build_shapes, origin
from tfcompress.models.kinds import graph_of, keras_of
from tfcompress.models.own_call import own_call
from tfcompress.models.savedmodel import SERVING as SERVING
from tfcompress.models.savedmodel import saved_signature
from tfcompress.models.specs import TensorSpec, unique_names
from tfcompress.safety.configuration import TRAINING_WRAPPERS


@dataclass(frozen=True)
class Wiring:
    """How a model is fed.

    Attributes:
        inputs: what goes in.
        batch: the batch size the model insists on; None: any.
        infer: takes the model and its input tensors in the order of *inputs*; gives its outputs, in its own structure.
        output_names: names of the flattened outputs; None: known only after running.
    """

    inputs: tuple[TensorSpec, ...]
    batch: int | None
    infer: Callable[[Any, list[Any]], Any]
    output_names: tuple[str, ...] | None


def tensor_spec(name: str, shape: Any, dtype: Any) -> TensorSpec:
    """Describe a tensor whose *shape* (any Keras's or TensorFlow's) begins with the batch axis.

    Raises:
        UnsupportedError: the number of axes is not known.
    """
    if shape is None or getattr(shape, "rank", 0) is None:
        msg = f"{name!r} has no known number of axes; export the model with a fixed rank"
        raise UnsupportedError(msg)
    sizes = tuple(None if size is None else int(size) for size in shape)
    return TensorSpec(name, sizes[1:], str(getattr(dtype, "name", dtype)))


def tensor_specs(names: Sequence[str], tensors: Sequence[Any]) -> tuple[TensorSpec, ...]:
    """Describe tensors, under *names* made valid and unique."""
    return tuple(tensor_spec(n, t.shape, t.dtype) for n, t in zip(unique_names(names), tensors, strict=True))


def unwrapped(layer: Any) -> Any:
    """Return the layer inside tfmot's training wrappers, or *layer* itself."""
    while type(layer).__name__ in TRAINING_WRAPPERS:
        layer = layer.layer
    return layer


def _batch(tensors: Iterable[Any]) -> int | None:
    sizes = {int(t.shape[0]) for t in tensors if len(t.shape) and t.shape[0] is not None}
    return min(sizes) if sizes else None


def _no_inputs(model: Any) -> ModelError:
    return ModelError(f"model {model.name!r} was never built, its inputs are unknown; call it once on a sample")


def _wire_keras3(model: Any) -> Wiring:
    import keras

    if not isinstance(model, keras.Sequential) and not hasattr(model, "output_names"):
        return _wire_subclassed3(model)
    tensors = model.inputs if model.built else None
    if not tensors:
        raise _no_inputs(model)
    names = [origin(t).name for t in tensors]  # an unnamed input's tensor is called otherwise

    def infer(model: Any, values: list[Any]) -> Any:
        by_name = dict(zip(names, values, strict=True))
        structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        fed = keras.tree.map_structure(lambda t: by_name[origin(t).name], structure)
        return model(fed, training=False)

    outputs = None if own_call(model) else tuple(unique_names(origin(t).name for t in model.outputs))
    return Wiring(tensor_specs(names, tensors), _batch(tensors), infer, outputs)


def _wire_subclassed3(model: Any) -> Wiring:
    shapes = build_shapes(model) if model.built else None
    if not shapes:
        raise _no_inputs(model)
    for name, shape in shapes.items():
        if not all(size is None or isinstance(size, int) for size in shape):
            msg = f"subclassed model {model.name!r} takes a nested structure as {name!r}; only tensors are supported"
            raise UnsupportedError(msg)
    names = unique_names(name.removesuffix("_shape") for name in shapes)
    specs = tuple(tensor_spec(n, s, model.input_dtype) for n, s in zip(names, shapes.values(), strict=True))
    return Wiring(specs, None, lambda model, values: model(*values, training=False), None)


def _wire_keras2(model: Any) -> Wiring:
    import tensorflow as tf

    if not model.inputs or not model.output_names:
        return _wire_subclassed2(model)

    def infer(model: Any, values: list[Any]) -> Any:
        return model(tf.nest.pack_sequence_as(model.input, values), training=False)

    outputs = None if own_call(model) else tuple(unique_names(unwrapped(origin(t)).name for t in model.outputs))
    return Wiring(tensor_specs(model.input_names, model.inputs), _batch(model.inputs), infer, outputs)


def _wire_subclassed2(model: Any) -> Wiring:
    import tensorflow as tf

    recorded = model.save_spec()
    if recorded is None:
        raise _no_inputs(model)
    args, kwargs = recorded
    tensors = tf.nest.flatten((args, kwargs))

    def infer(model: Any, values: list[Any]) -> Any:
        packed_args, packed_kwargs = tf.nest.pack_sequence_as((args, kwargs), values)
        return model(*packed_args, **{**packed_kwargs, "training": False})

    return Wiring(tensor_specs([t.name for t in tensors], tensors), _batch(tensors), infer, None)


def _wire_savedmodel(path: Path) -> Wiring:
    function, _ = saved_signature(path)
    tensors = function.structured_input_signature[1]
    names = list(tensors)

    def infer(_: Any, values: list[Any]) -> Any:
        return function(**dict(zip(names, values, strict=True)))

    specs = tensor_specs(names, list(tensors.values()))
    return Wiring(specs, _batch(tensors.values()), infer, None)


def wire(model: Any) -> Wiring:
    """Find out how *model* (of either Keras, or the path of a SavedModel) is fed.

    Raises:
        ModelError: the model was never built, or a SavedModel has no ``serving_default``.
        UnsupportedError: an input has no known rank, or is a nested structure.
    """
    kind = keras_of(model)
    if kind == "savedmodel":
        return _wire_savedmodel(Path(model))
    return _wire_keras3(model) if kind == "keras3" else _wire_keras2(model)


def _named(outputs: Any, names: tuple[str, ...] | None) -> dict[str, Any]:
    """Put output tensors of any structure under their names."""
    import tensorflow as tf

    if names is None:
        names = tuple(unique_names(sorted(outputs))) if isinstance(outputs, dict) else None
    flat = tf.nest.flatten(outputs)
    return dict(zip(names or [f"output_{i}" for i in range(len(flat))], flat, strict=True))


def infer_outputs(model: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Run *model* once, for inference, on TensorFlow tensors by input name; for use inside a ``tf.function`` too.

    Args:
        model: as for :func:`signature_of`.
        tensors: a tensor of shape (batch, *spec.shape) for every input.

    Returns:
        The output tensors by name.
    """
    graph = graph_of(model)
    wiring = wire(graph)
    return _named(wiring.infer(graph, [tensors[s.name] for s in wiring.inputs]), wiring.output_names)
