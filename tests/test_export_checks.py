"""What an export may not be: every field that only some numbers, targets or other fields give a meaning."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stages.drawn import widened
from tfcompress.errors import RecipeError
from tfcompress.export_choices import CALIBRATIONS, CORRECTIONS, PACKINGS, ROUNDINGS, RUNTIMES, WITHOUT_FOUR_BITS
from tfcompress.recipe import QAT, Export, Recipe, Train
from tfcompress.targets.target import SCHEMES

SCHEME = SCHEMES["litert"]
INT8_ONLY: dict[str, Any] = {
    "calibration": "mse",
    "correct": ("bias",),
    "rounding": "gptq",
    "weight_bits": 4,
    "input_range": (0.0, 1.0),
    "mixed": True,
    "lookup": True,
}
"""Fields with values that mean something for int8 files alone."""


@pytest.mark.parametrize("quantize", SCHEME)
@pytest.mark.parametrize("name", INT8_ONLY)
def test_what_means_something_for_int8_alone_is_refused_for_other_numbers(quantize: Any, name: str) -> None:
    fields = {"quantize": quantize, name: INT8_ONLY[name]}
    if quantize == "int8":
        assert getattr(Export(**fields), name) == INT8_ONLY[name]
        return
    with pytest.raises(RecipeError, match=rf"^export\.{name} must be .* with quantize '{quantize}'"):
        Export(**fields)


IO = {"int8": {"float32", "int8", "uint8"}, "int16x8": {"float32", "int16"}}


@pytest.mark.parametrize("quantize", SCHEME)
@pytest.mark.parametrize("io", ["auto", "float32", "int8", "uint8", "int16"])
def test_inputs_and_outputs_are_of_the_files_numbers_or_floats(quantize: Any, io: Any) -> None:
    allowed = {"auto", *IO.get(quantize, {"float32"})}
    if io in allowed:
        plain = {"int8": "int8", "int16x8": "int16"}.get(quantize, "float32")
        assert Export(quantize=quantize, io=io).io_dtype == (plain if io == "auto" else io)
        return
    with pytest.raises(RecipeError, match=rf"^export\.io must be one of .* with quantize '{quantize}', got '{io}'"):
        Export(quantize=quantize, io=io)


MIXED_FIELDS: dict[str, Any] = {"max_size": "60KB", "max_latency": "2ms", "plans": 9}


@pytest.mark.parametrize("name", MIXED_FIELDS)
def test_limits_of_a_mixed_file_mean_nothing_for_another(name: str) -> None:
    assert Export(quantize="int8", mixed=True, **{name: MIXED_FIELDS[name]})
    with pytest.raises(RecipeError, match=rf"^export\.{name} must be .* without mixed, got "):
        Export(quantize="int8", **{name: MIXED_FIELDS[name]})


def test_a_mixed_file_chooses_the_bits_of_each_layer_itself() -> None:
    with pytest.raises(RecipeError, match=r"^export\.weight_bits must be left out with mixed, which chooses the bits"):
        Export(quantize="int8", mixed=True, weight_bits=4)


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("correct", [(), *((name,) for name in CORRECTIONS), ("equalize", "bias")])
@pytest.mark.parametrize("rounding", [None, *ROUNDINGS])
def test_ranges_corrections_and_rounding_of_a_mixed_file_are_the_user_s_in_every_combination(
    calibration: str, correct: tuple[str, ...], rounding: str | None
) -> None:
    fields: Any = {"calibration": calibration, "correct": correct, "rounding": rounding}
    asked = Export(quantize="int8", mixed=True, **fields)
    assert asked.tries == Export(quantize="int8", **fields).tries


def test_a_device_times_what_is_limited_in_time() -> None:
    assert Export(quantize="int8", mixed=True, max_latency="2ms", device="pi5").device == "pi5"
    for fields in ({}, {"quantize": "int8", "mixed": True}, {"quantize": "int8", "mixed": True, "max_size": "1KB"}):
        with pytest.raises(RecipeError, match=r"^export\.device must be 'local' without max_latency, got 'pi5'"):
            Export(device="pi5", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("quantize", SCHEME)
@pytest.mark.parametrize(
    ("name", "value"), [("mixed", True), ("lookup", True), ("weight_bits", 4), ("target", "ethos-u55-128"), ("", None)]
)
def test_a_streaming_file_goes_with_what_a_step_can_have(quantize: Any, name: str, value: Any) -> None:
    fields = {"quantize": quantize, "streaming": True} | ({name: value} if name else {})
    if (quantize == "int8" and name != "mixed") or (not name and quantize != "int16x8"):
        assert Export(**fields, hop=2, state="internal").hop == 2
        return
    with pytest.raises(RecipeError, match=r"^export\.\w+ must be "):
        Export(**fields)
    if quantize == "int8":
        with pytest.raises(
            RecipeError, match=r"^export\.streaming must be false with mixed, which chooses numbers for"
        ):
            Export(**fields)


@pytest.mark.parametrize(("name", "value"), [("hop", 1), ("state", "internal")])
def test_a_step_means_nothing_without_streaming(name: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=rf"^export\.{name} must be .* without streaming, got "):
        Export(**{name: value})
    with pytest.raises(RecipeError, match=r"^export\.hop must be at least 1, got 0"):
        Export(streaming=True, hop=0)


@pytest.mark.parametrize("pair", list(itertools.combinations(CORRECTIONS, 2)), ids="+".join)
def test_of_corrections_that_do_the_same_one_is_enough(pair: tuple[str, str]) -> None:
    alike = CORRECTIONS[pair[0]].family == CORRECTIONS[pair[1]].family
    for order in (pair, pair[::-1]):
        if not alike:
            assert Export(quantize="int8", correct=order).prepares
            continue
        with pytest.raises(RecipeError, match=r"^export\.correct must be at most one of those that do the same, got "):
            Export(quantize="int8", correct=order)


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u85-256"])
def test_an_accelerator_computes_with_weights_of_eight_bits(target: str) -> None:
    for name, value in (("weight_bits", 4), ("mixed", True)):
        with pytest.raises(RecipeError, match=rf"^export.{name} must be .* with target '{target}', which computes"):
            Export(quantize="int8", target=target, **{name: value})
    with pytest.raises(RecipeError, match=rf"^qat.weight_bits must be 8 with target '{target}'"):
        Recipe(stages=(QAT(weight_bits=4),), export=Export(quantize="int8", target=target))
    assert Export(quantize="int8", target="tflm", weight_bits=4).weight_bits == 4


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("ending", ["", ">=2", ">=2.1", " >= 2.1.3 "])
@pytest.mark.parametrize("bits", [8, 4])
def test_a_runtime_is_named_with_or_without_a_version(runtime: str, ending: str, bits: Any) -> None:
    for spelt in (runtime, runtime.replace("-", "_"), f" {runtime}"):
        text = f"{spelt}{ending}"
        if bits == 8 or runtime not in WITHOUT_FOUR_BITS:
            assert Export(quantize="int8", weight_bits=bits, runtimes=(text,)).runtimes == (text,)
            continue
        with pytest.raises(RecipeError, match="must be one that computes kernels of 4 bits rightly with weight_bits 4"):
            Export(quantize="int8", weight_bits=bits, runtimes=(text,))


@pytest.mark.parametrize(
    "text", ["", ">=2", "litert>2", "litert==2", "litert>=", "litert>=2.", "litert 2", "litert>=v2"]
)
def test_what_is_no_runtime_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"^export\.runtimes item must be one of litert>=VERSION, "):
        Export(runtimes=(text,))


@pytest.mark.parametrize("name", PACKINGS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_packing_goes_with_the_runtimes_that_open_its_files(name: str, runtime: str) -> None:
    if runtime in PACKINGS[name].runtimes:
        assert Export(packings=(name,), runtimes=(f"{runtime}>=2.0",))
        return
    with pytest.raises(RecipeError, match=rf"one of those that open '{name}' files"):
        Export(packings=(name,), runtimes=(f"{runtime}>=2.0",))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"packings": ("slim", "slim")}, r"export\.packings must be names, each at most once"),
        ({"packings": ("slmi",)}, r"export\.packings item must be one of .* \(did you mean 'slim'\?\)"),
        ({"packings": (), "keep_names": True}, r"export\.keep_names must be false without packings, got True"),
        ({"quantize": "int8", "input_range": (1.0,)}, r"export\.input_range must be empty, or two numbers that rise"),
        ({"quantize": "int8", "input_range": (1.0, 1.0)}, r"two numbers that rise, .*got \(1\.0, 1\.0\)"),
        ({"quantize": "int8", "input_range": (1, 0)}, r"two numbers that rise, .*got \(1, 0\)"),
        ({"quantize": "int8", "input_range": ("a", "b")}, r"and NAME=LOW,HIGH for single inputs, each once, got \('a'"),
        ({"quantize": "int8", "mixed": True, "plans": 0}, r"export\.plans must be at least 1, got 0"),
        ({"quantize": "int8", "mixed": True, "max_size": "2ms"}, r"export\.max_size must be a number above 0 with one"),
        ({"quantize": "int8", "mixed": True, "max_latency": "2KB"}, r"export\.max_latency must be a number above 0"),
        ({"max_drop": 0}, r"export\.max_drop must be above 0, got 0"),
        ({"max_drop": -0.5}, r"export\.max_drop must be above 0, got -0\.5"),
        ({"samples": 1.0}, r"export\.samples must be a whole number, got 1\.0"),
        ({"quantize": None}, r"export\.quantize must be one of "),
        ({"c_array": 1}, r"export\.c_array must be true or false, got 1"),
        ({"target": "esp32"}, r"export\.target must be one of .*got 'esp32' \(did you mean 'esp32-s3'\?\)"),
    ],
)
def test_what_contradicts_itself_is_refused_with_its_field(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Export(**fields)


@given(st.data())
@settings(max_examples=60)
def test_what_an_export_says_of_itself_fits_together(data: st.DataObject) -> None:
    quantize: Any = data.draw(st.sampled_from(SCHEME))
    export: Export = widened(data.draw, Export(quantize=quantize))
    assert export.quantize in export.deployment.schemes
    assert export.io_dtype in {"auto", *IO.get(export.quantize, {"float32"})}
    assert export.calibrator in CALIBRATIONS
    assert export.rounds in ROUNDINGS
    assert export.needs_data == (export.quantize in ("int8", "int16x8"))
    assert export.needs_data or not export.needs_samples
    assert export.sample_count == (export.samples or (500 if export.weight_bits == 4 else 200))
    if export.tries:
        assert (export.quantize, export.calibration, export.correct) == ("int8", "auto", ())
    again = Export(**{field.name: getattr(export, field.name) for field in dataclasses.fields(export)})
    assert again == export


@pytest.mark.parametrize("quantize", SCHEME)
def test_training_only_if_needed_needs_a_limit_and_a_stage_for_the_numbers(quantize: Any) -> None:
    promised = Export(quantize=quantize, max_drop=0.5)
    with pytest.raises(RecipeError, match=r"train\.if_needed must be false without export\.max_drop, got True"):
        Recipe(export=Export(quantize=quantize), train=Train(if_needed=True))
    if quantize in ("int8", "int16x8"):
        assert Recipe(export=promised, train=Train(if_needed=True)).promises
        return
    with pytest.raises(RecipeError, match=rf"false with quantize '{quantize}', which no stage trains for, got True"):
        Recipe(export=promised, train=Train(if_needed=True))
