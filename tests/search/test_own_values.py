"""Values of the user's own: read as they are typed, refused where no candidate can have them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tfcompress.errors import RecipeError, UsageError
from tfcompress.recipe import Export, Train
from tfcompress.search.goals import Limits
from tfcompress.search.own_values import check_values, known_values, read_values
from tfcompress.search.proposals import recipes_by_hand
from tfcompress.search.space import space_of
from tfcompress.search.wishes import Wishes


def typed(value: Any) -> str:
    """Return a value as the command line has it."""
    if isinstance(value, tuple):
        return "+".join(value)
    words = {"None": "none", "True": "true", "False": "false"}
    return words.get(str(value), str(value))


def test_every_value_that_is_tried_of_itself_can_be_typed() -> None:
    known = known_values()
    for name, values in known.items():
        written = [typed(value) for value in values]
        if "" in written:  # no packing at all: an empty word among others
            continue
        (found,) = read_values([f"{name}={','.join(written)}"]).values()
        assert found == tuple(values)
        assert [type(value) for value in found] == [type(value) for value in values]
    check_values(known, train=Train(), export=Export(), fixed=(), without=())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("channels.remove", "must be NAME=A,B"),
        ("channels.remove=", "must be NAME=A,B"),
        ("channel.remove=0.5", "knows no 'channel.remove' (did you mean 'channels.remove'?); there are blocks, "),
        ("layout=true", "knows no 'layout'"),
        ("channels.remove=half", "channels.remove: must be a number, got 'half'"),
        ("qat.weight_bits=4.5", "qat.weight_bits: must be a whole number, got '4.5'"),
        ("channels=yes", "channels: must be true or false, got 'yes'"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        read_values([text])


@pytest.mark.parametrize(
    ("values", "message", "asked"),
    [
        ({"channels.remove": ()}, "at least one value", {}),
        ({"channels": (1,)}, "must be true, false or both", {}),
        ({"channels.remove": (2.0,)}, "channels.remove", {}),
        ({"export.quantize": ("int7",)}, "int7", {}),
        ({"train.learning_rate": (1e-3,)}, "give one of the two", {"fixed": ("train.learning_rate",)}),
        ({"channels.of": ("bytes",)}, "--without channels leaves that out", {"without": ("channels",)}),
        (
            {"export.weight_bits": (4,)},
            "weight_bits",
            {"export": Export(quantize="float16"), "fixed": ("export.quantize",)},
        ),
    ],
)
def test_what_no_candidate_can_have_is_refused(values: Any, message: str, asked: dict[str, Any]) -> None:
    with pytest.raises((UsageError, RecipeError), match=message):
        Wishes(limits=Limits(drop=1.0), trials=3, values=values, **asked)


def test_candidates_have_the_values_that_were_said_and_no_others() -> None:
    values = {
        "channels": (True,),
        "channels.remove": (0.1, 0.2),
        "train.learning_rate": (2e-4,),
        "export.quantize": ("int8",),
    }
    check_values(values, train=Train(), export=Export(), fixed=(), without=())
    space = space_of(train=Train(), export=Export(), values=values)
    for remove in (0.1, 0.2):
        recipe = space.candidate({"channels.remove": remove}).recipe
        assert [stage.kind for stage in recipe.stages] == ["channels"]
        assert recipe.stages[0].remove == remove  # type: ignore[attr-defined]
        assert recipe.train.learning_rate == 2e-4
    found = [space.candidate(selection).recipe for selection in recipes_by_hand(space)]
    assert all(recipe.stage("channels") and recipe.export.quantize == "int8" for recipe in found)
    assert {"channels.remove": (0.1, 0.2), "channels": (True,)}.items() <= {
        each.name: each.values for each in space.dimensions
    }.items()
