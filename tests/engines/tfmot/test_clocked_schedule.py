import pytest

from tfcompress.recipe import Prune
from tfcompress.weights.schedule import plan, sparsity_at

tf = pytest.importorskip("tensorflow")


@pytest.mark.parametrize(
    "stage",
    [
        Prune(sparsity=0.8, initial_sparsity=0.1, begin_epoch=0.5, power=2.0, frequency=3),
        Prune(sparsity=0.8, schedule="constant", begin_epoch=0.5, end_epoch=1.5, frequency=7),
    ],
)
def test_the_schedule_in_the_graph_is_the_one_in_python(stage):
    from tfcompress.engines.tfmot.clocked_schedule import Clock, ClockedSchedule

    clock = Clock()
    schedule = tf.function(ClockedSchedule(stage, clock, [1000]), autograph=False)
    made = plan(stage, epochs=2, steps_per_epoch=20)
    clock.set_(made)
    for step in range(1, 41):
        turn, share = schedule(tf.constant(step, tf.int64))
        assert bool(turn) == (made.begin <= step <= made.end and (step - made.begin) % made.frequency == 0)
        if step >= made.begin:
            assert float(share) == pytest.approx(sparsity_at(stage, made, step), abs=1e-6)


def test_a_traced_schedule_follows_a_new_plan():
    from tfcompress.engines.tfmot.clocked_schedule import Clock, ClockedSchedule

    stage, clock = Prune(frequency=1), Clock()
    schedule = tf.function(ClockedSchedule(stage, clock, [10]), autograph=False)
    clock.set_(plan(stage, epochs=1, steps_per_epoch=8))
    assert bool(schedule(tf.constant(6, tf.int64))[0])
    clock.set_(plan(stage, epochs=1, steps_per_epoch=4))
    assert not bool(schedule(tf.constant(6, tf.int64))[0])


def test_a_layer_aims_at_the_fraction_of_an_exact_count():
    from tfcompress.engines.tfmot.clocked_schedule import Clock, ClockedSchedule

    assert ClockedSchedule(Prune(sparsity=0.5), Clock(), [3, 8]).target == pytest.approx(2 / 3)
    assert ClockedSchedule(Prune(sparsity=0.7), Clock(), [10]).target == pytest.approx(0.7)


@pytest.mark.parametrize("kind", ["polynomial", "constant"])
def test_its_config_is_one_that_tfmot_reads(kind):
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_schedule

    from tfcompress.engines.tfmot.clocked_schedule import Clock, ClockedSchedule

    stage, clock = Prune(sparsity=0.75, schedule=kind), Clock()
    clock.set_(plan(stage, epochs=1, steps_per_epoch=100))
    config = ClockedSchedule(stage, clock, [100]).get_config()
    theirs = getattr(pruning_schedule, config["class_name"]).from_config(config["config"])
    assert theirs.begin_step == 1
    assert theirs.end_step == clock.plan.end
    assert float(theirs(tf.constant(clock.plan.end))[1]) == pytest.approx(0.75)
