"""Layers of student and teacher: found by size, seen in the same pass, projected by what is learnt beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.engines.tiny_networks import compile_, convolutional, dense, images, vectors
from tfcompress.distillation.lesson import Lesson, learn_from_
from tfcompress.distillation.pairs import Pair, check_pairs, found_pairs
from tfcompress.distillation.projection import Projection
from tfcompress.distillation.students import smaller
from tfcompress.distillation.teacher import own_teacher
from tfcompress.engines.native import open_session
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.models.copies import model_copy
from tfcompress.recipe import QAT, Cluster, Distill, Prune
from tfcompress.stages.lessons import StudentScale

keras = pytest.importorskip("keras")


@pytest.fixture(scope="module")
def teacher() -> Any:
    return convolutional(keras)


@pytest.fixture(scope="module")
def student(teacher: Any) -> Any:
    return smaller(teacher, StudentScale(width=0.5))


def test_the_deepest_layers_of_each_size_are_compared(teacher: Any, student: Any) -> None:
    assert found_pairs(student, teacher, 1) == [Pair("sum_relu", "sum_relu"), Pair("hidden", "hidden")]
    assert found_pairs(student, teacher, 2) == [Pair("sum_relu", "sum_relu")]
    assert found_pairs(dense(keras), teacher, 1) == [Pair("a", "hidden")]


@pytest.mark.parametrize(
    ("pairs", "least", "words"),
    [
        (
            [],
            2,
            r"no layers of the student and of teacher 'big' have the same size .*--distill-layers",
        ),
        ([Pair("first", "pool")], 1, r"distill.layers first=pool must have as many positions as each other"),
        ([Pair("hidden", "hidden")], 2, r"distill.layers hidden=hidden must have positions beside the channels"),
        ([Pair("frist", "first")], 1, r"has no layer 'frist' to compare \(did you mean 'first'"),
    ],
)
def test_layers_that_cannot_be_compared_are_refused(
    teacher: Any, student: Any, pairs: list[Pair], least: int, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        check_pairs(student, teacher, "big", pairs, least)


def test_a_teacher_without_layers_is_refused(student: Any) -> None:
    blind = own_teacher(student)
    blind.graph = None
    with pytest.raises(UnsupportedError, match="has no graph of layers to look into, only outputs; give a Keras file"):
        Lesson(Distill(loss="features"), [blind], student)


def test_a_loss_of_vectors_is_refused_for_a_single_number() -> None:
    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(1, name="price")])
    with pytest.raises(UsageError, match="'cosine' compares vectors, and output 'price' is a single number"):
        Lesson(Distill(loss="cosine"), [own_teacher(model)], model)


def test_a_projection_begins_as_the_identity_and_learns_what_maps_one_to_the_other() -> None:
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    same = Projection(4, 4, seed=0)
    assert np.array_equal(same(x, x), x)
    wanted = x @ np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)
    learnt = Projection(4, 6, seed=0)
    apart = [float(np.mean((np.asarray(learnt(x, wanted)) - wanted) ** 2)) for _ in range(300)]
    assert apart[-1] < 0.2 * apart[0]
    again = Projection(4, 6, seed=1)
    again.restore_(learnt.state())
    assert np.array_equal(learnt(x, wanted), again(x, wanted))


def test_layers_are_seen_in_the_pass_that_trains_and_equal_models_are_no_distance_apart(teacher: Any) -> None:
    x, _ = images()
    model = model_copy(teacher)
    lesson = Lesson(Distill(loss=("features", "attention"), weight=1.0), [own_teacher(teacher)], teacher)
    learn_from_(model, lesson)
    model.compile(loss="mse")
    with pytest.raises(UsageError, match="call the model itself on the batch before it"):
        model.compute_loss(x, None, np.zeros((32, 3)))
    assert np.allclose(model(x, training=False), teacher(x, training=False), atol=1e-6)
    assert float(model.compute_loss(x, None, model(x, training=False))) == pytest.approx(0.0, abs=1e-6)


STAGES = {
    "alone": (),
    "with all others": (QAT(), Prune(sparsity=0.5, frequency=1), Cluster(clusters=8)),
}


@pytest.mark.slow
@pytest.mark.parametrize("others", STAGES.values(), ids=STAGES)
def test_every_loss_trains_a_student_whatever_else_is_done_to_it(teacher: Any, student: Any, others: Any) -> None:
    stage = Distill(loss=("soft", "cosine", "relations", "features=0.5", "attention"))
    work = open_session(student, [*others, stage], seed=0, teachers=[own_teacher(teacher)])
    compile_(keras, work.model, 3e-3)
    work.plan_(epochs=2, steps_per_epoch=4)
    x, y = images()

    class Steps(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            work.after_step_()

    losses = work.model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=[Steps()]).history["loss"]
    assert losses[-1] < losses[0]
    assert any("features of the model before compression compares" in note for note in work.notes)
    before = work.state()
    assert {name for name in before if name.startswith("lesson/")}
    work.restore_(before)
    finished, _ = work.finish()
    assert all("kernel" not in weight.path or "lesson" not in weight.path for weight in finished.weights)
    assert len(finished.outputs) == 1


def test_several_teachers_pull_as_their_mean_does() -> None:
    import tensorflow as tf

    given = keras.Input((16,), name="vector")
    models = [keras.Model(given, keras.layers.Dense(3, "softmax", name="out")(given)) for _ in range(3)]
    (first, second, student), (x, _) = models, vectors()
    mean = keras.Model(given, keras.layers.Average(name="out")([first(given), second(given)]))

    def slopes(teachers: list[Any]) -> np.ndarray:
        lesson = Lesson(Distill(temperature=1.0), [own_teacher(each) for each in teachers], student)
        with tf.GradientTape() as tape:
            loss = lesson.loss(x, student(x), "sparse_categorical_crossentropy")
        return np.asarray(tape.gradient(loss, student.trainable_variables[0].value))

    assert np.allclose(slopes([first, second]), slopes([mean]), atol=1e-5)
