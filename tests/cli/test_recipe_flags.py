"""Flags over recipes: which recipe heeds which flag of a training, and what is refused because none does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.cli.recipe_flags import alone, settings_over, trained_alike
from tfcompress.errors import RecipeError, UsageError
from tfcompress.recipe import QAT, Export, Prune, Recipe, Train
from tfcompress.stages.flags import flags_of, is_given

UNTRAINED = Recipe(export=Export(quantize="int8"))
PROMISING = Recipe(export=Export(quantize="int8", max_drop=1.0))
TRAINED = Recipe(stages=(QAT(),), export=Export(quantize="int8"), train=Train(epochs=7, batch_size=32))
PRUNED = Recipe(stages=(Prune(sparsity=0.5),))
FLAGS: dict[str, Any] = {
    "epochs": 3, "batch_size": 16, "learning_rate": 1e-3, "seed": 5, "holdout": 0.3, "limit": 100, "decay": "cosine",
    "keep": "last", "patience": 2, "balance": True,
}  # fmt: skip
ALWAYS = {"seed", "holdout"}
"""What matters to a recipe without a training, too."""


def typed(**given: Any) -> dict[str, Any]:
    return {flag.key: given.get(flag.key) for flag in flags_of(Train)}


@given(st.sets(st.sampled_from(sorted(FLAGS))), st.lists(st.sampled_from((UNTRAINED, TRAINED, PRUNED)), min_size=1))
def test_a_recipe_gets_the_flags_that_matter_to_it_or_they_are_refused(names: set[str], asked: list[Recipe]) -> None:
    flags, trains = typed(**{name: FLAGS[name] for name in names}), any(recipe.stages for recipe in asked)
    if names - ALWAYS and not trains:
        with pytest.raises(UsageError, match="would do nothing: no RECIPE has a stage that is trained"):
            trained_alike(asked, flags, has_data=True)
        return
    for before, after in zip(asked, trained_alike(asked, flags, has_data=True), strict=True):
        heeded = {name: FLAGS[name] for name in names if before.stages or name in ALWAYS}
        assert after == dataclasses.replace(before, train=dataclasses.replace(before.train, **heeded))


def test_epochs_are_leave_to_train_for_a_recipe_that_may_lose_only_so_much() -> None:
    (found,) = trained_alike([PROMISING], typed(epochs=4, limit=50), has_data=True)
    assert (found.train.epochs, found.train.limit, found.train.if_needed) == (4, 50, True)
    with pytest.raises(UsageError, match="--limit would do nothing"):
        trained_alike([PROMISING], typed(limit=50), has_data=True)
    (found,) = trained_alike([TRAINED], typed(epochs=4), has_data=True)
    assert not found.train.if_needed


def test_a_division_of_data_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="--holdout would do nothing: no --on has any data"):
        trained_alike([TRAINED], typed(holdout=0.3), has_data=False)


def test_a_value_that_is_refused_names_its_flag() -> None:
    with pytest.raises(RecipeError, match=r"--batch-size: train\.batch_size must be at least 1, got 0"):
        trained_alike([TRAINED], typed(batch_size=0), has_data=True)


def test_settings_are_those_that_were_typed() -> None:
    values, by = settings_over(Train(), typed(epochs=4, balance=False))
    assert values == {"epochs": 4}
    assert by == {"train.epochs": "--epochs"}


def test_a_flag_alone_says_and_sets_one_thing() -> None:
    flags = [alone(flag) for flag in flags_of(Train)]
    assert not any(flag.option.sets for flag in flags)
    assert next(flag for flag in flags if flag.field == "epochs").option.help == "Passes over the training data."
    assert [flag.key for flag in flags] == [flag.key for flag in flags_of(Train)]
    assert is_given(flags[0].default)
