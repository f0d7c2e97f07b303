"""The ways in which people train Keras 3 models, each with stages attached."""

import numpy as np
import pytest

from tests.engines.tiny_networks import BATCH, dense, vectors
from tfcompress.job import attach
from tfcompress.recipe import QAT, Cluster, Distill, Prune

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

EPOCHS = 2
STEPS = 4

ALL = (Prune(sparsity=0.75, frequency=1), Cluster(clusters=6), QAT(), Distill())
MOVEMENT = (Prune(sparsity=0.75, frequency=1, criterion="movement"), Distill())


def compiled(model, **options):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, **{"jit_compile": False, **options})
    return model


def batches():
    return tf.data.Dataset.from_tensor_slices(vectors()).batch(BATCH)


def check(job, losses, tolerance=1e-5, notes=0):
    """See that the training went on, that it kept its promises by itself, and that its end changes nothing."""
    assert np.isfinite(losses).all()
    assert all(p.kept for p in job.promises())
    assert len(job.notes) == notes
    inputs = vectors()[0]
    trained = np.asarray(job.model(inputs), np.float32)
    assert np.asarray(job.finish()(inputs), np.float32) == pytest.approx(trained, abs=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_half_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        job = attach(dense(keras), *ALL)
        # Two steps an execution, to have tried that too.
        history = compiled(job.model, steps_per_execution=2).fit(
            *vectors(), BATCH, EPOCHS, verbose=0, callbacks=job.callbacks
        )
    finally:
        keras.config.set_dtype_policy("float32")
    assert "it was rebuilt in float32 with the same weights" in job.notes[0]
    # A weight between two centroids may fall to the other one where it is rounded to half precision before.
    check(job, history.history["loss"], tolerance=0.05, notes=1)


@pytest.mark.slow
def test_a_tensorflow_dataset_in_a_compiled_step():
    job = attach(dense(keras), *ALL)
    model = compiled(job.model, jit_compile=True)
    check(job, model.fit(batches(), epochs=EPOCHS, shuffle=False, verbose=0, callbacks=job.callbacks).history["loss"])


@pytest.mark.slow
@pytest.mark.parametrize(("jit", "stages"), [(False, ALL), (True, MOVEMENT)])
def test_a_loop_of_ones_own(jit, stages):
    job = attach(dense(keras), *stages, epochs=EPOCHS, steps_per_epoch=STEPS)
    model, optimizer = compiled(job.model), keras.optimizers.SGD(0.1)

    @tf.function(jit_compile=jit)
    def step(inputs, labels):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(inputs, labels, model(inputs, training=True))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    losses = []
    for _ in range(EPOCHS):
        for number, batch in enumerate(batches()):
            losses.append(float(step(*batch)))
            for callback in job.callbacks:
                callback.on_train_batch_end(number)
    check(job, losses)


@pytest.mark.slow
def test_a_distribution_strategy():
    # One device: a process that has run collectives of one size cannot run any of another.
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        job = attach(dense(keras), *ALL)
        model = compiled(job.model)
    history = model.fit(batches(), epochs=EPOCHS, shuffle=False, verbose=0, callbacks=job.callbacks).history
    assert np.isfinite(history["loss"]).all()
    assert all(p.kept for p in job.promises())
    assert job.finish().predict(vectors()[0], verbose=0).shape == (32, 3)
