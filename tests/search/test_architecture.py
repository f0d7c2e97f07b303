"""The user's own network as part of a space."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.recipe import QAT, Distill, Layout, Recipe
from tfcompress.search.architecture import NetworkPart
from tfcompress.search.space import Candidate, Space, StagePart, space_of, tried_fields
from tfcompress.settings import Export
from tfcompress.stages.stage import NetworkChoice
from tfcompress.train_settings import Train

CHOICES = (
    NetworkChoice("stem", (16, 8)),
    NetworkChoice("inner", (32, 16, 8), ("sum",)),
    NetworkChoice("sum", (1, 0)),
    NetworkChoice("kernels", (None, 3)),
)
PART = NetworkPart(Layout, CHOICES)
SPACE = space_of(train=Train(), export=Export(), more=(PART,))


def test_what_is_chosen_comes_first_in_the_recipe_and_the_teaches() -> None:
    candidate = SPACE.candidate({"layout.stem": 8, "layout.kernels": 3, "qat": True})
    assert candidate.recipe.stages == (Layout(changes=("stem=8",), shrink_kernels=3), Distill(), QAT())
    assert SPACE.candidate({"qat": True}).recipe.stages == (QAT(),)


def test_of_a_block_that_is_left_out_nothing_is_chosen() -> None:
    one, other = (SPACE.candidate({"layout.sum": 0, "layout.inner": width}) for width in (32, 8))
    assert one == other
    assert one.recipe.stages[0] == Layout(changes=("sum=0",))
    assert SPACE.open_values(SPACE.parts[0].dimensions[0], {}) == (False, True)
    (inner,) = (each for each in SPACE.dimensions if each.name == "layout.inner")
    assert SPACE.open_values(inner, {"layout.sum": 0}) == (32,)
    assert SPACE.open_values(inner, {}) == (32, 16, 8)


@given(picked=st.tuples(*(st.sampled_from(choice.values) for choice in CHOICES)), qat=st.booleans())
def test_every_candidate_is_found_again_in_its_space(picked: tuple[Any, ...], qat: bool) -> None:
    space = Space((StagePart(Distill, ()), StagePart(QAT, tuple(tried_fields(QAT))), PART))
    named = {f"layout.{choice.name}": value for choice, value in zip(CHOICES, picked, strict=True)}
    candidate = space.candidate({**named, "qat": qat})
    found = space.selection_of(candidate)
    assert found is not None
    assert space.candidate(found) == candidate


def test_a_layout_with_other_names_lies_outside_the_space() -> None:
    assert PART.selection_of(Candidate(Recipe(stages=(Layout(changes=("other=3",)),)))) is None


@pytest.mark.slow
def test_the_parts_of_a_network_are_those_that_the_stage_finds_in_it() -> None:
    from tests.blocks.residual_models import network
    from tfcompress.search.architecture import network_parts

    (part,) = network_parts(network(["inverted"]))
    assert part.stage is Layout
    names = [each.name for each in part.dimensions]
    assert names == ["layout.stem", "layout.b0_wide", "layout.b0_sum"]
