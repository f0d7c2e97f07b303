import gc
import itertools
import time

import pytest

from edge_runner import timing


def nothing():
    return None


def test_it_runs_until_the_count_is_reached():
    assert timing.timed(nothing, 25, 0, nothing).runs == 25


class Clock:
    """Time that passes only while somebody works: nanoseconds, in place of the module ``time``."""

    def __init__(self):
        self.now = 0

    def perf_counter_ns(self):
        return self.now

    def taking(self, *durations):
        """Return a call that takes each of *durations*, in nanoseconds, in turn."""
        left = itertools.cycle(durations)

        def call():
            self.now += next(left)

        return call


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(timing, "time", found)
    return found


def test_it_runs_until_the_time_is_over(clock):
    found = timing.timed(clock.taking(2_000_000), 1, 0.05, nothing)
    assert list(found.samples) == [2_000_000] * 25  # 50 ms
    assert (found.runs, found.total_ns) == (25, 50_000_000)


def test_what_a_call_has_above_an_empty_one_is_found_pair_by_pair(clock):
    found = timing.above(clock.taking(25_000), clock.taking(1_000), 0.001, nothing)
    assert found == [24_000] * 10  # 2 calls last 50 us; 1 ms holds 10 pairs of twice that


def test_a_short_call_is_repeated_until_a_loop_is_long(clock):
    calls = []
    call = clock.taking(100)

    def counted():
        calls.append(1)
        call()

    assert timing.above(counted, clock.taking(100), 0, nothing) == [0] * 5
    assert len(calls) == 3 + 5 * 500  # 500 of 100 ns are 50 us


def test_which_of_the_two_comes_first_alternates(clock):
    order = []
    timing.above(lambda: order.append("A"), lambda: order.append("B"), 0, nothing)
    assert [name for name, _ in itertools.groupby(order[3:])] == ["A", "B", "A", "B", "A", "B"]
    assert len(order) == 3 + 5 * 2 * timing.MOST_CALLS


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


def test_a_long_run_gives_signs_of_life(clock):
    beats = []
    timing.timed(clock.taking(300_000_000), 1, 4.2, lambda: beats.append(clock.now / 1e9))
    assert beats == pytest.approx([1.2, 2.4, 3.6])  # a second after the last, when an inference ends
    beats.clear()
    timing.above(clock.taking(500_000_000), nothing, 0, lambda: beats.append(1))
    assert len(beats) == 2  # five of half a second


def test_one_call_is_timed():
    assert timing.once(lambda: time.sleep(0.005)) >= 5_000_000


def test_the_whole_time_is_used_when_asked_and_only_some_timings_are_kept(clock):
    found = timing.timed(clock.taking(1_000_000), 1, 0.05, nothing, most=3, full_time=True)
    assert list(found.samples) == [1_000_000] * 3
    assert (found.runs, found.total_ns) == (50, 50_000_000)


def test_runs_and_time_are_those_of_the_samples_when_all_are_kept():
    found = timing.timed(nothing, 5, 0, nothing)
    assert (found.runs, found.total_ns) == (len(found.samples), sum(found.samples))


def test_the_rest_of_a_window_gives_signs_of_life(clock):
    beats = []
    timing.timed(clock.taking(300_000_000), 1, 4.2, lambda: beats.append(1), most=1, full_time=True)
    assert len(beats) == 3
