"""The child processes of :mod:`benchmarks.file_mutations`: one makes honest files, the others read broken ones.

``make FOLDER`` writes files of every kind, seeded. ``serve MEGABYTES`` reads a path a line from standard input, puts it
through the entry point of its kind and answers with a line of JSON. The memory it may map beyond what it takes once
everything is imported is limited, so that what is hungry fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
import traceback
import wave
from pathlib import Path
from typing import Any

import numpy as np

FEATURES = """
[features.image]
kind = "image"
[features.v]
kind = "float"
shape = [4]
[label]
"""


def _models(module: Any, seed: int) -> Any:
    module.utils.set_random_seed(seed)
    layers = module.layers
    x = inputs = layers.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    x = layers.BatchNormalization(name="bn")(x)
    y = layers.ReLU(name="relu")(x)
    x = layers.Add(name="add")([x, y])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return module.Model(inputs, layers.Dense(3, activation="softmax", name="out")(x), name="net")


def make_models(folder: Path) -> None:
    """Write small models of both Kerases as .h5, .keras and SavedModel."""
    import keras
    import tf_keras

    for name in ("h5", "keras", "savedmodel"):
        (folder / name).mkdir(parents=True)
    for name, module in (("k2", tf_keras), ("k3", keras)):
        model = _models(module, 0)
        model.save(folder / "h5" / f"{name}.h5")
        model.save(folder / "keras" / f"{name}.keras")
        (model.export if name == "k3" else model.save)(str(folder / "savedmodel" / name))


def make_data(folder: Path) -> None:
    """Write small data sets of every kind: 60 samples of 3 classes."""
    import pandas as pd
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 8, 8, 3), np.uint8), np.arange(60) % 3
    v = rng.random((60, 4), np.float32)
    for name in ("npz", "csv", "parquet", "tfrecord"):
        (folder / name).mkdir(parents=True)
    names = np.array(["cat", "dog", "hen"])
    np.savez(folder / "npz" / "stored.npz", x_train=v[:40], y_train=y[:40], x_test=v[40:], y_test=y[40:])
    np.savez_compressed(folder / "npz" / "packed.npz", x=np.asfortranarray(v), y=y.astype(np.uint8), labels=names)
    table = pd.DataFrame(v, columns=["a", "b", "c", "d"]).assign(label=names[y])
    table.to_csv(folder / "csv" / "text.csv", index=False)
    table.assign(label=y).to_csv(folder / "csv" / "tabs.tsv", index=False, sep="\t")
    table.to_csv(folder / "csv" / "packed.csv.gz", index=False)
    table.to_parquet(folder / "parquet" / "snappy.parquet")
    table.assign(label=y)[y < 9].to_parquet(folder / "parquet" / "gzip.parquet", compression="gzip", index=True)
    table.to_parquet(folder / "parquet" / "groups.parquet", compression=None, row_group_size=16)
    for number in range(12):
        place = folder / "images" / "set" / str(names[y[number]])
        place.mkdir(parents=True, exist_ok=True)
        encode = (tf.io.encode_png, tf.io.encode_jpeg)[number % 2]
        (place / f"{number}.{('png', 'jpg')[number % 2]}").write_bytes(encode(x[number]).numpy())
    _write_bmp(folder / "images" / "set" / "cat" / "98.bmp", x[0])
    _make_recordings(folder / "recordings" / "set", names)
    _make_masks(folder / "masks" / "set", x)
    with tf.io.TFRecordWriter(str(folder / "tfrecord" / "d.tfrecord")) as writer:
        for number in range(20):
            writer.write(_example(tf, tf.io.encode_png(x[number]).numpy(), v[number], int(y[number])))
    (folder / "tfrecord" / "features.toml").write_text(FEATURES)


def _make_recordings(folder: Path, names: np.ndarray) -> None:
    """Write recordings of every width, of one channel and of two."""
    for number in range(12):
        place = folder / str(names[number % 3])
        place.mkdir(parents=True, exist_ok=True)
        with wave.open(str(place / f"{number}.wav"), "wb") as stream:
            stream.setnchannels(1 + number % 2)
            stream.setsampwidth(1 + number % 4)
            stream.setframerate(8_000)
            stream.writeframes(bytes(range(24)) * 4)


def _make_masks(folder: Path, x: np.ndarray) -> None:
    """Write images, and masks of three classes, grey and with a palette."""
    from PIL import Image

    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(8):
        Image.fromarray(x[number]).save(folder / "images" / f"{number}.png")
        mask = Image.fromarray(x[number, :, :, 0] % 3)
        (mask.convert("P") if number % 2 else mask).save(folder / "masks" / f"{number}.png")


def _example(tf: Any, image: bytes, values: np.ndarray, label: int) -> bytes:
    feature = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "v": tf.train.Feature(float_list=tf.train.FloatList(value=values)),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    content: bytes = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    return content


def _write_bmp(path: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(path)


def read(kind: str, path: Path, features: Path) -> str:
    """Put one file through the entry point of its kind; return what became of it in a word.

    Raises:
        Exception: whatever the entry point raises.
    """
    if kind in ("h5", "keras", "savedmodel"):
        from tfcompress.models.loading import load_model
        from tfcompress.models.signature import signature_of

        signature_of(load_model(path).native)
        return "loaded"
    from tfcompress.data.sources import load_data
    from tfcompress.models.specs import Signature, TensorSpec

    image, vector = TensorSpec("image", (8, 8, 3), "float32"), TensorSpec("v", (4,), "float32")
    inputs = {"images": (image,), "masks": (image,), "tfrecord": (image, vector)}.get(kind, (vector,))
    shape = (8, 8, 3) if kind == "masks" else (3,)
    signature = Signature(inputs, (TensorSpec("out", shape, "float32"),))
    data = load_data(path, features=features if kind == "tfrecord" else None).bind(signature, holdout=None)
    data.lint()
    for split in data.splits.values():
        next(split.batches(4, seed=0))
    json.dumps(data.describe(), allow_nan=False).encode()
    return "loaded"


def answer(kind: str, path: Path, features: Path) -> dict[str, Any]:
    """Read one file and say what became of it: loaded, an error's class, memory, or a bug with its traceback."""
    from tfcompress.errors import TfcompressError

    before, begin = _peak_bytes(), time.monotonic()
    reply = {"outcome": "", "message": ""}
    try:
        reply["outcome"] = read(kind, path, features)
    except TfcompressError as error:
        message = str(error)
        one = message.isprintable() and message == " ".join(message.split()) and 0 < len(message) <= 2000
        reply = {"outcome": type(error).__name__ if one else "bug", "message": message if one else f"lines: {message}"}
    except MemoryError:
        reply = {"outcome": "memory", "message": traceback.format_exc()}
    except Exception as error:  # noqa: BLE001  what is counted here is just this
        where = "".join(traceback.format_exception(error))[-3000:]
        reply = {"outcome": "bug", "message": f"{type(error).__name__}: {error}\n{where}"}
    grown = _peak_bytes() - before
    if grown > 1 << 30:
        reply = {"outcome": "memory", "message": f"{grown:,} bytes more than before; {reply['message']}"}
    return {**reply, "seconds": time.monotonic() - begin}


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def serve(megabytes: int) -> None:
    """Answer lines ``KIND TAB PATH TAB FEATURES`` until standard input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Keras prints is no answer
    import keras
    import pandas as pd
    import tensorflow as tf
    import tf_keras

    tf.io.decode_image(tf.io.encode_png(np.zeros((2, 2, 3), np.uint8)))
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = mapped + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    replies.write(json.dumps({"ready": [keras.__version__, tf_keras.__version__, pd.__version__]}) + "\n")
    replies.flush()
    for line in sys.stdin:
        kind, path, features = line.rstrip("\n").split("\t")
        replies.write(json.dumps(answer(kind, Path(path), Path(features))) + "\n")
        replies.flush()


def main() -> None:
    """Do what the command line says."""
    command, argument = sys.argv[1:]
    if command == "make":
        with contextlib.redirect_stdout(sys.stderr):
            make_data(Path(argument))
            make_models(Path(argument))
    else:
        serve(int(argument))


if __name__ == "__main__":
    main()
