"""What goes into layers on samples, summed up along the channels."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfcompress.models.keras_private import attention_projections, overheard
from tfcompress.models.passage import pass_through
from tfcompress.models.wiring import wire


def mean_absolute(rows: Any) -> Any:
    """Return the mean absolute value of each channel, shape (channels,); for :func:`observe`."""
    return tf.reduce_mean(tf.abs(rows), 0)


def second_moments(rows: Any) -> Any:
    """Return the mean products of any two channels, shape (channels, channels); for :func:`observe`."""
    return tf.linalg.matmul(rows, rows, transpose_a=True) / tf.cast(tf.shape(rows)[0], tf.float32)


def observe(
    model: Any,
    inputs: Mapping[str, np.ndarray],
    paths: Collection[str],
    statistic: Callable[[Any], Any],
    *,
    batch_size: int = 64,
) -> dict[str, np.ndarray]:
    """Run a model and average a statistic of what goes into some of its layers.

    Args:
        model: a functional or sequential Keras 3 model; it runs for inference.
        inputs: an array of shape (samples, ...) for each input by name.
        paths: paths of layers: ``conv``, inside a nested model ``backbone/conv``, inside a wrapper ``outer/inner``. Of
            an attention over heads the last projection is ``attention/attention_output``, and every number of every
            head is a channel of what goes into it.
        statistic: takes what goes into a layer as float32 of shape (samples and positions, channels).
        batch_size: samples a step.

    Returns:
        For each path that was met the statistic's mean, float64, over samples and calls.
    """

    def run(tensors: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, list[Any]] = {}

        def take(wanted: Collection[str], rows: Any) -> None:
            value = statistic(rows)
            for each in wanted:
                found.setdefault(each, []).append(value)

        with contextlib.ExitStack() as listening:
            heard: set[int] = set()

            def seen(path: str, layer: Any, tensor: Any) -> None:
                wanted = {each for each in paths if each == path or each.startswith(f"{path}/")}
                last = attention_projections(layer).get("output")
                inner = wanted & ({f"{path}/{last.name}"} if last is not None else set())
                if last is not None and inner and id(last) not in heard:
                    heard.add(id(last))
                    listening.enter_context(overheard(last, lambda mixed: take(inner, _rows_of_heads(mixed))))
                if wanted - inner and len(tensor.shape) > 1:
                    take(wanted - inner, channel_rows(layer, tensor))

            pass_through(model, [tensors[spec.name] for spec in wire(model).inputs], seen)
        return {path: tf.add_n(values) / len(values) for path, values in found.items()}

    function = tf.function(run, reduce_retracing=True, autograph=False)
    size = len(next(iter(inputs.values())))
    totals: dict[str, np.ndarray] = {}
    for start in range(0, size, batch_size):
        part = {name: tf.constant(values[start : start + batch_size]) for name, values in inputs.items()}
        share = min(batch_size, size - start) / size
        for path, value in function(part).items():
            totals[path] = totals.get(path, 0.0) + share * value.numpy().astype(np.float64)
    return totals


def channel_rows(layer: Any, tensor: Any) -> Any:
    """Return what goes into a layer as float32 of shape (samples and positions, channels)."""
    if getattr(layer, "data_format", None) == "channels_first":
        tensor = tf.transpose(tensor, [0, *range(2, len(tensor.shape)), 1])
    return tf.cast(tf.reshape(tensor, [-1, tensor.shape[-1]]), tf.float32)


def _rows_of_heads(mixed: Any) -> Any:
    """Return values mixed by attention, of shape (..., heads, size), as float32 of shape (positions, heads x size)."""
    return tf.cast(tf.reshape(mixed, [-1, mixed.shape[-2] * mixed.shape[-1]]), tf.float32)
