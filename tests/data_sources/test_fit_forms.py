"""What ``keras.Model.fit`` takes is taken, and means what it means to Keras: both read the same samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.data_sources.test_objects import batches, py_dataset
from tfcompress.data.dataset import BoundData
from tfcompress.data.sources import load_data
from tfcompress.models.signature import signature_of

N = 12
A = np.stack([np.arange(N), np.zeros(N)], axis=1).astype(np.float32)
B = 100 + np.arange(N, dtype=np.float32)[:, None]
KIND = np.arange(N) % 3
SIZE = (0.5 + np.arange(N, dtype=np.float32))[:, None]
W = 1.0 + np.arange(N, dtype=np.float32)


def _copied(part: Any) -> Any:
    return None if part is None else np.array(part)


def _joined(*parts: Any) -> Any:
    return None if parts[0] is None else np.concatenate(parts)


def mapped(function: Callable[..., Any], *parts: Any) -> Any:
    """Return what TensorFlow makes of nested arrays by a function of those at one place."""
    import tensorflow as tf

    return tf.nest.map_structure(function, *parts)


def model(inputs: int, outputs: int) -> Any:
    """Return a model that keeps what ``fit`` hands it, one batch after the other."""
    import keras

    class Watched(keras.Model):  # type: ignore[misc]  # Keras ships no types
        def train_step(self, data: Any) -> dict[str, Any]:
            self.seen.append(mapped(_copied, keras.utils.unpack_x_y_sample_weight(data)))
            return {"loss": 0.0}

    entries = [keras.Input((2,), name="a"), keras.Input((1,), name="b")][:inputs]
    joined = keras.layers.Concatenate()(entries) if inputs > 1 else entries[0]
    ends = [keras.layers.Dense(3, activation="softmax", name="kind"), keras.layers.Dense(1, name="size")][:outputs]
    made = [end(joined) for end in ends]
    watched = Watched(entries if inputs > 1 else entries[0], made if outputs > 1 else made[0])
    watched.compile(loss="mse", run_eagerly=True)
    watched.seen = []
    return watched


def by_keras(watched: Any, value: Any) -> tuple[Any, Any, Any]:
    """Return all that fit read: inputs, labels and weights, as they came."""
    watched.seen = []
    parts = dict(zip(("x", "y", "sample_weight"), value, strict=False)) if isinstance(value, tuple) else {"x": value}
    watched.fit(**parts, batch_size=5, shuffle=False, verbose=0, epochs=1)
    return mapped(_joined, *watched.seen)


def by_us(value: Any, watched: Any) -> tuple[Any, Any, Any]:
    data: BoundData = load_data(value).bind(signature_of(watched), holdout=None)
    parts = list(data.splits["test"].weighted(5))
    return mapped(_joined, *parts)


def flat(part: Any, names: list[str]) -> list[np.ndarray]:
    """Return the arrays of a part in the order of *names*, each of two axes."""
    if part is None:
        return []
    listed = [part[name] for name in names if name in part] if isinstance(part, dict) else part
    listed = list(listed) if isinstance(listed, list | tuple) else [listed]
    return [np.asarray(each).reshape(len(each), -1).astype(np.float32) for each in listed]


X = {
    "an array": (1, A),
    "a tuple": (2, (A, B)),
    "a list": (2, [A, B]),
    "a dict": (2, {"b": B, "a": A}),
}
Y = {
    "an array": (1, KIND),
    "a column": (1, KIND[:, None]),
    "one-hot": (1, np.eye(3)[KIND]),
    "a tuple": (2, (KIND, SIZE)),
    "a list": (2, [KIND, SIZE]),
    "a dict": (2, {"size": SIZE, "kind": KIND}),
}
WEIGHTS: dict[str, Callable[[Any], Any]] = {
    "no weights": lambda y: None,
    "weights": lambda y: W,
    "weights for each": lambda y: dict.fromkeys(y, W) if isinstance(y, dict) else type(y)([W, 2 * W]),
}


def tf_home() -> Any:
    """Return TensorFlow, once it is needed."""
    import tensorflow as tf

    return tf


FORMS: dict[str, Callable[..., Any]] = {
    "arrays": lambda *parts: parts,
    "tensors": lambda *parts: mapped(tf_home().constant, parts),
    "tf.data of samples in batches": lambda *parts: tf_home().data.Dataset.from_tensor_slices(parts).batch(5),
    "tf.data cut from one that repeats": lambda *parts: (
        tf_home().data.Dataset.from_tensor_slices(parts).repeat().take(N).batch(5)
    ),
    "tf.data of unknown length": lambda *parts: (
        tf_home().data.Dataset.from_tensor_slices(parts).batch(4).filter(lambda *_: True)
    ),
    "a PyDataset": lambda *parts: py_dataset(batches(*parts), "keras"),
    "a generator": lambda *parts: (batch for batch in batches(*parts)),
}


PARTS = [
    ("an array", "an array", "no weights"),
    ("an array", "a column", "weights"),
    ("an array", "one-hot", "weights"),
    ("a tuple", "an array", "weights"),
    ("a list", "a list", "weights for each"),
    ("a dict", "a dict", "weights for each"),
    ("a tuple", "a tuple", "no weights"),
    ("a dict", "a tuple", "weights for each"),
]


@pytest.fixture(scope="module")
def models() -> dict[tuple[int, int], Any]:
    return {(inputs, outputs): model(inputs, outputs) for inputs in (1, 2) for outputs in (1, 2)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # of unknown length: what ends is said to Keras so
@pytest.mark.parametrize(("x", "y", "weights"), PARTS)
@pytest.mark.parametrize("form", FORMS)
def test_we_read_what_keras_reads(models: dict[tuple[int, int], Any], form: str, x: str, y: str, weights: str) -> None:
    if form not in ("arrays", "tensors") and x == "a list":  # Keras takes no lists there
        x, y = "a tuple", "a tuple"
    (inputs, x_value), (outputs, y_value) = X[x], Y[y]
    watched = models[inputs, outputs]
    weigh = WEIGHTS[weights](y_value)
    parts = (x_value, y_value) if weigh is None else (x_value, y_value, weigh)
    make = FORMS[form]
    theirs, ours = by_keras(watched, make(*parts)), by_us(make(*parts), watched)
    for mine, their, names in zip(ours, theirs, (["a", "b"], ["kind", "size"], ["kind", "size"]), strict=True):
        expected = flat(their, names)
        if y == "one-hot" and names[0] == "kind" and their is theirs[1]:
            expected = [KIND[:, None].astype(np.float32)]
        got = flat(mine, names)
        if their is theirs[2] and weights == "weights":
            expected *= outputs  # Keras gives each output the same
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert np.array_equal(one, other)


def test_a_data_frame_is_an_array(models: dict[tuple[int, int], Any]) -> None:
    import pandas as pd

    value = pd.DataFrame({"p": A[:, 0], "q": A[:, 1]}), pd.Series(KIND)
    x, y, _ = by_us(value, models[1, 1])
    assert np.array_equal(x["a"], A)
    assert np.array_equal(y, KIND)


def test_numbers_in_nested_lists_are_an_array(models: dict[tuple[int, int], Any]) -> None:
    x, y, _ = by_us((A.tolist(), KIND.tolist()), models[1, 1])
    assert np.array_equal(x["a"], A)
    assert np.array_equal(y, KIND)
