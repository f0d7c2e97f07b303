"""The op that parts two sets of kernels is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras")

from tfcompress.diagnosis.kernel_faults import (
    KernelDifference,
    bisect_ops,
    op_differences,
    outputs_db,
    ratio_db,
)
from tfcompress.tflite.agreement import CAP_DB
from tfcompress.tflite.slices import FileSlice, Slicer

SLICER = Slicer((Path(__file__).parents[1] / "data" / "autoencoder_int8.tflite").read_bytes())
COUNT = len(SLICER.model.subgraphs[0].ops)
GIVEN = {
    number: np.ones((2, *SLICER.model.subgraphs[0].tensors[number].shape), "float32")
    for number in (*SLICER.readable, *SLICER.model.subgraphs[0].inputs)
}


class Kernels:
    """Stands in for an interpreter in which one op adds 1 to all that comes behind it, or to its own output alone."""

    def __init__(self, wrong: int) -> None:
        self.wrong, self.runs = wrong, 0

    def __call__(self, part: FileSlice, given, reference: bool) -> dict[int, np.ndarray]:
        self.runs += 1
        ops = Slicer(part.content).model.subgraphs[0].ops
        first, alone = COUNT - len(ops), len(part.inputs) >= COUNT
        found = {}
        for number in part.outputs.values():
            place = SLICER.made[number]
            hit = place == self.wrong if alone else first <= self.wrong <= place
            found[number] = GIVEN[number] + (1.0 if hit and not reference else 0.0)
        return found


@pytest.mark.parametrize("wrong", range(COUNT))
def test_bisection_finds_the_op_whichever_it_is(wrong: int) -> None:
    run = Kernels(wrong)
    whole = outputs_db(SLICER, GIVEN, run)
    assert whole == 0.0  # an error as large as the values
    assert bisect_ops(SLICER, GIVEN, run, whole) == wrong
    assert run.runs <= 2 + np.log2(COUNT)


def test_an_op_alone_tells_by_how_many_steps_it_differs() -> None:
    found, fast = op_differences(SLICER, GIVEN, Kernels(1))
    (number,) = fast
    scale = SLICER.model.subgraphs[0].tensors[number].scales[0]
    assert SLICER.made[number] == 1
    assert found[number].steps == pytest.approx(1 / scale)
    assert all(each.steps == 0 for other, each in found.items() if other != number)


@pytest.mark.parametrize(
    ("difference", "wrong"),
    [
        (KernelDifference(2.0, 40.0), False),
        (KernelDifference(3.0, 40.0), True),
        (KernelDifference(None, 40.0), False),
        (KernelDifference(None, 20.0), True),
    ],
)
def test_two_steps_are_rounding_and_three_are_not(difference: KernelDifference, wrong: bool) -> None:
    assert difference.wrong is wrong


def test_ratios_are_capped_and_nan_is_the_worst() -> None:
    ones = np.ones(4)
    assert ratio_db(ones, ones) == CAP_DB
    assert ratio_db(ones, ones * 1.1) == pytest.approx(20.0)
    assert ratio_db(ones, ones * np.nan) == -CAP_DB
    assert ratio_db(0 * ones, ones) == -CAP_DB


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_kernels_that_give_the_same_do_not_differ_though_it_is_no_number(spoilt: float) -> None:
    one, other = np.float32([spoilt, 1.0, 2.0]), np.float32([1.0, spoilt, 2.0])
    assert ratio_db(one, one) == CAP_DB
    assert ratio_db(one, other) == -CAP_DB
    assert ratio_db(np.float32([1.0, 1.0, 2.0]), one) == -CAP_DB
    near = one + np.float32([0.0, 0.1, 0.2])
    assert ratio_db(one, near) == pytest.approx(20.0, abs=0.01)  # of those that are numbers
