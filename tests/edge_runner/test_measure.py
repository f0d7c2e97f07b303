from pathlib import Path

import pytest

from edge_runner import measure
from edge_runner.arguments import Options

MODELS = (Path("a.tflite"), Path("b.tflite"))


def group(**options):
    asked = Options(MODELS, processes=2, rounds=5, **options)
    return measure.TimedGroup(measure.subjects_of(asked), asked, "litert", lambda text: None, None)


def test_every_way_of_running_every_file_is_a_subject():
    subjects = measure.subjects_of(Options(MODELS, threads=(1, 4), kernels=("default", "reference")))
    ways = [(s.path.name, s.entry["settings"]["kernels"], s.entry["settings"]["threads"]) for s in subjects]
    assert ways == [
        (name, kernels, threads)
        for name in ("a.tflite", "b.tflite")
        for kernels in ("default", "reference")
        for threads in (1, 4)
    ]
    assert [subject.number for subject in subjects] == list(range(8))


def test_runs_and_time_are_shared_by_all_turns():
    request = group(runs=100, seconds=2.0).turn_request(5, None, windows=False)
    turns = 2 * 5 * 2
    assert (request["runs"], request["seconds"]) == (100 // turns, 2.0 / turns)


def test_a_turn_is_as_long_as_its_time_undisturbed():
    request = group(runs=100, seconds=2.0).turn_request(5, 1e6, windows=False)
    assert request["runs"] == 0.1 / 1e-3


def test_a_model_of_nanoseconds_is_run_all_its_time_and_few_durations_are_kept():
    request = group(runs=100, seconds=2.0).turn_request(5, 10.0, windows=False)
    assert (request["runs"], request["most"], request["seconds"]) == (100_000 // 20, 100_000 // 20, 2.0 / 20)
    assert request["full_time"] is True


def test_a_window_lasts_its_whole_time():
    request = group(seconds=10.0, mode="windows").turn_request(5, 1e6, windows=True)
    assert (request["runs"], request["seconds"], request["full_time"]) == (1, 10.0, True)


def test_only_turns_beside_others_settle_first():
    assert group(seconds=2.0).turn_request(5, None, windows=False)["untimed_seconds"] == measure.UNTIMED_SECONDS
    asked = Options(MODELS[:1])
    alone = measure.TimedGroup(measure.subjects_of(asked), asked, "litert", lambda text: None, None)
    assert alone.turn_request(5, None, windows=False)["untimed_seconds"] == 0


def test_outputs_that_cannot_be_collected_leave_no_file(tmp_path):
    with pytest.raises(OSError, match="none"):
        measure.collect(tmp_path / "none", tmp_path / "o.npz", [])
    assert list(tmp_path.iterdir()) == []
