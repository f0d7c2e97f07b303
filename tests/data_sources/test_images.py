from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfcompress.data import images
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError
from tfcompress.models.specs import Signature, TensorSpec


def model(shape: tuple[int | None, ...] = (4, 4, 3), classes: int = 2) -> Signature:
    return Signature((TensorSpec("image", shape, "float32"),), (TensorSpec("out", (classes,), "float32"),))


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 pixels (height, width, channels) as PNG, or as JPEG by the path's ending."""
    import tensorflow as tf

    path.parent.mkdir(parents=True, exist_ok=True)
    encode = tf.io.encode_png if path.suffix == ".png" else tf.io.encode_jpeg
    path.write_bytes(encode(pixels).numpy())


def flat(value: int, size: int = 4, channels: int = 3) -> np.ndarray:
    return np.full((size, size, channels), value, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold train/cat/{0,1,2}.png, train/dog/{10,11}.png and test/dog/12.png, each of one colour, its name's."""
    for path in ("train/cat/0", "train/cat/1", "train/cat/2", "train/dog/10", "train/dog/11", "test/dog/12"):
        write_image(tmp_path / f"{path}.png", flat(int(Path(path).name)))
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "train" / ".cache").mkdir()
    return tmp_path


def test_class_folders_become_labels_in_sorted_order(folder: Path) -> None:
    data = load_data(folder).bind(model())
    assert data.dataset.labels == ("cat", "dog")
    x, y = next(data.need_train().batches(10))
    assert x["image"].dtype == np.float32
    assert x["image"][:, 0, 0, 0].tolist() == [0, 1, 2, 10, 11]
    assert y.tolist() == [0, 0, 0, 1, 1]
    x, y = next(data.need_test().batches(10))
    assert (x["image"][0, 0, 0, 0], y.tolist()) == (12, [1])
    assert len(data.dataset.files) == 6


def test_one_level_of_class_folders_is_divided(folder: Path) -> None:
    data = load_data(folder / "train").bind(model(), holdout=0.4)
    assert (data.need_train().size, data.need_test().size) == (3, 2)
    assert data.holdout == "40 % of 'all' held out by seed 0, of each class alike"


def test_an_empty_class_folder_keeps_its_number(folder: Path) -> None:
    (folder / "train" / "bird").mkdir()
    data = load_data(folder).bind(model(classes=3))
    assert next(data.need_test().batches(1))[1].tolist() == [2]
    assert "the class folders of test/ has no sample of class 0 (bird), 1 (cat) (2 of 3 classes)" in data.lint()
    with pytest.raises(DataError, match=r"the class folders of train/ has no sample of class 0 \(bird\)"):
        data.need_train()


def test_images_are_resized_as_keras_does_by_default(tmp_path: Path) -> None:
    import keras

    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    write_image(tmp_path / "a" / "0.png", pixels)
    write_image(tmp_path / "b" / "0.png", pixels[::-1])
    x, y = next(load_data(tmp_path).bind(model((4, 5, 3)), holdout=None).need_test().batches(2))
    theirs = keras.utils.image_dataset_from_directory(tmp_path, image_size=(4, 5), shuffle=False, verbose=False)
    their_x, their_y = next(theirs.as_numpy_iterator())
    assert np.array_equal(x["image"], their_x)
    assert np.array_equal(y, their_y)


def test_channels_follow_the_model(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "colour.png", flat(9))
    write_image(tmp_path / "b" / "grey.jpg", flat(7, channels=1))
    for channels in (1, 3):
        x, _ = next(load_data(tmp_path).bind(model((4, 4, channels)), holdout=None).need_test().batches(2))
        assert x["image"].shape == (2, 4, 4, channels)
        assert np.abs(x["image"][:, 0, 0, 0] - [9, 7]).max() <= 1


def test_images_of_one_size_serve_a_model_that_takes_any(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "0.png", flat(1, size=6))
    write_image(tmp_path / "b" / "0.png", flat(2, size=6))
    x, _ = next(load_data(tmp_path).bind(model((None, None, 3)), holdout=None).need_test().batches(2))
    assert x["image"].shape == (2, 6, 6, 3)


def test_images_of_several_sizes_for_a_model_that_takes_any_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "0.png", flat(1, size=6))
    write_image(tmp_path / "b" / "0.png", flat(2, size=7))
    with pytest.raises(DataError, match="images of several sizes for a model that takes any; resize them"):
        load_data(tmp_path).bind(model((None, None, 3)), holdout=None).lint()


@pytest.mark.parametrize("damage", [b"", b"no image", None], ids=["empty", "text", "truncated"])
def test_a_damaged_image_is_named_before_any_work(folder: Path, damage: bytes | None) -> None:
    victim = folder / "train" / "cat" / "2.png"
    write_image(victim, np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    victim.write_bytes(victim.read_bytes()[:1000] if damage is None else damage)
    with pytest.raises(DataError, match=r"image '.*train/cat/2\.png' cannot be decoded \(.*\); replace or delete it"):
        load_data(folder).bind(model()).lint()


def test_of_many_images_some_are_checked_and_lint_says_how_many(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "CHECKED_IMAGES", 3)
    assert "train/: 3 of 5 images were decoded as a check" in load_data(folder).bind(model()).lint()


def test_as_many_classes_as_the_model_has_must_be_there(folder: Path) -> None:
    with pytest.raises(DataError, match=r"has 2 classes \(cat, dog\), the model's output 5; .*an empty folder will do"):
        load_data(folder).bind(model(classes=5))


@pytest.mark.parametrize("shape", [(4, 4), (784,), (4, 4, 2)])
def test_a_model_without_an_image_input_is_refused(folder: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(
        DataError, match=r"holds images, so the model must have one input of shape \(height, width, 1, 3"
    ):
        load_data(folder).bind(model(shape))


def test_a_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold a folder of images for each class"):
        load_data(tmp_path)


def test_class_folders_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    with pytest.raises(
        DataError,
        match=r"holds zero images or recordings; its class folders need \.bmp, \.jpeg, \.jpg, \.png or \.wav files",
    ):
        load_data(tmp_path)
