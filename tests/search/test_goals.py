"""Limits and goals of a search."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import UsageError
from tfcompress.search.goals import GOALS, Limits, goals_of, preference

VALUES = st.floats(1e-3, 1e9)
FIGURES = st.dictionaries(st.sampled_from(list(GOALS)), VALUES)
LIMITS = FIGURES.map(lambda given_ones: Limits(**given_ones))


@given(LIMITS, FIGURES)
def test_limits_are_kept_where_every_limited_figure_is_known_and_none_is_above(
    limits: Limits, figures: dict[str, float]
) -> None:
    kept = all(name in figures and figures[name] <= limit for name, limit in limits.given.items())
    assert limits.kept_by(figures) == kept
    if kept:
        assert limits.violation(figures) == 0.0


@given(LIMITS, FIGURES, st.floats(1.0, 10.0))
def test_larger_figures_are_never_nearer_to_keeping_the_limits(
    limits: Limits, figures: dict[str, float], factor: float
) -> None:
    larger = {name: value * factor for name, value in figures.items()}
    assert limits.violation(larger) >= limits.violation(figures) >= 0.0
    assert set(limits.excess(figures)) == set(limits.given) & set(figures)


@given(LIMITS, st.sampled_from(["size", "download"]), st.sets(st.sampled_from(["arena", "p90", "energy"])))
def test_what_is_limited_or_measured_is_made_smaller_and_one_of_it_decides(
    limits: Limits, smaller: str, known: set[str]
) -> None:
    goals = goals_of(limits, smaller=smaller, known=tuple(known))  # type: ignore[arg-type]  # one of the two
    names = [goal.name for goal in goals]
    assert set(names) == {"drop", smaller, *limits.given, *known}
    assert names == [name for name in GOALS if name in names]
    decides = preference(limits, goals)
    assert decides in goals
    assert decides.name not in limits.given or set(names) == set(limits.given)


@given(LIMITS, st.sets(st.sampled_from(["arena", "p90", "energy"])))
def test_the_drop_decides_where_it_has_no_limit_and_never_where_it_has_one(limits: Limits, known: set[str]) -> None:
    decides = preference(limits, goals_of(limits, smaller="size", known=tuple(known)))
    assert (decides.name == "drop") == (limits.drop is None)


@pytest.mark.parametrize("limit", [0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize("name", list(GOALS))
def test_a_limit_that_nothing_keeps_or_everything_does_is_refused_by_its_flag(name: str, limit: float) -> None:
    with pytest.raises(UsageError, match=f"{GOALS[name].flag} must be above 0, got {limit:g}"):
        Limits(**{name: limit})
