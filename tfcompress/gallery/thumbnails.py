"""Samples and masks made small enough to be shown: pictures as PNG, signals as a few points, the rest as words."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from tfcompress.reports.pictures import Thumbnail

_SIDE = 64
"""Longest side of a picture, pixels."""
_POINTS, _CHANNELS = 160, 3
"""Of a signal, as many points and channels are kept."""
_SIGNAL = 12
"""A matrix of at most so many columns is a signal of so many channels; a wider one is a picture (a spectrogram)."""
_LONG = 24
"""A vector from this length on is a signal."""
_NUMBERS, _LETTERS = 12, 400
_PALETTE = np.array(
    [
        (38, 50, 64), (11, 127, 116), (232, 113, 10), (96, 125, 200), (190, 70, 90), (150, 170, 60), (130, 90, 170),
        (60, 170, 210), (220, 180, 60), (110, 110, 110), (90, 160, 90), (200, 120, 170),
    ],
    np.uint8,
)  # fmt: skip


def thumbnail(title: str, values: np.ndarray, words: Mapping[int, str] | Sequence[str] = ()) -> Thumbnail:
    """Return what shows one sample's input.

    Args:
        title: the input's name.
        values: of one sample: ``(height, width, channels)`` or a wide ``(height, width)`` is a picture, ``(steps,
            channels)`` and a long vector of reals a signal; whole numbers are words by *words*, where they are known.
        words: by number.
    """
    if values.dtype.kind in "SUO":
        return Thumbnail(title=title, text=_text(values))
    while values.ndim > 1 and 1 in values.shape[:-1] and values.ndim != 3:
        values = values.squeeze(next(n for n, size in enumerate(values.shape[:-1]) if size == 1))
    if values.ndim == 3 and min(values.shape[:2]) > 1:
        return Thumbnail(title=title, png=_encoded(_gray_or_rgb(values)))
    values = values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values
    if values.ndim == 2 and values.shape[1] > _SIGNAL:
        return Thumbnail(title=title, png=_encoded(_scaled(values)))
    if values.dtype.kind in "iu" and values.ndim <= 1:
        return Thumbnail(title=title, text=_tokens(values.reshape(-1), words))
    if values.ndim == 2 or values.size >= _LONG:
        return Thumbnail(title=title, channels=_signal(values.reshape(len(values), -1)))
    return Thumbnail(title=title, text=numbers_text(values.reshape(-1)))


def mask_thumbnail(title: str, classes: np.ndarray) -> Thumbnail:
    """Return a picture of class numbers, shape (height, width), a colour each; what is below 0 is black."""
    colours = _PALETTE[np.asarray(classes).astype(np.int64) % len(_PALETTE)]
    return Thumbnail(title=title, png=_encoded(np.where((classes < 0)[..., np.newaxis], np.uint8(0), colours)))


def numbers_text(values: np.ndarray) -> str:
    """Return the first of some numbers as text."""
    shown = ", ".join(f"{value:.4g}" for value in values[:_NUMBERS].tolist())
    return f"{shown}, … ({values.size:,} in all)" if values.size > _NUMBERS else shown


def _text(values: np.ndarray) -> str:
    parts = [each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in values.reshape(-1)]
    text = " ".join(parts)
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"


def _tokens(values: np.ndarray, words: Mapping[int, str] | Sequence[str]) -> str:
    numbers = values.tolist()
    while len(numbers) > 1 and numbers[-1] == 0:  # padding
        numbers.pop()
    known = dict(enumerate(words)) if isinstance(words, Sequence) else words
    return _text(np.array([known.get(number, str(number)) for number in numbers], dtype=object))


def _signal(values: np.ndarray) -> tuple[tuple[float, ...], ...]:
    every = -(-len(values) // _POINTS)
    kept = np.nan_to_num(values[::every, :_CHANNELS].astype(np.float64))
    return tuple(tuple(float(f"{value:.4g}") for value in channel) for channel in kept.T.tolist())


def _gray_or_rgb(values: np.ndarray) -> np.ndarray:
    channels = values.shape[-1]
    if channels in (3, 4):
        return _scaled(values[..., :3])
    return _scaled(values[..., 0] if channels == 1 else values.astype(np.float64).mean(axis=-1))


def _scaled(values: np.ndarray) -> np.ndarray:
    """Return bytes of shape (height, width[, 3]), the least value black and the largest white."""
    small = np.nan_to_num(values[:: _stride(values, 0), :: _stride(values, 1)].astype(np.float64))
    low, high = float(small.min()), float(small.max())
    found: np.ndarray = np.round((small - low) * (255.0 / ((high - low) or 1.0))).astype(np.uint8)
    return found


def _stride(values: np.ndarray, axis: int) -> int:
    """Return every how many-th row or column is kept; both by the longer side, unless the shape is very long."""
    sides = values.shape[:2]
    longest: int = max(sides) if max(sides) < 8 * min(sides) else values.shape[axis]
    return max(1, -(-longest // _SIDE))


def _encoded(pixels: np.ndarray) -> str:
    """Return a PNG of bytes (height, width) or (height, width, 3), as base64."""
    small = pixels[:: _stride(pixels, 0), :: _stride(pixels, 1)]
    return base64.b64encode(png(small)).decode("ascii")


def png(pixels: np.ndarray) -> bytes:
    """Return a PNG file (ISO/IEC 15948) of bytes of shape (height, width), grey, or (height, width, 3), RGB."""
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    rows = np.ascontiguousarray(pixels, np.uint8).reshape(height, -1)
    lines = np.hstack([np.zeros((height, 1), np.uint8), rows])
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
