"""Let the channels that stay say what the removed ones said, as far as they can.

A layer that read the removed channels R reads only the kept ones K afterwards. On samples, R is approximated as a
linear combination of K at every position, ``R = K M``, by least squares; the layer's kernel is linear in what it reads,
so ``W_K + M W_R`` in place of ``W_K`` gives what the layer would compute from the approximation. This is neuron merging
(Kim et al. 2020, arXiv:2010.13160, section 3) with the combination taken from data, as He et al. 2017
(arXiv:1707.06168, eq. 1) do. Removed channels that were dead change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.models.channels.groups import Group, Slice
from tfcompress.techniques.channels.activity import observe, second_moments

LINEAR = ("Conv1D", "Conv2D", "Conv3D", "Dense")
"""Layers whose kernel is linear in what they read, with the channels along one axis."""

LARGEST = 2048
"""More channels than this are not fitted: a Dense after Flatten, say."""

RIDGE = 1e-4
"""Added to the diagonal of the kept channels' moments, relative to its mean: channels that are alike cannot blow up."""


@dataclass(frozen=True)
class Cut:
    """A kernel that reads removed channels.

    Attributes:
        reader: where it reads channels of one group.
        alive: which indices along its axis stay, bool, shape (size of the axis,).
    """

    reader: Slice
    alive: np.ndarray


def compensate_(groups: Sequence[Group], keep: Mapping[str, Sequence[int]], model: Any, inputs: Any) -> int:
    """Change the kernels that read channels which are about to be removed.

    Args:
        groups: of *model*.
        keep: group -> the channels that stay, for each that loses some.
        model: the model before the removal; its kernels are changed, so that it is good for nothing but the removal.
        inputs: samples, an array of shape (samples, ...) for each input by name.

    Returns:
        The number of kernels changed.
    """
    cuts = list(_cuts(groups, keep))
    moments = observe(model, inputs, {cut.reader.layer for cut in cuts}, second_moments)
    changed = 0
    for cut in cuts:
        found = moments.get(cut.reader.layer)
        if found is not None and found.shape[0] == len(cut.alive):
            _change_(cut, found)
            changed += 1
    return changed


def _cuts(groups: Sequence[Group], keep: Mapping[str, Sequence[int]]) -> Iterator[Cut]:
    """Give every kernel that loses something it reads once, with what stays over all groups."""
    alive: dict[int, np.ndarray] = {}
    readers: dict[int, Slice] = {}
    for group in groups:
        if group.name not in keep:
            continue
        gone = np.setdiff1d(np.arange(group.channels), np.asarray(keep[group.name], np.int64))
        for member in group.members:
            if member.role == "reads" and member.kind in LINEAR and len(member.channel_of) <= LARGEST:
                number = id(member.variable)
                readers[number] = member
                mask = alive.setdefault(number, np.ones(len(member.channel_of), np.bool_))
                mask &= ~np.isin(member.channel_of, gone)
    for number, member in readers.items():
        if not alive[number].all():
            yield Cut(member, alive[number])


def _change_(cut: Cut, moments: np.ndarray) -> None:
    mixing = combination(moments, cut.alive)
    variable, axis = cut.reader.variable, cut.reader.axis
    values = np.array(variable.numpy(), np.float64)
    rows = np.moveaxis(values, axis, 0)
    flat = rows.reshape(len(cut.alive), -1)
    merged = flat[cut.alive] + mixing @ flat[~cut.alive]
    rows[cut.alive] = merged.reshape(-1, *rows.shape[1:])
    variable.assign(values.astype(variable.numpy().dtype))


def combination(moments: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Return M, by which the kept channels give the removed ones best: the least squares solution of R = K M.

    Args:
        moments: mean products of any two channels, shape (channels, channels).
        alive: which channels stay, bool, shape (channels,).

    Returns:
        Shape (kept, removed).
    """
    kept = moments[np.ix_(alive, alive)]
    level = RIDGE * float(np.trace(kept)) / max(1, len(kept))
    if level <= 0.0:
        return np.zeros((int(alive.sum()), int((~alive).sum())))
    result: np.ndarray = np.linalg.solve(kept + level * np.eye(len(kept)), moments[np.ix_(alive, ~alive)])
    return result
