"""Layers behind a block that is gone: who they are, and what they compute afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from tests.blocks.residual_models import network, silence_
from tfcompress.blocks.bypassing import without
from tfcompress.blocks.finding import find_blocks
from tfcompress.blocks.gating import distance, gated_distances, outputs_of
from tfcompress.blocks.refitting import combined, cross_moments, readers_behind, refit_

keras = pytest.importorskip("keras")
layers = keras.layers

IMAGES = {"image": np.random.default_rng(0).normal(size=(70, 4, 4, 3)).astype(np.float32)}


def test_the_first_linear_readers_are_found_through_sums_activations_and_nested_models() -> None:
    model = network(["conv", "nested", "inverted"])
    first, second, _ = find_blocks(model).blocks
    assert set(readers_behind(model, [first.exit])) == {"b1/one", "b2_wide", "first", "second"}
    assert set(readers_behind(model, [second.exit])) == {"b2_wide", "first", "second"}


def test_a_layer_is_fitted_exactly_where_what_it_read_is_a_combination_of_what_it_reads() -> None:
    keras.utils.set_random_seed(0)
    given = keras.Input((6,), name="x")
    x = layers.Dense(6, name="stem")(given)
    y = layers.Add(name="sum")([x, layers.Dense(6, name="linear")(x)])
    model = keras.Model(given, layers.Dense(3, name="out")(y))
    model.get_layer("linear").bias.assign(np.arange(6.0))
    (block,) = (each for each in find_blocks(model).blocks if each.kind == "residual")
    shorter = without(model, [block])
    inputs = {"x": np.random.default_rng(1).normal(size=(200, 6)).astype(np.float32)}
    reference = outputs_of(model, inputs)
    plain = distance(reference, outputs_of(shorter, inputs))
    assert refit_(shorter, cross_moments(model, shorter, inputs, readers_behind(model, [block.exit]))) == 1
    assert distance(reference, outputs_of(shorter, inputs)) < 1e-5 < 0.1 < plain


def test_a_block_that_changed_nothing_changes_nothing() -> None:
    model = network(["conv", "conv"])
    block = find_blocks(model).blocks[0]
    silence_(model, block)
    shorter = without(model, [block])
    moments = cross_moments(model, shorter, IMAGES, readers_behind(model, [block.exit]))
    for found in moments.values():
        np.testing.assert_array_equal(combined(found, centred=True), np.eye(4))
        np.testing.assert_array_equal(combined(found, centred=False), np.eye(4))
    assert gated_distances(model, find_blocks(model).blocks, IMAGES)[0] == 0.0


def test_distances_are_zero_for_equal_outputs_one_for_means_and_infinite_for_no_numbers() -> None:
    outputs = [np.random.default_rng(0).normal(size=(50, 3))]
    means = [np.broadcast_to(outputs[0].mean(axis=0), (50, 3))]
    assert distance(outputs, outputs) == 0.0
    assert distance(outputs, means) == pytest.approx(1.0, abs=0.2)
    assert distance(outputs, [np.full((50, 3), np.nan)]) == float("inf")


def test_gated_distances_are_those_of_the_model_without_the_block_where_scale_and_shift_are_free() -> None:
    keras.utils.set_random_seed(0)
    given = keras.Input((4,), name="x")
    x = layers.Dense(4, name="stem")(given)
    scaled = layers.BatchNormalization(name="half", gamma_initializer="zeros", beta_initializer="ones")(x)
    y = layers.Dense(3, name="out")(layers.Add(name="sum")([x, scaled]))
    noisy = layers.Add(name="other")([x, layers.Dense(4, "tanh", name="branch")(x)])
    model = keras.Model(given, [y, layers.Dense(3, name="end")(noisy)])
    inputs = {"x": np.random.default_rng(1).normal(size=(100, 4)).astype(np.float32)}
    found = {b.name: d for b, d in zip(find_blocks(model).blocks, _gated(model, inputs), strict=True)}
    assert found["sum"] < 1e-8 < 1e-3 < found["other"]  # one added, and nothing else, is a shift


def _gated(model, inputs):
    return gated_distances(model, find_blocks(model).blocks, inputs)
