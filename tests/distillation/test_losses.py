"""Losses from a teacher: arithmetic that a reader can check, none between equals, gradients for the student alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.distillation.losses import ANGLE_SHARE, Compared
from tfcompress.stages.lessons import LESSON_LOSSES


def values(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def number(name: str, teacher: Any, student: Any, **more: Any) -> float:
    return float(LESSON_LOSSES[name].load()(Compared(np.float32(teacher), np.float32(student), **more)))


@pytest.mark.parametrize("name", LESSON_LOSSES)
@given(seed=st.integers(0, 99))
@settings(max_examples=5)
def test_equals_are_no_distance_apart_and_others_some(name: str, seed: int) -> None:
    shape = (5, 2, 3, 4) if LESSON_LOSSES[name].of == "layers" else (5, 4)
    kind = "" if LESSON_LOSSES[name].of == "layers" else "logits"
    same, other = values(seed, shape), values(seed + 1, shape)
    assert number(name, same, same, kind=kind) == pytest.approx(0.0, abs=1e-5)
    assert number(name, same, other, kind=kind) > 1e-3


@pytest.mark.parametrize("name", LESSON_LOSSES)
def test_gradients_reach_the_student_and_not_the_teacher(name: str) -> None:
    import tensorflow as tf

    shape = (4, 2, 2, 3) if LESSON_LOSSES[name].of == "layers" else (4, 3)
    kind = "" if LESSON_LOSSES[name].of == "layers" else "softmax"
    teacher, student = (tf.Variable(tf.nn.softmax(values(seed, shape))) for seed in (0, 1))
    with tf.GradientTape() as tape:
        loss = LESSON_LOSSES[name].load()(
            Compared(tf.convert_to_tensor(teacher), tf.convert_to_tensor(student), kind=kind)
        )
    of_teacher, of_student = tape.gradient(loss, [teacher, student])
    assert of_teacher is None or not np.any(of_teacher)
    assert np.isfinite(of_student).all()
    assert np.abs(of_student).max() > 1e-6


def test_the_attention_map_is_the_squares_over_the_channels_at_unit_length() -> None:
    teacher = [[[3.0, 0.0], [0.0, 4.0]]]  # one sample, two positions, two channels: squares 9 and 16
    student = [[[1.0, 1.0], [0.0, 0.0]]]
    length = (9**2 + 16**2) ** 0.5
    expected = (9 / length - 1) ** 2 + (16 / length) ** 2
    assert number("attention", teacher, student) == pytest.approx(expected, rel=1e-5)
    assert number("attention", teacher, 5 * np.float32(teacher)) == pytest.approx(0.0, abs=1e-6)


def test_features_are_compared_over_the_mean_square_of_the_teachers() -> None:
    assert number("features", [[2.0, 4.0]], [[1.0, 1.0]]) == pytest.approx((1 + 9) / (4 + 16))
    doubled = number("features", [[2.0, 4.0]], [[1.0, 2.0]], project=lambda student, _: 2 * student)
    assert doubled == pytest.approx(0.0)


def test_the_cosine_does_not_look_at_lengths() -> None:
    assert number("cosine", [[1.0, 0.0]], [[3.0, 3.0]], kind="numbers") == pytest.approx(1 - 2**-0.5, rel=1e-5)


def test_relations_are_distances_over_their_mean_and_cosines_at_each_sample() -> None:
    teacher = np.float32([[0, 0], [3, 0], [0, 4]])  # sides 3, 4, 5: a right angle at the first
    student = np.float32([[0, 0], [1, 0], [2, 0]])  # in a line: sides 1, 2, 1
    wanted, got = np.array([3, 4, 5]) / 4, np.array([1, 2, 1]) / (4 / 3)  # from 0 to 1, 0 to 2, 1 to 2
    apart = 2 * (0.5 * (wanted - got) ** 2).sum() / 9  # each twice, of nine pairs
    # The angles at samples 0, 1, 2 between the two others, of 27 triplets each one twice.
    cosines = np.array([[0, 1], [3 / 5, -1], [4 / 5, 1]])
    huber = [0.5 * d**2 if d < 1 else d - 0.5 for d in np.abs(cosines[:, 0] - cosines[:, 1])]
    expected = apart + ANGLE_SHARE * 2 * sum(huber) / 27
    assert number("relations", teacher, student, kind="numbers") == pytest.approx(expected, rel=1e-4)


@settings(max_examples=10)
@given(scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_relations_do_not_see_where_the_samples_lie_and_how_large_all_is(scale: float, shift: float) -> None:
    teacher = values(0, (6, 3))
    assert number("relations", teacher, scale * teacher + shift, kind="numbers") == pytest.approx(0.0, abs=1e-4)


def test_samples_that_are_all_the_same_give_no_nan() -> None:
    same = np.ones((4, 3), np.float32)
    assert np.isfinite(number("relations", same, same, kind="numbers"))
    assert np.isfinite(number("relations", values(0, (4, 3)), same, kind="numbers"))


@pytest.mark.parametrize("name", [name for name, loss in LESSON_LOSSES.items() if loss.of == "outputs"])
def test_a_loss_of_maps_makes_nothing_much_larger_than_the_maps(name: str) -> None:
    import tensorflow as tf

    shape = (32, 64, 64, 3)

    @tf.function
    def traced(teacher: Any, student: Any) -> Any:
        return LESSON_LOSSES[name].load()(Compared(teacher, student, kind="logits", temperature=2.0))

    graph = traced.get_concrete_function(tf.TensorSpec(shape), tf.TensorSpec(shape)).graph
    sizes = [tensor.shape.num_elements() or 0 for op in graph.get_operations() for tensor in op.outputs]
    assert max(sizes) <= np.prod(shape)
