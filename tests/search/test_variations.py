"""What lies beside a candidate: everything that differs from it in one thing, and nothing else."""

from __future__ import annotations

import random

import pytest

from tests.search.toy_search import toy_space
from tfcompress.errors import RecipeError
from tfcompress.search.proposals import recipes_by_hand
from tfcompress.search.variations import variations

SPACE = toy_space()


@pytest.mark.parametrize("selection", recipes_by_hand(SPACE), ids=lambda each: SPACE.candidate(each).name)
def test_a_variation_differs_in_one_dimension_or_in_a_stage_with_a_field(selection):
    own = SPACE.candidate(selection)
    plain = {each.name: each.values[0] for each in SPACE.dimensions}
    found = variations(SPACE, selection)
    assert {"channels", "export.quantize"} & set(found)
    for name, beside in found.items():
        for candidate, changed in beside.items():
            assert SPACE.candidate(changed) == candidate != own
            different = [key for key in plain if {**plain, **changed}[key] != {**plain, **selection}[key]]
            assert name in different
            assert len(different) == 1 or all(key.startswith(name) for key in different)


def test_whatever_is_one_value_away_is_there():
    generator = random.Random(0)
    tried = 0
    while tried < 60:
        selection = {each.name: generator.choice(each.values) for each in SPACE.dimensions}
        dimension = generator.choice(SPACE.dimensions)
        changed = {**selection, dimension.name: generator.choice(dimension.values)}
        try:
            own, other = SPACE.candidate(selection), SPACE.candidate(changed)
        except RecipeError:
            continue
        tried += 1
        assert own == other or other in variations(SPACE, selection)[dimension.name]
