from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import UsageError
from tfcompress.tasks.labelling import UNSAID, Labelling, labelling_of


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


def test_said_however_it_was_it_is_the_same() -> None:
    one = labelling_of(task="kind=binary")
    assert one == labelling_of(task=["kind=binary"]) == Labelling(task=("kind=binary",))
    by_output = labelling_of(task={"kind": "binary", "size": "regression"}, metrics={"size": "MeanSquaredError"})
    assert by_output.by_output == {"kind": "binary", "size": "regression"}
    assert by_output.metrics_for("size") == ["MeanSquaredError"]
    assert by_output.metrics_for("kind") == []
    assert labelling_of() == UNSAID
    own = object()
    assert labelling_of(task=own).task_for("anything") is own


def test_metrics_of_all_outputs_and_of_one_are_added_up() -> None:
    said = Labelling(metrics=("AUC", "kind=Recall", "size=mine:error"), main_output="size")
    assert said.metrics_for("kind") == ["AUC", "Recall"]
    assert said.metrics_for("size") == ["AUC", "mine:error"]
    assert said.metrics_for("other") == ["AUC"]
    assert said.every_metric == ["AUC", "Recall", "mine:error"]
    assert said.outputs == [("--metric", "kind"), ("--metric", "size"), ("--main-output", "size")]


TOLD = Labelling(
    task=("segmentation",), metrics=("AUC",), main_metric="mean_iou", ignore_label=255, windows_of=4,
    options=(("", (("ignore_label", 255),)),),
)  # fmt: skip


@given(
    st.sampled_from([None, "top1"]),
    st.sampled_from([None, "kind"]),
    st.sampled_from([None, 0, 7]),
    st.sampled_from([None, 1, 9]),
    st.sampled_from([(), ("Recall",)]),
)
def test_what_was_said_counts_and_of_the_rest_what_the_data_says(
    main_metric: str | None, main_output: str | None, ignored: int | None, windows: int | None, metrics: tuple[str, ...]
) -> None:
    said = Labelling(
        main_metric=main_metric, main_output=main_output, ignore_label=ignored, windows_of=windows, metrics=metrics
    )
    found = said.over(TOLD)
    assert found.task == ("segmentation",)
    assert found.main_metric == (main_metric or "mean_iou")
    assert found.main_output == main_output
    assert found.ignore_label == (255 if ignored is None else ignored)  # 0 was said
    assert found.windows_of == (windows or 4)
    assert found.metrics == (metrics or ("AUC",))
    assert found.options_for("any output") == {"ignore_label": 255}
    assert Labelling(task=("binary",), ignore_label=ignored).over(TOLD) == Labelling(
        task=("binary",), ignore_label=ignored
    )
    assert UNSAID.over(UNSAID) == UNSAID
    assert said.over(UNSAID) == said
