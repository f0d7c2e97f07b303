"""tfcompress.tflite.agreement."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import ContractError, ModelError
from tfcompress.tflite.agreement import CAP_DB, OutputAgreement, any_worse, compare_outputs, output_step, within_steps
from tfcompress.tflite.flatbuffer import read_model_file


@given(st.floats(1e-4, 10), st.floats(1e-3, 1e3))
def test_the_ratio_is_that_of_signal_and_noise_whatever_the_scale(relative: float, scale: float) -> None:
    reference = scale * np.array([[1.0, -1.0], [1.0, 1.0]])
    noise = relative * scale * np.array([[1.0, 1.0], [-1.0, 1.0]])
    found = compare_outputs("y", reference, reference + noise, None)
    assert found.sqnr_db == pytest.approx(-20 * math.log10(relative), abs=1e-6)
    assert found.max_abs_error == pytest.approx(relative * scale)
    assert found.rms_error == pytest.approx(relative * scale)


@given(st.floats(-1e3, 1e3), st.floats(1e-2, 1.0))
def test_the_ratio_about_the_mean_knows_no_constant(constant: float, relative: float) -> None:
    spread = np.array([[1.0, -1.0], [-1.0, 1.0]])
    noise = relative * np.array([[1.0, 1.0], [-1.0, 1.0]])
    found = compare_outputs("y", spread + constant, spread + constant + noise, None)
    assert found.spread_db == pytest.approx(-20 * math.log10(relative), abs=1e-3)
    whole = 10 * math.log10((1 + constant**2) / relative**2)
    assert found.sqnr_db == pytest.approx(whole, abs=1e-3)


def test_outputs_that_never_vary_have_no_ratio_about_their_mean() -> None:
    reference = np.full((4, 2), 7.1, np.float32)
    assert compare_outputs("y", reference, reference + np.float32(0.1), None).spread_db is None


def test_an_exact_match_counts_as_the_cap() -> None:
    reference = np.ones((3, 2), np.float32)
    assert compare_outputs("y", reference, reference, None).sqnr_db == CAP_DB


def test_an_output_of_zeros_has_no_ratio() -> None:
    found = compare_outputs("y", np.zeros((4, 2), np.float32), np.full((4, 2), 0.5, np.float32), None)
    assert found.sqnr_db is None
    assert found.max_abs_error == 0.5


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.004, 0.25, 3.0]))
def test_different_values_are_counted_in_the_channel_with_the_fewest(few: int, many: int, step: float) -> None:
    output = np.stack([np.arange(80) % count * step for count in (few, many)], axis=-1).astype(np.float32)
    assert compare_outputs("y", output, output, None).distinct is None
    assert compare_outputs("y", output, output, step).distinct == min(few, many)
    assert compare_outputs("y", output[:, 0], output[:, 0], step).distinct == few


def test_values_up_to_two_steps_apart_are_near() -> None:
    reference = np.zeros((1, 4), np.float32)
    output = np.array([[0.0, 0.5, -1.0, 1.5]], np.float32)  # 0, 1, 2 and 3 steps
    assert compare_outputs("y", reference, output, 0.5).near == 0.75
    assert compare_outputs("y", reference, output, None).near is None


def test_top_1_counts_ties_as_the_same() -> None:
    reference = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.2, 0.3, 0.5]])
    output = np.array([[0.4, 0.4, 0.2], [0.2, 0.6, 0.2], [0.0, 0.0, 1.0]])
    assert compare_outputs("y", reference, output, None).top1 == pytest.approx(2 / 3)


def test_only_rows_of_scores_have_a_top_1() -> None:
    assert compare_outputs("y", np.ones((4, 1)), np.ones((4, 1)), None).top1 is None
    assert compare_outputs("y", np.ones((4, 3, 3)), np.ones((4, 3, 3)), None).top1 is None


def test_whole_numbers_are_compared_by_equality() -> None:
    found = compare_outputs("y", np.array([[1], [2], [3], [4]]), np.array([[1], [2], [3], [9]]), None)
    assert found.sqnr_db is None
    assert found.top1 == 0.75
    assert found.max_abs_error == 5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_on_either_side(bad: float) -> None:
    good, broken = np.ones((2, 2)), np.array([[1.0, bad], [1.0, 1.0]])
    with pytest.raises(ContractError, match="output 'y' of the file must be finite, it holds NaN or infinity"):
        compare_outputs("y", good, broken, None)
    with pytest.raises(ModelError, match="output 'y' of the model must be finite"):
        compare_outputs("y", broken, good, None)


def test_another_shape_is_refused() -> None:
    with pytest.raises(ContractError, match=r"must have the model's shape \(2, 3\), it has \(2, 4\)"):
        compare_outputs("y", np.ones((2, 3)), np.ones((2, 4)), None)


def test_the_step_of_an_output_is_its_scale_and_softmax_fixes_it(file) -> None:
    assert output_step(read_model_file(file("int8")), "scores") == (1 / 256, True)
    assert output_step(read_model_file(file("int16x8")), "scores") == (1 / 32768, True)
    assert output_step(read_model_file(file("none")), "scores") == (None, True)
    step, fixed = output_step(read_model_file(file("tokens")), "answer")
    assert step is not None
    assert not fixed


def test_rounding_to_the_outputs_own_step_is_accepted() -> None:
    reference = np.full((5, 100), 0.01)  # a softmax over a hundred equal classes: 2.56 steps of 1/256 each
    output = np.round(reference * 256) / 256
    found = compare_outputs("y", reference, output, 1 / 256)
    assert found.sqnr_db is not None
    assert found.sqnr_db < 20
    assert within_steps(reference, found, fixed=True)


def test_a_step_too_coarse_for_the_values_is_no_excuse() -> None:
    reference = np.array([[0.3, -0.2], [0.1, 0.4]])
    found = compare_outputs("y", reference, np.zeros((2, 2)), 1.0)  # calibrated on values up to 127
    assert found.rms_error < 1.0
    assert not within_steps(reference, found, fixed=False)
    assert within_steps(reference, compare_outputs("y", reference, reference + 0.001, 0.002), fixed=False)


def test_no_step_no_excuse() -> None:
    reference = np.ones((2, 2))
    assert not within_steps(reference, compare_outputs("y", reference, reference + 1e-9, None), fixed=False)


def test_the_cosine_is_the_mean_over_samples_of_that_between_vectors() -> None:
    reference, output = np.array([[1.0, 0], [0, 2], [0, 0]]), np.array([[3.0, 4], [0, 1], [1, 1]])
    assert compare_outputs("y", reference, output, None).cosine == pytest.approx((3 / 5 + 1) / 2)
    assert compare_outputs("y", reference[:, :1], output[:, :1], None).cosine is None
    assert compare_outputs("y", np.zeros((2, 3)), np.ones((2, 3)), None).cosine is None


@pytest.mark.parametrize(
    ("own", "worse"),
    [
        ({"a": (30.0, 0.9), "b": (30.0, 0.9)}, False),
        ({"a": (29.95, 0.9), "b": (50.0, 1.0)}, False),  # a tenth of a decibel is none
        ({"a": (29.8, 0.9), "b": (50.0, 1.0)}, True),
        ({"a": (50.0, 0.89), "b": (50.0, 1.0)}, True),
        ({"b": (30.0, 0.9), "a": (30.0, 0.9)}, False),  # by name, in any order
        ({"b": (30.0, 0.9), "a": (20.0, 0.9)}, True),
        ({"a": (None, 0.9), "b": (30.0, None)}, True),  # no top-1 where there was one
        ({}, False),
    ],
)
def test_a_file_is_worse_where_one_of_its_outputs_is(own: Any, worse: bool) -> None:
    def outputs(found: Any) -> list[OutputAgreement]:
        return [OutputAgreement(name, db, 0.0, 0.0, top1, None) for name, (db, top1) in found.items()]

    assert any_worse(outputs(own), outputs({"a": (30.0, 0.9), "b": (30.0, 0.9)}), 0.1) == worse
