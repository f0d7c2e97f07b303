from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.evaluate.class_order import ClassOrder, ClassOrders
from tfcompress.tasks.task_table import TASKS


def looked(truth: np.ndarray, given: np.ndarray, classes: int) -> ClassOrder:
    order = ClassOrder(classes)
    for start in range(0, len(truth), 7):
        order.add(np.eye(classes)[given[start : start + 7]], truth[start : start + 7])
    return order


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 2**32 - 1))
def test_the_order_of_a_good_model_is_found(order: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 6, 600)
    means = np.argsort(order)  # the output that stands for each label
    given_classes = np.where(rng.random(600) < 0.1, rng.integers(0, 6, 600), means[truth])
    found = looked(truth, given_classes, 6).other()
    moved = sum(place != label for place, label in enumerate(order))
    if moved == 0:
        assert found is None
    else:
        assert found is not None
        assert found.classes == tuple(order)
        assert found.after > 0.8
        assert found.before < 1 - moved / 6 + 0.1


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(2, 400))
def test_no_order_is_found_where_nothing_is_known(seed: int, classes: int, samples: int) -> None:
    rng = np.random.default_rng(seed)
    assert looked(rng.integers(0, classes, samples), rng.integers(0, classes, samples), classes).other() is None


def test_a_yes_for_a_no_is_found() -> None:
    truth = np.arange(60) % 2
    for logit in (lambda y: 8.0 * (1 - y) - 4.0, lambda y: 1.0 - y):
        order = ClassOrder(2)
        order.add(logit(truth)[:, None].astype(np.float32), truth[:, None].astype(np.float32))
        found = order.other()
        assert found is not None
        assert found.classes == (1, 0)


def test_the_line_says_what_to_give() -> None:
    truth = np.arange(90) % 3
    orders = ClassOrders({"out": TASKS["classification"]}, {"out": 3})
    orders.add("out", np.eye(3)[(truth + 1) % 3], truth)
    (line,) = orders.lines(["bird", "cat", "dog"])
    assert "output 'out' fits the labels much better in another order of the classes (100.0 % of the samples" in line
    assert line.endswith("instead of 0.0 %): --classes dog,bird,cat")
    (line,) = orders.lines([])
    assert line.endswith("class 2 is its 0, 0 is its 1, 1 is its 2; renumber the labels")


@pytest.mark.parametrize("labels", [np.zeros((4, 2), int), None])
def test_labels_that_are_not_one_class_a_sample_have_no_order(labels: np.ndarray | None) -> None:
    order = ClassOrder(3)
    order.add(np.eye(3)[[0, 1, 2, 0]], labels)
    order.add(np.eye(3)[np.zeros(90, int)], np.ones(90, int))
    assert order.other() is None


def test_outputs_without_classes_are_not_looked_at() -> None:
    orders = ClassOrders({"out": TASKS["regression"]}, {"out": None})
    orders.add("out", np.zeros((40, 1)), np.ones((40, 1)))
    assert orders.lines([]) == []
