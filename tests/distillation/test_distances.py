"""How far outputs are from a teacher's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.distillation.distances import SOFTENED, WORDS, distances


def outputs(kind: str, seed: int, shape: tuple[int, ...]) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    if kind == "softmax":
        return np.asarray(np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True))
    return np.asarray(1 / (1 + np.exp(-logits)) if kind == "sigmoid" else logits)


@pytest.mark.parametrize("kind", WORDS)
@given(seed=st.integers(0, 99), places=st.sampled_from([(4,), (2, 3)]))
def test_a_distance_is_none_from_itself_and_above_it_from_others(kind: str, seed: int, places: tuple[int, ...]) -> None:
    teacher, student = (outputs(kind, each, (*places, 5)) for each in (seed, seed + 1))
    same, apart = (np.asarray(distances(kind, teacher, x, 2.0)) for x in (teacher, student))
    assert same.shape == apart.shape == places
    assert same == pytest.approx(np.zeros(places), abs=1e-5)
    assert (apart > 0).all()


@pytest.mark.parametrize(("kind", "logits"), [("softmax", "logits"), ("sigmoid", "binary logits")])
def test_probabilities_are_as_far_apart_as_their_logits(kind: str, logits: str) -> None:
    a, b = (outputs("numbers", seed, (4, 3)) for seed in (0, 1))
    p, q = (outputs(kind, seed, (4, 3)) for seed in (0, 1))
    of_logits, of_shares = (np.asarray(distances(k, x, y, 3.0)) for k, x, y in ((logits, a, b), (kind, p, q)))
    assert of_shares == pytest.approx(of_logits, rel=1e-3, abs=1e-6)


def test_the_temperature_softens_classes_alone() -> None:
    for kind in WORDS:
        a, b = (outputs(kind, seed, (4, 3)) for seed in (0, 1))
        cold, warm = (np.asarray(distances(kind, a, b, t)) for t in (1.0, 8.0))
        assert np.allclose(cold, warm) is (kind not in SOFTENED)


def test_directions_do_not_look_at_lengths() -> None:
    a, b = (outputs("directions", seed, (4, 3)) for seed in (0, 1))
    one, other = (np.asarray(distances("directions", a, x, 1.0)) for x in (b, 7 * b))
    assert one == pytest.approx(other, abs=1e-6)
    assert np.asarray(distances("directions", a, -a, 1.0)) == pytest.approx(np.full(4, 2.0), abs=1e-5)


def test_outputs_without_a_last_axis_are_compared_sample_by_sample() -> None:
    a, b = np.float32([1, 2]), np.float32([3, 2])
    assert np.asarray(distances("numbers", a, b, 1.0)).tolist() == [4, 0]
