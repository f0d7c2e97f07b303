"""Data files that mean harm: refused by one line, within seconds and little memory, and nothing of theirs is run."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data_sources.hostile_files import FEATURES, TABLE
from tests.data_sources.hostile_kit import Bomb
from tfcompress.data import image_header, memory, npy_header, ondisk, sources, table_files
from tfcompress.data.image_header import pixels
from tfcompress.errors import DataError, TfcompressError
from tfcompress.models.specs import Signature, TensorSpec

PACKAGE = Path(sources.__file__).parents[1]
SECONDS = 20
GROWTH_BYTES = 600 << 20


def read_everything(path: Path) -> None:
    """Read a data set as a command does: open, bind, lint, a batch of each split."""
    image = path.suffix == ".tfrecord" or path.name in ("set", "maps")
    spec = TensorSpec("image", (4, 4, 3), "float32") if image else TensorSpec("v", (2,), "float32")
    features = None
    if path.suffix == ".tfrecord" and path.is_file():
        features = path.with_name("features.toml")
        features.write_text(FEATURES)
    output = TensorSpec("out", (4, 4, 2) if path.name == "maps" else (2,), "float32")
    data = sources.load_data(path, features=features).bind(Signature((spec,), (output,)), holdout=None)
    data.lint()
    for split in data.splits.values():
        next(split.batches(4))


@pytest.mark.parametrize("name", TABLE)
def test_it_is_refused_in_one_line_soon_and_without_much_memory(tmp_path: Path, name: str) -> None:
    path = TABLE[name].make(tmp_path)
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(DataError) as caught:
        read_everything(path)
    message = str(caught.value)
    assert re.search(TABLE[name].says, message)
    assert message.isprintable()
    assert len(message) <= 2_000
    assert time.monotonic() - begin < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < GROWTH_BYTES


def test_folders_nested_deeper_than_python_recurses_are_walked(tmp_path: Path) -> None:
    below = "/".join(["d"] * 1_200)
    subprocess.run(["mkdir", "-p", tmp_path / "set" / "cat" / below], check=True)
    try:
        with pytest.raises(DataError, match="zero images"):
            read_everything(tmp_path / "set")
    finally:  # Python's own removal recurses, too
        subprocess.run(["rm", "-rf", tmp_path / "set"], check=True)


WATCH = """
import json, os, sys, tempfile
from pathlib import Path
from tests.data_sources.hostile_files import GOOD, TABLE
from tests.data_sources.test_hostile_data import read_everything
from tfcompress.errors import DataError
seen, inside, place = [], [], None
RUN = ("exec", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "pickle.find_class", "subprocess.Popen",
       "ctypes.dlopen", "socket.connect", "shutil.rmtree", "os.remove", "os.rename")
def hook(event, args):
    if place is None:
        return
    if event == "open" and isinstance(args[0], (str, bytes)):
        path = os.path.abspath(os.fsdecode(args[0]))
        inside.append(path.startswith(place))
        if not path.startswith((place, "/proc/", "/sys/", *[p for p in sys.path if p])):
            seen.append([event, path, args[1]])
    elif event in RUN:
        what = getattr(args[0], "co_filename", str(args[0]))
        if event != "exec" or not what.startswith((*[p for p in sys.path if p], "<")):
            seen.append([event, what])
def go(name, warm):
    global place
    with tempfile.TemporaryDirectory() as folder:
        path = TABLE[name].make(Path(folder))
        place = None if warm else folder
        try:
            read_everything(path)
        except DataError:
            pass
        finally:
            place = None
sys.addaudithook(hook)
for name in TABLE:
    go(name, True)
for name in TABLE:
    go(name, False)
print(json.dumps([sum(inside), seen]))
"""


@pytest.mark.slow
def test_nothing_outside_is_opened_and_nothing_is_run_or_unpickled() -> None:
    trace = Path("/tmp/tfcompress-was-unpickled")
    trace.unlink(missing_ok=True)
    done = subprocess.run([sys.executable, "-c", WATCH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    inside, seen = json.loads(done.stdout.splitlines()[-1])
    assert inside > len(TABLE)  # the watch sees: every file is opened more than once
    assert [event for event in seen if event[0] != "open"] == []
    # Temporary files have no name: only their folder is opened.
    assert {event[1] for event in seen} <= {"/tmp", os.path.realpath(os.environ.get("TMPDIR", "/tmp")), os.devnull}
    assert not trace.exists()


def test_the_bomb_would_have_left_a_trace(tmp_path: Path) -> None:
    bomb = pickle.dumps(Bomb()).replace(b"/tmp/tfcompress-was-unpickled", b"%029d" % 0)
    subprocess.run([sys.executable, "-c", f"import pickle; pickle.loads({bomb!r})"], cwd=tmp_path, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["0" * 29]


@pytest.mark.parametrize(
    "word", ["allow_pickle", "read_pickle", "pickle.load", "cPickle", "shelve", "import marshal", "dill"]
)
def test_no_module_has_a_word_for_unpickling(word: str) -> None:
    holders = [path.name for path in PACKAGE.rglob("*.py") if word in path.read_text("utf-8")]
    assert holders == []


@given(st.binary(max_size=300))
def test_any_bytes_as_an_array_are_read_or_a_value_error(content: bytes) -> None:
    for start in (b"", b"\x93NUMPY\1\0", b"\x93NUMPY\2\0", b"\x93NUMPY\3\0"):
        try:
            npy_header.read_header(io.BytesIO(start + content))
        except ValueError:
            continue


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["<f4", "O"]),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.fixed_dictionaries({"descr": _PLAIN, "fortran_order": _PLAIN, "shape": _PLAIN}) | _PLAIN)
def test_any_dict_as_a_header_is_read_or_a_value_error(value: Any) -> None:
    try:
        shape, dtype, _ = npy_header.parse_header(repr(value))
    except ValueError:
        return
    assert shape == value["shape"]
    assert dtype == np.dtype(value["descr"])


@given(
    st.sampled_from(["?", "i1", "<u2", ">i4", "<f2", ">f8", "<f16", "<c8", "<U3", "|S5", "|V3", "<M8[ns]", "<m8"]),
    st.lists(st.integers(0, 3), max_size=4),
    st.booleans(),
    st.sampled_from([(1, 0), (2, 0), (3, 0)]),
)
def test_what_numpy_writes_is_read_alike(descr: str, shape: list[int], fortran: bool, version: tuple[int, int]) -> None:
    array = np.zeros(shape, descr, order="F" if fortran else "C")
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version)
    stream.seek(0)
    header = npy_header.read_header(stream)
    assert (header.shape, header.dtype) == (array.shape, array.dtype)
    assert stream.tell() == header.size_bytes
    assert len(stream.read()) == header.wanted_bytes == array.nbytes


def test_a_header_of_python_2_is_read() -> None:
    text = "{'descr': '<i8', 'fortran_order': False, 'shape': (3L, 4L), }"
    assert npy_header.parse_header(text) == ((3, 4), np.dtype("<i8"), False)


@given(st.binary(max_size=200))
def test_any_bytes_as_an_image_have_pixels_or_a_value_error(content: bytes) -> None:
    for start in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"GIF89a", b"RIFF....WEBP", b"RIFF....WEBPVP8L"):
        try:
            assert 0 <= pixels(io.BytesIO(start + content)) <= image_header.PIXELS
        except ValueError:
            continue


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"progressive": True}, {"exif": bytes(9000)}], ids=str)
def test_the_pixels_of_honest_images_are_counted(kind: str, options: dict[str, Any]) -> None:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (31, 17)).save(stream, kind, **options)
    stream.seek(0)
    assert pixels(stream) == 31 * 17 * (2 if kind == "GIF" else 1)  # a GIF's screen, and its one frame


def test_large_images_are_decoded_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    for number in range(5):
        (tmp_path / "set" / "cat").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / "set" / "cat" / f"{number}.png")
    monkeypatch.setattr(image_header, "PIXELS", 40)
    signature = Signature((TensorSpec("image", (4, 4, 3), "float32"),), (TensorSpec("out", (2,), "float32"),))
    sizes: list[int] = []
    table = sources.load_data(tmp_path / "set").splits["all"].fit(signature)
    decode = table._decode  # type: ignore[union-attr]
    monkeypatch.setitem(vars(table), "_decode", lambda paths: sizes.append(len(paths)) or decode(paths))
    x, _, _ = table.read(np.arange(5))  # type: ignore[union-attr]
    assert x[""][:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert sizes == [2, 2, 1]


def test_samples_that_do_not_fit_into_memory_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 100)), y=np.zeros(2))
    monkeypatch.setattr(memory, "UNASKED_BYTES", 1000)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1500)
    rows = sources.load_data(tmp_path / "d.npz").splits["all"].x[""]  # type: ignore[union-attr]
    assert len(rows.take(np.arange(1))) == 1
    with pytest.raises(DataError, match=r"2 samples of shape \(100,\) of float64 take 1,600 bytes .* 1,500 are avail"):
        rows.take(np.arange(2))


def test_what_memory_there_is_is_told() -> None:
    assert 1 << 20 < memory.available_bytes() < 1 << 50


def test_a_spool_leaves_some_of_the_disk_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ondisk.shutil, "disk_usage", lambda _: os.terminal_size((0, 0)) and _Usage(10_000, 3_000))
    monkeypatch.setattr(ondisk, "CHECK_BYTES", 2_000)
    spool = ondisk.Spool("it")
    spool.append(bytes(1_999))  # 3,000 - 10,000 // 10 are free
    with pytest.raises(DataError, match="2,001 bytes needed, 2,000 free"):
        spool.append(bytes(2_001))


class _Usage:
    def __init__(self, total: int, free: int) -> None:
        self.total, self.free = total, free


def test_a_gzip_of_one_endless_row_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    monkeypatch.setattr(table_files, "PIECE_BYTES", 4 << 20)
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(b'a,b,label\n1,"' + b"2\n" * (8 << 20)))
    with pytest.raises(DataError, match="rows of more than 4,194,304 bytes; is a quote left open"):
        read_everything(tmp_path / "d.csv.gz")


def test_the_index_that_pandas_stored_feeds_no_input(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0], "label": ["u", "v", "u"]})
    frame[frame.a > 1].to_parquet(tmp_path / "d.parquet")
    assert table_files.names(tmp_path / "d.parquet") == ("a", "b", "label")
    read_everything(tmp_path / "d.parquet")


def test_a_long_text_that_a_small_parquet_repeats_is_held_once(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 20_000
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 100_000]))
    table = pa.table({"a": np.zeros(rows), "b": np.zeros(rows), "label": texts})
    pq.write_table(table, tmp_path / "d.parquet", store_schema=False)
    assert (tmp_path / "d.parquet").stat().st_size < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signature = Signature((TensorSpec("v", (2,), "float32"),), (TensorSpec("out", (1,), "float32"),))
    data = sources.load_data(tmp_path / "d.parquet")
    assert data.labels == ("x" * 100_000,)
    with pytest.raises(DataError, match="has 1 classes"):
        data.bind(signature, holdout=None)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < GROWTH_BYTES  # of 2 GB


@given(st.text())
def test_every_message_is_one_printable_line(text: str) -> None:
    message = str(TfcompressError(text * 3))
    assert message.isprintable()
    assert len(message) <= 2_000
    assert str(TfcompressError(message)) == message
