"""Frames of a window: which of them there are, which are new, and which stay true when the window moves on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Span:
    """Frames in a row, counted from the window's oldest one.

    Attributes:
        start: the first.
        stop: the one behind the last.
    """

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many frames."""
        return self.stop - self.start

    def holds(self, other: Span) -> bool:
        """Say whether all frames of another span are in this one."""
        return self.start <= other.start and other.stop <= self.stop


def hull(spans: Iterable[Span | None]) -> Span | None:
    """Return the least span that holds all of several; None: there is none, or all are None or empty."""
    found = [span for span in spans if span is not None and span.size > 0]
    return Span(min(s.start for s in found), max(s.stop for s in found)) if found else None


@dataclass(frozen=True)
class Timeline:
    """A tensor along time.

    A frame is *steady* if it is the same, one place further back, once the window has moved on by as many frames of the
    input as one of its own stands for. Frames that see the zeros before or behind the window are not.

    Attributes:
        frames: how many the whole window gives.
        rate: frames of the model's input that one of them stands for.
        head: of the oldest, how many are not steady.
        tail: of the newest, how many are not.
    """

    frames: int
    rate: int
    head: int = 0
    tail: int = 0

    @property
    def steady(self) -> Span:
        """The steady frames; of no size where there are none."""
        return Span(self.head, max(self.head, self.frames - self.tail))


@dataclass(frozen=True)
class Upkeep:
    """What is done about a tensor's frames at each step.

    Attributes:
        head: computed at each step because the window's beginning is in them; None: none are needed.
        kept: taken from the step before; None: none.
        fresh: computed at each step, right behind the kept ones; None: none are needed.
        next: of kept and fresh ones together, which the next step takes over, counted from the window's oldest frame.
    """

    head: Span | None
    kept: Span | None
    fresh: Span | None
    next: Span | None = None

    @property
    def computed(self) -> tuple[Span, ...]:
        """The spans that are computed."""
        return tuple(span for span in (self.head, self.fresh) if span is not None)

    @property
    def main(self) -> Span | None:
        """The kept frames and the fresh ones together."""
        return hull((self.kept, self.fresh))


def upkeep(needed: Iterable[Span], line: Timeline, new: int) -> Upkeep:
    """Say which frames of a tensor are computed at each step, and which are kept.

    Args:
        needed: frames that whoever takes the tensor needs.
        line: the tensor.
        new: by how many of its frames the window moves in a step.
    """
    spans = list(needed)
    head = hull(Span(s.start, min(s.stop, line.head)) for s in spans)
    rest = hull(Span(max(s.start, line.head), s.stop) for s in spans)
    if rest is None:
        return Upkeep(head, None, None)
    # Up to the newest steady frame, needed or not: what is computed late would have to be kept where it comes from.
    steady = line.steady.stop
    if steady - new > rest.start:
        kept = Span(rest.start, steady - new)
        return Upkeep(head, kept, Span(steady - new, max(rest.stop, steady)), Span(rest.start + new, steady))
    if head is not None and head.stop == rest.start:
        return Upkeep(None, None, Span(head.start, rest.stop))
    return Upkeep(head, None, rest)
