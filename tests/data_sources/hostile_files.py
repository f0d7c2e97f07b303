"""Files that mean harm, or are broken as no writer breaks them: a maker each, the words that refuse it, the options."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import wire
from tests.data_sources import wav_files
from tests.data_sources.hostile_kit import Bomb, Hostile, changed, written
from tests.data_sources.hostile_npz import GOOD, NPZ


def png(width: int, height: int, packed: bytes = zlib.compress(bytes(100)), kind: int = 0) -> bytes:
    """Return a PNG that claims a size, and holds nothing or what is *packed*."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + size + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def packed_zeros(megabytes: int) -> bytes:
    """Return so many megabytes of nothing, packed a thousandfold."""
    squeeze = zlib.compressobj(9)
    return b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(megabytes)) + squeeze.flush()


def gif(frames: int, side: int) -> bytes:
    """Return a GIF of many frames of nothing."""
    one = b"," + struct.pack("<4xHHB", side, side, 0) + b"\2\1\0\0"
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + one * frames + b";"


def image(content: bytes, name: str = "0.png") -> Callable[[Path], Path]:
    """Return what makes a folder of one class with an image."""

    def make(folder: Path) -> Path:
        (folder / "set" / "cat").mkdir(parents=True)
        (folder / "set" / "cat" / name).write_bytes(content)
        return folder / "set"

    return make


_BMP = b"BM" + bytes(16) + struct.pack("<iiHH", 60_000, -60_000, 1, 24) + bytes(24)
_RLE = b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 8, 8, 1, 24, 1) + bytes(300)
_JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc2\x00\x11\x08" + struct.pack(">HH", 60_000, 60_000) + bytes(20)
_WEBP = b"RIFF\x30\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\x0f\xff\xff\x0f" + bytes(20)
IMAGES = {
    "a PNG of 60,000 x 60,000": Hostile(image(png(60_000, 60_000)), "claims 60,000 x 60,000 pixels"),
    "a PNG of 20,000 x 20,000": Hostile(image(png(20_000, 20_000)), "claims 20,000 x 20,000 pixels"),
    "a BMP of 60,000 x 60,000": Hostile(image(_BMP, "0.bmp"), "claims 60,000 x 60,000 pixels"),
    "a JPEG of 60,000 x 60,000": Hostile(image(_JPEG, "0.jpg"), "claims 60,000 x 60,000 pixels"),
    "a WebP of 2^20 x 2^20": Hostile(image(_WEBP), "claims 1,048,576 x 1,048,576 pixels"),
    "a GIF of a thousand frames": Hostile(image(gif(1000, 1000)), "1,000 x 1,000 pixels in 1,001 frames"),
    "a PNG of 8 x 8 with 128 MB packed in it": Hostile(
        image(png(8, 8, packed_zeros(128), 2)), "far more than the 8 x 8"
    ),
    "a BMP with a coding of its own": Hostile(image(_RLE, "0.bmp"), "coding of its own"),
    "a PNG of nothing": Hostile(image(png(0, 5)), "cannot be decoded"),
    "a PNG cut in its header": Hostile(image(png(5, 5)[:20]), "it is cut short"),
    "a JPEG without a size": Hostile(image(b"\xff\xd8\xff" + b"\xd0\xff" * 20_000), "without a size|cut short"),
    "a script": Hostile(image(b"#!/bin/sh\ntouch /tmp/x\n"), "it is no PNG, JPEG, BMP, GIF or WebP"),
    "a pickle": Hostile(image(pickle.dumps(Bomb())), "it is no PNG, JPEG, BMP, GIF or WebP"),
    "an empty one": Hostile(image(b""), "it is an empty file"),
}


def sounds(content: bytes) -> Callable[[Path], Path]:
    """Return what makes a folder of two classes with recordings of *content*."""

    def make(folder: Path) -> Path:
        for name in ("no", "yes"):
            (folder / "set" / name).mkdir(parents=True)
            (folder / "set" / name / "0.wav").write_bytes(content)
        return folder / "set"

    return make


_HEAD = wav_files.header(1, 1, 8_000, 16)
RECORDINGS = {
    "4 GB of samples": Hostile(
        sounds(wav_files.wav(_HEAD, wav_files.chunk(b"data", b"\0\0", 0xFFFFFFFE))),
        "it is cut short: 4,294,967,294 bytes",
    ),
    "a chunk of 4 GB": Hostile(sounds(wav_files.wav(wav_files.chunk(b"LIST", b"", 0xFFFFFFFE), _HEAD)), "no samples"),
    "a million chunks": Hostile(
        sounds(wav_files.wav(wav_files.chunk(b"LIST", b"") * 1_000_000, _HEAD)), r"no samples \(no data chunk\)"
    ),
    "65,535 channels": Hostile(
        sounds(wav_files.wav(wav_files.header(1, 4_095, 8_000, 16), wav_files.chunk(b"data", b"\0\0"))),
        "contradicts itself",
    ),
    "a pickle": Hostile(sounds(pickle.dumps(Bomb())), "it is no WAV file"),
    "an empty one": Hostile(sounds(b""), "it is an empty file"),
}


def masks(content: bytes) -> Callable[[Path], Path]:
    """Return what makes a folder of an image and a mask of *content*."""

    def make(folder: Path) -> Path:
        for name, kind in ((png(2, 2), "images"), (content, "masks")):
            (folder / "maps" / kind).mkdir(parents=True)
            (folder / "maps" / kind / "0.png").write_bytes(name)
        return folder / "maps"

    return make


MASKS = {
    "128 MB packed into 8 x 8": Hostile(masks(png(8, 8, packed_zeros(128))), "far more than the 8 x 8"),
    "60,000 x 60,000": Hostile(masks(png(60_000, 60_000)), "claims 60,000 x 60,000 pixels|not class numbers"),
    "a chunk of 4 GB": Hostile(
        masks(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\4\0\0\0\4\b" + bytes(8) + b"\xff\xff\xff\xffIDAT"),
        "it is cut short",
    ),
    "a pickle": Hostile(masks(pickle.dumps(Bomb())), "it is no PNG"),
}

_ROWS = b"a,b,label\n1,2,0\n3,4,1\n"
CSV = {
    "not gzip": Hostile(written("d.csv.gz", _ROWS), "cannot be read as a table"),
    "a cut gzip": Hostile(written("d.csv.gz", gzip.compress(_ROWS * 1000)[:-20]), "cannot be read as a table"),
    "a damaged gzip": Hostile(  # zlib.error is no ValueError
        written("d.csv.gz", gzip.compress(_ROWS)[:12] + b"\xff" * 40), "cannot be read as a table"
    ),
    "a header of 1 GB in a gzip": Hostile(
        written("d.csv.gz", gzip.compress(b"a," * (20 << 20), 1)), "rows of more than"
    ),
    "a million columns": Hostile(written("d.csv", b"a," * 300_000 + b"z\n"), "300,001 columns, at most 200,000"),
    "an Excel file": Hostile(written("d.csv", b"PK\3\4" + bytes(60)), "it is a zip or Excel file"),
    "UTF-16": Hostile(written("d.csv", "a,b\n1,2\n".encode("utf-16")), "it is text in UTF-16"),
    "gzip by another name": Hostile(written("d.csv", gzip.compress(_ROWS)), "it is a gzip file"),
    "an open quote": Hostile(written("d.csv", b'a,b,label\n1,"2,0\n3,4,1\n'), "cannot be read as a table|EOF"),
    "null bytes": Hostile(written("d.csv", b"a,b,label\n1,\0,0\n"), "no value|must hold numbers"),
    "more values than names": Hostile(written("d.csv", b"a,b,label\n1,2,3,0\n"), "more values than there are column"),
    "a row of a million values": Hostile(  # of which pandas would make an index of a million levels
        written("d.csv", b"a,b,label\n" + b"1," * 1_000_000 + b"0\n"), "more values than there are column"
    ),
    "a row of a million values below a long header": Hostile(
        written("d.csv", b"a" * 300_000 + b",b,label\n" + b"1," * 1_000_000 + b"0\n"),
        "more values than there are column",
    ),
    "rows of several lengths": Hostile(written("d.csv", _ROWS + b"1,2,3,4,5\n"), "cannot be read as a table"),
    "only a header": Hostile(written("d.csv", b"a,b,label\n"), "zero samples"),
    "no columns": Hostile(written("d.csv", b"\n\n"), "cannot be read as a table|no columns"),
    "numbers of 400 digits": Hostile(
        written("d.csv", b"a,b,label\n1," + b"9" * 400 + b",0\n"), "holds NaN or Inf|numbers"
    ),
    "a name of commands": Hostile(written("d.csv", b"a,\x1b[2J,label\n1,x,0\n"), r"column '\\x1b\[2J'"),
}


def parquet(**columns: object) -> Callable[[Path], Path]:
    """Return what writes columns as Parquet."""

    def make(folder: Path) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), folder / "d.parquet")
        return folder / "d.parquet"

    return make


def metadata(folder: Path) -> Path:
    """Write Parquet whose pandas metadata says what pyarrow would interpret: names by literal_eval, odd dtypes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"a": [1.0], "b": ["x"], "label": [0]})
    stored = b'{"index_columns": 5, "column_indexes": [{"pandas_type": "pickled", "numpy_type": "O"}], "columns": 3}'
    pq.write_table(table.replace_schema_metadata({b"pandas": stored}), folder / "d.parquet")
    return folder / "d.parquet"


def two_of_one_name(folder: Path) -> Path:
    """Write Parquet with two columns of one name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_arrays([pa.array([1.0])] * 3, names=["a", "a", "label"]), folder / "d.parquet")
    return folder / "d.parquet"


PARQUET = {
    "lists": Hostile(parquet(a=[1.0], b=[[1, 2]], label=[0]), "column 'b' must hold numbers, got list<"),
    "structs": Hostile(parquet(a=[1.0], b=[{"c": 1}], label=[0]), "column 'b' must hold numbers, got struct<"),
    "pickles": Hostile(parquet(a=[1.0], b=[pickle.dumps(Bomb())], label=[0]), "must hold numbers, got binary"),
    "text": Hostile(parquet(a=[1.0], b=["x" * 10_000], label=[0]), "column 'b' must hold numbers, got 'xxx"),
    "pandas metadata": Hostile(metadata, "column 'b' must hold numbers, got 'x'"),
    "two columns of one name": Hostile(two_of_one_name, "two columns 'a'"),
    "no rows": Hostile(parquet(a=np.zeros(0), b=np.zeros(0), label=np.zeros(0)), "zero samples"),
    "no columns": Hostile(parquet(), "no columns"),
    "a cut one": Hostile(
        changed(parquet(a=[1.0], label=[0]), lambda content: content[:-30]), "cannot be read as a table"
    ),
    "a damaged footer": Hostile(
        changed(parquet(a=[1.0], label=[0]), lambda content: content[:-60] + bytes(52) + content[-8:]),
        "cannot be read as a table",
    ),
    "a footer of 4 GB": Hostile(written("d.parquet", b"PAR1" + b"\xff" * 4 + b"PAR1"), "cannot be read as a table"),
}


def records(*bodies: bytes, length: int | None = None) -> Callable[[Path], Path]:
    """Return what writes records, the last with another length than it has."""
    content = b"".join(wire.record(body) for body in bodies[:-1]) + wire.record(bodies[-1], length)
    return written("d.tfrecord", content)


def example(image_bytes: bytes) -> bytes:
    """Return a tf.train.Example with an image."""
    bytes_list = wire.joined([(1, 2, wire.joined([(1, 2, image_bytes)]))])
    entry = wire.joined([(1, 2, b"image"), (2, 2, bytes_list)])
    return wire.joined([(1, 2, wire.joined([(1, 2, entry)]))])


RECORDS = {
    "a length of a terabyte": Hostile(records(example(b"x"), length=1 << 40), "damaged at record 0"),  # SIGSEGV
    "a length of 2^63 - 1": Hostile(records(b"", example(b"x"), length=(1 << 63) - 1), "damaged at record 1"),
    "a length of 2^64 - 1": Hostile(records(example(b"x"), length=(1 << 64) - 1), "damaged at record 0"),
    "a wrong checksum": Hostile(
        changed(records(example(b"x")), lambda content: content[:-1] + b"\0"), "cannot be read on: corrupted record"
    ),
    "no protocol buffer": Hostile(records(b"\xff" * 40), "cannot be read on"),  # UnicodeDecodeError
    "another feature": Hostile(records(example(b"x").replace(b"image", b"imags")), "cannot be read on: .*image"),
    "an image of 60,000 x 60,000": Hostile(records(example(png(60_000, 60_000))), "claims 60,000 x 60,000 pixels"),
    "no image": Hostile(records(example(b"no image")), "it is no PNG, JPEG"),
    "an empty file": Hostile(written("d.tfrecord", b""), "zero samples"),
}


def fifo(name: str) -> Callable[[Path], Path]:
    """Return what makes a pipe that nobody writes to."""

    def make(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return make


def linked(name: str, target: str) -> Callable[[Path], Path]:
    """Return what makes a link."""

    def make(folder: Path) -> Path:
        (folder / name).symlink_to(target)
        return folder / name

    return make


def odd_name(folder: Path) -> Path:
    """Write an honest file whose name is no UTF-8."""
    path = Path(os.fsdecode(os.fsencode(folder) + b"/\xff.npz"))
    path.write_bytes(GOOD(folder).read_bytes())
    return path


def odd_class(folder: Path) -> Path:
    """Write an image into a folder whose name is no UTF-8."""
    place = Path(os.fsdecode(os.fsencode(folder) + b"/set/\xff"))
    place.mkdir(parents=True)
    (place / "0.png").write_bytes(png(2, 2))
    return folder / "set"


def only_pipes(folder: Path) -> Path:
    """Make a class folder that holds a pipe, a link to a device, and a link to itself, all called images."""
    place = folder / "set" / "cat"
    place.mkdir(parents=True)
    os.mkfifo(place / "0.png")
    (place / "1.png").symlink_to("/dev/zero")
    (place / "2.png").symlink_to("2.png")
    (place / "3").symlink_to("..")
    return folder / "set"


PATHS = {
    "a pipe": Hostile(fifo("d.npz"), "neither a file nor a folder"),
    "a pipe called csv": Hostile(fifo("d.csv"), "neither a file nor a folder"),
    "a pipe called tfrecord": Hostile(fifo("d.tfrecord"), "neither a file nor a folder"),
    "an endless device": Hostile(linked("d.csv", "/dev/zero"), "neither a file nor a folder"),
    "a link to itself": Hostile(linked("d.npz", "d.npz"), "does not exist"),
    "a name too long": Hostile(lambda folder: folder / ("x" * 300), "File name too long"),
    "a name of null bytes": Hostile(lambda folder: folder / "a\0b", r"a\\x00b.*does not exist"),
    "a name that is no text": Hostile(odd_name, r"\\xff|\\udcff.*is no UTF-8 text"),
    "a class that is no text": Hostile(odd_class, r"\\udcff.*is no UTF-8 text"),
    "pipes called images": Hostile(only_pipes, "zero images"),
}

TABLE = {
    f"{kind}: {name}": hostile
    for kind, group in {
        "npz": NPZ,
        "images": IMAGES,
        "recordings": RECORDINGS,
        "masks": MASKS,
        "csv": CSV,
        "parquet": PARQUET,
        "tfrecord": RECORDS,
        "path": PATHS,
    }.items()
    for name, hostile in group.items()
}

FEATURES = '[features.image]\nkind = "image"\n'
