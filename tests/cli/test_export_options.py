"""Every option of export does something, does what it says, and is refused where it would do nothing."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from tests.cli.asked import TEXTS, Calls, asked_by, assert_does_something, options_of, words_for
from tfcompress.cli.export import command
from tfcompress.cli.main import run_command
from tfcompress.cli.options import DATA_FLAGS
from tfcompress.errors import RecipeError, UsageError
from tfcompress.recipe import QAT, Channels, Cluster, Export, Prune, Recipe, Train
from tfcompress.stages.flags import ENGINE, Flag, asking, flags_of, naming, stage_flags
from tfcompress.stages.stage import Stage
from tfcompress.stages.stage_table import STAGES

BARE = Export(packings=())


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Calls:
    monkeypatch.chdir(tmp_path)
    found = Calls(monkeypatch)
    found.replace("tfcompress.data.sources.load_data", "the data")
    found.replace("tfcompress.cli.export.check_trackers")
    found.replace_workbench(SimpleNamespace(report=SimpleNamespace(to_json=lambda: "{}")))
    Path("bare.toml").write_text(Recipe(export=BARE).to_toml())
    found.replace("tfcompress.reports.printing.print_report")
    return found


def asking_words(stage: type[Stage]) -> list[str]:
    flag = asking(stage)
    return [flag.name, *{"switch": [], "integer": ["12"]}.get(flag.value, [TEXTS.get(flag.key, "0.4")])]


BESIDE = {
    "cluster_bytes": ["--cluster", "12", "--optimize-for", "download"],
    "teacher_preprocess": ["--distill", "--teacher", "teacher.keras"],
    "teacher_classes": ["--distill", "--teacher", "teacher.keras"],
    "distill_layers": ["--distill", "--distill-loss", "attention"],
    "hop": ["--streaming"],
    "state": ["--streaming"],
    "regularize_strength": ["--channels", "0.4", "--regularize", "slimming"],
    "regularize_epochs": ["--channels", "0.4", "--regularize", "slimming"],
}
"""What has to stand beside an option for it to mean anything, where that is more than its stage."""


def context(option: click.Option) -> list[str]:
    """Return a command line on which the option means something."""
    words = ["export", "model.h5"]
    if option.name in BESIDE:
        return [*words, *BESIDE[option.name]]
    owners = {flag.key: each for each in stage_flags().values() for flag in each[:1]}
    if option.name in DATA_FLAGS[1:] or option.name in ("holdout", "test_samples"):
        return [*words, "--data", "data.npz"]
    if option.name in owners:
        flags = owners[option.name]
        return [*words, *(word for flag in flags if not flag.option.asks for word in asking_words(flag.owner))]
    if option.name in {flag.key for flag in flags_of(Train)}:
        return [*words, "--prune", "0.4"]
    if option.name == "packing":
        return [*words, "--recipe", "bare.toml"]
    if option.name == "device":
        return [*words, "--quantize", "int8", "--mixed", "--max-latency", "2ms"]
    if option.name in ("max_size", "max_latency", "plans"):
        return [*words, "--quantize", "int8", "--mixed"]
    if option.name in ("c_array", "max_arena", "max_flash"):
        return [*words, "--target", "tflm"]
    if option.name in {flag.key for flag in flags_of(Export)} - {"quantize"}:
        return [*words, "--quantize", "int8"]
    return words


@pytest.mark.parametrize("option", options_of("export"), ids=lambda option: option.name)
def test_every_option_of_export_changes_what_is_done(
    option: click.Option, calls: Calls, capfd: pytest.CaptureFixture[str]
) -> None:
    assert_does_something(option, context(option), lambda words: asked_by(words, calls, capfd))


SET = [flag for kind in (*STAGES.values(), Train, Export) for flag in flags_of(kind) if flag.field]


@pytest.mark.parametrize("kind", [*STAGES.values(), Train, Export])
def test_every_field_has_a_flag_or_is_set_by_one(kind: type[Any]) -> None:
    flags = flags_of(kind)
    reachable = {flag.field for flag in flags} | {name for flag in flags for name in flag.option.sets}
    assert {field.name for field in dataclasses.fields(kind)} <= reachable


@pytest.mark.parametrize("flag", SET, ids=lambda flag: f"{flag.owner.__name__}.{flag.field}")
def test_a_flag_sets_its_own_field(flag: Flag, calls: Calls, capfd: pytest.CaptureFixture[str]) -> None:
    option = next(each for each in options_of("export") if each.name == flag.key)
    default = getattr(BARE if flag.key == "packing" else flag.owner(), flag.field)
    seen = []
    for recipe in recipes_by(option, flag, calls, capfd):
        parts = [recipe.train, recipe.export, *recipe.stages]
        seen += [getattr(part, flag.field) for part in parts if isinstance(part, flag.owner)]
    assert any(value != default for value in seen), seen


def recipes_by(option: click.Option, flag: Flag, calls: Calls, capfd: pytest.CaptureFixture[str]) -> list[Recipe]:
    """Return the recipes that values of one flag make, where they are not refused."""
    base = ["export", "model.h5", "--data", "data.npz"]
    if issubclass(flag.owner, Stage):
        base += BESIDE.get(flag.key, [] if flag.option.asks else asking_words(flag.owner))
        alone = flag.field == ENGINE and len(flag.owner.engines) == 1  # a choice only beside a stage that leaves one
        base += asking_words(Prune) if alone else []
    else:
        shared = flag.key in {each.key for stage in STAGES.values() for each in flags_of(stage)}
        base = ["export", "model.h5", "--quantize", "int8"] if shared else context(option)
        base += [] if flag.option.needs == "no data" else ["--data", "data.npz"]
    found = []
    for words in words_for(option):
        try:
            made, _ = asked_by([*base, *words], calls, capfd)
        except (UsageError, click.ClickException):
            continue
        found.append(next(values[1] for name, values, _ in made if name == "compress"))
    return found


def test_no_two_options_have_one_name() -> None:
    names = [name for option in options_of("export") for name in option.opts]
    assert len(set(names)) == len(names)


def recipe_from(words: list[str], calls: Calls) -> Recipe:
    command.main(args=["model.h5", *words], prog_name="export", standalone_mode=False)
    recipe = next(values[1] for name, values, _ in calls.made if name == "compress")
    assert isinstance(recipe, Recipe)
    return recipe


def test_epochs_of_tuning_are_checked_against_the_epochs_that_were_typed(calls: Calls) -> None:
    words = ["--channels", "0.5", "--tune-epochs", "3", "--epochs", "5", "--cycles", "2"]
    recipe = recipe_from(words, calls)
    assert recipe.stages == (Channels(tune_epochs=3, cycles=2),)
    assert recipe.train.epochs == 5


def test_a_schedule_is_checked_against_the_epochs_that_were_typed(calls: Calls) -> None:
    recipe = recipe_from(["--prune", "0.5", "--prune-end-epoch", "7", "--epochs", "8"], calls)
    assert recipe.stages == (Prune(end_epoch=7),)


def test_blocks_are_asked_for_by_their_shape(calls: Calls) -> None:
    recipe = recipe_from(["--prune", "0.7", "--prune-block-shape", "4x1"], calls)
    assert recipe.stages == (Prune(sparsity=0.7, pattern="block", block_shape=(4, 1)),)


@pytest.mark.parametrize(
    "words",
    [["--qat", "--cluster", "8", "--channels", "0.5"], ["--channels", "0.5", "--cluster", "8", "--qat"]],
)
def test_what_trains_trains_together_whatever_the_order_of_the_flags(words: list[str], calls: Calls) -> None:
    assert recipe_from(words, calls).stages == (Channels(), Cluster(clusters=8), QAT())


def model_file(folder: Path) -> Path:
    """Write a file that has to be looked into to be found wanting."""
    import h5py

    with h5py.File(folder / "model.h5", "w") as file:
        file.attrs["model_config"] = '{"class_name": "Functional", "config": {}}'
        file.create_group("model_weights")
    return folder / "model.h5"


MISTAKES = [
    (["--prune", "1.5"], "--prune: prune.sparsity must be in (0, 1), got 1.5"),
    (["--qat", "--qat-freeze", "1"], "--qat-freeze: qat.freeze must be in [0, 1), got 1.0"),
    (
        ["--channels", "0.5", "--tune-epochs", "2"],
        "--tune-epochs: channels.tune_epochs must be below train.epochs (2)",
    ),
    (
        ["--qat", "--optimizer", "adm"],
        "--optimizer: train.optimizer must be the name of a Keras optimizer (did you",
    ),
    (["--qat", "--loss", "meann"], "--loss: train.loss must be 'auto' or the name of a Keras loss"),
    (["--runtime", "litert>2"], "--runtime: export.runtimes item must be one of litert>=VERSION"),
    (
        ["--qat", "--weight-bits", "4", "--activation-bits", "16"],
        "--activation-bits: qat.activation_bits must be 8",
    ),
    (["--prune", "2:4", "--prune-block-shape", "4x1"], "--prune and --prune-block-shape both say prune.pattern"),
    (["--prune", "0.5", "--prune-block-shape", "4"], "must be rows and columns such as 4x1, got '4'"),
    (["--qat", "--quantize", "dynamic"], "--quantize: export.quantize must be 'int8' after this qat stage"),
    (["--quantize", "dynamic", "--lookup"], "--lookup: export.lookup must be false with quantize 'dynamic'"),
    (
        ["--quantize", "int8", "--lookup", "--target", "ethos-u55-128"],
        "--lookup: export.lookup must be false with target 'ethos-u55-128', whose compiler packs kernels itself",
    ),
    (["--quantize", "int8", "--c-array"], "--c-array: export.c_array must be false without a target"),
    (["--distill-weight", "0.1"], "--distill-weight would do nothing: there is no --distill"),
    (["--recipe", "int8", "--prune-scope", "a"], "--prune-scope would do nothing: the recipe has no stage 'prune'"),
    (["--qat"], "qat trains the model, and needs data: give --data"),
    (["--target", "tflm", "--quantize", "dynamic"], "TFLM's kernels take no int8 weights beside float activations"),
    (["--target", "tflm", "--quantize", "float16"], "TFLM has no kernel that makes float32 of float16 weights"),
    (["--target", "ethos-u55-128"], "with target 'ethos-u55-128', got 'none': an Ethos-U computes in integers"),
    (["--target", "tflmm"], "or the path of a .toml file, got 'tflmm' (did you mean 'tflm'?)"),
    (["--target", "tflm", "--max-arena", "1.1x"], "--max-arena: export.max_arena must be a number above 0 with"),
    (["--max-flash", "100KB"], "--max-flash: export.max_flash must be empty without a target for microcontrollers"),
    (["--target", "tflm", "--select-ops"], "--select-ops: export.select_ops must be false with target 'tflm'"),
]
"""What is typed behind ``export MODEL``, and a part of the line that it gets."""


@pytest.mark.parametrize(("words", "line"), MISTAKES)
def test_a_mistake_is_told_before_tensorflow_is_imported_with_the_flag_that_was_typed(
    words: list[str], line: str, tmp_path: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["export", str(model_file(tmp_path)), *words]) in (2, 4)
    assert line in capfd.readouterr().err


def test_no_such_mistake_costs_the_import_of_tensorflow(tmp_path: Path) -> None:
    script = (
        "import json, sys\nfrom tfcompress.cli.main import run_command\n"
        "for words in json.loads(sys.argv[1]):\n    assert run_command(['export', sys.argv[2], *words]) in (2, 4)\n"
        "print(json.dumps([n for n in ('tensorflow', 'keras', 'tf_keras', 'ai_edge_litert') if n in sys.modules]))"
    )
    given = [json.dumps([words for words, _ in MISTAKES]), str(model_file(tmp_path))]
    done = subprocess.run([sys.executable, "-c", script, *given], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_the_help_has_a_group_for_each_stage_and_teaches_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["export", "-h"]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    headings = [line.rstrip(":") for line in lines if line and not line.startswith(" ") and line.endswith(":")]
    stages = [f"{stage.__name__}: {stage.about[0].lower()}{stage.about[1:]}" for stage in STAGES.values()]
    data = ["Model and data", "What the labels mean"]
    expected = [*data, *stages, "Several stages", "Training (of any stage)", "The file", "Output"]
    assert headings == [*expected, "Loading the model", "Other"]
    assert "[default: 0.25]" in " ".join(text.split())
    assert lines.index("Output:") < next(n for n, line in enumerate(lines) if line.startswith("  -o, --output"))


def test_packings_are_added_to_those_of_the_recipe_or_taken_out(calls: Calls) -> None:
    for words, packings in (
        ([], ("slim",)),
        (["--packing", "slim"], ("slim",)),
        (["--no-slim"], ()),
        (["--recipe", "int8", "--no-slim"], ()),
        (["--recipe", "bare.toml"], ()),
        (["--recipe", "bare.toml", "--packing", "slim"], ("slim",)),
    ):
        calls.made.clear()
        assert recipe_from(words, calls).export.packings == packings


@pytest.mark.parametrize("engine", ["native", "tfmot"])
def test_one_flag_chooses_the_engine_of_all_stages(engine: Any, calls: Calls) -> None:
    recipe = recipe_from(["--prune", "0.5", "--qat", "--engine", engine], calls)
    assert recipe.stages == (Prune(engine=engine), QAT(engine=engine))


def test_a_shared_flag_is_for_each_stage_that_can_have_its_value(calls: Calls) -> None:
    both = ["--channels", "0.5", "--prune", "0.5", "--criterion"]
    assert recipe_from([*both, "taylor"], calls).stages == (Channels(criterion="taylor"), Prune(criterion="taylor"))
    calls.made.clear()
    assert recipe_from([*both, "l1"], calls).stages == (Channels(criterion="l1"), Prune())


def test_an_error_that_no_flag_made_is_as_it_was() -> None:
    with pytest.raises(RecipeError, match=r"^prune.sparsity must be"), naming({"train.epochs": "--epochs"}):
        Prune(sparsity=2)


def test_test_samples_without_data_are_refused(calls: Calls) -> None:
    with pytest.raises(UsageError, match="--test-samples would do nothing: there is no --data"):
        command.main(args=["model.h5", "--test-samples", "5"], prog_name="export", standalone_mode=False)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--channels", "0.3", "--max-drop", "5"], True),
        (["--channels", "0.3", "--max-drop", "5", "--spare", "5"], False),
        (["--channels", "0.3", "--spare", "5"], False),
        (["--prune", "0.3", "--max-drop", "5"], False),
    ],
)
def test_a_flag_that_meant_something_else_once_names_the_one_that_means_that_now(
    words: list[str], told: bool, calls: Calls, capfd: pytest.CaptureFixture[str]
) -> None:
    """A limit with --channels is one of the file; the note says so, as it was the channels' own once."""
    assert run_command(["export", "model.h5", "--data", "data.npz", *words]) == 0
    said = "--max-drop is about the finished file; what --channels spares is said by --spare"
    assert (said in capfd.readouterr().err) == told
    recipe = next(values[1] for name, values, _ in calls.made if name == "compress")
    assert recipe.export.max_drop == (5.0 if "--max-drop" in words else None)
    assert getattr(recipe.stages[0], "spare", None) == (5.0 if "--spare" in words else None)
