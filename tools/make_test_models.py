"""Write the small .tflite files that edge_runner's tests run: `python tools/make_test_models.py [FOLDER]`.

Everything is made from seeds: blobs on an 8 x 8 image in one of four corners (with noise, so that a small network is
right often but not always), a two-input regression, and an LSTM whose state would leak from sample to sample.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

HERE = Path(__file__).resolve().parent.parent / "tests" / "data"
SEED = 7


def blobs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images of shape (count, 8, 8, 1) in -1..1 and the corner, 0..3, that is brightest before noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    images = rng.normal(0, 0.55, (count, 8, 8, 1))
    for index, label in enumerate(labels):
        row, column = 4 * (label // 2), 4 * (label % 2)
        images[index, row : row + 4, column : column + 4] += 0.45
    return np.clip(images, -1, 1).astype(np.float32), labels


def classifier() -> Any:
    """Train the classifier of blobs: input ``image``, output ``scores``."""
    import keras

    keras.utils.set_random_seed(SEED)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(image)
    x = keras.layers.Flatten()(x)
    model = keras.Model(image, keras.layers.Dense(4, activation="softmax", name="scores")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    images, labels = blobs(2000, SEED)
    model.fit(images, labels, epochs=6, batch_size=32, verbose=0)
    return model


def two_inputs() -> Any:
    """Make a model of two inputs, ``length`` (3) and ``width`` (2), and two outputs of 2 and 1 values."""
    import keras

    keras.utils.set_random_seed(SEED)
    length, width = keras.Input((3,), name="length"), keras.Input((2,), name="width")
    x = keras.layers.Concatenate()([length, width])
    wide = keras.layers.Dense(2, name="wide")(x)
    return keras.Model([length, width], {"wide": wide, "narrow": keras.layers.Dense(1, name="narrow")(wide)})


def recurrent() -> Any:
    """Make a tf_keras LSTM, which becomes a stateful op: its state leaks into the next sample unless it is reset."""
    import tf_keras

    tf_keras.utils.set_random_seed(SEED)
    steps = tf_keras.Input((4, 3), batch_size=1, name="steps")
    return tf_keras.Model(steps, tf_keras.layers.LSTM(2, name="state")(steps))


def sensors(count: int, seed: int) -> np.ndarray:
    """Return readings of shape (count, 6) in about -1..1, which two numbers determine."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(SEED).normal(0, 0.5, (2, 6))
    return (rng.uniform(-1, 1, (count, 2)) @ mix).astype(np.float32)


def autoencoder() -> Any:
    """Train an autoencoder of the sensors: input ``sensors``, output ``again``."""
    import keras

    keras.utils.set_random_seed(SEED)
    given = keras.Input((6,), name="sensors")
    again = keras.layers.Dense(6, name="again")(keras.layers.Dense(2)(given))
    model = keras.Model(given, {"again": again})
    model.compile(keras.optimizers.Adam(0.02), "mean_squared_error")
    readings = sensors(1000, SEED)
    model.fit(readings, {"again": readings}, epochs=15, batch_size=32, verbose=0)
    return model


def segmentation() -> Any:
    """Make a segmentation: input ``image``, output ``pixels``, class 1 where the mean of 3 x 3 pixels is above 0."""
    import keras

    image = keras.Input((8, 8, 1), name="image")
    layer = keras.layers.Conv2D(2, 3, padding="same", name="pixels")
    model = keras.Model(image, {"pixels": layer(image)})
    brightness = np.full((3, 3, 1), 1 / 9, np.float32)
    layer.set_weights([np.stack([-brightness, brightness], axis=-1), np.zeros(2, np.float32)])
    return model


def converted(model: Any, int8: dict[str, np.ndarray] | None = None) -> bytes:
    """Lower a Keras model, batch 1, by its signature; to int8 inside and out, by the samples given for that."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        if type(model).__module__.startswith("keras"):
            import keras

            specs = [keras.InputSpec(shape=(1, *i.shape[1:]), dtype=i.dtype, name=i.name) for i in model.inputs]
            signature = [specs] if len(specs) > 1 else specs
            model.export(folder, format="tf_saved_model", input_signature=signature, verbose=False)
        else:
            tf.saved_model.save(model, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            ((name, samples),) = int8.items()
            converter.representative_dataset = lambda: ({name: sample[None]} for sample in samples)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        content: bytes = converter.convert()
    return content


def main(folder: Path) -> None:
    """Write every file into *folder*."""
    blob_model = classifier()
    named = type(blob_model)(blob_model.input, {"scores": blob_model.output})
    files = {
        "blobs_float.tflite": converted(named),
        "blobs_int8.tflite": converted(named, {"image": blobs(200, SEED)[0]}),
        "two_inputs.tflite": converted(two_inputs()),
        "lstm.tflite": converted(recurrent()),
        "autoencoder_int8.tflite": converted(autoencoder(), {"sensors": sensors(200, SEED)}),
        "segmentation_int8.tflite": converted(segmentation(), {"image": blobs(200, SEED)[0]}),
    }
    images, labels = blobs(300, SEED + 1)
    for name, content in files.items():
        (folder / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes")
    print("accuracy of the Keras model:", float((blob_model.predict(images, verbose=0).argmax(-1) == labels).mean()))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
