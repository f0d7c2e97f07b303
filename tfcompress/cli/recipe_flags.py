"""Settings as flags give them over those of a recipe, for every command that takes recipes by name and such flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tfcompress.errors import UsageError
from tfcompress.recipe import Export, Recipe, Train
from tfcompress.stages.flags import Flag, flags_of, is_given, naming

NOTHING_TRAINED = "nothing is trained without a stage, or --epochs with --max-drop"
"""Why a flag about training does nothing."""

Values = dict[str, Any]


def settings_over(base: Train | Export, flags: Mapping[str, Any]) -> tuple[Values, dict[str, str]]:
    """Return the values that flags give over *base*, by field, and the flags, by the place of a value in messages.

    Raises:
        UsageError: two flags that contradict each other.
    """
    given: list[Flag] = [flag for flag in flags_of(type(base)) if is_given(flags[flag.key])]
    values: Values = {}
    for flag in given:
        for adding in given if flag.removes else ():
            if adding.field == flag.field and not adding.removes and flag.removes in flags[adding.key]:
                msg = f"{adding.name} {flag.removes} and {flag.name} contradict each other; give one of them"
                raise UsageError(msg)
        before = values.get(flag.field, getattr(base, flag.field))
        values |= flag.values_over(before, flags[flag.key])
    return values, {f"{type(base).__name__.lower()}.{flag.field}": flag.name for flag in given}


def training_over(base: Train, flags: Mapping[str, Any], *, on_demand: bool) -> tuple[Values, dict[str, str]]:
    """Return what :func:`settings_over` does.

    Args:
        base: the settings.
        flags: what was given for each option, by its name.
        on_demand: whether ``--epochs`` is leave to train, since nothing else asks for a training and the file may lose
            only so much.
    """
    values, by = settings_over(base, flags)
    if on_demand and "epochs" in values:
        values["if_needed"], by["train.if_needed"] = True, "--epochs"
    return values, by


def trained_alike(recipes: Sequence[Recipe], flags: Mapping[str, Any], *, has_data: bool) -> list[Recipe]:
    """Return recipes with the settings of training that flags give, each with those that matter to it.

    Args:
        recipes: as they were read.
        flags: what was given for each option of training, by its name.
        has_data: whether there is data.

    Raises:
        UsageError: a flag that matters to none of them.
        RecipeError: a value that a recipe refuses.
    """
    found, heeded = [], set()
    for recipe in recipes:
        on_demand = not recipe.stages and recipe.promises
        trains = bool(recipe.stages) or recipe.train.if_needed or (on_demand and is_given(flags["epochs"]))
        there = {"": True, "training": trains, "data": has_data}
        mattering = {flag.key for flag in flags_of(Train) if there[flag.option.needs]}
        heeded |= mattering
        own = {key: value if key in mattering else None for key, value in flags.items()}
        values, by = training_over(recipe.train, own, on_demand=on_demand)
        with naming(by):
            found.append(dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, **values)))
    idle = next((flag for flag in flags_of(Train) if is_given(flags[flag.key]) and flag.key not in heeded), None)
    if idle:
        reason = "no --on has any data" if idle.option.needs == "data" else "no RECIPE has a stage that is trained"
        msg = f"{idle.name} would do nothing: {reason}"
        raise UsageError(msg)
    return found


def alone(flag: Flag) -> Flag:
    """Return a flag whose help says what it sets, without what else it does where one recipe is typed flag by flag."""
    if not flag.option.sets:
        return flag
    own = flag.option.help.partition(";")[0].rstrip(".")
    return dataclasses.replace(flag, option=dataclasses.replace(flag.option, help=f"{own}.", sets=()))
