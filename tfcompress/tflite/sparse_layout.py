"""Where the values of a constant in TFLite's sparse encoding belong.

The encoding is that of the Tensor Algebra Compiler (Kjolstad et al. 2017, section 3): axes one after the other, each
stored whole, or by the places that hold anything. Axes within blocks come last.
"""

from __future__ import annotations

import math

import numpy as np

from tfcompress.tflite.tensors import StoredLayout, StoredTensor

MOST_ELEMENTS = 1 << 27
"""Larger constants are not put together: a file may claim any shape for a few bytes."""


def dense_values(tensor: StoredTensor, values: np.ndarray) -> np.ndarray | None:
    """Return all values of a sparse constant, zeros included.

    Args:
        tensor: the constant.
        values: what is stored of it, shape (values,).

    Returns:
        An array of the tensor's shape; None where the layout makes no sense for it, or it is too large.
    """
    if tensor.layout is None or not 0 < tensor.elements <= MOST_ELEMENTS:
        return None
    places = _places(tensor.layout, tensor.shape)
    if not places or len(places[0]) != len(values):
        return None
    dense = np.zeros(tensor.shape, values.dtype)
    dense[tuple(places)] = values
    return dense


def _places(layout: StoredLayout, shape: tuple[int, ...]) -> list[np.ndarray] | None:
    """Return for each axis of the tensor the place of each stored value; None: they do not fit it."""
    count = len(shape)
    known = sorted(layout.order) == list(range(len(layout.axes))) and len(layout.axes) == count + len(layout.blocks)
    if not known or not all(0 <= axis < count for axis in layout.blocks):
        return None
    stored = _stored_places(layout, math.prod(shape))
    if stored is None:
        return None
    by_axis = dict(zip(layout.order, stored, strict=True))
    places = [by_axis[axis] for axis in range(count)]
    for number, axis in enumerate(layout.blocks):
        size = layout.axes[layout.order.index(count + number)]
        if not isinstance(size, int):
            return None
        places[axis] = places[axis] * size + by_axis[count + number]
    fit = all(((each >= 0) & (each < size)).all() for each, size in zip(places, shape, strict=True))
    return places if fit else None


def _stored_places(layout: StoredLayout, most: int) -> list[np.ndarray] | None:
    """Return for each axis, in the stored order, the place of each stored value; None: they are more than *most*."""
    places: list[np.ndarray] = []
    before = np.zeros(1, np.int64)  # number of each value among all of the axes so far
    for axis in layout.axes:
        if isinstance(axis, int):
            if axis <= 0 or axis * len(before) > most:
                return None
            owners, here = np.repeat(np.arange(len(before)), axis), np.tile(np.arange(axis), len(before))
            before = before[owners] * axis + here
        else:
            segments, indices = axis
            if before.max(initial=0) + 1 >= len(segments):
                return None
            starts, ends = segments[before], segments[before + 1]
            lengths = ends - starts
            if lengths.min(initial=0) < 0 or lengths.sum() > most or ends.max(initial=0) > len(indices):
                return None
            owners = np.repeat(np.arange(len(before)), lengths)
            before = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + starts[owners]
            here = indices[before]
        places = [each[owners] for each in places] + [here]
    return places
