"""Channels that are exactly dead: what makes them so, written into the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.channels.channel_models import samples_for
from tfcompress.channels.groups import Group, groups


def kill_(group: Group, channels: Sequence[int]) -> None:
    """Zero every weight that makes channels, in the model that the group was found in.

    Kernel columns, recurrent kernels' columns, biases, depthwise kernels, embeddings' columns, normalizations' scales,
    shifts and moving means become zero; kernels that read the channels stay as they are.

    Args:
        group: of a model; its weights are changed.
        channels: which ones.
    """
    assert all(0 <= channel < group.channels for channel in channels)
    for member in group.members:
        if member.role == "makes":
            _zero_(member.variable, member.axis, np.isin(member.channel_of, channels))


def _zero_(variable: Any, axis: int, chosen: Any) -> None:
    values = np.array(variable.numpy())
    np.moveaxis(values, axis, 0)[chosen] = 0
    variable.assign(values)


def outputs_of(model: Any) -> list[np.ndarray]:
    """Return the outputs of a model on samples of its own."""
    import keras
    import tensorflow as tf

    def call(samples: Any) -> Any:
        return keras.tree.flatten(model(samples, training=False))

    # A CPU has no kernel for channels-first convolutions, unless XLA compiles one, or oneDNN is there and switched on.
    compiled = tf.function(call, jit_compile=True) if model.name == "channels_first" else call
    return [np.asarray(tensor) for tensor in compiled(samples_for(model))]


def free_groups(model: Any) -> list[Group]:
    """Return the groups that can lose channels."""
    return [group for group in groups(model) if not group.pinned]


def choose_and_kill_(model: Any, rng: np.random.Generator) -> dict[str, list[int]]:
    """Choose some channels of every group that can shrink, at least one to stay and one to go, and kill the others.

    A layer that makes a part of its group's channels keeps one of them, and so does a piece of a split.
    """
    keep = {}
    for group in free_groups(model):
        chosen = set(rng.choice(group.channels, rng.integers(1, group.channels), replace=False).tolist())
        for part in group.parts:
            if not chosen.intersection(part):
                chosen.add(part[0])
        keep[group.name] = sorted(chosen)
        kill_(group, sorted(set(range(group.channels)) - chosen))
    return keep
