"""The space: what fields say is worth trying, and nothing that contradicts itself or differs in nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest

from tests.search.toy_search import toy_space
from tfcompress.errors import RecipeError
from tfcompress.export_choices import PACKINGS, Packing, default_packings
from tfcompress.recipe import QAT, STAGES, Export, Recipe, Train, named
from tfcompress.search.proposals import recipes_by_hand
from tfcompress.search.space import Candidate, space_of, tried_fields
from tfcompress.search.trial import TrialStep, shortened, untrained
from tfcompress.settings import ANY_AGREEMENT_DB
from tfcompress.stages.option import option_of
from tfcompress.stages.stage import Stage


@pytest.mark.parametrize("owner", [*STAGES.values(), Train, Export])
def test_what_is_worth_trying_of_a_field_can_be_its_value(owner: type) -> None:
    plain = Recipe(stages=(QAT(),), export=Export(quantize="int8"))
    for name, values in tried_fields(owner):
        assert len(set(values)) == len(values)
        for value in values:
            settings = {Train: plain.train, Export: Export() if name == "quantize" else plain.export}.get(owner)
            made = owner(**{name: value}) if settings is None else dataclasses.replace(settings, **{name: value})
            assert getattr(made, name) == value


@pytest.mark.parametrize("owner", [*STAGES.values(), Train, Export])
def test_the_plain_value_comes_first(owner: type) -> None:
    fields = {each.name: each for each in dataclasses.fields(owner)}
    for name, values in tried_fields(owner):
        note, default = option_of(fields[name]), getattr(owner(), name)
        assert note is not None
        assert note.asks or values[0] == default


def test_drawn_selections_make_recipes_that_mean_what_was_selected() -> None:
    space, draw = toy_space(), random.Random(0)
    for _ in range(25):
        selection: dict[str, object] = {}
        for dimension in space.dimensions:
            possible = space.open_values(dimension, selection)
            assert possible
            selection[dimension.name] = draw.choice(possible)
        candidate = space.candidate(selection)
        assert {stage.kind for stage in candidate.recipe.stages} == {
            kind for kind in STAGES if selection.get(kind) is True
        }
        found = space.selection_of(candidate)
        assert found is not None
        assert space.candidate(found) == candidate


def test_what_changes_nothing_is_not_open() -> None:
    space = toy_space()
    by_name = {each.name: each for each in space.dimensions}
    assert space.open_values(by_name["train.learning_rate"], {}) == (None,)
    assert len(space.open_values(by_name["prune.sparsity"], {"prune": True})) == 2
    assert space.open_values(by_name["export.rounding"], {"export.quantize": "float16"}) == (None,)
    assert space.open_values(by_name["export.quantize"], {"qat": True}) == ("int8",)


def test_a_stage_that_gains_nothing_of_what_matters_is_left_out() -> None:
    kinds = {each.name for each in space_of(train=Train(), export=Export(), gains=("file",)).dimensions}
    download = {each.name for each in space_of(train=Train(), export=Export(), gains=("download",)).dimensions}
    useless = {kind for kind, stage in STAGES.items() if stage.gains.file == "no"}
    assert useless
    assert not useless & kinds
    assert useless <= download


def test_what_the_user_said_is_not_tried() -> None:
    said = dataclasses.replace(Export(), quantize="dynamic")
    space = space_of(train=Train(), export=said, fixed=("export.quantize", "train.learning_rate"), without=("prune",))
    names = {each.name for each in space.dimensions}
    assert not {"export.quantize", "train.learning_rate", "prune", "prune.sparsity"} & names
    assert space.candidate({}).recipe.export.quantize == "dynamic"


def test_a_packing_joins_the_space_by_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {each.name for each in toy_space().dimensions}
    line = Packing(about="Says it shorter.", implementation="short:short", tried=True)
    monkeypatch.setitem(PACKINGS, "short", line)
    space = toy_space()
    (found,) = (each for each in space.dimensions if each.name not in before)
    assert (found.name, found.values) == ("export.packings", (default_packings(), (*default_packings(), "short")))
    assert space.candidate({"export.packings": found.values[1]}).recipe.export.packings[-1] == "short"


def test_what_the_model_cannot_have_is_no_part_of_the_space() -> None:
    def refusal(stage: Stage) -> str:
        if stage.kind == "channels":
            return "no channels"
        return "one block" if getattr(stage, "remove", 0) in (2, 3) else ""

    whole = toy_space()
    space = space_of(train=whole.train, export=whole.export, gains=("file",), refusal=refusal)
    values = {each.name: each.values for each in space.dimensions}
    left_out = {each.name for each in whole.dimensions} - set(values)
    assert {name.partition(".")[0] for name in left_out} == {"channels"}
    assert values["blocks.remove"] == (1,)
    assert len({each.values for each in whole.dimensions if each.name == "blocks.remove"} & {(1, 2, 3)}) == 1
    names = {stage.kind for each in recipes_by_hand(space) for stage in space.candidate(each).recipe.stages}
    assert "channels" not in names


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({"target": "tflm"}, ("none", "int8", "int16x8")),
        ({"target": "ethos-u55-128", "quantize": "int8"}, ("int8", "int16x8")),
        ({"rounding": "gptq", "quantize": "int8"}, ("int8",)),
    ],
)
def test_what_nothing_goes_with_is_not_said_to_be_tried(settings: dict[str, Any], values: tuple[str, ...]) -> None:
    space = space_of(train=Train(), export=Export(**settings), fixed=("export.rounding",))
    found = {each.name: each.values for each in space.dimensions}
    assert found.get("export.quantize", ("int8",)) == values
    assert "export.weight_bits" in found or "accelerator" in str(Export(**settings).deployment)
    for name, possible in found.items():
        for value in possible if name.startswith("export.") else ():
            field = name.partition(".")[2]
            numbers = ("none", "dynamic", "float16", "int8", "int16x8")
            made = []
            for quantize in (value,) if field == "quantize" else numbers:
                with contextlib.suppress(RecipeError):
                    made.append(dataclasses.replace(space.export, **{"quantize": quantize, field: value}))
            assert made


def test_recipes_by_hand_are_named_ones_and_lie_in_the_space() -> None:
    space = toy_space()
    found = [space.candidate(selection).recipe for selection in recipes_by_hand(space)]
    stages = [tuple(recipe.stages) for recipe in named().values()]
    assert 6 <= len(found) == len(set(found)) <= 10
    assert all(tuple(recipe.stages) in stages for recipe in found)
    assert {recipe.export.quantize for recipe in found} == {"none", "dynamic", "float16", "int8", "int16x8"}


def test_an_untrained_candidate_keeps_what_rewrites_and_the_bits_that_training_was_for() -> None:
    kind = next(
        kind for kind, stage in STAGES.items() if stage.phase == "rewrite" and not (stage.builds or stage.choices)
    )
    stages = (dataclasses.replace(STAGES[kind](), cycles=2, tune_epochs=1), QAT(weight_bits=4))
    recipe = Recipe(stages=stages, export=Export(quantize="int8"), train=Train(epochs=5))
    bare, short = untrained(recipe), shortened(recipe)
    assert [(stage.kind, stage.cycles, stage.tune_epochs) for stage in bare.stages] == [(kind, 1, 0)]
    assert (bare.export.weight_bits, bare.export.calibration) == (4, "minmax")
    assert (short.train.epochs, len(short.stages), short.export.weight_bits) == (1, 2, 8)
    assert bare.export.min_agreement_db == short.export.min_agreement_db == ANY_AGREEMENT_DB


def test_a_step_comes_back_from_json_as_it_was(tmp_path: Path) -> None:
    recipe = Recipe(stages=(QAT(),), export=Export(quantize="int8"))
    step = TrialStep(candidate=Candidate(recipe), kind="draft", samples=5, file=str(tmp_path))
    assert TrialStep.from_dict(step.to_dict()) == step


def test_a_stage_that_gains_nothing_in_a_file_of_some_numbers_is_not_tried_with_them() -> None:
    """LiteRT runs no sparse int8 kernels, so that zeros leave such a file as large as it was; its download shrinks."""
    for gains, with_int8 in ((("file",), False), (("file", "download"), True), (("file", "latency"), False)):
        space = space_of(train=Train(), export=Export(), gains=gains)
        numbers = next(each for each in space.dimensions if each.name == "export.quantize")
        left = space.open_values(numbers, {"prune": True})
        assert ("int8" in left) == with_int8
        assert "none" in left
        assert "int8" in space.open_values(numbers, {"channels": True})
        trained = next(each for each in space.dimensions if each.name == "qat")
        assert (True in space.open_values(trained, {"prune": True})) == with_int8


def test_candidates_of_other_bits_have_other_names() -> None:
    names = [Candidate(Recipe(export=Export(quantize="int8", weight_bits=bits))).name for bits in (8, 4)]
    assert names == ["int8", "int8-weights4"]
    stage = (QAT(weight_bits=4),)
    assert Candidate(Recipe(stages=stage, export=Export(quantize="int8"))).name == "qatw4a8-int8"


def test_weights_of_4_bits_are_among_the_recipes_by_hand() -> None:
    space = space_of(train=Train(), export=Export(), gains=("file",))
    by_hand = [space.candidate(selection).name for selection in recipes_by_hand(space)]
    assert {"int8", "int8-weights4", "qatw4a8-int8"} <= set(by_hand)
