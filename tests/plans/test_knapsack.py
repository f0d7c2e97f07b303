"""Plans against brute force: all that there is to choose, counted out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.errors import InfeasibleError, UsageError
from tfcompress.plans.knapsack import best_assignments, least_amounts
from tfcompress.plans.multiple_choice import ROUNDING, Alternative, Item, Knapsack, Switch

DTYPES = ("int8", "int4", "float")
numbers = st.floats(0, 100, allow_subnormal=False)
pairs = st.dictionaries(
    st.sampled_from(list(itertools.product(DTYPES, DTYPES))),
    st.builds(lambda cost, ms: Alternative("", cost, {"ms": ms}), numbers, numbers),
)


@st.composite
def knapsacks(draw: st.DrawFn) -> Knapsack:
    """Draw up to eight layers, each of three dtypes, in a row with one branch, under up to two limits."""
    count = draw(st.integers(1, 8))
    alternatives = st.builds(lambda cost, size, ms: (cost, {"bytes": size, "ms": ms}), numbers, numbers, numbers)
    items = tuple(
        Item(f"layer{n}", tuple(Alternative(name, *draw(alternatives)) for name in DTYPES)) for n in range(count)
    )
    switches = [Switch(f"layer{n}", f"layer{n + 1}", draw(pairs)) for n in range(count - 1)]
    if count > 2:
        switches.append(Switch("layer2", "layer0", draw(pairs)))
    if count > 1:
        switches.append(Switch("layer1", "layer0", draw(pairs)))  # the same two once more, the other way round
    limits = draw(st.dictionaries(st.sampled_from(["bytes", "ms"]), st.floats(0, 100.0 * count)))
    return Knapsack(items, tuple(switches), limits, fixed={"bytes": draw(numbers)})


def everything(problem: Knapsack, of: str | None) -> np.ndarray:
    """Return what every choice costs, or takes of a limit: one axis of three for each item."""
    numbers = {item.name: axis for axis, item in enumerate(problem.items)}
    whole = np.full((len(DTYPES),) * len(numbers), problem.fixed.get(of, 0.0) if of else 0.0)

    def along(values: np.ndarray, *names: str) -> np.ndarray:
        axes = [numbers[name] for name in names]
        values = values if axes == sorted(axes) else values.T
        return values.reshape([len(DTYPES) if axis in axes else 1 for axis in range(whole.ndim)])

    def taken(option: Alternative | None) -> float:
        return 0.0 if option is None else option.amounts.get(of, 0.0) if of else option.cost

    for item in problem.items:
        whole = whole + along(np.array([taken(item.option(name)) for name in DTYPES]), item.name)
    for switch in problem.switches:
        table = np.array([[taken(switch.pairs.get((one, other))) for other in DTYPES] for one in DTYPES])
        whole = whole + along(table, switch.first, switch.second)
    return whole


def by_brute_force(problem: Knapsack) -> list[float]:
    """Return what all choices cost that keep the limits, the least first."""
    kept = np.ones((len(DTYPES),) * len(problem.items), bool)
    for name, limit in problem.limits.items():
        kept &= everything(problem, name) <= limit + ROUNDING * max(limit, 1.0)
    return sorted(everything(problem, None)[kept].tolist())


@given(knapsacks())
@settings(max_examples=20, deadline=None)
def test_the_three_best_plans_are_those_that_brute_force_finds(problem: Knapsack) -> None:
    expected = by_brute_force(problem)
    if not expected:
        with pytest.raises(InfeasibleError, match="no plan keeps the limit"):
            best_assignments(problem, 3)
        return
    found = best_assignments(problem, 3)
    assert [plan.cost for plan in found] == pytest.approx(expected[:3], rel=1e-6, abs=1e-6)
    assert all(problem.holds(plan) for plan in found)
    assert len({tuple(plan.choices.items()) for plan in found}) == len(found)


@given(knapsacks(), st.floats(0, 300))
@settings(max_examples=15, deadline=None)
def test_a_larger_limit_costs_no_more(problem: Knapsack, more: float) -> None:
    least = least_amounts(Knapsack(problem.items, problem.switches, {"bytes": 0.0}, problem.fixed))["bytes"]
    narrow, wide = (
        best_assignments(Knapsack(problem.items, problem.switches, {"bytes": least + extra}, problem.fixed))[0]
        for extra in (0.0, more)
    )
    assert narrow.amounts["bytes"] == pytest.approx(least)
    assert wide.cost <= narrow.cost + 1e-6


def two_layers(**limits: float) -> Knapsack:
    options = (
        Alternative("int8", 5.0, {"bytes": 100, "ms": 2.0}),
        Alternative("float", 0.0, {"bytes": 400, "ms": 1.0}),
    )
    return Knapsack((Item("a", options), Item("b", options)), (), limits)


def test_fewer_plans_are_returned_where_there_are_fewer() -> None:
    assert [plan.cost for plan in best_assignments(two_layers(bytes=500), 9)] == [5.0, 5.0, 10.0]


def test_neighbours_choose_alike_where_a_switch_costs_more_than_it_brings() -> None:
    plain = two_layers(bytes=500)
    costly = {("int8", "float"): Alternative("", 6.0), ("float", "int8"): Alternative("", 6.0)}
    switched = Knapsack(plain.items, (Switch("a", "b", costly),), plain.limits)
    assert best_assignments(switched)[0].choices == {"a": "int8", "b": "int8"}


def test_a_limit_that_nothing_keeps_is_named_with_the_least_that_can_be_had() -> None:
    with pytest.raises(InfeasibleError, match=r"limit bytes 150 \(the least is 200\); allow more") as refusal:
        best_assignments(two_layers(bytes=150, ms=10))
    assert refusal.value.least == {"bytes": 200.0, "ms": 2.0}


def test_limits_that_only_one_at_a_time_can_be_kept_are_said_to_be_so() -> None:
    with pytest.raises(InfeasibleError, match="each can be kept for itself, not all at once"):
        best_assignments(two_layers(bytes=200, ms=2))


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (lambda: Item("a", ()), "item 'a' must be options, each name once"),
        (lambda: Alternative("x", float("nan")), "must be finite numbers, got nan"),
        (lambda: Knapsack(()), "items must be at least one"),
        (lambda: Knapsack(two_layers().items, (Switch("a", "c", {}),)), "switch must be between items, got 'c'"),
        (lambda: two_layers().assignment({"a": "int8"}), "choices must be one for each item"),
        (lambda: two_layers().assignment({"a": "int8", "b": "int9"}), r"float \(did you mean 'int8'\?\)"),
        (lambda: best_assignments(two_layers(), 0), "count must be at least 1, got 0"),
    ],
)
def test_what_makes_no_sense_is_refused(problem: object, told: str) -> None:
    assert callable(problem)
    with pytest.raises(UsageError, match=told):
        problem()
