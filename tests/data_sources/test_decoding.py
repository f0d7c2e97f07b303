from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data_sources.test_images import model
from tfcompress.data import decoding, image_header
from tfcompress.data.sources import load_data

SIZES = ((37, 53), (16, 16), (5, 9))


def picture(size: tuple[int, int], mode: str) -> Any:
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (12, 15, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def by_pillow(content: bytes, mode: str) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(content)).convert(mode))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("quality", [30, 75, 100])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpeg_is_decoded_as_pillow_decodes_it(
    size: tuple[int, int], quality: int, progressive: bool, subsampling: int
) -> None:
    content = encoded(picture(size, "RGB"), quality=quality, progressive=progressive, subsampling=subsampling)
    assert np.array_equal(decoding.decoded(content, 3), by_pillow(content, "RGB"))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("quality", [30, 75, 100])
def test_grey_and_cmyk_jpegs_become_the_rgb_that_pillow_makes_of_them(mode: str, quality: int) -> None:
    content = encoded(picture(SIZES[0], mode), quality=quality)
    assert np.array_equal(decoding.decoded(content, 3), by_pillow(content, "RGB"))


def test_a_grey_jpeg_stays_grey_and_four_channels_get_a_full_alpha() -> None:
    content = encoded(picture(SIZES[0], "L"))
    assert np.array_equal(np.asarray(decoding.decoded(content, 1))[..., 0], by_pillow(content, "L"))
    opaque = np.asarray(decoding.decoded(content, 4))
    assert np.array_equal(opaque, by_pillow(content, "RGBA"))


def test_images_of_other_formats_are_decoded_as_before() -> None:
    stream = io.BytesIO()
    picture(SIZES[0], "RGB").save(stream, "PNG")
    assert np.array_equal(decoding.decoded(stream.getvalue(), 3), np.asarray(picture(SIZES[0], "RGB")))


def test_folders_decode_exactly_and_the_report_says_so(tmp_path: Path) -> None:
    image = picture((8, 8), "RGB")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.jpg").write_bytes(encoded(image))
    data = load_data(tmp_path).bind(model((8, 8, 3)), holdout=None)
    x, _ = next(data.need_test().batches(1))
    assert np.array_equal(x["image"][0], by_pillow(encoded(image), "RGB"))
    assert decoding.NOTE in data.describe()["notes"]


def test_records_decode_exactly_and_the_report_says_so(tmp_path: Path) -> None:
    import tensorflow as tf

    content = encoded(picture((8, 8), "RGB"))
    with tf.io.TFRecordWriter(str(tmp_path / "d.tfrecord")) as writer:
        feature = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))}
        writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    (tmp_path / "f.toml").write_text("[features.image]\nkind = 'image'\n")
    data = load_data(tmp_path / "d.tfrecord", features=tmp_path / "f.toml").bind(model((8, 8, 3)), holdout=None)
    assert np.array_equal(data.representative(1, 0)["image"][0], by_pillow(content, "RGB"))
    assert decoding.NOTE in data.describe()["notes"]


@pytest.mark.parametrize(("mode", "channels"), [("L", 3), ("RGB", 3), ("RGBA", 3)])
def test_a_bmp_is_decoded_as_pillow_decodes_it(mode: str, channels: int, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        picture((8, 8), mode).save(tmp_path / name / "0.bmp")
    data = load_data(tmp_path).bind(model((8, 8, channels)), holdout=None)
    x, _ = next(data.need_test().batches(1))
    wanted = np.asarray(picture((8, 8), mode).convert("L" if channels == 1 else "RGB")).reshape(8, 8, channels)
    assert np.array_equal(x["image"][0], wanted)


@pytest.mark.parametrize("mode", ["P", "1"])
def test_a_bmp_whose_pixels_are_places_in_a_palette_is_refused(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "0.bmp"
    picture((16, 16), "RGB").convert(mode).save(path)
    with path.open("rb") as stream, pytest.raises(ValueError, match="palette or a coding of its own; save it as a PNG"):
        image_header.pixels(stream)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
def test_noise_that_does_not_pack_is_no_bomb(mode: str, tmp_path: Path) -> None:
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (700, 500, 4), np.uint8)
    grey = np.random.default_rng(1).integers(0, 1 << 16, (700, 500)).astype(np.uint16)
    image = Image.fromarray(grey) if mode == "I;16" else Image.fromarray(noise).convert(mode)
    image.save(tmp_path / "0.png", compress_level=0)
    with (tmp_path / "0.png").open("rb") as stream:
        assert image_header.pixels(stream) == 700 * 500
