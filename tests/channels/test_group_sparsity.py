"""The penalty that drives channels towards zero: its sum, how it grows, and what it does to weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfcompress.channels.criteria import scores
from tfcompress.channels.group_sparsity import penalize_, pressures_of
from tfcompress.channels.groups import groups
from tfcompress.distillation.lesson import Lesson, learn_from_
from tfcompress.distillation.teacher import own_teacher
from tfcompress.errors import UnsupportedError
from tfcompress.recipe import Channels, Distill

keras = pytest.importorskip("keras")
layers = keras.layers

X = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def network() -> Any:
    """Dense(4) - BatchNormalization - ReLU - Dense(2) on vectors of 5."""
    keras.utils.set_random_seed(0)
    given = keras.Input((5,), name="vector")
    x = layers.BatchNormalization(name="norm")(layers.Dense(4, name="first", use_bias=False)(given))
    return keras.Model(given, layers.Dense(2, name="logits")(layers.ReLU()(x)))


def compiled(model: Any, rate: float = 0.05) -> Any:
    model.compile(keras.optimizers.SGD(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def added(model: Any, plain: float) -> float:
    """What the loss of a batch in training has on top of its task."""
    return float(model.compute_loss(X, Y, model(X), training=True)) - plain


def begun(callbacks: list[Any], model: Any, *, epochs: int, steps: int, epoch: int, batch: int) -> None:
    for each in callbacks:
        each.set_model(model)
        each.set_params({"epochs": epochs, "steps": steps})
        each.on_epoch_begin(epoch)
        each.on_train_batch_begin(batch)


def plain_loss(model: Any) -> float:
    return float(model.compute_loss(X, Y, model(X), training=False))


def test_slimming_adds_the_scales_and_grows_from_nothing_to_its_strength() -> None:
    model = compiled(network())
    model.get_layer("norm").gamma.assign([1.0, -2.0, 0.0, 0.5])
    callbacks = penalize_(model, Channels(regularize="slimming", regularize_strength=0.1))
    plain = plain_loss(model)
    assert added(model, plain) == 0
    for epoch, batch, share in ((0, 0, 1 / 8), (0, 3, 4 / 8), (1, 3, 1.0)):
        begun(callbacks, model, epochs=2, steps=4, epoch=epoch, batch=batch)
        assert added(model, plain) == pytest.approx(share * 0.1 * 3.5, rel=1e-4)
    assert plain_loss(model) == plain


def test_the_group_norm_adds_the_squares_of_all_that_makes_or_reads_a_channel_weak_ones_the_most() -> None:
    model = compiled(network())
    callbacks = penalize_(model, Channels(regularize="group-norm", regularize_strength=0.1))
    plain = plain_loss(model)
    begun(callbacks, model, epochs=1, steps=1, epoch=0, batch=0)
    norm = model.get_layer("norm")
    squares = np.square(model.get_layer("first").kernel.numpy()).sum(0) + np.square(norm.gamma.numpy())
    squares += np.square(norm.beta.numpy()) + np.square(model.get_layer("logits").kernel.numpy()).sum(1)
    assert added(model, plain) == pytest.approx(0.1 * float(pressures_of(squares) @ squares), rel=1e-4)


def test_channels_that_are_all_alike_are_pressed_alike() -> None:
    np.testing.assert_array_equal(pressures_of(np.full(3, 2.0)), np.ones(3))


@pytest.mark.parametrize(
    ("method", "strength", "criterion"), [("slimming", 0.3, "bn_gamma"), ("group-norm", 0.03, "l2")]
)
def test_weaker_channels_come_to_less_than_without_it(method: Any, strength: float, criterion: str) -> None:
    shares, said = [], []
    for stage in (None, Channels(regularize=method, regularize_strength=strength)):
        model = compiled(network(), 0.1)
        callbacks = [] if stage is None else penalize_(model, stage, said.append)
        model.fit(X, Y, batch_size=len(X), epochs=60, verbose=0, callbacks=callbacks)
        (found,) = scores(model, [g for g in groups(model) if not g.pinned], criterion).values()
        shares.append(np.sort(found)[:2].sum() / found.sum())
    assert shares[1] < 0.6 * shares[0]
    (text,) = said
    assert text.startswith(f"channels: trained with {method}, of a strength that grew to {strength:g}, before")


def test_a_teacher_that_is_all_of_the_loss_leaves_the_penalty_whole() -> None:
    model = compiled(network())
    stage = Distill(weight=1.0)
    learn_from_(model, Lesson(stage, [own_teacher(network())], model))
    before = float(model.compute_loss(X, Y, model(X), training=True))
    callbacks = penalize_(model, Channels(regularize="slimming", regularize_strength=0.1))
    begun(callbacks, model, epochs=1, steps=1, epoch=0, batch=0)
    assert added(model, before) == pytest.approx(0.1 * 4, rel=1e-4)


def test_only_what_may_go_is_pressed() -> None:
    given = keras.Input((5,))
    x = layers.BatchNormalization(name="one")(layers.Dense(4, name="a")(given))
    x = layers.BatchNormalization(name="two")(layers.Dense(3, name="b")(x))
    model = compiled(keras.Model(given, layers.Dense(2)(x)))
    model.get_layer("one").gamma.assign(np.full(4, 5.0))
    callbacks = penalize_(model, Channels(regularize="slimming", regularize_strength=1.0, scope=("b",)))
    plain = plain_loss(model)
    begun(callbacks, model, epochs=1, steps=1, epoch=0, batch=0)
    assert added(model, plain) == pytest.approx(3.0, rel=1e-4)


@pytest.mark.parametrize(
    ("hidden", "method", "message"),
    [
        (True, "slimming", r"'slimming' finds no BatchNormalization with a scale .* use 'group-norm'"),
        (False, "group-norm", r"channels\.regularize 'group-norm' finds no channels that may go in model"),
    ],
)
def test_a_model_with_nothing_to_press_is_refused_before_it_is_trained(hidden: bool, method: Any, message: str) -> None:
    inner = [layers.Dense(4)] if hidden else []
    model = keras.Sequential([keras.Input((5,)), *inner, layers.Dense(2)])
    with pytest.raises(UnsupportedError, match=message):
        penalize_(model, Channels(regularize=method))


def test_a_train_step_that_does_not_ask_for_the_loss_is_refused() -> None:
    class Own(keras.Model):  # type: ignore[misc]  # Keras ships no types
        def train_step(self, data: Any) -> dict[str, Any]:
            return {}

    given = keras.Input((5,))
    model = Own(given, layers.Dense(2)(layers.Dense(4)(given)))
    with pytest.raises(UnsupportedError, match="regularize 'group-norm' adds to compute_loss, and its train_step does"):
        penalize_(model, Channels(regularize="group-norm"))
