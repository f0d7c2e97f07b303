import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.channels.channel_models import (
    TOPOLOGIES,
    WHOLE_MODELS,
    filled,
    many_ends,
    model_of,
    nested,
    plain,
    samples_for,
    sequential,
    split_channels,
)
from tests.channels.dead_channels import choose_and_kill_, free_groups, kill_, outputs_of
from tfcompress.channels.cost import CostModel
from tfcompress.channels.groups import groups
from tfcompress.channels.surgery import narrow
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.models.profile import profile

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
layers = keras.layers

BUILDERS = [*(pytest.param(lambda t=t: model_of(t), id=t.__name__) for t in TOPOLOGIES), *WHOLE_MODELS]


@pytest.mark.parametrize("build", BUILDERS)
def test_without_exactly_dead_channels_the_outputs_are_the_same(build):
    model = build()
    before = model.count_params()
    keep = choose_and_kill_(model, np.random.default_rng(3))
    assert keep
    assert not any(group.emits for group in free_groups(model))
    costs = CostModel.of(model).of_kept(keep)
    expected = outputs_of(model)
    smaller = narrow(model, keep)
    assert model.count_params() == before
    assert smaller.count_params() == costs.parameters < before
    assert profile(smaller).macs == costs.macs
    for one, other in zip(expected, outputs_of(smaller), strict=True):
        assert np.ptp(one) > 0.001  # not a model that says the same to everything
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


FIXED = r"feeds output|it is a single channel|\(LayerNormalization\) takes statistics over its channels"
"""Why a group of these models may be fixed; anything else would make the property above an empty one."""


@pytest.mark.parametrize("build", BUILDERS)
def test_hardly_anything_of_these_topologies_is_fixed(build):
    assert [group.pinned for group in groups(build()) if group.pinned and not re.search(FIXED, group.pinned)] == []


@settings(max_examples=8, deadline=None)
@example(seed=35720, kinds=["concat", "add"])  # the convolution joined in makes a part of the sum's channels
@given(
    seed=st.integers(0, 2**16),
    kinds=st.lists(st.sampled_from(["add", "concat", "depthwise", "gate", "norm", "grouped"]), min_size=1, max_size=4),
)
def test_chains_of_any_blocks_stay_exact(seed, kinds):
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    for kind in kinds:
        width = int(x.shape[-1])
        if kind == "add":
            x = layers.Add()([x, layers.Conv2D(width, 1)(x)])
        elif kind == "concat":
            x = layers.Concatenate()([layers.Conv2D(4, 1)(x), x])
        elif kind == "depthwise":
            x = layers.DepthwiseConv2D(3, padding="same")(x)
        elif kind == "gate":
            x = x * layers.Dense(width, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
        elif kind == "norm":
            x = layers.ReLU()(layers.BatchNormalization()(x))
        else:
            x = layers.Conv2D(width, 1, groups=2)(x)
    model = filled(keras.Model(image, layers.Dense(2)(layers.Flatten()(x))), seed)
    keep = choose_and_kill_(model, np.random.default_rng(seed))
    expected, found = outputs_of(model)[0], outputs_of(narrow(model, keep))[0]
    np.testing.assert_allclose(expected, found, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(expected).max())))


def test_kept_weights_are_the_old_ones_and_removed_ones_are_gone():
    model = model_of(plain)
    smaller = narrow(model, {"first": [0, 2, 5], "second": [3]})
    old, new = model.get_layer("first").kernel.numpy(), smaller.get_layer("first").kernel.numpy()
    np.testing.assert_array_equal(old[..., [0, 2, 5]], new)
    old, new = model.get_layer("second").kernel.numpy(), smaller.get_layer("second").kernel.numpy()
    np.testing.assert_array_equal(old[:, :, [0, 2, 5]][..., [3]], new)
    old, new = model.get_layer("scores").kernel.numpy(), smaller.get_layer("scores").kernel.numpy()
    np.testing.assert_array_equal(old[3::4], new)  # 2 x 2 places x 4 channels, flattened: the last of every four
    assert smaller.get_layer("first").filters == 3


def test_the_smaller_model_is_an_ordinary_one_that_saves_loads_and_trains(tmp_path):
    model = model_of(nested)
    smaller = narrow(model, {"outer": [1, 2], "middle/inner/a": [0, 3, 5], "middle/b": [0, 1]})
    assert type(smaller) is type(model)
    assert [layer.name for layer in smaller.layers] == [layer.name for layer in model.layers]
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.saving.load_model(tmp_path / "smaller.keras")
    np.testing.assert_array_equal(outputs_of(smaller)[0], outputs_of(loaded)[0])
    loaded.compile("adam", "mse")
    x = samples_for(loaded)
    before = loaded.get_layer("middle").get_layer("inner").get_layer("a").kernel.numpy().copy()
    losses = loaded.fit(x, np.ones((2, 3)), epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert np.all(before != loaded.get_layer("middle").get_layer("inner").get_layer("a").kernel.numpy())


def test_a_smaller_model_that_was_saved_can_lose_channels_again(tmp_path):
    smaller = narrow(model_of(split_channels), {"body": [0, 1, 3, 4, 6, 7]})
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.saving.load_model(tmp_path / "smaller.keras")
    (body,) = (group for group in groups(loaded) if group.name == "body")
    kill_(body, [0, 5])
    again = narrow(loaded, {"body": [1, 2, 3, 4]})
    assert again.get_layer("body").filters == 4
    np.testing.assert_allclose(outputs_of(loaded)[0], outputs_of(again)[0], rtol=1e-5, atol=1e-5)


def test_a_sequential_model_stays_one():
    smaller = narrow(sequential(), {"a": [0, 1], "b": [4]})
    assert isinstance(smaller, keras.Sequential)
    assert [layer.name for layer in smaller.layers][:2] == ["a", "norm"]
    assert [layer.name for layer in smaller.layers][3:] == ["b", "scores"]
    assert smaller.get_layer("b").kernel.shape == (6 * 6 * 2, 1)


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: keras.ops.average(x, axis=-1),
        lambda x: keras.ops.average(x, axis=1, weights=np.arange(6.0)),
        lambda x: keras.ops.dot(x, np.ones((4, 2), "float32")),
    ],
    ids=["mean of channels", "mean of rows", "dot"],
)
def test_an_operation_is_not_taken_for_the_layer_of_its_name(operation):
    given = keras.Input((6, 6, 3))
    x = operation(layers.Conv2D(4, 3, padding="same", name="conv")(given))
    model = filled(keras.Model(given, layers.Dense(2)(layers.Flatten()(x))))
    (pinned,) = [group.pinned for group in groups(model) if group.name == "conv"]
    assert pinned.endswith("cannot be narrowed")


def test_names_and_structures_of_inputs_and_outputs_stay():
    model = many_ends()
    smaller = narrow(model, {"body": [0, 4], "side": [1]})
    assert sorted(smaller.input) == ["image", "meta"]
    assert sorted(smaller.output) == ["kind", "map"]
    assert {k: v.shape for k, v in smaller.output.items()} == {k: v.shape for k, v in model.output.items()}


def test_a_layer_frozen_before_is_frozen_after():
    model = sequential()
    model.get_layer("a").trainable = False
    smaller = narrow(model, {"a": [0, 1, 2]})
    assert [layer.trainable for layer in smaller.layers] == [layer.trainable for layer in model.layers]


def test_the_statistics_of_an_adapted_normalization_come_along():
    adapted = layers.Normalization()
    adapted.adapt(np.random.default_rng(0).normal(3.0, 2.0, (64, 4)))
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(6, name="body")(adapted(inputs))))
    everything = narrow(model, {"body": range(6)})
    np.testing.assert_array_equal(outputs_of(model)[0], outputs_of(everything)[0])


def test_a_lambda_is_called_by_the_smaller_model_too():
    inputs = keras.Input((4,))
    x = layers.Lambda(lambda t: t * 2.0, name="twice")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(6, name="body")(x)))
    smaller = narrow(model, {"body": [1, 3]})
    assert smaller.get_layer("body").units == 2


def test_a_subclass_of_model_that_is_a_graph_keeps_its_class():
    class Own(keras.Model):
        def answer(self):
            return 42

    inputs = keras.Input((4,))
    model = Own(inputs, layers.Dense(2)(layers.Dense(6, name="body")(inputs)))
    assert narrow(model, {"body": [0]}).answer() == 42


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"fist": [0]}, r"keep must name groups of the model, got 'fist' \(did you mean 'first'\?\)"),
        ({"first": []}, r"keep\['first'\] must hold at least one channel, got none: layer 'first' would be empty"),
        ({"first": [2, 1]}, r"keep\['first'\] must be channel numbers in rising order, got \[2, 1\]"),
        ({"first": [0.5]}, r"keep\['first'\] must be channel numbers in rising order, got \[0.5\]"),
        ({"first": [0, 6]}, r"keep\['first'\] must be within 0 … 5, got 0 … 6"),
        ({"scores": [0]}, r"group 'scores' cannot lose channels: feeds output 'scores'; leave it out of keep"),
    ],
)
def test_a_choice_that_cannot_be_meant_is_refused_before_anything_is_built(keep, message):
    with pytest.raises(UsageError, match=message):
        narrow(model_of(plain), keep)


def test_a_layer_emptied_by_a_group_it_shares_is_refused_by_name():
    image = keras.Input((4, 4, 3))
    a, b = layers.Conv2D(2, 1, name="a")(image), layers.Conv2D(3, 1, name="b")(image)
    c = layers.Conv2D(5, 1, name="c")(image)
    x = layers.Add()([layers.Concatenate()([a, b]), c])
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(UsageError, match=r"keep must leave layer 'a' at least one channel, got none from 'a'"):
        narrow(model, {"a": [2, 3, 4]})


def test_a_piece_of_a_split_is_not_left_empty():
    inputs = keras.Input((4,))
    one, two = keras.ops.split(layers.Dense(6, name="body")(inputs), 2, axis=-1)
    model = keras.Model(inputs, layers.Dense(2)(keras.ops.concatenate([two, keras.ops.relu(one)], axis=-1)))
    with pytest.raises(
        UsageError, match=r"keep must leave layer 'split\w*' at least one channel, got none from 'body'"
    ):
        narrow(model, {"body": [3, 4]})


def test_a_subclassed_model_is_refused():
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Own()
    model(np.zeros((1, 3), "float32"))
    with pytest.raises(
        UnsupportedError, match=r"functional and sequential Keras 3 models that are built, got 'own' \(Own\)"
    ):
        narrow(model, {})
