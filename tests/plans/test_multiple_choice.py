"""What choices come to, and that the best of them do not depend on how they are written down."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.errors import InfeasibleError, UsageError
from tfcompress.plans.knapsack import best_assignments, least_amounts
from tfcompress.plans.multiple_choice import ROUNDING, Alternative, Assignment, Item, Knapsack, Switch, total

wide = st.builds(lambda digits, power: digits * 10.0**power, st.integers(1, 99), st.integers(-3, 7))
signed = st.floats(-50, 50, allow_subnormal=False)


@st.composite
def problems(draw: st.DrawFn, numbers: st.SearchStrategy[float], most: int = 4) -> Knapsack:
    """Draw items of unlike numbers of options, switches between neighbours, and one limit."""
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=most))
    items = tuple(
        Item(f"i{n}", tuple(Alternative(f"o{m}", draw(numbers), {"bytes": draw(numbers)}) for m in range(count)))
        for n, count in enumerate(counts)
    )
    switches = []
    for one, other in itertools.pairwise(items):
        pairs = draw(st.lists(st.tuples(st.sampled_from(one.options), st.sampled_from(other.options)), max_size=3))
        found = {(a.name, b.name): Alternative("", draw(numbers), {"bytes": draw(numbers)}) for a, b in pairs}
        switches.append(Switch(one.name, other.name, found))
    everything = Knapsack(items, tuple(switches))
    sizes = sorted(each.amounts["bytes"] for each in all_plans(everything))
    limit = sizes[draw(st.integers(0, len(sizes) - 1))]
    return Knapsack(items, tuple(switches), {"bytes": limit})


def all_plans(problem: Knapsack) -> list[Assignment]:
    names = [item.name for item in problem.items]
    choices = itertools.product(*([option.name for option in item.options] for item in problem.items))
    return [problem.assignment(dict(zip(names, choice, strict=True))) for choice in choices]


def least_cost(problem: Knapsack) -> float:
    return min(plan.cost for plan in all_plans(problem) if problem.holds(plan))


@settings(max_examples=12)
@given(problems(wide))
def test_numbers_of_unlike_size_are_all_weighed(problem: Knapsack) -> None:
    """Bytes from a thousandth to a thousand million: the solver's tolerance must not decide what is kept."""
    best = best_assignments(problem)[0]
    assert problem.holds(best)
    scale = math.fsum(abs(option.cost) for item in problem.items for option in item.options)
    assert best.cost <= least_cost(problem) + 1e-6 * max(scale, best.cost)


@settings(max_examples=12)
@given(problems(signed))
def test_costs_and_amounts_below_zero_are_gains(problem: Knapsack) -> None:
    best = best_assignments(problem)[0]
    assert problem.holds(best)
    assert best.cost == pytest.approx(least_cost(problem), abs=1e-4)
    sizes = [plan.amounts["bytes"] for plan in all_plans(problem)]
    assert least_amounts(problem)["bytes"] == pytest.approx(min(sizes), abs=1e-4)


@settings(max_examples=10)
@given(problems(signed, most=3), st.data())
def test_the_order_in_which_things_are_told_decides_nothing(problem: Knapsack, data: st.DataObject) -> None:
    items = [Item(each.name, tuple(data.draw(st.permutations(each.options)))) for each in problem.items]
    turned = [
        Switch(each.second, each.first, {(b, a): option for (a, b), option in each.pairs.items()})
        for each in data.draw(st.permutations(problem.switches))
    ]
    other = Knapsack(tuple(data.draw(st.permutations(items))), tuple(turned), problem.limits)
    one, two = (best_assignments(each)[0] for each in (problem, other))
    assert two.cost == pytest.approx(one.cost, abs=1e-4)
    again = other.assignment(one.choices)
    assert (again.cost, again.amounts) == (pytest.approx(one.cost), pytest.approx(one.amounts))


@settings(max_examples=8)
@given(problems(signed, most=3))
def test_asked_for_all_plans_each_that_keeps_the_limit_is_there_once_by_rising_cost(problem: Knapsack) -> None:
    kept = [plan for plan in all_plans(problem) if problem.holds(plan)]
    found = best_assignments(problem, 100)
    assert [plan.cost for plan in found] == sorted(plan.cost for plan in found)
    assert {tuple(sorted(p.choices.items())) for p in found} == {tuple(sorted(p.choices.items())) for p in kept}
    assert len(found) == len(kept)


def two_items(**limits: float) -> Knapsack:
    options = (Alternative("small", 3.0, {"bytes": 10}), Alternative("large", 1.0, {"bytes": 100, "ms": 0.5}))
    pairs = {("small", "large"): Alternative("", 0.25, {"ms": 2.0})}
    return Knapsack((Item("a", options), Item("b", options)), (Switch("a", "b", pairs),), limits, {"bytes": 7})


def test_items_switches_and_what_is_fixed_are_added_up() -> None:
    both = two_items().assignment({"a": "small", "b": "large"})
    assert both.cost == 3.0 + 1.0 + 0.25
    assert both.amounts == {"bytes": 7 + 10 + 100, "ms": 0.5 + 2.0}
    turned = two_items().assignment({"a": "large", "b": "small"})  # a switch has a direction
    assert (turned.cost, turned.amounts) == (4.0, {"bytes": 117, "ms": 0.5})
    assert two_items(seconds=1).amounts == ("seconds", "bytes", "ms")
    assert two_items(seconds=1).assignment({"a": "small", "b": "small"}).amounts["seconds"] == 0.0


def test_several_switches_of_one_pair_count_together_in_either_direction() -> None:
    plain = two_items()
    back = Switch("b", "a", {("large", "small"): Alternative("", 8.0)})
    both = Knapsack(plain.items, (*plain.switches, back), plain.limits)
    assert both.assignment({"a": "small", "b": "large"}).cost == 4.25 + 8.0
    assert best_assignments(both)[0].choices == {"a": "large", "b": "large"}


@given(st.floats(1.0, 1e9), st.floats(0.0, 3.0))
def test_a_limit_is_kept_but_for_the_rounding_of_sums(limit: float, times: float) -> None:
    problem = Knapsack((Item("a", (Alternative("x", 0.0),)),), (), {"bytes": limit})
    found = Assignment({"a": "x"}, 0.0, {"bytes": limit * (1 + times * ROUNDING)})
    assert problem.holds(found) is (limit * (1 + times * ROUNDING) <= limit + ROUNDING * limit)


@given(st.lists(st.sampled_from([1e16, 1.0, -1e16, 0.1]), max_size=12))
def test_sums_do_not_depend_on_their_order(numbers: list[float]) -> None:
    options = [Alternative("", 0.0, {"x": number}) for number in numbers]
    assert total(0.5, options, "x") == total(0.5, options[::-1], "x") == math.fsum([0.5, *numbers])
    assert total(0.5, options, "y") == 0.5


def test_limits_out_of_reach_are_told_apart_from_those_that_are_not() -> None:
    with pytest.raises(InfeasibleError, match=r"no plan keeps the limit bytes 26 \(the least is 27\); allow more$"):
        best_assignments(two_items(bytes=26, ms=5))
    with pytest.raises(InfeasibleError, match=r"the limits bytes 26 .*, ms -1 \(the least is 0\); allow more$"):
        best_assignments(two_items(bytes=26, ms=-1))


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: Alternative("x", 0.0, {"bytes": math.inf}), "option 'x' must be finite numbers, got inf"),
        (lambda: Item("a", (Alternative("x", 0), Alternative("x", 1))), "each name once, got \\['x', 'x'\\]"),
        (lambda: Knapsack((*two_items().items, two_items().items[0])), "items must be at least one, each name once"),
        (lambda: Knapsack(two_items().items, (Switch("a", "a", {}),)), "switch must be between two items, got 'a'"),
        (lambda: two_items(bytes=math.nan), "limit 'bytes' must be a finite number, got nan"),
        (lambda: two_items().items[0].option("smal"), r"one of small, large \(did you mean 'small'\?\), got 'smal'"),
        (
            lambda: Knapsack(two_items().items, (Switch("a", "b", {("small", "tiny"): Alternative("", 1)}),)),
            "option of 'b' must be one of small, large, got 'tiny'",
        ),
    ],
)
def test_what_means_nothing_or_two_things_is_refused(made: object, told: str) -> None:
    assert callable(made)
    with pytest.raises(UsageError, match=told):
        made()
