"""A stage is one module and one line of the table: a toy one is seen wherever stages are."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tfcompress as tfc
from tests import toys
from tests.cli.asked import Calls
from tfcompress.cli import export
from tfcompress.cli.main import run_command
from tfcompress.errors import RecipeError
from tfcompress.recipe import QAT, Channels, Prune, Recipe, from_dict, from_toml
from tfcompress.stages.rewriting import RewritingContext, apply_rewriting
from tfcompress.stages.stage_table import STAGES
from tools import docs_tables

ROOT = Path(__file__).parents[2]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write the module and put its class into the table."""
    monkeypatch.chdir(tmp_path)
    toy = toys.module("behead", tmp_path, monkeypatch).Behead
    monkeypatch.setitem(STAGES, toy.kind, toy)
    monkeypatch.setattr(export, "command", export.make_command())
    return toy


def test_the_help_has_a_group_for_it(toy: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["export", "--help"]) == 0
    text = capsys.readouterr().out
    assert "\nBehead: take the last layers away:\n  --behead N " in text
    assert re.search(r"--behead-way \[gently\|fast\]\s+How. \[default: gently\]", text)


def test_a_recipe_with_it_is_read_and_written(toy: Any) -> None:
    recipe = from_dict({"stages": [{"kind": "behead", "layers": 2}, {"kind": "prune"}]})
    assert recipe.stages == (toy(layers=2), Prune())
    assert from_toml(recipe.to_toml()) == recipe
    assert recipe.name == "behead-prune0.5-float32"
    with pytest.raises(RecipeError, match=re.escape("behead has no key 'wya' (did you mean 'way'?)")):
        from_dict({"stages": [{"kind": "behead", "wya": "fast"}]})
    with pytest.raises(RecipeError, match="must hold behead before prune"):
        Recipe(stages=(Prune(), toy()))
    with pytest.raises(RecipeError, match=re.escape("behead.tune_epochs must be below train.epochs (2), got 2")):
        Recipe(stages=(toy(tune_epochs=2),))


@pytest.mark.parametrize("first", ["behead", "channels"])
def test_flags_ask_for_it_and_what_rewrites_does_so_in_their_order(
    first: str, toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch)
    monkeypatch.setattr("tfcompress.reports.printing.print_report", lambda *_: None)
    words = {"behead": ["--behead", "3", "--behead-way", "fast"], "channels": ["--channels", "0.5"]}
    second = next(name for name in words if name != first)
    calls.replace_workbench(_result())
    assert run_command(["export", "model.h5", "--qat", *words[first], *words[second]]) == 0
    recipe = next(values[1] for name, values, _ in calls.made if name == "compress")
    stages = {"behead": toy(layers=3, way="fast"), "channels": Channels()}
    assert recipe.stages == (stages[first], stages[second], QAT())


def _result() -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(report=None)


def test_what_would_do_nothing_or_cannot_be_is_refused(toy: Any, capfd: pytest.CaptureFixture[str]) -> None:
    for words, line in (
        (["--behead-way", "fast"], "--behead-way would do nothing: there is no --behead"),
        (["--behead", "0"], "--behead: behead.layers must be at least 1, got 0"),
        (["--behead", "1", "--engine", "tfmot"], "--behead works in Keras 3, with the native engine; leave --engine"),
        (["--behead", "1", "--recipe", "int8"], "--behead and --recipe both say what to do"),
    ):
        assert run_command(["export", "model.h5", *words]) == 2
        assert line in capfd.readouterr().err


def test_the_list_of_stages_and_the_docs_have_it(toy: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["stages"]) == 0
    assert "--behead N\n  Take the last layers away.\n" in capsys.readouterr().out
    assert run_command(["stages", "--json"]) == 0
    listed = {stage["kind"]: stage for stage in json.loads(capsys.readouterr().out)["stages"]}
    assert listed["behead"]["flags"][1] == {
        "flag": "--behead-way",
        "field": "way",
        "help": "How.",
        "default": "gently",
    }
    row = "| `Behead` | `--behead N` | Take the last layers away | rewrite | native | a little | a little | hardly |"
    assert row in docs_tables.stages_table().splitlines()
    assert "| `Behead` | `--behead N` |" in docs_tables.short_stages_table()


def test_its_work_is_done_by_the_function_that_its_class_names(toy: Any, keras: Any) -> None:
    layers = [keras.Input((4,)), *(keras.layers.Dense(units) for units in (3, 2, 1))]
    done = apply_rewriting(keras.Sequential(layers), toy(layers=2), RewritingContext())
    assert (done.model.output_shape, done.notes) == ((None, 3), ("2 layers went gently",))


def test_the_package_has_its_class(toy: Any) -> None:
    script = (
        "import behead\n"
        "from tfcompress.stages.stage_table import STAGES\n"
        "STAGES['behead'] = behead.Behead\n"
        "import tfcompress as tfc\n"
        "assert tfc.Behead is behead.Behead and 'Behead' in tfc.__all__ and 'Behead' in dir(tfc)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path.cwd(), env={"PYTHONPATH": f"{ROOT}:."})


def test_the_package_has_every_stage_of_the_table() -> None:
    assert {stage.__name__ for stage in STAGES.values()} <= set(tfc.__all__)
    assert all(getattr(tfc, stage.__name__) is stage for stage in STAGES.values())
    assert all(dataclasses.is_dataclass(stage) for stage in STAGES.values())
