"""Whatever becomes of a tracker, the run goes on."""

from __future__ import annotations

import math

import pytest

from tests.tracking.recorder import DISK_FULL, Recorder
from tfcompress.errors import OutputError
from tfcompress.tracking.following import NOBODY, Following
from tfcompress.tracking.tracker import TrackedEnd, TrackedStart

START = TrackedStart(name="net-int8")


def followed_to_the_end(following: Following) -> None:
    with following.run(START) as run:
        run.log({"a": 1.0}, 1)
        run.child(TrackedStart(name="part", parent="net-int8")).end(TrackedEnd())
        run.log({"a": 2.0}, 2)
        run.end(TrackedEnd(figures={"b": 3.0}))


def test_what_is_told_arrives() -> None:
    recorder = Recorder()
    followed_to_the_end(Following([recorder], pytest.fail))
    (run,) = recorder.runs
    assert run.rows == {1: {"a": 1.0}, 2: {"a": 2.0}}
    assert [end.figures for end in run.ends] == [{"b": 3.0}]
    assert [child.start.parent for child in run.children] == ["net-int8"]


@pytest.mark.parametrize("at", ["begin", "log", "child", "end"])
def test_a_tracker_that_fails_is_told_once_and_the_others_go_on(at: str) -> None:
    notes: list[str] = []
    failing, well = Recorder(at), Recorder()
    followed_to_the_end(Following([failing, well], notes.append))
    assert notes == [f"recorder follows no further, the work goes on: OSError: [Errno 28] {DISK_FULL}"]
    assert len(well.runs[0].rows) == 2
    assert len(well.runs[0].ends) == 1


def test_a_tracker_that_failed_is_not_asked_again_by_the_next_run() -> None:
    notes: list[str] = []
    failing = Recorder("log")
    following = Following([failing], notes.append)
    followed_to_the_end(following)
    followed_to_the_end(following)
    assert len(notes) == len(failing.runs) == 1
    assert not following.active


def test_a_run_that_fails_says_why_and_the_error_goes_on() -> None:
    recorder, error = Recorder(), OutputError("out/ exists already\nsecond line")
    with pytest.raises(OutputError), Following([recorder], pytest.fail).run(START):
        raise error
    (end,) = recorder.runs[0].ends
    assert (end.outcome, end.reason) == ("failed", "out/ exists already second line")


def test_ctrl_c_is_no_failure() -> None:
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt), Following([recorder], pytest.fail).run(START):
        raise KeyboardInterrupt
    assert [end.outcome for end in recorder.runs[0].ends] == ["interrupted"]


def test_a_run_ends_once() -> None:
    recorder = Recorder()
    with Following([recorder], pytest.fail).run(START) as run:
        run.end(TrackedEnd(figures={"a": 1.0}))
        assert not run.followed
    assert len(recorder.runs[0].ends) == 1


def test_numbers_that_are_not_finite_are_left_out() -> None:
    recorder = Recorder()
    with Following([recorder], pytest.fail).run(START) as run:
        run.log({"loss": math.nan, "high": math.inf, "accuracy": 0.5}, 3)
        assert run.steps == 3
    assert recorder.runs[0].rows == {3: {"accuracy": 0.5}}


def test_figures_that_cannot_be_put_together_end_the_run_without_them() -> None:
    notes: list[str] = []
    recorder = Recorder()

    def broken() -> TrackedEnd:
        raise OSError(28, DISK_FULL)

    with Following([recorder], notes.append).run(START) as run:
        run.end_by(broken)
    assert [end.figures for end in recorder.runs[0].ends] == [{}]
    assert notes == [f"trackers do not receive the results: OSError: [Errno 28] {DISK_FULL}"]


def test_nobody_follows_nothing() -> None:
    with NOBODY.run(START) as run:
        assert not run.followed
