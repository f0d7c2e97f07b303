"""What noise in the outputs does to the answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.tflite.layer_noise import HeldBack


def held(values: np.ndarray) -> HeldBack:
    return HeldBack({"x": np.zeros((len(values), 1))}, {"scores": values}, ())


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), noise=st.sampled_from([1e-4, 1e-3, 1e-2, 5e-2]))
def test_noise_swaps_two_classes_as_often_as_their_distance_says(seed: int, noise: float) -> None:
    """A difference *m* changes its sign with probability ``erfc(m / (2 sigma)) / 2``."""
    scores = 3 * np.random.default_rng(seed).normal(size=(1000, 2))
    sigma = np.sqrt(noise * scores.var(axis=0).mean())
    swapped = np.mean([math.erfc(abs(m) / (2 * sigma)) / 2 for m in scores[:, 0] - scores[:, 1]])
    assert held(scores).same_top1(noise) == pytest.approx(1 - swapped, abs=0.005)


def test_outputs_of_many_places_are_drawn_over_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    generator = np.random.default_rng(0)

    class Counting:
        def normal(self, *, scale: float, size: tuple[int, int]) -> np.ndarray:
            drawn.append(size[0] * size[1])
            return generator.normal(scale=scale, size=size)

    scores = np.random.default_rng(1).normal(size=(4, 512, 512, 4))
    monkeypatch.setattr(np.random, "default_rng", lambda seed: Counting())
    assert 0.9 < (held(scores).same_top1(1e-3) or 0.0) < 1.0
    assert drawn == [scores.size]


def test_without_noise_all_stay_and_without_classes_there_is_nothing_to_say() -> None:
    scores = np.random.default_rng(0).normal(size=(50, 3))
    assert held(scores).same_top1(0.0) == 1.0
    assert held(scores[:, :1]).same_top1(0.1) is None
