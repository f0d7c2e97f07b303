"""What every stage of the table has to say for itself."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tfcompress.engines.session import ENGINES
from tfcompress.stages.flags import asking, flags_of
from tfcompress.stages.stage import RewritingStage, Stage, TrainingStage
from tfcompress.stages.stage_table import STAGES

PACKAGE = Path(__file__).parents[2] / "tfcompress"


@pytest.mark.parametrize("stage", STAGES.values())
def test_a_stage_describes_itself(stage: type[Stage]) -> None:
    assert stage.about
    assert not stage.about.endswith(".")
    assert set(stage.engines) <= set(ENGINES)
    assert sum(flag.option.asks for flag in flags_of(stage)) == 1
    assert asking(stage).name == f"--{stage.kind.replace('_', '-')}"
    assert issubclass(stage, TrainingStage if stage.phase == "train" else RewritingStage)


@pytest.mark.parametrize("stage", STAGES.values())
def test_a_rewriting_stage_names_the_function_that_does_it(stage: type[Stage]) -> None:
    if stage.phase == "train":
        assert stage.implementation == ""
        return
    module, _, name = stage.implementation.partition(":")
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("stage", STAGES.values())
def test_every_flag_says_what_it_does_in_a_sentence(stage: type[Stage]) -> None:
    for flag in flags_of(stage):
        assert flag.name == flag.name.lower()
        assert flag.option.help[0].isupper()
        assert "default" not in flag.option.help


def test_no_module_of_the_general_kind_knows_a_stage_by_name() -> None:
    general = ["recipe.py", "settings.py", "schema.py", "job.py", "__init__.py", "engines/session.py"]
    general += ["engines/callbacks.py", "cli/export.py", "cli/options.py", "cli/grouping.py", "cli/stages.py"]
    names = "|".join([*(rf"\b{stage.__name__}\(" for stage in STAGES.values()), r"isinstance\([a-z_]+, (Prune|QAT)"])
    quoted = "|".join(f'"{kind}"' for kind in STAGES)
    for module in general:
        text = (PACKAGE / module).read_text("utf-8")
        code = re.sub(r'""".*?"""', "", text, flags=re.DOTALL)
        assert not re.findall(names, code), module
        assert not re.findall(quoted, code), module
