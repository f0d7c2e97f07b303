"""What a search says in words: which limit binds, what that costs, and what comes nearest."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.search.toy_search import toy_space
from tfcompress.search.conclusions import Circumstances, concluded, shortfall
from tfcompress.search.finals import Finalist
from tfcompress.search.goals import Limits, goals_of, preference
from tfcompress.search.trial import StepResult
from tfcompress.search.trial_records import TrialRecord
from tfcompress.tasks.drop import Drop

AROUND = Circumstances(key="", model="m", data="d", judged="v", command="again", conditions="", seconds=1.0)


def record(number: int, drop: float, size: int) -> TrialRecord:
    found = TrialRecord(number, toy_space().candidate({}), {}, "TPE", state="finished")
    found.steps["full"] = StepResult(points=drop, size_bytes=size)
    return found


def finalist(found: TrialRecord, bound: float) -> Finalist:
    figures = {"drop": bound, "size": found.figures["size"]}
    score = SimpleNamespace(report=SimpleNamespace(result=SimpleNamespace(score=None)))
    lost = Drop("top1", found.figures["drop"], 0.0, bound, "points")
    return Finalist(found, "front/x", score, lost, figures)  # type: ignore[arg-type]  # of the result, no score is read


def words(limits: Limits, records: list[TrialRecord], bounds: dict[int, float], winner: int | None) -> tuple[str, ...]:
    goals = goals_of(limits, smaller="size")
    plan = SimpleNamespace(limits=limits, goals=goals)
    search: Any = SimpleNamespace(plan=plan, records=records, finished=records, front=records, interrupted=False)
    judged = [finalist(each, bounds[each.number]) for each in records if each.number in bounds]
    best = next((each for each in judged if each.record.number == winner), None)
    return concluded(search, judged, best, preference(limits, goals), AROUND).words


RECORDS = [record(0, 0.2, 50_000), record(1, 0.9, 30_000), record(2, 3.0, 20_000), record(3, 6.0, 10_000)]


def test_the_limit_that_binds_is_named_with_the_least_that_would_gain_something() -> None:
    found = words(Limits(drop=1.0), RECORDS, {0: 0.4, 1: 1.3}, 0)
    assert found[0].startswith(
        "--max-drop 1 binds: 1.30 points instead would give file 30,000 B in place of 50,000 B (float32)"
    )
    assert found[1].startswith("2 files were looked at on the test split")


def test_where_no_limit_costs_anything_that_is_said() -> None:
    found = words(Limits(drop=10.0), RECORDS, {3: 6.5}, 3)
    assert found == ("no limit binds: nothing that was tried and breaks just one of them has a better file",)


def test_what_comes_nearest_is_named_with_what_it_misses() -> None:
    limits = Limits(drop=1.0, size=40_000)
    judged = [finalist(RECORDS[0], 0.4), finalist(RECORDS[1], 1.3)]
    assert shortfall(judged, limits) == (
        "nothing that was tried keeps every limit; what stops them: --max-drop, --max-size; near: float32, file "
        "50,000 B, allowed are 40,000 B; near: float32, drop 0.90 points measured, up to 1.30 by its interval, allowed "
        "are 1"
    )


def test_what_was_cut_off_by_the_end_of_the_time_is_counted() -> None:
    left = [record(number, 0.5, 10_000) for number in (7, 8)]
    for each in left:
        each.state = "running"
    for number, start in ((1, "1 candidate was being made"), (2, "2 candidates were being made")):
        found = words(Limits(drop=10.0), [*RECORDS, *left[:number]], {3: 6.5}, 3)
        assert found[-1].startswith(f"{start} when the time for that was up, and left there; a larger --budget")
