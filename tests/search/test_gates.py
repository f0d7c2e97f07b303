"""Gates: what they stop, and that a gate which ranks badly stops nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from tests.search.toy_search import LIMITS, toy_space
from tfcompress.search.gates import GATES, LEAST_PAIRS, SPARED, Gate, is_final, spares
from tfcompress.search.goals import GOALS, Limits, goals_of, preference
from tfcompress.search.space import Candidate
from tfcompress.search.trial import StepResult
from tfcompress.search.trial_records import TrialRecord

PART = next(gate for gate in GATES if gate.step == "draft" and gate.goal == "drop")
SIZE = next(gate for gate in GATES if gate.goal == "size")
GOAL_LIST = goals_of(LIMITS, smaller="size")


def record(
    number: int, early: float, late: float | None, *, size: int = 10_000, selection: Sequence[str] = ("qat",)
) -> TrialRecord:
    chosen = dict.fromkeys(selection, True)
    found = TrialRecord(number, toy_space().candidate(chosen), chosen, "TPE")
    found.steps["draft"] = StepResult(points=early, size_bytes=size)
    if late is not None:
        found.steps["full"] = StepResult(points=late, size_bytes=size)
        found.state = "finished"
    return found


def finished(pairs: Sequence[tuple[float, float]]) -> list[TrialRecord]:
    return [record(number, early, late, size=50_000) for number, (early, late) in enumerate(pairs)]


GOOD = finished([(1.0 + n, 0.2 + 0.8 * n) for n in range(LEAST_PAIRS)])
MIDDLING = finished([(1.0, 0.2), (2.0, 3.5), (3.0, 1.0), (4.0, 1.8), (5.0, 3.4)])  # ranks 1 5 2 3 4: 0.4
BAD = finished([(1.0, 3.4), (2.0, 2.6), (3.0, 1.8), (4.0, 1.0), (5.0, 0.2)])


@pytest.mark.parametrize(
    ("others", "trust"), [([], "watching"), (GOOD[:4], "watching"), (GOOD, "on"), (MIDDLING, "wide"), (BAD, "off")]
)
def test_trust_follows_the_rank_correlation(others: list[TrialRecord], trust: str) -> None:
    assert PART.trust(others) == trust


def test_what_cannot_keep_the_limit_even_with_the_usual_gain_is_stopped() -> None:
    assert PART.allowance(GOOD) == pytest.approx(1.6)  # the last one's: 5.0 - 3.4
    assert PART.verdict(record(9, 2.7, None), GOOD, LIMITS, GOAL_LIST).endswith("above the limit")
    assert PART.verdict(record(9, 2.5, None), GOOD, LIMITS, GOAL_LIST) == ""


def test_a_gate_that_ranks_badly_stops_nothing() -> None:
    assert PART.verdict(record(9, 99.0, None), BAD, LIMITS, GOAL_LIST) == ""


def test_what_a_finished_one_beats_in_everything_is_stopped() -> None:
    no_limit = Limits()
    larger, smaller = record(9, 4.0, None, size=60_000), record(9, 4.0, None, size=40_000)
    assert "better in everything" in PART.verdict(larger, GOOD, no_limit, GOAL_LIST)
    assert PART.verdict(smaller, GOOD, no_limit, GOAL_LIST) == ""


def test_what_training_may_make_smaller_is_not_beaten_by_bytes_before_it() -> None:
    pruned = record(9, 4.0, None, size=60_000, selection=("prune",))
    assert PART.verdict(pruned, GOOD, Limits(), GOAL_LIST) == ""


def test_bytes_are_held_against_the_limit_where_no_training_changes_them() -> None:
    settled, open_ = record(0, 0.0, None, size=70_000), record(1, 0.0, None, size=70_000, selection=("prune",))
    assert "70,000 B, allowed are 60,000 B" in SIZE.verdict(settled, [], LIMITS, GOAL_LIST)
    assert SIZE.verdict(open_, [], LIMITS, GOAL_LIST) == ""


@pytest.mark.parametrize("name", ["flash", "arena", "energy", "p90"])
def test_what_a_chip_or_a_device_says_of_the_untrained_file_is_held_against_the_limit(name: str) -> None:
    (gate,) = (each for each in GATES if each.goal == name)
    assert (gate.step, gate.exact) == ("draft", True)
    limits = Limits(drop=1.0, **{name: 9_000.0})
    goals = goals_of(limits, smaller="size")
    within, over = (record(0, 0.0, None) for _ in range(2))
    for each, value in ((within, 9_000), (over, 9_001)):
        each.steps["draft"] = StepResult(points=0.0, size_bytes=1, flash_bytes=value, arena_bytes=value)
        each.p90_ms, each.joules = float(value), float(value)
    assert gate.verdict(within, [], limits, goals) == ""
    assert gate.verdict(over, [], limits, goals).startswith(f"{GOALS[name].title} {GOALS[name].text(9_001)}, allowed")


def test_tables_and_what_vela_codes_depend_on_the_training() -> None:
    def settled(goal: str, **export: Any) -> bool:
        found = record(0, 0.0, None)
        recipe = found.candidate.recipe
        found.candidate = Candidate(dataclasses.replace(recipe, export=dataclasses.replace(recipe.export, **export)))
        return is_final(found, goal)

    assert settled("arena", target="tflm")
    assert settled("flash", target="tflm")
    assert not settled("arena", lookup=True)
    assert not settled("flash", lookup=True)
    assert settled("arena", target="ethos-u55-128")
    assert not settled("flash", target="ethos-u55-128")


def test_now_and_then_one_is_let_through_to_judge_the_gate_by() -> None:
    def stopped(gate: Gate) -> TrialRecord:
        found = record(0, 9.0, None)
        found.state, found.reason = "stopped", f"{gate.name}: too much"
        return found

    records = [stopped(PART) for _ in range(SPARED - 1)]
    assert [spares(PART, records[:n]) for n in range(SPARED)] == [False] * (SPARED - 1) + [True]
    records[0].spared = (PART.name,)
    assert not spares(PART, records)
    assert not spares(SIZE, [stopped(SIZE)] * 20)


@pytest.mark.parametrize(
    ("limits", "measured", "decides"),
    [
        (Limits(drop=1.0), False, "size"),
        (Limits(size=1e5), False, "drop"),
        (Limits(drop=1.0, size=1e5), False, "size"),
        (Limits(drop=1.0, size=1e5), True, "p90"),
        (Limits(drop=1.0, p90=5.0), True, "size"),
        (Limits(p90=5.0), True, "drop"),
        (Limits(arena=65536.0), False, "drop"),
        (Limits(drop=1.0, arena=65536.0), False, "size"),
    ],
)
def test_the_first_goal_without_a_limit_decides(limits: Limits, decides: str, *, measured: bool) -> None:
    known = ("p90",) if measured else ()
    assert preference(limits, goals_of(limits, smaller="size", known=known)).name == decides


def test_a_figure_that_is_not_known_keeps_no_limit() -> None:
    limits = Limits(drop=1.0, size=1e5)
    assert limits.kept_by({"drop": 0.5, "size": 9e4})
    assert not limits.kept_by({"drop": 0.5})
    assert not limits.kept_by({"drop": 1.5, "size": 9e4})
    assert limits.excess({"size": 1.5e5}) == pytest.approx({"size": 0.5})


def test_figures_are_written_as_people_read_them() -> None:
    assert [GOALS["drop"].text(0.5), GOALS["size"].text(1234.0), GOALS["size"].text(None)] == [
        "0.50 points",
        "1,234 B",
        "-",
    ]
