"""A model run call by call, to look at what goes into its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tfcompress.models.call_template import Template, leaves
from tfcompress.models.graph import calls, is_graph
from tfcompress.models.keras_private import has_origin

Seen = Callable[[str, Any, Any], None]
"""Called with a layer's path, the layer, and the first tensor that goes into it."""


Instead = Callable[[Any, Any, Mapping[int, Any]], Any]
"""From a symbolic tensor, its value and the values by the symbols' ids to the value that goes on in its place."""


def pass_through(
    model: Any, given: list[Any], seen: Seen, prefix: str = "", instead: Instead | None = None
) -> list[Any]:
    """Run a model call by call, nested ones inside too.

    Args:
        model: a functional or sequential Keras 3 model; it runs for inference.
        given: a tensor for each input, in the model's order.
        seen: called with every call that takes a tensor.
        prefix: what stands before the paths.
        instead: may put another value in the place of what a call made; None: nothing is replaced.

    Returns:
        The outputs, in the model's order.
    """
    values = {id(symbol): value for symbol, value in zip(model.inputs, given, strict=True)}
    for call in calls(model):
        template, symbols = Template.of(call.args, call.kwargs, has_origin)
        fed = [values[id(symbol)] for symbol in symbols]
        path = prefix + call.layer.name
        if fed:
            seen(path, call.layer, fed[0])
        if hasattr(call.layer, "layers") and is_graph(call.layer):
            results = pass_through(call.layer, fed, seen, f"{path}/", instead)
        else:
            args, kwargs = template.fill(fed)
            results = leaves(call.layer(*args, **kwargs))
        for symbol, value in zip(call.outputs, results, strict=True):
            values[id(symbol)] = value if instead is None else instead(symbol, value, values)
    return [values[id(symbol)] for symbol in model.outputs]
