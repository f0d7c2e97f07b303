import numpy as np
import pytest

from tests.engines.technique_contract import TechniqueContract
from tests.engines.tiny_networks import BATCH, compile_, convolutional, dense, fit_, kernel, vectors
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.job import attach
from tfcompress.recipe import Prune
from tfcompress.weights.promises import sparsity

tf_keras = pytest.importorskip("tf_keras")


@pytest.mark.slow
class TestPolynomial(TechniqueContract):
    stages = (Prune(sparsity=0.7),)


@pytest.mark.slow
class TestConstant(TechniqueContract):
    stages = (Prune(sparsity=0.5, schedule="constant", begin_epoch=0.5),)


@pytest.mark.slow
class TestTwoOfFour(TechniqueContract):
    stages = (Prune(pattern="2:4", scope=("first", "second", "hidden")),)


@pytest.mark.slow
class TestBlocks(TechniqueContract):
    stages = (Prune(sparsity=0.5, pattern="block", block_shape=(2, 4), scope=("hidden",)),)


def test_every_kernel_but_the_depthwise_one_is_pruned_and_that_is_said():
    job = attach(convolutional(tf_keras), Prune())
    assert [p.layer for p in job.promises()] == ["first", "second", "hidden", "logits"]
    assert job.notes == ["prune leaves depthwise as it is: tfmot does not prune the kernel of DepthwiseConv2D"]


def test_layers_of_models_inside_the_model_are_pruned_too():
    given = tf_keras.Input((16,))
    job = attach(tf_keras.Model(given, tf_keras.layers.Dense(2, name="top")(dense(tf_keras)(given))), Prune())
    assert [p.layer.rpartition("/")[2] for p in job.promises()] == ["a", "b", "top"]
    assert job.promises()[0].layer.endswith("/a")


def test_all_kernels_of_a_layer_are_pruned_and_named_apart():
    given = tf_keras.Input((4, 6))
    attended = tf_keras.layers.MultiHeadAttention(2, 3, name="attention")(given, given)
    model = tf_keras.Model(given, tf_keras.layers.GRU(5, name="gru")(attended))
    names = {p.layer for p in attach(model, Prune()).promises()}
    assert {"attention/query/kernel", "attention/attention_output/kernel"} < names
    assert {name.rpartition("/")[2] for name in names if name.startswith("gru")} == {"kernel", "recurrent_kernel"}


def test_layers_without_a_kernel_do_not_stand_in_the_way():
    given = tf_keras.Input((16,))
    scaled = tf_keras.layers.Normalization(mean=1.0, variance=4.0)(tf_keras.layers.Rescaling(1 / 255)(given))
    job = attach(tf_keras.Model(given, tf_keras.layers.Dense(3, name="top")(scaled)), Prune())
    assert [p.layer for p in job.promises()] == ["top"]


@pytest.mark.parametrize(
    ("wrapped", "words"),
    [
        (
            lambda: tf_keras.layers.Bidirectional(tf_keras.layers.LSTM(4), name="both"),
            "both .Bidirectional: tfmot does",
        ),
        (
            lambda: tf_keras.layers.TimeDistributed(tf_keras.layers.Dense(4), name="each"),
            "each .TimeDistributed: tfmot",
        ),
    ],
)
def test_kernels_that_tfmot_cannot_reach_are_refused_by_name_not_left_in_silence(wrapped, words):
    given = tf_keras.Input((4, 6))
    flat = tf_keras.layers.Flatten()(wrapped()(given))
    model = tf_keras.Model(given, tf_keras.layers.Dense(2, name="top")(flat))
    with pytest.raises(UnsupportedError, match=rf"prune cannot work on {words}.*prune.scope = \['top'\]"):
        attach(model, Prune())
    assert [p.layer for p in attach(model, Prune(scope=("top",))).promises()] == ["top"]


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (Prune(pattern="block", block_shape=(2, 2)), r"first \(Conv2D: tfmot prunes blocks in matrices only\)"),
        (Prune(pattern="2:4", scope=("depthwise",)), r"depthwise \(DepthwiseConv2D: tfmot does not prune the kernel"),
    ],
)
def test_patterns_that_a_layer_cannot_have_are_refused(stage, words):
    with pytest.raises(UnsupportedError, match=words):
        attach(convolutional(tf_keras), stage)


def test_tfmot_sets_two_of_four_at_the_first_step_so_a_later_begin_is_refused():
    with pytest.raises(UsageError, match=r"prune.begin_epoch must be 0 with pattern '2:4' .*, got 1"):
        attach(convolutional(tf_keras), Prune(pattern="2:4", begin_epoch=1))


@pytest.mark.slow
def test_masked_weights_are_zero_after_every_step_whatever_the_order_of_the_callbacks():
    seen = []

    class Checkpoint(tf_keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append([(sparsity(kernel.numpy()), sparsity((kernel * mask).numpy())) for kernel, mask, _ in pruned])

    job = attach(dense(tf_keras), Prune(sparsity=0.75, frequency=1))
    pruned = [each for layer in job.model.layers for each in getattr(layer, "pruning_vars", ())]
    fit_(tf_keras, job, vectors(), epochs=4, callbacks=[Checkpoint()])
    assert all(stored == used for step in seen for stored, used in step)
    assert seen[-1] == [(0.75, 0.75), (0.75, 0.75)]
    assert seen[0][0][0] < seen[4][0][0] < 0.75


@pytest.mark.slow
def test_a_constraint_of_the_users_own_still_holds(either_keras):
    model = dense(either_keras)
    model.layers[0].kernel_constraint = either_keras.constraints.NonNeg()
    job = attach(either_keras.models.clone_model(model), Prune(sparsity=0.25))
    fit_(either_keras, job, vectors())
    weights = kernel(job.finish(), "a")
    assert weights.min() == 0
    assert sparsity(weights) >= 0.25


@pytest.mark.slow
def test_training_that_ends_early_still_reaches_the_sparsity_and_says_so(either_keras):
    job = attach(dense(either_keras), Prune(sparsity=0.75), epochs=4)
    fit_(either_keras, job, vectors(), epochs=1)
    assert max(p.got for p in job.promises()) < 0.75
    with pytest.warns(UserWarning, match="training stopped at step 4"):
        finished = job.finish()
    assert [sparsity(kernel(finished, name)) for name in "ab"] == [0.75, 0.75]
    assert job.notes[-1].startswith("training stopped at step 4, before step 12 of the schedule")


@pytest.mark.slow
def test_fit_called_once_an_epoch_follows_the_plan_that_attach_was_given():
    job = attach(dense(tf_keras), Prune(sparsity=0.75), epochs=4)
    compile_(tf_keras, job.model)
    course = []
    for epoch in range(4):
        job.model.fit(
            *vectors(), batch_size=BATCH, initial_epoch=epoch, epochs=epoch + 1, verbose=0, callbacks=job.callbacks
        )
        course.append(job.promises()[0].got)
    assert course == sorted(course)
    assert course[0] < course[1] < course[2] == course[3] == 0.75
    assert job.notes == []


def test_a_schedule_that_cannot_finish_stops_fit_before_the_first_step():
    job = attach(dense(tf_keras), Prune(end_epoch=3))
    before = [w.copy() for w in job.model.get_weights()]
    with pytest.raises(UsageError, match=r"prune\.end_epoch must lie within the training: epoch 3 is step 12"):
        fit_(tf_keras, job, vectors(), epochs=2)
    assert all(map(np.array_equal, before, job.model.get_weights()))


def test_training_without_a_plan_is_stopped_by_the_graph():
    import tensorflow as tf

    job = attach(dense(tf_keras), Prune())
    with pytest.raises(tf.errors.InvalidArgumentError, match="prune does not know how many steps the training has"):
        job.model(vectors()[0], training=True)
