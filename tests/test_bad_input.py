"""Every mistake the main job must survive: one line, the exit code of its class, and nothing written or lost."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from tfcompress.cli.main import run_command

pytestmark = pytest.mark.slow

CLASSES = 3


def write_data(path: Path, **changed: np.ndarray) -> Path:
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.random((60, 8, 8, 1), dtype=np.float32),
        "y_train": np.arange(60) % CLASSES,
        "x_test": rng.random((30, 8, 8, 1), dtype=np.float32),
        "y_test": np.arange(30) % CLASSES,
    }
    np.savez(path, **{**arrays, **changed})
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    net = tf_keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    path = tmp_path_factory.mktemp("model") / "net.h5"
    net.save(path)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said_once(words: list[str], code: int, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()  # what Keras said while the test made its files
    assert run_command(words) == code
    out, err = capfd.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("note:")]
    assert out == ""
    assert len(lines) == 1
    assert lines[0].startswith("tfcompress: ")
    assert text in lines[0]


def cut(path: Path, target: Path) -> Path:
    target.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return target


def save_keras3(folder: Path) -> Path:
    import keras

    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(folder / "k3.keras")
    return folder / "k3.keras"


def with_lambda(folder: Path) -> Path:
    import keras

    net = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2, output_shape=(4,))])
    net.save(folder / "code.keras")
    return folder / "code.keras"


def with_nan(folder: Path) -> Path:
    import tf_keras

    net = tf_keras.Sequential([tf_keras.layers.Input((4,)), tf_keras.layers.Dense(3, name="broken")])
    net.layers[0].set_weights([np.full((4, 3), np.nan), np.zeros(3)])
    net.save(folder / "nan.h5")
    return folder / "nan.h5"


def jpeg(folder: Path) -> Path:
    Image.new("RGB", (8, 8)).save(folder / "photo.jpg")
    return (folder / "photo.jpg").rename(folder / "photo.h5")


def weights_only(folder: Path) -> Path:
    with h5py.File(folder / "weights.h5", "w") as file:
        file["dense/kernel"] = np.zeros((2, 2))
    return folder / "weights.h5"


def empty(folder: Path) -> Path:
    (folder / "empty.h5").touch()
    return folder / "empty.h5"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda folder: folder / "nothing.h5", "nothing.h5"),
        (empty, "empty"),
        (jpeg, "photo.h5"),
        (weights_only, "weights"),
        (with_lambda, "--trust"),
        (with_nan, "broken"),
        (lambda folder: cut(save_keras3(folder), folder / "cut.keras"), "cut.keras"),
    ],
)
def test_a_file_that_is_no_usable_model(
    make: Callable[[Path], Path], text: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make(here)
    before = sorted(p.name for p in here.iterdir())
    said_once(["export", path.name], 3, text, capfd)
    assert sorted(p.name for p in here.iterdir()) == before


def test_a_truncated_h5(model: Path, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cut(model, here / "cut.h5")
    said_once(["export", "cut.h5"], 3, "cut.h5", capfd)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"x_train": np.zeros((60, 9, 8, 1), np.float32)}, "(9, 8, 1)"),
        ({"y_train": np.arange(60) % 2}, "class"),
        ({"y_train": np.full(60, "cat")}, "y_train"),
        ({"y_train": np.full(60, 7)}, "7"),
        ({"x_train": np.full((60, 8, 8, 1), np.nan, np.float32)}, "NaN"),
        ({"x_train": np.zeros((0, 8, 8, 1), np.float32), "y_train": np.zeros(0, int)}, "zero samples"),
        ({"y_train": np.zeros(3, int)}, "3"),
    ],
)
def test_data_that_does_not_fit(
    changed: dict[str, np.ndarray], text: str, model: Path, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_data(here / "data.npz", **changed)
    said_once(["export", "--qat", str(model), "--data", "data.npz"], 4, text, capfd)
    assert [p.name for p in here.iterdir()] == ["data.npz"]


def test_a_truncated_npz(model: Path, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cut(write_data(here / "whole.npz"), here / "cut.npz")
    said_once(["export", "--qat", str(model), "--data", "cut.npz"], 4, "cut.npz", capfd)


@pytest.mark.parametrize("flags", [["--qat"], ["--quantize", "int16x8"], ["--prune", "0.5"], ["--cluster", "4"]])
def test_what_needs_data_says_so_in_one_line(
    flags: list[str], model: Path, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said_once(["export", *flags, str(model)], 4, "give --data", capfd)
    assert list(here.iterdir()) == []


def test_an_output_that_is_a_file(model: Path, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "out").write_text("mine")
    said_once(["export", str(model), "-o", "out"], 8, "out is a file", capfd)
    assert (here / "out").read_text() == "mine"


def in_namespace(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script where we may mount file systems of our own."""
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", script]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_an_output_on_a_full_or_read_only_disk(model: Path, here: Path) -> None:
    disks = {"size=4k": "disk is full", "ro": "read-only"}
    for options in disks:
        (here / options).mkdir()
    if in_namespace(f"mount -t tmpfs -o size=64k tmpfs {here}/ro").returncode:
        pytest.skip("this machine gives us no mount namespace")
    code = (  # one process for both: TensorFlow is imported once
        "import sys; from tfcompress.cli.main import run_command\n"
        "for disk in sys.argv[2:]:\n"
        "    print('code', run_command(['export', sys.argv[1], '-o', f'{disk}/out']), flush=True)"
    )
    mounts = [f"mount -t tmpfs -o {options} tmpfs {here}/{options}" for options in disks]
    command = shlex.join([sys.executable, "-c", code, str(model), *map(str, disks)])
    done = in_namespace("; ".join([*mounts, f"cd {here}", command, *(f"ls -A {options}" for options in disks)]))
    assert done.stdout == "code 8\ncode 8\n"
    said = done.stderr.splitlines()
    assert len(said) == len(disks)
    assert all(text in line for text, line in zip(disks.values(), said, strict=True))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_no_finished_file_and_the_next_one_works(
    how: signal.Signals, model: Path, here: Path
) -> None:
    write_data(here / "data.npz")
    words = [sys.executable, "-m", "tfcompress", "export", "--qat", str(model), "--data", "data.npz", "-o", "out"]
    process = subprocess.Popen([*words, "--epochs", "1000000"], stderr=subprocess.PIPE, text=True)
    try:
        partial = here / ".out.partial" / ".work"
        deadline = time.monotonic() + 300
        while not (partial.exists() and any(partial.iterdir())):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(how)
        said = process.communicate()[1]
    finally:
        process.kill()
    assert process.returncode == (130 if how is signal.SIGINT else -how)
    assert ("interrupted" in said) == (how is signal.SIGINT)
    assert not (here / "out").exists()
    assert run_command([*words[3:], "--epochs", "1"]) == 0
    assert (here / "out" / "net-qat-int8.tflite").is_file()
    assert sorted(p.name for p in here.iterdir()) == ["data.npz", "out"]
