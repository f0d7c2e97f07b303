"""A recipe is passed on like a model: the code that it names is not run unless it is trusted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.errors import UntrustedCodeError
from tfcompress.preconditions import check_code
from tfcompress.recipe import Distill, Export, Recipe, Train, from_toml
from tfcompress.references import module_file
from tfcompress.stages.flags import flags_of
from tfcompress.stages.stage_table import STAGES

BESIDE: dict[str, dict[str, Any]] = {"teacher_preprocess": {"teacher": ("teacher.keras",)}}

NAMING = [
    flag for kind in (*STAGES.values(), Train, Export) for flag in flags_of(kind) if "MODULE:" in flag.option.metavar
]


def test_code_is_named_by_stages_alone() -> None:
    named = {(flag.owner.__name__, flag.field) for flag in NAMING}
    assert named == {("Build", "builder"), ("Distill", "teacher_preprocess"), ("Distill", "student")}


@pytest.mark.parametrize("flag", NAMING, ids=lambda flag: f"{flag.owner.__name__}.{flag.field}")
def test_every_field_that_names_code_needs_trust(flag: Any) -> None:
    stage = flag.owner(**{flag.field: "os:abort"}, **BESIDE.get(flag.field, {}))
    recipe = from_toml(Recipe(stages=(stage,)).to_toml())
    with pytest.raises(UntrustedCodeError, match=f"{stage.kind} runs the function 'os:abort'; give --trust"):
        check_code(recipe, trust=False)
    check_code(recipe, trust=True)


def test_files_sizes_and_names_of_classes_are_no_code() -> None:
    for stage in (
        Distill(student="C:/nets/small.keras"),
        Distill(student="width=0.5"),
        Distill(teacher=("a:b",), teacher_classes="cat:1,dog"),
    ):
        check_code(Recipe(stages=(stage,)), trust=False)


def test_a_refused_recipe_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "handed_on"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "nets.py").write_text("raise SystemExit('imported')")
    recipe = Recipe(stages=(Distill(student="handed_on.nets:small"),))
    with pytest.raises(UntrustedCodeError, match=r"distill runs the function 'handed_on\.nets:small'"):
        tfc.compress("model.keras", recipe, {"x_train": np.zeros((2, 2))}, progress=False)
    assert module_file("handed_on.nets:small") == package / "nets.py"
    assert module_file("handed_on.none:small") is None
    assert "handed_on" not in sys.modules
