from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tfcompress.streaming.spans import Span, Timeline, hull, upkeep


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Span], Timeline, int]:
    frames = draw(st.integers(2, 40))
    head = draw(st.integers(0, frames - 1))
    tail = draw(st.integers(0, frames - 1 - head))
    ends = st.tuples(st.integers(0, frames - 1), st.integers(1, frames))
    spans = [Span(min(a, b - 1), b) for a, b in draw(st.lists(ends, min_size=1, max_size=3))]
    return spans, Timeline(frames, 1, head, tail), draw(st.integers(1, frames))


@given(cases())
def test_whatever_is_needed_is_kept_or_computed_and_what_is_kept_stays_true(
    case: tuple[list[Span], Timeline, int],
) -> None:
    needed, line, new = case
    found = upkeep(needed, line, new)
    held = {j for span in (*found.computed, found.kept) if span is not None for j in range(span.start, span.stop)}
    assert all(j in held for span in needed for j in range(span.start, span.stop))
    if found.kept is None:
        assert found.next is None
        return
    assert found.next is not None
    assert found.main is not None
    assert found.fresh is not None
    assert found.kept.stop == found.fresh.start
    assert found.main.holds(found.next)
    assert line.steady.holds(found.next), "only what stays the same is handed on"
    assert Span(found.next.start - new, found.next.stop - new) == found.kept, "what is handed on is what is kept next"


def test_the_hull_of_nothing_is_nothing() -> None:
    assert hull([None, Span(3, 3)]) is None
    assert hull([Span(5, 7), None, Span(1, 2)]) == Span(1, 7)
