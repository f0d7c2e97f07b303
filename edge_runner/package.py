"""A package (``.tfz``): a ``.tflite`` file in fewer bytes for the way to the device, and back, byte by byte the same.

It starts with ``TFZ1``, one byte for the codec, the size of the file in it (8 bytes, little-endian) and the file's
sha256; the codec's own bytes follow. Nothing that it says of sizes is believed: whatever comes out is counted, and what
is too much, too little, or another file ends in :class:`PackageError`.
"""

from __future__ import annotations

import hashlib
import lzma
import struct
from collections.abc import Callable

from edge_runner.bit_coding import Decoder
from edge_runner.cursor import ModelFileError
from edge_runner.kernel_stream import KernelCoder, KernelPlan, to_bytes
from edge_runner.unpacking import IDENTIFIER, is_package

HEADER = struct.Struct("<4sBQ32s")
MOST_BYTES = 1 << 30
"""The largest file that a package may hold."""
MOST_RATIO = 1000
"""Of the file's size to the package's: what is said to become more is no model, and would fill the memory."""
MOST_ELEMENTS = 1 << 23
"""Of kernels whose values are encoded one by one; reading them takes a microsecond or a few for each bit."""
MOST_ELEMENTS_A_BYTE = 64
"""Of the same for each byte of the package, so that what is small is read soon; LZMA makes less of such kernels."""
MOST_KERNELS = 1 << 16
"""That are encoded so."""
_PLAN = struct.Struct("<QIIBBBH")
_PROPERTIES = struct.Struct("<BBBQQI")  # of the rest: LZMA's lc, lp, pb, its size, its size packed; how many kernels
_DICTIONARY_BYTES = 1 << 24


class PackageError(ModelFileError):
    """The bytes are no whole package, or not a sound one; the message says what is wrong with them."""


def codec_of(content: bytes) -> str:
    """Return the name of the codec that made a package."""
    return _NAMES[content[len(IDENTIFIER)]]


def unpack(content: bytes) -> bytes:
    """Return the file in a package.

    Args:
        content: the whole package.

    Raises:
        PackageError: it is cut short, scrambled, or something else.
    """
    if len(content) < HEADER.size or not is_package(content):
        msg = "not a package: it does not start as one" if not is_package(content) else "the package is cut short"
        raise PackageError(msg)
    _, codec, size, digest = HEADER.unpack_from(content)
    if codec not in CODECS:
        msg = f"the package was made by codec {codec}, which this edge_runner does not know; take a newer one"
        raise PackageError(msg)
    if size > MOST_BYTES:
        msg = f"the package says that it holds {size:,} bytes, more than {MOST_BYTES:,}"
        raise PackageError(msg)
    if size > MOST_RATIO * len(content):
        msg = f"the package is damaged: in {len(content):,} bytes it says that it holds {size:,}"
        raise PackageError(msg)
    found = CODECS[codec](content[HEADER.size :], size)
    if len(found) != size or hashlib.sha256(found).digest() != digest:
        msg = "the package is damaged: what it holds is not the file that was packed"
        raise PackageError(msg)
    return found


def lzma_filters(lc: int, lp: int, pb: int) -> list[dict[str, int]]:
    """Return the filters of a raw LZMA stream."""
    return [{"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": _DICTIONARY_BYTES}]


def _inflated(packed: bytes, properties: tuple[int, int, int], size: int) -> bytes:
    """Return what a raw LZMA stream holds: so many bytes, and no more whatever comes."""
    lc, lp, pb = properties
    if lc + lp > 4 or pb > 4:
        msg = "the package is damaged: LZMA has no such properties"
        raise PackageError(msg)
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=lzma_filters(lc, lp, pb)).decompress(packed, size)
    except (lzma.LZMAError, EOFError) as error:
        msg = f"the package is damaged: {error}"
        raise PackageError(msg) from error


def _stored(payload: bytes, size: int) -> bytes:
    return payload[:size]


def _lzma(payload: bytes, size: int) -> bytes:
    if len(payload) < 3:
        msg = "the package is cut short"
        raise PackageError(msg)
    return _inflated(payload[3:], (payload[0], payload[1], payload[2]), size)


def _kernels(payload: bytes, size: int) -> bytes:
    """Read kernels as a stream of bits, and what lies between them by LZMA."""
    if len(payload) < _PROPERTIES.size:
        msg = "the package is cut short"
        raise PackageError(msg)
    *properties, rest_size, packed_size, count = _PROPERTIES.unpack_from(payload)
    plan_size = count * _PLAN.size
    if rest_size > size or count > MOST_KERNELS or packed_size > len(payload):
        msg = "the package is damaged: its parts are larger than the whole"
        raise PackageError(msg)
    start = _PROPERTIES.size
    plain = _inflated(payload[start : start + packed_size], tuple(properties), plan_size + rest_size)
    if len(plain) != plan_size + rest_size:
        msg = "the package is cut short"
        raise PackageError(msg)
    plans = [_plan(plain, place * _PLAN.size) for place in range(count)]
    elements = sum(plan.elements for plan in plans)
    most = min(MOST_ELEMENTS, MOST_ELEMENTS_A_BYTE * len(payload))
    if sum(plan.size_bytes for plan in plans) + rest_size != size or elements > most:
        msg = "the package is damaged: its parts do not make up the whole"
        raise PackageError(msg)
    coder = KernelCoder(Decoder(payload[start + packed_size :]))
    pieces, place = [], plan_size
    for plan in plans:
        pieces += [plain[place : place + plan.gap], to_bytes(plan, coder.code(plan))]
        place += plan.gap
    return b"".join((*pieces, plain[place:]))


def _plan(plain: bytes, place: int) -> KernelPlan:
    gap, elements, channels, width, interleaved, book, longest = _PLAN.unpack_from(plain, place)
    plan = KernelPlan(gap, elements, channels, width, bool(interleaved), book, longest)
    problem = plan.problem()
    if problem:
        msg = f"the package is damaged: {problem}"
        raise PackageError(msg)
    return plan


STORED, LZMA, KERNELS = range(3)
CODECS: dict[int, Callable[[bytes, int], bytes]] = {STORED: _stored, LZMA: _lzma, KERNELS: _kernels}
"""Every codec by its number: from its own bytes and the size of the file to the file."""
_NAMES = {STORED: "stored", LZMA: "lzma", KERNELS: "kernels"}


def kernel_payload(
    plans: list[KernelPlan], rest: bytes, squeeze: Callable[[bytes], tuple[tuple[int, int, int], bytes]], stream: bytes
) -> bytes:
    """Return the bytes of the codec :data:`KERNELS`.

    Args:
        plans: of the kernels, in the order of the file.
        rest: what lies between them.
        squeeze: returns LZMA's properties and the raw stream.
        stream: the kernels' bits.
    """
    plain = b"".join(_PLAN.pack(*plan) for plan in plans) + rest
    properties, packed = squeeze(plain)
    return _PROPERTIES.pack(*properties, len(rest), len(packed), len(plans)) + packed + stream
