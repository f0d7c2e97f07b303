"""Clustering the weights of a Keras 3 model while it trains (Han et al. 2016, arXiv:1510.00149, section 3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tfcompress.models.copies import Slot, slots_of
from tfcompress.models.scope import check_scope
from tfcompress.recipe import Cluster
from tfcompress.weights.code_book import ClusterLookup
from tfcompress.weights.constraints import numpy_of
from tfcompress.weights.kernels import KernelChoice, LayerVerdict, choose_layers
from tfcompress.weights.promises import Promise, values_promise

CHANNEL_AXES = {
    "Conv1D": -1,
    "Conv2D": -1,
    "Conv3D": -1,
    "Conv1DTranspose": -2,
    "Conv2DTranspose": -2,
    "Conv3DTranspose": -2,
}
"""Layers whose output channels can be clustered apart -> their axis in the kernel."""


def clusterable(path: str, layer: Any) -> list[Slot]:
    """Return the kernels of a layer that are clustered: all but depthwise ones."""
    return [slot for slot in slots_of(path, layer) if not slot.depthwise]


def kernels_to_cluster(stage: Cluster, layers: Mapping[str, Any]) -> KernelChoice:
    """Choose the layers to cluster among those with a kernel, by path.

    Raises:
        UsageError: a pattern of the scope matches nothing.
        UnsupportedError: layers asked for that cannot be clustered; or nothing to cluster.
    """
    paths = {id(layer): path for path, layer in layers.items()}
    patterns = [name for name, _ in stage.counts]
    check_scope(stage.kind, patterns, layers, "layer with a kernel", field="layers")
    chosen = choose_layers(stage, layers, lambda layer: _verdict(stage, paths[id(layer)], layer))
    for path, layer in chosen.layers.items():
        taken = clusterable(path, layer)
        left = [s.name for s in slots_of(path, layer) if id(s.variable) not in {id(t.variable) for t in taken}]
        chosen.notes.extend(f"cluster leaves {name} as it is: it holds a filter for each channel" for name in left)
        if stage.per_channel and not all(map(clusters_apart, taken)):
            chosen.notes.append(f"cluster takes {path} whole: channels are clustered apart in convolutions only")
    return chosen


def _verdict(stage: Cluster, path: str, layer: Any) -> LayerVerdict:
    if not layer.trainable:
        return LayerVerdict("refuse", "it is frozen, and clustering trains the values; set its trainable to True")
    slots = clusterable(path, layer)
    if not slots:
        return LayerVerdict("leave", f"the kernel of {type(layer).__name__} holds a filter for each channel")
    if not all(slot.attribute for slot in slots):
        return LayerVerdict("refuse", "its kernels are not attributes of it, or of layers that are")
    sizes = [math.prod(s.variable.shape) // (_channels(stage, s) or 1) for s in slots]
    count = stage.count_of(path)
    if max(sizes) <= count:
        return LayerVerdict("leave", f"its {max(sizes)} weights cannot hold more than {count} values")
    return LayerVerdict("take")


def clusters_apart(slot: Slot) -> bool:
    """Say whether the channels of a kernel can have centroids of their own."""
    return type(slot.owner).__name__ in CHANNEL_AXES


def _axis(stage: Cluster, slot: Slot) -> int | None:
    return CHANNEL_AXES.get(type(slot.owner).__name__) if stage.per_channel is not False else None


def _channels(stage: Cluster, slot: Slot) -> int | None:
    axis = _axis(stage, slot)
    return None if axis is None else int(slot.variable.shape[axis])


class Clustering:
    """One cluster stage applied to kernels.

    Attributes:
        stage: what is asked.
        slots: the kernels.
        lookups: what each kernel goes through before its layer uses it.
    """

    def __init__(self, stage: Cluster, slots: Sequence[Slot], pruned: Collection[int], seed: int) -> None:
        """Make a lookup for every kernel, and place the centroids where nothing is pruned at the same time.

        Args:
            stage: what is asked.
            slots: kernels to cluster.
            pruned: ids of the variables that are pruned too; their zeros are one of the values then.
            seed: seed of the first centroids.
        """
        self.stage, self.slots, self._seed = stage, list(slots), seed
        self.lookups = [self._lookup(slot, pruned=id(slot.variable) in pruned) for slot in self.slots]
        self._once_placed: set[int] = set()  # ids of lookups
        self._start_(lambda lookup: not lookup.keep_zeros)
        self._waiting = True

    def axis_of(self, slot: Slot) -> int | None:
        """Return the axis of the channels of a kernel that have centroids of their own; None: it is taken whole."""
        return _axis(self.stage, slot)

    def _lookup(self, slot: Slot, *, pruned: bool) -> ClusterLookup:
        channels, axis = _channels(self.stage, slot), _axis(self.stage, slot)
        stage = self.stage
        zeros_apart = pruned and stage.scheme == "kmeans"  # powers of two have a 0 among them
        count = stage.count_of(slot.asked_as) - (1 if zeros_apart else 0)
        name = f"{slot.name.replace('/', '_')}_clusters"
        return ClusterLookup(
            count, channels=channels, axis=axis or -1, keep_zeros=pruned, scheme=stage.scheme, name=name
        )

    @property
    def waiting(self) -> bool:
        """Whether some centroids are not placed yet: those of kernels that are still being pruned."""
        if self._waiting:  # asked after every step: what was placed once stays so
            self._waiting = any(not lookup.started for lookup in self.lookups)
        return self._waiting

    def look_again_(self) -> None:
        """Let :attr:`waiting` be found out anew: weights from before the centroids were placed may have come back."""
        self._waiting = True

    def put_back(self) -> list[str]:
        """Return the kernels whose centroids were placed here, and are not any more."""
        named = zip(self.slots, self.lookups, strict=True)
        return [slot.name for slot, lookup in named if id(lookup) in self._once_placed and not lookup.started]

    def start_(self) -> None:
        """Place the centroids that wait, among the weights as they are now."""
        self._start_(lambda lookup: lookup.keep_zeros and not lookup.started)

    def _start_(self, due: Callable[[ClusterLookup], bool]) -> None:
        for slot, lookup in zip(self.slots, self.lookups, strict=True):
            if due(lookup):
                lookup.start_(lookup.placed(numpy_of(slot.variable), self.stage.init, self._seed))
                self._once_placed.add(id(lookup))

    def attached(self) -> dict[str, dict[str, list[ClusterLookup]]]:
        """Return the lookups by the path of their layer and, below, by the path of attributes to their kernel."""
        found: dict[str, dict[str, list[ClusterLookup]]] = {}
        for slot, lookup in zip(self.slots, self.lookups, strict=True):
            found.setdefault(slot.layer, {})[slot.attribute] = [lookup]
        return found

    def current(self) -> dict[int, np.ndarray]:
        """Return the kernels as the forward pass uses them, by the id of their variable."""
        named = zip(self.slots, self.lookups, strict=True)
        return {id(slot.variable): lookup.final(numpy_of(slot.variable)) for slot, lookup in named}

    def final(self, values: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Return the clustered kernels by the id of their variable, whether or not training has come that far.

        Args:
            values: pruned kernels by the id of their variable; others are taken as they are.
        """
        found = {}
        for slot, lookup in zip(self.slots, self.lookups, strict=True):
            value = values[id(slot.variable)] if id(slot.variable) in values else numpy_of(slot.variable)
            if lookup.started:
                found[id(slot.variable)] = lookup.final(value)
            else:
                found[id(slot.variable)] = lookup.snapped(value, lookup.placed(value, self.stage.init, self._seed))
        return found

    def promises(self, values: Mapping[int, np.ndarray]) -> list[Promise]:
        """Compare values of the kernels, by the id of their variable, with what the stage promises."""
        stage, slots = self.stage, self.slots
        return [
            values_promise(s.name, values[id(s.variable)], stage.count_of(s.asked_as), channel_axis=_axis(stage, s))
            for s in slots
        ]
