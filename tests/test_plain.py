"""Recipes, devices, features, reports and measurements that are broken, endless or far too large."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress import plain
from tfcompress.data.records import read_description
from tfcompress.devices import config
from tfcompress.errors import DataError, RecipeError, UsageError
from tfcompress.recipe import Cluster, Recipe, from_toml, load_recipe
from tfcompress.reports import edge, report

SECONDS = 20
"""Of processor time, which other work on the machine does not add to; what waits for ever meets pytest's own limit."""
DEEP = 100_000
TEXTS = {
    "deep TOML": "a = " + "[" * 4_000,
    "deep JSON": "[" * DEEP,
    "a digit too many": "a = " + "1" * 4_050 + "1" * 10,
    "a key of many parts behind strings": "a = ['x\"', {" + ".".join(['"b"'] * 30_000) + " = 1}]",
    "a key of many parts between strings of several lines": 'a = ["""\n""", {' + ".".join("b" * 30_000) + ' = 1}, ""]',
    "a number of 5,000 digits": "1" * 5_000,
    "a key of many parts": ".".join("a" * 30_000) + " = 1",
    "not text": "\udcff",
    "too large": "#" + "x" * (300 << 10),
    "nested too deep for what walks it": '{"a":' * 200 + "1" + "}" * 200,
}
READERS = {
    "recipe": (load_recipe, RecipeError, "d.toml"),
    "devices": (config.load_devices, UsageError, "d.toml"),
    "features": (read_description, DataError, "d.toml"),
    "report": (report.read_report, UsageError, "d.json"),
    "measurement": (edge.read_measurement, UsageError, "d.json"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", TEXTS)
def test_broken_plain_files_are_refused(tmp_path: Path, reader: str, text: str) -> None:
    read, kind, name = READERS[reader]
    path = tmp_path / name
    path.write_bytes(TEXTS[text].encode("utf-8", "surrogateescape"))
    begin = time.process_time()
    with pytest.raises(kind) as caught:
        read(path)
    assert str(caught.value).isprintable()
    assert time.process_time() - begin < SECONDS


@pytest.mark.parametrize("reader", READERS)
def test_plain_files_that_never_end_are_not_waited_for(tmp_path: Path, reader: str) -> None:
    read, kind, name = READERS[reader]
    os.mkfifo(tmp_path / name)
    with pytest.raises(kind, match=r"pipe or a device|Invalid argument"):
        read(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(kind, match=r"pipe or a device|Invalid argument"):
        read(tmp_path / name)


@given(st.text(max_size=60))
def test_any_text_is_toml_and_json_or_a_value_error(text: str) -> None:
    for parse in (plain.parse_toml, plain.parse_json):
        try:
            parse(text)
        except ValueError:
            continue


@given(st.text(max_size=40), st.integers(0, 500))
def test_a_recipe_with_a_long_text_is_read_as_it_is_written(text: str, times: int) -> None:
    recipe = Recipe(stages=(Cluster(scope=(text * times + "x",)),), about=text * times)
    assert from_toml(recipe.to_toml()) == recipe


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ("[true]", "whole numbers above 0"),
        ("[9999999999]", "at most 268,435,456 values"),
        (f"[{2**62}, {2**62}]", "at most 268,435,456 values"),
        (f"[{'1,' * 40}]", "32 axes"),
        ("[-1]", "whole numbers above 0"),
        ("'x'", "whole numbers above 0"),
    ],
)
def test_shapes_that_no_sample_has_are_refused(tmp_path: Path, shape: str, says: str) -> None:
    (tmp_path / "f.toml").write_text(f'[features.a]\nkind = "float"\nshape = {shape}\n')
    with pytest.raises(DataError, match=says):
        read_description(tmp_path / "f.toml")
