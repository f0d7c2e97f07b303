"""One run on the page: its recipe as TOML, the command, and the parts that it has."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.reports.test_html import a_report
from tests.reports.test_run_page import PER_OP, a_record
from tests.stages.drawn import recipes
from tfcompress.errors import UsageError
from tfcompress.recipe import Recipe, from_toml, named
from tfcompress.reports.run_details import PARTS, per_op_table, recipe_toml, run_details
from tfcompress.reports.run_records import RunRecord


@pytest.mark.parametrize("recipe", named().values(), ids=lambda recipe: recipe.name)
def test_a_recipe_comes_back_from_its_toml(recipe):
    assert from_toml(recipe_toml({**recipe.to_dict(), "nothing": None})) == recipe


def test_a_part_says_what_the_command_leaves_out():
    older = run_details(dataclasses.replace(a_record(), report=a_report(data={"source": "d.npz"})), "x", is_open=False)
    assert "As far as the report says: how the data is read" in older
    report = a_report(data={"source": "d.csv", "reading": {"label": ["a", "b"], "window": 4}})
    newer = run_details(dataclasses.replace(a_record(), report=report), "x", is_open=False)
    assert "--data d.csv --label a,b --window 4</code>" in newer
    assert "As far as the report says" not in newer


def test_a_part_without_content_has_no_heading():
    whole = run_details(a_record(), "x", is_open=False)
    bare = RunRecord(name="bare", report=a_report(training=None), folder=Path("bare"))
    less = run_details(bare, "x", is_open=False)
    for name in ("training", "ops", "weights"):
        assert f"<h3>{PARTS[name].title}</h3>" in whole
        assert f"<h3>{PARTS[name].title}</h3>" not in less


def test_ops_are_listed_from_the_slowest():
    shown = per_op_table(PER_OP)
    assert shown.index("CONV_<wbr>2D") < shown.index("ADD")
    assert "All ops 0.3 ms, the whole file 0.25 ms. Each alone." in shown
    assert "a&lt;b" in shown
    assert "conv&lt;1&gt;" in per_op_table(PER_OP, {0: "conv<1>"})
    many = dataclasses.replace(PER_OP, nodes=PER_OP.nodes * 20)
    assert "10 faster ones are not listed" in per_op_table(many)


def test_a_report_that_was_edited_by_hand_is_refused_in_a_line():
    result = dataclasses.replace(a_report().result, verification={"agreement": 7})
    record = dataclasses.replace(a_record(), report=a_report(result=result))
    with pytest.raises(UsageError, match="'runs/one': the report of one is not whole: TypeError"):
        run_details(record, "x", is_open=False)


@given(recipes())
@settings(max_examples=40)
def test_the_recipe_of_any_report_is_read_back_from_its_toml(recipe: Recipe) -> None:
    stored = json.loads(json.dumps(recipe.to_dict()))
    assert from_toml(recipe_toml(stored)) == recipe
    holes = {**stored, "about": None, "train": {**stored["train"], "limit": None}}
    assert from_toml(recipe_toml(holes)) == dataclasses.replace(
        recipe, about="", train=dataclasses.replace(recipe.train, limit=None)
    )
