"""Names of labels that are no classes: normal and anomalous samples, identities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data_sources.test_images import flat, write_image
from tfcompress.data.dataset import BoundData
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError
from tfcompress.models.specs import Signature, TensorSpec

PICTURE = (TensorSpec("x", (4, 4, 3), "float32"),)
AUTOENCODER = Signature(PICTURE, (TensorSpec("rec", (4, 4, 3), "float32"),))
EMBEDDING = Signature(PICTURE, (TensorSpec("vector", (8,), "float32"),))


def folders(root: Path, **counts: int) -> Path:
    """Write pictures: so many for each class folder, ``train__good`` for ``train/good``; return *root*."""
    for number, (name, count) in enumerate(counts.items()):
        for place in range(count):
            write_image(root / name.replace("__", "/") / f"{place}.png", flat(40 * number + place))
    return root


def truth(data: BoundData) -> list[tuple[int, int]]:
    """Return the first pixel of each test sample beside its label."""
    x, y = next(data.need_test().batches(99))
    return [(int(pixel), int(label)) for pixel, label in zip(x["x"][:, 0, 0, 0], y, strict=True)]


@pytest.mark.parametrize("classes", [None, "good,crack"])
def test_folders_of_good_and_bad_samples_are_normal_and_anomalous(classes: str | None, tmp_path: Path) -> None:
    root = folders(tmp_path, train__good=5, test__good=2, test__crack=3)
    data = load_data(root, task="autoencoder", classes=classes).bind(AUTOENCODER)
    assert sorted(truth(data)) == [(40, 0), (41, 0), (80, 1), (81, 1), (82, 1)]
    assert data.need_train().size == 5
    assert data.dataset.labels == ("good", "crack")
    assert data.describe()["labels"] == ["good", "crack"]
    lines = [line for line in data.lint() if "crack" in line]
    said = ["by their names, samples are taken for: 'good' normal (0), 'crack' anomalous (1)"]
    assert lines == (said if classes is None else [])


@pytest.mark.parametrize("normal", ["normal", "Good", "OK"])
@pytest.mark.parametrize("other", ["a", "zebra", "not ok"])
@pytest.mark.parametrize("source", ["arrays", "npz", "csv"])
def test_a_name_that_says_normal_is_0_whatever_the_alphabet(
    normal: str, other: str, source: str, tmp_path: Path
) -> None:
    x, y = np.arange(8, dtype=np.float32).repeat(3).reshape(8, 3), np.array([normal, other] * 4)
    signature = Signature((TensorSpec("x", (3,), "float32"),), (TensorSpec("rec", (3,), "float32"),))
    given: Any = (x, y)
    if source == "npz":
        given = tmp_path / "d.npz"
        np.savez(given, x=x, y=y)
    elif source == "csv":
        given = tmp_path / "d.csv"
        given.write_text("a,b,c,label\n" + "".join(f"{i},{i},{i},{name}\n" for i, name in enumerate(y)))
    data = load_data(given, task="autoencoder").bind(signature, holdout=None)
    assert next(data.need_test().batches(9))[1].tolist() == [0, 1] * 4
    assert not [line for line in data.lint() if "alphabetical" in line]


@pytest.mark.parametrize(
    ("counts", "classes", "message"),
    [
        ({"a": 2, "b": 2}, None, r"takes labels of two names, .* got a, b; give --classes normal,anomaly"),
        ({"good": 2, "ok": 2}, None, r"got good, ok; give --classes normal,anomaly"),
        ({"crack": 2}, None, r"got crack; give --classes normal,anomaly"),
        ({"good": 2, "crack": 2, "dent": 2}, None, r"got crack, dent, good; .*all anomalies under one name"),
        ({"good": 2, "crack": 2}, "crack,good", r"normal samples 0, .* got crack, good; give --classes good,crack"),
        ({"good": 2, "crack": 2}, "good,crakc", r"'crack', .*did you mean 'crakc'"),
    ],
)
def test_names_that_do_not_say_what_is_normal_are_refused(
    counts: dict[str, int], classes: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        load_data(folders(tmp_path, **counts), task="autoencoder", classes=classes).bind(AUTOENCODER)


def test_two_names_mean_what_the_given_order_says(tmp_path: Path) -> None:
    data = load_data(folders(tmp_path, a=2, b=3), task="autoencoder", classes="b,a").bind(AUTOENCODER, holdout=None)
    assert sorted(truth(data)) == [(0, 1), (1, 1), (40, 0), (41, 0), (42, 0)]


@pytest.mark.parametrize("classes", [None, "carl,anna,bob"])
def test_folders_of_people_are_identities(classes: str | None, tmp_path: Path) -> None:
    root = folders(tmp_path, anna=3, bob=3, carl=3)
    data = load_data(root, task="embedding", classes=classes).bind(EMBEDDING, holdout=None)
    who = {pixel // 40: label for pixel, label in truth(data)}
    order = classes.split(",") if classes else ["anna", "bob", "carl"]
    assert who == {number: order.index(name) for number, name in enumerate(["anna", "bob", "carl"])}
    assert not [line for line in data.lint() if "alphabetical" in line]


def test_identities_may_be_text() -> None:
    names = np.array(["p7", "p1", "p7", "p3"])
    data = load_data((np.zeros((4, 4, 4, 3), np.float32), names), task="embedding").bind(EMBEDDING, holdout=None)
    assert next(data.need_test().batches(9))[1].tolist() == [2, 0, 2, 1]


def test_names_are_those_of_the_output_that_can_have_them() -> None:
    import tensorflow as tf

    outputs = (*AUTOENCODER.outputs, TensorSpec("kind", (3,), "float32"))
    y = {"rec": np.array([0, 1, 0]), "kind": np.array(["b", "c", "a"])}
    stream = tf.data.Dataset.from_tensor_slices((np.zeros((3, 4, 4, 3), np.float32), y)).batch(2)
    task = {"rec": "autoencoder", "kind": "classification"}
    data = load_data(stream, task=task, classes="a,b,c").bind(Signature(PICTURE, outputs), holdout=None)
    _, labels = next(data.need_test().batches(9))
    assert (labels["rec"].tolist(), labels["kind"].tolist()) == ([0, 1, 0], [1, 2, 0])
