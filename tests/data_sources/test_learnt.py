from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfcompress.data.dataset import BoundData
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.tasks.task_table import TASKS

AGAIN = Signature((TensorSpec("sensors", (4,), "float32"),), (TensorSpec("again", (4,), "float32"),))
"""The output has the input's shape."""

LABELS = np.array([0, 1, 0, 0, 1, 0])


def sensors(count: int) -> np.ndarray:
    return np.repeat(np.arange(count, dtype=np.float32)[:, None], 4, axis=1)


def firsts(split: Any) -> list[float]:
    return [float(row[0]) for x, _ in split.batches(2) for row in x["sensors"]]


def bound(**given: Any) -> BoundData:
    return load_data(given).bind(AGAIN)


def test_anomalies_are_scored_and_not_learnt() -> None:
    data = bound(x_train=sensors(6), y_train=LABELS, x_test=sensors(6), y_test=LABELS)
    assert data.tasks == {"again": TASKS["autoencoder"]}
    assert firsts(data.need_train()) == [0, 2, 3, 5]
    assert firsts(data.need_test()) == [0, 1, 2, 3, 4, 5]
    assert data.lint() == ["y_train: 2 of 6 samples are not trained on, as task autoencoder has it"]
    assert sorted(data.representative(9, 0)["sensors"][:, 0]) == [0, 2, 3, 5]


def test_normal_samples_alone_are_all_learnt() -> None:
    data = bound(x_train=sensors(6), y_train=0 * LABELS, x_test=sensors(6), y_test=LABELS)
    assert (data.need_train().size, data.lint()) == (6, [])


def test_labels_of_one_split_tell_what_the_others_are() -> None:
    data = bound(x_train=sensors(6), x_test=sensors(6), y_test=LABELS)
    assert data.need_train().adapter.tasks == {"again": TASKS["autoencoder"]}
    assert data.need_train().size == 6


def test_without_any_labels_nothing_is_guessed() -> None:
    assert bound(x=sensors(6)).tasks == {}
    said = load_data({"x": sensors(6)}, task="autoencoder").bind(AGAIN)
    assert said.tasks == {"again": TASKS["autoencoder"]}


def test_anomalies_alone_teach_nothing() -> None:
    with pytest.raises(DataError, match=r"of the 6 samples of y_train task .* can learn none; .* 0 \(normal\)"):
        bound(x_train=sensors(6), y_train=0 * LABELS + 1, x_test=sensors(6), y_test=LABELS)


def test_of_a_stream_the_same_are_learnt() -> None:
    import tensorflow as tf

    parts = {
        name: tf.data.Dataset.from_tensor_slices((sensors(6), LABELS)).batch(4) for name in ("train", "validation")
    }
    data = load_data(parts).bind(AGAIN)
    assert firsts(data.need_train()) == [0, 2, 3, 5]
    assert data.need_train().size == 4
    assert data.val is not None
    assert firsts(data.val) == [0, 2, 3, 5]
