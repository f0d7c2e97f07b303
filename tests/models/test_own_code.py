"""Code of the user's that a model object runs counts; Keras's, and how it is written down, do not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tfcompress.models.own_code import own_code_sha256

LAYER = """
FACTOR = {factor}
def scaled(x):
    return x * FACTOR{helper}
class {name}(layers.Layer):
    shift = {shift}
    def call(self, x):
        return scaled(x) + {inside}
    @property
    def half(self):
        return {half}
def network():
    given = keras.Input((4,))
    return keras.Model(given, {name}()(given))
"""
PLAIN = {"factor": 2, "helper": "", "name": "Scaled", "shift": 1, "inside": "0.5", "half": "0.5"}
OTHER = {"factor": 3, "helper": " + 1", "name": "Other", "shift": 2, "inside": "0.25", "half": "0.25"}


def network_of(keras: Any, text: str) -> Any:
    module = ModuleType("networks_of_mine")
    vars(module).update(keras=keras, layers=keras.layers)
    exec(compile(text, "networks_of_mine.py", "exec"), vars(module))
    return module.network()


def hash_of(keras: Any, **changed: Any) -> str:
    return own_code_sha256(network_of(keras, LAYER.format(**{**PLAIN, **changed})))


@pytest.fixture(params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip(request.param)


def test_every_part_of_a_layers_code_counts(keras: Any) -> None:
    found = [hash_of(keras), *(hash_of(keras, **{part: value}) for part, value in OTHER.items())]
    assert all(one != other for one, other in itertools.combinations(found, 2))
    assert hash_of(keras) == found[0]


def test_comments_and_places_do_not_count(keras: Any) -> None:
    moved = "# what this is\n\n\n" + LAYER.format(**PLAIN).replace("return scaled", "# why\n        return scaled")
    assert own_code_sha256(network_of(keras, moved)) == hash_of(keras)


@pytest.mark.parametrize(
    "layer_of",
    [
        lambda keras, own: keras.layers.Dense(3, activation=own),
        lambda keras, own: keras.layers.Dense(3, kernel_regularizer=own),
        lambda keras, own: keras.layers.TimeDistributed(keras.layers.Dense(3, activation=own)),
    ],
)
def test_a_function_that_a_layer_keeps_counts(keras: Any, layer_of: Callable[[Any, Callable[[Any], Any]], Any]) -> None:
    def model(function: Callable[[Any], Any]) -> Any:
        given = keras.Input((2, 4))
        return keras.Model(given, layer_of(keras, function)(given))

    def factory(factor: float) -> Callable[[Any], Any]:
        return lambda x: factor * x

    found = [own_code_sha256(model(factory(factor))) for factor in (1.0, 2.0, 1.0)]
    assert found[0] == found[2] != found[1]


WAYS = {
    "partial": "functools.partial(power, by={0})",
    "function of TensorFlow": "tf.function(lambda x: {0} * x)",
    "cached": "functools.lru_cache(lambda x: {0} * x)",
    "array": "lambda x: x * ARRAY",
    "decorated": "decorated",
}
OWN = """
import functools
import numpy as np
import tensorflow as tf
ARRAY = np.array([{0}])
def power(x, by):
    return x ** by
def decorator(function):
    @functools.wraps(function)
    def inner(x):
        return {0} * function(x)
    return inner
@decorator
def decorated(x):
    return x
class Own(layers.Layer):
    def __init__(self):
        super().__init__()
        self.steps = [{1}]
    def call(self, x):
        return x
def network():
    given = keras.Input((4,))
    return keras.Model(given, Own()(given))
"""


@pytest.mark.parametrize("way", WAYS)
def test_code_counts_behind_whatever_calls_it(keras: Any, way: str) -> None:
    def found(number: float) -> str:
        return own_code_sha256(network_of(keras, OWN.format(number, WAYS[way].format(number))))

    assert found(2.0) == found(2.0) != found(3.0)


def test_a_network_of_keras_alone_has_no_code_of_its_own(keras: Any) -> None:
    given = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(2, 3, activation="relu", kernel_regularizer="l2")(given)
    x = keras.layers.BatchNormalization()(keras.layers.Dropout(0.5)(x))
    model = keras.Model(given, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    model.compile("adam", "mse", metrics=["mae"])
    assert own_code_sha256(model) == ""


def test_a_compiled_loss_and_a_step_of_ones_own_count(keras: Any) -> None:
    def model(factor: float, step: float) -> Any:
        class Stepping(keras.Model):  # type: ignore[misc]
            def train_step(self, data: Any) -> Any:
                return {"loss": step}

        given = keras.Input((4,))
        made = Stepping(given, keras.layers.Dense(1)(given))
        made.compile("sgd", lambda true, given: factor * (true - given) ** 2)
        return made

    found = [own_code_sha256(model(*each)) for each in ((1.0, 1.0), (2.0, 1.0), (1.0, 2.0), (1.0, 1.0))]
    assert len(set(found)) == 3
    assert found[0] == found[3]
