"""edge_runner.package and kernel_stream: what was packed comes out again, and what is damaged is named."""

import hashlib
import lzma
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner import package
from edge_runner.kernel_stream import BOOK_A_CHANNEL, NO_BOOK, ONE_BOOK, KernelCoder, KernelPlan, to_bytes
from edge_runner.package import HEADER, IDENTIFIER, PackageError, unpack
from tfcompress.tflite.kernel_coding import Encoder


@st.composite
def kernels(draw):
    """A plan, and channels that it can tell."""
    book, width = draw(st.sampled_from([NO_BOOK, ONE_BOOK, BOOK_A_CHANNEL])), draw(st.sampled_from([4, 8, 16, 32]))
    width = min(width, 8) if book == NO_BOOK else width
    channels, size = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    values = st.integers(0, (1 << width) - 1)
    if draw(st.booleans()):
        values = st.sampled_from(draw(st.lists(values, min_size=1, max_size=5)))
    rows = draw(st.lists(st.lists(values, min_size=size, max_size=size), min_size=channels, max_size=channels))
    lengths = [len(set(row)) for row in rows] if book == BOOK_A_CHANNEL else [len({v for row in rows for v in row})]
    longest = 0 if book == NO_BOOK else max(lengths)
    return KernelPlan(0, channels * size, channels, width, draw(st.booleans()), book, longest), rows


@given(st.lists(kernels(), min_size=1, max_size=4))
@settings(max_examples=60)
def test_what_was_written_is_read_again(given_kernels):
    from edge_runner.bit_coding import Decoder

    encoder = Encoder()
    writing = KernelCoder(encoder)
    for plan, rows in given_kernels:
        assert plan.problem() == ""
        writing.code(plan, rows)
    reading = KernelCoder(Decoder(encoder.finish()))
    for plan, rows in given_kernels:
        assert reading.code(plan) == rows


def test_signed_bytes_and_halves_of_a_byte_lie_as_in_the_file():
    plan = KernelPlan(0, 4, 2, 8, True, NO_BOOK, 0)
    assert to_bytes(plan, [[0, 128], [255, 127]]) == bytes([0x80, 0x7F, 0x00, 0xFF])  # -128, 127, 0, -1
    halves = KernelPlan(0, 3, 1, 4, False, NO_BOOK, 0)
    assert to_bytes(halves, [[0, 15, 8]]) == bytes([0x78, 0x00])  # -8 below 7; 0 and nothing


def packed(content, codec=package.LZMA, size=None, digest=None):
    stream = lzma.compress(content, format=lzma.FORMAT_RAW, filters=package.lzma_filters(3, 0, 2))
    digest = digest or hashlib.sha256(content).digest()
    return HEADER.pack(IDENTIFIER, codec, len(content) if size is None else size, digest) + bytes([3, 0, 2]) + stream


def test_a_package_gives_its_file_back():
    assert unpack(packed(b"kernel" * 100)) == b"kernel" * 100


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a package"),
        (b"TFL3" * 20, "not a package"),
        (IDENTIFIER, "cut short"),
        (packed(b"a" * 99)[:50], "damaged|cut short"),
        (packed(b"a" * 99, size=98), "damaged"),
        (packed(b"a" * 99, size=1 << 62), "holds 4,611,686,018,427,387,904 bytes, more than"),
        (packed(b"a" * 99, codec=77), "codec 77, which this edge_runner does not know"),
        (packed(b"a" * 99, digest=bytes(32)), "damaged"),
        (HEADER.pack(IDENTIFIER, package.LZMA, 9, bytes(32)) + b"\xff\xff\xff", "damaged: LZMA has no such"),
        (HEADER.pack(IDENTIFIER, package.KERNELS, 9, bytes(32)) + b"\1", "cut short"),
    ],
)
def test_what_is_no_whole_package_is_named(content, said):
    with pytest.raises(PackageError, match=said):
        unpack(content)


def test_a_small_package_of_much_ends_where_it_says():
    bomb = packed(b"\0" * (1 << 22), size=10)
    with pytest.raises(PackageError, match="damaged"):
        unpack(bomb)


def of_kernels(plan, count, size, stream=b"\0" * 20):
    """A package of the code for kernels whose plans are all the same, with nothing between them."""

    def squeezed(plain):
        return (3, 0, 2), lzma.compress(plain, format=lzma.FORMAT_RAW, filters=package.lzma_filters(3, 0, 2))

    payload = package.kernel_payload([plan] * count, b"", squeezed, stream)
    return HEADER.pack(IDENTIFIER, package.KERNELS, size, bytes(32)) + payload


HOSTILE = {
    "elements out of nothing": (KernelPlan(0, 1 << 22, 1, 8, False, NO_BOOK, 0), 1, 1 << 22),
    "many kernels of one element": (KernelPlan(0, 1, 1, 8, False, NO_BOOK, 0), 1 << 18, 1 << 18),
    "a file of a gigabyte": (KernelPlan(1 << 29, 1, 1, 8, False, NO_BOOK, 0), 1, (1 << 29) + 1),
    "a gap beyond the end": (KernelPlan(1 << 60, 1, 1, 8, False, NO_BOOK, 0), 1, 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_small_package_says_of_much_costs_neither_time_nor_memory(name):
    hostile = of_kernels(*HOSTILE[name])
    assert len(hostile) < 10_000
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(PackageError, match="damaged"):
            unpack(hostile)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
        assert time.process_time() - started < 2.0
    finally:
        tracemalloc.stop()
