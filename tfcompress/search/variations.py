"""Candidates beside one that is known: those that differ from it in one thing.

Where an hour is enough for twenty trainings, a sampler that learns from trials hardly leaves its random beginning; what
is known to keep the limits, changed in one thing, is tried in turns with it (ADR 0031).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfcompress.errors import RecipeError
from tfcompress.search.space import Candidate, Dimension, Selection, Space


def variations(space: Space, selection: Selection) -> dict[str, dict[Candidate, Selection]]:
    """Return the candidates that differ from one in one thing.

    Args:
        space: of the search.
        selection: what makes the candidate.

    Returns:
        By name of the dimension that is another: the candidates, each with what makes it. A stage that is put in may
        also have one of its fields other than usual.
    """
    own = space.candidate(selection)
    found: dict[str, dict[Candidate, Selection]] = {}
    for dimension in space.dimensions:
        beside: dict[Candidate, Selection] = {}
        for change in _changes(space, dimension, selection):
            changed = {**selection, **change}
            try:
                candidate = space.candidate(changed)
            except RecipeError:
                continue
            if candidate != own:
                beside.setdefault(candidate, changed)
        if beside:
            found[dimension.name] = beside
    return found


def _changes(space: Space, dimension: Dimension, selection: Selection) -> Iterator[dict[str, Any]]:
    before = selection.get(dimension.name, dimension.values[0])
    for value in dimension.values:
        if value == before and type(value) is type(before):
            continue
        yield {dimension.name: value}
        if value is True:
            for field in space.dimensions:
                if field.name.startswith(f"{dimension.name}."):
                    yield from ({dimension.name: value, field.name: other} for other in field.values[1:])
