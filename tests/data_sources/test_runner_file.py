from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tfcompress.data.preprocessing import Preprocessing
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError, OutputError
from tfcompress.models.specs import Signature, TensorSpec


def model(*outputs: tuple[str, tuple[int, ...]], dtype: str = "float32") -> Signature:
    specs = tuple(TensorSpec(name, shape, "float32") for name, shape in outputs)
    return Signature((TensorSpec("image", (2, 2), dtype),), specs)


X = np.arange(700 * 4, dtype=np.int64).reshape(700, 2, 2)


def test_the_file_holds_preprocessed_samples_in_order(tmp_path: Path) -> None:
    data = load_data({"x_test": X, "y_test": np.arange(700) % 3}, preprocessing=Preprocessing(scale=0.5))
    data.bind(model(("out", (3,)))).write_for_runner(tmp_path / "eval.npz", None)
    with np.load(tmp_path / "eval.npz", allow_pickle=False) as written:
        assert set(written) == {"x.image", "y", "task"}
        assert written["x.image"].dtype == np.float32
        assert np.array_equal(written["x.image"], X / 2)
        assert written["y"].dtype == np.int32
        assert np.array_equal(written["y"], np.arange(700) % 3)
    with zipfile.ZipFile(tmp_path / "eval.npz") as archive:
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
    assert [path.name for path in tmp_path.iterdir()] == ["eval.npz"]


def test_a_limit_draws_samples_by_seed_and_keeps_their_order(tmp_path: Path) -> None:
    data = load_data({"x_test": X, "y_test": np.arange(700) // 234}).bind(model(("out", (3,))))
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        data.write_for_runner(tmp_path / name, 50, seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    with np.load(tmp_path / "a") as written:
        rows = written["x.image"][:, 0, 0] / 4
        assert (np.diff(rows) > 0).all()
        assert len(rows) == 50
        assert set(written["y"]) == {0, 1, 2}  # the first fifty would all be of class 0


def test_binary_labels_are_whole_numbers_and_targets_are_floats(tmp_path: Path) -> None:
    signature = model(("yes", (1,)), ("size", (1,)))
    load_data({"x_test": X[:4], "y_test.yes": [0, 1, 1, 0], "y_test.size": [0.5, 1, 2, 3]}).bind(
        signature
    ).write_for_runner(tmp_path / "eval.npz", None)
    with np.load(tmp_path / "eval.npz") as written:
        assert written["y.yes"].tolist() == [0, 1, 1, 0]
        assert written["y.yes"].dtype == np.int32
        assert written["y.size"].tolist() == [[0.5], [1.0], [2.0], [3.0]]
        assert written["y.size"].dtype == np.float32


def test_integer_inputs_stay_integers_and_labels_may_be_absent(tmp_path: Path) -> None:
    load_data({"x_test": X[:3]}).bind(model(("out", (3,)), dtype="int32")).write_for_runner(tmp_path / "eval.npz", None)
    with np.load(tmp_path / "eval.npz") as written:
        assert set(written) == {"x.image"}
        assert written["x.image"].dtype == np.int32


def test_what_was_written_can_be_read_as_data_again(tmp_path: Path) -> None:
    load_data({"x_test": X, "y_test": np.arange(700) % 3}).bind(model(("out", (3,)))).write_for_runner(
        tmp_path / "e.npz", None
    )
    again = load_data(tmp_path / "e.npz").bind(model(("out", (3,))), holdout=None)
    assert again.need_test().size == 700


def test_without_a_test_split_there_is_nothing_to_write(tmp_path: Path) -> None:
    data = load_data({"x_train": X, "y_train": np.arange(700) % 3}).bind(model(("out", (3,))))
    with pytest.raises(DataError, match="must have a test split"):
        data.write_for_runner(tmp_path / "eval.npz", None)


def test_a_folder_that_is_not_there_is_an_output_error_and_leaves_nothing(tmp_path: Path) -> None:
    data = load_data({"x_test": X, "y_test": np.arange(700) % 3}).bind(model(("out", (3,))))
    with pytest.raises(OutputError, match=r"cannot write .*absent/eval\.npz"):
        data.write_for_runner(tmp_path / "absent" / "eval.npz", None)


def test_a_write_that_fails_midway_keeps_what_stood_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_data({"x_test": X, "y_test": np.arange(700) % 3}).bind(model(("out", (3,))))
    (tmp_path / "eval.npz").write_bytes(b"before")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        data.write_for_runner(tmp_path / "eval.npz", None)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_images_that_the_model_scales_itself_are_stored_in_a_quarter_and_come_back_exactly(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (300, 2, 2))
    data = load_data({"x_test": x, "y_test": np.arange(300) % 3}).bind(model(("out", (3,))))
    for input_dtype, stored in (("int8", "uint8"), ("float32", "uint8"), ("uint8", "float16"), (None, "float16")):
        data.write_for_runner(tmp_path / "eval.npz", None, input_dtype=input_dtype)
        with np.load(tmp_path / "eval.npz") as written:
            assert written["x.image"].dtype == stored
            assert np.array_equal(written["x.image"].astype(np.float32), x)


def test_values_that_need_float32_stay_float32(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (300, 2, 2)) / 255
    x[299, 1, 1] = -0.0
    load_data({"x_test": x}).bind(model(("out", (3,)))).write_for_runner(
        tmp_path / "eval.npz", None, input_dtype="int8"
    )
    with np.load(tmp_path / "eval.npz") as written:
        assert written["x.image"].dtype == np.float32
        assert written["x.image"].tobytes() == x.astype(np.float32).tobytes()


def test_a_bound_on_bytes_draws_fewer_samples_by_seed(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(700, 2, 2)).astype(np.float32)
    data = load_data({"x_test": x, "y_test": np.arange(700) // 234}).bind(model(("out", (3,))))
    each = 4 * 4 + 4  # a sample's float32 and its int32 label
    assert data.write_for_runner(tmp_path / "eval.npz", 600, most_bytes=50 * each) == 50
    with np.load(tmp_path / "eval.npz") as written:
        assert written["x.image"].shape == (50, 2, 2)
        assert set(written["y"]) == {0, 1, 2}
        drawn = written["x.image"].copy()
    data.write_for_runner(tmp_path / "again.npz", 50)
    with np.load(tmp_path / "again.npz") as written:
        assert np.array_equal(written["x.image"], drawn)
    assert data.write_for_runner(tmp_path / "eval.npz", None, most_bytes=None) == 700
    assert data.write_for_runner(tmp_path / "eval.npz", None, most_bytes=1) == 1


def test_samples_wider_than_the_first_ones_do_not_break_the_bound(tmp_path: Path) -> None:
    x = np.zeros((700, 2, 2), np.float32)
    x[350:] = 0.1
    data = load_data({"x_test": x}).bind(model(("out", (3,))))
    assert data.write_for_runner(tmp_path / "eval.npz", None, most_bytes=16 * 100, input_dtype="int8") == 100
    assert (tmp_path / "eval.npz").stat().st_size < 16 * 100 + 1000  # headers


def test_by_default_a_file_takes_at_most_32_mib(tmp_path: Path) -> None:
    shape = (256, 256, 3)
    x = np.random.default_rng(0).normal(size=(60, *shape)).astype(np.float32)
    signature = Signature((TensorSpec("image", shape, "float32"),), (TensorSpec("out", (3,), "float32"),))
    written = (
        load_data({"x_test": x, "y_test": np.arange(60) % 3}).bind(signature).write_for_runner(tmp_path / "e.npz", 1000)
    )
    assert written == (32 << 20) // (4 * 256 * 256 * 3 + 4)
    assert (tmp_path / "e.npz").stat().st_size <= (32 << 20) + 1000
