"""tfcompress.targets.target."""

from __future__ import annotations

import dataclasses

import pytest

from tfcompress.errors import RecipeError
from tfcompress.targets.target import ACCELERATORS, SCHEMES, Target, micro_ops


def test_limits_are_read_as_people_write_them() -> None:
    target = Target(runtime="tflm", flash="1MB", ram="256KiB")
    assert target.flash_bytes == 1_000_000
    assert [target.most_flash_bytes(asked) for asked in ("", "2MB", "20KB")] == [1_000_000, 1_000_000, 20_000]
    assert [target.most_arena_bytes(asked) for asked in ("", "1MB", "64KB")] == [2**18, 2**18, 64_000]
    assert (Target().most_flash_bytes(""), Target().most_arena_bytes("")) == (None, None)
    assert target.ram_bytes == 256 * 1024
    assert Target().flash_bytes is None
    assert Target().ram_bytes is None


def test_a_target_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Target().ram = "1KB"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"ram": "64KB"},
            r"target.ram must be left out with runtime 'litert', which measures no such thing",
        ),
        ({"ops": ("ADD",)}, r"target.ops must be left out with runtime 'litert'"),
        ({"flash": "a lot"}, r"target.flash must be a number above 0 with one of B, KB, KiB, MB, MiB, got 'a lot'"),
        ({"ram": "2x"}, r"target.ram must be a number above 0 with one of B, KB, KiB, MB, MiB, got '2x'"),
        ({"runtime": "tflmm"}, r"target.runtime must be one of 'litert', 'tflm'"),
        ({"runtime": "tflm", "quantize": ("float16",)}, r"among those of runtime 'tflm' \(none, int8, int16x8\), got"),
        (
            {"runtime": "tflm", "ops": ("CONV2D",)},
            r"target.ops item must be names of TFLM's ops \(did you mean 'CONV_2D'",
        ),
        ({"accelerator": "ethos-u99", "runtime": "tflm"}, r"target.accelerator must be empty or one of ethos-u55-32"),
        ({"accelerator": ACCELERATORS[0]}, r"target.runtime must be 'tflm' with an accelerator, got 'litert'"),
        ({"round_to": 0}, r"target.round_to must be at least 1, got 0"),
    ],
)
def test_a_target_refuses_what_cannot_be(fields: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Target(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("quantize", SCHEMES["litert"])
def test_numbers_that_a_target_lacks_have_a_reason(quantize: str) -> None:
    linux, micro = Target(), Target(runtime="tflm")
    assert linux.why_not(quantize) == ""
    assert (micro.why_not(quantize) == "") == (quantize in SCHEMES["tflm"])
    assert "kernel" in micro.why_not(quantize) + "kernel" * (quantize in SCHEMES["tflm"])
    integers = Target(runtime="tflm", quantize=("int8",))
    assert (integers.why_not(quantize) == "") == (quantize == "int8")


def test_what_was_measured_of_tflm_has_the_usual_ops_and_lacks_what_it_lacks() -> None:
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SOFTMAX", "ADD", "WHILE"} <= micro_ops()
    assert not {"DENSIFY", "GELU", "CONV_3D", "SELECT"} & micro_ops()
