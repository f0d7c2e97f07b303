"""Networks of a user's own builder: what it is answered, what is refused, and what a search may choose."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.blocks.residual_models import network
from tfcompress.blocks.building import Answers, choices_of, rewrite
from tfcompress.errors import RecipeError, UntrustedCodeError, UsageError
from tfcompress.preconditions import check_code
from tfcompress.recipe import QAT, Build, Channels, Distill, Recipe, from_toml
from tfcompress.resumption import sources_sha256
from tfcompress.search.architecture import NetworkPart
from tfcompress.search.space import space_of
from tfcompress.settings import Export
from tfcompress.stages.rewriting import RewritingContext
from tfcompress.stages.stage import NetworkChoice
from tfcompress.train_settings import Train

keras = pytest.importorskip("keras")
layers = keras.layers


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> str:
    """Put a module with a builder where imports find it."""

    def build(hp: Any) -> Any:
        given = keras.Input((4, 4, 3), name="image")
        x = layers.Conv2D(hp.Int("filters", 4, 16, step=4, default=8), 3, name="conv")(given)
        if hp.Boolean("norm"):
            x = layers.BatchNormalization()(x)
        x = layers.Activation(hp.Choice("activation", ["relu", "tanh"]))(x)
        x = layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.25))(layers.GlobalAveragePooling2D()(x))
        outputs = [layers.Dense(3, name="first")(x), layers.Dense(hp.Fixed("out", 2), name="second")(x)]
        assert hp.get("out") == 2
        return keras.Model(given, outputs)

    module = SimpleNamespace(build=build, nothing=lambda hp: None)
    module.narrow = lambda hp: keras.Sequential([keras.Input((4,), name="image"), layers.Dense(3)])
    module.broken = lambda hp: 1 / 0
    monkeypatch.setitem(__import__("sys").modules, "own_nets", module)
    return "own_nets:build"


def test_a_network_is_built_by_what_was_answered(builder: str) -> None:
    stage = Build(builder=builder, values=("filters=12", "norm=true", "activation=tanh"))
    found = rewrite(network(["conv"]), stage, RewritingContext())
    assert found.model.get_layer("conv").filters == 12
    assert any(isinstance(layer, layers.BatchNormalization) for layer in found.model.layers)
    assert "(filters=12, norm=true, activation=tanh)" in found.notes[0]
    plain = rewrite(network(["conv"]), Build(builder=builder), RewritingContext(seed=3)).model
    again = rewrite(network(["conv"]), Build(builder=builder), RewritingContext(seed=3)).model
    assert plain.get_layer("conv").filters == 8
    assert (plain.get_weights()[0] == again.get_weights()[0]).all()


def test_what_a_search_may_answer_is_what_the_builder_asks(builder: str) -> None:
    assert choices_of(builder) == (
        NetworkChoice("built", (False, True)),
        NetworkChoice("filters", ("8", "4", "12", "16")),
        NetworkChoice("norm", ("false", "true")),
        NetworkChoice("activation", ("relu", "tanh")),
        NetworkChoice("dropout", ("0.0", "0.25", "0.5")),
    )


def test_numbers_are_spread_over_their_range() -> None:
    hp = Answers({"b": "0.01"})
    assert hp.Int("a", 1, 1000) == 1
    assert hp.Float("b", 1e-4, 1.0, sampling="log") == 0.01
    assert hp.Int("c", 1, 16, sampling="log") == 1
    assert len(hp.asked["a"]) == 8
    assert (hp.asked["a"][0], hp.asked["a"][-1]) == ("1", "1000")
    assert hp.asked["b"] == ("0.0001", "0.001", "0.01", "0.1", "1.0")
    assert hp.asked["c"] == ("1", "2", "4", "8", "16")
    assert hp.Int("a", 1, 1000) == 1  # asked twice, answered once


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (("filters=40",), r"filters must be one of 8, 4, 12, 16, got '40'"),
        (("filters=many",), r"filters must be one of 8, 4, 12, 16, got 'many'"),
        (("activation=gelu",), r"activation must be one of relu, tanh, got 'gelu'"),
        (("filter=8",), r"the builder asks for filters, norm, activation, dropout, not for 'filter' \(did you mean"),
    ],
)
def test_answers_that_nobody_asks_for_are_refused(builder: str, values: tuple[str, ...], line: str) -> None:
    with pytest.raises(UsageError, match=line):
        rewrite(network(["conv"]), Build(builder=builder, values=values), RewritingContext())


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("nothing", r"must give a Keras 3 model that is built, got NoneType"),
        ("broken", r"build\.builder 'own_nets:broken' fails: ZeroDivisionError: division by zero"),
        ("narrow", r"must give a network with the inputs image \(4, 4, 3\), got image \(4,\)"),
        ("missing", r"own_nets has no function 'missing'"),
    ],
)
def test_builders_that_give_no_such_network_are_refused(builder: str, name: str, line: str) -> None:
    with pytest.raises(UsageError, match=line):
        rewrite(network(["conv"]), Build(builder=f"own_nets:{name}"), RewritingContext())


def test_somebodys_own_code_needs_trust() -> None:
    recipe = Recipe(stages=(Build(builder="own_nets:build"),))
    with pytest.raises(UntrustedCodeError, match="build runs the function 'own_nets:build'; give --trust"):
        check_code(recipe, trust=False)
    check_code(recipe, trust=True)
    assert from_toml(recipe.to_toml()) == recipe


def test_what_a_builder_says_counts_for_what_was_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    stage = Build(builder="changing_nets:build", cycles=2)
    (tmp_path / "changing_nets.py").write_text("width = 4")
    before = sources_sha256((stage,))
    (tmp_path / "changing_nets.py").write_text("width = 8")
    assert len(before) == 1
    assert sources_sha256((stage,)) != before
    assert sources_sha256(stage.parts[1:]) == []


def test_what_another_stage_made_is_not_thrown_away_by_a_network_built_anew() -> None:
    built = Build(builder="own_nets:build")
    with pytest.raises(RecipeError, match=r"must hold build before channels: .*; got build after channels"):
        Recipe(stages=(Channels(), built))
    assert Recipe(stages=(built, Channels())).stages[0] is built


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"values": ("units",)}, r"build\.values must be NAME=VALUE each, got 'units'"),
        ({"values": ("a=1", "a=2")}, r"build\.values must be one for each name, got 'a'"),
        ({"cycles": 0}, r"build\.cycles must be at least 1, got 0"),
        ({"tune_epochs": -1}, r"build\.tune_epochs must be at least 0, got -1"),
    ],
)
def test_values_that_mean_nothing_are_refused(values: Any, line: str) -> None:
    with pytest.raises(RecipeError, match=line):
        Build(**values)
    with pytest.raises(RecipeError, match=r"build\.builder must be module:function, got ''"):
        Recipe(stages=(Build(),))


def test_a_search_tries_the_builders_networks_and_the_model_teaches_them() -> None:
    choices = (NetworkChoice("built", (False, True)), NetworkChoice("units", ("8", "16")))
    space = space_of(train=Train(), export=Export(), more=(NetworkPart(Build, choices, "own_nets:build"),))
    candidate = space.candidate({"build.built": True, "build.units": "16", "qat": True})
    assert candidate.recipe.stages == (Build(builder="own_nets:build", values=("units=16",)), Distill(), QAT())
    found = space.selection_of(candidate)
    assert found is not None
    assert space.candidate(found) == candidate
    assert space.candidate({"build.units": "16"}).recipe.stages == ()
    assert [part.builder for part in Build(builder="a:b", values=("x=1",), cycles=2).parts] == ["a:b", ""]
    assert candidate.recipe.stages[0].label == "build-units16"
