from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edge_runner import arena, graph
from edge_runner.arena import Lifetime

DATA = Path(__file__).parents[1] / "data"


def test_tensors_that_do_not_meet_share_their_place():
    assert arena.planned_bytes([Lifetime(0, 1, 640), Lifetime(2, 3, 640)]) == 640
    assert arena.planned_bytes([Lifetime(0, 2, 640), Lifetime(2, 3, 640)]) == 640 + 640


def test_places_are_multiples_of_64():
    assert arena.planned_bytes([Lifetime(0, 1, 65), Lifetime(0, 1, 1)]) == 128 + 1


def test_a_small_tensor_goes_into_the_gap_that_a_large_one_left():
    large, middle, small = Lifetime(0, 1, 1280), Lifetime(1, 3, 640), Lifetime(2, 3, 320)
    assert arena.planned_bytes([small, middle, large]) == 1280 + 640


def test_nothing_needs_nothing():
    assert arena.planned_bytes([]) == 0


def planned(name):
    return arena.lifetimes(graph.read_graph((DATA / name).read_bytes()).subgraphs[0])


def test_the_classifier_holds_its_input_and_two_neighbours():
    image, conv, scores = 8 * 8 * 4, 4 * 4 * 6 * 4, 4 * 4
    lives = planned("blobs_float.tflite")
    assert sorted(life.size_bytes for life in lives) == sorted([image, conv, conv, scores, scores])
    assert arena.planned_bytes(lives) == image + conv + conv


def test_a_state_lives_all_the_time():
    lives = planned("lstm.tflite")
    assert sum(life.first == 0 and life.last == 2 for life in lives) == 1 + 2  # the input, and two states


@given(
    st.lists(
        st.builds(lambda a, b, n: Lifetime(min(a, b), max(a, b), n), *[st.integers(0, 9)] * 2, st.integers(1, 999))
    )
)
def test_it_is_never_less_than_what_lives_at_once_nor_more_than_all_apart(tensors):
    size = arena.planned_bytes(tensors)
    assert size >= max((sum(t.size_bytes for t in tensors if t.first <= at <= t.last) for at in range(10)), default=0)
    assert size <= sum(-(-t.size_bytes // 64) * 64 for t in tensors)
