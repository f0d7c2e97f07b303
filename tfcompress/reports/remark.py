"""One thing that a diagnosis found: where, what, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Gravity = Literal["fault", "risk", "note"]
"""A fault spoils the result; a risk may; a note is worth knowing."""

_ORDER: tuple[Gravity, ...] = ("fault", "risk", "note")


@dataclass(frozen=True)
class Remark:
    """One finding.

    Attributes:
        gravity: how bad it is.
        where: layer, tensor, input or split.
        what: what was found, with its numbers.
        remedy: what to do about it; empty: nothing needs doing.
    """

    gravity: Gravity
    where: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        """Return it as one line."""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.where}: {self.what}{remedy}"


def by_gravity(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """Return remarks, faults first, in their order otherwise."""
    return tuple(sorted(remarks, key=lambda remark: _ORDER.index(remark.gravity)))
