"""How far outputs are from a teacher's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.distillation.distances import SOFTENED, WORDS, distances, in_form_of, unbounded


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


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


@settings(max_examples=20)
@given(seed=st.integers(0, 999), temperature=st.floats(1.0, 20.0), size=st.floats(0.1, 30.0))
def test_distances_of_classes_are_the_divergences_of_the_papers_in_float64(
    seed: int, temperature: float, size: float
) -> None:
    draw = np.random.default_rng(seed)
    teacher, student = (draw.normal(size=(3, 4)) * size for _ in range(2))
    log_p, log_q = (np.log(softmax(x / temperature)) for x in (teacher, student))
    expected = temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)
    found = np.asarray(distances("logits", teacher, student, temperature))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-5 * temperature**2 * (1 + size))
    a, b = teacher / temperature, student / temperature  # log p = -log(1 + exp(-x)), log(1 - p) = -log(1 + exp(x))
    yes = np.exp(-np.logaddexp(0, -a)) * (np.logaddexp(0, -b) - np.logaddexp(0, -a))
    yes += np.exp(-np.logaddexp(0, a)) * (np.logaddexp(0, b) - np.logaddexp(0, a))
    found = np.asarray(distances("binary logits", teacher, student, temperature))
    np.testing.assert_allclose(
        found, temperature**2 * yes.mean(axis=-1), rtol=1e-3, atol=2e-5 * temperature**2 * (1 + size)
    )


@pytest.mark.parametrize("kind", WORDS)
@settings(max_examples=6)
@given(seed=st.integers(0, 99), size=st.sampled_from([0.0, 1e-6, 1e4]), temperature=st.sampled_from([0.5, 4.0]))
def test_outputs_at_their_ends_give_finite_distances_and_slopes(
    kind: str, seed: int, size: float, temperature: float
) -> None:
    """Zeros, all the same, sure of one class: nothing of it may be NaN."""
    import tensorflow as tf

    draw = np.random.default_rng(seed)
    logits = [(draw.normal(size=(2, 3)) * size).astype(np.float32) for _ in range(2)]
    ends = {"softmax": softmax, "sigmoid": lambda x: 1 / (1 + np.exp(-np.clip(x, -80, 80)))}
    teacher, student = (tf.Variable(np.float32(ends.get(kind, np.asarray)(x))) for x in logits)
    with tf.GradientTape() as tape:
        apart = distances(kind, teacher, student, temperature)
    assert np.isfinite(apart).all()
    assert (np.asarray(apart) >= -1e-3).all()
    gradient = tape.gradient(apart, student)
    assert gradient is None or np.isfinite(gradient).all()


@settings(max_examples=10)
@given(seed=st.integers(0, 99), shares=st.booleans())
def test_a_teacher_in_the_form_of_its_student_says_the_same(seed: int, shares: bool) -> None:
    logits = np.random.default_rng(seed).normal(size=(4, 3)).astype(np.float32) * 3
    p, odds = softmax(logits).astype(np.float32), (1 / (1 + np.exp(-logits))).astype(np.float32)
    given_to = {"softmax": p, "logits": p, "sigmoid": odds, "binary logits": odds}
    for kind, as_shares in given_to.items():
        found = np.asarray(in_form_of(kind, as_shares if shares else logits, are_shares=shares))
        back = {"logits": softmax, "binary logits": lambda x: 1 / (1 + np.exp(-x))}.get(kind, np.asarray)(found)
        np.testing.assert_allclose(back, as_shares, rtol=1e-4, atol=1e-6)
    assert np.array_equal(np.asarray(in_form_of("numbers", logits, are_shares=shares)), logits)
    for kind in ("logits", "binary logits", "numbers", "directions"):
        assert np.array_equal(np.asarray(unbounded(kind, logits)), logits)
    np.testing.assert_allclose(softmax(np.asarray(unbounded("softmax", p))), p, rtol=1e-5)
