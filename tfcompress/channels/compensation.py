"""Let the channels that stay say what the removed ones said, as far as they can.

A layer that read the removed channels R reads only the kept ones K afterwards. On samples, R is approximated as a
linear combination of K at every position, ``R = K M``, by least squares; the layer's kernel is linear in what it reads,
so ``W_K + M W_R`` in place of ``W_K`` gives what the layer would compute from the approximation. This is neuron merging
(Kim et al. 2020, arXiv:2010.13160, section 3) with the combination taken from data, as He et al. 2017
(arXiv:1707.06168, eq. 1) do. Removed channels that were dead change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.channels.activity import observe, second_moments
from tfcompress.channels.groups import Group, Slice

LINEAR = ("Conv1D", "Conv2D", "Conv3D", "Dense")
"""Layers whose kernel is linear in what they read, with the channels along one axis; of an attention over heads the
last projection is, along two."""

LARGEST = 2048
"""More channels than this are not fitted: a Dense after Flatten, say."""

RIDGE = 1e-4
"""Added to the diagonal of the kept channels' moments, relative to its mean: channels that are alike cannot blow up."""


@dataclass(frozen=True)
class Cut:
    """A kernel that reads removed channels.

    Attributes:
        reader: where it reads channels of one group.
        alive: which numbers of what it reads stay, bool, of the sizes of the axes that it reads along.
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
    moments = moments_of(model, [cut.reader for cut in cuts], inputs)
    fitting = [cut for cut in cuts if cut.reader.place in moments]
    for cut in fitting:
        cut.reader.variable.assign(merged(cut.reader, cut.alive, moments[cut.reader.place]))
    return len(fitting)


def is_linear(reader: Slice) -> bool:
    """Say whether a weight reads channels in a way that can be compensated."""
    linear = reader.kind in LINEAR or len(reader.reading_axes) > 1
    return reader.role == "reads" and linear and math.prod(_sizes(reader)) <= LARGEST


def _sizes(reader: Slice) -> tuple[int, ...]:
    """Return the sizes of the axes that a kernel reads along."""
    return tuple(int(reader.variable.shape[axis]) for axis in reader.reading_axes)


def moments_of(model: Any, readers: Sequence[Slice], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the mean products of any two channels that go into layers, where they are those of the kernel's axes.

    Args:
        model: the readers' model.
        readers: kernels that read channels.
        inputs: samples, an array of shape (samples, ...) for each input by name.

    Returns:
        :attr:`~tfcompress.channels.groups.Slice.place` of a reader -> shape (channels, channels).
    """
    sizes = {reader.place: math.prod(_sizes(reader)) for reader in readers if is_linear(reader)}
    found = observe(model, inputs, sizes, second_moments) if sizes else {}
    return {path: moments for path, moments in found.items() if len(moments) == sizes[path]}


def staying(reader: Slice, gone: np.ndarray) -> np.ndarray:
    """Return which numbers of what a kernel reads stay without some channels of its group.

    Args:
        reader: the kernel.
        gone: numbers of the channels.

    Returns:
        Bool, of the sizes of the axes that it reads along.
    """
    sizes, place = _sizes(reader), reader.reading_axes.index(reader.axis)
    here = ~np.isin(reader.channel_of, gone)
    return np.broadcast_to(here.reshape([-1 if axis == place else 1 for axis in range(len(sizes))]), sizes)


def _cuts(groups: Sequence[Group], keep: Mapping[str, Sequence[int]]) -> Iterator[Cut]:
    """Give every kernel that loses something it reads once, with what stays over all groups."""
    alive: dict[int, np.ndarray] = {}
    readers: dict[int, Slice] = {}
    for group in groups:
        if group.name not in keep:
            continue
        gone = np.setdiff1d(np.arange(group.channels), np.asarray(keep[group.name], np.int64))
        for member in group.members:
            if is_linear(member):
                number = id(member.variable)
                readers[number] = member
                alive[number] = staying(member, gone) & alive.get(number, True)
    for number, member in readers.items():
        if not alive[number].all():
            yield Cut(member, alive[number])


def merged(reader: Slice, alive: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Return a kernel whose kept channels say what the removed ones said, those of the removed ones zero.

    Args:
        reader: the kernel, with its values.
        alive: which numbers of what it reads stay, bool, of the sizes of the axes that it reads along.
        moments: of what it reads, shape (alive.size, alive.size).

    Returns:
        An array of the kernel's shape and dtype.
    """
    given: np.ndarray = reader.variable.numpy()
    axes, stays = reader.reading_axes, alive.ravel()
    first = np.moveaxis(given.astype(np.float64), axes, range(len(axes)))
    rows = first.reshape(len(stays), -1)
    kept = rows[stays] + combination(moments, stays) @ rows[~stays]
    rows = np.zeros_like(rows)
    rows[stays] = kept
    return np.moveaxis(rows.reshape(first.shape), range(len(axes)), axes).astype(given.dtype)


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
