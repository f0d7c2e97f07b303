"""tfcompress.quantization.bias_correction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.quantization.scaled import network
from tfcompress.quantization.bias_correction import one_pass, sequential
from tfcompress.quantization.post_training import Conditions, calibrated


@pytest.fixture(scope="module")
def moved() -> tuple[Any, dict[str, np.ndarray]]:
    """Return a network that rounding moves, and samples: weights lie just below the middle between two steps."""
    model = network(5)
    for weight in model.weights:
        if weight.path.endswith("kernel") and len(weight.shape) == 4:
            value = np.asarray(weight)
            step = np.abs(value).max(axis=(0, 1, 2), keepdims=True) / 127
            weight.assign(np.where(np.abs(value) > 100 * step, value, (np.floor(value / step) + 0.49) * step))
    inputs = np.abs(np.random.default_rng(0).normal(size=(48, 8, 8, 3))).astype(np.float32)
    return model, {"image": inputs}


def shift(model: Any, candidate: Any, inputs: dict[str, np.ndarray]) -> float:
    """Return how far the means of the rounded outputs are from the float model's: the root of the mean square."""
    (given,) = inputs.values()
    rounded = np.asarray(calibrated(candidate, inputs).model(given, training=False))
    return float(np.sqrt(np.mean((rounded.mean(axis=0) - np.asarray(model(given, training=False)).mean(axis=0)) ** 2)))


def test_the_means_of_the_rounded_outputs_become_those_of_the_float_model(moved) -> None:
    model, inputs = moved
    before = [value.copy() for value in model.get_weights()]
    plain, corrected = shift(model, model, inputs), shift(model, sequential(model, Conditions(inputs=inputs)), inputs)
    assert corrected < plain / 4
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))  # it is only read


@pytest.mark.parametrize("correct", [sequential, one_pass])
def test_only_biases_change(moved, correct) -> None:
    model, inputs = moved
    new = correct(model, Conditions(inputs=inputs))
    changed = {
        weight.path.rpartition("/")[2]
        for weight, old in zip(new.weights, model.weights, strict=True)
        if not np.array_equal(np.asarray(weight), np.asarray(old))
    }
    assert changed
    assert changed <= {"bias", "beta"}
