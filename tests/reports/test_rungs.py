"""The ways that were tried, in the terminal and on the page."""

from __future__ import annotations

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
