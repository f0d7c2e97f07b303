import numpy as np
import pytest

from tfcompress.weights.constraints import Masked, Moving, numpy_of

keras = pytest.importorskip("keras")


def variable(values, **options):
    return keras.Variable(np.asarray(values, np.float32), **options)


def step_(v, gradient, rate=0.1):
    keras.optimizers.SGD(rate).apply([keras.ops.convert_to_tensor(np.asarray(gradient, np.float32))], [v])


def test_masked_weights_are_zero_at_once_and_after_every_update():
    v = variable([1.0, -2.0, 3.0])
    mask = Masked(v)
    mask.set_(np.array([True, False, True]))
    assert numpy_of(v).tolist() == [1, 0, 3]
    step_(v, [1, 1, 1])
    assert numpy_of(v) == pytest.approx([0.9, 0, 2.9])
    assert mask.kept().tolist() == [True, False, True]


def test_the_constraint_that_a_variable_had_still_holds():
    v = variable([1.0, -2.0, 0.05])
    v.constraint = keras.constraints.NonNeg()
    Masked(v).set_(np.array([True, True, True]))
    step_(v, [1, 1, 1])
    assert numpy_of(v) == pytest.approx([0.9, 0, 0])


def test_movement_adds_up_weight_times_step():
    v = variable([1.0, -2.0, 3.0])
    moving = Moving(v)
    step_(v, [1, 1, -1])  # steps of -0.1, -0.1, +0.1
    assert moving.scores() == pytest.approx([1 * -0.1, -2 * -0.1, 3 * 0.1], rel=1e-5)
    step_(v, [0, 0, -1])
    assert moving.scores() == pytest.approx([-0.1, 0.2, 0.3 + 3.1 * 0.1], rel=1e-5)


def test_being_masked_is_no_movement():
    v = variable([1.0, 5.0])
    moving = Moving(v)
    moving.set_(np.array([True, False]))
    step_(v, [1, 1])
    assert moving.scores() == pytest.approx([-0.1, 0], rel=1e-5)


def test_half_precision_keeps_its_type():
    v = variable([1.0, 2.0], dtype="bfloat16")
    Masked(v).set_(np.array([False, True]))
    assert v.dtype == "bfloat16"
    assert numpy_of(v).tolist() == [0, 2]
