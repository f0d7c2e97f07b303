"""Packages (``.tfz``) of ``.tflite`` files: the same file in fewer bytes for a download.

Several codecs are tried, and the smallest of those that edge_runner undoes with Python's standard library alone is
kept. Others that people use are measured beside them where they are installed.
"""

from __future__ import annotations

import bz2
import hashlib
import importlib
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_runner.graph import read_graph
from edge_runner.package import (
    HEADER,
    KERNELS,
    LZMA,
    MOST_BYTES,
    MOST_ELEMENTS_A_BYTE,
    MOST_RATIO,
    STORED,
    PackageError,
    kernel_payload,
    lzma_filters,
    unpack,
)
from edge_runner.unpacking import IDENTIFIER, is_package
from tfcompress.errors import ModelError
from tfcompress.progress import SILENT, Progress
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.kernel_coding import kernel_bits, planned_kernels

__all__ = ["Package", "file_content", "make_package", "open_package", "other_codecs", "read_package"]

_PROPERTIES = ((0, 2, 2), (3, 0, 0), (3, 0, 2), (0, 0, 0), (0, 4, 2), (2, 2, 2))
"""lc, lp and pb of LZMA that are tried: bytes by what is before them, or by their place in a word."""


@dataclass(frozen=True)
class Package:
    """A package, and what the codecs came to.

    Attributes:
        content: the package's bytes.
        codec: name of the codec that was kept.
        raw_bytes: size of the file in it.
        codec_bytes: size by codec of what was tried for it.
    """

    content: bytes
    codec: str
    raw_bytes: int
    codec_bytes: dict[str, int]


def make_package(content: bytes, progress: Progress = SILENT) -> Package:
    """Pack a ``.tflite`` file.

    Args:
        content: the file.
        progress: where progress goes.

    Raises:
        ModelError: not a TFLite file, a malformed one, or a larger one than a package may hold.
    """
    if is_package(content):
        msg = "this is a package already; `tfcompress unpack` gives the file in it"
        raise ModelError(msg)
    if len(content) > MOST_BYTES:
        msg = f"a package holds files up to {MOST_BYTES:,} bytes, and this one has {len(content):,}"
        raise ModelError(msg)
    read_model_file(content)  # what is no model is not packed
    header = (len(content), hashlib.sha256(content).digest())
    made: dict[str, bytes] = {}
    with progress.task("packing", len(_OURS)) as task:
        for name, (number, codec) in _OURS.items():
            task.describe(name)
            payload = codec(content)
            if payload is not None and len(content) <= MOST_RATIO * len(payload):
                made[name] = HEADER.pack(IDENTIFIER, number, *header) + payload
            task.advance()
    best = min(made, key=lambda name: len(made[name]))
    if unpack(made[best]) != content:
        msg = f"the package by {best} does not give the file back"
        raise AssertionError(msg)
    return Package(
        content=made[best],
        codec=best,
        raw_bytes=len(content),
        codec_bytes={name: len(made[name]) for name in made},
    )


def file_content(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        ModelError: it is not there, or cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            msg = f"{path} is no plain file; give a .tflite or .tfz file"
            raise ModelError(msg)
        return path.read_bytes()
    except OSError as error:
        msg = f"cannot read {str(path)!r}: {error.strerror or error}"
        raise ModelError(msg) from error


def read_package(path: Path) -> bytes:
    """Return the bytes of a package.

    Raises:
        ModelError: what :func:`file_content` refuses, and a file of another kind.
    """
    content = file_content(path)
    if not is_package(content):
        msg = f"{path} is no package: `tfcompress pack` writes those, and unpack reads nothing else"
        raise ModelError(msg)
    return content


def open_package(content: bytes) -> bytes:
    """Return the file in a package.

    Raises:
        ModelError: it is no package, or a damaged one.
    """
    try:
        return unpack(content)
    except PackageError as error:
        msg = f"{error}; fetch the file again, or pack it again"
        raise ModelError(msg) from error


def _as_stored(content: bytes) -> bytes:
    return content


def _by_lzma(content: bytes) -> bytes:
    properties, packed = _squeezed(content)
    return bytes(properties) + packed


def _by_kernels(content: bytes) -> bytes | None:
    planned = planned_kernels(read_graph(content), content)
    if not planned:
        return None
    pieces, end = [], 0
    for each in planned:
        pieces.append(content[end : each.start])
        end = each.start + each.plan.size_bytes
    rest = b"".join((*pieces, content[end:]))
    made = kernel_payload([each.plan for each in planned], rest, _squeezed, kernel_bits(planned))
    elements = sum(each.plan.elements for each in planned)
    return made if elements <= MOST_ELEMENTS_A_BYTE * len(made) else None


def _squeezed(content: bytes) -> tuple[tuple[int, int, int], bytes]:
    """Return the smallest raw LZMA stream of several, and its lc, lp and pb."""
    most = lzma.PRESET_EXTREME | 9
    reach = max(1 << 12, min(1 << 24, 1 << len(content).bit_length()))  # a longer one costs time, and finds nothing
    made = {}
    for properties in _PROPERTIES:
        (known,) = lzma_filters(*properties)
        squeeze = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[{**known, "preset": most, "dict_size": reach}])
        made[properties] = squeeze.compress(content) + squeeze.flush()
    return min(made.items(), key=lambda item: len(item[1]))


def other_codecs(content: bytes) -> dict[str, int | None]:
    """Return the bytes that codecs which packages do not use would make of a file; None: it is not installed here."""
    found: dict[str, int | None] = {"gzip": len(zlib.compress(content, 9)) + 12, "bz2": len(bz2.compress(content, 9))}
    for name, module, squeeze in _FOREIGN:
        try:
            found[name] = len(squeeze(importlib.import_module(module), content))
        except ImportError:
            found[name] = None
    return found


_OURS: dict[str, tuple[int, Callable[[bytes], bytes | None]]] = {
    "stored": (STORED, _as_stored),
    "lzma": (LZMA, _by_lzma),
    "kernels": (KERNELS, _by_kernels),
}
_FOREIGN: tuple[tuple[str, str, Callable[..., bytes]], ...] = (
    ("brotli", "brotli", lambda brotli, content: brotli.compress(content, quality=11)),
    ("zstd", "zstandard", lambda zstandard, content: zstandard.ZstdCompressor(level=22).compress(content)),
)
