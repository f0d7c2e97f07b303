import types

import pytest

from tfcompress.engines.callbacks import Hooks, callbacks
from tfcompress.errors import UsageError


class FakeSession:
    def __init__(self, needs_steps=False):
        self.plans, self.steps, self.needs_steps = [], 0, needs_steps

    def plan_(self, *, epochs, steps_per_epoch, done_steps=0):
        self.plans.append((epochs, steps_per_epoch, done_steps))

    @property
    def unfinished(self):
        return self.steps < 3

    def after_step_(self):
        self.steps += 1

    def after_training_(self):
        self.steps = -1


class FakeCallback:
    params = None


FAKE_KERAS = types.SimpleNamespace(callbacks=types.SimpleNamespace(Callback=FakeCallback))


def test_known_numbers_are_planned_at_once():
    session = FakeSession()
    hooks = Hooks(session, epochs=3, steps_per_epoch=10)
    assert session.plans == [(3, 10, 0)]
    assert callbacks(hooks, FAKE_KERAS, plans=True) == []


@pytest.mark.parametrize(
    ("known", "epoch", "planned"),
    [
        ({}, 0, (4, 7, 0)),
        ({"epochs": 9}, 0, (9, 7, 0)),
        ({"steps_per_epoch": 5}, 0, (4, 5, 0)),
        ({}, 3, (1, 7, 0)),
        ({"epochs": 4}, 3, (4, 7, 21)),
    ],
)
def test_what_fit_says_fills_in_the_rest_once(known, epoch, planned):
    session = FakeSession()
    hooks = Hooks(session, **{"epochs": None, "steps_per_epoch": None, **known})
    (callback,) = callbacks(hooks, FAKE_KERAS, plans=True)
    callback.params = {"epochs": 4, "steps": 7}
    callback.on_epoch_begin(epoch)
    callback.on_epoch_begin(epoch + 1)
    assert session.plans == [planned]


def test_data_of_unknown_length_needs_the_number_of_steps():
    hooks = Hooks(FakeSession(), epochs=None, steps_per_epoch=None)
    with pytest.raises(UsageError, match="steps per epoch are not known for this data; give steps_per_epoch="):
        hooks.epoch_begins({"epochs": 2, "steps": None}, 0)


def test_a_training_that_goes_on_is_planned_again_from_where_it_was():
    session = FakeSession()
    hooks = Hooks(session, epochs=4, steps_per_epoch=7)
    hooks.epoch_begins({}, 2)
    hooks.epoch_begins({}, 3)
    assert session.plans == [(4, 7, 0), (4, 7, 14)]


def test_a_length_that_nobody_needs_may_stay_unknown():
    session = FakeSession()
    hooks = Hooks(session, epochs=None, steps_per_epoch=None, must_plan=False)
    hooks.epoch_begins({"epochs": 2, "steps": None}, 0)
    assert session.plans == []


def test_nothing_stops_a_training_whose_schedule_is_not_over():
    session = FakeSession(needs_steps=True)
    (callback,) = callbacks(Hooks(session, epochs=2, steps_per_epoch=2), FAKE_KERAS, plans=True)
    callback.model = types.SimpleNamespace(stop_training=True)
    callback.on_train_batch_end(0)
    callback.on_epoch_end(0)
    assert callback.model.stop_training is False
    callback.on_train_batch_end(0)
    callback.on_train_batch_end(1)
    callback.model.stop_training = True
    callback.on_epoch_end(1)
    assert callback.model.stop_training is True


def test_steps_are_looked_at_only_where_that_is_needed():
    hooks = Hooks(FakeSession(), epochs=None, steps_per_epoch=None)
    assert not hasattr(callbacks(hooks, FAKE_KERAS, plans=True)[0], "on_train_batch_end")
    assert callbacks(hooks, FAKE_KERAS, plans=False) == []


def test_the_end_of_a_training_is_told_to_the_session():
    session = FakeSession(needs_steps=True)
    (callback,) = callbacks(Hooks(session, epochs=1, steps_per_epoch=2), FAKE_KERAS, plans=True)
    callback.on_train_end()
    assert session.steps == -1
    session = FakeSession(needs_steps=True)
    (callback,) = callbacks(Hooks(session, epochs=1, steps_per_epoch=2), FAKE_KERAS, plans=True)
    callback.on_train_batch_end(0)
    callback.on_train_batch_end(1)
    assert session.steps == 2
