"""Runs as points: what may be compared, and what no other file dominates."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from tests.reports.test_changes import data_free_report
from tests.reports.test_html import a_report
from tests.reports.test_run_page import a_record
from tfcompress.reports.run_points import FLOAT, RESULT, front, run_groups


def test_the_float_file_of_a_model_is_one_point():
    (group,) = run_groups([a_record("a"), a_record("b")])
    assert [(point.name, point.role) for point in group.points] == [("float", FLOAT), ("a", RESULT), ("b", RESULT)]
    assert group.main == "top1"
    assert group.title == "a&b.h5 on d.npz"


def test_a_float_run_stands_for_the_float_file():
    report = dataclasses.replace(
        a_report(), baseline=None, result=dataclasses.replace(a_report().result, quantize="none")
    )
    plain = dataclasses.replace(a_record("float32"), report=report)
    (group,) = run_groups([plain, a_record("a")])
    assert [(point.name, point.role) for point in group.points] == [("float32", FLOAT), ("a", RESULT)]


def test_latencies_are_known_by_their_conditions():
    (group,) = run_groups([a_record("a")])
    (conditions,) = group.conditions
    assert group.points[0].latency_ms(conditions)
    assert group.points[1].latency_ms(conditions)
    assert group.points[1].latency_ms("another board") is None


points = st.lists(st.tuples(st.floats(1, 100), st.floats(-50, 50)), min_size=1, max_size=30)


@given(points)
def test_the_front_is_what_nothing_dominates(given_points):
    chosen = front(given_points)

    def dominated(number):
        x, y = given_points[number]
        return any((a <= x and b > y) or (a < x and b >= y) for a, b in given_points)

    assert all(not dominated(number) for number in chosen)
    kept = {given_points[number] for number in chosen}
    assert kept == {given_points[number] for number in range(len(given_points)) if not dominated(number)}


def test_a_data_free_run_is_named_so():
    record = dataclasses.replace(a_record("a"), report=data_free_report())
    (group,) = run_groups([record])
    assert [point.name for point in group.points] == ["a (data-free)"]
