"""From rung to rung until a file loses no more than it may: on a workbench that only says what each would lose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfcompress.errors import (
    ContractError,
    DataError,
    MissingDependencyError,
    ModelError,
    OutputError,
    PromiseError,
    RecipeError,
    UnsupportedError,
    UsageError,
)
from tfcompress.models.loading import SAVED_MODEL
from tfcompress.progress import SILENT
from tfcompress.recipe import QAT, Cluster, Export, Prune, Recipe, Train, from_toml
from tfcompress.reports.report import Comparison, Machine, Report, ResultFile, SourceModel
from tfcompress.reports.sections import Baseline
from tfcompress.search import ladder
from tfcompress.search.ladder import RUNGS, climb
from tfcompress.tasks.score import Difference, Figure, Score
from tfcompress.tflite.source_file import NO_LAYERS

SAMPLES = 1000


def scored(value: float) -> Score:
    return Score(task="classification", samples=SAMPLES, main="top1", figures={"top1": Figure(value)})


def reported(recipe: Recipe, lost: float, spread: float) -> Report:
    """Return the report of a file that lost so many points of 90 %, give or take some."""
    found = Difference(figure="top1", value=-lost / 100, low=-(lost + spread) / 100, high=(spread - lost) / 100)
    result = ResultFile(name="m.tflite", sha256="", size_bytes=10, gzip_bytes=9, quantize=recipe.export.quantize)
    return Report(
        tool_version="0",
        created_utc="",
        recipe_name=recipe.name,
        recipe=recipe.to_dict(),
        seeds={},
        versions={},
        machine=Machine(system="", architecture=""),
        source=SourceModel(name="m", writer="keras3"),
        result=ResultFile(**{**vars(result), "score": scored(0.9 - lost / 100)}),
        baseline=Baseline(size_bytes=40, gzip_bytes=30, score=scored(0.9)),
        comparison=Comparison(main=found),
    )


class Bench:
    """Stands in for a workbench; what a recipe loses is said by a function."""

    def __init__(self, loses: Any, spread: float = 0.2, *, trains: bool = True, source: Any = ("keras3", "")) -> None:
        self.loses, self.spread, self.trains = loses, spread, trains
        self.ran: list[Recipe] = []
        self.options: list[Mapping[str, Any]] = []
        self.progress = SILENT
        writer, refusal = source
        has_layers = writer.startswith("keras")
        self.loaded: Any = SimpleNamespace(keras3=None, writer=writer, refusal=refusal, has_layers=has_layers)

    def check(self, recipe: Recipe, **more: Any) -> None:
        assert recipe.promises

    def data(self, train: Train) -> Any:
        def need_train() -> None:
            if not self.trains:
                msg = "there is no training split"
                raise DataError(msg)

        return SimpleNamespace(need_train=need_train)

    def run(self, recipe: Recipe, *, examine: Any = None, **options: Any) -> Any:
        self.ran.append(recipe)
        self.options.append(options)
        lost = self.loses(recipe)
        if isinstance(lost, Exception):
            raise lost
        result = SimpleNamespace(report=reported(recipe, lost, self.spread), tflite=None)
        return SimpleNamespace(report=result.report if examine is None else examine(result))


def int8(**more: Any) -> Recipe:
    return Recipe(export=Export(quantize="int8", max_drop=0.5, **more))


def way(recipe: Recipe) -> str:
    """Say which rung a recipe is."""
    if recipe.stages:
        return "trained"
    if recipe.export.mixed:
        return "mixed"
    return "rounded" if recipe.export.rounding == "gptq" else "corrected" if recipe.export.tries else "plain"


def tried(bench: Any, recipe: Recipe) -> tuple[Any, list[str]]:
    result = climb(bench, recipe)
    promise = result.report.result.verification["promise"]
    return result, [rung["outcome"] for rung in promise["rungs"]]


@pytest.mark.parametrize(
    "losses",
    [
        {"plain": 0.1},
        {"plain": 3.0, "corrected": 0.3},
        {"plain": 3.0, "corrected": 0.4, "rounded": 0.1},
        {"plain": 3.0, "corrected": 0.4, "rounded": 0.5, "mixed": 0.2},
        {"plain": 3.0, "corrected": 1.0, "rounded": 1.0, "mixed": 1.0, "trained": 0.0},
    ],
)
def test_the_first_way_whose_bound_is_within_the_limit_is_kept(losses: dict[str, float]) -> None:
    bench = Bench(lambda recipe: losses[way(recipe)])
    recipe = Recipe(export=int8().export, train=Train(if_needed=True))
    above = len(RUNGS) - len(losses)
    assert tried(bench, recipe)[1] == [*["missed"] * (len(losses) - 1), "kept", *["not tried"] * above]
    assert [way(each) for each in bench.ran] == list(losses)


def test_a_limit_that_the_measured_drop_keeps_and_its_interval_does_not_is_not_kept() -> None:
    with pytest.raises(PromiseError, match=r"too few test samples: 0\.40 is within the limit") as error:
        climb(Bench(lambda recipe: 0.4, spread=0.2), int8())  # type: ignore[arg-type]
    assert "about 4,000 would prove it" in str(error.value)  # twice as far as there is room: four times as many


def test_the_failure_names_the_best_and_what_to_try_and_holds_every_way() -> None:
    losses = {"plain": 3.0, "corrected": 1.5, "rounded": 1.25, "mixed": 1.4}
    with pytest.raises(PromiseError) as error:
        climb(Bench(lambda recipe: losses[way(recipe)]), int8())  # type: ignore[arg-type]
    assert str(error.value) == (
        "max_drop 0.5 is not kept, and nothing was written: the best of 4 ways is rounded, 1.25 percentage points "
        "of accuracy lost, up to 1.45 by its 95 % interval, on 1,000 test samples; what binds: the drop itself, 0.75 "
        "beyond the limit on the test samples; try --epochs N, which allows training, --quantize int16x8, "
        "--quantize float16, --max-drop 1.45, which rounded keeps"
    )
    rungs = error.value.promise["rungs"]
    assert [(rung["name"], rung["points"]) for rung in rungs] == [*losses.items(), ("trained", None)]
    assert rungs[-1]["reason"] == "training is not allowed; --epochs N (train.if_needed) allows it"
    assert error.value.exit_code == 11


def test_a_way_that_gives_no_file_is_passed_over() -> None:
    losses = {"plain": UnsupportedError("no"), "corrected": UnsupportedError("never"), "rounded": 0.0}
    assert tried(Bench(lambda recipe: losses[way(recipe)]), int8())[1][:3] == ["refused", "refused", "kept"]


def test_where_no_way_gives_a_file_the_first_error_is_told() -> None:
    with pytest.raises(UnsupportedError, match=r"^plain"):
        climb(Bench(lambda recipe: UnsupportedError(way(recipe))), int8())  # type: ignore[arg-type]


def test_where_every_file_is_too_bad_to_be_one_the_limit_is_not_kept() -> None:
    bench = Bench(lambda recipe: ContractError(f"{way(recipe)} agrees by 3 dB; mend it"))
    with pytest.raises(PromiseError) as error:
        climb(bench, int8(calibration="minmax"))  # type: ignore[arg-type]
    assert str(error.value).startswith(
        "max_drop 0.5 is not kept, and nothing was written: no way gives a file that is what was asked for "
        "(plain: plain agrees by 3 dB; mixed: mixed agrees by 3 dB); try --calibration, --correct "
        "and --rounding left open, --epochs N"
    )


def test_a_mistake_ends_the_climb_at_once() -> None:
    bench = Bench(lambda recipe: DataError("too few test samples"))
    with pytest.raises(DataError, match="too few"):
        climb(bench, int8())  # type: ignore[arg-type]
    assert len(bench.ran) == 1


OTHERS = [
    DataError("mixed precision judges by samples held back; give more --data"),
    UsageError("it would do nothing"),
    ModelError("the weights are NaN after training"),
    MissingDependencyError("scipy is not installed"),
]


@pytest.mark.parametrize("error", OTHERS)
@pytest.mark.parametrize("fails", ["corrected", "rounded", "mixed", "trained"])
def test_what_a_later_way_asks_for_beyond_the_first_does_not_end_the_climb(fails: str, error: Exception) -> None:
    bench = Bench(lambda recipe: error if way(recipe) == fails else 2.0)
    with pytest.raises(PromiseError) as failed:
        climb(bench, Recipe(export=int8().export, train=Train(if_needed=True)))  # type: ignore[arg-type]
    outcomes = {rung["name"]: rung["outcome"] for rung in failed.value.promise["rungs"]}
    assert outcomes == {rung.name: "refused" if rung.name == fails else "missed" for rung in RUNGS}
    assert str(error) in {rung["reason"] for rung in failed.value.promise["rungs"]}


def test_an_output_that_cannot_be_written_ends_the_climb_at_any_way() -> None:
    bench = Bench(lambda recipe: OutputError("the disk is full") if way(recipe) == "rounded" else 2.0)
    with pytest.raises(OutputError, match="full"):
        climb(bench, int8())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "ways"),
    [(("tflite", NO_LAYERS), ["plain", "corrected"]), (("savedmodel", SAVED_MODEL), ["plain"])],
)
def test_of_a_source_without_layers_only_what_needs_none_is_tried(source: tuple[str, str], ways: list[str]) -> None:
    bench = Bench(lambda recipe: 2.0, source=source)
    with pytest.raises(PromiseError) as error:
        climb(bench, int8())  # type: ignore[arg-type]
    assert [way(recipe) for recipe in bench.ran] == ways
    rungs = error.value.promise["rungs"]
    assert [rung["name"] for rung in rungs] == [rung.name for rung in RUNGS]
    reason = {"tflite": "a .tflite file holds no Keras layers", "savedmodel": "a SavedModel holds no Keras layers"}
    assert {rung["reason"] for rung in rungs[len(ways) :]} == {reason[source[0]]}
    assert "try the Keras model that it was made from, " in str(error.value)
    assert "--epochs" not in str(error.value)


def test_without_a_limit_there_is_one_run() -> None:
    bench = Bench(lambda recipe: 50.0)
    assert climb(bench, Recipe(), output="here", force=True).report.result.score  # type: ignore[arg-type]
    assert bench.options == [{"output": "here", "force": True, "test_samples": None}]


REASONS = [
    (int8(calibration="minmax"), ["", *["calibration, correct or rounding say how already"] * 2, ""]),
    (int8(correct=("bias",)), ["", "calibration, correct or rounding say how already"]),
    (int8(rounding="nearest"), ["", "", "rounding nearest is asked for", ""]),
    (int8(rounding="gptq"), ["", *["calibration, correct or rounding say how already"] * 2, ""]),
    (int8(weight_bits=4), ["", "", "weights of 4 bits are rounded so in every way", "weight_bits says how many bits"]),
    (int8(mixed=True), ["", "mixed precision chooses among corrections itself", "", "it is asked for, so"]),
    (Recipe(export=Export(max_drop=1.0)), ["", *["corrections are for int8, and none"] * 2, "mixed precision is for"]),
    (Recipe(export=Export(quantize="float16", max_drop=1.0)), ["", "corrections are for int8, and float16"]),
    (
        Recipe(stages=(QAT(),), export=int8().export),
        ["", "--qat trains with", "--qat trains with", "--qat trains all", "--qat is"],
    ),
]


@pytest.mark.parametrize(("recipe", "reasons"), REASONS)
def test_what_was_asked_for_is_in_every_way_and_no_way_is_taken_twice(recipe: Recipe, reasons: list[str]) -> None:
    data: Any = Bench(None).data(recipe.train)
    planned = [rung.recipe(recipe, data) for rung in RUNGS]
    for found, reason in zip(planned, reasons, strict=False):
        assert isinstance(found, str) == bool(reason)
        assert isinstance(found, Recipe) or found.startswith(reason)
    ways = [each for each in planned if isinstance(each, Recipe)]
    assert len({repr(each) for each in ways}) == len(ways)
    assert all(set(recipe.stages) <= set(each.stages) for each in ways)


@pytest.mark.parametrize(
    ("recipe", "stages"),
    [
        (Recipe(stages=(Prune(),), export=int8().export), (Prune(), QAT())),
        (Recipe(stages=(Cluster(),), export=int8(weight_bits=4).export), (Cluster(), QAT(weight_bits=4))),
        (
            Recipe(export=Export(quantize="int16x8", max_drop=1.0), train=Train(if_needed=True)),
            (QAT(activation_bits=16),),
        ),
    ],
)
def test_the_last_way_trains_for_the_numbers_of_the_file(recipe: Recipe, stages: Any) -> None:
    found = ladder.trained_recipe(recipe, Bench(None).data(recipe.train))
    assert isinstance(found, Recipe)
    assert (found.stages, found.train.if_needed) == (stages, False)
    assert from_toml(found.to_toml()) == found


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (Recipe(stages=(Prune(),), export=Export(quantize="dynamic", max_drop=1.0)), "no stage trains for dynamic"),
        (
            Recipe(stages=(Prune(engine="tfmot"),), export=Export(quantize="int16x8", max_drop=1.0)),
            "recipe.stages: qat needs the native engine, and another stage asks for tfmot",
        ),
    ],
)
def test_why_there_is_no_training(recipe: Recipe, reason: str) -> None:
    bench = Bench(None)
    assert ladder.planned_recipe(RUNGS[-1], recipe, bench.data(recipe.train), bench.loaded) == reason


def test_without_training_data_there_is_no_training() -> None:
    recipe = Recipe(export=int8().export, train=Train(if_needed=True))
    assert ladder.trained_recipe(recipe, Bench(None, trains=False).data(recipe.train)) == "there is no training split"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[train]\nif_needed = true", "train.if_needed must be false without export.max_drop, got True"),
        (
            '[train]\nif_needed = true\n[export]\nquantize = "float16"\nmax_drop = 1',
            "train.if_needed must be false with quantize 'float16', which no stage trains for, got True",
        ),
        ("[export]\nmax_drop = 0", "export.max_drop must be above 0, got 0"),
        ("[export]\nmax_drop = inf", "export.max_drop must be a finite number, got inf"),
        ('stages = [{kind = "channels", max_drop = 1.0}]', "channels.max_drop is called channels.spare now"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_by_the_recipe(text: str, line: str) -> None:
    with pytest.raises(RecipeError) as error:
        from_toml(text)
    assert str(error.value).startswith(line)


def test_the_folder_is_looked_at_before_the_first_way(tmp_path: Path) -> None:
    seen = []
    bench = Bench(lambda recipe: 0.0)
    bench.check = lambda recipe, **more: seen.append(more)  # type: ignore[method-assign]
    climb(bench, int8(), output=tmp_path / "out")  # type: ignore[arg-type]
    assert seen[0] == {"output": tmp_path / "out", "force": False}
