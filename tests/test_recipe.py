import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import RecipeError
from tfcompress.recipe import (
    QAT,
    STAGES,
    Channels,
    Cluster,
    Distill,
    Export,
    Prune,
    Recipe,
    Train,
    from_dict,
    from_toml,
    load_recipe,
    named,
)
from tfcompress.stages.low_rank import LowRank

fractions = st.floats(0.01, 0.99)
prunes = st.builds(
    Prune, sparsity=fractions, frequency=st.integers(1, 1000), scope=st.lists(st.text(min_size=1)).map(tuple)
)
clusters = st.builds(Cluster, clusters=st.integers(2, 256), init=st.sampled_from(["kmeans++", "linear"]))
titles = st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="/"), max_size=100).filter(
    lambda title: title.isprintable() and not title.startswith(".")
)
trains = st.builds(Train, epochs=st.integers(1, 99), learning_rate=fractions, seed=st.integers(0, 2**32 - 1))


@given(stages=st.tuples(prunes, clusters), train=trains, title=titles, about=st.text())
def test_a_recipe_written_as_toml_is_read_back_equal(
    stages: tuple[Prune, Cluster], train: Train, title: str, about: str
) -> None:
    recipe = Recipe(stages=(*stages, QAT()), train=train, export=Export(quantize="int8"), title=title, about=about)
    assert from_toml(recipe.to_toml()) == recipe


@pytest.mark.parametrize("name", named())
def test_a_named_recipe_is_called_like_its_file_and_says_what_it_is_for(name: str) -> None:
    assert load_recipe(name).name == name
    assert load_recipe(name).about.endswith(".")


def test_a_name_is_put_together_from_the_parts() -> None:
    stages = (Prune(sparsity=0.5), Cluster(clusters=16), QAT())
    assert Recipe(stages=stages, export=Export(quantize="int8")).name == "prune0.5-cluster16-qat-int8"
    assert Recipe().name == "float32"
    assert Recipe(stages=(Prune(pattern="2:4"),)).name == "prune2of4-float32"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Prune(sparsity=0), "prune.sparsity must be in (0, 1), got 0"),
        (lambda: Prune(sparsity=1), "prune.sparsity must be in (0, 1), got 1"),
        (lambda: Prune(sparsity=1.5), "prune.sparsity must be in (0, 1), got 1.5"),
        (lambda: Prune(sparsity=float("nan")), "prune.sparsity must be a finite number, got nan"),
        (lambda: Prune(sparsity="half"), "prune.sparsity must be a number, got 'half'"),  # type: ignore[arg-type]
        (lambda: Prune(sparsity=True), "prune.sparsity must be a number, got True"),
        (lambda: Prune(begin_epoch=-1), "prune.begin_epoch must be at least 0, got -1"),
        (lambda: Prune(begin_epoch=2, end_epoch=1), "prune.end_epoch must be above prune.begin_epoch (2), got 1"),
        (lambda: Prune(power=0), "prune.power must be above 0, got 0"),
        (lambda: Prune(frequency=0), "prune.frequency must be at least 1 (steps), got 0"),
        (lambda: Prune(initial_sparsity=0.5), "prune.initial_sparsity must be in [0, prune.sparsity = 0.5), got 0.5"),
        (lambda: Prune(pattern="2:4", sparsity=0.6), "prune.sparsity must be 0.5 with pattern '2:4', got 0.6"),
        (lambda: Prune(block_shape=(4, 4)), "prune.block_shape must be given with pattern 'block' only, got (4, 4)"),
        (lambda: Prune(pattern="block", block_shape=(0, 4)), "must be two whole numbers of at least 1, got (0, 4)"),
        (lambda: Prune(pattern="4:8", sparsity=0.6), "prune.sparsity must be 0.5 with pattern '4:8', got 0.6"),
        (lambda: Prune(pattern="2:4", threshold="global"), "prune.threshold must be 'layer' with pattern '2:4'"),
        (
            lambda: Prune(begin_epoch=1, begin_step=5),
            "prune.begin_step must be given in epochs or in steps, not in both",
        ),
        (lambda: Prune(end_epoch=1, end_step=5), "prune.end_step must be given in epochs or in steps, not in both"),
        (lambda: Prune(begin_step=5, end_step=5), "prune.end_step must be above prune.begin_step (5), got 5"),
        (lambda: Prune(begin_step=-5), "prune.begin_step must be at least 0, got -5"),
        (
            lambda: Prune(criterion="taylor", engine="tfmot"),
            "prune.engine must be 'native' (or 'auto') for anything but",
        ),
        (lambda: QAT(weight_bits=4, engine="tfmot"), "qat.engine must be 'native' (or 'auto') for other than 8 bits"),
        (lambda: QAT(weight_bits=5), "qat.weight_bits must be one of 8, 4, got 5"),  # type: ignore[arg-type]
        (lambda: QAT(freeze=1), "qat.freeze must be in [0, 1), got 1"),
        (lambda: QAT(freeze_statistics=-0.1), "qat.freeze_statistics must be in [0, 1), got -0.1"),
        (lambda: QAT(freeze_statistics=0.1, engine="tfmot"), "qat.engine must be 'native' (or 'auto') for other"),
        (lambda: Distill(temperature=0), "distill.temperature must be above 0, got 0"),
        (lambda: Distill(weight=0), "distill.weight must be in (0, 1], got 0"),
        (lambda: Channels(remove=1), "channels.remove must be in (0, 1), got 1"),
        (lambda: Channels(round_to=0), "channels.round_to must be at least 1, got 0"),
        (lambda: Channels(at_most=0), "channels.at_most must be in (0, 1), got 0"),
        (lambda: Channels(tune_epochs=-1), "channels.tune_epochs must be at least 0, got -1"),
        (
            lambda: Recipe(stages=(Channels(tune_epochs=2),), train=Train(epochs=2)),
            "channels.tune_epochs must be below train.epochs (2), got 2",
        ),
        (lambda: Channels(cycles=0), "channels.cycles must be at least 1, got 0"),
        (lambda: Channels(spare=0), "channels.spare must be above 0, got 0"),
        (
            lambda: Channels(regularize="slimmer"),  # type: ignore[arg-type]
            "'none', 'slimming', 'group-norm' (did you mean 'slimming'?), got 'slimmer'",
        ),
        (
            lambda: Channels(regularize_strength=1e-3),
            "channels.regularize_strength must be left out without regularize ('slimming' or 'group-norm'), got 0.001",
        ),
        (
            lambda: Channels(regularize_epochs=2),
            "channels.regularize_epochs must be left out without regularize ('slimming' or 'group-norm'), got 2",
        ),
        (
            lambda: Channels(regularize="slimming", regularize_strength=0),
            "channels.regularize_strength must be above 0, got 0",
        ),
        (
            lambda: Channels(regularize="slimming", regularize_epochs=0),
            "channels.regularize_epochs must be at least 1, got 0",
        ),
        (
            lambda: Channels(regularize="slimming", criterion="l2"),
            "channels.criterion must be 'auto', 'bn_gamma', 'taylor' or 'activation' with regularize 'slimming', which",
        ),
        (
            lambda: Recipe(stages=(Channels(regularize="slimming"),), train=Train(epochs=1)),
            "epochs for channels.regularize 'slimming' must be fewer than train.epochs (1), since what is left is",
        ),
        (
            lambda: Recipe(stages=(Channels(regularize="group-norm", cycles=3),), train=Train(epochs=4)),
            "channels.cycles must be at most train.epochs - 2 for channels.regularize 'group-norm' (2), since each",
        ),
        (lambda: LowRank(target=1), "low_rank.target must be in (0, 1), got 1"),
        (lambda: LowRank(round_to=0), "low_rank.round_to must be at least 1, got 0"),
        (lambda: LowRank(cycles=0), "low_rank.cycles must be at least 1, got 0"),
        (lambda: LowRank(tune_epochs=-1), "low_rank.tune_epochs must be at least 0, got -1"),
        (lambda: LowRank(method="tuker"), "(did you mean 'tucker'?), got 'tuker'"),  # type: ignore[arg-type]
        (lambda: Recipe(stages=(Prune(), LowRank())), "low_rank before prune: low_rank gives another model before"),
        (lambda: Recipe(stages=(LowRank(cycles=3),)), "low_rank.cycles must be at most train.epochs (2)"),
        (lambda: Prune(scope=(3,)), "prune.scope item must be text, got 3"),  # type: ignore[arg-type]
        (lambda: Cluster(clusters=1), "cluster.clusters must be between 2 and 256, got 1"),
        (lambda: Cluster(init="kmean"), "(did you mean 'kmeans++'?), got 'kmean'"),  # type: ignore[arg-type]
        (lambda: QAT(engine="torch"), "qat.engine must be one of 'auto', 'tfmot', 'native', got 'torch'"),  # type: ignore[arg-type]
        (lambda: Export(quantize="int7"), "(did you mean 'int8'?), got 'int7'"),  # type: ignore[arg-type]
        (lambda: Export(io="int8"), "export.io must be one of 'auto', 'float32' with quantize 'none', got 'int8'"),
        (lambda: Export(samples=0), "export.samples must be at least 1, got 0"),
        (lambda: Train(epochs=0), "train.epochs must be at least 1, got 0"),
        (lambda: Train(epochs=1.5), "train.epochs must be a whole number, got 1.5"),  # type: ignore[arg-type]
        (lambda: Train(batch_size=0), "train.batch_size must be at least 1, got 0"),
        (lambda: Train(learning_rate=0), "train.learning_rate must be above 0, got 0"),
        (lambda: Train(seed=-1), "train.seed must be between 0 and 2**32 - 1, got -1"),
        (lambda: Train(holdout=1), "train.holdout must be in (0, 1), got 1"),
        (lambda: Train(limit=0), "train.limit must be at least 1, got 0"),
        (lambda: Recipe(stages=(QAT(),)), "export.quantize must be 'int8' after this qat stage"),
        (
            lambda: Recipe(stages=(QAT(activation_bits=16),), export=Export(quantize="int8")),
            "export.quantize must be 'int16x8' after this qat stage (it trains for int16x8), got 'int8'",
        ),
        (
            lambda: Recipe(stages=(Prune(engine="tfmot"), Cluster(engine="native"))),
            "recipe.stages train together and must have one engine, got native and tfmot",
        ),
        (
            lambda: Recipe(stages=(Prune(engine="tfmot"), Distill())),
            "distill needs the native engine, and another stage asks for tfmot",
        ),
        (lambda: Recipe(stages=(Prune(), Prune())), "must hold each kind at most once, got 'prune' twice"),
        (lambda: Recipe(stages=(Prune(end_epoch=9),)), "prune.end_epoch must be at most train.epochs (2), got 9"),
        (lambda: Recipe(title="a/b"), "recipe.title (name in a file) must be a name for files: printable, at most 100"),
        (lambda: Recipe(title=".."), "without '/', and no '.' first, got '..'"),
        (lambda: Recipe(title="a\n"), "recipe.title (name in a file) must be a name for files"),
        (
            lambda: Recipe(stages=(Prune(), Channels())),
            "recipe.stages must hold channels before prune: channels gives another model before the training",
        ),
        (lambda: Recipe(stages=(Channels(cycles=3),)), "channels.cycles must be at most train.epochs (2)"),
        (
            lambda: Recipe(stages=(Channels(cycles=2, tune_epochs=1),)),
            "channels.cycles must be at most train.epochs - channels.tune_epochs (1), since each cycle",
        ),
        (lambda: Recipe(stages=(Channels(), Prune(engine="tfmot"))), "recipe.stages: channels needs the native engine"),
        (lambda: QAT(weight_bits=4, activation_bits=16), "qat.activation_bits must be 8 with 4-bit weights"),
        (lambda: QAT(freeze=0.5, engine="tfmot"), "qat.engine must be 'native' (or 'auto') for other"),
        (lambda: Train(optimizer="adm"), "a Keras optimizer (did you mean 'adam'?), got 'adm'"),
        (lambda: Train(loss="hubber"), "train.loss must be 'auto' or the name of a Keras loss (did you mean 'huber'?)"),
        (lambda: Export(runtimes=("litter>=2.1",)), "tensorflow>=VERSION (did you mean 'litert'?), got 'litter>=2.1'"),
        (lambda: Export(runtimes=("litert>=new",)), "export.runtimes item must be one of litert>=VERSION"),
        (lambda: Export(runtimes="litert"), "export.runtimes must be a list, got 'litert'"),  # type: ignore[arg-type]
        (lambda: from_dict({"exprot": {}}), "recipe has no key 'exprot' (did you mean 'export'?)"),
        (lambda: from_dict({"train": {"epoch": 1}}), "train has no key 'epoch' (did you mean 'epochs'?)"),
        (lambda: from_dict({"train": 3}), "train must be a table, got 3"),
        (lambda: from_dict({"format": 9}), "format must be 1, got 9; a newer tfcompress wrote it"),
        (lambda: from_dict({"stages": {}}), "stages must be a list of [[stages]] tables"),
        (lambda: from_dict({"stages": [{}]}), f"needs a kind, one of {', '.join(STAGES)}"),
        (lambda: from_dict({"stages": [{"kind": "purne"}]}), "got 'purne' (did you mean 'prune'?)"),
        (lambda: from_dict({"name": 3}), "recipe: name must be text, got 3"),
        (lambda: from_toml("[[["), "recipe is not TOML"),
        (lambda: load_recipe("int9"), "no recipe 'int9' (did you mean 'int8'?); give a .toml file or one of"),
        (lambda: load_recipe("nothing.toml"), "recipe 'nothing.toml' cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(build: object, message: str) -> None:
    assert callable(build)
    with pytest.raises(RecipeError, match=re.escape(message)):
        build()


def test_a_recipe_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[[stages]]\nkind = "cluster"\nclusters = 8\n')
    assert load_recipe(tmp_path / "mine.toml").stages == (Cluster(clusters=8),)


@pytest.mark.parametrize(("quantize", "dtype"), [("none", "float32"), ("int8", "int8"), ("int16x8", "int16")])
def test_auto_inputs_and_outputs_follow_the_scheme(quantize: str, dtype: str) -> None:
    settings = dataclasses.replace(Export(), quantize=quantize)  # type: ignore[arg-type]
    assert settings.io_dtype == dtype
    assert settings.needs_data == (dtype != "float32")


@pytest.mark.parametrize(
    ("stages", "given", "rate"),
    [((QAT(),), None, 1e-5), ((Prune(), QAT()), None, 1e-4), ((Prune(),), 0.1, 0.1), ((), None, None)],
)
def test_a_learning_rate_that_was_left_open_is_filled_in_by_the_stages(
    stages: tuple[Prune | QAT, ...], given: float | None, rate: float | None
) -> None:
    recipe = Recipe(stages=stages, train=Train(learning_rate=given), export=Export(quantize="int8"))
    assert recipe.resolved().train.learning_rate == rate


def test_a_list_stands_for_a_tuple() -> None:
    settings = Export(runtimes=["litert"])  # type: ignore[arg-type]  # as people write it
    assert settings.runtimes == ("litert",)
    assert settings == Export(runtimes=("litert",))


@pytest.mark.parametrize("name", ["Adam", "AdamW", "muon", "mine>Momentum"])
def test_an_optimizer_is_named_as_keras_names_it(name: str) -> None:
    assert Train(optimizer=name).optimizer == name
