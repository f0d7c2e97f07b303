"""Ranges of a model's inputs as they are asked for: of all inputs, and of single ones by name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

InputRange = tuple[float, float]
"""The least and the largest value."""

ALLOWED = "empty, or two numbers that rise, and NAME=LOW,HIGH for single inputs, each once"


@dataclass(frozen=True)
class InputRanges:
    """What is asked for.

    Attributes:
        every: the range of each input that is not named; None: nothing is said of those.
        named: the range of single inputs, by name.
    """

    every: InputRange | None = None
    named: Mapping[str, InputRange] = field(default_factory=dict)

    def of(self, name: str) -> InputRange | None:
        """Return the range of an input; None: nothing is said of it."""
        return self.named.get(name, self.every)


def read_input_ranges(given: Iterable[float | str]) -> InputRanges:
    """Read the values of a recipe.

    Args:
        given: two numbers (of every input), ``NAME=LOW,HIGH`` (of one), both or neither.

    Raises:
        ValueError: with what is allowed.
    """
    numbers: list[float] = []
    named: dict[str, InputRange] = {}
    for value in given:
        if not isinstance(value, str):
            numbers.append(value)
            continue
        name, _, ends = value.rpartition("=")
        if not name or name in named:
            raise ValueError(ALLOWED)
        named[name] = _range(_numbers(ends))
    return InputRanges(_range(numbers) if numbers else None, named)


def read_range_flags(texts: Sequence[str]) -> tuple[float | str, ...]:
    """Return the values of a recipe from what a command line gives, each ``LOW,HIGH`` or ``NAME=LOW,HIGH``.

    Raises:
        ValueError: with what is allowed.
    """
    of_every = [text for text in texts if "=" not in text]
    values: list[float | str] = [number for text in of_every for number in _numbers(text)]
    values += [text for text in texts if "=" in text]
    try:
        read_input_ranges(values)
    except ValueError:
        msg = (
            "must be LOW,HIGH, two numbers that rise with a comma between them (0,1), or NAME=LOW,HIGH for one input, "
            f"each once, got {', '.join(map(repr, texts))}"
        )
        raise ValueError(msg) from None
    return tuple(values)


def ranges_text(ranges: Mapping[str, InputRange]) -> str:
    """Return ranges in words: ``inputs in [0, 1]``, or ``inputs image in [0, 255], age in [0, 1]``."""
    texts = {name: f"[{low:g}, {high:g}]" for name, (low, high) in ranges.items()}
    if len(set(texts.values())) == 1:
        return f"inputs in {next(iter(texts.values()))}"
    return f"inputs {', '.join(f'{name} in {text}' for name, text in texts.items())}"


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return [math.nan]


def _range(numbers: Sequence[float]) -> InputRange:
    plain = {type(number) for number in numbers} <= {int, float}
    if not plain or len(numbers) != 2 or not -math.inf < numbers[0] < numbers[1] < math.inf:
        raise ValueError(ALLOWED)
    return float(numbers[0]), float(numbers[1])
