"""Whether the layers of a configuration can be connected as it says.

Keras connects layers in turns: one whose inputs are not there yet waits for the next turn. Where a node is named that
never comes, or layers wait for each other, tf_keras turns for ever.

Light: the child that looks into a file imports this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Node = tuple[str, int]
"""One call of a layer: its name and the number of the call."""

MOST_CALLS = 100_000
"""Most calls of layers in a model, those of nested models counted as often as these are called.

The largest of Keras's own networks have some 1,500; nested models that call theirs twice double them at every level.
"""
MOST_NESTED = 200
"""Depth at which Keras's own reader, which calls itself, would come to its end."""


def find_fault(config: Any) -> str:
    """Say why the layers of a model's configuration, or of one nested in it, cannot be connected; empty: they can.

    Args:
        config: what ``model_config`` or ``config.json`` holds.
    """
    stack = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            inner = value.get("config")
            if isinstance(inner, dict) and isinstance(inner.get("layers"), list) and "output_layers" in inner:
                fault = _fault(inner["layers"])
                if fault:
                    return fault
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
    if _calls(config, 0) > MOST_CALLS:
        return f"its layers are called more than {MOST_CALLS:,} times"
    return ""


def _calls(value: Any, depth: int) -> int:
    """Return how many calls of layers a description leads to."""
    if depth > MOST_NESTED:
        return 0  # which is refused for its depth
    if isinstance(value, list):
        return sum(_calls(item, depth + 1) for item in value)
    if not isinstance(value, dict):
        return 0
    layers = value.get("layers")
    if not isinstance(layers, list):
        return sum(_calls(item, depth + 1) for item in value.values() if isinstance(item, dict | list))
    return sum(_times(layer) * max(1, _calls(layer, depth + 1)) for layer in layers)


def _times(layer: Any) -> int:
    calls = layer.get("inbound_nodes") if isinstance(layer, dict) else None
    return max(1, len(calls)) if isinstance(calls, list) else 1


def _fault(layers: list[Any]) -> str:
    """Say what keeps the layers of one functional model from being connected."""
    nodes: dict[Node, set[Node]] = {}
    counts: dict[str, int] = {}
    nested: set[str] = set()
    for layer in layers:
        if not isinstance(layer, dict) or not isinstance(layer.get("name"), str):
            return "one of its layers has no name"
        name, calls = layer["name"], layer.get("inbound_nodes")
        if name in counts:
            return f"two of its layers are called {name!r}"
        if not isinstance(calls, list):
            return f"its layer {name!r} does not say what it is called with"
        is_input = layer.get("class_name") == "InputLayer"
        counts[name] = 1 if is_input else len(calls)
        if _is_model(layer):
            nested.add(name)
        for number in range(counts[name]):
            before = {(name, number - 1)} if number else set()  # calls are made in their order
            nodes[name, number] = before if is_input else before | set(_named(calls[number]))
    return _missing(nodes, counts, nested) or _circle(nodes, nested)


def _is_model(layer: Mapping[str, Any]) -> bool:
    config = layer.get("config")
    return isinstance(config, list) or (isinstance(config, dict) and "layers" in config)


def _named(call: Any) -> Iterator[Node]:
    """Give the nodes that one call takes its tensors from; what is written there may be anything."""
    return _named_in_lists(call) if isinstance(call, list) else _named_in_tensors(call)


def _named_in_tensors(call: Any) -> Iterator[Node]:
    """Keras 3's notation: each tensor is described, with its history."""
    stack = [call]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            history = value.get("keras_history")
            if history is not None:
                yield _node(history)
            stack.extend(item for key, item in value.items() if key != "keras_history")
        elif isinstance(value, list):
            stack.extend(value)


def _named_in_lists(call: list[Any]) -> Iterator[Node]:
    """Keras 2's notation: ``[layer, node, tensor]``, with the call's other arguments in the first one."""
    stack: list[Any] = [call]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list):
            if len(value) in (3, 4) and isinstance(value[0], str):
                if value[0] != "_CONSTANT_VALUE":
                    yield _node(value)
                stack.extend(value[3:])
            else:
                stack.extend(value)


def _node(reference: Any) -> Node:
    """Return the node that a reference names; one that makes no sense names a call before the first."""
    if not (isinstance(reference, list) and len(reference) >= 2 and isinstance(reference[0], str)):
        return str(reference), -1
    number = reference[1]
    return reference[0], number if isinstance(number, int) and not isinstance(number, bool) else -1


def _missing(nodes: Mapping[Node, set[Node]], counts: Mapping[str, int], nested: set[str]) -> str:
    for (name, _), sources in nodes.items():
        for source, number in sources:
            if source not in counts:
                return f"its layer {name!r} takes a tensor from {source!r}, which is none of its layers"
            # The first call of a nested model is the one that it was built with, which is not written down.
            if not 0 <= number < counts[source] + (source in nested):
                return f"its layer {name!r} takes a tensor from call {number} of {source!r}, of which there is none"
    return ""


def _circle(nodes: Mapping[Node, set[Node]], nested: set[str]) -> str:
    """Say which layers wait for each other, if any do: Kahn's algorithm (1962)."""
    waiting: dict[Node, int] = {}
    followers: dict[Node, list[Node]] = {}
    for node, named in nodes.items():
        sources = {_as_written(source, nested) for source in named}
        waiting[node] = len(sources)
        for source in sources:
            followers.setdefault(source, []).append(node)
    ready = [node for node, count in waiting.items() if not count]
    while ready:
        node = ready.pop()
        del waiting[node]
        for follower in followers.get(node, ()):
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    names = sorted({name for name, _ in waiting})
    return f"its layers wait for each other ({', '.join(names[:3])})" if names else ""


def _as_written(node: Node, nested: set[str]) -> Node:
    name, number = node
    return (name, max(0, number - 1)) if name in nested else node
