"""Layers of nested models as an indented list: their names are paths, ``encoder/conv``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Branch:
    """A line of the list: a layer, or the nested model that the lines below it belong to.

    Attributes:
        label: the last part of its path; of a nested model with ``/`` behind it.
        depth: in how many nested models it lies.
        members: the numbers of the layers that it stands for: its own, or those of the nested model.
        is_layer: whether it is a layer.
    """

    label: str
    depth: int
    members: range
    is_layer: bool

    @property
    def indented(self) -> str:
        """The label behind two spaces for each model that it lies in."""
        return "  " * self.depth + self.label


def branches(names: Sequence[str]) -> list[Branch]:
    """Return the lines, in the order of *names*, which are paths: a line for each, and one above each nested model."""
    paths = [name.split("/") for name in names]
    found: list[Branch] = []
    before: list[str] = []
    for number, path in enumerate(paths):
        models = path[:-1]
        shared = next((n for n, (a, b) in enumerate(zip(models, before, strict=False)) if a != b), None)
        known = min(len(models), len(before)) if shared is None else shared
        for depth in range(known, len(models)):
            prefix = path[: depth + 1]
            end = next((n for n in range(number, len(paths)) if paths[n][:-1][: depth + 1] != prefix), len(paths))
            found.append(Branch(f"{path[depth]}/", depth, range(number, end), is_layer=False))
        found.append(Branch(path[-1], len(models), range(number, number + 1), is_layer=True))
        before = models
    return found
