from pathlib import Path

import pytest

from edge_runner import throughput
from edge_runner.arguments import Options
from edge_runner.subject import Subject
from edge_runner.unpacking import Unpacking

DATA = Path(__file__).parents[1] / "data"


def measured(name, **options):
    path = DATA / name
    subject = Subject(path, 0)
    subject.read(None, Unpacking())
    return throughput.throughput(subject, Options((path,), seconds=0.05, **options), "litert", lambda text: None)


def test_batches_and_interpreters_are_tried_one_by_one():
    found = measured("two_inputs.tflite", batches=(1, 3), parallel=(1, 2))
    assert [(entry["batch"], entry["interpreters"]) for entry in found] == [(1, 1), (3, 1), (1, 2)]
    for entry in found:
        assert entry["reason"] is None
        assert entry["inferences"] % entry["batch"] == 0
        assert entry["per_second"] > 0
        assert entry["seconds"] > 0
    assert found[0]["per_second"] == pytest.approx(found[0]["inferences"] / found[0]["seconds"])


def test_a_model_that_was_made_for_one_sample_says_so():
    found = measured("blobs_int8.tflite", batches=(4,), parallel=(1,))
    assert found[0]["per_second"] is None
    assert "Error: " in found[0]["reason"]


def test_a_batch_that_the_model_refuses_is_a_reason_and_the_next_goes_on():
    found = measured("lstm.tflite", batches=(2, 1), parallel=(1,))
    assert found[0]["per_second"] is None
    assert found[0]["reason"]
    assert found[1]["per_second"] > 0
