from __future__ import annotations

import contextlib
import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data_sources.wav_files import chunk, header, pcm, wav, write_wav
from tfcompress.data.wav import CHANNELS, read_format, read_samples


def read(path: Path, most_frames: int = 1_000) -> np.ndarray:
    with path.open("rb") as stream:
        return read_samples(stream, read_format(stream), most_frames)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_pcm_becomes_a_fraction_of_its_range(tmp_path: Path, bits: int) -> None:
    high = 1 << (bits - 1)
    values = np.array([-high, -1, 0, 1, high // 2, high - 1])
    found = read(write_wav(tmp_path / "a.wav", values, bits=bits))
    assert found.dtype == np.float32
    assert np.array_equal(found, (values / high).astype(np.float32))


@pytest.mark.parametrize("bits", [32, 64])
def test_floats_stay_what_they_are(tmp_path: Path, bits: int) -> None:
    values = np.array([-2.5, 0.0, 0.25, 1.0])
    assert read(write_wav(tmp_path / "a.wav", values, bits=bits, floats=True)).tolist() == values.tolist()


def test_channels_become_their_mean(tmp_path: Path) -> None:
    values = np.array([[1000, 3000], [-8000, 8000]])
    assert np.array_equal(read(write_wav(tmp_path / "a.wav", values)), np.float32([2000 / 32768, 0]))


def test_it_reads_what_tensorflow_reads(tmp_path: Path) -> None:
    import tensorflow as tf

    values = np.random.default_rng(0).integers(-(1 << 15), 1 << 15, 500)
    path = write_wav(tmp_path / "a.wav", values)
    assert np.array_equal(read(path), tf.audio.decode_wav(path.read_bytes())[0].numpy()[:, 0])


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_it_reads_what_the_standard_library_writes(tmp_path: Path, width: int) -> None:
    values = np.arange(-60, 60)
    with wave.open(str(tmp_path / "a.wav"), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(width)
        stream.setframerate(16_000)
        stream.writeframes(pcm(values, 8 * width))
    assert np.array_equal(read(tmp_path / "a.wav"), (values / (1 << (8 * width - 1))).astype(np.float32))


def test_only_the_first_frames_are_read(tmp_path: Path) -> None:
    assert len(read(write_wav(tmp_path / "a.wav", np.arange(100)), 7)) == 7


def test_an_extensible_header_and_chunks_between_are_passed_over(tmp_path: Path) -> None:
    guid = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    extensible = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 8_000, 16_000, 2, 16, 22, 16, 4) + guid
    content = wav(
        chunk(b"LIST", b"odd"), chunk(b"fmt ", extensible), chunk(b"fact", b"1234"), chunk(b"data", b"\0\x40")
    )
    (tmp_path / "a.wav").write_bytes(content)
    assert read(tmp_path / "a.wav").tolist() == [0.5]


GOOD = header(1, 1, 8_000, 16)
BAD = {
    "empty": (b"", "it is an empty file"),
    "text": (b"#!/bin/sh\n", "it is no WAV file"),
    "big-endian": (b"RIFX" + bytes(40), "it is no WAV file"),
    "no chunks": (wav(), "it holds no samples"),
    "no samples": (wav(GOOD, chunk(b"data", b"")), "it holds no samples"),
    "half a sample": (wav(GOOD, chunk(b"data", b"\0")), "it holds no samples"),
    "no format": (wav(chunk(b"data", b"\0\0")), "its samples come before its format"),
    "a short format": (wav(chunk(b"fmt ", b"\1\0\1\0")), "its header is cut short"),
    "4 GB of samples": (
        wav(GOOD, chunk(b"data", b"\0\0", 0xFFFFFFF0)),
        "it is cut short: 4,294,967,280 bytes of samples",
    ),
    "a chunk of 4 GB": (wav(chunk(b"junk", b"", 0xFFFFFFF0), GOOD), "it holds no samples"),
    "MP3": (wav(header(85, 1, 8_000, 16)), r"its coding \(format 85 of 16 bits\) is neither PCM"),
    "12 bits": (wav(header(1, 2, 8_000, 12)), r"its coding \(format 1 of 12 bits\)"),
    "0 channels": (wav(header(1, 0, 8_000, 16)), "its header contradicts itself: 0 channels"),
    "a thousand channels": (wav(header(1, CHANNELS + 1, 8_000, 16)), "its header contradicts itself: 257 channels"),
    "0 Hz": (wav(header(1, 1, 0, 16)), "its header contradicts itself: .* at 0 Hz"),
    "many chunks": (wav(*[chunk(b"junk", b"")] * 2_000, GOOD), "it holds no samples"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_recording_is_refused_saying_why(tmp_path: Path, name: str) -> None:
    content, message = BAD[name]
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.wav")


def test_nan_among_floats_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it holds NaN or Inf"):
        read(write_wav(tmp_path / "a.wav", np.array([0, np.nan]), bits=32, floats=True))


def test_a_file_that_shrinks_meanwhile_is_noticed(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", np.arange(100))
    with path.open("rb") as stream:
        found = read_format(stream)
        with pytest.raises(ValueError, match="it was cut short while it was read"):
            read_samples(io.BytesIO(path.read_bytes()[:100]), found, 100)


@given(st.binary(max_size=120), st.booleans())
def test_any_bytes_are_read_or_a_value_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.wav"
    path.write_bytes((b"RIFF\0\0\0\0WAVE" + (GOOD if content[:1] > b"\x80" else b"") if start else b"") + content)
    with contextlib.suppress(ValueError):
        assert np.isfinite(read(path)).all()
