from __future__ import annotations

import pytest

from tfcompress.errors import UsageError
from tfcompress.tasks.labelling import UNSAID, Labelling


def test_a_task_is_said_for_all_outputs_or_for_one() -> None:
    labelling = Labelling(task=("regression", "kind=classification", "a=b=mine:Task"))
    assert labelling.task_for("size") == "regression"
    assert labelling.task_for("kind") == "classification"
    assert labelling.task_for("a=b") == "mine:Task"
    assert UNSAID.task_for("size") is None


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (("binary", "regression"), "--task must name one task for all outputs, got binary, regression; give OUTPUT="),
        (("a=binary", "a=regression"), "--task must name one task for output 'a', got a=binary, a=regression"),
    ],
)
def test_two_tasks_for_one_output_are_refused(task: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Labelling(task=task)


def test_no_windows_are_refused() -> None:
    with pytest.raises(UsageError, match="--windows-of must be at least 1, got 0"):
        Labelling(windows_of=0)
