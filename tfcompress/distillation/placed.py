"""What layers give while a model is trained, seen without a second pass: layers that other stages may have replaced."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras

from tfcompress.distillation.pairs import named_tensors
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.models.graph import calls
from tfcompress.models.keras_private import input_structure, output_structure


class PlacedLayers:
    """Looks into a model's calls: each gives its outputs and leaves behind what chosen layers gave.

    The model's ``call`` is replaced on this one object by that of a model of the same layers with more outputs.
    """

    def __init__(self, model: Any, names: Sequence[str], plain: Any) -> None:
        """Find the layers and look into *model* from now on; without names it is left alone.

        Args:
            model: a Keras 3 graph, in which stages may have wrapped layers or taken them apart.
            names: of layers of *plain*.
            plain: the graph that *model* was made from.

        Raises:
            UnsupportedError: nothing stands for one of them.
        """
        self._names, self._seen = tuple(names), dict[str, Any]()
        if not names:
            return
        wanted = dict(zip(names, named_tensors(plain, names), strict=True))
        known = {call.layer.name.replace("/", "_") for call in calls(plain)}
        outputs = [*model.outputs, *(_standing_for(model, name, like, known) for name, like in wanted.items())]
        self._structure = output_structure(model)
        self._wider = keras.Model(input_structure(model), outputs)
        model.call = self._call

    def _call(self, inputs: Any, training: bool | None = None, mask: Any = None, **more: Any) -> Any:
        found = self._wider(inputs, training=training, mask=mask, **more)
        split = len(found) - len(self._names)
        self._seen = dict(zip(self._names, found[split:], strict=True))
        return keras.tree.pack_sequence_as(self._structure, found[:split])

    def given(self) -> Mapping[str, Any]:
        """Return what the layers gave in the call before, by name.

        Raises:
            UsageError: there was none.
        """
        if self._names and not self._seen:
            msg = "compute_loss of a distilled model compares layers: call the model itself on the batch before it"
            raise UsageError(msg)
        return self._seen


def _standing_for(model: Any, name: str, like: Any, known: Collection[str]) -> Any:
    """Return what the layer of this name gives, or the last part of it where it was taken apart.

    Parts, and what rounds them, are called after their layer: ``hidden``, ``hidden_relu``, ``hidden_relu_range3``.
    """
    flat = name.replace("/", "_")
    found = [
        call.outputs[0]
        for call in calls(model)
        if _owner(call.layer.name, known) == flat and tuple(call.outputs[0].shape[1:]) == tuple(like.shape[1:])
    ]
    if not found:
        msg = (
            f"distill compares layer {name!r}, of which another stage has left nothing of that shape; say which layers "
            "to compare by --distill-layers STUDENT=TEACHER"
        )
        raise UnsupportedError(msg)
    return found[-1]


def _owner(name: str, known: Collection[str]) -> str:
    """Return the longest of the *known* names that a name begins with; empty: none."""
    parts = name.split("_")
    starts = ("_".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((start for start in starts if start in known), "")
