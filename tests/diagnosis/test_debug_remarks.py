"""Figures of a debugging in words."""

from __future__ import annotations

import dataclasses

import pytest

pytest.importorskip("keras")

from tfcompress.diagnosis.debug_remarks import remarks
from tfcompress.reports.debug_facts import DebugFacts, TensorRow

GOOD = TensorRow(
    number=1,
    op="CONV_2D",
    layer="conv",
    how="values",
    dtype="int8",
    shape=(1, 4),
    snr_db=38.0,
    loss_db=2.0,
    used=0.9,
    clipped=0.0,
    distinct=200,
    grid=(0.0, 6.0),
    reached=(0.0, 5.5),
    kernel_steps=1.0,
    kernel_db=50.0,
)
INPUT = dataclasses.replace(GOOD, number=0, op="input", layer="image", how="", grid=(0.0, 1.0), reached=(0.0, 1.0))


def told(*rows: TensorRow, culprit: int | None = None) -> list[str]:
    facts = DebugFacts("f.tflite", "m.keras", "d", 8, "litert 2", 50.0, culprit, rows, (), ())
    return [f"{remark.gravity}: {remark}" for remark in remarks(facts)]


def test_nothing_is_said_of_good_tensors() -> None:
    assert told(INPUT, GOOD) == []


@pytest.mark.parametrize(
    ("reached", "said"),
    [((0.0, 255.0), "255 times what the file"), ((0.0, 1 / 255), "1/255 of what the file")],
)
def test_a_wrong_scale_of_the_input_is_named_and_what_follows_from_it_is_not(reached, said: str) -> None:
    clipped = 0.9 if reached[1] > 1 else 0.0
    wrong = dataclasses.replace(INPUT, reached=reached, clipped=clipped)
    (line,) = told(wrong, dataclasses.replace(GOOD, clipped=0.5))
    assert line.startswith("fault: image: ")
    assert said in line


def test_a_range_that_is_too_narrow_or_too_wide_is_told_with_its_numbers() -> None:
    narrow = dataclasses.replace(GOOD, grid=(0.0, 1.0), clipped=0.2)
    assert "20.0% of the float model's values [0, 5.5] lie beyond its [0, 1]" in told(narrow)[0]
    wide = dataclasses.replace(GOOD, grid=(0.0, 60.0))
    assert told(wide)[0].startswith("risk: conv: the float model's values [0, 5.5] take 9.2% of its grid")
    assert told(dataclasses.replace(wide, op="SOFTMAX")) == []


def test_an_op_that_spoils_good_values_is_named_and_one_that_was_given_bad_ones_is_not() -> None:
    (line,) = told(dataclasses.replace(GOOD, snr_db=8.0, loss_db=25.0))
    assert line.startswith("fault: conv: 33 dB go into this op (CONV_2D), 8 dB come out")
    assert told(dataclasses.replace(GOOD, snr_db=-8.0, loss_db=12.0)) == []


@pytest.mark.parametrize("right", ["XNNPACK", "reference", ""])
def test_a_kernel_that_differs_is_named_with_the_one_that_is_right(right: str) -> None:
    row = dataclasses.replace(GOOD, kernel_steps=90.0, kernel_db=1.0, right_kernel=right, snr_db=-3.0, loss_db=40.0)
    (line,) = told(row, culprit=0)
    assert "90 steps apart on the same inputs" in line
    assert ("one of them is wrong" in line) is not bool(right)
    assert (f"{right} kernel is near" in line or f"{right} is near" in line) is bool(right)


def test_outputs_that_part_though_every_op_agrees_are_a_risk() -> None:
    (line,) = told(GOOD, culprit=3)
    assert line.startswith("risk: op 3: ")


def test_a_model_that_the_file_was_not_made_from_is_told() -> None:
    lost = dataclasses.replace(GOOD, layer="", how="", snr_db=None, loss_db=None, reached=None, clipped=None)
    assert told(lost)[0].startswith("note: f.tflite: 1 of 1 tensors are like no layer's values")
