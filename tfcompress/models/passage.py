"""A model run call by call, to look at what goes into its layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfcompress.models.call_template import Template, leaves
from tfcompress.models.graph import calls, is_graph
from tfcompress.models.keras_private import has_origin

Seen = Callable[[str, Any, Any], None]
"""Called with a layer's path, the layer, and the first tensor that goes into it."""


def pass_through(model: Any, given: list[Any], seen: Seen, prefix: str = "") -> list[Any]:
    """Run a model call by call, nested ones inside too.

    Args:
        model: a functional or sequential Keras 3 model; it runs for inference.
        given: a tensor for each input, in the model's order.
        seen: told of every call that takes a tensor.
        prefix: what stands before the paths.

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
            results = pass_through(call.layer, fed, seen, f"{path}/")
        else:
            args, kwargs = template.fill(fed)
            results = leaves(call.layer(*args, **kwargs))
        values.update({id(symbol): value for symbol, value in zip(call.outputs, results, strict=True)})
    return [values[id(symbol)] for symbol in model.outputs]
