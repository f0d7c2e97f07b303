import numpy as np
import pytest

from edge_runner import accuracy, wording
from edge_runner.mcnemar import compare_scored
from edge_runner.scorers import bits


def said(labels, outputs, **known):
    outputs = np.asarray(outputs, np.float32)
    scorer = accuracy.scorer(np.asarray(labels), accuracy.Output(outputs.shape[1:], **known))
    for index, output in enumerate(outputs):
        scorer.take(index, output[None])
    return wording.accuracy({"outputs": {"y": scorer.scorer.result()}})


SAMPLES = np.array([[1, 2, 3], [4, 5, 6]], np.float32)


@pytest.mark.parametrize(
    ("words", "labels", "outputs", "known"),
    [
        ("100.00% (34.24%..100.00%, 2 samples)", [0, 1], np.eye(3)[:2], {}),
        ("100.00% (20.65%..100.00%, 1 samples), top-5 100.00%", [0], np.eye(7)[:1], {}),
        ("100.00% (34.24%..100.00%, 2 samples), AUC 1.0000", [0, 1], [[0.1], [0.9]], {}),
        ("MAE 0.5", [[1.5]], [[1.0]], {}),
        ("not a number", [[1.5]], [[np.nan]], {}),
        ("AUC 1.0000", [0, 1], np.add(SAMPLES, [[0], [1]]), {"input_shape": (3,), "sample": SAMPLES.__getitem__}),
        ("mean IoU 1.0000", np.ones((1, 2, 2), int), np.ones((1, 2, 2)), {}),
    ],
)
def test_each_kind_of_score_has_its_words(words, labels, outputs, known):
    assert said(labels, outputs, **known) == words


def test_nothing_scored_is_a_dash():
    assert wording.accuracy(None) == wording.accuracy({"outputs": {}}) == "-"


def test_pairs_are_told_with_what_the_test_says():
    some = [1] * 10 + [0] * 10
    entries = compare_scored([{"y": bits(some)}, {"y": bits([1] * 20)}, {"y": bits(some)}])
    assert wording.pairs(entries, ["a.tflite", "b.tflite", "c.tflite"]) == [
        "a.tflite against b.tflite: right alone on 0 and 10 of 20 samples; b.tflite is significantly better "
        "(McNemar, p = 0.00098)",
        "a.tflite against c.tflite: right alone on 0 and 0 of 20 samples; no significant difference (McNemar, p = 1)",
    ]


def test_nodes_without_a_time_are_named_by_reason():
    short = wording.UNRESOLVED
    nodes = [
        {"index": 0, "op": "ADD", "median_ms": None, "reason": f"{short}: at most 0.01 µs above it"},
        {"index": 1, "op": "CONV_2D", "median_ms": 0.5, "reason": None},
        {"index": 2, "op": "MUL", "median_ms": None, "reason": f"{short}: at most 0.02 µs above it"},
        {"index": 3, "op": "SOFTMAX", "median_ms": None, "reason": "RuntimeError: refused"},
    ]
    assert wording.untimed(nodes) == [
        f"no time for 0 ADD, 2 MUL: {short}",
        "no time for 3 SOFTMAX: RuntimeError: refused",
    ]


def test_of_many_nodes_without_a_time_the_first_are_named():
    nodes = [{"index": place, "op": "ADD", "median_ms": None, "reason": "no"} for place in range(8)]
    assert wording.untimed(nodes) == ["no time for 0 ADD, 1 ADD, 2 ADD, 3 ADD, 4 ADD, 5 ADD and 2 more: no"]
