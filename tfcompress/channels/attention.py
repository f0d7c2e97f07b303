"""What multi-head attention does to channels: a head is a channel, and so is a number of every head's values."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.channels.ledger import Atoms, AxisChannels, Marks
from tfcompress.channels.trace import Rule, Step, pinned_whole
from tfcompress.models.keras_private import attention_projections
from tfcompress.models.macs import macs_of_call


def multi_head(step: Step) -> list[Marks]:
    """Projections read the channels; heads and value sizes are made; the last projection makes the output's channels.

    Key sizes stay: scores are divided by their root, so that a smaller one would scale them.
    """
    layer = step.layer
    bound = _bound(step)
    if (
        {"query", "value"} - set(bound)
        or layer.attention_axes not in (None, (1,))
        or any(len(marks) != 3 for marks in bound.values())
    ):
        return pinned_whole(step)
    for marks in bound.values():
        step.pin_but(marks, -1)
    query, value = bound["query"], bound["value"]
    projections = attention_projections(layer)
    heads = step.produce(projections["value"].kernel, 1, ":heads")
    values = step.produce(projections["value"].kernel, 2, ":values")
    given = {"query": query, "key": bound.get("key", value), "value": value, "gate": query}
    for name, marks in given.items():
        dense = projections.get(name)
        if dense is None:
            continue
        step.read(dense.kernel, 0, marks[-1])
        _project(step, dense, heads, values if name in ("value", "gate") else None)
    last = projections["output"]
    out = step.produce(last.kernel, 2)
    step.read(last.kernel, 0, AxisChannels.zero(heads))
    step.read(last.kernel, 1, AxisChannels.zero(values))
    if last.bias is not None:
        step.claim(last.bias, 0, out, "makes")
    step.configure(num_heads=heads, value_dim=values, output_shape=out)
    _count(step, heads, values)
    marks_out: Marks = (None, None, AxisChannels.zero(out))
    scores: Marks = (None, AxisChannels.zero(heads).becoming(np.nan), None, None)
    return [marks_out, scores][: len(step.outputs)]


def grouped_query(step: Step) -> list[Marks]:
    """A key-value head is a channel, with all the query heads that use it; output, query and value have one width."""
    layer, bound = step.layer, _bound(step)
    if {"query", "value"} - set(bound) or any(len(marks) != 3 for marks in bound.values()):
        return pinned_whole(step)
    for marks in bound.values():
        step.pin_but(marks, -1)
    query, value = bound["query"], bound["value"]
    projections = attention_projections(layer)
    heads = step.produce(projections["value"].kernel, 1, ":heads")
    asking = np.repeat(heads, layer.num_repeats)
    given = {"query": query, "key": bound.get("key", value), "value": value, "gate": query}
    for name, marks in given.items():
        dense = projections.get(name)
        if dense is not None:
            step.read(dense.kernel, 0, marks[-1])
            _project(step, dense, asking if name in ("query", "gate") else heads, None)
    last = projections["output"]
    out = step.produce(last.kernel, 2)
    for channels in (query[-1], value[-1]):
        if channels is None:
            step.trace.ledger.pin(out, f"layer {step.named} makes as many channels as it reads")
        else:
            step.trace.ledger.unite(out, channels.atoms)
    step.read(last.kernel, 0, AxisChannels.zero(asking))
    if last.bias is not None:
        step.claim(last.bias, 0, out, "makes")
    step.configure(num_query_heads=asking, num_key_value_heads=heads)
    scores: Marks = (None, AxisChannels.zero(asking).becoming(np.nan), None, None)
    made: Marks = (None, None, AxisChannels.zero(out))
    return [made, scores][: len(step.outputs)]


def _bound(step: Step) -> dict[str, Marks]:
    """Return the marks of query, value and key, by the names of the arguments."""
    known = {id(tensor): marks for tensor, marks in zip(step.tensors, step.given, strict=True)}
    given: dict[str, Any] = dict(zip(("query", "value", "key"), step.args, strict=False)) | step.kwargs
    names = ("query", "value", "key")
    return {name: known[id(given[name])] for name in names if id(given.get(name)) in known}


def _project(step: Step, dense: Any, heads: Atoms, values: Atoms | None) -> None:
    """Claim a projection's weights: kernel (channels, heads, size), bias (heads, size)."""
    step.claim(dense.kernel, 1, heads, "makes")
    if values is not None:
        step.claim(dense.kernel, 2, values, "makes")
    if dense.bias is not None:
        step.claim(dense.bias, 0, heads, "makes")
        if values is not None:
            step.claim(dense.bias, 1, values, "makes")


def _count(step: Step, heads: Atoms, values: Atoms) -> None:
    """Projections cost what their kernels hold, by the length; scores and weighted sums go with the heads."""
    layer, shapes = step.layer, step.shapes
    if macs_of_call(layer, shapes) is None:
        step.product(None)
        return
    asking, asked = shapes.inputs[0][0] or 0, shapes.inputs[1][0] or 0
    step.multiply(layer.query_dense.kernel, layer.output_dense.kernel, each=asking)
    step.multiply(layer.key_dense.kernel, layer.value_dense.kernel, each=asked)
    step.product(asking * asked * layer.num_heads * layer.key_dim, heads)
    step.product(asking * asked * layer.num_heads * layer.value_dim, heads, values)


def scored(step: Step) -> list[Marks]:
    """``Attention`` and ``AdditiveAttention``: scores sum over what query and key share; values pass."""
    layer, marks = step.layer, step.given
    if len(marks) not in (2, 3) or any(len(one) != 3 for one in marks) or len(step.args) != 1:
        return pinned_whole(step)
    for one in marks:
        step.pin_but(one, -1)
    query, value, key = marks[0][-1], marks[1][-1], marks[-1][-1]
    for here, there in ((query, key), (key, query)):
        if there is None:
            step.pin(here, f"multiplied in {step.named} by channels that are fixed")
        elif np.any(there.dead != 0):
            step.trace.inexact.append((there.atoms, f"read by {step.named}"))
    if query is not None and key is not None:
        step.unite(query, key)
    if layer.scale is not None and len(layer.scale.shape):
        step.read(layer.scale, 0, query)
    if type(layer).__name__ == "Attention":
        (asking, width), (asked, values) = step.shapes.inputs[:2]
        pairs = None if asking is None or asked is None else asking * asked
        step.product(None if pairs is None else pairs * (width or 0), query)
        step.product(None if pairs is None else pairs * (values or 0), value)
    found: list[Marks] = [(None, None, value), (None, None, None)]
    return found[: len(step.outputs)]


RULES: dict[str, Rule] = {
    "MultiHeadAttention": multi_head,
    "Attention": scored,
    "AdditiveAttention": scored,
    "GroupedQueryAttention": grouped_query,
}
"""Class of a layer -> its rule."""
