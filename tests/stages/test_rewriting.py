"""Looking for the choice that keeps a latency, beside a latency that is known everywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.stages.rewriting import LATENCY_ROUNDS, NEAR, bisected


@given(goal=st.floats(0.05, 0.95), power=st.floats(0.3, 3.0), falling=st.booleans())
def test_the_choice_keeps_the_latency_and_wastes_little_of_it(goal: float, power: float, falling: bool) -> None:
    measured: list[float] = []

    def latency(share: float) -> float:
        return float((1 - share if falling else share) ** power)

    def at(share: float) -> tuple[float, float]:
        measured.append(share)
        return share, latency(share)

    kept, missed = (1.0, 0.0) if falling else (0.0, 1.0)
    found = bisected(at, kept, goal=goal, kept_at=kept, missed_at=missed)
    assert latency(found) <= goal
    assert len(measured) <= LATENCY_ROUNDS
    border = 1 - goal ** (1 / power) if falling else goal ** (1 / power)
    near = any(abs(latency(share) - goal) <= NEAR / 2 for share in measured)
    assert near or abs(found - border) <= 0.5**LATENCY_ROUNDS + 1e-9


def test_what_was_chosen_first_stays_where_nothing_else_keeps_the_latency() -> None:
    assert bisected(lambda share: (f"{share}", 1.0), "first", goal=0.5, kept_at=0.0, missed_at=1.0) == "first"


@pytest.mark.parametrize("off", [0.0, NEAR / 2.1])
def test_near_is_near_enough(off: float) -> None:
    shares: list[float] = []
    bisected(lambda share: (shares.append(share), 0.5 - off), None, goal=0.5, kept_at=0.0, missed_at=1.0)  # type: ignore[func-returns-value]
    assert len(shares) == 1
