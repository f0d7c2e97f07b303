import importlib

import pytest

from tfcompress.engines import session as engine
from tfcompress.errors import UsageError
from tfcompress.recipe import QAT, Channels, Distill, Prune, Stage


def test_every_engine_is_a_module_of_the_protocols_shape():
    for name, path in engine.ENGINES.items():
        module = importlib.import_module(path)
        assert name == module.NAME
        assert module.KERAS in ("keras2", "keras3")
        assert callable(module.open_session)


def test_auto_is_the_engine_of_the_models_keras_and_follows_what_another_stage_asks_for():
    assert engine.engine_for([Prune(), QAT()], "keras2").NAME == "tfmot"
    assert engine.engine_for([Prune(), QAT()], "keras3").NAME == "native"
    assert engine.engine_for([Prune(), QAT(engine="tfmot")], "keras3").NAME == "tfmot"
    assert engine.engine_for([Prune(), QAT(engine="native")], "keras2").NAME == "native"


@pytest.mark.parametrize("stage", [Prune(criterion="taylor"), QAT(learn_ranges=True), Distill()])
def test_what_tfmot_lacks_is_refused_for_a_model_of_keras_2(stage):
    with pytest.raises(UsageError, match=f"{stage.kind} with these settings needs the native engine"):
        engine.engine_for([stage], "keras2")


def test_two_engines_in_one_training_are_refused():
    with pytest.raises(UsageError, match="must have one engine, got 'native', 'tfmot'"):
        engine.engine_for([Prune(engine="tfmot"), QAT(engine="native")], "keras3")


@pytest.mark.parametrize(
    ("stages", "keras", "names"),
    [
        ([Prune(), QAT()], "keras2", ["tfmot", "native"]),
        ([Prune(), QAT()], "keras3", ["native"]),
        ([Prune(), QAT()], "savedmodel", ["native"]),
        ([Prune(criterion="taylor")], "keras2", ["native"]),
        ([Prune(), Channels()], "keras2", ["native"]),
        ([Prune(engine="tfmot")], "keras3", ["tfmot"]),
        ([Prune(engine="native"), QAT()], "keras2", ["native"]),
        ([], "keras3", ["native"]),
    ],
)
def test_tfmot_has_the_first_turn_at_what_keras_2_wrote(stages: list[Stage], keras: str, names: list[str]) -> None:
    assert engine.engines_to_try(stages, keras) == names


def test_an_engine_that_lacks_what_a_stage_asks_for_is_refused() -> None:
    with pytest.raises(UsageError, match="channels with these settings needs the native engine"):
        engine.engines_to_try([Channels(), Prune(engine="tfmot")], "keras2")
