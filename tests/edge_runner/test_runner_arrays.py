import mmap
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner.arrays import ArrayError, open_arrays, open_npy, open_npz


def test_stored_arrays_are_mapped_and_equal(tmp_path):
    arrays = {
        "x.image": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "f": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "y": np.array([1, 2], np.uint8),
    }
    np.savez(tmp_path / "d.npz", **arrays)
    read = open_npz(tmp_path / "d.npz")
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert isinstance(read[name].base, mmap.mmap)
        np.testing.assert_array_equal(read[name], array)


def test_compressed_arrays_are_read_too(tmp_path):
    np.savez_compressed(tmp_path / "d.npz", x=np.arange(1000))
    np.testing.assert_array_equal(open_npz(tmp_path / "d.npz")["x"], np.arange(1000))


def test_a_broken_compressed_member_is_refused(tmp_path):
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).random(1000))
    content = bytearray(path.read_bytes())
    content[100:200] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(ArrayError, match=r"cannot be read as .npz"):
        open_npz(path)


def test_an_empty_array_is_an_array(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.empty((0, 3)))
    assert open_npz(tmp_path / "d.npz")["x"].shape == (0, 3)


@settings(max_examples=20, deadline=None)
@given(shape=st.lists(st.integers(1, 5), max_size=3), dtype=st.sampled_from(["f2", "<f4", ">f8", "i1", "u2", "?"]))
def test_any_numeric_array_comes_back(tmp_path_factory, shape, dtype):
    path = tmp_path_factory.mktemp("npz") / "d.npz"
    array = np.ones(shape, dtype)
    np.savez(path, a=array)
    read = open_npz(path)["a"]
    assert (read.shape, read.dtype) == (array.shape, array.dtype)
    np.testing.assert_array_equal(read, array)


def test_what_a_process_does_not_touch_takes_no_memory(tmp_path):
    np.savez(tmp_path / "big.npz", x=np.zeros(40_000_000, np.uint8))
    code = (
        "import resource, sys, pathlib, edge_runner.arrays as a\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "x = a.open_npz(pathlib.Path(sys.argv[1]))['x']; x[:1000].sum()\n"
        "print(x.size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "big.npz")]
    size, grown_kb = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(size) == 40_000_000
    assert int(grown_kb) < 10_000


def test_a_pair_of_npy_files_is_samples_and_labels(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    np.save(tmp_path / "y.npy", np.arange(3))
    data = open_arrays(tmp_path / "x.npy", tmp_path / "y.npy")
    assert {name: array.tolist() for name, array in data.items()} == {"x": [[1, 1]] * 3, "y": [0, 1, 2]}
    assert list(open_arrays(tmp_path / "x.npy")) == ["x"]


def test_labels_of_their_own_stand_beside_an_npz(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.ones((3, 2)), y=np.zeros(3))
    np.save(tmp_path / "y.npy", np.arange(3))
    assert open_arrays(tmp_path / "d.npz", tmp_path / "y.npy")["y"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_an_npy_of_either_version_is_mapped_in_its_order(tmp_path, version):
    array = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    with (tmp_path / "x.npy").open("wb") as stream:
        np.lib.format.write_array(stream, array, version)
    np.testing.assert_array_equal(open_npy(tmp_path / "x.npy"), array)


def test_what_is_no_npy_is_refused(tmp_path):
    path = tmp_path / "y.npy"
    with pytest.raises(ArrayError, match=r"y.npy' cannot be read as .npy: .*No such file.*; write it with numpy.save"):
        open_npy(path)
    with pytest.raises(ArrayError, match=r"y.npy' cannot be read: No such file"):
        open_arrays(path)
    np.save(path, np.arange(1000))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ArrayError, match=r"cannot be read as .npy: mmap length is greater than file size"):
        open_npy(path)
    np.save(path, np.array([{}], object))
    with pytest.raises(ArrayError, match=r"data member 'y.npy' holds Python objects"):
        open_npy(path)


def test_memory_given_back_is_read_again(tmp_path):
    np.save(tmp_path / "big.npy", np.ones(10_000_000))
    code = (
        "import pathlib, sys, edge_runner.arrays as a\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "x = a.open_npy(pathlib.Path(sys.argv[1])); before = resident()\n"
        "total = x.sum(); held = resident() - before; a.release(x[5:])\n"
        "print(total, held, resident() - before, x.sum())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "big.npy")]
    total, held, left, again = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert float(total) == float(again) == 10_000_000
    assert int(held) > 50_000_000
    assert int(left) < 5_000_000


def test_what_is_no_npz_is_refused(tmp_path):
    path = tmp_path / "d.npz"
    with pytest.raises(ArrayError, match=r"d.npz' cannot be read as .npz: .*No such file"):
        open_npz(path)
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(ArrayError, match=r"cannot be read as .npz: File is not a zip file; write it with numpy.savez"):
        open_npz(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, x=np.zeros(1000))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ArrayError, match=r"cannot be read as .npz"):
        open_npz(path)


def test_python_objects_are_refused_without_unpickling_them(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.array([{}], object))
    with pytest.raises(ArrayError, match=r"data member 'x.npy' holds Python objects; save it as a numeric array"):
        open_npz(tmp_path / "d.npz")
