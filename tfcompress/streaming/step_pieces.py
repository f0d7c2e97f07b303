"""The layers that a streaming model is made of: copies of the model's own, and what cuts and joins frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from tfcompress.models.layer_copies import layer_copy, unbuilt_copy
from tfcompress.streaming.spans import Span

Sides = tuple[int, int]


class Pieces:
    """Makes layers, each with a name of its own; a layer of the model is copied once for each change of it."""

    def __init__(self, taken: Sequence[str]) -> None:
        """Begin with no layer.

        Args:
            taken: names that no layer may have, such as those of inputs and outputs.
        """
        self._names = set(taken)
        self._copies: dict[tuple[int, str], Callable[..., Any]] = {}

    def name(self, wanted: str) -> str:
        """Return a name that no other layer has."""
        found, count = wanted.replace("/", "_"), 1
        while found in self._names:
            found, count = f"{wanted.replace('/', '_')}_{count}", count + 1
        self._names.add(found)
        return found

    def copy(self, layer: Any, path: str, **changed: Any) -> Callable[..., Any]:
        """Return a copy of a layer of the model, with its weights; the same one for the same changes."""
        key = id(layer), repr(sorted(changed.items()))
        if key not in self._copies:
            name = self.name(path)
            self._copies[key] = _changed(layer, name, changed) if changed else layer_copy(layer, name)
        return self._copies[key]

    def cut(self, tensor: Any, held: Span, wanted: Span) -> Any:
        """Return some of a tensor's frames.

        Args:
            tensor: shape (batch, frames, …).
            held: the frames in it.
            wanted: some of them.
        """
        if held == wanted:
            return tensor
        return self.cropped(tensor, (wanted.start - held.start, held.stop - wanted.stop))

    def cropped(self, tensor: Any, sides: Sides) -> Any:
        """Return a tensor without its oldest and newest frames, so many each."""
        shape = tensor.shape
        if len(shape) == 2:
            column = self._new(keras.layers.Reshape, "column", (shape[1], 1))(tensor)
            cut = self.cropped(column, sides)
            return self._new(keras.layers.Reshape, "row", (cut.shape[1],))(cut)
        kind = {3: keras.layers.Cropping1D, 4: keras.layers.Cropping2D, 5: keras.layers.Cropping3D}[len(shape)]
        return self._new(kind, "cut", _of_axes(sides, len(shape)))(tensor)

    def padded(self, tensor: Any, sides: Sides, others: Sequence[Sides] = ()) -> Any:
        """Return a tensor with zeros around it.

        Args:
            tensor: shape (batch, frames, …).
            sides: how many frames of zeros before and behind.
            others: the same of the axes that follow; none: nothing there.
        """
        if not any(sides) and not any(map(any, others)):
            return tensor
        rank = len(tensor.shape)
        kind = {3: keras.layers.ZeroPadding1D, 4: keras.layers.ZeroPadding2D, 5: keras.layers.ZeroPadding3D}[rank]
        return self._new(kind, "zeros", _of_axes(sides, rank, others))(tensor)

    def joined(self, tensors: Sequence[Any]) -> Any:
        """Return frames one after the other."""
        return tensors[0] if len(tensors) == 1 else self._new(keras.layers.Concatenate, "joined", axis=1)(list(tensors))

    def _new(self, kind: Any, role: str, *args: Any, **options: Any) -> Any:
        return kind(*args, name=self.name(f"frames_{role}"), **options)


def _changed(layer: Any, name: str, changed: dict[str, Any]) -> Callable[[Any], Any]:
    """Return a copy that is built by what it is called on: changed, it may not take what the layer itself does."""
    new = unbuilt_copy(layer, name=name, **changed)

    def call(*args: Any, **kwargs: Any) -> Any:
        fresh = not new.built
        outputs = new(*args, **kwargs)
        if fresh and layer.weights:
            new.set_weights(layer.get_weights())
        return outputs

    return call


def _of_axes(sides: Sides, rank: int, others: Sequence[Sides] = ()) -> Any:
    if rank == 3:
        return sides
    return (sides, *(others or [(0, 0)] * (rank - 3)))
