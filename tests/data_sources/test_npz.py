from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfcompress.data import npz
from tfcompress.data.npz import read_members
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError


@given(
    array=hnp.arrays(st.sampled_from(["u1", "i8", "f4", ">f8"]), hnp.array_shapes(min_dims=1, max_dims=4, max_side=5)),
    fortran=st.booleans(),
    compressed=st.booleans(),
)
def test_members_hold_what_was_saved(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, *, fortran: bool, compressed: bool
) -> None:
    path = tmp_path_factory.mktemp("npz") / "data.npz"
    (np.savez_compressed if compressed else np.savez)(path, x=np.asfortranarray(array) if fortran else array)
    member = read_members(path)["x"]
    assert (member.shape, member.dtype) == (array.shape, array.dtype)
    taken = member.take(np.arange(len(array))[::-1])
    assert taken.tobytes() == np.ascontiguousarray(array[::-1]).tobytes()


def test_a_large_array_in_fortran_order_is_turned_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "BLOCK_BYTES", 8)
    array = np.arange(60).reshape(10, 2, 3)
    np.savez(tmp_path / "d.npz", x=np.asfortranarray(array))
    assert np.array_equal(read_members(tmp_path / "d.npz")["x"].take(np.array([9, 0, 3])), array[[9, 0, 3]])


def test_text_names_the_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones(2), labels=np.array(["cat", "dog"]))
    assert load_data(tmp_path / "d.npz").labels == ("cat", "dog")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.npz").touch()
    with pytest.raises(DataError, match=r"d\.npz' is an empty file"):
        read_members(tmp_path / "d.npz")


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.npz").write_bytes(b"\xff\xd8\xff\xe0 a photograph")
    with pytest.raises(DataError, match=r"d\.npz' is not an \.npz file .*write it with numpy\.savez"):
        read_members(tmp_path / "d.npz")


def test_a_zip_without_arrays_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("readme.txt", "no arrays")
    with pytest.raises(DataError, match="is a zip file without arrays"):
        read_members(tmp_path / "d.npz")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones((100, 100)), y=np.zeros(100))
    content = (tmp_path / "d.npz").read_bytes()
    (tmp_path / "d.npz").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match="is cut short or damaged"):
        read_members(tmp_path / "d.npz")


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"x holds Python objects \(a pickle\), which tfcompress never unpickles"):
        read_members(tmp_path / "d.npz")


def _with_member(path: Path, content: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x.npy", content)


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not an array", "magic string"),
        (_npy(np.ones(10))[:-8], r"shape \(10,\) of float64 needs 80 bytes, it holds 72"),
        (_npy(np.ones(10)).replace(b"(10,)", b"(-1,)"), r"shape \(-1,\)"),
        (_npy(np.zeros(2, [("a", "f4")])), "records of named fields"),
        (b"\x93NUMPY\x09\x00" + b" " * 200, r"\(9, 0\)"),
    ],
    ids=["no npy", "short", "negative", "fields", "newer"],
)
def test_a_damaged_member_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    _with_member(tmp_path / "d.npz", content)
    with pytest.raises(DataError, match=f"x is damaged or cut short .*{reason}"):
        read_members(tmp_path / "d.npz")


def test_damaged_compression_is_told_when_the_rows_are_read(tmp_path: Path) -> None:
    _with_member(tmp_path / "d.npz", _npy(np.random.default_rng(0).random(5000)), zipfile.ZIP_DEFLATED)
    content = bytearray((tmp_path / "d.npz").read_bytes())
    content[20_000:20_100] = bytes(100)
    (tmp_path / "d.npz").write_bytes(content)
    member = read_members(tmp_path / "d.npz")["x"]
    with pytest.raises(DataError, match="x is damaged or cut short"):
        member.take(np.arange(1))


def test_a_file_that_shrinks_after_it_was_opened_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones(1000))
    member = read_members(tmp_path / "d.npz")["x"]
    content = (tmp_path / "d.npz").read_bytes()
    (tmp_path / "d.npz").write_bytes(content[:2000])
    with pytest.raises(DataError, match="the file ends too early"):
        member.take(np.arange(1))
