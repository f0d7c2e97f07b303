"""Samples against samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.diagnosis.calibration_lint import (
    lint_classes,
    lint_halves,
    lint_overlap,
    lint_ranges,
    lint_reaches,
    looks_reversed,
    scale_between,
)

GENERATOR = np.random.default_rng(0)
IMAGES = (GENERATOR.random((20, 4, 4, 3)) * [1.0, 0.6, 0.2]).astype("float32")


@pytest.mark.parametrize(("factor", "said"), [(255, "255 times as far"), (1 / 127.5, "1/127.5 as far")])
def test_samples_that_are_scaled_otherwise_are_a_fault(factor: float, said: str) -> None:
    (remark,) = lint_ranges({"image": IMAGES}, {"image": IMAGES * np.float32(factor)})
    assert (remark.gravity, remark.where) == ("fault", "input image")
    assert said in remark.what


def test_the_same_samples_and_others_of_their_kind_are_fine() -> None:
    assert lint_ranges({"image": IMAGES}, {"image": IMAGES[::-1] * np.float32(0.97)}) == []


def test_a_test_split_that_reaches_further_is_a_risk() -> None:
    (remark,) = lint_ranges({"image": IMAGES}, {"image": IMAGES * 2})
    assert (remark.gravity, remark.remedy) == ("risk", "calibrate on samples like those")


def test_channels_in_reverse_are_a_fault() -> None:
    (remark,) = lint_ranges({"image": IMAGES}, {"image": IMAGES[..., ::-1]})
    assert remark.gravity == "fault"
    assert "in reverse" in remark.what


@given(st.lists(st.floats(0.0, 1.0), min_size=3, max_size=5))
def test_means_are_never_taken_for_the_reverse_of_themselves(means: list[float]) -> None:
    assert not looks_reversed(np.array(means), np.array(means), 0.3)


@given(st.floats(1e-3, 1e3), st.sampled_from([255.0, 127.5, 1 / 255, 1 / 127.5]), st.floats(0.9, 1.1))
def test_a_factor_is_found_whatever_the_unit(first: float, factor: float, off: float) -> None:
    assert scale_between(first, first * factor * off) == pytest.approx(factor)


def test_nothing_is_said_of_samples_that_are_zero() -> None:
    assert scale_between(0.0, 1.0) == 0.0


def test_halves_that_reach_apart_ask_for_more_samples() -> None:
    rising = np.linspace(0, 1, 10, dtype="float32").reshape(10, 1)
    (remark,) = lint_halves({"a": rising, "b": np.ones((10, 1), "float32")})
    assert "in 1 of 2 tensors (a: 2.2 times)" in remark.what  # 1 and 4/9
    assert lint_halves({"a": rising[[0, 9, 1, 8, 2, 7, 3, 6, 4, 5]]}) == []


def test_whole_numbers_and_single_samples_have_no_halves() -> None:
    assert lint_halves({"ids": np.arange(10), "one": np.ones((1, 3), "float32")}) == []


def test_classes_without_a_sample_are_named() -> None:
    (remark,) = lint_classes(np.array([1, 2, 0, 1]))
    assert remark.what.startswith("no sample of 1 of 4 classes (2)")
    assert lint_classes(np.ones(4)) == []


@given(st.integers(0, 20))
def test_every_sample_in_both_splits_is_counted(count: int) -> None:
    found = lint_overlap({"image": IMAGES}, {"image": np.concatenate([IMAGES[:count], IMAGES + 1])})
    assert [remark.what.split()[0] for remark in found] == ([str(count)] if count else [])


@given(st.integers(0, 50), st.sampled_from([(3,), (4, 4, 3), (2, 5)]))
def test_a_set_is_never_told_from_itself_and_a_scaled_one_always(seed: int, shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(seed)
    values = (draw.normal(size=(8, *shape)) * draw.uniform(0.1, 9)).astype("float32")
    assert lint_ranges({"x": values}, {"x": values}) == []
    for factor in (255.0, 127.5):
        found = lint_ranges({"x": values}, {"x": values * np.float32(factor)}, ("a", "b"))
        back = lint_ranges({"x": values * np.float32(factor)}, {"x": values}, ("a", "b"))
        assert [remark.gravity for remark in (*found, *back)] == ["fault", "fault"]
        assert f"{factor:g} times as far" in found[0].what
        assert f"1/{factor:g} as far" in back[0].what


def test_inputs_of_one_side_alone_and_of_words_are_not_compared() -> None:
    assert lint_ranges({"x": IMAGES}, {"y": IMAGES * 255}) == []
    words = np.array([["a", "b"]])
    assert lint_ranges({"x": words}, {"x": words}) == []


@given(st.lists(st.tuples(st.floats(0.0, 10.0), st.floats(0.0, 10.0)), min_size=1, max_size=30))
def test_halves_are_told_where_a_tenth_of_the_tensors_reach_half_as_far_again(pairs: list[tuple[float, float]]) -> None:
    apart = [max(a, b) > 1.5 * min(a, b) for a, b in pairs]
    found = lint_reaches({str(number): pair for number, pair in enumerate(pairs)}, 10)
    assert bool(found) is (sum(apart) > 0.1 * len(pairs))
    if found:
        assert f"in {sum(apart)} of {len(pairs)} tensors" in found[0].what


@given(st.lists(st.integers(0, 2), min_size=1, max_size=20))
def test_every_missing_class_is_counted_and_eight_are_named(counts: list[int]) -> None:
    missing = [number for number, count in enumerate(counts) if not count]
    found = lint_classes(np.array(counts))
    assert bool(found) is bool(missing)
    if missing:
        named = ", ".join(map(str, missing[:8])) + (", …" if len(missing) > 8 else "")
        assert f"no sample of {len(missing)} of {len(counts)} classes ({named})" in found[0].what


def test_overlap_needs_all_inputs_of_a_sample_to_be_equal() -> None:
    one = {"a": np.float32([[1], [2]]), "b": np.float32([[3], [4]])}
    assert lint_overlap(one, {"a": one["a"], "b": one["b"][::-1]}) == []
    assert lint_overlap(one, {"a": one["a"][::-1], "b": one["b"][::-1]})[0].what.startswith("2 of 2 calibration")
