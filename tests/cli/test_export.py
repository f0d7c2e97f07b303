"""Flags of export for a stage that nobody asked for, pair by pair; and names by their nearest spelling."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.asked import TEXTS
from tests.cli.test_commands import recipe_of
from tfcompress.errors import RecipeError, TfcompressError, UsageError
from tfcompress.recipe import STAGES, Export, Recipe, Stage, Train, from_dict
from tfcompress.stages.flags import ENGINE, Flag, asking, flags_of, stage_flags


def typed(flag: Flag) -> Any:
    """Return something that may be typed for a flag."""
    if flag.value == "switch":
        return True
    if flag.value == "choice":
        return str(next(iter(flag.choices)))
    if flag.value in ("integer", "number"):
        return 3 if flag.value == "integer" else 0.25
    text = TEXTS.get(flag.key, "conv*")
    return (text,) if flag.many else text


SETTING = {
    name: flags
    for name, flags in stage_flags().items()
    if not any(flag.option.asks for flag in flags) and flags[0].field != ENGINE
}
"""Flags that say how a stage works, by name; those of export and training that go by the same name are not here."""
OTHERS = {flag.key for kind in (Train, Export) for flag in flags_of(kind)}
PAIRS = [
    (stage, name)
    for stage in STAGES.values()
    for name, flags in SETTING.items()
    if stage not in [flag.owner for flag in flags] and flags[0].key not in OTHERS
]


@pytest.mark.parametrize("name", [name for name, flags in SETTING.items() if flags[0].key not in OTHERS])
def test_how_a_stage_works_is_refused_where_no_stage_is_asked_for(name: str) -> None:
    flags = SETTING[name]
    with pytest.raises(UsageError, match=f"{name} would do nothing: there is ") as caught:
        recipe_of(**{flags[0].key: typed(flags[0])})
    for flag in flags:
        assert asking(flag.owner).name in str(caught.value)


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.kind)
def test_how_another_stage_works_is_refused_beside_any_one(stage: type[Stage]) -> None:
    asked = asking(stage)
    for owner, name in PAIRS:
        if owner is not stage:
            continue
        flag = SETTING[name][0]
        with pytest.raises(UsageError) as caught:
            recipe_of(**{asked.key: typed(asked), flag.key: typed(flag)})
        assert f"{name} would do nothing: there is n" in str(caught.value), name


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.kind)
def test_a_stage_and_a_recipe_both_say_what_to_do(stage: type[Stage]) -> None:
    asked = asking(stage)
    with pytest.raises(UsageError, match=f"{asked.name} and --recipe both say what to do"):
        recipe_of(**{asked.key: typed(asked), "recipe": "int8"})


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.kind)
def test_how_a_stage_works_is_said_over_a_recipe_as_beside_the_stage(stage: type[Stage], tmp_path: Path) -> None:
    asked = asking(stage)
    path = tmp_path / "mine.toml"
    path.write_text(recipe_of(**{asked.key: typed(asked)}).to_toml())
    changed = 0
    for flag in flags_of(stage):
        if not flag.field or flag.option.asks:
            continue
        given = {flag.key: typed(flag)}
        try:
            beside = recipe_of(**{asked.key: typed(asked), **given})
        except TfcompressError as error:
            with pytest.raises(type(error), match=re.escape(str(error).partition(" with ")[0])):
                recipe_of(recipe=str(path), **given)
            continue
        over = recipe_of(recipe=str(path), **given)
        assert over.stages == beside.stages, flag.name
        changed += over.stages != recipe_of(recipe=str(path)).stages
    assert changed or len(flags_of(stage)) < 3


@pytest.mark.parametrize("name", [name for name, flags in SETTING.items() if flags[0].key not in OTHERS])
def test_how_a_stage_works_is_refused_where_the_recipe_has_no_such_stage(name: str) -> None:
    flags = SETTING[name]
    with pytest.raises(UsageError, match=f"{name} would do nothing: the recipe has n") as caught:
        recipe_of(**{flags[0].key: typed(flags[0]), "recipe": "int8"})
    for flag in flags:
        assert repr(flag.owner.kind) in str(caught.value)  # type: ignore[attr-defined]  # a stage


FIELDS = [
    (kind, field.name)
    for kind in (*STAGES.values(), Train, Export)
    for field in dataclasses.fields(kind)
    if len(field.name) > 4
]


def misspelt(name: str) -> str:
    """Return a name with its last two letters exchanged, or one of them missing where they are alike."""
    return name[:-1] if name[-1] == name[-2] else name[:-2] + name[-1] + name[-2]


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda each: getattr(each, "__name__", each))
def test_every_field_is_found_by_its_nearest_spelling(kind: Any, name: str) -> None:
    wrong = misspelt(name)
    table: dict[str, Any] = (
        {"stages": [{"kind": kind.kind, wrong: 1}]} if issubclass(kind, Stage) else {kind.__name__.lower(): {wrong: 1}}
    )
    with pytest.raises(RecipeError, match=re.escape(f"has no key {wrong!r} (did you mean {name!r}?)")):
        from_dict(table)


@pytest.mark.parametrize("kind", STAGES)
def test_every_stage_is_found_by_its_nearest_spelling(kind: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(f"(did you mean {kind!r}?)")):
        from_dict({"stages": [{"kind": misspelt(kind)}]})


@pytest.mark.parametrize(
    "flag", [f for k in (*STAGES.values(), Train, Export) for f in flags_of(k)], ids=lambda f: f.name
)
def test_every_choice_of_a_field_is_found_by_its_nearest_spelling(flag: Flag) -> None:
    if flag.value != "choice" or flag.removes:
        return
    for value in flag.choices:
        if len(str(value)) < 5:
            continue
        wrong = misspelt(str(value))
        with pytest.raises(RecipeError, match=re.escape(f"(did you mean {str(value)!r}?)")):
            flag.owner(**{flag.field: (wrong,) if flag.many else wrong})


@pytest.mark.parametrize("part", ["train", "export"])
@pytest.mark.parametrize("value", [[], "fast", 3, None, [{}]])
def test_a_part_of_a_recipe_that_is_no_table_is_refused(part: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=f"{part} must be a table, got"):
        from_dict({part: value})


@pytest.mark.parametrize("number", [0, 2, "1", 1.5, None, [1], -1])
def test_a_recipe_of_another_format_is_refused(number: Any) -> None:
    with pytest.raises(RecipeError, match=r"format must be 1, got .*; a newer tfcompress wrote it"):
        from_dict({"format": number})


@pytest.mark.parametrize("entry", ["prune", 3, [], {"sparsity": 0.5}, None])
def test_a_stage_that_does_not_say_which_is_refused_with_all_there_are(entry: Any) -> None:
    with pytest.raises(RecipeError, match=re.escape(f"each [[stages]] table needs a kind, one of {', '.join(STAGES)}")):
        from_dict({"stages": [entry]})


def test_the_default_recipe_asks_for_nothing() -> None:
    assert recipe_of() == Recipe() == from_dict({}) == from_dict({"format": 1, "stages": []})
