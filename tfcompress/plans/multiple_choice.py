"""What is chosen among: items with their options, what neighbours cost each other, and limits; as frozen values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tfcompress.errors import nearest
from tfcompress.schema import check_value

ROUNDING = 1e-9
"""Part of a limit that a sum may exceed it by: sums of floating-point numbers depend on their order."""


@dataclass(frozen=True)
class Alternative:
    """One way to do an item.

    Attributes:
        name: what it is called, once in its item.
        cost: what is to be small in all, in any unit; costs of items add up.
        amounts: what it takes of each limit, in the limit's unit; a limit that is not named here takes nothing.
    """

    name: str
    cost: float
    amounts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject numbers that no sum bears."""
        for number in (self.cost, *self.amounts.values()):
            check_value(f"option {self.name!r}", "finite numbers", number, ok=math.isfinite(number))


@dataclass(frozen=True)
class Item:
    """Something of which exactly one option is chosen.

    Attributes:
        name: what it is called, once in a problem.
        options: at least one.
    """

    name: str
    options: tuple[Alternative, ...]

    def __post_init__(self) -> None:
        """Reject items without an option, and options of one name."""
        names = [option.name for option in self.options]
        check_value(f"item {self.name!r}", "options, each name once", names, ok=0 < len(names) == len(set(names)))

    def option(self, name: str) -> Alternative:
        """Return the option of a name.

        Raises:
            UsageError: there is none.
        """
        by_name = {option.name: option for option in self.options}
        allowed = f"one of {', '.join(by_name)}{nearest(name, by_name)}"
        check_value(f"option of {self.name!r}", allowed, name, ok=name in by_name)
        return by_name[name]


@dataclass(frozen=True)
class Switch:
    """What two items cost each other on top, by what is chosen of both: changing from one dtype to another, say.

    Attributes:
        first: name of an item.
        second: name of another one.
        pairs: name of an option of *first* and of one of *second* -> cost and amounts, whose own name means nothing;
            a pair that is not named costs nothing.
    """

    first: str
    second: str
    pairs: Mapping[tuple[str, str], Alternative]


@dataclass(frozen=True)
class Knapsack:
    """What is to be chosen.

    Attributes:
        items: at least one.
        switches: between pairs of items; of one pair there may be several.
        limits: name of what adds up (bytes, milliseconds) -> the most that it may come to.
        fixed: what of the limits is taken whatever is chosen.
    """

    items: tuple[Item, ...]
    switches: tuple[Switch, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject names that mean nothing or two things."""
        names = [item.name for item in self.items]
        check_value("items", "at least one, each name once", names, ok=0 < len(names) == len(set(names)))
        by_name = {item.name: item for item in self.items}
        for switch in self.switches:
            for name in (switch.first, switch.second):
                check_value("switch", f"between items{nearest(name, by_name)}", name, ok=name in by_name)
            check_value("switch", "between two items", switch.first, ok=switch.first != switch.second)
            for first, second in switch.pairs:
                by_name[switch.first].option(first)
                by_name[switch.second].option(second)
        for name, limit in self.limits.items():
            check_value(f"limit {name!r}", "a finite number", limit, ok=math.isfinite(limit))

    def assignment(self, choices: Mapping[str, str]) -> Assignment:
        """Return what choices come to.

        Args:
            choices: name of each item -> name of the option.

        Raises:
            UsageError: an item or an option that is not there.
        """
        check_value("choices", "one for each item", sorted(choices), ok=set(choices) == {i.name for i in self.items})
        taken = [item.option(choices[item.name]) for item in self.items]
        taken += [
            switch.pairs[pair]
            for switch in self.switches
            if (pair := (choices[switch.first], choices[switch.second])) in switch.pairs
        ]
        amounts = {name: total(self.fixed.get(name, 0.0), taken, name) for name in self.amounts}
        return Assignment(dict(choices), math.fsum(option.cost for option in taken), amounts)

    def holds(self, found: Assignment) -> bool:
        """Say whether an assignment keeps every limit."""
        return all(
            found.amounts[name] <= limit + ROUNDING * max(abs(limit), 1.0) for name, limit in self.limits.items()
        )

    @property
    def amounts(self) -> tuple[str, ...]:
        """Names of all that adds up, those with a limit first."""
        everything = [option for item in self.items for option in item.options]
        everything += [option for switch in self.switches for option in switch.pairs.values()]
        return tuple(dict.fromkeys([*self.limits, *self.fixed, *(n for option in everything for n in option.amounts)]))


@dataclass(frozen=True)
class Assignment:
    """One option for each item.

    Attributes:
        choices: name of the item -> name of the option.
        cost: of items and switches together.
        amounts: what it takes in all, by name, whether limited or not.
    """

    choices: Mapping[str, str]
    cost: float
    amounts: Mapping[str, float]


def total(fixed: float, options: Iterable[Alternative], name: str) -> float:
    """Return the sum of one amount over options, on top of what is fixed."""
    return math.fsum([fixed, *(option.amounts.get(name, 0.0) for option in options)])
