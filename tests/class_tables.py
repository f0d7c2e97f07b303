"""What a table of ours says of the classes of Keras: which it holds, and why it doesn't hold the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.keras_classes import LAYERS, OPERATIONS


def families(kinds: Mapping[str, frozenset[str]], *but: str) -> frozenset[str]:
    """Return all classes of *kinds*, but of those families."""
    assert set(but) <= set(kinds)
    return frozenset().union(*(classes for kind, classes in kinds.items() if kind not in but))


def of(kinds: Mapping[str, frozenset[str]], *names: str) -> frozenset[str]:
    return frozenset().union(*(kinds[name] for name in names))


def named(names: str) -> frozenset[str]:
    return frozenset(names.split())


def beginning_with(starts: Iterable[str]) -> frozenset[str]:
    """Return the layers whose names begin with one of *starts*."""
    every = tuple(starts)
    return frozenset(name for name in families(LAYERS) if name.startswith(every))


@dataclass
class Table:
    """A table of ours.

    Attributes:
        entries: names of classes that it holds.
        layers: reason -> layers that it doesn't hold; None: it is of operations only.
        operations: reason -> operations that it doesn't hold; None: it is of layers only.
    """

    entries: Iterable[str]
    layers: Mapping[str, frozenset[str]] | None = None
    operations: Mapping[str, frozenset[str]] | None = field(default=None)

    def known(self) -> frozenset[str]:
        parts = [(self.layers, LAYERS), (self.operations, OPERATIONS)]
        return frozenset().union(*(families(kinds) for unknown, kinds in parts if unknown is not None))

    def unknown(self) -> list[str]:
        groups = [*(self.layers or {}).values(), *(self.operations or {}).values()]
        return [name for group in groups for name in group]


WRAPPED_OR_NONE = of(LAYERS, "cells", "no computation") | {"Wrapper"}
"""Layers that are called by another one only, or compute nothing."""
NO_WEIGHTS = of(
    LAYERS,
    *("merges", "poolings", "global poolings", "adaptive poolings", "shapes", "sizes", "in training only"),
    *("augmentation", "features", "spectrograms", "no computation"),
)
ALL_BUT_KERNELS = families(LAYERS, "convolutions", "dense")
NEW_AUGMENTATION = LAYERS["augmentation"] - named(
    "RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom"
)

RARE = of(
    OPERATIONS,
    *("rare arithmetic of one", "rare arithmetic of two", "comparisons", "bits", "rare reductions", "running sums"),
    *("rare shapes", "new tensors", "order", "spectra", "linear algebra", "losses"),
)
RAW_NETWORK = of(OPERATIONS, "convolutions", "normalizations")
"""Convolutions and normalizations without a layer: their weights are constants, or come from elsewhere."""
FUNCTIONS_INSIDE = of(OPERATIONS, "control flow", "no computation")
ADAPTIVE = named("AdaptiveAveragePool AdaptiveMaxPool")
PICTURES = OPERATIONS["images"] - {"Resize"}
