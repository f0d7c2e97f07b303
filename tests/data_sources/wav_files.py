"""WAV files for tests, written by hand: every coding, and headers that lie."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def pcm(values: np.ndarray, bits: int) -> bytes:
    """Return whole numbers as PCM of so many bits: unsigned for 8, else signed, little-endian."""
    if bits == 8:
        return (values + 128).astype(np.uint8).tobytes()
    if bits == 24:
        return values.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
    return values.astype(f"<i{bits // 8}").tobytes()


def chunk(name: bytes, content: bytes, length: int | None = None) -> bytes:
    """Return a RIFF chunk that claims *length* bytes (None: as many as it has)."""
    return name + struct.pack("<I", len(content) if length is None else length) + content + b"\0" * (len(content) % 2)


def header(coding: int, channels: int, rate_hz: int, bits: int) -> bytes:
    """Return a fmt chunk."""
    block = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", coding, channels, rate_hz, rate_hz * block, block, bits))


def wav(*chunks: bytes) -> bytes:
    """Return a file of chunks."""
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def write_wav(path: Path, values: np.ndarray, *, bits: int = 16, rate_hz: int = 8_000, floats: bool = False) -> Path:
    """Write samples, shape (frames,) or (frames, channels): whole numbers as PCM, or floats."""
    channels = 1 if values.ndim == 1 else values.shape[1]
    content = values.astype(f"<f{bits // 8}").tobytes() if floats else pcm(values.reshape(-1), bits)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav(header(3 if floats else 1, channels, rate_hz, bits), chunk(b"data", content)))
    return path
