"""tfmot's pruning schedule with numbers that are only known when training begins."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfcompress.engines.tfmot.names import PruningSchedule, is_turn
from tfcompress.recipe import Prune
from tfcompress.weights.masks import zeros_needed
from tfcompress.weights.schedule import Plan

NOT_PLANNED = -1

UNPLANNED = (
    "prune does not know how many steps the training has: pass job.callbacks to fit, or give epochs= and "
    "steps_per_epoch= to attach"
)


class Clock:
    """The plan that all schedules of a job read, in variables: a training function once traced keeps seeing changes.

    Attributes:
        plan: the plan; None before it is set.
        begin: first step with an update, scalar int64 variable; :data:`NOT_PLANNED` before the plan is set.
        end: last step with an update, scalar int64 variable.
        frequency: steps between updates, scalar int64 variable.
    """

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.begin = tf.Variable(NOT_PLANNED, dtype=tf.int64, trainable=False)
        self.end = tf.Variable(NOT_PLANNED, dtype=tf.int64, trainable=False)
        self.frequency = tf.Variable(1, dtype=tf.int64, trainable=False)

    def set_(self, plan: Plan) -> None:
        """Make *plan* what every schedule follows from now on."""
        self.plan = plan
        self.begin.assign(plan.begin)
        self.end.assign(plan.end)
        self.frequency.assign(plan.frequency)


class ClockedSchedule(PruningSchedule):  # type: ignore[misc]  # tfmot ships no types
    """The stage's schedule, in TensorFlow; :func:`tfcompress.weights.schedule.sparsity_at` is the same in Python."""

    def __init__(self, stage: Prune, clock: Clock, sizes: list[int]) -> None:
        """Make the schedule of one layer.

        Args:
            stage: what is asked.
            clock: when.
            sizes: number of weights in each of the layer's kernels. tfmot keeps ``round(n (1 - s))`` weights, which can
                be one too many; so it is asked for the fraction that an exact count makes.
        """
        self.stage = stage
        self.clock = clock
        self.target = max(zeros_needed(n, stage.sparsity) / n for n in sizes)

    def __call__(self, step: Any) -> tuple[Any, Any]:
        """Return whether the masks are updated at *step* (scalar bool), and to which sparsity (scalar float32)."""
        clock, stage = self.clock, self.stage
        planned = tf.debugging.assert_greater(clock.begin, tf.constant(0, tf.int64), message=UNPLANNED)
        with tf.control_dependencies([planned] if planned is not None else []):
            turn = is_turn(self, step, clock.begin, clock.end, clock.frequency)
        if stage.schedule == "constant":
            return turn, tf.constant(self.target, tf.float32)
        length = tf.maximum(clock.end - clock.begin, 1)
        done = tf.clip_by_value(tf.cast(step - clock.begin, tf.float32) / tf.cast(length, tf.float32), 0.0, 1.0)
        done = tf.where(step >= clock.end, 1.0, done)
        return turn, self.target + (stage.initial_sparsity - self.target) * tf.pow(1.0 - done, stage.power)

    def get_config(self) -> dict[str, Any]:
        """Return the config of tfmot's own schedule with the planned numbers, for whoever saves the wrapped model."""
        begin, end, frequency = (int(v.numpy()) for v in (self.clock.begin, self.clock.end, self.clock.frequency))
        steps = {"begin_step": max(begin, 0), "end_step": max(end, 0), "frequency": frequency}
        if self.stage.schedule == "constant":
            return {"class_name": "ConstantSparsity", "config": {"target_sparsity": self.target, **steps}}
        shape = {
            "initial_sparsity": self.stage.initial_sparsity,
            "final_sparsity": self.target,
            "power": self.stage.power,
        }
        return {"class_name": "PolynomialDecay", "config": {**shape, **steps}}
