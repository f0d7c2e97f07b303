"""Data sets that are downloaded by name: ``keras:NAME`` and ``tfds:NAME``."""

from __future__ import annotations

from typing import Any

from tfcompress.errors import DataError, MissingDependencyError, nearest
from tfcompress.keras_names import DATASETS


def load_keras(name: str) -> dict[str, Any]:
    """Return the arrays of ``keras.datasets.NAME``, downloaded when they are not in its cache.

    Raises:
        DataError: Keras has no such data set, or it cannot be downloaded.
    """
    if name not in DATASETS:
        msg = f"data 'keras:{name}' must name one of {', '.join(DATASETS)}{nearest(name, DATASETS)}"
        raise DataError(msg)
    import keras

    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # a download fails in as many ways as there are libraries below it
        msg = f"data 'keras:{name}' cannot be downloaded: {str(error).splitlines()[0]}"
        raise DataError(msg) from error
    return {"train": tuple(train), "test": tuple(test)}


def load_tfds(name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the splits of a TensorFlow data set as ``tf.data.Dataset`` of (x, y), and the class names it knows.

    Raises:
        MissingDependencyError: tensorflow-datasets is not installed.
        DataError: there is no such data set, it has no (x, y) form, or it cannot be downloaded.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        msg = f"data 'tfds:{name}' needs tensorflow-datasets: pip install 'tfcompress[tfds]'"
        raise MissingDependencyError(msg) from error
    try:
        splits, info = tfds.load(name, as_supervised=True, shuffle_files=False, with_info=True)
    except Exception as error:  # likewise
        msg = f"data 'tfds:{name}' cannot be loaded: {type(error).__name__}: {str(error).splitlines()[0]}"
        raise DataError(msg) from error
    label = info.features[info.supervised_keys[1]]
    return dict(splits), tuple(getattr(label, "names", None) or ())
