import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.channels.channel_models import (
    attention,
    both_ways,
    dense_blocks,
    depthwise,
    filled,
    grouped_whole,
    grouped_within,
    lstm,
    model_of,
    plain,
    residual,
    shuffled,
    squeeze_excite,
    transformer,
)
from tests.channels.dead_channels import kill_
from tfcompress.channels.cost import Cost, CostModel
from tfcompress.channels.groups import groups
from tfcompress.channels.ledger import Ledger

keras = pytest.importorskip("keras")
layers = keras.layers


def named(model):
    return {group.name: group for group in groups(model)}


def members(group):
    """Layer, weight and axis of every member, and the channel at every index."""
    return {(m.layer, m.weight, m.axis): m.channel_of.tolist() for m in group.members}


def over(*tensors_to_layer, inputs=4):
    """A model of one input, the given function, and a dense layer."""
    (function,) = tensors_to_layer
    given = keras.Input((inputs,), name="given")
    return keras.Model(given, layers.Dense(2, name="scores")(function(given)))


def test_a_convolution_shares_its_channels_with_what_follows_it():
    found = named(model_of(plain))
    assert {name: group.channels for name, group in found.items()} == {"first": 6, "second": 4, "scores": 3}
    first = members(found["first"])
    assert first["first", "kernel", 3] == first["second", "kernel", 2] == [0, 1, 2, 3, 4, 5]
    assert {where[:2] for where in first} == {
        ("first", "kernel"),
        ("first", "bias"),
        ("second", "kernel"),
        *((next(m.layer for m in found["first"].members if m.kind == "BatchNormalization"), weight)
          for weight in ("gamma", "beta", "moving_mean", "moving_variance")),
    }  # fmt: skip


def test_after_a_flatten_every_channel_owns_a_row_for_every_place():
    flattened = members(named(model_of(plain))["second"])["scores", "kernel", 0]
    assert flattened == [0, 1, 2, 3] * (2 * 2)  # (8 - 2) / 2 - 1 = 2 places a side, channels last


def test_an_addition_makes_one_group_of_its_producers():
    found = named(model_of(residual))
    assert found["stem"].producers == ("stem", "tail")
    assert found["branch"].producers == ("branch",)


def test_squeeze_excite_multiplies_its_gate_into_the_group():
    found = named(model_of(squeeze_excite))
    assert found["body"].producers == ("body", "excite")
    assert found["squeeze"].channels == 4


def test_concatenated_channels_keep_their_places_behind_each_other():
    model = model_of(dense_blocks)
    kernel = members(named(model)["grow1"])["transition", "kernel", 2]
    assert kernel == [*[-1] * 3, *[-1] * 3, 0, 1, 2, *[-1] * 3]  # the image's, grow0's, its own, grow2's


def test_a_depth_multiplier_gives_every_channel_several_places():
    kernel = members(named(model_of(depthwise))["expand"])["project", "kernel", 2]
    assert kernel == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_whole_groups_of_a_grouped_convolution_go_where_they_are_narrow():
    group = named(model_of(grouped_whole))["before"]
    assert (group.channels, group.unit, group.producers) == (4, 3, ("before", "grouped"))
    assert members(group)["before", "kernel", 3] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert members(group)["grouped", "kernel", 3] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_wide_groups_lose_the_same_channel_each():
    found = named(model_of(grouped_within))
    assert members(found["before"])["before", "kernel", 3] == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]
    assert members(found["grouped"])["after", "kernel", 2] == [0, 1, 2, 3, 0, 1, 2, 3]


def test_a_unit_of_an_lstm_owns_a_column_in_every_gate():
    unit = members(named(model_of(lstm))["second"])
    assert unit["second", "lstm_cell/recurrent_kernel", 0] == [0, 1, 2, 3]
    assert unit["second", "lstm_cell/recurrent_kernel", 1] == [0, 1, 2, 3] * 4


def test_both_directions_lose_the_same_units():
    group = named(model_of(both_ways))["joined:forward"]
    assert members(group)["each", "step/kernel", 0] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert group.channels == 4


def test_a_head_is_a_channel_and_so_is_a_value_size():
    found = named(model_of(attention))
    assert (found["attention:heads"].channels, found["attention:values"].channels) == (3, 5)
    assert members(found["attention:heads"])["attention", "attention_output/kernel", 0] == [0, 1, 2]
    assert found["attention"].channels == 8


def test_channels_that_a_shuffle_spreads_over_two_axes_are_tied():
    group = named(model_of(shuffled))["body"]
    assert members(group)["body", "kernel", 3] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert members(group)["after", "kernel", 2] == [0, 1, 2, 3, 0, 1, 2, 3]


def test_what_a_layer_normalization_counts_is_pinned_by_name_and_the_rest_is_free():
    found = named(model_of(transformer))
    assert found["body"].pinned.endswith("(LayerNormalization) takes statistics over its channels")
    assert not found["mlp"].pinned
    assert not found["attention:heads"].pinned


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: layers.Lambda(lambda t: t + 1.0, name="own")(x), r"layer 'own' \(Lambda\) cannot be narrowed"),
        (lambda x: layers.Softmax(name="soft")(x), r"'soft' \(Softmax\) mixes channels"),
        (lambda x: layers.Activation("softmax", name="soft")(x), r"activation of 'soft' \(Activation\) mixes channels"),
        (lambda x: keras.ops.mean(x, axis=-1, keepdims=True), r"'mean\w*' \(Mean\) takes statistics over its channels"),
        (lambda x: keras.ops.max(x, axis=-1, keepdims=True), r"'max\w*' \(Max\) takes statistics over its channels"),
        (lambda x: x[:, ::2], r"'get_item\w*' \(GetItem\) takes them with gaps"),
        (lambda x: x[:, 1, None], r"'get_item\w*' \(GetItem\) takes one of them"),
        (lambda x: keras.ops.pad(x, ((0, 0), (1, 1))), r"'pad\w*' \(Pad\) adds channels"),
        (lambda x: keras.ops.tile(x, (1, 2)), r"'tile\w*' \(Tile\) repeats them"),
        (lambda x: keras.ops.flip(x, axis=-1), r"'flip\w*' \(Flip\) cannot be narrowed"),
    ],
)
def test_what_cannot_be_followed_pins_the_group_with_the_reason(function, reason):
    model = over(lambda x: function(layers.Dense(6, name="body")(x)))
    assert re.search(reason, named(model)["body"].pinned)


def test_a_reshape_that_mixes_all_channels_pins_them_by_name():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 1, name="body")(image)
    x = layers.GlobalAveragePooling1D()(layers.Reshape((96, 4), name="fold")(x))
    found = named(keras.Model(image, layers.Dense(2)(x)))
    assert found["body"].pinned == "reshape across channels in 'fold' (Reshape)"


def test_channels_added_to_an_input_are_pinned_by_it():
    found = named(over(lambda x: layers.Add(name="join")([x, layers.Dense(4, name="body")(x)])))
    assert found["body"].pinned == "tied to input 'given'"


def test_a_layer_used_at_a_fixed_width_and_a_free_one_is_pinned_by_name():
    def function(x):
        twice = layers.PReLU(name="twice")
        return layers.Concatenate()([twice(layers.Dense(4, name="body")(x)), twice(x)])

    assert named(over(function))["body"].pinned == "tied to input 'given'"


def test_an_output_pins_what_it_shows():
    given = keras.Input((4,))
    body = layers.Dense(6, name="body")(given)
    model = keras.Model(given, [layers.ReLU(name="shown")(body), layers.Dense(2, name="scores")(body)])
    assert named(model)["body"].pinned == "feeds output 'shown'"


def test_a_class_of_somebody_elses_is_not_taken_for_the_layer_it_is_named_after():
    class Dense(layers.Layer):
        def call(self, x):
            return keras.ops.cumsum(x, axis=-1)

    found = named(over(lambda x: Dense(name="own")(layers.Dense(6, name="body")(x))))
    assert found["body"].pinned == "layer 'own' (Dense) cannot be narrowed"


def test_a_dead_channel_that_is_not_zero_where_it_is_read_is_told():
    found = named(over(lambda x: layers.Dense(6, activation="sigmoid", name="body")(x)))
    assert found["body"].emits == "a dead channel is not zero where it is read by 'scores' (Dense)"
    found = named(over(lambda x: layers.Dense(6, activation="tanh", name="body")(x)))
    assert found["body"].emits == ""


def test_a_constant_that_shifts_dead_channels_is_told_and_one_that_is_taken_back_is_not():
    found = named(over(lambda x: layers.Dense(6, name="body")(x) + 1.0))
    assert found["body"].emits
    found = named(over(lambda x: keras.ops.relu(layers.Dense(6, name="body")(x) + 1.0) - 1.0))
    assert found["body"].emits == ""


def test_what_a_channel_holds_is_summed_over_all_its_places():
    (group,) = [group for group in groups(model_of(grouped_whole)) if group.name == "before"]
    (kernel,) = [m for m in group.members if (m.layer, m.weight) == ("grouped", "bias")]
    totals = kernel.total(np.arange(8.0), group.channels)
    np.testing.assert_array_equal(totals, [0 + 1, 2 + 3, 4 + 5, 6 + 7])


def test_killing_zeroes_what_makes_a_channel_and_leaves_what_reads_it():
    model = model_of(plain)
    (group,) = [group for group in groups(model) if group.name == "first"]
    read = model.get_layer("second").kernel.numpy()
    kill_(group, [1, 4])
    assert np.flatnonzero(np.all(model.get_layer("first").kernel.numpy() == 0, axis=(0, 1, 2))).tolist() == [1, 4]
    assert np.flatnonzero(model.get_layer("first").bias.numpy() == 0).tolist() == [1, 4]
    np.testing.assert_array_equal(model.get_layer("second").kernel.numpy(), read)


def test_a_model_without_kernels_has_no_groups_and_costs_nothing():
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.GlobalAveragePooling2D()(image))
    assert groups(model) == ()
    assert CostModel.of(model).of_kept({}) == Cost(0, 0)
    assert CostModel.of(model).per_channel({}) == {}


def test_a_quantized_layer_is_left_alone():
    model = over(lambda x: layers.Dense(6, name="body")(x))
    filled(model)
    model.get_layer("body").quantize("int8")
    assert "body" not in named(model)
    assert named(model)["scores"].channels == 2


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_atoms_are_tied_over_any_number_of_steps(pairs):
    ledger = Ledger()
    atoms = ledger.fresh(20)
    sets = [{n} for n in range(20)]
    for one, other in pairs:
        ledger.unite(atoms[[one]], atoms[[other]])
        joined = sets[one] | sets[other]
        for n in joined:
            sets[n] = joined
    assert ledger.classes().tolist() == [min(tied) for tied in sets]


def test_the_first_reason_for_a_pin_is_the_one_that_is_given():
    ledger = Ledger()
    atoms = ledger.fresh(4)
    ledger.unite(atoms[:2], atoms[2:])
    ledger.pin(atoms[[2]], "one")
    ledger.pin(atoms[[0]], "two")
    assert ledger.reasons(ledger.classes()) == {0: "one"}
