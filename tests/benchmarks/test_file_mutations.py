"""Broken files through the entry points of tfcompress, and the counting of what became of them."""

from __future__ import annotations

import random
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks import file_mutants, file_mutations, wire
from tests.data_sources.wav_files import write_wav


@pytest.fixture
def origins(tmp_path: Path) -> Path:
    (tmp_path / "npz").mkdir()
    np.savez(tmp_path / "npz" / "d.npz", x=np.arange(200.0))
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "d.csv").write_text("a,b,label\n" + "1,2,0\n" * 50)
    return tmp_path


@pytest.mark.slow
def test_broken_data_files_load_or_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [
        "file_mutations",
        "--count",
        "42",
        "--seed",
        "3",
        "--parallel",
        "1",
        "--kind",
        "npz,csv,parquet,tfrecord,images,recordings,masks",
    ]
    monkeypatch.setattr(sys, "argv", words)
    assert file_mutations.main() == 0


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_the_same_seed_breaks_the_same_way(origins: Path, tmp_path: Path, kind: str) -> None:
    made: list[list[bytes]] = []
    for turn, seed in enumerate((0, 0, 1)):
        made.append([])
        for number in range(6):
            folder = tmp_path / f"{turn}-{number}"
            folder.mkdir()
            damage, path = file_mutants.mutant(origins, kind, number, seed, folder)
            assert damage == f"{kind} {list(file_mutants.KINDS[kind])[number % len(file_mutants.KINDS[kind])]}"
            made[-1].append(path.read_bytes())
    assert made[0] == made[1] != made[2]


def test_a_broken_header_lies_in_a_zip_that_is_whole(origins: Path) -> None:
    content = (origins / "npz" / "d.npz").read_bytes()
    changed = 0
    for seed in range(30):
        broken = file_mutants.KINDS["npz"]["headers"](content, random.Random(seed))
        path = origins / "broken.npz"
        path.write_bytes(broken)
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            changed += archive.read("x.npy")[:128] != content[content.index(b"\x93NUMPY") :][:128]
    assert changed >= 25


def test_a_broken_recording_is_still_chunks_in_a_whole_of_the_right_length(tmp_path: Path) -> None:
    content = write_wav(tmp_path / "a.wav", np.linspace(-0.5, 0.5, 40)).read_bytes()
    broken = [file_mutants.by_chunks(content, random.Random(seed)) for seed in range(60)]
    assert len(set(broken)) > 30
    for each in broken:
        assert (each[:4], each[8:12]) == (b"RIFF", b"WAVE")
        assert struct.unpack_from("<I", each, 4)[0] == len(each) - 8


def test_json_is_broken_and_still_json() -> None:
    content = b'{"class_name": "Dense", "config": {"units": 3, "name": "out", "axes": [1, 2]}}'
    broken = {file_mutants.by_json(content, random.Random(seed)) for seed in range(40)}
    assert len(broken) > 30


def test_a_message_is_broken_and_its_lengths_are_right() -> None:
    content = wire.joined([(1, 2, wire.joined([(1, 0, wire.varint(7)), (2, 2, b"text")])), (3, 5, bytes(4))])
    assert wire.joined(wire.fields(content) or []) == content
    broken = {wire.damaged(content, random.Random(seed)) for seed in range(40)}
    assert len(broken) > 15
    assert sum(wire.fields(each) is not None for each in broken) == len(broken)


def test_the_checksum_is_that_of_tfrecord() -> None:
    # CRC-32C of "123456789" is 0xE3069283 (RFC 3720); masked: rotated right by 15, 0xA282EAD8 added.
    crc = 0xE3069283
    assert wire.masked_crc(b"123456789") == struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % (1 << 32))


def test_what_neither_loads_nor_is_refused_is_told() -> None:
    counts = file_mutations.Counts()
    counts.add("npz bytes", 0, {"outcome": "loaded", "message": "", "seconds": 0.1})
    counts.add("npz bytes", 1, {"outcome": "DataError", "message": "data 'a.npz' has 7 bytes", "seconds": 0.5})
    counts.add("csv cells", 2, {"outcome": "bug", "message": "KeyError: 1", "seconds": 0.2})
    assert counts.bad == ["bug: csv cells 2: KeyError: 1"]
    assert counts.longest_seconds == 0.5
    assert dict(counts.reasons) == {"data … has … bytes": 1}
    head, csv, npz, total = file_mutations.table(counts).splitlines()
    assert head.split() == ["DataError", "loaded", "bug", "hang", "crash", "memory"]
    assert csv.split() == ["csv", "cells", "0", "0", "1", "0", "0", "0"]
    assert npz.split() == ["npz", "bytes", "1", "1", "0", "0", "0", "0"]
    assert total.split() == ["all", "1", "1", "1", "0", "0", "0"]


@pytest.mark.slow
def test_a_process_that_hangs_or_dies_is_counted_and_replaced(tmp_path: Path) -> None:
    worker = file_mutations.Worker(tmp_path)
    assert worker.ask("npz", tmp_path / "absent", tmp_path, 60)["outcome"] == "DataError"
    worker.process.kill()
    worker.process.wait()
    assert worker.spent
    worker.end()
    hung = file_mutations.Worker(tmp_path)
    assert hung.ask("npz", tmp_path / "absent", tmp_path, 0.0)["outcome"] == "hang"
    assert hung.spent
