"""tfcompress.tflite.rolling and equal_steps: a loop answers as the steps that it stands for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tflite.make_files import FOLDER
from tests.tflite.written_out import WIDTH, Step, steps, written_out
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.loops import trips
from tfcompress.tflite.rolling import rolled, rolled_and_proven
from tfcompress.tflite.slim import slim

RECURRENT = Step((("ADD", (("frame", 0), ("before", 1))), ("TANH", (("step", 0),))), shown=(1,))
"""``h = tanh(x + h)``."""
MANY = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def answers(content: bytes, *, inputs: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    for tensor, values in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(tensor["index"], values)
    interpreter.invoke()
    return [interpreter.get_tensor(tensor["index"]) for tensor in interpreter.get_output_details()]


def some_inputs(frames: int) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(1)
    return tuple(generator.normal(size=shape).astype("f") for shape in ((1, frames, WIDTH), (1, WIDTH)))


def ops_of(content: bytes) -> Counter[str]:
    return Counter(op.name for graph in read_model_file(content).subgraphs for op in graph.ops)


@MANY
@given(step=steps(), frames=st.integers(4, 7), backwards=st.booleans(), turned=st.booleans())
def test_a_file_answers_the_same_in_every_bit(step: Step, frames: int, backwards: bool, turned: bool) -> None:
    before = written_out(step, frames, backwards=backwards, turned=turned)
    after = rolled(before)
    given = some_inputs(frames)
    for one, other in zip(answers(before, inputs=given), answers(slim(after), inputs=given), strict=True):
        assert one.tobytes() == other.tobytes()
    assert rolled(after) == after


@pytest.mark.parametrize("backwards", [False, True])
def test_equal_steps_are_one_loop_that_runs_once_for_each_but_the_first(backwards: bool) -> None:
    after = rolled(written_out(RECURRENT, 20, backwards=backwards))
    graphs = read_model_file(after).subgraphs
    (loop,) = (op for op in graphs[0].ops if op.name == "WHILE")
    assert trips(graphs, graphs[0], loop) == 20 - 1
    assert ops_of(after)["TANH"] == 1 + 1  # of the first step, and of the loop
    assert ops_of(after)["UNPACK"] == 0
    assert len(slim(after)) < len(slim(written_out(RECURRENT, 20, backwards=backwards)))


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_values_of_all_steps_are_packed_in_the_loop(backwards: bool, turned: bool) -> None:
    step = Step(RECURRENT.ops, packed=(1,), shown=(1,))
    before = written_out(step, 6, backwards=backwards, turned=turned)
    after = rolled(before)
    assert ops_of(after)["WHILE"] == 1
    for one, other in zip(*(answers(each, inputs=some_inputs(6)) for each in (before, after)), strict=True):
        assert one.tobytes() == other.tobytes()


def test_what_the_last_step_leaves_out_is_no_obstacle() -> None:
    """Of an LSTM the last state of the cell, which nobody takes."""
    unread = (*RECURRENT.ops, ("MUL", (("before", 2), ("step", 1))), ("ADD", (("before", 2), ("step", 1))))
    step = Step((*unread[:2], ("ADD", (("step", 1), ("before", 2)))), shown=(1,))
    whole = written_out(step, 6)
    assert ops_of(rolled(whole))["WHILE"] == 1


@pytest.mark.parametrize(
    "step",
    [
        Step((("TANH", (("frame", 0),)),), shown=(0,)),  # nothing is handed on
        Step((*RECURRENT.ops, ("LOGISTIC", (("step", 1),))), packed=(), shown=(2,)),  # no state is shown
    ],
)
def test_what_no_loop_stands_for_stays_as_it_is(step: Step) -> None:
    before = written_out(step, 6)
    assert rolled(before) == before


def test_three_frames_stay_as_they_are() -> None:
    before = written_out(RECURRENT, 3)
    assert rolled(before) == before


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.tflite")), ids=lambda path: path.stem)
def test_files_without_steps_stay_as_they_are(path) -> None:
    content = path.read_bytes()
    assert rolled(content) == content
    assert rolled_and_proven(content, {}, {}) == (content, "")


def test_a_loop_that_answers_otherwise_is_dropped_and_the_reason_told() -> None:
    before = written_out(RECURRENT, 20)
    digests = {"a runtime": lambda content: (str(len(content)), "")}
    names = [tensor.name for tensor in read_model_file(before).inputs]
    kept, said = rolled_and_proven(before, dict(zip(names, some_samples(), strict=True)), digests)
    assert kept == before
    assert said == (
        "recurrent layers stay written out step by step: with a loop in their place, in a runtime the outputs differ"
    )
    after, said = rolled_and_proven(before, dict(zip(names, some_samples(), strict=True)), {})
    assert after == rolled(before)
    assert said.startswith("recurrent layers are loops in the file: ")


def test_few_small_steps_are_smaller_than_their_loop_and_stay() -> None:
    before = written_out(RECURRENT, 5)
    assert len(slim(rolled(before))) > len(slim(before))
    assert rolled_and_proven(before, {}, {}) == (before, "")


def some_samples() -> list[np.ndarray]:
    return list(some_inputs(20))
