"""tfcompress.input_ranges."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import RecipeError
from tfcompress.input_ranges import InputRanges, ranges_text, read_input_ranges, read_range_flags
from tfcompress.recipe import Export, Recipe, from_toml

ENDS = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).filter(lambda ends: ends[0] < ends[1])
NAMES = st.text(min_size=1, max_size=8)


@given(every=st.none() | ENDS, named=st.dictionaries(NAMES, ENDS, max_size=3))
def test_what_a_recipe_holds_is_read_back_whole(every: Any, named: dict[str, Any]) -> None:
    values = (*(every or ()), *(f"{name}={low!r},{high!r}" for name, (low, high) in named.items()))
    found = read_input_ranges(values)
    assert (found.every, dict(found.named)) == (every, named)
    assert [found.of(name) for name in named] == list(named.values())
    assert found.of("".join(named) + "?") == every


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (("0,1",), (0.0, 1.0)),
        (("age=0,1",), ("age=0,1",)),
        (("age=0,1", "-1,1", "a=b=2,3"), (-1.0, 1.0, "age=0,1", "a=b=2,3")),
    ],
)
def test_flags_become_the_values_of_a_recipe(texts: tuple[str, ...], values: tuple[Any, ...]) -> None:
    assert read_range_flags(texts) == values
    recipe = Recipe(export=Export(quantize="int8", input_range=values))
    assert from_toml(recipe.to_toml()) == recipe


@pytest.mark.parametrize(
    "texts",
    [
        *[("0",), ("0,1,2",), ("1,0",), ("0,0",), ("0,nan",), ("0,inf",), ("a,b",), ("",)],
        *[("0,1", "0,2"), ("=0,1",), ("age=0",), ("age=1,0",), ("age=",), ("age=0,1", "age=0,2")],
    ],
)
def test_flags_that_are_no_ranges_are_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be LOW,HIGH, two numbers that rise .* or NAME=LOW,HIGH for one input"):
        read_range_flags(texts)


@pytest.mark.parametrize(
    "values", [(1.0,), (1.0, 1.0), (1, 0), ("a", "b"), (True, 2), (0, 1, 2), ("x=0,1", "x=0,2"), (0, 1, "x"), (None, 1)]
)
def test_values_that_are_no_ranges_are_refused(values: Any) -> None:
    with pytest.raises(RecipeError, match=r"^export\.input_range must be empty, or two numbers that rise, and NAME="):
        Export(quantize="int8", input_range=values)


def test_a_recipe_of_before_is_still_read() -> None:
    export = from_toml("format = 1\n[export]\nquantize = 'int8'\ninput_range = [0, 1]\n").export
    assert read_input_ranges(export.input_range) == InputRanges((0.0, 1.0))


def test_ranges_are_told_once_where_they_are_the_same() -> None:
    assert ranges_text({"a": (-1.0, 1.0), "b": (-1.0, 1.0)}) == "inputs in [-1, 1]"
    assert ranges_text({"image": (0.0, 255.0), "age": (0.0, 0.5)}) == "inputs image in [0, 255], age in [0, 0.5]"
