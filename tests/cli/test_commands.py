"""The command line as far as it needs no TensorFlow; tests/test_workbench.py has the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import tfcompress as tfc
from tfcompress import demo
from tfcompress.cli.export import command as export_command
from tfcompress.cli.export import default_output, read_recipe
from tfcompress.cli.main import group, run_command
from tfcompress.cli.options import parse_size
from tfcompress.cli.overview import COMMANDS, overview
from tfcompress.errors import RecipeError, UsageError
from tfcompress.recipe import QAT, Channels, Cluster, Distill, Export, Prune, Recipe, from_toml, named

FLAGS = {name: None for parameter in export_command.params for name in [parameter.name or ""]}


def recipe_of(**flags: Any) -> Recipe:
    return read_recipe({**FLAGS, "qat": False, "runtime": (), **flags})


def test_help_answers_without_click_and_names_every_command() -> None:
    script = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "from tfcompress.__main__ import main; main()\n"
        "print('click' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == overview() + "False\n"
    assert all(f"\n  {name} " in overview() for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_describes_each_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([name, "--help"]) == 0
    assert "Usage: tfcompress" in capsys.readouterr().out
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert all(isinstance(p, click.Argument) or p.help for p in command.params if isinstance(p, click.Option))


def test_a_misspelt_command_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["exprot", "m.h5"]) == 2
    assert capsys.readouterr().err.startswith("tfcompress: no command 'exprot' (did you mean 'export'?)")


def test_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--version"]) == 0
    assert capsys.readouterr().out == f"tfcompress {tfc.__version__}\n"


def test_the_public_surface_is_what_all_says() -> None:
    assert sorted(tfc.__all__) == dir(tfc)
    assert tfc.Prune is Prune
    with pytest.raises(AttributeError, match="has no attribute 'prune'"):
        tfc.prune  # noqa: B018


@pytest.mark.parametrize("name", [n for n in tfc.__all__ if n[0].islower() and not n.startswith("_")])
def test_every_public_function_says_what_it_does(name: str) -> None:
    assert getattr(tfc, name).__doc__


@pytest.mark.parametrize(
    ("flags", "stages", "export"),
    [
        ({}, (), Export()),
        ({"qat": True}, (QAT(),), Export(quantize="int8")),
        ({"prune": 0.5, "quantize": "int8"}, (Prune(sparsity=0.5),), Export(quantize="int8")),
        ({"prune": "2:4"}, (Prune(pattern="2:4"),), Export()),
        (
            {"prune": "4:8", "engine": "native", "criterion": "taylor"},
            (Prune(pattern="4:8", engine="native", criterion="taylor"),),
            Export(),
        ),
        (
            {"channels": 0.3, "of": "bytes", "cycles": 2, "criterion": "l1", "prune": 0.5, "distill": True},
            (Channels(remove=0.3, of="bytes", cycles=2, criterion="l1"), Prune(sparsity=0.5), Distill()),
            Export(),
        ),
        ({"cluster": 8, "qat": True, "io": "uint8"}, (Cluster(clusters=8), QAT()), Export(quantize="int8", io="uint8")),
        (
            {"qat": True, "activation_bits": "16", "learn_ranges": True},
            (QAT(activation_bits=16, learn_ranges=True),),
            Export(quantize="int16x8"),
        ),
        ({"quantize": "int8", "runtime": ("litert>=2.1",)}, (), Export(quantize="int8", runtimes=("litert>=2.1",))),
        ({"no_slim": True}, (), Export(packings=())),
        ({"packing": ("slim",), "keep_names": True}, (), Export(packings=("slim",), keep_names=True)),
        ({"quantize": "int8", "calibration": "mse"}, (), Export(quantize="int8", calibration="mse")),
        (
            {"quantize": "int8", "weight_bits": "4", "rounding": "gptq", "correct": ("bias", "equalize")},
            (),
            Export(quantize="int8", weight_bits=4, rounding="gptq", correct=("equalize", "bias")),
        ),
        ({"qat": True, "weight_bits": "4"}, (QAT(weight_bits=4),), Export(quantize="int8")),
        ({"quantize": "int8", "input_range": ("-1,1",)}, (), Export(quantize="int8", input_range=(-1.0, 1.0))),
        (
            {"quantize": "int8", "input_range": ("age=0,1", "-1,1")},
            (),
            Export(quantize="int8", input_range=(-1.0, 1.0, "age=0,1")),
        ),
    ],
)
def test_flags_become_a_recipe(flags: dict[str, Any], stages: tuple[Any, ...], export: Export) -> None:
    assert recipe_of(**flags) == Recipe(stages=stages, export=export)


def test_training_and_export_flags_are_laid_over_a_named_recipe() -> None:
    recipe = recipe_of(recipe="prune50-qat-int8", epochs=7, seed=3, io="float32")
    assert recipe.name == "prune50-qat-int8"
    assert (recipe.train.epochs, recipe.train.seed, recipe.export.io) == (7, 3, "float32")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"recipe": "int8", "qat": True}, "--qat and --recipe both say what to do"),
        ({"recipe": "int8", "quantize": "none"}, "--quantize and --recipe both say what to do"),
        ({"epochs": 3}, "--epochs would do nothing: nothing is trained without a stage"),
        ({"learning_rate": 0.1, "quantize": "int8"}, "--learning-rate would do nothing"),
        ({"samples": 3}, "--samples would do nothing: only --quantize int8 and int16x8 calibrate"),
        ({"holdout": 0.3}, "--holdout would do nothing: there is no --data"),
        ({"qat": True, "quantize": "int16x8"}, "export.quantize must be 'int8' after this qat stage"),
        ({"io": "int8"}, "export.io must be one of 'auto', 'float32' with quantize 'none'"),
        ({"weight_bits": "4"}, "--weight-bits: export.weight_bits must be 8 with quantize 'none', got 4"),
        (
            {"weight_bits": "4", "recipe": "int16x8"},
            "--weight-bits: export.weight_bits must be 8 with quantize 'int16x8'",
        ),
        (
            {"teacher": ("t.keras",), "recipe": "qat-int8"},
            "--teacher would do nothing: the recipe has no stage 'distill'",
        ),
        (
            {"of": "bytes", "recipe": "int8"},
            "--of would do nothing: the recipe has neither stage 'blocks' nor stage 'chan",
        ),
        ({"input_range": ("0,1",), "quantize": "int8", "data": "d.npz"}, "--input-range would do nothing: it is for"),
        ({"input_range": ("0,1",)}, "export.input_range must be empty with quantize 'none'"),
        ({"learn_ranges": True, "quantize": "int8"}, "--learn-ranges would do nothing: there is no --qat"),
        ({"weight_bits": "4", "qat": True, "engine": "tfmot"}, "qat.engine must be 'native'"),
        ({"of": "bytes"}, "--of would do nothing: there is neither --blocks nor --channels"),
        ({"cycles": 2, "prune": 0.5}, "--cycles would do nothing: there is neither --build nor --layout nor --blocks"),
        ({"threshold": "global", "qat": True}, "--threshold would do nothing: there is no --prune"),
        ({"criterion": "l1"}, "--criterion would do nothing: there is neither --channels nor --prune"),
        (
            {"criterion": "l1", "prune": 0.5},
            "--criterion must be one of magnitude, movement, .* with --prune, got 'l1'",
        ),
        ({"criterion": "movement", "channels": 0.5}, "--criterion must be one of auto, l1, l2, .* with --channels"),
        ({"engine": "native"}, "--engine would do nothing: nothing is trained without a stage"),
        ({"engine": "native", "recipe": "int8"}, "--engine would do nothing: nothing is trained without a stage"),
        ({"criterion": "l1", "recipe": "prune50-qat-int8"}, "--criterion must be one of magnitude, .*, got 'l1'"),
        (
            {"engine": "native", "channels": 0.5},
            "--engine would do nothing: there is no choice, --channels only works in Keras 3",
        ),
        (
            {"engine": "auto", "channels": 0.5, "distill": True},
            "--engine would do nothing: there is no choice, --channels and --distill only work in Keras 3",
        ),
        ({"engine": "tfmot", "channels": 0.5}, "--channels works in Keras 3, with the native engine"),
        (
            {"engine": "tfmot", "distill": True},
            "--distill works in Keras 3, with the native engine; leave --engine tfmot out",
        ),
        ({"packing": ("slim",), "no_slim": True}, "--packing slim and --no-slim contradict each other"),
        ({"keep_names": True, "no_slim": True}, "export.keep_names must be false without packings"),
        ({"calibration": "mse"}, "--calibration: export.calibration must be 'minmax' with quantize 'none', got 'mse'"),
        ({"calibration": "minmax"}, "--calibration would do nothing: only --quantize int8"),
        ({"calibration": "mse", "quantize": "int16x8"}, "export.calibration must be 'minmax' with quantize 'int16x8'"),
        ({"calibration": "mse", "qat": True}, "export.calibration must be 'minmax' after a qat stage"),
        ({"prune": 1.5}, r"prune.sparsity must be in \(0, 1\), got 1.5"),
    ],
)
def test_a_combination_that_cannot_be_meant_is_refused_with_the_reason(flags: dict[str, Any], message: str) -> None:
    with pytest.raises((UsageError, RecipeError), match=message):
        recipe_of(**flags)


@pytest.mark.parametrize(
    ("model", "folder"),
    [("a/net.h5", "net-int8"), ("net.v2.keras", "net.v2-int8"), ("saved/", "saved-int8"), (".", "model-int8")],
)
def test_the_default_folder_is_called_after_model_and_recipe(model: str, folder: str) -> None:
    assert default_output(model, Recipe(export=Export(quantize="int8"))) == Path(folder)


def test_recipes_are_listed_and_printed_as_toml_that_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["recipes"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(named())
    assert run_command(["recipes", "prune50-int8"]) == 0
    assert from_toml(capsys.readouterr().out) == named()["prune50-int8"]
    assert run_command(["recipes", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == list(named())


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["export", "nothing.h5"], 3, "nothing.h5"),
        (["export", "nothing.h5", "--prune", "half"], 2, "must be a fraction such as 0.5, or 2:4 or 4:8, got 'half'"),
        (["export", "nothing.h5", "--prune", "0"], 2, "prune.sparsity must be in (0, 1), got 0.0"),
        (["export", "nothing.h5", "--quantize", "int4"], 2, "'int4' is not one of"),
        (["export"], 2, "Missing argument 'MODEL'"),
        (["export", "a.h5", "--qt"], 2, "No such option"),
        (["export", "a.h5", "--label", "y"], 2, "--label says something about data, but there is no --data"),
        (
            ["bench", "a.tflite", "--runtime", "litter"],
            2,
            "--runtime must be one of auto, litert, tflite-runtime, tens",
        ),
        (["bench", "a.tflite", "--runtime", "litter"], 2, "got 'litter' (did you mean 'litert'?)"),
        (["recipes", "int9"], 2, "no recipe 'int9' (did you mean 'int8'?)"),
        (["evaluate", "a.h5"], 2, "evaluate needs data to evaluate on: give --data"),
    ],
)
def test_a_user_s_mistake_is_one_line_with_the_exit_code_of_its_class(
    words: list[str],
    code: int,
    line: str,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(words) == code
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("tfcompress: ")
    assert line in said.err
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_bug_of_ours_is_one_line_and_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        msg = "a wheel came off"
        raise RuntimeError(msg)

    monkeypatch.setattr(group, "main", broken)
    assert run_command(["export"]) == 1
    line = capsys.readouterr().err
    assert line.startswith(
        "tfcompress: a bug in tfcompress, sorry: RuntimeError: a wheel came off (the details are in "
    )
    log = Path(line.rpartition(" ")[2].rstrip(")\n"))
    assert "Traceback" in log.read_text()
    log.unlink()


def test_ctrl_c_has_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(group, "main", interrupted)
    assert run_command(["export"]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("512", 512), ("512 B", 512), ("1.5KB", 1500), ("20MB", 20_000_000), ("16GiB", 16 << 30), ("1t", 10**12)],
)
def test_sizes_are_read_with_their_units(text: str, size_bytes: int) -> None:
    assert parse_size(text, "--load-memory") == size_bytes


@pytest.mark.parametrize("text", ["", "much", "-1GB", "0", "1XB", "1e9", "nan", "GB"])
def test_what_is_no_size_is_refused_with_the_flag(text: str) -> None:
    with pytest.raises(UsageError, match="--load-memory must be a size such as 512MB or 16GiB, got"):
        parse_size(text, "--load-memory")


@pytest.mark.parametrize("command", ["export", "inspect", "evaluate", "sensitivity"])
def test_limits_that_cannot_be_meant_are_refused_before_anything_is_read(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([command, "no-such-model.h5", "--load-memory", "much"]) == 2
    assert "--load-memory must be a size" in capsys.readouterr().err
    assert run_command([command, "no-such-model.h5", "--load-memory", "1MiB"]) == 2
    assert "limits.memory_bytes must be at least 128 MiB" in capsys.readouterr().err
    assert run_command([command, "no-such-model.h5", "--load-seconds", "0"]) == 2
    assert "--load-seconds" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flag", [["--trust"], ["--custom", "json:loads"], ["--load-seconds", "9"], ["--load-memory", "1GB"]]
)
def test_how_a_keras_model_is_loaded_says_nothing_about_a_tflite_file(
    flag: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(__file__).parents[1] / "data" / "tflite" / "int8.tflite"
    assert run_command(["inspect", str(path), *flag]) == 2
    assert "has no meaning for" in capsys.readouterr().err


def test_what_inspect_prints_as_json_are_numbers_with_units_in_their_names(capfd: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parents[1] / "data" / "tflite" / "zeros.tflite"
    assert run_command(["inspect", str(path), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    (image,) = found["inputs"]
    assert image == {"name": "image", "dtype": "float32", "shape": [1, 8, 8, 3], "scale": None, "zero_point": None}
    assert all(0.7 < kernel["zeros_fraction"] < 0.9 for kernel in found["kernels"])
    assert [kernel["shape"] for kernel in found["kernels"]] == [[8, 3, 3, 3], [1, 3, 3, 8], [10, 288]]
    assert (found["macs"], found["notes"]) == (8 * 8 * 8 * 27 + 6 * 6 * 8 * 9 + 288 * 10, [])


def test_a_file_whose_name_is_no_utf_8_is_inspected(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.tflite"
    Path(os.fsdecode(path)).write_bytes((Path(__file__).parents[1] / "data" / "tflite" / "int8.tflite").read_bytes())
    for flag, escaped in (((), b"/caf\\udce9.tflite"), (("--json",), b'/caf\\udce9.tflite"')):
        done = subprocess.run([sys.executable, "-m", "tfcompress", "inspect", path, *flag], capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
        assert escaped in done.stdout


def test_inspect_says_why_it_cannot_count_multiply_accumulates(capfd: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parents[1] / "data" / "tflite" / "open_extents.tflite"
    assert run_command(["inspect", str(path), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["macs"] is None
    reason = "they depend on the shape of input 'image', which is open: (any, any, any, 3)"
    assert found["notes"] == [f"multiply-accumulates are not counted: {reason}"]
    assert run_command(["inspect", str(path)]) == 0
    assert "macs" in capfd.readouterr().out


@pytest.mark.slow
def test_the_limits_of_loading_hold() -> None:
    command = [sys.executable, "-m", "tfcompress", "inspect", str(demo.MODEL_KERAS3), "--load-seconds", "0.001"]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "loading it takes longer than 0.001 s" in refused.stderr.splitlines()[-1]
