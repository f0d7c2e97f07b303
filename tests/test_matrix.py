"""Every pair and triple of stages, quantized in every way that goes with them, by every engine that has them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.recipe import STAGES

pytestmark = [pytest.mark.slow, pytest.mark.matrix]

SETTINGS: dict[str, dict[str, Any]] = {
    "build": {"builder": "tests.test_matrix:build"},
    "layout": {"changes": ("first=112",)},
    "channels": {"remove": 0.3, "round_to": 1},
    "low_rank": {"target": 0.8, "round_to": 1},
    "prune": {"sparsity": 0.5, "frequency": 1},
    "cluster": {"clusters": 8},
}

COMBINED = [kinds for size in (2, 3) for kinds in itertools.combinations(STAGES, size)]


def cases() -> Iterator[Any]:
    for kinds in COMBINED:
        schemes = ("int8",) if "qat" in kinds else ("none", "float16", "dynamic", "int8", "int16x8")
        has_tfmot = all("tfmot" in STAGES[kind].engines for kind in kinds)
        for scheme, engine in itertools.product(schemes, ("native", "tfmot") if has_tfmot else ("native",)):
            yield pytest.param(kinds, scheme, engine, id=f"{'-'.join(kinds)}-{scheme}-{engine}")


def samples(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    vectors = rng.random((count, 16), dtype=np.float32)
    vectors[np.arange(count), labels] += 1.0
    return vectors, labels


def network(keras: Any) -> Any:
    keras.utils.set_random_seed(0)
    given = keras.Input((16,), name="vector")
    # Of 1,024 weights and more, without some channels too: the converter quantizes no smaller kernel dynamically.
    x = keras.layers.Dense(128, activation="relu", name="first")(given)
    x = keras.layers.Dense(16, activation="relu", name="second")(x)
    x = keras.layers.Dense(16, activation="relu", name="third")(x)  # a block that can be left out
    return keras.Model(given, keras.layers.Dense(3, activation="softmax", name="scores")(x))


def build(_: Any) -> Any:
    """Build the same network anew, as a builder of the user's own may."""
    import keras

    return network(keras)


@pytest.fixture(scope="module")
def benches() -> Iterator[dict[str, tfc.Workbench]]:
    import keras
    import tf_keras

    made = {
        name: tfc.Workbench(network(module), (samples(96, 0), samples(48, 1)), trust=True)
        for name, module in (("native", keras), ("tfmot", tf_keras))
    }
    yield made
    for bench in made.values():
        bench.close()


@pytest.mark.parametrize(("kinds", "scheme", "engine"), list(cases()))
def test_stages_together_keep_every_promise_in_the_file(
    kinds: tuple[str, ...], scheme: Any, engine: str, benches: dict[str, tfc.Workbench]
) -> None:
    stages = tuple(STAGES[kind](**SETTINGS.get(kind, {})) for kind in kinds)
    recipe = tfc.Recipe(stages=stages, export=tfc.Export(quantize=scheme), train=tfc.Train(epochs=2, batch_size=16))
    report = benches[engine].run(recipe).report
    assert report.engine == engine
    asked = {"prune": "sparsity", "cluster": "distinct values"}
    assert {promise.what for promise in report.result.promises} == {asked[kind] for kind in kinds if kind in asked}
