"""The last few: who is judged, who wins, and what is said of one that fails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.search.toy_search import toy_space
from tfcompress.errors import ContractError
from tfcompress.search.finals import Finalist, finalists, judge_all, winner_of
from tfcompress.search.goals import GOALS, Limits
from tfcompress.search.trial import StepResult
from tfcompress.search.trial_records import TrialRecord
from tfcompress.tasks.drop import Drop


def record(number: int, drop: float = 0.5, size: int = 10_000) -> TrialRecord:
    found = TrialRecord(number, toy_space().candidate({}), {}, "TPE", state="finished")
    found.steps["full"] = StepResult(points=drop, size_bytes=size)
    return found


def finalist(number: int, size: float, drop: float, *, proven: bool = True) -> Finalist:
    lost = Drop("top1", drop, drop, drop, "points") if proven else None
    return Finalist(record(number), "", None, lost, {"size": size, "drop": drop})  # type: ignore[arg-type]  # unread


class Finals:
    """Stands in for the exports: candidates with an odd number fail."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def judged(self, record: TrialRecord) -> Finalist:
        if record.number % 2:
            msg = "its file is none"
            raise ContractError(msg)
        return finalist(record.number, 1.0, 0.0)

    def tell(self, text: str) -> None:
        self.told.append(text)


def judge(numbers: list[int]) -> tuple[list[int], list[str]]:
    finals: Any = Finals()
    return [each.record.number for each in judge_all(finals, [record(n) for n in numbers])], finals.told


def test_one_that_fails_is_left_out_and_told_and_none_left_is_an_error() -> None:
    assert judge([1, 2]) == ([2], ["float32 is not judged: its file is none"])
    with pytest.raises(ContractError, match="its file is none"):
        judge([1, 3])


def test_the_best_and_one_that_loses_least_are_judged() -> None:
    limits = Limits(drop=1.0)
    front = [record(n, drop=1.2 - 0.2 * n, size=1000 * (n + 1)) for n in range(6)]  # 0 is smallest and beyond the limit
    found = finalists(front, limits, GOALS["size"], 3)
    assert [each.number for each in found] == [1, 2, 5]
    assert finalists(front[:2], limits, GOALS["size"], 3) == [front[1], front[0]]


def test_what_has_no_interval_may_win_where_the_drop_is_not_limited_and_is_no_proof_where_it_is() -> None:
    judged = [finalist(0, 900.0, 0.3, proven=False), finalist(1, 800.0, 0.6, proven=False)]
    best = winner_of(judged, Limits(size=1000.0), GOALS["drop"])
    assert best is judged[0]
    assert winner_of(judged, Limits(drop=5.0), GOALS["size"]) is None
    assert judged[0].misses(Limits(drop=5.0)) == ("drop",)


def test_what_a_judge_cannot_tell_ranks_last() -> None:
    unknown = Finalist(record(0), "", None, None, {"size": 5.0})  # type: ignore[arg-type]  # unread
    judged = [unknown, finalist(1, 9.0, 2.0)]
    assert winner_of(judged, Limits(size=10.0), GOALS["drop"]) is judged[1]


def test_errors_of_ours_only_are_passed_over() -> None:
    def broken(record: TrialRecord) -> Finalist:
        raise KeyError(record.number)

    finals: Any = SimpleNamespace(judged=broken, tell=lambda text: None)
    with pytest.raises(KeyError):
        judge_all(finals, [record(0)])


def test_what_is_known_to_break_a_limit_is_judged_only_where_all_do() -> None:
    front = [record(n, drop=0.1 * n, size=10_000 - 1_000 * n) for n in range(4)]  # 10,000 9,000 8,000 7,000 bytes
    for limit, numbers in ((8_000.0, [3, 2]), (100.0, [3, 2, 1, 0])):
        found = finalists(front, Limits(size=limit), GOALS["drop"], 6)
        assert sorted(each.number for each in found) == sorted(numbers)
    assert [each.number for each in finalists(front, Limits(drop=0.05, size=9e3), GOALS["size"], 6)] == [1, 2, 3]
