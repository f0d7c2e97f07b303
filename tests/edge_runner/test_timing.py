import gc
import time

import pytest

from edge_runner import timing


def nothing():
    return None


def test_it_runs_until_the_count_is_reached():
    assert len(timing.timed(nothing, 25, 0, nothing)) == 25


def test_it_runs_until_the_time_is_over():
    start = time.perf_counter()
    samples = timing.timed(lambda: time.sleep(0.002), 1, 0.05, nothing)
    assert time.perf_counter() - start >= 0.05
    assert 1 < len(samples) <= 25
    assert min(samples) >= 2_000_000


def test_a_model_of_no_time_at_all_is_not_timed_for_ever():
    assert len(timing.timed(nothing, 10, 60, nothing, most=1000)) == 1000


def test_the_count_asked_for_stands_above_the_most():
    assert len(timing.timed(nothing, 50, 0, nothing, most=10)) == 50


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
