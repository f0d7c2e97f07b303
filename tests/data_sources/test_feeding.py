from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfcompress.data import feeding
from tfcompress.data.feeding import to_tf
from tfcompress.data.sources import load_data
from tfcompress.data.splits import Split
from tfcompress.models.specs import Signature, TensorSpec


def numbers(size: int) -> Split:
    """Return a split of samples that hold their own number."""
    signature = Signature((TensorSpec("v", (1,), "float32"),), (TensorSpec("out", (1000,), "float32"),))
    data = load_data({"x_train": np.arange(size)[:, None], "y_train": np.arange(size)}).bind(signature)
    assert data.train is not None
    return data.train


def epoch(dataset: Any) -> list[list[int]]:
    batches = []
    for x, y in dataset.as_numpy_iterator():
        assert np.array_equal(x[:, 0], y)
        batches.append(y.tolist())
    return batches


@pytest.mark.parametrize("block_bytes", [1, 1 << 20], ids=["a batch a block", "many batches a block"])
def test_epochs_are_those_of_the_split_whatever_the_block(monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    monkeypatch.setattr(feeding, "BLOCK_BYTES", block_bytes)
    split = numbers(40)
    dataset = to_tf(split, 8, seed=3)
    for number in range(2):
        assert epoch(dataset) == [y.tolist() for _, y in split.batches(8, seed=3, epoch=number)]


def test_training_that_goes_on_gets_the_epoch_it_stopped_at() -> None:
    split = numbers(20)
    assert epoch(to_tf(split, 8, seed=3, first_epoch=2)) == [y.tolist() for _, y in split.batches(8, seed=3, epoch=2)]


def test_the_number_of_steps_is_known_and_the_last_batch_short() -> None:
    dataset = to_tf(numbers(20), 8, seed=0)
    assert int(dataset.cardinality()) == 3
    assert [len(batch) for batch in epoch(dataset)] == [8, 8, 4]


def test_a_limit_takes_the_same_samples_in_every_epoch() -> None:
    dataset = to_tf(numbers(50), 8, seed=0, limit=10)
    assert int(dataset.cardinality()) == 2
    first, second = epoch(dataset), epoch(dataset)
    assert {n for batch in first for n in batch} == {n for batch in second for n in batch}
    assert first != second


def test_several_inputs_and_outputs_go_by_name() -> None:
    inputs = (TensorSpec("a", (1,), "float32"), TensorSpec("b", (2,), "int32"))
    outputs = (TensorSpec("kind", (4,), "float32"), TensorSpec("size", (1,), "float32"))
    given = {
        "x_train.a": np.zeros((6, 1)),
        "x_train.b": np.zeros((6, 2), int),
        "y_train.kind": np.arange(6) % 4,
        "y_train.size": np.linspace(0.5, 1, 6),
    }
    data = load_data(given).bind(Signature(inputs, outputs))
    assert data.train is not None
    x, y = next(iter(to_tf(data.train, 4, seed=0)))
    assert {name: (tuple(part.shape), part.dtype.name) for name, part in x.items()} == {
        "a": ((4, 1), "float32"),
        "b": ((4, 2), "int32"),
    }
    assert {name: (tuple(part.shape), part.dtype.name) for name, part in y.items()} == {
        "kind": ((4,), "int32"),
        "size": ((4, 1), "float32"),
    }


@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_sample_weights_reach_the_loss(package: str) -> None:
    import importlib

    keras = importlib.import_module(package)
    x = np.arange(8, dtype=np.float32)[:, None]
    weights = np.array([0, 0, 0, 0, 0, 0, 0, 2.0])
    model = keras.Sequential([keras.Input((1,), name="v"), keras.layers.Dense(1, use_bias=False)])
    model.layers[-1].set_weights([np.ones((1, 1), np.float32)])
    model.compile("sgd", "mse")
    signature = Signature((TensorSpec("v", (1,), "float32"),), (TensorSpec("out", (1,), "float32"),))
    data = load_data({"train": (x, np.full(8, 2.0), weights)}).bind(signature)
    dataset = to_tf(data.need_train(), 8, 0)
    (_, _, drawn), *_ = dataset.as_numpy_iterator()
    assert sorted(drawn.tolist()) == sorted(weights.tolist())
    loss = model.fit(dataset, epochs=1, shuffle=False, verbose=0).history["loss"][0]
    # 2 · (7 - 2)², divided by the batch, or (by later versions of Keras 3) by the sum of the weights.
    assert loss == pytest.approx(2 * 25 / 8) or loss == pytest.approx(25)
