from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.data import ondisk
from tfcompress.data.ondisk import InMemory, OnDisk, Spool
from tfcompress.errors import DataError


def spooled(array: np.ndarray) -> OnDisk:
    spool = Spool("x")
    spool.append(array)
    return spool.rows(array.shape, array.dtype)


@given(st.lists(st.integers(0, 19), max_size=30), st.sampled_from(["u1", ">i2", "f4", "f8"]))
def test_rows_are_those_of_the_array(rows: list[int], dtype: str) -> None:
    array = np.arange(20 * 6).reshape(20, 2, 3).astype(dtype)
    chosen = np.array(rows, np.int64)
    with pytest.MonkeyPatch.context() as patch:
        small = spooled(array)
        patch.setattr(ondisk, "MAPPED_BYTES", 1)
        large = spooled(array)
    for given_rows in (InMemory(array), small, large):
        taken = given_rows.take(chosen)
        assert taken.dtype == array.dtype
        assert np.array_equal(taken, array[chosen])


def test_taking_rows_copies_them() -> None:
    array = np.zeros(4)
    InMemory(array).take(np.arange(4))[:] = 1
    assert array.sum() == 0


def test_an_array_may_start_at_any_byte() -> None:
    spool = Spool("x")
    spool.append(b"abc")
    spool.append(np.arange(5, dtype=np.float64))
    assert spool.rows((5,), np.dtype("f8"), offset=3).take(np.array([4, 0])).tolist() == [4.0, 0.0]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_arrays_without_elements_can_be_mapped(shape: tuple[int, int]) -> None:
    rows = Spool("x").rows(shape, np.dtype("f4"))
    assert rows.take(np.arange(shape[0])).shape == shape
    assert rows.columns(0, 1).shape == (shape[0], 0)


def test_a_file_that_is_cut_short_while_it_is_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ondisk, "MAPPED_BYTES", 1)
    (tmp_path / "x").write_bytes(bytes(1000))
    with (tmp_path / "x").open("rb") as file:
        rows = OnDisk(file, (10, 100), np.dtype("u1"))
    os.truncate(tmp_path / "x", 950)
    assert rows.take(np.arange(9)).shape == (9, 100)
    with pytest.raises(DataError, match=r"file of an array \(10, 100\) was cut short while it was read; start again"):
        rows.take(np.array([9, 0]))


def test_spooling_more_than_the_disk_holds_is_refused_with_the_mend() -> None:
    with pytest.raises(DataError, match=r"x_train cannot be unpacked into .*bytes needed.*free some space.*TMPDIR"):
        Spool("x_train").reserve(1 << 60)


def test_a_full_disk_is_told_while_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, piece: bytes) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None: ...

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    spool = Spool("x_train")
    with pytest.raises(DataError, match=r"x_train cannot be unpacked into .*No space left on device"):
        spool.append(b"1")


PASS_OVER_FILE = """
import resource, sys
from pathlib import Path
import numpy as np
from tfcompress.data import ondisk, npz
ondisk.MAPPED_BYTES = 4 << 20
member = npz.read_members(Path(sys.argv[1]))["x"]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
total = 0
for rows in (np.arange(member.shape[0]), np.random.default_rng(0).permutation(member.shape[0])):
    for start in range(0, len(rows), 64):
        total += int(member.take(rows[start : start + 64]).sum())
assert total == 2 * int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def grown_kilobytes(path: Path, samples: int) -> int:
    """Return by how much a child's peak memory grows while it reads *path* twice, in order and shuffled."""
    command = [sys.executable, "-c", PASS_OVER_FILE, str(path), str(samples * 8192)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return int(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "compressed"])
def test_memory_stays_flat_when_an_npz_grows_tenfold(tmp_path: Path, *, compressed: bool) -> None:
    save = np.savez_compressed if compressed else np.savez
    grown = []
    for samples in (1_000, 10_000):  # of 8 KiB: 8 and 80 MB
        path = tmp_path / f"{samples}.npz"
        save(path, x=np.ones((samples, 8192), np.uint8))
        grown.append(grown_kilobytes(path, samples))
    assert grown[1] - grown[0] < 16 * 1024, grown
