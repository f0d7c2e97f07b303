"""The script that made the demo: reading the published files, choosing the shipped part, writing both formats."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import make_demo


def write_idx(path: Path, values: np.ndarray, kind: int = 8) -> None:
    head = struct.pack(f">HBB{values.ndim}I", 0, kind, values.ndim, *values.shape)
    path.write_bytes(gzip.compress(head + values.tobytes()))


def test_an_idx_file_is_read_in_its_shape(tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "images.gz", values)
    np.testing.assert_array_equal(make_demo.read_idx(tmp_path / "images.gz"), values)


def test_an_idx_file_of_floats_is_refused(tmp_path: Path) -> None:
    write_idx(tmp_path / "images.gz", np.zeros(3, np.float32), kind=13)
    with pytest.raises(ValueError, match="must be an idx file of unsigned bytes"):
        make_demo.read_idx(tmp_path / "images.gz")


@given(each=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_as_many_samples_of_each_class_are_chosen_and_none_twice(each: int, seed: int) -> None:
    labels = np.arange(60) % 3
    places = make_demo.choose(labels, 3 * each, np.random.default_rng(seed))
    assert np.bincount(labels[places]).tolist() == [each] * 3
    assert len(set(places.tolist())) == 3 * each


def test_the_part_that_is_shipped_is_the_same_every_time() -> None:
    labels = (np.arange(8000) % 10).astype(np.uint8)
    images = np.arange(8000, dtype=np.int64)
    data = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    once, again = make_demo.subset(data), make_demo.subset(data)
    assert {name: len(values) for name, values in once.items()} == {
        "x_train": 4000,
        "y_train": 4000,
        "x_test": 2000,
        "y_test": 2000,
    }
    for name, values in once.items():
        np.testing.assert_array_equal(values, again[name])


def test_keys_that_older_versions_refuse_are_left_out_at_any_depth() -> None:
    config = {"layers": [{"name": "image", "optional": False}, {"init": {"seed": None, "input_axes": None}}]}
    assert make_demo.without_news(config) == {"layers": [{"name": "image"}, {"init": {"seed": None}}]}


@pytest.mark.slow
def test_both_formats_load_again_with_the_same_outputs(tmp_path: Path) -> None:
    import keras
    import tf_keras

    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), np.uint8)
    model = make_demo.build(tf_keras)
    make_demo.save_keras2(model, tmp_path / "net.h5")
    make_demo.save_keras3(make_demo.twin(model, images), tmp_path / "net.keras")
    inputs = images.astype(np.float32) / 255
    expected = model.predict(inputs, verbose=0)
    for loaded in (
        tf_keras.models.load_model(tmp_path / "net.h5", compile=False),
        keras.models.load_model(tmp_path / "net.keras", compile=False),
    ):
        np.testing.assert_allclose(loaded.predict(inputs, verbose=0), expected, atol=1e-5)


@pytest.mark.slow
def test_networks_that_differ_are_not_called_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    import tf_keras

    build = make_demo.build
    monkeypatch.setattr(make_demo, "build", lambda keras: keras.Sequential([build(keras), keras.layers.Softmax()]))
    with pytest.raises(ValueError, match="must agree within 1e-5"):
        make_demo.twin(build(tf_keras), np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), np.uint8))
