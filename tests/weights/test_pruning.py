import numpy as np
import pytest

from tests.engines.tiny_networks import BATCH, compile_, convolutional, dense, fit_, kernel, vectors
from tfcompress.engines.native import open_session
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.job import attach
from tfcompress.models.copies import layers_with_kernels
from tfcompress.recipe import Prune
from tfcompress.weights.promises import sparsity
from tfcompress.weights.pruning import kernels_to_prune

keras = pytest.importorskip("keras")
layers = keras.layers

STEPS = 4


def chosen(model, **options):
    return kernels_to_prune(Prune(**options), layers_with_kernels(model))


def session(stage, model=None):
    return open_session(dense(keras) if model is None else model, [stage], seed=0)


def course(work, steps):
    """Return the sparsity of the first kernel before each step of a training that does nothing else."""
    found = []
    for _ in range(steps):
        found.append(work.promises()[0].got)
        work.after_step_()
    return found


def test_depthwise_kernels_are_left_unless_their_layer_is_asked_for():
    assert list(chosen(convolutional(keras)).layers) == ["first", "second", "hidden", "logits"]
    words = "prune leaves depthwise as it is: the kernel of DepthwiseConv2D holds a filter for each channel"
    assert chosen(convolutional(keras)).notes == [words]
    assert list(chosen(convolutional(keras), scope=("depthwise",)).layers) == ["depthwise"]
    assert list(chosen(convolutional(keras), types=("DepthwiseConv2D",)).layers) == ["depthwise"]
    assert list(chosen(convolutional(keras), types=("Dense",)).layers) == ["hidden", "logits"]


def test_the_pointwise_part_of_a_separable_convolution_is_pruned():
    given = keras.Input((8, 8, 4))
    work = session(Prune(), keras.Model(given, layers.SeparableConv2D(6, 3, name="both")(given)))
    assert [(p.layer, p.elements) for p in work.promises()] == [("both", 24)]
    assert work.notes == ["prune leaves both/depthwise_kernel as it is: it holds a filter for each channel"]


@pytest.mark.parametrize(
    ("make", "kernels"),
    [
        (lambda x: layers.Conv1D(4, 3)(x), 1),
        (lambda x: layers.Conv1DTranspose(4, 3)(x), 1),
        (lambda x: layers.EinsumDense("abc,cd->abd", (None, 5))(x), 1),
        (lambda x: layers.LSTM(3)(x), 2),
        (lambda x: layers.Bidirectional(layers.GRU(3))(x), 4),
        (lambda x: layers.TimeDistributed(layers.Dense(5))(x), 1),
        (lambda x: layers.MultiHeadAttention(2, 3)(x, x), 4),
        (lambda x: layers.Embedding(9, 4)(layers.Flatten()(x)), 1),
    ],
)
def test_what_the_other_engine_refuses_is_pruned_here(make, kernels):
    given = keras.Input((6, 4))
    work = session(Prune(sparsity=0.5), keras.Model(given, make(given)))
    finished, promises = work.finish()
    assert len(promises) == kernels
    values = [np.asarray(v) for v in finished.variables if v.path.endswith(("kernel", "embeddings"))]
    assert [sparsity(value) >= 0.5 for value in values] == [True] * kernels


def test_input_channels_that_a_pattern_does_not_find_are_left_and_that_is_said():
    given = keras.Input((8, 8))
    x = layers.Conv1DTranspose(8, 3, name="up")(layers.Dense(8, name="flat")(given))
    found = chosen(keras.Model(given, x), pattern="4:8")
    assert list(found.layers) == ["flat"]
    words = "the input channels of Conv1DTranspose are not where pattern '4:8' needs them"
    assert found.notes == [f"prune leaves up as it is: {words}"]


def test_movement_of_a_frozen_layer_is_refused():
    model = dense(keras)
    model.get_layer("b").trainable = False
    with pytest.raises(UnsupportedError, match=r"prune cannot work on b \(Dense: it is frozen, and criterion"):
        session(Prune(criterion="movement"), model)


def test_a_criterion_by_the_loss_needs_samples():
    with pytest.raises(UsageError, match=r"prune\.criterion 'taylor' takes gradients on training samples"):
        session(Prune(criterion="taylor"))


GRADUAL = Prune(sparsity=0.75, begin_step=3, end_step=19, frequency=2, initial_sparsity=0.25, power=1)
"""Zeros of 128 weights at step 3: 32; at each second step after it: 8 more; at step 19: 96."""


def test_masks_are_updated_before_the_steps_of_the_schedule():
    work = session(GRADUAL)
    work.plan_(epochs=2, steps_per_epoch=11)
    zeros = [share * 128 for share in course(work, 22)]
    assert zeros == [0, 0, 32, 32, 40, 40, 48, 48, 56, 56, 64, 64, 72, 72, 80, 80, 88, 88, 96, 96, 96, 96]


def test_a_constant_schedule_prunes_at_once_where_it_begins():
    work = session(Prune(sparsity=0.5, schedule="constant", begin_epoch=0.6))
    work.plan_(epochs=2, steps_per_epoch=5)
    assert course(work, 4) == [0, 0, 0.5, 0.5]


def test_steps_that_run_several_at_once_are_counted():
    work = session(GRADUAL)
    compile_(keras, work.model)
    work.model.steps_per_execution = 5
    work.plan_(epochs=2, steps_per_epoch=10)
    assert [share * 128 for share in course(work, 5)] == [0, 40, 64, 80, 96]  # before steps 1, 6, 11, 16, 21
    assert not work.unfinished


def test_a_training_that_goes_on_finds_the_masks_where_they_were():
    first = session(GRADUAL)
    first.plan_(epochs=2, steps_per_epoch=11)
    course(first, 10)
    half = dense(keras)
    half.set_weights(first.model.get_weights())
    second = session(GRADUAL, half)
    second.plan_(epochs=2, steps_per_epoch=11, done_steps=10)
    assert [np.array_equal(a, b) for a, b in zip(first.model.get_weights(), second.model.get_weights(), strict=True)]
    assert [share * 128 for share in course(second, 4)] == [64, 64, 72, 72]


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (Prune(end_epoch=3), "prune.end_epoch must lie within the training: epoch 3 is step 12"),
        (Prune(begin_step=9), "prune.begin_step must lie within the training: got step 9"),
    ],
)
def test_a_schedule_that_would_never_fire_is_refused_before_the_first_step(stage, words):
    work = session(stage)
    before = work.model.get_weights()
    with pytest.raises(UsageError, match=rf"{words}, but the training has 8 steps .*; train longer or set it lower"):
        work.plan_(epochs=2, steps_per_epoch=STEPS)
    assert all(map(np.array_equal, before, work.model.get_weights()))


def test_one_threshold_for_all_makes_their_sum_right_and_says_so_until_it_is():
    work = session(Prune(sparsity=0.75, threshold="global"))
    assert [(p.layer, p.kept) for p in work.promises()] == [("all pruned kernels", False), ("a", True), ("b", True)]
    finished, promises = work.finish()
    assert [p.layer for p in promises] == ["a", "b"]
    zeros = [(kernel(finished, name) == 0).sum() for name in "ab"]
    assert sum(zeros) == 114  # 0.75 * (128 + 24)
    assert zeros != [96, 18]


@pytest.mark.parametrize(
    ("stage", "what"),
    [
        (Prune(pattern="2:4", scope=("a",)), "2:4 groups"),
        (Prune(pattern="4:8", scope=("a",)), "4:8 groups"),
        (Prune(sparsity=0.5, pattern="block", block_shape=(2, 2), scope=("a",)), "sparsity"),
    ],
)
def test_patterns_are_promised_and_kept(stage, what):
    finished, promises = session(stage).finish()
    assert promises[-1].what == what
    assert promises[-1].kept
    assert sparsity(kernel(finished, "a")) == 0.5


def test_finishing_leaves_the_model_in_training_alone():
    work = session(Prune(sparsity=0.75))
    before = work.model.get_weights()
    finished, _ = work.finish()
    assert all(map(np.array_equal, before, work.model.get_weights()))
    assert sparsity(kernel(finished, "a")) == 0.75
    assert "training stopped at step 0, before a schedule was set" in work.notes[0]


@pytest.mark.slow
def test_both_engines_train_to_the_same_weights():
    tf_keras = pytest.importorskip("tf_keras")
    stage, weights = Prune(sparsity=0.6, schedule="constant", begin_epoch=0.5), dense(tf_keras).get_weights()
    results = []
    for library in (tf_keras, keras):
        model = dense(library)
        model.set_weights(weights)
        job = attach(model, stage)
        loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
        job.model.compile(library.optimizers.SGD(0.1), loss, jit_compile=False)
        job.model.fit(*vectors(), epochs=3, batch_size=BATCH, shuffle=False, verbose=0, callbacks=job.callbacks)
        results.append((job.engine, job.finish().get_weights(), job.promises()))
    (tfmot, expected, promised), (native, got, kept) = results
    assert (tfmot, native) == ("tfmot", "native")
    assert kept == promised
    for a, b in zip(expected, got, strict=True):
        assert np.array_equal(a == 0, b == 0)
        assert b == pytest.approx(a, abs=1e-6)


@pytest.mark.slow
def test_fit_called_once_an_epoch_follows_the_plan_that_attach_was_given():
    job = attach(dense(keras), GRADUAL, epochs=5)
    compile_(keras, job.model)
    zeros = []
    for epoch in range(5):
        given = {"initial_epoch": epoch, "epochs": epoch + 1, "verbose": 0, "callbacks": job.callbacks}
        job.model.fit(*vectors(), batch_size=BATCH, **given)
        zeros.append(128 * job.promises()[0].got)
    assert zeros == [40, 56, 72, 88, 96]  # what step 5, 9 … finds; four steps an epoch
    assert job.notes == []


def test_weights_put_back_are_reported_as_they_are_and_finished_by_the_mask():
    work = session(Prune(sparsity=0.5, schedule="constant"))
    dense_weights = work.model.get_weights()
    work.plan_(epochs=1, steps_per_epoch=4)
    work.model.set_weights(dense_weights)
    assert [p.got for p in work.promises()] == [0, 0]
    finished, promises = work.finish()
    assert [p.got for p in promises] == [0.5, 0.5]
    kept = kernel(finished, "a") != 0
    assert np.array_equal(kernel(finished, "a")[kept], dense_weights[0][kept])


@pytest.mark.slow
def test_every_checkpoint_is_as_sparse_as_the_schedule_is_wherever_it_is_listed(tmp_path):
    job = attach(dense(keras), Prune(sparsity=0.75, frequency=1))
    each = keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}-{batch:03d}.keras"), save_freq=3)
    last = keras.callbacks.ModelCheckpoint(str(tmp_path / "epoch{epoch}.weights.h5"), save_weights_only=True)
    with pytest.warns(UserWarning, match="was saved before pruning had come to its end"):
        fit_(keras, job, vectors(), epochs=4, callbacks=[each, last])
    found = [sparsity(kernel(keras.models.load_model(path), "a")) for path in sorted(tmp_path.glob("*.keras"))]
    assert found == sorted(found)
    assert found[0] > 0.3
    assert found[-1] == 0.75
    plain = dense(keras)
    plain.load_weights(tmp_path / "epoch4.weights.h5")
    assert [sparsity(kernel(plain, name)) for name in "ab"] == [0.75, 0.75]


@pytest.mark.slow
def test_early_stopping_that_gives_back_old_weights_does_not_cost_the_sparsity():
    job = attach(dense(keras), Prune(sparsity=0.75))
    stop = keras.callbacks.EarlyStopping("loss", patience=1, mode="max", restore_best_weights=True)
    with pytest.warns(UserWarning, match="weights of an earlier step were put back after pruning"):
        fit_(keras, job, vectors(), epochs=6, callbacks=[stop])
    assert [p.got for p in job.promises()] == [0.75, 0.75]  # the hook comes after the callback that restores
    finished = job.finish()
    assert [sparsity(kernel(finished, name)) for name in "ab"] == [0.75, 0.75]


@pytest.mark.slow
def test_a_moving_average_of_the_weights_is_as_sparse_as_they_are_when_fit_puts_it_in():
    job = attach(dense(keras), Prune(sparsity=0.75))
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    job.model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    job.model.fit(*vectors(), epochs=3, batch_size=BATCH, verbose=0, callbacks=job.callbacks)
    assert [p.got for p in job.promises()] == [0.75, 0.75]
