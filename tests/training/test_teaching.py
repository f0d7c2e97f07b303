"""Who is trained and who teaches, in a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tests.pictures import network as pictures_network
from tfcompress.errors import DataError, UnsupportedError, UsageError
from tfcompress.models.loading import Loaded, load_model
from tfcompress.models.signature import call, signature_of
from tfcompress.recipe import Train
from tfcompress.training.averaging import keep_better_
from tfcompress.training.teaching import Teaching, teaching_for

keras = pytest.importorskip("keras")

FEATURES, CLASSES = 12, 3


def network(
    width: int, seed: int, *, names: tuple[str, str] = ("vector", "scores"), last: str | None = "softmax"
) -> Any:
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    given = keras.Input((FEATURES,), name=names[0])
    x = layers.ReLU(name="relu")(layers.Dense(width, name="hidden")(given))
    return keras.Model(given, layers.Dense(CLASSES, last, name=names[1])(x), name=f"net{width}")


def samples(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(count) % CLASSES
    vectors = np.random.default_rng(seed).random((count, FEATURES), dtype=np.float32)
    vectors[np.arange(count), labels] += 1.0
    return vectors, labels


@pytest.fixture(scope="module")
def model() -> Any:
    """Return a network that is right nearly always."""
    found = network(16, 0)
    found.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", jit_compile=False)
    found.fit(*samples(384, 0), epochs=8, verbose=0)
    return found


@pytest.fixture(scope="module")
def loaded(model: Any) -> Loaded:
    return load_model(model)


def teaching(loaded: Loaded, *, labels: bool = True, **asked: Any) -> Teaching:
    x, y = samples(384, 0)
    given = {"x_train": x, "y_train": y} if labels else {"x_train": x}
    data = tfc.load_data(given).bind(loaded.signature)
    return teaching_for(tfc.Recipe(stages=(tfc.Distill(**asked),)), loaded, data, {})


def in_order(model: Any, order: list[int], folder: Path) -> str:
    """Return the file of the same model with its classes in another order."""
    other = keras.models.clone_model(model)
    kernel, bias = model.get_layer("scores").get_weights()
    other.set_weights([*model.get_weights()[:-2], kernel[:, order], bias[order]])
    other.save(folder / "other.keras")
    return str(folder / "other.keras")


@pytest.mark.slow
@pytest.mark.parametrize("labels", [True, False])
def test_a_teacher_with_its_classes_in_another_order_is_refused_and_taken_once_that_is_said(
    labels: bool, loaded: Loaded, tmp_path: Path
) -> None:
    path = in_order(loaded.native, [2, 0, 1], tmp_path)
    with pytest.raises(DataError, match=r"fits the labels much better in another order .* --teacher-classes 2,0,1$"):
        teaching(loaded, teacher=path, labels=labels)
    found = teaching(loaded, teacher=path, teacher_classes="2,0,1", labels=labels)
    x, _ = samples(32, 1)
    answers = found.teachers[0].answers({"vector": x}).outputs[0]
    assert np.allclose(answers, call(loaded.native, {"vector": x})["scores"], atol=1e-5)
    found.close()


def small() -> Any:
    return network(4, 1, names=("input", "relu_of_mine"))


def broken() -> Any:
    msg = "no model today"
    raise RuntimeError(msg)


def test_a_student_has_the_names_of_the_model_and_its_own_outputs(loaded: Loaded) -> None:
    found = teaching(loaded, student=f"{__name__}:small")
    assert signature_of(found.student) == signature_of(loaded.native)
    x, _ = samples(8, 1)
    assert np.allclose(found.student(x), small()(x), atol=1e-6)
    assert "is trained in place of 'net16', taught by net16" in found.notes[0]
    assert len(found.teachers) == 1
    found.close()


def test_a_student_by_size_is_drawn_by_the_seed(loaded: Loaded) -> None:
    first, again = (teaching(loaded, student="width=0.5").student.get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[0].shape == (FEATURES, 8)


def test_students_that_the_model_cannot_be_exchanged_for_are_refused(loaded: Loaded) -> None:
    for student, error, words in (
        ("nothing", UsageError, "--student must be a Keras file, module:function, or a size such as width=0.5"),
        (f"{__name__}:broken", UsageError, "failed: RuntimeError: no model today"),
        (f"{__name__}:wide", UnsupportedError, r"which gives scores \(3,\); it gives dense\w* \(5,\)"),
    ):
        with pytest.raises(error, match=words):
            teaching(loaded, student=student)
    with pytest.raises(UnsupportedError, match="ends in linear and the model's in softmax: without labels"):
        teaching(loaded, student=f"{__name__}:bare", labels=False)


def wide() -> Any:
    return keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(5)])


def bare() -> Any:
    return network(4, 1, last=None)


def test_the_better_of_weights_and_average_is_kept(model: Any) -> None:
    tried = keras.models.clone_model(model)
    own = [np.zeros_like(weight) for weight in tried.get_weights()]
    average = [np.ones_like(weight) for weight in own]
    for losses, kept, words in (
        ([2.0, 1.0], 1.0, "the moving average of the weights was kept: loss 1 on 9 samples, 2 without"),
        ([1.0, 2.0], 0.0, "the weights were kept, not their moving average: loss 1 on 9 samples, 2 of it"),
    ):
        tried.set_weights(own)
        rest = iter(losses)
        assert keep_better_(tried, average, lambda rest=rest: next(rest), "9 samples") == words  # type: ignore[misc]
        assert all((weight == kept).all() for weight in tried.get_weights())


@pytest.mark.slow
def test_a_half_width_student_learns_in_place_of_the_model(model: Any, tmp_path: Path) -> None:
    (x, y), (x_test, y_test) = samples(384, 0), samples(96, 1)
    data = {"x_train": x, "y_train": y, "x_test": x_test, "y_test": y_test}
    stages = (tfc.Prune(sparsity=0.5), tfc.Distill(student="width=0.5", loss=("soft", "features")))
    train = Train(epochs=6, batch_size=16, learning_rate=0.01, ema=0.9)
    result = tfc.compress(model, tfc.Recipe(stages=stages, train=train), data, progress=False)
    assert result.model.count_params() == FEATURES * 8 + 8 + 8 * 3 + 3
    assert (result.model.get_layer("hidden").get_weights()[0] == 0).mean() == pytest.approx(0.5, abs=0.01)
    said = " ".join(result.report.warnings) + str(result.report.training)
    for words in ("is trained in place of 'net16'", "features of net16 compares", "moving average"):
        assert words in said
    assert result.report.result.score.main_figure.value > 0.8  # type: ignore[union-attr]


def test_at_another_size_the_model_teaches_by_pictures_that_are_resized_to_its_own(tmp_path: Path) -> None:
    original = pictures_network()
    loaded, size = load_model(original), tfc.Layout(changes=("image=8x8",))
    x, y = np.random.default_rng(0).uniform(0, 255, (16, 8, 8, 3)).astype(np.float32), np.arange(16) % 2
    data = tfc.load_data({"x_train": x, "y_train": y}).bind(signature_of(pictures_network(8)))
    found = teaching_for(tfc.Recipe(stages=(size, tfc.Distill())), loaded, data, {})
    assert found.student.input_shape == (None, 8, 8, 3)
    assert found.resizing.input_shape == (None, 8, 8, 3)
    expected = original(keras.ops.image.resize(x, (16, 16), "bilinear"))
    np.testing.assert_allclose(call(found.resizing, {"image": x})["out"], expected, rtol=1e-5, atol=1e-6)
    assert "takes pictures of 8x8 instead of 16x16" in found.notes[0]
    alone = teaching_for(tfc.Recipe(stages=(size,)), loaded, data, {})
    assert alone.student.input_shape == (None, 8, 8, 3)
    original.save(tmp_path / "big.keras")
    named = tfc.Distill(teacher=(str(tmp_path / "big.keras"),))
    with pytest.raises(DataError, match=r"the model's inputs do not fit it: .*--teacher-preprocess module:function"):
        teaching_for(tfc.Recipe(stages=(size, named)), loaded, data, {})
    enlarging = tfc.Distill(teacher=named.teacher, teacher_preprocess=f"{__name__}:enlarged")
    found = teaching_for(tfc.Recipe(stages=(size, enlarging)), loaded, data, {})
    np.testing.assert_allclose(found.teachers[0].answers({"image": x}).outputs[0], original(enlarged(x)), rtol=1e-5)
    found.close()


def enlarged(x: np.ndarray) -> np.ndarray:
    return x.repeat(2, axis=1).repeat(2, axis=2)
