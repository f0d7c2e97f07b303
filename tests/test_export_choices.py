"""tfcompress.export_choices, and what an export refuses of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tfcompress.errors import RecipeError
from tfcompress.export_choices import (
    CALIBRATIONS,
    CALIBRATORS,
    CORRECTIONS,
    PACKINGS,
    ROUNDINGS,
    TRIALS,
    TRIALS_OF_FOUR_BITS,
    Choice,
    Packing,
    default_packings,
)
from tfcompress.recipe import QAT, Export, Recipe, from_toml

DOCS = Path(__file__).parents[1] / "docs" / "export.md"


def test_a_file_that_a_runtime_cannot_open_is_not_asked_to_run_there(monkeypatch: pytest.MonkeyPatch) -> None:
    packing = Packing(about="Plays.", implementation="toys:pack", runtimes=("tensorflow",))
    monkeypatch.setitem(PACKINGS, "toy", packing)
    message = "export.runtimes item must be one of those that open 'toy' files (tensorflow), got 'litert>=2.1'"
    with pytest.raises(RecipeError, match=re.escape(message)):
        Export(packings=("toy",), runtimes=("litert>=2.1",))
    assert Export(packings=("toy",), runtimes=("tensorflow",)).packings == ("toy",)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: Export(packings=("slimm",)),
            r"export.packings item must be one of slim, .*got 'slimm' \(did you mean 'slim'",
        ),
        (lambda: Export(packings=("slim", "slim")), "export.packings must be names, each at most once"),
        (lambda: Export(packings=(), keep_names=True), "export.keep_names must be false without packings, got True"),
        (
            lambda: Export(quantize="int8", calibration="min-max"),
            r"export.calibration must be one of minmax, percentile, mse, auto, got 'min-max' \(did you mean 'minmax'",
        ),
        (lambda: Export(calibration="mse"), "export.calibration must be 'minmax' with quantize 'none', got 'mse'"),
        (
            lambda: Recipe(stages=(QAT(),), export=Export(quantize="int8", calibration="mse")),
            "export.calibration must be 'minmax' after a qat stage",
        ),
        (
            lambda: Recipe(stages=(QAT(),), export=Export(quantize="int8", correct=("bias",))),
            "export.correct must be empty after a qat stage",
        ),
        (
            lambda: Export(quantize="int8", correct=("biass",)),
            r"export.correct item must be one of .*did you mean 'bias'",
        ),
        (lambda: Export(quantize="int16x8", correct=("bias",)), "export.correct must be empty with quantize 'int16x8'"),
        (lambda: Export(rounding="gptq"), "export.rounding must be 'nearest' with quantize 'none', got 'gptq'"),
        (lambda: Export(quantize="dynamic", weight_bits=4), "export.weight_bits must be 8 with quantize 'dynamic'"),
        (
            lambda: Recipe(stages=(QAT(),), export=Export(quantize="int8", weight_bits=4)),
            "export.weight_bits must be 8 after a qat stage",
        ),
        (lambda: Export(quantize="int8", input_range=(1.0, 0.0)), "export.input_range must be empty, or two numbers"),
        (lambda: Export(input_range=(0.0, 1.0)), "export.input_range must be empty with quantize 'none'"),
        (lambda: Export(quantize="int8", correct=("bias", "bias-once")), "export.correct must be at most one of those"),
    ],
)
def test_what_is_misspelt_or_would_do_nothing_is_refused(build, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build()


def test_the_default_is_slim_and_an_old_recipe_gets_it() -> None:
    assert default_packings() == ("slim",)
    assert from_toml("format = 1\n[export]\nquantize = 'int8'\n").export.packings == ("slim",)


def test_a_recipe_that_was_written_with_every_default_still_has_several_ways_tried() -> None:
    text = "format = 1\n[export]\nquantize = 'int8'\ncalibration = 'auto'\nrounding = 'nearest'\nweight_bits = 8\n"
    assert from_toml(text).export.tries


@pytest.mark.parametrize(
    "choice", [*PACKINGS.values(), *CALIBRATIONS.values(), *CORRECTIONS.values(), *ROUNDINGS.values()]
)
def test_every_line_has_its_implementation_and_a_line_in_the_docs(choice: Choice) -> None:
    assert callable(choice.load())
    assert choice.about in DOCS.read_text("utf-8")


def test_several_ways_are_tried_for_int8_unless_something_says_which() -> None:
    assert Export(quantize="int8").tries
    assert not Export(quantize="int8", calibration="minmax").tries
    assert not Export(quantize="int8", correct=("bias",)).tries
    assert not Export(quantize="int8", rounding="gptq").tries
    assert not Export(quantize="int16x8").tries
    assert {Export(calibration=name, quantize="int8").calibrator for name in CALIBRATIONS} == set(CALIBRATORS)


def test_what_is_tried_is_in_the_tables_and_the_first_is_plain() -> None:
    exports = [Export(quantize="int8", calibration=trial.calibration, correct=trial.correct) for trial in TRIALS]
    assert len(set(exports)) == len(TRIALS)
    assert (TRIALS[0].calibration, TRIALS[0].correct) == ("minmax", ())


def test_weights_of_four_bits_are_rounded_towards_the_outputs_unless_something_says_how() -> None:
    plain = Export(quantize="int8", weight_bits=4)
    assert plain.tries
    assert (plain.calibrator, plain.rounds, plain.trials) == ("mse", "gptq", TRIALS_OF_FOUR_BITS)
    assert Export(quantize="int8").rounds == "nearest"
    chosen = Export(quantize="int8", weight_bits=4, rounding="nearest")
    assert (chosen.tries, chosen.rounds) == (False, "nearest")
    assert {trial.rounding for trial in TRIALS_OF_FOUR_BITS} <= set(ROUNDINGS)
    counts = [each.sample_count for each in (plain, Export(quantize="int8"), Export(quantize="int8", samples=7))]
    assert counts == [500, 200, 7]
