import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner import accuracy
from edge_runner.arrays import DataError
from edge_runner.summary import wilson


def scored(labels, outputs):
    outputs = np.asarray(outputs, np.float32)
    scorer = accuracy.scorer(np.asarray(labels), outputs.shape[1:], "labels")
    for index, output in enumerate(outputs):
        scorer.take(index, output)
    return scorer


EYE = np.eye(3)


def test_classification_counts_the_right_answers():
    scorer = scored([0, 1, 2, 0], EYE[[0, 1, 2, 1]])
    result = scorer.result()
    assert (result["task"], result["samples"], result["top1"]) == ("classification", 4, 3 / 4)
    assert (result["top1_low"], result["top1_high"]) == wilson(3, 4)
    assert result["per_class"] == {
        "0": {"samples": 2, "right": 1},
        "1": {"samples": 1, "right": 1},
        "2": {"samples": 1, "right": 1},
    }
    assert scorer.predictions == [0, 1, 2, 1]
    assert result["mae"] is result["threshold"] is None


@pytest.mark.parametrize("labels", [[[0], [1], [2]], EYE, np.array([0.0, 1.0, 2.0]), np.array([0, 1, 2], np.uint8)])
def test_class_numbers_come_in_several_forms(labels):
    assert scored(labels, EYE).result()["top1"] == 1


def test_top5_is_given_where_it_says_something():
    outputs = np.arange(10)[None].repeat(2, 0)
    assert scored([5, 4], outputs).result()["top5"] == 1 / 2
    assert scored([0, 1, 2], EYE).result()["top5"] is None


@settings(max_examples=50)
@given(st.lists(st.integers(0, 3), min_size=6, max_size=6), st.integers(0, 5))
def test_a_tie_goes_to_the_lower_class_as_numpys_argmax_does(output, label):
    assert scored([label], [output]).result()["top1"] == float(np.argmax(output) == label)


def test_a_single_output_between_0_and_1_is_a_probability():
    result = scored([0, 1, 1, 0], [[0.2], [0.7], [0.4], [0.1]]).result()
    assert (result["task"], result["top1"], result["threshold"]) == ("binary", 3 / 4, 0.5)
    assert result["per_class"] == {"0": {"samples": 2, "right": 2}, "1": {"samples": 2, "right": 1}}


def test_a_single_output_beyond_is_a_logit():
    scorer = scored([0, 1], [[-3.0], [0.2]])
    assert (scorer.result()["top1"], scorer.result()["threshold"], scorer.predictions) == (1, 0, [0, 1])


def test_real_labels_make_a_regression():
    result = scored([[1.5], [2.5]], [[1.0], [4.5]]).result()
    assert (result["task"], result["mae"], result["top1"]) == ("regression", (0.5 + 2) / 2, None)
    assert result["rmse"] == pytest.approx(((0.25 + 4) / 2) ** 0.5)


def test_whole_numbers_beyond_0_and_1_with_one_output_are_values():
    assert scored([20, 40], [[21.0], [38.0]]).result()["mae"] == (1 + 2) / 2


def test_labels_of_the_outputs_shape_that_are_not_one_hot_are_values():
    assert scored([[0.5, 0.5, 0], [1, 1, 0]], EYE[:2]).result()["task"] == "regression"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3, 1], r"labels must be class numbers in 0..2 \(the model has 3 outputs\), got 0..3"),
        ([-1, 0, 1], r"labels must be class numbers in 0..2 .*, got -1..1"),
        (np.zeros((3, 2)), r"labels must be one class number a sample or of the output's shape \(3,\), got \(2,\)"),
        ([0.5, 1, 2], r"labels must be one class number a sample or of the output's shape \(3,\), got \(\)"),
    ],
)
def test_labels_that_do_not_fit_the_output_are_refused(labels, message):
    with pytest.raises(DataError, match=message):
        scored(labels, EYE)
