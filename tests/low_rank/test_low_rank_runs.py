"""Whole runs with layers taken apart: int8 files, other stages in the same recipe, cycles, both Kerases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.low_rank.rank_choice import model_cost

pytestmark = pytest.mark.slow


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    x = rng.random((count, 8, 8, 3), dtype=np.float32)
    x[np.arange(count), labels] += 1.0
    return x, labels


def network(keras: Any) -> Any:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    given = keras.Input((8, 8, 3), name="picture")
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="first")(given)
    x = layers.ReLU(name="act")(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="second")(x)
    x = layers.Dense(24, activation="relu", name="wide")(layers.GlobalAveragePooling2D(name="pool")(x))
    return keras.Model(given, layers.Dense(4, activation="softmax", name="scores")(x))


@pytest.fixture(scope="module")
def bench(keras: Any) -> Iterator[tfc.Workbench]:
    with tfc.Workbench(network(keras), (pictures(64, 0), pictures(32, 1))) as made:
        yield made


def run(bench: tfc.Workbench, *stages: Any, epochs: int = 1, quantize: Any = "int8") -> tfc.Result:
    train = tfc.Train(epochs=epochs, batch_size=16)
    return bench.run(tfc.Recipe(stages=stages, train=train, export=tfc.Export(quantize=quantize)))


def shares(result: tfc.Result) -> list[float]:
    """Return what the report says is left after each cycle, in percent."""
    told = " ".join(result.report.warnings)
    return [float(share) for share in re.findall(r"taken apart: ([\d.]+)% of", told)]


@pytest.mark.parametrize("method", ["auto", "cp"])
def test_factors_trained_for_int8_are_all_integer(method: Any, bench: tfc.Workbench) -> None:
    result = run(bench, tfc.LowRank(target=0.6, method=method, round_to=1), tfc.QAT())
    assert not result.report.result.verification["float_ops"]
    assert shares(result)[0] <= 60.0


def test_each_of_two_rewriting_stages_counts_from_what_it_is_given_in_every_cycle(
    bench: tfc.Workbench, keras: Any
) -> None:
    stages = (tfc.LowRank(target=0.64, round_to=1, cycles=2), tfc.Channels(remove=0.36, round_to=1, cycles=2))
    result = run(bench, *stages, tfc.Prune(sparsity=0.5, frequency=1), tfc.Distill(), epochs=2, quantize="none")
    whole, left = (model_cost(each).macs for each in (network(keras), result.model))
    assert all(70.0 < share <= 80.0 for share in shares(result))
    assert left <= 0.64 * 0.64 * whole
    assert {promise.what for promise in result.report.result.promises} == {"sparsity"}


def test_a_model_of_keras_2_without_labels_is_taken_apart_over_the_bridge(tf_keras: Any) -> None:
    recipe = tfc.Recipe(stages=(tfc.LowRank(target=0.6, round_to=1),), train=tfc.Train(epochs=1, batch_size=16))
    result = tfc.compress(network(tf_keras), recipe, pictures(64, 0)[0])
    assert result.report.engine == "native"
    assert shares(result)[0] <= 60.0


def test_a_job_of_ones_own_trains_factors_and_a_file_keeps_them(keras: Any, tmp_path: Path) -> None:
    x, y = pictures(32, 0)
    job = tfc.attach(network(keras), tfc.LowRank(target=0.6, round_to=1), samples=x)
    job.model.compile("adam", "sparse_categorical_crossentropy")
    job.model.fit(x, y, callbacks=job.callbacks, verbose=0)
    made = job.finish()
    made.save(tmp_path / "factors.keras")
    again = keras.models.load_model(tmp_path / "factors.keras")
    assert np.allclose(again(x), made(x), atol=1e-6)
    assert any(layer.name.endswith("_factor1") for layer in again.layers)
