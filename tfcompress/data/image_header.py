"""How many pixels an encoded image claims to have, read from its header before anything is decoded.

Formats are those that ``tf.io.decode_image`` knows: PNG (RFC 2083), JPEG (ITU T.81), BMP, GIF 89a and WebP (RFC 9649).
"""

from __future__ import annotations

import struct
from typing import BinaryIO

PIXELS = 100_000_000
"""Most pixels of an image, and of all that are decoded together: a 100-megapixel camera's, 300 MB as RGB."""

SEGMENTS = 10_000
"""Most pieces that are passed over on the way to a size: an honest JPEG has tens, a long animation thousands."""

SPARE = 64 << 10
"""What packing may add to the pixels of a PNG: nothing that counts; a packed bomb is recognized by it."""

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Of a pixel, by the kind of a PNG's colours."""

_BY_MASKS = 3
_MASKS = struct.pack("<3I", 0xFF0000, 0xFF00, 0xFF)
"""Where red, green and blue lie in a BMP's pixels, as TensorFlow has it."""

_NO_SIZE = frozenset((0xC4, 0xC8, 0xCC))
"""Of the markers 0xC0 to 0xCF, which begin a frame, those that do not."""


def pixels(stream: BinaryIO) -> int:
    """Return the pixels of the image in *stream*, of an animated GIF those of all its frames.

    Raises:
        ValueError: none of the formats, cut short within its header, or more than :data:`PIXELS`.
    """
    return sum(width * height for width, height in _checked(stream))


def claimed_size(stream: BinaryIO) -> tuple[int, int]:
    """Return the height and width of the image in *stream*, of an animated GIF those of all its frames together.

    Raises:
        ValueError: what :func:`pixels` refuses.
    """
    width, height = _checked(stream)[0]
    return height, width


def _checked(stream: BinaryIO) -> list[tuple[int, int]]:
    """Return the widths and heights in *stream*, an animated GIF's own before those of its frames."""
    start = stream.read(30)
    try:
        sizes = _sizes(start, stream)
    except (struct.error, IndexError) as error:
        msg = "it is cut short"
        raise ValueError(msg) from error
    total = sum(width * height for width, height in sizes)
    if total > PIXELS:
        width, height = sizes[0]
        frames = f" in {len(sizes):,} frames" if len(sizes) > 1 else ""
        msg = f"it claims {width:,} x {height:,} pixels{frames}, at most {PIXELS:,} are decoded"
        raise ValueError(msg)
    return sizes


def _sizes(start: bytes, stream: BinaryIO) -> list[tuple[int, int]]:
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return [_png(start, stream)]
    if start.startswith(b"\xff\xd8\xff"):
        return [_jpeg(stream)]
    if start.startswith(b"BM"):
        return [_bmp(stream)]
    if start.startswith((b"GIF87a", b"GIF89a")):
        return _gif(start, stream)
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return [_webp(start)]
    msg = "it is an empty file" if not start else "it is no PNG, JPEG, BMP, GIF or WebP"
    raise ValueError(msg)


def png_room(width: int, height: int, bits: int, kind: int) -> int:
    """Return the most bytes that a PNG's packed pixels can need: more would be unpacked for hours, for nothing.

    Args:
        width: in pixels.
        height: in pixels.
        bits: of a sample.
        kind: of the colours, as the header says.
    """
    return 2 * height * (1 + (width * bits * _SAMPLES.get(kind, 4) + 7) // 8) + SPARE


def _png(start: bytes, stream: BinaryIO) -> tuple[int, int]:
    width, height, bits, kind = struct.unpack_from(">IIBB", start, 16)
    room, packed, place = png_room(width, height, bits, kind), 0, 8
    end = stream.seek(0, 2)
    if end <= room:
        return width, height
    for _ in range(SEGMENTS):
        stream.seek(place)
        piece = stream.read(8)
        if len(piece) < 8:
            return width, height
        length, name = struct.unpack(">I4s", piece)
        packed += length if name == b"IDAT" else 0
        if packed > room:
            msg = f"it holds far more than the {width:,} x {height:,} pixels that it claims"
            raise ValueError(msg)
        place += 12 + length
    msg = f"it is a PNG of more than {SEGMENTS:,} pieces"
    raise ValueError(msg)


def _bmp(stream: BinaryIO) -> tuple[int, int]:
    """Read a BMP's size; TensorFlow takes its pixels as they lie, whatever the header says of coding and palette."""
    stream.seek(14)
    length, width, height, bits, coding, colours = struct.unpack("<Iii2xHI12xI4x", stream.read(40))
    rest = stream.read(12) if coding == _BY_MASKS else b""
    plain = coding == 0 or rest == _MASKS
    if bits == 8 and plain:
        stream.seek(14 + length)
        palette = stream.read(4 * min(colours or 256, 256))
        plain = all(palette[place::4] == bytes(range(len(palette) // 4)) for place in range(3))
    if bits not in (8, 24, 32) or not plain:
        msg = f"it is a BMP of {bits} bits a pixel with a palette or a coding of its own; save it as a PNG"
        raise ValueError(msg)
    return abs(width), abs(height)


def _jpeg(stream: BinaryIO) -> tuple[int, int]:
    stream.seek(2)
    for _ in range(SEGMENTS):
        marker = _marker(stream)
        if marker in (0x01, 0xD8) or 0xD0 <= marker <= 0xD7:
            continue
        (length,) = struct.unpack(">H", stream.read(2))
        if 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            height, width = struct.unpack(">xHH", stream.read(5))
            return width, height
        stream.seek(max(length - 2, 0), 1)
    msg = "it is a JPEG without a size"
    raise ValueError(msg)


def _marker(stream: BinaryIO) -> int:
    """Return the next marker's number; before it may come anything, as decoders let pass, then 0xFF once or more."""
    for _ in range(1 << 16):
        (byte,) = struct.unpack("B", stream.read(1))
        if byte != 0xFF:
            continue
        while byte == 0xFF:
            (byte,) = struct.unpack("B", stream.read(1))
        if byte:
            return int(byte)
    msg = "it is a JPEG without a size"
    raise ValueError(msg)


def _gif(start: bytes, stream: BinaryIO) -> list[tuple[int, int]]:
    sizes = [struct.unpack_from("<HH", start, 6)]
    stream.seek(13 + _colours(start[10]))
    for _ in range(SEGMENTS):
        kind = stream.read(1)
        if kind == b"!":
            stream.seek(1, 1)
        elif kind == b",":
            width, height, flags = struct.unpack("<4xHHB", stream.read(9))
            sizes.append((width, height))
            stream.seek(_colours(flags) + 1, 1)
        else:
            break
        while length := stream.read(1):
            if length == b"\0":
                break
            stream.seek(length[0], 1)
    else:
        msg = f"it is a GIF of more than {SEGMENTS:,} blocks"
        raise ValueError(msg)
    return sizes


def _colours(flags: int) -> int:
    return 3 << (flags % 8 + 1) if flags & 0x80 else 0


def _webp(start: bytes) -> tuple[int, int]:
    kind = start[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(start[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", start, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", start, 26)
    return width & 0x3FFF, height & 0x3FFF
