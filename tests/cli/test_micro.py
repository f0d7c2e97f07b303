"""tfcompress.cli.micro, and what inspect and bench make of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.tflite.make_files import FOLDER
from tfcompress.cli.main import run_command
from tfcompress.cli.micro import desks, micro_target
from tfcompress.errors import RecipeError, UsageError

FILE = str(FOLDER / "int8.tflite")


def test_microcontrollers_are_told_from_machines(tmp_path: Path) -> None:
    mine = tmp_path / "board.toml"
    mine.write_text('runtime = "tflm"\nram = "64KB"\n')
    found = desks(["tflm", "vela:u55-128", "vela:ethos-u65-256", "esp32-s3", str(mine)])
    assert [desk.target.name for desk in found] == ["tflm", "ethos-u55-128", "ethos-u65-256", "esp32-s3", "board"]
    assert [desk.run for desk in found] == [True, False, False, True, True]
    assert desks(["local", "ssh://pi@10.0.0.1", "linux"]) == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tflm", "local"], r"--device tflm measures no time, and local does: give each in a command of its own"),
        (["vela:u55-129"], r"--device must be one of vela:u55-32, .* got 'vela:u55-129' \(did you mean 'vela:u55-128'"),
    ],
)
def test_devices_that_cannot_be_meant_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        desks(words)


def test_inspect_asks_about_microcontrollers_alone() -> None:
    assert micro_target("tflm").micro
    with pytest.raises(UsageError, match=r"--target must be a microcontroller for inspect \(tflm, .*got 'linux'"):
        micro_target("linux")
    with pytest.raises(RecipeError, match="did you mean 'tflm'"):
        micro_target("tflmm")


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (
            ["bench", FILE, "--device", "tflm", "--threads", "2"],
            2,
            "--threads would do nothing: --device tflm measures",
        ),
        (
            ["bench", FILE, "--device", "tflm", "-o", "a.json"],
            2,
            "--output would do nothing: --device tflm measures no",
        ),
        (["bench", FILE, "--device", "tflm", "--per-op"], 2, "--per-op would do nothing: --device tflm measures no"),
        (["inspect", "model.keras", "--target", "tflmm"], 2, "(did you mean 'tflm'?)"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], code: int, line: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(words) == code
    assert line in capfd.readouterr().err


@pytest.mark.parametrize("words", [["inspect", FILE, "--target", "tflm"], ["bench", FILE, "--device", "tflm"]])
def test_what_is_not_installed_is_one_line(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tfcompress.targets.installed.find_spec", lambda _: None)
    assert run_command(words) == 9
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith("which is not installed: pip install 'tfcompress[mcu]'")


def test_bench_tries_a_file_on_real_samples(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed: pip install 'tfcompress[mcu]'")
    images = np.random.default_rng(1).normal(size=(20, 8, 8, 3)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", **{"x.image": images, "y": np.zeros(20)})
    words = ["bench", FILE, "--device", "tflm", "--data", str(tmp_path / "samples.npz")]
    assert run_command([*words, "--json"]) == 0
    (found,) = json.loads(capfd.readouterr().out)
    assert (found["device"], found["file"], found["latency_ms"]) == ("tflm", FILE, None)
    assert (found["micro"]["samples"], found["micro"]["equal"], found["micro"]["real_samples"]) == (20, 20, True)
    assert run_command(words) == 0
    text = capfd.readouterr().out
    assert "outputs equal to the reference kernels' in every bit on 20 samples, real" in text
    assert "ops: CONV_2D 1, " in text
    assert "no latency" in text
    assert "no scratch memory of kernels" in text
    assert "numbers of channels go by 4: CMSIS-NN's int8 kernels" in text


@pytest.mark.parametrize("cut", [True, False], ids=["cut short", "overwritten"])
def test_damaged_samples_are_one_line(cut: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed: pip install 'tfcompress[mcu]'")
    path = tmp_path / "samples.npz"
    np.savez(path, x=np.ones((20, 8, 8, 3), np.float32))
    content = path.read_bytes()
    path.write_bytes(content[:2000] if cut else content[:2000] + bytes(100) + content[2100:])
    assert run_command(["bench", FILE, "--device", "tflm", "--data", str(path)]) == 4
    (line,) = capfd.readouterr().err.splitlines()
    assert "samples.npz' cannot be read: " in line
