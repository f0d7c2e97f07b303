"""Samples made small: what is a picture, what a signal, what words."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from tfcompress.gallery.thumbnails import mask_thumbnail, numbers_text, png, thumbnail

Image = pytest.importorskip("PIL.Image", reason="the tests' extra has Pillow, which reads what we write")


def pixels(shown) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.png))))


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3), (1, 1)])
def test_a_png_is_read_back(shape):
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(values)))), values)


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ((28, 28, 1), (28, 28)),
        ((32, 32, 3), (32, 32, 3)),
        ((32, 32, 4), (32, 32, 3)),
        ((20, 20, 6), (20, 20)),
        ((224, 224, 3), (56, 56, 3)),
        ((49, 40), (49, 40)),
        ((400, 300, 1), (58, 43)),
    ],
)
def test_pictures_keep_their_form_and_are_small(shape, shown):
    found = pixels(thumbnail("x", np.random.default_rng(0).normal(size=shape)))
    assert found.shape == shown
    assert (found.min(), found.max()) == (0, 255)


@pytest.mark.parametrize(
    ("shape", "channels", "points"), [((64, 2), 2, 64), ((1, 64, 2), 2, 64), ((1000, 9), 3, 143), ((8000,), 1, 160)]
)
def test_series_are_signals(shape, channels, points):
    found = thumbnail("x", np.random.default_rng(0).normal(size=shape).astype(np.float32)).channels
    assert len(found) == channels
    assert {len(channel) for channel in found} == {points}


def test_few_numbers_and_text_are_words():
    assert thumbnail("x", np.array([0.5, 2.0], np.float32)).text == "0.5, 2"
    assert thumbnail("x", np.array([b"a word"], dtype=object)).text == "a word"
    assert len(thumbnail("x", np.array(["long " * 400])).text) == 400
    assert numbers_text(np.arange(20.0)).endswith("10, 11, … (20 in all)")


def test_tokens_are_words_where_the_words_are_known():
    tokens = np.array([2, 1, 9, 0, 0], np.int32)
    assert thumbnail("x", tokens, ["pad", "cat", "the"]).text == "the cat 9"
    assert thumbnail("x", tokens).text == "2 1 9"


def test_what_is_not_finite_is_drawn_all_the_same():
    values = np.full((8, 8, 1), np.nan)
    values[0] = 1.0
    assert pixels(thumbnail("x", values)).max() == 255


def test_classes_of_a_mask_have_colours_of_their_own():
    found = pixels(mask_thumbnail("label", np.array([[0, 1], [2, -1]])))
    colours = {tuple(colour) for row in found.tolist() for colour in row}
    assert len(colours) == 4
    assert (0, 0, 0) in colours
