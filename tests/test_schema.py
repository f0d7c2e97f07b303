from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress import schema
from tfcompress.errors import RecipeError, UsageError


@dataclass(frozen=True)
class Inner:
    name: str
    share: float | None = None


@dataclass(frozen=True)
class Outer:
    inner: Inner
    many: tuple[Inner, ...] = ()
    by_name: dict[str, int] = field(default_factory=dict)
    either: int | str = 0
    anything: Any = None


@dataclass(frozen=True)
class Checked:
    way: Literal["up", "down"] = "up"
    sizes: tuple[int, ...] = ()
    limit: int | None = None
    on: bool = False

    def __post_init__(self) -> None:
        schema.check_fields(self, "checked")


inners = st.builds(Inner, name=st.text(), share=st.none() | st.floats(allow_nan=False, allow_infinity=False))
outers = st.builds(
    Outer,
    inner=inners,
    many=st.lists(inners, max_size=3).map(tuple),
    by_name=st.dictionaries(st.text(), st.integers(-(2**53), 2**53), max_size=3),
    either=st.integers() | st.text(),
    anything=st.none() | st.lists(st.integers(), max_size=2),
)


@given(outers)
def test_what_was_written_as_json_is_built_again(value: Outer) -> None:
    assert schema.build(Outer, json.loads(json.dumps(asdict(value))), "outer") == value


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (3, "outer must be an object, got 3"),
        ({}, "outer lacks the key 'inner'"),
        ({"inner": {"name": "a"}, "mny": []}, "outer has no key 'mny' (did you mean 'many'?); it has inner, many,"),
        ({"inner": {"name": 3}}, "outer.inner.name must be text, got 3"),
        ({"inner": {"name": "a", "share": True}}, "outer.inner.share must be a number, got True"),
        ({"inner": {"name": "a"}, "many": {}}, "outer.many must be a list, got {}"),
        ({"inner": {"name": "a"}, "many": [{"name": "b"}, {}]}, "outer.many[1] lacks the key 'name'"),
        ({"inner": {"name": "a"}, "by_name": []}, "outer.by_name must be an object, got []"),
        ({"inner": {"name": "a"}, "by_name": {"x": 1.5}}, "outer.by_name.x must be a whole number, got 1.5"),
        ({"inner": {"name": "a"}, "either": 1.5}, "outer.either must be int or str, got 1.5"),
    ],
)
@pytest.mark.parametrize(("notation", "table"), [(schema.JSON, "an object"), (schema.TOML, "a table")])
def test_what_does_not_fit_is_refused_with_its_place_in_the_error_of_its_notation(
    plain: object, message: str, notation: schema.Notation, table: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message.replace("an object", table))) as caught:
        schema.build(Outer, plain, "outer", notation)
    assert type(caught.value) is notation.error


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "checked must be a table, got []"),
        ({"wya": "up"}, "checked has no key 'wya' (did you mean 'way'?); it has way, sizes, limit, on"),
        ({"way": "upp"}, "checked.way must be one of 'up', 'down' (did you mean 'up'?), got 'upp'"),
        ({"sizes": ["a"]}, "checked.sizes item must be a whole number, got 'a'"),
        ({"sizes": 3}, "checked.sizes must be a list, got 3"),
        ({"limit": 1.5}, "checked.limit must be a whole number, got 1.5"),
        ({"on": 1}, "checked.on must be true or false, got 1"),
    ],
)
def test_a_dataclass_that_checks_itself_is_filled_from_a_table(table: object, message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        schema.fill(Checked, table, "checked")


def test_lists_become_tuples_and_what_is_absent_is_the_default() -> None:
    assert schema.fill(Checked, {"sizes": [1, 2]}, "checked") == Checked(sizes=(1, 2))
    assert Checked(sizes=[1, 2]).sizes == (1, 2)  # type: ignore[arg-type]  # as people write it


def test_a_name_is_picked_from_a_table_or_the_nearest_one_is_told() -> None:
    known = {"first": 1, "second": 2}
    assert schema.pick("place", known, "second") == 2
    for given_key, hint in (("frist", " (did you mean 'first'?)"), (3, ""), (["x"], "")):
        message = f"place must be one of first, second, got {given_key!r}{hint}"
        with pytest.raises(UsageError, match=re.escape(message) + "$"):
            schema.pick("place", known, given_key, UsageError)
