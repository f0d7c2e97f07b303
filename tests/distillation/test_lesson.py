import numpy as np
import pytest

from tests.engines.tiny_networks import dense, vectors
from tfcompress.distillation.lesson import Lesson, learn_from_
from tfcompress.distillation.teacher import own_teacher
from tfcompress.errors import UsageError
from tfcompress.models.copies import model_copy
from tfcompress.recipe import Distill

keras = pytest.importorskip("keras")


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def divergence(teacher, student, temperature):
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    return temperature**2 * (p * np.log(p / q)).sum(axis=-1).mean()


def pair(last=None, outputs=3, temperature=2.0, weight=0.25):
    """Return a teacher of one layer, and a student with other weights."""
    keras.utils.set_random_seed(0)
    given = keras.Input((16,), name="vector")
    teacher = keras.Model(given, keras.layers.Dense(outputs, last, name="out")(given))
    student = model_copy(teacher)
    student.set_weights([w + 0.3 * np.random.default_rng(1).normal(size=w.shape) for w in student.get_weights()])
    learn_from_(student, Lesson(Distill(temperature=temperature, weight=weight), [own_teacher(teacher)], student))
    return teacher, student


@pytest.mark.parametrize("last", [None, "softmax"])
def test_class_scores_are_compared_as_the_paper_does_whether_logits_or_probabilities(last):
    teacher, student = pair(last)
    x, y = vectors()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=last is None)
    student.compile(loss=loss)
    logits = [x @ m.get_weights()[0] + m.get_weights()[1] for m in (teacher, student)]
    expected = 0.75 * float(loss(y, student(x))) + 0.25 * divergence(*logits, 2.0)
    assert float(student.compute_loss(x, y, student(x))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("last", [None, "sigmoid"])
def test_yes_or_no_is_a_choice_of_two(last):
    teacher, student = pair(last, outputs=1, temperature=3.0, weight=1.0)
    x, _ = vectors()
    student.compile(loss=keras.losses.BinaryCrossentropy(from_logits=last is None))
    logits = [x @ m.get_weights()[0] + m.get_weights()[1] for m in (teacher, student)]
    expected = divergence(*(np.concatenate([0 * z, z], axis=1) for z in logits), 3.0)
    assert float(student.compute_loss(x, np.zeros((32, 1)), student(x))) == pytest.approx(expected, rel=1e-4)


def test_other_numbers_are_compared_by_the_mean_squared_difference():
    teacher, student = pair(weight=0.5)
    x, _ = vectors()
    y = np.ones((32, 3), np.float32)
    student.compile(loss="mse")
    a, b = teacher.predict(x, verbose=0), student.predict(x, verbose=0)
    expected = 0.5 * ((b - y) ** 2).mean() + 0.5 * ((b - a) ** 2).mean()
    assert float(student.compute_loss(x, y, student(x))) == pytest.approx(expected, rel=1e-4)


def test_several_outputs_are_each_compared_in_their_own_way():
    given = keras.Input((16,), name="vector")
    teacher = keras.Model(
        given, {"a": keras.layers.Dense(3, name="a")(given), "b": keras.layers.Dense(2, name="b")(given)}
    )
    student = model_copy(teacher)
    student.set_weights([w + 0.1 for w in student.get_weights()])
    learn_from_(student, Lesson(Distill(weight=1.0, temperature=1.0), [own_teacher(teacher)], student))
    student.compile(loss={"a": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "b": "mse"})
    x, _ = vectors()
    of_teacher, of_student = teacher.predict(x, verbose=0), student.predict(x, verbose=0)
    expected = divergence(of_teacher["a"], of_student["a"], 1.0) + ((of_teacher["b"] - of_student["b"]) ** 2).mean()
    assert float(student.compute_loss(x, None, student(x))) == pytest.approx(expected, rel=1e-4)


def test_evaluation_looks_at_the_task_alone():
    _, student = pair()
    x, y = vectors()
    student.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    task = student.compute_loss(x, y, student(x), training=False)
    assert float(task) == pytest.approx(float(student.loss(y, student(x))), rel=1e-5)


def test_the_teacher_is_none_of_the_students_weights_and_not_in_its_file(tmp_path):
    teacher, student = pair()
    assert len(student.weights) == 2
    assert not {id(v) for v in teacher.variables} & {id(v) for v in student.variables}
    student.save(tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras")
    assert type(loaded).__name__ == "Functional"
    assert np.array_equal(loaded(vectors()[0]), student(vectors()[0]))


def test_a_sequential_student_trains_too():
    model = dense(keras)
    student = model_copy(model)
    learn_from_(student, Lesson(Distill(), [own_teacher(model)], student))
    student.compile(
        optimizer="sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False
    )
    assert np.isfinite(student.fit(*vectors(), verbose=0).history["loss"]).all()


def test_a_loss_without_inputs_is_refused():
    _, student = pair()
    with pytest.raises(UsageError, match="compute_loss of a distilled model needs x and y_pred"):
        student.compute_loss(y=vectors()[1], y_pred=vectors()[0])
