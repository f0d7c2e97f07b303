"""``tfcompress pack`` and ``unpack``, and edge_runner on what they make."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from edge_runner.command import run_command_line
from tfcompress.cli.main import run_command
from tfcompress.files import sha256

FILE = Path(__file__).parents[1] / "data" / "blobs_int8.tflite"


@pytest.fixture
def model(tmp_path):
    return Path(shutil.copy(FILE, tmp_path / "net.tflite"))


def test_a_file_goes_there_and_back(model, capfd):
    assert run_command(["pack", str(model), "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["sha256"] == sha256(model)
    assert told["package_bytes"] == model.with_suffix(".tfz").stat().st_size < told["size_bytes"]
    assert run_command(["unpack", str(model.with_suffix(".tfz"))]) == 8  # the file is there
    assert "--force" in capfd.readouterr().err
    back = model.with_name("back.tflite")
    assert run_command(["unpack", str(model.with_suffix(".tfz")), "-o", str(back)]) == 0
    assert back.read_bytes() == model.read_bytes()


@pytest.mark.parametrize("words", [[], ["--force"], ["-o", "back.tflite"]])
def test_what_is_no_package_is_called_so_and_nothing_is_written(model, words, capfd, monkeypatch):
    monkeypatch.chdir(model.parent)
    before = model.read_bytes()
    assert run_command(["unpack", model.name, *words]) == 3
    assert "net.tflite is no package" in capfd.readouterr().err
    assert [path.name for path in model.parent.iterdir()] == [model.name]
    assert model.read_bytes() == before


def test_the_table_says_what_each_codec_comes_to(model, capfd):
    assert run_command(["pack", str(model)]) == 0
    shown = capfd.readouterr().out
    for name in ("as it is", "gzip", "lzma", "bz2", "kept", "kernels:"):
        assert name in shown


def test_a_codec_that_is_not_installed_is_named_with_what_installs_it(model, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "brotli", None)
    assert run_command(["pack", str(model), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["codec_bytes"]["brotli"] is None
    assert run_command(["pack", str(model), "--force"]) == 0
    assert re.search(r"not installed: brotli.* \(pip install 'tfcompress\[codecs\]'\)", capfd.readouterr().out)


def test_the_codecs_that_are_installed_are_measured(model, capfd):
    pytest.importorskip("brotli")
    pytest.importorskip("zstandard")
    assert run_command(["pack", str(model)]) == 0
    shown = capfd.readouterr().out
    assert "not installed" not in shown
    assert re.search(r"brotli +[\d,]+ B", shown)
    assert re.search(r"zstd +[\d,]+ B", shown)


def test_the_device_measures_a_package_as_the_file_in_it(model, tmp_path):
    assert run_command(["pack", str(model)]) == 0
    package, result = model.with_suffix(".tfz"), tmp_path / "edge.json"
    assert run_command_line([str(package), "--quick", "-o", str(result)]) == 0
    (entry,) = json.loads(result.read_text())["models"]
    assert entry["file"] == "net.tfz"
    assert (entry["sha256"], entry["size_bytes"]) == (sha256(model), model.stat().st_size)
    assert entry["package"]["size_bytes"] == package.stat().st_size


def test_a_damaged_package_is_a_failed_model_with_its_reason(model, tmp_path):
    assert run_command(["pack", str(model)]) == 0
    package, result = model.with_suffix(".tfz"), tmp_path / "edge.json"
    package.write_bytes(package.read_bytes()[:-9])
    assert run_command_line([str(package), "--quick", "-o", str(result)]) == 1
    (entry,) = json.loads(result.read_text())["models"]
    assert "package" in entry["reason"]
    assert run_command(["unpack", str(package), "-o", str(tmp_path / "back.tflite")]) == 3
    assert not (tmp_path / "back.tflite").exists()


@pytest.mark.parametrize("words", [["pack", "net.tflite", "-o", "net.zip"], ["unpack", "net.tfz", "-o", "net.h5"]])
def test_a_name_that_promises_something_else_is_refused(words, capsys):
    assert run_command(words) == 2
    assert "-o must end in" in capsys.readouterr().err
