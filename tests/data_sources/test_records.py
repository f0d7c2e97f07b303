from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcompress.data.records import read_description
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError
from tfcompress.models.specs import Signature, TensorSpec


def model(*inputs: tuple[str, tuple[int | None, ...], str]) -> Signature:
    return Signature(tuple(TensorSpec(*spec) for spec in inputs), (TensorSpec("out", (3,), "float32"),))


def write_records(path: Path, samples: Sequence[dict[str, Any]]) -> Path:
    """Write samples of bytes, floats and whole numbers."""
    import tensorflow as tf

    def feature(value: Any) -> Any:
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        values = np.asarray(value).reshape(-1)
        if values.dtype.kind == "f":
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    with tf.io.TFRecordWriter(str(path)) as writer:
        for sample in samples:
            features = tf.train.Features(feature={name: feature(value) for name, value in sample.items()})
            writer.write(tf.train.Example(features=features).SerializeToString())
    return path


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_numbers_and_raw_bytes_feed_the_inputs_of_their_names(tmp_path: Path) -> None:
    samples = [
        {"f": np.arange(4.0) + n, "i": np.array([n]), "raw": np.full(6, n % 256, np.uint8).tobytes(), "kind": n % 3}
        for n in range(300)
    ]
    records = write_records(tmp_path / "d.tfrecord", samples)
    features = write(
        tmp_path / "f.toml",
        '[features.f]\nkind = "float"\nshape = [2, 2]\ninput = "square"\n[features.i]\nkind = "int"\nshape = [1]\n'
        '[features.raw]\nkind = "bytes"\nshape = [2, 3]\n[label]\nkey = "kind"\n',
    )
    signature = model(("raw", (2, 3), "float32"), ("square", (2, 2), "float32"), ("i", (1,), "int32"))
    data = load_data(records, features=features).bind(signature, holdout=None)
    batches = list(data.need_test().batches(128))
    x = {name: np.concatenate([part[name] for part, _ in batches]) for name in batches[0][0]}
    assert np.array_equal(x["square"], np.stack([np.arange(4.0).reshape(2, 2) + n for n in range(300)]))
    assert x["i"][:, 0].tolist() == list(range(300))
    assert x["raw"].shape == (300, 2, 3)
    assert x["raw"][7].tolist() == [[7, 7, 7], [7, 7, 7]]
    assert np.concatenate([y for _, y in batches]).tolist() == [n % 3 for n in range(300)]


IMAGE = '[features."image/encoded"]\nkind = "image"\n[label]\nkey = "image/label"\n'


def image_records(path: Path, sizes: Sequence[int]) -> Path:
    import tensorflow as tf

    pixels = [np.full((size, size, 3), size, np.uint8) for size in sizes]
    samples = [{"image/encoded": tf.io.encode_png(p).numpy(), "image/label": n % 3} for n, p in enumerate(pixels)]
    return write_records(path, samples)


def test_images_are_decoded_and_resized_to_the_only_input(tmp_path: Path) -> None:
    records = image_records(tmp_path / "d.tfrecord", [5, 8])
    data = load_data(records, features=write(tmp_path / "f.toml", IMAGE)).bind(
        model(("input_1", (4, 4, 3), "float32")), holdout=None
    )
    x, y = next(data.need_test().batches(9))
    assert x["input_1"].shape == (2, 4, 4, 3)
    assert x["input_1"][:, 0, 0, 0].tolist() == [5.0, 8.0]
    assert y.tolist() == [0, 1]


def test_files_of_a_folder_are_sorted_into_splits(tmp_path: Path) -> None:
    for name, sizes in (
        ("train.tfrecord-00000-of-00002", [4]),
        ("train.tfrecord-00001-of-00002", [5]),
        ("test.tfrecord", [6]),
    ):
        image_records(tmp_path / name, sizes)
    data = load_data(tmp_path, features=write(tmp_path / "f.toml", IMAGE)).bind(model(("v", (4, 4, 3), "float32")))
    assert data.train is not None
    assert [x["v"][0, 0, 0, 0] for x, _ in data.train.batches(1)] == [4.0, 5.0]
    assert data.need_test().size == 1  # so small that a look at it reads it all
    assert len(data.dataset.files) == 3


def test_an_image_for_an_input_that_is_none_is_refused(tmp_path: Path) -> None:
    records = image_records(tmp_path / "d.tfrecord", [4])
    with pytest.raises(DataError, match=r"feature 'image/encoded' is an image, the model's input .* has shape \(48,\)"):
        load_data(records, features=write(tmp_path / "f.toml", IMAGE)).bind(model(("v", (48,), "float32")))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    records = image_records(tmp_path / "d.tfrecord", [4, 5, 6])
    records.write_bytes(records.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"d\.tfrecord' is cut short or damaged at record 2"):
        load_data(records, features=write(tmp_path / "f.toml", IMAGE)).bind(model(("v", (4, 4, 3), "float32"))).lint()


def test_records_without_the_feature_are_refused(tmp_path: Path) -> None:
    records = write_records(tmp_path / "d.tfrecord", [{"other": 1}])
    with pytest.raises(DataError, match=r"d\.tfrecord cannot be read on: .*image/encoded"):
        load_data(records, features=write(tmp_path / "f.toml", IMAGE)).bind(model(("v", (4, 4, 3), "float32")))


def test_records_need_a_description(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs --features FILE\.toml to say what the records hold"):
        load_data(write(tmp_path / "d.tfrecord", ""))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no toml", "cannot be read: "),
        ("", "must hold .* tables and .*, it holds nothing"),
        ("[label]\n", "it holds label"),
        ("[features.a]\nkind='int'\n[other]\n", "it holds features, other"),
        ("features = 3", "it holds features"),
        ("[features]\na = 3", r"\[features\.a\] must be a table with a kind, got 3"),
        ("[features.a]\nkind='int'\nshap=[1]", r"\[features\.a\] has no key 'shap' \(did you mean 'shape'\?\)"),
        (
            "[features.a]\nkind='picture'",
            r"\[features\.a\] kind must be one of image, float, int, bytes, got 'picture'",
        ),
        ("[features.a]", r"\[features\.a\] kind must be one of .*, got None"),
        (
            "[features.a]\nkind='int'\n[label]\nkind='image'",
            r"\[label\] kind must be one of int, float or text, got 'image'",
        ),
        ("[features.a]\nkind='int'\nshape=[0]", r"\[features\.a\] shape must be a list of whole numbers above 0"),
        ("[features.a]\nkind='int'\nshape=4", r"\[features\.a\] shape must be a list of whole numbers above 0, got 4"),
        ("[features.a]\nkind='bytes'\ndtype='u3'", r"\[features\.a\] dtype must be a NumPy dtype .*, got 'u3'"),
    ],
)
def test_descriptions_that_cannot_be_meant_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_description(write(tmp_path / "f.toml", text))


def test_a_missing_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.toml' cannot be read"):
        read_description(tmp_path / "absent.toml")
