from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tfcompress.data import duplicates
from tfcompress.data.dataset import BoundData
from tfcompress.data.sources import load_data
from tfcompress.models.specs import Signature, TensorSpec

RNG = np.random.default_rng(0)


def model(*shape: int, classes: int = 2) -> Signature:
    return Signature((TensorSpec("v", shape, "float32"),), (TensorSpec("out", (classes,), "float32"),))


def bound(x_train: Any, x_test: Any, *shape: int) -> BoundData:
    given = {
        f"{part}_{name}": x if part == "x" else np.arange(len(x)) % 2
        for name, x in (("train", x_train), ("test", x_test))
        for part in "xy"
    }
    return load_data(given).bind(model(*shape))


def found(x_train: Any, x_test: Any, *shape: int) -> tuple[int, int]:
    """Return how many test samples are the same as one of training, and how many look like one."""
    copies = bound(x_train, x_test, *shape).duplicates
    return (0, 0) if copies is None else (copies.same, copies.alike)


def photos(count: int, height: int = 24, width: int = 32) -> np.ndarray:
    """Draw images with large shapes and small ones, as photos have."""
    large = RNG.integers(0, 200, (count, height // 4, width // 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return (large + RNG.integers(0, 40, large.shape)).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_samples_with_the_same_numbers_are_counted(dtype: Any) -> None:
    train = RNG.integers(0, 250, (40, 5)).astype(dtype)
    test = np.concatenate([train[[3, 39]], RNG.integers(0, 250, (7, 5)).astype(dtype)])
    data = bound(train, test, 5)
    assert data.duplicates is not None
    assert data.lint() == [
        "2 of 9 test samples are among 40 of training, 2 exactly: sample 0 of x_test is sample 3 of x_train, for "
        "example; the score counts what was learnt by heart: keep copies in one split"
    ]


def test_different_samples_and_flat_ones_are_no_copies() -> None:
    assert found(RNG.normal(size=(40, 5)), RNG.normal(size=(9, 5)), 5) == (0, 0)
    assert found(np.zeros((40, 5)), np.zeros((9, 5)), 5) == (0, 0)
    assert found(np.full((9, 16, 16, 3), 7, np.uint8), np.full((9, 16, 16, 3), 7, np.uint8), 16, 16, 3) == (0, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: (x * 0.7 + 30).astype(np.uint8),
        lambda x: np.clip(x + RNG.integers(-6, 7, x.shape), 0, 255).astype(np.uint8),
        lambda x: np.repeat(x.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8),
    ],
    ids=["other brightness", "noise", "grey"],
)
def test_an_image_that_looks_the_same_is_named(change: Any) -> None:
    train, others = photos(60), photos(20)
    test = np.concatenate([others, change(train[[5]])])
    assert found(train, test, 24, 32, 3) == (0, 1)
    copies = bound(train, test, 24, 32, 3).duplicates
    assert copies is not None
    assert copies.example == ("sample 20 of x_test", "sample 5 of x_train")
    assert "1 nearly (images)" in copies.warning


def test_other_images_do_not_look_the_same() -> None:
    assert found(photos(80), photos(40), 24, 32, 3) == (0, 0)


def test_images_that_are_all_alike_prove_nothing() -> None:
    base = photos(1).astype(np.float32)
    train, test = (base + RNG.normal(0, 4, (count, 24, 32, 3)) for count in (60, 20))
    assert found(train, test, 24, 32, 3) == (0, 0)


def test_grey_images_without_a_channel_are_images_too() -> None:
    train = photos(60)[..., 0]
    assert found(train, (train[:3] * 0.5).astype(np.uint8), 24, 32, 1) == (0, 3)


def test_copies_among_files_are_named_by_their_paths(tmp_path: Path) -> None:
    pixels = photos(40)
    for place, image in enumerate(pixels):
        folder = tmp_path / ("train" if place < 30 else "test") / "ab"[place % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{place}.png")
    Image.fromarray(pixels[4]).save(tmp_path / "test" / "a" / "copy.jpg", quality=95, subsampling=0)
    copies = load_data(tmp_path).bind(model(24, 32, 3)).duplicates
    assert copies is not None
    assert (copies.same, copies.alike) == (0, 1)
    assert copies.example == (str(tmp_path / "test" / "a" / "copy.jpg"), str(tmp_path / "train" / "a" / "4.png"))


def test_copies_in_what_is_read_in_one_go_are_counted_exactly() -> None:
    train = RNG.normal(size=(40, 5)).astype(np.float32)
    parts = {
        "train": lambda: iter([(train, np.arange(40) % 2)]),
        "test": lambda: iter([(train[7:9], np.array([0, 1]))]),
    }
    copies = load_data(parts).bind(model(5)).duplicates
    assert copies is not None
    assert (copies.same, copies.looked_at) == (2, (2, 40))
    assert copies.example[1] == "sample 7 of x of arrays in memory train"


def test_of_many_samples_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "SAMPLES", 10)
    train = RNG.normal(size=(40, 5))
    copies = bound(train, train, 5).duplicates
    assert copies is not None
    assert copies.looked_at == (10, 10)


def test_memory_and_pairs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "PAIRS", 60 * 3)
    monkeypatch.setattr(duplicates, "BATCH_BYTES", 5_000)
    train = photos(60)
    assert found(train, (train[:9] * 0.5).astype(np.uint8), 24, 32, 3) == (0, 3)


def test_one_split_alone_has_no_copies() -> None:
    assert load_data((np.zeros((4, 5)), np.zeros(4, int))).bind(model(5), holdout=None).duplicates is None
