"""Models whose class trains in its own way."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.errors import UnsupportedError
from tfcompress.models.own_training import own_training

pytestmark = pytest.mark.slow


def counting(keras: Any, **methods: Any) -> Any:
    """Return a functional model of a class with methods of its own."""
    kind = type("Counting", (keras.Model,), methods)
    given = keras.Input((6,), name="vector")
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(given)
    return kind(given, keras.layers.Dense(3, activation="softmax", name="scores")(hidden), name="counting")


def samples() -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(0).random((48, 6), dtype=np.float32), np.arange(48) % 3


def test_a_plain_model_trains_as_its_keras_does(keras_module: Any) -> None:
    given = keras_module.Input((2,))
    assert own_training(keras_module.Model(given, keras_module.layers.Dense(1)(given))) == ()
    assert own_training(keras_module.Sequential([keras_module.layers.Dense(1)])) == ()


@pytest.mark.parametrize("name", ["train_step", "test_step", "compute_loss", "fit", "compile"])
def test_what_a_class_replaces_is_named(name: str, keras_module: Any) -> None:
    assert own_training(counting(keras_module, **{name: lambda self, *a, **k: None})) == (name,)


@pytest.mark.parametrize(
    "stages", [(tfc.Prune(frequency=1),), (tfc.QAT(),), (tfc.Prune(frequency=1), tfc.Cluster(clusters=4))]
)
def test_the_users_own_training_step_trains_the_attached_copy(stages: Any, keras_module: Any) -> None:
    base, calls = keras_module.Model, []

    def train_step(self: Any, data: Any) -> Any:
        calls.append(self.weight_of_step)
        return base.train_step(self, data)

    model = counting(keras_module, train_step=train_step)
    model.weight_of_step = 3.0
    job = tfc.attach(model, *stages)
    job.model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    job.model.fit(*samples(), batch_size=16, epochs=2, verbose=0, callbacks=job.callbacks)
    assert calls == [3.0] * 6
    assert type(job.model) is type(model)
    finished = job.finish().predict(samples()[0], verbose=0)
    np.testing.assert_allclose(finished.sum(1), 1.0, atol=0.05)


def test_a_model_that_was_trained_before_keeps_its_class(keras_module: Any) -> None:
    base = keras_module.Model
    model = counting(keras_module, train_step=lambda self, data: base.train_step(self, data))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = samples()
    model.fit(x, y, validation_data=(x, y), verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    job = tfc.attach(model, tfc.Prune())
    assert type(job.model) is type(model)
    assert getattr(job.model, "optimizer", None) is not model.optimizer


def test_compress_trains_by_the_users_own_loss_through_every_cycle() -> None:
    import keras

    calls: list[int] = []

    def compute_loss(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(1)
        return keras.Model.compute_loss(self, *args, **options)

    stages = (tfc.Channels(remove=0.3, cycles=2, round_to=1), tfc.Distill())
    recipe = tfc.Recipe(stages=stages, train=tfc.Train(epochs=2))
    tfc.compress(counting(keras, compute_loss=compute_loss), recipe, samples())
    assert len(calls) >= 2  # traced once a cycle, at least


def test_a_class_that_cannot_be_built_anew_is_refused_by_name(keras_module: Any) -> None:
    def init(self: Any, size: int) -> None:
        given = keras_module.Input((6,), name="vector")
        super(kind, self).__init__(given, keras_module.layers.Dense(size, name="scores")(given))

    kind = type("Sized", (keras_module.Model,), {"__init__": init, "train_step": lambda self, data: {}})
    with pytest.raises(UnsupportedError, match=r"Sized has its own train_step.*give Sized a constructor that takes"):
        tfc.attach(kind(3), tfc.Prune())


def test_distillation_that_a_training_step_would_not_hear_of_is_refused() -> None:
    import keras

    model = counting(keras, train_step=lambda self, data: {})
    with pytest.raises(UnsupportedError, match="distill adds to compute_loss, and its train_step does not call that"):
        tfc.attach(model, tfc.Distill())


def test_a_traced_step_that_hands_on_hears_of_distillation(keras: Any) -> None:
    import tensorflow as tf

    class Traced(keras.Model):  # type: ignore[misc]  # Keras ships no types
        @tf.function
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    class ByHelper(keras.Model):  # type: ignore[misc]  # Keras ships no types
        def train_step(self, data: Any) -> Any:
            return self.stepped(data)

        def stepped(self, data: Any) -> Any:
            return {"loss": self.compute_loss(data[0], data[1], self(data[0]))}

    for kind in (Traced, ByHelper, type("Below", (Traced,), {})):
        given = keras.Input((6,), name="vector")
        model = kind(given, keras.layers.Dense(3, activation="softmax", name="scores")(given))
        assert type(tfc.attach(model, tfc.Distill()).model) is kind


@pytest.mark.parametrize("wrapped", ["traced", "partial", "decorated", "compiled"])
def test_a_wrapped_step_that_distillation_would_not_reach_is_refused(wrapped: str, keras: Any) -> None:
    import tensorflow as tf

    def step(self: Any, data: Any) -> Any:
        return {}

    @functools.wraps(step)
    def decorated(*args: Any) -> Any:
        return step(*args)

    steps = {"traced": tf.function(step), "partial": functools.partial(step), "decorated": decorated, "compiled": dict}
    with pytest.raises(UnsupportedError, match="distill adds to compute_loss, and its train_step does not call that"):
        tfc.attach(counting(keras, train_step=steps[wrapped]), tfc.Distill())


def test_a_training_that_would_change_its_keras_is_refused(keras: Any) -> None:
    with pytest.raises(UnsupportedError, match="engine 'tfmot' trains it in the other Keras"):
        tfc.attach(counting(keras, train_step=lambda self, data: {}), tfc.Prune(engine="tfmot"))
    model = counting(keras, train_step=lambda self, data: {})
    with pytest.raises(UnsupportedError, match="engine 'tfmot' trains it in the other Keras"):
        tfc.compress(model, tfc.Recipe(stages=(tfc.Prune(engine="tfmot"),)), samples(), progress=False)


def test_what_compress_cannot_compile_is_refused(keras: Any) -> None:
    model = counting(keras, compile=lambda self, mine: None)
    with pytest.raises(UnsupportedError, match=r"its own compile\), .* use tfcompress\.attach"):
        tfc.compress(model, tfc.Recipe(stages=(tfc.Prune(),), train=tfc.Train(epochs=4)), samples())
