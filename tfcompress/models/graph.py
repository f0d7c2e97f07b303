"""The graph of a functional or sequential model of either Keras: who is called, with what, and what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tfcompress.models.call_template import leaves, map_structure
from tfcompress.models.keras_private import functional, has_graph, nodes, origin
from tfcompress.models.kinds import is_model, keras_of, library_of
from tfcompress.models.own_call import own_call


@dataclass(frozen=True)
class Call:
    """One call of a layer, nested model or operation.

    Attributes:
        layer: who is called.
        args: positional arguments, symbolic tensors among them.
        kwargs: keyword arguments.
        outputs: the symbolic tensors that come out.
    """

    layer: Any
    args: Any
    kwargs: dict[str, Any]
    outputs: list[Any]


def leaf_layers(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every layer that is not itself a model, with its path (``inner/dense`` where models are nested)."""
    for layer in model.layers:
        if is_model(layer):
            yield from leaf_layers(layer, f"{prefix}{layer.name}/")
        else:
            yield f"{prefix}{layer.name}", layer


def is_sequential(model: Any) -> bool:
    """Say whether a model is sequential."""
    return isinstance(model, library_of(model).Sequential)


def is_graph(model: Any) -> bool:
    """Say whether a model is functional or sequential and built, so that its calls are known.

    They are not where its class has a ``call`` of its own, of which the graph tells nothing.
    """
    known = bool(model.built and model.inputs) if is_sequential(model) else has_graph(model)
    return known and not own_call(model)


def calls(model: Any) -> Iterator[Call]:
    """Give the calls of a model that :func:`is_graph`, in an order in which they can be made again.

    Input layers are not among them.
    """
    keras3 = keras_of(model) == "keras3"
    for node in nodes(functional(model) if keras3 else model):
        if keras3:
            layer, args, kwargs = node.operation, node.arguments.args, node.arguments.kwargs
        else:
            layer, args, kwargs = node.layer, node.call_args, node.call_kwargs
        if type(layer).__name__ != "InputLayer":
            yield Call(layer, args, dict(kwargs), leaves(node.outputs))


def called_again(found: Iterable[Call], tensors: Mapping[int, Any]) -> dict[int, Any]:
    """Make calls again on other tensors.

    Args:
        found: what is called, in an order in which it can be made.
        tensors: what stands in for symbolic tensors that go into them, by the identity of each.

    Returns:
        *tensors*, and what stands in for the tensors that come out of *found*.
    """
    known = dict(tensors)

    def swap(structure: Any) -> Any:
        return map_structure(lambda leaf: known.get(id(leaf), leaf), structure)

    for call in found:
        outputs = call.layer(*swap(call.args), **swap(call.kwargs))
        known.update(zip(map(id, call.outputs), leaves(outputs), strict=True))
    return known


def last_activation(tensor: Any) -> str:
    """Return the activation of the layer that a model's output comes from; the layer's own kind where it has none.

    Args:
        tensor: a symbolic output of a model of either Keras.

    Returns:
        In small letters: ``softmax``, ``linear``, ``reshape``.
    """
    layer = origin(tensor)
    if is_model(layer):
        return last_activation(layer.outputs[0])
    kind = type(layer).__name__.lower()
    return kind if kind == "softmax" else str(getattr(getattr(layer, "activation", None), "__name__", kind))
