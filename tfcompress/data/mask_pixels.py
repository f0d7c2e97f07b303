"""The class numbers that a mask's PNG holds: grey values, or places in its palette.

TensorFlow turns a palette into colours, and stretches grey values of less than 8 bits to 0..255. Both keep the numbers
themselves in the same bytes, so that a palette's image is decoded under the header of a grey one (RFC 2083, chapter 4).
"""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO, NamedTuple

import numpy as np

from tfcompress.data import image_header
from tfcompress.data.streams import reason_of

SPARE_BYTES = 16 << 20
"""What a PNG may hold beside its pixels: descriptions, colour profiles."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3
_KINDS = {2: "colours", 4: "grey and transparency", 6: "colours and transparency"}


class MaskHeader(NamedTuple):
    """What a mask says of itself.

    Attributes:
        size: height and width in pixels.
        bits: of a pixel.
        rest: the header's bytes behind these, of which the first says whether it is grey or a palette.
    """

    size: tuple[int, int]
    bits: int
    rest: bytes


def read_header(stream: BinaryIO) -> MaskHeader:
    """Read the header of the PNG in *stream*.

    Raises:
        ValueError: no PNG, too many pixels, or one whose pixels are colours.
    """
    start = stream.read(29)
    if not start.startswith(_SIGNATURE):
        msg = "it is an empty file" if not start else "it is no PNG"
        raise ValueError(msg)
    if len(start) < 29 or start[12:16] != b"IHDR":
        msg = "it is cut short"
        raise ValueError(msg)
    width, height, bits, kind = struct.unpack_from(">IIBB", start, 16)
    if width * height > image_header.PIXELS or not width * height:
        msg = f"it claims {width:,} x {height:,} pixels, from 1 to {image_header.PIXELS:,} are decoded"
        raise ValueError(msg)
    if kind not in (_GREY, _PALETTE):
        msg = f"its pixels are {_KINDS.get(kind, f'of kind {kind}')}, not class numbers: save it grey or with a palette"
        raise ValueError(msg)
    return MaskHeader((height, width), bits, start[25:])


def decoded(stream: BinaryIO) -> np.ndarray:
    """Decode the mask in *stream*.

    Returns:
        Class numbers, shape (height, width), uint8; uint16 of a file of 16 bits.

    Raises:
        ValueError: what :func:`read_header` refuses, and damage.
    """
    import tensorflow as tf

    header = read_header(stream)
    most = 8 * header.size[0] * header.size[1] + SPARE_BYTES
    stream.seek(0)
    content = stream.read(most + 1)
    if len(content) > most:
        msg = f"it has more than {most:,} bytes, which its pixels do not need"
        raise ValueError(msg)
    dtype = tf.uint16 if header.bits == 16 else tf.uint8
    try:
        pixels = tf.io.decode_png(_as_grey(content, header), channels=1, dtype=dtype).numpy()[..., 0]
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise ValueError(reason_of(error)) from error
    steps = 255 // ((1 << header.bits) - 1) if header.bits < 8 else 1
    numbers: np.ndarray = pixels // pixels.dtype.type(steps)
    return numbers


def _as_grey(content: bytes, header: MaskHeader) -> bytes:
    """Return the same pixels under the header of a grey image, without what is no pixel."""
    height, width = header.size
    rest = bytes([_GREY]) + header.rest[1:]
    room = image_header.png_room(width, height, header.bits, _GREY)
    kept = [_SIGNATURE, _chunk(b"IHDR", struct.pack(">IIB", width, height, header.bits) + rest)]
    place = len(_SIGNATURE)
    while place + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        end = place + 12 + length
        if end > len(content):
            msg = "it is cut short"
            raise ValueError(msg)
        if name == b"IDAT":
            kept.append(content[place:end])
            room -= length
        place = end
    if room < 0:
        msg = f"it holds far more than the {width:,} x {height:,} pixels that it claims"
        raise ValueError(msg)
    return b"".join([*kept, _chunk(b"IEND", b"")])


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a mask of another size: each pixel is the one whose centre is nearest.

    Args:
        pixels: shape (rows, columns).
        height: of the result.
        width: of the result.

    Returns:
        Shape (height, width); pixel *i* comes from ``floor((i + 0.5) * rows / height)``, which is where
        ``tf.image.resize`` looks for it.
    """
    places = [
        ((np.arange(wanted) + 0.5) * given / wanted).astype(np.int64)
        for wanted, given in zip((height, width), pixels.shape, strict=True)
    ]
    return np.array(pixels[np.ix_(*places)])
