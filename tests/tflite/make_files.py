"""Networks for tests; and ``python tests/tflite/make_files.py`` writes the small TFLite files in tests/data/tflite.

One network in every scheme (8x8x3 -> Conv2D(8) -> DepthwiseConv2D -> Dense(10) -> softmax), the same with 80 % zeros,
dense and in sparse encoding, one with two inputs and outputs, one with an embedding (whole numbers go in), a stateful
LSTM, a fully convolutional network whose image may be of any size, and a recurrence as a WHILE loop.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from tfcompress.recipe import Export
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.lower import lower

FOLDER = Path(__file__).resolve().parents[1] / "data" / "tflite"
SCHEMES = ("none", "float16", "dynamic", "int8", "int16x8")


def cnn(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3), name="image"),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="conv"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Flatten(name="flatten"),
            layers.Dense(10, activation="softmax", name="scores"),
        ]
    )


def two_ways(keras):
    layers = keras.layers
    image, facts = keras.Input((6, 6, 1), name="image"), keras.Input((4,), name="facts")
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    both = layers.Concatenate()([seen, layers.Dense(4)(facts)])
    outputs = [layers.Dense(3, name="class")(both), layers.Dense(1, name="size")(both)]
    return keras.Model([image, facts], outputs)


def tokens(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32", name="ids"),
            layers.Embedding(20, 8),
            layers.Flatten(),
            layers.Dense(2, name="answer"),
        ]
    )


def open_extents(keras) -> bytes:
    """Convert as TensorFlow does by itself: :class:`ConverterProcess` would settle the batch."""
    import tensorflow as tf

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((None, None, 3), name="image"),
            layers.Conv2D(4, 3, padding="same", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, name="scores"),
        ]
    )
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


def loop() -> bytes:
    import tensorflow as tf

    kernel, recurrent, last = tf.fill((4, 5), 0.1), tf.fill((5, 5), 0.1), tf.fill((5, 2), 0.5)

    @tf.function(input_signature=[tf.TensorSpec((1, 6, 4), tf.float32, name="steps")])
    def recurrence(steps):
        def step(place, state):
            return place + 1, tf.tanh(tf.gather(steps, place, axis=1) @ kernel + state @ recurrent)

        _, state = tf.while_loop(lambda place, _: place < 6, step, (tf.constant(0), tf.zeros((1, 5))))
        return {"scores": state @ last}

    return tf.lite.TFLiteConverter.from_concrete_functions([recurrence.get_concrete_function()], recurrence).convert()


def main() -> None:
    import keras
    import tf_keras

    FOLDER.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    model, sparse = cnn(keras), cnn(keras)
    for network, kept in ((model, 1.0), (sparse, 0.2)):
        for layer in network.layers:
            if layer.weights:  # biases that are all zero would be stored once for all layers
                kernel, bias = layer.get_weights()
                values = generator.normal(size=bias.shape, scale=0.1)
                layer.set_weights([kernel * (generator.random(kernel.shape) < kept), values])
    images = {"image": generator.normal(size=(50, 8, 8, 3)).astype("float32")}
    ids = {"ids": generator.integers(0, 20, (50, 5)).astype("int32")}
    lstm = tf_keras.Sequential(
        [tf_keras.Input((6, 4), name="steps"), tf_keras.layers.LSTM(5), tf_keras.layers.Dense(2, name="answer")]
    )
    with tempfile.TemporaryDirectory() as folder, ConverterProcess() as converter:
        jobs = [(scheme, model, scheme, images) for scheme in SCHEMES]
        jobs += [
            ("zeros", sparse, "none", None),
            ("sparse", sparse, "none", None),
            ("two_ways", two_ways(keras), "none", None),
        ]
        jobs += [("tokens", tokens(keras), "int8", ids), ("lstm", lstm, "none", None)]
        for name, network, scheme, samples in jobs:
            lowered = lower(network, Path(folder) / name)
            settings = Export(quantize=scheme)
            calibration = samples if settings.needs_data else None
            content = converter.convert(lowered.folder, settings, calibration, sparse=name == "sparse")
            (FOLDER / f"{name}.tflite").write_bytes(content)
    (FOLDER / "open_extents.tflite").write_bytes(open_extents(tf_keras))
    (FOLDER / "loop.tflite").write_bytes(loop())


if __name__ == "__main__":
    main()
