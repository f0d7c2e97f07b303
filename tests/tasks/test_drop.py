"""What is lost, in points, for figures of every unit and either way."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.tasks.drop import Drop, drop_of, nothing_lost, points_lost
from tfcompress.tasks.figures import AREA, FRACTION, LABEL, NUMBER
from tfcompress.tasks.score import Difference, Figure, Score


def scored(value: float | None, unit: str = FRACTION, better: Any = "higher") -> Score:
    figures = {"figure": Figure(value, unit=unit, better=better)}
    return Score(task="toy", samples=100, main="figure", figures=figures)


def difference(value: float, low: float | None, high: float | None, unit: str, better: Any) -> Difference:
    return Difference(figure="figure", value=value, low=low, high=high, unit=unit, better=better)


@pytest.mark.parametrize(
    ("unit", "better", "float_figure", "ends", "points"),
    [
        (FRACTION, "higher", 0.9, (-0.01, -0.03, 0.01), (1.0, -1.0, 3.0)),
        (FRACTION, "lower", 0.1, (0.01, -0.01, 0.03), (1.0, -1.0, 3.0)),
        (AREA, "higher", 0.5, (-0.01, -0.03, 0.01), (1.0, -1.0, 3.0)),
        (LABEL, "lower", 20.0, (0.4, -0.2, 1.0), (2.0, -1.0, 5.0)),
        (NUMBER, "lower", 4.0, (0.4, -0.2, 1.0), (10.0, -5.0, 25.0)),
        (NUMBER, "higher", -4.0, (-0.4, -1.0, 0.2), (10.0, -5.0, 25.0)),
    ],
)
def test_a_drop_is_positive_where_it_is_worse_and_its_points_mean_a_hundredth(
    unit: str, better: Any, float_figure: float, ends: tuple[float, ...], points: tuple[float, ...]
) -> None:
    found = drop_of(difference(*ends, unit, better), scored(float_figure, unit, better))
    assert isinstance(found, Drop)
    assert (found.points, found.low, found.high) == pytest.approx(points)


def test_a_figure_of_zero_has_no_percentage() -> None:
    found = drop_of(difference(0.1, 0.0, 0.2, LABEL, "lower"), scored(0.0, LABEL, "lower"))
    assert found == "figure of the float model is 0, and a percentage of that means nothing"


@pytest.mark.parametrize("ends", [(None, None), (-math.inf, math.inf)])
def test_a_difference_without_an_interval_is_no_proof(ends: tuple[Any, Any]) -> None:
    found = drop_of(difference(0.0, *ends, FRACTION, "higher"), scored(0.9))
    assert found == "the difference of two models in figure has no interval on these samples"


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.sampled_from(["higher", "lower"]))
def test_the_bound_lies_at_or_above_what_was_measured(value: float, below: float, above: float, better: str) -> None:
    found = drop_of(difference(value, value - below, value + above, FRACTION, better), scored(0.9, better=better))
    assert isinstance(found, Drop)
    assert found.low <= found.points <= found.bound


def test_the_float_file_itself_loses_nothing() -> None:
    found = nothing_lost(scored(0.0, LABEL, "lower"))
    assert (found.points, found.bound) == (0.0, 0.0)


hundredths = st.integers(-900, 900).map(lambda number: number / 100)


@given(hundredths, hundredths, st.sampled_from([FRACTION, AREA, LABEL, NUMBER]), st.booleans())
def test_what_one_loses_the_other_gains_where_a_point_is_the_same_for_both(
    one: float, two: float, unit: str, higher: bool
) -> None:
    better = "higher" if higher else "lower"
    before, after = scored(one, unit, better), scored(two, unit, better)
    there, back = points_lost(before, after), points_lost(after, before)
    if unit in (FRACTION, AREA):
        assert there == pytest.approx(100 * (one - two) * (1 if higher else -1))
        assert back == pytest.approx(-(there or 0.0))
    else:
        assert (there is None, back is None) == (one == 0, two == 0)
        if there is not None:
            assert there == pytest.approx(100 * (one - two) / abs(one) * (1 if higher else -1))
    assert points_lost(before, before) in (0.0, None)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=4))
def test_of_several_outputs_the_one_that_lost_most_counts(pairs: list[tuple[float, float]]) -> None:
    sides = [{str(place): scored(pair[side]) for place, pair in enumerate(pairs)} for side in (0, 1)]
    before, after = (
        Score(task="toy", samples=100, main="figure", figures={"figure": Figure(0.5)}, outputs=outputs)
        for outputs in sides
    )
    assert points_lost(before, after) == pytest.approx(max(100 * (one - two) for one, two in pairs))


def test_an_output_that_cannot_be_compared_leaves_nothing_to_say() -> None:
    known, unknown = scored(0.5), scored(None)
    other = Score(task="t", samples=1, main="mae", figures={"mae": Figure(1)})
    for one, two in ((known, unknown), (unknown, known), (known, other), (scored(0.0, LABEL), scored(1.0, LABEL))):
        assert points_lost(one, two) is None
        whole = [dataclasses.replace(known, outputs={"a": known, "b": each}) for each in (one, two)]
        assert points_lost(*whole) is None


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 9))
def test_a_drop_by_a_figure_of_its_own_unit_is_that_percentage(
    value: float, below: float, above: float, figure: float
) -> None:
    found = drop_of(difference(value, value - below, value + above, LABEL, "lower"), scored(figure, LABEL, "lower"))
    assert isinstance(found, Drop)
    assert (found.points, found.low, found.high) == pytest.approx(
        tuple(100 * end / figure for end in (value, value - below, value + above))
    )
    assert found.point == f"% of float's figure of {figure:.3g}"
