"""tfcompress.tflite.exactness, with a file of a plain model and stand-ins for the trained one."""

from __future__ import annotations

import dataclasses

import pytest

from tfcompress.errors import ContractError
from tfcompress.tflite.agreement import OutputAgreement
from tfcompress.tflite.exactness import Exactness, check_exact, compare_exactly, in_integers, near
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess

STEP = 1 / 256
"""Of the file's output, a softmax."""


class Shifted:
    """A trained model that gives what the file gives, some steps up."""

    def __init__(self, content: bytes, steps: float, rounded: set[str]) -> None:
        self.rounded = rounded
        self._steps, self._content = steps, content

    def run(self, inputs):
        with InterpreterProcess(self._content, reference_kernels=True) as interpreter:
            return {name: values + self._steps * STEP for name, values in interpreter.run(inputs).items()}


def compared(file, images, steps: float, *, rounded=frozenset(), clock=lambda: 0.001) -> Exactness:
    content = file("int8")
    with InterpreterProcess(content, reference_kernels=True) as reference, InterpreterProcess(content) as fast:
        trained = Shifted(content, steps, set(rounded))
        times = iter(range(100))
        return compare_exactly(
            trained,
            read_model_file(content),
            reference,
            images,
            fast.run(images),
            clock=lambda: clock() + next(times) * 1e-3,
        )


def test_a_file_that_computes_what_was_trained_is_equal_number_by_number(file, images):
    found = compared(file, images, 0)
    assert (found.samples, found.equal, found.near, found.rounded) == (12, 1.0, True, ())
    check_exact(found, ())


def test_two_steps_are_near_and_three_are_not(file, images):
    found = compared(file, images, 2)
    assert (found.equal, found.near) == (0.0, True)
    found = compared(file, images, 3)
    assert (found.equal, found.near) == (0.0, False)
    far = (OutputAgreement("scores", 20.0, 0.1, 0.01, 0.98, STEP, 0.93),)
    message = r"output 'scores' .* got the same top-1 on 100.0% of 12 samples and 0.0% of the values; train again"
    with pytest.raises(ContractError, match=message):
        check_exact(found, far)


def test_it_is_enough_that_the_model_agrees_as_it_was_trained(file, images):
    check_exact(compared(file, images, 3), (OutputAgreement("scores", 40.0, 0.01, 0.001, 0.995, STEP, 0.999),))


def test_nothing_is_refused_where_an_op_is_not_known(file, images):
    found = compared(file, images, 3, rounded={"Mean"})
    assert (found.near, found.rounded) == (False, ("Mean",))
    check_exact(found, (OutputAgreement("scores", 20.0, 0.1, 0.01, 0.98, STEP, 0.93),))


def test_nothing_is_refused_that_two_kernels_differ_by(file, images):
    far = (OutputAgreement("scores", 20.0, 0.1, 0.01, 0.98, STEP, 0.93),)
    found = dataclasses.replace(compared(file, images, 3), agreement=far)
    check_exact(dataclasses.replace(found, kernels=far), far)
    with pytest.raises(ContractError, match=r"same top-1 on 98\.0% of 12 samples and 93\.0% of the values"):
        check_exact(found, far)


def test_a_slow_network_is_compared_on_fewer_samples(file, images):
    seconds = iter([0.0, 30.0])  # the first eight samples take 30 s
    assert compared(file, images, 0, clock=lambda: next(seconds)).samples == 8


@pytest.mark.parametrize(
    ("top1", "within", "expected"),
    [(0.995, 0.999, True), (0.994, 1.0, False), (1.0, 0.998, False), (None, 0.999, True), (None, None, True)],
)
def test_near_is_half_a_percent_of_the_top1_and_a_tenth_of_the_values(top1, within, expected):
    assert near((OutputAgreement("y", 1.0, 1.0, 1.0, top1, None, within),)) is expected


def test_only_a_model_under_training_is_computed_in_integers(keras):
    assert in_integers(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])) is None
