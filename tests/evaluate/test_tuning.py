from __future__ import annotations

import numpy as np
import pytest

from tfcompress.data.sources import load_data
from tfcompress.evaluate.tuning import needs_tuning, tuned
from tfcompress.models.specs import Signature, TensorSpec

SIGNATURE = Signature((TensorSpec("x", (1,), "float32"),), (TensorSpec("out", (1,), "float32"),))


def arrays(count: int = 80) -> dict[str, np.ndarray]:
    x = np.linspace(0, 1, count, dtype=np.float32)[:, None]
    return {"x_train": x, "y_train": x[:, 0] > 0.75, "x_test": x, "y_test": x[:, 0] > 0.75}


def test_a_yes_or_no_is_told_where_the_training_split_says_it_begins() -> None:
    data = load_data(arrays()).bind(SIGNATURE)
    findings = data.findings
    assert needs_tuning(data)
    found = tuned(lambda x: {"renamed": x["x"]}, data, 0)
    assert found.tasks["out"].options()["threshold"] == pytest.approx(0.75, abs=0.02)
    assert found.describe()["task_options"] == {"out": found.tasks["out"].options()}
    assert not needs_tuning(found)
    assert found.findings is findings
    assert data.tasks["out"].options() == {}


def test_what_has_no_training_split_or_no_yes_and_no_learns_nothing() -> None:
    test_only = {name: part for name, part in arrays().items() if name.endswith("test")}
    assert not needs_tuning(load_data(test_only).bind(SIGNATURE))
    numbers = {name: part + 0.5 if name.startswith("y") else part for name, part in arrays().items()}
    assert not needs_tuning(load_data(numbers).bind(SIGNATURE))
