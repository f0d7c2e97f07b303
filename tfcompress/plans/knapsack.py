"""The assignments of least cost, the plans, by integer programming.

Choosing one option an item under limits is the multiple-choice knapsack problem (Kellerer, Pferschy, Pisinger 2004,
"Knapsack Problems", chapter 11). What neighbours cost each other makes it quadratic; it is linear again by a variable
for each pair of their options, whose sums over either side are the variables of the other (the local polytope of
Schlesinger 1976): these need not be whole numbers by themselves, as they are where the options are. HiGHS solves it, by
``scipy.optimize.milp``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfcompress.errors import InfeasibleError, UnsupportedError
from tfcompress.plans.multiple_choice import Alternative, Assignment, Knapsack
from tfcompress.schema import check_value

TIME_LIMIT_S = 60.0
"""Seconds that one plan may take."""
_SCALE = 1e4  # what costs add up to: HiGHS ends within 1e-6 of the best
_INFEASIBLE = 2


def best_assignments(problem: Knapsack, count: int = 1) -> tuple[Assignment, ...]:
    """Return the plans of least cost that keep all limits, the cheapest first.

    Args:
        problem: what is to be chosen.
        count: how many plans; fewer are returned where no more keep the limits.

    Raises:
        UsageError: a count below 1.
        InfeasibleError: no plan keeps the limits; with the least that can be had of each.
        UnsupportedError: the search for a plan takes longer than :data:`TIME_LIMIT_S`.
    """
    check_value("count", "at least 1", count, ok=count >= 1)
    programme = _Programme(problem)
    found: list[Assignment] = []
    while len(found) < count:
        plan = programme.next_plan()
        if plan is None:
            break
        if problem.holds(plan):  # it may exceed a limit by the solver's tolerance
            found.append(plan)
    if not found:
        raise _infeasible(problem)
    return tuple(sorted(found, key=lambda plan: plan.cost))


def least_amounts(problem: Knapsack) -> dict[str, float]:
    """Return the least that each limited amount can come to, each for itself, whatever it costs."""
    found = {}
    for name in problem.limits:
        plan = _Programme(problem, amount=name).next_plan()
        found[name] = float("nan") if plan is None else plan.amounts[name]
    return found


def _infeasible(problem: Knapsack) -> InfeasibleError:
    least = least_amounts(problem)
    beyond = [name for name, limit in problem.limits.items() if least[name] > limit]
    told = ", ".join(
        f"{name} {problem.limits[name]:,.10g} (the least is {least[name]:,.10g})" for name in beyond or least
    )
    why = "" if beyond else "; each can be kept for itself, not all at once"
    msg = f"no plan keeps the limit{'s' if len(beyond or least) > 1 else ''} {told}{why}; allow more"
    return InfeasibleError(msg, least)


class _Programme:
    """One integer programme, which gets a constraint more with each plan that was found.

    Attributes:
        options: name of item and option -> number of its variable.
    """

    def __init__(self, problem: Knapsack, amount: str = "") -> None:
        """Write the programme down.

        Args:
            problem: what is to be chosen.
            amount: what is to be small instead of the cost, without limits; empty: the cost, within them.
        """
        self._problem, self._amount = problem, amount
        pairs = [(item.name, option.name) for item in problem.items for option in item.options]
        self.options = {pair: number for number, pair in enumerate(pairs)}
        self._columns: list[Alternative] = [option for item in problem.items for option in item.options]
        self._rows: list[tuple[dict[int, float], float, float]] = []
        for item in problem.items:
            self._rows.append(({self.options[item.name, option.name]: 1.0 for option in item.options}, 1.0, 1.0))
        for first, second, switched in self._switched().values():
            self._add_switch(first, second, switched)
        if not amount:
            self._rows += [self._limit(name, limit) for name, limit in problem.limits.items()]

    def next_plan(self) -> Assignment | None:
        """Return the best plan that was not returned before; None: there is no other."""
        chosen = self._solved()
        if chosen is None:
            return None
        self._rows.append((dict.fromkeys(chosen, 1.0), -float("inf"), len(chosen) - 1.0))
        names = {number: pair for pair, number in self.options.items()}
        return self._problem.assignment(dict(names[number] for number in chosen))

    def _switched(self) -> dict[tuple[str, str], tuple[str, str, dict[tuple[str, str], list[Alternative]]]]:
        """Return for each pair of items what it costs, all switches between the two together."""
        found: dict[tuple[str, str], tuple[str, str, dict[tuple[str, str], list[Alternative]]]] = {}
        for switch in self._problem.switches:
            turned = (switch.second, switch.first) in found
            key = (switch.second, switch.first) if turned else (switch.first, switch.second)
            known = found.setdefault(key, (*key, {}))[2]
            for (first, second), option in switch.pairs.items():
                known.setdefault((second, first) if turned else (first, second), []).append(option)
        return found

    def _add_switch(self, first: str, second: str, switched: Mapping[tuple[str, str], list[Alternative]]) -> None:
        """Add a variable for each pair of options of two items, and what ties them to the options."""
        items = {item.name: item for item in self._problem.items}
        numbers: dict[tuple[str, str], int] = {}
        for one in items[first].options:
            for other in items[second].options:
                numbers[one.name, other.name] = len(self._columns)
                self._columns.append(_together(switched.get((one.name, other.name), [])))
        for place, name in ((0, first), (1, second)):
            for option in items[name].options:
                row = {number: 1.0 for pair, number in numbers.items() if pair[place] == option.name}
                self._rows.append(({**row, self.options[name, option.name]: -1.0}, 0.0, 0.0))

    def _limit(self, name: str, limit: float) -> tuple[dict[int, float], float, float]:
        """Return the row that keeps a limit, in parts of the largest number in it."""
        takes = {n: column.amounts[name] for n, column in enumerate(self._columns) if column.amounts.get(name)}
        left = limit - self._problem.fixed.get(name, 0.0)
        scale = max((abs(taken) for taken in takes.values()), default=0.0) or 1.0
        return {n: taken / scale for n, taken in takes.items()}, -float("inf"), left / scale

    def _costs(self) -> Iterator[float]:
        for column in self._columns:
            yield column.amounts.get(self._amount, 0.0) if self._amount else column.cost

    def _solved(self) -> list[int] | None:
        """Return the numbers of the chosen options; None: nothing keeps the constraints."""
        import numpy as np
        from scipy import optimize, sparse

        costs = np.array(list(self._costs()))
        whole = np.arange(len(costs)) < len(self.options)
        entries = [(n, column, value) for n, (row, *_) in enumerate(self._rows) for column, value in row.items()]
        rows, columns, values = (np.array(part) for part in zip(*entries, strict=True))
        matrix = sparse.csr_array((values, (rows, columns)), shape=(len(self._rows), len(costs)))
        ends = [np.array([row[side] for row in self._rows]) for side in (1, 2)]
        answer: Any = optimize.milp(
            costs * (_SCALE / (np.abs(costs).sum() or 1.0)),
            integrality=whole.astype(int),
            bounds=optimize.Bounds(0.0, 1.0),
            constraints=optimize.LinearConstraint(matrix, *ends),
            options={"time_limit": TIME_LIMIT_S, "mip_rel_gap": 0.0},
        )
        if answer.status == _INFEASIBLE:
            return None
        if answer.status != 0:
            msg = (
                f"no plan for {len(self._problem.items)} items was found: {answer.message}; allow more, or choose less"
            )
            raise UnsupportedError(msg)
        return [int(number) for number in np.flatnonzero((answer.x > 0.5) & whole)]


def _together(options: list[Alternative]) -> Alternative:
    """Return what several options come to that are all taken."""
    names = dict.fromkeys(name for option in options for name in option.amounts)
    amounts = {name: sum(option.amounts.get(name, 0.0) for option in options) for name in names}
    return Alternative("", sum(option.cost for option in options), amounts)
