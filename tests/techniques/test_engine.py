import importlib

import pytest

from tfcompress.errors import UsageError
from tfcompress.recipe import QAT, Prune
from tfcompress.techniques import engine


def test_every_engine_is_a_module_of_the_protocols_shape():
    for name, path in engine.ENGINES.items():
        module = importlib.import_module(path)
        assert name == module.NAME
        assert module.KERAS in ("keras2", "keras3")
        assert callable(module.open_session)


def test_auto_is_tfmot_and_follows_what_another_stage_asks_for():
    assert engine.engine_for([Prune(), QAT()]).NAME == "tfmot"
    assert engine.engine_for([Prune(), QAT(engine="tfmot")]).NAME == "tfmot"


def test_two_engines_in_one_training_are_refused():
    other = QAT()
    object.__setattr__(other, "engine", "native")  # an engine that recipes do not know yet
    with pytest.raises(UsageError, match="must have one engine, got 'native', 'tfmot'"):
        engine.engine_for([Prune(engine="tfmot"), other])
