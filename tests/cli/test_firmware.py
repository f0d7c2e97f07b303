"""``tfcompress firmware``."""

import contextlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest

from tests.cli.asked import Calls, asked_by, assert_does_something, options_of
from tfcompress.cli.main import run_command
from tfcompress.cli.options import DATA_FLAGS
from tfcompress.files import sha256
from tfcompress.firmware import package

FILE = Path(__file__).parents[1] / "data" / "blobs_int8.tflite"


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(FILE, tmp_path / "net.tflite"))


def test_a_folder_is_written_once_and_replaced_when_forced(model, capfd):
    assert run_command(["firmware", str(model), "--json", "--arduino", "--esp-idf"]) == 0
    told = json.loads(capfd.readouterr().out)
    folder = Path(told["folder"])
    assert folder == model.with_name("net-firmware")
    assert told["sha256"] == sha256(model)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        *told["files"],
        "firmware.json",
    }
    assert told["arena"]["size_bytes"] >= told["arena"]["needed_bytes"]
    assert run_command(["firmware", str(model)]) == 8
    assert "--force" in capfd.readouterr().err
    assert run_command(["firmware", str(model), "--force"]) == 0
    shown = capfd.readouterr().out
    for word in ("flash", "arena", "Conv2D", "golden", "reference kernels", "main_test.cc"):
        assert word in shown
    assert not (folder / "arduino").exists()


def test_golden_samples_come_from_the_data(model, tmp_path, capfd):
    x = np.random.default_rng(0).uniform(-1, 1, (6, 8, 8, 1)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x_test=x, y_test=np.zeros(6, np.int64))
    assert run_command(["firmware", str(model), "--data", "d.npz", "--samples", "2", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["golden"]["samples"] == 2
    assert "d.npz" in told["golden"]["inputs"]
    stored = (Path(told["folder"]) / "model_golden.h").read_text()
    first = np.rint(x[0, 0, 0, 0] / np.float32(2 / 255)) - 1
    assert f"{{\n    {int(first)}, " in stored


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nothing.tflite"], 3, "nothing.tflite"),
        (["net.tflite", "--name", "my-net"], 2, "--name must be letters"),
        (["net.tflite", "--scale", "1/255"], 2, "there is no --data"),
        (["net.h5"], 3, "not a TFLite file"),
    ],
)
def test_a_mistake_is_one_line(model, tmp_path, capfd, words, code, said):
    (tmp_path / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert run_command(["firmware", *words]) == code
    shown = capfd.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1
    assert not list(tmp_path.glob("*-firmware"))


@pytest.fixture(scope="module")
def made():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "find_spec", lambda name: None)
        return package.make_firmware(FILE.read_bytes())


@pytest.mark.parametrize("option", options_of("firmware"), ids=lambda option: option.name)
def test_every_option(option: click.Option, model, made, monkeypatch, capfd):
    calls = Calls(monkeypatch)
    calls.replace("tfcompress.data.sources.load_data", "the data")
    calls.replace("tfcompress.cli.firmware.golden_samples", ({}, "the data"))
    calls.replace("tfcompress.firmware.package.make_firmware", made)
    calls.replace("tfcompress.tflite.lookup_tables.with_lookup_tables", SimpleNamespace(content=b"tables"))
    calls.replace("tfcompress.files.check_target")
    calls.replace("tfcompress.files.output_folder", contextlib.nullcontext(model.parent))
    words = ["firmware", str(model), *(["--data", "d.npz"] if option.name in DATA_FLAGS[1:] else [])]
    assert_does_something(option, words, lambda typed: asked_by(typed, calls, capfd))
