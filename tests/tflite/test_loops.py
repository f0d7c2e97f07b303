"""How often loops run: counters up to constants, and everything else, of which the file does not tell."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runner.graph import Operator
from tfcompress.tflite.costs import counts, uncounted
from tfcompress.tflite.loops import trips
from tfcompress.tflite.tensors import StoredTensor, Subgraph


def number(index: int, value: int | None = None) -> StoredTensor:
    data = np.empty(0, np.uint8) if value is None else np.frombuffer(np.int32(value).tobytes(), np.uint8)
    return StoredTensor(
        index, f"t{index}", (), (), "int32", (), (), 0, index if data.size else 0, data, variable=False, sparse=False
    )


def matrix(index: int, *shape: int) -> StoredTensor:
    nothing = np.empty(0, np.uint8)
    return StoredTensor(
        index, f"t{index}", shape, shape, "float32", (), (), 0, 0, nothing, variable=False, sparse=False
    )


def op(name: str, inputs: tuple[int, ...], outputs: tuple[int, ...], *calls: int) -> Operator:
    return Operator(name, 1, custom=False, inputs=inputs, outputs=outputs, calls=calls)


LOOP = op("WHILE", (0, 1), (2, 3), 1, 2)


def counting(start: int, limit: int, step: int, *, ends: str = "LESS", grows: str = "ADD") -> list[Subgraph]:
    """Return a loop over a counter and a vector of 5, which the body multiplies by a 5x5 kernel."""
    main = Subgraph((number(0, start), matrix(1, 1, 5), number(2), matrix(3, 1, 5)), (LOOP,), (1,), (3,))
    pair = (0, 2) if ends == "LESS" else (2, 0)
    condition = Subgraph(
        (number(0), matrix(1, 1, 5), number(2, limit), number(3)), (op(ends, pair, (3,)),), (0, 1), (3,)
    )
    body = Subgraph(
        (number(0), matrix(1, 1, 5), number(2, step), number(3), matrix(4, 5, 5), matrix(5, 1, 5)),
        (op(grows, (0, 2), (3,)), op("FULLY_CONNECTED", (1, 4), (5,))),
        (0, 1),
        (3, 5),
    )
    return [main, condition, body]


@given(st.integers(-20, 20), st.integers(-20, 40), st.integers(1, 5), st.sampled_from(["LESS", "GREATER"]))
def test_a_counter_runs_as_often_as_python_counts(start: int, limit: int, step: int, ends: str) -> None:
    graphs = counting(start, limit, step, ends=ends)
    expected = len(range(start, limit, step))
    assert trips(graphs, graphs[0], LOOP) == expected
    assert counts(graphs) == (expected * 5 * 5,)
    assert uncounted(graphs) == ""


def with_second_condition(second: Operator) -> list[Subgraph]:
    main, condition, body = counting(0, 10, 1)
    tensors = (*condition.tensors, number(4, 7), number(5), number(6))
    ops = (*condition.ops, second, op("LOGICAL_AND", (3, 5), (6,)))
    return [main, dataclasses.replace(condition, tensors=tensors, ops=ops, outputs=(6,)), body]


def test_of_two_counters_the_first_at_its_end_ends_the_loop() -> None:
    graphs = with_second_condition(op("LESS", (0, 4), (5,)))
    assert trips(graphs, graphs[0], LOOP) == 7


def test_a_loop_that_may_end_for_another_reason_is_not_counted() -> None:
    graphs = with_second_condition(op("NOT_EQUAL", (0, 4), (5,)))
    assert trips(graphs, graphs[0], LOOP) is None
    assert counts(graphs) == (None,)
    assert uncounted(graphs).startswith("a loop (WHILE) runs as often as its data say")


@pytest.mark.parametrize(
    "graphs",
    [
        counting(0, 10, 0),
        counting(0, 10, -1),
        counting(0, 10, 2, grows="MUL"),
        counting(0, 10, 1, ends="LESS_EQUAL"),
    ],
)
def test_what_does_not_count_up_is_not_counted(graphs: list[Subgraph]) -> None:
    assert trips(graphs, graphs[0], LOOP) is None


def test_a_counter_that_starts_at_what_was_computed_is_not_counted() -> None:
    main, condition, body = counting(0, 10, 1)
    computed = dataclasses.replace(main, tensors=(number(0), *main.tensors[1:]))
    assert trips([computed, condition, body], computed, LOOP) is None


def test_a_limit_that_comes_round_the_loop_as_it_is_counts_and_one_that_changes_does_not() -> None:
    whole = op("WHILE", (0, 1), (2, 3), 1, 2)
    main = Subgraph((number(0, 0), number(1, 8), number(2), number(3)), (whole,), (), (3,))
    condition = Subgraph((number(0), number(1), number(2)), (op("LESS", (0, 1), (2,)),), (0, 1), (2,))
    body = Subgraph((number(0), number(1), number(2, 3), number(3)), (op("ADD", (2, 0), (3,)),), (0, 1), (3, 1))
    assert trips([main, condition, body], main, whole) == 3
    moving = dataclasses.replace(body, outputs=(3, 3))
    assert trips([main, condition, moving], main, whole) is None
