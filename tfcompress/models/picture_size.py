"""A network at another size of its pictures, with every weight it had: what only the size decides is worked out anew.

That is possible where no weight belongs to a place in the picture: convolutions up to a pooling over all that is left,
say, and not where Flatten is followed by Dense. Nothing here goes by the kinds of layers but for one thing: a pooling
whose window is the whole of what it is given stays one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tfcompress.errors import TfcompressError, UnsupportedError, UsageError
from tfcompress.models.copies import (
    check_graph,
    input_name,
    input_of_shape,
    model_copy,
    rebuilt_model,
    take_weights_,
)
from tfcompress.models.keras_private import all_layers, first_arguments, functional, nodes, replayed
from tfcompress.models.layer_copies import unbuilt_copy
from tfcompress.models.specs import no_picture
from tfcompress.stages.stage import InputSize

SHARES = (0.75, 2 / 3, 0.5)
"""Parts of a picture's height and width that a search tries."""

_POOLINGS = ("AveragePooling2D", "MaxPooling2D")
_PROBED = 7
"""Samples of a trial run: so many that a reshape which mixes samples and places would come out uneven."""

_Shape = tuple[int | None, ...]


def picture_of(model: Any) -> InputSize | None:
    """Return the only input of a Keras 3 graph with its height and width; None: it is no picture of a fixed size."""
    shape = tuple(model.inputs[0].shape)
    if len(model.inputs) != 1 or len(shape) != 4 or None in shape[1:]:
        return None
    return InputSize(input_name(model.inputs[0]), int(shape[1]), int(shape[2]))


def sizes_to_try(model: Any) -> tuple[InputSize, ...]:
    """Return smaller sizes of a network's pictures, largest first: parts of its own that all its strides divide.

    Args:
        model: a functional or sequential Keras 3 model.
    """
    own = picture_of(model)
    if own is None:
        return ()
    steps = _strides(model, own)
    found = []
    for share in SHARES:
        sides = (_part(side, share, step) for side, step in zip(own[1:], steps, strict=True))
        found.append(InputSize(own.name, *sides))
    return tuple(dict.fromkeys(each for each in found if each.height < own.height and each.width < own.width))


def _part(side: int, share: float, step: int) -> int:
    return max(1, int(share * side / step + 0.5)) * step


def _strides(model: Any, own: InputSize) -> tuple[int, int]:
    """Return how many pixels, down and across, one place of the coarsest map stands for; pooled ones are none."""
    maps = [(1, *own[1:], 1), *_maps(model)]
    found = []
    for axis, side in ((1, own.height), (2, own.width)):
        sizes = (shape[axis] for shape in maps)
        found.append(max(round(side / size) for size in sizes if size is not None and 1 < size <= side))
    return found[0], found[1]


def _maps(model: Any) -> Iterator[_Shape]:
    for node in nodes(functional(model)):
        if isinstance(node.operation, keras.Model):
            yield from _maps(node.operation)
        yield from (tuple(tensor.shape) for tensor in node.outputs if len(tensor.shape) == 4)


def at_size(model: Any, size: InputSize) -> Any:
    """Return an uncompiled copy of a network that takes pictures of another size, with the same weights.

    Args:
        model: a functional or sequential Keras 3 model; it stays as it is.
        size: of the copy's pictures.

    Raises:
        UsageError: no such input.
        UnsupportedError: its input is no picture of a fixed size, or the network has weights, or gives outputs, whose
            shapes go by that size.
    """
    check_graph(model)
    own = picture_of(model)
    if own is None:
        raise no_picture((input_name(tensor), tuple(tensor.shape[1:])) for tensor in model.inputs)
    if size.name != own.name:
        msg = f"layout.changes must name the input {own.name!r} of model {model.name!r} for a size, got {size.name!r}"
        raise UsageError(msg)
    what = f"model {model.name!r} cannot take pictures of {size.text} instead of {own.text}"
    try:
        new = _rebuilt(model, size)
        reason = _changed(model, new)
        if not reason:
            take_weights_(new, model)
            reason = _mixed(new)
    except TfcompressError:
        raise
    except Exception as error:  # Keras and TensorFlow refuse shapes by errors of many classes
        lines = (line.strip() for line in str(error).splitlines())
        told = (line for line in lines if line and not line.startswith("Exception encountered"))
        raise _unsuited(what, next(told, type(error).__name__)) from error
    if reason:
        raise _unsuited(what, reason)
    return new


def _unsuited(what: str, reason: str) -> UnsupportedError:
    return UnsupportedError(f"{what} with its weights and outputs as they are: {reason}")


def _rebuilt(model: Any, size: InputSize) -> Any:
    plan = _Plan()
    tensor = model.inputs[0]
    shape = (tensor.shape[0], size.height, size.width, tensor.shape[3])
    plan.follow(model, [keras.KerasTensor(shape, tensor.dtype)])

    def copy_of(_: str, operation: Any) -> Any:
        window = plan.windows.get(id(operation))
        return unbuilt_copy(operation, **({} if window is None else {"pool_size": window, "strides": window}))

    return rebuilt_model(model, copy_of, entry=lambda tensor: input_of_shape(tensor, plan.inputs[id(tensor)]))


@dataclass(frozen=True)
class _Plan:
    """What the shapes in a graph become, found without building anything.

    Attributes:
        inputs: the shape of each input of the model and of models in it, by the id of the tensor.
        windows: of poolings over everything, by the id of the layer: how large that is now.
    """

    inputs: dict[int, _Shape] = field(default_factory=dict)
    windows: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def follow(self, model: Any, given: list[Any]) -> Any:
        """Return what a model gives for symbolic tensors."""
        graph = functional(model)
        self.inputs.update({id(own): tuple(new.shape) for own, new in zip(model.inputs, given, strict=True)})
        return replayed(graph, given, self._spec_of)

    def _spec_of(self, operation: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if isinstance(operation, keras.Model):
                return self.follow(operation, keras.tree.flatten(args))
            if pools_everything(operation):
                batch, *window, channels = args[0].shape
                self.windows[id(operation)] = tuple(window)
                return keras.KerasTensor((batch, 1, 1, channels), args[0].dtype)
            return operation.compute_output_spec(*args, **kwargs)

        return call


def pools_everything(operation: Any) -> bool:
    """Tell whether a layer pools over the whole of the maps that it is given."""
    if type(operation).__name__ not in _POOLINGS or operation.data_format != "channels_last":
        return False
    given = first_arguments(operation)
    return given is not None and tuple(given.args[0].shape[1:3]) == tuple(operation.pool_size)


def _changed(model: Any, new: Any) -> str:
    """Say which weight or output has another shape; empty: none has."""
    for layer, other in zip(all_layers(model), all_layers(new), strict=True):
        if isinstance(layer, keras.Model):
            continue
        for weight, made in zip(layer.weights, other.weights, strict=True):
            if tuple(weight.shape) != tuple(made.shape):
                return f"{weight.path} would have the shape {tuple(made.shape)} instead of {tuple(weight.shape)}"
    for tensor, made in zip(model.outputs, new.outputs, strict=True):
        if tuple(tensor.shape) != tuple(made.shape):
            return f"an output would have the shape {tuple(made.shape[1:])} instead of {tuple(tensor.shape[1:])}"
    return ""


def _mixed(new: Any) -> str:
    """Say that a network mixes samples, as a reshape to the size of larger pictures does; empty: it does not."""
    tensor = new.inputs[0]
    count = tensor.shape[0] or _PROBED
    outputs = new(np.zeros((count, *tensor.shape[1:]), tensor.dtype))
    kept = all(each.shape[0] == count for each in keras.tree.flatten(outputs))
    return "" if kept else "a layer in it reshapes to the size of larger pictures"


def from_size(model: Any, size: InputSize) -> Any:
    """Return a network that resizes pictures of another size to its own (bilinear) before all else.

    Args:
        model: a functional or sequential Keras 3 model with one picture as input; it stays as it is.
        size: of the pictures that are resized.
    """
    tensor, own = model.inputs[0], functional(model_copy(model))
    given = input_of_shape(tensor, (tensor.shape[0], size.height, size.width, tensor.shape[3]))
    # An operation: a Resizing layer in front would have Keras take the rest for a training where nobody says.
    image = keras.ops.cast(given, "float32")
    resized = keras.ops.image.resize(image, tuple(tensor.shape[1:3]), "bilinear", data_format="channels_last")
    if not keras.backend.is_float_dtype(tensor.dtype):
        resized = keras.ops.round(resized)
    if resized.dtype != tensor.dtype:
        resized = keras.ops.cast(resized, tensor.dtype)
    outputs = replayed(own, [resized], lambda operation: operation)
    return keras.Model(given, outputs, name=model.name)
