"""Which epoch is kept, and when a training ends early."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.training.best_epoch import BestEpoch

LOSSES = st.lists(st.floats(0.0, 10.0) | st.just(float("nan")), min_size=1, max_size=12)


class Model:
    """A stand-in whose only weight is the number of the last epoch."""

    def __init__(self) -> None:
        self.weights = [np.zeros(1)]

    def get_weights(self) -> list[np.ndarray]:
        return self.weights

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.weights = weights


def trained(
    losses: list[float], over_after: int = 0, patience: int | None = None, *, keep: bool = True, killed_at: int = 0
) -> tuple[BestEpoch, Model, int]:
    """Go through epochs whose schedules are over after so many; return what came out, and how many there were."""
    model, now = Model(), [0]

    def fresh() -> BestEpoch:
        return BestEpoch(lambda: now[0] < over_after, keep=keep, patience=patience)

    best = fresh()
    for number, loss in enumerate(losses, start=1):
        now[0] = number
        model.weights = [np.array([float(number)])]
        if best.epoch_ends(model, number, loss):
            break
        if number == killed_at:
            state, best = best.state(), fresh()
            best.restore_(state)
    best.put_back_(model, now[0])
    return best, model, now[0]


def finite(loss: float) -> float:
    return loss if np.isfinite(loss) else np.inf


@given(LOSSES, st.integers(0, 12))
def test_the_first_of_the_lowest_losses_from_where_schedules_end_is_put_back(losses: list[float], over: int) -> None:
    _, model, done = trained(losses, over)
    counting = [number for number in range(1, done + 1) if number >= over]
    expected = min(counting, key=lambda number: finite(losses[number - 1]), default=done)
    assert model.weights[0].tolist() == [float(expected)]


@given(LOSSES, st.integers(0, 12), st.integers(1, 4))
def test_a_training_never_ends_before_its_schedules_and_not_without_its_patience(
    losses: list[float], over: int, patience: int
) -> None:
    best, _, done = trained(losses, over, patience)
    if best.stopped is None:
        assert done == len(losses)
        return
    assert best.epoch is not None
    assert best.stopped == done == best.epoch + patience
    assert best.epoch >= over
    assert all(finite(loss) >= best.loss for loss in losses[best.epoch : done])


@given(LOSSES, st.integers(0, 6), st.integers(1, 3), st.integers(1, 12))
def test_a_killed_training_goes_on_with_the_best_so_far(
    losses: list[float], over: int, patience: int, killed_at: int
) -> None:
    whole, killed = trained(losses, over, patience), trained(losses, over, patience, killed_at=killed_at)
    assert whole[2] == killed[2]
    assert whole[1].weights[0].tolist() == killed[1].weights[0].tolist()
    assert whole[0].words(9, put_back=True) == killed[0].words(9, put_back=True)


def test_without_keeping_the_last_epoch_stays() -> None:
    _, model, done = trained([1.0, 2.0, 3.0, 4.0], patience=2, keep=False)
    assert (model.weights[0].tolist(), done) == ([3.0], 3)


def test_weights_are_remembered_as_they_were() -> None:
    best, model = BestEpoch(lambda: False, keep=True, patience=None), Model()
    best.epoch_ends(model, 1, 0.5)
    model.weights[0][0] = 7.0
    best.epoch_ends(model, 2, 0.6)
    best.put_back_(model, 2)
    assert model.weights[0].tolist() == [0.0]


def test_what_happened_is_said() -> None:
    best, _, done = trained([3.0, 1.0, 2.0, 2.0], patience=2)
    assert best.words(done, put_back=True) == (
        "training ended early, after epoch 4: no validation loss below that of epoch 2 (1)",
        "weights of epoch 2 of 4 were kept: its validation loss is the lowest",
    )
    never: Any = trained([1.0], over_after=5)[0]
    assert never.words(1, put_back=False) == ("the last epoch was kept: no earlier one ended after the schedules",)
