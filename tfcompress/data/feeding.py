"""Feeding a Keras ``fit``: a split as a ``tf.data.Dataset`` that prepares the next batches while the model trains."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfcompress.data.augment import augmented, check_images
from tfcompress.data.freed_memory import keep_freed_memory
from tfcompress.data.splits import Split

AHEAD = 4
"""Batches prepared while the model trains on another."""

BLOCK_BATCHES = 16
"""Batches that cross from Python to TensorFlow at once: crossing costs about a millisecond, whatever crosses."""

BLOCK_BYTES = 16 << 20
"""Most bytes that cross at once."""


Complete = Callable[[dict[str, np.ndarray], Any, Any], tuple[dict[str, np.ndarray], Any, Any]]
"""From inputs by name, labels and sample weights of some samples to those that are trained on."""


def as_they_are(x: dict[str, np.ndarray], y: Any, weights: Any) -> tuple[dict[str, np.ndarray], Any, Any]:
    """Return a batch as it is."""
    return x, y, weights


def to_tf(
    split: Split,
    batch_size: int,
    seed: int | None,
    *,
    complete: Complete = as_they_are,
    first_epoch: int = 0,
    limit: int | None = None,
    augment: str = "none",
    epoch_of: Callable[[], int] | None = None,
) -> Any:
    """Return a ``tf.data.Dataset`` of batches ``(x, y)``, or ``(x, y, sample_weight)`` where the data has weights.

    Each time it is iterated it gives one epoch, in another order that depends on *seed* and the number of epochs given
    before: the same calls give the same batches. Keras 2 and Keras 3 take it as it is, without ``steps_per_epoch``.

    Args:
        split: what to train on.
        batch_size: samples a step; the last step of an epoch may have fewer.
        seed: order of the samples, and which ones with *limit*; None: as they come.
        complete: makes inputs, targets and sample weights from those of the data, a block of whole batches at a time,
            augmented already.
        first_epoch: epoch that the first iteration gives, for training that goes on where it stopped.
        limit: use at most so many samples, the same in each epoch.
        augment: how images are varied, anew in every epoch; see :func:`tfcompress.data.augment.augmented`.
        epoch_of: says which epoch an iteration is to give when it begins (Keras 3 begins one more than it trains on);
            None: they are counted.

    Returns:
        Elements are ``(x, y)`` or ``(x, y, sample_weight)``: *x* an array, or a dict by input name for several inputs;
        *y* and the weights an array, or a dict by output name for several outputs. Its cardinality is known when the
        split's size is.

    Raises:
        DataError: *augment* for inputs that are no images.
    """
    import tensorflow as tf

    keep_freed_memory()
    epochs = itertools.count(first_epoch)
    first = next(split.weighted(batch_size, limit=1))
    if augment != "none":
        check_images(_plain(*first)[0], augment)
    like = _plain(*complete(*first))
    block = batch_size * _batches_a_block(like, batch_size)

    def one_epoch() -> Iterator[tuple[Any, ...]]:
        epoch = next(epochs) if epoch_of is None else epoch_of()
        for number, (x, y, weights) in enumerate(split.weighted(block, seed=seed, epoch=epoch, limit=limit)):
            if augment != "none":
                x = {name: augmented(part, augment, (seed or 0, epoch, number)) for name, part in x.items()}
            yield _plain(*complete(x, y, weights))

    def sliced(*block_of: Any) -> Any:
        total = tf.shape(tf.nest.flatten(block_of)[0], out_type=tf.int64)[0]
        starts = tf.data.Dataset.range(0, total, batch_size)
        return starts.map(lambda i: tf.nest.map_structure(lambda part: part[i : i + batch_size], block_of))

    spec = tf.nest.map_structure(lambda part: tf.TensorSpec((None, *part.shape[1:]), part.dtype), like)
    dataset = tf.data.Dataset.from_generator(one_epoch, output_signature=spec).prefetch(1).flat_map(sliced)
    if split.size is not None:
        samples = split.size if limit is None else min(limit, split.size)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(-(-samples // batch_size)))
    return dataset.prefetch(AHEAD)


def _plain(x: dict[str, np.ndarray], y: Any, weights: Any) -> tuple[Any, ...]:
    plain = x if len(x) > 1 else next(iter(x.values()))
    return (plain, y) if weights is None else (plain, y, weights)


def _batches_a_block(like: tuple[Any, ...], batch_size: int) -> int:
    parts = like[0].values() if isinstance(like[0], dict) else [like[0]]
    batch_bytes = batch_size * sum(part.nbytes for part in parts)
    return int(max(1, min(BLOCK_BATCHES, BLOCK_BYTES // max(batch_bytes, 1))))
