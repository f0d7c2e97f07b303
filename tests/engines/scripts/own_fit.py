"""A Keras 3 user's training script with ``fit``: what tfcompress added are the lines with ``job`` in them."""

# ruff: noqa: T201, TID253 — a script of a user's, who imports and prints what it likes

import sys

import keras
import numpy as np

import tfcompress as tfc

keras.utils.set_random_seed(0)
x = np.random.default_rng(0).normal(size=(512, 12)).astype("float32")
y = x[:, :4].argmax(1)

model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(4)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
model.fit(x, y, epochs=20, verbose=0)

job = tfc.attach(model, tfc.Prune(sparsity=0.5), tfc.QAT(), samples=x[:64])
job.model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"], jit_compile=False)
stop = keras.callbacks.EarlyStopping("loss", patience=2)
job.model.fit(x, y, epochs=6, verbose=0, callbacks=[stop, *job.callbacks])
trained = job.finish()

tflite = tfc.export(trained, tfc.Export(quantize="int8"))
tflite.save(sys.argv[1])
print("accuracy", model.evaluate(x, y, verbose=0)[1], job.model.evaluate(x, y, verbose=0)[1])
print("sparsity", min(p.got for p in job.promises()))
