"""A Keras 3 user's training script with a loop of its own: what tfcompress added are the lines with ``job`` in them."""

# ruff: noqa: T201, TID253 — a script of a user's, who imports and prints what it likes

import sys

import keras
import numpy as np
import tensorflow as tf

import tfcompress as tfc

keras.utils.set_random_seed(0)
x = np.random.default_rng(0).normal(size=(512, 12)).astype("float32")
y = x[:, :4].argmax(1)
batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(512, seed=0).batch(32)
loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def train(model, optimizer, epochs, callbacks=()):
    @tf.function
    def step(inputs, labels):
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(inputs, training=True))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)

    for _ in range(epochs):
        for number, batch in enumerate(batches):
            step(*batch)
            for callback in callbacks:
                callback.on_train_batch_end(number)


def accuracy(model):
    return float(np.mean(np.argmax(model(x), axis=1) == y))


given = keras.Input((12,))
hidden = keras.layers.Dense(32, "relu")(given)
model = keras.Model(given, keras.layers.Dense(4)(hidden))
train(model, keras.optimizers.Adam(1e-3), epochs=20)

job = tfc.attach(model, tfc.Prune(sparsity=0.5), tfc.QAT(), epochs=6, steps_per_epoch=16, samples=x[:64])
train(job.model, keras.optimizers.Adam(1e-3), epochs=6, callbacks=job.callbacks)
trained = job.finish()
trained.save(sys.argv[1])

print("accuracy", accuracy(model), accuracy(trained))
print("sparsity", min(p.got for p in job.promises()))
