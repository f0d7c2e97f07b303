"""Students made from their teacher: every width, fewer blocks, the same inputs and outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.tiny_networks import convolutional, dense
from tfcompress.distillation.students import smaller
from tfcompress.errors import UnsupportedError
from tfcompress.models.signature import signature_of
from tfcompress.stages.lessons import StudentScale

keras = pytest.importorskip("keras")


def widths(model: Any) -> dict[str, int]:
    found = {layer.name: getattr(layer, "filters", getattr(layer, "units", None)) for layer in model.layers}
    return {name: width for name, width in found.items() if width is not None}


@pytest.fixture(scope="module")
def teacher() -> Any:
    return convolutional(keras)


@given(width=st.floats(0.1, 0.9))
@settings(max_examples=5)
def test_every_hidden_layer_has_its_part_of_the_channels_and_the_outputs_all(teacher: Any, width: float) -> None:
    student = smaller(teacher, StudentScale(width=width))
    wanted = {name: max(1, round(size * width)) for name, size in widths(teacher).items()}
    assert widths(student) == {**wanted, "logits": 3}
    assert signature_of(student) == signature_of(teacher)


def test_a_student_has_fresh_weights_and_leaves_the_teacher_alone(teacher: Any) -> None:
    before = [np.array(weight) for weight in teacher.get_weights()]
    student = smaller(teacher, StudentScale(width=0.5))
    assert all(np.array_equal(a, b) for a, b in zip(before, teacher.get_weights(), strict=True))
    assert student.count_params() == 4 * 9 * 4 + 9 * 4 + 4 * 4 + 3 * 4 * 4 + (4 * 8 + 8) + (8 * 3 + 3)


def test_blocks_that_change_no_shape_go_by_the_depth() -> None:
    layers = keras.layers
    given_ = keras.Input((8, 8, 4), name="image")
    x = layers.ReLU(name="stem_relu")(layers.Conv2D(8, 3, padding="same", name="stem")(given_))
    for name in "abcd":
        y = layers.BatchNormalization(name=f"{name}_norm")(layers.Conv2D(8, 3, padding="same", name=name)(x))
        x = layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_sum")([x, y]))
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(16, 3, name="widen")(x))
    model = keras.Model(given_, layers.Dense(3, name="scores")(x))
    for depth, left in ((0.75, 3), (0.5, 2), (0.25, 1)):
        student = smaller(model, StudentScale(depth=depth))
        assert len({layer.name for layer in student.layers} & set("abcd")) == left
        assert {"stem", "widen", "scores"} <= {layer.name for layer in student.layers}
        assert signature_of(student) == signature_of(model)


def test_a_normalization_keeps_what_it_knows_of_the_data() -> None:
    normalization = keras.layers.Normalization(name="normal")
    normalization.adapt(np.float32([[0, 10], [4, 30]]))
    model = keras.Sequential([keras.Input((2,)), normalization, keras.layers.Dense(8), keras.layers.Dense(2)])
    student = smaller(model, StudentScale(width=0.5))
    x = np.float32([[1, 2]])
    assert np.array_equal(student.get_layer("normal")(x), normalization(x))


def test_depthwise_convolutions_by_groups_stay_so() -> None:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.Conv2D(8, 1), layers.Conv2D(8, 3, groups=8), layers.Flatten(), layers.Dense(2)]
    )
    student = smaller(model, StudentScale(width=0.5))
    assert [layer.groups for layer in student.layers if hasattr(layer, "groups")] == [1, 4]


def test_what_cannot_become_smaller_is_refused() -> None:
    layers = keras.layers
    with pytest.raises(UnsupportedError, match=r"has no block that could go without changing a shape, so depth=0.5"):
        smaller(dense(keras), StudentScale(depth=0.5))
    fixed = keras.Sequential([keras.Input((8,)), layers.Dense(8), layers.Reshape((2, 4)), layers.Dense(2)])
    with pytest.raises(UnsupportedError, match=r"cannot be made with width=0.5,depth=1: .* by --student FILE"):
        smaller(fixed, StudentScale(width=0.5))
    alone = keras.Sequential([keras.Input((8,)), layers.Dense(2)])
    with pytest.raises(UnsupportedError, match=r"no layer of model .* has a width to change"):
        smaller(alone, StudentScale(width=0.5))


def backbone() -> Any:
    """A model of a model, as they are made for transfer: two blocks inside can go."""
    layers = keras.layers
    given_ = keras.Input((8, 8, 3), name="inner_image")
    x = layers.ReLU()(layers.Conv2D(8, 3, padding="same", name="stem")(given_))
    for name in "ab":
        x = layers.Add()([x, layers.Conv2D(8, 3, padding="same", name=name)(x)])
    return keras.Model(given_, layers.Conv2D(16, 3, name="widen")(x), name="backbone")


def nested(last: Any = None) -> Any:
    layers = keras.layers
    keras.utils.set_random_seed(0)
    tail = [layers.Dense(4, name="scores"), *([last] if last is not None else [])]
    return keras.Sequential(
        [keras.Input((8, 8, 3), name="image"), backbone(), layers.GlobalAveragePooling2D(), *tail], name="transfer"
    )


def test_a_model_inside_a_model_becomes_smaller_too() -> None:
    teacher_ = nested()
    student = smaller(teacher_, StudentScale(width=0.5, depth=0.5))
    inner = student.get_layer("backbone")
    assert widths(inner) == {"stem": 4, "b": 4, "widen": 8}
    assert widths(student) == {"scores": 4}
    assert signature_of(student) == signature_of(teacher_)


@pytest.mark.parametrize("hidden", [0, 1], ids=["a softmax", "a head"])
def test_what_ends_in_a_model_gives_as_many_classes(hidden: int) -> None:
    layers = keras.layers
    head = [layers.Dense(6, name="hidden"), layers.Dense(5, name="classes")][: 2 * hidden]
    student = smaller(
        nested(keras.Sequential([keras.Input((4,)), *head, layers.Softmax()], name="end")), StudentScale(0.5)
    )
    assert student.output_shape == (None, 5 if hidden else 4)
    assert widths(student) == {"scores": 2 if hidden else 4}
    assert widths(student.get_layer("end")) == ({"hidden": 3, "classes": 5} if hidden else {})


def test_what_a_layer_is_around_becomes_narrower_with_it() -> None:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 3), name="series"),
            layers.Bidirectional(layers.LSTM(8, return_sequences=True), name="both"),
            layers.TimeDistributed(layers.Dense(10), name="each"),
            layers.TimeDistributed(layers.Dense(4), name="scores"),
        ]
    )
    student = smaller(model, StudentScale(width=0.5))
    assert [layer.output.shape for layer in student.layers[1:]] == [(None, 6, 8), (None, 6, 5), (None, 6, 4)]
    assert signature_of(student) == signature_of(model)
