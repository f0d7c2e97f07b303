"""Any recipe that may be: written and read, by its key, by its name, and typed as flags."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tests.stages.drawn import recipes, stages, values_of, widened
from tfcompress.errors import RecipeError
from tfcompress.recipe import QAT, STAGES, Distill, Export, Prune, Recipe, Stage, Train, from_dict, from_toml
from tfcompress.resumption import hash_of
from tfcompress.stages.flags import Flag, flags_of, read_stages
from tfcompress.stages.stage import RewritingStage

NAMES: dict[str, Any] = {each: getattr(tfc, each) for each in tfc.__all__}


def key(recipe: Recipe) -> str:
    """Return the part of a run's key that the recipe decides."""
    described = recipe.to_dict()
    return hash_of([described["stages"], described["train"], described["export"]])


@given(recipes())
@settings(max_examples=40)
def test_any_recipe_is_read_back_from_toml_from_json_and_from_its_repr_with_one_key(recipe: Recipe) -> None:
    ways = {
        "toml": from_toml(recipe.to_toml()),
        "json": from_dict(json.loads(json.dumps(recipe.to_dict()))),
        "without defaults": from_dict(json.loads(json.dumps(recipe.to_dict(defaults=False)))),
        "repr": eval(repr(recipe), dict(NAMES)),
    }
    for way, again in ways.items():
        assert again == recipe, way
        assert key(again) == key(recipe), way


@given(recipes())
@settings(max_examples=40)
def test_a_whole_number_for_a_fractional_one_makes_no_other_run(recipe: Recipe) -> None:
    def whole(values: Any) -> Any:
        if isinstance(values, dict):
            return {name: whole(each) for name, each in values.items()}
        if isinstance(values, list):
            return [whole(each) for each in values]
        return int(values) if isinstance(values, float) and values.is_integer() else values

    written = from_dict(whole(recipe.to_dict()))
    assert written == recipe
    assert key(written) == key(recipe)


@given(recipes(), st.data())
@settings(max_examples=40)
def test_another_value_of_any_field_makes_another_key(recipe: Recipe, data: st.DataObject) -> None:
    train = widened(data.draw, recipe.train)
    changed = [dataclasses.replace(recipe, train=train)] if _fits(recipe, train=train) else []
    for place, stage in enumerate(recipe.stages):
        other = (*recipe.stages[:place], widened(data.draw, stage), *recipe.stages[place + 1 :])
        changed += [dataclasses.replace(recipe, stages=other)] if _fits(recipe, stages=other) else []
    for each in changed:
        assert (key(each) == key(recipe)) == (each == recipe)


def _fits(recipe: Recipe, **parts: Any) -> bool:
    try:
        dataclasses.replace(recipe, **parts)
    except RecipeError:
        return False
    return True


@given(recipes())
@settings(max_examples=40)
def test_folders_can_be_called_by_any_recipe(recipe: Recipe) -> None:
    assert recipe.name.isprintable()
    assert not {"/", " ", "\\"} & set(recipe.name)
    assert len(recipe.name.encode()) < 200
    assert dataclasses.replace(recipe, title=recipe.name[:100]).name == recipe.name[:100]


@given(recipes())
@settings(max_examples=40)
def test_a_resolved_recipe_has_a_rate_for_any_training_and_leaves_nothing_to_resolve(recipe: Recipe) -> None:
    resolved = recipe.resolved()
    assert resolved.resolved() == resolved
    rate = resolved.train.learning_rate
    if recipe.train.learning_rate is not None:
        assert rate == recipe.train.learning_rate
    elif recipe.stages:
        assert rate == max(stage.default_rate for stage in recipe.stages)
    else:
        assert rate is None
    assert dataclasses.replace(resolved, train=recipe.train) == recipe


@pytest.mark.parametrize("kind", STAGES.values(), ids=str)
@given(data=st.data())
@settings(max_examples=30)
def test_a_stage_typed_as_flags_is_the_stage(kind: type[Stage], data: st.DataObject) -> None:
    stage = data.draw(stages(kind))
    typed = _typed(stage)
    if typed is not None:
        assert read_stages(typed) == (stage,)


def _typed(stage: Stage) -> dict[str, Any] | None:
    """Return what a command line gives for a stage; None: no flags make it, or it is not asked for."""
    typed: dict[str, Any] = {}
    for flag in flags_of(type(stage)):
        value = getattr(stage, flag.field) if flag.field else True
        default = _default(stage, flag)
        if value == default and not flag.option.asks:
            continue
        text = _text_of(stage, flag, value)
        if text is None:
            return None
        typed[flag.key] = text
    made_by_text = {name for flag in flags_of(type(stage)) for name in (flag.field, *flag.option.sets)}
    without = {each.name for each in dataclasses.fields(stage)} - made_by_text
    return typed if all(getattr(stage, name) == _field_default(stage, name) for name in without) else None


def _text_of(stage: Stage, flag: Flag, value: Any) -> Any:
    special: dict[tuple[str, str], Any] = {
        ("prune", "sparsity"): _amount,
        ("prune", "block_shape"): lambda s: "x".join(map(str, s.block_shape)),
        ("blocks", "remove"): lambda s: str(s.remove if s.target is None else s.target),
        ("cluster", "per_channel"): lambda s: {None: "auto", True: "channel", False: "kernel"}[s.per_channel],
    }
    read = special.get((stage.kind, flag.field))
    if read is not None:
        return read(stage)
    if flag.value == "switch":
        return True
    if flag.option.asks and value in ("", ()):
        return None
    return str(value) if flag.value == "choice" else value


def _amount(stage: Any) -> str | None:
    if stage.pattern == "block":
        return str(stage.sparsity) if stage.block_shape != (1, 1) else None
    return stage.pattern if stage.pattern in ("2:4", "4:8") else str(stage.sparsity)


def _default(stage: Stage, flag: Flag) -> Any:
    return _field_default(stage, flag.field) if flag.field else False


def _field_default(stage: Stage, name: str) -> Any:
    return next(each.default for each in dataclasses.fields(stage) if each.name == name)


REWRITING = [kind for kind in STAGES.values() if issubclass(kind, RewritingStage)]


@pytest.mark.parametrize("kind", REWRITING, ids=str)
@given(data=st.data(), cycles=st.integers(1, 6))
@settings(max_examples=30)
def test_a_rewriting_stage_has_a_part_for_each_cycle_and_each_part_is_one_that_may_be(
    kind: type[RewritingStage], data: st.DataObject, cycles: int
) -> None:
    stage = data.draw(stages(kind))
    assert isinstance(stage, RewritingStage)
    try:
        stage = dataclasses.replace(stage, cycles=cycles)
    except RecipeError:  # no block goes, in one cycle
        return
    assert len(stage.parts) == cycles
    for part in stage.parts:
        assert type(part) is kind
        assert part.kind == stage.kind
        assert part.learning_rate == stage.learning_rate


@pytest.mark.parametrize("kind", [*STAGES.values(), Train, Export], ids=str)
@given(data=st.data())
@settings(max_examples=40)
def test_a_refusal_names_a_field_and_what_it_got(kind: type, data: st.DataObject) -> None:
    refusals: list[str] = []
    widened(data.draw, kind(), refusals)
    place = getattr(kind, "kind", kind.__name__.lower())
    for text in refusals:
        assert text.startswith((f"{place}.", f"{place} ")), text
        assert " must be " in text, text
        assert ", got " in text, text


FLOATS = [
    (kind, each.name)
    for kind in (*STAGES.values(), Train, Export)
    for each in dataclasses.fields(kind)
    if 12.5 in values_of(kind, each.name)
]


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 10**400])
@pytest.mark.parametrize(("kind", "name"), FLOATS)
def test_a_number_that_is_not_finite_is_refused_everywhere(kind: type, name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=rf"{name} must be a finite number, got"):
        kind(**{name: value})


def test_a_file_that_says_nan_is_refused_where_it_would_have_switched_a_check_off() -> None:
    """No ratio of signal to noise is below NaN: every file would have been good enough."""
    with pytest.raises(RecipeError, match=r"export.min_agreement_db must be a finite number, got nan"):
        from_toml('[export]\nquantize = "int8"\nmin_agreement_db = nan\n')


@pytest.mark.parametrize("bits", [8.0, 4.0, "8", True])
def test_a_choice_of_numbers_takes_these_numbers_and_nothing_that_only_equals_them(bits: Any) -> None:
    with pytest.raises(RecipeError, match=r"qat.weight_bits must be one of 8, 4"):
        QAT(weight_bits=bits)


def test_one_and_one_point_nought_are_one_key_and_one_half_is_another() -> None:
    one, two, other = (Recipe(stages=(Distill(weight=weight),)) for weight in (1, 1.0, 0.5))
    assert key(one) == key(two) != key(other)
    assert hash_of({"a": (1, 2.0)}) == hash_of({"a": [1.0, 2]}) != hash_of({"a": [1, 2.5]})
    assert hash_of([True]) != hash_of([1])


def test_a_schedule_that_begins_when_the_training_has_ended_is_refused_before_it() -> None:
    assert Recipe(stages=(Prune(begin_epoch=1.5),), train=Train(epochs=2)).stages
    for begin in (2, 2.0, 7):
        with pytest.raises(RecipeError, match=r"prune.begin_epoch must be below train.epochs \(2\), got"):
            Recipe(stages=(Prune(begin_epoch=begin),), train=Train(epochs=2))
