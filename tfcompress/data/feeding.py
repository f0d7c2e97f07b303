"""Feeding a Keras ``fit``: a split as a ``tf.data.Dataset`` that prepares the next batches while the model trains."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from tfcompress.data.splits import Split

AHEAD = 4
"""Batches prepared while the model trains on another."""


def to_tf(split: Split, batch_size: int, seed: int, *, first_epoch: int = 0, limit: int | None = None) -> Any:
    """Return a ``tf.data.Dataset`` of batches ``(x, y)``.

    Each time it is iterated it gives one epoch, in another order that depends on *seed* and the number of epochs given
    before: the same calls give the same batches. Keras 2 and Keras 3 take it as it is, without ``steps_per_epoch``.

    Args:
        split: what to train on.
        batch_size: samples a step; the last step of an epoch may have fewer.
        seed: order of the samples, and which ones with *limit*.
        first_epoch: epoch that the first iteration gives, for training that goes on where it stopped.
        limit: use at most so many samples, the same in each epoch.

    Returns:
        Elements are ``(x, y)``: *x* an array, or a dict by input name for several inputs; *y* an array, or a dict by
        output name for several outputs. Its cardinality is known when the split's size is.
    """
    import tensorflow as tf

    epochs = itertools.count(first_epoch)

    def one_epoch() -> Iterator[tuple[Any, Any]]:
        for x, y in split.batches(batch_size, seed=seed, epoch=next(epochs), limit=limit):
            yield (x if len(x) > 1 else next(iter(x.values()))), y

    first, labels = next(split.batches(batch_size, limit=1))
    x_like = first if len(first) > 1 else next(iter(first.values()))
    spec = tf.nest.map_structure(lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), (x_like, labels))
    dataset = tf.data.Dataset.from_generator(one_epoch, output_signature=spec)
    if split.size is not None:
        samples = split.size if limit is None else min(limit, split.size)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(-(-samples // batch_size)))
    return dataset.prefetch(AHEAD)
