"""How far a search has come against a grid, by records that are made up."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.auto_grid import SEARCHES, VARIED, grid_of, hypervolumes, reached_after
from tfcompress.recipe import Export, Train
from tfcompress.search.goals import Limits
from tfcompress.search.space import space_of
from tfcompress.search.wishes import TRAINING, Wishes

ROWS = [{"points": 0.0, "size_bytes": 50}, {"points": 4.0, "size_bytes": 20}, {"points": None, "size_bytes": 100}]


def record(drop: float, size: int, seconds: float, state: str = "finished") -> dict[str, Any]:
    return {"state": state, "figures": {"drop": drop, "size": size}, "trained_seconds": seconds}


def test_the_area_of_a_front_is_that_below_the_worst_drop_and_the_largest_file() -> None:
    assert hypervolumes(ROWS, [record(0.0, 50, 1.0)], 5.0) == (5.0 * 50 + 1.0 * 30, 5.0 * 50)


def test_the_training_counts_until_the_grid_is_reached_whatever_its_trials_came_to() -> None:
    tried = [record(0.0, 50, 3.0), record(9.0, 10, 5.0, "stopped"), record(4.0, 20, 7.0), record(0.0, 40, 11.0)]
    assert reached_after(ROWS, tried, 5.0) == pytest.approx(15.0)
    assert reached_after(ROWS, tried[:2], 5.0) is None


def test_a_search_of_the_grids_values_can_make_what_the_grid_has_and_nothing_else() -> None:
    own = SEARCHES["the grid's values"]
    wishes = Wishes(limits=Limits(drop=5.0), trials=3, train=TRAINING, **own)
    space = space_of(
        train=Train(),
        export=Export(),
        values=wishes.values,
        without=wishes.without,
        fixed=wishes.fixed,
        gains=("file",),
    )
    whole = space_of(train=Train(), export=Export(), gains=("file", "download", "latency"))
    grid = grid_of(whole, VARIED)
    assert len(grid) >= 48
    missing = [candidate for candidate in grid if candidate.recipe.stages and space.selection_of(candidate) is None]
    gain_nothing = [each for each in missing if each.recipe.stage("prune") and each.recipe.export.quantize != "none"]
    assert missing == gain_nothing
    assert {each.name for each in space.dimensions} <= set(VARIED) | {
        "channels.of",
        "prune.sparsity",
        "qat.weight_bits",
    }
