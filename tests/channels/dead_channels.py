"""Channels that are exactly dead: what makes them so, written into the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfcompress.channels.groups import Group


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
