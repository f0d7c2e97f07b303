"""The space of a search: which recipes there are, made from what the fields of stages and settings say is worth trying.

Nothing here knows a stage by name: a stage, a packing or a field joins the space by its ``tries``
(:mod:`tfcompress.stages.option`). What more a candidate can be (another network, say) is a :class:`SpacePart`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from tfcompress.errors import RecipeError
from tfcompress.recipe import Recipe
from tfcompress.references import imported
from tfcompress.settings import Export
from tfcompress.stages.option import option_of
from tfcompress.stages.stage import Stage
from tfcompress.stages.stage_table import STAGES
from tfcompress.train_settings import Train

Selection = Mapping[str, Any]
"""A value for some dimensions, by their names; the others have their plain one."""


@dataclass(frozen=True)
class Candidate:
    """What a trial tries.

    Attributes:
        recipe: what is done to the network.
    """

    recipe: Recipe

    @property
    def name(self) -> str:
        """What tables call it: the stages and numbers, without titles; weights of 4 bits that no stage tells of."""
        name, export = dataclasses.replace(self.recipe, title="").name, self.recipe.export
        told = export.weight_bits == 8 or any(stage.numbers for stage in self.recipe.stages)
        return name if told else f"{name}-weights{export.weight_bits}"


@dataclass(frozen=True)
class Dimension:
    """One thing that candidates differ in.

    Attributes:
        name: ``prune`` (whether the stage is there), ``prune.sparsity``, ``export.quantize``.
        values: what is tried, the plain value first.
    """

    name: str
    values: tuple[Any, ...]

    @property
    def labels(self) -> dict[Any, Any]:
        """The values by what storages can hold: lists as text, everything else as it is."""
        return {"+".join(map(str, value)) if isinstance(value, tuple) else value: value for value in self.values}


@dataclass
class Draft:
    """A candidate that is being put together.

    Attributes:
        stages: in the order of the recipe.
        train: values of fields of the recipe's training.
        export: of its export.
    """

    stages: list[Stage] = field(default_factory=list)
    train: dict[str, Any] = field(default_factory=dict)
    export: dict[str, Any] = field(default_factory=dict)


class SpacePart(Protocol):
    """Some dimensions, and what their values make of a candidate."""

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What candidates differ in."""

    def apply_(self, draft: Draft, selection: Selection) -> None:
        """Do to a draft what was selected; parts come in the order of the space.

        Raises:
            RecipeError: values that contradict each other.
        """

    def selection_of(self, candidate: Candidate) -> Selection | None:
        """Return what would be selected to make a candidate; None: this part cannot make it."""


Refusal = Callable[[Stage], str]
"""Says why a stage cannot be done to the model; empty: it can, as far as is known."""


def never(stage: Stage) -> str:
    """Refuse no stage: the model is not known."""
    return ""


Values = Mapping[str, Sequence[Any]]
"""What the user has said is tried (:mod:`tfcompress.search.own_values`), by the names of dimensions."""

_NO_VALUES: Values = MappingProxyType({})

_Settings = TypeVar("_Settings", Train, Export)


def place_of(owner: type) -> str:
    """Return what dimensions call a stage or settings."""
    return str(getattr(owner, "kind", owner.__name__.lower()))


def tried_fields(owner: type, values: Values = _NO_VALUES) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the fields of a stage or of settings that are worth trying, with the values, the plain one first.

    Args:
        owner: the class.
        values: of the user's own.
    """
    for each in dataclasses.fields(owner):
        note = option_of(each)
        if note is not None and len(note.worth_trying) > 1:
            yield each.name, tuple(values.get(f"{place_of(owner)}.{each.name}", note.worth_trying))


@dataclass(frozen=True)
class StagePart:
    """Whether a stage is there, and how.

    Attributes:
        stage: the class.
        fields: of it that are tried, with the values, the plain one first.
        presence: whether it is left out, is there, or both are tried.
    """

    stage: type[Stage]
    fields: tuple[tuple[str, tuple[Any, ...]], ...]
    presence: tuple[bool, ...] = (False, True)

    @classmethod
    def of(cls, stage: type[Stage], refusal: Refusal = never, values: Values = _NO_VALUES) -> StagePart | None:
        """Return the part of a stage with what is worth trying and possible; None: nothing is.

        Args:
            stage: the class.
            refusal: why a stage cannot be done to the model.
            values: of the user's own.
        """
        presence = tuple(values.get(stage.kind, (False, True)))
        if not any(True for _ in tried_fields(stage)):
            return None if refusal(stage()) else cls(stage, (), presence)
        found = []
        for name, tried in tried_fields(stage, values):
            possible = tuple(value for value in tried if not refusal(stage(**{name: value})))
            if not possible:
                return None
            found.append((name, possible))
        return cls(stage, tuple(found), presence)

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The stage itself, then its fields."""
        kind = self.stage.kind
        return (Dimension(kind, self.presence), *(Dimension(f"{kind}.{name}", values) for name, values in self.fields))

    def apply_(self, draft: Draft, selection: Selection) -> None:
        """Add the stage, where it is there."""
        kind = self.stage.kind
        if selection.get(kind, self.presence[0]):
            values = {name: selection.get(f"{kind}.{name}", tried[0]) for name, tried in self.fields}
            draft.stages.append(self.stage(**values))

    def selection_of(self, candidate: Candidate) -> Selection | None:
        """Return what makes the stage of a candidate."""
        kind, found = self.stage.kind, candidate.recipe.stage(self.stage.kind)
        if found is None:
            return {kind: False}
        own = {name: getattr(found, name) for name, _ in self.fields}
        made = self.stage(**own)
        return {kind: True, **{f"{kind}.{name}": value for name, value in own.items()}} if made == found else None


@dataclass(frozen=True)
class SettingsPart:
    """What is tried of the training, or of the export.

    Attributes:
        owner: the class of the settings.
        fields: of it that nobody has said, with the values that are tried.
    """

    owner: type[Train | Export]
    fields: tuple[tuple[str, tuple[Any, ...]], ...]

    @classmethod
    def of(cls, settings: Train | Export, fixed: frozenset[str], values: Values = _NO_VALUES) -> SettingsPart:
        """Return what is worth trying of settings and possible beside what the user has said.

        Args:
            settings: what holds where nothing is selected.
            fixed: names of fields that the user has said.
            values: of the user's own.
        """
        tried = [each for each in tried_fields(type(settings), values) if each[0] not in fixed]
        beside = [{}, *({name: value} for name, worth in tried for value in worth)]
        found = [
            (name, tuple(value for value in worth if any(_can_be(settings, {**each, name: value}) for each in beside)))
            for name, worth in tried
        ]
        own = {name: (getattr(settings, name),) for name, _ in tried}
        return cls(type(settings), tuple((name, left) for name, left in found if left != own[name]))

    @property
    def name(self) -> str:
        """What dimensions and drafts call the settings."""
        return place_of(self.owner)

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """One a field."""
        return tuple(Dimension(f"{self.name}.{name}", values) for name, values in self.fields)

    def apply_(self, draft: Draft, selection: Selection) -> None:
        """Set what was selected."""
        if self.owner is Train and not draft.stages:
            return  # nothing is trained: two such candidates would differ in nothing
        chosen = {each.name: selection[each.name] for each in self.dimensions if each.name in selection}
        getattr(draft, self.name).update({name.partition(".")[2]: value for name, value in chosen.items()})

    def selection_of(self, candidate: Candidate) -> Selection | None:
        """Return the values that a candidate has."""
        settings = getattr(candidate.recipe, self.name)
        return {each.name: getattr(settings, each.name.partition(".")[2]) for each in self.dimensions}


def _can_be(settings: Train | Export, values: Mapping[str, Any]) -> bool:
    try:
        dataclasses.replace(settings, **values)
    except RecipeError:
        return False
    return True


@dataclass(frozen=True)
class Space:
    """All candidates.

    Attributes:
        parts: in the order in which they are applied.
        train: what a candidate's training has where nothing is selected.
        export: likewise of its export.
        gains: what matters of :class:`~tfcompress.stages.stage.Gains`: a stage that gains nothing of it in a file of
            the candidate's numbers contradicts them; empty: nobody asks.
    """

    parts: tuple[SpacePart, ...]
    train: Train = field(default_factory=Train)
    export: Export = field(default_factory=Export)
    gains: tuple[str, ...] = ()

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Of all parts, in their order."""
        return tuple(each for part in self.parts for each in part.dimensions)

    def candidate(self, selection: Selection) -> Candidate:
        """Return what a selection makes.

        Raises:
            RecipeError: values that contradict each other.
        """
        draft = Draft()
        for part in self.parts:
            part.apply_(draft, selection)
        stages = tuple(sorted(draft.stages, key=lambda stage: stage.phase == "train"))
        scheme = next((stage.numbers for stage in stages if stage.numbers), None)
        if scheme is not None:
            draft.export.setdefault("quantize", scheme)
        recipe = Recipe(
            stages=stages,
            train=dataclasses.replace(self.train, **draft.train),
            export=dataclasses.replace(self.export, **draft.export),
        )
        for stage in stages if self.gains else ():
            if not _gains_something(stage, recipe.export, self.gains):
                msg = f"{stage.kind} gains nothing in a file of {recipe.export.quantize}"
                raise RecipeError(msg)
        return Candidate(recipe)

    def open_values(self, dimension: Dimension, selection: Selection) -> tuple[Any, ...]:
        """Return the values of a dimension that make sense beside what is selected already, and differ in something."""
        found: dict[Candidate, Any] = {}
        for value in dimension.values:
            try:
                found.setdefault(self.candidate({**selection, dimension.name: value}), value)
            except RecipeError:
                continue
        return tuple(found.values())

    def selection_of(self, candidate: Candidate) -> Selection | None:
        """Return what would be selected to make a candidate; None: it lies outside the space."""
        found: dict[str, Any] = {}
        for part in self.parts:
            selected = part.selection_of(candidate)
            if selected is None:
                return None
            found |= selected
        chosen = {each.name: found[each.name] for each in self.dimensions if each.name in found}
        if any(chosen[each.name] not in each.values for each in self.dimensions if each.name in chosen):
            return None
        try:
            return chosen if self.candidate(chosen) == candidate else None
        except RecipeError:
            return None

    def size(self) -> int:
        """Return an upper bound of the number of candidates: every value of every dimension with every other."""
        count = 1
        for each in self.dimensions:
            count *= len(each.values)
        return count


def _gains_something(stage: Stage, export: Export, gains: Sequence[str]) -> bool:
    """Say whether a stage brings any of what matters in such a file."""
    brought = {name for name in gains if getattr(stage.gains, name) != "no"}
    if brought == {"file"} and stage.shrinks:
        shrinks: Callable[[Export], bool] = imported(stage.shrinks, stage.kind, what="function")
        return shrinks(export)
    return bool(brought)


def space_of(
    *,
    train: Train,
    export: Export,
    fixed: Sequence[str] = (),
    without: Sequence[str] = (),
    gains: Sequence[str] = ("file", "latency"),
    more: Sequence[SpacePart] = (),
    refusal: Refusal = never,
    values: Values = _NO_VALUES,
) -> Space:
    """Return the space of all stages of the table that can gain something.

    Args:
        train: what nothing is selected of; its fields in *fixed* are the user's.
        export: likewise.
        fixed: ``train.FIELD`` and ``export.FIELD`` that the user has said.
        without: kinds of stages that are left out.
        gains: what matters of :class:`~tfcompress.stages.stage.Gains`; a stage that gains nothing of it is left out,
            in all candidates or in those of certain numbers.
        more: further parts, applied after the stages.
        refusal: why a stage cannot be done to the model; values of fields that cannot be, and stages that cannot be
            at all, are left out.
        values: of dimensions, in place of those that their fields name.
    """
    useful = (
        stage
        for stage in STAGES.values()
        if stage.kind not in without
        and not (stage.choices or stage.builds)  # what there is to choose of a network comes as *more*
        and any(getattr(stage.gains, name) != "no" for name in gains)
    )
    said: dict[type[Train | Export], frozenset[str]] = {
        owner: frozenset(name.partition(".")[2] for name in fixed if name.startswith(f"{place_of(owner)}."))
        for owner in (Train, Export)
    }
    settings = [SettingsPart.of(each, said[type(each)], values) for each in (train, export)]
    stages = (part for part in (StagePart.of(stage, refusal, values) for stage in useful) if part is not None)
    return Space((*stages, *more, *settings), _with_own(train, values), _with_own(export, values), tuple(gains))


def _with_own(settings: _Settings, values: Values) -> _Settings:
    """Return settings that have one of the values which the user has said are tried, where they can."""
    for name, chosen in tried_fields(type(settings), values):
        own = f"{place_of(type(settings))}.{name}" in values and getattr(settings, name) not in chosen
        if own and _can_be(settings, {name: chosen[0]}):
            settings = dataclasses.replace(settings, **{name: chosen[0]})
    return settings
