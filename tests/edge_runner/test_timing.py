import gc
import time

import pytest

from edge_runner import timing


def nothing():
    return None


def test_it_runs_until_the_count_is_reached():
    assert timing.timed(nothing, 25, 0, nothing).runs == 25


def test_it_runs_until_the_time_is_over():
    start = time.perf_counter()
    samples = timing.timed(lambda: time.sleep(0.002), 1, 0.05, nothing).samples
    assert time.perf_counter() - start >= 0.05
    assert 1 < len(samples) <= 25
    assert min(samples) >= 2_000_000


def test_a_model_of_no_time_at_all_is_not_timed_for_ever():
    assert len(timing.timed(nothing, 10, 60, nothing, most=1000).samples) == 1000


def test_the_count_asked_for_stands_above_the_most():
    assert len(timing.timed(nothing, 50, 0, nothing, most=10).samples) == 50


def test_garbage_collection_is_off_while_timing_and_on_again_after():
    seen = []
    timing.timed(lambda: seen.append(gc.isenabled()), 2, 0, nothing)
    assert (seen, gc.isenabled()) == ([False, False], True)


def test_garbage_collection_is_on_again_after_a_failure_and_stays_off_if_it_was():
    with pytest.raises(ZeroDivisionError):
        timing.timed(lambda: 1 / 0, 1, 0, nothing)
    assert gc.isenabled()
    gc.disable()
    try:
        timing.timed(nothing, 1, 0, nothing)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_long_run_gives_signs_of_life(monkeypatch):
    monkeypatch.setattr(timing, "ALIVE_NS", 10_000_000)
    beats = []
    timing.timed(lambda: time.sleep(0.001), 1, 0.1, lambda: beats.append(1))
    assert 2 <= len(beats) <= 10


def test_one_call_is_timed():
    assert timing.once(lambda: time.sleep(0.005)) >= 5_000_000


def test_the_whole_time_is_used_when_asked_and_only_some_timings_are_kept():
    start = time.perf_counter()
    found = timing.timed(lambda: time.sleep(0.001), 1, 0.05, nothing, most=3, full_time=True)
    assert time.perf_counter() - start >= 0.05
    assert len(found.samples) == 3 < found.runs <= 50
    assert found.total_ns >= found.runs * 1_000_000


def test_runs_and_time_are_those_of_the_samples_when_all_are_kept():
    found = timing.timed(nothing, 5, 0, nothing)
    assert (found.runs, found.total_ns) == (len(found.samples), sum(found.samples))


def test_the_rest_of_a_window_gives_signs_of_life(monkeypatch):
    monkeypatch.setattr(timing, "ALIVE_NS", 10_000_000)
    beats = []
    timing.timed(lambda: time.sleep(0.001), 1, 0.1, lambda: beats.append(1), most=1, full_time=True)
    assert 2 <= len(beats) <= 10
