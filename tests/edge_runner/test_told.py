import json

import numpy as np
import pytest

from edge_runner.arrays import ArrayError, open_npz
from edge_runner.told import Told, told_for, told_tasks

TOLD = {"out": {"task": "segmentation", "options": {"ignore_label": 7}}}


def test_the_data_says_what_its_labels_mean(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 3)), task=np.array(json.dumps(TOLD)))
    told = told_tasks(open_npz(tmp_path / "data.npz"))
    assert told == {"out": Told("segmentation", {"ignore_label": 7})}
    assert told_for("out", 2, told) == told_for("renamed", 1, told) == told["out"]
    assert told_for("renamed", 2, told) is None


def test_older_data_says_nothing():
    assert told_tasks({"x": np.zeros((2, 3))}) == {}


@pytest.mark.parametrize(
    "member", [np.array("{"), np.array("[1]"), np.array('{"out": {}}'), np.array(["{}"]), np.array(1.0)]
)
def test_what_says_it_otherwise_is_refused(member):
    with pytest.raises(ArrayError, match="data member 'task' must be JSON text"):
        told_tasks({"task": member})
