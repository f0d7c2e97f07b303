"""Stages one after the other: which orders mean something, by a rule that is written here anew."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import RecipeError, UsageError
from tfcompress.recipe import Blocks, Build, Channels, Layout, Prune, Recipe, Stage, Train
from tfcompress.settings import Export
from tfcompress.stages import decisions
from tfcompress.stages.decisions import Planned, PlanningContext, plan_stages
from tfcompress.stages.rewriting import RewritingContext, Rewritten, apply_rewriting, prepare_training_
from tfcompress.stages.sequence import check_sequence, learning_rate_of
from tfcompress.stages.stage import RewritingStage
from tfcompress.stages.stage_table import STAGES

ROWS: dict[str, Stage] = {
    kind: stage(changes=("stem=8",)) if stage is Layout else stage(builder="a:b") if stage is Build else stage()
    for kind, stage in STAGES.items()
}
orders = st.lists(st.sampled_from(sorted(ROWS)), max_size=5)


def meant(kinds: list[str]) -> bool:
    """Tell whether an order means something."""
    rewriting = [kind for kind in kinds if ROWS[kind].phase == "rewrite"]
    once = len(set(kinds)) == len(kinds)
    first = kinds[: len(rewriting)] == rewriting
    return once and first and "build" not in rewriting[1:]


@given(orders)
def test_what_rewrites_comes_first_each_kind_once_and_what_builds_before_all(kinds: list[str]) -> None:
    stages = [ROWS[kind] for kind in kinds]
    if meant(kinds):
        check_sequence(stages, "these must hold", UsageError)
        return
    with pytest.raises(UsageError, match=r"^these must hold .*[,;] got "):
        check_sequence(stages, "these must hold", UsageError)


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(ROWS, 2)))
def test_every_pair_is_taken_in_one_order_at_least_or_said_to_come_before(first: str, second: str) -> None:
    one, two = ROWS[first], ROWS[second]
    if meant([first, second]):
        check_sequence([one, two], "must hold", RecipeError)
        return
    assert meant([second, first])
    with pytest.raises(RecipeError, match=f"must hold {second} before {first}.* got {second} after {first}"):
        check_sequence([one, two], "must hold", RecipeError)


REWRITING: list[Any] = [stage for stage in ROWS.values() if isinstance(stage, RewritingStage)]


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(REWRITING, 2)), ids=lambda stage: stage.kind)
@pytest.mark.parametrize("name", ["cycles", "tune_epochs"])
def test_what_rewrites_goes_in_the_same_turns(first: Any, second: Any, name: str) -> None:
    pair = [dataclasses.replace(stage, **{name: 3}) for stage in (first, second)]
    check_sequence(pair, "must hold", RecipeError)
    with pytest.raises(RecipeError, match=f"the same {name}, got {first.kind}.{name} 3, {second.kind}.{name} "):
        check_sequence([pair[0], second], "must hold", RecipeError)


@pytest.mark.parametrize("stage", REWRITING, ids=lambda stage: stage.kind)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 12))
def test_each_turn_has_an_epoch_and_the_tuning_has_its_own(stage: Any, epochs: int, cycles: int, tuned: int) -> None:
    stage = dataclasses.replace(stage, cycles=cycles, tune_epochs=tuned)
    fits = (not tuned or tuned < epochs) and cycles <= epochs - tuned
    if fits:
        Recipe(stages=(stage,), train=Train(epochs=epochs))
        return
    with pytest.raises(RecipeError, match=rf"^{stage.kind}\.(cycles|tune_epochs) must be "):
        Recipe(stages=(stage,), train=Train(epochs=epochs))


@given(orders)
def test_the_fastest_learner_sets_the_rate(kinds: list[str]) -> None:
    rates = [ROWS[kind].default_rate for kind in kinds]
    assert learning_rate_of([ROWS[kind] for kind in kinds]) == (max(rates) if rates else None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Open(Prune):
    """A pruning that leaves open how much."""

    planning = "tests.stages.test_sequence:decide"
    frequency: int = 7

    @property
    def undecided(self) -> bool:
        return self.frequency == 7


SEEN: list[tuple[Any, Stage, PlanningContext]] = []


def decide(model: Any, stage: Any, context: PlanningContext) -> Planned:
    SEEN.append((model, stage, context))
    return Planned(dataclasses.replace(stage, frequency=20), ("measured", "chosen"))


def test_only_what_was_left_open_is_planned_and_it_knows_what_trains_beside_it(monkeypatch: Any) -> None:
    SEEN.clear()
    module = type("module", (), {"decide": staticmethod(decide)})
    monkeypatch.setattr(decisions.importlib, "import_module", lambda name: module)
    stages = (ROWS["qat"], Open(), Open(frequency=8), ROWS["cluster"])
    closed = dataclasses.replace(ROWS["cluster"], per_channel=True)  # type: ignore[call-arg]
    context = PlanningContext(export=Export(quantize="int8"), seed=5)
    found, notes = plan_stages("model", (*stages[:3], closed), context)
    assert found == (ROWS["qat"], Open(frequency=20), Open(frequency=8), closed)
    assert notes == ("measured", "chosen")
    ((model, stage, given_context),) = SEEN
    assert (model, stage) == ("model", Open())
    assert given_context == dataclasses.replace(context, beside=(*stages[:3], closed))
    assert plan_stages("model", (), context) == ((), ())


def test_a_stage_is_done_by_the_function_that_its_class_names(monkeypatch: Any) -> None:
    told: list[Any] = []

    class Module:
        @staticmethod
        def rewrite(model: Any, stage: Any, context: Any) -> Rewritten:
            told.append((model, stage, context))
            return Rewritten(f"{model}'", ("a note",), 0.5)

        @staticmethod
        def penalize_(model: Any, stage: Any, tell: Any) -> list[Any]:
            tell(f"{model} is ready")
            return ["callback"]

    named: list[str] = []

    def import_module(name: str) -> type[Module]:
        named.append(name)
        return Module

    monkeypatch.setattr("importlib.import_module", import_module)
    context, stage = RewritingContext(left=0.25, seed=3), Channels(regularize="slimming")
    assert apply_rewriting("model", stage, context) == Rewritten("model'", ("a note",), 0.5)
    assert told == [("model", stage, context)]
    said: list[str] = []
    assert prepare_training_("model", stage, said.append) == ["callback"]
    assert said == ["model is ready"]
    assert named == [each.partition(":")[0] for each in (Channels.implementation, Channels.prepares)]


def test_a_stage_without_a_preparation_prepares_nothing() -> None:
    for stage in (Blocks(), Layout(changes=("a=1",)), Channels()):
        assert stage.preparation == ""
        assert stage.preparing_epochs(10) == 0
        assert stage.unprepared == stage
