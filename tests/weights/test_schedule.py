import hypothesis.strategies as st
import pytest
from hypothesis import given

from tfcompress.errors import UsageError
from tfcompress.recipe import Prune
from tfcompress.weights.schedule import Plan, plan, sparsity_at


def test_epochs_become_steps():
    stage = Prune(begin_epoch=1, end_epoch=3.5, frequency=10)
    assert plan(stage, epochs=4, steps_per_epoch=100) == Plan(begin=100, end=350, frequency=10, total=400)


def test_a_schedule_without_an_end_is_over_after_three_quarters():
    assert plan(Prune(frequency=1), epochs=2, steps_per_epoch=50) == Plan(begin=1, end=75, frequency=1, total=100)
    late = plan(Prune(begin_epoch=1.8, frequency=1), epochs=2, steps_per_epoch=50)
    assert late == Plan(begin=90, end=90 + 7, frequency=1, total=100)  # three quarters of what is left: 7.5


def test_the_last_update_falls_on_the_end():
    made = plan(Prune(frequency=20), epochs=1, steps_per_epoch=1000)
    assert made == Plan(begin=1, end=741, frequency=20, total=1000)  # 750 is not 1 + n * 20


def test_a_short_training_is_given_more_frequent_updates():
    made = plan(Prune(frequency=100), epochs=1, steps_per_epoch=40)
    assert made == Plan(begin=1, end=28, frequency=3, total=40)  # 29 steps for 8 updates or more


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (Prune(begin_epoch=5), "prune.begin_epoch must lie within the training: epoch 5 is step 50, but .* 20 steps"),
        (Prune(end_epoch=2.5), r"prune.end_epoch must lie within .* step 25, but .* 20 steps \(2 epochs of 10\)"),
    ],
)
def test_a_schedule_outside_the_training_is_refused_with_numbers(stage, words):
    with pytest.raises(UsageError, match=words):
        plan(stage, epochs=2, steps_per_epoch=10)


def test_a_training_without_steps_is_refused():
    with pytest.raises(UsageError, match="pruning needs at least 1 training step, but the training has 0 steps"):
        plan(Prune(), epochs=1, steps_per_epoch=0)


@given(
    epochs=st.integers(1, 5),
    steps=st.integers(1, 300),
    begin=st.floats(0, 1),
    frequency=st.integers(1, 500),
    kind=st.sampled_from(["polynomial", "constant"]),
)
def test_every_schedule_reaches_its_target_within_the_training_and_never_falls(epochs, steps, begin, frequency, kind):
    stage = Prune(sparsity=0.9, initial_sparsity=0.2, begin_epoch=begin, frequency=frequency, schedule=kind)
    made = plan(stage, epochs=epochs, steps_per_epoch=steps)
    assert 1 <= made.begin <= made.end <= made.total == epochs * steps
    assert (made.end - made.begin) % made.frequency == 0
    course = [sparsity_at(stage, made, step) for step in range(made.total + 1)]
    assert course == sorted(course)
    assert course[made.end] == 0.9
    assert course[made.begin - 1] == 0.0


def test_the_polynomial_is_the_papers():
    stage, made = Prune(sparsity=0.8), Plan(begin=0, end=100, frequency=1, total=100)
    assert sparsity_at(stage, made, 50) == pytest.approx(0.8 - 0.8 * 0.5**3)
