from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.data_sources.test_images import flat, model, write_image
from tests.data_sources.test_records import IMAGE, image_records
from tfcompress.data import hidden
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError


def test_what_systems_leave_in_image_folders_is_neither_class_nor_image(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        write_image(tmp_path / name / "0.png", flat(1))
        (tmp_path / name / "._0.png").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
        (tmp_path / name / ".DS_Store").write_bytes(b"\0")
        (tmp_path / name / "Thumbs.db").write_bytes(b"\0")
        write_image(tmp_path / name / "@eaDir" / "preview.jpg", flat(2))
    write_image(tmp_path / "__MACOSX" / "cat" / "0.png", flat(3))
    write_image(tmp_path / ".trash" / "0.png", flat(3))
    write_image(tmp_path / "@eaDir" / "0.png", flat(3))
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    data = load_data(tmp_path).bind(model(), holdout=None)
    assert data.dataset.labels == ("cat", "dog")
    assert [path.name for path in data.dataset.files] == ["0.png", "0.png"]
    assert data.need_test().size == 2
    data.lint()
    assert "2 hidden files were left out (.NAME, __MACOSX and the like)" in data.describe()["notes"]


def test_nothing_is_said_where_nothing_was_left_out() -> None:
    assert hidden.note(0) == ()
    assert hidden.note(1) == ("1 hidden file was left out (.NAME, __MACOSX and the like)",)


def test_hidden_images_alone_are_no_data(tmp_path: Path) -> None:
    write_image(tmp_path / "cat" / "._0.png", flat(1))
    with pytest.raises(DataError, match="holds zero images"):
        load_data(tmp_path)


def test_what_macos_packs_into_an_npz_is_left_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((3, 4)), y=np.arange(3))
    with zipfile.ZipFile(tmp_path / "d.npz", "a") as archive:
        for name in ("__MACOSX/._x.npy", "._y.npy"):
            archive.writestr(name, b"\0\5\x16\7Mac OS X")
    assert load_data(tmp_path / "d.npz").splits["all"].size == 3  # type: ignore[attr-defined]  # of arrays


def test_hidden_records_are_left_out(tmp_path: Path) -> None:
    image_records(tmp_path / "train.tfrecord", [4])
    shutil.copy(tmp_path / "train.tfrecord", tmp_path / "._train.tfrecord")
    (tmp_path / "f.toml").write_text(IMAGE)
    assert [path.name for path in load_data(tmp_path, features=tmp_path / "f.toml").files] == ["train.tfrecord"]
