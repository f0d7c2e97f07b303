"""What a search knows of a trial, and what its storage keeps of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.search.toy_search import toy_space
from tfcompress.search.goals import GOALS
from tfcompress.search.trial import StepResult
from tfcompress.search.trial_records import STEPS, TrialRecord

FIGURES = st.none() | st.floats(0.0, 100.0)
RESULTS = st.builds(
    StepResult,
    points=FIGURES,
    size_bytes=st.none() | st.integers(1, 10**9),
    gzip_bytes=st.none() | st.integers(1, 10**9),
    flash_bytes=st.none() | st.integers(1, 10**9),
    arena_bytes=st.none() | st.integers(1, 10**9),
    sha256=st.sampled_from(["", "ab"]),
    seconds=st.floats(0.0, 1e6),
    trained_seconds=st.floats(0.0, 1e6),
    refusal=st.sampled_from(["", "DataError: none"]),
)
SPACE = toy_space()


def a_record() -> TrialRecord:
    return TrialRecord(3, SPACE.candidate({}), {}, "by hand")


@given(
    st.dictionaries(st.sampled_from(STEPS), RESULTS),
    FIGURES,
    st.sampled_from(["running", "finished", "stopped", "refused", "failed"]),
    st.integers(0, 2),
    st.lists(st.sampled_from(["bytes", "latency"]), max_size=2),
)
def test_what_the_storage_keeps_reads_back_as_it_was(
    steps: dict[str, StepResult], p90_ms: float | None, state: str, deaths: int, spared: list[str]
) -> None:
    record, again = a_record(), a_record()
    record.steps, record.p90_ms, record.deaths, record.spared = steps, p90_ms, deaths, tuple(spared)
    record.state, record.reason = state, "why"  # type: ignore[assignment]  # one of its states
    again.take(json.loads(json.dumps(record.attributes())))
    assert again == record
    assert again.figures == record.figures
    assert again.attributes() == record.attributes()


@given(st.dictionaries(st.sampled_from(STEPS), RESULTS, min_size=1))
def test_figures_are_those_of_the_furthest_step_and_time_is_that_of_all(steps: dict[str, StepResult]) -> None:
    record = a_record()
    record.steps = steps
    furthest = steps[max(steps, key=STEPS.index)]
    assert record.last == furthest
    assert record.figures.get("size") == furthest.size_bytes
    assert record.figures.get("drop") == furthest.points
    assert "p90" not in record.figures
    assert record.trained_seconds == pytest.approx(sum(step.trained_seconds for step in steps.values()))
    point = record.point(GOALS.values())
    assert point[list(GOALS).index("p90")] == float("inf")
    assert len(point) == len(GOALS)


def test_nothing_is_known_of_a_trial_before_its_first_step() -> None:
    record = a_record()
    assert record.last is None
    assert record.figures == {}
    assert set(record.point(GOALS.values())) == {float("inf")}
    assert record.trained_seconds == 0
