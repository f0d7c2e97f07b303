"""What attention over heads does to channels: a head is one, and so is a number of every head's keys, or values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfcompress.channels.ledger import Atoms, AxisChannels, Marks
from tfcompress.channels.trace import Rule, Step, pinned_whole
from tfcompress.models.keras_private import attention_projections
from tfcompress.models.macs import macs_of_call


def multi_head(step: Step) -> list[Marks]:
    """Projections read the channels; heads, key and value sizes are made; the last projection makes the output's."""
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
    projections = attention_projections(layer)
    count = layer.num_heads
    heads = step.produce(projections["value"].kernel, 1, ":heads", span=layer.value_dim)
    values = step.produce(projections["value"].kernel, 2, ":values", span=count)
    keys = step.produce(projections["query"].kernel, 2, ":keys", span=count)
    _read_all(step, bound)
    for name, dense in projections.items():
        if name != "output":
            _project(step, dense, heads, values if name in ("value", "gate") else keys)
    _scale_queries(step, projections["query"], keys)
    last = projections["output"]
    out = step.produce(last.kernel, 2)
    step.read(last.kernel, 0, AxisChannels.zero(heads))
    step.read(last.kernel, 1, AxisChannels.zero(values))
    if last.bias is not None:
        step.claim(last.bias, 0, out, "makes")
    step.configure(num_heads=heads, key_dim=keys, value_dim=values, output_shape=out)
    _count(step, (heads, keys), (heads, values))
    return _made(step, heads, out)


def grouped_query(step: Step) -> list[Marks]:
    """A key-value head is a channel, with all the query heads that use it; output, query and value have one width.

    The size of the heads stays: one setting has it for queries, keys and values.
    """
    layer, bound = step.layer, _bound(step)
    if {"query", "value"} - set(bound) or any(len(marks) != 3 for marks in bound.values()):
        return pinned_whole(step)
    for marks in bound.values():
        step.pin_but(marks, -1)
    query, value = bound["query"], bound["value"]
    projections = attention_projections(layer)
    heads = step.produce(projections["value"].kernel, 1, ":heads", span=layer.head_dim)
    asking = np.repeat(heads, layer.num_repeats)
    _read_all(step, bound)
    for name, dense in projections.items():
        if name != "output":
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
    _count(step, (asking,), (asking,))
    return _made(step, asking, out)


def _made(step: Step, heads: Atoms, out: Atoms) -> list[Marks]:
    """Return what is known of the output, and of the scores where they come out too."""
    made: Marks = (None, None, AxisChannels.zero(out))
    scores: Marks = (None, AxisChannels.zero(heads).becoming(np.nan), None, None)
    return [made, scores][: len(step.outputs)]


def _scale_queries(step: Step, dense: Any, keys: Atoms) -> None:
    """Have queries make up for what scores are divided by: the root of the size of the keys, which is less now.

    ``q k / sqrt(K) = (sqrt(c / K) q) k / sqrt(c)``, *c* of *K* numbers kept (Vaswani et al. 2017, equation 1).
    """
    total = len(keys)
    for variable in (dense.kernel, dense.bias):
        if variable is not None:
            step.adjust(variable, lambda values, count: values * math.sqrt(count(keys) / total))


def _bound(step: Step) -> dict[str, Marks]:
    """Return the marks of query, value and key, by the names of the arguments."""
    known = {id(tensor): marks for tensor, marks in zip(step.tensors, step.given, strict=True)}
    given: dict[str, Any] = dict(zip(("query", "value", "key"), step.args, strict=False)) | step.kwargs
    names = ("query", "value", "key")
    return {name: known[id(given[name])] for name in names if id(given.get(name)) in known}


def _read_all(step: Step, bound: dict[str, Marks]) -> None:
    """Let every projection read the channels of its argument."""
    given = {"key": bound["value"], "gate": bound["query"], **bound}
    for name, dense in attention_projections(step.layer).items():
        if name != "output":
            step.read(dense.kernel, 0, given[name][-1])


def _project(step: Step, dense: Any, heads: Atoms, sizes: Atoms | None) -> None:
    """Claim what a projection makes: kernel (channels, heads, size), bias (heads, size)."""
    step.claim(dense.kernel, 1, heads, "makes")
    if sizes is not None:
        step.claim(dense.kernel, 2, sizes, "makes")
    if dense.bias is not None:
        step.claim(dense.bias, 0, heads, "makes")
        if sizes is not None:
            step.claim(dense.bias, 1, sizes, "makes")


def _count(step: Step, scored: tuple[Atoms, ...], summed: tuple[Atoms, ...]) -> None:
    """Projections cost what their kernels hold, by the length; scores and weighted sums go with these axes."""
    if macs_of_call(step.layer, step.shapes) is None:
        step.product(None)
        return
    kernels = {name: dense.kernel for name, dense in attention_projections(step.layer).items()}
    asking, asked = step.shapes.inputs[0][0] or 0, step.shapes.inputs[1][0] or 0
    step.multiply(*(kernels[name] for name in ("query", "gate", "output") if name in kernels), each=asking)
    step.multiply(kernels["key"], kernels["value"], each=asked)
    (_, heads, key_size), value_size = kernels["query"].shape, kernels["value"].shape[2]
    step.product(asking * asked * heads * key_size, *scored)
    step.product(asking * asked * heads * value_size, *summed)


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
