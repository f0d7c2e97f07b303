from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfcompress.data import mask_pixels
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError, UsageError
from tfcompress.models.specs import Signature, TensorSpec

PALETTE = [0, 0, 0, 200, 10, 10, 10, 200, 10]


def model(
    size: tuple[int | None, int | None] = (6, 8), out: tuple[int | None, int | None] | None = None, classes: int = 3
) -> Signature:
    output = TensorSpec("out", (*(out or size), classes), "float32")
    return Signature((TensorSpec("image", (*size, 3), "float32"),), (output,))


def save_mask(path: Path, numbers: np.ndarray, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(numbers.astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        image = image.convert("P")
        image.putdata(numbers.reshape(-1).tolist())
        image.putpalette(PALETTE)
    image.save(path)
    return path


def save_image(path: Path, height: int = 6, width: int = 8, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(path)
    return path


def numbers(seed: int, height: int = 6, width: int = 8, classes: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, classes, (height, width))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold train/{images,masks}/{a,b}.png and test/{images,masks}/c.png, palettes in training, grey in the test."""
    for place, (part, stem, mode) in enumerate([("train", "a", "P"), ("train", "sub/b", "P"), ("test", "c", "L")]):
        save_image(tmp_path / part / "images" / f"{stem}.png", value=place)
        save_mask(tmp_path / part / "masks" / f"{stem}.png", numbers(place), mode)
    return tmp_path


def test_pairs_go_by_their_names_and_masks_hold_class_numbers(folder: Path) -> None:
    data = load_data(folder).bind(model())
    x, y = next(data.need_train().batches(9))
    assert x["image"][:, 0, 0, 0].tolist() == [0, 1]
    assert np.array_equal(np.asarray(y).reshape(2, 6, 8), [numbers(0), numbers(1)])
    _, y = next(data.need_test().batches(9))
    assert np.array_equal(np.asarray(y).reshape(6, 8), numbers(2))
    assert len(data.dataset.files) == 6
    assert "masks: pixels are class numbers (of a palette, its places)" in data.notes


def decode(path: Path) -> np.ndarray:
    with path.open("rb") as stream:
        return mask_pixels.decoded(stream)


@pytest.mark.parametrize(("kind", "bits"), [*[(0, bits) for bits in (1, 2, 4, 8, 16)], (3, 1), (3, 2), (3, 4), (3, 8)])
def test_every_depth_gives_the_numbers_that_were_written(tmp_path: Path, bits: int, kind: int) -> None:
    values = np.random.default_rng(bits).integers(0, min(1 << bits, 300), (5, 16))
    rows = [np.unpackbits(row.astype(">u2").reshape(-1, 1).view(np.uint8), axis=1)[:, 16 - bits :] for row in values]
    content = b"".join(b"\0" + np.packbits(row.reshape(-1)).tobytes() for row in rows)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    palette = chunk(b"PLTE", bytes(3 << bits)) if kind == 3 else b""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 5, bits, kind, 0, 0, 0))
    path = tmp_path / "m.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + palette + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")
    )
    assert np.array_equal(decode(path), values)


@pytest.mark.parametrize("given", [(3, 5), (6, 8), (12, 9)])
def test_masks_are_resized_where_images_are(tmp_path: Path, given: tuple[int, int]) -> None:
    """An image of the mask's classes as grey values, resized by TensorFlow's nearest neighbour, is the same."""
    import tensorflow as tf

    mask = numbers(0, *given)
    expected = tf.image.resize(mask[..., None], (6, 8), method="nearest").numpy()[..., 0]
    assert np.array_equal(mask_pixels.resized(mask, 6, 8), expected)
    for stem in "ab":
        save_image(tmp_path / "images" / f"{stem}.png", *given)
        save_mask(tmp_path / "masks" / f"{stem}.png", mask)
    data = load_data(tmp_path).bind(model(), holdout=None)
    assert np.array_equal(np.asarray(next(data.need_test().batches(1))[1]).reshape(6, 8), expected)
    said = [note for note in data.notes if "are resized to 8 x 6 with their images" in note]
    assert bool(said) == (given != (6, 8))


def test_a_smaller_output_takes_masks_of_its_own_size(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "a.png")
    save_mask(tmp_path / "masks" / "a.png", numbers(1, 3, 4))
    data = load_data(tmp_path).bind(model(out=(3, 4)), holdout=None)
    assert np.array_equal(np.asarray(next(data.need_test().batches(1))[1]).reshape(3, 4), numbers(1, 3, 4))


def test_a_mask_of_another_size_is_refused_by_name(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "a.png")
    save_mask(tmp_path / "masks" / "a.png", numbers(1, 5, 5))
    with pytest.raises(DataError, match=r"mask '.*masks/a\.png' has 5 x 5 pixels, its image 8 x 6 .* output 8 x 6"):
        load_data(tmp_path).bind(model(), holdout=None)
    save_mask(tmp_path / "masks" / "a.png", numbers(1))
    with pytest.raises(DataError, match=r"its image 8 x 6 \(the model's input\) and the model's output 4 x 3"):
        load_data(tmp_path).bind(model(out=(3, 4)), holdout=None)


def test_a_model_of_any_size_takes_masks_as_they_are(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "a.png")
    save_mask(tmp_path / "masks" / "a.png", numbers(1))
    data = load_data(tmp_path).bind(model((None, None)), holdout=None)
    assert np.asarray(next(data.need_test().batches(1))[1]).reshape(6, 8).tolist() == numbers(1).tolist()


def test_black_and_white_masks_are_told_and_read_as_0_and_1(tmp_path: Path) -> None:
    for stem in "abc":
        save_image(tmp_path / "images" / f"{stem}.png")
        save_mask(tmp_path / "masks" / f"{stem}.png", 255 * (numbers(ord(stem)) > 1))
    data = load_data(tmp_path).bind(model(classes=2), holdout=None)
    _, y = next(data.need_test().batches(1))
    assert np.array_equal(np.asarray(y).reshape(6, 8), numbers(ord("a")) > 1)
    assert any("255 is read as class 1, for masks hold only 0 and 255" in note for note in data.notes)


def test_pairs_that_are_none_are_refused(folder: Path) -> None:
    (folder / "train" / "masks" / "a.png").unlink()
    with pytest.raises(DataError, match=r"images/a\.png' has none of its name in masks/ \(\.png\), as 1 of 2 images"):
        load_data(folder)
    (folder / "train" / "images" / "a.png").unlink()
    save_mask(folder / "train" / "masks" / "z.png", numbers(0))
    with pytest.raises(DataError, match=r"masks/z\.png' has none of its name in images/, as 1 of 2 masks"):
        load_data(folder)
    save_image(folder / "train" / "images" / "z.png")
    save_image(folder / "train" / "images" / "z.jpg")
    with pytest.raises(DataError, match=r"holds z\.(jpg|png) and z\.(jpg|png), two files of one name; keep one"):
        load_data(folder)


def test_no_images_at_all_are_refused(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    with pytest.raises(DataError, match=r"holds zero images; images/ needs .*, masks/ \.png files"):
        load_data(tmp_path)


def test_a_model_without_maps_is_refused(folder: Path) -> None:
    flat = Signature(model().inputs, (TensorSpec("out", (3,), "float32"),))
    with pytest.raises(DataError, match=r"holds masks, so the model must have one output of shape \(height, width, c"):
        load_data(folder).bind(flat)
    with pytest.raises(UsageError, match=r"--window says .* no meaning for .*, a folder of images and masks"):
        load_data(folder, window=3)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (b"", "it is an empty file"),
        (b"no image", "it is no PNG"),
        (b"\x89PNG\r\n\x1a\n", "it is cut short"),
        (None, "it is cut short"),
    ],
)
def test_a_corrupt_mask_is_an_error_or_skipped_and_named(folder: Path, damage: bytes | None, reason: str) -> None:
    victim = folder / "train" / "masks" / "a.png"
    victim.write_bytes(victim.read_bytes()[:-20] if damage is None else damage)
    with pytest.raises(DataError, match=rf"mask '.*masks/a\.png' cannot be decoded \({reason}\); replace or delete it"):
        load_data(folder).bind(model())
    data = load_data(folder, skip_corrupt=True).bind(model())
    assert data.need_train().size == 1
    assert [line for line in data.lint() if "1 corrupt sample is left out (--skip-corrupt): mask " in line]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colours_are_no_class_numbers(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"its pixels are .*, not class numbers: save it grey or with a palette"):
        decode(tmp_path / "m.png")


def test_a_mask_that_claims_terabytes_is_refused_unread(tmp_path: Path) -> None:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 1 << 20, 1 << 20, 8, 0, 0, 0, 0)
    (tmp_path / "m.png").write_bytes(head)
    with pytest.raises(ValueError, match="it claims 1,048,576 x 1,048,576 pixels"):
        decode(tmp_path / "m.png")


def test_a_mask_with_far_more_bytes_than_pixels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_pixels, "SPARE_BYTES", 1_000)
    path = save_mask(tmp_path / "m.png", numbers(0))
    path.write_bytes(path.read_bytes() + bytes(5_000))
    with pytest.raises(ValueError, match="it has more than 1,384 bytes, which its pixels do not need"):
        decode(path)
