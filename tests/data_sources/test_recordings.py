from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data_sources.wav_files import write_wav
from tfcompress.data.preprocessing import Preprocessing
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError, UsageError
from tfcompress.models.specs import Signature, TensorSpec


def model(*shape: int | None, classes: int = 2) -> Signature:
    return Signature((TensorSpec("sound", shape, "float32"),), (TensorSpec("out", (classes,), "float32"),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold recordings of 3, 4 and 6 samples: train/no/{0,1}.wav, train/yes/2.wav, test/no/3.wav, test/yes/4.wav."""
    for number, (name, frames) in enumerate(
        [("train/no", 4), ("train/no", 3), ("train/yes", 6), ("test/no", 4), ("test/yes", 4)]
    ):
        write_wav(tmp_path / name / f"{number}.wav", 1024 * (1 + number) + np.arange(frames))
    return tmp_path


def test_class_folders_of_recordings_become_samples_and_labels(folder: Path) -> None:
    data = load_data(folder).bind(model(4))
    assert data.dataset.labels == ("no", "yes")
    x, y = next(data.need_train().batches(9))
    assert y.tolist() == [0, 0, 1]
    whole = [[1024, 1025, 1026, 1027], [2048, 2049, 2050, 0], [3072, 3073, 3074, 3075]]
    assert np.array_equal(x["sound"], np.float32(whole) / 32768)
    assert [y.tolist() for _, y in data.need_test().batches(9)] == [[0, 1]]
    assert len(data.dataset.files) == 5


def test_what_is_padded_and_cut_is_said(folder: Path) -> None:
    notes = load_data(folder).bind(model(4)).notes
    assert "recordings of 8,000 Hz, the longest of 6 samples" in notes
    assert (
        "train/: 1 of 3 are shorter than 4 samples and get silence behind; 1 of 3 are longer than 4 samples and lose "
        "what is behind"
    ) in notes
    assert not [note for note in notes if note.startswith("test/")]


@pytest.mark.parametrize("shape", [(4, 1), (1, 4), (4,)])
def test_the_models_axes_of_one_are_kept(folder: Path, shape: tuple[int, ...]) -> None:
    x, _ = next(load_data(folder).bind(model(*shape)).need_train().batches(9))
    assert x["sound"].shape == (3, *shape)


def test_a_model_of_any_length_gets_the_longest(folder: Path) -> None:
    x, _ = next(load_data(folder).bind(model(None, 1)).need_train().batches(9))
    assert x["sound"].shape == (3, 6, 1)


def features(x: np.ndarray) -> np.ndarray:
    return np.stack([x[:, ::2], x[:, 1::2]], axis=-1)


@pytest.mark.parametrize(("window", "rows"), [(None, 3), (4, 2)], ids=["the longest", "as said"])
def test_a_function_gets_recordings_of_one_length(
    folder: Path, monkeypatch: pytest.MonkeyPatch, window: int | None, rows: int
) -> None:
    (folder / "features_of_recordings.py").write_text(
        "import numpy as np\ndef features(x): return np.stack([x[:, ::2], x[:, 1::2]], axis=-1)\n"
    )
    monkeypatch.syspath_prepend(folder)
    steps = Preprocessing(function="features_of_recordings:features")
    data = load_data(folder, preprocessing=steps, window=window).bind(model(rows, 2))
    x, _ = next(data.need_train().batches(1))
    assert np.array_equal(x["sound"], features(np.float32([[1024, 1025, 1026, 1027, 0, 0][: 2 * rows]]) / 32768))


def test_of_a_test_folder_alone_the_length_is_the_same(folder: Path) -> None:
    x, _ = next(load_data(folder / "test").bind(model(6), holdout=None).need_test().batches(9))
    assert x["sound"].shape == (2, 6)


def test_another_rate_than_most_is_refused_by_name(folder: Path) -> None:
    write_wav(folder / "test" / "yes" / "odd.wav", np.arange(4), rate_hz=44_100)
    with pytest.raises(DataError, match=r"recording '.*odd\.wav' has 44,100 Hz, 5 of 6 have 8,000 Hz; resample it"):
        load_data(folder)


def refused(folder: Path, message: str, shape: tuple[int, ...] = (4,), **options: Any) -> None:
    with pytest.raises((DataError, UsageError), match=message):
        load_data(folder, **options).bind(model(*shape))


def test_what_cannot_be_meant_is_refused(folder: Path) -> None:
    refused(folder, r"must have one input of shape \(samples,\) or \(samples, 1\), .* give --preprocess", (4, 3))
    refused(folder, "--window says how many samples of a recording --preprocess .* leave --window out", window=4)
    refused(folder, "--stride says how many rows .* no meaning for .*, a folder of recordings", window=4, stride=2)
    refused(folder, "--group names the column", group="person")


def test_images_and_recordings_do_not_mix(folder: Path) -> None:
    (folder / "train" / "yes" / "a.png").write_bytes(b"")
    refused(folder, r"holds images \('train/yes/a\.png'\) and recordings \('.*\.wav'\); keep one kind")


@pytest.mark.parametrize("damage", [b"", b"RIFF", None])
def test_a_corrupt_recording_is_an_error_or_skipped_and_named(folder: Path, damage: bytes | None) -> None:
    victim = folder / "train" / "no" / "1.wav"
    victim.write_bytes(victim.read_bytes()[:-2] if damage is None else damage)
    refused(folder, r"recording '.*train/no/1\.wav' cannot be read \(.*\); replace or delete it")
    data = load_data(folder, skip_corrupt=True).bind(model(4))
    assert data.need_train().size == 2
    (line,) = [line for line in data.lint() if "corrupt" in line]
    assert line.startswith("train: 1 corrupt sample is left out (--skip-corrupt): recording ")
    assert "1.wav" in line


def test_nan_in_floats_is_found_before_training_or_skipped(folder: Path) -> None:
    write_wav(folder / "train" / "no" / "9.wav", np.array([0, np.inf]), bits=32, floats=True)
    with pytest.raises(DataError, match=r"9\.wav' cannot be read \(it holds NaN or Inf\)"):
        load_data(folder).bind(model(4)).lint()
    assert load_data(folder, skip_corrupt=True).bind(model(4)).need_train().size == 3


def test_where_every_recording_is_corrupt_the_first_is_the_error(folder: Path) -> None:
    for path in (folder / "train").rglob("*.wav"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"0\.wav' cannot be read \(it is an empty file\)"):
        load_data(folder, skip_corrupt=True)
