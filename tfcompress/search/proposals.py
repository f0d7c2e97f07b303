"""Which candidate is tried next: recipes by hand first, then what a sampler proposes, never the same one twice.

Importing this module imports Optuna.
"""

from __future__ import annotations

import dataclasses
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from tfcompress.errors import RecipeError
from tfcompress.recipe import Recipe, named
from tfcompress.search.space import Candidate, Dimension, Selection, Space
from tfcompress.search.study_store import FACTS, StudyStore
from tfcompress.search.trial_records import TrialRecord
from tfcompress.search.variations import variations

BY_HAND = 9
"""Recipes that are tried before the sampler has its turn."""

REDRAWS = 6
"""Times that a candidate which was there before is drawn again, before one is drawn at random."""

RANDOM_DRAWS = 24
"""Times that one is drawn at random, before the space is called used up."""

EVOLUTION_TRIALS = 200
"""From so many trials on, and with more than two goals, candidates evolve (NSGA-II)."""

HAND = "by hand"
VARIED = "one thing other than in"
"""What the source of a variation begins with; the number of what it is a variation of follows."""


def recipes_by_hand(space: Space, count: int = BY_HAND) -> list[Selection]:
    """Return named recipes that lie in a space: those that train nothing, then those with most values that none has.

    Args:
        space: of the search; of a named recipe its stages and its numbers count, its training is the space's.
        count: how many at most.

    Returns:
        Selections, those that train least first.
    """
    inside = [(recipe, _within(space, recipe)) for recipe in named().values()]
    left = [(len(recipe.stages), found, _pairs(space, found)) for recipe, found in inside if found is not None]
    seen: set[tuple[str, Any]] = set()
    chosen: list[tuple[int, Selection]] = []
    while left and len(chosen) < count:
        best = max(left, key=lambda each: (not each[0], len(each[2] - seen)))
        left.remove(best)
        chosen.append(best[:2])
        seen |= best[2]
    chosen.sort(key=lambda each: each[0])
    return [selection for _, selection in chosen]


def _within(space: Space, recipe: Recipe) -> Selection | None:
    """Return how a space makes a named recipe, or None."""
    bare = dataclasses.replace(recipe.export, packings=space.export.packings)
    says = {each.name: getattr(bare, each.name) for each in dataclasses.fields(bare) if _differs(bare, each.name)}
    try:
        export = dataclasses.replace(space.export, **says)
        recipe = dataclasses.replace(recipe, title="", about="", train=space.train, export=export)
    except RecipeError:
        return None
    return space.selection_of(Candidate(recipe))


def _differs(settings: Any, name: str) -> bool:
    plain = type(settings)()
    return bool(getattr(settings, name) != getattr(plain, name))


def _pairs(space: Space, selection: Selection) -> set[tuple[str, Any]]:
    """Return the values that mean something in a selection."""
    open_ones = (each for each in space.dimensions if len(space.open_values(each, selection)) > 1)
    return {(each.name, selection[each.name]) for each in open_ones if each.name in selection}


class Proposals:
    """What is tried next.

    Attributes:
        trials: how many the search will have, as far as that is known or estimated; None: it is not.
    """

    def __init__(self, space: Space, store: StudyStore, *, seed: int, goals: int, trials: int | None) -> None:
        """Look at a study.

        Args:
            space: of the search.
            store: the study.
            seed: of everything that is drawn; what is drawn next depends on it and on the trials there are, so that a
                search that was stopped goes on as it would have.
            goals: how many figures are made smaller.
            trials: how many the search will have, where that is known.
        """
        self._space, self._store, self._seed = space, store, seed
        self.trials, self._goals = trials, goals
        self._known: set[Candidate] = set()
        self._left: list[int] = []

    @property
    def _evolves(self) -> bool:
        return self._goals > 2 and self.trials is not None and self.trials >= EVOLUTION_TRIALS

    @property
    def method(self) -> str:
        """What proposes, where nothing is given by hand."""
        return "NSGA-II" if self._evolves else "TPE"

    def enqueue(self, selections: Sequence[Selection], source: str = HAND) -> None:
        """Have selections tried first."""
        for selection in selections:
            params = self._labelled(selection)
            self._store.enqueue(params, {"source": source})

    def again(self, number: int) -> None:
        """Have a trial that an earlier driver did not end tried before all others, with what it had found out."""
        self._left.append(number)

    def take(self, candidate: Candidate) -> None:
        """Count a candidate as tried."""
        self._known.add(candidate)

    def next(self, best: Sequence[TrialRecord] = ()) -> tuple[optuna.Trial, TrialRecord] | None:
        """Return a candidate that was not tried yet; None: none was found, the space is as good as used up.

        Args:
            best: what keeps the limits so far, the best first; every other candidate is a variation of one of them.
        """
        self._vary(best)
        for draw in range(REDRAWS + RANDOM_DRAWS):
            trial = self._begun(at_random=draw >= REDRAWS)
            kept: Mapping[str, Any] = trial.user_attrs.get(FACTS, {})
            found = self._drawn(trial)
            if found is not None and found[0] not in self._known:
                candidate, selection = found
                self._known.add(candidate)
                source = kept.get("source") or (self.method if draw < REDRAWS else "at random")
                record = TrialRecord(trial.number, candidate, selection, source)
                record.take(kept)
                return trial, record
            self._store.keep(trial, {"state": "duplicate" if found else "invalid"})
            self._store.tell(trial, None, {})
        return None

    def _vary(self, best: Sequence[TrialRecord]) -> None:
        """Have what differs from one of the best in one thing tried next, if it is the turn of that."""
        trials = self._store.trials()
        begun = [trial for trial in trials if trial.state != TrialState.WAITING]
        if not best or self._left or len(begun) < len(trials) or self._varied(begun):
            return
        generator = random.Random((1_000_003 * self._seed + len(trials)) % 2**32)
        for record in sorted(best, key=lambda each: generator.random() + (each is not best[0])):
            around = variations(self._space, record.selection)
            fresh = {
                name: [selection for candidate, selection in found.items() if candidate not in self._known]
                for name, found in around.items()
            }
            possible = [found for found in fresh.values() if found]
            if possible:
                self.enqueue([generator.choice(generator.choice(possible))], f"{VARIED} {record.number}")
                return

    def _varied(self, begun: Sequence[FrozenTrial]) -> bool:
        """Say whether the last candidate was a variation."""
        sources = [trial.user_attrs.get(FACTS, {}).get("source", "") for trial in begun[-1:]]
        return any(source.startswith(VARIED) for source in sources)

    def _drawn(self, trial: optuna.Trial) -> tuple[Candidate, Selection] | None:
        """Return what a trial's values make; None: values that contradict each other."""
        selection: dict[str, Any] = {}
        for dimension in self._space.dimensions:
            possible = self._space.open_values(dimension, selection)
            if not possible:
                return None
            if len(possible) == 1:
                selection[dimension.name] = possible[0]
                continue
            labels = dimension.labels
            value = labels[self._store.suggested(trial, dimension.name, tuple(labels))]
            if value not in possible:
                return None
            selection[dimension.name] = value
        return self._space.candidate(selection), selection

    def _labelled(self, selection: Selection) -> dict[str, Any]:
        """Return a selection as the storage has it, without what means nothing in it."""
        found: dict[str, Any] = {}
        before: dict[str, Any] = {}
        for dimension in self._space.dimensions:
            possible = self._space.open_values(dimension, before)
            before[dimension.name] = selection.get(dimension.name, dimension.values[0])
            if len(possible) > 1:
                found[dimension.name] = _label(dimension, before[dimension.name])
            elif possible:
                before[dimension.name] = possible[0]
        return found

    def _begun(self, *, at_random: bool) -> optuna.Trial:
        if self._left:
            number = self._left.pop(0)
            return self._store.take_up(number, self._sampler(number, at_random=at_random))
        return self._store.ask(self._sampler(len(self._store.trials()), at_random=at_random))

    def _sampler(self, number: int, *, at_random: bool) -> optuna.samplers.BaseSampler:
        seed = (1_000_003 * self._seed + number) % 2**32
        if at_random:
            return RandomSampler(seed=seed)
        if self._evolves:
            return NSGAIISampler(seed=seed, population_size=32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # multivariate and group are called experimental
            return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=BY_HAND)


def _label(dimension: Dimension, value: Any) -> Any:
    return next(label for label, own in dimension.labels.items() if own == value and type(own) is type(value))
