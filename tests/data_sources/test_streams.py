from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfcompress.data.sources import load_data
from tfcompress.data.streams import TfSplit, reason_of
from tfcompress.errors import DataError
from tfcompress.models.specs import Signature, TensorSpec


def model(*shape: int | None, classes: int = 5) -> Signature:
    return Signature((TensorSpec("v", shape, "float32"),), (TensorSpec("out", (classes,), "float32"),))


def tf_dataset(x: Any, y: Any = None) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(x if y is None else (x, y))


def everything(dataset: Any, signature: Signature) -> tuple[np.ndarray, Any]:
    batches = list(load_data(dataset).bind(signature, holdout=None).test.batches(4))  # type: ignore[union-attr]
    labels = None if batches[0][1] is None else np.concatenate([y for _, y in batches])
    return np.concatenate([x["v"] for x, _ in batches]), labels


X = np.arange(300 * 6, dtype=np.uint8).reshape(300, 2, 3)


@pytest.mark.parametrize("batch", [None, 7, 32], ids=["samples", "batches of 7", "batches of 32"])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (None, 3, 1)], ids=["as stored", "a channel more", "any height"])
def test_batches_and_single_samples_are_told_apart(batch: int | None, shape: tuple[int, ...]) -> None:
    dataset = tf_dataset(X, np.arange(300) % 5)
    x, y = everything(dataset if batch is None else dataset.batch(batch), model(*shape))
    assert np.array_equal(x.reshape(X.shape), X)
    assert y.tolist() == (np.arange(300) % 5).tolist()


def test_inputs_may_come_by_name_and_without_labels() -> None:
    signature = Signature((TensorSpec("b", (), "float32"), TensorSpec("a", (2,), "float32")), model(1).outputs)
    data = load_data(tf_dataset({"a": np.ones((9, 2)), "b": np.arange(9)})).bind(signature, holdout=None)
    assert data.representative(9, 0)["b"].tolist() == list(range(9))
    with pytest.raises(DataError, match="must have labels: y of arrays in memory beside x of arrays in memory"):
        data.need_test()


def test_images_of_many_sizes_can_be_resized() -> None:
    import tensorflow as tf

    def samples() -> Any:
        for size in (3, 5):
            yield np.full((size, size, 1), size, np.uint8), 0

    shapes = (tf.TensorSpec((None, None, 1), tf.uint8), tf.TensorSpec((), tf.int64))
    dataset = tf.data.Dataset.from_generator(samples, output_signature=shapes)
    stream = TfSplit(dataset, "test", resize=True).fit(model(4, 4, 1))
    (x, _, _), *_ = stream.chunks()
    assert x[""].shape == (2, 4, 4, 1)
    with pytest.raises(DataError, match="test cannot be read on: "):
        list(TfSplit(dataset, "test").fit(model(4, 4, 1)).chunks())


def test_a_data_set_that_never_ends_is_refused() -> None:
    with pytest.raises(DataError, match=r"repeats for ever; give one pass over the samples \(without repeat\(\)\)"):
        load_data(tf_dataset(X, X[:, 0, 0]).repeat()).bind(model(2, 3))


def test_a_data_set_of_four_parts_is_refused() -> None:
    with pytest.raises(DataError, match=r"must give x, \(x, y\) or \(x, y, sample_weight\), it gives 4 parts"):
        load_data(tf_dataset((X, X[:, 0, 0], X[:, 0, 0], X[:, 0, 0]))).bind(model(2, 3))


def test_ragged_tensors_are_refused() -> None:
    import tensorflow as tf

    ragged = tf.data.Dataset.from_tensor_slices(tf.ragged.constant([[1.0], [1.0, 2.0]]))
    with pytest.raises(DataError, match="must give dense tensors of known rank, it gives RaggedTensorSpec"):
        load_data(ragged).bind(model(2))


WORDS = np.array(["low", "high", "mid", "high"])


def batches_of_words() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in (0, 2):
        yield np.ones((2, 2), np.float32), WORDS[start : start + 2]


@pytest.mark.parametrize("given", ["tf.data", "tf.data in batches", "generator", "function"])
def test_text_labels_are_numbered_by_the_classes_that_are_given(given: str) -> None:
    data: Any = {
        "tf.data": lambda: tf_dataset(np.ones((4, 2), np.float32), WORDS),
        "tf.data in batches": lambda: tf_dataset(np.ones((4, 2), np.float32), WORDS).batch(3),
        "generator": batches_of_words,
        "function": lambda: batches_of_words,
    }[given]()
    bound = load_data(data, classes=["low", "mid", "high"]).bind(model(2, classes=3), holdout=None)
    found = np.concatenate([y for _, y in bound.test.batches(4)])  # type: ignore[union-attr, arg-type]
    assert found.tolist() == [0, 2, 1, 2]
    assert "classes: 0 = low, 1 = mid, 2 = high" in bound.dataset.remarks


def test_a_text_label_that_is_none_of_the_classes_is_refused() -> None:
    with pytest.raises(DataError, match=r"y of arrays in memory.*holds the class 'mid', which is none of the 2 names"):
        load_data(tf_dataset(np.ones((4, 2), np.float32), WORDS), classes=["low", "high"]).bind(model(2, classes=2))


def test_whole_numbers_in_a_stream_are_names_where_the_names_given_are() -> None:
    data = tf_dataset(np.ones((3, 2), np.float32), np.array([1, 3, 2]))
    bound = load_data(data, classes=["3", "1", "2"]).bind(model(2, classes=3), holdout=None)
    assert np.concatenate([y for _, y in bound.test.batches(4)]).tolist() == [1, 0, 2]  # type: ignore[union-attr, arg-type]


def test_text_labels_are_refused() -> None:
    with pytest.raises(DataError, match=r"y of arrays in memory holds labels as strings such as .*cat"):
        load_data(tf_dataset(np.ones((1, 2)), np.array(["cat"]))).bind(model(2))


def test_an_error_in_the_users_map_is_told_in_one_line() -> None:
    import tensorflow as tf

    failing = tf_dataset(X, X[:, 0, 0]).map(
        lambda x, y: (tf.debugging.check_numerics(tf.cast(x, tf.float32) / 0, "bad"), y)
    )
    with pytest.raises(DataError, match=r"arrays in memory cannot be read on: .*bad") as caught:
        load_data(failing).bind(model(2, 3))
    assert "\n" not in str(caught.value)


def test_an_empty_data_set_is_refused() -> None:
    with pytest.raises(DataError, match="holds zero samples; give at least one"):
        load_data(tf_dataset(X[:0], X[:0, 0, 0])).bind(model(2, 3))


@pytest.mark.parametrize(
    "message",
    [
        "{{function_node __inference_many_58}} Invalid PNG data, size 852\n\t [[{{node map/while}}]] [Op:__inference]",
        "Graph execution error:\n\nDetected at node map/while defined at (most recent call last):\n"
        '  File "<frozen runpy>", line 198, in _run_module_as_main\n\n  File "/a/b.py", line 3, in one\n\n'
        "Invalid PNG data, size 852\n\t [[{{node map/while}}]] [Op:__inference_many]",
        "Graph execution error:\n\nDetected at node map/while defined at (most recent call last):\n"
        "<stack traces unavailable>\nInvalid PNG data, size 852\n\t [[{{node map/while}}]]",
    ],
)
def test_of_tensorflows_words_the_reason_is_left(message: str) -> None:
    assert reason_of(SimpleNamespace(message=message)) == "Invalid PNG data, size 852"
