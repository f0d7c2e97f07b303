"""WAV files: their header, of which nothing is believed that the file does not bear out, and their samples as numbers.

The format is that of "Multimedia Programming Interface and Data Specifications 1.0" (IBM and Microsoft 1991) with
``WAVE_FORMAT_EXTENSIBLE``: PCM of 8 (unsigned), 16, 24 and 32 bits, and IEEE floats of 32 and 64.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, NamedTuple

import numpy as np

CHUNKS = 1_000
"""Most chunks that are passed over on the way to the samples: an honest file has some tens."""

CHANNELS = 256
"""Most channels: a microphone array has some tens."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_BITS = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}
_GUID = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format's number in the GUID of an extensible header."""


class WavFormat(NamedTuple):
    """What a WAV file holds.

    Attributes:
        rate_hz: frames a second.
        channels: samples a frame.
        floats: whether a sample is an IEEE float; else PCM.
        bits: of a sample.
        start: byte of the first frame.
        frames: how many there are.
    """

    rate_hz: int
    channels: int
    floats: bool
    bits: int
    start: int
    frames: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame."""
        return self.channels * self.bits // 8


def read_format(stream: BinaryIO) -> WavFormat:
    """Read the header of the file in *stream*, a regular one.

    Raises:
        ValueError: no WAV file, a coding other than PCM and floats, cut short, or without samples.
    """
    size = os.fstat(stream.fileno()).st_size
    start = stream.read(12)
    if not start:
        msg = "it is an empty file"
        raise ValueError(msg)
    if start[:4] != b"RIFF" or start[8:12] != b"WAVE":
        msg = "it is no WAV file (RIFF, WAVE)"
        raise ValueError(msg)
    place, found = 12, None
    for _ in range(CHUNKS):
        head = stream.read(8)
        if len(head) < 8:
            break
        name, length = struct.unpack("<4sI", head)
        place += 8
        if name == b"fmt ":
            found = _format(stream.read(min(length, 40)))
        elif name == b"data":
            return _with_samples(found, place, length, size)
        place += length + length % 2
        stream.seek(min(place, size))
    msg = "it holds no samples (no data chunk)"
    raise ValueError(msg)


def _format(content: bytes) -> WavFormat:
    if len(content) < 16:
        msg = "its header is cut short"
        raise ValueError(msg)
    coding, channels, rate_hz, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", content)
    if coding == _EXTENSIBLE and content[26:40] == _GUID:
        (coding,) = struct.unpack_from("<H", content, 24)
    if bits not in _BITS.get(coding, ()):
        msg = (
            f"its coding (format {coding} of {bits} bits) is neither PCM of 8, 16, 24 or 32 bits nor floats; convert it"
        )
        raise ValueError(msg)
    if not 1 <= channels <= CHANNELS or not rate_hz or frame_bytes != channels * bits // 8:
        msg = (
            f"its header contradicts itself: {channels} channels of {bits} bits in {frame_bytes} bytes at {rate_hz} Hz"
        )
        raise ValueError(msg)
    return WavFormat(rate_hz, channels, coding == _FLOAT, bits, 0, 0)


def _with_samples(found: WavFormat | None, place: int, length: int, size: int) -> WavFormat:
    if found is None:
        msg = "its samples come before its format"
        raise ValueError(msg)
    if place + length > size:
        msg = f"it is cut short: {length:,} bytes of samples claimed, {size - place:,} there"
        raise ValueError(msg)
    if length < found.frame_bytes:
        msg = "it holds no samples"
        raise ValueError(msg)
    return found._replace(start=place, frames=length // found.frame_bytes)


def read_samples(stream: BinaryIO, found: WavFormat, most_frames: int) -> np.ndarray:
    """Read the first frames as one channel, the mean of all.

    Args:
        stream: the file.
        found: what :func:`read_format` said of it.
        most_frames: at most so many.

    Returns:
        float32, shape (frames,): PCM in [-1, 1), a whole number divided by 2**(bits - 1); floats as they are.

    Raises:
        ValueError: the file was cut short meanwhile; NaN or Inf among floats.
    """
    frames = min(found.frames, most_frames)
    stream.seek(found.start)
    content = stream.read(frames * found.frame_bytes)
    if len(content) < frames * found.frame_bytes:
        msg = "it was cut short while it was read"
        raise ValueError(msg)
    values = _floats(content, found) if found.floats else _scaled(content, found.bits)
    mono: np.ndarray = values.reshape(frames, found.channels).mean(axis=1, dtype=np.float64).astype(np.float32)
    return mono


def _floats(content: bytes, found: WavFormat) -> np.ndarray:
    values = np.frombuffer(content, f"<f{found.bits // 8}")
    if not np.isfinite(values).all():
        msg = "it holds NaN or Inf"
        raise ValueError(msg)
    return values


def _scaled(content: bytes, bits: int) -> np.ndarray:
    if bits == 8:
        return (np.frombuffer(content, np.uint8) - np.float64(128)) / 128
    if bits == 24:  # as the upper three bytes of 32 bits
        wide = np.zeros((len(content) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        return wide.reshape(-1).view("<i4") / np.float64(1 << 31)
    return np.frombuffer(content, f"<i{bits // 8}") / np.float64(1 << (bits - 1))
