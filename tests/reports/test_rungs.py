"""The ways that were tried, in the terminal and on the page."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.reports.rungs import LadderRecord, RungRecord, rung_rows, rung_sentences, rung_table

MISSED = RungRecord(
    name="plain",
    recipe="int8",
    outcome="missed",
    figure="top1",
    points=1.234,
    low=0.5,
    high=2.0,
    point="percentage points of accuracy",
    samples=10_000,
    size_bytes=2_345,
    seconds=3.21,
)
REFUSED = RungRecord(name="corrected", outcome="refused", reason="no kernel; see the log")
KEPT = RungRecord(name="rounded", outcome="kept", points=-0.1, low=-0.2, high=0.3, samples=10_000, size_bytes=2_400)
PROMISE = LadderRecord(max_drop=0.5, rungs=(MISSED, REFUSED, KEPT)).to_dict()


def test_a_row_says_what_was_lost_and_what_became_of_it() -> None:
    assert rung_rows(PROMISE) == [
        ("plain", "1.23", "2.00", "2,345 B", "3.2 s", "missed"),
        ("corrected", "-", "-", "-", "", "refused: no kernel"),
        ("rounded", "-0.10", "0.30", "2,400 B", "", "kept"),
    ]


def test_the_way_that_was_kept_is_said_with_its_bound() -> None:
    plain, corrected, rounded = rung_sentences(PROMISE)
    lost = "1.23 percentage points of accuracy lost, up to 2.00 by its 95 % interval, on 10,000 test samples"
    assert plain == f"plain does not: {lost}"
    assert corrected == "corrected was refused: no kernel"
    assert rounded.startswith("at most 0.5 may be lost: rounded keeps that: nothing lost, up to 0.30")


def test_a_report_without_a_limit_has_no_table() -> None:
    assert rung_table({}) == ""
    assert ">rounded<" in rung_table(PROMISE)


texts = st.text(max_size=12)
numbers = st.none() | st.floats(-50, 50)
rungs = st.builds(
    RungRecord,
    name=texts,
    outcome=st.sampled_from(["kept", "missed", "refused", "not tried"]),
    reason=texts,
    output=texts,
    points=numbers,
    high=numbers,
    point=st.just("percentage points of accuracy"),
    samples=st.integers(0, 10**6),
    size_bytes=st.none() | st.integers(0, 10**9),
    seconds=st.floats(0, 1e5),
)


@given(st.lists(rungs, max_size=5), st.floats(0.01, 9))
@settings(max_examples=50)
def test_any_ladder_has_a_row_a_way_and_says_what_each_lost(found: list[RungRecord], limit: float) -> None:
    promise = json.loads(json.dumps(LadderRecord(max_drop=limit, rungs=tuple(found)).to_dict()))
    rows = rung_rows(promise)
    assert [row[0] for row in rows] == [rung.name for rung in found]
    for row, rung in zip(rows, found, strict=True):
        assert row[1] == ("-" if rung.points is None else f"{rung.points:.2f}")
        assert row[2] == ("-" if rung.high is None else f"{rung.high:.2f}")
        assert row[5].startswith(rung.outcome)
        assert (row[4] == "") == (rung.seconds == 0)
    assert (rung_table(promise) == "") == (not found)
    said = list(rung_sentences(promise))
    silent = sum(rung.outcome in ("refused", "not tried") and not rung.reason for rung in found)
    assert len(said) == len(found) - silent
    assert [text.startswith("at most ") for text in said if f"at most {limit:g} may be lost" in text] == [True] * sum(
        rung.outcome == "kept" for rung in found
    )


@given(rungs)
def test_what_was_lost_is_said_with_its_bound_and_a_gain_is_no_loss(rung: RungRecord) -> None:
    if rung.points is None or rung.high is None:
        assert rung.said == rung.reason
        return
    assert f"up to {rung.high:.2f} by its 95 % interval, on {rung.samples:,} test samples" in rung.said
    assert rung.said.startswith("nothing lost") == (rung.points <= 0)
    assert (f"by output {rung.output}" in rung.said) == (bool(rung.output) and rung.points > 0) or not rung.output
