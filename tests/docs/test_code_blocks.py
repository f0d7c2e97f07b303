"""Every code block of every page: run, or checked where its fence says why it is not run."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.docs import code_blocks
from tests.docs.code_blocks import RUNNERS, SHOWN, Block
from tfcompress.cli.main import run_command
from tools import docs_reference

PAGES = code_blocks.all_pages()
ONLY_CHECKED = {"device": 8, "install": 13, "minutes": 20, "network": 0, "mcu": 1, "tensorboard": 2, "quantizer": 2}
"""The most blocks that are checked and not run, by why. Run one that can be; one more needs a larger number here."""


def blocks(path: Path) -> list[Block]:
    return code_blocks.blocks_of(path)


def is_run(path: Path) -> bool:
    return any(block.language in ("python", "sh") and not block.reason for block in blocks(path))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_each_block_says_its_language(path: Path) -> None:
    unknown = [str(block) for block in blocks(path) if block.language not in (*RUNNERS, *SHOWN)]
    assert unknown == [], "name the language behind the first fence; output and drawings are 'text'"


def test_blocks_that_are_only_checked_are_counted() -> None:
    found = Counter(block.reason for path in PAGES for block in blocks(path) if block.reason)
    more = {reason: count for reason, count in found.items() if count > ONLY_CHECKED[reason]}
    assert more == {}, f"the docs have more blocks that are only checked than this test knows: {found}"


@pytest.mark.parametrize("name", [name for name, _, _ in docs_reference.commands()])
def test_examples_in_the_help_of_commands_can_be_typed(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    text = next(command.help or "" for each, _, command in docs_reference.commands() if each == name)
    for line in docs_reference.examples_of(text):
        code_blocks.check_command(line, f"tfcompress {name} --help")


def toy(keras: Any) -> Any:
    """Return a network for pictures of 8 x 8 pixels and three classes."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(12, 3, activation="relu", name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(3, activation="softmax", name="classes"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def listening(keras: Any) -> Any:
    """Return a network that takes windows of 49 frames of 10 numbers, and tells two classes apart."""
    layers = keras.layers
    entry = keras.Input((49, 10), name="frames")
    inner = layers.Conv1D(4, 5, activation="relu")(entry)
    return keras.Model(entry, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling1D()(inner)))


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures with a bright row at a place that is their class: (count, 8, 8, 1) of bytes, (count,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.integers(0, 90, (count, 8, 8, 1))
    images[np.arange(count), 2 * labels + 1] += 120
    return images.astype(np.uint8), labels


@pytest.fixture(scope="module")
def props(tmp_path_factory: pytest.TempPathFactory, keras: Any) -> Path:
    """Return a folder with the files that the pages speak of."""
    import tf_keras

    folder = tmp_path_factory.mktemp("props")
    (x, y), (more, known) = pictures(192, 0), pictures(96, 1)
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=more, y_test=known)
    for each, name in ((keras, "model.keras"), (tf_keras, "model.h5")):
        model = toy(each)
        model.fit(x / np.float32(255), y, epochs=4, verbose=0)
        model.save(folder / name)
    listening(keras).save(folder / "wakeword.keras")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run_command(code_blocks.EXPORTED[1:]) == 0
    for name in ("model-qat-int8", "main-int8", "branch-int8", "runs/first", "baseline"):
        shutil.copytree(folder / "model-int8", folder / name)
    shutil.copy(folder / "model-int8" / "model-int8.tflite", folder / "model.tflite")
    shutil.copy(folder / "model.tflite", folder / "theirs.tflite")
    assert run_command(["export", str(folder / "model.keras"), "-o", str(folder / "model-float32")]) == 0
    shutil.copy(folder / "model-float32" / "model-float32.tflite", folder / "float.tflite")
    shutil.copy(folder / "model.tflite", folder / "model-int8.tflite")
    code_blocks.measure(folder / "model.tflite", folder / "pi.json")
    return folder


@pytest.fixture
def desk(props: Path, tmp_path: Path) -> Iterator[Path]:
    """Be in a folder of one's own with these files."""
    shutil.copytree(props, tmp_path / "desk")
    yield from code_blocks.in_folder(tmp_path / "desk")


def names_at_hand(keras: Any) -> dict[str, Any]:
    """Return what the Python of the pages takes as there."""
    import tensorflow as tf

    import tfcompress as tfc

    x, y = pictures(64, 2)
    scaled = x.astype(np.float32) / 255
    with np.load("data.npz") as data:
        arrays = dict(data)
    return {
        **arrays,
        "__name__": "page",
        "tf": tf,
        "keras": keras,
        "np": np,
        "tfc": tfc,
        "model": keras.models.load_model("model.keras"),
        "x": scaled,
        "y": y,
        "microphone": lambda: np.zeros((3, 1, 10), np.float32),
        "batches": [(scaled[:32], y[:32]), (scaled[32:], y[32:])],
        "loss_of": keras.losses.SparseCategoricalCrossentropy(),
        "optimizer": keras.optimizers.Adam(1e-3),
    }


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in PAGES if is_run(path)], ids=lambda path: path.name)
def test_blocks_run_one_after_the_other(path: Path, desk: None, keras: Any) -> None:
    names = names_at_hand(keras)
    for block in blocks(path):
        code_blocks.run_block(block, names)


@pytest.mark.parametrize("path", [path for path in PAGES if not is_run(path)], ids=lambda path: path.name)
def test_blocks_that_need_no_model_hold(path: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(path):
        code_blocks.run_block(block, {})
