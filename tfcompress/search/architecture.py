"""The user's own network as part of a space: its widths, its blocks, its kernels, the size of its pictures.

A stage that is made from choices (:attr:`~tfcompress.stages.stage.Stage.choices`) says what there is to choose of a
model. What is chosen stands in the recipe as that stage, so that every candidate starts from the trained network, is
kept by its content like any other, and can be had again without a search.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from tfcompress.search.space import Candidate, Dimension, Draft, Selection
from tfcompress.stages.stage import InputSize, NetworkChoice, Stage
from tfcompress.stages.stage_table import STAGES


class LaidOut(Protocol):
    """A stage that is made from choices."""

    kind: str
    code: str

    def chosen(self) -> dict[str, Any]:
        """Return what was chosen, by name."""

    @classmethod
    def of_choices(cls, chosen: Mapping[str, Any], code: str) -> Stage | None:
        """Return the stage that makes what was chosen; None: that is the network as it is."""


@dataclass(frozen=True)
class NetworkPart:
    """What is chosen of a network.

    What differs from the network as it is comes first in the recipe, and the network as it was teaches.

    Attributes:
        stage: the class that is made from it.
        choices: what there is to choose.
        code: ``module:function`` of the user's own builder, where the stage builds by it.
    """

    stage: type[LaidOut]
    choices: tuple[NetworkChoice, ...]
    code: str = ""

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """One a choice, what the network has first."""
        return tuple(Dimension(self._dimension(choice), choice.values) for choice in self.choices)

    def _dimension(self, choice: NetworkChoice) -> str:
        return f"{self.stage.kind}.{choice.name}"

    def apply_(self, draft: Draft, selection: Selection) -> None:
        """Put the stage before all others, and a teacher behind them where there is none.

        Of a network that a builder gives, which comes first, there is nothing to choose.
        """
        if any(stage.builds for stage in draft.stages):
            return
        chosen = {
            choice.name: selection[self._dimension(choice)]
            for choice in self.choices
            if selection.get(self._dimension(choice), choice.values[0]) != choice.values[0]
        }
        inside = {choice.name: choice.inside for choice in self.choices}
        left = {name: value for name, value in chosen.items() if not any(chosen.get(b) == 0 for b in inside[name])}
        made = self.stage.of_choices(left, self.code) if left else None
        if made is not None:
            draft.stages.insert(0, made)
            if not any(stage.teaches for stage in draft.stages):
                draft.stages += [stage() for stage in STAGES.values() if stage.teaches][:1]
                draft.stages.sort(key=lambda stage: list(STAGES).index(stage.kind))

    def selection_of(self, candidate: Candidate) -> Selection | None:
        """Return what was chosen; None: something that cannot be chosen."""
        found = candidate.recipe.stage(self.stage.kind)
        chosen = {} if found is None else cast("LaidOut", found).chosen()
        if found is not None and found.code != ((self.code,) if self.code else ()):
            return None
        if set(chosen) - {choice.name for choice in self.choices}:
            return None
        return {self._dimension(choice): chosen.get(choice.name, choice.values[0]) for choice in self.choices}


def _any_size(_: InputSize) -> bool:
    return True


def network_parts(
    model: Any, builder: str = "", *, changes: bool = True, comes_in: Callable[[InputSize], bool] = _any_size
) -> tuple[NetworkPart, ...]:
    """Return what can be chosen of a network, a part for each stage of the table that is made from choices.

    Args:
        model: a Keras 3 model.
        builder: ``module:function`` of the user's own that builds other ones; empty: there is none.
        changes: whether the network itself may be changed.
        comes_in: tells whether the data comes in a size of pictures; one that it does not come in is no choice.

    Raises:
        UnsupportedError: the model has no graph.
        UsageError: a builder that does not build.
    """
    parts = []
    for stage in STAGES.values():
        code = builder if stage.builds else ""
        source = stage.builds if code else stage.choices if changes else ""
        if source:
            module, _, name = source.partition(":")
            function: Callable[[Any], tuple[NetworkChoice, ...]] = getattr(importlib.import_module(module), name)
            found = (_coming_in(choice, comes_in) for choice in function(code or model))
            if choices := tuple(choice for choice in found if choice is not None):
                parts.append(NetworkPart(cast("type[LaidOut]", stage), choices, code))
    return tuple(parts)


def _coming_in(choice: NetworkChoice, comes_in: Callable[[InputSize], bool]) -> NetworkChoice | None:
    """Return a choice without the sizes that data does not come in; None: nothing is left to choose."""
    if not choice.sizes:
        return choice
    pairs = zip(choice.values[1:], choice.sizes, strict=True)
    left = [(value, size) for value, size in pairs if comes_in(size)]
    values = (choice.values[0], *(value for value, _ in left))
    return choice._replace(values=values, sizes=tuple(size for _, size in left)) if left else None
